//! The record of a broadcast: one for every event, in the order of the events. Together they are the order that all
//! logs are checked against.

use super::attachments::Attachments;
use super::shares::ParticipantShares;
use crate::chat::{Event, EventKind, LeaveReason};
use crate::journal::Epoch;
use crate::log::{About, Broadcast, ServerRecord};
use crate::server::ops::context::ServerContext;

/// Counts and records an event that is about to be sent to all streams, and frees the resources of a participant that
/// left. Called before the event is published, so that every event that is ever received has been recorded.
pub(super) fn note_broadcast(
    epoch: &Epoch,
    event: &Event,
    attachments: &mut Attachments,
    shares: &mut ParticipantShares,
    context: &ServerContext,
) {
    if let EventKind::Left { reason } = event.kind {
        attachments.left(event.participant.id);
        shares.release(event.participant.id);
        if reason == LeaveReason::Disconnected {
            ServerRecord::SessionExpired { about: About::author(epoch.as_str(), event) }.emit();
        }
    }
    context.metrics.event(&event.kind);
    let recipients = Some(attachments.attached() as u64);
    ServerRecord::broadcast(Broadcast { recipients, ..Broadcast::of(epoch.as_str(), event) }, event).emit();
}

/// Records an event whose record is missing because an earlier process ended between the commit and the
/// record. The number of streams that it was sent to is no longer known.
pub fn record_recovered_broadcast(epoch: &Epoch, event: &Event) {
    let broadcast = Broadcast { recovered: Some(true), ..Broadcast::of(epoch.as_str(), event) };
    ServerRecord::broadcast(broadcast, event).emit();
}
