/** What the lab holds for one participant, in the order of release. */

import type { ChatEvent } from "../../core/event.js";
import { make, reconcile, safely, show } from "../../view/parts/dom.js";
import { hueOf } from "../../view/parts/palette.js";
import type { LabPerson } from "../types.js";

/** How many requests are shown. */
const SENT_SHOWN = 5;

/** A line of the list. */
interface Line {
  readonly key: string;
  readonly make: () => HTMLElement;
}

/** The list. Released lines are removed. */
export class Held {
  readonly element = make("ul", "lab-held");

  /** Makes it for a participant. */
  constructor(name: string) {
    this.element.setAttribute("aria-label", `What is held for ${name}`);
  }

  /** Shows what is held. */
  render({ person, next, deliveriesHeld, sent }: LabPerson): void {
    const lines = [
      ...next.map((event) => ({ key: `d${event.sequence}`, make: () => delivery(event) })),
      ...more("deliveries", deliveriesHeld - next.length),
      ...sent.slice(0, SENT_SHOWN).map((text, at) => ({ key: `p${at} ${text}`, make: () => request(person.name, text) })),
      ...more("publishes", sent.length - SENT_SHOWN),
    ];
    reconcile(
      this.element,
      lines,
      ({ key }) => key,
      (line) => line.make(),
    );
    show(this.element, lines.length > 0);
  }
}

function more(what: string, count: number): Line[] {
  if (count <= 0) return [];
  return [{ key: `${what} ${count}`, make: () => make("li", "fine", `and ${count} more`) }];
}

/** An event that is ordered but not yet delivered. */
function delivery(event: ChatEvent): HTMLElement {
  const time = make("span", "lab-time", `[${event.logicalTime}]`);
  if (event.kind.type !== "message") return make("li", "", time, make("span", "lab-text", ...safely(event.content)));
  return make("li", "", time, author(event.author.name), text(event.content));
}

/** A request that has no place in the order yet, and so no logical time. */
function request(name: string, content: string): HTMLElement {
  const time = make("span", "lab-time", "[–]");
  time.title = "It has no logical time until it is ordered";
  if (content === "") return make("li", "", time, make("span", "lab-text", ...safely(`${name} leaves`)));
  return make("li", "", time, author(name), text(content));
}

function author(name: string): HTMLElement {
  const element = make("b", `name ${hueOf(name)}`, ...safely(name));
  element.dir = "auto";
  return element;
}

function text(content: string): HTMLElement {
  const element = make("span", "lab-text", ...safely(content));
  element.dir = "auto";
  return element;
}
