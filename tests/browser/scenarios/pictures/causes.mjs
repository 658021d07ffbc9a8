// What could have caused what: in the transcript, in the diagram, and against the wall clock.
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UNLIMITED, until, wallClockOff } from "../../support/process.mjs";

/** Two pages with the diagram open. */
async function aliceAndBob(world, options) {
  const server = await world.server(options);
  const pages = [];
  for (const name of ["alice", "bob"]) {
    const visitor = await world.visitor(server.url);
    await visitor.join(name);
    await visitor.page.click("#toggle-picture");
    pages.push(visitor);
  }
  await pages[0].shows(/bob joined/);
  return [server, ...pages];
}

/** Both publish while the service is held, so that neither can have seen the other's message. */
async function publishAtOnce(server, alice, bob) {
  await server.hold();
  await Promise.all([alice.say("from alice"), bob.say("from bob")]);
  for (const one of [alice, bob]) {
    await until("the message is on its way", async () => (await one.log()).records.some((record) => record.event === "publish_sent"));
  }
  server.go();
  for (const one of [alice, bob]) {
    await one.shows(/from alice$/);
    await one.shows(/from bob$/);
  }
}

const row = (visitor, text) => visitor.page.locator(`.segment:last-child .row:has(.text:text-is("${text}"))`);
const sequenceOf = async (visitor, text) => row(visitor, text).getAttribute("data-sequence");
const timeOf = async (visitor, text) => row(visitor, text).getAttribute("data-time");
const order = (visitor) => visitor.page.locator(".segment:last-child .row .text").allInnerTexts();
const classesOf = (visitor, text) => row(visitor, text).getAttribute("class");
const focused = (visitor) => visitor.page.evaluate(() => document.activeElement.id);

