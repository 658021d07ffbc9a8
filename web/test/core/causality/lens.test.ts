import assert from "node:assert/strict";
import { test } from "node:test";
import { Causality } from "../../../src/core/causality/causality.js";
import { SERVICE, atWallClock, backwards, level } from "../../../src/core/causality/cut.js";
import type { ChatEvent } from "../../../src/core/event.js";
import { type Lens, look } from "../../../src/core/causality/lens.js";
import { type Question, question } from "../../../src/core/causality/quiz.js";
import { event, message } from "../../support.js";

/** Bob answers alice's question, and carol writes at the same time as bob. */
const TALK: ChatEvent[] = [
  event(1n, 3n, { type: "joined" }, "alice"),
  event(2n, 5n, { type: "joined" }, "bob"),
  event(3n, 7n, { type: "joined" }, "carol"),
  event(4n, 11n, message("q", 9n, 3n), "alice", "who?"),
  event(5n, 15n, message("a", 13n, 4n), "bob", "me"),
  event(6n, 17n, message("c", 9n, 3n), "carol", "hello"),
];

const causality = Causality.of(TALK);
const seen = (lens: Lens) => look(lens, TALK, causality);
const sequences = (events: readonly ChatEvent[]) => events.map(({ sequence }) => Number(sequence));

test("the total order swaps nothing", () => {
  assert.deepEqual(sequences(seen({ name: "total" }).order), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(seen({ name: "total" }).swappable, []);
});

test("a causal order swaps what is concurrent, and never an effect and its cause", () => {
  const { order, swappable, wrong } = seen({ name: "causal" });
  assert.deepEqual(sequences(order), [1, 2, 3, 6, 4, 5]);
  assert.deepEqual(
    swappable.map((pair) => sequences(pair)),
    [
      [4, 6],
      [5, 6],
    ],
  );
  assert.deepEqual(wrong, []);
});

test("an order per sender may put an answer before its question", () => {
  const { order, swappable, wrong } = seen({ name: "fifo" });
  const place = (sequence: number) => sequences(order).indexOf(sequence);
  assert.ok(place(5) < place(4), "the answer comes before the question");
  for (const [first, second] of [
    [1, 4],
    [2, 5],
    [3, 6],
  ] as const)
    assert.ok(place(first) < place(second), "of one sender");
  assert.ok(wrong.some(([first, second]) => first.sequence === 4n && second.sequence === 5n));
  assert.equal(swappable.length, 15 - 3);
});

test("a screen that shows its own messages at once shows them where they were written", () => {
  assert.deepEqual(sequences(seen({ name: "arrival", reader: "carol" }).order), [1, 2, 3, 6, 4, 5]);
  assert.deepEqual(sequences(seen({ name: "arrival", reader: "bob" }).order), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(seen({ name: "arrival", reader: "carol" }).wrong, []);
});

test("by the senders' wall clocks an effect may come before its cause", () => {
  const late = TALK.map((one, index): ChatEvent => {
    const at = 1_000 * index;
    // Bob's clock is slow.
    const kind = one.kind.type === "message" ? { ...one.kind, sentAt: one.author.id === "bob" ? at - 1_500 : at } : one.kind;
    return { ...one, recordedAt: at, kind };
  });
  const { order, wrong } = look({ name: "wall" }, late, Causality.of(late));
  assert.deepEqual(sequences(order), [1, 2, 3, 5, 4, 6]);
  assert.deepEqual(
    wrong.map((pair) => sequences(pair)),
    [[4, 5]],
  );
});

test("a level cut is consistent, and a bent one may not be", () => {
  const people = ["alice", "bob", "carol"].map((id) => ({ id, name: id }));
  for (let time = 0n; time < 20n; time += 1n) assert.deepEqual(backwards(TALK, level(people, time), new Map()), []);
  const line = (alice: bigint, bob: bigint, service: bigint) =>
    new Map([
      ["alice", alice],
      ["bob", bob],
      ["carol", 0n],
      [SERVICE, service],
    ]);
  assert.deepEqual(backwards(TALK, line(9n, 0n, 11n), new Map()), []);
  const unsent = backwards(TALK, line(8n, 0n, 11n), new Map());
  assert.deepEqual(
    unsent.map(({ type, event }) => [type, event.sequence]),
    [["unsent", 4n]],
  );
  // Bob has answered a message that has not been broadcast yet.
  const unseen = backwards(TALK, line(9n, 13n, 10n), new Map());
  assert.deepEqual(
    unseen.map(({ type, event }) => [type, event.sequence]),
    [["unseen", 4n]],
  );
  const undelivered = backwards(TALK, line(12n, 0n, 10n), new Map([["alice", new Map([[4, 12n]])]]));
  assert.deepEqual(
    undelivered.map(({ type, event }) => [type, event.sequence]),
    [["undelivered", 4n]],
  );
});

test("a cut by wall clock takes what each clock says has happened", () => {
  const timed = TALK.map((one, index) => ({ ...one, recordedAt: 1_000 * index }));
  const line = atWallClock(
    timed,
    ["alice", "bob"].map((id) => ({ id, name: id })),
    3_000,
  );
  assert.deepEqual(
    [...line],
    [
      [SERVICE, 11n],
      ["alice", 9n],
      ["bob", 0n],
    ],
  );
});

test("questions have the answers that the run gives", () => {
  const kinds = new Set<string>();
  let seed = 1;
  const chance = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  for (let n = 0; n < 400; n += 1) {
    const asked: Question = question(TALK, causality, chance)!;
    kinds.add(`${asked.type}${"answer" in asked && typeof asked.answer === "boolean" ? ` ${asked.answer}` : ""}`);
    switch (asked.type) {
      case "time":
        assert.ok(asked.answer === asked.sent + 2n || asked.answer === asked.service + 2n);
        assert.ok(asked.answer > asked.sent + 1n && asked.answer > asked.service + 1n);
        assert.equal(asked.options.filter((option) => option === asked.answer).length, 1);
        assert.equal(new Set(asked.options).size, asked.options.length);
        break;
      case "concurrent":
        for (const event of TALK) {
          const is = causality.relation(event, asked.event) === "concurrent";
          assert.equal(asked.answers.has(event.sequence), is);
        }
        break;
      case "swap":
        assert.equal(asked.answer, causality.relation(asked.first, asked.second) === "concurrent");
        break;
      case "cut":
        assert.equal(asked.answer, backwards(TALK, asked.line, new Map()).length === 0);
        break;
    }
  }
  assert.deepEqual([...kinds].sort(), ["concurrent", "cut false", "cut true", "swap false", "swap true", "time"]);
  assert.equal(question([], Causality.of([]), chance), null);
});
