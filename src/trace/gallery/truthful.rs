//! A small run, as the processes would record it: three participants, two messages that cross, one that waits for the
//! network and is sent twice, two leaves, and a service that stops at the end.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::logs::{JsonLog, Logs};
use crate::chat::{LamportClock, LogicalTime, membership_sentence};

pub(super) const EPOCH: &str = "00c0ffee00c0ffee";
/// The morning of 2026-01-01.
const BEGINS_MICROS: u64 = 1_767_254_400_000_000;
/// How much time passes from one record to the next.
const STEP_MICROS: u64 = 50_000;

/// The message that waits for the network.
pub(in crate::trace) const LATE: &str = "I asked that first.";

/// The logs of that run.
pub fn truthful() -> Logs {
    let mut run = Run::new();
    let (alice, bob, carol) = (run.join("alice"), run.join("bob"), run.join("carol"));
    run.publish(alice, "Hello, everybody!");
    // Both write before either has seen what the other wrote.
    let one = run.send(carol, "Who was first?");
    let two = run.send(bob, "I was!");
    run.accept(carol, one);
    run.accept(bob, two);
    run.publish(bob, "We cannot tell, but the order can.");
    let late = run.submit(bob, LATE);
    run.publish(alice, "Is Bob still here?");
    // The first attempt is lost on its way.
    run.send_on(bob, &late);
    run.publish(carol, "He will be back.");
    let late = run.send_on(bob, &late);
    run.accept(bob, late);
    run.leave(carol);
    run.publish(alice, "Carol is gone.");
    run.publish(bob, "I'm leaving, too.");
    run.leave(bob);
    run.publish(alice, "Anybody here?");
    run.stop()
}

struct Person {
    name: &'static str,
    id: String,
    clock: LamportClock,
    position: u64,
    /// The last event that the service has recorded as handed to its stream.
    handed: u64,
    active: bool,
    records: Vec<Value>,
}

struct Run {
    micros: u64,
    clock: LamportClock,
    head: u64,
    service: Vec<Value>,
    people: Vec<Person>,
}

/// A message that a person has written.
struct WrittenMessage {
    text: &'static str,
    id: String,
    seen: u64,
}

/// A publish request that a person has sent and the service has not received.
struct SentPublish {
    text: &'static str,
    id: String,
    sent: LogicalTime,
    seen: u64,
}

impl Run {
    fn new() -> Self {
        let mut run = Self {
            micros: BEGINS_MICROS,
            clock: LamportClock::default(),
            head: 0,
            service: vec![],
            people: vec![],
        };
        run.note(json!({"event": "server_started", "version": env!("CARGO_PKG_VERSION"), "sequence": 0,
            "logical_time": 0, "grace_ms": 30_000, "ping_ms": 20_000, "ping_timeout_ms": 10_000, "stall_ms": 30_000}));
        run
    }

    fn stamp(&mut self, component: &str, mut record: Value) -> Value {
        self.micros += STEP_MICROS;
        let now = UNIX_EPOCH + Duration::from_micros(self.micros);
        record["timestamp"] = json!(humantime::format_rfc3339_micros(now).to_string());
        record["level"] = json!("INFO");
        record["component"] = json!(component);
        record
    }

    fn note(&mut self, record: Value) {
        let mut record = self.stamp("server", record);
        record["epoch"] = json!(EPOCH);
        self.service.push(record);
    }

    /// Adds a record about a person to the person's log.
    fn say(&mut self, person: usize, mut record: Value) {
        let Person { name, id, clock, .. } = &self.people[person];
        record["display_name"] = json!(name);
        if !id.is_empty() {
            (record["participant_id"], record["epoch"]) = (json!(id), json!(EPOCH));
            record["local_time"] = json!(clock.now().0);
        }
        let record = self.stamp("client", record);
        self.people[person].records.push(record);
    }

    /// The service puts an event into the order, and everybody who is here gets it.
    fn broadcast(&mut self, person: usize, kind: &str, sent: LogicalTime, more: Value) -> (u64, LogicalTime) {
        self.clock.receive(sent);
        let time = self.clock.tick();
        self.head += 1;
        let Person { name, id, .. } = &self.people[person];
        let went = if kind == "left" { "left" } else { "joined" };
        let sentence = membership_sentence(name, went, time);
        let mut event = json!({
            "sequence": self.head, "logical_time": time.0, "local_time": time.0, "sent_logical_time": sent.0,
            "participant_id": id, "display_name": name, "kind": kind, "content": sentence,
        });
        for (field, value) in more.as_object().into_iter().flatten() {
            event[field] = value.clone();
        }
        let verb = kind.replace("joined", "join").replace("left", "leave");
        event["event"] = json!(format!("{verb}_broadcast"));
        self.note(event.clone());
        event["event"] = json!("event_delivered");
        event["epoch"] = json!(EPOCH);
        if kind != "message" {
            event["sent_logical_time"] = Value::Null;
        }
        self.deliver(&event, time);
        (self.head, time)
    }

    fn deliver(&mut self, event: &Value, time: LogicalTime) {
        for person in 0..self.people.len() {
            if self.people[person].active {
                let mut event = event.clone();
                event["local_time"] = json!(self.people[person].clock.receive(time).0);
                self.people[person].position = self.head;
                let event = self.stamp("client", event);
                self.people[person].records.push(event);
            }
        }
    }

