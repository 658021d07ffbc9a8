import assert from "node:assert/strict";
import { test } from "node:test";
import { nextTick } from "../src/core/machine.js";
import { REASONS, inWords } from "../src/core/refusal.js";
import { fromSnapshot, toSnapshot } from "../src/core/snapshot.js";
import { LOST, Page, message, refusal } from "./support.js";

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
  assert.equal(nextTick(page.state), page.at + 500);
  page.wait(499);
  assert.equal(page.calls("open").length, 1);
  page.wait(1);
  const again = page.calls("open")[1];
  assert.equal(again?.session?.token, "token-p1");
  assert.equal(again?.after, 2n);
  page.resumed(3n, 12n);
  page.event(3n, 12n, message());
  assert.equal(page.state.position, 3n);
  assert.equal(page.records("resumed").length, 1);
});

test("silence breaks the stream, a heartbeat does not let it come to that", () => {
  const page = new Page();
  page.join();
  page.wait(30_000);
  page.frame({ type: "heartbeat" });
  page.wait(34_999);
  assert.equal(page.state.phase.at, "online");
  page.wait(1);
  assert.equal(page.state.phase.at, "offline");
});

test("an event that was delivered before is ignored, and a gap breaks the stream", () => {
  const page = new Page();
  page.join();
  const before = page.state.clock;
  page.event(1n, 3n, message());
  assert.equal(page.state.clock, before);
  page.event(3n, 12n, message());
  assert.equal(page.state.phase.at, "offline");
  assert.equal(page.state.position, 1n);
});

test("frames of an abandoned stream are ignored", () => {
  const page = new Page();
  page.join();
  page.feed({ type: "frame", attempt: 0, frame: { type: "heartbeat" } });
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
  assert.deepEqual(page.state.segments.map(({ epoch, cause, floor }) => [epoch, cause, floor]), [["e1", null, 0n], ["e2", "EPOCH_CHANGED", 0n]]);
  assert.equal(page.state.clock, 9n, "the clock goes on");
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

test("a name that was taken meanwhile gives the form back", () => {
  const page = new Page();
  page.join();
  page.ended(refusal("SESSION_UNKNOWN"));
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

test("a secret that is asked for on a resume is asked of the user, and the session goes on", () => {
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
  reloaded.feed({ type: "go-on" });
  reloaded.feed({ type: "slot", granted: true });
  assert.equal(reloaded.calls("open")[0]?.after, 1n);
  assert.equal(reloaded.calls("open")[0]?.time, page.state.clock + 1n);
  reloaded.resumed(1n, 3n);
  assert.equal(reloaded.calls("publish")[0]?.id, "m1");
  assert.deepEqual(reloaded.calls("list").map(({ after, count }) => [after, count]), [[0n, 1]]);
});

test("what cannot be read is no snapshot", () => {
  assert.equal(fromSnapshot("{", ""), null);
  assert.equal(fromSnapshot('{"version":2}', ""), null);
  assert.equal(fromSnapshot(null, ""), null);
});

test("every reason has words of its own kind, and none shows its code", () => {
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
  assert.deepEqual(page.state.roster.map((p) => p.id), ["p1", "p2"]);
  page.event(6n, 24n, { type: "left", disconnected: true }, "p2");
  assert.deepEqual(page.state.roster.map((p) => p.id), ["p1"]);
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
