//! The last message ids of a session, by which a repeated publish is recognized.

use std::collections::VecDeque;
use std::iter::once;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{MessageId, Receipt};

/// How many message ids are remembered for each session.
pub const MESSAGE_IDS_REMEMBERED: usize = 1024;

/// The most entries in a chunk: with its header they fill 1 KiB.
const CHUNK_ENTRIES: usize = 31;

/// The last [`MESSAGE_IDS_REMEMBERED`] publishes of a session that had a message id, in 34 bytes each.
///
/// A clone shares the chunks, and an insertion copies only the newest one. The search is linear: for so few
/// entries, an index would not be worth its memory.
#[derive(Clone, Debug, Default)]
pub(super) struct DedupWindow {
    /// Oldest first. All but the last are full.
    chunks: VecDeque<Arc<[DedupEntry]>>,
    /// How many entries at the start of the first chunk are no longer remembered.
    expired: usize,
}

/// A publish whose id is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RememberedPublish {
    /// The first half of the SHA-256 digest of its message id.
    pub digest: [u8; 16],
    /// Where it is in the order.
    pub receipt: Receipt,
}

#[derive(Clone, Copy, Debug)]
struct DedupEntry {
    key: Key,
    receipt: Receipt,
}

/// The remembered form of a message id: the first half of its SHA-256 digest.
///
/// Two ids with the same key count as the same id, so the second publish gets the receipt of the first and is not
/// delivered. A participant chooses only the ids of its own session: one that computes the 2⁶⁴ digests for a collision
/// loses its own message and harms nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key([u8; 16]);

impl From<&MessageId> for Key {
    fn from(id: &MessageId) -> Self {
        let digest: [u8; 32] = Sha256::digest(id.as_str()).into();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Self(key)
    }
}

impl DedupWindow {
    /// The receipt of the publish that had this id, if it is remembered.
    pub fn receipt(&self, id: &MessageId) -> Option<Receipt> {
        let key = Key::from(id);
        self.entries().find(|entry| entry.key == key).map(|entry| entry.receipt)
    }

    /// The remembered publishes, oldest first.
    pub fn publishes(&self) -> impl Iterator<Item = RememberedPublish> {
        self.entries().map(|entry| RememberedPublish { digest: entry.key.0, receipt: entry.receipt })
    }

    /// Remembers these publishes, oldest first. There must be no more than [`MESSAGE_IDS_REMEMBERED`].
    pub fn of(publishes: &[RememberedPublish]) -> Self {
        let entry =
            |publish: &RememberedPublish| DedupEntry { key: Key(publish.digest), receipt: publish.receipt };
        let chunks = publishes.chunks(CHUNK_ENTRIES).map(|chunk| chunk.iter().map(entry).collect());
        Self { chunks: chunks.collect(), expired: 0 }
    }

    /// How many publishes are remembered.
    pub fn len(&self) -> usize {
        let newest = self.chunks.back().map_or(0, |chunk| chunk.len());
        self.chunks.len().saturating_sub(1) * CHUNK_ENTRIES + newest - self.expired
    }

    fn entries(&self) -> impl Iterator<Item = &DedupEntry> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).skip(self.expired)
    }

    /// Remembers a publish, and forgets the oldest one if there are too many.
    pub fn insert(&mut self, id: &MessageId, receipt: Receipt) {
        let entry = DedupEntry { key: id.into(), receipt };
        match self.chunks.back_mut() {
            Some(newest) if newest.len() < CHUNK_ENTRIES => {
                *newest = newest.iter().copied().chain(once(entry)).collect();
            }
            _ => self.chunks.push_back([entry].into()),
        }
        if self.len() > MESSAGE_IDS_REMEMBERED {
            self.expired += 1;
        }
        if self.expired == CHUNK_ENTRIES {
            self.chunks.pop_front();
            self.expired = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{LogicalTime, Sequence};

    fn id(number: u64) -> MessageId {
        MessageId::parse(format!("{number:064}")).unwrap().unwrap()
    }

    fn receipt(number: u64) -> Receipt {
        Receipt { sequence: Sequence(number), logical_time: LogicalTime(2 * number) }
    }

    #[test]
    fn exactly_the_last_ids_are_remembered_and_a_clone_is_not_changed() {
        let remembered = MESSAGE_IDS_REMEMBERED as u64;
        let mut window = DedupWindow::default();
        for number in 1..=3 * remembered {
            let before = window.clone();
            window.insert(&id(number), receipt(number));
            assert_eq!(before.receipt(&id(number)), None);
            let oldest = number.saturating_sub(remembered) + 1;
            for known in [oldest, number.midpoint(oldest), number] {
                assert_eq!(window.receipt(&id(known)), Some(receipt(known)), "{known} of {number}");
            }
            assert_eq!(window.receipt(&id(oldest - 1)), None, "before {oldest} of {number}");
        }
        assert_eq!(window.len(), MESSAGE_IDS_REMEMBERED);
    }

    /// A window that is rebuilt from its remembered publishes behaves like the original, wherever its chunks begin.
    #[test]
    fn a_rebuilt_window_behaves_like_the_original() {
        let remembered = MESSAGE_IDS_REMEMBERED as u64;
        let mut window = DedupWindow::default();
        for number in 1..=2 * remembered {
            window.insert(&id(number), receipt(number));
            if !number.is_multiple_of(97) {
                continue;
            }
            let publishes: Vec<_> = window.publishes().collect();
            assert_eq!(publishes.len(), window.len());
            let (mut rebuilt, mut original) = (DedupWindow::of(&publishes), window.clone());
            for further in number + 1..number + 100 {
                assert!(rebuilt.publishes().eq(original.publishes()), "{further} after {number}");
                rebuilt.insert(&id(further), receipt(further));
                original.insert(&id(further), receipt(further));
            }
        }
        assert_eq!(DedupWindow::of(&[]).len(), 0);
    }

    #[test]
    fn an_id_takes_little_memory_however_long_it_is() {
        let mut window = DedupWindow::default();
        (0..5000).for_each(|number| window.insert(&id(number), receipt(number)));
        let chunks: usize = window.chunks.iter().map(|chunk| size_of_val(&**chunk) + 2 * size_of::<usize>()).sum();
        let bytes = chunks + window.chunks.capacity() * size_of::<Arc<[DedupEntry]>>();
        assert!(bytes <= 36 * MESSAGE_IDS_REMEMBERED, "{bytes}");
    }
}