export default {
  "two pages publish at once, and both show the two messages as concurrent": async (world) => {
    const [server, alice, bob] = await aliceAndBob(world);
    await publishAtOnce(server, alice, bob);
    const texts = (await order(alice)).filter((text) => text.startsWith("from"));
    const [first, second] = texts;
    const name = (text) => text.replace("from ", "");
    const times = [await timeOf(alice, first), await timeOf(alice, second)];
    for (const one of [alice, bob]) {
      // In the transcript, by words.
      const notes = await Promise.all(texts.map((text) => row(one, text).locator(".crossed-text").innerText()));
      assert.deepEqual(notes, [
        `not yet seen when ${name(second)} wrote at ${times[1]}`,
        `written before seeing ${name(first)}’s message at ${times[0]}`,
      ]);
      // In the diagram, where they were sent.
      await one.counts(".plot .crossing", 1);
      await one.counts(".plot .figure .crossed", 2);
      // And when one of them is chosen.
      const [chosen, other] = [await sequenceOf(one, first), await sequenceOf(one, second)];
      await one.page.click(`#figure-${chosen} .square`);
      await one.page.waitForSelector(`#figure-${chosen}.is-same`);
      await one.page.waitForSelector(`#figure-${other}.is-concurrent`);
      assert.equal(await one.page.locator(`#figure-${other} .glyph`).textContent(), "⇄");
      assert.match(await classesOf(one, second), /is-concurrent/);
      await one.reads("#facts", new RegExp(`Concurrent with it: event ${other}, “${second}” by ${name(second)} \\[${times[1]}\\]\\.`));
    }
  },

  "an event is chosen by keyboard, and its causes are said in words": async (world) => {
    const [server, alice, bob] = await aliceAndBob(world);
    await alice.say("question");
    await bob.shows(/question/);
    await bob.say("answer");
    await alice.shows(/answer/);
    await publishAtOnce(server, alice, bob);
    const { page } = alice;
    const chosen = () => page.evaluate(() => document.getElementById("picture-scroller").getAttribute("aria-activedescendant"));
    const at = async (text) => `option-${await sequenceOf(alice, text)}`;
    await alice.counts(".figure", 6);
    await page.focus("#picture-scroller");
    await page.keyboard.press("Home");
    assert.equal(await chosen(), "option-1");
    for (const text of ["bob", "question", "answer"]) {
      await page.keyboard.press("ArrowDown");
      if (text !== "bob") assert.equal(await chosen(), await at(text));
    }
    const [question, answer] = [await timeOf(alice, "question"), await timeOf(alice, "answer")];
    await alice.reads(
      "#facts-said",
      new RegExp(
        `^Event 4, “answer” by bob \\[${answer}\\], sent at \\d+ by bob’s clock\\. In its past: everything up to event 3, “question” by alice \\[${question}\\]\\. Concurrent with it: nothing known\\. In its future: event 5, [\\s\\S]*; event 6, [\\s\\S]*\\.$`,
      ),
    );
    for (const [text, relation] of [
      ["question", "past"],
      ["answer", "same"],
      ["from alice", "future"],
      ["from bob", "future"],
    ]) {
      assert.match(await classesOf(alice, text), new RegExp(`is-${relation}( |$)`), text);
      assert.equal(await page.getAttribute(`#${await at(text)}`, "aria-selected"), String(relation === "same"));
    }
    // A join does not say what its participant knew, so nothing is called concurrent with it.
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ArrowUp");
    await alice.reads(
      "#facts-said",
      /^Event 2, bob’s join \[\d+\]\. In its past: nothing known\. Relation unknown: event 1, alice’s join \[\d+\]\. Joins, leaves/,
    );
    await page.waitForSelector(".row.is-unknown[data-sequence='1']");
    // What happens meanwhile is not read aloud, and moves neither the choice nor the focus.
    const said = await page.innerText("#facts-said");
    await bob.say("meanwhile");
    await alice.reads("#facts", /and 1 more/);
    assert.equal(await page.innerText("#facts-said"), said);
    assert.equal(await chosen(), "option-2");
    assert.equal(await focused(alice), "picture-scroller");
    await page.keyboard.press("Escape");
    assert.equal(await chosen(), null);
    await alice.counts(".row[class*=is-]", 0);
  },

  "what a participant saw before leaving, and knew when joining again, is marked unknown, and never concurrent": async (world) => {
    const [server, alice, bob] = await aliceAndBob(world);
    await publishAtOnce(server, alice, bob);
    await bob.page.click("#leave");
    await bob.page.waitForSelector("#name", { state: "visible" });
    await bob.join("bob");
    await alice.shows(/bob left/);
    // Two joins and two messages come before.
    const [message, left, again] = [await sequenceOf(alice, "from alice"), 5, 6];
    for (const one of [alice, bob]) {
      for (const sequence of [left, again]) await one.page.waitForSelector(`#figure-${sequence}`);
    }
    const chosen = async (one, sequence) => {
      await one.page.click(`#figure-${sequence} .square`);
      await one.page.waitForSelector(`#figure-${sequence}.is-same`);
    };
    // Bob's page had shown the message; his leave does not tell alice so.
    await chosen(alice, left);
    await alice.page.waitForSelector(`#figure-${message}.is-unknown`);
    assert.equal(await alice.page.locator(`#figure-${message} .glyph`).textContent(), "?");
    assert.match(await classesOf(alice, "from alice"), /is-unknown/);
    await alice.reads(
      "#facts",
      new RegExp(
        `Relation unknown: [\\s\\S]*event ${message}, “from alice” by alice \\[\\d+\\][\\s\\S]*Joins, leaves and [\\s\\S]* do not say what`,
      ),
    );
    assert.doesNotMatch(await alice.page.innerText("#facts"), /Concurrent/);
    // Nor does his join, on either page.
    for (const one of [alice, bob]) {
      await chosen(one, again);
      for (const sequence of [left, message]) await one.page.waitForSelector(`#figure-${sequence}.is-unknown`);
      assert.doesNotMatch(await one.page.innerText("#facts"), /Concurrent/);
      await one.counts(".is-concurrent", 0);
    }
  },

  "the diagram is opened and closed by a button that says so, and stays as it was across a reload": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    const expanded = () => alice.page.getAttribute("#toggle-picture", "aria-expanded");
    assert.deepEqual([await expanded(), await alice.page.isVisible("#picture")], ["false", false]);
    await alice.page.focus("#toggle-picture");
    await alice.page.keyboard.press("Enter");
    assert.deepEqual([await expanded(), await alice.page.isVisible("#picture")], ["true", true]);
    assert.equal(await focused(alice), "toggle-picture");
    await alice.page.waitForSelector("#figure-1");
    await alice.page.reload();
    await alice.online();
    await alice.page.waitForSelector("#figure-1");
    await alice.page.click("#toggle-picture");
    await alice.page.reload();
    await alice.online();
    assert.deepEqual([await expanded(), await alice.page.isVisible("#picture")], ["false", false]);
  },

  "the newest stays in view when the window changes, in the transcript and in the diagram": async (world) => {
    const [, alice, bob] = await aliceAndBob(world, { args: UNLIMITED });
    for (let n = 1; n <= 25; n += 1) await bob.say(`line ${n}`);
    await alice.shows(/line 25$/);
    const left = (id) =>
      alice.page.evaluate((id) => {
        const { scrollHeight, scrollTop, clientHeight } = document.getElementById(id);
        return Math.round(scrollHeight - scrollTop - clientHeight);
      }, id);
    for (const [width, height] of [
      [360, 700],
      [1440, 900],
      [800, 500],
      [320, 600],
    ]) {
      await alice.page.setViewportSize({ width, height });
      for (const id of ["scroller", "picture-scroller"]) {
        await until(`the end of #${id} is in view at ${width}`, async () => (await left(id)) <= 2);
      }
    }
  },

  "a conversation that starts anew is drawn anew": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    await alice.page.click("#toggle-picture");
    await alice.say("before");
    await alice.shows(/before/);
    await alice.page.click(".row:has(.text:text-is('before'))");
    await alice.page.waitForSelector("#figure-2.is-same");
    alice.outage = true;
    await server.kill();
    await world.server({ port: server.port });
    await alice.reads(".segment:last-child .caption", /The conversation started anew/);
    const joined = (await alice.shows(/alice joined/)).match(/\d+/)[0];
    await alice.counts(".figure", 1);
    assert.deepEqual(await alice.page.locator("#picture-options li").allTextContents(), [`event 1, alice’s join [${joined}]`]);
    await alice.counts("[class*=is-same]", 0);
  },

  "a flood is drawn in part, and never takes the focus from the writer": async (world) => {
    const [server, alice, bob] = await aliceAndBob(world, { args: UNLIMITED });
    await alice.page.focus("#text");
    for (let n = 1; n <= 80; n += 1) await bob.say(`flood ${n}`);
    await alice.page.keyboard.type("still mine");
    await alice.shows(/flood 80$/);
    await alice.reads("#picture-size", /^The newest 60 events$/);
    await alice.counts(".figure", 60);
    assert.equal(await focused(alice), "text");
    assert.equal(await alice.page.inputValue("#text"), "still mine");
    assert.ok(server);
    // PageUp moves by what can be seen at once, which depends on how much is said about the chosen event.
    const chosen = () =>
      alice.page.evaluate(() =>
        Number(document.getElementById("picture-scroller").getAttribute("aria-activedescendant").slice("option-".length)),
      );
    await alice.page.focus("#picture-scroller");
    await alice.page.keyboard.press("End");
    const newest = await chosen();
    await alice.page.keyboard.press("PageUp");
    const further = await chosen();
    assert.ok(further < newest - 1 && further > newest - 59, `from ${newest} to ${further}`);
    await alice.page.keyboard.press("PageDown");
    assert.ok((await chosen()) > further + 1, `from ${further} to ${await chosen()}`);
  },

  "names of the widest characters stay within their heads, and are cut with an ellipsis": async (world) => {
    const server = await world.server();
    const pages = [];
    for (const name of ["alice", "W".repeat(8), `${"W".repeat(31)}1`, `${"W".repeat(31)}2`]) {
      const visitor = await world.visitor(server.url);
      await visitor.join(name);
      pages.push(visitor);
    }
    const { page } = pages[0];
    await page.click("#toggle-picture");
    await page.waitForSelector("#figure-4");
    for (const width of [1400, 1000, 360]) {
      await page.setViewportSize({ width, height: 800 });
      const heads = () =>
        page.evaluate(() =>
          [...document.querySelectorAll(".heads g")].map((head) => {
            const [pill, name] = [".pill", ".head"].map((part) => head.querySelector(part).getBoundingClientRect());
            return { within: name.left >= pill.left && name.right <= pill.right, text: head.querySelector(".head").textContent };
          }),
        );
      await until(`all names are within their heads at ${width}`, async () => (await heads()).every(({ within }) => within));
      const texts = (await heads()).map(({ text }) => text);
      assert.ok(texts.includes("alice"), `${texts}`);
      // Cut in the middle: what tells similar names apart is often their end.
      for (const end of ["1", "2"])
        assert.ok(
          texts.some((text) => /^W+…W*\d$/.test(text) && text.endsWith(end)),
          `${texts}`,
        );
    }
  },

  "the wall clock can put an effect before its cause, and the page says where": async (world) => {
    const journal = join(mkdtempSync(join(tmpdir(), "chitchat-journal-")), "chitchat.db");
    const args = ["--grace", "60s"];
    const server = await world.server({ journal, args });
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    await alice.say("the cause");
    await bob.shows(/the cause/);
    alice.outage = bob.outage = true;
    await server.kill();
    await alice.reads("#status", /Offline/);
    // The machine that takes over has a wall clock that is an hour slow.
    await world.server({ journal, port: server.port, args, env: wallClockOff(-3600) });
    await Promise.all([alice.online(), bob.online()]);
    alice.outage = bob.outage = false;
    await bob.say("the effect");
    await alice.shows(/the effect/);

    const logical = await order(alice);
    assert.deepEqual(logical.slice(-2), ["the cause", "the effect"]);
    await alice.counts(".contradiction", 0);
    await alice.page.check("#by-wall-clock");
    await until("the order of the wall clock", async () => (await order(alice))[0] === "the effect");
    assert.deepEqual(await order(alice), ["the effect", ...logical.slice(0, -1)]);
    const marks = await alice.page.locator(".contradiction.causal").allInnerTexts();
    assert.equal(marks.length, 1);
    assert.match(
      marks[0],
      /^The wall clock contradicts causality: “the effect” by bob \[\d+\] is above alice’s join \[\d+\], which is in its past\.$/,
    );
    // Only new events are read aloud, not those that were reordered.
    const log = alice.page.getByRole("log");
    assert.equal(await log.textContent(), "");
    await bob.say("news");
    await alice.shows(/news/);
    assert.match(await log.textContent(), /^Logical time \d+ bob: news$/);

    await alice.page.reload();
    await alice.online();
    await until("the choice survives", async () => (await order(alice)).join() === ["the effect", "news", ...logical.slice(0, -1)].join());
    await alice.counts(".contradiction.causal", 1);
    await alice.page.uncheck("#by-wall-clock");
    await until("the logical order again", async () => (await order(alice)).join() === [...logical, "news"].join());
    await alice.counts(".contradiction", 0);
  },

  "axe-core finds no violation in the diagram, nor in the order by wall clock": async (world) => {
    const [server, alice, bob] = await aliceAndBob(world);
    assert.deepEqual(await alice.violations(), [], "nothing is chosen");
    await alice.page.setViewportSize({ width: 1200, height: 800 });
    await publishAtOnce(server, alice, bob);
    await alice.page.click(`#figure-${await sequenceOf(alice, "from bob")} .square`);
    await alice.page.check("#by-wall-clock");
    assert.deepEqual(await alice.violations(), [], "an event is chosen, in wall clock order");
  },
};
