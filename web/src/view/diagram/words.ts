/** The words about a chosen event, with the terms in them explained, and its vector clock. */

import type { ChatEvent } from "../../core/event.js";
import type { Count, Vectors } from "../../core/replay/vector.js";
import { visible } from "../../core/text.js";
import { type Fact, titled } from "../facts.js";
import { type Term, term } from "../parts/terms.js";

const BEGINNINGS: readonly (readonly [string, Term])[] = [
  ["In its past", "past"],
  ["Concurrent with it", "concurrent"],
  ["Vector clock", "vector"],
];

/** How many entries of a vector are shown beside an event at most. */
const COUNTS_MAX = 8;

/** How many events before an event are searched for one that it crossed. */
const SEARCHED = 500;

/** A fact. If its first words are a term, they become a button. */
export function factWords({ text }: Fact): (Node | string)[] {
  for (const [words, name] of BEGINNINGS) if (text.startsWith(words)) return [term(name, words), text.slice(words.length)];
  return [text];
}

/** A vector in words: "ann 2, bob 1". */
export function vectorWords(counts: readonly Count[]): string {
  const shown = counts.slice(0, COUNTS_MAX).map(({ person, events }) => `${visible(person.name)} ${events}`);
  return `${shown.join(", ")}${counts.length > COUNTS_MAX ? ` and ${counts.length - COUNTS_MAX} more` : ""}`;
}

/** What the vectors show about an event that Lamport's times do not. */
export function vectorFacts(event: ChatEvent, vectors: Vectors): Fact[] {
  const lesson = lessonOf(event, vectors);
  return [{ relation: "same", text: `Vector clock: ${vectorWords(vectors.of(event))}.${lesson === "" ? "" : ` ${lesson}`}` }];
}

/** Names an event whose relation to this one the vectors show and Lamport's times do not; empty if there is none. */
export function lessonOf(event: ChatEvent, vectors: Vectors): string {
  const other = vectors.indistinct(event, SEARCHED);
  if (other === null) return "";
  return `Lamport’s times, ${other.logicalTime} and ${event.logicalTime}, do not show whether ${titled(other)} could have caused this. The vectors do: each has a larger entry, so the two are concurrent.`;
}
