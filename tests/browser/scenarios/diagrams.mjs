// What `chitchat diagram` draws, as a browser shows it, and as Mermaid takes it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { crowd } from "../support/plays.mjs";
import { until } from "../support/process.mjs";

const MERMAID = createRequire(import.meta.url).resolve("mermaid/dist/mermaid.min.js");
const EXAMPLE = process.env.CHITCHAT_EXAMPLE ?? "logs/example";

const diagram = (folder, ...options) => {
  const logs = readdirSync(folder)
    .filter((file) => file.endsWith(".jsonl"))
    .map((file) => join(folder, file));
  return execFileSync(process.env.CHITCHAT_BIN, ["diagram", ...logs, ...options], { encoding: "utf8", maxBuffer: 2 ** 28 });
};

/** Runs in the page: what cannot be read in a picture. */
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
  const channels = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
  };
  const luminance = (colour) => channels(colour).reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
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
      if (ratio < 4.5) found.push(`"${part.textContent}" has a contrast of ${ratio.toFixed(2)} only`);
    }
  }
  // Less than a pixel of overlap is not seen.
  const overlap = (a, b) =>
    Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x) > 1 && Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y) > 1;
  texts.forEach((one, index) => {
    for (const other of texts.slice(index + 1)) if (overlap(one.box, other.box)) found.push(`"${one.said}" lies on "${other.said}"`);
  });
  const names = [...document.querySelectorAll(".name")].map((name) => [
    name.textContent,
    name.getBBox(),
    name.parentNode.querySelector("rect").getBBox(),
  ]);
  for (const [name, box, pill] of names) if (box.width > pill.width) found.push(`"${name}" is wider than its place`);
  return { found, texts: texts.length };
}

/** Opens a picture in both colour schemes, and fails on what cannot be read. */
async function isLegible(world, picture) {
  const file = join(mkdtempSync(join(tmpdir(), "chitchat-diagram-")), "diagram.svg");
  writeFileSync(file, picture);
  const papers = new Set();
  for (const colorScheme of ["light", "dark"]) {
    const page = await (await world.profile({ colorScheme })).newPage();
    await page.goto(pathToFileURL(file).href);
    const { found, texts } = await page.evaluate(illegible);
    assert.deepEqual(found, [], colorScheme);
    assert.ok(texts > 50, "there is something to read");
    papers.add(await page.evaluate(() => getComputedStyle(document.querySelector(".paper")).fill));
  }
  assert.equal(papers.size, 2, "light and dark");
}

/** A page that has Mermaid, set up as code hosts do. */
async function mermaid(world) {
  const page = await (await world.profile()).newPage();
  await page.addScriptTag({ path: MERMAID });
  await page.evaluate(() => mermaid.initialize({ startOnLoad: false, securityLevel: "strict", suppressErrorRendering: true }));
  return {
    /** The texts in the picture that Mermaid makes; rejected where it refuses. */
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
