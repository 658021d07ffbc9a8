/** The user's own messages that are not yet part of the transcript, each with what became of it. */

import { isAtRest, neverSent } from "../core/machine/outbox.js";
import type { Outgoing, State } from "../core/machine/state.js";
import type { Commands } from "./commands.js";
import { button, make, reconcile, safely, setText, show } from "./parts/dom.js";
import { progress } from "./words.js";

/** The composer, for a list that is shown beside it. */
export interface Desk {
  /** Puts a text back for editing. */
  edit(text: string): void;
  /** Takes the focus from a button that disappears once it is pressed. */
  focus(): void;
}

/** Brings a list of kept messages up to date. */
export function renderOutbox(list: HTMLElement, state: State, at: number, commands: Commands, desk: Desk | null): void {
  const shown = state.outbox.filter((message) => message.progress.at !== "delivered");
  show(list, shown.length > 0);
  reconcile(
    list,
    shown,
    (message) => `${message.id}-${shape(message)}`,
    (message) => build(message, commands, desk),
  );
  for (const [index, message] of shown.entries()) {
    const said = list.children[index]?.querySelector<HTMLElement>(".said");
    if (said instanceof HTMLElement) setText(said, progress(message, state, at));
  }
}

/** Which buttons a message has: if this changes, the item is rebuilt. */
function shape(message: Outgoing): string {
  if (isAtRest(message)) return message.progress.at;
  return neverSent(message) ? "unsent" : "underway";
}

function build(message: Outgoing, commands: Commands, desk: Desk | null): HTMLElement {
  const text = make("p", "text", ...safely(message.text));
  text.dir = "auto";
  const said = make("p", "said");
  // What was refused or may be lost is announced; what is merely on its way is not.
  if (isAtRest(message)) said.setAttribute("role", "alert");
  const choices = make("div", "choices");
  const { at } = message.progress;
  const offer = (label: string, className: string, act: () => void) => {
    const choose = () => {
      act();
      desk?.focus();
    };
    choices.append(button(label, className, choose));
  };
  if (desk !== null && at === "unconfirmed") offer("Send again", "small", () => commands.sendAgain(message.id));
  if (desk !== null && at === "held") offer("Send", "small", () => commands.sendAgain(message.id));
  if (desk !== null && at === "refused") {
    offer("Edit", "small", () => {
      commands.discard(message.id);
      desk.edit(message.text);
    });
  }
  if (isAtRest(message) || neverSent(message)) offer("Discard", "small quiet", () => commands.discard(message.id));
  const node = make("span", "node ring");
  node.setAttribute("aria-hidden", "true");
  return make("li", `pending ${at}`, node, make("div", "body", text, said), choices);
}
