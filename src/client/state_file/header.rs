//! The header of a state file, which changes with every event.

use serde::Deserialize;

/// The positions and the clock.
#[derive(Clone, Copy, Default, Deserialize)]
pub(super) struct StateHeader {
    pub(super) position: u64,
    pub(super) shown: u64,
    pub(super) clock: u64,
    /// The event that `chain` belongs to; a resume after another event sends no chain hash.
    #[serde(default)]
    pub(super) chained: u64,
    #[serde(default)]
    pub(super) chain: u64,
}

impl StateHeader {
    /// The least number of records that a log lacks if it ends at `logged`; 0 if it is a different log. Records are
    /// written before the state, so a log is behind only if records were lost. One case is counted although nothing was
    /// lost: events that are shown again move the clock without a record, and the process may be killed just then. The
    /// log then states one lost record too many, which `verify` takes as a gap, not as a violation.
    pub(super) fn lost_in(self, logged: Self, participant_id: &str) -> u64 {
        if logged.clock == 0 || (self.position <= logged.position && self.clock <= logged.clock) {
            return 0;
        }
        // Its events begin with its own join, whose sequence is the number in its id.
        let joined: u64 = participant_id.strip_prefix('p').and_then(|number| number.parse().ok()).unwrap_or(1);
        self.position.saturating_sub(logged.position.max(joined.saturating_sub(1))).max(1)
    }

    /// The chain hash of the last event that was shown; empty if it is not known.
    pub(super) fn chain_hash(self) -> Vec<u8> {
        if self.shown > 0 && self.chained == self.shown { self.chain.to_be_bytes().to_vec() } else { Vec::new() }
    }

    /// The text always has the same length and fits in the first page of the file, so it is written all or nothing.
    pub(super) fn text(self) -> String {
        let (text, Self { chained, chain, .. }) = (self.text_without_chain(), self);
        format!("{text}\n\"chained\":{chained:>20},\"chain\":{chain:>20},\n")
    }

    /// The header of older files, which have no chain hash.
    pub(super) fn text_without_chain(self) -> String {
        let Self { position, shown, clock, .. } = self;
        format!("{{\"position\":{position:>20},\"shown\":{shown:>20},\"clock\":{clock:>20},")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_behind_the_state_lacks_records() {
        let at = |position, clock| StateHeader { position, clock, ..StateHeader::default() };
        let check = |state: StateHeader, logged, expected| assert_eq!(state.lost_in(logged, "p7"), expected);
        check(at(12, 31), at(12, 31), 0);
        check(at(12, 31), at(13, 33), 0);
        check(at(12, 31), at(10, 25), 2);
        check(at(12, 31), at(12, 30), 1);
        check(at(12, 31), at(0, 3), 6);
        check(at(12, 31), at(0, 0), 0);
    }
}
