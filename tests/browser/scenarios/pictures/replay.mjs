// A recorded run, replayed on the page.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../../support/process.mjs";

const EXAMPLE = process.env.CHITCHAT_EXAMPLE ?? "logs/example";

/** The events of the example, as a plain client prints them. */
const EVENTS = readFileSync(join(EXAMPLE, "server.jsonl"), "utf8")
  .split("\n")
  .slice(0, -1)
  .map((line) => JSON.parse(line))
  .filter(({ event }) => event.endsWith("_broadcast"))
  .map(({ kind, logical_time, display_name, content }) => `[${logical_time}] ${kind === "message" ? `${display_name}: ` : ""}${content}`);

/** Opens a run in a profile of its own. */
async function opened(world, hash, options) {
  const server = await world.server();
  const visitor = await world.visitor(`${server.url}/#run`, await world.profile(options));
  if (hash !== "#run") {
    await visitor.page.goto("about:blank");
    await visitor.page.goto(`${server.url}/${hash}`);
    await visitor.page.waitForSelector("#room.replaying");
  }
  return visitor;
}

/** Waits until the replay is at an event, and the conversation ends with it. */
async function isAt(visitor, event) {
  await visitor.reads(".player-at", new RegExp(`^Event ${event} of`));
  await until(`the conversation ends with event ${event}`, async () => (await visitor.transcript()).at(-1) === EVENTS[event - 1]);
  assert.deepEqual(await visitor.transcript(), EVENTS.slice(0, event));
}

/** Drops files onto the page. */
async function drop(page, files) {
  const transfer = await page.evaluateHandle((files) => {
    const transfer = new DataTransfer();
    for (const { name, text } of files) transfer.items.add(new File([text], name));
    return transfer;
  }, files);
  await page.dispatchEvent("body", "drop", { dataTransfer: transfer });
}

const logs = () =>
  readdirSync(EXAMPLE)
    .filter((name) => name.endsWith(".jsonl"))
    .map((name) => ({ name, text: readFileSync(join(EXAMPLE, name), "utf8") }));

