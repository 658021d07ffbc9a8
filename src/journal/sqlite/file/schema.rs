//! The tables, how a file is recognized as a journal, and how an older one is upgraded.

use rusqlite::{Connection, TransactionBehavior};

use crate::journal::Epoch;
use crate::journal::sqlite::error::OpenFault;

/// Marks an SQLite file as a journal of Chit Chat: "Chit" in ASCII.
pub(crate) const APPLICATION_ID: i32 = 0x4368_6974;

/// What is wrong with a database without that mark.
pub(crate) const ANOTHER_KIND: &str = "it is an SQLite database of another kind";

/// The schema that this program reads and writes; a file states its own in `user_version`.
pub(crate) const VERSION: i64 = STEPS.len() as i64;

/// Step n leads from schema version n to n + 1. Existing steps never change.
const STEPS: &[&str] = &[VERSION_1, VERSION_2];

/// Names are those of the log records. `chain` links every event to all before it: see `Chain`.
///
/// The length of a text is measured as a blob's, because `length()` of a text stops at the first NUL, which is allowed
/// here. Debian 12's sqlite3 (3.40) has all functions.
const VERSION_1: &str = "
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

/// The sender's wall clock, for messages that state it.
const VERSION_2: &str = "
ALTER TABLE event ADD COLUMN sent_at TEXT CHECK (sent_at IS NULL OR (sent_at <> '' AND kind = 'message'));
";

/// Rewrites the current version, so that a transaction without events shows whether the file can be written. An UPDATE
/// to the same value would write nothing.
pub(crate) fn rewrite_version(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "user_version", VERSION)
}

/// Turns an empty database into the journal of a new epoch.
pub(crate) fn create(connection: &mut Connection, epoch: &Epoch) -> rusqlite::Result<()> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    upgrade(connection, 0, STEPS)?;
    connection.execute("INSERT INTO meta (id, epoch) VALUES (1, ?1)", [epoch.as_str()])?;
    Ok(())
}

/// Checks that a file is a journal of a known version, and returns its schema version.
pub(crate) fn identify(connection: &Connection) -> Result<i64, OpenFault> {
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != i64::from(APPLICATION_ID) {
        return Err(OpenFault::NotAJournal(ANOTHER_KIND.into()));
    }
    let found = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if !(1..=VERSION).contains(&found) {
        return Err(OpenFault::Version { found, newest: VERSION });
    }
    // A changed bit in a table's constraint would otherwise be noticed only when an event violates it.
    let mut model = Connection::open_in_memory()?;
    upgrade(&mut model, 0, STEPS.get(..usize::try_from(found).unwrap_or_default()).unwrap_or(STEPS))?;
    if tables(connection)? == tables(&model)? {
        return Ok(found);
    }
    Err(OpenFault::Damaged("its tables are not those of a journal".into()))
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    // An index that a person has added does no harm; a trigger would change what is recorded.
    let ours = "SELECT sql FROM sqlite_schema WHERE type = 'trigger' OR type = 'table' AND name IN ('meta', 'event') \
        ORDER BY name";
    connection.prepare(ours)?.query_map([], |row| row.get(0))?.collect()
}

/// Brings a file of a known version up to this one's. Each step is one transaction.
pub(crate) fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    upgrade(connection, usize::try_from(found).unwrap_or(usize::MAX), STEPS)
}

fn upgrade(connection: &mut Connection, found: usize, steps: &[&str]) -> rusqlite::Result<()> {
    for (version, step) in steps.iter().enumerate().skip(found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", (version + 1) as i64)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The epoch that a journal states.
pub(crate) fn epoch(connection: &Connection) -> Result<Epoch, OpenFault> {
    let epoch = connection.query_row("SELECT epoch FROM meta WHERE id = 1", [], |row| row.get::<_, String>(0));
    match epoch {
        Ok(epoch) => Ok(Epoch::new(epoch)),
        Err(rusqlite::Error::QueryReturnedNoRows | rusqlite::Error::FromSqlConversionFailure(..)) => {
            Err(OpenFault::Damaged("its epoch is missing".into()))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_journal_is_upgraded_and_keeps_its_data() {
        let mut connection = Connection::open_in_memory().unwrap();
        create(&mut connection, &Epoch::new("e")).unwrap();
        let next = [VERSION_1, VERSION_2, "ALTER TABLE meta ADD COLUMN motto TEXT"];
        upgrade(&mut connection, 2, &next).unwrap();
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, 3);
        assert_eq!(epoch(&connection).unwrap(), Epoch::new("e"));
        connection.execute("UPDATE meta SET motto = 'persist, then tell'", []).unwrap();
        assert!(matches!(identify(&connection), Err(OpenFault::Version { found: 3, newest: VERSION })));
    }

    #[test]
    fn the_constraints_reject_invalid_events() {
        let mut connection = Connection::open_in_memory().unwrap();
        create(&mut connection, &Epoch::new("e")).unwrap();
        let check = |columns: &str, values: &str, fits: bool| {
            let sql = format!(
                "INSERT INTO event (logical_time, sent_logical_time, recorded_at, participant_id, display_name, \
                 chain, {columns}) VALUES (2, 0, '2026-01-01T00:00:00Z', 'p1', 'alice', '0123456789abcdef', {values})"
            );
            assert_eq!(connection.execute(&sql, []).is_ok(), fits, "{columns}: {values}");
        };
        let digest = "'".to_owned() + &"a".repeat(64) + "'";
        check("sequence, kind, session_digest", &format!("1, 'joined', {digest}"), true);
        check("sequence, kind, session_digest", &format!("1, 'joined', {digest}"), false);
        check("sequence, kind, session_digest", "2, 'joined', 'abc'", false);
        check("sequence, kind", "2, 'joined'", false);
        check("sequence, kind, reason", "2, 'left', 'REQUESTED'", true);
        check("sequence, kind, reason", "3, 'left', 'BORED'", false);
        check("sequence, kind", "3, 'left'", false);
        check("sequence, kind, text, seen_sequence", "3, 'message', CAST(x'00' AS TEXT), 2", true);
        check("sequence, kind, text, seen_sequence", "4, 'message', '', 2", false);
        check("sequence, kind, text, seen_sequence", "4, 'message', 'hi', 4", false);
        check("sequence, kind, text", "4, 'message', 'hi'", false);
        check("sequence, kind, text, seen_sequence", "4, 'message', 7.5, 1", true);
        check("sequence, kind, text, seen_sequence", "5, 'message', 'hi', 'one'", false);
        check(
            "sequence, kind, text, seen_sequence, sent_at",
            "5, 'message', 'hi', 1, '2026-01-01T00:00:00Z'",
            true,
        );
        check("sequence, kind, reason, sent_at", "6, 'left', 'REQUESTED', '2026-01-01T00:00:00Z'", false);
        check("sequence, kind", "6, 'thought'", false);
        check("sequence, kind, text, seen_sequence", "0, 'message', 'hi', -1", false);
    }
}
