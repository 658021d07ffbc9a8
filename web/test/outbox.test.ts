import assert from "node:assert/strict";
import { test } from "node:test";
import { LOST, Page, message, refusal } from "./support.js";

function sent(texts: string[]) {
  const page = new Page();
  const session = page.join();
  texts.forEach((text, index) => page.feed({ type: "send", id: `m${index + 1}`, text }));
  return { page, session };
}

test("one message is on its way at a time, in the order of writing", () => {
  const { page, session } = sent(["a", "b"]);
  assert.deepEqual(page.calls("publish").map((call) => call.text), ["a"]);
  page.feed({ type: "published", id: "m1", sequence: 2n, logicalTime: 8n, session });
  assert.deepEqual(page.calls("publish").map((call) => call.text), ["a", "b"]);
});

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
  assert.deepEqual(page.state.outbox.map((m) => m.id), ["m2"]);
  assert.equal(page.calls("publish").length, 2);
});

test("a message that was seen needs no retry when its answer is lost", () => {
  const { page, session } = sent(["a"]);
  page.event(2n, 8n, message("m1"), "p1", "a");
  page.feed({ type: "publish-failed", id: "m1", failure: LOST, session });
  assert.deepEqual(page.state.outbox, []);
});

test("somebody else's message with the same id changes nothing", () => {
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
  assert.deepEqual(page.state.outbox.map((m) => m.progress.at), ["refused", "sending"]);
  page.feed({ type: "discard", id: "m1" });
  assert.deepEqual(page.state.outbox.map((m) => m.id), ["m2"]);
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

test("when the session is lost, a message without an answer is for the user to judge, an unsent one goes out", () => {
  const { page, session } = sent(["maybe", "never"]);
  page.feed({ type: "publish-failed", id: "m1", failure: LOST, session });
  page.ended(refusal("SESSION_UNKNOWN"));
  page.welcome({ id: "p2", head: 5n, time: 30n });
  assert.deepEqual(page.state.outbox.map((m) => m.progress.at), ["unconfirmed", "sending"]);
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
