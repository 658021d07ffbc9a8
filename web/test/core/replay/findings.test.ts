import assert from "node:assert/strict";
import { test } from "node:test";
import { accusedEvents, judged, ownLog, sentenceOf, toFindings, toProof } from "../../../src/core/replay/findings.js";

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

test("anything but a report proves nothing", () => {
  for (const nothing of [null, "text", [], { verdict: "perhaps", rules: "none" }]) {
    assert.deepEqual(toFindings(nothing), { verdict: "unknown", records: 0, events: 0, sessions: 0, inputs: [], rules: [] });
  }
});

test("the findings are put into words", () => {
  const broken = toFindings(REPORT);
  assert.deepEqual(sentenceOf(broken), { title: "Rule V3 is broken", text: "0 of 2 rules hold, over 12 records of 3 events." });
  const rules = REPORT.rules.map((rule) => (rule.rule === "V3" ? { ...rule, verdict: "held", violated: 0, violations: [] } : rule));
  const held = toFindings({ ...REPORT, verdict: "holds", rules });
  const { title, text } = sentenceOf(held);
  assert.equal(title, "All rules that could be checked hold");
  assert.match(
    text,
    /^1 of 2 were checked, over 12 records of 3 events\. V13 could not be checked; the list says why\. No log of bob was given: /,
  );
  assert.equal(sentenceOf(toFindings({ verdict: "holds", rules: [] })).title, "There is nothing to prove yet");
  assert.equal(sentenceOf(toFindings(null)).title, "Nothing is proved");
});

test("a rule that nothing in the run concerns had nothing to check, and was not checked", () => {
  const rule = (name: string, records: number) => ({ ...REPORT.rules[1], rule: name, verdict: "held", records });
  const of = (...rules: unknown[]) => sentenceOf(toFindings({ ...REPORT, verdict: "holds", rules, not_checked: [] }));
  const { title, text } = of(rule("V1", 3), rule("V5", 0), rule("V10", 0));
  assert.equal(title, "All rules hold");
  assert.equal(text, "1 of 3 were checked, over 12 records of 3 events. V5, V10 had nothing to check.");
  assert.equal(of(rule("V1", 0)).title, "There is nothing to prove yet");
});

test("a proof comes with the logs that can be replayed, and is judged by the first rule that is broken", () => {
  const logs = [{ name: "server.jsonl", text: "{}\n" }];
  const proof = toProof({ epoch: "e", report: REPORT, logs });
  assert.deepEqual([proof.epoch, proof.logs], ["e", logs]);
  assert.equal(toProof({ epoch: "e", report: REPORT, logs: null }).logs, null);
  assert.equal(judged("proof-1", proof.findings)?.rule, "V3");
  assert.equal(judged("proof-1", toFindings({ verdict: "holds", rules: [] })), null);
  assert.equal(ownLog(toFindings({ inputs: [{ files: ["/l/server.jsonl"] }, { files: ["mine.jsonl"] }] })), "mine.jsonl");
});
