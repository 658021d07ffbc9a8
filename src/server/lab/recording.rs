//! Deliveries are recorded once a second. A proof needs those up to its moment, and asks for them.

use tokio::sync::watch;

/// Requests to record what was delivered so far, by number.
#[derive(Debug, Default)]
pub struct Recording {
    wanted: watch::Sender<u64>,
    done: watch::Sender<u64>,
}

impl Recording {
    /// Has the deliveries up to now recorded, and waits until they are.
    pub async fn up_to_now(&self) {
        let mut number = 0;
        self.wanted.send_modify(|wanted| {
            *wanted += 1;
            number = *wanted;
        });
        // The sender is in this very object.
        let _ = self.done.subscribe().wait_for(|done| *done >= number).await;
    }

    /// The number of the newest request, and its changes.
    pub fn wanted(&self) -> watch::Receiver<u64> {
        self.wanted.subscribe()
    }

    /// The requests up to this number are done.
    pub fn done(&self, number: u64) {
        self.done.send_replace(number);
    }
}
