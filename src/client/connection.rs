//! The connection to the service: dialling, opening the stream, and what a failure means.

mod address;
mod dialer;

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use super::Options;
use super::check::ProtocolFault;
use super::error::JoinError;
use super::explain;
use crate::wire::pb::chit_chat_service_client::ChitChatServiceClient;
use crate::wire::pb::join_response::Frame;
use crate::wire::{Reason, pb, retry_delay};

pub(super) use address::parse_address;
pub(super) use dialer::DialError;
use dialer::{Dialer, FirstBytes};

/// How a certificate in PEM begins.
const PEM_CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";
/// How often a quiet connection is pinged.
const PING: Duration = Duration::from_secs(10);
/// How long the answer to a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// What silence is allowed beyond two heartbeats.
const SILENCE_MARGIN: Duration = Duration::from_secs(5);
/// The heartbeat that is assumed where a Welcome names none.
const HEARTBEAT_ASSUMED: Duration = Duration::from_secs(15);

/// The range of heartbeat intervals that are accepted from a service.
const HEARTBEAT_SHORTEST: Duration = Duration::from_secs(1);
const HEARTBEAT_LONGEST: Duration = Duration::from_secs(60 * 60 * 24);

/// A client of the service over one connection.
#[derive(Clone)]
pub(super) struct Stub {
    client: ChitChatServiceClient<InterceptedService<Channel, Credentials>>,
    address: String,
    encrypted: bool,
    first: FirstBytes,
}

/// The answer to a request.
type RpcResult<T> = Result<tonic::Response<T>, Status>;

impl Stub {
    pub(super) async fn publish(&mut self, request: pb::PublishRequest) -> RpcResult<pb::PublishResponse> {
        self.client.publish(request).await
    }

    pub(super) async fn leave(&mut self, request: pb::LeaveRequest) -> RpcResult<pb::LeaveResponse> {
        self.client.leave(request).await
    }

    pub(super) async fn list_events(
        &mut self,
        request: pb::ListEventsRequest,
    ) -> RpcResult<pb::ListEventsResponse> {
        self.client.list_events(request).await
    }

    /// What it means that a stream could not be opened.
    fn failure(&self, status: Status, has_session: bool) -> Failure {
        if Reason::of(&status).is_none() {
            if let Some(why) = explain::mismatch(self.encrypted, &self.first.get()) {
                return mismatch(&self.address, why.into());
            }
            if explain::is_of_another_service(&status) {
                let why = explain::of_status(&status);
                return mismatch(&self.address, format!("this is not a Chit Chat service ({why})"));
            }
        }
        Failure::of(status, has_session)
    }
}

fn mismatch(address: &str, why: String) -> Failure {
    Failure::Mismatch(JoinError::Mismatch { address: address.to_owned(), why })
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
        let unusable = |_| Failure::Fatal(JoinError::Secret);
        let mut bearer = bearer.map_err(unusable)?;
        bearer.iter_mut().for_each(|value| value.set_sensitive(true));
        Ok(Self(bearer))
    }
}

/// An open stream and the connection that it came by.
pub(super) struct Link {
    pub(super) stub: Stub,
    pub(super) stream: Streaming<pb::JoinResponse>,
    /// When the last frame came.
    pub(super) heard: Instant,
    /// How long the stream can be silent before the connection counts as gone.
    pub(super) silence: Duration,
}

impl Link {
    pub(super) fn new(stub: Stub, stream: Streaming<pb::JoinResponse>, heartbeat: Option<Duration>) -> Self {
        let heartbeat = heartbeat.unwrap_or(HEARTBEAT_ASSUMED).clamp(HEARTBEAT_SHORTEST, HEARTBEAT_LONGEST);
        let silence = 2 * heartbeat + SILENCE_MARGIN;
        Self { stub, stream, heard: Instant::now(), silence }
    }
}

/// Why a stream could not be opened, or ended.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection is lost; another may work.
    Lost { why: String, status: Option<Status>, retry_after: Duration },
    /// The service no longer knows the session.
    SessionOver(Reason),
    /// The peer is not a Chit Chat service, or must be reached in another way. A participant that has joined tries
    /// again: something else, such as a proxy, may answer for its service for a while.
    Mismatch(JoinError),
    /// The service broke the protocol. A participant that has joined tries again, at growing intervals.
    Protocol(ProtocolFault),
    /// Trying again would not help.
    Fatal(JoinError),
}

impl Failure {
    pub(super) fn lost(why: impl Into<String>) -> Self {
        Self::Lost { why: why.into(), status: None, retry_after: Duration::ZERO }
    }

