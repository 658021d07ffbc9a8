//! How fast a participant, and all participants of an address together, may publish and read earlier events, and how
//! fast an address may join.

use std::net::IpAddr;

use super::limiter::{Limiter, Rate};
use crate::chat::ParticipantId;
use crate::server::config::Config;
use crate::wire::Rejection;

/// How fast a participant may resume and list earlier events. Both cost the service more than the caller: a resume is
/// logged, and a page is read from the journal.
pub const READ_RATE: Rate = Rate { per_second: 10, burst: 100 };

/// The rates of one service.
pub struct Rates {
    publishes: SharedLimit,
    joins: Option<Limiter<IpAddr>>,
    reads: SharedLimit,
}

impl Rates {
    /// The rates that are configured.
    pub fn new(config: &Config) -> Self {
        Self {
            publishes: SharedLimit::new(config.publish_rate, config.publish_per_address_rate),
            joins: Limiter::new(config.join_rate),
            reads: SharedLimit::new(READ_RATE, config.read_per_address_rate),
        }
    }

    /// Counts a publish.
    ///
    /// # Errors
    /// [`Rejection::RateLimited`], with the time to wait.
    pub fn publish(&self, participant: ParticipantId, address: IpAddr) -> Result<(), Rejection> {
        self.publishes.count(participant, address)
    }

    /// Counts a resume or a page of earlier events.
    ///
    /// # Errors
    /// [`Rejection::RateLimited`], with the time to wait.
    pub fn read(&self, participant: ParticipantId, address: IpAddr) -> Result<(), Rejection> {
        self.reads.count(participant, address)
    }

    /// Counts a join.
    ///
    /// # Errors
    /// [`Rejection::RateLimited`], with the time to wait.
    pub fn join(&self, address: IpAddr) -> Result<(), Rejection> {
        self.joins.as_ref().map_or(Ok(()), |limiter| limiter.count(&address))
    }
}

/// A limit for each participant, and one for all participants of an address together.
struct SharedLimit {
    of_participant: Option<Limiter<ParticipantId>>,
    of_address: Option<Limiter<IpAddr>>,
}

impl SharedLimit {
    fn new(of_participant: Rate, of_address: Rate) -> Self {
        Self { of_participant: Limiter::new(of_participant), of_address: Limiter::new(of_address) }
    }

    /// A participant's refused requests do not count for its address, so a hasty participant does not hold up the others.
    fn count(&self, participant: ParticipantId, address: IpAddr) -> Result<(), Rejection> {
        self.of_participant.as_ref().map_or(Ok(()), |limiter| limiter.count(&participant))?;
        self.of_address.as_ref().map_or(Ok(()), |limiter| limiter.count(&address))
    }
}
