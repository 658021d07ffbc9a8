//! Chit Chat: a chat service whose order of events can be seen and proved.
//!
//! Data flows one way, in each of the three programs that this crate is:
//!
//! ```text
//! service:  wire → validated types → engine (the one writer): conversation → journal → feed → stream → wire
//! client:   wire → session → view; what the user wants goes back as a command
//! logs:     records → causal model → verify | diagram
//! ```
//!
//! | module | what it is | and what it never does |
//! |---|---|---|
//! | [`chat`] | the domain: clock, values that are parsed once, the state machine | I/O, async, the machine's clock, generated types |
//! | [`wire`] | the boundary to the network: generated code, conversion, errors to status, events encoded once | decide anything |
//! | [`journal`] | the durable, ordered sequence of events; persist, then publish | know who listens |
//! | [`replica`] | several services that decide by one log of commands | decide anything itself |
//! | [`server`] | engine, feed, streams, and the one port | hold a lock while it waits; keep a queue for a slow reader |
//! | [`client`] | a participant: the connection with resume, the session | lose a message without saying so |
//! | [`lab`] | companions and scenarios, in a lab | anything in a service without one |
//! | [`load`] | load against a running service, with every delivery checked | more for a delivery than it must |
//! | [`trace`] | what the logs prove, and their picture | I/O, async, the machine's clock |
//! | [`verification`] | logs in files, read for the verdict | judge them itself |
//! | [`log`], [`terminal`] | log records; what may reach a terminal | write a secret; write received text raw |
//! | [`cli`] | the command line: options → a call of the library | anything that a test could not call |
//!
//! Which module may use which is a table in `tests/it/contracts/layers.rs`; `docs/architecture.md` is the map of the code.
//! Numbers such as S3, V5 or D12 in comments and tests are rules of `docs/specification.md`.
//!
//! Throughout: events have one order, which is that of the journal. No event is delivered before it is recorded. The
//! result of a command depends on nothing but the commands before it.

// As the support of the integration tests names it.
#[cfg(test)]
extern crate self as chitchat;

pub mod chat;
pub mod cli;
pub mod client;
pub mod journal;
pub(crate) mod lab;
pub mod load;
pub mod log;
pub mod replica;
pub mod server;
pub mod terminal;
pub mod trace;
pub(crate) mod verification;
pub mod wire;
