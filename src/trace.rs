//! What the logs prove: log records → causal model → verify | diagram.
//!
//! Pure: no I/O, no async, no system clock. The caller reads the lines, those of the service's logs first (otherwise
//! [`verify::Checker`] fails), and fetches the lines that a verdict points at.

pub(crate) mod diagram;
pub mod gallery;
pub(crate) mod model;
pub mod proof;
pub mod published;
pub mod record;
pub mod report;
mod shared;
pub mod unchecked;
pub mod verify;
