//! Many participants at once, through the client library (S4, V2, V3, V4, V9, V10).

use std::collections::HashMap;
use std::time::Duration;

use chitchat::client::{self, Event, Kind, LeaveError, Options, PublishError, Receipt, Update, Updates};
use chitchat::wire::{Reason, pb};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{DurableServer, Proxy, Server, Wire, check_transcript, soon};

const PARTICIPANTS: usize = 20;
const MESSAGES: usize = 200;

/// What one participant knows at the end.
struct Story {
    me: String,
    events: Vec<Event>,
    acknowledged: HashMap<String, Receipt>,
}

/// Joins, publishes once all participants are here, and reads until all messages have arrived.
async fn take_part(url: String, name: String, mut here: watch::Receiver<usize>) -> Story {
    let (chat, mut updates) = client::join(Options::new(url, &name)).await.unwrap();
    let me = chat.me().participant_id.clone();
    let publishing = tokio::spawn(async move {
        here.wait_for(|here| *here == PARTICIPANTS).await.unwrap();
        let mut acknowledged = HashMap::new();
        for n in 0..MESSAGES {
            let text = format!("{name} says {n}");
            acknowledged.insert(text.clone(), chat.publish(text).await.unwrap());
        }
        (chat, acknowledged)
    });
    let mut events: Vec<Event> = Vec::new();
    let is_message = |event: &&Event| matches!(event.kind, Kind::Message { .. });
    while events.iter().rev().filter(is_message).count() < PARTICIPANTS * MESSAGES {
        events.push(event(&mut updates).await);
    }
    let (_chat, acknowledged) = publishing.await.unwrap();
    Story { me, events, acknowledged }
}

async fn event(updates: &mut Updates) -> Event {
    match soon(updates.next()).await {
        Some(Update::Event(event)) => event,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_participants_that_publish_at_once_have_one_transcript_s4_v2_v3_v4_v10() {
    let server = Server::start().await;
    let (all_here, here) = watch::channel(0);
    let mut participants = JoinSet::new();
    for n in 0..PARTICIPANTS {
        participants.spawn(take_part(server.url(), format!("participant {n}"), here.clone()));
    }
    let (observer, mut seen) = client::join(Options::new(server.url(), "observer")).await.unwrap();
    let mut joined = observer.roster().len();
    while joined < PARTICIPANTS + 1 {
        let newcomer = event(&mut seen).await;
        joined += usize::from(newcomer.participant.display_name != "observer");
    }
    drop((observer, seen));
    all_here.send_replace(PARTICIPANTS);
    let stories = participants.join_all().await;

    let line = |event: &Event| (event.sequence.0, event.logical_time.0, event.content.clone());
    let whole: Vec<_> = stories
        .iter()
        .map(|story| &story.events)
        .max_by_key(|events| events.len())
        .unwrap()
        .iter()
        .map(line)
        .collect();
    check_transcript(&whole.iter().map(|(sequence, time, _)| (*sequence, *time)).collect::<Vec<_>>());
    for Story { me, events, acknowledged } in &stories {
        assert_eq!(&events[0].participant.participant_id, me, "V9");
        assert!(matches!(events[0].kind, Kind::Joined), "V9");
        let transcript: Vec<_> = events.iter().map(line).collect();
        let from = (transcript[0].0 - whole[0].0) as usize;
        let shared = transcript.len().min(whole.len() - from);
        assert_eq!(transcript[..shared], whole[from..from + shared], "all agree (V3)");

        let mine: Vec<_> = events.iter().filter(|event| acknowledged.contains_key(&event.content)).collect();
        assert_eq!(mine.len(), MESSAGES, "every acknowledged message arrives once (V5, V10)");
        for event in mine {
            let Receipt { sequence, logical_time } = acknowledged[&event.content];
            assert_eq!((sequence, logical_time), (event.sequence, event.logical_time), "V10");
            let Kind::Message { sent_logical_time, .. } = &event.kind else { unreachable!("mine are messages") };
            assert!(*sent_logical_time < event.logical_time, "the clock condition");
        }
        assert!(events.iter().all(|event| event.local_time > event.logical_time), "IR2");
        assert!(events.windows(2).all(|pair| pair[0].local_time < pair[1].local_time), "V7");
    }
}

#[tokio::test]
async fn an_unacknowledged_leave_is_reported_and_ends_the_updates() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.address).await;
    let patience = Duration::from_millis(300);
    let options = Options { patience, ..Options::new(format!("http://{}", proxy.address), "alice") };
    let (chat, mut updates) = client::join(options).await.unwrap();
    event(&mut updates).await;
    proxy.cut();
    assert!(matches!(soon(updates.next()).await, Some(Update::Offline { .. })));
    let unheard = chat.clone();
    assert_eq!(soon(chat.leave()).await, Err(LeaveError::Unacknowledged));
    assert!(soon(updates.next()).await.is_none());
    assert_eq!(unheard.publish("too late").await, Err(PublishError::Ended));
}

