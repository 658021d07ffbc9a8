//! The exit codes of all commands. What each means for each command: specification, chapter 11.

/// The command failed; `verify`: a rule is violated.
pub(crate) const FAILURE: u8 = 1;
/// Wrong usage. For commands that read files: the input cannot be used.
pub(crate) const USAGE: u8 = 2;
/// Partial success: some messages were not acknowledged; `verify --strict`: some rules could not be checked.
pub(crate) const PARTLY: u8 = 3;
/// The user interrupted the program twice. Shells report a program that SIGINT ended with the same code.
pub(crate) const INTERRUPTED_TWICE: u8 = 130;
