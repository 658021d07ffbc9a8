import assert from "node:assert/strict";
import { test } from "node:test";
import type { ChatEvent } from "../../src/core/event.js";
import { firings, sum, words } from "../../src/lab/explain.js";
import { Faults } from "../../src/lab/faults.js";
import { type Fault, UNIMPAIRED } from "../../src/lab/types.js";
import { faultWords, heldWords, notice, personWords, timeWords } from "../../src/lab/words.js";
import { Page } from "../support.js";

const ANN = { id: "p1", name: "ann" };

function message(logicalTime: bigint, sentLogicalTime: bigint): ChatEvent {
  return {
    sequence: 7n,
    logicalTime,
    content: "hello",
    author: ANN,
    recordedAt: null,
    receipt: null,
    chainHash: "",
    kind: { type: "message", messageId: "m", sentLogicalTime, seenSequence: 6n, sentAt: null },
  };
}

test("the rules fire at the sender, twice at the service, and at the receiver (A2, A3, A4)", () => {
  const fired = firings(message(19n, 14n), 17n, { name: "bob", clock: 23n });
  assert.deepEqual(
    fired.map((firing) => `${firing.rule} ${firing.who} ${sum(firing)}`),
    ["IR1 ann 13 + 1 = 14", "IR2 the service max(17, 14) + 1 = 18", "IR1 the service 18 + 1 = 19", "IR2 bob max(23, 19) + 1 = 24"],
  );
  assert.equal(words(fired[3]!), "bob’s clock is 23, and 19 arrives. Its own clock is the larger; plus 1 it is 24.");
});

test("if the sender was ahead, the service’s clock is known from the event before, or not at all", () => {
  const ahead = message(32n, 30n);
  assert.equal(sum(firings(ahead, 17n, null)[1]!), "max(17, 30) + 1 = 31");
  const unknown = firings(ahead, null, null)[1]!;
  assert.equal(sum(unknown), "max(C, 30) + 1 = 31");
  assert.equal(words(unknown), "The service receives 30, which is not less than its own clock; plus 1 it is 31.");
});

test("for a receiver whose clock is unknown, only the minimum is given", () => {
  const [, , , received] = firings(message(19n, 14n), 17n, { name: "bob", clock: null });
  assert.equal(sum(received!), "max(C, 19) + 1");
  assert.match(words(received!), /at least 20/);
});

test("no event says when a join was sent", () => {
  const joined: ChatEvent = { ...message(5n, 0n), kind: { type: "joined" } };
  const [receives, broadcasts] = firings(joined, 3n, null);
  assert.equal(sum(receives!), "max(3, t) + 1 = 4");
  assert.equal(sum(broadcasts!), "4 + 1 = 5");
});

test("faults, what is held and the time that is left, in words", () => {
  const delayed = { ...UNIMPAIRED, delayMs: 2000, jitterMs: 500 };
  const fault = { deliveries: { ...UNIMPAIRED, hold: true }, publishes: delayed, pause: true };
  assert.equal(faultWords(fault), "Deliveries held, publishes delayed by 2 to 2.5 s, paused");
  assert.equal(faultWords(null), "No fault");
  assert.equal(heldWords(1, 2), "1 delivery and 2 publishes wait");
  const person = {
    person: ANN,
    fault,
    endsInMs: 9_400,
    before: 0n,
    deliveriesHeld: 2,
    publishesHeld: 0,
    companion: null,
    next: [],
    sent: [],
  };
  assert.equal(personWords(person), "Deliveries held, publishes delayed by 2 to 2.5 s, paused · 2 deliveries wait · ends in 10 s");
  assert.equal(timeWords(300_000), "5 min");
});

test("a page tells its user what the lab does to it (K2)", () => {
  assert.equal(notice(""), "");
  assert.match(notice("deliveries held, publishes delayed"), /^The teacher’s lab holds back what others write and delays what you send\. /);
  assert.equal(notice("what a later service does"), "");
});

test("the faults that the lab reports are shaded, and end when it reports none", () => {
  const faults = new Faults();
  const page = new Page();
  page.join("ann");
  const person = (fault: Fault | null, before: bigint) => ({
    person: { id: "p2", name: "bob" },
    fault,
    endsInMs: null,
    before,
    deliveriesHeld: 0,
    publishesHeld: 0,
    companion: null,
    next: [],
    sent: [],
  });
  const held: Fault = { deliveries: { ...UNIMPAIRED, hold: true }, publishes: UNIMPAIRED, pause: true };
  faults.see({ people: [person(held, 0n)], writerStoppedMs: null, run: null }, page.state);
  assert.deepEqual(faults.shades, [{ id: "p2", from: 0n, to: null, words: "deliveries held, paused" }]);
  const before = faults.shades;
  faults.see({ people: [person(held, 0n)], writerStoppedMs: null, run: null }, page.state);
  assert.equal(faults.shades, before);
  faults.see({ people: [person(null, 0n)], writerStoppedMs: 2_000, run: null }, page.state);
  assert.deepEqual(
    faults.shades.map(({ id, to }) => [id, to]),
    [
      ["p2", 1n],
      ["", null],
    ],
  );
  // A participant that has left has no fault, and another conversation begins without any.
  faults.see({ people: [], writerStoppedMs: null, run: null }, page.state);
  assert.ok(faults.shades.every(({ to }) => to !== null));
  faults.follow({ ...page.state, session: null });
  assert.deepEqual(faults.shades, []);
});