export default {
  "a link opens the example at its event, and steps and the slider move it": async (world) => {
    const visitor = await opened(world, "#run=example&event=11");
    const { page } = visitor;
    await isAt(visitor, 11);
    await page.click('[aria-label="Step back"]');
    await isAt(visitor, 10);
    await page.click('[aria-label="Step forward"]');
    await page.click('[aria-label="Step forward"]');
    await isAt(visitor, 12);
    await page.click('[aria-label="First event"]');
    await isAt(visitor, 1);
    await page.click('[aria-label="Last event"]');
    await isAt(visitor, EVENTS.length);
    await page.locator(".player-slider").fill("5");
    await isAt(visitor, 5);
    await until("the address follows", () => page.evaluate(() => location.hash === "#run=example&event=5"));
    // An address that is typed is followed; one without an event starts at the beginning.
    await page.evaluate(() => (location.hash = "#run=example&event=7"));
    await isAt(visitor, 7);
    await page.evaluate(() => (location.hash = "#run=example"));
    await isAt(visitor, 1);
    await page.click("text=Open other logs");
    await page.waitForSelector(".run-chooser");
    await page.click("text=Open the example");
    await isAt(visitor, 1);
  },

  "a replay plays to its end, pauses, and begins again from the end": async (world) => {
    const visitor = await opened(world, "#run=example");
    const { page } = visitor;
    await isAt(visitor, 1);
    await page.selectOption(".player-speed", "50");
    await page.click('[aria-label="Play"]');
    await isAt(visitor, EVENTS.length);
    await page.waitForSelector('[aria-label="Play"]');
    await page.selectOption(".player-speed", "1");
    await page.click('[aria-label="Play"]');
    await isAt(visitor, 1);
    await page.click('[aria-label="Pause"]');
    await page.waitForSelector('[aria-label="Play"]');
    await isAt(visitor, 1);
  },

  "a replay shows the diagram, what could have caused an event, and who received it when": async (world) => {
    const visitor = await opened(world, "#run=example&event=7");
    const { page } = visitor;
    // Bob's and dora's messages crossed: whichever of the two came first in the recording.
    const [first, second] = EVENTS.slice(5, 7).map((event) => /^\[\d+\] (\w+):/.exec(event)?.[1]);
    assert.deepEqual([first, second].sort(), ["bob", "dora"]);
    await visitor.reads(
      "#facts",
      new RegExp(`Event 7, “[^”]*” by ${second} \\[19\\][\\s\\S]*Concurrent with it: event 6, “[^”]*” by ${first} \\[17\\]`),
    );
    await visitor.counts(".figure", 7);
    await visitor.counts(".figure .tell", 7);
    const [bob, dora] = second === "bob" ? [2, 1] : [1, 2];
    await visitor.reads(".vector-counts", new RegExp(`^alice 2\\s+bob ${bob}\\s+carol 1\\s+dora ${dora}\\s*$`));
    const lesson = `times, 17 and 19, do not show whether “[^”]*” by ${first} \\[17\\] could have caused this\\.`;
    await visitor.reads(".vector-lesson", new RegExp(lesson));
    await visitor.reads("#clock-step", /received 19\s+clock after it: 20/);
    await page.selectOption('[name="reader"]', { label: "dora" });
    await visitor.reads("#clock-title", /dora’s Lamport clock/);
    // She joined fourth, and received nothing that came before.
    await visitor.counts(".figure .tell", 4);
    await page.selectOption('[name="reader"]', { label: "nobody" });
    await visitor.counts(".figure .tell", 0);
    await page.click('.row[data-sequence="5"]');
    await visitor.reads("#facts", /Event 5, “Hello![^”]*” by alice \[13\]/);
  },

  "logs that are dropped are replayed, and lines that are not records are reported": async (world) => {
    const server = await world.server();
    const visitor = await world.visitor(server.url);
    const [first, ...others] = logs();
    await drop(visitor.page, [{ ...first, text: `not a record\n${first.text}{"half":` }, ...others]);
    await visitor.page.waitForSelector("#room.replaying");
    await visitor.page.click('[aria-label="Last event"]');
    await isAt(visitor, EVENTS.length);
    await visitor.reads("#banner", new RegExp(`${first.name}: 2 lines are not log records, the first of them line 1`));
    // What was opened is gone with the page, and the address still says which event it was.
    await until("the address follows", () => visitor.page.evaluate(() => location.hash === "#run&event=14"));
    await visitor.page.reload();
    await visitor.page.waitForSelector(".run-chooser");
    await visitor.page.setInputFiles(
      "input[type=file]",
      logs().map(({ name, text }) => ({ name, mimeType: "application/jsonl", buffer: Buffer.from(text) })),
    );
    await isAt(visitor, EVENTS.length);
    await visitor.page.click("text=Close");
    await visitor.page.waitForSelector("#join-form");
  },

  "a file that is not a log is refused with the reason, and so is a run that does not exist": async (world) => {
    const visitor = await opened(world, "#run");
    await drop(visitor.page, [{ name: "notes.txt", text: "hello" }]);
    await visitor.reads(".run-chooser .notice", /There are no log records in notes\.txt/);
    await visitor.page.evaluate(() => (location.hash = "#run=other"));
    await visitor.reads(".run-chooser .notice", /no run named other/);
    await visitor.page.click("text=Open the example");
    await isAt(visitor, 1);
  },

  "a link to a run does not take a participant out of the conversation": async (world) => {
    const server = await world.server();
    const visitor = await world.visitor(server.url);
    await visitor.join("alice");
    await visitor.page.evaluate(() => (location.hash = "#run=example"));
    await visitor.say("still here");
    await visitor.shows(/still here/);
    await visitor.page.evaluate(() => (location.hash = ""));
  },

  "a replay is loaded only when a run is opened": async (world) => {
    const server = await world.server();
    const visitor = await world.visitor(server.url);
    const loaded = () => visitor.page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname));
    await visitor.join("alice");
    assert.deepEqual(
      (await loaded()).filter((path) => /replay|example/.test(path)),
      [],
    );
    await visitor.page.click("#leave");
    await visitor.page.click("text=Replay a recorded run");
    await isAt(visitor, 1);
    assert.ok((await loaded()).includes("/replay.js"));
  },

  "a replay can be used by keyboard alone": async (world) => {
    const visitor = await opened(world, "#run=example");
    const { page } = visitor;
    await until("the slider has the focus", () => page.evaluate(() => document.activeElement.className === "player-slider"));
    for (let step = 0; step < 4; step += 1) await page.keyboard.press("ArrowRight");
    await isAt(visitor, 5);
    assert.match(await page.getAttribute(".player-slider", "aria-valuetext"), /^5 of 14: event 5, “Hello![^”]*” by alice \[13\]/);
    await page.keyboard.press("End");
    await isAt(visitor, EVENTS.length);
    await page.selectOption(".player-speed", "1");
    await page.focus(".player-slider");
    await page.keyboard.press("Space");
    await isAt(visitor, 1);
    await page.keyboard.press("Space");
    await page.waitForSelector('[aria-label="Play"]');
    await page.focus('[aria-label="Step forward"]');
    await page.keyboard.press("Enter");
    await visitor.reads("#facts-said", /^Event 2, bob’s join \[5\]/);
    await page.click("#toggle-picture");
    await page.focus('[aria-label="Step forward"]');
    await page.keyboard.press("Enter");
    await visitor.reads(".player [role=status]", /event 3, carol’s join \[7\]/);
  },

  "a mistake of the gallery says which rule it breaks, where and why, on the picture": async (world) => {
    const visitor = await opened(world, "#run");
    const { page } = visitor;
    await page.click("text=Mistakes that the verifier catches");
    await page.locator(".run-mistakes a", { hasText: "A sequence number is assigned twice" }).click();
    await page.waitForSelector("#room.replaying");
    await visitor.reads(".wrong", /Two tasks read the same counter[\s\S]*V1\s+numbering[\s\S]*a number was used twice/);
    await visitor.reads(".run-title", /Mistake \d+: A sequence number is assigned twice/);
    await visitor.reads(".rivals-note", /number \d+ was given out again, to “[^”]*” by \w+ \[\d+\]/);
    await visitor.reads(".said-rivals", /number \d+ was given out again/);
    assert.ok((await page.locator(".finding-lines a").count()) > 0);
    await page.waitForSelector(".figure.accused");
    await page.locator(".finding-lines a").first().click();
    await until("the link leads to the event", () => page.evaluate(() => /^#run=mistake-\d+&event=\d+$/.test(location.hash)));
    assert.deepEqual(await visitor.violations(), []);
  },

  "a replay shades what a lab did, while it lasted": async (world) => {
    const server = await world.server({ command: "lab", args: ["--lab-open"] });
    const ann = await world.visitor(server.url);
    await ann.join("ann");
    const bob = world.plain("bob", server.url);
    await bob.shows(/bob joined/);
    const fault = (...args) => {
      const { status, stderr } = spawnSync(process.env.CHITCHAT_BIN, ["fault", "--server", server.url, ...args], { encoding: "utf8" });
      assert.equal(status, 0, stderr);
    };
    fault("bob", "--hold", "deliveries", "--for", "5m");
    await ann.say("while bob is held");
    await ann.shows(/while bob is held$/);
    fault("--clear");
    await ann.say("after it");
    await bob.shows(/after it$/);
    const log = () => readFileSync(join(server.logs, "server.jsonl"), "utf8");
    await until("the service has recorded the last message", () => /"message_broadcast".*"after it"/.test(log()));
    const visitor = await world.visitor(`${server.url}/#run`, await world.profile({ viewport: { width: 1280, height: 800 } }));
    await drop(visitor.page, [{ name: "server.jsonl", text: log() }]);
    await visitor.page.waitForSelector("#room.replaying .figure");
    const shaded = async (event) => {
      await visitor.page.locator(".player-slider").fill(`${event}`);
      await visitor.reads(".player-at", new RegExp(`^Event ${event} of 4`));
      await visitor.counts(".figure", event);
      return visitor.page.locator(".shaded title").allTextContents();
    };
    assert.deepEqual(await shaded(1), [], "bob is not there");
    const held = ["By the lab: deliveries held"];
    assert.deepEqual(await shaded(3), held, "while it lasts");
    assert.match((await visitor.page.locator(".shaded .shade-words").allTextContents()).join(" "), /held/);
    const reach = () => visitor.page.locator(".shaded .shade").evaluate((shade) => Number(shade.getAttribute("height")));
    const [lasting, width] = [await reach(), await visitor.page.locator(".shaded .shade").getAttribute("width")];
    assert.ok(lasting > 0 && Number(width) > 0);
    assert.deepEqual(await shaded(4), held, "once it is over");
    const over = await visitor.page.evaluate(() => {
      const [shade, plot] = [".shaded .shade", ".plot:not(.axis-plot)"].map((part) => document.querySelector(part).getBoundingClientRect());
      return plot.bottom - shade.bottom;
    });
    assert.ok(over > 10, `the shade ends above the last event: ${over}`);
    await visitor.page.waitForSelector("#picture-legend.with-faults");
  },

  "axe-core finds no violation in a replay": async (world) => {
    const visitor = await opened(world, "#run");
    assert.deepEqual(await visitor.violations(), [], "where logs are opened");
    await visitor.page.click("text=Open the example");
    await visitor.page.locator(".player-slider").fill("9");
    await isAt(visitor, 9);
    assert.deepEqual(await visitor.violations(), [], "a replay");
    await visitor.page.setViewportSize({ width: 360, height: 740 });
    await visitor.page.click("#toggle-side");
    await visitor.page.click("#toggle-picture");
    assert.deepEqual(await visitor.violations(), [], "with everything open");
  },
};
