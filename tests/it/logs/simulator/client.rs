//! The clients of the simulator: what they ask for.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::mistakes::Mistake;
use super::requests::{Answer, Request, Told};
use super::world::{SECOND, World};

#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) seen: u64,
    pub(super) tried: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Away,
    Joining,
    Online,
    Offline,
    Resuming,
    Leaving,
    Gone,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: String,
    pub(super) offset: i64,
    pub(super) phase: Phase,
    pub(super) clock: u64,
    pub(super) who: u64,
    pub(super) position: u64,
    pub(super) outbox: VecDeque<Draft>,
    pub(super) in_flight: bool,
    pub(super) written: u64,
    pub(super) requests: VecDeque<Request>,
    pub(super) answers: VecDeque<Answer>,
    pub(super) inbox: VecDeque<Told>,
    pub(super) log: Vec<Value>,
    /// Whether its program does not read updates, so that they wait and are not delivered.
    pub(super) is_unread: bool,
    /// How many times it was started.
    pub(super) starts: u64,
    /// The epoch of the journal of its session.
    pub(super) epoch: &'static str,
}

impl World {
    pub(super) fn join(&mut self, client: usize) {
        if self.clients[client].log.is_empty() {
            self.say(client, json!({"event": "client_started"}));
        }
        let mut sent = self.tick(client);
        let is_free = !self.service.active.values().any(|name| *name == self.clients[client].name);
        if is_free && self.errs(Mistake::TakesLeap) {
            sent += (1 << 20) + 100_000;
            self.clients[client].clock = sent;
        }
        self.say(client, json!({"event": "join_sent", "sent_logical_time": sent, "local_time": sent}));
        self.clients[client].phase = Phase::Joining;
        self.clients[client].requests.push_back(Request::Join { sent });
    }

    pub(super) fn resume(&mut self, client: usize) {
        if self.errs(Mistake::ClockStartsAnew) {
            self.clients[client].clock = 0;
        }
        let person = &self.clients[client];
        // If its own join has not been delivered yet, it resumes before that.
        let after = person.position.max(person.who - 1);
        let sent = self.tick(client);
        self.say(
            client,
            json!({"event": "join_sent", "sent_logical_time": sent, "local_time": sent, "sequence": after}),
        );
        self.clients[client].phase = Phase::Resuming;
        self.clients[client].requests.push_back(Request::Resume { after });
    }

    /// The program is started again, with the same log.
    pub(super) fn again(&mut self, client: usize) {
        let person = &mut self.clients[client];
        (person.phase, person.clock, person.who, person.position) = (Phase::Away, 0, 0, 0);
        (person.in_flight, person.outbox) = (false, VecDeque::new());
        self.say(client, json!({"event": "client_started"}));
    }

    pub(super) fn submit(&mut self, client: usize) {
        let person = &mut self.clients[client];
        if !matches!(person.phase, Phase::Online | Phase::Offline) || person.who == 0 || person.position == 0 {
            return;
        }
        person.written += 1;
        let (id, text, seen) = (
            format!("{}-{}", person.name, person.written),
            format!("message {}", person.written),
            person.position,
        );
        let seen = match () {
            () if self.errs(Mistake::SaysSeenLess) => seen - 1,
            () if self.errs(Mistake::SaysSeenMore) => seen + 1,
            () if self.errs(Mistake::SaysSeenFuture) => seen + 5_000,
            () => seen,
        };
        let is_long = self.mistake == Some(Mistake::TakesLongText) && self.dice.chance(20);
        let text = if is_long { "æ".repeat(129) } else { text };
        self.say(
            client,
            json!({"event": "publish_queued", "message_id": id, "seen_sequence": seen, "content": text}),
        );
        self.clients[client].outbox.push_back(Draft { id, text, seen, tried: false });
    }

