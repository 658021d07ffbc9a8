//! A connection's task: HTTP, the HTTP/2 streams of the connection, and whatever may end it.
//!
//! The library would run each HTTP/2 stream in its own task, so a delivery would wake two tasks in turn, perhaps on two
//! processors. Here one task does both: what a stream hands over is written in the same step. A future is polled only
//! when it was woken itself, so rare events, such as a shutdown, cost a delivery nothing.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::stream::FuturesUnordered;
use futures_util::task::AtomicWaker;
use futures_util::{FutureExt as _, StreamExt as _};
use hyper::rt::Executor;
use parking_lot::Mutex;

use crate::server::budget::watchdog;

/// How many times in a row the connection and its streams may wake each other before other tasks get their turn.
const ROUNDS_MAX: usize = 8;

/// What can happen to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// It has made its first request.
    Requested,
    /// It has made no request in time.
    Silent,
    /// The service stops: open requests are finished.
    Drain,
    /// It is to be closed at once.
    Close,
}

/// Work of a connection's task: an HTTP/2 stream, which ends without a signal, or a wait for a signal.
type Work = Pin<Box<dyn Future<Output = Option<Signal>> + Send>>;

/// The streams that were added since the last poll.
type Added = Mutex<Vec<Work>>;

/// The work of a connection's task, apart from the connection itself.
pub struct ConnectionTask {
    added: Arc<Added>,
    running: FuturesUnordered<Work>,
    rounds: Arc<Rounds>,
    /// The waker of `rounds`.
    waker: Waker,
}

/// How a round ended.
pub enum Turn<T> {
    /// The connection has ended.
    Ended(T),
    /// A signal was given.
    Signal(Signal),
}

impl ConnectionTask {
    /// A task that has nothing to do yet.
    pub fn new() -> Self {
        let rounds = Arc::new(Rounds::default());
        Self {
            added: Arc::default(),
            running: FuturesUnordered::new(),
            waker: Waker::from(Arc::clone(&rounds)),
            rounds,
        }
    }

    /// An executor that adds the connection's HTTP/2 streams to this task.
    pub fn executor(&self) -> StreamExecutor {
        StreamExecutor(Arc::downgrade(&self.added))
    }

    /// Adds a signal to wait for.
    pub fn watch(&mut self, signal: impl Future<Output = Signal> + Send + 'static) {
        self.running.push(Box::pin(signal.map(Some)));
    }

    /// Drives a connection and its streams until it ends, or a signal is given.
    pub async fn drive<T>(&mut self, mut connection: Pin<&mut impl Future<Output = T>>) -> Turn<T> {
        poll_fn(|context| self.poll(connection.as_mut(), context)).await
    }

    fn poll<T>(
        &mut self,
        mut connection: Pin<&mut impl Future<Output = T>>,
        context: &mut Context<'_>,
    ) -> Poll<Turn<T>> {
        self.rounds.task.register(context.waker());
        let waker = self.waker.clone();
        let inner = &mut Context::from_waker(&waker);
        for _ in 0..ROUNDS_MAX {
            self.rounds.begin();
            // The streams go first, so that the connection writes what they hand over.
            if let Some(signal) = self.poll_streams(inner) {
                return Poll::Ready(Turn::Signal(signal));
            }
            if let Poll::Ready(ended) = connection.as_mut().poll(inner) {
                // Requests that arrived with the end of the connection are executed, although their answers go nowhere.
                self.poll_streams(inner);
                return Poll::Ready(Turn::Ended(ended));
            }
            if self.added.lock().is_empty() && self.rounds.end() {
                return Poll::Pending;
            }
        }
        self.rounds.pause();
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Polls the streams that were woken or added.
    fn poll_streams(&mut self, context: &mut Context<'_>) -> Option<Signal> {
        self.running.extend(self.added.lock().drain(..));
        while let Poll::Ready(Some(ended)) = self.running.poll_next_unpin(context) {
            if ended.is_some() {
                return ended;
            }
        }
        None
    }
}

/// Runs the HTTP/2 streams of one connection in the connection's task. A stream can be ended from outside: it is then
/// reset (CANCEL), and its bytes in the transport's buffers are freed.
#[derive(Clone, Debug)]
pub struct StreamExecutor(Weak<Added>);

impl<F: Future + Send + 'static> Executor<F> for StreamExecutor {
    fn execute(&self, stream: F) {
        // A stream without its connection is of no use.
        let Some(added) = self.0.upgrade() else { return };
        added.lock().push(Box::pin(watchdog::abortable(stream).map(|()| None)));
    }
}

