//! Bounded load against a running service: participants join, some publish, all read, and every delivery is checked.
//!
//! A reader has its own connection and task, as a real one would, and does as little as possible for a delivery: it
//! checks the sequence and the message id, and decodes one message in 64. So ten thousand readers fit beside the
//! service on two processors, and the service is what is measured.
//!
//! | file | what it is |
//! |---|---|
//! | `crowd` | the course of a run: all join, some publish, everybody leaves |
//! | [`run`](mod@run) | what all tasks share: the plan, the messages, latencies |
//! | `participant` | joins, publishes, leaves |
//! | `publisher_thread` | keeps publishers from waiting behind readers |
//! | [`reader`] | the task of a connection |
//! | [`connection`] | gRPC over HTTP/2 |
//! | [`scan`], [`check`] | fields of a frame without decoding it; order and content of what arrived |
//! | [`process`] | the service's processor time and memory |
//! | [`summary`], [`error`] | the results, or why the run failed |

pub(crate) mod check;
pub(crate) mod connection;
mod crowd;
pub(crate) mod error;
mod participant;
pub mod process;
pub(crate) mod reader;
pub(crate) mod run;
pub(crate) mod scan;
pub mod summary;

use std::sync::Arc;
use std::time::Duration;

use connection::Service;
use crowd::Crowd;
use error::{CallFailure, LoadError};
use process::WatchedProcess;
use run::Run;
use summary::Summary;

/// The plan of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many join, each on a connection of its own.
    pub participants: usize,
    /// How many of them publish: the first ones.
    pub publishers: usize,
    /// How many publishes each publisher has in flight at a time.
    pub in_flight: usize,
    /// How many messages are published in all.
    pub messages: u64,
    /// The interval between two publishes of all publishers together; without it, they publish as soon as there is
    /// room.
    pub interval: Option<Duration>,
    /// How many characters a message has: 1 to 128.
    pub text_characters: usize,
    /// How many join at a time.
    pub joins_in_parallel: usize,
    /// Whether participants keep their streams. Without them nothing is delivered, and only publishing is measured.
    pub streams: bool,
    /// How long to wait between the last join and the first publish, so that memory settles.
    pub settle: Duration,
    /// The process of the service, if it is to be watched.
    pub server: Option<WatchedProcess>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            participants: 10,
            publishers: 1,
            in_flight: 1,
            messages: 50,
            interval: None,
            text_characters: 64,
            joins_in_parallel: 64,
            streams: true,
            settle: Duration::ZERO,
            server: None,
        }
    }
}

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// How many participants have joined.
    Joining,
    /// How many deliveries have been made.
    Delivering,
    /// How many participants have left.
    Leaving,
}

/// Called with the phase, how much of it is done, and how much there is.
pub type Progress<'a> = &'a mut (dyn FnMut(Phase, u64, u64) + Send);

/// The results of a run.
#[derive(Debug)]
pub struct Measured {
    /// The figures.
    pub summary: Summary,
    /// Why the first stream that ended too early did so.
    pub first_end: Option<Arc<CallFailure>>,
}

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The results, or why the run failed. Wrong deliveries are not an error: the [`Summary`] counts them.
    pub measured: Result<Measured, LoadError>,
    /// Why the first participant that failed to leave did so. It leaves when the grace period is over.
    pub first_failed_leave: Option<CallFailure>,
}

/// Performs a run, and reports to `progress`. All participants leave, even if the run fails. `id` distinguishes the run
/// from others at the same service.
pub async fn run(plan: Plan, service: Service, id: u32, progress: Progress<'_>) -> Outcome {
    let mut crowd = Crowd::new(Run::new(plan, id), service);
    let measured = crowd.measure(progress).await;
    let first_failed_leave = crowd.leave(progress).await;
    Outcome { measured, first_failed_leave }
}
