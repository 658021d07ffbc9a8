//! The record of a broadcast: one for every event, in the order of the events. Together they are the order
//! that everybody's log is held to.

use crate::chat::Event;
use crate::journal::Epoch;
use crate::log::{Broadcast, ServerRecord};

/// Records an event that is about to be sent to `recipients` streams.
pub(super) fn record_broadcast(epoch: &Epoch, event: &Event, recipients: usize) {
    let broadcast = Broadcast { recipients: Some(recipients as u64), ..Broadcast::of(epoch.as_str(), event) };
    ServerRecord::broadcast(broadcast, event).emit();
}

/// Records an event whose record is missing because an earlier process ended between the commit and the
/// record. The number of streams that it was sent to is no longer known.
pub fn record_recovered_broadcast(epoch: &Epoch, event: &Event) {
    let broadcast = Broadcast { recovered: Some(true), ..Broadcast::of(epoch.as_str(), event) };
    ServerRecord::broadcast(broadcast, event).emit();
}
