//! A second implementation of the page's causality: what could have caused what, as far as the events record it, and
//! how orders weaker than the service's would arrange them. The page has these rules in `web/src/core/causality/`, and
//! `tests/vectors/causality.json` holds both to the same answers.
//!
//! The service's order is finer than causality: it also orders events that are independent of each other.

use std::collections::BTreeMap;

/// The kind of an event, as far as causality is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A participant joined. Nothing is known about what it had seen.
    Joined,
    /// A participant left at its request.
    Left,
    /// A participant left because its connection was lost. The service itself caused this, and knows all events before.
    Gone,
    /// A message.
    Message {
        /// The sender's clock when it sent; 0 if it is not stated.
        sent: u64,
        /// The last event that had been delivered to its writer; 0 if it is not stated.
        seen: u64,
        /// The sender's wall clock when it sent, in milliseconds since 1970.
        sent_at: Option<i64>,
    },
}

/// An event. The events of a run have the sequences 1, 2, 3 ….
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who joined, left or wrote.
    pub author: String,
    /// The Lamport time of its broadcast.
    pub time: u64,
    /// The service's wall clock, in milliseconds since 1970.
    pub recorded_at: i64,
    /// What happened.
    pub kind: Kind,
}

impl Event {
    /// Whether it states what had been delivered to its author. Without that it is never called concurrent.
    fn says_what_was_seen(&self) -> bool {
        matches!(self.kind, Kind::Message { seen: 1.., .. })
    }

    /// When it was sent, if its sender's clock is plausible.
    fn sending_time(&self) -> Option<u64> {
        match self.kind {
            Kind::Message { sent, .. }
                if sent > 0 && sent.checked_add(2).is_some_and(|least| least <= self.time) =>
            {
                Some(sent)
            }
            _ => None,
        }
    }

    fn wall_time(&self) -> i64 {
        match self.kind {
            Kind::Message { sent_at: Some(at), .. } => at,
            _ => self.recorded_at,
        }
    }
}

/// The relation of one event to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// It is the same event.
    Same,
    /// It is in the other's past.
    Past,
    /// It is in the other's future.
    Future,
    /// Neither can have caused the other.
    Concurrent,
    /// One of them does not say what its author had seen.
    Unknown,
}

/// An order of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lens<'a> {
    /// The service's order, the same for all.
    Total,
    /// An effect comes after its causes.
    Causal,
    /// The events of one sender come in its order.
    Fifo,
    /// What this participant would see if its own messages appeared at once, without waiting for the service.
    Arrival(&'a str),
    /// By the wall clocks of the senders.
    Wall,
}

/// Two events, by their indices; the first comes first in the total order.
pub type Pair = (usize, usize);

/// An arrow that crosses a cut backwards: its end is inside, and its beginning is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backward {
    /// The service has received a message, by its index, that has not been sent.
    Unsent(usize),
    /// The writer of the second has seen the first, which the service has not broadcast.
    Unseen(usize, usize),
}

/// The causality of a run.
#[derive(Clone, Debug)]
pub struct Causality<'a> {
    events: &'a [Event],
    /// For each event, the sequence up to which all events are in its past. It never falls for an author.
    known: Vec<u64>,
}

impl<'a> Causality<'a> {
    /// The causality of events in the service's order.
    pub fn of(events: &'a [Event]) -> Self {
        let mut by_author: BTreeMap<&str, u64> = BTreeMap::new();
        let known = (1..).zip(events).map(|(sequence, event): (u64, &Event)| {
            let before = by_author.entry(&event.author).or_default();
            let known = match event.kind {
                Kind::Joined => 0,
                Kind::Left => *before,
                Kind::Gone => sequence - 1,
                Kind::Message { seen, .. } => seen.min(sequence - 1).max(*before),
            };
            *before = known;
            known
        });
        Self { events, known: known.collect() }
    }

    /// Whether the first event, by its index, is in the past of the second.
    pub fn precedes(&self, first: usize, second: usize) -> bool {
        let own = self.events[first].author == self.events[second].author;
        first < second && (own || (first as u64) < self.known[second])
    }

