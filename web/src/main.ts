/**
 * The page's entry: puts the parts together. Data flows one way:
 * service -> transport -> state machine -> view; what the user wants goes back as a command.
 */

import { doubt } from "./core/doubt.js";
import { Log, fileName } from "./core/log.js";
import { toPlace } from "./core/replay/place.js";
import { fromSnapshot, recordsBefore } from "./core/snapshot.js";
import { INITIAL, type State } from "./core/machine/state.js";
import type { Input } from "./core/machine/step.js";
import { Driver } from "./driver.js";
import { browserLocks } from "./platform/locks.js";
import { SessionLock } from "./platform/session-lock.js";
import { folderOf } from "./platform/place.js";
import { Slots } from "./platform/slots.js";
import { recall, remember } from "./platform/storage.js";
import { hasSlept, now, randomId } from "./platform/time.js";
import type { LabView } from "./lab.js";
import { ChatClient } from "./transport/client.js";
import { App } from "./view/app.js";
import { byId } from "./view/parts/dom.js";
import type { Commands, Look } from "./view/commands.js";
import type { Drawing, Wishes } from "./view/panel.js";
import { explainTerms } from "./view/parts/terms.js";

/** How much of the log survives a reload, in characters: the first of these for which sessionStorage has room. */
const LOG_KEPT = [2_000_000, 500_000, 100_000];

/** How often anything that counts seconds is redrawn, in milliseconds. */
const REPAINT_MS = 500;

/** The minimum time between two renderings, in milliseconds: changes in between are shown together. */
const RENDER_MS = 100;

/** How soon a hidden tab is brought up to date, in milliseconds. */
const HIDDEN_MS = 250;

async function start(): Promise<void> {
  explainTerms();
  if (toPlace(location.hash) !== null) return openRun([]);
  const locks = browserLocks();
  const lock = new SessionLock(locks);
  const secret = recall("secret") ?? "";
  let state: State = fromSnapshot(recall("snapshot"), secret) ?? { ...INITIAL, secret, secretWanted: secret !== "" };
  if (state.session !== null && !(await lock.takeOver(state.session))) {
    // This tab is a copy of one that is still open: the session, its log and its messages belong to the other tab.
    for (const what of ["snapshot", "draft", "log"] as const) remember(what, "");
    state = { ...INITIAL, secret, secretWanted: secret !== "" };
  }
  const log = Log.fromStored(recall("log"));
  const records = recordsBefore(recall("snapshot"));
  remember("log", "");

  const driver = new Driver(
    {
      client: new ChatClient(location.origin + folderOf(location.pathname)),
      slots: new Slots(locks, sharesConnection()),
      lock,
      log,
      records,
      onChange: () => schedule(),
    },
    state,
  );
  const app = new App(
    commandsFor(driver, () => hurry()),
    { name: state.name, secret, draft: recall("draft") ?? "", look: toLook(recall("look")) },
    loadDrawing,
  );
  let lab: LabView | null = null;
  const render = () => {
    if (replaying) return;
    lab?.render(driver.state);
    app.render(driver.state, now().at, driver.log, lab?.shades);
  };
  let scheduled = false;
  let renderedAt = -Infinity;
  let hurry = () => {};
  // Many frames can come at once: they are shown together. A hidden tab gets no animation frames.
  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    const soon = () => {
      hurry = () => {};
      const late = setTimeout(run, HIDDEN_MS);
      const frame = requestAnimationFrame(run);
      function run(): void {
        clearTimeout(late);
        cancelAnimationFrame(frame);
        scheduled = false;
        renderedAt = performance.now();
        render();
      }
    };
    const wait = renderedAt + RENDER_MS - performance.now();
    if (wait <= 0) return soon();
    const waiting = setTimeout(soon, wait);
    // What the user does is shown at once.
    hurry = () => {
      clearTimeout(waiting);
      soon();
    };
  }
  if (state.session !== null) driver.dispatch({ type: "resume" });
  render();
  listen(driver, schedule);
  watchForRuns(driver);
  document.getElementById("starting")?.remove();
  lab = await openLab(() => log.toFile(), schedule);
  if (lab !== null) render();
}

/** Loads the lab's part of the page, if the service has a lab: its page then says so. */
async function openLab(log: () => string, changed: () => void): Promise<LabView | null> {
  const access = document.querySelector<HTMLMetaElement>('meta[name="chitchat-lab"]')?.content;
  if (access === undefined) return null;
  try {
    return await (await import("./lab.js")).open(access, log, changed);
  } catch {
    // The chat works without the lab.
    return null;
  }
}

