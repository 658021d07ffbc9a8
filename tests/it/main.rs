//! Integration tests: real processes, real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod journal;
mod journal_support;
