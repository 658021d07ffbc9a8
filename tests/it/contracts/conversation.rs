//! Properties of the state machine under random commands, against the specification's rules and a deliberately naive
//! model (V1, V2, V5, V8, V11).

mod commands;
mod model;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use chitchat::chat::{
    Command, Conversation, Decision, DisplayName, Event, EventKind, LogicalTime, MESSAGE_IDS_REMEMBERED,
    MemberState, MessageId, MessageText, ParticipantId, Refusal, Sequence, SessionKey,
};
use proptest::prelude::*;

use commands::{Wish, wishes};
use model::Model;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// The visible state of a conversation.
type Sight = (Sequence, LogicalTime, Vec<(ParticipantId, DisplayName, SessionKey)>);

fn sight(conversation: &Conversation) -> Sight {
    let roster = conversation.roster().map(|(id, member)| (id, member.display_name.clone(), member.session));
    (conversation.head(), conversation.logical_time(), roster.collect())
}

/// The state of a run: the conversation, its model, all commands, all events.
#[derive(Default)]
struct Course {
    conversation: Conversation,
    model: Model,
    commands: Vec<Command>,
    events: Vec<Event>,
}

impl Course {
    fn of(wishes: &[Wish]) -> Self {
        let mut course = Self::default();
        for wish in wishes {
            // A command may be refused.
            let _ = course.apply(wish);
        }
        course
    }

    fn apply(&mut self, wish: &Wish) -> Result<Decision, Refusal> {
        let command = wish.command(&mut self.model);
        self.commands.push(command.clone());
        let result = self.conversation.apply(command, NOW);
        if let Ok(Decision::Happened(event)) = &result {
            self.events.push(event.clone());
        }
        result
    }
}

/// Checks that a conversation has the same state as that of a course, and decides everything as it does: first the old
/// commands again, most of which are repeats, and then new ones.
fn check_continues_identically(
    mut other: Conversation,
    mut course: Course,
    further: &[Wish],
) -> Result<(), TestCaseError> {
    prop_assert_eq!(sight(&other), sight(&course.conversation));
    for command in course.commands.clone() {
        // A session is never used twice to join.
        if !matches!(command, Command::Join { .. }) {
            prop_assert_eq!(other.apply(command.clone(), NOW), course.conversation.apply(command, NOW));
        }
    }
    for wish in further {
        let expected = course.apply(wish);
        prop_assert_eq!(other.apply(course.commands.last().unwrap().clone(), NOW), expected);
    }
    Ok(())
}

