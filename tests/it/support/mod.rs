//! What the tests are built on: servers, programs, and a client that sends raw bytes.
//!
//! Nothing here sleeps or has a fixed port. Every wait is for a condition, and [`DEADLINE`] only turns a hang into a
//! failure. Dropping a handle stops what it started.

mod callers;
mod figures;
mod logs;
mod program;
mod proxy;
mod services;
mod source;
mod transcript;

use std::time::Duration;

pub use callers::{
    Answer, BINARY, Frames, Http1, KeyPair, Part, Participant, TEXT, Web, WebAnswer, Window, Wire, connect_tls,
    frame, refused,
};
pub use figures::Figures;
pub use logs::{Record, records, wait_for_record};
pub use program::{Client, Ended, Program, ServerProgram, check_logs};
pub use proxy::{Held, Proxy};
pub use services::{
    Call, DurableServer, Fault, FaultyJournal, Impostor, Nats, Server, nats_server, put, trailers,
};
pub use source::{Path, paths};
pub use transcript::check_transcript;

/// How long a test waits for something that must happen. Generous, for a busy machine; no passing test takes this long.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for something that must happen.
#[track_caller]
pub fn soon<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(DEADLINE, future).await {
            Ok(output) => output,
            Err(_) => panic!("timed out at {caller}"),
        }
    }
}
