import assert from "node:assert/strict";
import { test } from "node:test";
import { fileName, Log, RECORDS_MAX, safeJson, toLine, toTimestamp } from "../../src/core/log.js";
import { characters, visible, wellFormed } from "../../src/core/text.js";
import { backoff, RETRY_MAX_MS } from "../../src/core/machine/backoff.js";
import cases from "../../../tests/vectors/safe_json.json";

test("characters are Unicode scalar values", () => {
  const check = (text: string, expected: number) => assert.equal(characters(text), expected, JSON.stringify(text));
  check("", 0);
  check("æøå", 3);
  check("😀", 1);
  check("👩‍👩‍👧", 5);
  check("e\u0301", 2);
  check("\ud83d", 1);
  check("a\nb", 3);
});

test("half of a surrogate pair becomes the replacement character, and a whole pair stays", () => {
  assert.equal(wellFormed("a\ud83db"), "a\ufffdb");
  assert.equal(wellFormed("😀"), "😀");
});

test("controls and bidirectional overrides are shown escaped, line feed and tab are not", () => {
  const check = (text: string, expected: string) => assert.equal(visible(text), expected);
  check("a\u202eb", "a\\u{202e}b");
  check("\u001b[31m", "\\u{1b}[31m");
  check("\u0085", "\\u{85}");
  check("\u2066x\u2069", "\\u{2066}x\\u{2069}");
  check("one\ntwo\tthree", "one\ntwo\tthree");
  check("æøå 😀 سلام", "æøå 😀 سلام");
});

test("a log line has the specified names, exact numbers and six digits of a second", () => {
  assert.equal(toTimestamp(Date.UTC(2026, 10, 22, 6, 34, 44, 123) * 1000 + 7), "2026-11-22T06:34:44.123007Z");
  const fields = { message_id: "m", seen_sequence: (1n << 63n) + 1n, content: 'a"b\n' };
  const line = toLine(0, "r", { event: "publish_queued", fields });
  assert.equal(
    line,
    '{"timestamp":"1970-01-01T00:00:00.000000Z","level":"INFO","component":"browser","event":"publish_queued","message_id":"m","seen_sequence":9223372036854775809,"content":"a\\"b\\n","run":"r"}',
  );
});

test("a log line is safe to show, as those of the other processes are (src/terminal.rs reads the same cases)", () => {
  for (const { text, json } of cases) {
    assert.equal(safeJson(text), json);
    assert.equal(JSON.parse(json), text);
  }
});

test("the log is bounded, says how much it dropped, and survives being stored", () => {
  const log = new Log();
  for (let n = 0; n <= RECORDS_MAX; n += 1) log.push(`{"n":${n}}`);
  assert.equal(log.lines.length + log.dropped, RECORDS_MAX + 1);
  assert.ok(log.dropped > 0);
  const again = Log.fromStored(log.toStored(1_000));
  assert.equal(again.lines[again.lines.length - 1], `{"n":${RECORDS_MAX}}`);
  assert.equal(again.lines.length + again.dropped, RECORDS_MAX + 1);
  assert.equal(Log.fromStored(null).lines.length, 0);
  assert.equal(Log.fromStored(new Log().toStored(10)).lines.length, 0);
});

test("a log that was stored before its last records says how many it lacks", () => {
  const log = new Log();
  for (let n = 0; n < 5; n += 1) log.push(`{"n":${n}}`);
  const stored = log.toStored(1_000);
  log.push(`{"n":5}`);
  const again = Log.fromStored(stored);
  const one = { event: "records_lost", fields: { count: 1n } };
  assert.equal(again.missing(again.count, true), null);
  assert.deepEqual(again.missing(log.count, true), one);
  assert.deepEqual(again.missing(log.count, false), one, "the page had left when its tab was killed");
  assert.deepEqual(Log.fromStored(null).missing(log.count, true), { event: "records_lost", fields: { count: 6n, from_start: true } });
  assert.equal(Log.fromStored(null).missing(log.count, false), null, "the tab may be a copy");
  assert.equal(Log.fromStored(stored.replace(/^0/, "x")).missing(log.count, true)?.event, "records_lost", "a damaged text");
  assert.match(toLine(0, "r", again.missing(log.count, true)!), /"level":"WARN".*"count":1,/);
});

test("a file name is made of the display name and of nothing dangerous", () => {
  assert.equal(fileName("alice"), "browser-alice.jsonl");
  assert.equal(fileName("../../etc/passwd"), "browser-%2E.%2F..%2Fetc%2Fpasswd.jsonl");
  assert.equal(fileName("😀"), "browser-%F0%9F%98%80.jsonl");
  assert.equal(fileName("Åse Ødegård"), "browser-Åse%20Ødegård.jsonl");
});

test("waits grow, are jittered and have a ceiling", () => {
  assert.equal(backoff(0, 1), 200);
  assert.equal(backoff(0, 0), 100);
  assert.equal(backoff(1, 1), 400);
  assert.equal(backoff(1_000, 1), RETRY_MAX_MS);
});
