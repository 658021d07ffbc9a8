// One browser for all scenarios, and for each scenario its own server, pages and processes.
import { launch, PLAIN_HOST } from "./browsers.mjs";
import { Nats } from "./nats.mjs";
import { Network, PATIENCE_MS, Plain, Server } from "./process.mjs";
import { gather, prove } from "./proof.mjs";
import { ReverseProxy } from "./proxies.mjs";
import { Visitor } from "./visitor.mjs";

export { PLAIN_HOST };

export class World {
  static async start(browser = "chromium") {
    return Object.assign(new World(), { browserName: browser }, await launch(browser));
  }

  async stop() {
    await this.browser.close();
  }

  /**
   * Runs one scenario and takes everything down again. It fails on any console error, and if the logs of its service,
   * its pages and its clients break a rule of the order.
   */
  async scenario(run) {
    this.contexts = [];
    this.visitors = [];
    this.processes = [];
    this.networks = [];
    try {
      await run(this);
      const errors = this.visitors.flatMap((visitor) => visitor.errors);
      if (errors.length > 0) throw new Error(`console errors:\n${errors.join("\n")}`);
      const pages = await gather(this.visitors);
      await this.#takeDown();
      prove(pages, this.processes);
    } catch (error) {
      error.world = await this.#describe();
      throw error;
    } finally {
      await this.#takeDown();
    }
  }

  /** Pages first: then a stopping service has no streams to wait for, and its log says so. */
  async #takeDown() {
    for (const context of this.contexts.splice(0)) await context.close();
    for (const process of this.processes) await process.stop();
    for (const network of this.networks.splice(0)) network.close();
  }

  async server(options) {
    const server = await Server.start(options);
    this.processes.push(server);
    return server;
  }

  async network(server) {
    const network = await Network.to(server);
    this.networks.push(network);
    return network;
  }

  /**
   * Alice at a page whose network is down from `cut` to `network.restore()`, and Carol, who is connected directly and
   * sees Alice.
   */
  async severable(grace) {
    const server = await this.server({ args: ["--grace", grace] });
    const network = await this.network(server);
    const alice = await this.visitor(network.url);
    await alice.join("alice");
    const carol = this.plain("carol", server.url);
    await alice.shows(/carol joined/);
    const cut = () => {
      alice.outage = true;
      network.cut();
    };
    return { network, alice, carol, cut };
  }

  /** The servers of the replicas' log. They are taken down after the replicas. */
  async nats() {
    const nats = await Nats.start();
    this.networks.push(nats);
    return nats;
  }

  /** A reverse proxy in front of a service, or of replicas, by its name in PROXIES. */
  async proxy(server, name) {
    const proxy = await ReverseProxy.to([server].flat(), name);
    this.processes.push(proxy);
    return proxy;
  }

  plain(name, url, options) {
    const plain = Plain.start(name, url, options);
    this.processes.push(plain);
    return plain;
  }

  /** A browser profile of its own. */
  async profile(options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
    context.setDefaultTimeout(PATIENCE_MS);
    this.contexts.push(context);
    return context;
  }

  /** A page, in a profile of its own unless one is given. */
  async visitor(url, context) {
    const visitor = new Visitor(await (context ?? (await this.profile())).newPage(), this.download);
    this.visitors.push(visitor);
    return visitor.open(url);
  }

  /** Takes over a page that opened by itself. */
  adopt(page) {
    const visitor = new Visitor(page, this.download);
    this.visitors.push(visitor);
    return visitor;
  }

  async #describe() {
    const pages = [];
    for (const { page } of this.visitors) {
      if (page.isClosed()) continue;
      pages.push(`--- ${page.url()}\n${await page.innerText("body").catch((error) => error.message)}`);
    }
    const said = this.processes.map((process) => process.said ?? process.err ?? "").filter(Boolean);
    return [...pages, ...said.map((text) => `--- a process said\n${text.slice(-2_000)}`)].join("\n");
  }
}
