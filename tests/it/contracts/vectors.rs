//! What the service and the page must agree on, as data: `web/test/core/vectors.test.ts` reads the same files
//! (tests/vectors/README.md).

pub mod lens;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime};

use chitchat::chat::{
    DisplayName, Event, EventKind, LamportClock, LeaveReason, LogicalTime, MessageText, NameFault, Participant,
    ParticipantId, Refusal, Sequence, SessionKey,
};
use chitchat::log::file_name;
use chitchat::terminal::acts_on_terminal;
use chitchat::wire::{Reason, Rejection};
use lens::{Backward, Kind, Lens, Relation};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The vectors in a file.
macro_rules! vectors {
    ($file:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!("../../vectors/", $file))).unwrap()
    };
}

fn each(vectors: &Value) -> impl Iterator<Item = &Value> {
    vectors.as_array().unwrap().iter()
}

fn text<'v>(vector: &'v Value, field: &str) -> &'v str {
    vector[field].as_str().unwrap_or_else(|| panic!("{field} in {vector}"))
}

fn number(vector: &Value, field: &str) -> u64 {
    text(vector, field).parse().unwrap()
}

/// The text of a field, repeated as often as the field `times` says.
fn repeated(vector: &Value, field: &str, times: &str) -> String {
    let times = vector[times].as_u64().map_or(1, |times| usize::try_from(times).unwrap());
    text(vector, field).repeat(times)
}

#[test]
fn clock_steps_l1_l2() {
    for vector in each(&vectors!("clock.json")) {
        let mut clock = LamportClock::starting_at(LogicalTime(number(vector, "start")));
        for step in each(&vector["steps"]) {
            let now = match text(step, "do") {
                "send" => clock.tick(),
                "receive" => clock.receive(LogicalTime(number(step, "time"))),
                other => panic!("{other}"),
            };
            assert_eq!(now, LogicalTime(number(step, "after")), "{vector}: {step}");
        }
    }
}

#[test]
fn texts_s3() {
    for vector in each(&vectors!("texts.json")) {
        let given = repeated(vector, "text", "times");
        let characters = usize::try_from(vector["characters"].as_u64().unwrap()).unwrap();
        assert_eq!(given.chars().count(), characters, "{vector}");
        let fault = MessageText::parse(given).err().map(|refusal| Rejection::from(refusal).reason().as_str());
        assert_eq!(fault, vector["fault"].as_str(), "{vector}");
    }
}

#[test]
fn names_n1_to_n4() {
    for vector in each(&vectors!("names.json")) {
        match DisplayName::parse(&repeated(vector, "given", "times")) {
            Ok(name) => assert_eq!(name.as_str(), repeated(vector, "kept", "kept_times"), "{vector}"),
            Err(refusal) => assert_eq!(refusal.to_string(), text(vector, "fault"), "{vector}"),
        }
    }
}

/// Checks every Unicode character.
#[test]
fn unsafe_characters_c5() {
    let vectors = vectors!("unsafe_characters.json");
    let code = |digits: &Value| u32::from_str_radix(digits.as_str().unwrap(), 16).unwrap();
    let ranges: Vec<_> = each(&vectors["ranges"]).map(|range| code(&range[0])..=code(&range[1])).collect();
    for c in '\0'..=char::MAX {
        let expected = ranges.iter().any(|range| range.contains(&u32::from(c)));
        assert_eq!(acts_on_terminal(c), expected, "U+{:04X}", u32::from(c));
    }
    for shown in each(&vectors["shown_by_a_page"]).map(code) {
        assert!(ranges.iter().any(|range| range.contains(&shown)), "U+{shown:04X} is safe anyway");
    }
}

#[test]
fn log_file_names_g2() {
    for vector in each(&vectors!("file_names.json")) {
        let name = repeated(vector, "name", "times");
        for component in ["client", "browser"] {
            assert_eq!(file_name(component, &name), format!("{component}-{}", text(vector, "file")));
        }
    }
}

/// Every reason, in the order of the specification's chapter 7.
#[test]
fn refusals() {
    let vectors = vectors!("refusals.json");
    let mut named: Vec<&str> = Vec::new();
    for vector in each(&vectors) {
        let reason = text(vector, "reason");
        if named.last() != Some(&reason) {
            named.push(reason);
        }
        let status = Status::from(rejection(vector));
        assert_eq!(Reason::of(&status).map(Reason::as_str), Some(reason), "{vector}");
        assert_eq!(status.message(), text(vector, "service"), "{vector}");
        assert_eq!(status.code(), code(text(vector, "code")), "{vector}");
        let figures = status.get_details_error_info().unwrap().metadata;
        assert_eq!(serde_json::to_value(figures).unwrap(), vector["figures"], "{vector}");
    }
    assert_eq!(named, Reason::all().map(Reason::as_str).collect::<Vec<_>>());
}

