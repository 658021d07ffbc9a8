//! The inputs and outputs of the machine.

use std::time::Instant;

use super::refusal::Failure;
use super::state::{ListRequest, Outgoing};
use crate::chat::{LogicalTime, Receipt, Sequence};
use crate::client::Update;
use crate::client::error::{JoinError, LeaveError, ListError, PublishError};
use crate::client::event::{Event, ParticipantInfo};
use crate::log::ClientRecord;
use crate::wire::pb::join_response::Frame;
use crate::wire::{Reason, pb};

/// The moment of a step. It is passed in, since the machine has no clock and no randomness of its own.
#[derive(Clone, Copy, Debug)]
pub(in crate::client) struct Moment {
    /// The monotonic clock.
    pub(in crate::client) at: Instant,
    /// A random number from 0 to 1.
    pub(in crate::client) chance: f64,
}

/// Something that happened: a request by the program, a frame, an answer, the passing of time. `attempt` identifies the
/// connection that it belongs to; inputs of an abandoned connection are ignored.
#[derive(Debug)]
pub(in crate::client) enum Input {
    /// The program wants to join.
    Join,
    /// A connection was made, or could not be made.
    Dialled { attempt: u64, result: Result<(), Failure> },
    /// A frame of the stream; `None` if it is of a kind that a later version has added (A11).
    Frame { attempt: u64, frame: Option<Frame> },
    /// The stream has ended, or could not be opened. There is no failure if the service ended it normally.
    Ended { attempt: u64, failure: Option<Failure> },
    /// Time has passed.
    Tick,
    /// The program submits a text, under a new id.
    Submit { id: String, text: String },
    /// There is room for a message that was submitted.
    Enqueue(Outgoing),
    /// The answer to a publish.
    Published { attempt: u64, result: Result<pb::PublishResponse, Failure> },
    /// The program wants to leave.
    Leave,
    /// The program no longer waits for any answer.
    GiveUp,
    /// The answer to a leave.
    Left { attempt: u64, result: Result<pb::LeaveResponse, Failure> },
    /// The program wants to read earlier events.
    List(ListRequest),
    /// The answer to that.
    Listed { ticket: u64, request: pb::ListEventsRequest, result: Result<pb::ListEventsResponse, Failure> },
    /// The program takes the next update.
    Take,
    /// The program takes no more updates.
    Unread,
    /// The session can no longer be kept.
    NotKept(String),
    /// The driver failed.
    Failed(String),
}

/// A call that the driver has to make.
#[derive(Debug)]
pub(in crate::client) enum DriverCall {
    /// Connect to a server, by its index in the settings.
    Dial { attempt: u64, server: usize },
    /// Open a stream on that connection.
    Open { request: pb::JoinRequest },
    /// Drop the connection, its stream and the requests in flight on it, except for lists.
    Close,
    /// Publish a message.
    Publish { attempt: u64, request: pb::PublishRequest },
    /// Leave.
    Leave { attempt: u64, request: pb::LeaveRequest },
    /// List earlier events.
    List { ticket: u64, request: pb::ListEventsRequest },
}

/// Something to do. Outputs are carried out in order.
#[derive(Debug)]
pub(in crate::client) enum Output {
    /// A call for the driver.
    Call(DriverCall),
    /// Write a log record.
    Record(ClientRecord<'static>),
    /// Write the log record of a delivery.
    Delivered(Event),
    /// Write what a later process needs to resume.
    Keep(Keep),
    /// A text was submitted. Enqueue it as soon as there is room.
    Submitted(Outgoing),
    /// The outcome of a message.
    Answer { id: String, result: Result<Receipt, PublishError> },
    /// The outcome of the leave.
    LeaveAnswer(Result<Receipt, LeaveError>),
    /// The outcome of a list request.
    Listed { ticket: u64, result: Result<Vec<Event>, ListError> },
    /// An update for the program.
    Update(Update),
    /// The participant has joined for the first time.
    Joined(FirstWelcome),
    /// It could not join.
    NotJoined(JoinError),
}

/// What the first Welcome says.
#[derive(Clone, Debug)]
pub(in crate::client) struct FirstWelcome {
    pub(in crate::client) me: ParticipantInfo,
    pub(in crate::client) roster: Vec<ParticipantInfo>,
    /// Why a kept session could not be resumed, if there was one.
    pub(in crate::client) anew: Option<Reason>,
}

/// What is kept for a later process (D16; web/src/core/snapshot.ts).
#[derive(Debug)]
pub(in crate::client) enum Keep {
    /// A new membership begins.
    Begin { participant_id: String, epoch: String, token: String, clock: LogicalTime },
    /// The last event that was recorded, and the clock.
    Save { position: Sequence, clock: LogicalTime },
    /// An event was received.
    Received { sequence: Sequence, chain_hash: Vec<u8> },
    /// The participant has left: its session must not be resumed.
    Remove,
}
