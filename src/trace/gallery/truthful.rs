//! A small run, as the processes would record it: three participants, two messages that cross, one that waits for the
//! network and is sent twice, two leaves, and a service that stops at the end.

use std::time::{Duration, UNIX_EPOCH};

use super::logs::{JsonLog, Logs, as_json};
use crate::chat::{
    DisplayName, Event, EventKind, LamportClock, LeaveReason, LogicalTime, MessageId, MessageText, Participant,
    ParticipantId, Sequence, SessionKey,
};
use crate::log::{
    About, Broadcast, ClientRecord, Delivered, LoggedKind, RecordBody, ServerRecord, StreamBegun, Text,
    WelcomeDetails, timestamp,
};

pub(super) const EPOCH: &str = "00c0ffee00c0ffee";
/// The morning of 2026-01-01, since 1970.
const BEGINS: Duration = Duration::from_secs(1_767_254_400);
/// How much time passes from one record to the next.
const STEP: Duration = Duration::from_millis(50);

/// The message that waits for the network.
pub(in crate::trace) const LATE: &str = "I asked that first.";

/// The logs of that run.
pub fn truthful() -> Logs {
    let mut run = Run::new();
    let (alice, bob, carol) = (run.join("alice"), run.join("bob"), run.join("carol"));
    run.publish(alice, "Hello, everybody!");
    // Both write before either has seen what the other wrote.
    let one = run.submit_and_send(carol, "Who was first?");
    let two = run.submit_and_send(bob, "I was!");
    run.accept(carol, one);
    run.accept(bob, two);
    run.publish(bob, "We cannot tell, but the order can.");
    let late = run.submit(bob, LATE);
    run.publish(alice, "Is Bob still here?");
    // The first attempt is lost on its way.
    let late = run.send(bob, late);
    run.publish(carol, "He will be back.");
    let late = run.send(bob, late);
    run.accept(bob, late);
    run.leave(carol);
    run.publish(alice, "Carol is gone.");
    run.publish(bob, "I'm leaving, too.");
    run.leave(bob);
    run.publish(alice, "Anybody here?");
    run.stop()
}

struct Person {
    participant: Participant,
    clock: LamportClock,
    /// The last event that was delivered.
    position: Sequence,
    /// The last event that the service has recorded as handed to its stream.
    handed: Sequence,
    is_present: bool,
}

/// A message that a person has written.
struct WrittenMessage {
    text: &'static str,
    id: String,
    seen: Sequence,
    /// The clock in the last request; 0 before the first.
    sent: u64,
}

struct Run {
    /// Since 1970.
    now: Duration,
    clock: LamportClock,
    head: Sequence,
    people: Vec<Person>,
    /// The service's log, and one for each person.
    logs: Vec<JsonLog>,
}

impl Run {
    fn new() -> Self {
        let (clock, head) = (LamportClock::default(), Sequence(0));
        let service = JsonLog { name: "server.jsonl".into(), records: vec![] };
        let mut run = Self { now: BEGINS, clock, head, people: vec![], logs: vec![service] };
        run.record_service(ServerRecord::ServerStarted {
            about: About::epoch(EPOCH),
            address: "127.0.0.1:50051".into(),
            sequence: head.0,
            logical_time: clock.now().0,
            version: env!("CARGO_PKG_VERSION").into(),
            grace_ms: 30_000,
            ping_ms: 20_000,
            ping_timeout_ms: 10_000,
            stall_ms: 30_000,
            logs_deliveries: true,
        });
        run
    }

    fn record_service(&mut self, record: ServerRecord<'_>) {
        self.record(0, RecordBody::Server(record));
    }

    /// Adds a record to a person's log.
    fn record_client(&mut self, person: usize, record: ClientRecord<'_>) {
        self.record(1 + person, RecordBody::Client(record));
    }

    fn record(&mut self, log: usize, body: RecordBody<'_>) {
        self.now += STEP;
        self.logs[log].records.push(as_json(timestamp(UNIX_EPOCH + self.now), body));
    }

