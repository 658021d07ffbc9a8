//! Compares the acknowledgement of each message with its event in the stream.

use std::collections::VecDeque;

use super::{ProtocolFault, number};
use crate::chat::{LogicalTime, Receipt, Sequence};

/// How many acknowledged messages are compared with later events. If there are more, the oldest are not compared.
const COMPARED_MAX: usize = 1024;

/// The messages of one membership. They are not saved for a later process.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    in_flight: Option<InFlightPublish>,
    /// Acknowledged but not yet seen in the stream, in order.
    acknowledged: VecDeque<(String, Receipt)>,
}

/// The message that waits for its answer. There is at most one.
#[derive(Debug)]
struct InFlightPublish {
    id: String,
    /// The logical time at which it was first sent.
    sent: LogicalTime,
    /// Its event, if that was received before the answer.
    event: Option<Receipt>,
}

impl Receipts {
    /// A message is sent, for the first time or again.
    pub(crate) fn sent(&mut self, id: &str, sent: LogicalTime) {
        if self.in_flight.as_ref().is_none_or(|message| message.id != id) {
            self.in_flight = Some(InFlightPublish { id: id.to_owned(), sent, event: None });
        }
    }

    /// A message is acknowledged, when `cursor` is the last event that was received.
    pub(crate) fn acknowledged(
        &mut self,
        id: &str,
        receipt: Receipt,
        cursor: Sequence,
    ) -> Result<(), ProtocolFault> {
        let sequence = receipt.sequence;
        let message = self.in_flight.as_ref().filter(|message| message.id == id);
        check_receipt(receipt, message.map_or(LogicalTime(0), |message| message.sent))?;
        let event = message.and_then(|message| message.event);
        let last = self.acknowledged.back().map_or(cursor, |(_, last)| last.sequence.max(cursor));
        match event {
            Some(event) if event != receipt => {
                return Err(ProtocolFault::Acknowledgement { acknowledged: sequence });
            }
            // Its event is still to come, after every event so far and those of the messages before it.
            None if sequence <= last => {
                return Err(ProtocolFault::Acknowledgement { acknowledged: sequence });
            }
            None => {
                if self.acknowledged.len() == COMPARED_MAX {
                    self.acknowledged.pop_front();
                }
                self.acknowledged.push_back((id.to_owned(), receipt));
            }
            Some(_) => {}
        }
        self.in_flight = None;
        Ok(())
    }

    /// An event was received. `own_id` is its message id if it is this participant's own message.
    pub(crate) fn received(&mut self, event: Receipt, own_id: Option<&str>) -> Result<(), ProtocolFault> {
        let contradicts = |(id, receipt): &&(String, Receipt)| {
            let is_same_event = receipt.sequence == event.sequence;
            let is_same_message = own_id == Some(&**id);
            is_same_event != is_same_message || (is_same_event && *receipt != event)
        };
        if let Some((_, receipt)) = self.acknowledged.iter().find(contradicts) {
            return Err(ProtocolFault::Acknowledgement { acknowledged: receipt.sequence });
        }
        self.acknowledged.retain(|(_, receipt)| receipt.sequence > event.sequence);
        if let Some(message) = self.in_flight.as_mut().filter(|message| own_id == Some(&*message.id)) {
            message.event = Some(event);
        }
        Ok(())
    }

    /// A stream was replaced. What the old one contradicted does not count against the new one.
    pub(crate) fn reconnected(&mut self) {
        self.acknowledged.clear();
    }
}

/// The receipt in an answer.
pub(crate) fn receipt(sequence: u64, logical_time: u64) -> Receipt {
    Receipt { sequence: Sequence(sequence), logical_time: LogicalTime(logical_time) }
}

/// Checks the answer to a request that was sent at this logical time.
pub(crate) fn check_receipt(receipt: Receipt, sent: LogicalTime) -> Result<(), ProtocolFault> {
    let Receipt { sequence, logical_time } = receipt;
    number(sequence.0)?;
    number(logical_time.0)?;
    if sequence == Sequence(0) {
        return Err(ProtocolFault::Number(0));
    }
    if logical_time <= sent {
        return Err(ProtocolFault::Time { sequence, logical_time, before: sent });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u64, time: u64) -> Receipt {
        Receipt { sequence: Sequence(sequence), logical_time: LogicalTime(time) }
    }

    fn sent(id: &str) -> Receipts {
        let mut receipts = Receipts::default();
        receipts.sent(id, LogicalTime(5));
        receipts
    }

    #[test]
    fn an_answer_and_an_event_that_agree_are_accepted_in_either_order() {
        let mut receipts = sent("a");
        assert_eq!(receipts.acknowledged("a", at(4, 9), Sequence(2)), Ok(()));
        assert_eq!(receipts.received(at(3, 7), None), Ok(()));
        assert_eq!(receipts.received(at(4, 9), Some("a")), Ok(()));
        receipts.sent("b", LogicalTime(11));
        assert_eq!(receipts.received(at(5, 13), Some("b")), Ok(()));
        assert_eq!(receipts.acknowledged("b", at(5, 13), Sequence(5)), Ok(()));
        assert_eq!(receipts.received(at(6, 15), None), Ok(()));
        assert!(receipts.acknowledged.is_empty() && receipts.in_flight.is_none());
    }

    /// A message that is sent again gets its first answer, whose event is older than the last attempt.
    #[test]
    fn a_message_that_is_sent_again_is_compared_with_its_first_try() {
        let mut receipts = sent("a");
        assert_eq!(receipts.received(at(3, 7), Some("a")), Ok(()));
        receipts.sent("a", LogicalTime(12));
        assert_eq!(receipts.acknowledged("a", at(3, 7), Sequence(3)), Ok(()));
    }

    #[test]
    fn an_answer_that_the_stream_contradicts_is_a_fault() {
        let contradicted =
            |acknowledged| Err(ProtocolFault::Acknowledgement { acknowledged: Sequence(acknowledged) });
        let acknowledged = |receipt| {
            let mut receipts = sent("a");
            receipts.acknowledged("a", receipt, Sequence(2)).map(|()| receipts)
        };
        let mut receipts = acknowledged(at(4, 9)).unwrap();
        assert_eq!(receipts.received(at(4, 9), None), contradicted(4), "somebody else's event");
        assert_eq!(receipts.received(at(4, 8), Some("a")), contradicted(4), "another time");
        assert_eq!(receipts.received(at(3, 7), Some("a")), contradicted(4), "another sequence");
        assert_eq!(acknowledged(at(2, 9)).err(), contradicted(2).err(), "an event that was already received");
        let mut receipts = sent("a");
        assert_eq!(receipts.received(at(3, 7), Some("a")), Ok(()));
        assert_eq!(receipts.acknowledged("a", at(4, 9), Sequence(3)), contradicted(4), "another event");
    }

    #[test]
    fn an_impossible_answer_is_a_fault() {
        for receipt in [at(0, 9), at(u64::MAX, 9), at(4, 5), at(4, u64::MAX)] {
            let answered = sent("a").acknowledged("a", receipt, Sequence(2));
            assert!(answered.is_err(), "{receipt:?}");
        }
    }
}
