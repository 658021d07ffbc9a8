//! How many connections may be open: in all, and from one address, as far as its memory budget allows.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::server::budget::memory::{CONNECTION_BYTES, MemoryBudgets, Reservation};

/// The connections that are open. Clones share them.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    all: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    per_address_max: usize,
    budgets: MemoryBudgets,
}

/// Permission to have one connection open. The connection no longer counts once this is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    limits: ConnectionLimits,
    /// The address that it counts for, if any.
    address: Option<IpAddr>,
    /// The memory that is charged to that address.
    charge: Option<Reservation>,
    _all: OwnedSemaphorePermit,
}

impl ConnectionLimits {
    /// At most `max` in all, and `per_address_max` for one address.
    pub fn new(max: usize, per_address_max: usize, budgets: MemoryBudgets) -> Self {
        Self { all: Arc::new(Semaphore::new(max)), by_address: Arc::default(), per_address_max, budgets }
    }

    /// Waits until one more connection may be open.
    ///
    /// # Errors
    /// Never, since the semaphore is never closed.
    pub async fn wait(&self) -> io::Result<ConnectionPermit> {
        let permit = self.all.clone().acquire_owned().await.map_err(io::Error::other)?;
        Ok(ConnectionPermit { limits: self.clone(), address: None, charge: None, _all: permit })
    }
}

impl ConnectionPermit {
    /// Counts this connection for an address. False if it counts for one already, or if the address has reached its
    /// limit or used up its memory budget.
    pub fn count_for(&mut self, address: IpAddr) -> bool {
        if self.address.is_some() {
            return false;
        }
        let Ok(charge) = self.limits.budgets.of(address).reserve(CONNECTION_BYTES) else { return false };
        let mut taken = self.limits.by_address.lock();
        let count = taken.entry(address).or_default();
        if *count >= self.limits.per_address_max {
            return false;
        }
        *count += 1;
        drop(taken);
        (self.address, self.charge) = (Some(address), Some(charge));
        true
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut taken = self.limits.by_address.lock();
        if let Some(count) = taken.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;

    /// No address has more connections than its limit, and each that ends makes room for another.
    #[tokio::test]
    async fn permits_of_an_address() {
        let limits = ConnectionLimits::new(5, 2, MemoryBudgets::new(usize::MAX, Gauge::default()));
        let [here, there] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse::<IpAddr>().unwrap());
        let mut held = Vec::new();
        for address in [here, here, there] {
            let mut permit = limits.wait().await.unwrap();
            assert!(permit.count_for(address), "there is room");
            held.push(permit);
        }
        let mut refused = limits.wait().await.unwrap();
        assert!(!refused.count_for(here));
        drop(refused);
        assert_eq!(limits.all.available_permits(), 2, "a refused connection holds no permit");
        held.remove(0);
        let mut permit = limits.wait().await.unwrap();
        assert!(permit.count_for(here), "there is room");
        held.push(permit);
        drop(held);
        assert!(limits.by_address.lock().is_empty(), "nothing is kept of an address without connections");
    }
}
