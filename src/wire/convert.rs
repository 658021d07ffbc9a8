//! Converts between the generated messages and the domain. Requests are parsed where they
//! are served, by the domain's own constructors.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::chat::{EventKind, LeaveReason};
use crate::journal::JournalEvent;

use super::pb::{self, event::Kind};

impl From<&JournalEvent> for pb::Event {
    fn from(event: &JournalEvent) -> Self {
        let kind = match &event.kind {
            EventKind::Joined { .. } => Kind::Joined(pb::Joined {}),
            EventKind::Left { reason } => Kind::Left(pb::Left { reason: pb::LeaveReason::from(*reason).into() }),
            EventKind::Message { message_id, seen, sent_at, .. } => Kind::Message(pb::Message {
                message_id: message_id.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
                sent_logical_time: event.sent_logical_time.0,
                seen_sequence: seen.0,
                sent_at: sent_at.map(Into::into),
            }),
        };
        pb::Event {
            sequence: event.sequence.0,
            logical_time: event.logical_time.0,
            content: event.content(),
            participant: Some(pb::Participant {
                participant_id: event.participant.id.to_string(),
                display_name: event.participant.display_name.to_string(),
            }),
            recorded_at: Some(event.recorded_at.into()),
            kind: Some(kind),
            chain_hash: event.chain.as_bytes().to_vec(),
        }
    }
}

/// The last second of the year 9999, the latest that a `Timestamp` can hold. Durations have the same bound here.
const SECONDS_MAX: u64 = 253_402_300_799;

/// The duration, if it is valid and not negative. The generated types' own conversion panics on some of the others.
pub fn duration(duration: prost_types::Duration) -> Option<Duration> {
    let seconds = u64::try_from(duration.seconds).ok().filter(|seconds| *seconds <= SECONDS_MAX)?;
    let nanos = u32::try_from(duration.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds, nanos))
}

/// The time, if it is valid and not before 1970.
pub fn time(time: prost_types::Timestamp) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(duration(prost_types::Duration { seconds: time.seconds, nanos: time.nanos })?)
}

impl From<LeaveReason> for pb::LeaveReason {
    fn from(reason: LeaveReason) -> Self {
        match reason {
            LeaveReason::Requested => Self::Requested,
            LeaveReason::Disconnected => Self::Disconnected,
        }
    }
}

impl pb::LeaveReason {
    /// The name in log records, such as `REQUESTED`: without the prefix.
    pub fn as_str(self) -> &'static str {
        let name = self.as_str_name();
        name.strip_prefix("LEAVE_REASON_").unwrap_or(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The domain knows no generated types, and its names are those of the API (specification, chapter 6).
    #[test]
    fn leave_reasons() {
        let all: Vec<_> = (1..).map_while(|number| pb::LeaveReason::try_from(number).ok()).collect();
        assert_eq!(all, LeaveReason::ALL.map(pb::LeaveReason::from));
        assert_eq!(
            all.iter().map(|reason| reason.as_str()).collect::<Vec<_>>(),
            LeaveReason::ALL.map(LeaveReason::as_str)
        );
    }

    #[test]
    fn an_invalid_duration_is_none() {
        let read = |seconds, nanos| duration(prost_types::Duration { seconds, nanos });
        assert_eq!(read(15, 500_000_000), Some(Duration::from_millis(15_500)));
        for (seconds, nanos) in
            [(-1, 0), (0, -1), (0, 1_000_000_000), (i64::MIN, 0), (i64::MIN, i32::MIN), (i64::MAX, i32::MAX)]
        {
            assert_eq!(read(seconds, nanos), None);
            assert_eq!(time(prost_types::Timestamp { seconds, nanos }), None);
        }
    }
}
