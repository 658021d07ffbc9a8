//! What must agree: the state machine with a naive model, modules with their layers, the page with the service,
//! documents with logs.
//!
//! | module | what it shows |
//! |---|---|
//! | [`conversation`] | the state machine under random commands, against its rules and a naive model |
//! | [`evidence`] | statements about the recorded run agree with its logs |
//! | [`layers`] | which source module may use which |
//! | [`names`] | type names that are used twice, and the glossary |
//! | [`vectors`] | what the service and the page must agree on, as data that both read |

mod conversation;
mod evidence;
mod layers;
mod names;
pub mod vectors;
