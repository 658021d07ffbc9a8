/**
 * What the verifier found, in the published form `chitchat.verify-report/1` (docs/verify-report.schema.json): rules,
 * violations, and the records that show them.
 */

/** A line of a log. */
export interface EvidenceLine {
  readonly file: string;
  readonly line: number;
  /** The kind of record; empty where it could not be read. */
  readonly event: string;
  /** Its event's place in the conversation; null where it has none. */
  readonly sequence: bigint | null;
}

/** A violation of a rule. */
export interface Violation {
  readonly sentence: string;
  readonly lines: readonly EvidenceLine[];
}

/** What became of a rule. */
export interface RuleFinding {
  readonly rule: string;
  readonly title: string;
  readonly verdict: "held" | "violated" | "not_checkable";
  /** Over how many records it was checked. */
  readonly records: number;
  /** How often it was violated; the first violations are shown. */
  readonly violated: number;
  readonly violations: readonly Violation[];
  /** What could not be checked, and why. */
  readonly gaps: readonly string[];
}

/** A log that was read. */
export interface InputLog {
  /** Its file; of a log that was rotated its files. */
  readonly files: readonly string[];
  /** What wrote it: "server", "client" or "browser". */
  readonly component: string;
  readonly records: number;
}

/** What was found in logs. */
export interface Findings {
  /** What the logs show as a whole; unknown without a log of the service. */
  readonly verdict: "holds" | "violated" | "unknown";
  readonly records: number;
  readonly events: number;
  readonly sessions: number;
  readonly inputs: readonly InputLog[];
  readonly rules: readonly RuleFinding[];
}

/** A mistake of the gallery. */
export interface Mistake {
  readonly number: number;
  readonly title: string;
  readonly explanation: string;
  /** The rule that names it. */
  readonly rule: string;
  readonly logs: readonly { readonly name: string; readonly text: string }[];
  readonly findings: Findings;
}

type Json = Readonly<Record<string, unknown>>;

const object = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {});
const list = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.map(object) : []);
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const texts = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(text) : []);
const count = (value: unknown): number => (typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : 0);

/** Reads findings. What is missing counts as nothing. */
export function toFindings(json: unknown): Findings {
  const { verdict, records, events, sessions, inputs, rules, not_checked } = object(json);
  const reasons = list(not_checked).map(({ reason, rules }) => ({ reason: text(reason), rules: texts(rules) }));
  return {
    verdict: verdict === "holds" || verdict === "violated" ? verdict : "unknown",
    records: count(records),
    events: count(events),
    sessions: count(sessions),
    inputs: list(inputs).map(({ files, component, records }) => ({
      files: texts(files),
      component: text(component),
      records: count(records),
    })),
    rules: list(rules).map((rule) => toRule(rule, reasons)),
  };
}

/** A rule that could not be checked may have its only reason among those of the whole report. */
function toRule(
  { rule, title, verdict, records, violated, violations, gaps }: Json,
  reasons: readonly { readonly reason: string; readonly rules: readonly string[] }[],
): RuleFinding {
  const more = reasons.filter(({ rules }) => rules.includes(text(rule))).map(({ reason }) => reason);
  return {
    rule: text(rule),
    title: text(title),
    verdict: verdict === "held" || verdict === "violated" ? verdict : "not_checkable",
    records: count(records),
    violated: count(violated),
    violations: list(violations).map(({ sentence, evidence }) => ({ sentence: text(sentence), lines: list(evidence).map(toLine) })),
    gaps: [...new Set([...texts(gaps), ...more])],
  };
}

function toLine({ file, line, record }: Json): EvidenceLine {
  const { event, sequence } = object(record);
  const at = count(sequence);
  return { file: text(file), line: count(line), event: text(event), sequence: at === 0 ? null : BigInt(at) };
}

/** Reads a mistake of the gallery. */
export function toMistake(json: unknown): Mistake {
  const { number, title, explanation, rule, logs, report } = object(json);
  return {
    number: count(number),
    title: text(title),
    explanation: text(explanation),
    rule: text(rule),
    logs: list(logs).map(({ name, text: lines }) => ({ name: text(name), text: text(lines) })),
    findings: toFindings(report),
  };
}

/** The events that a broken rule is about, by the lines that show it. */
export function accusedEvents({ rules }: Findings, rule: string): ReadonlySet<bigint> {
  const found = rules.filter((one) => one.rule === rule).flatMap(({ violations }) => violations.flatMap(({ lines }) => lines));
  return new Set(found.flatMap(({ sequence }) => (sequence === null ? [] : [sequence])));
}
