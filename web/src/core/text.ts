/** Text as the service sees it (characters are Unicode scalar values) and as people may safely see it. */

/** Half of a surrogate pair on its own: UTF-16 can hold it, UTF-8 and so the service cannot. */
const LONE_SURROGATE = /\p{Surrogate}/gu;

/**
 * Characters that must never act on the page: C0 and C1 controls except line feed and tab, the line and
 * paragraph separators, and the marks, embeddings, overrides and isolates that reorder bidirectional text.
 */
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

/** A stretch of text, and whether it stands for a character that is shown escaped. */
export interface Piece {
  /** What to show. */
  readonly text: string;
  /** Whether this is the escape of an unsafe character. */
  readonly escaped: boolean;
}

/** The text with every lone surrogate replaced by U+FFFD, so that it has a UTF-8 form. */
export function wellFormed(text: string): string {
  return text.replace(LONE_SURROGATE, "\uFFFD");
}

/** How many characters the service will count in the text. */
export function characters(text: string): number {
  let count = 0;
  for (const _ of wellFormed(text)) count += 1;
  return count;
}

/** Splits a text into pieces that can be shown unchanged and escapes of the characters that cannot. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let plain = "";
  for (const character of text) {
    if (UNSAFE.test(character)) {
      if (plain !== "") found.push({ text: plain, escaped: false });
      plain = "";
      found.push({ text: `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`, escaped: true });
    } else {
      plain += character;
    }
  }
  if (plain !== "") found.push({ text: plain, escaped: false });
  return found;
}

/** The text with every unsafe character escaped, for places that hold plain text only. */
export function visible(text: string): string {
  return pieces(text)
    .map((piece) => piece.text)
    .join("");
}
