// What `chitchat diagram` draws, as a browser shows it and as Mermaid renders it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { crowd } from "../../support/plays.mjs";
import { until } from "../../support/process.mjs";

const MERMAID = createRequire(import.meta.url).resolve("mermaid/dist/mermaid.min.js");
const EXAMPLE = process.env.CHITCHAT_EXAMPLE ?? "logs/example";

const diagram = (folder, ...options) => {
  const logs = readdirSync(folder)
    .filter((file) => file.endsWith(".jsonl"))
    .map((file) => join(folder, file));
  return execFileSync(process.env.CHITCHAT_BIN, ["diagram", ...logs, ...options], { encoding: "utf8", maxBuffer: 2 ** 28 });
};

/** Runs in the page: finds what cannot be read in a picture. */
function illegible() {
  const found = [];
  const { width, height } = document.documentElement.viewBox.baseVal;
  // The letters' own height, from ascenders to descenders. A text's box has the line's, in which fonts differ by a third.
  const boxOf = (text) => {
    const { x, width } = text.getBBox();
    const size = parseFloat(getComputedStyle(text).fontSize);
    return { x, width, y: text.getStartPositionOfChar(0).y - 0.8 * size, height: 1.05 * size };
  };
  const texts = [...document.querySelectorAll("text")].map((text) => ({ text, said: text.textContent, box: boxOf(text) }));
  const canvas = document.createElementNS("http://www.w3.org/1999/xhtml", "canvas").getContext("2d", { willReadFrequently: true });
  const channels = (color) => {
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
  };
  const luminance = (color) => channels(color).reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const paper = getComputedStyle(document.querySelector(".paper")).fill;
  for (const { text, said, box } of texts) {
    if (box.x < 0 || box.y < 0 || box.x + box.width > width || box.y + box.height > height) found.push(`"${said}" is cut off`);
    const under = text.classList.contains("inbox") ? getComputedStyle(text).color : paper;
    for (const part of [text, ...text.querySelectorAll("tspan")]) {
      const ratio = contrast(getComputedStyle(part).fill, under);
      if (ratio < 4.5) found.push(`"${part.textContent}" has a contrast of only ${ratio.toFixed(2)}`);
    }
  }
  // Less than a pixel of overlap is not seen.
  const overlap = (a, b) =>
    Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x) > 1 && Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y) > 1;
  texts.forEach((one, index) => {
    for (const other of texts.slice(index + 1)) if (overlap(one.box, other.box)) found.push(`"${one.said}" overlaps "${other.said}"`);
  });
  const names = [...document.querySelectorAll(".name")].map((name) => [
    name.textContent,
    name.getBBox(),
    name.parentNode.querySelector("rect").getBBox(),
  ]);
  for (const [name, box, pill] of names) if (box.width > pill.width) found.push(`"${name}" is wider than its place`);
  return { found, texts: texts.length };
}

/** A font with narrow letters, one with wide ones, and one with letters of equal width. `tests/tools system` installs them. */
const FONTS = ["Liberation Sans", "DejaVu Sans", "DejaVu Sans Mono"];

/** Runs in the page: whether a font is installed. If it is not, the width of a text depends on the fallback. */
function isInstalled(font) {
  const canvas = document.createElementNS("http://www.w3.org/1999/xhtml", "canvas").getContext("2d");
  const width = (fallback) => {
    canvas.font = `20px "${font}", ${fallback}`;
    return canvas.measureText("mmmiiiWWW").width;
  };
  return width("serif") === width("monospace");
}

/** Opens a picture in both color schemes and in several fonts, and fails on what cannot be read. */
async function isLegible(world, picture, textsMin = 50) {
  const folder = mkdtempSync(join(tmpdir(), "chitchat-diagram-"));
  const papers = new Set();
  for (const [font, colorScheme] of FONTS.map((font, index) => [font, index === 0 ? "dark" : "light"])) {
    const file = join(folder, `${font}.svg`);
    writeFileSync(file, picture.replace(/font-family:[^}]*/, `font-family:'${font}'`));
    const page = await (await world.profile({ colorScheme })).newPage();
    await page.goto(pathToFileURL(file).href);
    assert.ok(await page.evaluate(isInstalled, font), `${font} is installed`);
    const { found, texts } = await page.evaluate(illegible);
    assert.deepEqual(found, [], `${font}, ${colorScheme}, ${file}`);
    assert.ok(texts >= textsMin, "there is something to read");
    papers.add(await page.evaluate(() => getComputedStyle(document.querySelector(".paper")).fill));
  }
  assert.equal(papers.size, 2, "light and dark");
}

/** The events of a log for ShiViz and TSViz, read as both do: by the expression in its first line, into plain objects. */
function readForTools(log) {
  const [expression, delimiter] = log.split("\n", 2);
  assert.equal(delimiter, "", "one execution");
  const events = {};
  const lines = log.trimEnd().split("\n").slice(2);
  const matches = [...lines.join("\n").matchAll(new RegExp(`^${expression}$`, "gm"))];
  assert.equal(matches.length, lines.length, "every line is an event");
  for (const { groups } of matches) {
    // Both ask a plain object whether they know the process already.
    if (events[groups.host] === undefined) events[groups.host] = [];
    events[groups.host].push({ clock: JSON.parse(groups.clock), timestamp: groups.timestamp, event: groups.event });
  }
  return events;
}

