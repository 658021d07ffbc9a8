/**
 * What this tab remembers across a reload. sessionStorage belongs to one tab, but duplicating a tab
 * copies it: see `session-lock.ts`. Where the browser refuses to store, nothing is remembered.
 */

import { folderOf } from "./place.js";

const KEYS = {
  snapshot: "chitchat.session",
  secret: "chitchat.secret",
  draft: "chitchat.draft",
  look: "chitchat.look",
  log: "chitchat.log",
  labKey: "chitchat.lab-key",
} as const;

/**
 * Services under different prefixes of one origin share the storage, so the prefix is part of the key; a service at the
 * root adds nothing.
 */
function keyOf(what: Memory): string {
  return `${KEYS[what]}${folderOf(location.pathname)}`;
}

/** The things that are remembered. */
export type Memory = keyof typeof KEYS;

/** What is remembered, or null. */
export function recall(what: Memory): string | null {
  try {
    return sessionStorage.getItem(keyOf(what));
  } catch {
    return null;
  }
}

/**
 * Remembers something; an empty text forgets it. Returns whether the browser stored it. If the storage is full, the old
 * value is deleted: with an old snapshot the page would use clock readings a second time.
 */
export function remember(what: Memory, text: string): boolean {
  try {
    if (text === "") sessionStorage.removeItem(keyOf(what));
    else sessionStorage.setItem(keyOf(what), text);
    return true;
  } catch {
    if (text !== "") remember(what, "");
    return false;
  }
}
