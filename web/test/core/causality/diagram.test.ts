import assert from "node:assert/strict";
import { test } from "node:test";
import { Causality } from "../../../src/core/causality/causality.js";
import { DRAWN_MAX, type Diagram, diagram, drawnEvents, paged } from "../../../src/core/causality/diagram.js";
import type { ChatEvent, Person } from "../../../src/core/event.js";
import { LIFELINES_MAX, columns, placed, shownPeople } from "../../../src/core/causality/lifelines.js";
import { event, message } from "../../support.js";

const person = (id: string): Person => ({ id, name: id });

function drawn(events: ChatEvent[], room = 600, before: Diagram | null = null) {
  const causality = Causality.of(events);
  const shown = drawnEvents(causality.events);
  const people = shownPeople(shown, [], person("alice"));
  return diagram({ causality, events: shown, people, places: placed(new Map(), people), selfId: "alice", room, before });
}

test("a message is sent at its writer's time, received by the service one before its own, and received here at this page's", () => {
  const picture = drawn([
    { ...event(1n, 3n, { type: "joined" }, "alice"), receipt: 5n },
    { ...event(2n, 11n, message("m", 8n, 1n), "bob"), receipt: 12n },
  ]);
  assert.deepEqual(
    picture.rows.map(({ time }) => time),
    [3n, 5n, 8n, 10n, 11n, 12n],
  );
  const { sending, broadcast, receipt } = picture.figures[1]!;
  const [alice, bob] = ["alice", "bob"].map((id) => picture.lifelines.find((line) => line.person.id === id)!.x);
  assert.deepEqual([sending?.from.x, sending?.from.time], [bob, 8n]);
  assert.deepEqual([sending?.to.x, sending?.to.time], [picture.serviceX, 10n]);
  assert.deepEqual([broadcast.x, broadcast.time], [picture.serviceX, 11n]);
  assert.deepEqual([receipt?.x, receipt?.time], [alice, 12n]);
});

test("what the page cannot know is not drawn: when a participant asked to join, and an impossible time", () => {
  const picture = drawn([
    event(1n, 3n, { type: "joined" }, "alice"),
    event(2n, 9n, message("", 0n, 0n), "bob"),
    event(3n, 11n, message("m", 10n, 0n), "bob"),
  ]);
  assert.deepEqual(
    picture.rows.map(({ time }) => time),
    [3n, 9n, 11n],
  );
  for (const { sending, receipt } of picture.figures) assert.deepEqual([sending, receipt], [null, null]);
});

test("a membership is bracketed where it begins and ends in the picture, and is open elsewhere", () => {
  const picture = drawn([
    event(5n, 13n, message("m", 8n, 4n), "alice"),
    event(6n, 15n, { type: "joined" }, "bob"),
    event(7n, 17n, { type: "left", disconnected: true }, "bob"),
  ]);
  const brackets = picture.lifelines.map(({ person: { id }, from, to, gone }) => [id, from !== null, to !== null, gone]);
  assert.deepEqual(brackets, [
    ["alice", false, false, false],
    ["bob", true, true, true],
  ]);
});

test("messages that crossed are connected where they were sent", () => {
  const picture = drawn([event(3n, 15n, message("a", 12n, 2n), "alice"), event(4n, 17n, message("b", 13n, 2n), "bob")]);
  assert.deepEqual(
    picture.crossings.map(({ from, to }) => [from.time, to.time]),
    [[12n, 13n]],
  );
  assert.deepEqual(
    picture.figures.map(({ crossed }) => crossed),
    [true, true],
  );
});

test("only the newest events are drawn, and never more lifelines than fit", () => {
  const many = Array.from({ length: 500 }, (_, n) => event(BigInt(n + 1), BigInt(2 * n + 3), message("m", 1n, BigInt(n)), `p${n}`));
  const picture = drawn(many);
  assert.equal(picture.figures.length, DRAWN_MAX);
  assert.equal(picture.before, 500 - DRAWN_MAX);
  assert.equal(picture.lifelines.length, LIFELINES_MAX);
  assert.equal(picture.absent, DRAWN_MAX - LIFELINES_MAX + 1, "alice has one without having done anything");
  assert.ok(picture.lifelines.some((line) => line.person.id === "alice") && picture.lifelines.some((line) => line.person.id === "p499"));
});

