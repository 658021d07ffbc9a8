use std::task::Waker;
use std::time::SystemTime;

use super::*;
use crate::chat::{Command, Decision, DisplayName, LogicalTime, MessageText, SessionKey};
use crate::journal::{Chain, Committed, Journal as _, MemoryJournal};
use crate::server::core::feed::{BATCH_BYTES_MAX, Feed};

/// The output of a stream: bytes, or its end.
type Polled = Poll<Result<Bytes, Result<(), Rejection>>>;

/// A conversation without a service, and what its streams need.
pub(in crate::server::core) struct Rig {
    conversation: Conversation,
    feed: Feed,
    pub(in crate::server::core) context: Arc<StreamContext>,
    published: Vec<Frame>,
}

impl Rig {
    /// Alice, p1, has joined.
    pub(in crate::server::core) fn new() -> Self {
        let feed = Feed::new(Conversation::new());
        let (heartbeat, stall) = (Duration::from_secs(60), Duration::from_secs(60));
        let context = Arc::new(StreamContext {
            reader: feed.reader(),
            streams: OpenStreams::new(heartbeat, stall),
            history: MemoryJournal::new(Epoch::new("e")).history(),
            epoch: Epoch::new("e"),
            heartbeat,
            server: ServerContext::unlimited(),
            lab: None,
        });
        let mut rig = Self { conversation: Conversation::new(), feed, context, published: Vec::new() };
        let display_name = DisplayName::parse("alice").unwrap();
        rig.publish(Command::Join { display_name, session: SessionKey([1; 32]), sent: LogicalTime(0) });
        rig
    }

    /// Publishes the event that a command leads to, and returns its frame.
    fn publish(&mut self, command: Command) -> Frame {
        let Ok(Decision::Happened(event)) = self.conversation.apply(command, SystemTime::UNIX_EPOCH) else {
            panic!("the command was not accepted")
        };
        let event = JournalEvent { event: Arc::new(event), chain: Chain::of(&Epoch::new("e")) };
        self.published.push(Frame::event(&event));
        self.feed.publish(&Committed::assume_committed(vec![event]), self.conversation.clone());
        self.published[self.published.len() - 1].clone()
    }

    pub(in crate::server::core) fn message(&mut self, text: &str) -> Frame {
        let (session, text) = (SessionKey([1; 32]), MessageText::parse(text.to_owned()).unwrap());
        let (seen, sent) = (Sequence(0), LogicalTime(0));
        self.publish(Command::Publish { session, text, message_id: None, seen, sent, sent_at: None })
    }

    fn leave(&mut self) -> Frame {
        self.publish(Command::Leave { session: SessionKey([1; 32]), sent: LogicalTime(0) })
    }

    /// Alice's stream from the start, and its Welcome.
    pub(in crate::server::core) fn stream(&self) -> (Stream, Frame) {
        let (token, conversation) = (Arc::from("token"), self.conversation.clone());
        let link = self.context.streams.open(Sequence(0));
        let seed = WelcomeSeed { token, resumed: false, conversation };
        let stream = Stream::new(Arc::clone(&self.context), link, ParticipantId(Sequence(1)), seed);
        let seed =
            WelcomeSeed { token: Arc::from("token"), resumed: false, conversation: self.conversation.clone() };
        let welcome = stream.welcome_frame(&seed);
        (stream, welcome)
    }

    fn ends(&self) -> Vec<StreamEnd> {
        self.context.streams.take_ended().into_iter().map(|(_, end)| end).collect()
    }
}

fn poll(stream: &mut Stream) -> Polled {
    stream.poll_chunk(&mut Context::from_waker(Waker::noop()))
}

fn bytes(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.as_bytes().to_vec()).collect()
}

#[track_caller]
fn check(stream: &mut Stream, frames: &[Frame]) {
    let Poll::Ready(Ok(chunk)) = poll(stream) else { panic!("there is more") };
    assert_eq!(chunk[..], bytes(frames));
}

