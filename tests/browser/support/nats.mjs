// Three nats-servers with the replicas' common log.
import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./process.mjs";
import { answers, freePort } from "./proxies.mjs";

const PROGRAM = process.env.NATS_SERVER ?? "target/nats/venv/bin/nats-server";

export class Nats {
  static async start() {
    const nats = new Nats();
    const folder = mkdtempSync(join(tmpdir(), "chitchat-nats-"));
    const [clients, routes] = [[], []];
    for (const ports of [clients, routes]) for (let n = 0; n < 3; n++) ports.push(`127.0.0.1:${await freePort()}`);
    const known = routes.map((address) => `nats-route://${address}`).join(", ");
    nats.servers = clients.map((address, n) => {
      const configuration = join(folder, `n${n}.conf`);
      writeFileSync(
        configuration,
        `server_name: n${n}\nlisten: "${address}"\njetstream { store_dir: "${folder}/n${n}", sync_interval: always }\n` +
          `cluster { name: chat, listen: "${routes[n]}", routes: [${known}] }\n`,
      );
      return spawn(PROGRAM, ["-c", configuration], { stdio: "ignore" });
    });
    nats.urls = clients.map((address) => `nats://${address}`).join(",");
    await until("the nats-servers start", async () => (await Promise.all(clients.map(answers))).every(Boolean));
    return nats;
  }

  close() {
    for (const server of this.servers) server.kill("SIGKILL");
  }
}
