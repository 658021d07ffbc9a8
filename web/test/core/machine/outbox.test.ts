import assert from "node:assert/strict";
import { test } from "node:test";
import { fromSnapshot, toSnapshot } from "../../../src/core/snapshot.js";
import { LOST, Page, message, refusal } from "../../support.js";

function sent(texts: string[]) {
  const page = new Page();
  const session = page.join();
  texts.forEach((text, index) => page.feed({ type: "send", id: `m${index + 1}`, text }));
  return { page, session };
}

test("a message that got no answer is sent again under the same id, with a later time", () => {
  const { page, session } = sent(["a"]);
  page.feed({ type: "publish-failed", id: "m1", failure: LOST, session });
  page.wait(500);
  const [first, again] = page.calls("publish");
  assert.equal(again?.id, first?.id);
  assert.ok((again?.time ?? 0n) > (first?.time ?? 0n));
});

test("an event that comes before its acknowledgement is shown once", () => {
  const { page, session } = sent(["a", "b"]);
  page.event(2n, 8n, message("m1"), "p1", "a");
  assert.equal(page.calls("publish").length, 1, "the answer is still awaited");
  page.feed({ type: "published", id: "m1", sequence: 2n, logicalTime: 8n, session });
  assert.deepEqual(
    page.state.outbox.map((m) => m.id),
    ["m2"],
  );
  assert.equal(page.calls("publish").length, 2);
});

test("a message that was seen needs no retry when its answer is lost", () => {
  const { page, session } = sent(["a"]);
  page.event(2n, 8n, message("m1"), "p1", "a");
  page.feed({ type: "publish-failed", id: "m1", failure: LOST, session });
  assert.deepEqual(page.state.outbox, []);
});

test("another participant's message with the same id changes nothing", () => {
  const { page } = sent(["a"]);
  page.event(2n, 8n, message("m1"), "p9", "a");
  assert.equal(page.state.outbox[0]?.progress.at, "sending");
});

test("RATE_LIMITED waits as long as the service says", () => {
  const { page, session } = sent(["a"]);
  page.feed({ type: "publish-failed", id: "m1", failure: refusal("RATE_LIMITED", 2_500), session });
  page.wait(2_499);
  assert.equal(page.calls("publish").length, 1);
  page.wait(1);
  assert.equal(page.calls("publish").length, 2);
  assert.equal(page.records("publish_refused")[0]?.reason, "RATE_LIMITED");
});

test("a refused message stays until the user has dealt with it, and holds up nothing", () => {
  const { page, session } = sent(["a", "b"]);
  page.feed({ type: "publish-failed", id: "m1", failure: refusal("TEXT_TOO_LONG"), session });
  assert.deepEqual(
    page.state.outbox.map((m) => m.progress.at),
    ["refused", "sending"],
  );
  page.feed({ type: "discard", id: "m1" });
  assert.deepEqual(
    page.state.outbox.map((m) => m.id),
    ["m2"],
  );
});

test("what is written while offline is unsent, and goes out on the resume", () => {
  const page = new Page();
  page.join();
  page.ended(LOST);
  page.feed({ type: "send", id: "m1", text: "later" });
  assert.equal(page.calls("publish").length, 0);
  page.wait(500);
  page.resumed(1n, 3n);
  assert.equal(page.calls("publish")[0]?.id, "m1");
});

test("when the session is lost, an unanswered message waits for the user's decision, and an unsent one goes out", () => {
  const { page, session } = sent(["maybe", "never"]);
  page.feed({ type: "publish-failed", id: "m1", failure: LOST, session });
  page.ended(refusal("SESSION_UNKNOWN"));
  page.welcome({ id: "p2", head: 5n, time: 30n });
  assert.deepEqual(
    page.state.outbox.map((m) => m.progress.at),
    ["unconfirmed", "sending"],
  );
  assert.equal(page.calls("publish").at(-1)?.session.participantId, "p2");
  page.feed({ type: "send-again", id: "m1", newId: "m9" });
  assert.equal(page.state.outbox[0]?.id, "m9");
});

