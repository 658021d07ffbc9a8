//! Where faults act: at a participant's stream, at its requests, and in front of the journal.

pub(crate) mod delay;
pub(crate) mod gate;
pub(crate) mod requests;
pub(crate) mod writer;
