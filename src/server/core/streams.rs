//! The streams of participants, from the position that each has in the feed to the body that its connection polls.

pub mod deliveries;
pub mod fan_out;
pub mod join_body;
pub mod open_streams;
pub mod stream;
