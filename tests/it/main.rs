//! Integration tests: real processes, real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod processes;
mod support;
mod wire_publish;
