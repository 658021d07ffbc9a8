/** The whole page: shows the state, and passes on what the user asks for. */

import type { Log } from "../core/log.js";
import { RECORDS_MAX } from "../core/log.js";
import type { Shade } from "../core/causality/shades.js";
import { type State, presentSegment } from "../core/machine/state.js";
import type { Commands, Look } from "./commands.js";
import { Composer } from "./composer.js";
import { byId, setText, show } from "./parts/dom.js";
import { Lobby, WAITING } from "./lobby.js";
import { renderOutbox } from "./outbox.js";
import { People } from "./people.js";
import { type LoadDrawing, Panel } from "./panel.js";
import { Scroll } from "./parts/scroll.js";
import { Tabs } from "./parts/tabs.js";
import { type Reading, Transcript } from "./transcript/transcript.js";
import { clockSteps } from "./clock.js";
import { hint } from "./hint.js";
import { pointAt, pointedAt } from "./parts/pointing.js";
import { status } from "./words.js";

const NO_SHADES: readonly Shade[] = [];

/** What a visit starts with. */
export interface Remembered {
  /** The name that was used last. */
  readonly name: string;
  /** The access secret that was used last. */
  readonly secret: string;
  /** What was being written. */
  readonly draft: string;
  /** The display settings. */
  readonly look: Look;
}

/** The page. */
export class App {
  readonly #people = new People();
  readonly #scroll = new Scroll();
  readonly #commands: Commands;
  readonly #lobby: Lobby;
  readonly #composer: Composer;
  readonly #transcript: Transcript;
  readonly #picture: Panel;
  readonly #tabs: Tabs;
  readonly #order = byId<HTMLInputElement>("by-wall-clock");
  readonly #large = byId<HTMLInputElement>("large-type");
  #reading: Reading;
  /** The segment of the chosen event. */
  #chosenIn = 0;
  #shown: { state: State; at: number; log: Log; shades: readonly Shade[] } | null = null;
  #screen: "none" | "lobby" | "room" = "none";
  #newest: bigint | null = null;
  #unseen = 0;
  /** How many events have arrived while a region other than the conversation is shown. */
  #elsewhere = 0;