#[tokio::test]
async fn dropping_the_last_handle_leaves_s6() {
    let server = Server::start().await;
    let (_alice, mut updates) = client::join(Options::new(server.url(), "alice")).await.unwrap();
    let (bob, of_bob) = client::join(Options::new(server.url(), "bob")).await.unwrap();
    drop((bob, of_bob));
    let mut contents = Vec::new();
    for _ in 0..3 {
        contents.push(event(&mut updates).await.kind);
    }
    assert_eq!(contents, [Kind::Joined, Kind::Joined, Kind::Left { reason: "REQUESTED" }]);
}

#[tokio::test]
async fn a_program_that_ignores_its_updates_can_publish_and_delays_nobody_t1() {
    const MANY: usize = 1_000;
    let server = Server::start().await;
    let (busy, _unread) = client::join(Options::new(server.url(), "busy")).await.unwrap();
    let (_alice, mut updates) = client::join(Options::new(server.url(), "alice")).await.unwrap();
    let publishing = async {
        for n in 0..MANY {
            busy.publish(n.to_string()).await.unwrap();
        }
    };
    let reading = async {
        event(&mut updates).await;
        for n in 0..MANY {
            assert_eq!(event(&mut updates).await.content, n.to_string());
        }
    };
    soon(async { tokio::join!(publishing, reading) }).await;
}

#[tokio::test]
async fn a_refused_message_or_name_has_a_reason() {
    let server = Server::start().await;
    let (alice, _updates) = client::join(Options::new(server.url(), "alice")).await.unwrap();
    for (text, expected) in [(String::new(), Reason::TextEmpty), ("å".repeat(129), Reason::TextTooLong)] {
        match alice.publish(text).await {
            Err(PublishError::Refused { reason, .. }) => assert_eq!(reason, Some(expected)),
            other => panic!("{other:?}"),
        }
    }
    let taken = client::join(Options::new(server.url(), "ALICE")).await.unwrap_err();
    assert_eq!(taken.reason(), Some(Reason::NameTaken));
}

/// Memory per participant does not grow with their number: a stream keeps only its own state, not a list of all
/// participants.
#[tokio::test(flavor = "multi_thread")]
async fn memory_per_participant_is_constant() {
    const FEW: usize = 200;
    const MANY: usize = 800;
    let server = DurableServer::start(&["--address-limits", "off"]);
    let mut streams = JoinSet::new();
    let mut join = async |numbers: std::ops::Range<usize>| {
        let mut wires = Vec::new();
        for n in numbers {
            if n % 100 == 0 {
                wires.push(Wire::connect(server.address).await);
            }
            let request = pb::JoinRequest { display_name: format!("participant {n}"), ..Default::default() };
            let mut frames = wires.last().unwrap().join(&request).await;
            frames.next().await.unwrap();
            let wire = wires.last().unwrap().clone();
            streams.spawn(async move {
                while frames.next().await.is_ok() {}
                drop(wire);
            });
        }
    };
    let empty = server.resident_bytes();
    join(0..FEW).await;
    let first = server.resident_bytes().saturating_sub(empty) as usize / FEW;
    join(FEW..MANY).await;
    // Wait until the buffers that the burst of joins has filled are freed.
    let further = || server.resident_bytes().saturating_sub(empty + (first * FEW) as u64) as usize / (MANY - FEW);
    soon(async {
        while 2 * further() > 3 * first {
            tokio::task::yield_now().await;
        }
    })
    .await;
    println!("KiB per participant: {} for the first {FEW}, {} for the others", first / 1024, further() / 1024);
}
