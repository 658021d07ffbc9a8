import assert from "node:assert/strict";
import { test } from "node:test";
import { Causality } from "../../src/core/causality/causality.js";
import { SIGN, contradiction, crossing, facts } from "../../src/view/facts.js";
import { event, message } from "../support.js";

const TALK = [
  event(1n, 3n, { type: "joined" }, "alice"),
  event(2n, 5n, { type: "joined" }, "bob"),
  event(3n, 11n, message("a", 9n, 2n), "alice"),
  event(4n, 13n, message("b", 9n, 2n), "bob"),
  event(5n, 15n, message("c", 12n, 3n), "alice"),
  event(6n, 17n, { type: "left", disconnected: true }, "bob"),
];

/** The facts that the page shows about the event with this sequence. */
function said(sequence: number, events = TALK) {
  return facts(events[sequence - 1]!, Causality.of(events)).map(({ text }) => text);
}

test("what is known about a message's causes is put into words", () => {
  assert.deepEqual(said(4), [
    "Event 4, “event 4” by bob [13], sent at 9 by bob’s clock.",
    "In its past: everything up to event 2, bob’s join [5].",
    "Concurrent with it: event 3, “event 3” by alice [11]; event 5, “event 5” by alice [15].",
    "In its future: event 6, bob’s leave [17].",
  ]);
});

test("the words say what is unknown, and what the service did by itself", () => {
  assert.deepEqual(said(2).slice(1), [
    "In its past: nothing known.",
    "Relation unknown: event 1, alice’s join [3]. Joins, leaves and messages of simple clients do not say what their senders had seen.",
    "In its future: event 3, “event 3” by alice [11]; event 4, “event 4” by bob [13]; event 5, “event 5” by alice [15]; event 6, bob’s leave [17].",
  ]);
  assert.deepEqual(said(6).slice(1), [
    "In its past: everything before it. The service announced it, because the connection was lost.",
    "In its future: nothing yet.",
  ]);
});

test("a message that a participant may have seen before leaving is not called concurrent with the leave, on either side", () => {
  const events = [...TALK.slice(0, 5), event(6n, 17n, { type: "left", disconnected: false }, "bob")];
  assert.deepEqual(said(6, events).slice(1), [
    "In its past: everything up to event 2, bob’s join [5], and event 4, “event 4” by bob [13].",
    "Relation unknown: event 5, “event 5” by alice [15]; event 3, “event 3” by alice [11]. Joins, leaves and messages of simple clients do not say what their senders had seen.",
    "In its future: nothing yet.",
  ]);
  assert.deepEqual(said(5, events).slice(2), [
    "Concurrent with it: event 4, “event 4” by bob [13].",
    "Relation unknown: event 6, bob’s leave [17]. Joins, leaves and messages of simple clients do not say what their senders had seen.",
    "In its future: nothing yet.",
  ]);
});

test("each relation has a sign of its own, so that color is not needed", () => {
  const signs = Object.values(SIGN);
  assert.equal(signs.length, 5);
  assert.equal(new Set(signs).size, signs.length);
});

test("a writer's own message that it had not seen delivered is its past, too", () => {
  const events = [event(1n, 3n, message("a", 1n, 0n), "alice"), event(2n, 5n, message("b", 2n, 0n), "alice")];
  assert.equal(said(2, events)[1], "In its past: event 1, “event 1” by alice [3].");
});

test("of many events the nearest are named and the others counted", () => {
  const many = Array.from({ length: 9 }, (_, n) => event(BigInt(n + 2), BigInt(2 * n + 3), message("m", 1n, 1n), `p${n}`));
  assert.match(said(1, many)[2]!, /^Concurrent with it: event 3, [^;]*; event 4, [^;]*; event 5, [^;]*; event 6, [^;]*; and 4 more\.$/);
});

test("a message that crossed others says which, by whom and when", () => {
  const causality = Causality.of(TALK);
  const of = (sequence: number) => crossing(causality.crossed(TALK[sequence - 1]!)!);
  assert.equal(of(4), "written before seeing alice’s message at 11; not yet seen when alice wrote at 15");
  assert.equal(of(5), "written before seeing bob’s message at 13");
});

test("a message that crossed many others names two of each kind, and counts the rest", () => {
  const many = Array.from({ length: 5 }, (_, n) => event(BigInt(n + 2), BigInt(2 * n + 3), message("m", 1n, 1n), `p${n}`));
  const said = crossing(Causality.of(many).crossed(many[4]!)!);
  assert.equal(said, "written before seeing p3’s message at 9, p2’s message at 7, and 2 more");
});

test("a name from others cannot reorder what is said", () => {
  const sly = [event(1n, 3n, message("a", 1n, 0n), "a\u202eb"), event(2n, 5n, message("b", 1n, 0n), "bob")];
  assert.match(said(2, sly)[2]!, /a\\u\{202e\}b/);
});

test("if the wall clock is wrong, the page says whether it contradicts causality", () => {
  const [, , earlier, later] = TALK as [never, never, (typeof TALK)[number], (typeof TALK)[number]];
  assert.match(
    contradiction({ relation: "past", earlier, later }),
    /^The wall clock contradicts causality: [\s\S]* which is in its past\.$/,
  );
  assert.match(contradiction({ relation: "concurrent", earlier, later }), /^The wall clock contradicts the order, though not causality: /);
  assert.match(contradiction({ relation: "unknown", earlier, later }), /^The wall clock contradicts the order, and perhaps causality: /);
});
