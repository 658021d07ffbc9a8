// What a conversation is: the same for everyone.
import assert from "node:assert/strict";
import { UNLIMITED, until } from "../support/process.mjs";

const timeOf = (line) => BigInt(/^\[(\d+)\]/.exec(line)[1]);

/** The lines from the last of three joins on: those that all three have received. */
const common = (lines) => lines.slice(lines.findIndex((line) => /Participant carol joined/.test(line)));

export default {
  "two pages and a plain client show the same transcript with the same times": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    const carol = world.plain("carol", server.url);
    await Promise.all([alice, bob, carol].map((one) => one.shows(/^\[\d+\] Participant carol joined Chit Chat at logical time \d+$/)));

    for (let n = 1; n <= 5; n += 1) {
      carol.say(`carol ${n}`);
      await Promise.all([alice.say(`alice ${n} æøå 😀`), bob.say(`bob ${n}`)]);
    }
    const complete = (lines) => lines.filter((line) => /\] (alice|bob|carol): /.test(line)).length === 15;
    await until(
      "all fifteen messages are everywhere",
      async () => complete(await alice.transcript()) && complete(await bob.transcript()) && complete(carol.lines),
    );
    const [a, b, c] = [await alice.transcript(), await bob.transcript(), carol.lines].map(common);
    assert.deepEqual(b, a);
    assert.deepEqual(c, a);
    assert.equal(a.length, 16);
    for (const [index, line] of a.entries()) assert.ok(index === 0 || timeOf(line) > timeOf(a[index - 1]), line);
    for (const one of ["alice", "bob", "carol"]) {
      const own = a.filter((line) => line.includes(`] ${one}: `)).map((line) => /: \w+ (\d)/.exec(line)[1]);
      assert.deepEqual(own, ["1", "2", "3", "4", "5"], "each one's messages are in the order of writing");
    }
    assert.deepEqual(await alice.people(), ["alice", "bob", "carol"]);
    const clock = BigInt(await alice.page.innerText("#clock"));
    assert.ok(clock > timeOf(a.at(-1)), "the page's clock is ahead of everything delivered to it");
  },

  "a page that is closed is announced as left": async (world) => {
    const server = await world.server({ args: ["--grace", "1s"] });
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    const carol = world.plain("carol", server.url);
    await bob.shows(/carol joined/);
    await bob.page.close();
    const left = await alice.shows(/^\[\d+\] Participant bob left Chit Chat at logical time \d+$/);
    assert.equal(await carol.shows(/bob left/), left);
    assert.deepEqual(await alice.people(), ["alice", "carol"]);
  },

  "leaving is announced at once, and confirmed to the one who leaves": async (world) => {
    const server = await world.server({ args: ["--grace", "60s"] });
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    await bob.say("bye");
    await bob.page.click("#leave");
    const line = await alice.shows(/Participant bob left/);
    await bob.reads("#farewell", new RegExp(`You left at logical time ${timeOf(line)}\\.`));
    // A reload after leaving does not come back.
    await bob.page.reload();
    await bob.page.waitForSelector("#lobby:not([hidden])");
    assert.equal(await bob.page.inputValue("#name"), "bob");
  },

  "a page that leaves reads the events before its leave, however late they arrive (V9)": async (world) => {
    const server = await world.server();
    const network = await world.network(server);
    const alice = await world.visitor(network.url);
    await alice.join("alice");
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    await alice.shows(/bob joined/);
    network.holdStreams(true);
    await bob.say("last words");
    await bob.shows(/last words/);
    await alice.page.click("#leave");
    await until("the leave is acknowledged", async () => (await alice.logAnyhow()).records.some((r) => r.event === "leave_acknowledged"));
    network.holdStreams(false);
    await alice.reads("#farewell", /You left at logical time \d+\./);
    const { records } = await alice.log();
    const events = records.map(({ event, content }) => (event === "event_delivered" ? content : event));
    assert.ok(events.includes("last words"), events.join("\n"));
    assert.deepEqual(
      records.filter((record) => record.event === "disconnected").map((record) => record.reason),
      ["LEFT"],
    );
  },

  "a reload resumes, and the others do not notice": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    await alice.say("before");
    await Promise.all([alice, bob].map((one) => one.shows(/before/)));
    const before = await alice.transcript();
    const clock = BigInt(await alice.page.innerText("#clock"));
    await alice.page.fill("#text", "half a sen");
    await alice.page.reload();
    await alice.online();
    await alice.shows(/before/);
    assert.deepEqual(await alice.transcript(), before, "the transcript is there again");
    assert.equal(await alice.page.inputValue("#text"), "half a sen");
    assert.ok(BigInt(await alice.page.innerText("#clock")) > clock, "the clock continues");
    await alice.say("after");
    await bob.shows(/\] alice: after$/);
    assert.equal((await bob.transcript()).filter((line) => /alice (joined|left)/.test(line)).length, 0);
    const { records } = await alice.log();
    assert.equal(records.filter((record) => record.event === "resumed").length, 1);
    assert.equal(records.filter((record) => record.event === "connected").length, 1, "the log survives the reload");
  },

  "the newest earlier events are shown on joining, the rest on demand, all marked as earlier": async (world) => {
    const server = await world.server({ args: UNLIMITED });
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    for (let n = 1; n <= 60; n += 1) await alice.say(`early ${n}`);
    await alice.shows(/early 60$/);
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    const clock = await bob.page.innerText("#clock");
    await bob.counts(".row.earlier", 50);
    await bob.page.click("text=Load earlier");
    await bob.counts(".row.earlier", 61);
    assert.equal(await bob.page.locator("text=Load earlier").isVisible(), false);
    assert.equal(await bob.page.innerText("#clock"), clock, "listing touches no clock");
    const sequences = await bob.page.locator(".row").evaluateAll((rows) => rows.map((row) => Number(row.dataset.sequence)));
    assert.deepEqual(
      sequences,
      sequences.map((_, index) => index + 1),
    );
    const delivered = (await bob.log()).records.filter((record) => record.event === "event_delivered");
    assert.deepEqual(
      delivered.map((record) => record.sequence),
      [62],
      "listed events were not delivered",
    );
  },

  "the log has the names of the specification and no secret": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    await alice.say("for the log");
    await alice.shows(/for the log/);
    const token = await alice.page.evaluate(() => JSON.parse(sessionStorage.getItem("chitchat.session")).session.token);
    await until("the acknowledgement", async () => (await alice.log()).records.some((r) => r.event === "publish_acknowledged"));
    const { name, text, records } = await alice.log();
    assert.equal(name, "browser-alice.jsonl");
    assert.ok(!text.includes(token));
    const events = records.map((record) => record.event);
    assert.deepEqual(events.slice(0, 6), ["client_started", "join_sent", "connected", "event_delivered", "publish_queued", "publish_sent"]);
    assert.deepEqual(events.slice(6).sort(), ["event_delivered", "publish_acknowledged"]);
    for (const record of records) {
      assert.match(record.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
      assert.deepEqual([record.level, record.component], ["INFO", "browser"]);
    }
    const sent = records.find((record) => record.event === "publish_sent");
    const delivered = records.findLast((record) => record.event === "event_delivered");
    assert.equal(delivered.content, "for the log");
    assert.equal(delivered.message_id, sent.message_id);
    assert.equal(delivered.sent_logical_time, sent.sent_logical_time);
    assert.ok(delivered.local_time > delivered.logical_time);
  },
};
