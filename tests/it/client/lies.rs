//! A client whose service lies: it shows nothing false, its clock and its log stay true, and it retries with growing
//! pauses.

mod answers;

use std::time::Duration;

use bytes::Bytes;
use chitchat::chat::{LogicalTime, Sequence};
use chitchat::client::{
    self, Chat, JoinError, Options, ProtocolFault as Fault, PublishError, StateFile, Update, Updates,
};
use chitchat::wire::pb::join_response::Frame;
use chitchat::wire::{Reason, pb};
use h2::SendStream;
use tokio::time::Instant;
use tonic::Status;

use crate::support::{Call, Impostor, Program, put, records, soon};

const MAX: u64 = u64::MAX;

fn person(id: &str, name: &str) -> pb::Participant {
    pb::Participant { participant_id: id.into(), display_name: name.into() }
}

/// A valid Welcome for alice, whose own join is event 5.
fn truth(head: u64, time: u64, resumed: bool) -> pb::Welcome {
    pb::Welcome {
        session_token: "token".into(),
        participant_id: "p5".into(),
        epoch: "epoch".into(),
        head_sequence: head,
        logical_time: time,
        resumed,
        participants: vec![person("p1", "bob"), person("p5", "alice")],
        ..Default::default()
    }
}

fn response(welcome: pb::Welcome) -> pb::JoinResponse {
    pb::JoinResponse { frame: Some(Frame::Welcome(welcome)) }
}

fn joined(sequence: u64, time: u64, id: &str, name: &str) -> pb::Event {
    pb::Event {
        sequence,
        logical_time: time,
        content: format!("Participant {name} joined Chit Chat at logical time {time}"),
        participant: Some(person(id, name)),
        kind: Some(pb::event::Kind::Joined(pb::Joined {})),
        ..Default::default()
    }
}

fn said(message: pb::Message, sequence: u64, time: u64) -> pb::Event {
    pb::Event {
        sequence,
        logical_time: time,
        content: "hello".into(),
        participant: Some(person("p1", "bob")),
        kind: Some(pb::event::Kind::Message(message)),
        ..Default::default()
    }
}

/// A message of bob's.
fn message(sequence: u64, time: u64) -> pb::Event {
    said(pb::Message::default(), sequence, time)
}

/// Alice's own message.
fn own(message_id: &str, sequence: u64, time: u64) -> pb::Event {
    let message = pb::Message { message_id: message_id.into(), ..Default::default() };
    pb::Event { participant: Some(person("p5", "alice")), ..said(message, sequence, time) }
}

/// Lets alice join: a valid Welcome, her own join and the end of the replay.
async fn join(service: &mut Impostor) -> (Chat, Updates, SendStream<Bytes>) {
    let joining = tokio::spawn(client::join(Options::new(&*service.url, "alice")));
    let mut stream = service.call("Join").await.send(&response(truth(5, 10, false)));
    let caught_up = Frame::CaughtUp(pb::CaughtUp { sequence: 5 });
    put(&mut stream, [Frame::Event(joined(5, 10, "p5", "alice")), caught_up]);
    let (chat, mut updates) = soon(joining).await.unwrap().unwrap();
    assert_eq!(event(&mut updates).await, 5);
    (chat, updates, stream)
}

/// The sequence of the next update, which must be an event.
async fn event(updates: &mut Updates) -> u64 {
    match soon(updates.next()).await {
        Some(Update::Event(event)) => event.sequence.0,
        other => panic!("no event: {other:?}"),
    }
}

/// The next update reports that the client dropped the stream because of this fault.
async fn refused(updates: &mut Updates, fault: &Fault) {
    match soon(updates.next()).await {
        Some(Update::Offline { why }) => assert!(why.ends_with(&fault.to_string()), "{why:?} for {fault:?}"),
        other => panic!("{other:?} for {fault:?}"),
    }
}

/// The client resumes after event 6, and its clock shows that it has received no time later than 13.
async fn resumes(call: &mut Call) {
    let request: pb::JoinRequest = call.request().await;
    assert_eq!(request.resume.unwrap().after_sequence, 6);
    assert!((14..40).contains(&request.logical_time), "{}", request.logical_time);
}

