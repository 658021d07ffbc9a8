/** What the verifier found, as a list of rules. */

import { type EvidenceLine, type Findings, hadNothing, type RuleFinding } from "../../core/replay/findings.js";
import { visible } from "../../core/text.js";
import { make } from "../parts/dom.js";

const SIGNS: Readonly<Record<RuleFinding["verdict"], string>> = { held: "✓", violated: "✗", not_checkable: "–" };

/** The rules, each with what was checked. `link` makes a link from a line of evidence to its event, if it has one. */
export function rules({ rules }: Findings, link: (line: EvidenceLine) => HTMLElement | null): HTMLElement {
  return make("ol", "findings", ...rules.map((rule) => item(rule, link)));
}

function item(rule: RuleFinding, link: (line: EvidenceLine) => HTMLElement | null): HTMLElement {
  const sign = make("span", "finding-sign", SIGNS[rule.verdict]);
  sign.setAttribute("aria-hidden", "true");
  const parts: HTMLElement[] = [
    make("p", "finding-head", sign, make("b", "", rule.rule), ` ${rule.title}`, make("span", "fine", ` ${verdict(rule)}`)),
  ];
  for (const { sentence, lines } of rule.violations) {
    parts.push(make("p", "finding-sentence", visible(sentence)));
    parts.push(make("ul", "finding-lines", ...lines.map((line) => make("li", "", ...evidence(line, link)))));
  }
  if (rule.gaps.length > 0) {
    const details = make("details", "fine", make("summary", "", rule.verdict === "held" ? "Except that" : "Because"));
    details.append(make("ul", "", ...rule.gaps.map((gap) => make("li", "", visible(gap)))));
    parts.push(details);
  }
  return make("li", `finding ${rule.verdict}`, ...parts);
}

function verdict(rule: RuleFinding): string {
  const { verdict, records, violated } = rule;
  if (hadNothing(rule)) return "nothing to check";
  switch (verdict) {
    case "held":
      return `held over ${records} record${records === 1 ? "" : "s"}`;
    case "violated":
      return `broken ${violated === 1 ? "once" : `${violated} times`}`;
    case "not_checkable":
      return "could not be checked";
  }
}

function evidence(line: EvidenceLine, link: (line: EvidenceLine) => HTMLElement | null): (Node | string)[] {
  // Only the file's name: the folder on the service's machine tells the reader nothing.
  const place = `${visible(line.file.replace(/^.*\//, ""))}:${line.line}`;
  const to = link(line);
  return [`${place} ${line.event} `, ...(to === null ? [] : [to])];
}
