// How every scenario ends: with the logs of all participants, and the verdict of `chitchat verify` on them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The logs of the pages that are still open, each downloaded into a file. The log of a closed page is lost. */
export async function gather(visitors) {
  const folder = mkdtempSync(join(tmpdir(), "chitchat-pages-"));
  const files = [];
  for (const visitor of visitors.filter(({ page }) => !page.isClosed() && page.url().startsWith("http"))) {
    // A page that replays a run is not a participant.
    if (/#run/.test(visitor.page.url())) continue;
    const { name, text } = await visitor.logAnyhow();
    const file = join(folder, `${files.length}-${name}`);
    writeFileSync(file, text);
    files.push(file);
  }
  return files;
}

/** Fails if the logs break a rule: `chitchat verify` has to exit with 0. */
export function prove(pages, processes) {
  const own = processes.flatMap(({ logs }) =>
    existsSync(logs)
      ? readdirSync(logs)
          .filter((name) => name.endsWith(".jsonl"))
          .map((name) => join(logs, name))
      : [],
  );
  const logs = [...own, ...pages];
  // A scenario in which nobody joins has no conversation to prove.
  if (pages.length === 0) return;
  const verify = (...how) => spawnSync(process.env.CHITCHAT_BIN, ["verify", ...how, ...logs], { encoding: "utf8" });
  const { status, stdout, stderr } = verify("--json");
  if (status !== 0) assert.fail(`chitchat verify exits with ${status} over ${logs.join(" ")}\n${verify("--all").stdout}${stderr}`);
  // Without a delivered event there is nothing to prove.
  if (!pages.some((file) => readFileSync(file, "utf8").includes('"event_delivered"'))) return;
  for (const { rule, records } of JSON.parse(stdout).rules) {
    if (["V1", "V2", "V3", "V7"].includes(rule)) assert.ok(records > 0, `${rule} was checked over ${logs.join(" ")}`);
  }
}