/// Frames that violate the protocol or contradict the events before them: alice's join, event 5 at time 10, and bob's
/// message, event 6 at time 13.
fn stream_lies() -> Vec<(Frame, Fault)> {
    let (five, six, seven) = (Sequence(5), Sequence(6), Sequence(7));
    let out_of_order = |sequence| Fault::Order { sequence: Sequence(sequence), expected: seven };
    let time = |time, before| Fault::Time {
        sequence: seven,
        logical_time: LogicalTime(time),
        before: LogicalTime(before),
    };
    let content = |content: &str| pb::Event { content: content.into(), ..message(7, 15) };
    let by = |author| pb::Event { participant: Some(author), ..message(7, 15) };
    let tells = |sent_logical_time, seen_sequence| {
        said(pb::Message { sent_logical_time, seen_sequence, ..Default::default() }, 7, 15)
    };
    let events = [
        (message(8, 15), out_of_order(8)),
        (message(6, 15), out_of_order(6)),
        (message(5, 15), out_of_order(5)),
        (message(0, 15), out_of_order(0)),
        (message(MAX, 15), Fault::Number(MAX)),
        (message(7, 13), time(13, 13)),
        (message(7, 0), time(0, 13)),
        (message(7, MAX), Fault::Number(MAX)),
        (message(7, MAX / 2 + 1), Fault::Number(MAX / 2 + 1)),
        (tells(15, 0), time(15, 15)),
        (tells(MAX, 0), time(15, MAX)),
        (tells(0, 7), Fault::Seen(seven)),
        (tells(0, MAX), Fault::Seen(seven)),
        (content(""), Fault::Content(seven)),
        (content(&"a".repeat(129)), Fault::Content(seven)),
        (content(&"a".repeat(3 << 20)), Fault::Content(seven)),
        (own(&"m".repeat(65), 7, 15), Fault::Content(seven)),
        (by(person("", "bob")), Fault::Text("id of a participant")),
        (by(person("p1", "")), Fault::Text("name of a participant")),
        (by(person("p1", &"b".repeat(33))), Fault::Text("name of a participant")),
        (by(person(&"p".repeat(3 << 20), "bob")), Fault::Text("id of a participant")),
        (pb::Event { participant: None, ..message(7, 15) }, Fault::Incomplete(seven)),
        (pb::Event { kind: None, ..message(7, 15) }, Fault::Incomplete(seven)),
        (pb::Event { content: "[15] bob: forged".into(), ..joined(7, 15, "p7", "carol") }, Fault::Content(seven)),
        (pb::Event { chain_hash: vec![0; 1 << 20], ..message(7, 15) }, Fault::Text("chain hash")),
    ];
    let caught_up = |sequence| {
        let fault = Fault::CaughtUp { sequence: Sequence(sequence), position: six, head: five };
        (Frame::CaughtUp(pb::CaughtUp { sequence }), fault)
    };
    let behind = Fault::Behind { head: five, position: six };
    let mut lies: Vec<_> = events.into_iter().map(|(event, fault)| (Frame::Event(event), fault)).collect();
    lies.extend([caught_up(5), caught_up(7), caught_up(MAX)]);
    lies.push((Frame::Heartbeat(pb::Heartbeat { head_sequence: 5 }), behind));
    lies.push((Frame::Welcome(truth(6, 13, false)), Fault::SecondWelcome));
    lies
}

#[tokio::test]
async fn a_lie_in_the_stream_is_not_shown_and_the_stream_is_resumed_before_it() {
    for (lie, fault) in stream_lies() {
        let mut service = Impostor::start().await;
        let (_chat, mut updates, mut stream) = join(&mut service).await;
        put(&mut stream, [Frame::Event(message(6, 13)), lie]);
        assert_eq!(event(&mut updates).await, 6);
        refused(&mut updates, &fault).await;
        let mut call = service.call("Join").await;
        resumes(&mut call).await;
        let mut stream = call.send(&response(truth(7, 15, true)));
        put(&mut stream, [Frame::Event(message(7, 15))]);
        assert!(matches!(soon(updates.next()).await, Some(Update::Back { .. })), "{fault:?}");
        assert_eq!(event(&mut updates).await, 7, "{fault:?}");
    }
}

