use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use super::*;

const HEARTBEAT: Duration = Duration::from_secs(20);
const STALL: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

fn streams() -> OpenStreams {
    OpenStreams::new(HEARTBEAT, STALL)
}

fn slow_consumer() -> StreamEnd {
    StreamEnd::Rejected(Rejection::SlowConsumer { stall: STALL })
}

/// Each waiting stream is woken once, a few at a time, even if other streams have ended.
#[test]
fn streams_that_wait_are_woken_in_slices() {
    let (streams, wakes) = (streams(), Arc::new(Wakes::default()));
    let waker = Waker::from(Arc::clone(&wakes));
    let links: Vec<_> = (0..600).map(|_| streams.open(Sequence(0))).collect();
    let mut expected = 0;
    for (index, link) in links.iter().enumerate() {
        match index % 3 {
            0 => assert_eq!(link.end(StreamEnd::Left), StreamEnd::Left),
            1 => assert_eq!(link.wait(&Context::from_waker(&waker)), Idle::Waiting),
            _ => {}
        }
        expected += usize::from(index % 3 == 1);
    }
    let (mut next, mut slices) = (Some(0), 0);
    while let Some(from) = next {
        let before = wakes.0.load(Ordering::Relaxed);
        next = streams.wake_some(from, 16);
        assert!(wakes.0.load(Ordering::Relaxed) - before <= 16);
        slices += 1;
    }
    assert_eq!(wakes.take(), expected);
    assert!(slices >= expected / 16);
    assert_eq!((streams.wake_some(0, 600), wakes.take()), (Some(SLICE_STREAMS), 0), "each once");
}

/// T1: a transport that asks for more gets heartbeats and is never stalled; one that does not ask although there are
/// events for it is ended after the stall limit.
#[test]
fn heartbeats_and_stalls() {
    let (streams, wakes) = (streams(), Arc::new(Wakes::default()));
    let waker = Waker::from(Arc::clone(&wakes));
    let context = &Context::from_waker(&waker);
    let link = streams.open(Sequence(5));
    let start = Instant::now();
    let look = |head: u64, at: Duration| streams.look_after_some(0, Sequence(head), start + at);
    assert_eq!(link.wait(context), Idle::Waiting);
    look(6, STALL / 6);
    assert_eq!(wakes.take(), 0);
    look(6, 2 * STALL);
    assert_eq!((wakes.take(), link.wait(context)), (1, Idle::HeartbeatDue));
    assert_eq!(link.wait(context), Idle::Waiting, "one heartbeat");

    assert_eq!(link.hand_over(Sequence(6)), Ok(()));
    look(6, SECOND);
    look(6, SECOND + STALL);
    look(7, 2 * STALL);
    assert_eq!(link.wait(context), Idle::Waiting, "it asked in time");
    assert_eq!(link.hand_over(Sequence(7)), Ok(()));
    look(8, SECOND);
    look(8, STALL);
    assert_eq!(streams.take_ended(), []);
    look(8, SECOND + STALL);
    assert_eq!(streams.take_ended(), [(link.id(), slow_consumer())]);
    assert_eq!((link.hand_over(Sequence(8)), link.position()), (Err(slow_consumer()), Sequence(7)));
    assert_eq!(link.wait(context), Idle::Ended(slow_consumer()));
}

/// Even in a quiet conversation a stalled transport is noticed, since it does not ask for heartbeats.
#[test]
fn a_stall_without_news() {
    let streams = streams();
    let link = streams.open(Sequence(5));
    let start = Instant::now();
    for at in [HEARTBEAT / 2, HEARTBEAT + SECOND, STALL, HEARTBEAT + STALL] {
        streams.look_after_some(0, Sequence(5), start + at);
    }
    assert_eq!(streams.take_ended(), []);
    streams.look_after_some(0, Sequence(5), start + HEARTBEAT + STALL + SECOND);
    assert_eq!(streams.take_ended(), [(link.id(), slow_consumer())]);
}

/// A stream ends once; its task and those that wait for ends are notified.
#[tokio::test]
async fn the_first_end_counts() {
    let (streams, wakes) = (streams(), Arc::new(Wakes::default()));
    let waker = Waker::from(Arc::clone(&wakes));
    let link = streams.open(Sequence(0));
    assert_eq!(link.wait(&Context::from_waker(&waker)), Idle::Waiting);
    let replaced = StreamEnd::Rejected(Rejection::Replaced);
    assert_eq!(link.end(replaced.clone()), replaced);
    assert_eq!(wakes.take(), 1);
    streams.end_all(&Rejection::ShuttingDown);
    assert_eq!(link.end(StreamEnd::Disconnected), replaced);
    streams.wait_for_ends().await;
    assert_eq!(streams.take_ended(), [(link.id(), replaced)]);
    assert!(streams.0.open.lock().is_empty());
    let next = streams.open(Sequence(0));
    assert_ne!(next.id(), link.id());
    streams.end_all(&Rejection::ShuttingDown);
    let ended = StreamEnd::Rejected(Rejection::ShuttingDown);
    assert_eq!(streams.take_ended(), [(next.id(), ended)]);
}
