//! The live conversation: the engine decides and records, the feed keeps what was committed, and each participant's
//! stream reads the feed.
//!
//! A stream has no task: the connection polls its body in [`streams`], and one task wakes the streams that wait for
//! events.
//!
//! Invariants:
//! - The [`engine`] alone changes the conversation and appends to the journal; in a replica, [`replicated`] takes its
//!   place.
//! - Nothing is delivered or acknowledged before it is in the journal (specification, D1 and J5).
//! - A stream is a position in the feed, not a queue, so no reader delays another (T1, D4).
//! - Nothing here depends on a route, a header or a socket.

pub mod attachments;
pub mod broadcast;
pub mod engine;
pub mod feed;
pub mod presence;
pub mod replicated;
pub mod requests;
pub mod shares;
pub mod streams;
pub mod token;
