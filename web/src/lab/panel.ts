/** The lab's panel: faults by hand, companions, scenarios, and deliveries step by step. */

import { inWords } from "../core/machine/refusal.js";
import type { State } from "../core/machine/state.js";
import { toFailure } from "../transport/convert.js";
import { button, byId, make, setText, show } from "../view/parts/dom.js";
import type { LabClient } from "./client.js";
import type { Doing, Part } from "./panel/doing.js";
import { People } from "./panel/people.js";
import { Prove } from "./panel/prove.js";
import { Scenarios } from "./panel/scenarios.js";
import { Steps } from "./panel/steps.js";
import type { LabState } from "./types.js";
import { timeWords } from "./words.js";

/** How often the lab is polled while the panel or the diagram is visible, in milliseconds. */
const LOOK_MS = 600;

/** The panel, and the button that opens it. */
export class Panel {
  readonly #client: LabClient;
  readonly #toggle: HTMLButtonElement;
  readonly #panel = make("aside", "lab");
  readonly #problem = make("p", "problem");
  readonly #end = button("End all faults", "small", () => void this.#doing.run((client) => client.clear("")));
  readonly #writer = make("p", "fine");
  readonly #saw: (lab: LabState, page: State) => void;
  readonly #parts: readonly Part[];
  readonly #tabs: readonly HTMLButtonElement[];
  readonly #doing: Doing;
  #page: State | null = null;
  #lab: LabState | null = null;
  #shown = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking = false;

  /** Adds the button. `log` returns this page's own log; `saw` is called with each state of the lab. */
  constructor(client: LabClient, log: () => string, saw: (lab: LabState, page: State) => void) {
    this.#saw = saw;
    this.#client = client;
    this.#doing = { client, run: (what) => this.#run(what) };
    this.#parts = [new People(this.#doing), new Scenarios(this.#doing), new Steps(this.#doing), new Prove(client, log)];
    this.#tabs = this.#parts.map(({ title }, index) => button(title, "lab-tab", () => this.#select(index)));
    this.#toggle = button("Lab", "quiet", () => this.#open(this.#panel.hidden));
    this.#toggle.id = "toggle-lab";
    this.#toggle.setAttribute("aria-controls", "lab");
    byId("leave").before(this.#toggle);
    this.#build();
    this.#open(false);
    document.addEventListener("visibilitychange", () => this.#look());
  }

  /** Shows what has changed on the page. */
  render(state: State): void {
    this.#page = state;
    // The diagram shades what the lab does, whether the panel is open or not.
    if (this.#timer === undefined && this.#isWatching) this.#look();
    if (this.#lab !== null && !this.#panel.hidden) this.#show();
  }

  #build(): void {
    const title = make("h2", "", "Lab");
    title.id = "lab-title";
    const close = button("Close", "small quiet", () => {
      this.#open(false);
      this.#toggle.focus();
    });
    const list = make("div", "lab-tabs", ...this.#tabs);
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", "What the lab shows");
    list.addEventListener("keydown", (event) => this.#move(event));
    this.#tabs.forEach((tab, index) => {
      tab.id = `lab-tab-${index}`;
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", `lab-part-${index}`);
    });
    this.#parts.forEach(({ element }, index) => {
      element.id = `lab-part-${index}`;
      element.setAttribute("role", "tabpanel");
      element.setAttribute("aria-labelledby", `lab-tab-${index}`);
    });
    this.#problem.setAttribute("role", "alert");
    this.#writer.setAttribute("role", "status");
    const body = make("div", "lab-body", ...this.#parts.map(({ element }) => element));
    body.tabIndex = 0;
    body.setAttribute("role", "group");
    body.setAttribute("aria-labelledby", "lab-title");
    this.#panel.id = "lab";
    this.#panel.setAttribute("aria-labelledby", "lab-title");
    this.#panel.append(make("header", "lab-head", title, this.#end, close), list, this.#problem, this.#writer, body);
    byId("room").append(this.#panel);
    this.#select(0);
  }

  #open(open: boolean): void {
    show(this.#panel, open);
    byId("room").classList.toggle("lab-open", open);
    this.#toggle.setAttribute("aria-expanded", String(open));
    if (open) this.#look();
  }

  #select(index: number): void {
    this.#shown = index;
    this.#tabs.forEach((tab, at) => {
      tab.setAttribute("aria-selected", String(at === index));
      tab.tabIndex = at === index ? 0 : -1;
    });
    this.#parts.forEach(({ element }, at) => show(element, at === index));
    this.#show();
  }

  /** The arrow keys move between tabs, as in any tab list. */
  #move(event: KeyboardEvent): void {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    event.preventDefault();
    this.#select((this.#shown + by + this.#tabs.length) % this.#tabs.length);
    this.#tabs[this.#shown]!.focus();
  }

  /** Whether the panel or the diagram is visible. */
  get #isWatching(): boolean {
    return !document.hidden && (!this.#panel.hidden || !byId("picture").hidden);
  }

  /** Polls the lab now, and regularly while the panel or the diagram is visible. */
  #look(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#isWatching || this.#looking) return;
    this.#looking = true;
    this.#client
      .state()
      .then(
        (lab) => {
          this.#lab = lab;
          if (this.#page !== null) this.#saw(lab, this.#page);
          this.#show();
        },
        (thrown) => this.#fail(thrown),
      )
      .finally(() => {
        this.#looking = false;
        if (this.#isWatching) this.#timer = setTimeout(() => this.#look(), LOOK_MS);
      });
  }

  async #run(what: (client: LabClient) => Promise<void>): Promise<void> {
    setText(this.#problem, "");
    try {
      await what(this.#client);
    } catch (thrown) {
      this.#fail(thrown);
    }
    this.#look();
  }

  #fail(thrown: unknown): void {
    setText(this.#problem, inWords(toFailure(thrown)));
  }

  #show(): void {
    if (this.#lab === null || this.#page === null) return;
    const { people, writerStoppedMs } = this.#lab;
    const anything = writerStoppedMs !== null || people.some(({ fault }) => fault !== null);
    this.#end.setAttribute("aria-disabled", String(!anything));
    setText(this.#writer, writerStoppedMs === null ? "" : `The service’s writer is stopped for another ${timeWords(writerStoppedMs)}.`);
    show(this.#writer, writerStoppedMs !== null);
    this.#parts[this.#shown]!.render(this.#lab, this.#page);
  }
}
