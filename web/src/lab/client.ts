/** The calls of LabService over gRPC-Web, in the page's own types. */

import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";
import { create } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import {
  CompanionKind as WireKind,
  Direction,
  type Fault as WireFault,
  type Impairment as WireImpairment,
  type LabParticipant,
  LabService,
  type Scenario as WireScenario,
  type ScenarioRun as WireRun,
  ScenarioState as WireState,
} from "../gen/chitchat/v1/lab_pb.js";
import { type Proof, toProof } from "../core/replay/findings.js";
import { toEvent } from "../transport/convert.js";
import {
  type CompanionKind,
  type Fault,
  type Impairment,
  type LabPerson,
  type LabState,
  type Scenario,
  type ScenarioRun,
  type ScenarioState,
  UNIMPAIRED,
  type Way,
} from "./types.js";

/** How long a call may take, in milliseconds. Adding a companion waits until it has joined. */
const CALL_WAIT_MS = 20_000;

/** How long a proof may take, in milliseconds: a little longer than the service allows. */
const PROOF_WAIT_MS = 30_000;

const KINDS: Readonly<Record<CompanionKind, WireKind>> = {
  echo: WireKind.ECHO,
  chatterbox: WireKind.CHATTERBOX,
  answerer: WireKind.ANSWERER,
  slow: WireKind.SLOW,
  "wrong-clock": WireKind.WRONG_CLOCK,
  actor: WireKind.ACTOR,
};

const STATES: Readonly<Record<ScenarioState, WireState>> = {
  playing: WireState.PLAYING,
  "waits-for-advance": WireState.WAITS_FOR_ADVANCE,
  "waits-for-person": WireState.WAITS_FOR_PERSON,
  finished: WireState.FINISHED,
  stopped: WireState.STOPPED,
  failed: WireState.FAILED,
};

/** The lab of a service. Every call throws what `toFailure` understands. */
export class LabClient {
  readonly #client: Client<typeof LabService>;
  readonly #headers: () => Record<string, string>;
  readonly #baseUrl: string;

  /** The lab at `baseUrl`. `headers` is called for each request, since the headers change. */
  constructor(baseUrl: string, headers: () => Record<string, string>) {
    this.#client = createClient(LabService, createGrpcWebTransport({ baseUrl }));
    this.#headers = headers;
    this.#baseUrl = baseUrl;
  }

  #options() {
    return { headers: this.#headers(), timeoutMs: CALL_WAIT_MS };
  }

  /** The lab's present state. */
  async state(): Promise<LabState> {
    const [faults, scenario] = await Promise.all([
      this.#client.listFaults({}, this.#options()),
      this.#client.getScenario({}, this.#options()),
    ]);
    return {
      people: faults.participants.map(toPerson),
      writerStoppedMs: faults.writerStoppedFor === undefined ? null : toMillis(faults.writerStoppedFor),
      run: scenario.run === undefined ? null : toRun(scenario.run),
    };
  }

  /** Sets the faults of a participant, and breaks its stream if `disconnect` is set. */
  async set(name: string, fault: Fault | null, disconnect: boolean, durationMs: number): Promise<void> {
    const request = { displayName: name, disconnect, duration: toDuration(durationMs) };
    await this.#client.setFault(fault === null ? request : { ...request, fault: fromFault(fault) }, this.#options());
  }

  /** Releases `count` of the held deliveries or publishes; 0 releases all. */
  async release(name: string, count: number, way: Way | null): Promise<void> {
    const direction = way === null ? Direction.UNSPECIFIED : way === "deliveries" ? Direction.DELIVERIES : Direction.PUBLISHES;
    await this.#client.releaseHeld({ displayName: name, count, direction }, this.#options());
  }

  /** Ends the faults of one participant; an empty name ends those of all. */
  async clear(name: string): Promise<void> {
    await this.#client.clearFaults({ displayName: name }, this.#options());
  }

  /** Stops the service's writer for a while. */
  async stopWriter(durationMs: number): Promise<void> {
    await this.#client.stopWriter({ duration: toDuration(durationMs) }, this.#options());
  }

  /** Adds a companion. */
  async addCompanion(kind: CompanionKind): Promise<void> {
    await this.#client.addCompanion({ kind: KINDS[kind] }, this.#options());
  }

