// The page and gRPC clients behind reverse proxies, with the configurations that the README shows.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../support/process.mjs";
import { BALANCERS, PROXIES, configuration } from "../support/proxies.mjs";

const GRACE = ["--grace", "60s"];

/** Waits until both show the same lines from carol's join on, and returns these. */
async function same(alice, carol) {
  const common = (lines) => lines.slice(lines.findIndex((line) => /Participant carol joined/.test(line)));
  return until("the page and the client show the same", async () => {
    const [a, c] = [common(await alice.transcript()), common(carol.lines)];
    return a.join("\n") === c.join("\n") && a;
  });
}

/** A page and a gRPC client, both through the proxy, join, chat, and resume when the proxy and when the service is killed. */
async function session(world, name, path = "/") {
  const journal = join(mkdtempSync(join(tmpdir(), "chitchat-journal-")), "chitchat.db");
  const server = await world.server({ journal, args: GRACE });
  const proxy = await world.proxy(server, name);
  const alice = await world.visitor(`${proxy.url}${path}`);
  await alice.join("alice");
  const carol = world.plain("carol", proxy.grpcUrl);
  await alice.shows(/Participant carol joined/);
  await carol.shows(/Participant carol joined/);
  carol.say("hello by gRPC");
  await alice.shows(/\] carol: hello by gRPC$/);
  await alice.say("hello from the page");
  await carol.shows(/\] alice: hello from the page$/);

  alice.outage = true;
  await proxy.stop();
  await alice.reads("#status", /Offline/);
  await alice.say("while the proxy was away");
  await proxy.start();
  await alice.online();
  await carol.shows(/\] alice: while the proxy was away$/);

  await server.kill();
  await alice.reads("#status", /Offline/);
  await alice.say("while the service was away");
  await world.server({ journal, port: server.port, args: GRACE });
  await alice.online();
  await carol.shows(/\] alice: while the service was away$/);
  carol.say("still here");
  await alice.shows(/\] carol: still here$/);
  alice.outage = false;

  await alice.page.reload();
  await alice.online();
  const lines = await same(alice, carol);
  assert.equal(lines.length, 6, "carol joined, and five messages");
  const { records } = await alice.log();
  const count = (event) => records.filter((record) => record.event === event).length;
  assert.equal(count("connected"), 1, "one session, which lasts");
  assert.ok(count("resumed") >= 3, "after the proxy, the service and the reload");
  await alice.page.click("#leave");
  await carol.shows(/Participant alice left/);
}

/** Behind one origin with three replicas, a page and a gRPC client stay whichever replica is killed, and miss nothing. */
async function replicas(world, name) {
  const nats = await world.nats();
  const start = ({ replica, ...more }) => {
    const args = [...GRACE, "--replicate", nats.urls, "--replica-name", replica];
    const [logs, folder] = ["logs", "journal"].map((what) => mkdtempSync(join(tmpdir(), `chitchat-${what}-`)));
    const options = { logs, journal: join(folder, "chitchat.db"), args, ...more };
    return { options, start: () => world.server(options) };
  };
  const all = ["a", "b", "c"].map((replica) => start({ replica }));
  for (const one of all) one.server = await one.start();
  const proxy = await world.proxy(
    all.map(({ server }) => server),
    name,
  );
  const alice = await world.visitor(`${proxy.url}/`);
  await alice.join("alice");
  const carol = world.plain("carol", proxy.grpcUrl);
  await alice.shows(/Participant carol joined/);
  await carol.shows(/Participant carol joined/);
  alice.outage = true;
  // Each of them in turn, so also the one that serves the page.
  for (const [n, one] of all.entries()) {
    await one.server.kill();
    await alice.say(`from the page after ${n}`);
    await carol.shows(new RegExp(`\\] alice: from the page after ${n}$`));
    carol.say(`by gRPC after ${n}`);
    await alice.shows(new RegExp(`\\] carol: by gRPC after ${n}$`));
    one.options.port = one.server.port;
    // A process that is killed and restarted writes to the same log.
    one.server = await one.start();
  }
  alice.outage = false;
  const lines = await same(alice, carol);
  assert.equal(lines.length, 7, "carol joined, and six messages");
  const { records } = await alice.log();
  const count = (event) => records.filter((record) => record.event === event).length;
  assert.equal(count("connected"), 1, "one session, which lasts");
  assert.ok(count("resumed") >= 1, "at another replica");
  await alice.page.click("#leave");
  await carol.shows(/Participant alice left/);
}

export default {
  "a session through nginx, with nothing but proxy_pass and grpc_pass": (world) => session(world, "nginx"),

  "a session through nginx, under a path": (world) => session(world, "nginx", "/chat/"),

  "a session through HAProxy": (world) => session(world, "haproxy"),

  "a session through Caddy": (world) => session(world, "caddy"),

  "a page moves between replicas behind nginx": (world) => replicas(world, "nginx"),

  "a page moves between replicas behind HAProxy": (world) => replicas(world, "haproxy"),

  "the README and the text on replicas show the configurations that these scenarios run": async () => {
    for (const [document, kinds] of [
      ["README.md", PROXIES],
      ["docs/replicas.md", BALANCERS],
    ]) {
      const text = readFileSync(document, "utf8");
      for (const kind of Object.values(kinds)) assert.ok(text.includes(configuration(kind).trim()), `${document} shows ${kind.file}`);
    }
  },
};
