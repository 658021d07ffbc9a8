/**
 * What the rows of the transcript say of causes: which messages crossed, and how each event stands to the chosen one.
 */

import type { Causality, Crossed, Relation } from "../../core/causality/causality.js";
import type { ChatEvent } from "../../core/event.js";
import { make, spoken } from "../parts/dom.js";
import { RELATIONS, SIGN, crossing, rivalry } from "../facts.js";

/** What rows that are new say from the beginning. */
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

/** Colours an element, and signs it, by a relation to the chosen event. */
export function relate(element: HTMLElement, relation: Relation | ""): void {
  if ((element.dataset["relation"] ?? "") === relation) return;
  element.dataset["relation"] = relation;
  for (const each of RELATIONS) element.classList.toggle(`is-${each}`, each === relation);
}

/** A message learns later that another crossed it. That is no news to be read aloud: the other one has said it. */
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
  // Heard, it would run into the message without a pause.
  return make("p", "crossed-note", spoken(". "), sign, make("span", "crossed-text", crossing(crossed)));
}