    /// The service records what it has handed to a person's stream.
    fn hand_over(&mut self, person: usize) {
        let Person { id, position, handed, .. } = &mut self.people[person];
        let (id, first, last) = (id.clone(), *handed + 1, *position);
        if first <= last {
            *handed = last;
            self.note(json!({"event": "event_delivered", "participant_id": id, "first_sequence": first,
                "last_sequence": last}));
        }
    }

    fn join(&mut self, name: &'static str) -> usize {
        let person = self.people.len();
        let (clock, head) = (LamportClock::default(), self.head);
        self.people.push(Person {
            name,
            id: String::new(),
            clock,
            position: 0,
            handed: head,
            active: false,
            records: vec![],
        });
        self.say(person, json!({"event": "client_started"}));
        let sent = self.people[person].clock.tick();
        self.say(person, json!({"event": "join_sent", "sent_logical_time": sent.0, "local_time": sent.0}));
        let id = format!("p{}", self.head + 1);
        self.note(json!({"event": "client_connected", "participant_id": id, "display_name": name,
            "peer": format!("127.0.0.1:5000{person}"), "transport": "grpc", "sequence": self.head}));
        // The stream begins with its Welcome, so that comes before the first event.
        let mut expected = self.clock;
        expected.receive(sent);
        let (head, time) = (self.head + 1, expected.tick());
        self.people[person].id = id;
        self.people[person].clock.receive(time);
        self.say(person, json!({"event": "connected", "sequence": head, "logical_time": time.0}));
        self.people[person].active = true;
        self.broadcast(person, "joined", sent, json!({}));
        person
    }

    fn submit(&mut self, person: usize, text: &'static str) -> WrittenMessage {
        let (seen, count) = (self.people[person].position, self.people[person].records.len());
        let id = format!("{}-{count}", self.people[person].name);
        let mut queued =
            json!({"event": "publish_queued", "message_id": id, "seen_sequence": seen, "content": text});
        for (field, value) in [("epoch", EPOCH), ("participant_id", &self.people[person].id)] {
            queued[field] = json!(value);
        }
        queued["display_name"] = json!(self.people[person].name);
        let queued = self.stamp("client", queued);
        self.people[person].records.push(queued);
        WrittenMessage { text, id, seen }
    }

    fn send_on(&mut self, person: usize, draft: &WrittenMessage) -> SentPublish {
        let WrittenMessage { text, ref id, seen } = *draft;
        let sent = self.people[person].clock.tick();
        self.say(
            person,
            json!({"event": "publish_sent", "message_id": id, "sent_logical_time": sent.0, "seen_sequence": seen, "content": text}),
        );
        SentPublish { text, id: id.clone(), sent, seen }
    }

    fn send(&mut self, person: usize, text: &'static str) -> SentPublish {
        let draft = self.submit(person, text);
        self.send_on(person, &draft)
    }

    fn accept(&mut self, person: usize, request: SentPublish) {
        let SentPublish { text, id, sent, seen } = request;
        let more = json!({"content": text, "message_id": id, "seen_sequence": seen});
        let (sequence, time) = self.broadcast(person, "message", sent, more);
        self.acknowledge(person, "publish_acknowledged", json!(id), sequence, time);
    }

    fn acknowledge(&mut self, person: usize, event: &str, id: Value, sequence: u64, time: LogicalTime) {
        self.people[person].clock.receive(time);
        self.say(person, json!({"event": event, "message_id": id, "sequence": sequence, "logical_time": time.0}));
    }

    fn publish(&mut self, person: usize, text: &'static str) {
        let request = self.send(person, text);
        self.accept(person, request);
    }

    fn leave(&mut self, person: usize) {
        let sent = self.people[person].clock.tick();
        self.say(person, json!({"event": "leave_sent", "sent_logical_time": sent.0}));
        self.people[person].active = false;
        let (sequence, time) = self.broadcast(person, "left", sent, json!({"reason": "REQUESTED"}));
        self.acknowledge(person, "leave_acknowledged", Value::Null, sequence, time);
        self.hand_over(person);
        let Person { name, id, .. } = &self.people[person];
        self.note(
            json!({"event": "client_disconnected", "participant_id": id, "display_name": name, "reason": "LEFT"}),
        );
        let mut stopped = self.stamp("client", json!({"event": "client_stopped", "epoch": EPOCH}));
        stopped["participant_id"] = json!(self.people[person].id);
        self.people[person].records.push(stopped);
    }

    fn stop(mut self) -> Logs {
        (0..self.people.len()).for_each(|person| self.hand_over(person));
        self.micros += 5_000_000;
        self.note(json!({"event": "server_stopping"}));
        let (sequence, time) = (self.head, self.clock.now().0);
        self.note(json!({"event": "server_stopped", "sequence": sequence, "logical_time": time}));
        let tidy = |records: Vec<Value>| -> Vec<Value> { records.into_iter().map(without_nulls).collect() };
        let mut logs = vec![JsonLog { name: "server.jsonl".into(), records: tidy(self.service) }];
        logs.extend(self.people.into_iter().map(|person| JsonLog {
            name: format!("client-{}.jsonl", person.name),
            records: tidy(person.records),
        }));
        Logs(logs)
    }
}

fn without_nulls(record: Value) -> Value {
    match record {
        Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    }
}
