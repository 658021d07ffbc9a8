import assert from "node:assert/strict";
import { test } from "node:test";
import { ANSWER_WAIT_MS, HEARTBEAT_LATE_MS, doubt } from "../../../src/core/doubt.js";
import { nextTick } from "../../../src/core/machine/machine.js";
import { REASONS, inWords } from "../../../src/core/machine/refusal.js";
import { SLEEP_MIN_MS, SleepWatch } from "../../../src/core/sleep.js";
import { fromSnapshot, recordsBefore, toSnapshot } from "../../../src/core/snapshot.js";
import { presentSegment } from "../../../src/core/machine/state.js";
import { folderOf } from "../../../src/platform/place.js";
import { progress, status } from "../../../src/view/words.js";
import { LOST, Page, event, message, refusal } from "../../support.js";

test("without a free connection the page waits, and joins when it gets one", () => {
  const page = new Page();
  page.feed({ type: "join", name: "alice", secret: "" });
  page.feed({ type: "slot", granted: false });
  assert.equal(page.state.phase.at, "waiting");
  assert.equal(page.calls("open").length, 0);
  page.feed({ type: "slot", granted: true });
  assert.equal(page.state.phase.at, "connecting");
});

test("a broken stream is resumed where it broke, after a wait", () => {
  const page = new Page();
  page.join();
  page.event(2n, 8n, message());
  page.ended(LOST);
  assert.equal(page.state.phase.at, "offline");
  assert.equal(nextTick(page.state), page.at + 200);
  page.wait(199);
  assert.equal(page.calls("open").length, 1);
  page.wait(1);
  const again = page.calls("open")[1];
  assert.equal(again?.session?.token, "token-p1");
  assert.deepEqual([again?.after, again?.chainHash], [2n, "2"]);
  page.resumed(3n, 12n);
  page.event(3n, 12n, message());
  assert.equal(page.state.position, 3n);
  assert.equal(page.records("resumed").length, 1);
});

test("a heartbeat that is late, or a message without an answer, casts doubt long before the stream breaks", () => {
  const page = new Page();
  const session = page.join();
  const missing = () => doubt(page.state, page.at)?.missing ?? null;
  page.wait(15_000 + HEARTBEAT_LATE_MS - 1);
  assert.equal(missing(), null);
  page.wait(1);
  assert.equal(missing(), "frame");
  assert.deepEqual(status(page.state, page.at), { tone: "busy", text: "Nothing heard from the service", count: " for 17 s" });
  page.frame({ type: "heartbeat", head: 1n });
  assert.equal(missing(), null);
  page.feed({ type: "send", id: "m1", text: "hello?" });
  page.wait(ANSWER_WAIT_MS - 1);
  assert.equal(missing(), null);
  page.wait(1);
  assert.equal(missing(), "answer");
  assert.deepEqual(status(page.state, page.at), { tone: "busy", text: "No answer from the service", count: " for 3 s" });
  assert.equal(progress(page.state.outbox[0]!, page.state, page.at), "No answer yet");
  page.feed({ type: "publish-failed", id: "m1", failure: LOST, session });
  assert.equal(missing(), "answer", "a try that failed without an answer answers nothing");
  page.wait(1_000);
  page.feed({ type: "publish-failed", id: "m1", failure: refusal("RATE_LIMITED"), session });
  assert.equal(missing(), null, "a refusal is an answer");
});

test("after the computer has slept the page resumes at once, though by the page's clock no time has passed", () => {
  const page = new Page();
  page.join();
  page.feed({ type: "slept" });
  assert.equal(page.state.phase.at, "connecting");
  assert.deepEqual(
    page.outputs.slice(-4).map((output) => (output.do === "record" ? output.record.event : output.do)),
    ["disconnected", "close", "join_sent", "open"],
  );
  assert.equal(page.calls("open")[1]?.session?.token, "token-p1");
  page.feed({ type: "slept" });
  assert.equal(page.calls("open").length, 3, "a try that was under way may be as dead");
});

test("a sleep neither restarts a first join nor starts one", () => {
  const page = new Page();
  page.feed({ type: "slept" });
  assert.equal(page.state.phase.at, "out");
  page.feed({ type: "join", name: "alice", secret: "" });
  page.feed({ type: "slot", granted: true });
  page.feed({ type: "slept" });
  assert.equal(page.calls("open").length, 1);
});

test("the computer has slept if the wall clock ran ahead, not if it was set back or both clocks ran on", () => {
  const watch = new SleepWatch(1_000_000, 50);
  assert.equal(watch.slept(1_060_000, 60_050), false, "a hidden tab's timers fire once a minute");
  assert.equal(watch.slept(1_060_000 + SLEEP_MIN_MS, 60_050), true);
  assert.equal(watch.slept(1_060_000 + SLEEP_MIN_MS, 60_050), false, "once is enough");
  assert.equal(watch.slept(0, 60_100), false, "set back");
  assert.equal(watch.slept(500, 60_600), false);
});

