import assert from "node:assert/strict";
import { test } from "node:test";
import { Causality } from "../../../src/core/causality/causality.js";
import { toLine } from "../../../src/core/log.js";
import type { RecordEvent } from "../../../src/core/record.js";
import type { LogRecord as OwnRecord } from "../../../src/core/machine/step.js";
import { RunBuilder } from "../../../src/core/replay/run.js";
import { LogRecord } from "../../../src/core/replay/log.js";
import { toHash, toPlace } from "../../../src/core/replay/place.js";
import { Vectors } from "../../../src/core/replay/vector.js";
import { GLANCE, Replay, WINDOW } from "../../../src/core/replay/view.js";
import { hasEarlier } from "../../../src/core/machine/history.js";
import { facts, rivalry } from "../../../src/view/facts.js";

const AT = "2026-11-26T03:21:39.140965Z";

/** A record of the service. */
function broadcast(sequence: number, kind: string, more: Record<string, unknown> = {}): string {
  const event = { joined: "join_broadcast", left: "leave_broadcast" }[kind] ?? "message_broadcast";
  const fields = {
    epoch: "e1",
    participant_id: "p1",
    display_name: "alice",
    sequence,
    logical_time: 3 * sequence,
    kind,
    content: `${kind} ${sequence}`,
  };
  return JSON.stringify({ timestamp: AT, component: "server", event, ...fields, ...more });
}

/** The run that some logs describe, each a list of lines. */
function runOf(logs: Record<string, string[]>) {
  const builder = new RunBuilder();
  for (const [name, lines] of Object.entries(logs)) {
    const reader = builder.file(name);
    for (const line of lines) reader.line(line);
  }
  return builder.finish();
}

/** A record as the page writes it, with some of its fields. */
const line = (event: RecordEvent, fields: object) => toLine(0, "r", { event, fields } as OwnRecord);

test("a line that is not a record is counted and skipped, whatever it is", () => {
  const strange = [
    "not JSON",
    "[1]",
    "null",
    "7",
    '"text"',
    "{}",
    '{"event":"x"}',
    `{"timestamp":"soon","component":"server","event":"x"}`,
    broadcast(2, "message").slice(0, 40),
  ];
  const { files, conversations } = runOf({ "server.jsonl": [broadcast(1, "joined"), "", ...strange, broadcast(2, "message"), ""] });
  assert.deepEqual(files, [{ name: "server.jsonl", records: 2, strange: strange.length, firstStrange: 3 }]);
  assert.deepEqual(
    conversations.map(({ events }) => events.map(({ content }) => content)),
    [["joined 1", "message 2"]],
  );
  const none = runOf({ "notes.txt": ["hello"] });
  assert.deepEqual(none.conversations, []);
});

test("an event whose sequence the service gave out again names the other event, and a record that is there twice is one event", () => {
  const first = broadcast(2, "message", { content: "first", message_id: "a" });
  const second = broadcast(2, "message", { content: "second", message_id: "b", logical_time: 9 });
  const delivered = JSON.stringify({ ...JSON.parse(first), component: "client", event: "event_delivered", run: "r" });
  const logs = { "client-bob.jsonl": [delivered], "server.jsonl": [broadcast(1, "joined"), first, first, second], "copy.jsonl": [second] };
  const [conversation] = runOf(logs).conversations;
  assert.deepEqual(
    conversation?.events.map(({ content, rivals }) => [content, rivals?.map(({ content }) => content)]),
    [
      ["joined 1", undefined],
      ["first", ["second"]],
    ],
  );
  const [, shared] = conversation!.events;
  assert.equal(rivalry(shared!), "number 2 was given out again, to “second” by alice [9]");
  assert.match(facts(shared!, Causality.of(conversation!.events))[0]!.text, /✗ Number 2 was given out again/);
});

test("numbers of 64 bits keep all their digits, and texts that look like them stay texts", () => {
  const content = '"logical_time":1234567890123456789,';
  const text = line("event_delivered", { sequence: 7n, logical_time: (1n << 63n) - 1n, local_time: (1n << 53n) + 1n, content });
  const record = LogRecord.of(text);
  assert.deepEqual(
    [record?.sequence, record?.number("logical_time"), record?.number("local_time"), record?.text("content")],
    [7, (1n << 63n) - 1n, (1n << 53n) + 1n, content],
  );
});