/// V9: a membership begins with the participant's own join, whose time is later than the request's.
#[tokio::test]
async fn a_first_event_other_than_the_clients_own_join_is_refused() {
    let not_first = Fault::FirstEvent;
    let early = Fault::Time { sequence: Sequence(5), logical_time: LogicalTime(1), before: LogicalTime(1) };
    let lies = [
        (joined(4, 8, "p4", "carol"), not_first.clone()),
        (own("m", 5, 10), not_first),
        (joined(0, 10, "p5", "alice"), Fault::Number(0)),
        (joined(MAX, 10, "p5", "alice"), Fault::Number(MAX)),
        (joined(5, 1, "p5", "alice"), early),
    ];
    for (lie, fault) in lies {
        let mut service = Impostor::start().await;
        let joining = tokio::spawn(client::join(Options::new(&*service.url, "alice")));
        let mut stream = service.call("Join").await.send(&response(truth(5, 10, false)));
        put(&mut stream, [Frame::Event(lie)]);
        let (_chat, mut updates) = soon(joining).await.unwrap().unwrap();
        refused(&mut updates, &fault).await;
        let request: pb::JoinRequest = service.call("Join").await.request().await;
        assert_eq!(request.resume.unwrap().after_sequence, 0);
    }
}

/// Welcomes that no correct service sends, whether in answer to a join or to a resume.
fn welcome_lies(resumed: bool) -> Vec<(pb::Welcome, Fault)> {
    let truth = || truth(6, 13, resumed);
    let crowd = |count: usize| (0..count).map(|n| person(&format!("p{n}"), "bob"));
    let roster = |participants: Vec<pb::Participant>| pb::Welcome { participants, ..truth() };
    vec![
        (roster(vec![]), Fault::NotInRoster),
        (roster(vec![person("p1", "bob")]), Fault::NotInRoster),
        (roster(vec![person("p5", "alice"), person("p5", "bob")]), Fault::Roster),
        (roster(crowd(200_000).collect()), Fault::Roster),
        (roster(vec![pb::Participant::default(); 1_000_000]), Fault::Roster),
        (roster(vec![person("p5", "alice"), person("", "bob")]), Fault::Text("id of a participant")),
        (roster(vec![person("p5", &"a".repeat(3 << 20))]), Fault::Text("name of a participant")),
        (pb::Welcome { session_token: String::new(), ..truth() }, Fault::Text("session token")),
        (pb::Welcome { session_token: "t".repeat(1 << 20), ..truth() }, Fault::Text("session token")),
        (pb::Welcome { epoch: String::new(), ..truth() }, Fault::Text("epoch")),
        (pb::Welcome { head_sequence: MAX, ..truth() }, Fault::Number(MAX)),
        (pb::Welcome { logical_time: MAX, ..truth() }, Fault::Number(MAX)),
    ]
}

#[tokio::test]
async fn a_welcome_that_cannot_be_true_is_a_typed_error() {
    let mut lies = welcome_lies(false);
    lies.push((truth(5, 10, true), Fault::OtherSession));
    for (lie, fault) in lies {
        let mut service = Impostor::start().await;
        let joining = tokio::spawn(client::join(Options::new(&*service.url, "alice")));
        let mut call = service.call("Join").await;
        let _stream = call.send(&response(lie));
        assert_eq!(soon(joining).await.unwrap().unwrap_err(), JoinError::Protocol(fault));
    }
    let mut service = Impostor::start().await;
    let joining = tokio::spawn(client::join(Options::new(&*service.url, "alice")));
    let no_welcome = pb::JoinResponse { frame: Some(Frame::Event(message(1, 3))) };
    let _stream = service.call("Join").await.send(&no_welcome);
    assert_eq!(soon(joining).await.unwrap().unwrap_err(), JoinError::Protocol(Fault::NoWelcome));
}