test("a participant is unreachable until it is back, has left, or the stream starts anew", () => {
  const page = new Page();
  page.join("alice", { head: 4n });
  const before = page.state.clock;
  const records = page.outputs.filter((output) => output.do === "record").length;
  const presence = (participantId: string, connected: boolean) => page.frame({ type: "presence", participantId, connected });
  presence("p2", false);
  presence("p3", false);
  presence("p3", true);
  presence("p4", true);
  assert.deepEqual([...page.state.unreachable], ["p2"]);
  assert.equal(page.state.clock, before);
  assert.equal(page.outputs.filter((output) => output.do === "record").length, records);
  page.event(5n, 20n, { type: "left", disconnected: true }, "p2");
  assert.deepEqual([...page.state.unreachable], []);
  presence("p5", false);
  page.ended(LOST);
  assert.deepEqual([...page.state.unreachable], ["p5"]);
  page.wait(500);
  page.resumed(5n, 20n);
  assert.deepEqual([...page.state.unreachable], []);
});

test("a frame of a newer service is a sign of life, and nothing else", () => {
  const page = new Page();
  page.feed({ type: "join", name: "alice", secret: "" });
  page.feed({ type: "slot", granted: true });
  page.frame({ type: "unknown" });
  assert.equal(page.state.phase.at, "connecting");
  page.welcome();
  page.wait(30_000);
  page.frame({ type: "unknown" });
  page.wait(30_000);
  assert.equal(page.state.phase.at, "online");
});

test("the newest earlier events are loaded once, on joining, and neither clock nor log counts them", () => {
  const page = new Page();
  page.join("alice", { head: 80n, time: 200n });
  assert.deepEqual(
    page.calls("list").map(({ after, count }) => [after, count]),
    [[29n, 50]],
  );
  const { clock } = page.state;
  const earlier = Array.from({ length: 50 }, (_, index) => event(BigInt(30 + index), BigInt(90 + 2 * index), message()));
  page.feed({ type: "earlier", segment: 1, events: earlier });
  const segment = presentSegment(page.state)!;
  assert.equal(segment.past.length, 50);
  assert.equal(segment.joinedAt, 80n, "what is before this is marked as earlier");
  assert.equal(page.state.clock, clock);
  assert.equal(page.records("event_delivered").length, 1);
  page.ended(LOST);
  page.wait(500);
  page.resumed(80n, 200n);
  assert.equal(page.calls("list").length, 1);
});

test("frames of an abandoned stream are ignored", () => {
  const page = new Page();
  page.join();
  page.feed({ type: "frame", attempt: 0, frame: { type: "heartbeat", head: 1n } });
  page.feed({ type: "ended", attempt: 0, failure: LOST });
  assert.equal(page.state.phase.at, "online");
});

test("another epoch starts the conversation anew, apart from the earlier one", () => {
  const page = new Page();
  page.join();
  page.ended(LOST);
  page.wait(500);
  page.ended(refusal("EPOCH_CHANGED"));
  const open = page.calls("open")[2];
  assert.equal(open?.session, null);
  assert.equal(open?.name, "alice");
  page.welcome({ epoch: "e2", id: "p1" });
  assert.deepEqual(
    page.state.segments.map(({ epoch, cause, floor }) => [epoch, cause, floor]),
    [
      ["e1", null, 0n],
      ["e2", "EPOCH_CHANGED", 0n],
    ],
  );
  assert.equal(page.state.clock, 9n, "the clock continues");
});

test("an unknown session joins anew, and only what was missed can be loaded", () => {
  const page = new Page();
  page.join();
  page.ended(refusal("SESSION_UNKNOWN"));
  page.welcome({ id: "p2", head: 9n, time: 60n });
  assert.equal(page.state.segments[1]?.floor, 1n);
  page.feed({ type: "load-earlier" });
  const list = page.calls("list")[0];
  assert.equal(list?.after, 1n);
  assert.equal(list?.count, 7);
});

test("a name that was taken meanwhile leads back to the form", () => {
  const page = new Page();
  page.join();
  page.ended(refusal("SESSION_UNKNOWN"));
  page.wait(200);
  page.ended(refusal("NAME_TAKEN"));
  assert.equal(page.state.phase.at, "out");
  assert.equal(page.state.farewell?.type, "refused");
});

test("a takeover ends the session here", () => {
  const page = new Page();
  page.join();
  page.ended(refusal("REPLACED"));
  assert.equal(page.state.phase.at, "out");
  assert.equal(page.state.session, null);
  assert.equal(page.state.farewell?.type, "replaced");
  assert.deepEqual(
    page.records("disconnected").map((record) => record.reason),
    ["REPLACED"],
  );
});

