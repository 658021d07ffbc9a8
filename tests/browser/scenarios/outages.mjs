// Connections that break, servers that die.
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../support/process.mjs";

export default {
  "a cut network is reported and survived, and nothing is lost": async (world) => {
    const { network, alice, carol, cut } = await world.severable("60s");
    cut();
    await alice.reads("#status", /Offline: retrying in \d+ s/);
    await alice.reads("#banner", /cannot be reached/);
    await alice.say("written while offline");
    await alice.reads(".pending", /written while offline[\s\S]*Not sent yet: will be sent once you are online/);
    carol.say("said meanwhile");
    await carol.shows(/said meanwhile/);
    network.restore();
    // The page may be faster than the button.
    await alice.page.dispatchEvent("#banner-button", "click");
    await alice.online();
    alice.outage = false;
    await alice.shows(/\] alice: written while offline$/);
    const lines = await alice.transcript();
    assert.equal(lines.filter((line) => /said meanwhile/.test(line)).length, 1);
    assert.equal(lines.filter((line) => /written while offline/.test(line)).length, 1);
    await carol.shows(/written while offline/);
    assert.deepEqual(carol.lines.slice(-2), lines.slice(-2));
    await alice.counts(".pending", 0);
    assert.equal(carol.lines.filter((line) => /alice (joined|left)/.test(line)).length, 0);
  },

  "a network that the browser calls offline comes back by itself": async (world) => {
    const server = await world.server({ args: ["--grace", "60s"] });
    const network = await world.network(server);
    const context = await world.profile();
    const alice = await world.visitor(network.url, context);
    await alice.join("alice");
    alice.outage = true;
    await context.setOffline(true);
    network.cut();
    await alice.reads("#status", /Offline/);
    network.restore();
    await context.setOffline(false);
    await alice.online();
    await alice.say("back");
    await alice.shows(/\] alice: back$/);
  },

  "a connection that falls silent counts as broken": async (world) => {
    const server = await world.server({ args: ["--grace", "60s", "--heartbeat", "1s"] });
    const network = await world.network(server);
    const alice = await world.visitor(network.url);
    await alice.join("alice");
    network.silence();
    alice.outage = true;
    await alice.reads("#status", /Offline|Reconnecting/);
    network.restore();
    await alice.online();
    await alice.say("heard again");
    await alice.shows(/heard again/);
  },

  "a message without an answer is kept across a reload, and is one message": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    const carol = world.plain("carol", server.url);
    await alice.shows(/carol joined/);
    alice.outage = true;
    // The request arrives, and its answer does not.
    let attempts = 0;
    await alice.page.context().route("**/Publish", async (route) => {
      attempts += 1;
      await route.fetch();
      await route.abort();
    });
    // Whether or not the stream shows it before the reload, it must be one message.
    await alice.say("only once");
    await until("several tries", () => attempts >= 1);
    await alice.page.reload();
    await alice.page.context().unrouteAll({ behavior: "ignoreErrors" });
    await alice.online();
    await alice.shows(/only once/);
    await alice.counts(".pending", 0);
    await alice.say("and now this");
    await carol.shows(/and now this/);
    assert.equal(carol.lines.filter((line) => /only once/.test(line)).length, 1);
  },

  "an unsent message is kept across a reload": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    alice.outage = true;
    await alice.page.context().route("**/Publish", (route) => route.abort());
    await alice.say("stuck");
    await alice.reads(".pending", /stuck[\s\S]*Trying again/);
    await alice.page.reload();
    await alice.online();
    await alice.reads(".pending", /stuck/);
    await alice.page.context().unrouteAll({ behavior: "ignoreErrors" });
    await alice.shows(/\] alice: stuck$/);
  },

  "a server that comes back without its journal starts the conversation anew": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    await alice.say("in the first conversation");
    await alice.shows(/in the first conversation/);
    alice.outage = true;
    await server.kill();
    await alice.reads("#status", /Offline/);
    await alice.say("for the next one");
    await world.server({ port: server.port });
    await alice.reads(".segment:last-child .caption", /The conversation started anew/);
    await alice.reads("#status", /Online, joined anew: the conversation started anew/);
    alice.outage = false;
    await alice.shows(/for the next one/);
    const lines = await alice.transcript();
    assert.match(lines[0], /Participant alice joined Chit Chat/);
    assert.equal(lines.length, 2);
    await alice.reads(".segment.ended", /in the first conversation/);
  },

  "a message that may or may not have arrived is marked so, and can be sent again": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    alice.outage = true;
    await alice.page.context().route("**/Publish", (route) => route.abort());
    await alice.say("perhaps");
    await alice.reads(".pending", /perhaps[\s\S]*Trying again/);
    await server.kill();
    await world.server({ port: server.port });
    await alice.reads(".pending.unconfirmed", /perhaps[\s\S]*Not confirmed: may or may not have been delivered/);
    await alice.page.context().unrouteAll({ behavior: "ignoreErrors" });
    await alice.page.click("text=Send again");
    await alice.shows(/\] alice: perhaps$/);
    await alice.counts(".pending", 0);
  },

  "a page resumes at a server that was killed and comes back with its journal, and nothing is lost or doubled": async (world) => {
    const journal = join(mkdtempSync(join(tmpdir(), "chitchat-journal-")), "chitchat.db");
    const server = await world.server({ journal, args: ["--grace", "60s"] });
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    await alice.say("before the kill");
    await bob.shows(/before the kill/);
    alice.outage = bob.outage = true;
    await server.kill();
    await alice.reads("#status", /Offline/);
    await alice.say("during the outage");
    await world.server({ journal, port: server.port, args: ["--grace", "60s"] });
    await alice.online();
    await bob.online();
    await bob.shows(/alice: during the outage$/);
    await alice.shows(/alice: during the outage$/);
    const lines = await bob.transcript();
    assert.deepEqual((await alice.transcript()).slice(-lines.length), lines);
    assert.equal(lines.length, 3, "bob joined, and two messages");
    await alice.counts(".segment", 1);
  },

  "after a server shuts down and comes back, the page resumes or joins anew, and says why it was offline": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    alice.outage = true;
    await server.kill("SIGTERM");
    await alice.reads("#banner", /shutting down|cannot be reached/);
    await world.server({ port: server.port });
    await alice.online();
  },

  "after its session has ended, the page joins anew, and says so": async (world) => {
    const { network, alice, carol, cut } = await world.severable("200ms");
    cut();
    await carol.shows(/alice left/);
    network.restore();
    await alice.reads(".segment:last-child .caption", /You joined anew[\s\S]*session ended/);
    await carol.shows(/alice joined/);
    await alice.reads(".segment:last-child .row.earlier", /Participant alice left/);
  },
};