  /** Has a companion leave. */
  async removeCompanion(name: string): Promise<void> {
    await this.#client.removeCompanion({ displayName: name }, this.#options());
  }

  /** Has the lab verify its logs together with this page's. If it cannot, the error thrown says why in words. */
  async prove(log: string): Promise<Proof> {
    const headers = { ...this.#headers(), "content-type": "application/jsonl" };
    const signal = AbortSignal.timeout(PROOF_WAIT_MS);
    const answer = await fetch(`${this.#baseUrl.replace(/\/$/, "")}/lab/proof`, { method: "POST", headers, body: log, signal }).catch(
      () => {
        throw new Error("The service cannot be reached.");
      },
    );
    if (answer.ok) return toProof(await answer.json());
    const why = (await answer.text()).trim();
    throw new Error(`There is no proof${why === "" ? "." : `: ${why}.`}`);
  }

  /** The scenarios. */
  async scenarios(): Promise<Scenario[]> {
    return (await this.#client.listScenarios({}, this.#options())).scenarios.map(toScenario);
  }

  /** Plays a scenario. */
  async start(name: string, person: string, stepwise: boolean): Promise<void> {
    await this.#client.startScenario({ name, person, stepwise }, this.#options());
  }

  /** Plays the scenario's next step. */
  async advance(): Promise<void> {
    await this.#client.advanceScenario({}, this.#options());
  }

  /** Stops the scenario. */
  async stop(): Promise<void> {
    await this.#client.stopScenario({}, this.#options());
  }
}

function toMillis({ seconds, nanos }: Duration): number {
  return Number(seconds) * 1000 + nanos / 1e6;
}

function toDuration(milliseconds: number): Duration {
  const seconds = Math.floor(milliseconds / 1000);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: Math.round((milliseconds - seconds * 1000) * 1e6) });
}

function toImpairment(impairment: WireImpairment | undefined): Impairment {
  if (impairment === undefined) return UNIMPAIRED;
  const { hold, cut, delay, jitter } = impairment;
  return { hold, cut, delayMs: delay === undefined ? 0 : toMillis(delay), jitterMs: jitter === undefined ? 0 : toMillis(jitter) };
}

function toFault(fault: WireFault): Fault {
  return { deliveries: toImpairment(fault.deliveries), publishes: toImpairment(fault.publishes), pause: fault.pause };
}

function fromFault({ deliveries, publishes, pause }: Fault) {
  const from = ({ hold, cut, delayMs, jitterMs }: Impairment) => ({
    hold,
    cut,
    delay: toDuration(delayMs),
    jitter: toDuration(jitterMs),
  });
  return { deliveries: from(deliveries), publishes: from(publishes), pause };
}

function toPerson(listed: LabParticipant): LabPerson {
  const { participant, fault, endsIn, companion, nextDeliveries, heldRequests } = listed;
  const kind = Object.entries(KINDS).find(([, wire]) => wire === companion?.kind)?.[0] as CompanionKind | undefined;
  return {
    person: { id: participant?.participantId ?? "", name: participant?.displayName ?? "" },
    fault: fault === undefined ? null : toFault(fault),
    endsInMs: endsIn === undefined ? null : toMillis(endsIn),
    before: listed.fromSequence > 0n ? listed.fromSequence - 1n : 0n,
    deliveriesHeld: Number(listed.deliveriesHeld),
    publishesHeld: listed.publishesHeld,
    companion:
      companion === undefined ? null : { kind: kind ?? "actor", clock: companion.logicalTime, delivered: companion.deliveredSequence },
    next: nextDeliveries.map(toEvent),
    sent: heldRequests.map(({ text }) => text),
  };
}

function toScenario({ name, title, about, watch, hasPerson }: WireScenario): Scenario {
  return { name, title, about, watch, hasPerson };
}

function toRun(run: WireRun): ScenarioRun | null {
  if (run.scenario === undefined) return null;
  const state = Object.entries(STATES).find(([, wire]) => wire === run.state)?.[0] as ScenarioState | undefined;
  return {
    number: run.number,
    scenario: toScenario(run.scenario),
    steps: run.steps.map(({ tell }) => tell),
    done: run.stepsDone,
    state: state ?? "stopped",
    person: run.person,
    problem: run.problem,
    question:
      run.question === undefined
        ? null
        : { ask: run.question.ask, answers: run.question.answers.map(({ text, right, why }) => ({ text, right, why })) },
  };
}
