/**
 * What a newcomer may want to know, in three steps, until it is dismissed. The browser remembers that for all its tabs.
 */

import { byId, show } from "./parts/dom.js";

const KEY = "chitchat.hint";

/** Shows the hint, unless it was dismissed. */
export function hint(): void {
  show(byId("hint"), recalled() !== "dismissed");
  byId("hint-dismiss").addEventListener("click", () => {
    show(byId("hint"), false);
    byId("text").focus();
    try {
      localStorage.setItem(KEY, "dismissed");
    } catch {
      // It appears again at the next visit.
    }
  });
}

function recalled(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
