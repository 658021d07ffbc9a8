/** The page that opens logs: chosen files, dropped files, or the example. */

import { byId, button, make, setText, show } from "../parts/dom.js";

/** What the user wants to open. */
export interface ChooserWishes {
  files(files: readonly File[]): void;
  example(): void;
  /** The list of the gallery's mistakes, as JSON. */
  mistakes(): Promise<string>;
}

/** The page that opens logs. */
export class Chooser {
  readonly #root = make("main", "lobby run-chooser");
  readonly #problem = make("p", "notice");
  readonly #progress = make("progress", "");
  readonly #said = make("p", "fine");
  readonly #input = make("input", "vh");

  /** Takes the place of the join form. */
  constructor(wishes: ChooserWishes) {
    const mark = make("img", "");
    Object.assign(mark, { src: "icon.svg", alt: "", width: 44, height: 44 });
    Object.assign(this.#input, { type: "file", multiple: true, accept: ".jsonl,.log,.json,.txt,application/jsonl", tabIndex: -1 });
    this.#input.setAttribute("aria-hidden", "true");
    this.#input.addEventListener("change", () => wishes.files([...(this.#input.files ?? [])]));
    const choose = button("Choose log files…", "primary", () => this.#input.click());
    const drop = make(
      "div",
      "drop",
      make("p", "drop-title", "Drop log files here"),
      make("p", "fine", "server.jsonl, and the participants’ logs that you have. They stay in this browser."),
      choose,
      this.#input,
    );
    this.#problem.setAttribute("role", "alert");
    this.#said.setAttribute("role", "status");
    this.#progress.setAttribute("aria-label", "Reading");
    show(this.#progress, false);
    show(this.#problem, false);
    const back = make("a", "", "Back to the chat");
    back.href = "./";
    const card = make(
      "div",
      "card",
      make("header", "brand", mark, make("h1", "", "Replay a run")),
      make("p", "lede", "See a recorded conversation again, event by event, with what each one could have caused."),
      this.#problem,
      drop,
      this.#progress,
      this.#said,
      make(
        "p",
        "run-others",
        button("Open the example", "", () => wishes.example()),
        back,
      ),
      gallery(wishes),
    );
    this.#root.append(card);
    byId("lobby").replaceWith(this.#root);
    this.#root.id = "lobby";
    this.#root.addEventListener("dragover", () => drop.classList.add("over"));
    this.#root.addEventListener("dragleave", () => drop.classList.remove("over"));
    this.#root.addEventListener("drop", () => drop.classList.remove("over"));
    choose.focus();
  }

  /** Shows how much has been read, from 0 to 1. */
  reading(name: string, share: number): void {
    show(this.#problem, false);
    show(this.#progress, true);
    this.#progress.value = share;
    setText(this.#said, `Reading ${name}…`);
  }

  /** Says why there is nothing to show. */
  failed(problem: string): void {
    show(this.#progress, false);
    setText(this.#said, "");
    setText(this.#problem, problem);
    show(this.#problem, true);
    this.#input.value = "";
  }
}

/** The mistakes of the gallery, listed on demand. */
function gallery(wishes: ChooserWishes): HTMLElement {
  const list = make("ol", "run-mistakes");
  const details = make("details", "", make("summary", "", "Mistakes that the verifier catches"), list);
  details.addEventListener("toggle", () => {
    if (!details.open || list.childElementCount > 0) return;
    wishes.mistakes().then(
      (text) => list.replaceChildren(...(JSON.parse(text) as { number: number; title: string; rule: string }[]).map(mistakeItem)),
      () => list.replaceChildren(make("li", "", "This service has no gallery of mistakes.")),
    );
  });
  return details;
}

function mistakeItem({ number, title, rule }: { number: number; title: string; rule: string }): HTMLElement {
  const link = make("a", "", title);
  link.href = `#run=mistake-${number}`;
  return make("li", "", link, make("span", "fine", ` ${rule}`));
}
