//! The lab: faults that a teacher sets by hand.
//!
//! | module | what it shows |
//! |---|---|
//! | [`faults`] | each fault, set and ended, byte by byte |
//! | [`mixes`] | random mixes of faults with real clients, under load |
//! | [`proof`] | the lab verifies its own logs together with a page's |
//! | [`runs`] | the lab as a program: its key, its command, its notices and log records |
//! | [`stage`] | companions and scenarios of a lab |

mod faults;
mod mixes;
mod proof;
mod runs;
mod stage;