test("a slow consumer and a shutdown resume", () => {
  for (const reason of ["SLOW_CONSUMER", "SHUTTING_DOWN"] as const) {
    const page = new Page();
    page.join();
    page.ended(refusal(reason, 3_000));
    assert.equal(page.state.phase.at, "offline");
    assert.equal(nextTick(page.state), page.at + 3_000);
    assert.ok(page.state.session !== null);
  }
});

test("if a resume needs a secret, the user is asked for it, and the session continues", () => {
  const page = new Page();
  page.join();
  page.ended(LOST);
  page.wait(500);
  page.ended(refusal("SECRET_REQUIRED"));
  assert.equal(page.state.phase.at, "out");
  assert.ok(page.state.secretWanted);
  page.feed({ type: "join", name: "alice", secret: "s3cret" });
  page.feed({ type: "slot", granted: true });
  assert.equal(page.calls("open")[2]?.session?.token, "token-p1");
});

test("a reload resumes with the clock, the position and the unsent messages", () => {
  const page = new Page();
  page.join();
  page.feed({ type: "send", id: "m1", text: "on its way" });
  page.feed({ type: "send", id: "m2", text: "waits" });
  const stored = fromSnapshot(toSnapshot(page.state), "");
  assert.ok(stored !== null);
  const reloaded = new Page(stored);
  reloaded.feed({ type: "resume" });
  reloaded.feed({ type: "slot", granted: true });
  assert.deepEqual([reloaded.calls("open")[0]?.after, reloaded.calls("open")[0]?.chainHash], [1n, "1"]);
  assert.equal(reloaded.calls("open")[0]?.time, page.state.clock + 1n);
  reloaded.resumed(1n, 3n);
  assert.equal(reloaded.calls("publish")[0]?.id, "m1");
  assert.deepEqual(
    reloaded.calls("list").map(({ after, count }) => [after, count]),
    [[0n, 1]],
  );
});

test("a snapshot that cannot be read is ignored", () => {
  assert.equal(fromSnapshot("{", ""), null);
  assert.equal(fromSnapshot('{"version":2}', ""), null);
  const page = new Page();
  page.join();
  assert.equal(recordsBefore(toSnapshot(page.state, 7)), 7);
  const without = toSnapshot(page.state).replace(/,"records":0/, "");
  for (const other of [null, "{", "null", without, toSnapshot(page.state, 1.5)]) assert.equal(recordsBefore(other), 0);
  const stored = JSON.parse(toSnapshot(page.state)) as Record<string, unknown>;
  assert.ok(fromSnapshot(JSON.stringify(stored), "") !== null);
  const damages = [
    { name: 7 },
    { clock: null },
    { clock: "x" },
    { position: {} },
    { session: undefined },
    { session: {} },
    { outbox: null },
    { outbox: [{}] },
  ];
  for (const damage of damages) assert.equal(fromSnapshot(JSON.stringify({ ...stored, ...damage }), ""), null, JSON.stringify(damage));
  assert.equal(fromSnapshot(null, ""), null);
});

test("the service is the folder of the page", () => {
  const check = (path: string, expected: string) => assert.equal(folderOf(path), expected);
  check("/", "");
  check("/index.html", "");
  check("/chat/", "/chat");
  check("/a/b/", "/a/b");
});

test("every reason is put into words, and none shows its code", () => {
  for (const reason of REASONS) {
    const words = inWords({ ...refusal(reason), message: "" });
    assert.ok(words.length > 10 && words.endsWith("."), words);
    assert.ok(!words.includes(reason));
  }
});

test("the roster follows the events after the welcome, and no others", () => {
  const page = new Page();
  page.join("alice", { head: 4n });
  page.event(5n, 20n, { type: "joined" }, "p2");
  assert.deepEqual(
    page.state.roster.map((p) => p.id),
    ["p1", "p2"],
  );
  page.event(6n, 24n, { type: "left", disconnected: true }, "p2");
  assert.deepEqual(
    page.state.roster.map((p) => p.id),
    ["p1"],
  );
});

test("neither the session token nor the secret is ever logged", () => {
  const page = new Page();
  const session = page.join();
  page.feed({ type: "send", id: "m1", text: "x" });
  page.feed({ type: "publish-failed", id: "m1", failure: refusal("TEXT_TOO_LONG"), session });
  page.ended(LOST);
  const records = page.outputs.filter((o) => o.do === "record");
  assert.ok(!JSON.stringify(records, (_, v) => (typeof v === "bigint" ? `${v}` : v)).includes("token-"));
});
