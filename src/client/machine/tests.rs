//! Every transition of the machine. The service exists only as the inputs that it would cause.

mod connection;
mod leaving;
mod outbox;
mod scenarios;
mod updates;

use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;
use crate::client::{JoinError, Update};
use crate::log::RecordBody;
use crate::wire::pb;
use crate::wire::pb::join_response::Frame;

/// The participant under test, with all its outputs.
pub(super) struct Client {
    pub(super) machine: Machine,
    pub(super) at: Instant,
    /// Whether the program takes each update as it comes.
    pub(super) takes: bool,
    /// Whether connections can be made.
    pub(super) dials: bool,
    pub(super) outputs: Vec<Output>,
}

impl Client {
    /// Alice, with this number of service addresses and this time to join.
    pub(super) fn with(servers: usize, wait: Duration, kept: Option<KeptSession>) -> Self {
        let servers = (0..servers).map(|n| format!("http://{n}")).collect();
        let settings =
            ClientSettings { display_name: "alice".into(), servers, wait, patience: Duration::from_secs(10) };
        let machine = Machine::new(settings, kept);
        Self { machine, at: Instant::now(), takes: true, dials: true, outputs: Vec::new() }
    }

    /// Alice, who has joined as p1: her own Joined is event 1 at time 3, and her clock is at 5.
    pub(super) fn joined() -> Self {
        let mut client = Self::with(1, Duration::ZERO, None);
        client.feed(Input::Join);
        client.welcome(welcome(1, 3, false));
        client.event(joined(1, 3));
        client
    }

    /// Takes a step, and returns its outputs in short. Connections succeed at once, if they are possible.
    pub(super) fn feed(&mut self, input: Input) -> Vec<String> {
        let first = self.outputs.len();
        let now = Moment { at: self.at, chance: 1.0 };
        let outputs = self.machine.advance(input, now);
        self.outputs.extend(outputs);
        if let Some(Output::Call(DriverCall::Dial { attempt, .. })) =
            self.outputs.last().filter(|_| first < self.outputs.len())
        {
            let attempt = *attempt;
            let result = if self.dials { Ok(()) } else { Err(lost("connection refused")) };
            self.feed(Input::Dialled { attempt, result });
        }
        while self.takes && self.machine.has_updates() {
            self.outputs.extend(self.machine.advance(Input::Take, now));
        }
        self.outputs[first..].iter().filter_map(brief).collect()
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, milliseconds: u64) -> Vec<String> {
        self.at += Duration::from_millis(milliseconds);
        self.feed(Input::Tick)
    }

    /// When the next tick is due.
    pub(super) fn due(&self) -> Option<Duration> {
        self.machine.next_tick().map(|due| due.saturating_duration_since(self.at))
    }

    pub(super) fn frame(&mut self, frame: Frame) -> Vec<String> {
        self.feed(Input::Frame { attempt: self.machine.attempt, frame: Some(frame) })
    }

    pub(super) fn welcome(&mut self, welcome: pb::Welcome) -> Vec<String> {
        self.frame(Frame::Welcome(welcome))
    }

    pub(super) fn event(&mut self, event: pb::Event) -> Vec<String> {
        self.frame(Frame::Event(event))
    }

    /// The stream ends, or could not be opened.
    pub(super) fn ended(&mut self, failure: Failure) -> Vec<String> {
        self.feed(Input::Ended { attempt: self.machine.attempt, failure: Some(failure) })
    }

    /// The service ends the stream normally.
    pub(super) fn end(&mut self) -> Vec<String> {
        self.feed(Input::Ended { attempt: self.machine.attempt, failure: None })
    }

    /// The program submits a text, and there is room for it.
    pub(super) fn submit(&mut self, id: &str, text: &str) -> Vec<String> {
        let first = self.outputs.len();
        self.feed(Input::Submit { id: id.into(), text: text.into() });
        let last = self.outputs.pop();
        match last {
            Some(Output::Submitted(message)) => drop(self.feed(Input::Enqueue(message))),
            last => self.outputs.extend(last),
        }
        self.outputs[first..].iter().filter_map(brief).collect()
    }

