import assert from "node:assert/strict";
import { test } from "node:test";
import type { ChatEvent } from "../../../src/core/event.js";
import { type Item, grouped, items, lastEvent, summary } from "../../../src/view/transcript/items.js";
import { line } from "../../../src/view/transcript/copy.js";
import { HUES, hueOf } from "../../../src/view/parts/palette.js";
import { change } from "../../../src/view/people.js";
import { event, message } from "../../support.js";

const SEGMENT = { selfId: "me", joinedAt: 1n };
const NOON = new Date(2026, 10, 26, 12).getTime();
const HOUR = 3_600_000;

const joined = (sequence: number, id: string) => event(BigInt(sequence), BigInt(2 * sequence + 1), { type: "joined" }, id);
const left = (sequence: number, id: string) => event(BigInt(sequence), BigInt(2 * sequence + 1), { type: "left", disconnected: false }, id);
const said = (sequence: number, id: string, at: number | null = null) => ({
  ...event(BigInt(sequence), BigInt(2 * sequence + 1), message(), id),
  recordedAt: at,
});
const rows = (events: readonly ChatEvent[]) => events.map((event) => ({ event, contradiction: null }));
const of = (events: readonly ChatEvent[], before: ChatEvent | null = null) => items(rows(events), before, SEGMENT);
const types = (found: readonly Item[]) => found.map((item) => (item.type === "fold" ? `fold of ${item.rows.length}` : item.type));

test("a run of joins and leaves is folded, and what is in it stays in order", () => {
  const run = [joined(2, "a"), joined(3, "b"), left(4, "a"), joined(5, "c")];
  const found = of([said(1, "me"), ...run, said(6, "b")]);
  assert.deepEqual(types(found), ["event", "fold of 4", "event"]);
  const [, fold] = found;
  assert.ok(fold?.type === "fold");
  assert.deepEqual(
    fold.rows.map((row) => row.event),
    run,
  );
  assert.equal(lastEvent(fold), run[3]);
  assert.equal(fold.key, "fold 2", "it keeps its key while it grows");
});

test("a short run is not folded, nor is what this page's user does", () => {
  assert.deepEqual(types(of([joined(2, "a"), joined(3, "b"), joined(4, "c")])), ["event", "event", "event"]);
  assert.deepEqual(types(of([joined(2, "a"), joined(3, "b"), joined(4, "me"), joined(5, "c"), joined(6, "d")])), [
    "event",
    "event",
    "event",
    "event",
    "event",
  ]);
});

test("a run ends where the wall clock is wrong", () => {
  const run = ["a", "b", "c", "d", "e"].map((id, index) => ({ event: joined(index + 2, id), contradiction: null }));
  const contradiction = { relation: "unknown", earlier: run[4]!.event, later: run[0]!.event } as const;
  const found = items([...run.slice(0, 4), { event: run[4]!.event, contradiction }], null, SEGMENT);
  assert.deepEqual(types(found), ["fold of 4", "contradiction", "event"]);
});

test("a fold says how many joined and left, when, and the names, each once", () => {
  const fold = (events: readonly ChatEvent[]) => {
    const [item] = of(events);
    assert.ok(item?.type === "fold");
    return summary(item.rows, (name) => name);
  };
  assert.equal(fold([joined(2, "a"), joined(3, "b"), left(4, "a"), joined(5, "c")]), "3 joined, 1 left at 5 to 11: a, b, c");
  assert.equal(fold([2, 3, 4, 5].map((n) => left(n, `p${n}`))), "4 left at 5 to 11: p2, p3, p4, p5");
  assert.equal(fold([2, 3, 4, 5, 6].map((n) => joined(n, `p${n}`))), "5 joined at 5 to 13: p2, p3, p4, p5, p6");
  assert.equal(fold([2, 3, 4, 5, 6, 7].map((n) => joined(n, `p${n}`))), "6 joined at 5 to 15: p2, p3, p4, p5 and 2 more");
});

