/** Faults by hand, for each participant; companions; and the service's writer. */

import type { State } from "../../core/machine/state.js";
import { button, make, reconcile, show } from "../../view/parts/dom.js";
import type { Doing, Part } from "./doing.js";
import { field, number, select } from "./form.js";
import { PersonRow } from "./person.js";
import type { CompanionKind, LabState } from "../types.js";
import { COMPANIONS } from "../words.js";

/** The kinds of companions that can be added. */
const KINDS: readonly CompanionKind[] = ["echo", "chatterbox", "answerer", "slow", "wrong-clock"];

/** How long the writer stops by default, and at most, in seconds. */
const WRITER_S = { usual: 5, max: 60 };

/** The part of the panel with the participants. */
export class People implements Part {
  readonly title = "Faults";
  readonly element = make("section", "lab-part");
  readonly #doing: Doing;
  readonly #rows = new Map<string, PersonRow>();
  readonly #list = make("ul", "lab-people");

  /** Makes it, still empty. */
  constructor(doing: Doing) {
    this.#doing = doing;
    const intro =
      "A fault is something that goes wrong between a participant and the service. It never harms the order: everything that is held or lost on the way arrives later, in order, once.";
    this.element.append(make("p", "fine", intro), this.#list, this.#companions(), this.#writer());
  }

  /** Shows the lab's present state. */
  render({ people }: LabState, page: State): void {
    const self = page.session?.participantId ?? "";
    for (const [id] of this.#rows) if (people.every(({ person }) => person.id !== id)) this.#rows.delete(id);
    reconcile(
      this.#list,
      people,
      ({ person }) => person.id,
      ({ person, companion }) => {
        const row = new PersonRow(person, person.id === self, companion !== null, this.#doing);
        this.#rows.set(person.id, row);
        return row.element;
      },
    );
    for (const listed of people) this.#rows.get(listed.person.id)?.render(listed);
  }

  #companions(): HTMLElement {
    const kind = select(KINDS.map((kind) => [kind, COMPANIONS[kind].name] as const));
    const does = make("p", "fine");
    const tell = () => does.replaceChildren(`It ${COMPANIONS[kind.value as CompanionKind].does}.`);
    kind.addEventListener("change", tell);
    tell();
    const add = button("Add", "small", () => {
      add.disabled = true;
      void this.#doing.run((client) => client.addCompanion(kind.value as CompanionKind)).finally(() => (add.disabled = false));
    });
    const about = make(
      "p",
      "fine",
      "A participant that the service plays, for when you are alone. It takes part as you do, and writes a log.",
    );
    return group("Companions", about, make("div", "lab-line", field("Kind", kind), add), does);
  }

  #writer(): HTMLElement {
    const seconds = number(WRITER_S.usual, 1, WRITER_S.max);
    const stop = button("Stop it", "small", () => {
      void this.#doing.run((client) =>
        client.stopWriter(Math.min(WRITER_S.max, Math.max(1, seconds.valueAsNumber || WRITER_S.usual)) * 1000),
      );
    });
    const about = make(
      "p",
      "fine",
      "The writer gives events their places in the order. While it is stopped, nothing is ordered, answered or delivered.",
    );
    return group("The service’s writer", about, make("div", "lab-line", field("Seconds", seconds), stop));
  }
}

/** A part with a heading. */
function group(title: string, ...children: HTMLElement[]): HTMLElement {
  const element = make("section", "lab-group", make("h3", "", title), ...children);
  show(element, true);
  return element;
}
