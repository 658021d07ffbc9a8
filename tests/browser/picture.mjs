// Makes the picture of the page that the README shows: node picture.mjs FILE
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Stage } from "./support/stage.mjs";
import { World } from "./support/world.mjs";

/** A short conversation with two messages that crossed, one of them chosen in alice's page. */
async function picture(world, folder, file) {
  const stage = await Stage.open(world, folder);
  await stage.opens("alice");
  for (const name of ["bob", "carol"]) await stage.joins(name);
  await stage.says("bob", "Does the number in front of a message mean anything?");
  await stage.says("alice", "Yes: all of its causes have smaller numbers.");
  await stage.cross({ carol: "So a smaller number means that it came first?", alice: "But a smaller number alone proves nothing." });
  await stage.says("bob", "Neither of you had seen the other’s message.");
  const { page } = stage.player("alice").visitor;
  await page.setViewportSize({ width: 1200, height: 760 });
  await page.click("#toggle-picture");
  const chosen = page.locator(".segment:last-child .row", { hasText: "So a smaller number" });
  await page.click(`#figure-${await chosen.getAttribute("data-sequence")} .square`);
  await page.waitForSelector(".plot .is-same");
  await page.mouse.move(0, 0);
  await page.screenshot({ path: file, animations: "disabled" });
  for (const name of ["carol", "bob", "alice"]) await stage.leaves(name);
  await stage.ends();
}

const [file] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "chitchat-picture-"));
const world = await World.start();
try {
  await world.scenario(() => picture(world, folder, file));
} catch (error) {
  console.error(`${error.stack ?? error}\n${error.world ?? ""}`);
  process.exitCode = 1;
}
await world.stop();
rmSync(folder, { recursive: true });
