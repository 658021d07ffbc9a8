/** One participant in the lab's panel: its state, and the faults that can be set. */

import type { Person } from "../../core/event.js";
import { button, make, safely, setText, show } from "../../view/parts/dom.js";
import { hueOf } from "../../view/parts/palette.js";
import type { Doing } from "./doing.js";
import { check, field, number, select } from "./form.js";
import { Held } from "./held.js";
import { type Fault, type Impairment, type LabPerson, UNIMPAIRED } from "../types.js";
import { COMPANIONS, personWords } from "../words.js";

/** How long a fault lasts, in seconds: the choices, and the default. */
const DURATIONS: readonly (readonly [string, string])[] = [
  ["10", "10 seconds"],
  ["30", "30 seconds"],
  ["60", "1 minute"],
  ["300", "5 minutes"],
  ["600", "10 minutes"],
];
const DURATION_USUAL = "300";

/** The longest delay and the longest jitter, in seconds. */
const DELAY_MAX_S = 30;

/** The faults of one direction, each with its label and what it means. */
const WAYS: readonly (readonly [string, string, string])[] = [
  ["none", "passes", ""],
  ["hold", "is held", "It waits until you release it."],
  ["delay", "is delayed", "Each message arrives later, and none overtakes another."],
  ["cut", "is cut", "It is lost, as on a broken network. The missing messages follow when the cut ends."],
];

/** The form's fields for one direction. */
class WayFields {
  readonly element: HTMLElement;
  readonly #choice = select(WAYS.map(([value, label]) => [value, label] as const));
  readonly #means = make("p", "fine");
  readonly #delay = number(2, 0, DELAY_MAX_S);
  readonly #jitter = number(0, 0, DELAY_MAX_S);
  readonly #times = make("div", "lab-line", field("Delay in seconds", this.#delay), field("Random extra, up to", this.#jitter));

