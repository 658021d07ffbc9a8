//! Parts that several commands share: the options of clients, lines of standard input, signals, progress and exit
//! codes.

pub(crate) mod access;
pub(crate) mod exit_codes;
pub(crate) mod lines;
pub(crate) mod progress;
pub(crate) mod settings;
pub(crate) mod signals;
