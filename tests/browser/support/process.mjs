// The processes under test, a network that can be cut, and waiting for conditions.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BIN = process.env.CHITCHAT_BIN;
if (!BIN) throw new Error("CHITCHAT_BIN must name the chitchat binary");

/** How long anything may take, in milliseconds: so long that no scenario fails because the machine is busy. */
export const PATIENCE_MS = 60_000;

/** Waits until `condition` returns something truthy, and returns that. */
export async function until(what, condition, milliseconds = PATIENCE_MS) {
  const deadline = performance.now() + milliseconds;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (performance.now() > deadline) throw new Error(`timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** An environment in which a process sees the wall clock off by this many seconds, and no other clock. */
export function wallClockOff(seconds) {
  const folder = readdirSync("/usr/lib")
    .map((name) => `/usr/lib/${name}/faketime`)
    .find((name) => existsSync(name));
  if (!folder) throw new Error("libfaketime is not installed: tests/tools system");
  return {
    LD_PRELOAD: `${folder}/libfaketime.so.1`,
    FAKETIME: `${seconds < 0 ? "" : "+"}${seconds}`,
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
}

/** Suspends a process: when this is done, none of its threads runs. */
async function hold({ pid }) {
  process.kill(pid, "SIGSTOP");
  const stands = (thread) => {
    const file = `/proc/${pid}/task/${thread}/stat`;
    // A thread may have ended meanwhile.
    return !existsSync(file) || / \(.*\) T /.test(readFileSync(file, "utf8"));
  };
  await until(`process ${pid} stands still`, () => readdirSync(`/proc/${pid}/task`).every(stands));
}

/** The options that lift the limit on publishing. */
export const UNLIMITED = ["--publish-rate", "0", "--address-limits", "off"];

/** A server process. Its grace period is long, so that a reload on a busy machine does not end a session. */
export class Server {
  static async start({
    command = "serve",
    port = 0,
    journal = "memory",
    args = [],
    env = {},
    logs = mkdtempSync(join(tmpdir(), "chitchat-server-")),
  } = {}) {
    const server = new Server();
    server.logs = logs;
    server.process = spawn(
      BIN,
      [
        command,
        "--listen",
        `127.0.0.1:${port}`,
        "--journal",
        journal,
        ...(args.includes("--grace") ? [] : ["--grace", "60s"]),
        "--log-dir",
        logs,
        ...args,
      ],
      { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...env } },
    );
    server.said = "";
    server.process.stderr.on("data", (data) => (server.said += data));
    server.exited = new Promise((resolve) => server.process.on("exit", resolve));
    const file = join(logs, "server.jsonl");
    server.address = await until("the server starts", () => {
      if (server.process.exitCode !== null) throw new Error(`the server ended:\n${server.said}`);
      if (!existsSync(file)) return null;
      const records = readFileSync(file, "utf8")
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line));
      return records.find((record) => record.event === "server_started")?.address;
    });
    return server;
  }

  get url() {
    return `http://${this.address}`;
  }

  get port() {
    return Number(this.address.split(":").at(-1));
  }

  async kill(signal = "SIGKILL") {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill(signal);
    await this.exited;
  }

  /** Suspends the process, so that everything sent to it meanwhile arrives together. */
  hold() {
    return hold(this.process);
  }

  /** Lets it continue. */
  go() {
    this.process.kill("SIGCONT");
  }

  /** Stops it gracefully, suspended or not; kills it if a scenario that has failed suspends it again meanwhile. */
  async stop() {
    this.go();
    const patience = setTimeout(() => this.process.kill("SIGKILL"), PATIENCE_MS);
    await this.kill("SIGTERM");
    clearTimeout(patience);
  }
}

/** A `join --plain` process. */
export class Plain {
  static start(name, url, { args = [], logs = mkdtempSync(join(tmpdir(), "chitchat-client-")) } = {}) {
    const plain = new Plain();
    plain.logs = logs;
    plain.process = spawn(BIN, ["join", "--plain", "--name", name, "--server", url, "--log-dir", logs, ...args], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    plain.out = "";
    plain.err = "";
    plain.process.stdout.on("data", (data) => (plain.out += data));
    plain.process.stderr.on("data", (data) => (plain.err += data));
    plain.exited = new Promise((resolve) => plain.process.on("exit", resolve));
    return plain;
  }

  /** The events that it has printed. */
  get lines() {
    return this.out.split("\n").slice(0, -1);
  }

  say(text) {
    this.process.stdin.write(`${text}\n`);
  }

  shows(pattern) {
    return until(`the plain client shows ${pattern}; it shows\n${this.out}${this.err}`, () =>
      this.lines.find((line) => pattern.test(line)),
    );
  }

  hold() {
    return hold(this.process);
  }

  go() {
    this.process.kill("SIGCONT");
  }

  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill("SIGKILL");
    await this.exited;
  }
}

/** A network between the browser and the server, which can be cut, or fall silent. */
export class Network {
  static async to(server) {
    const network = new Network();
    network.pairs = new Set();
    network.state = "open";
    network.listener = net.createServer((near) => {
      if (network.state === "cut") return near.destroy();
      const far = net.connect(server.port, "127.0.0.1");
      const pair = [near, far];
      network.pairs.add(pair);
      near.on("data", (request) => (pair.isStream ||= request.includes("ChitChatService/Join")));
      for (const [one, other] of [pair, [far, near]]) {
        one.on("error", () => other.destroy());
        one.on("close", () => {
          other.destroy();
          network.pairs.delete(pair);
        });
        one.pipe(other);
      }
      if (network.state === "silent") network.#silence(pair);
    });
    await new Promise((resolve) => network.listener.listen(0, "127.0.0.1", resolve));
    return network;
  }

  get url() {
    return `http://127.0.0.1:${this.listener.address().port}`;
  }

  /** Breaks every connection, and accepts no new ones. */
  cut() {
    this.state = "cut";
    for (const [near, far] of this.pairs) {
      near.destroy();
      far.destroy();
    }
  }

  /** Lets nothing more through, without closing a connection. */
  silence() {
    this.state = "silent";
    for (const pair of this.pairs) this.#silence(pair);
  }

  /** Holds back what the streams bring, or lets it through; other calls are not affected. */
  holdStreams(held) {
    for (const [near, far] of [...this.pairs].filter((pair) => pair.isStream)) held ? far.unpipe(near) : far.pipe(near);
  }

  /** Accepts new connections again. */
  restore() {
    this.state = "open";
  }

  #silence([near, far]) {
    near.unpipe(far);
    far.unpipe(near);
    near.pause();
    far.pause();
  }

  close() {
    this.cut();
    this.listener.close();
  }
}
