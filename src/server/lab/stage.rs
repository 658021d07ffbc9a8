//! What takes part in a lab besides people. The program provides it, since it consists of clients, which the service
//! does not depend on; the service only passes the lab's calls on.

use std::fmt::Debug;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::handle::LabHandle;
use super::proof_fault::ProofFault;
use crate::wire::{Rejection, pb};

/// The companions and the scenarios of a lab.
#[async_trait]
pub trait LabStage: Debug + Send + Sync {
    /// The service has started, with this lab.
    fn begin(&self, lab: LabHandle);

    /// The state of a participant, if it is a companion.
    fn companion(&self, participant_id: &str) -> Option<pb::Companion>;

    /// Adds a companion.
    async fn add_companion(&self, request: pb::AddCompanionRequest) -> Result<pb::Participant, Rejection>;

    /// Removes a companion.
    async fn remove_companion(&self, display_name: &str) -> Result<(), Rejection>;

    /// The scenarios that can be played.
    fn scenarios(&self) -> Vec<pb::Scenario>;

    /// Plays a scenario.
    async fn start_scenario(&self, request: pb::StartScenarioRequest) -> Result<(), Rejection>;

    /// Plays the next step, or skips what the scenario waits for.
    fn advance_scenario(&self);

    /// Stops the scenario.
    async fn stop_scenario(&self);

    /// The progress of the scenario.
    fn scenario(&self) -> Option<pb::ScenarioRun>;

    /// Verifies this program's logs of an epoch, together with the log of a page. It blocks until it is done or
    /// stopped. The answer is JSON.
    fn prove(&self, epoch: &str, page_log: String, stopped: &CancellationToken) -> Result<String, ProofFault>;
}
