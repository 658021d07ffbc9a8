//! The lab: faults that a teacher sets by hand.
//!
//! | module | what it shows |
//! |---|---|
//! | [`faults`] | faults by hand, each set and ended, by bytes |
//! | [`mixes`] | random mixes of faults over real clients, under load |
//! | [`proof`] | the lab verifies the logs that it has, with the log of a page |
//! | [`runs`] | the lab as a program: its key, its command, what it tells and records |
//! | [`stage`] | companions and scenarios of a lab |

mod faults;
mod mixes;
mod proof;
mod runs;
mod stage;