    pub(super) fn send(&mut self, client: usize) {
        let person = &self.clients[client];
        if person.phase != Phase::Online || person.in_flight || person.position == 0 {
            return;
        }
        let Some(mut draft) = person.outbox.front().cloned() else { return self.leave(client) };
        let position = person.position;
        if draft.seen < position && self.errs(Mistake::SeesWhileWaiting) {
            draft.seen = position;
            self.clients[client].outbox[0].seen = position;
        }
        let mut sent =
            if self.errs(Mistake::SendsWithoutTick) { self.clients[client].clock } else { self.tick(client) };
        let local = sent;
        if self.errs(Mistake::StampsOldTime) {
            sent = self.service.journal[position as usize - 1].time;
        }
        let Draft { id, text, seen, .. } = draft;
        self.clients[client].outbox[0].tried = true;
        self.say(
            client,
            json!({"event": "publish_sent", "message_id": id, "sent_logical_time": sent, "seen_sequence": seen,
                "local_time": local, "content": text}),
        );
        self.clients[client].in_flight = true;
        self.clients[client].requests.push_back(Request::Publish { sent, seen, id, text });
    }

    pub(super) fn leave(&mut self, client: usize) {
        if self.made || !self.dice.chance(6) {
            return;
        }
        let mut sent = self.tick(client);
        let local = sent;
        if self.errs(Mistake::LeavesInThePast) {
            sent = self.service.journal[self.clients[client].position as usize - 1].time;
        }
        self.say(client, json!({"event": "leave_sent", "sent_logical_time": sent, "local_time": local}));
        self.clients[client].phase = Phase::Leaving;
        self.clients[client].requests.push_back(Request::Leave { sent });
    }

    /// The connection breaks. Requests in flight may still reach the service, but no answer comes back.
    pub(super) fn cut(&mut self, client: usize, reason: &'static str) {
        if self.service.up {
            let arrive = self.dice.below(self.clients[client].requests.len() as u64 + 1);
            // No mistake is made here, since no answer would show it.
            self.unseen = true;
            (0..arrive).for_each(|_| self.serve(client));
            self.unseen = false;
        }
        let who = self.clients[client].who;
        // A join whose Welcome is lost has opened a stream, too.
        let served = self.clients[client].inbox.iter().find_map(|told| match told {
            Told::Welcome { who, .. } => Some(*who),
            Told::Event(_) => None,
        });
        let who = served.unwrap_or(who);
        if self.service.up && self.service.streams.remove(&who).is_some() {
            self.note(
                json!({"event": "client_disconnected", "participant_id": format!("p{who}"), "reason": reason}),
            );
            if self.service.active.contains_key(&who) {
                let now = self.now;
                self.service.offline.insert(who, now);
                if self.errs(Mistake::ExpiresEarly) {
                    self.pass(5 * SECOND);
                    self.expire(who);
                }
            }
            if self.service.active.contains_key(&who) && self.errs(Mistake::HandsToEnded) {
                let head = self.head();
                self.note(json!({"event": "event_delivered", "participant_id": format!("p{who}"),
                    "first_sequence": head, "last_sequence": head}));
            }
        }
        let person = &mut self.clients[client];
        person.requests.clear();
        person.answers.clear();
        person.inbox.clear();
        person.in_flight = false;
        let next = match person.phase {
            Phase::Joining | Phase::Away => Phase::Away,
            Phase::Gone => return,
            _ => Phase::Offline,
        };
        person.phase = next;
        self.say(client, json!({"event": "disconnected", "reason": reason}));
    }

    /// The process is killed, and logs nothing more.
    pub(super) fn vanish(&mut self, client: usize) {
        let end = self.clients[client].log.len();
        self.cut(client, "DISCONNECTED");
        let person = &mut self.clients[client];
        person.log.truncate(end);
        person.phase = Phase::Gone;
    }

    pub(super) fn send_pending(&mut self, client: usize) {
        if !self.clients[client].outbox.is_empty() {
            self.send(client);
        }
    }
}
