//! The gRPC service: a thin adapter. It parses a request, passes it to the engine or the journal, and maps the result.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_stream::Empty;
use tonic::{Request, Response, Status, async_trait};

use super::budget::memory::{Overdrawn, Reservation};
use super::budget::request_charge::overdrawn;
use super::config::Environment;
use super::core::feed::FeedReader;
use super::core::requests::{Caller, EngineHandle};
use super::core::streams::join_body::{Handover, JoinBody};
use super::core::token;
use super::edge::origin::Origin;
use super::lab::control::Lab;
use super::lab::queues::{HeldRequest, Pass};
use super::ops::context::ServerContext;
use super::ops::rates::Rates;
use crate::chat::{
    Command, DisplayName, LogicalTime, MessageId, MessageText, ParticipantId, Sequence, SessionKey,
};
use crate::journal::{Epoch, History, JournalError};
use crate::wire::service::chit_chat_service_server::ChitChatService;
use crate::wire::{self, Rejection, pb};

/// How many events a page has if the request names no number.
const PAGE_SIZE_DEFAULT: u32 = 100;
/// How many events a page has at most.
const PAGE_SIZE_MAX: u32 = 1000;
/// How many pages are read at a time. The journal has four readers in all.
pub const PAGES_AT_A_TIME: usize = 2;

/// The service behind every transport.
pub struct Service {
    /// The one writer.
    pub engine: EngineHandle,
    /// The committed events.
    pub reader: FeedReader,
    /// Earlier events.
    pub history: Arc<dyn History>,
    pub epoch: Epoch,
    /// For new session tokens.
    pub environment: Environment,
    /// Rate limits of participants and addresses.
    pub rates: Rates,
    /// How many pages are read from the journal at a time, so that streams that are behind get their turn.
    pub pages: Semaphore,
    /// The context that all parts of the service share.
    pub context: ServerContext,
    /// The lab, in a service that has one.
    pub lab: Option<Lab>,
}

/// How many bytes are charged for each event of a page before the page is made: about the size of an event with 128
/// characters.
const EVENT_BYTES: usize = 768;
/// How many bytes are charged for each participant on the roster of a Welcome before the Welcome is made.
const ROSTER_ENTRY_BYTES: usize = 64;

/// The caller and the method, for the record of a refusal.
struct Call {
    method: &'static str,
    origin: Origin,
    session: Option<SessionKey>,
}

/// The RPCs. The methods of the gRPC trait below have the same names: they call these, and record refusals.
impl Service {
    fn open<T>(&self, method: &'static str, request: &Request<T>) -> Result<Call, Status> {
        let origin = request.extensions().get::<Origin>().copied();
        let origin = origin.ok_or_else(|| Status::internal("the request did not come over a connection"))?;
        Ok(Call { method, origin, session: None })
    }

    /// Answers a call, and records its refusal.
    fn close<T>(&self, call: &Call, result: Result<T, Rejection>) -> Result<Response<T>, Status> {
        result.map(Response::new).map_err(|rejection| {
            let participant = call.session.and_then(|session| self.known(session).ok());
            self.context.refusals.record(&call.origin, call.method, participant, rejection.reason());
            rejection.into()
        })
    }

    /// The participant of a session, as far as this process knows.
    fn known(&self, session: SessionKey) -> Result<ParticipantId, Rejection> {
        Ok(self.reader.conversation().participant(session)?)
    }

    /// The participant of a session, which may just have joined at another replica.
    async fn participant(&self, session: SessionKey) -> Result<ParticipantId, Rejection> {
        match self.known(session) {
            Err(_) if self.engine.is_of_replica() => {
                self.engine.barrier().await?;
                self.known(session)
            }
            known => known,
        }
    }

