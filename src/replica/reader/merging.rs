//! The next message of the log, from whichever of two sources has it first: what the servers deliver, and their
//! acknowledgement of a message of this replica, which states the position at which they have stored it.
//!
//! An acknowledged message is handed over only after all messages before it. When the servers deliver it later, the two
//! are compared.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

/// How many messages that were handed over as acknowledged are remembered until the servers deliver them.
const UNDELIVERED_MAX: usize = 128;

/// How a delivered message compares with those handed over and acknowledged.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// The next one. It is handed over now.
    Next,
    /// One that was handed over before.
    Known,
    /// A later one: those in between are missing.
    Gap,
    /// Not the one that the servers acknowledged at its position.
    Another,
}

/// How far the log has been handed over.
#[derive(Debug)]
pub(super) struct Merging {
    next: u64,
    /// Acknowledged messages whose turn has not come.
    acknowledged: BTreeMap<u64, Bytes>,
    /// Messages that were handed over as acknowledged, and not delivered yet.
    undelivered: VecDeque<(u64, Bytes)>,
}

impl Merging {
    /// Everything up to this position has been handed over.
    pub(super) fn after(position: u64) -> Self {
        Self { next: position + 1, acknowledged: BTreeMap::new(), undelivered: VecDeque::new() }
    }

    /// The position of the next message.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Whether there is an acknowledged message with at most this many missing messages before it.
    pub(super) fn lacks_at_most(&self, messages: u64) -> bool {
        self.acknowledged.first_key_value().is_some_and(|(position, _)| position - self.next <= messages)
    }

    /// The servers have stored a message of this replica.
    pub(super) fn acknowledge(&mut self, position: u64, message: Bytes) {
        if position >= self.next {
            self.acknowledged.insert(position, message);
        }
    }

    /// The next message, if it was acknowledged.
    pub(super) fn take(&mut self) -> Option<(u64, Bytes)> {
        let message = self.acknowledged.remove(&self.next)?;
        if self.undelivered.len() == UNDELIVERED_MAX {
            self.undelivered.pop_front();
        }
        self.undelivered.push_back((self.next, message.clone()));
        self.next += 1;
        Some((self.next - 1, message))
    }

    /// The servers deliver a message.
    pub(super) fn deliver(&mut self, position: u64, message: &Bytes) -> Comparison {
        let mut expected = None;
        if position < self.next {
            while self.undelivered.front().is_some_and(|(known, _)| *known <= position) {
                expected = self.undelivered.pop_front().filter(|(known, _)| *known == position);
            }
        } else {
            expected =
                self.acknowledged.get_key_value(&position).map(|(known, message)| (*known, message.clone()));
        }
        if expected.is_some_and(|(_, expected)| expected != *message) {
            return Comparison::Another;
        }
        if position < self.next {
            return Comparison::Known;
        }
        if position > self.next {
            return Comparison::Gap;
        }
        self.acknowledged.remove(&position);
        self.next += 1;
        Comparison::Next
    }

    /// The servers begin to deliver from the next message on, and will not deliver earlier ones.
    pub(super) fn restart(&mut self) {
        self.undelivered.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn an_acknowledged_message_is_handed_over_once_and_in_its_turn_r2() {
        let mut merging = Merging::after(4);
        merging.acknowledge(6, message("own"));
        assert_eq!((merging.take(), merging.lacks_at_most(0), merging.lacks_at_most(1)), (None, false, true));
        assert_eq!(merging.deliver(5, &message("another's")), Comparison::Next);
        assert!(merging.lacks_at_most(0));
        assert_eq!((merging.take(), merging.take()), (Some((6, message("own"))), None));
        assert_eq!(merging.deliver(6, &message("own")), Comparison::Known);
        assert_eq!((merging.deliver(8, &message("later")), merging.next()), (Comparison::Gap, 7));
        assert_eq!(merging.deliver(7, &message("next")), Comparison::Next);
        merging.acknowledge(7, message("next"));
        assert_eq!((merging.take(), merging.next()), (None, 8));
    }

    #[test]
    fn a_message_that_was_delivered_first_is_not_handed_over_again_when_it_is_acknowledged_r2() {
        let mut merging = Merging::after(0);
        merging.acknowledge(2, message("own"));
        assert_eq!(merging.deliver(1, &message("another's")), Comparison::Next);
        assert_eq!(merging.deliver(2, &message("own")), Comparison::Next);
        assert_eq!((merging.take(), merging.next()), (None, 3));
    }

    #[test]
    fn a_message_that_differs_from_the_acknowledged_one_is_noticed_r8() {
        let mut merging = Merging::after(0);
        merging.acknowledge(1, message("own"));
        merging.acknowledge(3, message("own, too"));
        assert_eq!(merging.take(), Some((1, message("own"))));
        assert_eq!(merging.deliver(1, &message("lost")), Comparison::Another);
        assert_eq!(merging.deliver(2, &message("another's")), Comparison::Next);
        assert_eq!((merging.deliver(3, &message("lost")), merging.next()), (Comparison::Another, 3));
    }
}
