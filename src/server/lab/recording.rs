//! Deliveries are recorded once a second. A proof needs those up to now, and requests that they be recorded at once.

use tokio::sync::watch;

/// Requests to record the deliveries so far, by number.
#[derive(Debug, Default)]
pub struct Recording {
    wanted: watch::Sender<u64>,
    done: watch::Sender<u64>,
}

impl Recording {
    /// Asks that the deliveries up to now be recorded, and waits until they are.
    pub async fn up_to_now(&self) {
        let mut number = 0;
        self.wanted.send_modify(|wanted| {
            *wanted += 1;
            number = *wanted;
        });
        // This object holds the sender, so it cannot fail.
        let _ = self.done.subscribe().wait_for(|done| *done >= number).await;
    }

    /// A receiver of the number of the newest request.
    pub fn wanted(&self) -> watch::Receiver<u64> {
        self.wanted.subscribe()
    }

    /// Marks the requests up to this number as done.
    pub fn done(&self, number: u64) {
        self.done.send_replace(number);
    }
}