    pub(super) fn published(&mut self, result: Result<(u64, u64), Failure>) -> Vec<String> {
        let answer = |(sequence, logical_time)| pb::PublishResponse { sequence, logical_time };
        self.feed(Input::Published { attempt: self.machine.attempt, result: result.map(answer) })
    }

    pub(super) fn left(&mut self, result: Result<(u64, u64), Failure>) -> Vec<String> {
        let answer = |(sequence, logical_time)| pb::LeaveResponse { sequence, logical_time };
        self.feed(Input::Left { attempt: self.machine.attempt, result: result.map(answer) })
    }

    /// The log records of this name.
    pub(super) fn records(&self, name: &str) -> Vec<Value> {
        self.outputs.iter().filter_map(record).filter(|record| record["event"] == name).collect()
    }
}

/// The log record of an output, if it is one.
pub(super) fn record(output: &Output) -> Option<Value> {
    let record = match output {
        Output::Record(record) => record.clone(),
        Output::Delivered(event) => ClientRecord::EventDelivered(event.delivered()),
        _ => return None,
    };
    Some(serde_json::to_value(RecordBody::Client(record)).unwrap())
}

/// An output in short; `None` for one that is written to a file.
fn brief(output: &Output) -> Option<String> {
    Some(match output {
        Output::Call(DriverCall::Dial { server, .. }) => format!("dial {server}"),
        Output::Call(DriverCall::Open { request }) => match &request.resume {
            None => format!("join at {}", request.logical_time),
            Some(resume) => format!("resume at {} after {}", request.logical_time, resume.after_sequence),
        },
        Output::Call(DriverCall::Close) => "close".into(),
        Output::Call(DriverCall::Publish { request, .. }) => {
            format!("publish {} at {} seen {}", request.message_id, request.logical_time, request.seen_sequence)
        }
        Output::Call(DriverCall::Leave { request, .. }) => format!("leave at {}", request.logical_time),
        Output::Call(DriverCall::List { request, .. }) => {
            format!("list {} after {}", request.page_size, request.after_sequence)
        }
        Output::Record(_) | Output::Delivered(_) | Output::Keep(_) => return None,
        Output::Submitted(message) => format!("submitted {}", message.id),
        Output::Answer { id, result: Ok(receipt) } => format!("{id} is {}", receipt.sequence),
        Output::Answer { id, result: Err(error) } => format!("{id}: {error}"),
        Output::LeaveAnswer(Ok(receipt)) => format!("left as {}", receipt.sequence),
        Output::LeaveAnswer(Err(error)) => format!("leave: {error}"),
        Output::Listed { result: Ok(events), .. } => format!("listed {}", events.len()),
        Output::Listed { result: Err(error), .. } => format!("list: {error}"),
        Output::Update(update) => update_brief(update),
        Output::Joined(FirstWelcome { me, anew: None, .. }) => format!("joined as {}", me.participant_id),
        Output::Joined(FirstWelcome { me, anew: Some(why), .. }) => {
            format!("joined anew as {}: {}", me.participant_id, why.as_str())
        }
        Output::NotJoined(error) => format!("not joined: {error}"),
    })
}

fn update_brief(update: &Update) -> String {
    match update {
        Update::Event(event) => format!("event {}", event.sequence),
        Update::Offline { why } => format!("offline: {why}"),
        Update::Back { after, missed } => {
            format!("back after {after:?}, {:?} of {}", missed.messages, missed.events)
        }
        Update::Continued { after, missed } => {
            format!("continued after {after}, {:?} of {}", missed.messages, missed.events)
        }
        Update::NotKept { why } => format!("not kept: {why}"),
        Update::JoinedAnew { why, .. } => format!("anew: {}", why.as_str()),
        Update::Presence { participant, connected } => {
            format!("{} connected: {connected}", participant.participant_id)
        }
        Update::Lab { faults } => format!("lab: {faults}"),
        Update::Waiting { delay, why } => format!("waiting {delay:?}: {}", why.as_str()),
        Update::Ended(error) => format!("ended: {error}"),
    }
}

