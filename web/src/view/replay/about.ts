/** The panel beside a replay: whose clock is shown, and which logs were read. */

import type { ChatEvent, Person } from "../../core/event.js";
import type { EvidenceLine, Judged } from "../../core/replay/findings.js";
import type { Conversation, LogFile, Run } from "../../core/replay/run.js";
import { toHash } from "../../core/replay/place.js";
import { Vectors } from "../../core/replay/vector.js";
import { visible } from "../../core/text.js";
import { lessonOf } from "../diagram/words.js";
import { byId, make, safely, setText } from "../parts/dom.js";
import { rules } from "./findings.js";
import { hueOf } from "../parts/palette.js";

/** What the user can choose here. */
export interface AboutWishes {
  /** Shows another participant's receipts; empty for none. */
  reader(id: string): void;
  /** Shows another conversation of the run. */
  conversation(index: number): void;
}

/** The panel. */
export class About {
  readonly #readers: readonly Person[];
  readonly #title = byId("clock-title");
  readonly #clock = make("p", "arithmetic");
  readonly #vectors: Vectors;
  readonly #vector = make("p", "vector-counts");
  readonly #lesson = make("p", "vector-lesson");

  /** Takes over the panel beside the conversation. */
  constructor(run: Run, shown: Conversation, reader: string, mistake: Judged | null, wishes: AboutWishes) {
    this.#readers = shown.readers;
    const options: readonly (readonly [string, string])[] = [
      ["", "nobody"],
      ...shown.readers.map(({ id, name }) => [id, visible(name)] as const),
    ];
    const readers = picker("reader", "Received by", options, reader, (value) => wishes.reader(value));
    byId("clock-title").nextElementSibling?.nextElementSibling?.remove();
    byId("clock-title").before(readers);
    this.#clock.id = "clock-step";
    byId("clock-step").replaceWith(this.#clock);
    this.#vectors = new Vectors(shown.events);
    byId("order-title").parentElement?.before(make("section", "vector", make("h2", "", "Vector clock"), this.#vector, this.#lesson));
    const several = run.conversations.length > 1;
    const epochs = run.conversations.map(({ epoch, events }, index): [string, string] => [
      `${index}`,
      `${epoch || "unknown"}, ${counted(events.length, "event")}`,
    ]);
    const conversations = several
      ? [picker("epoch", "Epoch", epochs, `${run.conversations.indexOf(shown)}`, (value) => wishes.conversation(Number(value)))]
      : [];
    if (mistake !== null) byId("side").prepend(wrong(mistake));
    const logs = byId("log-title");
    setText(logs, "Logs");
    const list = make("ul", "run-files", ...run.files.map(listed));
    const missing =
      shown.missing > 0
        ? [make("p", "fine", `${counted(shown.missing, "event")} in between ${shown.missing === 1 ? "is" : "are"} in no log.`)]
        : [];
    const others = make("a", "", "Open other logs");
    others.href = "#run";
    logs.parentElement?.replaceChildren(logs, ...conversations, list, ...missing, others);
    logs.parentElement?.classList.add("run-logs");
  }

  /** Shows what an event did to the reader's clock. */
  show(event: ChatEvent, reader: string): void {
    const vector = this.#vectors.of(event);
    const counts = vector
      .slice(0, COUNTS_MAX)
      .map(({ person, events }) => make("span", hueOf(person.name), make("b", "name", ...safely(person.name)), ` ${events}`));
    const more = vector.length > COUNTS_MAX ? [`and ${vector.length - COUNTS_MAX} more`] : [];
    this.#vector.replaceChildren(...counts.flatMap((count) => [count, " "]), ...more);
    setText(this.#lesson, lessonOf(event, this.#vectors));
    const person = this.#readers.find(({ id }) => id === reader);
    this.#title.hidden = person === undefined;
    this.#clock.hidden = person === undefined;
    if (person === undefined) return;
    setText(this.#title, `${visible(person.name)}’s Lamport clock`);
    setText(this.#clock, event.receipt === null ? "not received" : `received ${event.logicalTime}\nclock after it: ${event.receipt}`);
  }
}

/** The most entries of a vector that are shown. */
const COUNTS_MAX = 12;

/** What is wrong in a run: the broken rule, where, and why. */
function wrong(mistake: Judged): HTMLElement {
  const { findings, rule } = mistake;
  const named = findings.rules.filter((one) => one.rule === rule);
  const others = findings.rules.filter((one) => one.rule !== rule && one.verdict === "violated").map((one) => one.rule);
  const list = rules({ ...findings, rules: named }, (line) => toEvent(mistake.run, line));
  const section = make("section", "wrong", make("h2", "", "What is wrong"), make("p", "", mistake.explanation), list);
  if (others.length > 0) section.append(make("p", "fine", `${others.join(", ")} ${others.length === 1 ? "is" : "are"} broken, too.`));
  return section;
}

function toEvent(run: string, { sequence }: EvidenceLine): HTMLElement | null {
  if (sequence === null) return null;
  const link = make("a", "", `event ${sequence}`);
  link.href = toHash({ run, event: sequence });
  return link;
}

/** "1 line", "2 lines". */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Names the lines that are not records; empty if there are none. */
export function strangeness({ strange, firstStrange }: LogFile): string {
  if (strange === 0) return "";
  return strange === 1
    ? `line ${firstStrange} is not a log record`
    : `${strange.toLocaleString("en")} lines are not log records, the first of them line ${firstStrange}`;
}

function listed(file: LogFile): HTMLElement {
  const strange = strangeness(file);
  const note = strange === "" ? [] : [make("span", "strange", `; ${strange}`)];
  return make("li", "", make("span", "run-file", visible(file.name)), " ", make("span", "fine", counted(file.records, "record")), ...note);
}

function picker(
  name: string,
  label: string,
  options: readonly (readonly [string, string])[],
  chosen: string,
  change: (value: string) => void,
): HTMLElement {
  const select = make("select", "", ...options.map(([value, text]) => new Option(text, value, value === chosen, value === chosen)));
  select.name = name;
  select.addEventListener("change", () => change(select.value));
  return make("label", "picker", make("span", "", label), select);
}