/// The tables of reasons in the specification (chapters 6 and 7) have exactly the names of the enums in `proto/`, in
/// their order, and the status codes that the service sends. The table of what clients do names only existing reasons.
#[test]
fn reasons_in_the_specification() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/specification.md")).unwrap();
    let table = |head: &str| {
        let (_, rows) = text.split_once(head).unwrap_or_else(|| panic!("there is no table {head}"));
        let rows = rows.lines().skip(2).take_while(|line| line.starts_with('|'));
        rows.map(|row| row.split('|').map(str::trim).skip(1).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let reasons = table("| reason | status code | when |");
    let reasons: Vec<_> = reasons.iter().map(|row| (row[0].trim_matches('`'), code(row[1]))).collect();
    assert_eq!(reasons, Reason::all().map(|reason| (reason.as_str(), reason.code())).collect::<Vec<_>>());

    let leave = table("| leave reason (proto `LeaveReason`");
    let leave: Vec<_> = leave.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(leave, LeaveReason::ALL.map(LeaveReason::as_str));

    for row in table("| reason | what a client does |") {
        let is_part_of_name = |c: char| c.is_ascii_uppercase() || "_…".contains(c);
        for name in row[0].split(|c| !is_part_of_name(c)).filter(|name| name.len() > 1) {
            let is_meant = |reason: Reason| match name.strip_suffix('…') {
                Some(start) => reason.as_str().starts_with(start),
                None => reason.as_str() == name,
            };
            assert!(Reason::all().any(is_meant), "{name}");
        }
    }
}

/// The rejection in a vector, with its figures.
fn rejection(vector: &Value) -> Rejection {
    let figure = |name: &str| number(&vector["figures"], name);
    let size = |name: &str| usize::try_from(figure(name)).unwrap();
    match text(vector, "reason") {
        "TEXT_EMPTY" => Refusal::TextEmpty.into(),
        "TEXT_TOO_LONG" => Refusal::TextTooLong { characters: size("characters") }.into(),
        "NAME_INVALID" => Refusal::NameInvalid(NameFault::CombiningMarks).into(),
        "MESSAGE_ID_TOO_LONG" => Refusal::MessageIdTooLong { bytes: size("bytes") }.into(),
        "MALFORMED" => Rejection::Malformed("no session".into()),
        "NAME_TAKEN" => Refusal::NameTaken.into(),
        "SESSION_UNKNOWN" => Refusal::SessionUnknown.into(),
        "SECRET_REQUIRED" => Rejection::SecretRequired,
        "HOST_NOT_ALLOWED" => Rejection::HostNotAllowed,
        "ORIGIN_NOT_ALLOWED" => Rejection::OriginNotAllowed,
        "EPOCH_CHANGED" => Rejection::EpochChanged { epoch: text(&vector["figures"], "epoch").into() },
        "CLOCK_OUT_OF_RANGE" => {
            let [time, latest] = ["logical_time", "logical_time_max"].map(|name| LogicalTime(figure(name)));
            Refusal::ClockOutOfRange { time, latest }.into()
        }
        "SEQUENCE_OUT_OF_RANGE" => {
            let [sequence, head] = ["sequence", "head_sequence"].map(|name| Sequence(figure(name)));
            Refusal::SequenceOutOfRange { sequence, head }.into()
        }
        "RATE_LIMITED" => Rejection::RateLimited { retry_after: Duration::from_millis(250) },
        "CONVERSATION_FULL" if vector["figures"]["participants_max"].is_null() => {
            Rejection::ShareTaken { participants_per_address_max: size("participants_per_address_max") }
        }
        "CONVERSATION_FULL" => Rejection::ConversationFull { participants_max: size("participants_max") },
        "SLOW_CONSUMER" => Rejection::SlowConsumer { stall: Duration::from_millis(figure("stall_milliseconds")) },
        "REPLACED" => Rejection::Replaced,
        "SHUTTING_DOWN" => Rejection::ShuttingDown,
        "JOURNAL_UNAVAILABLE" => Rejection::JournalUnavailable,
        "LAB_DISCONNECTED" => Rejection::LabDisconnected,
        "LAB_KEY_REQUIRED" => Rejection::LabKeyRequired,
        "NAME_UNKNOWN" => Rejection::NameUnknown("mallory".into()),
        "FAULT_INVALID" => {
            Rejection::FaultInvalid { field: "duration_milliseconds", why: text(vector, "service").into() }
        }
        "COMPANIONS_FULL" => Rejection::CompanionsFull { companions_max: size("companions_max") },
        "COMPANION_FAILED" => Rejection::CompanionFailed("too many open files".into()),
        "SCENARIO_UNKNOWN" => Rejection::ScenarioUnknown("hamlet".into()),
        other => panic!("the service has no reason {other}"),
    }
}

/// A status code by the name that the specification uses.
fn code(name: &str) -> Code {
    (0..=16)
        .map(Code::from_i32)
        .find(|code| format!("{code:?}") == camel(name))
        .unwrap_or_else(|| panic!("{name}"))
}

fn camel(name: &str) -> String {
    let word = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
    name.split('_').map(word).collect()
}

#[test]
fn sentences_s5_s6() {
    for vector in each(&vectors!("memberships.json")) {
        let kind = match text(vector, "kind") {
            "joined" => EventKind::Joined { session: SessionKey([0; 32]) },
            _ => EventKind::Left { reason: LeaveReason::parse(text(vector, "reason")).unwrap() },
        };
        let name = DisplayName::parse(text(vector, "name")).unwrap();
        let logical_time = LogicalTime(number(vector, "logical_time"));
        let event = Event {
            sequence: Sequence(7),
            logical_time,
            sent_logical_time: LogicalTime(0),
            recorded_at: SystemTime::UNIX_EPOCH,
            participant: Participant { id: ParticipantId(Sequence(1)), display_name: name },
            kind,
        };
        assert_eq!(event.content(), text(vector, "sentence"));
    }
}

/// The relations of an event to all others, one character each.
fn relations(causality: &lens::Causality<'_>, count: usize, event: usize) -> String {
    let sign = |other| match causality.relation(other, event) {
        Relation::Same => '=',
        Relation::Past => '<',
        Relation::Future => '>',
        Relation::Concurrent => '|',
        Relation::Unknown => '?',
    };
    (0..count).map(sign).collect()
}

fn lens_event(vector: &Value) -> lens::Event {
    let count = |field: &str| vector[field].as_str().map_or(0, |digits| digits.parse().unwrap());
    lens::Event {
        author: text(vector, "author").into(),
        time: number(vector, "time"),
        recorded_at: vector["recorded_at"].as_i64().unwrap(),
        kind: match text(vector, "kind") {
            "joined" => Kind::Joined,
            "left" => Kind::Left,
            "gone" => Kind::Gone,
            _ => Kind::Message { sent: count("sent"), seen: count("seen"), sent_at: vector["sent_at"].as_i64() },
        },
    }
}

/// Relations between events, vector clocks, lenses and cuts.
#[test]
fn causality() {
    for run in each(&vectors!("causality.json")) {
        let name = text(run, "run");
        let events: Vec<_> = each(&run["events"]).map(lens_event).collect();
        let causality = lens::Causality::of(&events);
        for (index, expected) in each(&run["relations"]).enumerate() {
            assert_eq!(
                relations(&causality, events.len(), index),
                expected.as_str().unwrap(),
                "{name} {}",
                index + 1
            );
        }
        for (index, expected) in each(&run["vectors"]).enumerate() {
            assert_eq!(serde_json::to_value(causality.vector(index)).unwrap(), *expected, "{name} {}", index + 1);
        }
        let from_one = |indexes: &[usize]| indexes.iter().map(|index| index + 1).collect::<Vec<_>>();
        for (which, expected) in run["lenses"].as_object().unwrap() {
            let lens = match which.split_once(' ') {
                Some((_, reader)) => Lens::Arrival(reader),
                None if which == "causal" => Lens::Causal,
                None if which == "fifo" => Lens::Fifo,
                None if which == "wall" => Lens::Wall,
                None => Lens::Total,
            };
            let (swappable, wrong) = causality.swappable(lens);
            let found = json!({ "order": from_one(&causality.order(lens)), "swappable": swappable.len(), "wrong": wrong.len() });
            assert_eq!(found, *expected, "{name}: {which}");
        }
        for cut in each(&run["cuts"]) {
            let line: BTreeMap<&str, u64> = cut["line"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, time)| (name.as_str(), time.as_str().unwrap().parse().unwrap()))
                .collect();
            let says = |one: &Backward| match one {
                Backward::Unsent(event) => format!("unsent {}", event + 1),
                Backward::Unseen(event, by) => format!("unseen {} by {}", event + 1, by + 1),
            };
            let found: Vec<_> = causality.backwards(&line, number(cut, "service")).iter().map(says).collect();
            assert_eq!(serde_json::to_value(found).unwrap(), cut["backwards"], "{name}: {cut}");
        }
    }
}
