//! The service of the simulator: its journal, its roster, its starts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::client::Phase;
use super::mistakes::Mistake;
use super::world::{GRACE, SECOND, World, sentence};

/// An event as it is delivered, the same to all recipients unless there is a mistake.
#[derive(Clone, Debug)]
pub struct Event {
    pub(super) sequence: u64,
    pub(super) time: u64,
    pub(super) sent: u64,
    pub(super) who: u64,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) content: String,
    pub(super) id: String,
    pub(super) seen: u64,
    pub(super) reason: &'static str,
    /// Whether the service's log has it.
    pub(super) logged: bool,
}

#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) handed: u64,
    /// Whether nothing more is handed to it.
    pub(super) silent: bool,
}

#[derive(Debug, Default)]
pub(super) struct Service {
    pub(super) up: bool,
    pub(super) clock: u64,
    pub(super) journal: Vec<Event>,
    /// By how much the numbers exceed the journal's length, after a mistake.
    pub(super) skipped: u64,
    pub(super) active: BTreeMap<u64, String>,
    pub(super) streams: BTreeMap<u64, Stream>,
    pub(super) offline: BTreeMap<u64, i64>,
    pub(super) answered: BTreeMap<(u64, String), (u64, u64)>,
    pub(super) log: Vec<Value>,
    /// How many times it was started.
    pub(super) starts: u64,
}

impl World {
    pub(super) fn start(&mut self) {
        let (head, time) = (self.head(), self.service.clock);
        let time = if head > 0 && self.errs(Mistake::RestartForgetsClock) { time.saturating_sub(1) } else { time };
        self.note(json!({"event": "server_started", "version": "0", "sequence": head, "logical_time": time,
            "grace_ms": GRACE / 1000, "ping_ms": 20_000, "ping_timeout_ms": 10_000, "stall_ms": 30_000,
            "logs_deliveries": true}));
        self.service.up = true;
        let now = self.now;
        self.service.offline = self.service.active.keys().map(|who| (*who, now)).collect();
        if head > 4 && self.errs(Mistake::RestartForgetsIds) {
            self.service.answered.clear();
            // The newest message is sent again, and taken for a new one.
            let again = self
                .service
                .journal
                .iter()
                .rfind(|event| event.kind == "message" && !event.id.is_empty())
                .cloned();
            match again.filter(|event| self.service.active.contains_key(&event.who)) {
                Some(event) => drop(self.broadcast(event)),
                None => self.made = false,
            }
        }
        if head > 4 && self.errs(Mistake::RestartRenumbers) {
            let mut again = self.service.journal[1].clone();
            again.time = self.service.clock + 2;
            let record = broadcast_record(&again, 0);
            self.note(record);
        }
    }

    pub(super) fn restart(&mut self) {
        if self.service.up {
            let orderly = self.dice.chance(50);
            if orderly {
                self.note(json!({"event": "server_stopping"}));
                let streams: Vec<u64> = self.service.streams.keys().copied().collect();
                for who in streams {
                    self.note(json!({"event": "client_disconnected", "participant_id": format!("p{who}"),
                        "reason": "SHUTTING_DOWN"}));
                }
                let (head, time) = (self.head(), self.service.clock);
                self.note(json!({"event": "server_stopped", "sequence": head, "logical_time": time}));
            }
            self.service.up = false;
            self.service.streams.clear();
            self.service.offline.clear();
            for client in 0..self.clients.len() {
                if !matches!(self.clients[client].phase, Phase::Away | Phase::Gone) {
                    self.cut(client, "CONNECTION_LOST");
                }
            }
        }
        self.pass(100_000);
        if self.errs(Mistake::RestartLoses) {
            if let Some(lost) = self.service.journal.pop() {
                match lost.kind {
                    "joined" => drop(self.service.active.remove(&lost.who)),
                    "left" => drop(self.service.active.insert(lost.who, lost.name)),
                    _ => drop(self.service.answered.remove(&(lost.who, lost.id))),
                }
                self.service.clock = self.service.journal.last().map_or(0, |event| event.time);
            }
        } else if !orderly_end(&self.service.log) && self.dice.chance(30) {
            self.unrecord();
        }
        self.start();
    }

    /// The service was killed between the commit and the log record, so the next start logs the event.
    pub(super) fn unrecord(&mut self) {
        let is_last = |record: &Value| record["event"].as_str().is_some_and(|event| event.ends_with("_broadcast"));
        if self.service.log.last().is_some_and(is_last) && self.mistake.is_none() {
            let Some(mut record) = self.service.log.pop() else { return };
            record["recovered"] = json!(true);
            record["recipients"] = Value::Null;
            self.note(record);
        }
    }

