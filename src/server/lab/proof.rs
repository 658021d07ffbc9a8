//! A proof on demand: the service's log is brought up to date, and the lab's stage verifies the logs that it has.

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

/// How many proofs are made at a time.
const PROOFS_AT_A_TIME: usize = 1;
/// How long the service may take to bring its log up to date.
const RECORDING_TIME_MAX: Duration = Duration::from_secs(2);

/// Makes proofs, one at a time.
#[derive(Clone, Debug)]
pub struct Proofs {
    /// None where everybody may use the lab.
    key: Option<Secret>,
    stage: Arc<dyn LabStage>,
    lab: Lab,
    turn: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Proofs {
    /// Proofs for those who have the key, or with none for everybody.
    pub fn new(key: Option<Secret>, stage: Arc<dyn LabStage>, lab: Lab, stopping: CancellationToken) -> Self {
        Self { key, stage, lab, turn: Arc::new(Semaphore::new(PROOFS_AT_A_TIME)), stopping }
    }

    /// Lets somebody in who has the key, while no other proof is being made.
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