    /// The relation of `other` to an event, both by their indexes.
    pub fn relation(&self, other: usize, event: usize) -> Relation {
        let tells = |index: usize| self.events[index].says_what_was_seen();
        match () {
            () if other == event => Relation::Same,
            () if self.precedes(other, event) => Relation::Past,
            () if self.precedes(event, other) => Relation::Future,
            () if tells(other) && tells(event) => Relation::Concurrent,
            () => Relation::Unknown,
        }
    }

    /// The vector clock of an event: how many events of each participant are in its past, itself included.
    pub fn vector(&self, event: usize) -> BTreeMap<&'a str, u64> {
        let mut vector = BTreeMap::new();
        for (index, other) in self.events.iter().enumerate() {
            if index == event || self.precedes(index, event) {
                *vector.entry(other.author.as_str()).or_default() += 1;
            }
        }
        vector
    }

    /// Whether a lens may put the second of two events, which comes later in the service's order, before the first.
    pub fn may_swap(&self, lens: Lens<'_>, first: usize, second: usize) -> bool {
        let (one, other) = (&self.events[first], &self.events[second]);
        match lens {
            Lens::Total => false,
            Lens::Causal => self.relation(first, second) == Relation::Concurrent,
            Lens::Fifo => one.author != other.author,
            Lens::Arrival(reader) => {
                let own = other.author == reader && other.says_what_was_seen();
                own && one.author != reader && first as u64 >= self.known[second]
            }
            Lens::Wall => one.wall_time() > other.wall_time(),
        }
    }

    /// An order that a lens allows, as indexes: one that differs much from the service's and is easy to find.
    pub fn order(&self, lens: Lens<'_>) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.events.len()).collect();
        match lens {
            Lens::Total => {}
            Lens::Wall => order.sort_by_key(|index| self.events[*index].wall_time()),
            Lens::Arrival(reader) => {
                // The reader's own message comes right after the last event that its writer had seen.
                let mut before = 0;
                order.sort_by_cached_key(|index| {
                    let event = &self.events[*index];
                    if event.author != reader || !event.says_what_was_seen() {
                        return (*index as u64 + 1) * 2;
                    }
                    before = before.max(self.known[*index] * 2 + 1);
                    before
                });
            }
            Lens::Causal | Lens::Fifo => {
                let mut left = std::mem::take(&mut order);
                while !left.is_empty() {
                    let may = |at: usize| left[..at].iter().all(|earlier| self.may_swap(lens, *earlier, left[at]));
                    let at = (0..left.len()).rev().find(|at| may(*at)).unwrap_or(0);
                    order.push(left.remove(at));
                }
            }
        }
        order
    }

    /// The pairs that a lens may swap, and those among them that are a cause and its effect.
    pub fn swappable(&self, lens: Lens<'_>) -> (Vec<Pair>, Vec<Pair>) {
        let count = self.events.len();
        let pairs = (0..count).flat_map(|first| (first + 1..count).map(move |second| (first, second)));
        let swappable: Vec<_> = pairs.filter(|(first, second)| self.may_swap(lens, *first, *second)).collect();
        let wrong = swappable.iter().copied().filter(|(first, second)| self.precedes(*first, *second)).collect();
        (swappable, wrong)
    }

    /// The arrows that cross a cut backwards; none if it is consistent. `line` has the last time inside the cut for
    /// each participant, and `service` has the service's.
    pub fn backwards(&self, line: &BTreeMap<&str, u64>, service: u64) -> Vec<Backward> {
        let mut found = Vec::new();
        for (index, event) in self.events.iter().enumerate() {
            let (Kind::Message { seen, .. }, Some(sent)) = (event.kind, event.sending_time()) else { continue };
            let has_sent = line.get(event.author.as_str()).is_some_and(|time| sent <= *time);
            if event.time - 1 <= service && !has_sent {
                found.push(Backward::Unsent(index));
            }
            let seen =
                seen.checked_sub(1).and_then(|seen| usize::try_from(seen).ok()).filter(|seen| *seen < index);
            if let Some(seen) = seen.filter(|seen| has_sent && self.events[*seen].time > service) {
                found.push(Backward::Unseen(seen, index));
            }
        }
        found
    }
}