    fn about(&self, person: usize) -> About<'static> {
        let Participant { id, display_name } = &self.people[person].participant;
        About::epoch(EPOCH).participant(id, display_name.to_string())
    }

    /// A person learns of an event. Returns its position, its time, and the person's clock afterwards.
    fn receive(&mut self, person: usize, event: &Event) -> [u64; 3] {
        let local_time = self.people[person].clock.receive(event.logical_time);
        [event.sequence.0, event.logical_time.0, local_time.0]
    }

    /// The service puts an event into the order.
    fn decide(&mut self, person: usize, sent: u64, kind: EventKind) -> Event {
        let sent_logical_time = LogicalTime(sent);
        self.clock.receive(sent_logical_time);
        self.head = self.head.next();
        let (sequence, logical_time, recorded_at) = (self.head, self.clock.tick(), UNIX_EPOCH + self.now);
        let participant = self.people[person].participant.clone();
        Event { sequence, logical_time, sent_logical_time, recorded_at, participant, kind }
    }

    /// Everybody who is present gets an event.
    fn broadcast(&mut self, event: &Event) {
        let broadcast = Broadcast::of(EPOCH, event);
        self.record_service(ServerRecord::broadcast(broadcast.clone(), event));
        for person in 0..self.people.len() {
            if self.people[person].is_present {
                self.people[person].position = event.sequence;
                let [.., local_time] = self.receive(person, event);
                let delivered = delivered(broadcast.clone(), local_time);
                self.record_client(person, ClientRecord::EventDelivered(delivered));
            }
        }
    }

    /// The service records what it has handed to a person's stream.
    fn hand_over(&mut self, person: usize) {
        let Person { participant, position, handed, .. } = &mut self.people[person];
        let (first_sequence, last_sequence) = (handed.next().0, position.0);
        if first_sequence <= last_sequence {
            *handed = *position;
            let (about, participant_ids) = (About::epoch(EPOCH), vec![participant.id.to_string()]);
            let record = ServerRecord::EventDelivered { about, first_sequence, last_sequence, participant_ids };
            self.record_service(record);
        }
    }

    fn join(&mut self, name: &str) -> usize {
        let (person, handed) = (self.people.len(), self.head);
        let display_name = DisplayName::parse(name).expect("a valid name");
        let participant = Participant { id: ParticipantId(handed.next()), display_name };
        let (clock, position) = (LamportClock::default(), Sequence(0));
        self.people.push(Person { participant, clock, position, handed, is_present: false });
        self.logs.push(JsonLog { name: format!("client-{name}.jsonl"), records: vec![] });
        // Before its Welcome a client knows only its name.
        let about = About { display_name: Some(name.into()), ..About::default() };
        self.record_client(person, ClientRecord::ClientStarted { about: about.clone() });
        let sent = self.people[person].clock.tick().0;
        let record = ClientRecord::JoinSent { about, sequence: None, sent_logical_time: sent, local_time: sent };
        self.record_client(person, record);
        let (about, peer, transport) = (self.about(person), peer(person), "grpc".into());
        let begun = StreamBegun { about: about.clone(), peer, transport, sequence: handed.0 };
        self.record_service(ServerRecord::ClientConnected(begun));
        let event = self.decide(person, sent, EventKind::Joined { session: SessionKey([0; 32]) });
        // The stream begins with its Welcome, so that comes before the first event.
        let [sequence, logical_time, local_time] = self.receive(person, &event);
        let welcome = WelcomeDetails { about, sequence, logical_time, local_time, transport: None };
        self.record_client(person, ClientRecord::Connected(welcome));
        self.people[person].is_present = true;
        self.broadcast(&event);
        person
    }

    fn submit(&mut self, person: usize, text: &'static str) -> WrittenMessage {
        let Person { participant, position, .. } = &self.people[person];
        let id = format!("{}-{}", participant.display_name, self.logs[1 + person].records.len());
        let (seen, message_id, content) = (*position, id.as_str().into(), text.into());
        let (about, seen_sequence) = (self.about(person), seen.0);
        self.record_client(person, ClientRecord::PublishQueued { about, message_id, seen_sequence, content });
        WrittenMessage { text, id, seen, sent: 0 }
    }

    /// Sends a message, for the first time or again.
    fn send(&mut self, person: usize, mut message: WrittenMessage) -> WrittenMessage {
        message.sent = self.people[person].clock.tick().0;
        let record = ClientRecord::PublishSent {
            about: self.about(person),
            message_id: message.id.as_str().into(),
            sent_logical_time: message.sent,
            seen_sequence: message.seen.0,
            local_time: message.sent,
            content: message.text.into(),
        };
        self.record_client(person, record);
        message
    }

    fn submit_and_send(&mut self, person: usize, text: &'static str) -> WrittenMessage {
        let message = self.submit(person, text);
        self.send(person, message)
    }

    fn accept(&mut self, person: usize, message: WrittenMessage) {
        let WrittenMessage { text, id, seen, sent } = message;
        let text = MessageText::parse(text).expect("a valid text");
        let message_id = MessageId::parse(id.as_str()).expect("a valid id");
        let event = self.decide(person, sent, EventKind::Message { text, message_id, seen, sent_at: None });
        self.broadcast(&event);
        let [sequence, logical_time, local_time] = self.receive(person, &event);
        let (about, message_id) = (self.about(person), id.into());
        let record = ClientRecord::PublishAcknowledged { about, message_id, sequence, logical_time, local_time };
        self.record_client(person, record);
    }

    fn publish(&mut self, person: usize, text: &'static str) {
        let message = self.submit_and_send(person, text);
        self.accept(person, message);
    }

    fn leave(&mut self, person: usize) {
        let (about, sent) = (self.about(person), self.people[person].clock.tick().0);
        let record = ClientRecord::LeaveSent { about: about.clone(), sent_logical_time: sent, local_time: sent };
        self.record_client(person, record);
        self.people[person].is_present = false;
        let event = self.decide(person, sent, EventKind::Left { reason: LeaveReason::Requested });
        self.broadcast(&event);
        let [sequence, logical_time, local_time] = self.receive(person, &event);
        let record = ClientRecord::LeaveAcknowledged { about: about.clone(), sequence, logical_time, local_time };
        self.record_client(person, record);
        self.hand_over(person);
        let (peer, transport, reason) = (peer(person), "grpc".into(), "LEFT".into());
        self.record_service(ServerRecord::ClientDisconnected { about: about.clone(), peer, transport, reason });
        self.record_client(person, ClientRecord::ClientStopped { about, reason: None });
    }

    fn stop(mut self) -> Logs {
        (0..self.people.len()).for_each(|person| self.hand_over(person));
        self.now += Duration::from_secs(5);
        let about = About::epoch(EPOCH);
        self.record_service(ServerRecord::ServerStopping { about: about.clone() });
        let (sequence, logical_time) = (Some(self.head.0), Some(self.clock.now().0));
        self.record_service(ServerRecord::ServerStopped { about, sequence, logical_time, reason: None });
        Logs(self.logs)
    }
}

fn peer(person: usize) -> Text<'static> {
    format!("127.0.0.1:5000{person}").into()
}

/// The delivery of an event, as its recipient records it.
fn delivered(event: Broadcast<'_>, local_time: u64) -> Delivered<'_> {
    Delivered {
        about: event.about,
        sequence: event.sequence,
        logical_time: event.logical_time,
        local_time: Some(local_time),
        kind: event.kind,
        content: event.content,
        message_id: event.message_id,
        sent_logical_time: (event.kind == LoggedKind::Message).then_some(event.sent_logical_time),
        seen_sequence: event.seen_sequence,
        sent_at: event.sent_at,
        reason: event.reason,
        earlier: false,
    }
}
