//! Integration tests: real processes, real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod connections;
mod crowd;
mod interruptions;
mod logs;
mod processes;
mod recovery;
mod shutdown;
mod support;
mod terminal;
mod usage;
mod wire_join;
mod wire_publish;
mod wire_stream;
