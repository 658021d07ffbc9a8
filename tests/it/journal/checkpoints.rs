//! Starts from a checkpoint, from outside: kills around it, and damage that is found while the service runs (J15 to
//! J17).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chitchat::wire::pb;
use http::StatusCode;

use crate::journal::service::{Publisher, Service, assert_kept, chitchat, until};
use crate::support::{Figures, Http1};

fn journal_in(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("chitchat.db")
}

/// A service that writes a checkpoint every `checkpoint_events` events.
async fn start(journal: &Path, checkpoint_events: &str) -> Service {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chitchat"));
    command.env("CHITCHAT_CHECKPOINT_EVENTS", checkpoint_events);
    Service::start_with(journal, &mut command).await
}

/// Records 60 messages with a service that writes checkpoints, and stops it.
async fn record_sixty(journal: &Path) -> Publisher {
    let service = start(journal, "20").await;
    let mut alice = Publisher::join(&service, "alice").await;
    for _ in 0..60 {
        alice.publish().await.unwrap();
    }
    assert!(service.stop().await.success());
    alice
}

/// Flips a bit in the text of a message in the main file of a closed journal. The first pages have remains of rows that
/// were moved, so only the last occurrence counts.
fn damage(journal: &Path, text: &str) {
    let (mut bytes, text) = (fs::read(journal).unwrap(), text.as_bytes());
    let at = bytes.windows(text.len()).rposition(|window| window == text).unwrap() + text.len() - 1;
    bytes[at] ^= 1;
    fs::write(journal, &bytes).unwrap();
}

fn serve(journal: &Path, options: &[&str]) -> Output {
    let logs = tempfile::tempdir().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--log-dir"];
    let places = [logs.path().to_str().unwrap(), "--journal", journal.to_str().unwrap()];
    chitchat(&[&arguments[..], &places, options].concat())
}

/// A service that is killed at any moment while it keeps writing checkpoints starts again with everything that was
/// acknowledged, and recognizes each message that is sent again.
#[tokio::test]
async fn kills_around_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal_in(&folder);
    let mut service = start(&journal, "1").await;
    let mut alice = Publisher::join(&service, "alice").await;
    for round in 0..12 {
        for _ in 0..3 + 7 * round {
            alice.publish().await.unwrap();
        }
        service.kill();
        service = start(&journal, "1").await;
        alice.move_to(&service);
        let (sequence, text) = alice.acknowledged.last().unwrap().clone();
        assert_eq!(alice.repeat().await.unwrap(), sequence, "{text}");
    }
    assert_kept(&journal, &[&alice]);
    let sequences: Vec<_> = alice.acknowledged.iter().map(|(sequence, _)| *sequence).collect();
    assert!(sequences.is_sorted_by(|earlier, later| earlier + 1 == *later), "{sequences:?}");
    assert!(folder.path().join("chitchat.db-checkpoint").exists());
}

/// Damage to old events is found while the service runs. It reports this to its operators, accepts nothing more, and
/// still serves what can be read. The next start is refused.
#[tokio::test]
async fn damage_that_is_found_while_the_service_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal_in(&folder);
    let mut alice = record_sixty(&journal).await;
    damage(&journal, &alice.acknowledged[2].1);
    let refused = serve(&journal, &["--journal-check", "first"]);
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert!(complaint.contains("event 4 is not what was recorded"), "{complaint}");

    let service = start(&journal, "20").await;
    alice.move_to(&service);
    let address = service.address.trim_start_matches("http://").parse().unwrap();
    let found = async || (service.readiness().await == StatusCode::SERVICE_UNAVAILABLE).then_some(());
    until("the damage", found).await;
    assert_eq!(Http1::get(address, "/readyz").await.text(), r#"{"status":"journal damaged"}"#);
    let figures = Figures::of(address).await;
    assert_eq!(figures.get("journal_damaged"), 1.0);
    alice.publish_until_unavailable().await;
    let page = alice.list(50, 100).await.unwrap().events;
    assert_eq!(page.iter().map(|event| event.sequence).collect::<Vec<_>>(), (51..=61).collect::<Vec<_>>());
    assert_eq!(Http1::get(address, "/healthz").await.status, StatusCode::OK);

    assert!(service.stop().await.success());
    assert!(!folder.path().join("chitchat.db-checkpoint").exists());
    let refused = serve(&journal, &[]);
    assert_eq!(refused.status.code(), Some(1));
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert!(complaint.contains("event 4 is not what was recorded"), "{complaint}");
}

/// An intact journal is reported as such, and the metrics show the progress of the check.
#[tokio::test]
async fn an_intact_journal_is_reported_intact() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal_in(&folder);
    let mut alice = record_sixty(&journal).await;
    let service = start(&journal, "20").await;
    alice.move_to(&service);
    alice.publish().await.unwrap();
    let said = "the events up to 61 have been checked: the journal is intact";
    until("the end of the check", async || service.stderr().contains(said).then_some(())).await;
    let figures = Figures::of(service.address.trim_start_matches("http://").parse().unwrap()).await;
    assert_eq!((figures.get("journal_unchecked_events"), figures.get("journal_damaged")), (0.0, 0.0));
    assert_eq!(service.readiness().await, StatusCode::OK);
    assert_kept(&journal, &[&alice]);
}

impl Publisher {
    async fn list(
        &mut self,
        after_sequence: u64,
        page_size: u32,
    ) -> Result<pb::ListEventsResponse, tonic::Status> {
        let session_token = self.token.clone();
        let request = pb::ListEventsRequest { session_token, after_sequence, page_size };
        Ok(self.client.list_events(request).await?.into_inner())
    }
}
