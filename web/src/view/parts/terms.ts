/** Terms that are explained in place: a button with a term opens a note below it. */

import { make } from "./dom.js";

const TERMS = {
  "logical-time":
    "A number that each process keeps. Sending adds 1 to it. Receiving sets it to the larger of its own and the message’s, plus 1. So a cause has a smaller number than its effect. The reverse does not hold: a smaller number alone does not make an event a cause.",
  concurrent:
    "Neither writer had seen the other’s message when writing, so neither message can have caused the other. Their logical times still differ, but say nothing about such a pair.",
  seen: "The last event that a writer’s screen showed when they pressed Enter. Each message carries it, so the page knows what could have caused what.",
  past: "Everything that could have caused this event: what its writer had seen, the writer’s own earlier events, and the past of all of those.",
  vector:
    "How many events of each participant could have caused an event, the event itself included. One event could have caused another if and only if none of its entries is larger. Lamport’s times say less: of two concurrent events, one has the smaller time, too.",
} as const;

/** A term that is explained. */
export type Term = keyof typeof TERMS;

/** A term within a text, as a button. */
export function term(name: Term, text: string): HTMLElement {
  const button = make("button", "term", text);
  button.type = "button";
  button.dataset["term"] = name;
  button.setAttribute("aria-expanded", "false");
  return button;
}

/** Explains the terms of the whole page, those that come later included. */
export function explainTerms(): void {
  const note = make("p", "term-note");
  note.setAttribute("role", "status");
  note.hidden = true;
  let open: HTMLElement | null = null;
  const close = () => {
    open?.setAttribute("aria-expanded", "false");
    open = null;
    note.hidden = true;
  };
  document.addEventListener("click", ({ target }) => {
    const button = (target as Element).closest<HTMLElement>("[data-term]");
    const again = button === open;
    close();
    if (button === null || again) return;
    open = button;
    button.setAttribute("aria-expanded", "true");
    note.textContent = TERMS[button.dataset["term"] as Term] ?? "";
    document.body.append(note);
    note.hidden = false;
    const at = button.getBoundingClientRect();
    const below = at.bottom + note.offsetHeight + 8 < innerHeight;
    note.style.left = `${Math.max(8, Math.min(at.left, innerWidth - note.offsetWidth - 8))}px`;
    note.style.top = `${Math.max(8, below ? at.bottom + 4 : at.top - note.offsetHeight - 4)}px`;
  });
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") close();
  });
  addEventListener("scroll", close, { capture: true, passive: true });
}
