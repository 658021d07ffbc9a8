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
    /// Connects to the service that the options name, with the lab's key if it has one.
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
                let why = "this service has no lab; start one with `chitchat lab`".into();
                Err(JoinError::Mismatch { address: self.address.clone(), why })
            }
            Ok(Err(status)) => Err(JoinError::refused(&status)),
            Err(_) => {
                let why = "the service did not answer in time".into();
                Err(JoinError::Unreachable { address: self.address.clone(), why })
            }
        }
    }
}

/// The lab's calls, each with its request and its answer.
macro_rules! calls {
    ($(#[doc = $about:literal] $call:ident($request:ident) -> $answer:ident;)*) => {
        impl LabClient {$(
            #[doc = $about]
            pub async fn $call(&self, request: pb::$request) -> Result<pb::$answer, JoinError> {
                let request = self.request(request);
                self.answer(self.client.clone().$call(request)).await
            }
        )*}
    };
}

calls! {
    /// Lists the participants with their faults.
    list_faults(ListFaultsRequest) -> ListFaultsResponse;
    /// Sets the faults of a participant.
    set_fault(SetFaultRequest) -> SetFaultResponse;
    /// Releases some of a participant's held deliveries and publishes.
    release_held(ReleaseHeldRequest) -> ReleaseHeldResponse;
    /// Ends faults.
    clear_faults(ClearFaultsRequest) -> ClearFaultsResponse;
    /// Adds a companion.
    add_companion(AddCompanionRequest) -> AddCompanionResponse;
    /// Removes a companion.
    remove_companion(RemoveCompanionRequest) -> RemoveCompanionResponse;
    /// Lists the scenarios.
    list_scenarios(ListScenariosRequest) -> ListScenariosResponse;
    /// Plays a scenario.
    start_scenario(StartScenarioRequest) -> StartScenarioResponse;
    /// Stops the scenario.
    stop_scenario(StopScenarioRequest) -> StopScenarioResponse;
    /// Gets the scenario's progress.
    get_scenario(GetScenarioRequest) -> GetScenarioResponse;
    /// Stops the service's writer for a while.
    stop_writer(StopWriterRequest) -> StopWriterResponse;
}
