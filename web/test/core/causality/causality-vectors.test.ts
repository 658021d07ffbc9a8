import assert from "node:assert/strict";
import { test } from "node:test";
import vectors from "../../../../tests/vectors/causality.json";
import { Causality, type Relation } from "../../../src/core/causality/causality.js";
import { SERVICE, backwards } from "../../../src/core/causality/cut.js";
import type { ChatEvent, EventKind } from "../../../src/core/event.js";
import { type Lens, look } from "../../../src/core/causality/lens.js";
import { Vectors } from "../../../src/core/replay/vector.js";

interface Told {
  readonly author: string;
  readonly kind: string;
  readonly time: string;
  readonly recorded_at: number;
  readonly sent?: string;
  readonly seen?: string;
  readonly sent_at?: number;
}

function kindOf({ kind, sent, seen, sent_at }: Told): EventKind {
  if (kind === "joined") return { type: "joined" };
  if (kind !== "message") return { type: "left", disconnected: kind === "gone" };
  return { type: "message", messageId: "", sentLogicalTime: BigInt(sent ?? 0), seenSequence: BigInt(seen ?? 0), sentAt: sent_at ?? null };
}

function eventOf(told: Told, index: number): ChatEvent {
  return {
    sequence: BigInt(index + 1),
    logicalTime: BigInt(told.time),
    content: "",
    author: { id: told.author, name: told.author },
    recordedAt: told.recorded_at,
    receipt: null,
    chainHash: "",
    kind: kindOf(told),
  };
}

const SIGNS: Readonly<Record<Relation, string>> = { same: "=", past: "<", future: ">", concurrent: "|", unknown: "?" };

function lensOf(name: string): Lens {
  const [which, reader = ""] = name.split(" ");
  return which === "arrival" ? { name: "arrival", reader } : { name: which as "total" | "causal" | "fifo" | "wall" };
}

for (const run of vectors) {
  const events = (run.events as readonly Told[]).map(eventOf);
  const causality = Causality.of(events);

  test(`${run.run}: past, future, concurrent and unknown`, () => {
    const found = events.map((event) => events.map((other) => SIGNS[causality.relation(other, event)]).join(""));
    assert.deepEqual(found, run.relations);
  });

  test(`${run.run}: vector clocks`, () => {
    const clocks = new Vectors(events);
    const found = events.map((event) => Object.fromEntries(clocks.of(event).map(({ person, events }) => [person.id, events])));
    assert.deepEqual(found, run.vectors);
  });

  test(`${run.run}: lenses`, () => {
    for (const [name, expected] of Object.entries(run.lenses)) {
      const { order, swappable, wrong } = look(lensOf(name), events, causality);
      const found = { order: order.map(({ sequence }) => Number(sequence)), swappable: swappable.length, wrong: wrong.length };
      assert.deepEqual(found, expected, name);
    }
  });

  test(`${run.run}: cuts`, () => {
    for (const cut of run.cuts) {
      const inside = Object.entries(cut.line as Readonly<Record<string, string>>).map(([id, time]): [string, bigint] => [id, BigInt(time)]);
      const found = backwards(events, new Map([...inside, [SERVICE, BigInt(cut.service)]]), new Map());
      const said = found.map((one) =>
        one.type === "unseen" ? `unseen ${one.event.sequence} by ${one.by.sequence}` : `${one.type} ${one.event.sequence}`,
      );
      assert.deepEqual(said, cut.backwards, JSON.stringify(cut.line));
    }
  });
}
