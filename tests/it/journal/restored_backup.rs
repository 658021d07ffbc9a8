//! The journal is replaced by a backup: no client continues across the fork without a notice.

use std::fs;

use chitchat::chat::Sequence;
use chitchat::wire::pb;
use tonic::Code;

use super::recovery::restart_on;
use crate::journal::service::{chitchat, export};
use crate::support::{DurableServer, FaultyJournal, Participant, Server, Window, records, refused};

/// A resume with the chain hash of an event is refused if the journal has a different event at that position, and
/// continues if it has the same. A client that sends no hash is not checked.
#[tokio::test]
async fn a_resume_across_a_fork() {
    let (journal, control) = FaultyJournal::new();
    let server = Server::on(journal, Server::config()).await;
    let mut alice = Participant::join(server.address, "alice").await;
    let joined = alice.event().await;
    alice.publish("kept").await;
    let kept = alice.hears("kept").await;
    let events = control.history.read(Sequence(0), 100).await.unwrap();
    alice.publish("lost").await;
    let lost = alice.hears("lost").await;
    server.stop().await.unwrap();

    // It has the same epoch, and no trace of the lost event.
    let server = restart_on(&events, Server::config()).await;
    let bob = Participant::arrive(server.address, "bob").await;
    bob.publish("new").await;
    let resume = async |event: &pb::Event, chain_hash: Vec<u8>| {
        let resume = pb::ResumePoint { chain_hash, ..alice.resume_point(event.sequence) };
        let request = pb::JoinRequest { resume: Some(resume), ..Default::default() };
        Participant::open(server.address, &request, Window::default()).await
    };
    let refusal = resume(&lost, lost.chain_hash.clone()).await;
    refused(refusal, Code::FailedPrecondition, "EPOCH_CHANGED");
    refused(resume(&kept, vec![7]).await, Code::FailedPrecondition, "EPOCH_CHANGED");
    resume(&lost, Vec::new()).await.unwrap();
    for event in [&joined, &kept] {
        let mut alice = resume(event, event.chain_hash.clone()).await.unwrap();
        assert_eq!(alice.event().await.sequence, event.sequence + 1);
    }
    let listed = bob.list(0, 10).await.unwrap().events;
    assert_eq!((&listed[0].chain_hash, &listed[1].chain_hash), (&joined.chain_hash, &kept.chain_hash));
    assert_ne!(listed[2].chain_hash, lost.chain_hash);
}

/// A service whose log is ahead of its journal starts a new epoch, and reports what was lost. Clients join anew under
/// their names, and the logs of both epochs keep all rules.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_behind_its_log() {
    let mut server = DurableServer::start(&[]);
    let alice = server.join("alice");
    let bob = Participant::arrive(server.address, "bob").await;
    bob.publish("kept").await;
    alice.program.until("kept");
    let (journal, copy) = (server.journal(), server.journal().with_extension("backup"));
    let made = chitchat(&["journal", "backup", &journal.to_string_lossy(), &copy.to_string_lossy()]);
    assert!(made.status.success(), "{made:?}");
    bob.publish("lost").await;
    alice.program.until("lost");
    let before = export(&journal);
    server.kill();
    for ending in ["", "-wal", "-shm", "-head"] {
        let _ = fs::remove_file(format!("{}{ending}", journal.display()));
    }
    fs::rename(&copy, &journal).unwrap();

    server.start_again_with_notice("  epoch_changed ");
    let notice = alice.program.notice("joined anew");
    assert!(notice.contains("different conversation"), "{notice}");
    alice.program.until("Participant alice joined");
    let bob = Participant::arrive(server.address, "bob").await;
    bob.publish("new").await;
    alice.program.until("new");
    let after = export(&journal);
    assert_ne!(before[0]["epoch"], after[0]["epoch"]);
    for (old, new) in before[..3].iter().zip(&after) {
        assert_eq!((&old["sequence"], &old["content"]), (&new["sequence"], &new["content"]));
    }
    let left: Vec<_> = after[3..5].iter().map(|event| (&event["kind"], &event["display_name"])).collect();
    assert_eq!(left, [(&"left".into(), &"alice".into()), (&"left".into(), &"bob".into())]);

    let log = records(&server.log());
    let changed = log.iter().find(|record| record["event"] == "epoch_changed").unwrap();
    assert_eq!((&changed["previous_epoch"], &changed["epoch"]), (&before[0]["epoch"], &after[0]["epoch"]));
    assert_eq!((&changed["sequence"], &changed["last_sequence"]), (&3.into(), &4.into()));
    let log = server.log().to_string_lossy().into_owned();
    let verified = chitchat(&["verify", "--all", &log, &alice.log.to_string_lossy()]);
    let said = String::from_utf8(verified.stdout).unwrap();
    assert!(verified.status.success(), "{said}");
    assert!(said.contains("the journal was replaced by an older copy"), "{said}");
    // The next start reports nothing.
    server.kill();
    server.start_again();
}