test("an acknowledgement that comes after the session was lost settles the doubt", () => {
  const { page, session } = sent(["maybe"]);
  page.ended(refusal("EPOCH_CHANGED"));
  assert.equal(page.state.outbox[0]?.progress.at, "unconfirmed");
  page.feed({ type: "published", id: "m1", sequence: 2n, logicalTime: 8n, session });
  assert.deepEqual(page.state.outbox, []);
});

test("SESSION_UNKNOWN on a publish joins anew, and the message goes out then", () => {
  const { page, session } = sent(["a"]);
  page.feed({ type: "publish-failed", id: "m1", failure: refusal("SESSION_UNKNOWN"), session });
  page.wait(200);
  assert.equal(page.calls("open").length, 2);
  page.welcome({ id: "p2", head: 5n, time: 30n });
  assert.equal(page.calls("publish")[1]?.session.participantId, "p2");
});

test("leaving keeps what was not sent, for the user to send or discard", () => {
  const page = new Page();
  page.join();
  page.ended(LOST);
  page.feed({ type: "send", id: "m1", text: "unsent" });
  page.feed({ type: "leave" });
  page.feed({ type: "leave-failed", failure: LOST, session: page.calls("leave")[0]!.session });
  assert.equal(page.state.outbox[0]?.progress.at, "held");
});

test("what a writer had seen is fixed at Enter: waiting in the queue does not raise it (V6)", () => {
  const { page, session } = sent(["a", "b"]);
  page.event(2n, 8n, message("", 0n, 0n));
  page.feed({ type: "published", id: "m1", sequence: 3n, logicalTime: 10n, session });
  assert.deepEqual(
    page.calls("publish").map(({ id, seen }) => [id, seen]),
    [
      ["m1", 1n],
      ["m2", 1n],
    ],
  );
  const [first, second] = page.calls("publish");
  assert.ok(second!.time > first!.time, "the time is that of the sending");
  assert.deepEqual(
    page.records("publish_sent").map((record) => record.seen_sequence),
    [1n, 1n],
  );
});

test("a retry and an outage do not raise what a writer had seen (V6)", () => {
  const { page, session } = sent(["a"]);
  page.event(2n, 8n, message());
  page.feed({ type: "publish-failed", id: "m1", failure: LOST, session });
  page.wait(500);
  page.ended(LOST);
  page.feed({ type: "send", id: "m2", text: "offline" });
  page.wait(500);
  page.resumed(4n, 20n);
  page.event(3n, 16n, message());
  page.feed({ type: "published", id: "m1", sequence: 4n, logicalTime: 20n, session });
  assert.deepEqual(
    page.calls("publish").map(({ id, seen }) => [id, seen]),
    [
      ["m1", 1n],
      ["m1", 1n],
      ["m2", 2n],
    ],
  );
});

test("a submission is logged at Enter, with what its writer had seen, its session and its text", () => {
  const page = new Page();
  page.join();
  page.ended(LOST);
  page.feed({ type: "send", id: "m1", text: "later" });
  assert.deepEqual(page.records("publish_queued"), [
    { epoch: "e1", participant_id: "p1", display_name: "alice", message_id: "m1", seen_sequence: 1n, content: "later" },
  ]);
  assert.equal(page.records("publish_sent").length, 0);
});

test("a reload keeps what a writer had seen, and does not submit again", () => {
  const { page } = sent(["a", "b"]);
  page.event(2n, 8n, message());
  const stored = toSnapshot(page.state);
  const reloaded = new Page(fromSnapshot(stored, "")!);
  reloaded.feed({ type: "resume" });
  reloaded.feed({ type: "slot", granted: true });
  reloaded.resumed(2n, 8n);
  assert.deepEqual(
    reloaded.calls("publish").map(({ id, seen }) => [id, seen]),
    [["m1", 1n]],
  );
  assert.equal(reloaded.records("publish_queued").length, 0);
  const older = stored.replaceAll(/"seen":"\d+",/g, "");
  assert.ok(older !== stored);
  assert.deepEqual(
    fromSnapshot(older, "")!.outbox.map(({ seen }) => seen),
    [2n, 2n],
    "an earlier version did not store it",
  );
});

