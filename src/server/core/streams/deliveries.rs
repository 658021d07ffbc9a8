//! The records of deliveries: one for all streams that got the same range of events within a second. Most of a thousand
//! readers are at the same position, and a record for each of them and each batch would cost more than the deliveries.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::open_streams::{StreamId, StreamLink};
use crate::chat::ParticipantId;
use crate::journal::Epoch;
use crate::log::{About, ServerRecord};

/// How often deliveries are recorded.
pub const DELIVERIES_RECORDED: Duration = Duration::from_secs(1);
/// How many participants one record names, so that no line of the log becomes long.
const PARTICIPANTS_PER_RECORD: usize = 1_000;

struct Recorded {
    participant: ParticipantId,
    link: Arc<StreamLink>,
    up_to: u64,
}

impl Recorded {
    /// The range of events that were delivered and not recorded yet, which counts as recorded from now on.
    fn news(&mut self) -> Option<(u64, u64)> {
        let (first, last) = (self.up_to + 1, self.link.position().0);
        self.up_to = last;
        (last >= first).then_some((first, last))
    }
}

/// The streams, and how far their deliveries have been recorded.
pub struct DeliveryRecords {
    epoch: Epoch,
    streams: HashMap<StreamId, Recorded>,
}

impl DeliveryRecords {
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, streams: HashMap::new() }
    }

    /// Adds a stream that begins.
    pub fn begin(&mut self, participant: ParticipantId, link: Arc<StreamLink>) {
        let up_to = link.position().0;
        self.streams.insert(link.id(), Recorded { participant, link, up_to });
    }

    /// Removes a stream that has ended, and records the rest of its deliveries at once.
    pub fn end(&mut self, stream: StreamId) {
        let Some(mut stream) = self.streams.remove(&stream) else { return };
        if let Some(range) = stream.news() {
            self.emit(range, &[stream.participant]);
        }
    }

    /// Records what was delivered since the last time.
    pub fn record(&mut self) {
        for (range, participants) in self.news() {
            participants.chunks(PARTICIPANTS_PER_RECORD).for_each(|some| self.emit(range, some));
        }
    }

    fn news(&mut self) -> BTreeMap<(u64, u64), Vec<ParticipantId>> {
        let mut ranges: BTreeMap<_, Vec<ParticipantId>> = BTreeMap::new();
        for stream in self.streams.values_mut() {
            if let Some(range) = stream.news() {
                ranges.entry(range).or_default().push(stream.participant);
            }
        }
        ranges.values_mut().for_each(|participants| participants.sort_unstable());
        ranges
    }

    fn emit(&self, (first_sequence, last_sequence): (u64, u64), participants: &[ParticipantId]) {
        let about = About::epoch(self.epoch.as_str());
        let participant_ids = participants.iter().map(ToString::to_string).collect();
        ServerRecord::EventDelivered { about, first_sequence, last_sequence, participant_ids }.emit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Sequence;
    use crate::server::core::streams::open_streams::OpenStreams;

    #[test]
    fn streams_that_got_the_same_range_are_recorded_together() {
        let mut records = DeliveryRecords::new(Epoch::new("e"));
        let open = OpenStreams::new(Duration::from_secs(1), Duration::from_secs(1));
        let begin = |records: &mut DeliveryRecords, participant: u64, position: u64| {
            let link = open.open(Sequence(position));
            records.begin(ParticipantId(Sequence(participant)), link.clone());
            link
        };
        let streams = [(3, 2), (1, 2), (2, 0)].map(|(who, after)| begin(&mut records, who, after));
        assert!(records.news().is_empty(), "nothing was delivered");
        streams.iter().for_each(|stream| stream.hand_over(Sequence(5)).unwrap());
        let ids = |some: &[u64]| some.iter().map(|id| ParticipantId(Sequence(*id))).collect::<Vec<_>>();
        assert_eq!(records.news(), BTreeMap::from([((1, 5), ids(&[2])), ((3, 5), ids(&[1, 3]))]));
        assert!(records.news().is_empty(), "each event once");
        streams[0].hand_over(Sequence(6)).unwrap();
        assert_eq!(records.news(), BTreeMap::from([((6, 6), ids(&[3]))]));
    }
}
