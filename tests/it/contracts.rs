//! What must agree: the state machine with a naive model, modules with their layers, the page with the service,
//! documents with logs.
//!
//! | module | what it shows |
//! |---|---|
//! | [`conversation`] | random commands against the rules of the state machine and a naive model |
//! | [`evidence`] | statements about the recorded run agree with its logs |
//! | [`layers`] | which module of the sources may use which |
//! | [`vectors`] | what the service and the page agree on, as data that both read |

mod conversation;
mod evidence;
mod layers;
pub mod vectors;
