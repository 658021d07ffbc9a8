// What the page does with slow services, wrong clocks, prefixes, input methods and restrictive browsers.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../support/process.mjs";
import { prefixes } from "../support/prefix.mjs";

/** The events of a page's log that are about a message with this text. */
const recordsOf = async (visitor, text) => (await visitor.log()).records.filter((record) => record.content === text);

/** Checks that all records of a message say that its writer had seen two events, and returns them. */
async function sawTwo(visitor, text) {
  const records = await recordsOf(visitor, text);
  assert.deepEqual(
    records.map((record) => [record.event, record.seen_sequence]),
    [
      ["publish_queued", 2],
      ["publish_sent", 2],
      ["event_delivered", 2],
    ],
  );
  return records;
}

/** Alice and bob, each at a page, with alice's messages held back until `release` is called. */
async function heldBack(world) {
  const server = await world.server();
  const alice = await world.visitor(server.url);
  await alice.join("alice");
  const bob = await world.visitor(server.url);
  await bob.join("bob");
  await alice.shows(/bob joined/);
  let release;
  const released = new Promise((resolve) => (release = resolve));
  await alice.page.route("**/Publish", async (route) => {
    await released;
    await route.continue();
  });
  return { alice, bob, release };
}

/** A wall clock of the page that a test can set, in milliseconds off the true one. */
async function settableClock(visitor) {
  await visitor.page.addInitScript(() => {
    const now = Date.now.bind(Date);
    globalThis.wallClockOff = 0;
    Date.now = () => now() + globalThis.wallClockOff;
  });
  await visitor.page.reload();
  await visitor.page.waitForSelector("#lobby:not([hidden])");
}

const setWallClock = ({ page }, off) => page.evaluate((milliseconds) => (globalThis.wallClockOff = milliseconds), off);

