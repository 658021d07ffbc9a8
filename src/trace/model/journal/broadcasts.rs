//! Reads the events of a journal from the records of their broadcasts.

use super::{LoggedJournal, ServiceRun, who};
use crate::chat::LeaveReason;
use crate::trace::model::event::{CopyConflict, LoggedEvent, is_valid};
use crate::trace::record::{LineRef, LogRecord, LoggedKind, digest};

impl LoggedJournal {
    pub(super) fn broadcast(&mut self, line: LineRef, record: &LogRecord<'_>) {
        let (Some(stated), Some(event)) = (record.sequence, self.read(line, record)) else { return };
        self.broadcasts += 1;
        if record.recovered && self.run(line, record).is_repeated(stated) {
            self.runs.push(ServiceRun::new(line, record));
        }
        let irregular = self.run(line, record).broadcast(line, record.at, stated);
        self.irregular.extend(irregular);
        self.place(stated, event);
    }

    pub(super) fn place(&mut self, sequence: u64, event: LoggedEvent) {
        if sequence == 0 {
            return;
        }
        if let Some(known) = self.order.get(sequence) {
            // V1 reports a number that is used twice within one run.
            let run = self.runs.iter().rfind(|run| run.file == event.line.file);
            if run.is_none_or(|run| run.has(known.line)) {
                return;
            }
            self.compared += 1;
            if !known.same_event(&event) {
                self.conflicts.push(CopyConflict { sequence, one: known.line, other: event.line, at: event.at });
            } else if !event.recovered
                && known.recovered
                && let Some(known) = self.order.get_mut(sequence)
            {
                // Another replica recorded it when it happened.
                (known.at, known.recovered) = (event.at, false);
            }
            return;
        }
        match event.kind {
            LoggedKind::Joined => {
                let joined = &mut self.members.entry(event.who).or_insert((sequence, None)).0;
                if *joined == 0 {
                    // Its leave was read before its join.
                    *joined = sequence;
                }
            }
            LoggedKind::Left => {
                self.members.entry(event.who).or_insert((0, None)).1.get_or_insert(sequence);
            }
            LoggedKind::Message if event.message != 0 => {
                if let Some(first) = self.by_message.get(&(event.who, event.message)) {
                    self.repeated.push((*first, sequence));
                } else {
                    self.by_message.insert((event.who, event.message), sequence);
                }
            }
            LoggedKind::Message => {}
        }
        self.head = self.head.max(sequence);
        self.order.insert(sequence, event);
    }

    pub(super) fn read(&mut self, line: LineRef, record: &LogRecord<'_>) -> Option<LoggedEvent> {
        let kind = record.kind?;
        let (name, content) = (LogRecord::text(&record.display_name), LogRecord::text(&record.content));
        let logical_time = record.logical_time?;
        let message = LogRecord::text(&record.message_id);
        Some(LoggedEvent {
            line,
            at: record.at,
            logical_time,
            sent: record.sent_logical_time.unwrap_or(0),
            who: who(record),
            name: self.names.intern(name),
            kind,
            content: digest(content),
            message: if message.is_empty() { 0 } else { digest(message) },
            seen: record.seen_sequence.unwrap_or(0),
            valid: is_valid(kind, name, content, logical_time),
            requested: record.reason.as_deref() == Some(LeaveReason::Requested.as_str()),
            sent_by_log: false,
            first_sent: None,
            acknowledged: None,
            filled_in: false,
            recovered: record.recovered,
        })
    }
}
