// Scripted runs, played to be recorded.
import { Stage } from "./stage.mjs";

const FULL = "128 characters are as many as a message may have, however many bytes they take: æøå is 3, and 😀 is 1. ";
const LONGEST = FULL + "→".repeat(128 - [...FULL].length);

/** Long enough for a killed client to be restarted on a slow machine, and no longer. */
const GRACE = ["--grace", "8s"];

/** What logs/example shows: a service, three command-line clients and a page. */
export async function example(world, folder) {
  const stage = await Stage.open(world, folder, GRACE);
  for (const name of ["alice", "bob", "carol"]) await stage.joins(name);
  await stage.opens("dora");
  await stage.without("carol", () => stage.says("alice", "Hello! Carol is not reading now, and nobody waits for her."));
  await stage.all("Carol is not reading now");
  await stage.cross({ bob: "Who was first?", dora: "Me!" });
  await stage.player("alice").say(`${LONGEST}!`, "publish_refused");
  await stage.says("alice", LONGEST);
  await stage.killed("carol");
  await stage.all("Participant carol left");
  await stage.killed("bob");
  await stage.says("dora", "Bob, are you there?");
  await stage.returns("bob", "Bob, are you there?");
  await stage.says("bob", "I was killed, and have missed nothing.");
  for (const name of ["dora", "bob", "alice"]) await stage.leaves(name);
  await stage.ends();
}

/** What the report shows step by step: while alice is there, xenia joins, publishes and leaves. */
export async function visit(world, folder) {
  const stage = await Stage.open(world, folder);
  await stage.joins("alice");
  await stage.joins("xenia");
  await stage.says("xenia", "Hello, Alice!");
  await stage.says("alice", "Hello, Xenia!");
  await stage.leaves("xenia");
  await stage.leaves("alice");
  await stage.ends();
}

/** A crowd is played on a machine that does other work, too. */
const CROWD_GRACE = ["--grace", "20s"];

const CROWD = ["alice", "bob", "carol", "dora", "erik", "frida", "gustav", "hanna", "ivar", "jonna", "karl", "lena"];

/** `people` participants, who talk, write at the same time, get killed, come back and leave. */
export async function crowd(world, folder, people, rounds) {
  const stage = await Stage.open(world, folder, CROWD_GRACE);
  const names = CROWD.slice(0, people);
  for (const name of names) await stage.joins(name);
  for (let round = 1; round <= rounds; round += 1) {
    const writer = (step) => names[(round * 3 + step) % names.length];
    await stage.says(writer(0), `Round ${round}: what does everybody think?`);
    await stage.cross({ [writer(1)]: `I think yes (${round}).`, [writer(2)]: `I think no (${round}).` });
  }
  const [first, second, ...others] = names;
  await stage.killed(second);
  await stage.says(first, `Where is ${second}?`);
  await stage.returns(second, `Where is ${second}?`);
  await stage.killed(others[0]);
  await stage.all(`Participant ${others[0]} left`);
  for (const name of [...others.slice(1), second, first]) await stage.leaves(name);
  await stage.ends();
}
