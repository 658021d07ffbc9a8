import assert from "node:assert/strict";
import { test } from "node:test";
import { CROSSED_NAMED, CROSSINGS_SEARCHED, Causality, type Relation } from "../../../src/core/causality/causality.js";
import type { ChatEvent, EventKind } from "../../../src/core/event.js";
import { byWallClock } from "../../../src/core/causality/wall.js";
import { event, message } from "../../support.js";

const JOINED: EventKind = { type: "joined" };
const LEFT: EventKind = { type: "left", disconnected: false };
const GONE: EventKind = { type: "left", disconnected: true };

/** A conversation: who did what, in the order of the sequences. A number is a message whose writer had seen up to there. */
function conversation(...acts: [string, EventKind | number][]): ChatEvent[] {
  return acts.map(([who, act], index) => {
    const sequence = BigInt(index + 1);
    return event(sequence, sequence * 2n + 1n, typeof act === "number" ? message(`m${sequence}`, 1n, BigInt(act)) : act, who);
  });
}

/** The relations of all events to one, by sequence. */
function check(events: ChatEvent[], sequence: number, expected: Partial<Record<Relation, number[]>>) {
  const causality = Causality.of(events);
  const chosen = events[sequence - 1]!;
  const found: Partial<Record<Relation, number[]>> = {};
  for (const other of events) (found[causality.relation(other, chosen)] ??= []).push(Number(other.sequence));
  assert.deepEqual(found, { same: [sequence], ...expected });
}

const TWO: [string, EventKind | number][] = [
  ["alice", JOINED],
  ["bob", JOINED],
];

test("a message's past is what its writer had seen, and its future what was written after seeing it", () => {
  const events = conversation(...TWO, ["alice", 2], ["bob", 3], ["alice", 4]);
  check(events, 4, { past: [1, 2, 3], future: [5] });
});

test("messages written without knowledge of each other are concurrent, whatever their order (Lamport 1978)", () => {
  const events = conversation(...TWO, ["alice", 2], ["bob", 2], ["alice", 4]);
  check(events, 3, { past: [1, 2], future: [5], concurrent: [4] });
  check(events, 4, { past: [1, 2], future: [5], concurrent: [3] });
});

test("an author's own earlier messages are in the past of the next, though it had not seen them delivered", () => {
  const events = conversation(...TWO, ["bob", 2], ["alice", 2], ["alice", 2]);
  check(events, 5, { past: [1, 2, 4], concurrent: [3] });
});

test("what an author has once seen stays in its past", () => {
  const events = conversation(...TWO, ["bob", 2], ["alice", 3], ["alice", 0]);
  check(events, 5, { past: [1, 2, 3, 4] });
});

test("no writer has seen what came after its message", () => {
  const events = conversation(...TWO, ["alice", 99], ["bob", 2]);
  check(events, 3, { past: [1, 2], concurrent: [4] });
});

test("the relation of a Joined to the events before it is unknown, and never called concurrent", () => {
  const events = conversation(...TWO, ["alice", 2], ["carol", JOINED], ["carol", 4]);
  check(events, 4, { unknown: [1, 2, 3], future: [5] });
  check(events, 3, { past: [1, 2], unknown: [4], future: [5] });
});

test("a participant may join again under another identity, so its join is not called concurrent with the leave", () => {
  const events = conversation(...TWO, ["bob", LEFT], ["bob again", JOINED]);
  check(events, 4, { unknown: [1, 2, 3] });
  check(events, 3, { past: [2], unknown: [1, 4] });
});

test("a Left that was asked for has its participant's own past, and what the participant saw later is unknown", () => {
  const events = conversation(...TWO, ["alice", 2], ["bob", 3], ["alice", 3], ["bob", LEFT], ["alice", 6]);
  check(events, 6, { past: [1, 2, 3, 4], unknown: [5], future: [7] });
  check(events, 5, { past: [1, 2, 3], concurrent: [4], unknown: [6], future: [7] });
});

test("only two messages are ever called concurrent, and every relation has its inverse", () => {
  const acts: [string, EventKind | number][] = [
    ...TWO,
    ["alice", 2],
    ["bob", 2],
    ["carol", JOINED],
    ["alice", 3],
    ["bob", LEFT],
    ["dora", JOINED],
    ["carol", 5],
    ["dora", GONE],
    ["alice", 8],
  ];
  const events = conversation(...acts);
  const causality = Causality.of(events);
  const turned: Record<Relation, Relation> = { same: "same", past: "future", future: "past", concurrent: "concurrent", unknown: "unknown" };
  for (const one of events) {
    for (const other of events) {
      const relation = causality.relation(one, other);
      assert.equal(causality.relation(other, one), turned[relation], `${one.sequence} and ${other.sequence}`);
      if (relation === "concurrent") assert.deepEqual([one.kind.type, other.kind.type], ["message", "message"]);
    }
  }
});

test("a Left after a lost connection comes from the service: everything before it is its past", () => {
  check(conversation(...TWO, ["alice", 2], ["bob", GONE]), 4, { past: [1, 2, 3] });
});

test("only messages of different writers cross, and both are marked", () => {
  const events = conversation(...TWO, ["alice", 2], ["bob", 2], ["carol", JOINED], ["alice", 3]);
  const causality = Causality.of(events);
  const names = (of: number) => {
    const crossed = causality.crossed(events[of - 1]!);
    return crossed === null ? null : [crossed.unseen, crossed.by].map((some) => some.map(({ sequence }) => Number(sequence)));
  };
  assert.deepEqual(names(4), [[3], [6]]);
  assert.deepEqual(names(3), [[], [4]]);
  assert.deepEqual(names(6), [[4], []]);
  assert.equal(names(5), null);
});