test("in a long run of one author the name is repeated, and stays where it is when history is loaded above", () => {
  const named = (from: number, to: number) => {
    const run = Array.from({ length: to - from + 1 }, (_, index) => said(from + index, "a", NOON));
    return of(run).flatMap((item) => (item.type === "event" && !item.continued ? [Number(item.sequence)] : []));
  };
  assert.deepEqual(named(1, 4), [1]);
  assert.deepEqual(named(8, 12), [8], "a short run has its name once");
  assert.deepEqual(named(1, 33), [1, 10, 20, 30]);
  assert.deepEqual(named(13, 33), [13, 20, 30]);
});

test("each local day begins with a divider, and an author's name is shown again below it", () => {
  const found = of([
    said(1, "a", NOON),
    said(2, "a", NOON + 1),
    said(3, "a", NOON + 12 * HOUR),
    said(4, "a", null),
    said(5, "a", NOON + 13 * HOUR),
  ]);
  assert.deepEqual(types(found), ["day", "event", "event", "day", "event", "event", "event"]);
  const continued = found.flatMap((item) => (item.type === "event" ? [item.continued] : []));
  assert.deepEqual(continued.slice(0, 3), [false, true, false]);
  assert.deepEqual(types(of([said(2, "a", NOON)], said(1, "a", NOON - HOUR))), ["event"], "the list before has the divider");
  assert.deepEqual(types(of([said(2, "a", NOON)], said(1, "a", NOON - 13 * HOUR))), ["day", "event"]);
});

test("items are grouped by sequence, so that groups stay when items come and go at the ends", () => {
  const talk = Array.from({ length: 120 }, (_, index) => said(index + 1, "a"));
  const keys = (events: readonly ChatEvent[]) => grouped(of(events)).map(({ key, items }) => `${key}: ${items.length}`);
  assert.deepEqual(keys(talk), ["0.1: 49", "1.1: 50", "2.1: 21"]);
  assert.deepEqual(keys(talk.slice(60, 110)), ["1.1: 39", "2.1: 11"]);
  assert.deepEqual(keys([talk[99]!, talk[0]!, talk[100]!]), ["2.1: 1", "0.1: 1", "2.2: 1"], "by wall clock");
});

test("events from before this page joined are marked as earlier", () => {
  const found = items(rows([said(1, "a"), said(2, "b")]), null, { selfId: "me", joinedAt: 2n });
  assert.deepEqual(
    found.map((item) => item.type === "event" && item.earlier),
    [true, false],
  );
});

test("a copied event is one line, and shows what it escapes", () => {
  assert.equal(line("9", "alice", "hello"), "[9] alice: hello");
  assert.equal(
    line("5", null, "Participant alice joined Chit Chat at logical time 5"),
    "[5] Participant alice joined Chit Chat at logical time 5",
  );
  assert.equal(line("9", "a\u202eb", "one\ntwo"), "[9] a\\u{202e}b: one\\ntwo");
});

test("a color depends on the name alone, and colors are spread", () => {
  const count = new Map<string, number>();
  for (let n = 0; n < 1_600; n += 1) count.set(hueOf(`user-${n}`), (count.get(hueOf(`user-${n}`)) ?? 0) + 1);
  assert.equal(count.size, HUES);
  for (const [hue, times] of count) assert.ok(times > 60 && times < 140, `${hue} ${times}`);
  assert.equal(new Set(["alice", "bob", "carol", "dave", "dora", "eve"].map(hueOf)).size, 6);
});

test("connections that break or are back are announced, leaves are not", () => {
  const people = ["a", "b", "c", "d", "e", "f"].map((id) => ({ id, name: `N${id}` }));
  const none = new Set<string>();
  assert.equal(change(people, none, new Set(["a"])), "Na is reconnecting.");
  assert.equal(change(people, new Set(["a"]), none), "Na is back.");
  assert.equal(change(people, new Set(["a"]), new Set(["b", "c"])), "Nb, Nc are reconnecting. Na is back.");
  assert.equal(change(people, none, new Set(["a", "b", "c", "d", "e", "f"])), "Na, Nb, Nc, Nd and 2 more are reconnecting.");
  assert.equal(change(people, new Set(["gone"]), none), "");
});
