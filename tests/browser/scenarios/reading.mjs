// How a conversation is read: links, copies, colors, days, folds, tabs, and text that spills.
import assert from "node:assert/strict";
import { UNLIMITED, until } from "../support/process.mjs";

/** So many that their joins are folded. */
const CROWD = ["bob", "carol", "dave", "erik", "frida"];

const row = (visitor, text) => visitor.page.locator(`.segment:last-child .row:has(.text:text-is("${text}"))`);
const focused = (visitor) => visitor.page.evaluate(() => document.activeElement.id);
const sequences = (visitor, rows) => visitor.page.locator(rows).evaluateAll((rows) => rows.map((row) => Number(row.dataset.sequence)));

/** A page, and a crowd that joins after its first message. */
async function aliceAndCrowd(world, options) {
  const server = await world.server(options);
  const alice = await world.visitor(server.url);
  await alice.join("alice");
  await alice.say("before the crowd");
  await alice.shows(/before the crowd$/);
  const crowd = [];
  for (const name of CROWD) {
    crowd.push(world.plain(name, server.url));
    await alice.shows(new RegExp(`${name} joined`));
  }
  return { server, alice, crowd };
}

/** What the page puts on the clipboard when the text from one row to another is selected and copied. */
function copied(visitor, from, to) {
  return visitor.page.evaluate(
    ([from, to]) => {
      const text = (wanted) => [...document.querySelectorAll(".row .text")].find(({ textContent }) => textContent === wanted);
      getSelection().setBaseAndExtent(text(from), 0, text(to), text(to).childNodes.length);
      const data = new DataTransfer();
      const event = new ClipboardEvent("copy", { clipboardData: data, bubbles: true, cancelable: true });
      text(from).dispatchEvent(event);
      return event.defaultPrevented ? data.getData("text/plain") : null;
    },
    [from, to],
  );
}

