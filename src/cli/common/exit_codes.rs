//! The exit codes of all commands. What each means for each command: specification, chapter 10.

/// What was asked for could not be done; `verify`: a rule is broken.
pub(crate) const FAILURE: u8 = 1;
/// Wrong usage. For the commands that read files: nothing can be said of what was given.
pub(crate) const USAGE: u8 = 2;
/// Not everything that was asked for was done, and not nothing: some messages were refused; `verify --strict`: some rules
/// could not be checked.
pub(crate) const PARTLY: u8 = 3;
/// The user interrupted the program twice, as a shell reports a program that SIGINT ended.
pub(crate) const INTERRUPTED_TWICE: u8 = 130;
