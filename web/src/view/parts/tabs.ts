/**
 * If the page is too low to stack its regions, as at a zoom of 200%, each has a tab, and one of them is shown at a
 * time. Otherwise there are no tabs.
 */

import { byId, setText, show } from "./dom.js";

/** Too low, and too narrow for regions side by side. */
const LOW = "(max-width: 59.99rem) and (max-height: 30rem)";

const REGIONS = ["talk", "side", "picture"] as const;

/** A region with a tab. */
export type Region = (typeof REGIONS)[number];

/** The tabs' part of the page. */
export class Tabs {
  readonly #low = matchMedia(LOW);
  readonly #changed: (shown: Region | null) => void;
  readonly #labelledBy = new Map(REGIONS.map((region) => [region, byId(region).getAttribute("aria-labelledby")]));
  #selected: Region = "talk";

  /** Calls `changed` whenever another region is shown; with null if all of them are. */
  constructor(changed: (shown: Region | null) => void) {
    this.#changed = changed;
    for (const region of REGIONS) byId(`tab-${region}`).addEventListener("click", () => this.select(region));
    byId("tabs").addEventListener("keydown", (event) => this.#key(event));
    this.#low.addEventListener("change", () => {
      // Keep the region with the focus in view.
      this.#selected = REGIONS.find((region) => byId(region).contains(document.activeElement)) ?? "talk";
      this.#arrange();
    });
    this.#arrange();
  }

  /** The region that is shown; null if all of them are. */
  get shown(): Region | null {
    return this.#low.matches ? this.#selected : null;
  }

  /** Shows a region. */
  select(region: Region): void {
    if (this.#selected === region) return;
    this.#selected = region;
    this.#arrange();
  }

  /** How many events are new in the conversation while another region is shown. */
  setNew(count: number): void {
    setText(byId("tab-new"), count > 0 ? ` · ${count} new` : "");
  }

  #arrange(): void {
    const { shown } = this;
    byId("room").classList.toggle("tabbed", shown !== null);
    show(byId("tabs"), shown !== null);
    for (const region of REGIONS) {
      const [panel, tab] = [byId(region), byId(`tab-${region}`)];
      tab.setAttribute("aria-selected", String(region === shown));
      tab.tabIndex = region === shown ? 0 : -1;
      if (region !== "picture") show(panel, shown === null || shown === region);
      const labelledBy = shown === null ? this.#labelledBy.get(region) : tab.id;
      if (shown === null) panel.removeAttribute("role");
      else panel.setAttribute("role", "tabpanel");
      if (labelledBy == null) panel.removeAttribute("aria-labelledby");
      else panel.setAttribute("aria-labelledby", labelledBy);
    }
    this.#changed(shown);
  }

  #key(event: KeyboardEvent): void {
    const at = REGIONS.indexOf(this.#selected);
    const to: Readonly<Record<string, number>> = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: REGIONS.length - 1 };
    const next = to[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const region = REGIONS[(next + REGIONS.length) % REGIONS.length]!;
    this.select(region);
    byId(`tab-${region}`).focus();
  }
}
