// One page in the browser, and what its user can do and see.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { until } from "./process.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** The browser's own messages about failed connections, direct or behind a proxy: expected while a test breaks connections. */
const OUTAGE = /^Failed to load resource: (net::ERR_|the server responded with a status of 50[234] )/;

/** Chromium's remark that a header has no effect over plain HTTP: the service sends it, since a proxy may add TLS. */
const NO_OPENER_POLICY = /^The Cross-Origin-Opener-Policy header has been ignored, because the URL's origin was untrustworthy/;

/** A user at a page. */
export class Visitor {
  constructor(page, download) {
    this.page = page;
    this.download = download;
    this.errors = [];
    this.outage = false;
    page.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      if (NO_OPENER_POLICY.test(message.text()) || (this.outage && OUTAGE.test(message.text()))) return;
      this.errors.push(`${message.type()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.errors.push(error.stack));
  }

  async open(url) {
    await this.page.goto(url);
    await this.page.waitForSelector("#lobby:not([hidden]), #room:not([hidden])");
    return this;
  }

  /** Fills in the form and submits it, by keyboard. */
  async ask(name) {
    await this.page.fill("#name", name);
    await this.page.press("#name", "Enter");
  }

  async join(name) {
    await this.ask(name);
    await this.online();
  }

  online() {
    return this.page.waitForSelector('#room:not([hidden]) #status[data-tone="good"]');
  }

  /** Writes a message and presses Enter. */
  async say(text) {
    await this.page.fill("#text", text);
    await this.page.press("#text", "Enter");
  }

  /** Waits until an element has a text. */
  reads(selector, pattern) {
    return until(`${selector} reads ${pattern}`, async () => {
      const texts = await this.page.locator(selector).allInnerTexts();
      return texts.find((text) => pattern.test(text));
    });
  }

  /** Waits until the page has this many of something: it draws a change in its next frame, not at the click. */
  counts(selector, wanted) {
    return until(`the page has ${wanted} of ${selector}`, async () => (await this.page.locator(selector).count()) === wanted);
  }

  /** The present conversation as a plain client would print it, without the events before the page's own join. */
  transcript() {
    return this.page.evaluate(() =>
      [...document.querySelectorAll(".segment:last-child .row:not(.earlier)")].map((row) => {
        const text = row.querySelector(".text").textContent;
        const name = row.dataset.kind === "message" ? `${row.querySelector(".name").textContent}: ` : "";
        return `[${row.dataset.time}] ${name}${text}`;
      }),
    );
  }

  shows(pattern) {
    return until(`the page shows ${pattern}`, async () => (await this.transcript()).find((line) => pattern.test(line)));
  }

  people() {
    return this.page.locator("#people .name").allInnerTexts();
  }

  /** What axe-core finds wrong, in both color schemes and at three widths. Only Chromium lets it into the page. */
  async violations() {
    const found = [];
    if (this.page.context().browser()?.browserType().name() !== "chromium") return found;
    const session = await this.page.context().newCDPSession(this.page);
    for (const colorScheme of ["light", "dark"]) {
      await this.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      for (const width of [320, 800, 1440]) {
        await this.page.setViewportSize({ width, height: 800 });
        // Through the debugger: the page's own security policy forbids injected scripts.
        await session.send("Runtime.evaluate", { expression: `${AXE};0` });
        const { violations } = await this.page.evaluate(() => window.axe.run());
        const wide = await this.page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
        if (wide) found.push(`${colorScheme} ${width}: scrolls sideways`);
        for (const { id, nodes } of violations) {
          found.push(`${colorScheme} ${width}: ${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`);
        }
      }
    }
    await session.detach();
    return found;
  }

  /** The records of the page's log, as the download gives them. */
  log() {
    return this.#download(() => this.page.locator("[data-command=download]:visible").click());
  }

  /** The same, even if the button is hidden. */
  logAnyhow() {
    return this.#download(() => this.page.evaluate(() => document.querySelector("[data-command=download]").click()));
  }

  async #download(press) {
    const { name, text } = await this.download(this.page, press);
    return {
      name,
      text,
      records: text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    };
  }
}
