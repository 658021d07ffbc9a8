//! The command line, as a person or a script uses it.
//!
//! | module | what it shows |
//! |---|---|
//! | [`load`] | `chitchat load`: deliveries counted, wrong ones found, limits named |
//! | [`scripts`] | `chitchat send`, waiting for a service, the environment, the words for failures |
//! | [`signals`] | signals, pipes that nobody reads, terminals without colours |
//! | [`terminal`] | nothing reaches a terminal raw; `--json` |
//! | [`usage`] | the command line, its refusals and exit codes |

mod load;
mod scripts;
mod signals;
mod terminal;
mod usage;