test("if very many crossed, the nearest are named and all are counted", () => {
  const many = Array.from({ length: 20 }, (): [string, number] => ["bob", 2]);
  const events = conversation(...TWO, ...many, ["alice", 2]);
  const crossed = Causality.of(events).crossed(events[22]!);
  assert.equal(crossed?.unseenCount, 20);
  assert.deepEqual(
    crossed?.unseen.map(({ sequence }) => Number(sequence)),
    [22, 21, 20, 19, 18, 17],
  );
  assert.equal(crossed?.unseen.length, CROSSED_NAMED);
});

test("a conversation that grows, at either end, is followed", () => {
  const events = conversation(...TWO, ["alice", 2], ["bob", 2]);
  const causality = Causality.of(events.slice(2, 3));
  causality.follow(events.slice(2));
  assert.equal(causality.crossed(events[3]!)?.unseenCount, 1);
  causality.follow(events);
  assert.equal(causality.relation(events[0]!, events[3]!), "past");
  assert.equal(causality.crossed(events[3]!)?.unseenCount, 1, "not counted twice");
});

/** The rows by wall clock, as sequences; a place is marked by the pair that it contradicts. */
function walled(events: ChatEvent[], ...seconds: (number | null)[]) {
  const timed = events.map((one, index) => ({ ...one, recordedAt: seconds[index] ?? null }));
  return byWallClock(Causality.of(timed)).map(({ event: { sequence }, contradiction: found }) =>
    found === null ? `${sequence}` : `${found.relation} ${found.earlier.sequence}<${found.later.sequence}: ${sequence}`,
  );
}

test("a wall clock that agrees is not marked, and equal times keep the order", () => {
  const events = conversation(...TWO, ["alice", 2], ["bob", 3]);
  assert.deepEqual(walled(events, 1, 2, 3, 4), ["1", "2", "3", "4"]);
  assert.deepEqual(walled(events, 1, 1, 1, 1), ["1", "2", "3", "4"]);
  assert.deepEqual(walled(events, 1, null, 3, 4), ["1", "2", "3", "4"]);
});

test("a wall clock that was set back puts effects before causes, and this is marked once, where it happens", () => {
  const events = conversation(...TWO, ["alice", 2], ["bob", 3], ["alice", 4]);
  assert.deepEqual(walled(events, 10, 11, 12, 3, 4), ["4", "5", "past 1<5: 1", "2", "3"]);
});

test("a wall clock that only swaps messages that crossed contradicts the order, not causality", () => {
  const events = conversation(...TWO, ["alice", 2], ["bob", 2]);
  assert.deepEqual(walled(events, 1, 2, 5, 4), ["1", "2", "4", "concurrent 3<4: 3"]);
});

test("of several contradictions in one place, the one with causality is shown", () => {
  // Joined 3 may have known nothing of 1; message 4 had seen everything up to 2.
  const events = conversation(...TWO, ["carol", JOINED], ["alice", 2]);
  assert.deepEqual(walled(events, 7, 8, 1, 9), ["3", "unknown 1<3: 1", "2", "4"]);
  assert.deepEqual(walled(events, 7, 8, 1, 2), ["3", "4", "past 1<4: 1", "2"]);
});

test("a wall clock that puts a Left before what its participant may have seen perhaps contradicts causality", () => {
  const events = conversation(...TWO, ["alice", 2], ["bob", 2], ["alice", 4], ["bob", LEFT]);
  assert.deepEqual(walled(events, 1, 2, 3, 4, 9, 8), ["1", "2", "3", "4", "6", "unknown 5<6: 5"]);
  // 4 is newer than the Joined above, and concurrent with 2; the Joined is the one to be shown.
  const mixed = conversation(["alice", JOINED], ["alice", 1], ["carol", JOINED], ["bob", 1]);
  assert.deepEqual(walled(mixed, 1, 9, 2, 3), ["1", "3", "4", "unknown 2<3: 2"]);
});

test("a message that does not say what its writer had seen is never called concurrent", () => {
  const events = conversation(...TWO, ["alice", 0], ["bob", 2]);
  check(events, 3, { past: [1], unknown: [2, 4] });
  const causality = Causality.of(events);
  assert.deepEqual(
    [events[2]!, events[3]!].map((one) => causality.crossed(one)),
    [null, null],
  );
});

test("in a long conversation, only the newest events are searched for those that a message crossed", () => {
  const many = Array.from({ length: CROSSINGS_SEARCHED + 100 }, (): [string, number] => ["bob", 2]);
  const events = conversation(...TWO, ...many, ["alice", 2]);
  assert.equal(Causality.of(events).crossed(events.at(-1)!)?.unseenCount, CROSSINGS_SEARCHED);
});

test("an author who claims to have seen less than before does not cross what it had seen", () => {
  const events = conversation(...TWO, ["bob", 2], ["alice", 3], ["alice", 0]);
  assert.equal(Causality.of(events).crossed(events[4]!), null);
});

test("the changed events are the new ones and those that they crossed", () => {
  const talk = [
    event(1n, 3n, { type: "joined" }, "alice"),
    event(2n, 5n, { type: "joined" }, "bob"),
    event(3n, 9n, message("a", 7n, 2n), "alice"),
    event(4n, 11n, message("b", 7n, 2n), "bob"),
  ];
  const causality = Causality.of(talk.slice(0, 3));
  assert.deepEqual([...causality.takeChanged()], [1n, 2n, 3n]);
  assert.deepEqual([...causality.takeChanged()], []);
  causality.follow(talk);
  assert.deepEqual(new Set(causality.takeChanged()), new Set([3n, 4n]));
  causality.follow(talk.slice(1));
  assert.deepEqual(new Set(causality.takeChanged()), new Set([2n, 3n, 4n]), "without its first event it is another stretch");
});
