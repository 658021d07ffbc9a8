//! Memory: what the service holds for an address, from the bytes of a request to the unread part of a response.
//!
//! Invariants:
//! - What is held is charged first; a request that exceeds its address's budget is refused, not queued.
//! - Every charge is an owned value, and dropping it refunds it.
//! - A response that is not read is reset, and refunded (specification, D4).

pub mod memory;
pub mod request_charge;
pub mod response_body;
pub mod watchdog;
