/** Asks questions about the present run, and explains the answers. The score stays in this browser. */

import type { Causality } from "../../core/causality/causality.js";
import type { Line } from "../../core/causality/cut.js";
import type { ChatEvent, Person } from "../../core/event.js";
import { type Question, question } from "../../core/causality/quiz.js";
import { visible } from "../../core/text.js";
import { button, byId, make, setText, show } from "../parts/dom.js";
import { titled } from "../facts.js";
import { term } from "../parts/terms.js";
import { verdict } from "./cutting.js";

/** What the quiz asks of the picture. */
export interface QuizWishes {
  /** Marks the events that the question is about. */
  mark(sequences: readonly bigint[]): void;
  /** Shows a cut, or none. */
  cut(line: Line | null): void;
  /** The quiz was opened or closed: nothing is chosen while it is open. */
  toggled(open: boolean): void;
}

const SCORE_KEY = "chitchat.quiz";

/** How many times another question is tried if the last one comes up again. */
const TRIES = 8;

/** The quiz. */
export class Quizzing {
  /** The button that opens it. */
  readonly button = button("Quiz", "small", () => this.toggle(!this.isOpen));
  readonly #wishes: QuizWishes;
  readonly #root = make("section", "quiz drawn");
  readonly #asked = make("p", "quiz-asked");
  readonly #choices = make("div", "menu-row");
  readonly #answer = make("p", "quiz-answer");
  readonly #score = make("p", "fine");
  readonly #next = button("Next question", "small", () => this.#ask());
  #events: readonly ChatEvent[] = [];
  #causality: Causality | null = null;
  #question: Question | null = null;
  #answered = false;
  #last = "";

