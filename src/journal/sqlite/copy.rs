//! What a replica records besides the events, in the same transaction: its place in the common log, where each session
//! is attached, and which replicas there are. Only the file of a replica has these tables.

use std::fmt::Display;
use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension as _, Row, Statement};

use super::error::OpenFault;
use crate::chat::{Attachment, Incarnation, ParticipantId, Replica, Sequence};
use crate::journal::{CopyState, CopyUpdate, LogDigest, LogPlace};

/// What kind of service owns a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A single service, without replicas.
    Service,
    /// A replica, which copies the events that result from a common log.
    Replica,
}

/// Numbers that need all 64 bits are stored as text, since SQLite's integers are signed.
const TABLES: &str = "
CREATE TABLE replica_place (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  position INTEGER NOT NULL CHECK (position >= 0),
  before   TEXT NOT NULL CHECK (length(before) = 32),
  digest   TEXT NOT NULL CHECK (length(digest) = 32)
) STRICT;

CREATE TABLE replica_attachment (
  participant INTEGER PRIMARY KEY CHECK (participant >= 1),
  generation  INTEGER NOT NULL CHECK (generation >= 1),
  replica     INTEGER CHECK (replica >= 1)
) STRICT;

CREATE TABLE replica_member (
  incarnation INTEGER PRIMARY KEY CHECK (incarnation >= 1),
  name        TEXT NOT NULL,
  nonce       TEXT NOT NULL,
  batch       INTEGER NOT NULL CHECK (batch >= 0)
) STRICT;
";

/// Whether a file is the copy of a replica.
pub(super) fn is_copy(connection: &Connection) -> rusqlite::Result<bool> {
    let table = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'replica_place'";
    connection.query_row(table, [], |row| row.get::<_, i64>(0)).map(|tables| tables > 0)
}

/// A replica must not use the journal of a single service, unless that is empty, and a single service must not use a
/// replica's.
pub(super) fn check_owner(connection: &Connection, owner: Owner, events: Sequence) -> Result<(), OpenFault> {
    match (owner, is_copy(connection)?) {
        (Owner::Service, true) => Err(OpenFault::OfReplica),
        (Owner::Replica, false) if events > Sequence(0) => Err(OpenFault::OfService { events }),
        _ => Ok(()),
    }
}

/// The state that a copy has recorded. Creates the tables if they are missing.
pub(super) fn open(connection: &Connection) -> Result<CopyState, OpenFault> {
    if !is_copy(connection)? {
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} COMMIT;"))?;
    }
    let place = "SELECT position, before, digest FROM replica_place";
    let place = connection.query_row(place, [], place_of).optional()?.unwrap_or_default();
    let attachments = "SELECT participant, generation, replica FROM replica_attachment";
    let attachments = connection.prepare(attachments)?.query_map([], attachment_of)?.collect::<Result<_, _>>()?;
    let replicas = "SELECT incarnation, name, nonce, batch FROM replica_member";
    let replicas = connection.prepare(replicas)?.query_map([], replica_of)?.collect::<Result<_, _>>()?;
    Ok(CopyState { place, attachments, replicas })
}

/// Records updates.
pub(super) struct Recorder<'c> {
    put_attachment: Statement<'c>,
    remove_attachment: Statement<'c>,
    put_replica: Statement<'c>,
    remove_replica: Statement<'c>,
    put_place: Statement<'c>,
}

impl<'c> Recorder<'c> {
    /// The copy must be [open].
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            put_attachment: connection.prepare(
                "INSERT OR REPLACE INTO replica_attachment (participant, generation, replica) VALUES (?1, ?2, ?3)",
            )?,
            remove_attachment: connection.prepare("DELETE FROM replica_attachment WHERE participant = ?1")?,
            put_replica: connection.prepare(
                "INSERT OR REPLACE INTO replica_member (incarnation, name, nonce, batch) VALUES (?1, ?2, ?3, ?4)",
            )?,
            remove_replica: connection.prepare("DELETE FROM replica_member WHERE incarnation = ?1")?,
            put_place: connection.prepare(
                "INSERT OR REPLACE INTO replica_place (id, position, before, digest) VALUES (1, ?1, ?2, ?3)",
            )?,
        })
    }

    /// Records an update, within the transaction that is open.
    pub(super) fn record(&mut self, update: &CopyUpdate) -> rusqlite::Result<()> {
        for (participant, attachment) in &update.attachments {
            let participant = integer(participant.0.0)?;
            match attachment {
                Some(Attachment { generation, replica }) => {
                    let replica = replica.map(|replica| integer(replica.0)).transpose()?;
                    self.put_attachment.execute((participant, integer(*generation)?, replica))?
                }
                None => self.remove_attachment.execute([participant])?,
            };
        }
        for (incarnation, replica) in &update.replicas {
            let incarnation = integer(incarnation.0)?;
            match replica {
                Some(Replica { name, nonce, batch }) => {
                    let (nonce, batch) = (nonce.to_string(), integer(*batch)?);
                    self.put_replica.execute((incarnation, &**name, nonce, batch))?
                }
                None => self.remove_replica.execute([incarnation])?,
            };
        }
        let LogPlace { position, before, digest } = update.place;
        self.put_place.execute((integer(position)?, before.to_string(), digest.to_string()))?;
        Ok(())
    }
}

