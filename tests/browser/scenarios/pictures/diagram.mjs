// The diagram on the page: for many participants, in a presentation, and through lenses.
import assert from "node:assert/strict";
import { until } from "../../support/process.mjs";

const row = (visitor, text) => visitor.page.locator(`.segment:last-child .row:has(.text:text-is("${text}"))`);
const sequenceOf = async (visitor, text) => row(visitor, text).getAttribute("data-sequence");
const tool = (visitor, name) => visitor.page.locator(".picture-tools").getByRole("button", { name });

/** A page with the diagram open, and another one, whose messages crossed. */
async function crossed(world) {
  const server = await world.server();
  const [alice, bob] = [await world.visitor(server.url), await world.visitor(server.url)];
  await alice.join("alice");
  await bob.join("bob");
  const carol = world.plain("carol", server.url);
  await carol.shows(/carol joined/);
  carol.say("hello from carol");
  await alice.shows(/hello from carol/);
  await bob.shows(/hello from carol/);
  await server.hold();
  await Promise.all([alice.say("who?"), bob.say("me, please")]);
  for (const one of [alice, bob]) {
    await until("the message is on its way", async () => (await one.log()).records.some((record) => record.event === "publish_sent"));
  }
  server.go();
  await alice.shows(/me, please/);
  await alice.shows(/who\?/);
  await alice.page.click("#toggle-picture");
  await alice.page.waitForSelector("#figure-5");
  return { server, alice, bob, carol };
}