  /** Puts the quiz into the panel. */
  constructor(wishes: QuizWishes) {
    this.#wishes = wishes;
    this.button.title = "Questions about what happened here";
    this.button.setAttribute("aria-pressed", "false");
    this.#root.setAttribute("aria-label", "Quiz");
    this.#asked.tabIndex = -1;
    this.#answer.setAttribute("role", "status");
    this.#root.append(this.#asked, this.#choices, this.#answer, make("div", "quiz-foot", this.#next, this.#score));
    byId("picture").querySelector(".picture-facts")?.prepend(this.#root);
    show(this.#root, false);
  }

  /** Whether it is open. */
  get isOpen(): boolean {
    return !this.#root.hidden;
  }

  /** Opens or closes it. */
  toggle(open: boolean): void {
    if (open === this.isOpen) return;
    show(this.#root, open);
    byId("picture").classList.toggle("quizzing", open);
    this.button.setAttribute("aria-pressed", String(open));
    this.#wishes.toggled(open);
    if (open) this.#ask();
    else this.#put(null);
  }

  /** Takes over the events that the picture shows. */
  render(events: readonly ChatEvent[], causality: Causality): void {
    [this.#events, this.#causality] = [events, causality];
    if (this.isOpen && this.#question === null) this.#ask();
  }

  /**
   * The user has chosen an event in the picture, perhaps as an answer. Returns whether the quiz has dealt with it, as it
   * does while it is open.
   */
  picked(sequence: bigint | null): boolean {
    if (!this.isOpen) return false;
    const asked = this.#question;
    if (asked?.type !== "concurrent" || this.#answered || sequence === null || sequence === asked.event.sequence) return true;
    const event = this.#causality?.event(sequence);
    if (event === undefined || this.#causality === null) return true;
    const relation = this.#causality.relation(event, asked.event);
    const why = {
      same: "",
      past: `the writer of ${titled(asked.event)} had seen it, or what followed from it`,
      future: "its own writer had seen the message, or what followed from it",
      concurrent: "neither writer had seen the other’s message",
      unknown: "it does not say what its writer had seen",
    }[relation];
    this.#finish(asked.answers.has(sequence), `${titled(event)}: ${why}.`);
    this.#wishes.mark([asked.event.sequence, ...asked.answers]);
    return true;
  }

  #ask(): void {
    const causality = this.#causality;
    let asked = causality === null ? null : question(this.#events, causality, Math.random);
    // Avoid asking the same question twice in a row.
    for (let tries = 0; causality !== null && asked !== null && keyOf(asked) === this.#last && tries < TRIES; tries += 1)
      asked = question(this.#events, causality, Math.random);
    this.#last = asked === null ? "" : keyOf(asked);
    this.#put(asked);
  }

  #put(asked: Question | null): void {
    this.#question = asked;
    this.#answered = false;
    setText(this.#answer, "");
    this.#answer.className = "quiz-answer";
    this.#wishes.cut(asked?.type === "cut" ? asked.line : null);
    this.#wishes.mark(
      asked?.type === "concurrent" ? [asked.event.sequence] : asked?.type === "swap" ? [asked.first.sequence, asked.second.sequence] : [],
    );
    setText(this.#score, scoreWords());
    this.#choices.replaceChildren();
    if (!this.isOpen) return;
    this.#asked.replaceChildren(...words(asked));
    this.#choices.append(...this.#buttons(asked));
    this.#asked.focus({ preventScroll: true });
  }

  #buttons(asked: Question | null): HTMLElement[] {
    const yesNo = (answer: boolean, why: string) =>
      [true, false].map((yes) => button(yes ? "Yes" : "No", "small", () => this.#finish(yes === answer, why)));
    switch (asked?.type) {
      case undefined:
        return [];
      case "time":
        return asked.options.map((option) => button(`${option}`, "small", () => this.#finish(option === asked.answer, timeWords(asked))));
      case "concurrent":
        return [];
      case "swap": {
        const why = asked.answer
          ? "The two are concurrent: neither writer had seen the other’s message."
          : `${visible(asked.second.author.name)} had seen ${titled(asked.first)}, or wrote both: it comes first in every causal order.`;
        return yesNo(asked.answer, why);
      }
      case "cut":
        return yesNo(asked.answer, verdict(asked.backwards, this.#people));
    }
  }

  get #people(): readonly Person[] {
    return this.#events.map(({ author }) => author);
  }

  #finish(right: boolean, why: string): void {
    if (this.#answered) return;
    this.#answered = true;
    count(right);
    setText(this.#score, scoreWords());
    this.#answer.className = `quiz-answer ${right ? "right" : "wrong"}`;
    setText(this.#answer, `${right ? "✓ Right." : "✗ Wrong."} ${why}`);
    for (const choice of this.#choices.querySelectorAll("button")) choice.setAttribute("aria-disabled", "true");
    this.#next.focus();
  }
}

function words(asked: Question | null): (Node | string)[] {
  switch (asked?.type) {
    case undefined:
      return ["There is not enough in the picture for a question. Write some messages first."];
    case "time":
      return [
        `Suppose ${visible(asked.writer.name)} sends a message at its time ${asked.sent}, and the service’s clock is at ${asked.service}. Which `,
        term("logical-time", "logical time"),
        " does the message get?",
      ];
    case "concurrent":
      return ["Choose, in the picture, a message that is ", term("concurrent", "concurrent"), ` with ${titled(asked.event)}.`];
    case "swap":
      return [`May a causal order put ${titled(asked.second)} before ${titled(asked.first)}?`];
    case "cut":
      return ["Is the cut in the picture consistent: could the whole system have been in the state above the line?"];
  }
}

function timeWords({ sent, service, answer }: Extract<Question, { type: "time" }>): string {
  return `The receipt sets the service’s clock to max(${service}, ${sent}) + 1 = ${answer - 1n}; broadcasting is another step: ${answer}.`;
}

interface Score {
  readonly right: number;
  readonly asked: number;
}

function score(): Score {
  try {
    const { right, asked } = JSON.parse(localStorage.getItem(SCORE_KEY) ?? "{}") as Partial<Score>;
    return { right: Number(right) || 0, asked: Number(asked) || 0 };
  } catch {
    return { right: 0, asked: 0 };
  }
}

function count(correct: boolean): void {
  const { right, asked } = score();
  try {
    localStorage.setItem(SCORE_KEY, JSON.stringify({ right: right + (correct ? 1 : 0), asked: asked + 1 }));
  } catch {
    // The score is not kept.
  }
}

function scoreWords(): string {
  const { right, asked } = score();
  return asked === 0 ? "" : `${right} of ${asked} right so far, in this browser.`;
}

/** Identifies a question. */
function keyOf(asked: Question): string {
  switch (asked.type) {
    case "time":
      return `time ${asked.writer.id} ${asked.sent} ${asked.service}`;
    case "concurrent":
      return `concurrent ${asked.event.sequence}`;
    case "swap":
      return `swap ${asked.first.sequence} ${asked.second.sequence}`;
    case "cut":
      return `cut ${[...asked.line.values()].join(" ")}`;
  }
}
