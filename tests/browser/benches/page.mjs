// How busy an open page is while several people publish, and how soon it answers a key.
//
//   CHITCHAT_BIN=target/release/chitchat node benches/page.mjs [--participants N] [events a second ...]
//
// A measurement, not a test: run it on an idle machine. With --participants N, N more take part (`chitchat load`), which
// needs a release build of the program. For each rate, with the diagram closed and open, it prints
//   ms each  the main thread's total time for an event: on a busy machine, the figure to compare
//   busy     the share of a processor that the main thread takes for its tasks, by the browser's own count
//   script, layout, style     the shares that go into each
//   key p95  from a key press to the frame that shows its letter, in milliseconds
//   longest  the longest task, in milliseconds, and the longest by processor time: on a busy machine, the figure to compare
import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { UNLIMITED, until } from "../support/process.mjs";
import { World } from "../support/world.mjs";

const PUBLISHERS = 5;
/** The page holds at most 1,500 events: it is measured when it is full. */
const FULL = 1_500;
const MEASURED_MS = 10_000;
const KEY_EVERY_MS = 150;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Lets the publishers publish `rate` events a second in total, until the returned function is called. */
function publishing(publishers, rate) {
  const begun = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    for (const due = ((performance.now() - begun) / 1000) * rate; sent < due; sent += 1) {
      publishers[sent % publishers.length].say(`message ${sent} of ${rate} a second, see https://example.org/${sent}`);
    }
  }, 5);
  return () => {
    clearInterval(timer);
    return sent;
  };
}

/** Runs in the page: notes the time from each key press to its frame, and the long tasks. */
function watch() {
  window.bench = { keys: [], tasks: [] };
  addEventListener(
    "keydown",
    ({ timeStamp }) => {
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => window.bench.keys.push(performance.now() - timeStamp);
        port2.postMessage(null);
      });
    },
    { capture: true },
  );
  new PerformanceObserver((list) => window.bench.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({
    type: "longtask",
  });
}

/** The sequence of the newest message that is shown. */
function newest(page) {
  return page.evaluate(() =>
    Number(document.querySelector(".segment:last-child .log .group:last-child > :last-child")?.dataset.sequence ?? 0),
  );
}

async function metrics(session) {
  const { metrics } = await session.send("Performance.getMetrics");
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
}

/** Watches all tasks of the page’s main thread. The returned function gives the longest one’s processor time, in milliseconds. */
async function tasks(page) {
  const session = await page.context().browser().newBrowserCDPSession();
  const events = [];
  session.on("Tracing.dataCollected", ({ value }) => events.push(...value));
  await session.send("Tracing.start", {
    traceConfig: { includedCategories: ["toplevel", "disabled-by-default-devtools.timeline", "__metadata"], excludedCategories: ["*"] },
  });
  return async () => {
    const complete = new Promise((resolve) => session.once("Tracing.tracingComplete", resolve));
    await session.send("Tracing.end");
    await complete;
    await session.detach();
    const main = new Set(
      events.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(({ pid, tid }) => `${pid} ${tid}`),
    );
    const took = events.filter(({ name, pid, tid }) => /RunTask$/.test(name) && main.has(`${pid} ${tid}`)).map(({ tdur }) => tdur ?? 0);
    return Math.round(took.reduce((most, one) => Math.max(most, one), 0) / 1000);
  };
}

async function measured(page, session) {
  const longest = await tasks(page);
  await page.evaluate(() => Object.assign(window.bench, { keys: [], tasks: [] }));
  const [before, first] = [await metrics(session), await newest(page)];
  const begun = performance.now();
  while (performance.now() < begun + MEASURED_MS) {
    await page.keyboard.press("x");
    await pause(KEY_EVERY_MS);
  }
  const [after, last] = [await metrics(session), await newest(page)];
  await page.fill("#text", "");
  const share = (name) => `${((100_000 * (after[name] - before[name])) / (performance.now() - begun)).toFixed(1)} %`;
  const { keys, tasks: long } = await page.evaluate(() => window.bench);
  keys.sort((a, b) => a - b);
  return {
    events: last - first,
    "ms each": ((1000 * (after.TaskDuration - before.TaskDuration)) / (last - first)).toFixed(2),
    busy: share("TaskDuration"),
    script: share("ScriptDuration"),
    layout: share("LayoutDuration"),
    style: share("RecalcStyleDuration"),
    "key p50": Math.round(keys[Math.floor(keys.length * 0.5)]),
    "key p95": Math.round(keys[Math.floor(keys.length * 0.95)]),
    longest: Math.round(Math.max(0, ...long)),
    "longest, processor": await longest(),
  };
}

/** Lets more participants join. They say next to nothing: the page only has to list them. */
async function crowd(url, participants, page) {
  const seconds = "600s";
  const args = ["load", "--server", url, "--participants", `${participants}`, "--messages", "2", "--interval", seconds];
  const load = spawn(process.env.CHITCHAT_BIN, args, { stdio: "ignore" });
  await until("the crowd is there", async () => Number(await page.textContent("#here-count")) > participants, 240_000);
  return () => load.kill("SIGKILL");
}

async function bench(world, rates, participants) {
  const server = await world.server({ args: [...UNLIMITED, "--log-level", "info"] });
  const reader = await world.visitor(server.url);
  await reader.join("reader");
  const publishers = Array.from({ length: PUBLISHERS }, (_, index) => world.plain(`publisher-${index + 1}`, server.url));
  await Promise.all(publishers.map((one) => one.shows(/joined/)));
  const { page } = reader;
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  await page.evaluate(watch);
  const dismiss = participants > 0 ? await crowd(server.url, participants, page) : () => {};

  const fill = publishing(publishers, 400);
  await until("the page is full", async () => (await newest(page)) > FULL, 60_000);
  fill();
  const longest = await page.evaluate(() => Math.round(Math.max(0, ...window.bench.tasks)));
  console.log(`a burst of ${FULL} events at 400 a second: the longest task took ${longest} ms`);

  const table = {};
  for (const diagram of ["closed", "open"]) {
    if (diagram === "open") await page.click("#toggle-picture");
    await page.focus("#text");
    for (const rate of rates) {
      const stop = publishing(publishers, rate);
      await pause(1_000);
      table[`${rate} a second, diagram ${diagram}`] = await measured(page, session);
      stop();
    }
  }
  console.table(table);
  dismiss();
}

const { values, positionals } = parseArgs({ options: { participants: { type: "string", default: "0" } }, allowPositionals: true });
const rates = positionals.map(Number);
const world = await World.start();
try {
  await world.scenario((world) => bench(world, rates.length > 0 ? rates : [20, 100], Number(values.participants)));
} finally {
  await world.stop();
}
