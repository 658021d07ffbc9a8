/** Whole scenarios that the Rust client's machine goes through, too: src/client/machine/tests/scenarios.rs reads the same files. */

import assert from "node:assert/strict";
import { test } from "node:test";
import connection from "../../../../tests/vectors/scenarios/connection.json";
import frames from "../../../../tests/vectors/scenarios/frames.json";
import joined from "../../../../tests/vectors/scenarios/joined.json";
import leaving from "../../../../tests/vectors/scenarios/leaving.json";
import outbox from "../../../../tests/vectors/scenarios/outbox.json";
import type { ChatEvent, EventKind, Welcome } from "../../../src/core/event.js";
import { inFlight } from "../../../src/core/machine/outbox.js";
import type { Reason } from "../../../src/core/machine/refusal.js";
import type { State } from "../../../src/core/machine/state.js";
import type { Output } from "../../../src/core/machine/step.js";
import { LOST, Page, event, message, refusal } from "../../support.js";

/** One step of a scenario: what happens, and what the machine does about it. */
type Step = { readonly do: string; readonly expect?: readonly unknown[] } & Readonly<Record<string, unknown>>;

interface Scenario {
  readonly name: string;
  /** Whether alice has joined before: see joined.json. */
  readonly joined?: boolean;
  readonly steps: readonly Step[];
}

/** The records that both machines write at the same moments. */
const RECORDS: readonly string[] = [
  "join_sent",
  "connected",
  "resumed",
  "publish_sent",
  "publish_acknowledged",
  "leave_sent",
  "leave_acknowledged",
  "event_delivered",
  "event_refused",
];

const FILES = { connection, outbox, leaving, frames } as unknown as Readonly<Record<string, readonly Scenario[]>>;
const JOINED = joined as unknown as readonly Step[];

for (const [file, scenarios] of Object.entries(FILES)) {
  for (const scenario of scenarios) test(`${file}: ${scenario.name}`, () => run(scenario));
}

test("a wrong vector fails", () => {
  const steps = JOINED.map((step, index) => (index === 1 ? { ...step, time: "4" } : step));
  let failed = false;
  try {
    run({ name: "wrong", steps });
  } catch {
    failed = true;
  }
  assert.ok(failed);
});

function run({ name, joined, steps }: Scenario): void {
  const page = new Page();
  for (const [index, step] of [...(joined ? JOINED : []), ...steps].entries()) {
    const first = page.outputs.length;
    const wasOut = page.state.phase.at === "out";
    take(page, step);
    const said: unknown[] = page.outputs.slice(first).flatMap(neutral);
    if (!wasOut && page.state.phase.at === "out") said.push({ out: endedBy(page.state) });
    assert.deepEqual(said, step.expect ?? [], `${name}: step ${index}, ${JSON.stringify(step)}`);
  }
}

