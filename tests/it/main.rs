//! Integration tests: real processes, real sockets, hand-made bytes. Every test is named after its outcome and
//! cites the rule of docs/specification.md that it checks (S3, V5 …). Each folder lists what its modules show.
//!
//! | folder | what it shows |
//! |---|---|
//! | [`wire`] | the API, byte by byte, over hand-made connections |
//! | [`edge`] | limits on connections and on what one address may use, so that one caller leaves room for the others |
//! | [`http`] | the HTTP layer below the calls: routes, origins, the access secret, deadlines, the page's files |
//! | [`journal`] | the journal in a file: restarts, damage, full and failing disks |
//! | [`replicas`] | several processes that serve one conversation, over three nats-servers |
//! | [`client`] | participants, as programs and through the client library |
//! | [`cli`] | the command line, as a person or a script uses it |
//! | [`logs`] | what the processes log, and what `verify` and `diagram` make of it |
//! | [`lab`] | the lab: faults that a teacher sets by hand |
//! | [`contracts`] | what must agree: the state machine with a naive model, modules with their layers, the page with the service, documents with logs |
//! | [`support`] | servers, programs and a client that sends raw bytes |
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a long test prints its progress")]

mod cli;
mod client;
mod contracts;
mod edge;
mod http;
mod journal;
mod lab;
mod logs;
mod replicas;
mod support;
mod wire;
