//! Connections: how many are open, where they come from, how fast they are read, and their encryption.
//!
//! Invariants:
//! - Every connection holds a permit, and counts for one address at most (specification, chapter 10).
//! - A client's address comes from the socket, or from a proxy that the operator trusts, and from nothing else (H11).
//! - A flood is read more slowly, and never queued.

pub mod accept;
pub mod connection_limits;
pub mod connection_task;
pub mod forwarded;
pub mod ingress;
pub mod origin;
pub mod proxy_protocol;
pub mod tls;
