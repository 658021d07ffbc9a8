/** Step by step: holds everything and releases one delivery at a time, each with the rules that it makes fire. */

import type { ChatEvent } from "../../core/event.js";
import { type State, presentSegment } from "../../core/machine/state.js";
import { button, make, reconcile, safely, setText, show } from "../../view/parts/dom.js";
import { hueOf } from "../../view/parts/palette.js";
import type { Doing, Part } from "./doing.js";
import { type Firing, firings, sum, words } from "../explain.js";
import { check } from "./form.js";
import { Held } from "./held.js";
import { type LabPerson, type LabState, UNIMPAIRED } from "../types.js";
import { heldWords } from "../words.js";

/** How long everything is held, in milliseconds: as long as the lab allows. */
const HOLD_MS = 600_000;

/** The part of the panel for one delivery at a time. */
export class Steps implements Part {
  readonly title = "Step by step";
  readonly element = make("section", "lab-part");
  readonly #doing: Doing;
  readonly #list = make("ul", "lab-people");
  readonly #none = make("p", "fine");
  readonly #me = check("Mine, too");
  readonly #publishes = check("What they send, too: it waits before it gets a place in the order");
  readonly #explained = make("div", "lab-explained");
  readonly #rows = new Map<string, Row>();
  #lab: LabState | null = null;
  #page: State | null = null;

  /** Makes it. */
  constructor(doing: Doing) {
    this.#doing = doing;
    const intro =
      "Hold everything, have people and companions write, and let deliveries through one by one. Below, each of Lamport’s rules is explained as it applies, in words and in numbers.";
    const hold = button("Hold everybody’s deliveries", "primary small", () => void this.#hold());
    const all = button("Let everything through", "small", () => void doing.run((client) => client.clear("")));
    this.#explained.setAttribute("role", "status");
    this.element.append(
      make("p", "fine", intro),
      this.#me.element,
      this.#publishes.element,
      make("div", "lab-actions", hold, all),
      this.#list,
      this.#none,
      this.#explained,
      rules(),
    );
  }

  /** Shows what is held. */
  render(lab: LabState, page: State): void {
    this.#lab = lab;
    this.#page = page;
    const held = lab.people.filter(({ deliveriesHeld, publishesHeld }) => deliveriesHeld + publishesHeld > 0);
    for (const [id] of this.#rows) if (held.every(({ person }) => person.id !== id)) this.#rows.delete(id);
    reconcile(
      this.#list,
      held,
      ({ person }) => person.id,
      ({ person }) => {
        const row = new Row(
          person.name,
          () => void this.#deliver(person.id),
          () => void this.#doing.run((client) => client.release(person.name, 1, "publishes")),
        );
        this.#rows.set(person.id, row);
        return row.element;
      },
    );
    for (const listed of held) this.#rows.get(listed.person.id)?.render(listed);
    const holding = lab.people.some(({ fault }) => fault?.deliveries.hold === true || fault?.publishes.hold === true);
    setText(
      this.#none,
      holding ? "Everything that was held has been let through. Write something, and it will wait here." : "Nothing is held now.",
    );
    show(this.#none, held.length === 0);
  }

  async #hold(): Promise<void> {
    const self = this.#page?.session?.participantId;
    const [people, mine] = [this.#lab?.people ?? [], this.#me.box.checked];
    const hold = { ...UNIMPAIRED, hold: true };
    const fault = { deliveries: hold, publishes: this.#publishes.box.checked ? hold : UNIMPAIRED, pause: false };
    await this.#doing.run(async (client) => {
      for (const { person } of people) {
        if (person.id !== self || mine) await client.set(person.name, fault, false, HOLD_MS);
      }
    });
  }

  /** Lets one delivery through, and explains what the clocks do. */
  async #deliver(id: string): Promise<void> {
    const listed = this.#lab?.people.find(({ person }) => person.id === id);
    const page = this.#page;
    const next = listed?.next[0];
    if (listed === undefined || next === undefined || page === null) return;
    const { person, companion } = listed;
    const clock = page.session?.participantId === id ? page.clock : (companion?.clock ?? null);
    const fired = firings(next, timeBefore(page, next), { name: person.name, clock });
    await this.#doing.run((client) => client.release(person.name, 1, "deliveries"));
    this.#explained.replaceChildren(explained(next, person.name, fired));
    this.#explained.scrollIntoView({ block: "nearest" });
  }
}

/** The logical time of the event before this one, if the page has it. */
function timeBefore(page: State, event: ChatEvent): bigint | null {
  const segment = presentSegment(page);
  const events = [...(segment?.past ?? []), ...(segment?.live ?? [])];
  return events.find(({ sequence }) => sequence === event.sequence - 1n)?.logicalTime ?? null;
}

/** A participant for whom something is held. */
class Row {
  readonly element: HTMLElement;
  readonly #now = make("p", "lab-now");
  readonly #held: Held;
  readonly #deliver: HTMLButtonElement;
  readonly #publish: HTMLButtonElement;

  constructor(name: string, deliver: () => void, publish: () => void) {
    this.#deliver = button("Deliver the next", "small", deliver);
    this.#deliver.setAttribute("aria-label", `Deliver the next event to ${name}`);
    this.#publish = button("Let one publish through", "small", publish);
    this.#publish.setAttribute("aria-label", `Let one publish by ${name} through`);
    this.#held = new Held(name);
    const swatch = make("span", "node");
    swatch.setAttribute("aria-hidden", "true");
    const title = make("span", "name", ...safely(name));
    title.dir = "auto";
    const head = make("div", "lab-name", swatch, title);
    this.element = make(
      "li",
      `faulty ${hueOf(name)}`,
      head,
      this.#now,
      this.#held.element,
      make("div", "lab-actions", this.#deliver, this.#publish),
    );
  }

  render(listed: LabPerson): void {
    const { deliveriesHeld, publishesHeld } = listed;
    setText(this.#now, heldWords(deliveriesHeld, publishesHeld));
    this.#held.render(listed);
    show(this.#deliver, deliveriesHeld > 0);
    show(this.#publish, publishesHeld > 0);
  }
}

function lineOf(event: ChatEvent): string {
  return event.kind.type === "message" ? `${event.author.name}: ${event.content}` : event.content;
}

/** What the clocks did as an event traveled. */
function explained(event: ChatEvent, receiver: string, fired: readonly Firing[]): HTMLElement {
  const list = make("ol", "lab-firings");
  for (const firing of fired) {
    const rule = make("span", "lab-rule", firing.rule);
    list.append(make("li", "", rule, make("span", "lab-sum", sum(firing)), make("span", "fine", ...safely(words(firing)))));
  }
  const title = make("h3", "", ...safely(`Event ${event.sequence} reaches ${receiver}`));
  return make("div", "", title, make("p", "lab-next", ...safely(lineOf(event))), list);
}

/** Both of Lamport's rules, for reference. */
function rules(): HTMLElement {
  const list = make("dl", "lab-rules");
  for (const [name, text] of [
    ["IR1", "Before a process does something that counts, such as sending, its clock moves forward by one: C + 1."],
    ["IR2", "When it receives a message with the time t, its clock becomes the larger of the two, plus one: max(C, t) + 1."],
  ] as const) {
    list.append(make("dt", "", name), make("dd", "", text));
  }
  return make("details", "lab-more", make("summary", "", "The two rules"), list);
}