fn place_of(row: &Row<'_>) -> rusqlite::Result<LogPlace> {
    let digest = |index| -> rusqlite::Result<LogDigest> {
        LogDigest::parse(&row.get::<_, String>(index)?).ok_or_else(|| unreadable(index, "not a digest"))
    };
    Ok(LogPlace { position: number(row, 0)?, before: digest(1)?, digest: digest(2)? })
}

fn attachment_of(row: &Row<'_>) -> rusqlite::Result<(ParticipantId, Attachment)> {
    let replica = row.get::<_, Option<i64>>(2)?.map(|replica| Incarnation(replica.cast_unsigned()));
    Ok((ParticipantId(Sequence(number(row, 0)?)), Attachment { generation: number(row, 1)?, replica }))
}

fn replica_of(row: &Row<'_>) -> rusqlite::Result<(Incarnation, Replica)> {
    let name: String = row.get(1)?;
    let nonce = u64::from_str(&row.get::<_, String>(2)?).map_err(|error| unreadable(2, error))?;
    Ok((Incarnation(number(row, 0)?), Replica { name: name.into(), nonce, batch: number(row, 3)? }))
}

/// The CHECK constraints rule out negative numbers.
fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(index).map(i64::cast_unsigned)
}

fn integer(n: u64) -> rusqlite::Result<i64> {
    i64::try_from(n).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn unreadable(index: usize, why: impl Display) -> rusqlite::Error {
    let why = why.to_string().into();
    rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_reads_back_what_it_recorded_r2() {
        let connection = Connection::open_in_memory().unwrap();
        assert_eq!(open(&connection).unwrap().place, LogPlace::default());
        let place = LogPlace::default().with(b"one").with(b"two");
        let (stays, leaves) = (ParticipantId(Sequence(1)), ParticipantId(Sequence(2)));
        let at = |generation, replica| Some(Attachment { generation, replica });
        let replica = Replica { name: "a".into(), nonce: u64::MAX, batch: 7 };
        let first = CopyUpdate {
            place: LogPlace::default().with(b"one"),
            attachments: vec![(stays, at(1, Some(Incarnation(2)))), (leaves, at(1, Some(Incarnation(2))))],
            replicas: vec![(Incarnation(2), Some(replica.clone())), (Incarnation(3), Some(replica.clone()))],
        };
        let second = CopyUpdate {
            place,
            attachments: vec![(stays, at(2, None)), (leaves, None)],
            replicas: vec![(Incarnation(3), None)],
        };
        let mut recorder = Recorder::new(&connection).unwrap();
        recorder.record(&first).unwrap();
        recorder.record(&second).unwrap();
        let found = open(&connection).unwrap();
        assert_eq!(found.place, place);
        assert_eq!(found.attachments, [(stays, Attachment { generation: 2, replica: None })]);
        assert_eq!(found.replicas, [(Incarnation(2), replica)]);
    }

    #[test]
    fn a_replica_and_a_single_service_refuse_each_others_journals_r9() {
        let connection = Connection::open_in_memory().unwrap();
        let check = |owner, events| check_owner(&connection, owner, Sequence(events));
        assert!(check(Owner::Service, 3).is_ok());
        assert!(check(Owner::Replica, 0).is_ok());
        assert!(matches!(check(Owner::Replica, 3), Err(OpenFault::OfService { events: Sequence(3) })));
        open(&connection).unwrap();
        assert!(check(Owner::Replica, 3).is_ok());
        assert!(matches!(check(Owner::Service, 0), Err(OpenFault::OfReplica)));
    }
}
