//! A service and its clients in memory. A seed chooses one step at a time: a request arrives, an answer arrives, an
//! event is delivered, a connection breaks, a process is killed. Each process logs what the specification's chapter 9
//! requires.

use std::collections::VecDeque;

use chitchat::trace::gallery::{JsonLog, Logs};
use serde_json::{Value, json};

use super::client::{Client, Phase};
use super::dice::Dice;
use super::mistakes::Mistake;
use super::service::Service;

pub(super) const SECOND: i64 = 1_000_000;
pub(super) const GRACE: i64 = 30 * SECOND;
pub(super) const EPOCH: &str = "51e0000000000001";
/// 2026-03-01.
const BEGINS: i64 = 1_772_323_200 * SECOND;

/// All processes, and the true time.
#[derive(Debug)]
pub struct World {
    pub(super) dice: Dice,
    pub(super) now: i64,
    pub(super) mistake: Option<Mistake>,
    /// Whether the mistake has been made.
    pub made: bool,
    /// Whether a mistake would go unnoticed now.
    pub(super) unseen: bool,
    /// Whether records have a `run`; those of version 1 do not.
    has_runs: bool,
    pub(super) service: Service,
    pub(super) clients: Vec<Client>,
}

/// The logs of a run, and whether the mistake was made in it.
pub fn run(seed: u64, mistake: Option<Mistake>) -> (Logs, bool) {
    let mut dice = Dice::new(seed);
    let count = 2 + dice.below(3);
    let clients = (0..count)
        .map(|n| Client {
            name: format!("person{n}"),
            offset: dice.below(7_200) as i64 * SECOND - 3_600 * SECOND,
            phase: Phase::Away,
            clock: 0,
            who: 0,
            position: 0,
            outbox: VecDeque::new(),
            in_flight: false,
            written: 0,
            requests: VecDeque::new(),
            answers: VecDeque::new(),
            inbox: VecDeque::new(),
            log: Vec::new(),
            is_unread: false,
            starts: 0,
            epoch: EPOCH,
        })
        .collect();
    let (has_runs, service) = (mistake.is_some() || dice.chance(70), Service::default());
    let mut world = World { dice, now: BEGINS, mistake, made: false, unseen: false, has_runs, service, clients };
    world.start();
    let steps = 300 + world.dice.below(500);
    for _ in 0..steps {
        world.step();
    }
    world.finish();
    world.logs()
}

fn stamp(at: i64) -> Value {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_micros(at as u64);
    json!(humantime::format_rfc3339_micros(time).to_string())
}

pub(super) fn sentence(name: &str, kind: &str, time: u64) -> String {
    format!("Participant {name} {kind} Chit Chat at logical time {time}")
}

impl World {
    /// Whether this is the moment at which the mistake is made.
    pub(super) fn errs(&mut self, mistake: Mistake) -> bool {
        if self.mistake != Some(mistake) || self.made || self.unseen || !self.dice.chance(60) {
            return false;
        }
        self.made = true;
        true
    }

    pub(super) fn has_erred(&self, mistake: Mistake) -> bool {
        self.made && self.mistake == Some(mistake)
    }

    pub(super) fn note(&mut self, mut record: Value) {
        self.now += 3 + self.dice.below(40) as i64;
        (record["timestamp"], record["component"]) = (stamp(self.now), json!("server"));
        (record["level"], record["epoch"]) = (json!("INFO"), json!(EPOCH));
        if self.has_runs {
            self.service.starts += u64::from(record["event"] == "server_started");
            record["run"] = json!(format!("service-{}", self.service.starts));
        }
        self.service.log.push(record);
    }

    pub(super) fn say(&mut self, client: usize, mut record: Value) {
        self.now += 3 + self.dice.below(40) as i64;
        let person = &mut self.clients[client];
        (record["timestamp"], record["component"]) = (stamp(self.now + person.offset), json!("client"));
        record["level"] = json!("INFO");
        if self.has_runs {
            person.starts += u64::from(record["event"] == "client_started");
            record["run"] = json!(format!("{}-{}", person.name, person.starts));
        }
        if record["event"] != "event_delivered" {
            record["display_name"] = json!(person.name);
            if person.who > 0 {
                (record["epoch"], record["participant_id"]) =
                    (json!(person.epoch), json!(format!("p{}", person.who)));
            }
        }
        person.log.push(record);
    }

    pub(super) fn head(&self) -> u64 {
        self.service.journal.len() as u64 + self.service.skipped
    }

