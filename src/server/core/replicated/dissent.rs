//! The end of a replica that has found that another one had a different state.

use tokio::time::timeout;

use super::{FAREWELL_TIME, ReplicatedEngine};
use crate::chat::{Batch, ClusterCommand};
use crate::replica::LogNews;

impl ReplicatedEngine {
    /// Publishes its own state in a last batch, so that the other replica notices the difference and stops, too.
    /// Neither can know which of them is right, and neither may serve events that the others may not have.
    pub(super) async fn dissent(&mut self) {
        let from = self.identity.incarnation;
        let Some(replica) = self.applier.cluster().replica(from) else { return };
        let (number, commands) = (replica.batch + 1, vec![ClusterCommand::Stop]);
        let message = self.applier.message(Batch { from, number, at: (self.now)(), commands });
        self.publisher.propose(message.clone(), self.applier.place().position);
        let is_stored = async {
            while let Some(news) = self.news.recv().await {
                if matches!(news, LogNews::Entry(entry) if *entry.message == *message) {
                    return;
                }
            }
        };
        if timeout(FAREWELL_TIME, is_stored).await.is_err() {
            tracing::warn!("the state of this replica could not be published to the log");
        }
    }
}
