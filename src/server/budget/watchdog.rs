//! Finds responses that are not read, and ends them.
//!
//! HTTP/2 has no answer to a peer that keeps a stream's window closed and answers every ping: bytes that were handed to
//! the transport would stay for as long as the connection lives. So every response counts the bytes that the transport
//! has not taken, and one that has waited too long without progress is reset: its stream over HTTP/2, its connection
//! over HTTP/1.1. A connection that takes no bytes is closed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable, FutureExt as _};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::memory::{AddressBudget, Overdrawn};

/// How long after the stall limit a response is reset. A stream that was ended with SLOW_CONSUMER has this
/// time to deliver its status.
const RESET_DELAY: Duration = Duration::from_secs(5);
/// The longest time between two checks of the responses.
const SWEEP_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// Watches the responses of all connections. Clones share them.
#[derive(Clone, Debug)]
pub struct Watchdog {
    connections: Arc<Mutex<HashMap<u64, Weak<ConnectionWatch>>>>,
    next: Arc<AtomicU64>,
    started: Instant,
    /// How long a response may wait without progress.
    patience: Duration,
    resets: Counter,
}

impl Watchdog {
    /// Resets responses that have been stuck for the stall limit and [`RESET_DELAY`]; `resets` counts them.
    pub fn new(stall: Duration, resets: Counter) -> Self {
        let patience = stall.saturating_add(RESET_DELAY);
        Self { connections: Arc::default(), next: Arc::default(), started: Instant::now(), patience, resets }
    }

    /// Watches a new connection. `close` is cancelled to close it.
    pub fn connection(&self, close: CancellationToken) -> Arc<ConnectionWatch> {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        let watch = Arc::new(ConnectionWatch {
            key,
            watchdog: self.clone(),
            close,
            untaken: Untaken::default(),
            responses: Mutex::default(),
            next: AtomicU64::new(0),
        });
        self.connections.lock().insert(key, Arc::downgrade(&watch));
        watch
    }

    /// Watches all connections while it is polled.
    pub async fn run(&self) {
        let mut ticks = interval((self.patience / 4).clamp(Duration::from_millis(1), SWEEP_INTERVAL_MAX));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let connections: Vec<_> = self.connections.lock().values().filter_map(Weak::upgrade).collect();
            connections.iter().for_each(|connection| connection.sweep());
        }
    }

    fn now_millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_stuck(&self, untaken: &Untaken) -> bool {
        let patience = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX);
        // Read the time first: bytes that are handed over in between have a later one.
        let since = untaken.since_millis.load(Ordering::Acquire);
        untaken.bytes.load(Ordering::Acquire) > 0 && self.now_millis().saturating_sub(since) > patience
    }
}

/// Bytes that wait to be taken, and since when none of them has been taken.
#[derive(Debug, Default)]
struct Untaken {
    bytes: AtomicUsize,
    since_millis: AtomicU64,
}

impl Untaken {
    fn add(&self, bytes: usize, now_millis: u64) {
        if self.bytes.fetch_add(bytes, Ordering::AcqRel) == 0 {
            self.since_millis.store(now_millis, Ordering::Release);
        }
    }

    /// Counts bytes as taken, and returns how many are left.
    fn take(&self, bytes: usize, now_millis: u64) -> usize {
        self.since_millis.store(now_millis, Ordering::Release);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel) - bytes
    }
}

/// The responses of one connection.
#[derive(Debug)]
pub struct ConnectionWatch {
    key: u64,
    watchdog: Watchdog,
    close: CancellationToken,
    /// The bytes of all responses together, including those that have ended and whose last bytes still wait in the
    /// transport.
    untaken: Untaken,
    responses: Mutex<HashMap<u64, Weak<ResponseWatch>>>,
    next: AtomicU64,
}

impl ConnectionWatch {
    /// Watches a response. Called while its request is served: over HTTP/2 that is in an [`abortable`] future, which a
    /// reset of the response ends.
    pub fn response(self: &Arc<Self>, budget: Arc<AddressBudget>) -> Arc<ResponseWatch> {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        let stream = STREAM.try_with(Arc::downgrade).ok();
        let (untaken, waker) = (Untaken::default(), Mutex::default());
        let response = Arc::new(ResponseWatch { key, stream, untaken, waker, budget, connection: self.clone() });
        self.responses.lock().insert(key, Arc::downgrade(&response));
        response
    }