    /// Time passes. Participants whose grace period ends leave.
    pub(super) fn pass(&mut self, micros: i64) {
        let until = self.now + micros;
        if self.service.up {
            loop {
                let due = self.service.offline.iter().map(|(who, since)| (since + GRACE, *who)).min();
                let Some((at, who)) = due.filter(|(at, _)| *at <= until) else { break };
                self.now = self.now.max(at);
                if self.errs(Mistake::NeverExpires) {
                    self.service.offline.remove(&who);
                } else if self.errs(Mistake::ExpiresLate) {
                    self.service.offline.insert(who, at - GRACE + 20 * SECOND);
                } else {
                    self.expire(who);
                }
            }
        }
        self.now = self.now.max(until);
    }

    pub(super) fn step(&mut self) {
        let pause = if self.dice.chance(4) { self.dice.below(12 * SECOND as u64) } else { self.dice.below(3_000) };
        if pause > 1_000_000 {
            // The service does not keep an open stream waiting that long.
            (0..self.clients.len()).for_each(|client| self.hand_over_all(client));
        }
        self.pass(pause as i64);
        let client = self.dice.below(self.clients.len() as u64) as usize;
        if !self.made && self.dice.chance(1) && self.service.journal.len() > 3 {
            return self.restart();
        }
        if self.service.up && self.dice.chance(10) {
            self.wrong_by_itself();
        }
        // After a mistake nothing breaks, as that could hide it.
        let calm = self.made;
        match self.clients[client].phase {
            Phase::Away => self.join(client),
            Phase::Offline if self.service.up && self.dice.chance(40) => self.resume(client),
            Phase::Gone if self.dice.chance(5) => self.again(client),
            Phase::Online if !calm && self.dice.chance(2) => self.cut(client, "DISCONNECTED"),
            Phase::Online if !calm && self.dice.chance(1) => self.vanish(client),
            _ => self.move_on(client),
        }
    }

    pub(super) fn move_on(&mut self, client: usize) {
        match self.dice.below(6) {
            0 => self.serve(client),
            1 => self.hear(client),
            2 => self.hand_over(client),
            3 => self.take(client),
            4 => self.submit(client),
            _ => self.send(client),
        }
    }

    /// Everything in flight arrives, the participants write now and then, and finally the service stops.
    pub(super) fn finish(&mut self) {
        if !self.service.up {
            self.restart();
        }
        self.settle();
        // In a run without a mistake, some clients stop reading.
        for client in 0..self.clients.len() {
            self.clients[client].is_unread = self.mistake.is_none() && self.dice.chance(10);
        }
        for _ in 0..5 {
            self.pass(16 * SECOND);
            (0..self.clients.len()).for_each(|client| self.submit(client));
            self.settle();
        }
        self.pass(40 * SECOND);
        for client in 0..self.clients.len() {
            self.hand_over_all(client);
            self.take_all(client);
        }
        self.pass(10 * SECOND);
        self.note(json!({"event": "server_stopping"}));
        let (head, time) = (self.head(), self.service.clock);
        self.note(json!({"event": "server_stopped", "sequence": head, "logical_time": time}));
    }

    /// Everything in flight arrives.
    fn settle(&mut self) {
        for _ in 0..20 {
            for client in 0..self.clients.len() {
                if self.clients[client].phase == Phase::Offline {
                    self.resume(client);
                    continue;
                }
                for _ in 0..3 {
                    self.send_pending(client);
                    self.serve(client);
                    self.hand_over(client);
                    self.take_all(client);
                    self.hear(client);
                }
            }
        }
    }

    pub(super) fn logs(mut self) -> (Logs, bool) {
        let mut logs = vec![JsonLog { name: "server.jsonl".into(), records: tidy(self.service.log.clone()) }];
        for mistake in [Mistake::CopyHasOtherText, Mistake::CopyHasOtherTime] {
            if self.mistake != Some(mistake) {
                continue;
            }
            let mut copy = JsonLog { name: "copy.jsonl".into(), records: logs[0].records.clone() };
            if let Some(record) = copy.records.iter_mut().find(|record| record["event"] == "message_broadcast") {
                match mistake {
                    Mistake::CopyHasOtherText => record["content"] = json!("other"),
                    _ => record["logical_time"] = json!(record["logical_time"].as_u64().unwrap() + 1),
                }
                logs.push(copy);
                self.made = true;
            }
        }
        for client in std::mem::take(&mut self.clients) {
            if !client.log.is_empty() {
                logs.push(JsonLog { name: format!("client-{}.jsonl", client.name), records: tidy(client.log) });
            }
        }
        (Logs(logs), self.made)
    }
}

fn tidy(records: Vec<Value>) -> Vec<Value> {
    let without_nulls = |record| match record {
        Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    };
    records.into_iter().map(without_nulls).collect()
}
