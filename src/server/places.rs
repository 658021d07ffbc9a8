//! Places for connections: so many in all, and so many for one address.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places that are taken. Clones share them.
#[derive(Clone, Debug)]
pub struct Places {
    all: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    per_address_max: usize,
}

/// A place in the whole.
pub type Place = OwnedSemaphorePermit;

/// A place of an address, given back when it is dropped.
#[derive(Debug)]
pub struct AddressPlace {
    places: Places,
    address: IpAddr,
    _place: Place,
}

impl Places {
    /// So many in all, and so many for one address.
    pub fn new(max: usize, per_address_max: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(max)), by_address: Arc::default(), per_address_max }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// None, since the places are never closed.
    pub async fn wait(&self) -> io::Result<Place> {
        self.all.clone().acquire_owned().await.map_err(io::Error::other)
    }

    /// Gives a place to an address, unless it has as many as one may have.
    pub fn take(&self, place: Place, address: IpAddr) -> Option<AddressPlace> {
        let mut taken = self.taken();
        let count = taken.entry(address).or_default();
        if *count >= self.per_address_max {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(AddressPlace { places: self.clone(), address, _place: place })
    }

    /// The counts are whole also where a holder of the lock has panicked.
    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_has_no_more_places_than_one_may_have_and_gives_them_back() {
        let places = Places::new(5, 2);
        let [here, there] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse::<IpAddr>().unwrap());
        let mut held = Vec::new();
        for address in [here, here, there] {
            held.push(places.take(places.wait().await.unwrap(), address).expect("a place"));
        }
        assert!(places.take(places.wait().await.unwrap(), here).is_none());
        assert_eq!(places.all.available_permits(), 2, "who is turned away takes no place");
        held.remove(0);
        held.push(places.take(places.wait().await.unwrap(), here).expect("a place"));
        drop(held);
        assert!(places.taken().is_empty(), "nothing is kept of an address that has gone");
    }
}
