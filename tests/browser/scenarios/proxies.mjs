// The page and gRPC clients behind reverse proxies, with the configurations that the README shows.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../support/process.mjs";
import { PROXIES, configuration } from "../support/proxies.mjs";

const GRACE = ["--grace", "60s"];

/** Waits until both show the same from carol's join on, and returns that. */
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

export default {
  "a session through nginx, with nothing but proxy_pass and grpc_pass": (world) => session(world, "nginx"),

  "a session through nginx, under a path": (world) => session(world, "nginx", "/chat/"),

  "a session through HAProxy": (world) => session(world, "haproxy"),

  "a session through Caddy": (world) => session(world, "caddy"),

  "the README shows the configurations that these scenarios run": async () => {
    const readme = readFileSync("README.md", "utf8");
    for (const name of Object.keys(PROXIES)) assert.ok(readme.includes(configuration(name).trim()), `README.md shows the one for ${name}`);
  },
};
