//! How a companion behaves without instructions: how it answers, and when. Pure: the time is passed in.

use std::time::{Duration, SystemTime};

use crate::chat::TEXT_CHARACTERS_MAX;
use crate::client::{Event, Kind};
use crate::wire::pb::CompanionKind;

/// How long a slow companion waits before it takes the next event.
const SLOW_PAUSE: Duration = Duration::from_secs(3);
/// How long a chatterbox waits before it says something.
const CHATTER_PAUSE: Duration = Duration::from_secs(3);
/// How many messages a chatterbox sends at most.
const CHATTER_MAX: usize = 200;
/// By how many seconds a wrong-clock companion's wall clock is off.
pub const WRONG_CLOCK_OFFSET_SECONDS: i64 = -600;

/// What a chatterbox says, in turn.
const CHATTER: [&str; 8] = [
    "Nice weather, isn’t it?",
    "I was just thinking of trains.",
    "Did anybody feed the cat?",
    "Lamport wrote that paper in 1978.",
    "My watch has stopped, and I do not mind.",
    "Somebody should open a window.",
    "Two trains, one track, no clock.",
    "I could talk about order for hours.",
];

/// What an answerer answers, in turn.
const ANSWERS: [&str; 4] = ["Yes.", "I think so.", "No, not yet.", "Ask me again later."];

/// The state of a companion's behavior.
#[derive(Debug)]
pub struct Behavior {
    kind: CompanionKind,
    offset_seconds: i64,
    said: usize,
}

impl Behavior {
    /// The behavior of a kind, with a wall clock that is this many seconds off.
    pub fn new(kind: CompanionKind, offset_seconds: i64) -> Self {
        Self { kind, offset_seconds, said: 0 }
    }

    /// How long it waits before it takes an event.
    pub fn reading_pause(&self) -> Option<Duration> {
        (self.kind == CompanionKind::Slow).then_some(SLOW_PAUSE)
    }

    /// How long it waits before it speaks unasked.
    pub fn talking_pause(&self) -> Option<Duration> {
        (self.kind == CompanionKind::Chatterbox && self.said < CHATTER_MAX).then_some(CHATTER_PAUSE)
    }

    /// The next text that it says unasked.
    pub fn talk(&mut self) -> String {
        self.said += 1;
        CHATTER[(self.said - 1) % CHATTER.len()].to_owned()
    }

    /// Its answer to a person's event.
    pub fn answer(&mut self, event: &Event, now: SystemTime) -> Option<String> {
        let Kind::Message { .. } = event.kind else { return None };
        let (time, text) = (event.logical_time, event.content.as_str());
        let answer = match self.kind {
            CompanionKind::Echo => format!("Echo: {text}"),
            CompanionKind::Answerer if text.trim_end().ends_with('?') => {
                format!("To [{time}]: {}", ANSWERS[self.said % ANSWERS.len()])
            }
            CompanionKind::Slow => format!("I have only now read [{time}]."),
            CompanionKind::WrongClock => format!("By my clock it is {}.", time_of_day(now, self.offset_seconds)),
            _ => return None,
        };
        self.said += 1;
        Some(answer.chars().take(TEXT_CHARACTERS_MAX).collect())
    }
}

/// The time of day in UTC by a wall clock that is off.
pub fn time_of_day(now: SystemTime, offset_seconds: i64) -> String {
    let offset = Duration::from_secs(offset_seconds.unsigned_abs());
    let shown = if offset_seconds < 0 { now.checked_sub(offset) } else { now.checked_add(offset) };
    let time = humantime::format_rfc3339_seconds(shown.unwrap_or(now)).to_string();
    time.get(11..19).unwrap_or(&time).to_owned()
}

/// The default display name of a companion of this kind.
pub fn usual_name(kind: CompanionKind) -> &'static str {
    match kind {
        CompanionKind::Echo => "echo",
        CompanionKind::Chatterbox => "chatterbox",
        CompanionKind::Answerer => "answerer",
        CompanionKind::Slow => "slow",
        CompanionKind::WrongClock => "wrong clock",
        CompanionKind::Actor | CompanionKind::Unspecified => "actor",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// K8: each kind answers in its way, with at most as much text as a message may have.
    #[test]
    fn answers() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(3600);
        let answer = |kind, text: &str| Behavior::new(kind, -600).answer(&Event::example(text), now);
        assert_eq!(answer(CompanionKind::Echo, "hello").as_deref(), Some("Echo: hello"));
        let long = answer(CompanionKind::Echo, &"å".repeat(TEXT_CHARACTERS_MAX)).unwrap();
        assert_eq!(long.chars().count(), TEXT_CHARACTERS_MAX);
        assert_eq!(answer(CompanionKind::Answerer, "Who? ").as_deref(), Some("To [9]: Yes."));
        assert_eq!(answer(CompanionKind::Answerer, "Me."), None);
        assert_eq!(answer(CompanionKind::Slow, "hello").as_deref(), Some("I have only now read [9]."));
        assert_eq!(answer(CompanionKind::WrongClock, "hello").as_deref(), Some("By my clock it is 00:50:00."));
        assert_eq!(answer(CompanionKind::Actor, "Who?"), None);
        assert_eq!(answer(CompanionKind::Chatterbox, "Who?"), None);
    }

    /// K8: a chatterbox talks unasked, and stops after a while; only the slow companion waits before it reads.
    #[test]
    fn pauses() {
        let mut chatterbox = Behavior::new(CompanionKind::Chatterbox, 0);
        while chatterbox.talking_pause().is_some() {
            assert!(!chatterbox.talk().is_empty());
        }
        assert_eq!(chatterbox.said, CHATTER_MAX);
        assert_eq!(chatterbox.reading_pause(), None);
        assert!(Behavior::new(CompanionKind::Slow, 0).reading_pause().is_some());
    }
}
