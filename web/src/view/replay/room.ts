/**
 * A recorded run in the page's own room: the same conversation and the same diagram, with controls in place of the
 * composer.
 */

import type { ChatEvent } from "../../core/event.js";
import { type Shade, shadesAt } from "../../core/causality/shades.js";
import { type Judged, accusedEvents } from "../../core/replay/findings.js";
import type { Run } from "../../core/replay/run.js";
import { toHash } from "../../core/replay/place.js";
import { type Cursor, EARLIER, GLANCE, Replay } from "../../core/replay/view.js";
import type { Commands } from "../commands.js";
import { byId, make, setText, show } from "../parts/dom.js";
import { People } from "../people.js";
import { type LoadDrawing, Panel } from "../panel.js";
import { pointAt, pointedAt } from "../parts/pointing.js";
import { Scroll } from "../parts/scroll.js";
import { Tabs } from "../parts/tabs.js";
import { Transcript } from "../transcript/transcript.js";
import { About, counted, strangeness } from "./about.js";
import { Player } from "./player.js";

/** How soon after the last step the page's address changes, in milliseconds: browsers limit how often it may. */
const ADDRESS_MS = 250;

/** How long a button says what it has done, in milliseconds. */
const COPIED_MS = 2_000;

/** From this width on, the diagram is open at the start. */
const WIDE = "(min-width: 60rem)";

const NOTHING: Commands = {
  join: () => {},
  leave: () => {},
  send: () => {},
  sendAgain: () => {},
  discard: () => {},
  loadEarlier: () => {},
  retryNow: () => {},
  downloadLog: () => {},
  keepLook: () => {},
  setSkew: () => {},
  keepDraft: () => {},
};

/** What the room shows. */
export interface Shown {
  readonly run: Run;
  /** Which conversation of the run. */
  readonly conversation: number;
  /** The run's name in addresses; empty for logs that the user opened. */
  readonly name: string;
  /** The title that is shown. */
  readonly title: string;
  /** The event to begin with. */
  readonly event: bigint | null;
  /** What is wrong in it, if anything is: a mistake of the gallery, or what a proof has found. */
  readonly mistake: Judged | null;
}

/** The room. */
export class ReplayRoom {
  readonly #shown: Shown;
  readonly #replay: Replay;
  readonly #people = new People();
  readonly #scroll: Scroll;
  readonly #transcript: Transcript;
  readonly #picture: Panel;
  readonly #tabs: Tabs;
  readonly #player: Player;
  readonly #about: About;
  readonly #order = byId<HTMLInputElement>("by-wall-clock");
  #cursor: Cursor;
  /** The events that a mistake's broken rule is about. */
  readonly #accused: ReadonlySet<bigint>;
  /** The event that was chosen; null for the one that the replay is at. */
  #picked: bigint | null = null;
  /** Whether the replay stands still, rather than being dragged or played. */
  #steady = true;
  #shades: { readonly at: bigint; readonly shades: readonly Shade[] } = { at: -1n, shades: [] };
  #frame = 0;
  #moved = true;
  #closed = false;
  #address: ReturnType<typeof setTimeout> | undefined;

