/** The join form, and why the user is here. */

import { type NameFault, nameFault, nickname } from "../core/name.js";
import { inWords } from "../core/machine/refusal.js";
import type { Farewell, State } from "../core/machine/state.js";
import { SLOTS } from "../platform/slots.js";
import type { Commands } from "./commands.js";
import { byId, setText, show } from "./parts/dom.js";
import { renderOutbox } from "./outbox.js";
import { seconds } from "./words.js";

/** Why a tab waits, and what to do about it. */
export const WAITING =
  `This browser already has ${SLOTS} tabs connected. Over plain HTTP all tabs share six connections to a service, so this ` +
  "one waits rather than freeze the others. Close Chit Chat or leave it in another tab, and this one will connect.";

const VISIBLE_ASCII = /^[\x21-\x7e]*$/;

/** The form's part of the page. */
export class Lobby {
  readonly #name = byId<HTMLInputElement>("name");
  readonly #secret = byId<HTMLInputElement>("secret");
  readonly #join = byId<HTMLButtonElement>("join");
  readonly #cancel = byId<HTMLButtonElement>("join-cancel");
  readonly #nameProblem = byId("name-problem");
  readonly #secretProblem = byId("secret-problem");
  readonly #problem = byId("join-problem");
  readonly #farewell = byId("farewell");
  readonly #commands: Commands;
  #max = 0;
  #answered: Farewell | null = null;

  /** Takes over the form. */
  constructor(commands: Commands, name: string, secret: string) {
    this.#commands = commands;
    this.#name.value = name;
    this.#secret.value = secret;
    byId<HTMLFormElement>("join-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#cancel.addEventListener("click", () => commands.leave());
  }

  /** Brings the form up to date. */
  render(state: State, at: number, records: number): void {
    this.#max = state.limits.name;
    const { phase, farewell } = state;
    const busy = phase.at !== "out";
    const wait = farewell?.type === "refused" && farewell.retryAt > at ? seconds(farewell.retryAt - at) : 0;
    show(byId("secret-field"), state.secretWanted);
    this.#name.readOnly = busy;
    this.#secret.readOnly = busy;
    this.#join.disabled = busy || wait > 0;
    setText(this.#join, phase.at === "waiting" ? "Waiting…" : busy ? "Joining…" : wait > 0 ? `Join (in ${wait} s)` : "Join");
    show(this.#cancel, busy);
    this.#explain(state);
    if (farewell !== this.#answered) this.#answer(farewell);
    const kept = state.outbox.length > 0;
    show(byId("lobby-outbox"), kept && !busy);
    renderOutbox(byId("lobby-outbox-list"), state, at, this.#commands, null);
    show(byId("lobby-log"), records > 1);
  }

  /** Puts the cursor where it is needed. */
  focus(): void {
    (this.#secret.offsetParent !== null && this.#name.value !== "" ? this.#secret : this.#name).focus();
  }

  #explain(state: State): void {
    const text = state.phase.at === "waiting" ? WAITING : goodbye(state.farewell);
    setText(this.#farewell, text);
    show(this.#farewell, text !== "");
    this.#farewell.classList.toggle("calm", state.phase.at === "out" && state.farewell?.type === "left");
  }

  /** Says why a join was refused, beside the field that it is about. */
  #answer(farewell: Farewell | null): void {
    this.#answered = farewell;
    const failure = farewell?.type === "refused" ? farewell.failure : null;
    const ofName = failure?.reason === "NAME_INVALID" || failure?.reason === "NAME_TAKEN";
    const ofSecret = failure?.reason === "SECRET_REQUIRED";
    const words = failure === null ? "" : inWords(failure);
    this.#complain(this.#name, this.#nameProblem, ofName ? words : "");
    const wrong = farewell?.type === "refused" && farewell.secretGiven;
    this.#complain(this.#secret, this.#secretProblem, ofSecret ? (wrong ? "This access secret is wrong." : words) : "");
    setText(this.#problem, ofName || ofSecret ? "" : words);
    if (failure !== null) this.focus();
  }

  #complain(field: HTMLInputElement, problem: HTMLElement, words: string): void {
    setText(problem, words);
    if (words === "") field.removeAttribute("aria-invalid");
    else field.setAttribute("aria-invalid", "true");
  }

  #submit(): void {
    if (this.#join.disabled) return;
    const name = nickname(this.#name.value);
    const fault = inPlainWords(nameFault(this.#name.value, this.#max), this.#max);
    this.#complain(this.#name, this.#nameProblem, fault);
    if (fault !== "") return this.#name.focus();
    const secret = this.#secret.value.trim();
    // It is sent in a header, which can hold no other characters.
    const unfit = VISIBLE_ASCII.test(secret) ? "" : "An access secret consists of ASCII letters, digits and symbols, without spaces.";
    this.#complain(this.#secret, this.#secretProblem, unfit);
    if (unfit !== "") return this.#secret.focus();
    this.#commands.join(name, secret);
  }
}

function inPlainWords(fault: NameFault | null, max: number): string {
  switch (fault?.type) {
    case "nothing-visible":
      return "Please enter a name.";
    case "too-long":
      return `A name has at most ${max} characters: ${fault.characters - max} too many.`;
    case "combining-marks":
      return "A name has at most two combining marks in a row.";
    case "character":
      return `The character U+${fault.codePoint.toString(16).toUpperCase().padStart(4, "0")} is not allowed in a name.`;
    case undefined:
      return "";
  }
}

function goodbye(farewell: Farewell | null): string {
  switch (farewell?.type) {
    case "left":
      return farewell.logicalTime === null
        ? "You have left. The service did not confirm it; the others will see you leave when the grace period ends."
        : `You left at logical time ${farewell.logicalTime}.`;
    case "ended":
      return "You are no longer part of the conversation.";
    case "replaced":
      return "Another tab or window has taken over this session, so it has ended here. You can join again under another name.";
    case "refused":
    case undefined:
      return "";
  }
}
