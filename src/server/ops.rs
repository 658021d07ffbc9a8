//! Operations: metrics, readiness, rate limits, the records of refusals, and the [`context`] that shares them.
//!
//! Invariants:
//! - A metric's labels have few values: never one for each participant or address.
//! - State that is kept for each address or participant is bounded, and dropped when it is idle.
//! - Every refusal is counted; its log record is rate-limited (specification, G10).

pub mod commits;
pub mod context;
pub mod journal_check;
pub mod limiter;
pub mod metrics;
pub mod rates;
pub mod readiness;
pub mod refusals;
