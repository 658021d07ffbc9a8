//! `chitchat load`: every delivery is checked and counted, and a wrong one is found (S3, S4).

use bytes::Bytes;
use chitchat::wire::pb;
use chitchat::wire::pb::join_response::Frame;
use h2::SendStream;
use serde_json::Value;

use crate::support::{DurableServer, Ended, Impostor, Program, ServerProgram, put, records, soon};

fn load(url: &str, options: &[&str]) -> Ended {
    Program::run(&[&["load", "--server", url], options].concat(), &[])
}

/// The one line that it prints.
#[track_caller]
fn summary(ended: &Ended) -> Value {
    assert_eq!(ended.output.len(), 1, "{ended:?}");
    serde_json::from_str(&ended.output[0]).unwrap()
}

/// With a journal in a file, every participant gets every message once (S4). The service's log has as many messages,
/// each of the requested length in characters (S3), and at the end all participants have left (S6).
#[test]
fn all_deliveries_are_counted() {
    let server = DurableServer::start(&["--address-limits", "off", "--publish-rate", "0"]);
    let process = server.program.as_ref().unwrap().id().to_string();
    let options = "--participants 12 --publishers 3 --in-flight 4 --messages 200 --text-characters 100 --settle 1ms \
        --joins-in-parallel 5 --server-pid";
    let options: Vec<_> = options.split_whitespace().chain([&*process]).collect();
    let ended = load(&server.url(), &options).succeeded();
    let figures = summary(&ended);
    for (name, expected) in [
        ("participants", 12),
        ("publishers", 3),
        ("in_flight", 4),
        ("messages", 200),
        ("deliveries", 2400),
        ("deliveries_expected", 2400),
        ("missing", 0),
        ("doubled", 0),
        ("out_of_order", 0),
        ("altered", 0),
        ("streams_ended", 0),
    ] {
        assert_eq!(figures[name], expected, "{name}: {figures}");
    }
    for latencies in ["publish_ms", "delivery_ms"] {
        let at = |name: &str| figures[latencies][name].as_f64().unwrap();
        assert!(0.0 < at("p50") && at("p50") <= at("p90") && at("p90") <= at("p99") && at("p99") <= at("max"));
    }
    assert!(figures["server"]["resident_kib_joined"].as_u64().unwrap() > 0, "{figures}");
    assert_eq!(ended.errors, "", "progress is for terminals");

    let records = records(&server.log());
    let count = |event: &str| records.iter().filter(|record| record["event"] == event).count();
    assert_eq!(["join_broadcast", "message_broadcast", "leave_broadcast"].map(count), [12, 200, 12]);
    let messages = records.iter().filter(|record| record["event"] == "message_broadcast");
    assert!(messages.clone().all(|record| record["content"].as_str().unwrap().chars().count() == 100));
    assert!(messages.clone().all(|record| record["seen_sequence"].as_u64().unwrap() >= 12), "all had joined");
}

/// Publishing alone can be measured: nothing is delivered, everything is acknowledged.
#[test]
fn without_streams_nothing_is_delivered() {
    let server = DurableServer::start(&["--publish-rate", "0"]);
    let options = "--no-streams --participants 2 --publishers 2 --messages 70";
    let figures = summary(&load(&server.url(), &options.split(' ').collect::<Vec<_>>()).succeeded());
    assert_eq!((&figures["deliveries"], &figures["deliveries_expected"]), (&0.into(), &0.into()), "{figures}");
    assert!(figures["delivery_ms"].is_null() && figures["publishes_per_second"].as_f64() > Some(0.0), "{figures}");
    let messages = records(&server.log()).iter().filter(|record| record["event"] == "message_broadcast").count();
    assert_eq!(messages, 70);
}

/// If a limit refuses a call, the error names the option that lifts it (C6), and those who had joined leave.
#[test]
fn a_limit_that_refuses_is_named() {
    let server = ServerProgram::start(&["--participants-per-address-max", "3"]);
    let url = format!("http://{}", server.address);
    let refused = |options: &[&str], call: &str, advice: &str| {
        let ended = load(&url, options);
        assert_eq!((ended.code, ended.output.len()), (Some(1), 0), "{ended:?}");
        assert!(ended.errors.starts_with(&format!("chitchat: {call}")), "{ended:?}");
        assert!(ended.errors.contains(advice), "{ended:?}");
    };
    refused(&["--participants", "5", "--joins-in-parallel", "1"], "join 4: refused", "--address-limits off");
    // By default 60 messages at once, then 20 a second.
    refused(&["--participants", "3", "--messages", "500", "--in-flight", "50"], "publish ", "--publish-rate 0");
    load(&url, &["--participants", "3"]).succeeded();
    let left = server.records().iter().filter(|record| record["event"] == "leave_broadcast").count();
    assert_eq!(left, 9);
}

