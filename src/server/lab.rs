//! The lab: faults that a teacher sets by hand, for each participant and for a limited time. Only `chitchat lab` has it.
//!
//! Faults act ([`effects`]) at a participant's stream ([`gate`](effects::gate)), at its requests
//! ([`requests`](effects::requests), which wait in [`queues`]) and in front of the journal ([`writer`](effects::writer)),
//! never inside the engine: what was acknowledged stays, and the order does not change. A pure table ([`faults`]) has
//! the faults in force; [`control`] changes it and records each change. The program may add companions and scenarios
//! ([`stage`]). A [`proof`] verifies the logs that the lab has.

pub mod control;
pub mod effects;
pub mod faults;
pub mod handle;
pub mod proof;
pub mod proof_fault;
pub mod queues;
pub mod recording;
pub mod service;
pub mod stage;
