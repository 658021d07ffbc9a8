//! The task that wakes all streams when there is news, and checks those that are quiet or stuck.
//!
//! The streams are woken in slices. If all were woken at once, a publisher would wait in the run queue behind a
//! thousand of them. With slices it is served in between, and streams that are woken later find several events at once.

use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::open_streams::OpenStreams;
use crate::server::core::feed::{Feed, FeedReader};
use crate::wire::Rejection;

/// How many streams are woken before other tasks have their turn.
const SLICE_WAKES: usize = 16;

/// Wakes and ends streams.
#[derive(Debug)]
pub struct FanOut {
    changes: watch::Receiver<()>,
    reader: FeedReader,
    streams: OpenStreams,
    stopping: CancellationToken,
}

impl FanOut {
    /// A fan-out for the streams that read a feed. They end with SHUTTING_DOWN when `stopping` is cancelled.
    pub fn new(feed: &Feed, streams: OpenStreams, stopping: CancellationToken) -> Self {
        Self { changes: feed.changes(), reader: feed.reader(), streams, stopping }
    }

    /// Runs until the feed is closed.
    pub async fn run(mut self) {
        let mut sweeps = interval(self.streams.sweep_interval());
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut has_stopped = false;
        loop {
            // Without streams, publishing does not wake this task.
            let has_streams = self.streams.has_any();
            tokio::select! {
                changed = self.changes.changed(), if has_streams => match changed {
                    Ok(()) => self.wake().await,
                    Err(_) => break,
                },
                () = self.streams.wait_for_one(), if !has_streams => {}
                _ = sweeps.tick() => {
                    if self.changes.has_changed().is_err() {
                        break;
                    }
                    self.look_after().await;
                }
                () = self.stopping.cancelled(), if !has_stopped => {
                    has_stopped = true;
                    self.streams.end_all(&Rejection::ShuttingDown);
                }
            }
        }
        self.streams.end_all(&Rejection::ShuttingDown);
    }

    async fn wake(&self) {
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.streams.wake_some(from, SLICE_WAKES);
            // A few streams fit into one slice, so there is no need to yield.
            if from > 0 || next.is_some() {
                yield_now().await;
            }
        }
    }

    async fn look_after(&self) {
        let (head, mut next) = (self.reader.head(), Some(0));
        while let Some(from) = next {
            next = self.streams.look_after_some(from, head, Instant::now());
            yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::chat::{Conversation, ParticipantId, Sequence};
    use crate::journal::Committed;
    use crate::server::core::streams::open_streams::{Idle, StreamEnd};

    /// An event that is published while there are no streams wakes nothing; the next one wakes the first stream.
    #[tokio::test]
    async fn the_first_stream_is_woken() {
        let (feed, stopping) = (Feed::new(Conversation::new()), CancellationToken::new());
        let streams = OpenStreams::new(Duration::MAX / 2, Duration::MAX / 2);
        let fan_out = tokio::spawn(FanOut::new(&feed, streams.clone(), stopping).run());
        let publish = || feed.publish(&Committed::assume_committed(Vec::new()), Conversation::new());
        yield_now().await;
        publish();
        yield_now().await;
        let (link, mut polls) = (streams.open(Sequence(0)), 0);
        let stream = tokio::spawn(std::future::poll_fn(move |context| {
            polls += 1;
            assert_eq!(link.wait(context), Idle::Waiting);
            if polls == 1 { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
        }));
        yield_now().await;
        publish();
        stream.await.unwrap();
        fan_out.abort();
    }

    #[tokio::test]
    async fn it_ends_with_the_feed_even_without_streams() {
        let feed = Feed::new(Conversation::new());
        let streams = OpenStreams::new(Duration::from_millis(1), Duration::MAX / 2);
        let fan_out = tokio::spawn(FanOut::new(&feed, streams, CancellationToken::new()).run());
        drop(feed);
        fan_out.await.unwrap();
    }

    /// Heartbeats are sent even if nothing happens, and every stream ends when the service stops or its feed is closed.
    #[tokio::test]
    async fn heartbeats_and_the_end() {
        for stops in [true, false] {
            let (feed, stopping) = (Feed::new(Conversation::new()), CancellationToken::new());
            let streams = OpenStreams::new(Duration::from_millis(1), Duration::MAX / 2);
            let fan_out = tokio::spawn(FanOut::new(&feed, streams.clone(), stopping.clone()).run());
            let links: Vec<_> = (0..300).map(|_| streams.open(Sequence(0))).collect();
            let idle = |index: usize| {
                let link = links[index].clone();
                std::future::poll_fn(move |context| match link.wait(context) {
                    Idle::Waiting => std::task::Poll::Pending,
                    other => std::task::Poll::Ready(other),
                })
            };
            assert_eq!((idle(0).await, idle(299).await), (Idle::HeartbeatDue, Idle::HeartbeatDue));
            if stops {
                stopping.cancel();
            } else {
                feed.publish_presence([(ParticipantId(Sequence(1)), false)]);
                drop(feed);
            }
            let ended = Idle::Ended(StreamEnd::Rejected(Rejection::ShuttingDown));
            for link in 0..300 {
                while idle(link).await != ended {}
            }
            assert_eq!(streams.take_ended().len(), 300);
            if !stops {
                fan_out.await.unwrap();
            }
        }
    }
}
