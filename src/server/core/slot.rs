//! What lies between a stream's task and its connection: one batch of frames, and in the end the reason why there
//! are no more.
//!
//! A channel would do, but its batch could be dropped by the receiving side alone. The connection looks into the
//! slot only when its peer takes something; here the task can empty it for a peer that takes nothing.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};

use crate::wire::{Frame, Rejection};

/// The most bytes that several frames are joined to.
const CHUNK_BYTES_MAX: usize = 16 * 1024;

/// The task's side.
#[derive(Debug)]
pub struct Sender(Arc<Mutex<Slot>>);

/// The connection's side.
#[derive(Debug)]
pub struct Delivery(Arc<Mutex<Slot>>);

/// The connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionClosed;

#[derive(Debug, Default)]
struct Slot {
    frames: VecDeque<Frame>,
    end: Option<Result<(), Rejection>>,
    closed: bool,
    sender: Option<Waker>,
    receiver: Option<Waker>,
}

pub fn new() -> (Sender, Delivery) {
    let slot = Arc::default();
    (Sender(Arc::clone(&slot)), Delivery(slot))
}

impl Sender {
    /// Waits until the slot is empty, and puts a batch into it.
    ///
    /// # Errors
    /// [`ConnectionClosed`].
    pub async fn send(&self, frames: Vec<Frame>) -> Result<(), ConnectionClosed> {
        poll_fn(|cx| {
            let mut slot = self.0.lock();
            if slot.frames.is_empty() || slot.closed {
                return Poll::Ready(());
            }
            slot.sender = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        let mut slot = self.0.lock();
        if slot.closed {
            return Err(ConnectionClosed);
        }
        slot.frames = frames.into();
        wake(slot, |slot| &mut slot.receiver);
        Ok(())
    }

    /// Waits until the connection is gone. To be awaited by the task that sends, since the slot wakes one task only.
    pub fn closed(&self) -> impl Future<Output = ()> + use<> {
        let slot = self.0.clone();
        poll_fn(move |cx| {
            let mut slot = slot.lock();
            if slot.closed {
                return Poll::Ready(());
            }
            slot.sender = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    /// There is no more to come: Ok where the participant has left. A stream that was replaced, that the lab broke, or
    /// whose connection takes nothing, does not deliver the rest: its client resumes after what it has.
    pub fn end(self, end: Result<(), Rejection>) {
        let mut slot = self.0.lock();
        if matches!(end, Err(Rejection::Replaced | Rejection::LabDisconnected | Rejection::SlowConsumer { .. })) {
            slot.frames = VecDeque::new();
        }
        slot.end = Some(end);
        // Dropping the sender wakes the receiver.
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut slot = self.0.lock();
        // A task that did not come to its end was cut off with the service.
        slot.end.get_or_insert(Err(Rejection::ShuttingDown));
        wake(slot, |slot| &mut slot.receiver);
    }
}

impl Delivery {
    /// The next bytes: a frame's own, or those of several small frames that are there already. An error is the end.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Result<(), Rejection>>> {
        let mut slot = self.0.lock();
        if let Some(chunk) = next_chunk(&mut slot.frames) {
            if slot.frames.is_empty() {
                slot.frames = VecDeque::new();
                wake(slot, |slot| &mut slot.sender);
            }
            return Poll::Ready(Ok(chunk));
        }
        if let Some(end) = slot.end.clone() {
            return Poll::Ready(Err(end));
        }
        slot.receiver = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let mut slot = self.0.lock();
        slot.closed = true;
        slot.frames = VecDeque::new();
        wake(slot, |slot| &mut slot.sender);
    }
}

fn next_chunk(frames: &mut VecDeque<Frame>) -> Option<Bytes> {
    let first = frames.pop_front()?;
    let mut size = first.size();
    let fits = |frame: &&Frame| {
        size += frame.size();
        size <= CHUNK_BYTES_MAX
    };
    let more = frames.iter().take_while(fits).count();
    if more == 0 {
        return Some(first.into());
    }
    let mut chunk = BytesMut::with_capacity(first.size() + frames.range(..more).map(Frame::size).sum::<usize>());
    for frame in std::iter::once(first).chain(frames.drain(..more)) {
        chunk.extend_from_slice(&Bytes::from(frame));
    }
    Some(chunk.freeze())
}

/// Wakes a side once the slot is unlocked.
fn wake(mut slot: MutexGuard<'_, Slot>, side: impl FnOnce(&mut Slot) -> &mut Option<Waker>) {
    let waker = side(&mut slot).take();
    drop(slot);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use super::*;
    use crate::chat::{ParticipantId, Sequence};

    fn beats(numbers: std::ops::Range<u64>) -> Vec<Frame> {
        numbers.map(|number| Frame::heartbeat(Sequence(number))).collect()
    }

    fn joined(frames: Vec<Frame>) -> Vec<u8> {
        frames.into_iter().flat_map(Bytes::from).collect()
    }

    fn poll(delivery: &mut Delivery) -> Poll<Result<Bytes, Result<(), Rejection>>> {
        delivery.poll_chunk(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn a_frame_alone_is_shared_and_small_frames_are_joined_to_chunks_of_bounded_size() {
        let (sender, mut delivery) = new();
        let frame = Frame::presence(ParticipantId(Sequence(1)), true);
        sender.send(vec![frame.clone()]).await.unwrap();
        let Poll::Ready(Ok(chunk)) = poll(&mut delivery) else { panic!("a frame is there") };
        assert_eq!(chunk.as_ptr(), Bytes::from(frame).as_ptr(), "not a copy");

        let frames = beats(1 << 40..(1 << 40) + 5000);
        sender.send(frames.clone()).await.unwrap();
        let mut received = Vec::new();
        while let Poll::Ready(Ok(chunk)) = poll(&mut delivery) {
            assert!(chunk.len() <= CHUNK_BYTES_MAX);
            received.push(chunk);
        }
        assert_eq!(received.concat(), joined(frames.clone()));
        assert_eq!(received.len(), joined(frames).len().div_ceil(CHUNK_BYTES_MAX));
    }

    #[tokio::test]
    async fn what_is_in_the_slot_is_delivered_before_the_end_unless_the_stream_was_replaced_or_is_stuck() {
        let stall = std::time::Duration::from_secs(1);
        for (end, delivered) in [
            (Ok(()), true),
            (Err(Rejection::ShuttingDown), true),
            (Err(Rejection::Replaced), false),
            (Err(Rejection::SlowConsumer { stall }), false),
        ] {
            let (sender, mut delivery) = new();
            sender.send(beats(1..3)).await.unwrap();
            sender.end(end.clone());
            // Not polled yet.
            assert_eq!(delivery.0.lock().frames.len(), if delivered { 2 } else { 0 }, "{end:?}");
            if delivered {
                assert_eq!(poll(&mut delivery), Poll::Ready(Ok(joined(beats(1..3)).into())), "{end:?}");
            }
            assert_eq!(poll(&mut delivery), Poll::Ready(Err(end)));
        }
    }

    #[tokio::test]
    async fn a_task_that_is_cut_off_ends_the_stream_and_a_connection_that_is_gone_the_task() {
        let (sender, mut delivery) = new();
        drop(sender);
        assert_eq!(poll(&mut delivery), Poll::Ready(Err(Err(Rejection::ShuttingDown))));

        let (sender, delivery) = new();
        sender.send(beats(1..2)).await.unwrap();
        let second = async { tokio::join!(sender.send(beats(2..3)), sender.closed()).0 };
        let (second, ()) = tokio::join!(second, async { drop(delivery) });
        assert_eq!(second, Err(ConnectionClosed));
    }
}