/** Takes a step of a scenario. */
function take(page: Page, step: Step): void {
  const text = (field: string): string => {
    assert.equal(typeof step[field], "string", `${field} in ${JSON.stringify(step)}`);
    return step[field] as string;
  };
  const number = (field: string) => BigInt(text(field));
  const no = () => refusal(text("reason") as Reason, (step["retry_ms"] as number | undefined) ?? null);
  switch (step.do) {
    case "join":
      page.feed({ type: "join", name: text("name"), secret: "" });
      page.feed({ type: "slot", granted: true });
      return;
    case "welcome":
      page.frame({ type: "welcome", welcome: toWelcome(text, number, step["resumed"] === true) });
      return;
    case "event":
      page.frame({ type: "event", event: toEvent(text, number) });
      return;
    case "caught_up":
      page.frame({ type: "caught-up", sequence: number("sequence") });
      return;
    case "heartbeat":
      page.frame({ type: "heartbeat", head: number("head") });
      return;
    case "presence":
      page.frame({ type: "presence", participantId: text("id"), connected: step["connected"] === true });
      return;
    case "wait":
      page.wait(step["ms"] as number);
      return;
    case "lose": {
      // A publish that is on its way gets no answer.
      const publish = page.calls("publish").at(-1);
      if (publish !== undefined && inFlight(page.state.outbox)) {
        page.feed({ type: "publish-failed", id: publish.id, failure: LOST, session: publish.session });
      }
      page.ended(LOST);
      return;
    }
    case "refuse":
      page.ended(no());
      return;
    case "end":
      page.ended(null);
      return;
    case "submit":
      page.feed({ type: "send", id: text("id"), text: text("text") });
      return;
    case "acknowledge": {
      const { id, session } = page.calls("publish").at(-1)!;
      page.feed({ type: "published", id, sequence: number("sequence"), logicalTime: number("time"), session });
      return;
    }
    case "refuse_publish": {
      const { id, session } = page.calls("publish").at(-1)!;
      page.feed({ type: "publish-failed", id, failure: no(), session });
      return;
    }
    case "leave":
      page.feed({ type: "leave" });
      return;
    case "acknowledge_leave": {
      const { session } = page.calls("leave").at(-1)!;
      page.feed({ type: "left", sequence: number("sequence"), logicalTime: number("time"), session });
      return;
    }
    default:
      throw new Error(step.do);
  }
}

function toWelcome(text: (field: string) => string, number: (field: string) => bigint, resumed: boolean): Welcome {
  return {
    token: `token of ${text("id")}`,
    participantId: text("id"),
    epoch: text("epoch"),
    head: number("head"),
    logicalTime: number("time"),
    resumed,
    roster: [{ id: text("id"), name: "alice" }],
    heartbeatMs: 15_000,
    limits: { text: 128, name: 32 },
  };
}

function toEvent(text: (field: string) => string, number: (field: string) => bigint): ChatEvent {
  const kinds: Readonly<Record<string, () => EventKind>> = {
    joined: () => ({ type: "joined" }),
    left: () => ({ type: "left", disconnected: text("reason") === "DISCONNECTED" }),
    message: () => message(text("message"), number("sent"), number("seen")),
  };
  const kind = kinds[text("kind")]!();
  const author = { id: text("id"), name: text("name") };
  const sentence = `Participant ${author.name} ${kind.type} Chit Chat at logical time ${number("time")}`;
  const content = kind.type === "message" ? text("text") : sentence;
  return { ...event(number("sequence"), number("time"), kind, author.id, content), author };
}

/** An output in the form of the vectors; nothing if they leave it out. */
function neutral(output: Output): unknown[] {
  switch (output.do) {
    case "open": {
      const time = output.time.toString();
      if (output.session === null) return [{ call: "join", time }];
      return [{ call: "resume", time, epoch: output.session.epoch, after: output.after.toString() }];
    }
    case "publish":
      return [{ call: "publish", id: output.id, text: output.text, time: output.time.toString(), seen: output.seen.toString() }];
    case "leave":
      return [{ call: "leave", time: output.time.toString() }];
    case "record": {
      const { event, fields } = output.record;
      if (!RECORDS.includes(event)) return [];
      // Only a page logs its transport, and each machine says in its own words what is wrong with an event.
      const left = event === "event_refused" ? ["transport", "reason"] : ["transport"];
      const kept = Object.entries<unknown>(fields).filter(([name, value]) => !left.includes(name) && value !== undefined);
      return [
        { record: event, ...Object.fromEntries(kept.map(([name, value]) => [name, typeof value === "bigint" ? `${value}` : value])) },
      ];
    }
    default:
      return [];
  }
}

/** The reason for which the page is at its form; null if it has left. */
function endedBy({ farewell }: State): string | null {
  switch (farewell?.type) {
    case "refused":
      return farewell.failure.reason;
    case "replaced":
      return "REPLACED";
    default:
      return null;
  }
}
