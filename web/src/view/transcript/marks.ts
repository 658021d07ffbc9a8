/**
 * What the rows of the transcript say about causes: which messages crossed, and each event's relation to the chosen one.
 */

import type { Causality, Crossed, Relation } from "../../core/causality/causality.js";
import type { ChatEvent } from "../../core/event.js";
import { make, spoken } from "../parts/dom.js";
import { RELATIONS, SIGN, crossing, rivalry } from "../facts.js";

/** Adds to a new row what it says from the beginning. */
export function markNew(row: HTMLElement, event: ChatEvent, causality: Causality): void {
  const rivals = rivalry(event);
  if (rivals !== "") row.querySelector(".body")?.append(make("p", "rivals-note", spoken(". "), `✗ ${rivals}`));
  const crossed = causality.crossed(event);
  if (crossed === null) return;
  row.dataset["crossed"] = keyOf(crossed);
  row.querySelector(".body")?.append(note(crossed));
}

/** Brings a row up to date. */
export function mark(row: HTMLElement, event: ChatEvent, causality: Causality, chosen: ChatEvent | null): void {
  markCrossed(row, causality.crossed(event));
  relate(row, chosen === null ? "" : causality.relation(event, chosen));
}

/** Gives an element the color and the sign of a relation to the chosen event. */
export function relate(element: HTMLElement, relation: Relation | ""): void {
  if ((element.dataset["relation"] ?? "") === relation) return;
  element.dataset["relation"] = relation;
  for (const each of RELATIONS) element.classList.toggle(`is-${each}`, each === relation);
}

/** A later message may have crossed this one. Its own note has been read aloud, so this one's is not. */
function markCrossed(row: HTMLElement, crossed: Crossed | null): void {
  const key = crossed === null ? "" : keyOf(crossed);
  if ((row.dataset["crossed"] ?? "") === key) return;
  row.dataset["crossed"] = key;
  row.querySelector(".crossed-note")?.remove();
  if (crossed === null) return;
  const late = note(crossed);
  late.setAttribute("aria-live", "off");
  row.querySelector(".body")?.append(late);
}

function keyOf({ unseenCount, byCount }: Crossed): string {
  return `${unseenCount} ${byCount}`;
}

function note(crossed: Crossed): HTMLElement {
  const sign = make("span", "sign", `${SIGN.concurrent} `);
  sign.setAttribute("aria-hidden", "true");
  // A screen reader would otherwise run the note into the message without a pause.
  return make("p", "crossed-note", spoken(". "), sign, make("span", "crossed-text", crossing(crossed)));
}