/// A1: the Welcome, everything that has happened, CaughtUp, and then live events, without a copy if there is only one.
#[test]
fn from_the_welcome_to_the_first_message() {
    let mut rig = Rig::new();
    let (mut stream, welcome) = rig.stream();
    check(&mut stream, &[welcome]);
    check(&mut stream, &[rig.published[0].clone(), Frame::caught_up(Sequence(1))]);
    assert_eq!(stream.link.position(), Sequence(1));
    assert!(poll(&mut stream).is_pending());
    let (mut other, _) = rig.stream();
    while poll(&mut other).is_ready() {}
    let message = rig.message("hello");
    let chunks = [&mut stream, &mut other].map(|stream| match poll(stream) {
        Poll::Ready(Ok(chunk)) => chunk,
        _ => panic!("there is a message"),
    });
    assert_eq!(chunks[0][..], *message.as_bytes());
    assert_eq!(chunks[0].as_ptr(), chunks[1].as_ptr(), "not a copy");
    let several = [rig.message("1"), rig.message("2"), rig.message("3")];
    check(&mut stream, &several);
    assert!(poll(&mut stream).is_pending());
    assert_eq!(stream.link.position(), Sequence(5));
}

/// D4: any number of events is taken in pieces of bounded size, and only on demand.
#[test]
fn a_stream_that_is_behind_takes_bounded_pieces() {
    let mut rig = Rig::new();
    let (mut stream, welcome) = rig.stream();
    check(&mut stream, &[welcome]);
    let messages: Vec<_> = (0..1000).map(|_| rig.message(&"x".repeat(128))).collect();
    rig.feed.publish_presence([(ParticipantId(Sequence(1)), false)]);
    let mut received = Vec::new();
    while let Poll::Ready(Ok(chunk)) = poll(&mut stream) {
        assert!(chunk.len() <= BATCH_BYTES_MAX + Frame::caught_up(Sequence(1)).size(), "{}", chunk.len());
        received.push(chunk);
    }
    let all = [&[rig.published[0].clone(), Frame::caught_up(Sequence(1))], &messages[..]].concat();
    assert_eq!(received.concat(), bytes(&all), "and no presence of its own");
    assert!(received.len() <= bytes(&all).len() / (BATCH_BYTES_MAX / 2));
}

/// A participant's own Left ends its stream, after everything before it.
#[test]
fn its_own_left_ends_a_stream() {
    let mut rig = Rig::new();
    let (mut stream, welcome) = rig.stream();
    check(&mut stream, &[welcome]);
    let message = rig.message("bye");
    rig.leave();
    check(&mut stream, &[rig.published[0].clone(), Frame::caught_up(Sequence(1)), message]);
    assert_eq!(poll(&mut stream), Poll::Ready(Err(Ok(()))));
    assert_eq!((rig.ends(), stream.link.position()), (vec![StreamEnd::Left], Sequence(2)));
}

/// A stream that was ended hands over nothing more, and states the first reason.
#[test]
fn the_end_of_a_stream() {
    let mut rig = Rig::new();
    let (mut stream, welcome) = rig.stream();
    check(&mut stream, &[welcome]);
    rig.message("not delivered");
    let replaced = StreamEnd::Rejected(Rejection::Replaced);
    stream.link.end(replaced.clone());
    assert_eq!(poll(&mut stream), Poll::Ready(Err(Err(Rejection::Replaced))));
    assert_eq!(stream.link.position(), Sequence(0));
    drop(stream);
    assert_eq!(rig.ends(), [replaced]);

    drop(rig.stream());
    assert_eq!(rig.ends(), [StreamEnd::Disconnected], "its connection is gone");
}

/// An event that the journal should have but lacks ends the stream: there is no silent gap.
#[test]
fn events_that_are_missing_end_the_stream() {
    let mut rig = Rig::new();
    let (mut stream, welcome) = rig.stream();
    check(&mut stream, &[welcome]);
    // The feed's window moves on, but nothing was written to the journal.
    (0..crate::server::core::feed::FEED_WINDOW).for_each(|_| drop(rig.message("x")));
    assert_eq!(poll(&mut stream), Poll::Ready(Err(Err(Rejection::JournalUnavailable))));
    assert_eq!(rig.ends(), [StreamEnd::Rejected(Rejection::JournalUnavailable)]);
}