/** Whether a recorded run has taken the place of the chat. */
let replaying = false;

/** Loads the replay's part of the page, and replays logs or the run that the address names. */
async function openRun(files: readonly File[]): Promise<void> {
  const { open } = await import("./replay.js");
  replaying = true;
  await open(files, loadDrawing);
  document.getElementById("starting")?.remove();
}

/**
 * Opens logs that are dropped onto the join form, and runs that its links lead to. A page that is in a conversation
 * ignores both.
 */
function watchForRuns(driver: Driver): void {
  const idle = () => !replaying && driver.state.phase.at === "out" && driver.state.session === null && !byId("lobby").hidden;
  const leave = (files: readonly File[]) => {
    driver.stop();
    openRun(files).catch(() => location.reload());
  };
  addEventListener("hashchange", () => {
    if (idle() && toPlace(location.hash) !== null) leave([]);
  });
  document.addEventListener("dragover", (event) => {
    if (idle() && event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length === 0 || !idle()) return;
    event.preventDefault();
    leave(files);
  });
}

/**
 * Reports that the page could not start, for instance because its parts are of different versions: otherwise it would
 * look as if it were loading forever.
 */
function failed(error: unknown): never {
  const notice = document.getElementById("starting");
  if (notice !== null) notice.textContent = "Chit Chat could not start. Please reload the page.";
  throw error;
}

/** Whether all calls to the service share one connection, as they do over HTTP/2 and later. */
function sharesConnection(): boolean {
  const [navigation] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  return location.protocol === "https:" && navigation?.nextHopProtocol !== "http/1.1";
}

/** Listens to what the browser reports: sleep, the network, visibility, and the page's end. */
function listen(driver: Driver, schedule: () => void): void {
  const wake = () => driver.dispatch({ type: hasSlept() ? "slept" : "wake" });
  setInterval(() => {
    if (hasSlept()) driver.dispatch({ type: "slept" });
    if (counts(driver.state)) schedule();
  }, REPAINT_MS);
  addEventListener("online", wake);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      // A browser may kill a hidden tab without notice.
      keepLog(driver);
      return;
    }
    remember("log", "");
    driver.dispatch({ type: "tick" });
    wake();
    schedule();
  });
  addEventListener("pagehide", () => {
    driver.stop();
    keepLog(driver);
  });
  // A page that comes back from the browser's cache has lost its stream and its locks.
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

/** Stores as much of the log's newest part as there is room for. */
function keepLog({ log }: Driver): void {
  LOG_KEPT.find((characters) => remember("log", log.toStored(characters)));
}

/** Whether the page shows something that counts seconds. */
function counts(state: State): boolean {
  if (state.phase.at === "offline" || doubt(state, now().at) !== null) return true;
  if (state.phase.at === "out") return state.farewell?.type === "refused" && state.farewell.retryAt > 0;
  return state.outbox.some(({ progress }) => progress.at === "queued" && progress.retryAt > 0);
}

function commandsFor(driver: Driver, hurry: () => void): Commands {
  const dispatch = (input: Input) => {
    driver.dispatch(input);
    hurry();
  };
  return {
    join: (name, secret) => dispatch({ type: "join", name, secret }),
    leave: () => dispatch({ type: "leave" }),
    send: (text) => dispatch({ type: "send", id: randomId(), text }),
    sendAgain: (id) => dispatch({ type: "send-again", id, newId: randomId() }),
    discard: (id) => dispatch({ type: "discard", id }),
    loadEarlier: () => dispatch({ type: "load-earlier" }),
    retryNow: () => dispatch({ type: "wake" }),
    downloadLog: () => download(driver),
    keepLook: (look) => void remember("look", LOOKS.filter((one) => look[one]).join(" ")),
    setSkew: (seconds) => {
      driver.skewMs = seconds * 1000;
    },
    keepDraft: (text) => void remember("draft", text),
  };
}

function toLook(text: string | null): Look {
  const words = (text ?? "").split(" ");
  return { wall: words.includes("wall"), picture: words.includes("picture"), large: words.includes("large") };
}

const LOOKS = ["wall", "picture", "large"] as const;

/** Loads the diagram's part of the page. */
async function loadDrawing(wishes: Wishes): Promise<Drawing> {
  const { openDiagram } = await import("./diagram.js");
  return openDiagram(wishes);
}

function download(driver: Driver): void {
  const url = URL.createObjectURL(new Blob([driver.log.toFile()], { type: "application/jsonl" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = fileName(driver.state.session?.name ?? driver.state.name);
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

start().catch(failed);