/** A page that has Mermaid, set up as code hosts do. */
async function mermaid(world) {
  const page = await (await world.profile()).newPage();
  await page.addScriptTag({ path: MERMAID });
  await page.evaluate(() => mermaid.initialize({ startOnLoad: false, securityLevel: "strict", suppressErrorRendering: true }));
  return {
    /** The texts in the picture that Mermaid makes; rejected if it refuses. */
    render: (text) =>
      page.evaluate(async (text) => {
        await mermaid.parse(text);
        document.body.innerHTML = (await mermaid.render("picture", text)).svg;
        return [...document.querySelectorAll("#picture text")].map((text) => text.textContent);
      }, text),
  };
}

const folder = () => mkdtempSync(join(tmpdir(), "chitchat-run-"));

export default {
  "the diagram of the example is legible, in light and dark": (world) => isLegible(world, diagram(EXAMPLE)),

  "diagrams of three, six and twelve participants are legible, and Mermaid renders them": async (world) => {
    const runs = [
      [3, 4],
      [6, 4],
      [12, 5],
    ].map(([people, rounds]) => ({ people, rounds, run: folder() }));
    await Promise.all(runs.map(({ people, rounds, run }) => crowd(world, run, people, rounds)));
    for (const { people, rounds, run } of runs) {
      execFileSync(process.env.CHITCHAT_BIN, ["verify", ...readdirSync(run).map((file) => join(run, file))]);
      await isLegible(world, diagram(run));
      const texts = await (await mermaid(world)).render(diagram(run, "--format", "mermaid"));
      assert.equal(texts.filter((text) => text === "lena").length, people === 12 ? 2 : 0, "above and below");
      assert.equal(texts.filter((text) => /^⇄ \[\d+\] and \[\d+\] crossed$/.test(text)).length, rounds);
    }
  },

  "wide letters stay in their places, in every font": async (world) => {
    const said = ["W", "﷽", "𒐫", "語", "i", "👩‍👩‍👧", "e\u0301\u0302\u0303", "ௌ", "⸻", "क्ष्म्य"].map((letter) =>
      [...letter.repeat(128)].slice(0, 128).join(""),
    );
    const run = folder();
    const server = await world.server({ logs: run });
    const names = ["W".repeat(24), "日本語の名前をここに書く"];
    const people = names.map((name) => world.plain(name, server.url, { logs: run }));
    for (const person of people) await person.shows(/joined/);
    for (const [index, text] of said.entries()) {
      people[index % 2].say(text);
      await until(`message ${index} is shown`, () => people.every(({ lines }) => lines.some((line) => line.includes(text))));
    }
    for (const person of people) {
      person.say("/quit");
      await person.exited;
    }
    await isLegible(world, diagram(run), 40);
  },

  "ShiViz and TSViz can read the log, whatever people are called": async (world) => {
    const run = folder();
    const server = await world.server({ logs: run });
    for (const name of ["constructor", "__proto__", "hasOwnProperty", "{a} b"]) {
      const person = world.plain(name, server.url, { logs: run });
      await person.shows(/joined/);
      person.say("/quit");
      await person.exited;
    }
    const events = readForTools(diagram(run, "--format", "shiviz"));
    assert.deepEqual(Object.keys(events).sort(), ["@__proto__", "@constructor", "@hasOwnProperty", "_a__b", "service"]);
    for (const events of [readForTools(diagram(run, "--format", "shiviz")), readForTools(diagram(EXAMPLE, "--format", "shiviz"))]) {
      for (const [host, own] of Object.entries(events)) {
        own.forEach(({ clock, timestamp, event }, index) => {
          assert.equal(clock[host], index + 1, `${host}: ${event}`);
          for (const [other, time] of Object.entries(clock)) assert.ok(time <= events[other].length, `${host} knows ${other}`);
          assert.match(timestamp, /^\d{19}$/, "texts of one length are compared as numbers are");
        });
      }
    }
  },

  "Mermaid renders the example, and refuses a text that is broken": async (world) => {
    const text = diagram(EXAMPLE, "--format", "mermaid");
    const { render } = await mermaid(world);
    const texts = await render(text);
    for (const part of ["service", "alice", "join", "leave"])
      assert.ok(texts.includes(part) || texts.some((text) => text.endsWith(` ${part}`)), part);
    for (const broken of [
      text.replace("sequenceDiagram", "sequence"),
      text.replace("->>P0:", "->>"),
      text.replaceAll("Note over", "Note above"),
    ]) {
      await assert.rejects(render(broken), /Parse error|No diagram type detected|UnknownDiagramError/);
    }
  },

  "whatever people write is text to Mermaid and to the picture": async (world) => {
    const said = [
      "end",
      "; end # %% ::",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is text, and has to stay text.
      '<b>bold</b> & "quoted" `code` ${x}',
      "A->>B: no arrow",
      "{{braces}} [brackets] (round) | pipe",
      "𝒜 æøå 😀 日本語 #35; #amp;",
      "%%{init: {}}%%",
      "\\n -- *",
    ];
    const run = folder();
    const server = await world.server({ logs: run });
    const eve = world.plain("end; <eve> #1", server.url, { logs: run });
    await eve.shows(/joined/);
    for (const [index, text] of said.entries()) {
      eve.say(text);
      await until(`message ${index} is shown`, () => eve.lines.length === index + 2);
    }
    eve.say("/quit");
    await eve.exited;
    await isLegible(world, diagram(run));
    const texts = (await (await mermaid(world)).render(diagram(run, "--format", "mermaid"))).map((text) => text.replaceAll("\u00a0", " "));
    assert.ok(texts.includes("end; <eve> #1"), "the name");
    for (const text of said)
      assert.ok(
        texts.some((shown) => shown.endsWith(` ${text}`)),
        `${text} in\n${texts.join("\n")}`,
      );
  },
};
