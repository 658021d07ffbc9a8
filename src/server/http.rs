//! Requests: the routes of the one port, the checks that every request passes, and the page.
//!
//! Invariants:
//! - Host and Origin are checked before any handler runs, on every route (specification, H3 and H4).
//! - With an access secret, only the page and the health checks work without it (A12).
//! - Every request has a deadline, and no response holds up a shutdown.

pub mod body;
pub mod calls;
pub mod drain;
pub mod entrance;
pub mod guard;
pub mod headers;
pub mod page;
pub mod proof;
pub mod router;
pub mod secret;
