//! A proof on demand: brings the service's log up to date, and has the lab's stage verify the logs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::control::Lab;
use super::proof_fault::ProofFault;
use super::stage::LabStage;
use crate::server::http::secret::Secret;

/// How many proofs run at a time.
const PROOFS_AT_A_TIME: usize = 1;
/// How long the service may take to bring its log up to date.
const RECORDING_TIME_MAX: Duration = Duration::from_secs(2);

/// Makes proofs, one at a time.
#[derive(Clone, Debug)]
pub struct Proofs {
    /// `None` if everybody may use the lab.
    key: Option<Secret>,
    stage: Arc<dyn LabStage>,
    lab: Lab,
    turn: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Proofs {
    /// Proofs for callers with this key; with `None`, for everybody.
    pub fn new(key: Option<Secret>, stage: Arc<dyn LabStage>, lab: Lab, stopping: CancellationToken) -> Self {
        Self { key, stage, lab, turn: Arc::new(Semaphore::new(PROOFS_AT_A_TIME)), stopping }
    }

    /// Admits a caller that has the key, if no other proof is running.
    pub fn enter(&self, key: Option<&[u8]>) -> Result<OwnedSemaphorePermit, ProofFault> {
        if !Secret::admits(self.key.as_ref(), key) {
            return Err(ProofFault::KeyRequired);
        }
        Arc::clone(&self.turn).try_acquire_owned().map_err(|_| ProofFault::Busy)
    }

    /// Verifies the lab's logs together with a page's. Dropping the future stops it.
    pub async fn prove(&self, turn: OwnedSemaphorePermit, page_log: String) -> Result<String, ProofFault> {
        let recorded = timeout(RECORDING_TIME_MAX, self.lab.recording().up_to_now()).await;
        recorded.map_err(|_| ProofFault::WriterStopped)?;
        let stopped = self.stopping.child_token();
        let _stop = stopped.clone().drop_guard();
        let (stage, epoch) = (Arc::clone(&self.stage), self.lab.epoch().to_string());
        let proof = spawn_blocking(move || {
            let _turn = turn;
            stage.prove(&epoch, page_log, &stopped)
        });
        proof.await.map_err(|error| ProofFault::Unusable(error.to_string()))?
    }
}