  /** Takes over the document. */
  constructor(commands: Commands, remembered: Remembered, loadDrawing: LoadDrawing) {
    this.#commands = commands;
    this.#lobby = new Lobby(commands, remembered.name, remembered.secret);
    this.#composer = new Composer(commands, remembered.draft, () => this.#scroll.toBottom());
    this.#transcript = new Transcript(byId("transcript"), commands);
    this.#reading = { order: remembered.look.wall ? "wall" : "logical", chosen: null };
    this.#picture = new Panel(remembered.look.picture, loadDrawing, {
      choose: (sequence) => this.#choose(sequence),
      reveal: () => this.#reveal(),
      point: (sequence) => pointAt(sequence),
      toggled: () => this.#looked(),
      skew: (seconds) => commands.setSkew(seconds),
    });
    this.#tabs = new Tabs((shown) => {
      this.#picture.arrange(shown === null ? null : shown === "picture");
      this.#again();
    });
    this.#order.checked = remembered.look.wall;
    this.#order.addEventListener("change", () => this.#looked());
    this.#large.checked = remembered.look.large;
    this.#large.addEventListener("change", () => this.#looked());
    this.#enlarge();
    byId("transcript").addEventListener("click", (event) => this.#clicked(event));
    pointedAt((sequence) => this.#picture.point(sequence));
    hint();
    byId("leave").addEventListener("click", () => commands.leave());
    byId("banner-button").addEventListener("click", () => commands.retryNow());
    for (const button of document.querySelectorAll("[data-command=download]")) {
      button.addEventListener("click", () => commands.downloadLog());
    }
    const toggle = byId("toggle-side");
    toggle.addEventListener("click", () => {
      const open = byId("room").classList.toggle("side-open");
      toggle.setAttribute("aria-expanded", String(open));
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#unseen = 0;
      this.#title();
    });
  }

  /** Shows a state, as of a moment in milliseconds, with the faults of a lab. */
  render(state: State, at: number, log: Log, shades: readonly Shade[] = NO_SHADES): void {
    this.#shown = { state, at, log, shades };
    // A user who has something to read is in the room, connected or not.
    const room = state.phase.at !== "out" && state.segments.length + (state.session === null ? 0 : 1) > 0;
    this.#switchTo(room ? "room" : "lobby");
    if (room) this.#room(state, at, log);
    else this.#lobby.render(state, at, log.lines.length);
  }

  #switchTo(screen: "lobby" | "room"): void {
    if (screen === this.#screen) return;
    const first = this.#screen === "none";
    // Hiding the focused element loses the focus, though not at once.
    const lost = document.activeElement === document.body || byId("room").contains(document.activeElement);
    this.#screen = screen;
    show(byId("lobby"), screen === "lobby");
    show(byId("room"), screen === "room");
    if (screen === "room") {
      this.#tabs.select("talk");
      this.#scroll.toBottom();
    }
    // The room moves the focus to the composer. The form takes it at the start of a visit, or if it would be lost.
    if (screen === "room") this.#composer.focus();
    else if (first || lost) this.#lobby.focus();
  }

  #room(state: State, at: number, log: Log): void {
    const { tone, text, count } = status(state, at);
    byId("status").dataset["tone"] = tone;
    setText(byId("status-text"), text);
    setText(byId("status-count"), count);
    setText(byId("clock"), state.clock.toString());
    clockSteps(state);
    byId<HTMLButtonElement>("leave").disabled = state.phase.at === "leaving";
    this.#banner(state);
    this.#people.render(state);
    this.#logSize(log);
    this.#composer.render(state);
    show(byId("alone"), state.roster.length === 1 && (presentSegment(state)?.live.length ?? 0) <= 1);
    const segment = presentSegment(state);
    if (this.#chosenIn !== segment?.id && this.#reading.chosen !== null) this.#reading = { ...this.#reading, chosen: null };
    show(byId("ordered"), this.#reading.order === "wall");
    const fresh = this.#fresh(state);
    this.#elsewhere = this.#tabs.shown === null || this.#tabs.shown === "talk" ? 0 : this.#elsewhere + fresh;
    this.#tabs.setNew(this.#elsewhere);
    this.#scroll.around(() => {
      this.#transcript.render(state, this.#reading);
      renderOutbox(byId("outbox"), state, at, this.#commands, this.#composer);
      return this.#transcript.endsWith(segment, this.#newest) ? fresh : 0;
    });
    const causality = segment === undefined ? null : this.#transcript.causality(segment);
    if (segment === undefined || causality === null) return;
    this.#picture.render({ state, segment, causality, chosen: this.#reading.chosen, shades: this.#shown?.shades ?? NO_SHADES });
  }

  #again(): void {
    if (this.#shown !== null) this.render(this.#shown.state, this.#shown.at, this.#shown.log, this.#shown.shades);
  }

  #choose(sequence: bigint | null): void {
    const segment = this.#shown === null ? undefined : presentSegment(this.#shown.state);
    const known = segment === undefined ? null : this.#transcript.causality(segment);
    const chosen = sequence === null ? null : (known?.event(sequence) ?? null);
    if (chosen?.sequence === this.#reading.chosen?.sequence) return;
    this.#chosenIn = segment?.id ?? 0;
    this.#reading = { ...this.#reading, chosen };
    this.#again();
  }

  /** Shows the chosen event in the transcript, without taking the focus there. */
  #reveal(): void {
    const { chosen } = this.#reading;
    const segment = this.#shown === null ? undefined : presentSegment(this.#shown.state);
    if (segment === undefined || chosen === null) return;
    if (this.#tabs.shown !== null) this.#tabs.select("talk");
    this.#transcript.row(segment, chosen.sequence)?.scrollIntoView({ block: "nearest" });
  }

  /** While the diagram is open, an event can be chosen in the transcript, too. A selection of text is not a choice. */
  #clicked({ target }: MouseEvent): void {
    if ((target as Element).closest("a") !== null) return;
    const row = (target as Element).closest<HTMLElement>(".segment:last-child .row");
    const sequence = row?.dataset["sequence"];
    if (!this.#picture.isOpen || sequence === undefined || getSelection()?.isCollapsed === false) return;
    this.#choose(this.#reading.chosen?.sequence === BigInt(sequence) ? null : BigInt(sequence));
  }

  /** The order was switched, or the diagram opened or closed. */
  #looked(): void {
    const picture = this.#picture.isWanted;
    const order = this.#order.checked ? "wall" : "logical";
    this.#commands.keepLook({ wall: order === "wall", picture, large: this.#large.checked });
    this.#enlarge();
    this.#reading = { order, chosen: picture ? this.#reading.chosen : null };
    this.#again();
  }

  #enlarge(): void {
    document.documentElement.classList.toggle("large", this.#large.checked);
  }

  #banner(state: State): void {
    const { phase } = state;
    // The banner stays during a retry, so that the page does not jump each time.
    const trying = phase.at === "connecting" && phase.why !== null;
    const text = phase.at === "offline" ? phase.why : trying ? phase.why : phase.at === "waiting" ? WAITING : "";
    setText(byId("banner-text"), text);
    show(byId("banner"), text !== "");
    setText(byId("banner-button"), "Retry now");
    show(byId("banner-button"), phase.at === "offline" || trying);
    byId("banner-button").setAttribute("aria-disabled", String(trying));
  }

  #logSize(log: Log): void {
    const cut = log.dropped > 0 ? ` The oldest ${log.dropped} are no longer kept (at most ${RECORDS_MAX}).` : "";
    setText(byId("log-size"), `${log.lines.length} records of what this tab sent and received.${cut}`);
  }

  /** How many events are new since the last time, which the user has not seen if the tab is hidden. */
  #fresh(state: State): number {
    const live = presentSegment(state)?.live ?? [];
    const newest = live[live.length - 1]?.sequence ?? null;
    const seen = this.#newest;
    this.#newest = newest;
    if (newest === null) return 0;
    const fresh = seen === null || newest < seen ? live.length : Math.min(live.length, Number(newest - seen));
    if (document.hidden) this.#unseen += fresh;
    this.#title();
    return fresh;
  }

  #title(): void {
    document.title = this.#unseen > 0 ? `(${this.#unseen}) Chit Chat` : "Chit Chat";
  }
}