  constructor(label: string) {
    this.element = make("div", "lab-way", field(label, this.#choice), this.#means, this.#times);
    this.#choice.addEventListener("change", () => this.#show());
    this.#show();
  }

  #show(): void {
    setText(this.#means, WAYS.find(([value]) => value === this.#choice.value)?.[2] ?? "");
    show(this.#means, this.#means.textContent !== "");
    show(this.#times, this.#choice.value === "delay");
  }

  get impairment(): Impairment {
    const seconds = (input: HTMLInputElement) => Math.min(DELAY_MAX_S, Math.max(0, input.valueAsNumber || 0)) * 1000;
    switch (this.#choice.value) {
      case "hold":
        return { ...UNIMPAIRED, hold: true };
      case "cut":
        return { ...UNIMPAIRED, cut: true };
      case "delay":
        return { ...UNIMPAIRED, delayMs: seconds(this.#delay), jitterMs: seconds(this.#jitter) };
      default:
        return UNIMPAIRED;
    }
  }

  set impairment({ hold, cut, delayMs, jitterMs }: Impairment) {
    this.#choice.value = hold ? "hold" : cut ? "cut" : delayMs + jitterMs > 0 ? "delay" : "none";
    if (delayMs + jitterMs > 0) [this.#delay.value, this.#jitter.value] = [String(delayMs / 1000), String(jitterMs / 1000)];
    this.#show();
  }
}

/** A row of the panel. */
export class PersonRow {
  readonly element: HTMLElement;
  readonly #name: string;
  readonly #doing: Doing;
  readonly #now = make("p", "lab-now");
  readonly #held: Held;
  readonly #hold: HTMLButtonElement;
  readonly #one: HTMLButtonElement;
  readonly #all: HTMLButtonElement;
  readonly #end: HTMLButtonElement;
  readonly #deliveries: WayFields;
  readonly #publishes: WayFields;
  readonly #pause = check("Paused: nothing passes either way, as if its process were suspended");
  readonly #duration = select(DURATIONS);
  readonly #more = make("details", "lab-more");
  #listed: LabPerson | null = null;

  /** Makes the row of a participant. */
  constructor(person: Person, self: boolean, companion: boolean, doing: Doing) {
    this.#name = person.name;
    this.#doing = doing;
    this.#held = new Held(person.name);
    this.#deliveries = new WayFields(`What ${person.name} receives`);
    this.#publishes = new WayFields(`What ${person.name} sends`);
    this.#duration.value = DURATION_USUAL;
    this.#hold = this.#button("Hold deliveries", () => this.#setHold());
    this.#one = this.#button("Release 1", () => doing.run((client) => client.release(this.#name, 1, null)));
    this.#all = this.#button("Release all", () => doing.run((client) => client.release(this.#name, 0, null)));
    this.#end = this.#button("End faults", () => doing.run((client) => client.clear(this.#name)));
    const remove = this.#button("Remove", () => doing.run((client) => client.removeCompanion(this.#name)));
    show(remove, companion);
    const swatch = make("span", "node");
    swatch.setAttribute("aria-hidden", "true");
    const name = make("span", "name", ...safely(person.name));
    name.dir = "auto";
    const notes = [...(self ? [make("span", "you", "you")] : [])];
    const head = make("div", "lab-name", swatch, name, ...notes, make("span", "lab-kind fine"));
    const actions = make("div", "lab-actions", this.#hold, this.#one, this.#all, this.#end, remove);
    this.element = make("li", hueOf(person.name), head, this.#now, this.#held.element, actions, this.#more);
    this.#fillMore();
  }

  /** Shows the participant's state. A form that is being filled in is left alone. */
  render(listed: LabPerson): void {
    // While the form is closed it follows the faults. When they end it is cleared even if open, so that they are not set
    // again by mistake.
    if (!this.#more.open || (this.#listed?.fault && listed.fault === null)) this.#fill(listed.fault);
    this.#listed = listed;
    const { deliveriesHeld, publishesHeld, fault, companion } = listed;
    setText(this.#now, personWords(listed));
    this.#held.render(listed);
    setText(this.element.querySelector<HTMLElement>(".lab-kind")!, companion === null ? "" : COMPANIONS[companion.kind].name);
    this.element.classList.toggle("faulty", fault !== null);
    this.#now.classList.toggle("vh", fault === null);
    show(this.#hold, fault?.deliveries.hold !== true);
    show(this.#one, deliveriesHeld + publishesHeld > 0);
    show(this.#all, deliveriesHeld + publishesHeld > 0);
    show(this.#end, fault !== null);
  }

  #button(label: string, does: () => Promise<void>): HTMLButtonElement {
    const element = button(label, "small", () => void does());
    element.setAttribute("aria-label", `${label}: ${this.#name}`);
    return element;
  }

  #fillMore(): void {
    const form = make("form", "lab-form");
    const set = make("button", "small primary", "Set");
    set.type = "submit";
    set.setAttribute("aria-label", `Set the faults of ${this.#name}`);
    const disconnect = this.#button("Break its stream once", () => this.#doing.run((client) => client.set(this.#name, null, true, 30_000)));
    form.append(
      this.#deliveries.element,
      this.#publishes.element,
      this.#pause.element,
      field("It ends after", this.#duration),
      make("div", "lab-actions", set, disconnect),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#set();
    });
    const summary = make("summary", "", "More faults");
    summary.setAttribute("aria-label", `More faults: ${this.#name}`);
    this.#more.append(summary, form);
  }

  #fill(fault: Fault | null): void {
    this.#deliveries.impairment = fault?.deliveries ?? UNIMPAIRED;
    this.#publishes.impairment = fault?.publishes ?? UNIMPAIRED;
    this.#pause.box.checked = fault?.pause ?? false;
  }

  #setHold(): Promise<void> {
    const fault = this.#listed?.fault ?? { deliveries: UNIMPAIRED, publishes: UNIMPAIRED, pause: false };
    const held = { ...fault, deliveries: { ...UNIMPAIRED, hold: true } };
    return this.#doing.run((client) => client.set(this.#name, held, false, Number(DURATION_USUAL) * 1000));
  }

  #set(): void {
    const fault = { deliveries: this.#deliveries.impairment, publishes: this.#publishes.impairment, pause: this.#pause.box.checked };
    const { deliveries, publishes, pause } = fault;
    const nothing =
      !pause && [deliveries, publishes].every(({ hold, cut, delayMs, jitterMs }) => !hold && !cut && delayMs + jitterMs === 0);
    const name = this.#name;
    void this.#doing.run((client) => (nothing ? client.clear(name) : client.set(name, fault, false, Number(this.#duration.value) * 1000)));
  }
}
