/**
 * What this tab remembers across a reload. sessionStorage belongs to one tab, but duplicating a tab
 * copies it: see `session-lock.ts`. Where the browser refuses to store, nothing is remembered.
 */

const KEYS = {
  snapshot: "chitchat.session",
  secret: "chitchat.secret",
  draft: "chitchat.draft",
  look: "chitchat.look",
  log: "chitchat.log",
} as const;

/** The things that are remembered. */
export type Memory = keyof typeof KEYS;

/** What is remembered, or null. */
export function recall(what: Memory): string | null {
  try {
    return sessionStorage.getItem(KEYS[what]);
  } catch {
    return null;
  }
}

/** Remembers something; an empty text forgets it. Returns whether the browser did as told. */
export function remember(what: Memory, text: string): boolean {
  try {
    if (text === "") sessionStorage.removeItem(KEYS[what]);
    else sessionStorage.setItem(KEYS[what], text);
    return true;
  } catch {
    return false;
  }
}
