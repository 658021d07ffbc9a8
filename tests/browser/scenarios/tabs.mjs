// Several tabs of one browser.
import assert from "node:assert/strict";
import { UNLIMITED, until } from "../support/process.mjs";
import { PLAIN_HOST } from "../support/world.mjs";

export default {
  "seven tabs do not freeze anything": async (world) => {
    const server = await world.server();
    const context = await world.profile();
    const tabs = [];
    for (let n = 1; n <= 7; n += 1) {
      const tab = await world.visitor(server.url, context);
      await tab.ask(`tab ${n}`);
      if (n <= 4) await tab.online();
      else await tab.reads("#farewell", /Close Chit Chat or leave it in another tab/);
      tabs.push(tab);
    }
    await tabs[0].say("can you all hear me?");
    for (const tab of tabs.slice(0, 4)) await tab.shows(/can you all hear me/);
    await tabs[3].page.reload();
    await tabs[3].online();
    await tabs[3].say("still here");
    await tabs[0].shows(/still here/);
    await tabs[1].page.click("#leave");
    await tabs[1].page.waitForSelector("#lobby:not([hidden])");
    const joined = await until("a waiting tab joins", async () => {
      for (const tab of tabs.slice(4)) if (await tab.page.isVisible("#room")) return tab;
      return null;
    });
    await joined.online();
    await joined.say("my turn");
    await tabs[0].shows(/my turn/);
  },

  "the copy of a tab starts afresh, and the original continues": async (world) => {
    const server = await world.server();
    const context = await world.profile();
    const alice = await world.visitor(server.url, context);
    await alice.join("alice");
    // A window that a page opens gets a copy of its sessionStorage, as a duplicated tab does.
    const [page] = await Promise.all([context.waitForEvent("page"), alice.page.evaluate(() => void window.open("/"))]);
    const copy = world.adopt(page);
    await copy.page.waitForSelector("#lobby:not([hidden])");
    await alice.say("still me");
    await alice.shows(/still me/);
    await copy.join("bob");
    await alice.shows(/Participant bob joined/);
    assert.deepEqual(await alice.people(), ["alice", "bob"]);
  },

  // A page stores its log when it is hidden, and its state at each delivery. When the browser kills it, it stores nothing more.
  "a tab that the browser killed says what its log lacks": async (world) => {
    const server = await world.server();
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    for (const [name, hidden, first] of [
      ["alice", false, "records_lost"],
      ["anna", true, "client_started"],
    ]) {
      const context = await world.profile();
      const tab = await world.visitor(server.url, context);
      await tab.join(name);
      if (hidden) {
        await tab.page.evaluate(() => {
          Object.defineProperty(document, "hidden", { value: true });
          document.dispatchEvent(new Event("visibilitychange"));
        });
      }
      await bob.say(`is ${name} still here?`);
      await tab.shows(new RegExp(`is ${name} still here`));
      const stored = await tab.page.evaluate(() => ({ ...sessionStorage }));
      await tab.page.close();
      await context.addInitScript((texts) => Object.assign(sessionStorage, texts), stored);
      const again = await world.visitor(server.url, context);
      await again.online();
      await again.say(`${name} is back`);
      await bob.shows(new RegExp(`${name} is back`));
      const events = (await again.logAnyhow()).records.map(({ event }) => event);
      assert.equal(events[0], first);
      assert.equal(events.filter((event) => event === "records_lost").length, 1, `${events}`);
    }
  },

  "tabs share connections even if the browser offers them no locks": async (world) => {
    const server = await world.server({ args: ["--allow-host", PLAIN_HOST] });
    const url = `http://${PLAIN_HOST}:${server.port}`;
    const context = await world.profile();
    const tabs = [];
    for (let n = 1; n <= 5; n += 1) {
      const tab = await world.visitor(url, context);
      await tab.ask(`tab ${n}`);
      if (n <= 4) await tab.online();
      else await tab.reads("#farewell", /Close Chit Chat or leave it in another tab/);
      tabs.push(tab);
    }
    assert.equal(await tabs[0].page.evaluate(() => isSecureContext), false);
    await tabs[0].say("no locks here");
    await tabs[3].shows(/no locks here/);
    // On a slow machine, the waiting tab may take the connection of one that reloads.
    await tabs[4].page.close();
    await tabs[0].page.reload();
    await tabs[0].online();
    const [page] = await Promise.all([context.waitForEvent("page"), tabs[0].page.evaluate(() => void window.open("/"))]);
    await world.adopt(page).page.waitForSelector("#lobby:not([hidden])");
    await tabs[0].say("still the one");
    await tabs[3].shows(/still the one/);
    assert.equal((await tabs[3].transcript()).filter((line) => /left/.test(line)).length, 0);
  },

  "a session that is taken over elsewhere says so": async (world) => {
    const server = await world.server();
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    const stored = await alice.page.evaluate(() => sessionStorage.getItem("chitchat.session"));
    // Another profile shares no locks with this one.
    const elsewhere = await world.profile();
    await elsewhere.addInitScript((text) => sessionStorage.setItem("chitchat.session", text), stored);
    const thief = await world.visitor(server.url, elsewhere);
    await thief.online();
    await alice.reads("#farewell", /taken over/);
    await alice.join("alice two");
    await thief.shows(/alice two joined/);
  },

  "a reader who scrolls back is not moved, and is told how much is new": async (world) => {
    const server = await world.server({ args: UNLIMITED });
    const alice = await world.visitor(server.url);
    await alice.join("alice");
    for (let n = 1; n <= 40; n += 1) await alice.say(`line ${n}`);
    await alice.shows(/line 40$/);
    const bob = await world.visitor(server.url);
    await bob.join("bob");
    await alice.shows(/bob joined/);
    await alice.page.focus("#scroller");
    await alice.page.keyboard.press("Home");
    await until("the top is reached", () => alice.page.evaluate(() => document.querySelector("#scroller").scrollTop === 0));
    await bob.say("one");
    await bob.say("two");
    await alice.reads("#new-below", /^2 new below$/);
    assert.equal(await alice.page.evaluate(() => document.querySelector("#scroller").scrollTop), 0);
    await alice.page.click("#new-below");
    await until("the bottom is reached", () =>
      alice.page.evaluate(() => {
        const s = document.querySelector("#scroller");
        return s.scrollHeight - s.scrollTop - s.clientHeight < 2;
      }),
    );
    assert.equal(await alice.page.isVisible("#new-below"), false);
  },
};