    /// Follows chapter 3 of the specification, and updates the roster.
    pub(super) fn broadcast(&mut self, mut event: Event) -> (u64, u64) {
        let before = self.service.clock;
        self.service.clock = before.max(event.sent) + 2;
        let receipt = before.max(event.sent);
        if event.sent > before + 1 && self.errs(Mistake::IgnoresRequestTime) {
            self.service.clock = before + 2;
        }
        if self.errs(Mistake::StampsEarly) {
            self.service.clock = receipt + 1;
        }
        if self.errs(Mistake::StampsLate) {
            self.service.clock = receipt + 3;
        }
        if before > 0 && self.errs(Mistake::StampsTwice) {
            self.service.clock = before;
        }
        if self.errs(Mistake::StampsWallClock) {
            self.service.clock = (self.now / SECOND) as u64;
        }
        if before > 4 && self.errs(Mistake::SkipsNumber) {
            self.service.skipped += 1;
        }
        event.sequence = self.head() + 1;
        if event.sequence > 3 && self.errs(Mistake::ReusesNumber) {
            event.sequence -= 1;
        }
        event.time = self.service.clock;
        if event.kind != "message" {
            let said = if self.errs(Mistake::OtherSentence) { event.time - 1 } else { event.time };
            event.content = sentence(&event.name, event.kind, said);
        }
        if event.kind == "joined" {
            if event.who == 0 {
                event.who = event.sequence;
            }
            if event.sent > 0 && self.errs(Mistake::MakesUpJoinTime) {
                event.sent -= 1;
            }
        }
        if event.reason == "REQUESTED" && event.sent > 0 && self.errs(Mistake::MakesUpLeaveTime) {
            event.sent -= 1;
        }
        if event.kind == "message" {
            if self.errs(Mistake::ChangesText) {
                event.content = "Hello".into();
            }
            if event.seen > 0 && self.errs(Mistake::MakesUpSeen) {
                event.seen -= 1;
            }
            if event.sent > 1 && self.errs(Mistake::MakesUpSent) {
                event.sent -= 1;
            }
        }
        // A killed service may have logged less than is in its journal; the next start logs the rest.
        event.logged = true;
        let unrecorded = event.kind == "message" && self.errs(Mistake::TellsUnrecorded);
        let (sequence, time) = (event.sequence, event.time);
        if !unrecorded {
            let record = broadcast_record(&event, self.service.streams.len());
            self.note(record);
        }
        match event.kind {
            "joined" => drop(self.service.active.insert(event.who, event.name.clone())),
            "left" => drop(self.service.active.remove(&event.who)),
            _ => drop(self.service.answered.insert((event.who, event.id.clone()), (sequence, time))),
        }
        self.service.journal.push(event);
        (sequence, time)
    }

    pub(super) fn blank(&self, who: u64, kind: &'static str) -> Event {
        let name = self.service.active.get(&who).cloned().unwrap_or_else(|| "nobody".into());
        let (content, id) = (String::new(), String::new());
        Event { sequence: 0, time: 0, sent: 0, who, name, kind, content, id, seen: 0, reason: "", logged: true }
    }

    pub(super) fn expire(&mut self, who: u64) {
        self.service.offline.remove(&who);
        let name = self.service.active.get(&who).cloned().unwrap_or_default();
        self.note(json!({"event": "session_expired", "participant_id": format!("p{who}"), "display_name": name}));
        let left = Event { reason: "DISCONNECTED", ..self.blank(who, "left") };
        self.broadcast(left);
        if self.errs(Mistake::LeavesTwice) {
            let left = Event { reason: "DISCONNECTED", name, ..self.blank(who, "left") };
            self.broadcast(left);
        }
    }

    /// A mistake that the service makes without a request.
    pub(super) fn wrong_by_itself(&mut self) {
        if self.service.journal.len() < 4 {
            return;
        }
        let Some((who, name)) = self.service.active.iter().next().map(|(who, name)| (*who, name.clone())) else {
            return;
        };
        if self.errs(Mistake::MessageFromNobody) {
            let event = Event { content: "boo".into(), id: "x".into(), ..self.blank(9_999, "message") };
            self.broadcast(event);
        }
        let writer = self
            .clients
            .iter()
            .find(|client| client.who == who && client.phase == Phase::Online && client.position > who);
        if writer.is_some() {
            if self.errs(Mistake::Forges) {
                let event = Event { content: "forged".into(), id: "forged".into(), ..self.blank(who, "message") };
                self.broadcast(event);
            }
            if self.service.streams.contains_key(&who) && self.errs(Mistake::LeavesUnasked) {
                let event = Event { reason: "REQUESTED", name, ..self.blank(who, "left") };
                self.broadcast(event);
            }
            if self.service.streams.contains_key(&who) && self.errs(Mistake::ExpiresConnected) {
                self.expire(who);
            }
        }
    }
}

fn orderly_end(log: &[Value]) -> bool {
    log.last().is_some_and(|record| record["event"] == "server_stopped")
}

fn broadcast_record(event: &Event, recipients: usize) -> Value {
    let verb = match event.kind {
        "joined" => "join_broadcast",
        "left" => "leave_broadcast",
        _ => "message_broadcast",
    };
    let mut record = json!({"event": verb, "participant_id": format!("p{}", event.who), "display_name": event.name,
        "sequence": event.sequence, "logical_time": event.time, "local_time": event.time,
        "sent_logical_time": event.sent, "kind": event.kind, "content": event.content, "recipients": recipients});
    match event.kind {
        "message" => (record["message_id"], record["seen_sequence"]) = (json!(event.id), json!(event.seen)),
        "left" => record["reason"] = json!(event.reason),
        _ => {}
    }
    record
}
