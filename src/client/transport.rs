//! The API's calls over a connection to the service, and what their failures mean to the machine.

mod address;
mod convert;
pub(super) mod dialer;

use std::time::Duration;

use tokio::time::timeout;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};

use super::Options;
use super::error::JoinError;
use super::explain;
use super::machine::{Failure, FailureKind};
use crate::wire::pb::chit_chat_service_client::ChitChatServiceClient;
use crate::wire::{Reason, pb};

pub(super) use address::parse_address;
use dialer::{Dialer, FirstBytes};

/// How a PEM certificate begins.
const PEM_CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";
/// How often a quiet connection is pinged.
const PING: Duration = Duration::from_secs(10);
/// How long the answer to a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of the service over one connection.
#[derive(Clone)]
pub(super) struct Stub {
    client: ChitChatServiceClient<InterceptedService<Channel, Credentials>>,
    address: String,
    encrypted: bool,
    first: FirstBytes,
}

/// The answer to a request.
type Answer<T> = Result<tonic::Response<T>, Status>;

impl Stub {
    /// Opens the stream.
    pub(super) async fn join(mut self, request: pb::JoinRequest) -> Result<Streaming<pb::JoinResponse>, Failure> {
        let opened = self.client.join(request).await;
        opened.map(tonic::Response::into_inner).map_err(|status| self.not_opened(&status))
    }

    pub(super) async fn publish(
        self,
        request: pb::PublishRequest,
        patience: Duration,
    ) -> Result<pb::PublishResponse, Failure> {
        let mut client = self.client.clone();
        self.in_time(patience, client.publish(request)).await
    }

    pub(super) async fn leave(
        self,
        request: pb::LeaveRequest,
        patience: Duration,
    ) -> Result<pb::LeaveResponse, Failure> {
        let mut client = self.client.clone();
        self.in_time(patience, client.leave(request)).await
    }

    pub(super) async fn list_events(
        self,
        request: pb::ListEventsRequest,
        patience: Duration,
    ) -> Result<pb::ListEventsResponse, Failure> {
        let mut client = self.client.clone();
        self.in_time(patience, client.list_events(request)).await
    }

    async fn in_time<T>(&self, patience: Duration, call: impl Future<Output = Answer<T>>) -> Result<T, Failure> {
        let answer = timeout(patience, call).await;
        let answer =
            answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("the service did not answer in time")));
        answer.map(tonic::Response::into_inner).map_err(|status| self.failure(&status))
    }

    /// Classifies the status of a failed request, or of a stream that ended.
    pub(super) fn failure(&self, status: &Status) -> Failure {
        convert::failure(status, &self.address)
    }

    /// Classifies the status of a stream that could not be opened.
    pub(super) fn not_opened(&self, status: &Status) -> Failure {
        if Reason::of(status).is_none() {
            if let Some(why) = explain::mismatch(self.encrypted, &self.first.get()) {
                return mismatch(&self.address, why.into());
            }
            if explain::is_of_another_service(status) {
                let why = explain::of_status(status);
                return mismatch(&self.address, format!("this is not a Chit Chat service ({why})"));
            }
        }
        self.failure(status)
    }
}

fn mismatch(address: &str, why: String) -> Failure {
    failed(FailureKind::Mismatch, JoinError::Mismatch { address: address.to_owned(), why })
}

/// A failure that no retry can fix.
fn unusable(error: JoinError) -> Failure {
    failed(FailureKind::Refused, error)
}

fn failed(kind: FailureKind, error: JoinError) -> Failure {
    Failure { kind, reason: None, message: error.to_string(), retry_after: None, error }
}

/// Adds the access secret to every request.
#[derive(Clone)]
pub(super) struct Credentials(Option<MetadataValue<Ascii>>);

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(authorization) = &self.0 {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        Ok(request)
    }
}

impl Credentials {
    fn new(secret: Option<&str>) -> Result<Self, Failure> {
        let bearer = secret.map(|secret| MetadataValue::try_from(format!("Bearer {secret}"))).transpose();
        let mut bearer = bearer.map_err(|_| unusable(JoinError::Secret))?;
        bearer.iter_mut().for_each(|value| value.set_sensitive(true));
        Ok(Self(bearer))
    }
}

/// A connection that adds the access secret to every request.
pub(super) type SecretChannel = InterceptedService<Channel, Credentials>;

/// Connects to the server at this index in the options, to join.
pub(super) async fn dial(options: &Options, server: usize) -> Result<Stub, Failure> {
    let (first, address) = (FirstBytes::default(), &options.servers[server]);
    let (channel, encrypted) = connect_channel(options, address, &first).await?;
    let client = ChitChatServiceClient::new(channel);
    Ok(Stub { client, address: address.clone(), encrypted, first })
}

/// Connects to the first server that can be reached, to use the lab.
pub(super) async fn dial_lab(options: &Options) -> Result<(SecretChannel, &str), JoinError> {
    let mut failed = Vec::new();
    for address in &options.servers {
        match connect_channel(options, address, &FirstBytes::default()).await {
            Ok((channel, _)) => return Ok((channel, address)),
            Err(failure) => failed.push(failure.error),
        }
    }
    Err(if failed.is_empty() { no_server() } else { JoinError::of_all(failed) })
}

/// Checks the address and connects. Returns the channel, and whether it is encrypted.
async fn connect_channel(
    options: &Options,
    address: &str,
    first: &FirstBytes,
) -> Result<(SecretChannel, bool), Failure> {
    let uri = parse_address(address).map_err(unusable)?;
    let credentials = Credentials::new(options.secret.as_deref())?;
    let encrypted = uri.scheme_str() == Some("https");
    let mut endpoint = Endpoint::from(uri);
    if encrypted {
        let unusable = |why: &str| unusable(JoinError::Tls(why.to_owned()));
        let mut tls = ClientTlsConfig::new().with_native_roots();
        if let Some(pem) = &options.certificate_authority {
            if !pem.windows(PEM_CERTIFICATE.len()).any(|window| window == PEM_CERTIFICATE) {
                return Err(unusable("the file has no certificate in PEM"));
            }
            tls = tls.ca_certificate(Certificate::from_pem(pem));
        }
        let faulty = |_| unusable("the system's certificates, or the one in the file, cannot be used");
        endpoint = endpoint.tls_config(tls).map_err(faulty)?;
    }
    let channel = endpoint
        .connect_timeout(options.patience)
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector(Dialer { first: first.clone() })
        .await
        .map_err(|error| match explain::mismatch(encrypted, &first.get()) {
            Some(why) => mismatch(address, why.into()),
            None => convert::lost(explain::of_error(&error), address),
        })?;
    Ok((InterceptedService::new(channel, credentials), encrypted))
}

/// The error for an empty list of addresses.
pub(super) fn no_server() -> JoinError {
    JoinError::Address { address: String::new(), why: "no address was given".into() }
}
