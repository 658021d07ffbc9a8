//! The record of a broadcast: one for every event, in the order of the events. Together they are the order
//! that everybody's log is held to.

use crate::chat::{Event, EventKind};
use crate::journal::Epoch;
use crate::record::record;

/// Records an event that is about to be told, to so many streams.
pub(super) fn record_broadcast(epoch: &Epoch, event: &Event, recipients: usize) {
    write(epoch, event, Some(recipients), None);
}

/// Records an event whose record is missing because an earlier process ended between the commit and the
/// record. Nobody knows any more how many were told, if anybody was.
pub fn record_recovered_broadcast(epoch: &Epoch, event: &Event) {
    write(epoch, event, None, Some(true));
}

fn write(epoch: &Epoch, event: &Event, recipients: Option<usize>, recovered: Option<bool>) {
    let (name, message_id, seen, reason) = match &event.kind {
        EventKind::Joined { .. } => ("join_broadcast", None, None, None),
        EventKind::Left { reason } => ("leave_broadcast", None, None, Some(reason.as_str())),
        EventKind::Message { message_id, seen, .. } => {
            ("message_broadcast", message_id.as_ref().map(|id| id.as_str()), Some(seen.0), None)
        }
    };
    record!(
        INFO,
        "server",
        name,
        epoch = %epoch,
        participant_id = %event.participant.id,
        display_name = %event.participant.display_name,
        sequence = event.sequence.0,
        logical_time = event.logical_time.0,
        local_time = event.logical_time.0,
        sent_logical_time = event.sent_logical_time.0,
        kind = event.kind.as_str(),
        content = event.content(),
        message_id,
        seen_sequence = seen,
        reason,
        recipients,
        recovered,
    );
}
