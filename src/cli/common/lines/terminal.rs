//! A terminal on which a user both types and reads: a line that was typed is replaced by its event, so that it appears
//! only once. That moves the cursor, and is done only if it is certain what is above it; otherwise the line stays.
//! Nothing is colored, so NO_COLOR has no effect.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use parking_lot::Mutex;
use rustix::termios::{LocalModes, isatty, tcgetattr, tcgetwinsize};

use super::splitter::{InputLine, is_waiting};

/// Standard input and output, where both are one terminal.
#[derive(Debug)]
pub(in crate::cli) struct Terminal(Mutex<Typing>);

/// The state of the lines that are being typed. Its lock is held for a write or a non-blocking read, so it is known
/// which came first: the end of a line, which the terminal shows at once, or our own output.
#[derive(Debug, Default)]
struct Typing {
    /// How many lines were read.
    read: usize,
    /// How many of them were passed to [`Terminal::handled`].
    handled: usize,
    /// Something was written after a typed line that is not handled yet, so that line's position is unknown.
    is_covered: bool,
}

impl Terminal {
    /// The terminal, if there is one that can move its cursor.
    pub(in crate::cli) fn new() -> Option<Self> {
        let device = |fd: BorrowedFd<'_>| -> Option<u64> {
            isatty(fd).then_some(())?;
            Some(File::from(fd.try_clone_to_owned().ok()?).metadata().ok()?.rdev())
        };
        let is_same = device(io::stdin().as_fd())? == device(io::stdout().as_fd())?;
        let name = std::env::var("TERM").unwrap_or_default();
        (is_same && !name.is_empty() && name != "dumb").then(Self::default)
    }

    /// Reads lines, without blocking, and counts them.
    pub(super) fn counting_lines(
        &self,
        read: impl FnOnce() -> io::Result<(Vec<InputLine>, usize)>,
    ) -> io::Result<(Vec<InputLine>, usize)> {
        let mut typing = self.0.lock();
        let read = read();
        typing.read += read.as_ref().map_or(0, |(lines, _)| lines.len());
        read
    }

    /// Writes whole lines, to standard output or error.
    pub(in crate::cli) fn write<T>(&self, write: impl FnOnce() -> T) -> T {
        let mut typing = self.0.lock();
        let written = write();
        typing.is_covered |= typing.read > typing.handled || is_waiting(io::stdin());
        written
    }

    /// A line has been handled. If it is to be replaced, it is erased, provided that its position is certain.
    pub(in crate::cli) fn handled(&self, line: &InputLine, replace: bool) {
        let mut typing = self.0.lock();
        typing.handled += 1;
        let is_covered = typing.is_covered;
        typing.is_covered &= typing.read > typing.handled || is_waiting(io::stdin());
        let Ok(text) = &line.text else { return };
        if !replace || is_covered || !line.is_newest || typing.read > typing.handled || !echoes() {
            return;
        }
        let columns = tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
        if fits_one_row(text, columns) {
            let mut output = io::stdout().lock();
            // If the terminal cannot be written to, printing the next event fails.
            let _ = write!(output, "\r\x1b[1A\x1b[J").and_then(|()| output.flush());
        }
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self(Mutex::new(Typing::default()))
    }
}

/// Whether the terminal shows what is typed, a line at a time.
fn echoes() -> bool {
    let modes = LocalModes::ECHO | LocalModes::ICANON;
    tcgetattr(io::stdin()).is_ok_and(|attributes| attributes.local_modes.contains(modes))
}

/// Whether a typed line certainly takes up one row. Where a longer one begins is unknown, since something may have been
/// shown while it was typed, and terminals disagree on the width of some characters.
fn fits_one_row(text: &str, columns: usize) -> bool {
    // No character is wider than two.
    let widest: usize = text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    widest < columns && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_line_is_erased_only_where_it_certainly_is_one_row() {
        let check = |text: &str, columns, expected| {
            assert_eq!(fits_one_row(text, columns), expected, "{text:?} in {columns}");
        };
        check("", 80, true);
        check("hello", 80, true);
        check("hello", 0, false);
        check("hello", 5, false);
        check("hello", 6, true);
        check("a\tb", 80, false);
        check("漢字", 5, true);
        check("漢字", 4, false);
    }
}