/// Wakes the task; if it is running, it continues for another round instead. Otherwise each piece that a stream hands
/// to the connection would schedule the task again, and vice versa.
#[derive(Debug, Default)]
struct Rounds {
    task: AtomicWaker,
    state: AtomicU8,
}

/// The task waits to be woken.
const WAITING: u8 = 0;
/// It was woken and does not run yet.
const WOKEN: u8 = 1;
/// It runs a round.
const RUNNING: u8 = 2;
/// It runs a round, and was woken meanwhile.
const RUNNING_WOKEN: u8 = 3;

impl Rounds {
    fn begin(&self) {
        self.state.store(RUNNING, Ordering::SeqCst);
    }

    /// The task waits from now on. False if it was woken during the round.
    fn end(&self) -> bool {
        self.state.compare_exchange(RUNNING, WAITING, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The task lets others have their turn, and has woken itself.
    fn pause(&self) {
        self.state.store(WOKEN, Ordering::SeqCst);
    }
}

impl Wake for Rounds {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let woken = |state| match state {
            WAITING => Some(WOKEN),
            RUNNING => Some(RUNNING_WOKEN),
            _ => None,
        };
        if self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, woken) == Ok(WAITING) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Notify;

    use super::*;

    /// A connection that ends when all of its streams have ended; each was added by the connection itself.
    #[tokio::test]
    async fn streams_are_driven_with_their_connection() {
        let mut task = ConnectionTask::new();
        let (executor, ended, done) = (task.executor(), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let connection = async {
            for _ in 0..100 {
                let (ended, done) = (ended.clone(), done.clone());
                executor.execute(async move {
                    tokio::task::yield_now().await;
                    ended.fetch_add(1, Ordering::Relaxed);
                    done.notify_one();
                });
            }
            while ended.load(Ordering::Relaxed) < 100 {
                done.notified().await;
            }
            "ended"
        };
        let Turn::Ended(ended) = task.drive(std::pin::pin!(connection)).await else { panic!("no signal") };
        assert_eq!(ended, "ended");
        assert!(task.running.is_empty());
    }

    /// A signal does not end the connection, and a stream that came with its end is polled.
    #[tokio::test]
    async fn signals_and_the_last_request() {
        let mut task = ConnectionTask::new();
        let (executor, made, go) = (task.executor(), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        task.watch(ready(Signal::Requested));
        let (counted, gone) = (made.clone(), go.clone());
        let mut connection = std::pin::pin!(async {
            gone.notified().await;
            executor.execute(async move {
                counted.fetch_add(1, Ordering::Relaxed);
                pending::<()>().await;
            });
        });
        let Turn::Signal(signal) = task.drive(connection.as_mut()).await else { panic!("a signal was given") };
        assert_eq!(signal, Signal::Requested);
        go.notify_one();
        let Turn::Ended(()) = task.drive(connection).await else { panic!("no signal") };
        assert_eq!(made.load(Ordering::Relaxed), 1);
        assert_eq!(Arc::strong_count(&made), 2, "the stream is there");
        drop(task);
        assert_eq!(Arc::strong_count(&made), 1, "and goes with the task");
    }

    /// Woken while it runs, a task is not scheduled again; woken while it waits, once.
    #[test]
    fn rounds() {
        #[derive(Default)]
        struct Wakes(AtomicUsize);
        impl Wake for Wakes {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (wakes, rounds) = (Arc::new(Wakes::default()), Arc::new(Rounds::default()));
        let waker = Waker::from(Arc::clone(&rounds));
        rounds.task.register(&Waker::from(Arc::clone(&wakes)));
        rounds.begin();
        waker.wake_by_ref();
        assert!(!rounds.end());
        rounds.begin();
        assert!(rounds.end());
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    }
}
