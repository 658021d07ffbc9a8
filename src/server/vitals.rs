//! How the service is: what it is measured by, whether it can be used, whether it is stopping.

use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use super::readiness::Readiness;
use super::refusals::Refusals;

/// Shared by all parts of one service. Clones share the state.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// What operators can measure.
    pub metrics: Metrics,
    /// Whom it refused something.
    pub refusals: Refusals,
    /// Whether it can be used.
    pub readiness: Readiness,
    /// Cancelled when it begins to stop.
    pub stopping: CancellationToken,
}

impl Vitals {
    /// A service that works, until `stopping` is cancelled.
    pub fn new(stopping: CancellationToken) -> Self {
        Self {
            metrics: Metrics::default(),
            refusals: Refusals::default(),
            readiness: Readiness::new(stopping.clone()),
            stopping,
        }
    }
}
