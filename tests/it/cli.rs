//! The command line, as a person or a script uses it.
//!
//! | module | what it shows |
//! |---|---|
//! | [`load`] | `chitchat load`: it counts deliveries, finds wrong ones and names limits |
//! | [`scripts`] | `chitchat send`, waiting for a service, the environment, the wording of errors |
//! | [`signals`] | signals, unread pipes, terminals without colors |
//! | [`terminal`] | no control characters from others reach a terminal; `--json` |
//! | [`usage`] | the command line, its refusals and exit codes |

mod load;
mod scripts;
mod signals;
mod terminal;
mod usage;
