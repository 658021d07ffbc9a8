//! Integration tests: real processes, real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod connections;
mod interruptions;
mod processes;
mod recovery;
mod shutdown;
mod support;
mod wire_join;
mod wire_publish;
mod wire_stream;
