import assert from "node:assert/strict";
import { test } from "node:test";
import { Causality } from "../../../src/core/causality/causality.js";
import { diagram } from "../../../src/core/causality/diagram.js";
import { placed } from "../../../src/core/causality/lifelines.js";
import { RunBuilder } from "../../../src/core/replay/run.js";
import { SERVICE_ID, type Shade, changed, ended, shadesAt } from "../../../src/core/causality/shades.js";
import { event, message } from "../../support.js";

const held = (from: bigint, to: bigint | null = null): Shade => ({ id: "p2", from, to, words: "deliveries held" });

test("a fault is shaded from its first event to its last, and releasing some messages does not begin another", () => {
  let shades = changed([], "p2", "deliveries held", 3n);
  assert.deepEqual(shades, [held(3n)]);
  assert.equal(changed(shades, "p2", "deliveries held", 5n), shades);
  assert.equal(changed(shades, "p1", "", 5n), shades);
  shades = changed(shades, "p2", "paused", 5n);
  assert.deepEqual(shades, [held(3n, 5n), { id: "p2", from: 5n, to: null, words: "paused" }]);
  assert.deepEqual(ended(shades, 6n)[1]?.to, 6n);
});

test("at an earlier moment a fault that ended later still lasts, and a later one has not begun", () => {
  const shades = [held(3n, 5n), held(8n)];
  assert.deepEqual(shadesAt(shades, 2n), []);
  assert.deepEqual(shadesAt(shades, 4n), [held(3n)]);
  assert.deepEqual(shadesAt(shades, 6n), [held(3n, 5n)]);
});

const EVENTS = [
  event(1n, 3n, { type: "joined" }, "alice"),
  event(2n, 5n, { type: "joined" }, "bob"),
  event(3n, 9n, message("a", 7n, 2n), "alice"),
  event(4n, 13n, message("b", 11n, 3n), "alice"),
];

function drawn(shades: readonly Shade[]) {
  const people = ["alice", "bob"].map((id) => ({ id, name: id }));
  const causality = Causality.of(EVENTS);
  const places = placed(new Map(), people);
  return diagram({ causality, events: EVENTS.slice(1), people, places, selfId: "alice", room: 600, before: null, shades });
}

test("a shade is on its lifeline, from the event before it to the last one in it", () => {
  const { shades, figures, lifelines, serviceX, top, height } = drawn([
    { ...held(2n, 3n), id: "bob" },
    { id: SERVICE_ID, from: 1n, to: null, words: "writer stopped" },
    { id: "nobody", from: 1n, to: null, words: "paused" },
  ]);
  const [bob] = lifelines.filter(({ person }) => person.id === "bob");
  const [joined, said] = figures;
  assert.equal(shades.length, 2);
  assert.deepEqual([shades[0]?.x, shades[0]?.words], [bob?.x, ["deliveries held"]]);
  assert.ok(shades[0]!.from > joined!.broadcast.y && shades[0]!.to > said!.broadcast.y && shades[0]!.to < top + height);
  // What began before the picture begins at its top, and what lasts goes to its end.
  assert.deepEqual(shades[1], { x: serviceX, from: top, to: top + height, words: ["writer stopped"] });
});

test("a shade that ended before the picture is not drawn", () => {
  assert.deepEqual(drawn([{ ...held(0n, 1n), id: "bob" }]).shades, []);
});

test("a replay takes the faults from the service's log", () => {
  const builder = new RunBuilder();
  const log = builder.file("server.jsonl");
  const line = (at: number, fields: object) =>
    log.line(JSON.stringify({ timestamp: `2026-01-01T00:00:0${at}Z`, component: "server", epoch: "e", run: "r", ...fields }));
  const whose = { participant_id: "p2", display_name: "bob" };
  line(0, { event: "join_broadcast", sequence: 1, logical_time: 3, kind: "joined", content: "joined", participant_id: "p1" });
  line(1, { event: "fault_changed", ...whose, sequence: 2, faults: "deliveries held", reason: "SET" });
  line(2, { event: "fault_changed", sequence: 2, faults: "writer stopped", reason: "SET" });
  line(3, { event: "fault_changed", ...whose, sequence: 4, faults: "", reason: "CLEARED" });
  line(4, { event: "server_started", sequence: 4 });
  assert.deepEqual(builder.finish().conversations[0]?.shades, [
    { id: "p2", from: 1n, to: 3n, words: "deliveries held" },
    { id: SERVICE_ID, from: 1n, to: 4n, words: "writer stopped" },
  ]);
});
