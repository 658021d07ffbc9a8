//! The state that all parts of a running service share: its limits, its metrics, and whether it is ready or stopping.

use std::ops::Deref;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::commits::Commits;
use super::limiter::Rate;
use super::metrics::Metrics;
use super::readiness::Readiness;
use super::refusals::Refusals;
use crate::server::budget::memory::MemoryBudgets;
use crate::server::edge::ingress::IngressLimits;

/// The shared state of one service. A clone is only a pointer, since every request takes several.
#[derive(Clone, Debug)]
pub struct ServerContext(Arc<SharedParts>);

#[derive(Debug)]
pub struct SharedParts {
    /// The metrics for operators.
    pub metrics: Metrics,
    /// The commit in progress.
    pub commits: Commits,
    /// The records of refusals.
    pub refusals: Refusals,
    /// The memory that is held for each address.
    pub budgets: MemoryBudgets,
    /// The limits on how fast it reads from each address.
    pub ingress: IngressLimits,
    /// Whether the service can be used.
    pub readiness: Readiness,
    /// Cancelled when it begins to stop.
    pub stopping: CancellationToken,
}

impl ServerContext {
    /// The context of a running service, until `stopping` is cancelled. It holds at most `memory_per_address_max` bytes
    /// for an address, and reads `ingress_per_address_rate` KiB from it.
    pub fn new(
        memory_per_address_max: usize,
        ingress_per_address_rate: Rate,
        stopping: CancellationToken,
        is_replica: bool,
    ) -> Self {
        let metrics = Metrics::new(is_replica);
        Self(Arc::new(SharedParts {
            budgets: MemoryBudgets::new(memory_per_address_max, metrics.held_bytes.clone()),
            ingress: IngressLimits::new(ingress_per_address_rate, metrics.reads_delayed.clone()),
            commits: Commits::new(metrics.commit_seconds.clone()),
            metrics,
            refusals: Refusals::default(),
            readiness: Readiness::new(stopping.clone()),
            stopping,
        }))
    }

    /// A context without limits, for tests.
    #[cfg(test)]
    pub fn unlimited() -> Self {
        Self::new(usize::MAX, Rate::UNLIMITED, CancellationToken::new(), false)
    }
}

impl Deref for ServerContext {
    type Target = SharedParts;

    fn deref(&self) -> &SharedParts {
        &self.0
    }
}
