//! Integration tests: real processes, real sockets, hand-made bytes. Every test is named by its outcome and
//! cites the rule of docs/specification.md that it checks (S3, V5 …). Each room says what its modules show.
//!
//! | room | what it shows |
//! |---|---|
//! | [`wire`] | the API, byte by byte, over connections made by hand |
//! | [`edge`] | connections and what an address may use, so that one caller leaves room for the others |
//! | [`http`] | requests before they are calls: routes, origins, the access secret, deadlines, the page's files |
//! | [`journal`] | the journal in a file: restarts, damage, full and failing disks |
//! | [`replicas`] | several services that are one, over three nats-servers |
//! | [`client`] | participants, as programs and by the client library |
//! | [`cli`] | the command line, as a person or a script uses it |
//! | [`logs`] | what the processes write down, and what `verify` and `diagram` make of it |
//! | [`lab`] | the lab: faults that a teacher sets by hand |
//! | [`contracts`] | what must agree: the state machine with a naive model, modules with their layers, the page with the service, documents with logs |
//! | [`support`] | servers, programs and a client that speaks bytes |
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a long test says how far it is")]

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
