//! How the service of the simulator answers.

use serde_json::json;

use super::client::{Client, Phase};
use super::mistakes::Mistake;
use super::service::{Event, Stream};
use super::world::{SECOND, World};

#[derive(Clone, Debug)]
pub(super) enum Request {
    Join { sent: u64 },
    Resume { after: u64 },
    Publish { sent: u64, seen: u64, id: String, text: String },
    Leave { sent: u64 },
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Published { id: String, sequence: u64, time: u64 },
    Refused { id: String, text: String, reason: &'static str },
    Left { sequence: u64, time: u64 },
    NoStream(&'static str),
}

#[derive(Clone, Debug)]
pub(super) enum Told {
    Welcome { who: u64, resumed: bool, head: u64, time: u64 },
    Event(Event),
}

impl World {
    pub(super) fn serve(&mut self, client: usize) {
        if !self.service.up {
            return;
        }
        let Some(request) = self.clients[client].requests.pop_front() else { return };
        let who = self.clients[client].who;
        match request {
            Request::Join { sent } => self.serve_join(client, sent),
            Request::Resume { after } => self.serve_resume(client, after),
            Request::Publish { sent, seen, id, text } => self.serve_publish(client, sent, seen, id, text),
            Request::Leave { sent } if self.service.active.contains_key(&who) => {
                if self.errs(Mistake::AcksLeaveAndKeeps) {
                    let (sequence, time) = (self.head() + 1, self.service.clock.max(sent) + 2);
                    return self.clients[client].answers.push_back(Answer::Left { sequence, time });
                }
                self.service.offline.remove(&who);
                let handed = self.service.streams.get(&who).map_or(0, |stream| stream.handed);
                if handed >= self.head() || !self.errs(Mistake::MissesBeforeLeave) {
                    self.hand_over_all(client);
                }
                let left = Event { sent, reason: "REQUESTED", ..self.blank(who, "left") };
                let (sequence, time) = self.broadcast(left);
                self.clients[client].answers.push_back(Answer::Left { sequence, time });
                if self.errs(Mistake::MessageAfterLeave) {
                    let name = self.clients[client].name.clone();
                    let event = Event { name, content: "one more".into(), ..self.blank(who, "message") };
                    self.broadcast(event);
                }
                if self.errs(Mistake::TellsAfterLeave) {
                    let event = self.service.journal.last().cloned();
                    self.clients[client].inbox.extend(event.map(Told::Event));
                }
                if self.service.streams.remove(&who).is_some() {
                    self.note(json!({"event": "client_disconnected", "participant_id": format!("p{who}"),
                        "reason": "LEFT"}));
                }
            }
            Request::Leave { .. } => self.clients[client].answers.push_back(Answer::NoStream("SESSION_UNKNOWN")),
        }
    }

    pub(super) fn serve_join(&mut self, client: usize, sent: u64) {
        let mut name = self.clients[client].name.clone();
        let taken = self.service.active.iter().find(|(_, active)| **active == name).map(|(who, _)| *who);
        if taken.is_some() && !self.errs(Mistake::NameTwice) {
            self.note(json!({"event": "request_refused", "reason": "NAME_TAKEN"}));
            return self.clients[client].answers.push_back(Answer::NoStream("NAME_TAKEN"));
        }
        if sent > self.service.clock + (1 << 20) && !self.has_erred(Mistake::TakesLeap) {
            return self.clients[client].answers.push_back(Answer::NoStream("CLOCK_OUT_OF_RANGE"));
        }
        if self.errs(Mistake::TakesBadName) {
            name.push('\u{7}');
        }
        let (who, position) = (self.head() + 1, self.head());
        self.attach(who, position, false);
        let joined = Event { sent, name, ..self.blank(0, "joined") };
        let (sequence, mut time) = self.broadcast(joined.clone());
        // After a mistake in the numbers the id is still the event's.
        let who = self.service.journal.last().map_or(who, |event| event.who);
        if self.errs(Mistake::JoinsTwice) {
            self.broadcast(Event { who, ..joined });
        }
        if self.errs(Mistake::WelcomesWithOtherTime) {
            time -= 1;
        }
        let stream = self.service.streams.entry(who).or_default();
        stream.handed = sequence - 1;
        if self.errs(Mistake::HidesOwnJoin) {
            // The stream considers it handed over.
            self.service.streams.entry(who).or_default().handed = sequence;
        }
        self.clients[client].inbox.push_back(Told::Welcome { who, resumed: false, head: sequence, time });
        if sequence > 1 && self.errs(Mistake::TellsBefore) {
            let before = self.service.journal[sequence as usize - 2].clone();
            self.clients[client].inbox.push_back(Told::Event(before));
        }
        if sequence > 1 && self.errs(Mistake::HandsOutsideMembership) {
            self.note(json!({"event": "event_delivered", "participant_id": format!("p{who}"),
                "first_sequence": sequence - 1, "last_sequence": sequence - 1}));
        }
    }

    pub(super) fn attach(&mut self, who: u64, position: u64, resumed: bool) {
        self.service.offline.remove(&who);
        for event in if resumed { &["client_connected", "session_resumed"][..] } else { &["client_connected"] } {
            self.note(json!({"event": event, "participant_id": format!("p{who}"), "peer": "192.0.2.1:4000",
                "transport": "grpc", "sequence": position}));
        }
        self.service.streams.insert(who, Stream { handed: position, silent: false });
    }

    pub(super) fn serve_resume(&mut self, client: usize, after: u64) {
        let who = self.clients[client].who;
        if !self.service.active.contains_key(&who) {
            self.note(json!({"event": "request_refused", "reason": "SESSION_UNKNOWN"}));
            return self.clients[client].answers.push_back(Answer::NoStream("SESSION_UNKNOWN"));
        }
        self.attach(who, after, true);
        let (head, time) = (self.head(), self.service.journal.last().map_or(0, |event| event.time));
        self.clients[client].inbox.push_back(Told::Welcome { who, resumed: true, head, time });
        let silent = self.errs(Mistake::ResumesSilently);
        let late = after < head && self.errs(Mistake::ResumesLate);
        if let Some(stream) = self.service.streams.get_mut(&who) {
            stream.silent = silent;
            stream.handed += u64::from(late);
        }
        if after > 1 && self.errs(Mistake::ResumesEarly) {
            let again = self.service.journal[after as usize - 1].clone();
            self.clients[client].inbox.push_back(Told::Event(again));
        }
        if self.errs(Mistake::ExpiresResumed) {
            self.expire(who);
        }
    }

    pub(super) fn serve_publish(&mut self, client: usize, sent: u64, seen: u64, id: String, text: String) {
        let who = self.clients[client].who;
        if !self.service.active.contains_key(&who) {
            return self.clients[client].answers.push_back(Answer::NoStream("SESSION_UNKNOWN"));
        }
        if self.others_are_online(client) && self.errs(Mistake::NeverAnswers) {
            return;
        }
        let known = self.service.answered.get(&(who, id.clone())).copied();
        if let Some((sequence, time)) = known {
            if self.errs(Mistake::TakesRetryForNew) {
                let event = Event { sent, seen, id: id.clone(), content: text, ..self.blank(who, "message") };
                self.broadcast(event);
            }
            let time = if self.errs(Mistake::AcksRetryOtherwise) { time + 1 } else { time };
            return self.clients[client].answers.push_back(Answer::Published { id, sequence, time });
        }
        if text.chars().count() > 128 && !self.errs(Mistake::TakesLongText) {
            let reason = "TEXT_TOO_LONG";
            return self.clients[client].answers.push_back(Answer::Refused { id, text, reason });
        }
        let refused = self.dice.chance(3) && !self.made;
        let told = refused && self.errs(Mistake::RefusesAndTells);
        if refused && !told {
            self.note(json!({"event": "request_refused", "reason": "RATE_LIMITED"}));
            return self.clients[client].answers.push_back(Answer::Refused { id, text, reason: "RATE_LIMITED" });
        }
        if self.errs(Mistake::AcksAndLoses) {
            let (sequence, time) = (self.head() + 1, self.service.clock.max(sent) + 2);
            return self.clients[client].answers.push_back(Answer::Published { id, sequence, time });
        }
        if self.errs(Mistake::AcksBeforeOrder) && self.ack_before_order(client, who, sent, seen, &id, &text) {
            return;
        }
        let event = Event { sent, seen, id: id.clone(), content: text.clone(), ..self.blank(who, "message") };
        let (mut sequence, mut time) = self.broadcast(event);
        if told {
            return self.clients[client].answers.push_back(Answer::Refused { id, text, reason: "RATE_LIMITED" });
        }
        if self.errs(Mistake::AcksOtherEvent) {
            sequence -= 1;
        }
        if self.errs(Mistake::AcksOtherTime) {
            time -= 1;
        }
        self.clients[client].answers.push_back(Answer::Published { id, sequence, time });
    }

    fn others_are_online(&self, client: usize) -> bool {
        let is_online =
            |other: &Client| other.phase == Phase::Online && self.service.active.contains_key(&other.who);
        self.clients.iter().enumerate().any(|(index, other)| index != client && is_online(other))
    }

    /// Acknowledges this message first; then another client's message is sent and gets an earlier position.
    pub(super) fn ack_before_order(
        &mut self,
        client: usize,
        who: u64,
        sent: u64,
        seen: u64,
        id: &str,
        text: &str,
    ) -> bool {
        let is_ready = |other: &usize| {
            let person = &self.clients[*other];
            *other != client
                && person.phase == Phase::Online
                && !person.in_flight
                && person.outbox.front().is_some_and(|draft| !draft.tried)
                && self.service.active.contains_key(&person.who)
        };
        let Some(other) = (0..self.clients.len()).find(is_ready) else {
            self.made = false;
            return false;
        };
        let promised = self.head() + 2;
        // The time of the other message is known in advance, as it is about to be sent.
        let first = self.service.clock.max(self.clients[other].clock + 1) + 2;
        let time = first.max(sent) + 2;
        let answer = Answer::Published { id: id.to_owned(), sequence: promised, time };
        self.pass(5_000);
        self.clients[client].answers.push_back(answer);
        while !self.clients[client].answers.is_empty() {
            self.hear(client);
        }
        self.pass(2 * SECOND);
        self.send(other);
        self.serve(other);
        self.pass(5_000);
        let event =
            Event { sent, seen, id: id.to_owned(), content: text.to_owned(), ..self.blank(who, "message") };
        self.broadcast(event);
        true
    }
}