export default {
  "the diagram shows what was said, with its logical time, and marks what is pointed at on both sides": async (world) => {
    const { alice } = await crossed(world);
    const { page } = alice;
    const sequence = await sequenceOf(alice, "who?");
    const time = await row(alice, "who?").getAttribute("data-time");
    await alice.reads(`.said-line[data-sequence="${sequence}"]`, new RegExp(`^\\[${time}\\]\\s*alice:?\\s*who\\?`));
    await alice.counts(".said-note", 1);
    await alice.reads(".said-note", /^⇄ before seeing \[\d+\]$/);
    await page.hover(`#figure-${sequence} .square`);
    await page.waitForSelector(`.row.pointed[data-sequence="${sequence}"]`);
    await row(alice, "me, please").hover();
    await page.waitForSelector(`#figure-${await sequenceOf(alice, "me, please")}.pointed`);
    await page.waitForSelector(`.said-line.pointed[data-sequence="${await sequenceOf(alice, "me, please")}"]`);
    await alice.counts(".row.pointed", 0);
  },

  "lifelines are hidden and chosen by their heads and in a menu, and everybody comes back": async (world) => {
    const { alice } = await crossed(world);
    const { page } = alice;
    const names = () => page.locator(".heads .head").allTextContents();
    await until("all are there", async () => (await names()).sort().join() === "alice,bob,carol,service");
    await page.locator(".heads g[data-id]", { hasText: "carol" }).first().click();
    await page.click('.head-menu button:text-is("Hide")');
    await until("carol is hidden", async () => (await names()).sort().join() === "alice,bob,service");
    await alice.counts(".figure", 4);
    await tool(alice, "Lifelines: some").click();
    await page.click('.picture-menu button:text-is("Everybody")');
    await alice.counts(".figure", 6);
    await page.click('.picture-menu button:text-is("Only those who crossed")');
    await until("only those who crossed", async () => (await names()).sort().join() === "alice,bob,service");
    await page.keyboard.press("Escape");
    await alice.counts(".picture-menu:visible", 0);
  },

  "a frozen picture stands still, says how much is new, and continues": async (world) => {
    const { alice, bob } = await crossed(world);
    await tool(alice, "Freeze").click();
    await bob.say("meanwhile");
    await alice.shows(/meanwhile/);
    await tool(alice, "Frozen: 1 new").waitFor();
    await alice.counts(".figure", 6);
    await tool(alice, "Frozen: 1 new").click();
    await alice.counts(".figure", 7);
  },

  "the full view fills the page, and Escape ends it": async (world) => {
    const { alice } = await crossed(world);
    const { page } = alice;
    await tool(alice, "Full view").click();
    await page.waitForSelector(".room.presenting");
    assert.equal(await page.isVisible("#talk"), false);
    const box = await page.locator("#picture").boundingBox();
    const size = await page.evaluate(() => [innerWidth, innerHeight]);
    assert.deepEqual([box.width, box.height].map(Math.round), size);
    await page.keyboard.press("Escape");
    await until("the conversation is back", () => page.isVisible("#talk"));
  },

  "lenses show the same events in other orders, and count what would go wrong": async (world) => {
    const { alice, bob } = await crossed(world);
    const { page } = alice;
    await bob.say("an answer");
    await alice.shows(/an answer/);
    await tool(alice, "Lenses").click();
    const order = (side) => page.locator(`.lens-order >> nth=${side}`).locator("li .said-text").allInnerTexts();
    await until("the causal order", async () => (await order(1)).length === 4);
    await alice.reads(
      ".lens-count",
      /^It may swap 1 of 6 pairs; the order on the right swaps 1\. None of them is a cause and its effect\.$/,
    );
    const two = (texts) => texts.filter((text) => text === "who?" || text === "me, please");
    assert.deepEqual(two(await order(1)), two(await order(0)).reverse());
    await page.selectOption('[name="lens"]', "fifo");
    await alice.reads(".lens-count", / \d+ of them are a message and an answer to it: the answer could come first\.$/);
    await page.waitForSelector(".lens-wrong");
    await page.selectOption('[name="lens"]', "arrival");
    await page.selectOption('[name="lens-reader"]', { label: "bob" });
    await alice.reads(".lens-count", /^It may swap [01] of 6 pairs/);
    await tool(alice, "Lenses").click();
    await page.waitForSelector("#picture-scroller:not(.covered)");
  },

  "a page whose wall clock is wrong puts an answer before its question, under that lens": async (world) => {
    const { alice, bob } = await crossed(world);
    await bob.page.click("#toggle-picture");
    await tool(bob, "Lenses").click();
    await bob.page.selectOption('[name="lens"]', "wall");
    await bob.page.fill('[name="skew"]', "-3600");
    await bob.page.press('[name="skew"]', "Tab");
    await bob.say("an answer");
    await alice.shows(/an answer/);
    await tool(alice, "Lenses").click();
    await alice.page.selectOption('[name="lens"]', "wall");
    await until("the answer comes first", async () =>
      (await alice.page.locator(".lens-order >> nth=1").locator("li").first().innerText()).includes("an answer"),
    );
    await alice.reads(".lens-wrong", /✗ before \[\d+\]/);
  },

  "a level cut is consistent, and one whose handle is moved is not, with the arrow that crosses it": async (world) => {
    const { alice } = await crossed(world);
    const { page } = alice;
    await tool(alice, "Cut").click();
    await alice.reads(".cut-verdict", /^Consistent:/);
    // All events of the service are inside, and none of alice.
    await page.selectOption('[name="cut-lifeline"]', { label: "the service" });
    await page.locator(".cut-bar input[type=range] >> nth=1").press("End");
    await page.selectOption('[name="cut-lifeline"]', { label: "alice" });
    await page.locator(".cut-bar input[type=range] >> nth=1").press("Home");
    await alice.reads(".cut-verdict", /^Inconsistent: The service has received “who\?” by alice \[\d+\], which has not been sent yet\./);
    await page.waitForSelector(".backward");
    await page.click('.cut-bar button:text-is("Level")');
    await alice.reads(".cut-verdict", /^Consistent:/);
    await tool(alice, "Cut").click();
    await alice.counts(".cut-line", 0);
  },

  "the quiz asks, explains, and keeps its score": async (world) => {
    const { alice } = await crossed(world);
    const { page } = alice;
    await tool(alice, "Quiz").click();
    const asked = new Set();
    for (let n = 0; n < 25 && asked.size < 3; n += 1) {
      const text = await page.innerText(".quiz-asked");
      asked.add(text.slice(0, 8));
      if (text.startsWith("Choose")) {
        const { named } = /with “(?<named>[^”]+)”/.exec(text).groups;
        await page.click(`#figure-${await sequenceOf(alice, named === "who?" ? "me, please" : "who?")} .square`);
        await alice.reads(".quiz-answer", /^✓ Right\. .*neither writer had seen/);
      } else {
        await page.locator(".quiz .menu-row button").first().click();
        await alice.reads(".quiz-answer", /^[✓✗] /);
      }
      await page.click('.quiz button:text-is("Next question")');
    }
    assert.ok(asked.size >= 3, [...asked].join());
    await alice.reads(".quiz .fine", /^\d+ of \d+ right so far/);
    await tool(alice, "Quiz").click();
    await alice.counts(".quiz:visible", 0);
  },

  "vector clocks are shown beside the logical times on demand": async (world) => {
    const { alice } = await crossed(world);
    await tool(alice, "Vectors").click();
    await alice.counts(".said-vector", 6);
    await alice.page.click(`#figure-${await sequenceOf(alice, "who?")} .square`);
    await alice.reads("#facts", /Vector clock: alice 2, bob 1, carol 2\./);
  },

  "terms are explained in place, the hint is dismissed for good, and the type can be large": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    const { page } = alice;
    await alice.join("alice");
    await page.waitForSelector("#hint:visible");
    await page.click(".axis .term");
    await alice.reads(".term-note", /^A number that each process keeps/);
    await page.keyboard.press("Escape");
    await alice.counts(".term-note:visible", 0);
    await page.click("#hint-dismiss");
    const size = () => page.evaluate(() => getComputedStyle(document.body).fontSize);
    assert.equal(await size(), "16px");
    await page.check("#large-type");
    assert.equal(await size(), "22px");
    await page.reload();
    await alice.online();
    assert.deepEqual([await size(), await page.isVisible("#hint")], ["22px", false]);
  },

  "the newest five steps of the clock are shown, with their reasons": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    await alice.say("hello");
    await alice.reads("#clock-step", /answer to “hello”\nmax\(\d+, \d+\) \+ 1 = \d+/);
    await alice.reads("#clock-step", /received “hello” by alice \[\d+\]\n/);
    await alice.reads("#clock-step", /sent “hello”\n\d+ \+ 1 = \d+/);
    await alice.counts("#clock-step li", 5);
  },

  "axe-core finds no violation in lenses, a cut, the quiz, the key and the menus": async (world) => {
    const { alice } = await crossed(world);
    for (const name of ["Lenses", "Cut", "Quiz", "Lifelines"]) {
      await tool(alice, name).first().click();
      assert.deepEqual(await alice.violations(), [], name);
      await alice.page.setViewportSize({ width: 1440, height: 800 });
      await tool(alice, name).first().click();
    }
  },
};