    /// Waits until this replica has an event that another one has delivered. An event that no replica has is refused
    /// later.
    async fn reach(&self, sequence: Sequence) -> Result<(), Rejection> {
        if self.engine.is_of_replica() && sequence > self.reader.head() {
            self.engine.barrier().await?;
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), Rejection> {
        if self.context.stopping.is_cancelled() { Err(Rejection::ShuttingDown) } else { Ok(()) }
    }

    /// Charges an address for an answer before it is made. Otherwise answers would be made and held even if the
    /// address has used up its budget.
    fn charge(&self, origin: Origin, bytes: usize) -> Result<Reservation, Rejection> {
        self.context.budgets.of(origin.address()).reserve(bytes).map_err(|Overdrawn| overdrawn())
    }

    async fn attach(&self, origin: Origin, request: pb::JoinRequest) -> Result<JoinBody, Rejection> {
        self.check_open()?;
        match request.resume {
            Some(resume) => {
                let session = token::key_of(&resume.session_token);
                // A resume with an unknown session is refused by the engine.
                self.reach(Sequence(resume.after_sequence)).await?;
                if let Ok(participant) = self.known(session) {
                    self.rates.read(participant, origin.address())?;
                    self.check_chain(&resume).await?;
                }
                let charge = self.charge_welcome(origin)?;
                let caller = Caller { token: resume.session_token.into(), session, origin };
                let stream = self.engine.resume(caller, resume.epoch, Sequence(resume.after_sequence)).await?;
                Ok(JoinBody::new(stream, charge))
            }
            None => {
                // Counted before the name is normalized, which costs the service more than sending it costs the caller.
                DisplayName::check_length(&request.display_name)?;
                self.rates.join(origin.address())?;
                let display_name = DisplayName::parse(&request.display_name)?;
                let charge = self.charge_welcome(origin)?;
                let token = token::new_token((self.environment.random)());
                let caller = Caller { session: token::key_of(&token), token: token.into(), origin };
                let stream = self.engine.join(caller, display_name, LogicalTime(request.logical_time)).await?;
                Ok(JoinBody::new(stream, charge))
            }
        }
    }

    fn charge_welcome(&self, origin: Origin) -> Result<Reservation, Rejection> {
        self.charge(origin, self.reader.conversation().active() * ROSTER_ENTRY_BYTES)
    }

    /// Refuses a resume if the journal has another event at its position. This can happen within one epoch, when the
    /// journal was restored from a backup and then grew differently.
    async fn check_chain(&self, resume: &pb::ResumePoint) -> Result<(), Rejection> {
        let after = Sequence(resume.after_sequence);
        if resume.chain_hash.is_empty() || after == Sequence(0) {
            return Ok(());
        }
        let event = self.history.read(after.previous(), 1).await.map_err(unreadable)?;
        // The engine makes all other refusals.
        match event.first() {
            Some(event) if event.chain.as_bytes() != resume.chain_hash => {
                Err(Rejection::EpochChanged { epoch: self.epoch.to_string() })
            }
            _ => Ok(()),
        }
    }

    async fn publish(
        &self,
        origin: Origin,
        session: SessionKey,
        request: pb::PublishRequest,
    ) -> Result<pb::PublishResponse, Rejection> {
        self.check_open()?;
        let sent_at =
            request.sent_at.map(|at| wire::time(at).ok_or_else(|| malformed_time("sent_at"))).transpose()?;
        let command = Command::Publish {
            session,
            text: MessageText::parse(request.text)?,
            message_id: MessageId::parse(request.message_id)?,
            seen: Sequence(request.seen_sequence),
            sent: LogicalTime(request.logical_time),
            sent_at,
        };
        self.rates.publish(self.participant(session).await?, origin.address())?;
        let _pass = self.pass_lab(session, &command).await?;
        let receipt = self.engine.act(command).await?;
        Ok(pb::PublishResponse { sequence: receipt.sequence.0, logical_time: receipt.logical_time.0 })
    }

    /// Waits until the lab, if there is one, lets a request pass.
    async fn pass_lab(&self, session: SessionKey, command: &Command) -> Result<Option<Pass>, Rejection> {
        match &self.lab {
            Some(lab) => lab.admit(self.known(session)?, HeldRequest::of(command), &self.context.stopping).await,
            None => Ok(None),
        }
    }

    async fn leave(&self, session: SessionKey, sent: LogicalTime) -> Result<pb::LeaveResponse, Rejection> {
        self.check_open()?;
        let command = Command::Leave { session, sent };
        let _pass = self.pass_lab(session, &command).await?;
        let receipt = self.engine.act(command).await?;
        Ok(pb::LeaveResponse { sequence: receipt.sequence.0, logical_time: receipt.logical_time.0 })
    }

    async fn list_events(
        &self,
        origin: Origin,
        session: SessionKey,
        request: &pb::ListEventsRequest,
    ) -> Result<pb::ListEventsResponse, Rejection> {
        let after = Sequence(request.after_sequence);
        let participant = self.participant(session).await?;
        self.reach(after).await?;
        let conversation = self.reader.conversation();
        self.rates.read(participant, origin.address())?;
        conversation.check_position(after)?;
        let size = match request.page_size {
            0 => PAGE_SIZE_DEFAULT,
            size => size.min(PAGE_SIZE_MAX),
        };
        let after_all = usize::try_from(conversation.head().0 - after.0).unwrap_or(usize::MAX);
        let _charge = self.charge(origin, after_all.min(size as usize) * EVENT_BYTES)?;
        // The semaphore is never closed, so this cannot fail.
        let turn = self.pages.acquire().await;
        let mut events = self.history.read(after, size as usize).await.map_err(unreadable)?;
        drop(turn);
        // The journal may be a batch ahead of the feed.
        events.retain(|event| event.sequence <= conversation.head());
        let last = events.last().map_or(after, |event| event.sequence);
        Ok(pb::ListEventsResponse {
            has_more: last < conversation.head(),
            events: events.iter().map(pb::Event::from).collect(),
        })
    }
}

fn malformed_time(field: &str) -> Rejection {
    Rejection::Malformed(format!("{field} is not a time in the years 1970 to 9999"))
}

fn unreadable(error: JournalError) -> Rejection {
    tracing::error!(%error, "earlier events cannot be read");
    Rejection::JournalUnavailable
}

#[async_trait]
impl ChitChatService for Service {
    /// The real stream is handed over to [`join_body`](super::core::streams::join_body).
    type JoinStream = Empty<Result<pb::JoinResponse, Status>>;