fn replayed(events: &[Event]) -> Conversation {
    let mut conversation = Conversation::new();
    for event in events {
        conversation.replay(event).unwrap();
    }
    conversation
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_decision_is_what_a_naive_model_expects_and_a_refusal_changes_nothing(wishes in wishes(80)) {
        let mut course = Course::default();
        for wish in &wishes {
            let before = course.conversation.clone();
            let seen_before = sight(&before);
            let result = course.apply(wish);
            let command = course.commands.last().unwrap();
            match &result {
                Ok(Decision::Happened(event)) => course.model.check_event(command, event)?,
                Ok(Decision::Repeated(receipt)) => course.model.check_repeated(command, *receipt)?,
                Err(refusal) => course.model.check_refusal(command, refusal)?,
            }
            if !matches!(result, Ok(Decision::Happened(_))) {
                prop_assert_eq!(&sight(&course.conversation), &seen_before, "{:?}", command);
            }
            prop_assert_eq!(sight(&before), seen_before, "a clone does not change");
            prop_assert_eq!(sight(&course.conversation), course.model.sight());
            prop_assert_eq!(course.conversation.active(), course.model.sight().2.len());
        }
    }

    #[test]
    fn the_rules_of_the_design_hold_for_every_history_v1_v2_v5_v8_v11(wishes in wishes(120)) {
        let Course { commands, events, .. } = Course::of(&wishes);
        let mut time = 0;
        let mut active = HashMap::new();
        let mut gone = HashSet::new();
        let mut ids = HashSet::new();
        let published: HashSet<_> = commands.iter().filter_map(|command| match command {
            Command::Publish { text, .. } => Some(text.clone()),
            _ => None,
        }).collect();
        for (position, event) in (1..).zip(&events) {
            prop_assert_eq!(event.sequence, Sequence(position), "V1");
            prop_assert_eq!(event.logical_time.0, time.max(event.sent_logical_time.0) + 2, "V2");
            time = event.logical_time.0;
            let who = event.participant.id;
            match &event.kind {
                EventKind::Joined { .. } => {
                    let name = event.participant.display_name.key();
                    prop_assert!(!active.values().any(|other| *other == name), "V8: a name belongs to one");
                    prop_assert!(!gone.contains(&who) && active.insert(who, name).is_none(), "V8: one Joined");
                }
                EventKind::Left { .. } => {
                    prop_assert!(active.remove(&who).is_some() && gone.insert(who), "V8: one Left");
                }
                EventKind::Message { text, message_id, seen, .. } => {
                    prop_assert!(active.contains_key(&who), "V8: only members write");
                    prop_assert!(published.contains(text), "V11");
                    prop_assert!(*seen < event.sequence);
                    if let Some(id) = message_id {
                        prop_assert!(ids.insert((who, id.clone())), "V5");
                    }
                }
            }
        }
    }

    #[test]
    fn the_same_commands_lead_to_the_same_events_at_any_wall_clock_time(wishes in wishes(60)) {
        let Course { commands, events, .. } = Course::of(&wishes);
        let mut again = Conversation::new();
        let mut at = NOW;
        let mut same = events.iter();
        for command in commands {
            at += Duration::from_secs(7);
            if let Ok(Decision::Happened(event)) = again.apply(command, at) {
                prop_assert_eq!(event.recorded_at, at);
                prop_assert_eq!(Some(&Event { recorded_at: NOW, ..event }), same.next());
            }
        }
        prop_assert!(same.next().is_none());
    }

    #[test]
    fn a_replayed_conversation_continues_identically(wishes in wishes(60), further in wishes(60)) {
        let course = Course::of(&wishes);
        let rebuilt = replayed(&course.events);
        check_continues_identically(rebuilt, course, &further)?;
    }

    /// The plain values are the whole state: a conversation restored from them decides everything as the original does
    /// (J15).
    #[test]
    fn a_restored_conversation_continues_identically(wishes in wishes(120), further in wishes(60)) {
        let course = Course::of(&wishes);
        let members = course.conversation.roster().map(|(id, member)| MemberState {
            id,
            display_name: member.display_name.clone(),
            session: member.session,
            publishes: member.publishes().collect(),
        });
        let (head, time) = (course.conversation.head(), course.conversation.logical_time());
        let restored = Conversation::restored(head, time, members.collect::<Vec<_>>()).unwrap();
        check_continues_identically(restored, course, &further)?;
    }

    #[test]
    fn a_tampered_event_diverges_and_is_located(
        wishes in wishes(60),
        at in any::<prop::sample::Index>(),
        tamper in 0..8,
    ) {
        let Course { events, .. } = Course::of(&wishes);
        prop_assume!(!events.is_empty());
        let at = at.index(events.len());
        let mut conversation = replayed(&events[..at]);
        let mut event = events[at].clone();
        match (tamper, &mut event.kind) {
            (0, _) => event.sequence.0 += 1,
            (1, _) => event.logical_time.0 += 1,
            (2, _) => event.logical_time.0 -= 1,
            (3, _) => event.participant.id.0.0 = 1_000_000,
            (4, _) => event.sent_logical_time = event.logical_time,
            (5, EventKind::Message { seen, .. }) => *seen = event.sequence,
            (6, EventKind::Message { .. } | EventKind::Left { .. }) => {
                event.participant.display_name = DisplayName::parse("Mallory").unwrap();
            }
            // The event is recorded twice.
            _ => conversation.replay(&event).unwrap(),
        }
        let divergence = conversation.replay(&event).unwrap_err();
        prop_assert_eq!(divergence.sequence, event.sequence);
    }

    #[test]
    fn a_history_with_a_missing_event_diverges(wishes in wishes(60), at in any::<prop::sample::Index>()) {
        let Course { events, .. } = Course::of(&wishes);
        prop_assume!(events.len() > 1);
        let missing = at.index(events.len() - 1);
        prop_assert!(replayed(&events[..missing]).replay(&events[missing + 1]).is_err());
    }
}

fn join(conversation: &mut Conversation, name: &str, session: u8) -> SessionKey {
    let session = SessionKey([session; 32]);
    let display_name = DisplayName::parse(name).unwrap();
    conversation.apply(Command::Join { display_name, session, sent: LogicalTime(0) }, NOW).unwrap();
    session
}

fn publish(conversation: &mut Conversation, session: SessionKey, id: usize) -> Decision {
    let text = MessageText::parse("hello").unwrap();
    let message_id = MessageId::parse(id.to_string()).unwrap();
    let seen = Sequence(0);
    let sent = LogicalTime(0);
    conversation
        .apply(Command::Publish { session, text, message_id, seen, sent, sent_at: Some(NOW) }, NOW)
        .unwrap()
}

#[test]
fn the_last_1024_message_ids_of_each_session_are_remembered_and_no_more_v5() {
    assert_eq!(MESSAGE_IDS_REMEMBERED, 1024);
    let mut conversation = Conversation::new();
    let alice = join(&mut conversation, "alice", 1);
    let bob = join(&mut conversation, "bob", 2);
    let is_new = |decision| matches!(decision, Decision::Happened(_));
    assert!((0..1024).all(|id| is_new(publish(&mut conversation, alice, id))));
    assert!((0..1024).all(|id| !is_new(publish(&mut conversation, alice, id))), "a repeat displaces no id");
    assert!((0..2000).all(|id| is_new(publish(&mut conversation, bob, id))), "each session has its own ids");
    assert!(!is_new(publish(&mut conversation, alice, 0)));
    assert!(is_new(publish(&mut conversation, alice, 1024)), "this displaces the oldest, 0");
    assert!(!is_new(publish(&mut conversation, alice, 1)));
    assert!(is_new(publish(&mut conversation, alice, 0)), "this displaces 1");
    assert!(!is_new(publish(&mut conversation, alice, 2)));
    assert!(is_new(publish(&mut conversation, alice, 1)));
}
