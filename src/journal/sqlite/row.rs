//! An event as a row, and back.

use std::collections::HashMap;
use std::str;
use std::sync::Arc;
use std::time::SystemTime;

use data_encoding::HEXLOWER;
use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement, params};

use super::error::{Damage, Fault};
use crate::chat::{
    DisplayName, Event, EventKind, LeaveReason, LogicalTime, MessageId, MessageText, Participant, ParticipantId,
    Sequence, SessionKey,
};
use crate::journal::chain::{bytes_of, readable};
use crate::journal::{Chain, JournalEvent};

/// Inserts one event. [`insert`] binds the values in this order.
pub(super) const INSERT: &str = "INSERT INTO event (sequence, logical_time, sent_logical_time, recorded_at, kind, \
    participant_id, display_name, session_digest, text, message_id, seen_sequence, reason, chain, sent_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

/// Events from a position on, inclusive. [`RowDecoder`] reads the columns in this order.
pub(super) const SELECT: &str = "SELECT sequence, logical_time, sent_logical_time, recorded_at, kind, \
    participant_id, display_name, session_digest, text, message_id, seen_sequence, reason, chain, sent_at \
    FROM event WHERE sequence >= ?1 ORDER BY sequence LIMIT ?2";

/// The same for a journal of schema version 1, which is opened for reading only and so is not upgraded.
pub(super) const SELECT_VERSION_1: &str = "SELECT sequence, logical_time, sent_logical_time, recorded_at, kind, \
    participant_id, display_name, session_digest, text, message_id, seen_sequence, reason, chain, NULL \
    FROM event WHERE sequence >= ?1 ORDER BY sequence LIMIT ?2";

/// How many names a decoder caches.
const NAMES_REMEMBERED: usize = 1024;

/// Inserts an event. The statement is prepared from [`INSERT`].
pub(super) fn insert(statement: &mut Statement<'_>, event: &Event, chain: Chain) -> rusqlite::Result<()> {
    let (kind, session, text, message_id, seen, reason) = match &event.kind {
        EventKind::Joined { session } => ("joined", Some(HEXLOWER.encode(&session.0)), None, None, None, None),
        EventKind::Left { reason } => ("left", None, None, None, None, Some(reason.as_str())),
        EventKind::Message { text, message_id, seen, .. } => {
            let message_id = message_id.as_ref().map(|id| id.as_str());
            ("message", None, Some(text.as_str()), message_id, Some(integer(seen.0)?), None)
        }
    };
    let sent_at = match &event.kind {
        EventKind::Message { sent_at: Some(sent_at), .. } => Some(written(*sent_at)),
        _ => None,
    };
    statement.execute(params![
        integer(event.sequence.0)?,
        integer(event.logical_time.0)?,
        integer(event.sent_logical_time.0)?,
        written(event.recorded_at),
        kind,
        event.participant.id.to_string(),
        event.participant.display_name.as_str(),
        session,
        text,
        message_id,
        seen,
        reason,
        chain.to_string(),
        sent_at,
    ])?;
    Ok(())
}

fn written(at: SystemTime) -> String {
    humantime::format_rfc3339_nanos(readable(at)).to_string()
}

