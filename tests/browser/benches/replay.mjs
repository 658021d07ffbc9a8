// How soon a long run opens, and how smoothly its slider moves.
//
//   CHITCHAT_BIN=target/debug/chitchat node benches/replay.mjs [events]
//
// A measurement, not a test: run it on an idle machine. It makes the logs of a run with five participants, the service's
// and one participant's, and drops them onto the page. It prints
//   opened   from the drop to the first event on the page, in milliseconds
//   step     from a move of the slider to the end of the frame that shows it, for moves to any place: median, 95 of 100, longest
//   play     frames a second while it plays 250 events a second
import { World } from "../support/world.mjs";

const PEOPLE = ["alice", "bob", "carol", "dora", "eve"];
const MOVES = 200;

/** The logs of a run with this many events. */
function logs(events) {
  const at = (n) => new Date(Date.UTC(2026, 10, 26) + n * 40).toISOString().replace("Z", "000Z");
  const server = [];
  const client = [];
  for (let n = 1; n <= events; n += 1) {
    const author = (n * 7 + (n >> 3)) % PEOPLE.length;
    const joining = n <= PEOPLE.length;
    const id = joining ? n - 1 : author;
    const who = { epoch: "e1", participant_id: `p${id + 1}`, display_name: PEOPLE[id] };
    const fields = joining
      ? { kind: "joined", content: `Participant ${PEOPLE[id]} joined Chit Chat at logical time ${4 * n}`, sent_logical_time: 1 }
      : {
          kind: "message",
          content: `message ${n}, and a few words more`,
          sent_logical_time: 4 * n - 2,
          seen_sequence: Math.max(1, n - 1 - (n % 3)),
          message_id: `${n}`,
        };
    const event = { ...who, sequence: n, logical_time: 4 * n, ...fields };
    server.push(
      JSON.stringify({
        timestamp: at(n),
        level: "INFO",
        component: "server",
        event: joining ? "join_broadcast" : "message_broadcast",
        ...event,
      }),
    );
    if (n === 1)
      client.push(
        JSON.stringify({
          timestamp: at(n),
          level: "INFO",
          component: "client",
          event: "connected",
          ...who,
          sequence: 1,
          logical_time: 4,
          local_time: 5,
        }),
      );
    client.push(
      JSON.stringify({ timestamp: at(n), level: "INFO", component: "client", event: "event_delivered", ...event, local_time: 4 * n + 1 }),
    );
  }
  return { "server.jsonl": `${server.join("\n")}\n`, "client-alice.jsonl": `${client.join("\n")}\n` };
}

/** Runs in the page: moves the slider once per frame, and returns how long each move took until its frame was done. */
async function moves(count) {
  const slider = document.querySelector(".player-slider");
  const took = [];
  const frame = () =>
    new Promise((resolve) =>
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = resolve;
        port2.postMessage(null);
      }),
    );
  for (let move = 0; move < count; move += 1) {
    const begun = performance.now();
    slider.value = String(1 + ((move * 7_919) % count) * Math.floor(Number(slider.max) / count));
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await frame();
    took.push(performance.now() - begun);
  }
  return took.sort((a, b) => a - b);
}

/** The main thread's processor time so far, in milliseconds: on a busy machine, the figure to compare. */
async function worked(session) {
  const { metrics } = await session.send("Performance.getMetrics");
  return 1_000 * metrics.find(({ name }) => name === "TaskDuration").value;
}

async function bench(world, events) {
  const server = await world.server();
  const { page } = await world.visitor(`${server.url}/#run`);
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const files = logs(events);
  const bytes = Object.values(files).reduce((sum, text) => sum + text.length, 0);
  const only = process.argv[3] === "server" ? ["server.jsonl"] : Object.keys(files);
  const transfer = await page.evaluateHandle(
    (files) => {
      const transfer = new DataTransfer();
      for (const [name, text] of files) transfer.items.add(new File([text], name));
      return transfer;
    },
    only.map((name) => [name, files[name]]),
  );
  await page.evaluate(() => {
    addEventListener("drop", () => (window.dropped = performance.now()), { capture: true });
    new MutationObserver((_, observer) => {
      if (document.querySelector(".replaying .row") === null) return;
      observer.disconnect();
      requestAnimationFrame(() => setTimeout(() => (window.opened = performance.now() - window.dropped)));
    }).observe(document.body, { childList: true, subtree: true });
  });
  const idle = await worked(session);
  await page.dispatchEvent("body", "drop", { dataTransfer: transfer });
  const opened = await (await page.waitForFunction(() => window.opened)).jsonValue();
  const reading = (await worked(session)) - idle;
  const before = await worked(session);
  const took = await page.evaluate(moves, MOVES);
  const moving = ((await worked(session)) - before) / MOVES;
  const of = (share) => took[Math.floor(share * (took.length - 1))].toFixed(0);
  await page.selectOption(".player-speed", "250");
  await page.click('[aria-label="First event"]');
  await page.click('[aria-label="Play"]');
  const frames = await page.evaluate(async () => {
    const begun = performance.now();
    let frames = 0;
    while (performance.now() < begun + 3_000) {
      await new Promise(requestAnimationFrame);
      frames += 1;
    }
    return Math.round(frames / 3);
  });
  const reached = await page.textContent(".player-at");
  console.log(`${events} events, ${only.join(" and ")}, ${(bytes / 1e6).toFixed(0)} MB in both`);
  console.log(`processor time: ${reading.toFixed(0)} ms to open, ${moving.toFixed(1)} ms for a move of the slider`);
  console.log(`opened in ${opened.toFixed(0)} ms; a move of the slider takes ${of(0.5)} ms, ${of(0.95)} at 95 of 100, ${of(1)} at most`);
  console.log(`playing 250 a second: ${frames} frames a second, and after 3 s at: ${reached}`);
}

const world = await World.start();
try {
  await world.scenario((world) => bench(world, Number(process.argv[2] ?? 100_000)));
} finally {
  await world.stop();
}