export default {
  // V6: what a writer had seen is what was there at Enter, however long the message waits for its turn.
  "the writer of a waiting message counts as not having seen what arrives meanwhile": async (world) => {
    const { alice, bob, release } = await heldBack(world);
    await alice.say("first");
    await alice.say("second");
    await bob.say("meanwhile");
    await alice.shows(/\] bob: meanwhile$/);
    await alice.say("third");
    release();
    await bob.shows(/\] alice: third$/);
    const [meanwhile, second, third] = await Promise.all(["meanwhile", "second", "third"].map((text) => recordsOf(alice, text)));
    const [queued, , delivered] = second;
    assert.deepEqual(
      second.map(({ event }) => event),
      ["publish_queued", "publish_sent", "event_delivered"],
    );
    assert.equal(queued.seen_sequence, 2, "both had joined");
    assert.equal(delivered.seen_sequence, 2);
    assert.equal(queued.message_id, delivered.message_id);
    assert.equal(third[0].seen_sequence, meanwhile[0].sequence);
    await bob.reads(".row", /second[\s\S]*written before seeing bob’s message/);
  },

  // V6, across a reload while messages wait: the log continues in the same file, under another client_started.
  "a message that waits across a reload keeps what its writer had seen at Enter": async (world) => {
    const { alice, bob, release } = await heldBack(world);
    alice.outage = true;
    await alice.say("first");
    await alice.say("second");
    await bob.say("meanwhile");
    await alice.shows(/\] bob: meanwhile$/);
    await alice.page.reload();
    await alice.online();
    await alice.shows(/\] bob: meanwhile$/);
    release();
    await bob.shows(/\] alice: second$/);
    await sawTwo(alice, "second");
  },

  // V6, across an outage and a reload.
  "the writer of a message written offline counts as not having seen what came before it was sent": async (world) => {
    const { network, alice, carol, cut } = await world.severable("60s");
    cut();
    await alice.reads("#status", /Offline/);
    await alice.say("written offline");
    carol.say("said meanwhile");
    await carol.shows(/said meanwhile/);
    network.restore();
    await alice.page.reload();
    await alice.shows(/\] alice: written offline$/);
    const records = await sawTwo(alice, "written offline");
    assert.equal(records[2].sequence, 4);
  },

  "within seconds the page says that a service does not answer, or is silent": async (world) => {
    const server = await world.server({ args: ["--grace", "60s", "--heartbeat", "3s"] });
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    alice.outage = true;
    await server.hold();
    await alice.say("anybody?");
    await alice.reads("#status", /No answer from the service for \d+ s/);
    assert.equal(await alice.page.getAttribute("#status", "data-tone"), "busy");
    server.go();
    await alice.online();
    await alice.shows(/anybody\?/);
    await server.hold();
    await alice.reads("#status", /Nothing heard from the service for \d+ s/);
    assert.equal(await alice.page.getAttribute("#status", "data-tone"), "busy");
    server.go();
    await alice.online();
  },

  "a wall clock that is set back an hour delays nothing": async (world) => {
    const server = await world.server({ args: ["--grace", "60s"] });
    const network = await world.network(server);
    const alice = await world.visitor(network.url);
    await settableClock(alice);
    await alice.join("alice");
    alice.outage = true;
    network.cut();
    await alice.reads("#status", /Offline: retrying in \d+ s/);
    await setWallClock(alice, -3_600_000);
    network.restore();
    await alice.online();
    const { records } = await alice.log();
    assert.ok(records.some((record) => record.event === "resumed"));
    await setWallClock(alice, 0);
  },

  // A suspended computer: its monotonic clock stood still, and its stream may be dead.
  "a page that wakes after a sleep resumes at once": async (world) => {
    const server = await world.server({ args: ["--grace", "60s"] });
    const network = await world.network(server);
    const alice = await world.visitor(network.url);
    await settableClock(alice);
    await alice.join("alice");
    alice.outage = true;
    network.holdStreams(true);
    await setWallClock(alice, 600_000);
    await until("the page has resumed", () => readFileSync(join(server.logs, "server.jsonl"), "utf8").includes('"session_resumed"'));
    await alice.online();
    await alice.say("awake");
    await alice.shows(/awake/);
    await setWallClock(alice, 0);
  },

  "an Enter that ends a composition does not send, not even in Safari": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    const enter = (how) =>
      alice.page.evaluate((fields) => {
        const text = document.querySelector("#text");
        text.value = "東京に";
        text.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...fields }));
        return text.value;
      }, how);
    assert.equal(await enter({ isComposing: true, keyCode: 229 }), "東京に");
    assert.equal(await enter({ isComposing: false, keyCode: 229 }), "東京に", "WebKit ends the composition first");
    assert.equal(await enter({ isComposing: false, keyCode: 13 }), "");
    await alice.shows(/東京に/);
  },

  "services under prefixes of one origin work, and share no session": async (world) => {
    const [one, two] = [await world.server(), await world.server()];
    const proxy = await prefixes({ one, two });
    world.networks.push(proxy);
    const context = await world.profile();
    const alice = await world.visitor(`${proxy.url}/one/`, context);
    await alice.join("alice");
    await alice.say("in the first");
    await alice.shows(/in the first/);
    // The same tab goes to the other service, and comes back.
    await alice.open(`${proxy.url}/two/`);
    await alice.page.waitForSelector("#lobby:not([hidden])");
    await alice.join("alice in two");
    await alice.say("in the second");
    await alice.shows(/in the second/);
    await alice.page.click("#leave");
    await alice.reads("#farewell", /You left/);
    await alice.open(`${proxy.url}/one/`);
    await alice.online();
    await alice.shows(/in the first/);
    const { records } = await alice.log();
    assert.equal(records.filter((record) => record.event === "resumed").length, 1);
    assert.ok(!records.some((record) => record.content === "in the second"));
  },

  "a browser that stores nothing and shares no locks can take part, and leaves when its tab closes": async (world) => {
    const server = await world.server({ args: ["--grace", "60s"] });
    const context = await world.profile();
    // As Chromium and Firefox behave if the user forbids the site to store data.
    await context.addInitScript(() => {
      const denied = () => new DOMException("denied", "SecurityError");
      Object.defineProperty(globalThis, "sessionStorage", {
        get() {
          throw denied();
        },
      });
      if (navigator.locks !== undefined) navigator.locks.request = () => Promise.reject(denied());
    });
    const bob = await world.visitor(server.url, context);
    await bob.join("bob");
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    await bob.say("here I am");
    await alice.shows(/here I am/);
    await bob.page.goto("about:blank");
    await alice.shows(/bob left/);
  },

  "a page that cannot start says so": async (world) => {
    const server = await world.server();
    const visitor = await world.visitor(server.url);
    const starting = () => visitor.page.waitForSelector("#starting");
    visitor.outage = true;
    await visitor.page.route("**/app.js", (route) => route.abort());
    await visitor.page.reload();
    await starting();
    await visitor.reads("#starting", /Please reload/);
    await visitor.page.unroute("**/app.js");
    // The document of one version with the script of another.
    await visitor.page.route(`${server.url}/`, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: (await response.text()).replace('id="composer"', "") });
    });
    await visitor.page.reload();
    await visitor.reads("#starting", /could not start[\s\S]*reload/);
    assert.equal(visitor.errors.length, 1, "the reason is in the console");
    visitor.errors = [];
    await visitor.page.unroute(`${server.url}/`);
    await visitor.page.reload();
    await visitor.join("alice");
    await visitor.counts("#starting", 0);
  },

  "the page is served compressed": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    const sizes = await alice.page.evaluate(() =>
      ["resource", "navigation"]
        .flatMap((type) => performance.getEntriesByType(type))
        .map(({ name, encodedBodySize, decodedBodySize }) => ({ name, encodedBodySize, decodedBodySize })),
    );
    const sum = (field) => sizes.reduce((total, size) => total + size[field], 0);
    assert.ok(sum("encodedBodySize") * 3 < sum("decodedBodySize"), JSON.stringify(sizes));
    assert.ok(
      sizes.some(({ name }) => name.endsWith("/app.js")),
      JSON.stringify(sizes),
    );
  },
};
