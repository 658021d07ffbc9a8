/** The list of scenarios, the one that is being played, and its question. */

import type { State } from "../../core/machine/state.js";
import { button, byId, make, reconcile, safely, setText, show } from "../../view/parts/dom.js";
import type { Doing, Part } from "./doing.js";
import { check } from "./form.js";
import { type LabState, type Question, type Scenario, type ScenarioRun, isPlaying } from "../types.js";
import { scenarioWords } from "../words.js";

/** The part of the panel with the scenarios. */
export class Scenarios implements Part {
  readonly title = "Scenarios";
  readonly element = make("section", "lab-part");
  readonly #doing: Doing;
  readonly #list = make("ul", "lab-scenarios");
  readonly #choosing = make("div", "lab-choosing");
  readonly #playing = make("div", "lab-playing");
  readonly #stepwise = check("Step by step: each step waits for me");
  readonly #takePart = check("I play the human role");
  #scenarios: readonly Scenario[] | null = null;
  #run: RunView | null = null;
  #self = "";
  /** The number of the run that the user has closed. */
  #away = 0;

  /** Makes it. */
  constructor(doing: Doing) {
    this.#doing = doing;
    this.#stepwise.box.checked = true;
    this.#takePart.box.checked = true;
    const intro = "A scenario is a short script: companions, people and faults show one thing about order. At the end there is a question.";
    this.#choosing.append(make("p", "fine", intro), this.#stepwise.element, this.#takePart.element, this.#list);
    this.element.append(this.#choosing, this.#playing);
  }

  /** Shows the scenario that is being played, or the list. */
  render({ run }: LabState, page: State): void {
    this.#self = page.session?.name ?? "";
    if (this.#scenarios === null) this.#load();
    const shown = run === null || this.#away === run.number ? null : run;
    show(this.#choosing, shown === null);
    show(this.#playing, shown !== null);
    if (shown === null) {
      this.#run = null;
      return this.#playing.replaceChildren();
    }
    if (this.#run?.number !== shown.number) {
      this.#run = new RunView(shown, this.#doing, () => {
        this.#away = shown.number;
        show(this.#playing, false);
        show(this.#choosing, true);
        this.#list.querySelector("button")?.focus();
      });
      this.#playing.replaceChildren(this.#run.element);
    }
    this.#run.render(shown);
  }

  #load(): void {
    this.#scenarios = [];
    void this.#doing.run(async (client) => {
      this.#scenarios = await client.scenarios();
      reconcile(
        this.#list,
        this.#scenarios,
        ({ name }) => name,
        (scenario) => this.#card(scenario),
      );
    });
  }

  #card({ name, title, about, hasPerson }: Scenario): HTMLElement {
    const play = button("Play", "small", () => {
      const person = hasPerson && this.#takePart.box.checked ? this.#self : "";
      void this.#doing.run((client) => client.start(name, person, this.#stepwise.box.checked));
    });
    play.setAttribute("aria-label", `Play: ${title}`);
    return make("li", "", make("h3", "", title), make("p", "fine", about), make("div", "lab-actions", play));
  }
}

/** One run of a scenario. */
class RunView {
  readonly number: number;
  readonly element: HTMLElement;
  readonly #state = make("p", "lab-now");
  readonly #steps = make("ol", "lab-steps");
  readonly #next: HTMLButtonElement;
  readonly #stop: HTMLButtonElement;
  readonly #close: HTMLButtonElement;
  readonly #question = make("div", "lab-question");
  readonly #diagram = button("Show the diagram", "small", () => byId("toggle-picture").click());
  #asked = false;

  constructor(run: ScenarioRun, doing: Doing, away: () => void) {
    this.number = run.number;
    this.#state.setAttribute("role", "status");
    this.#next = button("Next step", "primary small", () => void doing.run((client) => client.advance()));
    this.#stop = button("Stop", "small", () => void doing.run((client) => client.stop()));
    this.#close = button("All scenarios", "small", away);
    for (const step of run.steps) this.#steps.append(make("li", "", ...safely(step)));
    const { title, about, watch } = run.scenario;
    const actions = make("div", "lab-actions", this.#next, this.#stop, this.#close);
    const watched = make("div", "lab-watch", make("p", "", make("b", "", "Watch: "), watch), this.#diagram);
    this.element = make(
      "div",
      "lab-run",
      make("h3", "", title),
      make("p", "fine", about),
      watched,
      this.#steps,
      this.#question,
      make("div", "lab-foot", this.#state, actions),
    );
  }

  render(run: ScenarioRun): void {
    const playing = isPlaying(run);
    setText(this.#state, scenarioWords(run.state, run.person, run.problem));
    Array.from(this.#steps.children).forEach((step, index) => {
      step.classList.toggle("done", index < run.done);
      const now = playing && index === run.done;
      if (now && step.getAttribute("aria-current") !== "step") step.scrollIntoView({ block: "nearest" });
      if (now) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
    });
    show(this.#diagram, byId("picture").hidden);
    show(this.#next, playing);
    show(this.#stop, playing);
    show(this.#close, !playing);
    if (!playing && run.question !== null && !this.#asked) {
      this.#asked = true;
      this.#question.append(ask(run.question));
      this.#question.scrollIntoView({ block: "start" });
    }
  }
}

/** A question: each answer is explained when it is chosen. */
function ask({ ask, answers }: Question): HTMLElement {
  const said = make("p", "lab-why");
  said.setAttribute("role", "status");
  const buttons = answers.map(({ text, right, why }) => {
    const answer = button(text, "lab-answer", () => {
      for (const other of buttons) other.removeAttribute("aria-pressed");
      answer.setAttribute("aria-pressed", "true");
      answer.classList.add(right ? "right" : "wrong");
      said.replaceChildren(make("b", "", right ? "Right. " : "Not quite. "), why);
      said.scrollIntoView({ block: "nearest" });
    });
    return answer;
  });
  const title = make("h3", "", ask);
  title.id = "lab-question";
  const list = make("div", "lab-answers", ...buttons);
  list.setAttribute("role", "group");
  list.setAttribute("aria-labelledby", "lab-question");
  return make("div", "", title, list, said);
}
