//! The lab's own RPCs: check the key, and pass the call on to the lab or to its stage.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};

use super::handle::LabHandle;
use super::proof::Proofs;
use super::stage::LabStage;
use crate::server::http::secret::Secret;
use crate::wire::service::lab_service_server::LabService;
use crate::wire::{LAB_KEY, Rejection, pb};

type Answer<T> = Result<Response<T>, Status>;

/// Serves [`LabService`].
pub struct LabApi {
    lab: LabHandle,
    /// `None` if everybody may use the lab.
    key: Option<Secret>,
    /// `None` if the program has no companions and no scenarios.
    stage: Option<Arc<dyn LabStage>>,
}

impl LabApi {
    /// Serves a lab to callers with this key; with `None`, to everybody.
    pub fn new(lab: LabHandle, key: Option<Secret>, stage: Option<Arc<dyn LabStage>>) -> Self {
        Self { lab, key, stage }
    }

    /// The proofs of the lab, if it has a stage.
    pub fn proofs(&self, stopping: CancellationToken) -> Option<Proofs> {
        let stage = self.stage.clone()?;
        Some(Proofs::new(self.key.clone(), stage, self.lab.control(), stopping))
    }

    /// Whether a key is needed.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Checks the key of a request, and returns its message.
    fn checked<T>(&self, request: Request<T>) -> Result<T, Rejection> {
        let guess = request.metadata().get(LAB_KEY).map(|guess| guess.as_bytes());
        if Secret::admits(self.key.as_ref(), guess) {
            Ok(request.into_inner())
        } else {
            Err(Rejection::LabKeyRequired)
        }
    }

    fn stage(&self) -> Result<&dyn LabStage, Status> {
        self.stage.as_deref().ok_or_else(|| Status::unimplemented("this lab has no companions and no scenarios"))
    }
}

#[async_trait]
impl LabService for LabApi {
    async fn list_faults(&self, request: Request<pb::ListFaultsRequest>) -> Answer<pb::ListFaultsResponse> {
        self.checked(request)?;
        let mut participants = self.lab.participants().await;
        for listed in &mut participants {
            let id = listed.participant.as_ref().map_or("", |participant| &participant.participant_id);
            listed.companion = self.stage.as_ref().and_then(|stage| stage.companion(id));
        }
        let writer_stopped_for = self.lab.writer_stopped_for();
        Ok(Response::new(pb::ListFaultsResponse { participants, writer_stopped_for }))
    }

    async fn set_fault(&self, request: Request<pb::SetFaultRequest>) -> Answer<pb::SetFaultResponse> {
        let participant = Some(self.lab.set_fault(&self.checked(request)?)?);
        Ok(Response::new(pb::SetFaultResponse { participant }))
    }

    async fn release_held(&self, request: Request<pb::ReleaseHeldRequest>) -> Answer<pb::ReleaseHeldResponse> {
        let participant = Some(self.lab.release_held(&self.checked(request)?)?);
        Ok(Response::new(pb::ReleaseHeldResponse { participant }))
    }

    async fn clear_faults(&self, request: Request<pb::ClearFaultsRequest>) -> Answer<pb::ClearFaultsResponse> {
        self.lab.clear_faults(&self.checked(request)?.display_name)?;
        Ok(Response::new(pb::ClearFaultsResponse {}))
    }

    async fn stop_writer(&self, request: Request<pb::StopWriterRequest>) -> Answer<pb::StopWriterResponse> {
        self.lab.stop_writer(&self.checked(request)?)?;
        Ok(Response::new(pb::StopWriterResponse {}))
    }

    async fn add_companion(&self, request: Request<pb::AddCompanionRequest>) -> Answer<pb::AddCompanionResponse> {
        let request = self.checked(request)?;
        let participant = Some(self.stage()?.add_companion(request).await?);
        Ok(Response::new(pb::AddCompanionResponse { participant }))
    }

    async fn remove_companion(
        &self,
        request: Request<pb::RemoveCompanionRequest>,
    ) -> Answer<pb::RemoveCompanionResponse> {
        let request = self.checked(request)?;
        self.stage()?.remove_companion(&request.display_name).await?;
        Ok(Response::new(pb::RemoveCompanionResponse {}))
    }

    async fn list_scenarios(
        &self,
        request: Request<pb::ListScenariosRequest>,
    ) -> Answer<pb::ListScenariosResponse> {
        self.checked(request)?;
        Ok(Response::new(pb::ListScenariosResponse { scenarios: self.stage()?.scenarios() }))
    }

    async fn start_scenario(
        &self,
        request: Request<pb::StartScenarioRequest>,
    ) -> Answer<pb::StartScenarioResponse> {
        let request = self.checked(request)?;
        self.stage()?.start_scenario(request).await?;
        Ok(Response::new(pb::StartScenarioResponse {}))
    }

    async fn advance_scenario(
        &self,
        request: Request<pb::AdvanceScenarioRequest>,
    ) -> Answer<pb::AdvanceScenarioResponse> {
        self.checked(request)?;
        self.stage()?.advance_scenario();
        Ok(Response::new(pb::AdvanceScenarioResponse {}))
    }

    async fn stop_scenario(&self, request: Request<pb::StopScenarioRequest>) -> Answer<pb::StopScenarioResponse> {
        self.checked(request)?;
        self.stage()?.stop_scenario().await;
        Ok(Response::new(pb::StopScenarioResponse {}))
    }

    async fn get_scenario(&self, request: Request<pb::GetScenarioRequest>) -> Answer<pb::GetScenarioResponse> {
        self.checked(request)?;
        Ok(Response::new(pb::GetScenarioResponse { run: self.stage()?.scenario() }))
    }
}