pub(super) fn person(id: &str, name: &str) -> pb::Participant {
    pb::Participant { participant_id: id.into(), display_name: name.into() }
}

/// Alice is welcomed as p1.
pub(super) fn welcome(head_sequence: u64, logical_time: u64, resumed: bool) -> pb::Welcome {
    pb::Welcome {
        session_token: "token".into(),
        participant_id: "p1".into(),
        epoch: "e1".into(),
        head_sequence,
        logical_time,
        resumed,
        participants: vec![person("p1", "alice"), person("p2", "bob")],
        ..Default::default()
    }
}

/// Alice's own Joined.
pub(super) fn joined(sequence: u64, logical_time: u64) -> pb::Event {
    pb::Event {
        sequence,
        logical_time,
        content: format!("Participant alice joined Chit Chat at logical time {logical_time}"),
        participant: Some(person("p1", "alice")),
        kind: Some(pb::event::Kind::Joined(pb::Joined {})),
        ..Default::default()
    }
}

/// A message from bob.
pub(super) fn message(sequence: u64, logical_time: u64) -> pb::Event {
    pb::Event {
        sequence,
        logical_time,
        content: "hello".into(),
        participant: Some(person("p2", "bob")),
        kind: Some(pb::event::Kind::Message(pb::Message::default())),
        chain_hash: sequence.to_be_bytes().to_vec(),
        ..Default::default()
    }
}

/// A lost connection.
pub(super) fn lost(why: &str) -> Failure {
    Failure::silence("http://0", why)
}

/// A refusal by the service, for this reason.
pub(super) fn refusal(reason: Reason, retry_after: Option<u64>) -> Failure {
    let kind = match reason {
        Reason::RateLimited
        | Reason::ConversationFull
        | Reason::SlowConsumer
        | Reason::ShuttingDown
        | Reason::JournalUnavailable
        | Reason::LabDisconnected => FailureKind::Unavailable,
        _ => FailureKind::Refused,
    };
    let message = reason.as_str().to_owned();
    let error = JoinError::Refused { reason: Some(reason), code: reason.code(), message: message.clone() };
    Failure { kind, reason: Some(reason), message, retry_after: retry_after.map(Duration::from_millis), error }
}

#[test]
fn frames_and_answers_of_an_abandoned_connection_are_ignored() {
    let mut client = Client::joined();
    let old = client.machine.attempt;
    client.submit("m1", "hello");
    client.ended(lost("reset"));
    client.wait(200);
    client.welcome(welcome(1, 3, true));
    let answer = pb::PublishResponse { sequence: 2, logical_time: 9 };
    for input in [
        Input::Frame { attempt: old, frame: Some(Frame::Event(message(2, 9))) },
        Input::Ended { attempt: old, failure: Some(lost("late")) },
        Input::Published { attempt: old, result: Ok(answer) },
        Input::Left { attempt: old, result: Err(lost("late")) },
        Input::Dialled { attempt: old, result: Ok(()) },
    ] {
        assert_eq!(client.feed(input), [""; 0]);
    }
    assert_eq!(client.published(Ok((2, 9))), ["m1 is 2"]);
}

/// Nothing ends by a deadline that the machine has not announced.
#[test]
fn each_deadline_is_announced() {
    let mut client = Client::with(1, Duration::ZERO, None);
    assert_eq!(client.due(), None);
    client.feed(Input::Join);
    assert_eq!(client.due(), Some(Duration::from_secs(10)), "the first frame");
    client.welcome(welcome(1, 3, false));
    assert_eq!(client.due(), Some(Duration::from_secs(35)), "silence");
    client.ended(lost("reset"));
    assert_eq!(client.due(), Some(Duration::from_millis(200)), "the next attempt");
    client.feed(Input::Leave);
    client.wait(150);
    assert_eq!(client.due(), Some(Duration::from_millis(50)));
    client.feed(Input::GiveUp);
    assert_eq!(client.due(), None);
}
