//! What takes part in a lab besides people: companions, and scenarios in which they have roles (specification, chapter 14).
//!
//! A [`companion`] is a real participant: the client library over loopback, with its own thread, runtime and log. So it
//! can crash as a process does, and resume. Its behavior without instructions is in [`behavior`]. A [`scenario`] is
//! data, read from a small file; [`play`] plays it, and the [`stage`] is what the service calls. A [`proof`] verifies the
//! lab's logs.

mod behavior;
mod cast;
mod companion;
mod play;
mod proof;
mod run;
mod scenario;
mod stage;

pub use cast::COMPANIONS_MAX_DEFAULT;
pub use companion::Place;
pub use proof::PROOF_LOGS_BYTES_MAX_DEFAULT;
pub use scenario::Scenario;
pub use stage::{SCENARIO_PAUSE_MAX, Stage, StageConfig};
