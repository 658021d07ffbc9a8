// Every refusal is shown in plain words where it happened.
import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../support/process.mjs";

export default {
  "a name that is taken or not allowed is refused beside the field": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    const other = await world.visitor(server.url);
    await other.ask("ALICE");
    await other.reads("#name-problem", /already has this name/);
    assert.equal(await other.page.getAttribute("#name", "aria-invalid"), "true");
    await other.ask("a\u202eb");
    await other.reads("#name-problem", /U\+202E is not allowed in a name/);
    // Only the service knows which characters are not assigned.
    await other.ask("a\u0378b");
    await other.reads("#name-problem", /cannot be used: the character U\+0378 is not allowed/);
    await other.ask("   ");
    await other.reads("#name-problem", /enter a name/);
    await other.ask("å".repeat(33));
    await other.reads("#name-problem", /at most 32 characters: 1 too many/);
    await other.join("å".repeat(32));
  },

  "a full conversation says whether all places are taken, or all for one address": async (world) => {
    for (const [option, words] of [
      ["--participants-max", /^The conversation is full: at most 1 can take part at a time\./],
      ["--participants-per-address-max", /^All places for your address are taken: at most 1 at a time\./],
    ]) {
      const server = await world.server({ args: [option, "1"] });
      const alice = await world.visitor(server.url);
      await alice.join("alice");
      const bob = await world.visitor(server.url);
      await bob.ask("bob");
      await bob.reads("#join-problem", words);
    }
  },

  "the composer counts as the service does": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    await alice.page.fill("#text", "æøå");
    await alice.reads("#remaining", /^125 left$/);
    await alice.say("😀".repeat(129));
    await alice.reads("#remaining", /^1 too many$/);
    await alice.reads("#send-problem", /^A message has at most 128 characters\.$/);
    await alice.say("");
    await alice.reads("#send-problem", /Write something first/);
    await alice.say("😀".repeat(128));
    await alice.shows(/(😀){128}$/u);
    assert.equal(await alice.page.evaluate(() => document.activeElement.id), "text", "the focus stays");
  },

  "a rate limit is obeyed, shown, and costs no message": async (world) => {
    const server = await world.server({ args: ["--publish-rate", "1", "--publish-burst", "1"] });
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    // However slowly they are typed, they arrive together.
    await server.hold();
    for (let n = 1; n <= 5; n += 1) await alice.say(`hurry ${n}`);
    server.go();
    await alice.reads(".pending", /Too many requests at once\. Trying again/);
    await alice.shows(/hurry 5$/);
    const said = (await alice.transcript()).filter((line) => /hurry/.test(line)).map((line) => line.at(-1));
    assert.deepEqual(said, ["1", "2", "3", "4", "5"]);
  },

  "a conversation that asks for a secret says so, and takes the right one": async (world) => {
    const file = join(mkdtempSync(join(tmpdir(), "chitchat-secret-")), "secret");
    writeFileSync(file, "open-sesame-of-16\n");
    const server = await world.server({ args: ["--secret-file", file] });
    const alice = await world.visitor(server.url);
    assert.equal(await alice.page.isVisible("#secret"), false);
    await alice.ask("alice");
    await alice.reads("#secret-problem", /requires an access secret/);
    await alice.page.fill("#secret", "blåbær");
    await alice.page.press("#secret", "Enter");
    await alice.reads("#secret-problem", /consists of ASCII letters/);
    await alice.page.fill("#secret", "wrong");
    await alice.page.press("#secret", "Enter");
    await alice.reads("#secret-problem", /secret is wrong/);
    await until("the form is ready again", () => alice.page.isEnabled("#join"));
    await alice.page.fill("#secret", "open-sesame-of-16");
    await alice.page.press("#secret", "Enter");
    await alice.online();
    await alice.say("inside");
    await alice.shows(/inside/);
    await alice.page.reload();
    await alice.online();
    const stored = await alice.page.evaluate(() => [JSON.stringify(localStorage), document.cookie]);
    assert.deepEqual(stored, ["{}", ""], "kept for the session only");
  },

  "a refused message is kept, to be edited or discarded": async (world) => {
    const server = await world.server();
    const context = await world.profile();
    // A page that counts wrongly: the service has the last word.
    await context.addInitScript(() => {
      const { fetch } = window;
      const text = new TextEncoder().encode("too long");
      window.fetch = async (request, options) => {
        const body = new Uint8Array(options?.body ?? 0);
        const at = body.findIndex((_, start) => text.every((byte, index) => body[start + index] === byte));
        if (at < 0) return fetch(request, options);
        // The field's key and length, then its text.
        const longer = [0x12, 0x81, 0x01, ...new Array(129).fill(0x78)];
        const message = [...body.slice(5, at - 2), ...longer, ...body.slice(at + text.length)];
        const frame = new Uint8Array(5 + message.length);
        new DataView(frame.buffer).setUint32(1, message.length);
        frame.set(message, 5);
        return fetch(request, { ...options, body: frame });
      };
    });
    const alice = await world.visitor(server.url, context);
    await alice.join("alice");
    await alice.say("too long");
    await alice.reads(".pending.refused", /too long[\s\S]*Refused\. This message is too long/);
    await alice.say("fine");
    await alice.shows(/fine/);
    await alice.page.click(".pending.refused >> text=Edit");
    assert.equal(await alice.page.inputValue("#text"), "too long");
    await alice.counts(".pending", 0);
  },

  "text from others never acts on the page": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    await bob.say('<img src=x onerror="document.title=1"><script>1</script>');
    await alice.shows(/bob: <img src=x onerror=/);
    await alice.counts("#transcript img, #transcript script", 0);
    await bob.say("a\u202ecba\u0007\u001b[31m");
    await alice.shows(/bob: a\\u\{202e\}cba\\u\{7\}\\u\{1b\}\[31m$/);
  },
};
