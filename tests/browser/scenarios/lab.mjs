// The lab's panel, with companions and scenarios.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../support/process.mjs";

/** The scenarios that the program has, by their titles. */
const SCENARIOS = [
  "Two messages cross",
  "An answer before its question",
  "The slow reader",
  "Cut off and back",
  "Crash and resume",
  "A retry that is not a second message",
  "The wall clock that lies",
  "Who was first?",
  "A name taken while its owner was away",
  "Total order against causal order",
];

/** A lab, and the teacher's address. */
async function lab(world, args = []) {
  const server = await world.server({ command: "lab", args });
  const said = () => /http\S+lab-key=\w+/.exec(server.said)?.[0];
  return { server, teacher: args.includes("--lab-open") ? server.url : await until("the lab prints its key", said) };
}

/** A page at the lab, with its panel open on one of its parts. */
async function teacher(world, url, name, part) {
  const visitor = await world.visitor(url);
  await visitor.join(name);
  await visitor.page.click("#toggle-lab");
  if (part !== undefined) await visitor.page.click(`.lab-tab:text-is("${part}")`);
  return visitor;
}

const row = (visitor, name) => visitor.page.locator(".lab-people > li:visible", { has: visitor.page.locator(`.name:text-is("${name}")`) });

/** Waits until a row says something. */
const says = (visitor, name, pattern) =>
  until(`${name}’s row says ${pattern}`, async () => pattern.test((await row(visitor, name).locator(".lab-now").allInnerTexts()).join()));

/** Plays a scenario from its beginning to its end, and returns its steps. */
async function played(visitor, title, says = () => {}) {
  await visitor.page.click(`[aria-label="Play: ${title}"]`);
  await visitor.page.waitForSelector(".lab-run");
  for (;;) {
    const state = await until(`${title} moves`, async () => {
      const state = await visitor.page.locator(".lab-run .lab-now").innerText();
      return /^Playing\.$/.test(state) ? null : state;
    });
    if (/^Finished\.$/.test(state)) break;
    assert.doesNotMatch(state, /^(Stopped|It failed)/, title);
    const done = await visitor.page.locator(".lab-steps .done").count();
    if (/message from/.test(state)) await says(done);
    else await visitor.page.locator(".lab-run button:text-is('Next step')").click();
    await until(`${title}: step ${done + 1} is over`, async () => {
      const now = await visitor.page.locator(".lab-run .lab-now").innerText();
      return (await visitor.page.locator(".lab-steps .done").count()) > done || (now !== state && !/^Playing\.$/.test(now));
    });
  }
  const steps = await visitor.page.locator(".lab-steps li").count();
  await visitor.counts(".lab-steps .done", steps);
}

/** The tab that a link opens. */
async function follow(visitor, selector) {
  const [tab] = await Promise.all([visitor.page.context().waitForEvent("page"), visitor.page.locator(selector).first().click()]);
  return tab;
}

/** How the key of the diagram shows the shade of a fault. */
const keyed = (visitor) => visitor.page.locator(".legend-fault").evaluate((item) => getComputedStyle(item).display);