#[tokio::test]
async fn a_resume_answered_with_a_lie_is_retried() {
    let mut service = Impostor::start().await;
    let (_chat, mut updates, mut stream) = join(&mut service).await;
    put(&mut stream, [Frame::Event(message(6, 13))]);
    assert_eq!(event(&mut updates).await, 6);
    drop(stream);
    assert!(matches!(soon(updates.next()).await, Some(Update::Offline { .. })));
    let behind = Fault::Behind { head: Sequence(5), position: Sequence(6) };
    let lies = [
        (pb::Welcome { epoch: "another".into(), ..truth(6, 13, true) }, Fault::OtherSession),
        (pb::Welcome { participant_id: "p1".into(), ..truth(6, 13, true) }, Fault::OtherSession),
        (truth(5, 10, true), behind),
        (pb::Welcome { logical_time: MAX, ..truth(6, 13, true) }, Fault::Number(MAX)),
        (pb::Welcome { participants: vec![], ..truth(6, 13, true) }, Fault::NotInRoster),
    ];
    for (lie, fault) in lies {
        let mut call = service.call("Join").await;
        resumes(&mut call).await;
        let _stream = call.send(&response(lie));
        refused(&mut updates, &fault).await;
    }
    let mut call = service.call("Join").await;
    resumes(&mut call).await;
    let _stream = call.send(&response(truth(6, 13, true)));
    assert!(matches!(soon(updates.next()).await, Some(Update::Back { .. })));
}

/// Events lost between the two memberships must not be reported as "nothing was missed".
#[tokio::test]
async fn a_new_membership_in_answer_to_a_resume_is_reported() {
    let mut service = Impostor::start().await;
    let (chat, mut updates, stream) = join(&mut service).await;
    let publishing = tokio::spawn(chat.publish("hello"));
    let _unanswered = service.call("Publish").await;
    drop(stream);
    assert!(matches!(soon(updates.next()).await, Some(Update::Offline { .. })));
    let mut stream = service.call("Join").await.send(&response(truth(8, 20, false)));
    put(&mut stream, [Frame::Event(joined(8, 20, "p5", "alice"))]);
    match soon(updates.next()).await {
        Some(Update::JoinedAnew { why, .. }) => assert_eq!(why, Reason::SessionUnknown),
        other => panic!("{other:?}"),
    }
    assert_eq!(soon(publishing).await.unwrap(), Err(PublishError::Unconfirmed));
    assert_eq!(event(&mut updates).await, 8);
}

/// The same for a session that another process kept.
#[tokio::test]
async fn a_new_membership_in_answer_to_a_kept_session_is_reported() {
    let (mut service, folder) = (Impostor::start().await, tempfile::tempdir().unwrap());
    let options = |url: &str| Options {
        state: Some(StateFile::open(folder.path(), url, "alice").unwrap()),
        ..Options::new(url, "alice")
    };
    let killed = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let joining = killed.spawn(client::join(options(&service.url)));
    let stream = service.call("Join").await.send(&response(truth(5, 10, false)));
    let kept = soon(joining).await.unwrap().unwrap();
    tokio::task::spawn_blocking(move || killed.shutdown_timeout(crate::support::DEADLINE)).await.unwrap();
    drop((kept, stream));
    let joining = tokio::spawn(client::join(options(&service.url)));
    let _stream = service.call("Join").await.send(&response(truth(8, 20, false)));
    let (_chat, mut updates) = soon(joining).await.unwrap().unwrap();
    assert!(matches!(soon(updates.next()).await, Some(Update::JoinedAnew { why: Reason::SessionUnknown, .. })));
}

/// Events that a Welcome announces but that never arrive do not keep a program waiting.
#[tokio::test]
async fn withheld_events_are_noticed() {
    for end in [vec![7, 7], vec![]] {
        let mut service = Impostor::start().await;
        let (_chat, mut updates, stream) = join(&mut service).await;
        drop(stream);
        assert!(matches!(soon(updates.next()).await, Some(Update::Offline { .. })));
        let mut stream = service.call("Join").await.send(&response(truth(7, 15, true)));
        put(&mut stream, [Frame::Event(message(6, 13))]);
        let fault = if end.is_empty() {
            put(&mut stream, [Frame::CaughtUp(pb::CaughtUp { sequence: 6 })]);
            Fault::CaughtUp { sequence: Sequence(6), position: Sequence(6), head: Sequence(7) }
        } else {
            put(
                &mut stream,
                end.into_iter().map(|head_sequence| Frame::Heartbeat(pb::Heartbeat { head_sequence })),
            );
            Fault::Withheld { position: Sequence(6) }
        };
        assert!(matches!(soon(updates.next()).await, Some(Update::Back { .. })));
        assert_eq!(event(&mut updates).await, 6);
        refused(&mut updates, &fault).await;
    }
}

