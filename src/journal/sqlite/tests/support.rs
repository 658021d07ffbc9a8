//! Conversations to be recorded, and journals to record them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crate::chat::{
    Command, Conversation, Decision, DisplayName, Event, LogicalTime, MessageId, MessageText, ParticipantId,
    Sequence, SessionKey,
};
use crate::journal::sqlite::OpenError;
use crate::journal::{Epoch, History, Journal, JournalError, SqliteJournal};

const TEXTS: [&str; 6] = ["hello", "æøå 😀", "\0", "a\nb\u{202e}c", "'; DROP TABLE event; --", "\u{10ffff}"];

/// The first events of a conversation that contains every kind of event.
pub fn conversation(events: u64) -> Vec<Arc<Event>> {
    let mut conversation = Conversation::new();
    let session = |n: u64| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&n.to_le_bytes());
        SessionKey(key)
    };
    (1..=events)
        .map(|n| {
            // Of six events, two are joins, three are messages, and one is a leave: requested or expired, in turn.
            let sent = LogicalTime(conversation.logical_time().0 + n % 5);
            let command = match n % 6 {
                1 | 2 => Command::Join {
                    display_name: DisplayName::parse(&format!("Åse {n}")).unwrap(),
                    session: session(n),
                    sent,
                },
                0 if n % 12 == 0 => Command::Expire { participant: ParticipantId(Sequence(n - 4)) },
                0 => Command::Leave { session: session(n - 4), sent },
                _ => Command::Publish {
                    session: session(n - n % 6 + 1),
                    text: MessageText::parse(TEXTS[usize::try_from(n / 6).unwrap() % TEXTS.len()]).unwrap(),
                    message_id: MessageId::parse(if n % 2 == 0 { format!("m-{n}") } else { String::new() })
                        .unwrap(),
                    seen: Sequence(n - 1),
                    sent,
                    sent_at: (n % 4 == 1).then(|| UNIX_EPOCH + Duration::new(1_700_000_000 + n, 5)),
                },
            };
            let at = UNIX_EPOCH + Duration::new(1_795_000_000 + n, 123_456_789);
            match conversation.apply(command, at) {
                Ok(Decision::Happened(event)) => Arc::new(event),
                other => panic!("{other:?}"),
            }
        })
        .collect()
}

/// The journal at a path.
pub fn open(path: &Path) -> Result<SqliteJournal, OpenError> {
    open_as(path, "0123456789abcdef")
}

/// The journal at a path. A new one gets this epoch.
pub fn open_as(path: &Path, epoch: &str) -> Result<SqliteJournal, OpenError> {
    SqliteJournal::open(path, || Epoch::new(epoch))
}

/// Records events in batches of this size.
pub async fn append_all(journal: &mut SqliteJournal, events: &[Arc<Event>], batch: usize) {
    for events in events.chunks(batch) {
        let committed = journal.append(events.to_vec()).await.unwrap();
        assert!(committed.events().iter().map(|recorded| &recorded.event).eq(events));
    }
}

/// All events of a journal, read in small pages.
pub async fn read_all(history: &dyn History) -> Result<Vec<Arc<Event>>, JournalError> {
    let mut events = Vec::<Arc<Event>>::new();
    loop {
        let after = events.last().map_or(Sequence(0), |event| event.sequence);
        let page = history.read(after, 13).await?;
        if page.is_empty() {
            return Ok(events);
        }
        events.extend(page.into_iter().map(|recorded| recorded.event));
    }
}