  /** Takes over the document. `onOther` is called for another conversation of the run. */
  constructor(shown: Shown, loadDrawing: LoadDrawing, onOther: (conversation: number) => void) {
    this.#shown = shown;
    const conversation = shown.run.conversations[shown.conversation]!;
    this.#replay = new Replay(conversation, shown.conversation + 1);
    const reader = conversation.readers[0]?.id ?? "";
    const { mistake } = shown;
    this.#accused = mistake === null ? new Set() : accusedEvents(mistake.findings, mistake.rule);
    // A mistake begins at the last event that its broken rule is about.
    const last = [...this.#accused].reduce((newest, one) => (one > newest ? one : newest), 0n);
    const begin = shown.event ?? (last > 0n ? last : conversation.events[mistake === null ? 0 : conversation.events.length - 1]!.sequence);
    this.#cursor = { index: this.#replay.indexOf(begin), reader, glance: false, earlier: 0 };
    this.#player = new Player(conversation.events, {
      go: (index, steady) => this.#go(index, steady),
      explained: () => this.#picture.isOpen,
      link: () => this.#link(),
    });
    arrange(shown, this.#player.root);
    this.#scroll = new Scroll();
    this.#transcript = new Transcript(byId("transcript"), { ...NOTHING, loadEarlier: () => this.#loadEarlier() });
    this.#about = new About(shown.run, conversation, reader, mistake, {
      reader: (id) => this.#become({ ...this.#cursor, reader: id }),
      conversation: onOther,
    });
    this.#picture = new Panel(matchMedia(WIDE).matches, loadDrawing, {
      choose: (sequence) => this.#choose(sequence),
      reveal: () => this.#reveal(),
      point: (sequence) => pointAt(sequence),
      toggled: () => this.#draw(),
    });
    this.#tabs = new Tabs((region) => {
      this.#picture.arrange(region === null ? null : region === "picture");
      this.#soon();
    });
    this.#order.addEventListener("change", () => this.#draw());
    const large = byId<HTMLInputElement>("large-type");
    large.addEventListener("change", () => document.documentElement.classList.toggle("large", large.checked));
    byId("transcript").addEventListener("click", (event) => this.#clicked(event));
    pointedAt((sequence) => this.#picture.point(sequence));
    this.#draw();
    this.#player.slider.focus({ preventScroll: true });
  }

  /** Goes to the event with this sequence. */
  goTo(sequence: bigint): void {
    this.#player.pause();
    this.#go(this.#replay.indexOf(sequence), true);
  }

  /** Stops everything that would still change the document or the address. */
  close(): void {
    this.#closed = true;
    this.#player.pause();
    this.#picture.stop();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#address);
  }

  #go(index: number, steady: boolean): void {
    const same = index === this.#cursor.index && steady === this.#steady;
    this.#steady = steady;
    this.#picked = null;
    if (same) return;
    this.#moved = true;
    // Rows that are only passed through need not all be built.
    const glance = !steady && Math.abs(index - this.#cursor.index) > GLANCE;
    this.#become({ ...this.#cursor, index, glance, earlier: 0 });
  }

  #become(cursor: Cursor): void {
    this.#cursor = cursor;
    this.#soon();
    clearTimeout(this.#address);
    this.#address = setTimeout(() => history.replaceState(history.state, "", this.#hash), ADDRESS_MS);
  }

  /** Shows the newest of several moves in one frame. */
  #soon(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw(): void {
    if (this.#closed) return;
    const state = this.#replay.state(this.#cursor);
    const segment = state.segments[0]!;
    const event = this.#replay.event(this.#cursor);
    const chosen = this.#chosen(segment.past, event);
    this.#player.show(this.#cursor.index);
    this.#about.show(event, this.#cursor.reader);
    this.#people.render(state);
    const order = this.#order.checked ? "wall" : "logical";
    show(byId("ordered"), order === "wall");
    const change = () => {
      this.#transcript.render(state, { order, chosen });
      return 0;
    };
    if (this.#moved) {
      change();
      // This opens the fold that the event may be in, unless the replay only passes through it.
      const row = this.#steady || order === "wall" ? this.#transcript.row(segment, event.sequence) : null;
      if (order === "wall") row?.scrollIntoView({ block: "nearest" });
      else this.#scroll.toBottom();
    } else {
      this.#scroll.around(change);
    }
    this.#moved = false;
    const causality = this.#transcript.causality(segment);
    const { receipts } = this.#replay.conversation;
    const shades = this.#shadesAt(event.sequence);
    if (causality !== null) this.#picture.render({ state, segment, causality, chosen, receipts, shades, accused: this.#accused });
  }

  /** The same object while the replay stands still: only what changes is redrawn. */
  #shadesAt(at: bigint): readonly Shade[] {
    if (this.#shades.at !== at) this.#shades = { at, shades: shadesAt(this.#replay.conversation.shades, at) };
    return this.#shades.shades;
  }

  /** A moving replay chooses no event: the marks of past and concurrent events would flicker. */
  #chosen(events: readonly ChatEvent[], present: ChatEvent): ChatEvent | null {
    if (this.#picked !== null) return events.find(({ sequence }) => sequence === this.#picked) ?? null;
    return this.#steady && this.#picture.isOpen ? present : null;
  }

  #choose(sequence: bigint | null): void {
    this.#player.pause();
    this.#steady = true;
    this.#picked = sequence;
    this.#draw();
  }

  #clicked({ target }: MouseEvent): void {
    if ((target as Element).closest("a, summary, button") !== null) return;
    const sequence = (target as Element).closest<HTMLElement>(".row")?.dataset["sequence"];
    if (!this.#picture.isOpen || sequence === undefined || getSelection()?.isCollapsed === false) return;
    this.#choose(this.#picked === BigInt(sequence) ? null : BigInt(sequence));
  }

  #reveal(): void {
    if (this.#tabs.shown !== null) this.#tabs.select("talk");
    const segment = this.#replay.state(this.#cursor).segments[0]!;
    const sequence = this.#picked ?? this.#replay.event(this.#cursor).sequence;
    this.#transcript.row(segment, sequence)?.scrollIntoView({ block: "nearest" });
  }

  #loadEarlier(): void {
    this.#cursor = { ...this.#cursor, earlier: this.#cursor.earlier + EARLIER };
    this.#draw();
  }

  get #hash(): string {
    return toHash({ run: this.#shown.name, event: this.#replay.event(this.#cursor).sequence });
  }

  /** Puts the address of the event into the address bar, and into the clipboard if there is one. */
  #link(): void {
    history.replaceState(history.state, "", this.#hash);
    const told = (text: string) => {
      const link = this.#player.root.querySelector<HTMLElement>(".player-link")!;
      setText(link, text);
      this.#player.say(text === "Copied" ? "The address of this event was copied." : "The address of this event is in the address bar.");
      setTimeout(() => setText(link, "Link"), COPIED_MS);
    };
    // Without a secure context there is no clipboard.
    const copied = (navigator.clipboard as Clipboard | undefined)?.writeText(location.href) ?? Promise.reject(new Error("no clipboard"));
    copied.then(
      () => told("Copied"),
      () => told("See address bar"),
    );
  }
}

