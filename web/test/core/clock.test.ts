import assert from "node:assert/strict";
import { test } from "node:test";
import { receive, tick } from "../../src/core/clock.js";
import { LOST, Page, message } from "../support.js";

test("a send advances the clock by one (IR1)", () => {
  assert.equal(tick(6n).after, 7n);
});

test("a receipt is later than its send and than all before it (IR2)", () => {
  assert.equal(receive(1n, 7n).after, 8n);
  assert.equal(receive(8n, 3n).after, 9n);
});

test("the clock stops at the end of its range rather than wrapping", () => {
  const end = (1n << 64n) - 1n;
  assert.equal(tick(end).after, end);
  assert.equal(receive(3n, end).after, end);
});

test("a join, its welcome and an event tick; a heartbeat and the end of the replay do not", () => {
  const page = new Page();
  page.join();
  // Join sent at 1; Welcome stamped 3: 4; own Joined stamped 3: 5.
  assert.equal(page.state.clock, 5n);
  const head = page.state.position ?? 0n;
  page.frame({ type: "heartbeat", head });
  page.frame({ type: "caught-up", sequence: head });
  assert.equal(page.state.clock, 5n);
  page.event(2n, 40n, message());
  assert.equal(page.state.clock, 41n);
});

test("a publish is stamped with the time of its sending, and its acknowledgement ticks", () => {
  const page = new Page();
  const session = page.join();
  page.feed({ type: "send", id: "m1", text: "hello" });
  assert.equal(page.calls("publish")[0]?.time, 6n);
  assert.equal(page.calls("publish")[0]?.seen, 1n);
  page.feed({ type: "published", id: "m1", sequence: 2n, logicalTime: 8n, session });
  assert.equal(page.state.clock, 9n);
});

test("listing earlier events touches no clock", () => {
  const page = new Page();
  page.join("alice", { head: 5n, time: 20n });
  const before = page.state.clock;
  page.feed({ type: "load-earlier" });
  page.feed({ type: "earlier", segment: 1, events: [] });
  assert.equal(page.state.clock, before);
});

test("local times in the log rise strictly", () => {
  const page = new Page();
  const session = page.join();
  page.feed({ type: "send", id: "m1", text: "a" });
  page.event(2n, 8n, message("m1"), "p1");
  page.feed({ type: "published", id: "m1", sequence: 2n, logicalTime: 8n, session });
  page.ended(LOST);
  page.wait(60_000);
  page.resumed(2n, 8n);
  page.feed({ type: "leave" });
  page.feed({ type: "left", sequence: 3n, logicalTime: 30n, session });
  const times = page.outputs.flatMap((o) => (o.do === "record" && "local_time" in o.record.fields ? [o.record.fields.local_time] : []));
  assert.equal(times.length, 10);
  times.forEach((time, index) => assert.ok(index === 0 || time > (times[index - 1] ?? 0n), `${times}`));
});