    /// Resets the responses that are stuck. Closes the connection if a reset cannot help: over HTTP/1.1, or if the
    /// bytes have left every response and the socket takes nothing, not even a reset.
    fn sweep(&self) {
        if self.untaken.bytes.load(Ordering::Relaxed) == 0 {
            return;
        }
        let responses: Vec<_> = self.responses.lock().values().filter_map(Weak::upgrade).collect();
        let stuck = responses.iter().filter(|response| self.watchdog.is_stuck(&response.untaken));
        let (mut helped, mut hopeless) = (false, false);
        for response in stuck {
            match response.stream.as_ref().and_then(Weak::upgrade) {
                Some(stream) => {
                    stream.abort();
                    // The reset has as long to be sent as the bytes had to be taken.
                    response.untaken.since_millis.store(self.watchdog.now_millis(), Ordering::Release);
                    self.watchdog.resets.inc();
                    helped = true;
                }
                _ => hopeless = true,
            }
        }
        if hopeless || !helped && self.watchdog.is_stuck(&self.untaken) {
            self.watchdog.resets.inc();
            self.close.cancel();
        }
    }
}

impl Drop for ConnectionWatch {
    fn drop(&mut self) {
        self.watchdog.connections.lock().remove(&self.key);
    }
}

/// The part of one response that the transport has not taken.
#[derive(Debug)]
pub struct ResponseWatch {
    key: u64,
    /// The HTTP/2 stream, while it is served. `None` over HTTP/1.1, where a response is the connection's only one.
    stream: Option<Weak<AbortHandle>>,
    untaken: Untaken,
    waker: Mutex<Option<Waker>>,
    budget: Arc<AddressBudget>,
    connection: Arc<ConnectionWatch>,
}

impl ResponseWatch {
    /// How many bytes wait to be taken.
    pub fn untaken(&self) -> usize {
        self.untaken.bytes.load(Ordering::Acquire)
    }

    /// Counts bytes that start to wait.
    ///
    /// # Errors
    /// [`Overdrawn`] if the address has used up its budget. A response without waiting bytes may always add some, so
    /// that other responses of its address cannot block it.
    pub fn hold(&self, bytes: usize) -> Result<(), Overdrawn> {
        if let Err(overdrawn) = self.budget.charge(bytes) {
            if self.untaken() > 0 {
                return Err(overdrawn);
            }
            self.budget.charge_regardless(bytes);
        }
        let now = self.connection.watchdog.now_millis();
        self.connection.untaken.add(bytes, now);
        self.untaken.add(bytes, now);
        Ok(())
    }

    /// Counts bytes that were taken, or are no longer needed.
    pub fn release(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let now = self.connection.watchdog.now_millis();
        self.connection.untaken.take(bytes, now);
        let left = self.untaken.take(bytes, now);
        self.budget.refund(bytes);
        if left == 0
            && let Some(waker) = self.waker.lock().take()
        {
            waker.wake();
        }
    }

    /// Wakes the task when everything has been taken. Call it before [`untaken`](Self::untaken).
    pub fn wake_when_taken(&self, waker: &Waker) {
        *self.waker.lock() = Some(waker.clone());
    }
}

impl Drop for ResponseWatch {
    fn drop(&mut self) {
        self.connection.responses.lock().remove(&self.key);
    }
}

tokio::task_local! {
    /// The HTTP/2 stream of the current request.
    static STREAM: Arc<AbortHandle>;
}

/// An HTTP/2 stream that can be ended from outside. A stream that ends early is reset (CANCEL), and what it has in the
/// transport's buffers is freed.
pub fn abortable<F: Future>(stream: F) -> impl Future<Output = ()> {
    let (handle, registration) = AbortHandle::new_pair();
    // It makes no difference here whether it ended normally or was aborted.
    STREAM.scope(Arc::new(handle), Abortable::new(stream, registration)).map(drop)
}
