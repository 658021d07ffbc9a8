//! A journal that fails temporarily or for good, and a conversation that is rebuilt from a journal.

use std::time::Duration;

use chitchat::chat::{Conversation, Sequence};
use chitchat::journal::{Epoch, Journal, JournalEvent, MemoryJournal, recover};
use chitchat::server::{Config, ServerError};
use chitchat::wire::pb;
use tonic::Code;

use crate::support::{Fault, FaultyJournal, Participant, Server, Window, refused};

/// A service that starts with the events of another one, as after a restart.
pub async fn restart_on(events: &[JournalEvent], config: Config) -> Server {
    let mut journal = MemoryJournal::new(Epoch::new("test"));
    journal.append(events.iter().map(|recorded| recorded.event.clone()).collect()).await.unwrap();
    Server::on(Box::new(journal), config).await
}

#[tokio::test]
async fn an_unrecorded_event_is_not_delivered_and_the_service_recovers() {
    let (journal, control) = FaultyJournal::new();
    let server = Server::on(journal, Server::config()).await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let bob = Participant::arrive(server.address, "bob").await;
    let lost = pb::PublishRequest { message_id: "m".into(), logical_time: 500, ..alice.request("lost") };

    control.set(Fault::Unavailable);
    let refusal = refused(alice.wire.publish(&lost).await, Code::Unavailable, "JOURNAL_UNAVAILABLE");
    assert!(refusal.retry.is_some());
    refused(bob.leave().await, Code::Unavailable, "JOURNAL_UNAVAILABLE");
    let carol = pb::JoinRequest { display_name: "carol".into(), ..Default::default() };
    let joined = Participant::open(server.address, &carol, Window::default()).await;
    refused(joined, Code::Unavailable, "JOURNAL_UNAVAILABLE");
    assert_eq!(alice.list(0, 10).await.unwrap().events.len(), 2, "recorded events can be read");
    let resumed = bob.resume(server.address, 2).await.unwrap();
    assert_eq!((resumed.welcome.head_sequence, resumed.welcome.logical_time), (2, 5), "nothing has changed");
    assert_eq!(resumed.welcome.participants.len(), 2);

    control.set(Fault::None);
    let accepted = alice.wire.publish(&pb::PublishRequest { logical_time: 0, ..lost }).await.unwrap();
    assert_eq!((accepted.sequence, accepted.logical_time), (3, 7), "the failed publish changed nothing");
    alice.event().await;
    alice.hears("lost").await;
    bob.leave().await.unwrap();
    alice.hears("Participant bob left Chit Chat at logical time 9").await;
    assert_eq!(control.history.read(Sequence(0), 10).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_participant_whose_expiry_could_not_be_recorded_leaves_later_s6() {
    let (journal, mut control) = FaultyJournal::new();
    let server = Server::on(journal, Config { grace: Duration::from_millis(20), ..Server::config() }).await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    let bob = Participant::arrive(server.address, "bob").await;
    control.set(Fault::Unavailable);
    drop(bob);
    control.has_refused(1).await;
    control.set(Fault::None);
    alice.event().await;
    alice.hears("Participant bob left Chit Chat at logical time 7").await;
}

#[tokio::test]
async fn a_journal_that_has_failed_for_good_stops_the_service_with_an_error() {
    let (journal, control) = FaultyJournal::new();
    let server = Server::on(journal, Server::config()).await;
    let mut alice = Participant::arrive(server.address, "alice").await;
    control.set(Fault::Fatal);
    refused(alice.wire.publish(&alice.request("lost")).await, Code::Unavailable, "JOURNAL_UNAVAILABLE");
    let end = alice.end().await;
    assert_eq!(end.code(), Code::Unavailable, "not OK, which would mean that the participant has left: {end:?}");
    assert!(matches!(server.ends().await, Err(ServerError::Journal(_))));
}

#[tokio::test]
async fn after_a_restart_on_the_same_journal_sessions_resume_and_duplicates_are_known_v4_v5() {
    let (journal, control) = FaultyJournal::new();
    let server = Server::on(journal, Server::config()).await;
    let alice = Participant::arrive(server.address, "alice").await;
    let request = pb::PublishRequest { message_id: "m".into(), ..alice.request("once") };
    let first = alice.wire.publish(&request).await.unwrap();
    server.stop().await.unwrap();

    let events = control.history.read(Sequence(0), 100).await.unwrap();
    assert_eq!(events.len(), 2, "a stopping service records no leaves");
    let server = restart_on(&events, Server::config()).await;
    let mut alice = alice.resume(server.address, 0).await.unwrap();
    assert!(alice.welcome.resumed);
    assert_eq!(alice.wire.publish(&request).await.unwrap(), first, "the first answer again");
    assert_eq!(alice.publish("and on").await.sequence, 3);
    alice.hears("Participant alice joined Chit Chat at logical time 3").await;
    alice.hears("once").await;
    alice.hears("and on").await;
}

#[tokio::test]
async fn a_participant_that_does_not_return_after_a_restart_leaves_after_a_new_grace_period_s6() {
    let (journal, control) = FaultyJournal::new();
    let server = Server::on(journal, Server::config()).await;
    let alice = Participant::arrive(server.address, "alice").await;
    let _bob = Participant::arrive(server.address, "bob").await;
    server.stop().await.unwrap();

    let events = control.history.read(Sequence(0), 100).await.unwrap();
    let grace = Duration::from_millis(300);
    let server = restart_on(&events, Config { grace, ..Server::config() }).await;
    let mut alice = alice.resume(server.address, 2).await.unwrap();
    alice.hears("Participant bob left Chit Chat at logical time 7").await;
}

#[tokio::test]
async fn damage_is_found_in_a_journal_and_the_service_does_not_start() {
    let (journal, control) = FaultyJournal::new();
    let server = Server::on(journal, Server::config()).await;
    let alice = Participant::arrive(server.address, "alice").await;
    alice.publish("hello").await;
    let events = control.history.read(Sequence(0), 100).await.unwrap();
    let rebuilt = recover(&*control.history, |_| {}).await.unwrap();
    assert_eq!((rebuilt.head(), rebuilt.active()), (Sequence(2), 1));
    assert_eq!(Conversation::new().head(), Sequence(0));

    let mut damaged = events.clone();
    std::sync::Arc::make_mut(&mut damaged[1].event).logical_time.0 += 1;
    for events in [damaged, events[1..].to_vec(), [&events[..], &events[..]].concat()] {
        let server = restart_on(&events, Server::config()).await;
        assert!(matches!(server.ends().await, Err(ServerError::Recovery(_))));
    }
}
