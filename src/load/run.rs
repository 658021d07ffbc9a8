//! The state that all tasks of a run share: the plan, the messages, when each was sent, and the latencies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::Plan;

/// The number of histograms that readers share: far fewer than one for each of ten thousand, but enough that two rarely
/// need the same one.
const SHARDS: usize = 16;
/// The longest latency that is kept exactly: an hour, in microseconds. No wait for an answer is that long.
const LATENCY_MAX: u64 = 60 * 60 * 1_000_000;
/// How many digits of a latency are kept.
const SIGNIFICANT_DIGITS: u8 = 3;

const RUN_ID_BYTES: usize = 8;
const MESSAGE_ID_BYTES: usize = 2 * RUN_ID_BYTES;

/// The phrase that all messages of a run are made of.
const PHRASE: &str = "the quick brown fox jumps over the lazy dog ";

#[derive(Debug)]
pub struct Run {
    pub plan: Plan,
    /// Makes the names and messages of this run distinct from those of other runs.
    id: String,
    started: Instant,
    /// When each message was sent, in microseconds since the start, plus 1, since 0 means "not yet".
    sent: Vec<AtomicU64>,
    /// The sequence that the service acknowledged each message with; 0 for none.
    acknowledged: Vec<AtomicU64>,
    publish_latencies: Mutex<Histogram<u64>>,
    delivery_latencies: Vec<Mutex<Histogram<u64>>>,
}

/// An empty histogram, in microseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX, SIGNIFICANT_DIGITS).expect("these bounds can be kept")
}

impl Run {
    /// A run that begins now. `id` distinguishes it from others at the same service.
    pub fn new(plan: Plan, id: u32) -> Self {
        let numbers = || (0..plan.messages).map(|_| AtomicU64::new(0)).collect();
        Self {
            id: format!("{id:08x}"),
            started: Instant::now(),
            sent: numbers(),
            acknowledged: numbers(),
            publish_latencies: Mutex::new(histogram()),
            delivery_latencies: (0..SHARDS).map(|_| Mutex::new(histogram())).collect(),
            plan,
        }
    }

    /// The name of a participant.
    pub fn display_name(&self, participant: usize) -> String {
        format!("load {} {participant}", self.id)
    }

    pub fn message_id(&self, message: u64) -> String {
        format!("{}{message:08x}", self.id)
    }

    /// The message of this run that has this id, if there is one.
    pub fn message(&self, id: &[u8]) -> Option<u64> {
        if id.len() != MESSAGE_ID_BYTES {
            return None;
        }
        let number = std::str::from_utf8(id).ok()?.strip_prefix(&*self.id)?;
        u64::from_str_radix(number, 16).ok().filter(|message| *message < self.plan.messages)
    }

    /// The text of a message: as many characters as planned, and different for each message.
    pub fn text(&self, message: u64) -> String {
        let number = format!("{message} ");
        number.chars().chain(PHRASE.chars().cycle()).take(self.plan.text_characters).collect()
    }

    /// A message is sent, or was due, at this time.
    pub fn note_sent(&self, message: u64, at: Instant) {
        self.sent[message as usize].store(self.microseconds(at) + 1, Ordering::Release);
    }

    /// A message was acknowledged.
    pub fn note_acknowledged(&self, message: u64, sequence: u64, at: Instant) {
        self.acknowledged[message as usize].store(sequence, Ordering::Release);
        if let Some(latency) = self.latency(message, at) {
            self.publish_latencies.lock().saturating_record(latency);
        }
    }

    /// The microseconds from the sending of a message to this time; `None` if it has not been sent.
    pub fn latency(&self, message: u64, at: Instant) -> Option<u64> {
        let sent = self.sent[message as usize].load(Ordering::Acquire).checked_sub(1)?;
        Some(self.microseconds(at).saturating_sub(sent))
    }

    /// The sequence that a message was acknowledged with.
    pub fn sequence_of(&self, message: u64) -> Option<u64> {
        Some(self.acknowledged[message as usize].load(Ordering::Acquire)).filter(|sequence| *sequence > 0)
    }

    /// The largest sequence that was acknowledged; 0 for none.
    pub fn last_acknowledged(&self) -> u64 {
        self.acknowledged.iter().map(|sequence| sequence.load(Ordering::Acquire)).max().unwrap_or(0)
    }

    /// The histogram for a reader's latencies.
    pub fn shard(&self, reader: usize) -> MutexGuard<'_, Histogram<u64>> {
        self.delivery_latencies[reader % SHARDS].lock()
    }

    pub fn publish_latencies(&self) -> Histogram<u64> {
        self.publish_latencies.lock().clone()
    }

    pub fn delivery_latencies(&self) -> Histogram<u64> {
        let mut all = histogram();
        for shard in &self.delivery_latencies {
            all.add(&*shard.lock()).expect("the sum grows as it needs");
        }
        all
    }

    /// When a message is due, if publishes are paced; `first` is when the first one is.
    pub fn due(&self, message: u64, first: Instant) -> Option<Instant> {
        let interval = self.plan.interval?;
        let nanoseconds = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).saturating_mul(message);
        first.checked_add(Duration::from_nanos(nanoseconds))
    }

    fn microseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.started).as_micros()).unwrap_or(u64::MAX - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{DisplayName, MessageText};

    fn run(messages: u64, text_characters: usize) -> Run {
        Run::new(Plan { messages, text_characters, ..Plan::default() }, 0x1a)
    }

    /// A text of any size is a valid message (S3), and differs from the next one if it is long enough.
    #[test]
    fn texts_and_names_are_valid_and_as_long_as_planned() {
        for characters in [1, 2, 64, 128] {
            let run = run(1000, characters);
            for message in [0, 7, 999] {
                let text = run.text(message);
                assert_eq!(text.chars().count(), characters);
                assert!(MessageText::parse(text).is_ok());
            }
            assert_ne!(run.text(1), run.text(2));
        }
        for participant in [0, 9_999] {
            let name = run(1, 1).display_name(participant);
            assert_eq!(DisplayName::parse(&name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn a_message_id_names_a_message_of_its_own_run_only() {
        let run = run(300, 10);
        for message in [0, 1, 299] {
            let id = run.message_id(message);
            assert_eq!((id.len(), run.message(id.as_bytes())), (MESSAGE_ID_BYTES, Some(message)));
        }
        for id in ["", "0000001a", "0000001b00000001", "0000001a0000012c", "0000001a000000zz"] {
            assert_eq!(run.message(id.as_bytes()), None, "{id}");
        }
    }

    #[test]
    fn latency_counts_from_the_sending() {
        let run = run(2, 10);
        let sent = Instant::now();
        let later = sent + Duration::from_micros(1500);
        assert_eq!(run.latency(0, later), None);
        run.note_sent(0, sent);
        run.note_acknowledged(0, 7, later);
        assert_eq!((run.latency(0, later), run.sequence_of(0), run.sequence_of(1)), (Some(1500), Some(7), None));
        assert_eq!((run.last_acknowledged(), run.publish_latencies().len()), (7, 1));
        run.shard(3).saturating_record(2000);
        run.shard(4).saturating_record(4000);
        assert_eq!(run.delivery_latencies().len(), 2);
    }

    #[test]
    fn paced_messages_are_due_at_even_intervals() {
        let first = Instant::now();
        let mut run = run(9, 10);
        assert_eq!(run.due(3, first), None);
        run.plan.interval = Some(Duration::from_millis(30));
        assert_eq!(run.due(3, first), Some(first + Duration::from_millis(90)));
    }
}
