//! The simulator's service: its deliveries.

use std::collections::VecDeque;

use serde_json::json;

use super::mistakes::Mistake;
use super::requests::Told;
use super::service::Event;
use super::world::World;

impl World {
    pub(super) fn hand_over_all(&mut self, client: usize) {
        let who = self.clients[client].who;
        loop {
            let handed = self.service.streams.get(&who).map(|stream| stream.handed);
            self.hand_over(client);
            if self.service.streams.get(&who).map(|stream| stream.handed) == handed {
                break;
            }
        }
    }

    pub(super) fn hand_over(&mut self, client: usize) {
        let welcomed = self.clients[client].inbox.iter().find_map(|told| match told {
            Told::Welcome { who, .. } => Some(*who),
            Told::Event(_) => None,
        });
        let who = welcomed.unwrap_or(self.clients[client].who);
        let head = self.service.journal.len() as u64;
        if !self.service.up || self.service.skipped > 0 {
            return;
        }
        let Some(stream) = self.service.streams.get(&who) else { return };
        if stream.silent || stream.handed >= head {
            return;
        }
        let (mut first, mut last) = (stream.handed + 1, head);
        if self.dice.chance(30) {
            last = first;
        }
        if let Some(left) = self.service.journal[first as usize - 1..last as usize]
            .iter()
            .position(|event| event.kind == "left" && event.who == who)
        {
            // A stream ends before the participant's own leave.
            if left == 0 {
                return;
            }
            last = first + left as u64 - 1;
        }
        if last < head && self.errs(Mistake::ForgetsStream) {
            self.service.streams.get_mut(&who).unwrap().silent = true;
            return;
        }
        let told: Vec<Event> = self.service.journal[first as usize - 1..last as usize].to_vec();
        if last > first && self.errs(Mistake::StreamSkips) {
            first += 1;
        }
        if first > who + 1 && self.errs(Mistake::StreamRepeats) {
            first -= 1;
        }
        self.note(json!({"event": "event_delivered", "participant_id": format!("p{who}"),
            "first_sequence": first, "last_sequence": last}));
        self.service.streams.get_mut(&who).unwrap().handed = last;
        for event in told {
            self.tell(client, event);
        }
    }

    pub(super) fn tell(&mut self, client: usize, mut event: Event) {
        let is_message = event.kind == "message";
        if self.errs(Mistake::TellsOtherTime) {
            event.time += 1;
        }
        if self.errs(Mistake::TellsOtherText) {
            event.content.push('!');
        }
        if self.errs(Mistake::TellsOtherAuthor) {
            event.who += 100;
        }
        if self.errs(Mistake::TellsOtherName) {
            event.name = "mallory".into();
        }
        if is_message && self.errs(Mistake::TellsOtherId) {
            event.id.push('x');
        }
        if is_message && self.errs(Mistake::TellsOtherSeen) {
            event.seen += 1;
        }
        if is_message && self.errs(Mistake::TellsOtherSent) {
            event.sent += 1;
        }
        if event.kind == "left" && self.errs(Mistake::TellsOtherReason) {
            event.reason = if event.reason == "REQUESTED" { "DISCONNECTED" } else { "REQUESTED" };
        }
        if is_message && self.errs(Mistake::TellsOtherKind) {
            event.kind = "left";
        }
        let inner = event.who != self.clients[client].who && !self.clients[client].inbox.is_empty();
        if inner && self.errs(Mistake::DropsDelivery) {
            return;
        }
        if self.errs(Mistake::RepeatsDelivery) {
            self.clients[client].inbox.push_back(Told::Event(event.clone()));
        }
        self.clients[client].inbox.push_back(Told::Event(event));
        let count = self.clients[client].inbox.len();
        let both = |inbox: &VecDeque<Told>| {
            matches!(inbox.range(count - 2..).collect::<Vec<_>>()[..], [Told::Event(_), Told::Event(_)])
        };
        if count > 2 && both(&self.clients[client].inbox) && self.errs(Mistake::SwapsDeliveries) {
            self.clients[client].inbox.swap(count - 2, count - 1);
        }
    }
}
