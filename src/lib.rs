//! Chit Chat: a chat service whose order of events can be seen and proved.
//!
//! Data flows one way, in each of the three programs that this crate contains:
//!
//! ```text
//! service:  wire → validated types → engine (the one writer): conversation → journal → feed → stream → wire
//! client:   wire → session → view; the user's actions go back as commands
//! logs:     records → causal model → verify | diagram
//! ```
//!
//! | module | what it is | and what it never does |
//! |---|---|---|
//! | [`chat`] | the domain: clock, values that are parsed once, the state machine | I/O, async, the machine's clock, generated types |
//! | [`wire`] | the boundary to the network: generated code, conversion, errors to status, events encoded once | decide anything |
//! | [`journal`] | the durable, ordered sequence of events; persist, then publish | know who listens |
//! | [`replica`] | several services that decide the order by one common log of commands | decide anything itself |
//! | [`server`] | engine, feed, streams, and the one port | hold a lock while it waits; keep a queue for a slow reader |
//! | [`client`] | a participant: the session, and the connection that resumes it | lose a message silently |
//! | [`lab`] | companions and scenarios for teaching | act in a service without a lab |
//! | [`load`] | load against a running service, with every delivery checked | spend more on a delivery than it must |
//! | [`trace`] | what the logs prove, and the diagram of them | I/O, async, the machine's clock |
//! | [`verification`] | reads log files for the checks in `trace` | judge them itself |
//! | [`log`], [`terminal`] | log records; what may reach a terminal | write a secret; write received text raw |
//! | [`cli`] | the command line: options → a library call | do anything that a test could not call |
//!
//! `docs/architecture.md` is the map of the code, and a table in `tests/it/contracts/layers.rs` states which module may
//! use which. Numbers such as S3, V5 or D12 in comments and tests are rules of `docs/specification.md`.
//!
//! Three rules hold everywhere: the journal's order is the order of events, no event is delivered before it is
//! recorded, and the result of a command depends on nothing but the commands before it.

// Some support code is shared with the integration tests, which know the crate by this name.
#[cfg(test)]
extern crate self as chitchat;

pub mod chat;
pub mod cli;
pub mod client;
pub mod journal;
pub(crate) mod lab;
pub mod load;
pub mod log;
pub(crate) mod replica;
pub mod server;
pub mod terminal;
pub mod trace;
pub(crate) mod verification;
pub mod wire;