/** Turns the room of a conversation into that of a replay: removes what has no meaning there. */
function arrange({ title, run, conversation }: Shown, player: HTMLElement): void {
  const room = byId("room");
  room.classList.add("replaying");
  byId("lobby").remove();
  show(room, true);
  document.title = `${title}: Chit Chat`;
  byId("status").replaceWith(make("p", "status run-title", make("span", "run-word", "Recorded run "), make("b", "", title)));
  const close = make("a", "button quiet", "Close");
  close.href = "./";
  byId("leave").replaceWith(close);
  for (const id of ["alone", "outbox", "hint"]) byId(id).remove();
  room.querySelector(".clock")?.remove();
  byId("composer").replaceWith(player);
  setText(
    byId("picture-help"),
    "Logical time runs downward. Choose an event, with the pointer or the arrow keys, to see what could have caused it.",
  );
  byId("tab-side").textContent = "About";
  const toggle = byId("toggle-side");
  toggle.addEventListener("click", () => toggle.setAttribute("aria-expanded", String(room.classList.toggle("side-open"))));
  const strange = run.files.flatMap((file) => (file.strange > 0 ? [`${file.name}: ${strangeness(file)}.`] : []));
  const { missing } = run.conversations[conversation]!;
  const notes = [
    ...strange,
    ...(missing > 0 ? [`${counted(missing, "event")} in between ${missing === 1 ? "is" : "are"} in no log.`] : []),
  ];
  setText(byId("banner-text"), notes.join(" "));
  show(byId("banner"), notes.length > 0);
  show(byId("banner-button"), false);
}