test("a new session takes over waiting messages as written without having seen anything, and logs them", () => {
  const page = new Page();
  page.join();
  page.event(2n, 8n, message());
  page.ended(LOST);
  page.feed({ type: "send", id: "m1", text: "before the loss" });
  page.wait(500);
  page.ended(refusal("EPOCH_CHANGED"));
  page.feed({ type: "send", id: "m2", text: "while joining anew" });
  page.welcome({ id: "p1", epoch: "e2", head: 7n, time: 40n });
  const { session } = page.state;
  page.feed({ type: "published", id: "m1", sequence: 8n, logicalTime: 44n, session: session! });
  assert.deepEqual(
    page.calls("publish").map(({ id, seen }) => [id, seen]),
    [
      ["m1", 0n],
      ["m2", 0n],
    ],
  );
  assert.deepEqual(
    page.records("publish_queued").map((record) => [record.epoch, record.message_id, record.seen_sequence]),
    [
      ["e1", "m1", 2n],
      ["e2", "m1", 0n],
      ["e2", "m2", 0n],
    ],
  );
});

test("the writer of a message submitted before the page's own Joined arrives had seen nothing", () => {
  const page = new Page();
  page.feed({ type: "join", name: "alice", secret: "" });
  page.feed({ type: "slot", granted: true });
  const roster = [{ id: "p1", name: "alice" }];
  const welcome = {
    token: "t",
    participantId: "p1",
    epoch: "e1",
    head: 5n,
    logicalTime: 9n,
    resumed: false,
    roster,
    heartbeatMs: 15_000,
    limits: { text: 128, name: 32 },
  };
  page.frame({ type: "welcome", welcome });
  page.feed({ type: "send", id: "m1", text: "early" });
  assert.equal(page.records("publish_queued")[0]?.seen_sequence, 0n);
  page.event(5n, 9n, { type: "joined" }, "p1");
  assert.equal(page.calls("publish")[0]?.seen, 0n);
});

test("a message that the user sends again is a new one, written with what has been seen by then", () => {
  const { page } = sent(["maybe"]);
  page.ended(refusal("SESSION_UNKNOWN"));
  page.welcome({ id: "p2", head: 5n, time: 30n });
  page.feed({ type: "send-again", id: "m1", newId: "m9" });
  assert.deepEqual(
    page.calls("publish").map(({ id, seen }) => [id, seen]),
    [
      ["m1", 1n],
      ["m9", 5n],
    ],
  );
  assert.deepEqual(
    page.records("publish_queued").map((record) => [record.message_id, record.seen_sequence]),
    [
      ["m1", 1n],
      ["m9", 5n],
    ],
  );
});

test("a message that is known not to have reached its session, which has ended, waits for the user", () => {
  const { page, session } = sent(["late"]);
  page.ended(refusal("SESSION_UNKNOWN"));
  page.welcome({ id: "p2", head: 5n, time: 30n });
  page.feed({ type: "publish-failed", id: "m1", failure: refusal("SESSION_UNKNOWN"), session });
  assert.equal(page.state.outbox[0]?.progress.at, "held");
});

test("a message that may have been delivered does not go out under another name by itself", () => {
  const { page, session } = sent(["maybe"]);
  page.feed({ type: "publish-failed", id: "m1", failure: LOST, session });
  page.ended(refusal("SECRET_REQUIRED"));
  page.feed({ type: "join", name: "bob", secret: "s3cret" });
  assert.equal(page.state.outbox[0]?.progress.at, "unconfirmed");
});