/// SQLite's integers end at 2^63 - 1. No honest clock comes near that: one event moves it by 2^20 at most.
fn integer(n: u64) -> rusqlite::Result<i64> {
    i64::try_from(n).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// Turns rows back into events, and checks each against its chain.
pub(super) struct RowDecoder {
    chain: Chain,
    sequence: Sequence,
    /// Names that have been validated already, since most rows repeat an earlier name.
    names: HashMap<Box<str>, DisplayName>,
}

impl RowDecoder {
    /// A decoder of the events after a position with this chain.
    pub(super) fn after(sequence: Sequence, chain: Chain) -> Self {
        Self { chain, sequence, names: HashMap::new() }
    }

    /// The event of the next row.
    ///
    /// # Errors
    /// [`Damage`] if it is not what was recorded after the one before.
    pub(super) fn decode(&mut self, row: &Row<'_>) -> Result<JournalEvent, Damage> {
        let sequence = self.sequence.next();
        let damaged = |fault| Damage { sequence, fault };
        if number(row, 0, "sequence").map_err(damaged)? != sequence.0 {
            return Err(damaged(Fault::Missing));
        }
        let event = self.event(row, sequence).map_err(damaged)?;
        let chain = self.chain.with(&event);
        if chain_of(row).map_err(damaged)? != chain {
            return Err(damaged(Fault::Chain));
        }
        (self.sequence, self.chain) = (sequence, chain);
        Ok(JournalEvent { event: Arc::new(event), chain })
    }

    fn event(&mut self, row: &Row<'_>, sequence: Sequence) -> Result<Event, Fault> {
        let id = string(row, 5, "participant_id")?.strip_prefix('p').and_then(|id| id.parse().ok());
        let id = ParticipantId(Sequence(id.ok_or(Fault::Column("participant_id"))?));
        Ok(Event {
            sequence,
            logical_time: LogicalTime(number(row, 1, "logical_time")?),
            sent_logical_time: LogicalTime(number(row, 2, "sent_logical_time")?),
            recorded_at: time(row, 3, "recorded_at")?,
            participant: Participant { id, display_name: self.name(string(row, 6, "display_name")?)? },
            kind: kind(row)?,
        })
    }

    fn name(&mut self, text: &str) -> Result<DisplayName, Fault> {
        if let Some(name) = self.names.get(text) {
            return Ok(name.clone());
        }
        let name = DisplayName::parse(text).map_err(|_| Fault::Column("display_name"))?;
        if self.names.len() >= NAMES_REMEMBERED {
            self.names.clear();
        }
        self.names.insert(text.into(), name.clone());
        Ok(name)
    }
}

/// The chain column of a row of [`SELECT`].
pub(super) fn chain_of(row: &Row<'_>) -> Result<Chain, Fault> {
    Chain::parse(string(row, 12, "chain")?).ok_or(Fault::Column("chain"))
}

/// The sequence column of a row of [`SELECT`].
pub(super) fn sequence_of(row: &Row<'_>) -> Option<Sequence> {
    number(row, 0, "sequence").ok().map(Sequence)
}

fn kind(row: &Row<'_>) -> Result<EventKind, Fault> {
    match string(row, 4, "kind")? {
        "joined" => {
            let session = bytes_of(string(row, 7, "session_digest")?).ok_or(Fault::Column("session_digest"))?;
            Ok(EventKind::Joined { session: SessionKey(session) })
        }
        "left" => {
            let reason = LeaveReason::parse(string(row, 11, "reason")?).ok_or(Fault::Column("reason"))?;
            Ok(EventKind::Left { reason })
        }
        "message" => {
            let text = MessageText::parse(string(row, 8, "text")?).map_err(|_| Fault::Column("text"))?;
            let message_id = match row.get_ref(9) {
                Ok(ValueRef::Null) => None,
                _ => MessageId::parse(string(row, 9, "message_id")?).map_err(|_| Fault::Column("message_id"))?,
            };
            let sent_at = match row.get_ref(13) {
                Ok(ValueRef::Null) => None,
                _ => Some(time(row, 13, "sent_at")?),
            };
            let seen = Sequence(number(row, 10, "seen_sequence")?);
            Ok(EventKind::Message { text, message_id, seen, sent_at })
        }
        _ => Err(Fault::Column("kind")),
    }
}

fn time(row: &Row<'_>, index: usize, name: &'static str) -> Result<SystemTime, Fault> {
    humantime::parse_rfc3339(string(row, index, name)?).map_err(|_| Fault::Column(name))
}

fn number(row: &Row<'_>, index: usize, name: &'static str) -> Result<u64, Fault> {
    match row.get_ref(index) {
        Ok(ValueRef::Integer(n)) => u64::try_from(n).map_err(|_| Fault::Column(name)),
        _ => Err(Fault::Column(name)),
    }
}

fn string<'a>(row: &'a Row<'_>, index: usize, name: &'static str) -> Result<&'a str, Fault> {
    match row.get_ref(index) {
        Ok(ValueRef::Text(text)) => str::from_utf8(text).map_err(|_| Fault::Column(name)),
        _ => Err(Fault::Column(name)),
    }
}
