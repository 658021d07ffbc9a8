//! How many bytes the service holds for one address: its requests, and the unread part of its responses. Each address
//! has a budget, so that no address can use up all memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;

/// How many bytes are charged for an open connection: about the size of its buffers when it is idle.
pub const CONNECTION_BYTES: usize = 64 * 1024;

/// The budgets of all addresses for which the service holds memory. Clones share them.
#[derive(Clone, Debug)]
pub struct MemoryBudgets {
    by_address: Arc<Mutex<HashMap<IpAddr, Weak<AddressBudget>>>>,
    /// The budget of one address, in bytes.
    max: usize,
    /// The bytes that are held for all addresses together.
    held: Gauge,
}

/// The budget of one address. It is dropped when no more bytes are held for the address.
#[derive(Debug)]
pub struct AddressBudget {
    address: IpAddr,
    used: AtomicUsize,
    budgets: MemoryBudgets,
}

/// The address has used up its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdrawn;

impl MemoryBudgets {
    /// A budget of `max` bytes for each address. `held` shows the bytes in use, all addresses together.
    pub fn new(max: usize, held: Gauge) -> Self {
        Self { by_address: Arc::default(), max, held }
    }

    /// The budget of an address.
    pub fn of(&self, address: IpAddr) -> Arc<AddressBudget> {
        let mut budgets = self.by_address.lock();
        if let Some(budget) = budgets.get(&address).and_then(Weak::upgrade) {
            return budget;
        }
        let budget = Arc::new(AddressBudget { address, used: AtomicUsize::new(0), budgets: self.clone() });
        budgets.insert(address, Arc::downgrade(&budget));
        budget
    }
}

impl AddressBudget {
    /// Charges bytes.
    ///
    /// # Errors
    /// [`Overdrawn`], and nothing is charged, if that would exceed the budget.
    pub fn charge(&self, bytes: usize) -> Result<(), Overdrawn> {
        let within = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.budgets.max);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within) {
            Ok(_) => {
                self.budgets.held.inc_by(bytes as i64);
                Ok(())
            }
            Err(_) => Err(Overdrawn),
        }
    }

    /// Charges bytes even beyond the budget, for small amounts that must not fail.
    pub fn charge_regardless(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        self.budgets.held.inc_by(bytes as i64);
    }

    /// Gives back bytes that were charged.
    pub fn refund(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.budgets.held.dec_by(bytes as i64);
    }

    /// Charges bytes for as long as the result lives.
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Result<Reservation, Overdrawn> {
        self.charge(bytes)?;
        Ok(Reservation { budget: self.clone(), bytes })
    }
}

impl Drop for AddressBudget {
    fn drop(&mut self) {
        let mut budgets = self.budgets.by_address.lock();
        // Another budget of this address may have been made meanwhile.
        if budgets.get(&self.address).is_some_and(|budget| budget.strong_count() == 0) {
            budgets.remove(&self.address);
        }
    }
}

/// Bytes that are charged to a budget for as long as this lives.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<AddressBudget>,
    bytes: usize,
}

impl Reservation {
    /// Charges more.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Overdrawn> {
        self.budget.charge(bytes)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.refund(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One address cannot use more than its budget, takes nothing from another's, and gets everything back.
    #[test]
    fn budget_of_an_address() {
        let budgets = MemoryBudgets::new(100, Gauge::default());
        let [here, there] = ["192.0.2.1", "192.0.2.2"].map(|address| budgets.of(address.parse().unwrap()));
        let mut first = here.reserve(60).unwrap();
        assert!(Arc::ptr_eq(&here, &budgets.of("192.0.2.1".parse().unwrap())));
        assert_eq!(here.reserve(41).map(drop), Err(Overdrawn));
        assert_eq!(there.reserve(100).map(drop), Ok(()));
        first.grow(40).unwrap();
        assert_eq!((first.grow(1), budgets.held.get()), (Err(Overdrawn), 100));
        drop(first);
        assert_eq!((here.charge(100), budgets.held.get()), (Ok(()), 100));
        here.refund(100);
        drop((here, there));
        assert!(budgets.by_address.lock().is_empty(), "nothing is kept of an address without charges");
    }
}
