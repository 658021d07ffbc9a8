// The real program as a child process, for the tests in Node.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
// The program under test: CHITCHAT_BIN, or the debug build.
const PROGRAM = process.env.CHITCHAT_BIN || `${ROOT}target/debug/chitchat`;
// How long anything may take: far longer than normal, so that no test fails on a busy machine.
export const DEADLINE_MS = 30_000;
const POLL_MS = 20;

/** Starts a service with its own log folder, which stops after the test. Returns its address. */
export async function serve(test, ...options) {
  const folder = `${ROOT}target/test-run/interop/${test.name.replaceAll(/\W+/g, "-")}`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const output = openSync(`${folder}/server.err`, "w");
  const server = spawn(PROGRAM, ["serve", "--listen", "127.0.0.1:0", "--journal", "memory", "--log-dir", folder, ...options], {
    stdio: ["ignore", output, output],
  });
  const ended = once(server, "exit");
  const kill = () => server.kill("SIGKILL");
  process.once("exit", kill);
  test.after(async () => {
    const tooLate = setTimeout(kill, DEADLINE_MS);
    server.kill("SIGTERM");
    const [code] = await ended;
    clearTimeout(tooLate);
    process.off("exit", kill);
    if (code !== 0) throw new Error(`the service did not stop in good order: ${folder}`);
    // Whatever a test did, its logs must prove that the order held.
    const verdict = spawnSync(PROGRAM, ["verify", `${folder}/server.jsonl`], { encoding: "utf8", timeout: DEADLINE_MS });
    if (verdict.status !== 0) throw new Error(`${verdict.stdout}${verdict.stderr}`);
  });
  return until(() => {
    if (server.exitCode !== null) throw new Error(`the service ended at once: ${folder}`);
    return records(`${folder}/server.jsonl`).find((record) => record.event === "server_started")?.address;
  });
}

/** Waits until a condition holds, and returns what it returned. */
async function until(condition) {
  const giveUp = Date.now() + DEADLINE_MS;
  for (let result; ; await pause(POLL_MS)) {
    if ((result = condition())) return result;
    if (Date.now() > giveUp) throw new Error(`waited too long for ${condition}`);
  }
}

/** The complete records of a log so far. */
function records(log) {
  if (!existsSync(log)) return [];
  const lines = readFileSync(log, "utf8").split("\n");
  return lines.slice(0, -1).map((line) => JSON.parse(line));
}
