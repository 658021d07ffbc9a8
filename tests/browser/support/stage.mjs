// A run that is played to be recorded: a service, command-line clients and pages, whose logs end up in one folder.
//
// Each step waits until all who are present have seen its effects. So they are in the logs before the next step
// begins, and a run that is played again looks the same.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./process.mjs";

const count = (records, event) => records.filter((record) => record.event === event).length;

/** What the players have in common. */
class Player {
  constructor(stage, name) {
    this.stage = stage;
    this.name = name;
  }

  async logged(event, times = 1) {
    await until(`${this.name} records ${event}`, async () => count(await this.records(), event) >= times);
  }

  /** Sends a message; `done` is the record that ends this step. */
  async say(text, done = "publish_acknowledged") {
    const before = count(await this.records(), done);
    await this.type(text);
    await this.logged(done, before + 1);
  }
}

/** A `join --plain` process. */
class Terminal extends Player {
  async enter() {
    const { world, server, folder, sessions } = this.stage;
    this.process = world.plain(this.name, server.url, { logs: folder, args: ["--state-dir", sessions] });
  }

  records() {
    return recordsOf(join(this.stage.folder, `client-${this.name}.jsonl`));
  }

  shows(text) {
    return this.process.out.includes(text);
  }

  async type(text) {
    this.process.say(text);
  }

  hold() {
    return this.process.hold();
  }

  go() {
    this.process.go();
  }

  async leave() {
    this.process.say("/quit");
    await this.process.exited;
  }

  kill() {
    return this.process.stop();
  }
}

/** A page in a browser. */
class Page extends Player {
  async enter() {
    this.visitor = await this.stage.world.visitor(this.stage.server.url);
    await this.visitor.join(this.name);
  }

  async records() {
    return (await this.visitor.log()).records;
  }

  async shows(text) {
    return (await this.visitor.transcript()).some((line) => line.includes(text));
  }

  type(text) {
    return this.visitor.say(text);
  }

  async leave() {
    await this.visitor.page.click("#leave");
    await this.visitor.reads("#farewell", /You left/);
    await this.keep();
  }

  /** Puts the page's log beside the others. */
  async keep() {
    const { name, text } = await this.visitor.log();
    writeFileSync(join(this.stage.folder, name), text);
  }
}

/** The run. */
export class Stage {
  /** Starts the service, with an empty folder for the logs. */
  static async open(world, folder, args = []) {
    const stage = new Stage();
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    Object.assign(stage, { world, folder, sessions: mkdtempSync(join(tmpdir(), "chitchat-sessions-")) });
    stage.server = await world.server({ logs: folder, args });
    stage.players = new Map();
    return stage;
  }

  player(name) {
    return this.players.get(name);
  }

  /** Waits until all who are present, or all of `these`, show a text. */
  async all(text, these = [...this.players.values()]) {
    for (const player of these) await until(`${player.name} shows ${text}`, () => player.shows(text));
  }

  async joins(name, kind = Terminal) {
    const player = new kind(this, name);
    this.players.set(name, player);
    await player.enter();
    await this.all(`Participant ${name} joined`);
  }

  /** A participant joins with the page. */
  opens(name) {
    return this.joins(name, Page);
  }

  async says(name, text) {
    await this.player(name).say(text);
    await this.all(text);
  }

  /** All write before any of them has seen what the others wrote: the service is suspended until all have sent. */
  async cross(messages) {
    await this.server.hold();
    for (const [name, text] of Object.entries(messages)) await this.player(name).say(text, "publish_sent");
    this.server.go();
    for (const text of Object.values(messages)) await this.all(text);
    for (const name of Object.keys(messages)) {
      const records = await this.player(name).records();
      await this.player(name).logged("publish_acknowledged", count(records, "publish_sent"));
    }
  }

  /** One participant cannot read for a while, and the others do not wait: `meanwhile` happens among them. */
  async without(name, meanwhile) {
    const away = this.player(name);
    this.players.delete(name);
    await away.hold();
    await meanwhile();
    away.go();
    this.players.set(name, away);
  }

  /** Kills a client with kill -9, and waits until the service notices. */
  async killed(name) {
    const player = this.player(name);
    this.players.delete(name);
    const before = count(this.records(), "client_disconnected");
    await player.kill();
    await until(`the service notices that ${name} is gone`, () => count(this.records(), "client_disconnected") > before);
  }

  /** Restarts a killed client, which resumes. */
  async returns(name, missed) {
    const player = new Terminal(this, name);
    this.players.set(name, player);
    await player.enter();
    await player.logged("resumed");
    await this.all(missed);
  }

  async leaves(name) {
    const player = this.player(name);
    this.players.delete(name);
    await player.leave();
    await this.all(`Participant ${name} left`);
  }

  /** Stops the service gracefully. */
  async ends() {
    for (const player of this.players.values()) if (player instanceof Page) await player.keep();
    await this.server.kill("SIGTERM");
    rmSync(this.sessions, { recursive: true, force: true });
  }

  records() {
    return recordsOf(join(this.folder, "server.jsonl"));
  }
}

function recordsOf(file) {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}