export default {
  "an address in a message is a link that tells the other site nothing, and shows where it leads": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    const text = "See (https://example.org/a_(b)), https://\u0430pple.example and https://bank.example@other.example.";
    await alice.say(text);
    await alice.shows(/other\.example\.$/);
    assert.equal(await alice.page.locator(".row .text").last().textContent(), text, "the text is as it was written");
    const links = await alice.page
      .locator(".row a")
      .evaluateAll((links) => links.map(({ href, rel, target, dataset }) => ({ href, rel, target, host: dataset.host })));
    const safe = { rel: "noopener noreferrer", target: "_blank" };
    assert.deepEqual(links, [
      { href: "https://example.org/a_(b)", ...safe, host: undefined },
      { href: "https://xn--pple-43d.example/", ...safe, host: "xn--pple-43d.example" },
    ]);
    assert.match(
      await alice.page.locator("a.elsewhere").evaluate((link) => getComputedStyle(link, "::after").content),
      /xn--pple-43d\.example/,
    );
    assert.deepEqual(await alice.violations(), []);
  },

  "several rows are copied as lines in logical order, whatever the order on the page": async (world) => {
    const { alice, crowd } = await aliceAndCrowd(world);
    crowd[0].say("hello\u202e");
    await alice.shows(/hello/);
    const lines = await alice.transcript();
    const wanted = lines.slice(lines.findIndex((line) => /before the crowd/.test(line)));
    assert.equal(await copied(alice, "before the crowd", "hello\\u{202e}"), wanted.join("\n"), "with what is folded");
    assert.equal(await copied(alice, "before the crowd", "before the crowd"), null, "within a row the browser copies what is selected");
    await alice.page.check("#by-wall-clock");
    await alice.page.waitForSelector(".walled .row");
    assert.equal(await copied(alice, "before the crowd", "hello\\u{202e}"), wanted.join("\n"));
  },

  "a name has the same color on every page, whatever the order of joining": async (world) => {
    const server = await world.server();
    const pages = [];
    for (const name of ["alice", "bob", "carol"]) {
      const visitor = await world.visitor(server.url);
      await visitor.join(name);
      await visitor.page.click("#toggle-picture");
      pages.push(visitor);
    }
    const colors = ({ page }) =>
      page.evaluate(() => {
        const of = (selector, name) => {
          const element = [...document.querySelectorAll(selector)].find(({ textContent }) => textContent === name);
          return element && getComputedStyle(element)[element instanceof SVGElement ? "fill" : "color"];
        };
        return ["alice", "bob", "carol"].map((name) => [of("#people .name", name), of(".heads .head", name)]);
      });
    for (const one of pages) await until("all are drawn", async () => (await colors(one)).flat().every(Boolean));
    const [first, ...others] = await Promise.all(pages.map(colors));
    for (const other of others) assert.deepEqual(other, first);
    for (const [people, diagram] of first) assert.equal(people, diagram);
    assert.equal(new Set(first.map(([color]) => color)).size, 3);
  },

  "every color of a name has enough contrast, in light and dark": async (world) => {
    const server = await world.server();
    const { page } = await world.visitor(server.url);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      const ratios = await page.evaluate(() => {
        const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        const luminance = (color) => {
          canvas.fillStyle = color;
          canvas.fillRect(0, 0, 1, 1);
          const parts = [...canvas.getImageData(0, 0, 1, 1).data]
            .slice(0, 3)
            .map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
          return parts.reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
        };
        const style = getComputedStyle(document.documentElement);
        const grounds = ["--ground", "--surface", "--own", "--picture"].map((name) => luminance(style.getPropertyValue(name)));
        return Array.from({ length: 16 }, (_, hue) => {
          const name = document.createElement("b");
          name.className = `name hue-${hue}`;
          document.body.append(name);
          const ink = luminance(getComputedStyle(name).color);
          name.remove();
          return Math.min(...grounds.map((ground) => (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05)));
        });
      });
      ratios.forEach((ratio, hue) => assert.ok(ratio >= 4.5, `${colorScheme}: hue ${hue} has ${ratio.toFixed(2)}`));
    }
  },

  "each day has a divider, in both orders, which is not an event": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    await alice.say("today");
    await alice.shows(/today$/);
    const today = await alice.page.evaluate(() =>
      new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" }).format(),
    );
    const dividers = () => alice.page.locator(".segment:last-child .day").allTextContents();
    assert.deepEqual(await dividers(), [today]);
    assert.equal(await alice.page.getByRole("log").locator(".day").getAttribute("aria-live"), "off");
    await alice.page.check("#by-wall-clock");
    await alice.page.waitForSelector(".walled .day");
    assert.deepEqual(await dividers(), [today]);
  },

  "joins in a row are folded, opened by keyboard, and read aloud one by one": async (world) => {
    const { alice, crowd } = await aliceAndCrowd(world);
    const { page } = alice;
    await alice.reads(".fold summary", /^5 joined at \d+ to \d+: \W?bob\W?, \W?carol\W?, \W?dave\W?, \W?erik\W?, \W?frida\W?$/);
    assert.equal(await row(alice, "before the crowd").isVisible(), true);
    assert.equal(await page.locator(".fold .row").first().isVisible(), false);
    assert.match(await page.locator(".segment:last-child > [aria-live=polite]").textContent(), /Participant frida joined/);
    assert.equal(await page.locator(".fold").getAttribute("aria-live"), "off");
    await page.focus(".fold summary");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".fold .row:visible");
    const times = await page.locator(".fold .row .time").allInnerTexts();
    assert.equal(times.length, 5);
    // It grows while it is open, and the focus stays.
    crowd[4].say("/quit");
    await alice.reads(".fold summary", /^5 joined, 1 left at /);
    await alice.counts(".fold .row:visible", 6);
    assert.equal(await page.evaluate(() => document.activeElement.tagName), "SUMMARY");
    assert.deepEqual(await sequences(alice, ".row"), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert.deepEqual(await alice.violations(), []);
  },

  "an event that is chosen in the diagram opens the fold that it is in": async (world) => {
    const { alice } = await aliceAndCrowd(world);
    const { page } = alice;
    await page.click("#toggle-picture");
    await page.waitForSelector("#figure-5");
    assert.equal(await page.locator(".fold .row[data-sequence='5']").isVisible(), false);
    await page.click("#figure-1 .square");
    await page.waitForSelector(".row.is-same[data-sequence='1']");
    assert.equal(await page.locator(".fold .row[data-sequence='5']").isVisible(), false);
    assert.match(await page.locator(".fold").getAttribute("class"), /is-unknown/, "its line is marked like all of its rows");
    await page.click("#figure-5 .square");
    await page.waitForSelector(".fold .row.is-same[data-sequence='5']:visible");
  },

  "stacked marks stay within their own row": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    for (let n = 1; n <= 5; n += 1) await alice.say(`row ${n}`);
    await alice.shows(/row 5$/);
    const picture = async () => (await row(alice, "row 3").screenshot()).toString("base64");
    await until("the page stands still", async () => (await picture()) === (await picture()));
    const box = () => row(alice, "row 3").boundingBox();
    const [before, place] = [await picture(), await box()];
    await alice.say(`x${"\u030d\u0310\u0352\u0357".repeat(31)}`);
    await alice.shows(/x\u030d/);
    assert.deepEqual(await box(), place);
    assert.equal(await picture(), before);
  },

  "on a page that is zoomed and low, each region has a tab": async (world) => {
    const { alice, crowd } = await aliceAndCrowd(world);
    const { page } = alice;
    const shown = () => page.evaluate(() => ["talk", "side", "picture"].filter((id) => document.getElementById(id).offsetParent !== null));
    assert.equal(await page.isVisible("#tabs"), false);
    // What 200% leaves of 1280 by 720.
    await page.setViewportSize({ width: 640, height: 360 });
    await page.waitForSelector("[role=tablist]");
    assert.deepEqual(await shown(), ["talk"]);
    await page.focus("#tab-talk");
    const seen = [];
    for (let n = 0; n < 3; n += 1) {
      await page.keyboard.press("ArrowRight");
      seen.push([await focused(alice), ...(await shown())]);
      assert.equal(await page.getAttribute(`#${await focused(alice)}`, "aria-selected"), "true");
      if (n === 0) {
        crowd[0].say("meanwhile");
        await alice.reads("#tab-talk", /1 new/);
      }
    }
    assert.deepEqual(seen, [
      ["tab-side", "side"],
      ["tab-picture", "picture"],
      ["tab-talk", "talk"],
    ]);
    assert.equal(await page.innerText("#tab-talk"), "Conversation");
    const wrong = async (what) =>
      assert.deepEqual(
        (await page.evaluate(() => window.axe.run())).violations.map(
          ({ id, nodes }) => `${what}: ${id} ${nodes.map(({ target }) => target)}`,
        ),
        [],
      );
    const besideThePeople = () =>
      page.evaluate(() => {
        const [people, clock, order] = ["#people", "#side section:nth-child(2)", "#order-title"].map((part) =>
          document.querySelector(part).getBoundingClientRect(),
        );
        return order.left > people.left && order.top < clock.bottom + 40;
      });
    await alice.violations();
    for (const [width, height] of [
      [640, 360],
      [320, 256],
    ]) {
      await page.setViewportSize({ width, height });
      for (const tab of ["talk", "side", "picture"]) {
        await page.click(`#tab-${tab}`);
        await wrong(`${tab} at ${width} by ${height}`);
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, `${tab} at ${width}`);
        if (tab === "side" && width === 640)
          assert.ok(await besideThePeople(), "the order and the log are reached without scrolling past everybody");
      }
    }
    // The diagram leads back to the conversation, where the event is.
    await page.setViewportSize({ width: 640, height: 360 });
    await page.focus("#picture-scroller");
    await page.keyboard.press("End");
    await page.keyboard.press("Enter");
    await until("the conversation is shown", async () => (await shown()).join() === "talk");
    await page.waitForSelector(".row.is-same:visible");
    await page.setViewportSize({ width: 1200, height: 800 });
    await until("everything but the diagram is shown again", async () => (await shown()).join() === "talk,side");
    assert.equal(await page.getAttribute("#side", "role"), null);
  },

  "a row that is scrolled into view is clear of the axis label, and no row shows through the label": async (world) => {
    const server = await world.server({ args: UNLIMITED });
    const alice = await world.visitor(server.url);
    const { page } = alice;
    await alice.join("alice");
    for (let n = 1; n <= 30; n += 1) await alice.say(`line ${n}`);
    await alice.shows(/line 30$/);
    await page.click("#toggle-picture");
    await page.waitForSelector("#figure-31");
    await page.focus("#picture-scroller");
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    const clear = () =>
      page.evaluate(() => {
        const [label, row] = [".axis", ".row.is-same"].map((part) => document.querySelector(part).getBoundingClientRect());
        return row.top >= label.bottom;
      });
    await until("the row is in sight", clear);
    const ground = await page.evaluate(() => {
      const { backgroundColor, backgroundImage, opacity } = getComputedStyle(document.querySelector(".axis"));
      return { backgroundImage, opacity, same: backgroundColor === getComputedStyle(document.body).backgroundColor };
    });
    assert.deepEqual(ground, { backgroundImage: "none", opacity: "1", same: true });
  },

  "loading earlier events does not move what is being read, not even at the very top": async (world) => {
    const server = await world.server({ args: UNLIMITED });
    const bob = world.plain("bob", server.url);
    for (let n = 1; n <= 150; n += 1) bob.say(`line ${n}`);
    await bob.shows(/line 150$/);
    const alice = await world.visitor(server.url);
    const { page } = alice;
    await alice.join("alice");
    const first = () => page.locator(".row").first().getAttribute("data-sequence");
    // The page loads the newest of the events before its own join by itself.
    await until("the history is shown", async () => Number(await first()) < 152);
    const before = await first();
    const top = () =>
      page.evaluate((sequence) => document.querySelector(`.row[data-sequence="${sequence}"]`).getBoundingClientRect().top, before);
    await page.evaluate(() => (document.getElementById("scroller").scrollTop = 0));
    await until("the reader is at the top", () => page.evaluate(() => document.getElementById("scroller").scrollTop === 0));
    await page.locator(".load").focus();
    const place = await top();
    await page.keyboard.press("Enter");
    await until("more is shown", async () => (await first()) !== before);
    await until(`the row is where it was, ${place}`, async () => Math.abs((await top()) - place) <= 2);
  },

  "a participant whose connection broke is marked in words, and announced": async (world) => {
    const server = await world.server({ args: ["--grace", "60s"] });
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    const network = await world.network(server);
    const bob = await world.visitor(network.url);
    await bob.join("bob");
    await alice.shows(/bob joined/);
    bob.outage = true;
    network.cut();
    await alice.reads("#people .away", /^bob\s+reconnecting$/);
    await alice.reads("#people-said", /^bob is reconnecting\.$/);
    assert.deepEqual(await alice.violations(), []);
    network.restore();
    await alice.reads("#people-said", /^bob is back\.$/);
    await alice.counts("#people .away", 0);
    await bob.online();
  },

  "the newest stays in view through a flood, and what is being read stays in place": async (world) => {
    const server = await world.server({ args: UNLIMITED });
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    const bob = world.plain("bob", server.url);
    const flood = (from, to) => {
      for (let n = from; n <= to; n += 1)
        bob.say(`flood ${n}${n % 7 === 0 ? " and more words, so that it takes several lines of the page".repeat(2) : ""}`);
    };
    flood(1, 200);
    await alice.shows(/flood 200$/);
    const end = () =>
      alice.page.evaluate(() => {
        const { scrollHeight, scrollTop, clientHeight } = document.getElementById("scroller");
        return Math.round(scrollHeight - scrollTop - clientHeight);
      });
    await until("the end is in view", async () => (await end()) <= 2);
    await alice.page.hover("#scroller");
    await alice.page.mouse.wheel(0, -2_000);
    await until("it is scrolled", async () => (await end()) > 500);
    const read = () =>
      alice.page.evaluate(() => {
        const { left, top, width, height } = document.getElementById("scroller").getBoundingClientRect();
        const seen = document.elementFromPoint(left + width / 2, top + height / 2).closest(".row");
        return [seen?.dataset.sequence, Math.round(seen?.getBoundingClientRect().top)];
      });
    await until("it stands still", async () => (await read())[0] !== undefined && `${await read()}` === `${await read()}`);
    const place = await read();
    flood(201, 240);
    await alice.reads("#new-below", /^40 new below$/);
    assert.deepEqual(await read(), place);
    await alice.page.click("#new-below");
    await until("the end is in view again", async () => (await end()) <= 2);
    await row(alice, "flood 240").waitFor({ state: "visible" });
  },
};
