//! Whether the service can be used, for `/readyz` and for `grpc.health.v1`.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::wire::service::chit_chat_service_server::SERVICE_NAME;

/// What is known about the journal.
#[derive(Clone, Copy, Debug)]
struct JournalHealth {
    /// Whether it could record its latest batch.
    works: bool,
    /// Whether damage was found in its older events: it never records again.
    damaged: bool,
}

/// The state that probes ask for. Clones share it.
#[derive(Clone, Debug)]
pub struct Readiness {
    journal: watch::Sender<JournalHealth>,
    shutdown: CancellationToken,
}

impl Readiness {
    /// Ready until the shutdown begins.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { journal: watch::Sender::new(JournalHealth { works: true, damaged: false }), shutdown }
    }

    /// Notes whether the journal could record its latest batch. Returns whether it could record the one before.
    pub fn set_journal_works(&self, works: bool) -> bool {
        let changed =
            self.journal.send_if_modified(|current| std::mem::replace(&mut current.works, works) != works);
        works != changed
    }

    /// Notes that the journal's older events are damaged.
    pub fn set_journal_damaged(&self) {
        self.journal.send_modify(|current| current.damaged = true);
    }

    /// Whether the journal could record its latest batch.
    pub fn journal_works(&self) -> bool {
        self.journal.borrow().works
    }

    /// Why the service cannot be used now; `None` if it can.
    pub fn obstacle(&self) -> Option<&'static str> {
        let JournalHealth { works, damaged } = *self.journal.borrow();
        if self.shutdown.is_cancelled() {
            Some("draining")
        } else if damaged {
            Some("journal damaged")
        } else if !works {
            Some("journal unavailable")
        } else {
            None
        }
    }

    /// Publishes the current state over `grpc.health.v1`.
    pub async fn tell(&self, reporter: &HealthReporter) {
        let status = match self.obstacle() {
            None => ServingStatus::Serving,
            Some(_) => ServingStatus::NotServing,
        };
        for service in ["", SERVICE_NAME] {
            reporter.set_service_status(service, status).await;
        }
    }

    /// Keeps `grpc.health.v1` up to date until it has reported the shutdown. Watchers get changes only.
    pub async fn report(&self, reporter: HealthReporter) {
        let mut journal = self.journal.subscribe();
        let mut reported_ready = true;
        loop {
            let is_ready = self.obstacle().is_none();
            if std::mem::replace(&mut reported_ready, is_ready) != is_ready {
                self.tell(&reporter).await;
            }
            if self.shutdown.is_cancelled() {
                return;
            }
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                changed = journal.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
