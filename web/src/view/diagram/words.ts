/** The words about a chosen event, with the terms in them explained. */

import type { Fact } from "../facts.js";
import { type Term, term } from "../terms.js";

const BEGINNINGS: readonly (readonly [string, Term])[] = [
  ["In its past", "past"],
  ["Concurrent with it", "concurrent"],
];

/** A fact, whose first words are a button where they are a term. */
export function factWords({ text }: Fact): (Node | string)[] {
  for (const [words, name] of BEGINNINGS) if (text.startsWith(words)) return [term(name, words), text.slice(words.length)];
  return [text];
}