    /// Whether the service has not answered, so that it may not have received the request.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Lost { status, .. } if status.as_ref().and_then(Reason::of).is_none())
    }

    /// What a status means for a participant that has joined (with a session) or that wants to join.
    pub(super) fn of(status: Status, has_session: bool) -> Self {
        let reason = Reason::of(&status);
        match (reason, status.code()) {
            (Some(reason @ (Reason::SessionUnknown | Reason::EpochChanged | Reason::SequenceOutOfRange)), _)
                if has_session =>
            {
                Self::SessionOver(reason)
            }
            (
                None,
                Code::Unavailable
                | Code::Unknown
                | Code::Internal
                | Code::Cancelled
                | Code::Aborted
                | Code::DeadlineExceeded
                | Code::ResourceExhausted
                // The service always sends this with a reason; without one, a frame was too large to be read.
                | Code::OutOfRange,
            )
            | (Some(_), Code::Unavailable | Code::ResourceExhausted) => Self::Lost {
                why: explain::of_status(&status),
                retry_after: retry_delay(&status).unwrap_or_default(),
                status: Some(status),
            },
            _ => Self::Fatal(JoinError::refused(&status)),
        }
    }
}

/// A connection that adds the access secret to every request.
pub(super) type SecretChannel = InterceptedService<Channel, Credentials>;

/// Connects, to take part.
pub(super) async fn dial(options: &Options) -> Result<Stub, Failure> {
    let first = FirstBytes::default();
    let (channel, encrypted) = connect_channel(options, &first).await?;
    let client = ChitChatServiceClient::new(channel);
    Ok(Stub { client, address: options.server.clone(), encrypted, first })
}

/// Connects, to use the lab.
pub(super) async fn dial_lab(options: &Options) -> Result<SecretChannel, JoinError> {
    match connect_channel(options, &FirstBytes::default()).await {
        Ok((channel, _)) => Ok(channel),
        Err(Failure::Fatal(error) | Failure::Mismatch(error)) => Err(error),
        Err(Failure::Lost { why, .. }) => Err(JoinError::Unreachable { address: options.server.clone(), why }),
        Err(Failure::Protocol(fault)) => Err(JoinError::Protocol(fault)),
        Err(Failure::SessionOver(reason)) => Err(JoinError::Failed(reason.as_str().into())),
    }
}

/// Connects, and says whether the connection is encrypted. The address is checked, and the connection made, before
/// anything is sent.
async fn connect_channel(options: &Options, first: &FirstBytes) -> Result<(SecretChannel, bool), Failure> {
    let uri = parse_address(&options.server).map_err(Failure::Fatal)?;
    let credentials = Credentials::new(options.secret.as_deref())?;
    let encrypted = uri.scheme_str() == Some("https");
    let mut endpoint = Endpoint::from(uri);
    if encrypted {
        let unusable = |why: &str| Failure::Fatal(JoinError::Tls(why.to_owned()));
        let mut tls = ClientTlsConfig::new().with_native_roots();
        if let Some(pem) = &options.certificate_authority {
            if !pem.windows(PEM_CERTIFICATE.len()).any(|window| window == PEM_CERTIFICATE) {
                return Err(unusable("the file has no certificate in PEM"));
            }
            tls = tls.ca_certificate(Certificate::from_pem(pem));
        }
        let faulty =
            |_| unusable("the certificates to trust, the system's or the one in the file, cannot be used");
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
            Some(why) => mismatch(&options.server, why.into()),
            None => Failure::lost(explain::of_error(&error)),
        })?;
    Ok((InterceptedService::new(channel, credentials), encrypted))
}

/// Opens a stream and waits for its Welcome.
pub(super) async fn open(
    stub: &mut Stub,
    request: pb::JoinRequest,
    patience: Duration,
) -> Result<(Streaming<pb::JoinResponse>, pb::Welcome), Failure> {
    let has_session = request.resume.is_some();
    let opening = async {
        let mut stream = stub.client.join(request).await?.into_inner();
        let first = stream.message().await?;
        Ok((stream, first.and_then(|response| response.frame)))
    };
    match timeout(patience, opening).await {
        Err(_) => Err(Failure::lost("the service did not answer in time")),
        Ok(Err(status)) => Err(stub.failure(status, has_session)),
        Ok(Ok((stream, Some(Frame::Welcome(welcome))))) => Ok((stream, welcome)),
        Ok(Ok(_)) => Err(Failure::Protocol(ProtocolFault::NoWelcome)),
    }
}
