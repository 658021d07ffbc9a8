// What everybody must be able to see, reach and hear.
import assert from "node:assert/strict";
import { until } from "../support/process.mjs";

export default {
  "axe-core finds no violation in either color scheme": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    assert.deepEqual(await alice.violations(), [], "the join form");
    await alice.ask("");
    assert.deepEqual(await alice.violations(), [], "the join form with a fault");
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    await bob.say("before alice");
    await bob.shows(/before alice/);
    await alice.join("alice");
    assert.deepEqual(await alice.violations(), [], "an empty room");
    await bob.say("hello");
    await alice.say("hi");
    await alice.shows(/hi$/);
    await alice.page.waitForSelector(".row.earlier");
    await alice.page.fill("#text", "x".repeat(130));
    await alice.page.press("#text", "Enter");
    assert.deepEqual(await alice.violations(), [], "a conversation");
    alice.outage = bob.outage = true;
    await server.kill();
    await alice.reads("#status", /Offline/);
    await alice.say("unsent");
    await alice.page.setViewportSize({ width: 360, height: 740 });
    await alice.page.click("#toggle-side");
    assert.deepEqual(await alice.violations(), [], "offline, with the side open");
  },

  "in the colors that the system forces, the lamp and the rail of times are still there": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    await alice.say("hello");
    await alice.shows(/hello/);
    await alice.page.emulateMedia({ forcedColors: "active" });
    const invisible = await alice.page.evaluate(() => {
      const ground = getComputedStyle(document.body).backgroundColor;
      return [
        [".lamp", null],
        [".row .node", null],
        [".row", "::before"],
        [".day", "::before"],
        [".day", "::after"],
      ].filter(([part, pseudo]) => getComputedStyle(document.querySelector(part), pseudo).backgroundColor === ground);
    });
    assert.deepEqual(invisible, []);
  },

  "everything can be done by keyboard": async (world) => {
    const server = await world.server();
    const { page, ...rest } = await world.visitor(server.url);
    assert.ok(rest);
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
    await until("the name has the focus", async () => (await focused()) === "name");
    await page.keyboard.type("alice");
    await page.keyboard.press("Enter");
    await page.waitForSelector('#room:not([hidden]) #status[data-tone="good"]');
    await until("the composer has the focus", async () => (await focused()) === "text");
    await page.keyboard.type("first line");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("second line");
    await page.keyboard.press("Enter");
    await page.waitForSelector("text=second line");
    assert.equal(await focused(), "text");
    const outline = () => page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    const reached = [];
    for (let n = 0; n < 12 && !reached.includes("leave"); n += 1) {
      await page.keyboard.press("Shift+Tab");
      reached.push(await focused());
      assert.equal(await outline(), "solid", `the focus on ${reached.at(-1)} can be seen`);
    }
    // The hint for newcomers with its terms, and the term above the times.
    const hint = ["hint-dismiss", "concurrent", "logical time"];
    assert.deepEqual(reached, [...hint, "logical time", "scroller", "leave"]);
    await page.keyboard.press("Enter");
    await page.waitForSelector("#lobby:not([hidden])");
    await until("the name has the focus again", async () => (await focused()) === "name");
  },

  "new events are in a live region, and history is not": async (world) => {
    const server = await world.server();
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    await bob.say("history");
    await bob.shows(/history/);
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    await alice.page.waitForSelector(".row.earlier");
    await bob.say("news");
    await alice.shows(/news/);
    const log = alice.page.getByRole("log");
    assert.match(await log.innerText(), /news/);
    assert.doesNotMatch(await log.innerText(), /history/);
    assert.equal(await log.getAttribute("aria-busy"), "false");
  },

  "the page obeys a strict content security policy": async (world) => {
    const server = await world.server();
    const response = await fetch(server.url);
    const policy = response.headers.get("content-security-policy") ?? "";
    for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]) {
      assert.ok(policy.includes(part), `${part} in ${policy}`);
    }
    assert.doesNotMatch(policy, /unsafe/);
    assert.doesNotMatch(await response.text(), /<script(?![^>]*src=)|<style|\son\w+=|\sstyle=/);
  },
};