test("events are taken from the service's log, in its order, and receipts from the participants' logs", () => {
  const delivered = (sequence: number, local: bigint, author = "p1") =>
    line("event_delivered", {
      epoch: "e1",
      participant_id: author,
      display_name: "x",
      sequence: BigInt(sequence),
      logical_time: 1n,
      local_time: local,
      kind: "message",
      content: "other",
    });
  const { conversations } = runOf({
    "client-bob.jsonl": [
      line("connected", { epoch: "e1", participant_id: "p2", sequence: 2n, local_time: 4n }),
      delivered(2, 8n),
      delivered(3, 12n),
      delivered(5, 20n),
    ],
    "server.jsonl": [
      broadcast(3, "left", { reason: "DISCONNECTED" }),
      broadcast(1, "joined"),
      broadcast(2, "joined", { participant_id: "p2", display_name: "bob" }),
    ],
  });
  const [one] = conversations;
  assert.deepEqual(
    one?.events.map(({ sequence, content }) => [sequence, content]),
    [
      [1n, "joined 1"],
      [2n, "joined 2"],
      [3n, "left 3"],
      [5n, "other"],
    ],
  );
  assert.equal(one?.missing, 1);
  assert.deepEqual(one?.events[2]?.kind, { type: "left", disconnected: true });
  assert.deepEqual(
    [...one!.receipts.get("p2")!],
    [
      [2, 8n],
      [3, 12n],
      [5, 20n],
    ],
  );
  assert.deepEqual(one?.readers, [{ id: "p2", name: "bob" }]);
});

test("processes that share a file are told apart by their runs, and an event that was listed later was not received", () => {
  const of = (run: string, event: RecordEvent | "event_listed", fields: object) =>
    toLine(0, run, { event, fields: { epoch: "e1", kind: "message", content: "x", participant_id: "p1", ...fields } } as OwnRecord);
  const { conversations } = runOf({
    "all.jsonl": [
      of("r1", "connected", { participant_id: "p1" }),
      of("r2", "connected", { participant_id: "p2" }),
      of("r1", "event_delivered", { sequence: 5n, local_time: 7n }),
      of("r2", "event_delivered", { participant_id: "p2", sequence: 6n, local_time: 9n }),
      of("r2", "event_listed", { sequence: 4n, earlier: true }),
    ],
  });
  assert.deepEqual(
    conversations[0]!.events.map(({ sequence }) => sequence),
    [4n, 5n, 6n],
  );
  assert.deepEqual(
    [...conversations[0]!.receipts].map(([id, receipts]) => [id, [...receipts]]),
    [
      ["p1", [[5, 7n]]],
      ["p2", [[6, 9n]]],
    ],
  );
});

test("each epoch is a conversation of its own, in the order of time", () => {
  const { conversations } = runOf({
    "server.jsonl": [
      broadcast(1, "joined", { epoch: "e2", timestamp: "2026-11-27T00:00:00Z" }),
      broadcast(1, "joined"),
      broadcast(2, "message"),
    ],
  });
  assert.deepEqual(
    conversations.map(({ epoch, events }) => [epoch, events.length]),
    [
      ["e1", 2],
      ["e2", 1],
    ],
  );
});

test("a moment shows what had happened, to whom, and who was here", () => {
  const many = Array.from({ length: 400 }, (_, index) => broadcast(index + 1, "message", { participant_id: "p9", display_name: "zoe" }));
  const { conversations } = runOf({
    "server.jsonl": [...many, broadcast(401, "joined"), broadcast(402, "left"), broadcast(404, "message")],
  });
  const replay = new Replay(conversations[0]!, 1);
  const at = (index: number, earlier = 0) => replay.state({ index, reader: "", glance: false, earlier });
  const shown = (index: number, earlier = 0) => at(index, earlier).segments[0]!.past.map(({ sequence }) => Number(sequence));
  assert.deepEqual(shown(0), [1]);
  assert.equal(shown(379).length >= WINDOW && shown(379).length < 2 * WINDOW, true);
  assert.equal(shown(379).at(-1), 380);
  assert.deepEqual([hasEarlier(at(379)), hasEarlier(at(20)), shown(379, 1_000)[0]], [true, false, 1]);
  const passing = replay.state({ index: 379, reader: "", glance: true, earlier: 0 }).segments[0]!.past;
  assert.deepEqual([passing.length, passing.at(-1)?.sequence], [GLANCE, 380n]);
  assert.deepEqual(
    [399, 400, 401].map((index) => at(index).roster.map(({ name }) => name)),
    [[], ["alice"], []],
  );
  assert.deepEqual(
    [1n, 380n, 403n, 404n, 999n].map((sequence) => replay.indexOf(sequence)),
    [0, 379, 401, 402, 402],
  );
});

