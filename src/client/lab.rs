//! The lab of a service, for the holder of its key (`chitchat fault`, `companion`, `scenario`).

use std::time::Duration;

use tokio::time::timeout;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Request, Response, Status};

use super::Options;
use super::error::JoinError;
use super::transport::{SecretChannel, dial_lab};
use crate::wire::pb::lab_service_client::LabServiceClient;
use crate::wire::{LAB_KEY, Reason, pb};

/// A connection to a lab.
pub struct LabClient {
    client: LabServiceClient<SecretChannel>,
    key: Option<MetadataValue<Ascii>>,
    address: String,
    patience: Duration,
}

impl LabClient {
    /// Connects to the service of these options, with the lab's key if it has one.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn connect(options: &Options, key: Option<&str>) -> Result<Self, JoinError> {
        let key = key.map(MetadataValue::try_from).transpose().map_err(|_| JoinError::Secret)?;
        let (channel, address) = dial_lab(options).await?;
        let client = LabServiceClient::new(channel);
        Ok(Self { client, key, address: address.to_owned(), patience: options.patience })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(key) = &self.key {
            request.metadata_mut().insert(LAB_KEY, key.clone());
        }
        request
    }

    async fn answer<T>(&self, answer: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, JoinError> {
        match timeout(self.patience, answer).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) if status.code() == Code::Unimplemented && Reason::of(&status).is_none() => {
                let why = "this service has no lab; `chitchat lab` starts one that has".into();
                Err(JoinError::Mismatch { address: self.address.clone(), why })
            }
            Ok(Err(status)) => Err(JoinError::refused(&status)),
            Err(_) => {
                let why = "the service did not answer in time".into();
                Err(JoinError::Unreachable { address: self.address.clone(), why })
            }
        }
    }

    /// Lists the participants with their faults.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn list_faults(&self) -> Result<pb::ListFaultsResponse, JoinError> {
        let request = self.request(pb::ListFaultsRequest {});
        self.answer(self.client.clone().list_faults(request)).await
    }

    /// Sets the faults of a participant.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn set_fault(&self, request: pb::SetFaultRequest) -> Result<pb::SetFaultResponse, JoinError> {
        let request = self.request(request);
        self.answer(self.client.clone().set_fault(request)).await
    }

    /// Releases some of what is held.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn release_held(
        &self,
        request: pb::ReleaseHeldRequest,
    ) -> Result<pb::ReleaseHeldResponse, JoinError> {
        let request = self.request(request);
        self.answer(self.client.clone().release_held(request)).await
    }

    /// Ends faults.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn clear_faults(
        &self,
        request: pb::ClearFaultsRequest,
    ) -> Result<pb::ClearFaultsResponse, JoinError> {
        let request = self.request(request);
        self.answer(self.client.clone().clear_faults(request)).await
    }

    /// Adds a companion.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn add_companion(
        &self,
        request: pb::AddCompanionRequest,
    ) -> Result<pb::AddCompanionResponse, JoinError> {
        let request = self.request(request);
        self.answer(self.client.clone().add_companion(request)).await
    }

    /// Removes a companion.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn remove_companion(
        &self,
        request: pb::RemoveCompanionRequest,
    ) -> Result<pb::RemoveCompanionResponse, JoinError> {
        let request = self.request(request);
        self.answer(self.client.clone().remove_companion(request)).await
    }

    /// Lists the scenarios.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn list_scenarios(&self) -> Result<pb::ListScenariosResponse, JoinError> {
        let request = self.request(pb::ListScenariosRequest {});
        self.answer(self.client.clone().list_scenarios(request)).await
    }

    /// Plays a scenario.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn start_scenario(
        &self,
        request: pb::StartScenarioRequest,
    ) -> Result<pb::StartScenarioResponse, JoinError> {
        let request = self.request(request);
        self.answer(self.client.clone().start_scenario(request)).await
    }

    /// Stops the scenario.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn stop_scenario(&self) -> Result<pb::StopScenarioResponse, JoinError> {
        let request = self.request(pb::StopScenarioRequest {});
        self.answer(self.client.clone().stop_scenario(request)).await
    }

    /// Asks how far the scenario has come.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn get_scenario(&self) -> Result<pb::GetScenarioResponse, JoinError> {
        let request = self.request(pb::GetScenarioRequest {});
        self.answer(self.client.clone().get_scenario(request)).await
    }

    /// Stops the service's writer for a while.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn stop_writer(&self, request: pb::StopWriterRequest) -> Result<pb::StopWriterResponse, JoinError> {
        let request = self.request(request);
        self.answer(self.client.clone().stop_writer(request)).await
    }
}
