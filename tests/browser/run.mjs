// The browser test: real pages in a real Chromium, a real server and a real `join` process.
//
//   CHITCHAT_BIN=target/debug/chitchat node run.mjs [part of a scenario's name]
//
// Each scenario has a server of its own. Nothing sleeps: everything waits for a condition.
import { World } from "./support/world.mjs";

const scenarios = [];
for (const file of ["conversation", "behaviour", "outages", "refusals", "tabs", "looks", "causes", "diagrams", "reading"]) {
  scenarios.push(...Object.entries((await import(`./scenarios/${file}.mjs`)).default));
}
const wanted = process.argv[2] ?? "";

let passed = 0;
let failed = 0;
const world = await World.start();
for (const [name, run] of scenarios) {
  if (!name.includes(wanted)) continue;
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
