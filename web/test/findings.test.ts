import assert from "node:assert/strict";
import { test } from "node:test";
import { accusedEvents, toFindings } from "../src/core/replay/findings.js";

const REPORT = {
  schema: "chitchat.verify-report/1",
  verdict: "violated",
  records: 12,
  events: 3,
  sessions: 1,
  inputs: [{ files: ["server.jsonl"], component: "server", records: 8, cut_off: [], left_out: null }],
  rules: [
    {
      rule: "V3",
      title: "agreement",
      verdict: "violated",
      records: 4,
      violated: 1,
      violations: [
        {
          sentence: "They differ.",
          evidence: [
            { file: "server.jsonl", line: 4, record: { event: "message_broadcast", sequence: 3 } },
            { file: "a.jsonl", line: 2, record: "half a rec" },
          ],
        },
      ],
      gaps: ["no log of bob was given"],
    },
    { rule: "V13", title: "prefix", verdict: "not_checkable", records: 0, violated: 0, violations: [], gaps: [] },
  ],
  not_checked: [
    { reason: "there is one copy of the journal", rules: ["V13"], in_part: [] },
    { reason: "no log of bob was given", rules: [], in_part: ["V3"] },
  ],
};

test("a report in the published form is read, with the events of its evidence", () => {
  const findings = toFindings(REPORT);
  assert.equal(findings.verdict, "violated");
  assert.deepEqual(findings.inputs, [{ files: ["server.jsonl"], component: "server", records: 8 }]);
  const [agreement] = findings.rules;
  assert.deepEqual(agreement?.violations[0]?.lines, [
    { file: "server.jsonl", line: 4, event: "message_broadcast", sequence: 3n },
    { file: "a.jsonl", line: 2, event: "", sequence: null },
  ]);
  assert.deepEqual(agreement?.gaps, ["no log of bob was given"]);
  assert.deepEqual([...accusedEvents(findings, "V3")], [3n]);
});

test("a rule that could not be checked always has a reason", () => {
  assert.deepEqual(toFindings(REPORT).rules[1]?.gaps, ["there is one copy of the journal"]);
});

test("what is no report proves nothing", () => {
  for (const nothing of [null, "text", [], { verdict: "perhaps", rules: "none" }]) {
    assert.deepEqual(toFindings(nothing), { verdict: "unknown", records: 0, events: 0, sessions: 0, inputs: [], rules: [] });
  }
});
