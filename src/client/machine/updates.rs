//! The updates that wait for the program. An event is delivered, and recorded, when the program takes it: until then
//! the program has not seen it. (A page takes each event as it arrives.)

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use super::Machine;
use super::state::Phase;
use super::step::{Moment, Output};
use crate::chat::{LogicalTime, Sequence};
use crate::client::event::{Event, Kind};
use crate::client::{Missed, Update};
use crate::log::ClientRecord;

/// How many updates can wait for the program. When the queue is full, the stream is not read.
const UPDATES_WAITING: usize = 256;
/// What the log says of a stream that the client dropped.
const NOT_READ_TO_END: &str = "the stream was not read to its end";
/// Up to this many missed events are held until all have arrived, to count the messages among them.
const MISSED_COUNTED: u64 = 200;

/// The updates that wait.
#[derive(Debug, Default)]
pub(super) struct UpdateQueue {
    waiting: VecDeque<Update>,
    replay: Option<Replay>,
    /// The program has dropped its updates.
    is_unread: bool,
    lifecycle: Lifecycle,
}

/// Whether the client and the program are still active.
#[derive(Debug, Default)]
enum Lifecycle {
    #[default]
    Running,
    /// The client has stopped; the program has not taken all updates.
    Stopped(Ending),
    /// The program has taken all updates, and the end is in the log.
    Recorded,
}

/// How the client stopped.
#[derive(Debug)]
pub(super) struct Ending {
    /// The client dropped a stream that the service had not ended.
    pub(super) is_cut: bool,
    /// Why it failed, if it did.
    pub(super) reason: Option<String>,
}

/// The missed events, as they arrive. They are counted before the program gets any of them.
#[derive(Debug)]
struct Replay {
    after: Option<Duration>,
    /// How many events were missed; `None` if nothing of the membership has been received yet, since it is then unknown
    /// where it begins.
    count: Option<u64>,
    events: Vec<Event>,
}

impl Machine {
    /// Whether no more updates will be added to those that wait.
    pub(in crate::client) fn is_over(&self) -> bool {
        !matches!(self.updates.lifecycle, Lifecycle::Running)
    }

    /// Whether updates wait for the program.
    pub(in crate::client) fn has_updates(&self) -> bool {
        !self.updates.waiting.is_empty()
    }

    /// The clock now.
    pub(in crate::client) fn logical_time(&self) -> LogicalTime {
        self.clock.now()
    }

    /// Whether the stream should be read. If not, the transport passes the backpressure on to the service.
    pub(in crate::client) fn has_room(&self) -> bool {
        self.updates.waiting.len() < UPDATES_WAITING
    }

    #[cfg(test)]
    pub(super) fn updates_waiting(&self) -> usize {
        self.updates.waiting.len()
    }

    /// Adds an update for the program.
    pub(super) fn push(&mut self, update: Update) {
        match (&mut self.updates.replay, update) {
            (Some(replay), Update::Event(event)) => {
                replay.events.push(event);
                let received = replay.events.len() as u64;
                if replay.count == Some(received) || received > MISSED_COUNTED {
                    self.end_replay();
                }
            }
            (_, update) => {
                self.end_replay();
                self.put(update);
            }
        }
    }

    /// A stream resumes the session, and the missed events come first.
    pub(super) fn resumed(&mut self, after: Option<Duration>) {
        self.end_replay();
        let count = (self.cursor > Sequence(0)).then(|| self.head.0.saturating_sub(self.cursor.0));
        self.updates.replay = Some(Replay { after, count, events: Vec::new() });
        if count.is_some_and(|count| count == 0 || count > MISSED_COUNTED) {
            self.end_replay();
        }
    }

    /// All missed events have been received.
    pub(super) fn replay_is_complete(&mut self) {
        if let Some(replay) = &mut self.updates.replay {
            replay.count = Some(replay.events.len() as u64);
            self.end_replay();
        }
    }

