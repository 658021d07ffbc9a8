// What every library for Node must be able to do, over any wire.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Participant } from "./participant.mjs";
import { DEADLINE_MS, serve } from "./service.mjs";

// 128 characters, none of them ASCII: two to four bytes each, and some that combine with their neighbors.
const LONGEST_TEXT = [..."æøåßñЖλאשلم漢字かな한글ไทย😀👩🏽‍🚀é\u0301\u202e\u200b\u{10ffff}".padEnd(400, "😀")].slice(0, 128).join("");

/**
 * Tests a library.
 *
 * connect(test, address) returns a wire (see participant.mjs) over a new connection; refusal(error) returns the name of an
 * error's status code and its google.rpc.ErrorInfo.
 */
export function takesPart(name, connect, refusal) {
  const checks = (what, body) =>
    test(`${name}: ${what}`, { timeout: 2 * DEADLINE_MS }, async (test) => {
      const address = await serve(test);
      /** A participant that has read its own Joined event. */
      const joined = async (displayName) => {
        const participant = new Participant(connect(test, address), displayName);
        await participant.join();
        assert.equal((await participant.nextEvent()).participant.displayName, displayName);
        return participant;
      };
      await body(joined);
    });

  const refused = async (promise, code, reason) =>
    assert.rejects(promise, (error) => {
      const { domain, reason: given } = refusal(error).info;
      assert.deepEqual([refusal(error).code, domain, given], [code, "chitchat", reason]);
      return true;
    });

  checks("joins, publishes, receives and leaves", converse);

  checks("gets the reason of a refusal", async (joined) => {
    const alice = await joined("alice");
    await refused(alice.publish(`${LONGEST_TEXT}æ`), "INVALID_ARGUMENT", "TEXT_TOO_LONG");
    await refused(joined("ALICE"), "ALREADY_EXISTS", "NAME_TAKEN"); // On a stream.
    await alice.leave();
    await refused(alice.publish("still here?"), "UNAUTHENTICATED", "SESSION_UNKNOWN");
  });

  checks("resumes without a gap, unnoticed by others", async (joined) => {
    const alice = await joined("alice");
    const bob = await joined("bob");
    await alice.nextEvent();
    alice.breakStream();
    await bob.publish("one");
    await bob.publish("two");

    const welcome = await alice.resume();
    assert.ok(welcome.resumed);
    const missed = await events(alice, 2);
    assert.equal((await alice.nextFrame())[0], "caughtUp");
    await alice.publish("three");
    const byAlice = [...missed, ...(await events(alice, 1))];
    assert.deepEqual(
      byAlice.map((event) => event.content),
      ["one", "two", "three"],
    );
    assert.deepEqual(await events(bob, 3), byAlice);
    await Promise.all([alice.leave(), bob.leave()]);
  });
}

/** Two participants talk, and leave. */
async function converse(joined) {
  const alice = await joined("ålice");
  assert.deepEqual(
    alice.welcome.participants.map((member) => member.displayName),
    ["ålice"],
  );
  // Joined with t = 1: received at 2, broadcast at 3; ticks for the Welcome and for the event.
  assert.deepEqual([BigInt(alice.welcome.logicalTime), alice.clock], [3n, 5n]);
  const bob = await joined("bob");

  assert.equal([...LONGEST_TEXT].length, 128);
  assert.doesNotMatch(LONGEST_TEXT, /[\0-\x7f]/);
  const acknowledged = await alice.publish(LONGEST_TEXT);
  const second = await bob.publish("two");
  const left = await bob.leave();

  const byAlice = await events(alice, 4);
  const byBob = await events(bob, 2);
  assert.equal(await bob.nextEvent(), undefined); // The stream ended with OK, without bob's own Left.
  assert.deepEqual(byAlice.slice(1, 3), byBob);
  assert.deepEqual(
    byAlice.map((event) => event.content),
    [
      `Participant bob joined Chit Chat at logical time ${byAlice[0].logicalTime}`,
      LONGEST_TEXT,
      "two",
      `Participant bob left Chit Chat at logical time ${byAlice[3].logicalTime}`,
    ],
  );
  assert.deepEqual(Buffer.from(byBob[0].content), Buffer.from(LONGEST_TEXT));
  assert.deepEqual(byAlice.slice(1).map(position), [acknowledged, second, left].map(position));
  assert.ok(byAlice.every((event, index) => index === 0 || event.logicalTime > byAlice[index - 1].logicalTime));
  assert.ok(alice.clock > byAlice[3].logicalTime);
  await alice.leave();
  assert.equal(await alice.nextEvent(), undefined);
}

/** The next events of a participant, reduced to what must be the same for all. */
async function events(participant, count) {
  const read = [];
  while (read.length < count) {
    const event = await participant.nextEvent();
    read.push({ ...position(event), content: event.content, by: event.participant.participantId });
  }
  return read;
}

function position({ sequence, logicalTime }) {
  return { sequence: BigInt(sequence), logicalTime: BigInt(logicalTime) };
}
