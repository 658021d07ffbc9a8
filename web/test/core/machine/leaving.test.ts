import assert from "node:assert/strict";
import { test } from "node:test";
import { LEAVE_WAIT_MS, READ_ON_MS, giveUpStream } from "../../../src/core/machine/leaving.js";
import { nextTick } from "../../../src/core/machine/machine.js";
import type { Session } from "../../../src/core/machine/state.js";
import { fromSnapshot, toSnapshot } from "../../../src/core/snapshot.js";
import { LOST, Page, message, refusal } from "../../support.js";

test("a leave waits for the message before it, and says when it happened", () => {
  const page = new Page();
  const session = page.join();
  page.feed({ type: "send", id: "m1", text: "bye" });
  page.feed({ type: "leave" });
  assert.equal(page.calls("leave").length, 0);
  page.feed({ type: "published", id: "m1", sequence: 2n, logicalTime: 8n, session });
  assert.equal(page.calls("leave")[0]?.time, 10n);
  page.feed({ type: "left", sequence: 3n, logicalTime: 12n, session });
  page.ended(null);
  assert.deepEqual(page.state.farewell, { type: "left", logicalTime: 12n });
  assert.equal(page.state.session, null);
});

test("an unanswered leave does not hold the user back", () => {
  const page = new Page();
  page.join();
  page.feed({ type: "leave" });
  page.wait(6_000);
  assert.equal(page.state.phase.at, "out");
  assert.deepEqual(
    page.records("disconnected").map((record) => record.reason),
    ["CONNECTION_LOST"],
    "the stream was not read to its end",
  );
});

test("a participant that is leaving does not come back by reloading", () => {
  const page = new Page();
  page.join();
  page.feed({ type: "leave" });
  assert.equal(fromSnapshot(toSnapshot(page.state), "")?.session, null);
});

/** A page whose leave has been acknowledged as event 4, while events 2 and 3 are still on their way. */
function leftAsFour() {
  const page = new Page();
  const session = page.join();
  page.feed({ type: "leave" });
  page.feed({ type: "left", sequence: 4n, logicalTime: 12n, session });
  return page;
}

test("after leaving, the page reads to the end of the stream: events before its Left belong to it, too (V9)", () => {
  const page = leftAsFour();
  assert.equal(page.calls("close").length, 0);
  page.event(2n, 8n, message());
  page.event(3n, 10n, message());
  assert.deepEqual(
    page.records("event_delivered").map((record) => record.sequence),
    [1n, 2n, 3n],
  );
  page.ended(null);
  assert.deepEqual(page.state.farewell, { type: "left", logicalTime: 12n });
  assert.deepEqual(
    page.records("disconnected").map((record) => record.reason),
    ["LEFT"],
  );
});

test("if the stream ends before the leave is answered, the page only waits for the answer", () => {
  const page = new Page();
  const session = page.join();
  page.feed({ type: "leave" });
  page.ended(null);
  assert.equal(page.state.phase.at, "leaving");
  page.feed({ type: "left", sequence: 2n, logicalTime: 12n, session });
  assert.equal(page.state.phase.at, "out");
  assert.deepEqual(
    page.records("disconnected").map((record) => record.reason),
    ["LEFT"],
  );
});

test("a stream that does not end, or breaks, does not hold the user back, and the log says that it was not read to its end", () => {
  const slow = leftAsFour();
  assert.equal(nextTick(slow.state), slow.at + READ_ON_MS);
  slow.wait(READ_ON_MS);
  const broken = leftAsFour();
  broken.ended(LOST);
  const gap = leftAsFour();
  gap.event(3n, 10n, message());
  for (const page of [slow, broken, gap]) {
    assert.deepEqual(page.state.farewell, { type: "left", logicalTime: 12n });
    const reason = page === gap ? "an event that is not the next" : "CONNECTION_LOST";
    assert.deepEqual(
      page.records("disconnected").map((record) => record.reason),
      [reason],
    );
  }
});

test("a leave that is not acknowledged is recorded as LEFT only if the stream has ended", () => {
  const ways: readonly ((page: Page, session: Session) => unknown)[] = [
    (page) => page.wait(LEAVE_WAIT_MS),
    (page, session) => page.feed({ type: "leave-failed", failure: LOST, session }),
    (page, session) => page.feed({ type: "leave-failed", failure: refusal("SESSION_UNKNOWN"), session }),
  ];
  for (const fail of ways) {
    for (const reason of ["LEFT", "CONNECTION_LOST"]) {
      const page = new Page();
      const session = page.join();
      page.feed({ type: "leave" });
      if (reason === "LEFT") page.ended(null);
      fail(page, session);
      assert.equal(page.state.phase.at, "out");
      assert.deepEqual(
        page.records("disconnected").map((record) => record.reason),
        [reason],
      );
    }
  }
});

test("a takeover while the page is leaving is recorded once", () => {
  const page = new Page();
  page.join();
  page.feed({ type: "leave" });
  page.ended(refusal("REPLACED"));
  assert.equal(page.state.farewell?.type, "replaced");
  assert.deepEqual(
    page.records("disconnected").map((record) => record.reason),
    ["REPLACED"],
  );
});

test("a page that is closed while it reads on after its leave says that it did not read to the end (V9)", () => {
  const events = (page: Page) =>
    giveUpStream(page.state).outputs.flatMap((output) => (output.do === "record" ? [output.record.event] : []));
  assert.deepEqual(events(leftAsFour()), ["disconnected"]);
  const online = new Page();
  online.join();
  assert.deepEqual(events(online), []);
  const ended = new Page();
  ended.join();
  ended.feed({ type: "leave" });
  ended.ended(null);
  assert.deepEqual(events(ended), []);
});
