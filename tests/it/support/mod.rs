//! What the tests stand on: servers, programs, and a client that speaks bytes.
//!
//! Nothing here sleeps and nothing has a fixed port. Whatever waits, waits for a condition, and [`DEADLINE`]
//! is there only to turn a hang into a failure. Whatever is started is stopped when its handle is dropped.

mod durable;
mod figures;
mod http1;
mod impostor;
mod journal;
mod logs;
mod nats;
mod participant;
mod program;
mod proxy;
mod server;
mod source;
mod tls;
mod transcript;
mod web;
mod wire;

use std::time::Duration;

pub use durable::DurableServer;
pub use figures::Figures;
pub use http1::{Answer, Http1};
pub use impostor::{Call, Impostor, put, trailers};
pub use journal::{Fault, FaultyJournal};
pub use logs::{Record, records, wait_for_record};
pub use nats::{Nats, nats_server};
pub use participant::Participant;
pub use program::{Client, Ended, Program, ServerProgram, check_logs};
pub use proxy::{Held, Proxy};
pub use server::Server;
pub use source::{Path, paths};
pub use tls::{KeyPair, connect_tls};
pub use transcript::check_transcript;
pub use web::{BINARY, Part, TEXT, Web, WebAnswer};
pub use wire::{Frames, Window, Wire, frame, refused};

/// How long a test waits for what must come. Generous, for a busy machine; no passing test takes it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for what must come.
#[track_caller]
pub fn soon<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(DEADLINE, future).await {
            Ok(output) => output,
            Err(_) => panic!("nothing came in time at {caller}"),
        }
    }
}
