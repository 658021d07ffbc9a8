/** "Prove it": has the logs verified, and shows the findings rule by rule. */

import { type EvidenceLine, type Findings, type Proof, ownLog, sentenceOf } from "../../core/replay/findings.js";
import { toHash } from "../../core/replay/place.js";
import { visible } from "../../core/text.js";
import { Handover } from "../../platform/handover.js";
import { randomId } from "../../platform/time.js";
import { button, make, setText, show } from "../../view/parts/dom.js";
import { rules } from "../../view/replay/findings.js";
import type { LabClient } from "../client.js";
import type { Part } from "./doing.js";

/** The part of the panel with the proof. */
export class Prove implements Part {
  readonly title = "Proof";
  readonly element = make("section", "lab-part");
  readonly #client: LabClient;
  readonly #log: () => string;
  readonly #button: HTMLButtonElement;
  readonly #status = make("p", "fine");
  readonly #problem = make("p", "problem");
  readonly #intro: readonly HTMLElement[];
  readonly #result = make("div", "lab-proof");
  readonly #handover = new Handover();
  #busy = false;

  /** Makes it. `log` returns this page's own log. */
  constructor(client: LabClient, log: () => string) {
    this.#client = client;
    this.#log = log;
    this.#button = button("Prove it", "primary", () => void this.#prove());
    this.#status.setAttribute("role", "status");
    this.#problem.setAttribute("role", "alert");
    show(this.#problem, false);
    const intro =
      "Every process writes a log of what it did. A verifier, which shares no code with the service, rebuilds from the logs what caused what, and checks fifteen rules: that there is one order, that nobody missed anything, and that no effect comes before its cause.";
    const logs = "It takes the logs of the service and of the companions, those in the log folder, and the log of this page.";
    this.#intro = [make("p", "fine", intro), make("p", "fine", logs)];
    this.element.append(...this.#intro, make("div", "lab-actions", this.#button), this.#status, this.#problem, this.#result);
  }

  /** Nothing changes: a proof shows the logs as they were when it was made. */
  render(): void {}

  async #prove(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    this.#button.setAttribute("aria-disabled", "true");
    setText(this.#status, "Reading the logs…");
    show(this.#problem, false);
    try {
      const log = this.#log();
      this.#show(await this.#client.prove(log), log);
    } catch (error) {
      this.#result.replaceChildren();
      setText(this.#status, "");
      setText(this.#problem, error instanceof Error ? error.message : String(error));
      show(this.#problem, true);
    }
    this.#busy = false;
    this.#button.setAttribute("aria-disabled", "false");
  }

  #show({ epoch, findings, report, logs }: Proof, own: string): void {
    const { title, text } = sentenceOf(findings);
    const run = logs === null ? "" : `proof-${randomId()}`;
    if (logs !== null) {
      const mine = own === "" ? [] : [{ name: ownLog(findings), text: own }];
      this.#handover.offer(run, { title: "The lab’s proof", epoch, logs: [...logs, ...mine], report });
    }
    setText(this.#status, "");
    // The introduction has been read; the verdict takes its place.
    for (const part of this.#intro) show(part, false);
    const heading = make("h3", "lab-verdict", title);
    this.#result.className = `lab-proof ${findings.verdict}`;
    this.#result.replaceChildren(
      make("div", "lab-verdict-box", heading, make("p", "", text), replayLink(run)),
      inputs(findings),
      rules({ ...findings, rules: brokenFirst(findings) }, (line) => eventLink(run, line)),
    );
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
}

function brokenFirst({ rules }: Findings): Findings["rules"] {
  const broken = (one: Findings["rules"][number]) => one.verdict === "violated";
  return [...rules.filter(broken), ...rules.filter((one) => !broken(one))];
}

function replayLink(run: string): HTMLElement {
  if (run === "") return make("p", "fine", "The run is too long to be replayed from here. Its log files can be dropped onto the replay.");
  return make("p", "", newTab("Replay this run", toHash({ run, event: null })));
}

function eventLink(run: string, { sequence }: EvidenceLine): HTMLElement | null {
  return run === "" || sequence === null ? null : newTab(`event ${sequence}`, toHash({ run, event: sequence }));
}

/** A link to a replay. It opens in a new tab, since this page stays in the conversation. */
function newTab(text: string, hash: string): HTMLAnchorElement {
  const link = make("a", "", text, make("span", "vh", " in a new tab"));
  Object.assign(link, { href: `./${hash}`, target: "_blank", rel: "noopener" });
  return link;
}

/** The logs that were used, and what wrote them. */
function inputs({ inputs }: Findings): HTMLElement {
  const items = inputs.map(({ files, component, records }) => {
    const name = visible((files[files.length - 1] ?? "").replace(/^.*\//, ""));
    const whose = component === "server" ? "the service" : component === "browser" ? "a page" : "a client";
    const count = records === 0 ? "nothing of this run" : `${records.toLocaleString("en")} record${records === 1 ? "" : "s"}`;
    return make("li", "", make("span", "run-file", name), make("span", "fine", ` ${whose}, ${count}`));
  });
  const list = make("details", "lab-more", make("summary", "", `From ${inputs.length} log${inputs.length === 1 ? "" : "s"}`));
  list.append(make("ul", "lab-inputs", ...items));
  return list;
}
