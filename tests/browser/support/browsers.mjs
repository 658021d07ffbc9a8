// The browsers in which the page is tested: Debian's own, not patched for tests.
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, firefox } from "playwright-core";
import { until } from "./process.mjs";

/** A name of this machine that the browser does not trust as it trusts loopback: its pages are not secure contexts. */
export const PLAIN_HOST = "chitchat.test";

/** Each entry starts a browser. It returns Playwright's `browser`, and `download`, which returns the file that a press saves. */
const BROWSERS = {
  async chromium() {
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        `--host-resolver-rules=MAP ${PLAIN_HOST} 127.0.0.1`,
      ],
    });
    const download = async (page, press) => {
      const [file] = await Promise.all([page.waitForEvent("download"), press()]);
      return { name: file.suggestedFilename(), text: readFileSync(await file.path(), "utf8") };
    };
    return { browser, download };
  },

  /** Over WebDriver BiDi, the only automation protocol that a stock Firefox speaks. */
  async firefox() {
    const folder = mkdtempSync(join(tmpdir(), "chitchat-downloads-"));
    const browser = await firefox.launch({
      channel: "moz-firefox",
      executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
      downloadsPath: folder,
      firefoxUserPrefs: { "network.dns.localDomains": PLAIN_HOST },
    });
    browser.on("disconnected", () => rmSync(folder, { recursive: true, force: true }));
    // Playwright misses the downloads of this Firefox, whose events do not name them. So we watch the folder, one download
    // at a time. Firefox writes to files with other names, reserves the right name with an empty file, and renames at the
    // end; a file can be gone between two looks at it.
    const saved = () => {
      const name = readdirSync(folder).find((name) => /^browser-.*\.jsonl$/.test(name));
      return name !== undefined && (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0) > 0 && name;
    };
    let last = Promise.resolve();
    const download = (_page, press) => {
      const next = last.then(async () => {
        await press();
        const name = await until("Firefox saves the download", saved);
        const text = readFileSync(join(folder, name), "utf8");
        rmSync(join(folder, name));
        return { name, text };
      });
      last = next.catch(() => existsSync(folder) && readdirSync(folder).forEach((name) => rmSync(join(folder, name))));
      return next;
    };
    return { browser, download };
  },
};

export const NAMES = Object.keys(BROWSERS);

/** Starts a browser by its name. */
export function launch(name) {
  if (!NAMES.includes(name)) throw new Error(`there is no browser ${name}, only ${NAMES.join(" and ")}`);
  return BROWSERS[name]();
}
