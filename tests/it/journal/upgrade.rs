//! A journal from an earlier version can be opened, served and continued.

use std::path::Path;

use rusqlite::Connection;

use crate::journal::service::{Publisher, Service, assert_kept, export};
use crate::support::Participant;

/// The exact tables of schema 1, from versions whose messages had no `sent_at`.
const SCHEMA_1: &str = "
CREATE TABLE meta (
  id    INTEGER PRIMARY KEY CHECK (id = 1),
  epoch TEXT NOT NULL CHECK (epoch <> '')
) STRICT;

CREATE TABLE event (
  sequence          INTEGER PRIMARY KEY CHECK (sequence >= 1),
  logical_time      INTEGER NOT NULL CHECK (logical_time > sent_logical_time),
  sent_logical_time INTEGER NOT NULL CHECK (sent_logical_time >= 0),
  recorded_at       TEXT NOT NULL,
  kind              TEXT NOT NULL,
  participant_id    TEXT NOT NULL,
  display_name      TEXT NOT NULL CHECK (display_name <> ''),
  session_digest    TEXT CHECK (length(session_digest) = 64),
  text              TEXT CHECK (length(CAST(text AS BLOB)) BETWEEN 1 AND 512),
  message_id        TEXT CHECK (length(CAST(message_id AS BLOB)) BETWEEN 1 AND 64),
  seen_sequence     INTEGER CHECK (seen_sequence BETWEEN 0 AND sequence - 1),
  reason            TEXT CHECK (reason IN ('REQUESTED', 'DISCONNECTED')),
  chain             TEXT NOT NULL CHECK (length(chain) = 16),
  CHECK (kind IN ('joined', 'left', 'message')),
  CHECK ((kind = 'joined') = (session_digest IS NOT NULL)),
  CHECK ((kind = 'left') = (reason IS NOT NULL)),
  CHECK ((kind = 'message') = (text IS NOT NULL)),
  CHECK ((kind = 'message') = (seen_sequence IS NOT NULL)),
  CHECK (kind = 'message' OR message_id IS NULL)
) STRICT;
";
const COLUMNS_1: &str = "sequence, logical_time, sent_logical_time, recorded_at, kind, participant_id, display_name, \
    session_digest, text, message_id, seen_sequence, reason, chain";
/// "Chit" in ASCII: says that an SQLite file is a journal.
const APPLICATION_ID: i32 = 0x4368_6974;

/// Makes a journal of schema 1 with the events of a current one. None of them has a `sent_at`, so nothing is lost.
fn as_schema_1(today: &Path, path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    connection.execute_batch(SCHEMA_1).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    connection.execute("ATTACH ?1 AS today", [today.to_str().unwrap()]).unwrap();
    let copy = format!(
        "INSERT INTO main.meta SELECT id, epoch FROM today.meta; \
         INSERT INTO main.event ({COLUMNS_1}) SELECT {COLUMNS_1} FROM today.event;"
    );
    connection.execute_batch(&copy).unwrap();
}

fn version(path: &Path) -> i64 {
    Connection::open(path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// J6: a journal of schema 1 is upgraded; its events are served and exported as before, and its sessions continue.
#[tokio::test]
async fn schema_1() {
    let folder = tempfile::tempdir().unwrap();
    let (today, path) = (folder.path().join("today.db"), folder.path().join("chitchat.db"));
    let service = Service::start(&today).await;
    let (mut alice, mut bob) = (Publisher::join(&service, "alice").await, Publisher::join(&service, "bob").await);
    for _ in 0..10 {
        alice.publish().await.unwrap();
        bob.publish().await.unwrap();
    }
    assert!(service.stop().await.success());
    as_schema_1(&today, &path);
    assert_eq!((version(&path), version(&today)), (1, 2));
    let before = export(&today);

    let service = Service::start(&path).await;
    let address = service.address.trim_start_matches("http://").parse().unwrap();
    let carol = Participant::join(address, "carol").await;
    let served = carol.list(0, 100).await.unwrap().events;
    assert_eq!(served.len(), before.len() + 1);
    for (event, exported) in served.iter().zip(&before) {
        assert_eq!(
            (exported["sequence"].as_u64(), exported["content"].as_str()),
            (Some(event.sequence), Some(&*event.content))
        );
        if let Some(chitchat::wire::pb::event::Kind::Message(message)) = &event.kind {
            assert_eq!(message.sent_at, None);
        }
    }
    // Its sessions continue.
    alice.move_to(&service);
    alice.publish().await.unwrap();
    assert!(service.stop().await.success());
    assert_eq!(version(&path), 2);
    assert_eq!(export(&path)[..before.len()], before[..]);
    assert_kept(&path, &[&alice, &bob]);
}