export default {
  "a teacher holds a page’s deliveries and releases them one by one, and the page tells its user": async (world) => {
    const { server, teacher: url } = await lab(world);
    const ann = await teacher(world, url, "ann");
    assert.equal(new URL(ann.page.url()).hash, "", "the key is not left where others can read it");
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    assert.equal(await bob.page.locator("#toggle-lab").count(), 0, "without the key there is no panel");
    await row(ann, "bob").locator("button:text-is('Hold deliveries')").click();
    await bob.reads(".lab-notice", /holds back what others write/);
    for (const text of ["one", "two", "three"]) await ann.say(text);
    await says(ann, "bob", /3 deliveries wait/);
    const held = () => row(ann, "bob").locator(".lab-held li").allInnerTexts();
    assert.deepEqual(
      (await held()).map((text) => text.replace(/\s+/g, " ").replace(/^\[\d+\] /, "")),
      ["ann one", "ann two", "ann three"],
    );
    await row(ann, "bob").locator("button:text-is('Release 1')").click();
    await bob.shows(/ann: one$/);
    await says(ann, "bob", /2 deliveries wait/);
    assert.ok(!(await bob.transcript()).some((line) => /two/.test(line)));
    await ann.page.click(".lab-head button:text-is('End all faults')");
    await bob.shows(/ann: three$/);
    await until("the notice is gone", async () => (await bob.page.locator(".lab-notice:visible").count()) === 0);
    // A reload keeps the key in this tab.
    await ann.page.reload();
    await ann.online();
    await ann.page.click("#toggle-lab");
    await says(ann, "bob", /No fault/);
  },

  "faults from the form: delay, cut, pause, disconnect and a stopped writer, each ended by hand": async (world) => {
    const { server } = await lab(world, ["--lab-open"]);
    const ann = await teacher(world, server.url, "ann");
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    const form = row(ann, "bob");
    const set = async (way, how) => {
      await form.getByLabel(way).selectOption({ label: how });
      await form.locator("button:text-is('Set')").click();
    };
    await form.locator("summary").click();
    await set("What bob receives", "is delayed");
    await says(ann, "bob", /Deliveries delayed by 2 s · ends in/);
    await bob.reads(".lab-notice", /delays what others write/);
    await set("What bob receives", "passes");
    await says(ann, "bob", /^No fault/);
    await set("What bob sends", "is held");
    await bob.reads(".lab-notice", /holds back what you send/);
    await bob.say("held on its way");
    await says(ann, "bob", /1 publish waits/);
    assert.match(await row(ann, "bob").locator(".lab-held").innerText(), /held on its way/, "the teacher sees what is held");
    await row(ann, "bob").locator("button:text-is('Release all')").click();
    await ann.shows(/bob: held on its way$/);
    await row(ann, "bob").locator("button:text-is('End faults')").click();
    await says(ann, "bob", /^No fault/);
    await form.getByLabel(/Paused/).check();
    await form.locator("button:text-is('Set')").click();
    await says(ann, "bob", /Paused/);
    // The diagram shades what the lab does, in words.
    await ann.page.click("#toggle-picture");
    const shaded = () => ann.page.locator(".shaded .shade-words").allTextContents();
    await until("bob’s lifeline is shaded", async () => (await shaded()).includes("paused"));
    assert.equal(await keyed(ann), "flex", "the key of the diagram has the shade");
    await ann.page.click("#toggle-picture");
    await ann.say("to a paused page");
    await row(ann, "bob").locator("button:text-is('End faults')").click();
    await bob.shows(/to a paused page/);
    await form.locator("button:text-is('Break its stream once')").click();
    await bob.online();
    await ann.page.locator(".lab-group button:text-is('Stop it')").click();
    await ann.reads(".lab > .fine", /is stopped for another/);
    await bob.say("after the writer");
    await ann.page.click(".lab-head button:text-is('End all faults')");
    await ann.shows(/after the writer/);
  },

  "companions join, answer, and leave; each has a log": async (world) => {
    const { server, teacher: url } = await lab(world);
    const ann = await teacher(world, url, "ann");
    for (const kind of ["Echo", "Answerer", "Wrong wall clock"]) {
      await ann.page.getByLabel("Kind", { exact: true }).selectOption({ label: kind });
      await ann.page.locator("button:text-is('Add')").click();
      await until(`${kind} is there`, () => ann.page.locator(`.lab-kind:text-is("${kind}")`).count());
    }
    await ann.say("Is anybody there?");
    await ann.shows(/echo: Echo: Is anybody there\?$/);
    await ann.shows(/answerer: To \[\d+\]: Yes\.$/);
    await ann.shows(/wrong clock: By my clock it is \d\d:\d\d:\d\d\.$/);
    for (const name of ["echo", "answerer", "wrong clock"]) {
      await row(ann, name).locator("button:text-is('Remove')").click();
      await ann.shows(new RegExp(`Participant ${name} left`));
    }
    for (const file of ["client-echo.jsonl", "client-answerer.jsonl", "client-wrong%20clock.jsonl"]) {
      const log = readFileSync(join(server.logs, file), "utf8");
      assert.match(log, /"leave_acknowledged"/, file);
    }
  },

  "the ten scenarios play from beginning to end, with a person, two pages and a native client, and the logs verify": async (world) => {
    const { server, teacher: url } = await lab(world, ["--grace", "3s"]);
    const ann = await teacher(world, url, "ann", "Scenarios");
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    const eve = await world.visitor(server.url);
    await eve.join("eve");
    const carol = world.plain("carol", server.url);
    await carol.shows(/carol joined/);
    assert.deepEqual(await ann.page.locator(".lab-scenarios h3").allInnerTexts(), SCENARIOS);
    for (const [index, title] of SCENARIOS.entries()) {
      await played(ann, title, (done) => ann.say(`${title}, step ${done + 1}`));
      await ann.reads(".lab-question h3", /\?$/);
      await ann.page.locator(".lab-answer").first().click();
      await ann.reads(".lab-why", /^(Right|Not quite)\. /);
      await ann.page.locator(".lab-run button:text-is('All scenarios')").click();
      await ann.page.waitForSelector(`[aria-label="Play: ${SCENARIOS[(index + 1) % SCENARIOS.length]}"]`);
    }
    await bob.say("That was the last one.");
    for (const page of [ann, eve]) await page.shows(/That was the last one/);
    await carol.shows(/That was the last one/);
    const times = async (page) => (await page.transcript()).map((line) => line.replace(/\].*/, "]"));
    const last = (lines) => lines.slice(-20);
    await until("all pages read one order", async () => {
      const [mine, others] = [last(await times(ann)), last(await times(eve))];
      return mine.join() === others.join();
    });
    assert.ok(existsSync(join(server.logs, "client-Ben.jsonl")));
  },

  "a lens shows the wrong wall clock of a page or a companion, and the order does not change": async (world) => {
    const { teacher: url } = await lab(world);
    const ann = await teacher(world, url, "ann");
    await ann.page.getByLabel("Kind", { exact: true }).selectOption({ label: "Wrong wall clock" });
    await ann.page.locator("button:text-is('Add')").click();
    await ann.shows(/wrong clock joined/);
    await ann.say("What time is it?");
    await ann.shows(/By my clock/);
    const bob = await world.visitor(url);
    await bob.join("bob");
    await bob.page.click("#toggle-picture");
    await bob.page.click(".picture-tools button:text-is('Lenses')");
    await bob.page.selectOption("[name=lens]", "wall");
    // Playwright cannot type numbers into this field in Firefox.
    await bob.page.evaluate(() => (document.querySelector("[name=skew]").value = "-3600"));
    await bob.page.dispatchEvent("[name=skew]", "change");
    await bob.say("An hour behind");
    await bob.shows(/bob: An hour behind$/);
    await bob.shows(/By my clock/);
    const { records } = await bob.log();
    const sent = records.find(({ event, content }) => event === "event_delivered" && content === "An hour behind");
    const behind = Date.parse(sent.timestamp) - Date.parse(sent.sent_at);
    assert.ok(behind > 3_500_000 && behind < 3_700_000, `${behind} ms`);
    // Through the lens his message comes first, and the companion’s messages before the questions that they answer.
    const order = () => bob.page.locator(".lens-order:last-child .said-line").allInnerTexts();
    await until("the lens shows all four", async () => (await order()).length === 4);
    assert.match((await order())[0], /bob:?\s*An hour behind/);
    assert.match((await order())[1], /By my clock/);
    await bob.reads(".lens-count", /swaps 4/);
    await bob.reads(".lens-wrong", /✗ before/);
    assert.match((await bob.transcript()).at(-2), /An hour behind/, "the order stays");
  },

  "step by step: one delivery at a time, with the rules in numbers": async (world) => {
    const { teacher: url } = await lab(world);
    const ann = await teacher(world, url, "ann");
    await ann.page.getByLabel("Kind", { exact: true }).selectOption({ label: "Echo" });
    await ann.page.locator("button:text-is('Add')").click();
    await ann.shows(/echo joined/);
    await ann.page.click('.lab-tab:text-is("Step by step")');
    await until("the echo is known", () => ann.page.locator(".lab-part:visible").count());
    await ann.page.locator("button:text-is('Hold everybody’s deliveries')").click();
    await ann.reads(".lab-part .fine", /Write something, and it will wait here/);
    await ann.say("hello");
    await ann.shows(/ann: hello$/);
    await says(ann, "echo", /1 delivery waits/);
    await ann.page.click('[aria-label="Deliver the next event to echo"]');
    await ann.reads(".lab-explained h3", /^Event \d+ reaches echo$/);
    const [sends, receives, broadcasts, arrives] = await ann.page.locator(".lab-sum").allInnerTexts();
    const time = Number(/\[(\d+)\] ann: hello$/.exec(await ann.shows(/ann: hello$/))[1]);
    assert.match(sends, /^\d+ \+ 1 = \d+$/);
    assert.match(receives, new RegExp(`^max\\(\\d+, \\d+\\) \\+ 1 = ${time - 1}$`));
    assert.equal(broadcasts, `${time - 1} + 1 = ${time}`);
    assert.match(arrives, new RegExp(`^max\\(\\d+, ${time}\\) \\+ 1 = \\d+$`));
    await ann.shows(/echo: Echo: hello$/);
    await ann.page.locator("button:text-is('Let everything through')").click();
  },

  "“Prove it” verifies the logs of a scenario in the browser, and a violation leads to its event in the replay": async (world) => {
    const { server, teacher: url } = await lab(world);
    const ann = await teacher(world, url, "ann", "Scenarios");
    await played(ann, "Two messages cross", (done) => ann.say(`step ${done + 1}`));
    await ann.page.click('.lab-tab:text-is("Proof")');
    await ann.page.locator("button:text-is('Prove it')").click();
    await ann.reads(".lab-verdict", /^All rules (that could be checked )?hold$/);
    await ann.counts(".lab-proof .finding", 15);
    await ann.counts(".lab-proof .finding.violated", 0);
    assert.match(await ann.page.locator(".lab-proof .finding").nth(2).innerText(), /V3\s.*held over \d+ records/s);
    await ann.page.locator(".lab-proof summary:has-text('From ')").click();
    const logs = await ann.page.locator(".lab-inputs li").allInnerTexts();
    assert.ok(
      logs.some((log) => /^server\.jsonl the service, \d+ records$/.test(log)),
      `${logs}`,
    );
    assert.ok(
      logs.some((log) => /^this-page\.jsonl a page, \d+ records$/.test(log)),
      `${logs}`,
    );
    assert.ok(
      logs.some((log) => /^client-\w+\.jsonl a client, \d+ records$/.test(log)),
      `${logs}`,
    );
    assert.deepEqual(await ann.violations(), [], "a proof");
    await ann.page.setViewportSize({ width: 1280, height: 800 });
    const replay = await follow(ann, ".lab-verdict-box a");
    await replay.waitForSelector("#room.replaying .figure");
    assert.equal(await replay.locator(".wrong").count(), 0);
    await replay.close();
    // A log that contradicts the service's: each text that was delivered to this page is replaced.
    // Changed in the page, since Firefox does not hand over the body of a request.
    await ann.page.evaluate(() => {
      const send = window.fetch;
      const changed = (log) => log.replace(/("event":"event_delivered".*?"content":)"[^"]*"/g, '$1"something else"');
      const isLog = (body) => typeof body === "string";
      window.fetch = (url, options) => send(url, isLog(options?.body) ? { ...options, body: changed(options.body) } : options);
      window.tellTheTruth = () => {
        window.fetch = send;
      };
    });
    await ann.page.locator("button:text-is('Prove it')").click();
    await ann.reads(".lab-verdict", /^(Rule V3 is|\d rules are) broken$/);
    const broken = ann.page.locator(".lab-proof .finding.violated").first();
    assert.match(await broken.innerText(), /V3\s.*broken \d+ times/s);
    assert.deepEqual(await ann.violations(), [], "a proof of a violation");
    await ann.page.setViewportSize({ width: 1280, height: 800 });
    const [, sequence] = /event (\d+)/.exec(await broken.locator("a").first().innerText());
    const accused = await follow(ann, ".lab-proof .finding.violated a >> nth=0");
    await accused.waitForSelector(`#figure-${sequence}.accused`);
    assert.match(await accused.locator(".wrong").innerText(), /V3/);
    await accused.close();
    await ann.page.evaluate(() => window.tellTheTruth());
    // A participant whose log the lab does not have.
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    await bob.say("My log is here.");
    await ann.shows(/bob: My log is here/);
    await ann.page.locator("button:text-is('Prove it')").click();
    await ann.reads(".lab-verdict-box p", /No log of bob \(p\d+\) was given/);
  },

  "axe-core finds no violation in the lab’s panel": async (world) => {
    const { server } = await lab(world, ["--lab-open"]);
    const ann = await teacher(world, server.url, "ann");
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    await row(ann, "bob").locator("summary").click();
    await row(ann, "bob").locator("button:text-is('Hold deliveries')").click();
    await ann.say("held");
    await says(ann, "bob", /held/);
    assert.deepEqual(await ann.violations(), [], "faults");
    assert.deepEqual(await bob.violations(), [], "a held page");
    await ann.page.click('.lab-tab:text-is("Step by step")');
    await ann.page.click('[aria-label="Deliver the next event to bob"]');
    await ann.page.waitForSelector(".lab-explained h3");
    assert.deepEqual(await ann.violations(), [], "step by step");
    await ann.page.click('.lab-tab:text-is("Scenarios")');
    assert.deepEqual(await ann.violations(), [], "scenarios");
    await ann.page.setViewportSize({ width: 1200, height: 800 });
    await played(ann, "The wall clock that lies");
    await ann.page.locator(".lab-answer").last().click();
    assert.deepEqual(await ann.violations(), [], "a scenario that has been played");
  },

  "a service without a lab serves no part of it, and its page asks for none": async (world) => {
    const server = await world.server();
    const visitor = await world.visitor(`${server.url}/#lab-key=0123456789abcdef`);
    await visitor.join("alice");
    const loaded = await visitor.page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname));
    assert.deepEqual(
      loaded.filter((path) => /lab/i.test(path)),
      [],
    );
    assert.equal(await visitor.page.locator("#toggle-lab, .lab-notice").count(), 0);
    await visitor.page.click("#toggle-picture");
    assert.equal(await keyed(visitor), "none", "the key of the diagram does not mention a lab");
    assert.equal((await fetch(`${server.url}/lab.js`)).status, 404);
  },
};
