//! Integration tests: real processes, real sockets, hand-made bytes. Every test is named by its outcome and
//! cites the rule of the design that it checks (S3, V5 …).
//!
//! | module | what it shows |
//! |---|---|
//! | [`conversation`] | random commands against the rules of the state machine and a naive model |
//! | [`recovery`] | a journal that fails for now or for good; a restart on the same journal |
//! | [`processes`] | one service and its clients fed from pipes: joins, messages, leaves |
//! | [`interruptions`] | clients killed, frozen, cut off; a service with another journal |
//! | [`shutdown`] | the drain, and that it is bounded |
//! | [`crowd`] | twenty at once have one transcript; the client library |
//! | [`terminal`] | nothing reaches a terminal raw; `--json` |
//! | [`diagram`] | pictures of real runs, and text for other tools |
//! | [`logs`] | the records of all processes, and no secret in them |
//! | [`usage`] | the command line, its refusals and exit codes |
//! | [`verify`] | the rules over the logs of real runs, and every mistake caught (V1 to V14) |
//! | [`wire_join`] | Join and resume, byte by byte |
//! | [`wire_publish`] | Publish, Leave and ListEvents, byte by byte |
//! | [`wire_stream`] | heartbeats, slow readers, the end of a stream |
//! | [`connections`] | connections that say nothing or something else |
//! | [`support`] | servers, programs and a client that speaks bytes |
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod connections;
mod conversation;
mod crowd;
mod diagram;
mod interruptions;
mod logs;
mod processes;
mod recovery;
mod shutdown;
mod support;
mod terminal;
mod usage;
mod verify;
mod wire_join;
mod wire_publish;
mod wire_stream;