test("the events of a reader are the same objects at each moment, so that what is shown only grows", () => {
  const delivered = line("event_delivered", {
    epoch: "e1",
    participant_id: "p1",
    sequence: 1n,
    logical_time: 3n,
    local_time: 5n,
    kind: "joined",
    content: "joined 1",
  });
  const { conversations } = runOf({
    "server.jsonl": [broadcast(1, "joined"), broadcast(2, "message", { sent_logical_time: 4, seen_sequence: 1 })],
    "browser-alice.jsonl": [line("connected", { epoch: "e1", participant_id: "p1" }), delivered],
  });
  const replay = new Replay(conversations[0]!, 1);
  const [first, second] = [0, 1].map((index) => replay.state({ index, reader: "p1", glance: false, earlier: 0 }).segments[0]!);
  assert.deepEqual(
    second!.past.map(({ receipt }) => receipt),
    [5n, null],
  );
  assert.ok(first!.past[0] === second!.past[0]);
  assert.equal(Causality.of(second!.past).precedes(second!.past[0]!, second!.past[1]!), true);
});

test("an address names a run and an event", () => {
  const check = (hash: string, run: string, event: bigint | null) => assert.deepEqual(toPlace(hash), { run, event });
  check("#run=example&event=11", "example", 11n);
  check("#run", "", null);
  check("#run&event=7", "", 7n);
  check("#run=example&event=x", "example", null);
  assert.deepEqual([toPlace(""), toPlace("#"), toPlace("#other=1")], [null, null, null]);
  for (const hash of ["#run=example&event=11", "#run", "#run&event=7", "#run=example"]) assert.equal(toHash(toPlace(hash)!), hash);
});

test("vectors are ordered exactly if one event could have caused the other, and tell apart what Lamport's times do not", () => {
  const message = (sequence: number, who: string, seen: number) =>
    broadcast(sequence, "message", { participant_id: who, display_name: who, sent_logical_time: 1, seen_sequence: seen });
  const joins = ["a", "b", "c"].map((who, index) => broadcast(index + 1, "joined", { participant_id: who, display_name: who }));
  const talk = [message(4, "a", 3), message(5, "b", 3), message(6, "c", 5), message(7, "a", 4), message(8, "b", 7)];
  const { events } = runOf({ "server.jsonl": [...joins, ...talk] }).conversations[0]!;
  const vectors = new Vectors(events);
  const counts = (sequence: number) =>
    Object.fromEntries(vectors.of(events[sequence - 1]!).map(({ person, events }) => [person.id, events]));
  assert.deepEqual([counts(1), counts(5), counts(6)], [{ a: 1 }, { a: 1, b: 2, c: 1 }, { a: 2, b: 2, c: 2 }]);
  assert.deepEqual(counts(8), { a: 3, b: 3, c: 2 });
  const causality = Causality.of(events);
  for (const first of events) {
    for (const second of events) {
      if (first === second || first.sequence > second.sequence) continue;
      assert.equal(vectors.precedes(first, second), causality.precedes(first, second), `${first.sequence} and ${second.sequence}`);
      assert.equal(vectors.precedes(second, first), false);
    }
  }
  assert.deepEqual(
    events.map((event) => vectors.indistinct(event, 9)?.sequence ?? null),
    [null, null, null, null, 4n, null, 6n, null],
  );
  assert.equal(vectors.indistinct(events[6]!, 0), null);
});
