//! Where one piece of a rotated log ends and the next begins. If a piece in between is missing, the two are not read as
//! one log: the events in the missing piece would look as if they had never been recorded.

use super::block::{LogLine, Source, lines, text};
use super::input::Input;
use crate::log::{Component, LogRecord};

/// How many blocks at the end of the older piece are searched.
const BLOCKS_SEARCHED: usize = 2;

/// What a record shows of the place in the order: up to which event its log is whole after it.
#[derive(Debug, PartialEq, Eq)]
enum LoggedPlace {
    /// The next event.
    Next(Position),
    /// The position at which a process or a session begins.
    Begins(Position),
    /// Records are lost, and the log says so: any event may come next.
    Lost,
}

#[derive(Debug, PartialEq, Eq)]
struct Position {
    epoch: String,
    replica: String,
    sequence: u64,
}

impl LoggedPlace {
    fn of(record: &LogRecord<'_>) -> Option<Self> {
        let place = match (record.component, &*record.event) {
            (_, "records_lost") => return Some(Self::Lost),
            (Component::Server, "server_started" | "epoch_changed") | (_, "connected") => Self::Begins,
            (Component::Server, event) if event.ends_with("_broadcast") => Self::Next,
            (Component::Client | Component::Browser, "event_delivered") => Self::Next,
            _ => return None,
        };
        let (epoch, replica) = (LogRecord::text(&record.epoch).into(), LogRecord::text(&record.replica).into());
        Some(place(Position { epoch, replica, sequence: record.sequence? }))
    }
}

/// Whether the first event in the newer piece is the one that is due after the older piece, as far as the two show.
pub(super) fn continues(older: &Input, newer: &Input) -> bool {
    let Some(LoggedPlace::Next(first)) = first_place(newer) else { return true };
    let is_of_same = |place: &LoggedPlace| match place {
        LoggedPlace::Next(position) | LoggedPlace::Begins(position) => {
            (&position.epoch, &position.replica) == (&first.epoch, &first.replica)
        }
        LoggedPlace::Lost => true,
    };
    match last_place(older, is_of_same) {
        Some(LoggedPlace::Next(last) | LoggedPlace::Begins(last)) => {
            first.sequence <= last.sequence.saturating_add(1)
        }
        Some(LoggedPlace::Lost) | None => true,
    }
}

fn first_place(input: &Input) -> Option<LoggedPlace> {
    let files = [(input, u64::MAX)];
    let mut source = Source::new(&files);
    while let Some(block) = source.next() {
        if let Some(place) = places(&block.bytes).into_iter().next() {
            return Some(place);
        }
    }
    None
}

fn last_place(input: &Input, is_sought: impl Fn(&LoggedPlace) -> bool) -> Option<LoggedPlace> {
    let files = [(input, u64::MAX)];
    let (mut source, mut blocks) = (Source::new(&files), Vec::new());
    while let Some(block) = source.next() {
        if blocks.len() == BLOCKS_SEARCHED {
            blocks.remove(0);
        }
        blocks.push(block.bytes);
    }
    blocks.iter().rev().find_map(|bytes| places(bytes).into_iter().rev().find(&is_sought))
}

fn places(bytes: &[u8]) -> Vec<LoggedPlace> {
    let text = text(bytes);
    let place = |line| match line {
        LogLine::Record(record) | LogLine::Torn(Some(record)) => LoggedPlace::of(&record),
        LogLine::Torn(None) | LogLine::Blank | LogLine::Fault(_) => None,
    };
    lines(&text).filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(component: &str, records: &[(&str, u64)]) -> Input {
        let line = |(event, sequence): &(&str, u64)| {
            format!(
                "{{\"timestamp\":\"2026-01-01T00:00:00Z\",\"component\":\"{component}\",\"event\":\"{event}\",\"epoch\":\"a\",\
                 \"sequence\":{sequence},\"logical_time\":1,\"kind\":\"message\"}}\n"
            )
        };
        Input::text("a.jsonl", records.iter().map(line).collect::<String>().into())
    }

    #[test]
    fn a_piece_continues_another_unless_events_in_between_are_missing() {
        let service =
            |older: &[(&str, u64)], newer: &[(&str, u64)]| continues(&log("server", older), &log("server", newer));
        let older = [("server_started", 3), ("message_broadcast", 4), ("client_connected", 4)];
        assert!(service(&older, &[("client_connected", 9), ("leave_broadcast", 5)]));
        assert!(!service(&older, &[("client_connected", 4), ("leave_broadcast", 6)]));
        assert!(service(&older, &[("server_started", 9), ("leave_broadcast", 10)]), "a start says how far it is");
        assert!(!service(&older[..1], &[("message_broadcast", 5)]));
        assert!(service(&[("client_connected", 1)], &[("message_broadcast", 5)]), "nothing shows what is due");
        assert!(service(&older, &[("client_connected", 1)]));
        assert!(service(&older, &[("message_broadcast", 2)]), "the rules judge what comes again");
        assert!(service(&older, &[("records_lost", 0), ("message_broadcast", 9)]), "the log says so");
        assert!(service(&[&older[..], &[("records_lost", 0)]].concat(), &[("message_broadcast", 9)]));
    }

    #[test]
    fn a_piece_of_a_clients_log_continues_with_the_next_delivery() {
        let client = |newer: &[(&str, u64)]| {
            let older = [("connected", 3), ("event_delivered", 3), ("event_delivered", 4)];
            continues(&log("client", &older), &log("client", newer))
        };
        assert!(client(&[("resumed", 5), ("event_delivered", 5)]));
        assert!(!client(&[("resumed", 8), ("event_delivered", 7)]));
        assert!(client(&[("connected", 9), ("event_delivered", 9)]), "it joined anew");
    }
}
