/** Who is here, and whose connection is broken at the moment. */

import type { Person } from "../core/event.js";
import type { State } from "../core/machine/state.js";
import { visible } from "../core/text.js";
import { byId, make, reconcile, safely, setText } from "./parts/dom.js";
import { hueOf } from "./parts/palette.js";

/** How many names are read aloud before the rest is counted. */
const SAID_MAX = 4;

/** The roster's part of the page. */
export class People {
  #roster: readonly Person[] | null = null;
  #unreachable: ReadonlySet<string> = new Set();
  #self = "";

  /** Brings the roster up to date. */
  render(state: State): void {
    const { roster, unreachable } = state;
    const self = state.session?.participantId ?? "";
    if (roster === this.#roster && unreachable === this.#unreachable && self === this.#self) return;
    setText(byId("here-count"), String(roster.length));
    setText(byId("here-title"), `Here now: ${roster.length}`);
    const away = ({ id }: Person) => unreachable.has(id) && id !== self;
    reconcile(
      byId("people"),
      roster,
      (person) => `${person.id}${away(person) ? " away" : ""}${person.id === self ? " self" : ""}`,
      (person) => item(person, person.id === self, away(person)),
    );
    const said = change(
      roster.filter(({ id }) => id !== self),
      this.#unreachable,
      unreachable,
    );
    if (said !== "") setText(byId("people-said"), said);
    this.#roster = roster;
    this.#unreachable = unreachable;
    this.#self = self;
  }
}

function item(person: Person, self: boolean, away: boolean): HTMLElement {
  const swatch = make("span", away ? "node ring" : "node");
  swatch.setAttribute("aria-hidden", "true");
  const name = make("span", "name", ...safely(person.name));
  name.dir = "auto";
  const notes = [...(self ? [" ", make("span", "you", "you")] : []), ...(away ? [" ", make("span", "away-word", "reconnecting")] : [])];
  return make("li", `${hueOf(person.name)}${away ? " away" : ""}`, swatch, name, ...notes);
}

/** What is read aloud when connections break or are back: "bob is reconnecting". Leaves are read from the transcript. */
export function change(roster: readonly Person[], before: ReadonlySet<string>, now: ReadonlySet<string>): string {
  const sentence = (people: readonly Person[], one: string, many: string) => {
    if (people.length === 0) return [];
    const names = people.slice(0, SAID_MAX).map(({ name }) => visible(name));
    const more = people.length - names.length;
    return [`${names.join(", ")}${more > 0 ? ` and ${more} more` : ""} ${people.length === 1 ? one : many}.`];
  };
  const broken = roster.filter(({ id }) => now.has(id) && !before.has(id));
  const back = roster.filter(({ id }) => before.has(id) && !now.has(id));
  return [...sentence(broken, "is reconnecting", "are reconnecting"), ...sentence(back, "is back", "are back")].join(" ");
}
