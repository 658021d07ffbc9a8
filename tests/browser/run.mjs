// The browser test: real pages in a real browser, a real server and a real `join` process.
//
//   CHITCHAT_BIN=target/debug/chitchat node run.mjs [--browser NAME] [--set NAME] [part of a scenario's name]
//
// Each scenario has a server of its own. Nothing sleeps: everything waits for a condition.
import { readdirSync } from "node:fs";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { World } from "./support/world.mjs";

/** The files of scenarios, each by its name without its folder. */
const FILES = new Map(
  readdirSync(new URL("scenarios", import.meta.url), { recursive: true })
    .filter((path) => path.endsWith(".mjs"))
    .map((path) => [basename(path, ".mjs"), path]),
);
/** Which files of scenarios are run together. Each file is also a set of its own. */
const SETS = {
  all: [...FILES.keys()].filter((name) => name !== "proxies"),
  main: ["conversation", "outages", "refusals"],
  lab: ["lab", "replay"],
};
/** What only Chromium can do: axe-core needs its debugger. */
const CHROMIUM_ONLY = /axe-core/;

const { values, positionals } = parseArgs({
  options: { browser: { type: "string", default: "chromium" }, set: { type: "string", default: "all" } },
  allowPositionals: true,
});
const scenarios = [];
for (const file of SETS[values.set] ?? [values.set]) {
  scenarios.push(...Object.entries((await import(`./scenarios/${FILES.get(file)}`)).default));
}
const wanted = positionals[0] ?? "";

let passed = 0;
let failed = 0;
const world = await World.start(values.browser);
for (const [name, run] of scenarios) {
  if (!name.includes(wanted) || (values.browser !== "chromium" && CHROMIUM_ONLY.test(name))) continue;
  const started = performance.now();
  try {
    await world.scenario(run);
    passed += 1;
    console.log(`ok      ${name} (${Math.round(performance.now() - started)} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack ?? error}\n${error.world ?? ""}`);
  }
}
await world.stop();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
