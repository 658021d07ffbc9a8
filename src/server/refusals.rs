//! Refused requests, on record. A refusal costs whoever provokes it nothing, so that no address can have the
//! disk, which is the journal's too, filled with its refusals: what comes faster is counted only.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::origin::Origin;
use super::rates::{Limiter, Rate};
use crate::chat::ParticipantId;
use crate::record::record;
use crate::wire::Reason;

/// How many refusals of an address are recorded.
pub const REFUSALS_RECORDED: Rate = Rate { per_second: 5, burst: 100 };

/// The records of refusals. Clones share the limit.
#[derive(Clone)]
pub struct Refusals {
    recorded: Arc<Option<Limiter<IpAddr>>>,
    /// How many were not recorded since the last that was.
    unrecorded: Arc<AtomicU64>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { recorded: Arc::new(Limiter::new(REFUSALS_RECORDED)), unrecorded: Arc::default() }
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals").field("unrecorded", &self.unrecorded).finish_non_exhaustive()
    }
}

impl Refusals {
    /// Records that a request was refused, and why. Of a path, the last part is the method.
    pub fn record(&self, origin: &Origin, path: &str, participant: Option<ParticipantId>, reason: Reason) {
        let too_many = |limiter: &Limiter<IpAddr>| limiter.count(&origin.address()).is_err();
        if self.recorded.as_ref().as_ref().is_some_and(too_many) {
            self.unrecorded.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let unrecorded = self.unrecorded.swap(0, Ordering::Relaxed);
        record!(
            INFO,
            "server",
            "request_refused",
            method = path.rsplit('/').next(),
            peer = %origin.peer,
            transport = %origin.transport,
            participant_id = participant.map(|id| id.to_string()),
            reason = reason.as_str(),
            unrecorded = (unrecorded > 0).then_some(unrecorded),
        );
    }
}
