//! How many participants each address has. No address may have more than its share, so that none can fill the
//! conversation.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use crate::chat::ParticipantId;
use crate::wire::Rejection;

/// The active participants by the address that they joined from. Where they are resumed from does not matter.
#[derive(Debug)]
pub struct ParticipantShares {
    per_address_max: usize,
    address_of: HashMap<ParticipantId, IpAddr>,
    counts: HashMap<IpAddr, usize>,
}

impl ParticipantShares {
    /// At most `per_address_max` participants from one address.
    pub fn new(per_address_max: usize) -> Self {
        Self { per_address_max, address_of: HashMap::new(), counts: HashMap::new() }
    }

    /// Checks that one more may join from an address.
    ///
    /// # Errors
    /// [`Rejection::ShareTaken`].
    pub fn check(&self, address: IpAddr) -> Result<(), Rejection> {
        if self.counts.get(&address).is_some_and(|count| *count >= self.per_address_max) {
            return Err(Rejection::ShareTaken { participants_per_address_max: self.per_address_max });
        }
        Ok(())
    }

    /// Counts a participant for an address, unless it counts for one already. The journal keeps no addresses, so after
    /// a restart a participant counts for the first address that it resumes from, even beyond that address's share.
    pub fn assign(&mut self, participant: ParticipantId, address: IpAddr) {
        if let Entry::Vacant(unassigned) = self.address_of.entry(participant) {
            unassigned.insert(address);
            *self.counts.entry(address).or_default() += 1;
        }
    }

    /// Stops counting a participant that has left.
    pub fn release(&mut self, participant: ParticipantId) {
        let Some(address) = self.address_of.remove(&participant) else { return };
        if let Some(count) = self.counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Sequence;

    /// A participant counts once, for the first address, until it has left.
    #[test]
    fn share_of_an_address() {
        let mut shares = ParticipantShares::new(2);
        let [here, there] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse::<IpAddr>().unwrap());
        let [first, second] = [1, 2].map(|n| ParticipantId(Sequence(n)));
        let full = Err(Rejection::ShareTaken { participants_per_address_max: 2 });
        for _ in 0..2 {
            shares.assign(first, here);
        }
        assert_eq!(shares.check(here), Ok(()));
        shares.assign(second, here);
        shares.assign(second, there);
        assert_eq!((shares.check(here), shares.check(there)), (full, Ok(())));
        for _ in 0..2 {
            shares.release(second);
        }
        assert_eq!(shares.check(here), Ok(()));
        shares.release(first);
        assert!(shares.counts.is_empty() && shares.address_of.is_empty(), "nothing is kept of a participant");
    }
}
