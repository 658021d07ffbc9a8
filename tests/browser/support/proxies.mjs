// Reverse proxies, each a real process with its configuration from docs/proxies.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./process.mjs";

/** The services that the configurations name: the first one, or three replicas. */
const SERVICES = ["127.0.0.1:50051", "127.0.0.1:50052", "127.0.0.1:50053"];

/** For each proxy: the file in docs/proxies, what a test replaces its addresses with, and how it is started. */
export const PROXIES = {
  nginx: {
    file: "nginx.conf",
    addresses: ({ page, grpc }) => [
      ["listen 8080;", `listen ${page};`],
      ["listen 8081 http2;", `listen ${grpc} http2;`],
    ],
    command(folder, configuration) {
      // As Debian's nginx.conf does, but without a path that belongs to root.
      const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`);
      const main = join(folder, "main.conf");
      writeFileSync(
        main,
        `daemon off; pid ${folder}/pid; events {} http { access_log off; ${paths.join(" ")} include ${configuration}; }\n`,
      );
      return ["/usr/sbin/nginx", "-e", "stderr", "-c", main];
    },
  },
  haproxy: {
    file: "haproxy.cfg",
    addresses: ({ page }) => [["bind :8080", `bind ${page}`]],
    command: (_folder, configuration) => ["/usr/sbin/haproxy", "-db", "-f", configuration],
  },
  caddy: {
    file: "Caddyfile",
    addresses: ({ page }) => [[":8080 {", `:${page.split(":")[1]} {\n\tbind 127.0.0.1`]],
    command: (_folder, configuration) => ["target/browser/venv/bin/caddy", "run", "--adapter", "caddyfile", "--config", configuration],
  },
};

/** The proxies in front of replicas: another file in docs/proxies, otherwise as in front of one service. */
export const BALANCERS = {
  nginx: { ...PROXIES.nginx, file: "nginx-replicas.conf" },
  haproxy: { ...PROXIES.haproxy, file: "haproxy-replicas.cfg" },
};

/** The text of a proxy's configuration in docs/proxies. */
export const configuration = ({ file }) => readFileSync(join("docs/proxies", file), "utf8");

/** A free port below the system's ephemeral ports, so that it stays free while a proxy restarts. */
export async function freePort() {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    const listener = net.createServer();
    const free = await new Promise((resolve) =>
      listener.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true)),
    );
    if (!free) continue;
    await new Promise((resolve) => listener.close(resolve));
    return port;
  }
}

export const answers = (address) =>
  new Promise((resolve) => {
    const socket = net.connect(Number(address.split(":")[1]), "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });

/** A proxy in front of a service, or of replicas. */
export class ReverseProxy {
  static async to(servers, name) {
    const kind = (servers.length > 1 ? BALANCERS : PROXIES)[name];
    const proxy = new ReverseProxy();
    const page = `127.0.0.1:${await freePort()}`;
    // Only nginx needs another port for HTTP/2 without TLS.
    const grpc = name === "nginx" ? `127.0.0.1:${await freePort()}` : page;
    proxy.logs = mkdtempSync(join(tmpdir(), `chitchat-${name}-`));
    proxy.said = "";
    proxy.url = `http://${page}`;
    proxy.grpcUrl = `http://${grpc}`;
    proxy.addresses = [...new Set([page, grpc])];
    let text = configuration(kind);
    const services = servers.map(({ address }, n) => [SERVICES[n], address]);
    for (const [from, to] of [...kind.addresses({ page, grpc }), ...services]) {
      if (!text.includes(from)) throw new Error(`docs/proxies/${kind.file} does not have "${from}"`);
      text = text.replaceAll(from, to);
    }
    const file = join(proxy.logs, kind.file);
    writeFileSync(file, text);
    proxy.command = kind.command(proxy.logs, file);
    await proxy.start();
    return proxy;
  }

  async start() {
    const home = join(this.logs, "home");
    mkdirSync(home, { recursive: true });
    const [program, ...args] = this.command;
    this.process = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      // Its own process group, since nginx has workers; and for Caddy its own folders and control socket.
      detached: true,
      env: { PATH: process.env.PATH, HOME: home, CADDY_ADMIN: `unix/${this.logs}/admin` },
    });
    for (const output of [this.process.stdout, this.process.stderr]) output.on("data", (data) => (this.said += data));
    this.exited = new Promise((resolve) => this.process.on("exit", resolve));
    this.process.on("error", (error) => (this.said += error.message));
    await until("the proxy starts", async () => {
      if (this.process.pid === undefined || this.process.exitCode !== null) throw new Error(`the proxy ended:\n${this.said}`);
      return (await Promise.all(this.addresses.map(answers))).every(Boolean);
    });
  }

  /** Kills all its processes, so that every connection through it breaks at once. */
  async stop() {
    if (this.process.pid === undefined || this.process.exitCode !== null || this.process.signalCode !== null) return;
    process.kill(-this.process.pid, "SIGKILL");
    await this.exited;
    await until("its port is closed", async () => !(await Promise.all(this.addresses.map(answers))).some(Boolean));
  }
}
