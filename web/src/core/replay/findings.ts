/**
 * The verifier's report, in the published form `chitchat.verify-report/1` (docs/verify-report.schema.json): rules,
 * violations, and the records that show them.
 */

/** A line of a log. */
export interface EvidenceLine {
  readonly file: string;
  readonly line: number;
  /** The kind of record; empty if it could not be read. */
  readonly event: string;
  /** Its event's place in the conversation; null if it has none. */
  readonly sequence: bigint | null;
}

/** A violation of a rule. */
export interface Violation {
  readonly sentence: string;
  readonly lines: readonly EvidenceLine[];
}

/** The verdict on a rule. */
export interface RuleFinding {
  readonly rule: string;
  readonly title: string;
  readonly verdict: "held" | "violated" | "not_checkable";
  /** How many records it was checked on. */
  readonly records: number;
  /** How many times it was violated; the first violations are shown. */
  readonly violated: number;
  readonly violations: readonly Violation[];
  /** What could not be checked, and why. */
  readonly gaps: readonly string[];
}

/** A log that was read. */
export interface InputLog {
  /** Its file, or its files if the log was rotated. */
  readonly files: readonly string[];
  /** The component that wrote it: "server", "client" or "browser". */
  readonly component: string;
  readonly records: number;
}

/** What the verifier found in the logs. */
export interface Findings {
  /** What the logs show as a whole; unknown without a log of the service. */
  readonly verdict: "holds" | "violated" | "unknown";
  readonly records: number;
  readonly events: number;
  readonly sessions: number;
  readonly inputs: readonly InputLog[];
  readonly rules: readonly RuleFinding[];
}

/** A run that breaks a rule. */
export interface Judged {
  /** The run's name in addresses. */
  readonly run: string;
  readonly explanation: string;
  /** The rule that is shown; others may be broken with it. */
  readonly rule: string;
  readonly findings: Findings;
}

/** A log as a text. */
export interface TextLog {
  readonly name: string;
  readonly text: string;
}

/** A mistake of the gallery. */
export interface Mistake extends Judged {
  readonly title: string;
  readonly logs: readonly TextLog[];
}

/** The result of a proof by the lab. */
export interface Proof {
  readonly epoch: string;
  readonly findings: Findings;
  /** The report as it came, for another page. */
  readonly report: unknown;
  /** The logs except this page's own; null if they are too large to be replayed. */
  readonly logs: readonly TextLog[] | null;
}

type Json = Readonly<Record<string, unknown>>;

const object = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {});
const list = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.map(object) : []);
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const texts = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(text) : []);
const count = (value: unknown): number => (typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : 0);

/** Reads findings. What is missing counts as zero or empty. */
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

/** The reason why a rule could not be checked may be given only for the whole report. */
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
    run: `mistake-${count(number)}`,
    title: text(title),
    explanation: text(explanation),
    rule: text(rule),
    logs: toLogs(logs),
    findings: toFindings(report),
  };
}

function toLogs(logs: unknown): TextLog[] {
  return list(logs).map(({ name, text: lines }) => ({ name: text(name), text: text(lines) }));
}

/** Reads the result of a proof by the lab. */
export function toProof(json: unknown): Proof {
  const { epoch, report, logs } = object(json);
  return { epoch: text(epoch), findings: toFindings(report), report, logs: Array.isArray(logs) ? toLogs(logs) : null };
}

/** A run that breaks rules, shown by the first of them; null if it breaks none. */
export function judged(run: string, findings: Findings): Judged | null {
  const rule = findings.rules.find(({ verdict }) => verdict === "violated")?.rule;
  const explanation = "The logs of this run contradict each other, or what the service promises.";
  return rule === undefined ? null : { run, explanation, rule, findings };
}

/** The name of this page's own log in the report. */
export function ownLog({ inputs }: Findings): string {
  return inputs.find(({ files: [name = ""] }) => !name.includes("/"))?.files[0] ?? "this-page.jsonl";
}

/** Whether a rule held only because nothing happened that it applies to. */
export function hadNothing({ verdict, records }: RuleFinding): boolean {
  return verdict === "held" && records === 0;
}

/** The overall result, in words. */
export function sentenceOf(findings: Findings): { readonly title: string; readonly text: string } {
  const { verdict, rules, records, events } = findings;
  const names = (wanted: (rule: RuleFinding) => boolean) => rules.filter(wanted).map(({ rule }) => rule);
  const held = names((rule) => rule.verdict === "held" && !hadNothing(rule));
  const nothing = names(hadNothing);
  const [violated, unchecked] = [names(({ verdict }) => verdict === "violated"), names(({ verdict }) => verdict === "not_checkable")];
  const of = `${counted(records, "record")} of ${counted(events, "event")}`;
  if (verdict === "unknown") return { title: "Nothing is proved", text: "There is no log of the service, so the order is not known." };
  if (violated.length > 0) {
    const title = violated.length === 1 ? `Rule ${violated[0]} is broken` : `${violated.length} rules are broken`;
    return { title, text: `${held.length} of ${rules.length} rules hold, over ${of}.` };
  }
  if (held.length === 0) return { title: "There is nothing to prove yet", text: "Nothing happened in these logs that a rule applies to." };
  const all = unchecked.length === 0;
  const quiet = nothing.length === 0 ? "" : ` ${nothing.join(", ")} had nothing to check.`;
  const rest = all ? quiet : `${quiet} ${unchecked.join(", ")} could not be checked; the list says why.`;
  return {
    title: all ? "All rules hold" : "All rules that could be checked hold",
    text: `${held.length} of ${rules.length} were checked, over ${of}.${rest}${missingOf(findings)}`,
  };
}

/** Which logs are missing, in words. */
function missingOf({ rules }: Findings): string {
  const found = rules.flatMap(({ gaps }) => gaps).find((gap) => /^no log of (?!the service)/.test(gap));
  return found === undefined ? "" : ` ${found[0]!.toUpperCase()}${found.slice(1)}: what happened there is only partly known.`;
}

function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** The events that a broken rule is about, by the lines that show it. */
export function accusedEvents({ rules }: Findings, rule: string): ReadonlySet<bigint> {
  const found = rules.filter((one) => one.rule === rule).flatMap(({ violations }) => violations.flatMap(({ lines }) => lines));
  return new Set(found.flatMap(({ sequence }) => (sequence === null ? [] : [sequence])));
}
