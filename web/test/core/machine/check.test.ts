/** A service that lies: the page shows nothing false, and its clock and its log stay true. tests/it/client/lies.rs is the same. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { WAIT_MAX_MS, credible, credibleHeartbeat, credibleWait } from "../../../src/core/machine/check.js";
import type { ChatEvent, Welcome } from "../../../src/core/event.js";
import { nextTick } from "../../../src/core/machine/machine.js";
import { presentSegment } from "../../../src/core/machine/state.js";
import { LOST, Page, event, message } from "../../support.js";

const MAX = (1n << 64n) - 1n;

test("a lie in the stream is neither shown nor received, the log says what was expected, and the stream is resumed", () => {
  const said = (changes: Partial<ChatEvent>): ChatEvent => ({ ...event(3n, 12n, message()), ...changes });
  const lies: ChatEvent[] = [
    said({ sequence: 4n }),
    said({ sequence: MAX }),
    said({ logicalTime: 8n }),
    said({ logicalTime: 0n }),
    said({ logicalTime: MAX }),
    said({ content: "" }),
    said({ content: "a".repeat(129) }),
    said({ content: "a".repeat(3_000_000) }),
    said({ author: { id: "", name: "" } }),
    said({ author: { id: "p9", name: "a".repeat(33) } }),
    said({ kind: message("", 12n) }),
    said({ kind: message("", 0n, 3n) }),
    said({ kind: message("m".repeat(65)) }),
    said({ kind: { type: "joined" }, content: "[12] bob: forged" }),
  ];
  for (const lie of lies) {
    const page = new Page();
    page.join();
    page.event(2n, 8n, message());
    const { clock } = page.state;
    page.frame({ type: "event", event: lie });
    assert.equal(page.state.phase.at, "offline");
    assert.equal(page.state.clock, clock);
    assert.deepEqual(
      presentSegment(page.state)?.live.map(({ sequence }) => sequence),
      [1n, 2n],
    );
    const refused = page.records("event_refused").map(({ sequence, expected_sequence }) => [sequence, expected_sequence]);
    assert.deepEqual(refused, [[lie.sequence, 3n]]);
    page.wait(500);
    assert.equal(page.calls("open")[1]?.after, 2n);
  }
});

test("a membership begins with the page's own join", () => {
  const page = new Page();
  page.feed({ type: "join", name: "alice", secret: "" });
  page.feed({ type: "slot", granted: true });
  page.frame({ type: "welcome", welcome: truth(5n, 9n, false) });
  page.event(4n, 7n, { type: "joined" }, "p9");
  assert.equal(page.state.phase.at, "offline");
  assert.deepEqual(
    page.records("event_refused").map(({ sequence }) => sequence),
    [4n],
  );
});

function truth(head: bigint, time: bigint, resumed: boolean): Welcome {
  const roster = [{ id: "p1", name: "alice" }];
  return {
    token: "token-p1",
    participantId: "p1",
    epoch: "e1",
    head,
    logicalTime: time,
    resumed,
    roster,
    heartbeatMs: 15_000,
    limits: { text: 128, name: 32 },
  };
}

test("a welcome that cannot be true resumes nothing", () => {
  const truly = truth(2n, 8n, true);
  const lies: Welcome[] = [
    { ...truly, roster: [] },
    { ...truly, roster: [{ id: "p1", name: "a".repeat(1_000) }] },
    { ...truly, roster: Array.from({ length: 200_000 }, (_, n) => ({ id: `p${n}`, name: "bob" })) },
    { ...truly, epoch: "another" },
    { ...truly, participantId: "p2", roster: [{ id: "p2", name: "bob" }] },
    { ...truly, token: "" },
    { ...truly, head: 1n },
    { ...truly, head: MAX },
    { ...truly, logicalTime: MAX },
  ];
  for (const lie of lies) {
    const page = new Page();
    page.join();
    page.event(2n, 8n, message());
    page.ended(LOST);
    page.wait(500);
    const { clock } = page.state;
    page.frame({ type: "welcome", welcome: lie });
    assert.equal(page.state.phase.at, "offline");
    assert.deepEqual([page.state.clock, page.state.position, page.records("resumed").length], [clock, 2n, 0]);
  }
});

test("a service that lies right after each welcome is asked less and less often", () => {
  const page = new Page();
  page.join();
  for (const pause of [200, 400, 800, 1_600, 3_200]) {
    page.event(MAX, 8n, message());
    assert.equal(nextTick(page.state), page.at + pause);
    page.wait(pause);
    page.resumed(1n, 3n);
  }
});

test("an answer that cannot be true acknowledges nothing", () => {
  for (const [sequence, logicalTime] of [
    [0n, 9n],
    [MAX, 9n],
    [2n, MAX],
    [2n, 0n],
  ] as const) {
    const page = new Page();
    const session = page.join();
    page.feed({ type: "send", id: "m1", text: "hello" });
    const { clock } = page.state;
    page.feed({ type: "published", id: "m1", sequence, logicalTime, session });
    assert.equal(page.records("publish_acknowledged").length, 0);
    assert.deepEqual([page.state.outbox[0]?.progress.at, page.state.clock], ["queued", clock]);
  }
});

test("a page of earlier events is cut at the first that cannot be true", () => {
  const at = (sequence: bigint, time: bigint) => event(sequence, time, message());
  assert.equal(credible([at(1n, 3n), at(2n, 6n)]).length, 2);
  assert.equal(credible([at(1n, 3n), at(3n, 6n)]).length, 1);
  assert.equal(credible([at(1n, 3n), at(2n, 3n)]).length, 1);
  assert.equal(credible([at(MAX, 3n)]).length, 0);
  assert.equal(credible([]).length, 0);
});

test("no service can make a page wait for years, or not at all", () => {
  assert.equal(credibleWait(366 * 24 * 60 * 60 * 1_000), WAIT_MAX_MS);
  assert.equal(credibleWait(-1), 0);
  assert.equal(credibleWait(Number.NaN), 0);
  assert.equal(credibleHeartbeat(0), 15_000);
  assert.equal(credibleHeartbeat(Number.NaN), 15_000);
  assert.equal(credibleHeartbeat(-5), 1_000);
  assert.equal(credibleHeartbeat(Number.POSITIVE_INFINITY), 24 * 60 * 60 * 1_000);
});