test("what was drawn keeps its place while older events are no longer drawn", () => {
  const talk = (n: number) => event(BigInt(n), BigInt(4 * n), message("m", BigInt(4 * n - 3), BigInt(n - 1)), "alice");
  const events = Array.from({ length: DRAWN_MAX + 2 }, (_, n) => talk(n + 1));
  const first = drawn(events.slice(0, -1));
  const second = drawn(events, 600, first);
  const place = ({ figures }: Diagram) => figures.find((one) => one.event.sequence === 30n)?.broadcast.y;
  assert.equal(place(second), place(first));
  assert.ok(second.top > first.top);
  assert.equal(second.height, first.height);
});

test("a participant keeps its place while others come and go", () => {
  const first = placed(new Map(), ["alice", "bob", "carol"].map(person));
  assert.deepEqual(columns(first), ["carol", "alice", null, "bob"]);
  const second = placed(first, ["alice", "carol", "dora"].map(person));
  assert.deepEqual(columns(second), ["carol", "alice", null, "dora"]);
});

test("paging moves as far as can be seen at once, at least by one event, and never beyond the ends", () => {
  const { figures } = drawn(Array.from({ length: 10 }, (_, n) => event(BigInt(n + 1), BigInt(2 * n + 3), { type: "joined" }, "alice")));
  const apart = figures[1]!.broadcast.y - figures[0]!.broadcast.y;
  assert.equal(paged(figures, 0, 1, apart * 3), 3);
  assert.equal(paged(figures, 3, 1, apart * 3.9), 6);
  assert.equal(paged(figures, 6, -1, apart * 3), 3);
  assert.equal(paged(figures, 3, 1, 1), 4);
  assert.equal(paged(figures, 8, 1, apart * 3), 9);
  assert.equal(paged(figures, 9, 1, apart * 3), 9);
  assert.equal(paged(figures, 0, -1, apart * 3), 0);
});

test("a wide picture keeps to its room, a narrow one is scrolled", () => {
  const events = ["alice", "bob", "carol"].map((id, n) => event(BigInt(n + 1), BigInt(2 * n + 3), { type: "joined" }, id));
  assert.ok(drawn(events, 500).width <= 500);
  assert.ok(drawn(events, 100).width > 100);
});

test("two events with the same time, which only a mistake produces, are drawn below each other, the second marked", () => {
  const picture = drawn([
    event(1n, 3n, { type: "joined" }, "alice"),
    event(2n, 9n, message("a", 7n, 1n), "alice"),
    event(3n, 9n, message("b", 7n, 1n), "bob"),
    event(4n, 13n, message("c", 11n, 3n), "alice"),
  ]);
  const [, first, second, after] = picture.figures;
  assert.deepEqual([first?.sameTime, second?.sameTime, after?.sameTime], [false, true, false]);
  assert.ok(second!.broadcast.y - first!.broadcast.y >= 22 && after!.broadcast.y - second!.broadcast.y >= 22);
});

test("a text takes two lines only if there is room for them above the next text", () => {
  const wraps = (events: ChatEvent[]) => drawn(events).figures.map((figure) => figure.wraps);
  const first = event(1n, 9n, message("a", 7n, 0n), "alice");
  const next = event(2n, 15n, message("b", 12n, 1n), "alice");
  assert.deepEqual(wraps([first, { ...next, receipt: 16n }]), [true, true]);
  assert.deepEqual(wraps([first, next]), [true, false], "the second line would be below the picture");
  const left = event(2n, 11n, { type: "left", disconnected: false }, "alice");
  assert.deepEqual(wraps([first, left, { ...next, sequence: 3n }]), [false, true, false]);
});