    /// Reports to the program how much it missed, followed by those of the missed events that have arrived.
    fn end_replay(&mut self) {
        let Some(Replay { after, count, events }) = self.updates.replay.take() else { return };
        let me = self.participant_id().map(str::to_owned);
        let others = || events.iter().filter(|event| Some(&event.participant.participant_id) != me.as_ref());
        let before = |event: &Event| Sequence(event.sequence.0.saturating_sub(1));
        let start = events.first().map_or(self.cursor, before);
        let missed = if Some(events.len() as u64) == count {
            let messages = others().filter(|event| matches!(event.kind, Kind::Message { .. })).count() as u64;
            Missed { events: others().count() as u64, messages: Some(messages) }
        } else {
            let events = count.unwrap_or_else(|| self.head.0.saturating_sub(start.0));
            Missed { events, messages: None }
        };
        self.put(match after {
            Some(after) => Update::Back { after, missed },
            None => Update::Continued { after: start, missed },
        });
        events.into_iter().for_each(|event| self.put(Update::Event(event)));
    }

    fn put(&mut self, mut update: Update) {
        if self.updates.is_unread {
            // The program takes no more updates, so the event is delivered here.
            return self.deliver(&mut update);
        }
        // If the program takes no updates, the newest notice replaces those before it, so that a connection that breaks
        // again and again cannot fill the queue.
        while self.updates.waiting.len() >= 2 * UPDATES_WAITING
            && matches!(
                self.updates.waiting.back(),
                Some(
                    Update::Offline { .. }
                        | Update::Back { .. }
                        | Update::Waiting { .. }
                        | Update::Presence { .. }
                        | Update::Lab { .. }
                )
            )
        {
            self.updates.waiting.pop_back();
        }
        self.updates.waiting.push_back(update);
    }

    /// Gives an event to the program (IR2). An event that an earlier process has recorded is not recorded again.
    fn deliver(&mut self, update: &mut Update) {
        let Update::Event(event) = update else { return };
        // It has been delivered already: a clock that has received anything is past 0.
        if event.local_time > LogicalTime(0) {
            return;
        }
        event.local_time = self.clock.receive(event.logical_time);
        if event.sequence > self.position {
            self.position = event.sequence;
            self.outputs.push(Output::Delivered(event.clone()));
        }
        self.save();
    }

    /// The membership is over. The waiting updates belong to it, so they are recorded before another one begins.
    pub(super) fn deliver_all(&mut self) {
        self.end_replay();
        let mut updates = mem::take(&mut self.updates.waiting);
        updates.iter_mut().for_each(|update| self.deliver(update));
        self.updates.waiting = updates;
    }

    /// The program takes the next update.
    pub(super) fn take(&mut self, now: Moment) {
        let had_room = self.has_room();
        if let Some(mut update) = self.updates.waiting.pop_front() {
            self.deliver(&mut update);
            self.outputs.push(Output::Update(update));
        }
        self.made_room(had_room, now);
        self.record_end();
    }

    /// The program takes no more updates: waiting and later events still count as delivered.
    pub(super) fn unread(&mut self, now: Moment) {
        let had_room = self.has_room();
        self.deliver_all();
        self.updates.is_unread = true;
        self.updates.waiting.clear();
        self.made_room(had_room, now);
        self.record_end();
    }

    /// While we applied backpressure, the silence was ours.
    fn made_room(&mut self, had_room: bool, now: Moment) {
        if let Phase::Online { silent_since, .. } = &mut self.phase
            && !had_room
        {
            *silent_since = now.at;
        }
    }

    /// The client has stopped. The program can still take the remaining updates.
    pub(super) fn end_updates(&mut self, last: Option<Update>, ending: Ending) {
        self.end_replay();
        last.into_iter().for_each(|update| self.put(update));
        self.updates.lifecycle = Lifecycle::Stopped(ending);
        self.record_end();
    }

    /// Records the end after all deliveries. Without the record of a dropped stream, an acknowledged leave would mean
    /// that the client had received everything up to its Left (V9).
    fn record_end(&mut self) {
        if self.updates.waiting.is_empty()
            && let Lifecycle::Stopped(Ending { is_cut, reason }) = &mut self.updates.lifecycle
        {
            let (is_cut, reason) = (*is_cut, reason.take().map(Into::into));
            self.updates.lifecycle = Lifecycle::Recorded;
            if is_cut {
                self.record(ClientRecord::Disconnected { about: self.about(), reason: NOT_READ_TO_END.into() });
            }
            self.record(ClientRecord::ClientStopped { about: self.about(), reason });
        }
    }
}
