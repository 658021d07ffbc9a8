//! The commit in progress: how long it takes, and how others let it have the processor.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use prometheus_client::metrics::histogram::Histogram;

/// How long others give way to a commit. A slow disk needs longer, but not the processor.
const GIVE_WAY_MAX: Duration = Duration::from_millis(10);

/// Whether a batch is being committed.
///
/// While a service delivers to a crowd, its workers keep all processors busy. The journal's thread, and then the task
/// that waits for it, would each get one only after a few milliseconds. So a stream [gives way](Self::give_way) before it
/// hands something over. Measured with 1,000 readers and one publish in flight, on two processors: the 90th
/// percentile of publishes falls from 3 to 1.3 ms, and the 99th from 6 to 4.5. Deliveries wait instead: their 99th percentile
/// grows from 20 to 30 ms. They cost a third less, since a stream then finds more events at once.
#[derive(Debug)]
pub struct Commits {
    /// When the commit in progress began, in microseconds since `base`; 0 if there is none.
    began: AtomicU64,
    base: Instant,
    seconds: Histogram,
}

impl Commits {
    /// No commit is in progress. `seconds` measures how long each takes.
    pub fn new(seconds: Histogram) -> Self {
        Self { began: AtomicU64::new(0), base: Instant::now(), seconds }
    }

    /// Waits for a commit. It is in progress until the caller continues.
    pub async fn observe<T>(&self, commit: impl Future<Output = T>) -> T {
        let (began, _ended) = (self.since_base(), Ended(&self.began));
        self.began.store(began, Ordering::Relaxed);
        let done = commit.await;
        self.seconds.observe(Duration::from_micros(self.since_base() - began).as_secs_f64());
        done
    }

    /// Lets other threads run if a commit has just begun.
    pub fn give_way(&self) {
        if self.is_beginning() {
            thread::yield_now();
        }
    }

    fn is_beginning(&self) -> bool {
        let began = self.began.load(Ordering::Relaxed);
        began > 0 && Duration::from_micros(self.since_base().saturating_sub(began)) < GIVE_WAY_MAX
    }

    /// Microseconds since the service started, at least 1.
    fn since_base(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }
}

/// Ends a commit, even one that is no longer waited for.
struct Ended<'a>(&'a AtomicU64);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures_util::FutureExt as _;
    use prometheus_client::metrics::histogram::exponential_buckets;

    use super::*;

    /// A commit is in progress while it is waited for, and no longer if the caller gives up. Others give way for a
    /// limited time.
    #[tokio::test]
    async fn in_progress_while_it_is_waited_for() {
        let mut commits = Commits::new(Histogram::new(exponential_buckets(1.0, 2.0, 1)));
        assert!(!commits.is_beginning());
        commits.base = Instant::now() + Duration::from_secs(60);
        {
            // Before its base a clock stands still.
            assert!(commits.observe(async { commits.is_beginning() }).await && !commits.is_beginning());
            let mut endless = Box::pin(commits.observe(pending::<()>()));
            assert!(endless.as_mut().now_or_never().is_none() && commits.is_beginning());
            drop(endless);
            assert!(!commits.is_beginning());
        }
        commits.base = Instant::now().checked_sub(GIVE_WAY_MAX * 2).expect("the machine has run for longer");
        commits.began.store(1, Ordering::Relaxed);
        assert!(!commits.is_beginning());
    }
}
