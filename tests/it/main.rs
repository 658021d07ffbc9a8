//! Integration tests: real processes, real sockets, hand-made bytes. Every test is named by its outcome and
//! cites the rule of the design that it checks (S3, V5 …).
//!
//! | module | what it shows |
//! |---|---|
//! | [`conversation`] | random commands against the rules of the state machine and a naive model |
//! | [`recovery`] | a journal that fails for now or for good; a restart on the same journal |
//! | [`journal`] | the journal in a file: restarts, damage, full and failing disks |
//! | [`processes`] | one service and its clients fed from pipes: joins, messages, leaves |
//! | [`interruptions`] | clients killed, frozen, cut off; a service with another journal |
//! | [`state`] | clients that are killed and started again go on as the same participant |
//! | [`shutdown`] | the drain, and that it is bounded |
//! | [`crowd`] | twenty at once have one transcript; the client library |
//! | [`terminal`] | nothing reaches a terminal raw; `--json` |
//! | [`logs`] | the records of all processes, and no secret in them |
//! | [`usage`] | the command line, its refusals and exit codes |
//! | [`wire_join`] | Join and resume, byte by byte |
//! | [`wire_publish`] | Publish, Leave and ListEvents, byte by byte |
//! | [`wire_stream`] | heartbeats, slow readers, the end of a stream |
//! | [`rates`] | how fast one may publish and join |
//! | [`connections`] | connections that say nothing or something else |
//! | [`support`] | servers, programs and a client that speaks bytes |
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod connections;
mod conversation;
mod crowd;
mod interruptions;
mod journal;
mod journal_support;
mod logs;
mod processes;
mod rates;
mod recovery;
mod shutdown;
mod state;
mod support;
mod terminal;
mod usage;
mod wire_join;
mod wire_publish;
mod wire_stream;