/// Which events a service sends for three messages that it has acknowledged as events 2, 3 and 4.
type Lie = fn([pb::Event; 3]) -> Vec<pb::Event>;

fn event(sequence: u64, content: &str, kind: pb::event::Kind) -> Frame {
    Frame::Event(pb::Event {
        sequence,
        logical_time: 3 * sequence,
        content: content.into(),
        kind: Some(kind),
        ..Default::default()
    })
}

fn events(frames: impl IntoIterator<Item = pb::Event>) -> impl Iterator<Item = Frame> {
    frames.into_iter().map(Frame::Event)
}

/// Lets one participant join, as event 1.
async fn join(service: &mut Impostor) -> SendStream<Bytes> {
    let welcome = pb::Welcome {
        session_token: "token".into(),
        participant_id: "p1".into(),
        head_sequence: 1,
        logical_time: 3,
        ..Default::default()
    };
    let welcome = pb::JoinResponse { frame: Some(Frame::Welcome(welcome)) };
    let mut stream = service.call("Join").await.send(&welcome);
    put(&mut stream, [event(1, "joined", pb::event::Kind::Joined(pb::Joined {}))]);
    stream
}

/// Runs `load` against a service that distorts three messages in this way.
async fn under(lie: Lie) -> Ended {
    let mut service = Impostor::start().await;
    let url = service.url.clone();
    let running = tokio::task::spawn_blocking(move || load(&url, &["--participants", "1", "--messages", "3"]));
    let mut stream = join(&mut service).await;
    let mut told = Vec::new();
    for sequence in 2..=4 {
        let mut call = service.call("Publish").await;
        let request: pb::PublishRequest = call.request().await;
        let message = pb::Message { message_id: request.message_id, ..Default::default() };
        let Frame::Event(event) = event(sequence, &request.text, pb::event::Kind::Message(message)) else {
            unreachable!("it is an event")
        };
        told.push(event);
        // All events are sent before the last acknowledgement, so that `load` need not wait for missing ones.
        if let Ok(three) = <[pb::Event; 3]>::try_from(told.clone()) {
            put(&mut stream, events(lie(three)));
        }
        call.answer(&pb::PublishResponse { sequence, logical_time: 3 * sequence });
    }
    service.call("Leave").await.answer(&pb::LeaveResponse { sequence: 5, logical_time: 20 });
    soon(running).await.unwrap()
}

/// It exits with 1 after a single wrong delivery, and reports what is wrong; otherwise with 0 (S4).
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_delivery_exits_1() {
    let lies: [(Lie, Option<&str>); 7] = [
        (|three| three.into(), None),
        (|[a, _, c]| vec![a, c], Some("missing")),
        (|[a, b, c]| vec![a.clone(), a, b, c], Some("doubled")),
        (|[a, b, c]| vec![a, c, b], Some("out_of_order")),
        (|[a, b, c]| vec![pb::Event { content: "another text".into(), ..a }, b, c], Some("altered")),
        // Two messages swap places.
        (
            |[a, b, c]| {
                let [two, three] = [a.sequence, b.sequence];
                vec![pb::Event { sequence: two, ..b }, pb::Event { sequence: three, ..a }, c]
            },
            Some("altered"),
        ),
        // One message is delivered twice, under two sequence numbers.
        (|[a, b, c]| vec![a, b, c.clone(), pb::Event { sequence: 5, ..c }], Some("doubled")),
    ];
    for (number, (lie, wrong)) in lies.into_iter().enumerate() {
        let ended = under(lie).await;
        let figures = summary(&ended);
        assert_eq!(ended.code, Some(i32::from(wrong.is_some())), "{number}: {ended:?}");
        for name in ["missing", "doubled", "out_of_order", "altered"] {
            assert_eq!(figures[name].as_u64() > Some(0), wrong == Some(name), "{number} {name}: {ended:?}");
        }
        assert_eq!(ended.errors.contains("chitchat: of 3 deliveries"), wrong.is_some(), "{number}: {ended:?}");
    }
}
