/** Whose lifelines are shown: by a menu above the picture, or by a click on a head. */

import { type Choice, EVERYBODY, isLimited } from "../../core/causality/lifelines.js";
import type { Person } from "../../core/event.js";
import { visible } from "../../core/text.js";
import { button, byId, make, reconcile, safely, setText, show } from "../parts/dom.js";
import { hueOf } from "../parts/palette.js";

/** What the menu asks of the picture. */
export interface ChoosingWishes {
  /** The user has made another choice. */
  chose(choice: Choice): void;
  /** Moves those whose messages crossed next to the service. */
  sort(): void;
}

/** The menus. */
export class Choosing {
  /** The button that opens the menu. */
  readonly button = button("Lifelines", "small", () => this.#toggle());
  readonly #wishes: ChoosingWishes;
  readonly #menu = make("div", "picture-menu drawn");
  readonly #people = make("ul", "menu-people");
  readonly #head = make("div", "picture-menu head-menu drawn");
  readonly #said = make("p", "fine");
  #choice: Choice = EVERYBODY;
  #known: readonly Person[] = [];
  #opener: Element | null = null;

  /** Puts the menus into the panel. */
  constructor(wishes: ChoosingWishes) {
    this.#wishes = wishes;
    this.button.setAttribute("aria-expanded", "false");
    this.button.setAttribute("aria-controls", "picture-people");
    this.#menu.id = "picture-people";
    this.#menu.setAttribute("role", "group");
    this.#menu.setAttribute("aria-label", "Whose lifelines are shown");
    this.#menu.append(
      make(
        "div",
        "menu-row",
        button("Everybody", "small", () => this.#choose(EVERYBODY)),
        button("Only those who crossed", "small", () => this.#choose({ ...EVERYBODY, crossed: true })),
        button("Put those who crossed next to the service", "small", () => wishes.sort()),
      ),
      this.#said,
      this.#people,
    );
    this.#head.setAttribute("role", "group");
    for (const menu of [this.#menu, this.#head]) {
      show(menu, false);
      menu.addEventListener("keydown", (event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        event.stopPropagation();
        this.close();
        if (menu === this.#menu) this.button.focus();
      });
      byId("picture").append(menu);
    }
    byId("picture").addEventListener("click", ({ target }) => {
      const inside = [this.#menu, this.#head, this.button].some((part) => part.contains(target as Node));
      if (!inside && (target as Element).closest(".heads g[data-id]") === null) this.close();
    });
  }

  /** What is chosen. */
  get choice(): Choice {
    return this.#choice;
  }

  /** Chooses everybody again. */
  reset(): void {
    this.#choice = EVERYBODY;
    this.close();
  }

  /** Lists the participants that the picture knows. */
  people(known: readonly Person[]): void {
    this.#known = known;
    const limited = isLimited(this.#choice);
    this.button.classList.toggle("limited", limited);
    setText(this.button, limited ? "Lifelines: some" : "Lifelines");
    if (!this.#menu.hidden) this.#list();
  }

  /** Opens the menu of a head. */
  openHead(head: Element, id: string): void {
    const person = this.#known.find((one) => one.id === id);
    const same = this.#opener === head;
    this.close();
    if (person === undefined || same) return;
    this.#opener = head;
    const name = visible(person.name);
    const only = { hidden: new Set<string>(), only: id, crossed: false };
    const hide = { ...this.#choice, hidden: new Set([...this.#choice.hidden, id]) };
    this.#head.setAttribute("aria-label", `Lifeline of ${name}`);
    this.#head.replaceChildren(
      make("p", `menu-title ${hueOf(person.name)}`, make("b", "name", ...safely(person.name))),
      button("Only this one and those it crossed", "small", () => this.#choose(only)),
      button("Hide", "small", () => this.#choose(hide)),
      ...(isLimited(this.#choice) ? [button("Show everybody", "small", () => this.#choose(EVERYBODY))] : []),
    );
    show(this.#head, true);
    const panel = byId("picture").getBoundingClientRect();
    const at = head.getBoundingClientRect();
    const left = Math.max(4, Math.min(at.left - panel.left, panel.width - this.#head.offsetWidth - 4));
    this.#head.style.left = `${left}px`;
    this.#head.style.top = `${at.bottom - panel.top + 2}px`;
    this.#head.querySelector("button")?.focus({ preventScroll: true });
  }

  /** Closes the menus. */
  close(): void {
    this.#opener = null;
    show(this.#menu, false);
    show(this.#head, false);
    this.button.setAttribute("aria-expanded", "false");
  }

  #toggle(): void {
    const open = this.#menu.hidden;
    this.close();
    show(this.#menu, open);
    this.button.setAttribute("aria-expanded", String(open));
    if (!open) return;
    const panel = byId("picture").getBoundingClientRect();
    this.#menu.style.top = `${this.button.getBoundingClientRect().bottom - panel.top + 4}px`;
    this.#list();
  }

  #choose(choice: Choice): void {
    this.#choice = choice;
    this.#list();
    show(this.#head, false);
    this.#opener = null;
    this.#wishes.chose(choice);
  }

  #list(): void {
    const { hidden, only } = this.#choice;
    const one = this.#known.find(({ id }) => id === only);
    setText(this.#said, one === undefined ? "" : `Only ${visible(one.name)}, and those whose messages crossed theirs.`);
    reconcile(
      this.#people,
      this.#known,
      ({ id }) => id,
      (person) => {
        const box = make("input", "");
        box.type = "checkbox";
        box.addEventListener("change", () => this.#flip(person.id, !box.checked));
        return make("li", "", make("label", `check ${hueOf(person.name)}`, box, make("b", "name", ...safely(person.name))));
      },
    );
    for (const [at, { id }] of this.#known.entries()) this.#people.children[at]!.querySelector("input")!.checked = !hidden.has(id);
  }

  #flip(id: string, hide: boolean): void {
    const hidden = new Set(this.#choice.hidden);
    if (hide) hidden.add(id);
    else hidden.delete(id);
    this.#choose({ ...this.#choice, hidden });
  }
}
