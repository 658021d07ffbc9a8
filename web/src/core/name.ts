/**
 * Display names as the service accepts them (src/chat/name.rs): their RFC 8266 form, and their faults. The service
 * decides. The page reports the faults that it can detect itself before it asks; only the service knows which
 * characters and scripts a nickname may mix.
 */

import { characters, wellFormed } from "./text.js";

/** How many characters a name may have before it is normalized, for each that it may have afterwards. */
const GIVEN_PER_CHARACTER = 4;

/** The most combining marks that may follow one another. */
const MARKS_MAX = 2;

/**
 * Code points that RFC 8266 never allows: control characters, those without width, and those that are not characters.
 * Whether a joiner is allowed depends on what is around it.
 */
const FORBIDDEN = /(?![\u200c\u200d])[\p{Cc}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]/u;

/** Something that can be seen. Braille with no dot raised looks like a space, and is classed as a symbol. */
const VISIBLE = /[^\p{White_Space}\p{M}\u2800]/u;

const STACKED = new RegExp(`\\p{M}{${MARKS_MAX + 1}}`, "u");

/** What is wrong with a name. */
export type NameFault =
  | { readonly type: "nothing-visible" }
  | { readonly type: "too-long"; readonly characters: number }
  | { readonly type: "combining-marks" }
  | { readonly type: "character"; readonly codePoint: number };

/** A name with its spaces trimmed and collapsed, in Unicode's form NFKC: as the service keeps it. */
export function nickname(given: string): string {
  const once = (name: string) =>
    name
      .replace(/\p{Zs}+/gu, " ")
      .replace(/^ | $/g, "")
      .normalize("NFKC");
  // NFKC turns some characters into spaces, which then have to be trimmed.
  return once(once(wellFormed(given)));
}

/** What is wrong with a name that may have `max` characters, as far as the page can tell; null for nothing. */
export function nameFault(given: string, max: number): NameFault | null {
  const length = characters(given);
  if (length > GIVEN_PER_CHARACTER * max) return { type: "too-long", characters: length };
  const forbidden = FORBIDDEN.exec(given)?.[0].codePointAt(0);
  if (forbidden !== undefined) return { type: "character", codePoint: forbidden };
  const name = nickname(given);
  if (!VISIBLE.test(name)) return { type: "nothing-visible" };
  if (characters(name) > max) return { type: "too-long", characters: characters(name) };
  return STACKED.test(name) ? { type: "combining-marks" } : null;
}