/// A frame that is too large is not read, and the stream is resumed.
#[tokio::test]
async fn an_oversized_frame_is_not_read() {
    let mut service = Impostor::start().await;
    let (_chat, mut updates, mut stream) = join(&mut service).await;
    put(&mut stream, [Frame::Event(message(6, 13))]);
    assert_eq!(event(&mut updates).await, 6);
    put(&mut stream, [Frame::Event(pb::Event { content: "a".repeat(5 << 20), ..message(7, 15) })]);
    assert!(matches!(soon(updates.next()).await, Some(Update::Offline { .. })));
    resumes(&mut service.call("Join").await).await;
}

/// A service that lies right after each Welcome is not asked in a hot loop.
#[tokio::test]
async fn a_client_backs_off_from_a_service_that_keeps_lying() {
    let mut service = Impostor::start().await;
    let (_chat, _updates, mut stream) = join(&mut service).await;
    let mut pause = Duration::from_millis(100);
    for n in 0..5 {
        let lied = Instant::now();
        put(&mut stream, [Frame::Event(message(MAX, 13))]);
        let mut call = service.call("Join").await;
        assert!(call.arrived.duration_since(lied) >= pause, "no sooner than {pause:?} after lie {n}");
        stream = call.send(&response(truth(5, 10, true)));
        pause *= 2;
    }
}

/// A refused event is logged with the sequence that was expected, and is neither shown nor delivered (S7).
#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_shows_no_lie_and_the_log_records_the_refusal() {
    let (mut service, logs) = (Impostor::start().await, tempfile::tempdir().unwrap());
    let folder = logs.path().to_str().unwrap();
    let program = Program::start(&["join", "alice", "--server", &service.url, "--log-dir", folder], &[]);
    let crowd = (6..20_000).map(|n| person(&format!("p{n}"), "somebody with a rather long name"));
    let mut welcome = truth(5, 10, false);
    welcome.participants.extend(crowd);
    let mut stream = service.call("Join").await.send(&response(welcome));
    let forged = pb::Event { content: "a".repeat(3 << 20), ..message(6, 13) };
    put(&mut stream, [Frame::Event(joined(5, 10, "p5", "alice")), Frame::Event(forged)]);
    assert_eq!(program.line(), "[10] Participant alice joined Chit Chat at logical time 10");
    let here = program.notice("here: ");
    assert!(here.len() < 10_000 && here.ends_with("more"), "{} bytes", here.len());
    program.notice("the service broke the protocol");
    // An overlong error text instead of a stream.
    service.call("Join").await.fail(&Status::unavailable("z".repeat(8_000)));
    let mut stream = service.call("Join").await.send(&response(truth(6, 13, true)));
    put(&mut stream, [Frame::Event(message(6, 13)), Frame::Event(message(9, 20))]);
    assert_eq!(program.line(), "[13] bob: hello");
    program.notice("event 9 came where event 7 was due");
    let records = records(&logs.path().join("client-alice.jsonl"));
    let refused: Vec<_> = records.iter().filter(|record| record["event"] == "event_refused").collect();
    assert_eq!(refused.len(), 2);
    assert_eq!((&refused[0]["sequence"], &refused[0]["expected_sequence"]), (&6.into(), &6.into()));
    assert_eq!((&refused[1]["sequence"], &refused[1]["expected_sequence"]), (&9.into(), &7.into()));
    let delivered = records.iter().filter(|record| record["event"] == "event_delivered");
    assert_eq!(delivered.map(|record| record["sequence"].as_u64().unwrap()).collect::<Vec<_>>(), [5, 6]);
}
