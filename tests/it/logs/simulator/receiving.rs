//! The simulator's clients: what they receive.

use serde_json::json;

use super::client::Phase;
use super::mistakes::Mistake;
use super::requests::{Answer, Told};
use super::service::Event;
use super::world::{EPOCH, World};

impl World {
    pub(super) fn tick(&mut self, client: usize) -> u64 {
        self.clients[client].clock += 1;
        self.clients[client].clock
    }

    pub(super) fn receive(&mut self, client: usize, time: u64) -> u64 {
        let clock = &mut self.clients[client].clock;
        *clock = (*clock).max(time) + 1;
        *clock
    }

    pub(super) fn take_all(&mut self, client: usize) {
        while !self.clients[client].inbox.is_empty() && !self.clients[client].is_unread {
            self.take(client);
        }
    }

    pub(super) fn take(&mut self, client: usize) {
        let Some(told) = self.clients[client].inbox.pop_front() else { return };
        match told {
            Told::Welcome { who, resumed, head, time } => {
                let local = self.receive(client, time);
                let elsewhere = resumed && self.errs(Mistake::ResumesElsewhere);
                let person = &mut self.clients[client];
                (person.who, person.phase) = (who, Phase::Online);
                if elsewhere {
                    person.epoch = "51e0000000000002";
                }
                if !resumed {
                    person.position = 0;
                }
                let event = if resumed { "resumed" } else { "connected" };
                self.say(
                    client,
                    json!({"event": event, "sequence": head, "logical_time": time, "local_time": local}),
                );
            }
            Told::Event(event) => self.deliver(client, &event),
        }
    }

    pub(super) fn deliver(&mut self, client: usize, event: &Event) {
        let position = self.clients[client].position;
        if position > 0 && self.errs(Mistake::SendsWhatIsNotDue) {
            self.say(
                client,
                json!({"event": "event_refused", "sequence": event.sequence + 1, "expected_sequence": position + 1,
                    "reason": format!("event {} came where event {} was due", event.sequence + 1, position + 1)}),
            );
            return self.cut(client, "REFUSED");
        }
        let before = self.clients[client].clock;
        let mut local = self.receive(client, event.time);
        if event.time > before + 1 && self.errs(Mistake::ClientIgnoresTime) {
            local = before + 1;
        } else if self.errs(Mistake::DeliveryWithoutTick) {
            local = before.max(event.time);
        }
        self.clients[client].clock = local;
        let mut record = json!({"event": "event_delivered", "epoch": self.clients[client].epoch, "participant_id": format!("p{}", event.who),
            "display_name": event.name, "sequence": event.sequence, "logical_time": event.time, "local_time": local,
            "kind": event.kind, "content": event.content});
        match event.kind {
            "message" => {
                (record["message_id"], record["sent_logical_time"]) = (json!(event.id), json!(event.sent));
                record["seen_sequence"] = json!(event.seen);
            }
            "left" => record["reason"] = json!(event.reason),
            _ => {}
        }
        self.clients[client].position = event.sequence;
        self.say(client, record);
        if self.errs(Mistake::TellsPhantom) {
            let head = self.head() + 1_000;
            let event = Event { sequence: head, time: event.time + 50, ..event.clone() };
            let local = self.receive(client, event.time);
            self.say(
                client,
                json!({"event": "event_delivered", "epoch": EPOCH, "participant_id": format!("p{}", event.who),
                "display_name": event.name, "sequence": head, "logical_time": event.time, "local_time": local,
                "kind": event.kind, "content": event.content}),
            );
        }
    }

    pub(super) fn hear(&mut self, client: usize) {
        let Some(answer) = self.clients[client].answers.pop_front() else { return };
        match answer {
            Answer::Published { id, sequence, time } => {
                let before = self.clients[client].clock;
                let mut local = self.receive(client, time);
                if self.errs(Mistake::AckWithoutTick) {
                    local = before;
                    self.clients[client].clock = before;
                }
                self.clients[client].in_flight = false;
                self.clients[client].outbox.pop_front();
                self.say(
                    client,
                    json!({"event": "publish_acknowledged", "message_id": id, "sequence": sequence,
                    "logical_time": time, "local_time": local}),
                );
            }
            Answer::Refused { id, text, reason } => {
                self.clients[client].in_flight = false;
                self.clients[client].outbox.pop_front();
                self.say(
                    client,
                    json!({"event": "publish_refused", "message_id": id, "content": text, "reason": reason}),
                );
            }
            Answer::Left { sequence, time } => {
                self.take_all(client);
                let local = self.receive(client, time);
                self.say(
                    client,
                    json!({"event": "leave_acknowledged", "sequence": sequence, "logical_time": time,
                    "local_time": local}),
                );
                self.say(client, json!({"event": "client_stopped"}));
                let person = &mut self.clients[client];
                person.phase = Phase::Gone;
                person.requests.clear();
                person.answers.clear();
            }
            Answer::NoStream(reason) => {
                self.say(client, json!({"event": "disconnected", "reason": reason}));
                for draft in std::mem::take(&mut self.clients[client].outbox) {
                    self.say(
                        client,
                        json!({"event": "publish_refused", "message_id": draft.id, "content": draft.text,
                        "reason": "UNCONFIRMED"}),
                    );
                }
                let person = &mut self.clients[client];
                (person.in_flight, person.phase) = (false, Phase::Away);
                (person.who, person.position) = (0, 0);
                person.requests.clear();
                person.answers.clear();
                person.inbox.clear();
            }
        }
    }
}
