/** What the page and the service must agree on: tests/it/contracts/vectors.rs reads the same files (tests/vectors/README.md). */

import assert from "node:assert/strict";
import { test } from "node:test";
import clocks from "../../../tests/vectors/clock.json";
import fileNames from "../../../tests/vectors/file_names.json";
import memberships from "../../../tests/vectors/memberships.json";
import names from "../../../tests/vectors/names.json";
import refusals from "../../../tests/vectors/refusals.json";
import texts from "../../../tests/vectors/texts.json";
import unsafe from "../../../tests/vectors/unsafe_characters.json";
import { faultOfEvent, sentence } from "../../src/core/machine/check.js";
import { receive, tick } from "../../src/core/clock.js";
import type { EventKind } from "../../src/core/event.js";
import { fileName, safeJson } from "../../src/core/log.js";
import { type NameFault, nameFault, nickname } from "../../src/core/name.js";
import { inWords, REASONS, type Reason } from "../../src/core/machine/refusal.js";
import { INITIAL } from "../../src/core/machine/state.js";
import { characters, pieces } from "../../src/core/text.js";
import { event, message } from "../support.js";

test("the clock steps as the vectors say (L1, L2)", () => {
  for (const { start, steps } of clocks) {
    let now = BigInt(start);
    for (const step of steps) {
      now = (step.do === "send" ? tick(now) : receive(now, BigInt((step as { time: string }).time))).after;
      assert.equal(now, BigInt(step.after), `${start}: ${JSON.stringify(step)}`);
    }
  }
});

test("texts have the length, and are refused, as the vectors say (S3)", () => {
  for (const vector of texts) {
    const text = vector.text.repeat(vector.times ?? 1);
    assert.equal(characters(text), vector.characters, JSON.stringify(vector));
    const refused = faultOfEvent(event(2n, 9n, message("m", 1n, 1n), "alice", text), 3n) !== null;
    const fault = refused ? (text === "" ? "TEXT_EMPTY" : "TEXT_TOO_LONG") : undefined;
    assert.equal(fault, vector.fault, JSON.stringify(vector));
  }
});

test("names are kept, and refused, as the vectors say (N1 to N4)", () => {
  const max = INITIAL.limits.name;
  const inWords = (fault: NameFault | null) => {
    switch (fault?.type) {
      case "nothing-visible":
        return "a name needs at least one visible character";
      case "too-long":
        return `a name has at most ${max} characters, and this one has ${fault.characters}`;
      case "combining-marks":
        return "a name has at most 2 combining marks in a row";
      case "character":
        return `the character U+${fault.codePoint.toString(16).toUpperCase().padStart(4, "0")} is not allowed in a name`;
      case undefined:
        return undefined;
    }
  };
  for (const vector of names) {
    const given = vector.given.repeat(vector.times ?? 1);
    assert.equal(inWords(nameFault(given, max)), vector.fault, JSON.stringify(vector));
    if (vector.kept !== undefined) assert.equal(nickname(given), vector.kept.repeat(vector.kept_times ?? 1), JSON.stringify(vector));
  }
});

test("of all characters, those of the vectors are escaped, on the page and in the log (C5)", () => {
  const ranges = unsafe.ranges.map(([from, to]) => [Number.parseInt(from!, 16), Number.parseInt(to!, 16)] as const);
  const shown = new Set(unsafe.shown_by_a_page.map((digits) => Number.parseInt(digits, 16)));
  for (let code = 0; code <= 0x10ffff; code += 1) {
    if (code === 0xd800) code = 0xe000;
    const character = String.fromCodePoint(code);
    const expected = ranges.some(([from, to]) => from <= code && code <= to);
    assert.equal(pieces(character)[0]?.escaped, expected && !shown.has(code), `U+${code.toString(16)} on the page`);
    const json = safeJson(character);
    // JSON escapes two more.
    assert.equal(json !== `"${character}"` && code !== 0x22 && code !== 0x5c, expected, `U+${code.toString(16)} in the log`);
  }
});

test("log files are named as the vectors say (G2)", () => {
  for (const { name, times, file } of fileNames) assert.equal(fileName(name.repeat(times ?? 1)), `browser-${file}`);
});

test("the page knows every reason, and says it as the vectors do (chapter 7)", () => {
  const named = new Set<Reason>();
  for (const { reason, figures, service, page } of refusals) {
    named.add(reason as Reason);
    const failure = {
      reason: reason as Reason,
      network: false,
      message: service,
      figures: { ...figures } as Record<string, string>,
      retryAfterMs: null,
    };
    assert.equal(inWords(failure), page, reason);
  }
  assert.deepEqual([...named], [...REASONS]);
});

test("joining and leaving are said as the vectors do (S5, S6)", () => {
  for (const { kind, reason, name, logical_time, sentence: expected } of memberships) {
    const what = (kind === "joined" ? { type: "joined" } : { type: "left", disconnected: reason === "DISCONNECTED" }) as EventKind;
    const it = { ...event(7n, BigInt(logical_time), what, "p1", expected), author: { id: "p1", name } };
    assert.equal(sentence(it), expected);
    assert.equal(faultOfEvent(it, 1n), null, expected);
  }
});
