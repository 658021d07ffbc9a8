//! The lab: faults that a teacher sets by hand, for each participant and for a limited time. Only `chitchat lab` has it.
//!
//! Faults act at a participant's stream ([`gate`]), at its requests ([`requests`], which wait in [`queues`]) and in front of the journal
//! ([`writer`]), never inside the engine: what was acknowledged stays, and the order stays. Which faults are in force
//! is a pure table ([`faults`]); [`control`] changes it and records each change. The program may add companions and
//! scenarios ([`stage`]). A [`proof`] verifies the logs that the lab has.

pub mod control;
pub mod delay;
pub mod faults;
pub mod gate;
pub mod handle;
pub mod proof;
pub mod proof_fault;
pub mod queues;
pub mod recording;
pub mod requests;
pub mod service;
pub mod stage;
pub mod writer;