    async fn join(&self, request: Request<pb::JoinRequest>) -> Result<Response<Self::JoinStream>, Status> {
        let mut call = self.open("Join", &request)?;
        let request = request.into_inner();
        call.session = request.resume.as_ref().map(|resume| token::key_of(&resume.session_token));
        let body = self.attach(call.origin, request).await;
        let body = self.close(&call, body)?.into_inner();
        let mut response = Response::new(tokio_stream::empty());
        response.extensions_mut().insert(Handover::new(body));
        Ok(response)
    }

    async fn publish(
        &self,
        request: Request<pb::PublishRequest>,
    ) -> Result<Response<pb::PublishResponse>, Status> {
        let call = self.open("Publish", &request)?;
        let request = request.into_inner();
        let session = token::key_of(&request.session_token);
        let arrived = Instant::now();
        let published = self.publish(call.origin, session, request).await;
        self.context.metrics.publish_seconds.observe(arrived.elapsed().as_secs_f64());
        self.close(&Call { session: Some(session), ..call }, published)
    }

    async fn leave(&self, request: Request<pb::LeaveRequest>) -> Result<Response<pb::LeaveResponse>, Status> {
        let call = self.open("Leave", &request)?;
        let request = request.into_inner();
        let session = token::key_of(&request.session_token);
        let left = self.leave(session, LogicalTime(request.logical_time)).await;
        self.close(&Call { session: Some(session), ..call }, left)
    }

    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        let call = self.open("ListEvents", &request)?;
        let session = token::key_of(&request.get_ref().session_token);
        let page = self.list_events(call.origin, session, request.get_ref()).await;
        self.close(&Call { session: Some(session), ..call }, page)
    }
}
