//! Splits the bytes of an input into lines.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The longest line that is read as one, in bytes. No message comes near this; a longer line is skipped, so that no
/// input can fill the memory.
pub(in crate::cli) const LINE_BYTES_MAX: usize = 16 * 1024;
/// U+FEFF, which some programs put at the beginning of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line that cannot be a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum LineFault {
    /// More than [`LINE_BYTES_MAX`] bytes.
    #[error("the line is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("the line is not valid UTF-8")]
    NotUtf8,
    /// The beginning of a line whose end had not been read when reading was stopped.
    #[error("the line is incomplete")]
    Unfinished(String),
}

/// A line of the input, or why it cannot be a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct InputLine {
    pub(in crate::cli) text: Result<String, LineFault>,
    /// Whether no more input was available when it was read.
    pub(in crate::cli) is_newest: bool,
}

/// Cuts bytes into lines.
#[derive(Debug, Default)]
pub(in crate::cli) struct Splitter {
    pub(in crate::cli) line: Vec<u8>,
    is_too_long: bool,
    has_begun: bool,
}

impl Splitter {
    pub(in crate::cli) fn feed(&mut self, mut bytes: &[u8]) -> Vec<InputLine> {
        let mut lines = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.put(&bytes[..end]);
            lines.push(self.cut());
            bytes = &bytes[end + 1..];
        }
        self.put(bytes);
        lines
    }

    fn put(&mut self, bytes: &[u8]) {
        self.is_too_long |= self.line.len() + bytes.len() > LINE_BYTES_MAX;
        if !self.is_too_long {
            self.line.extend_from_slice(bytes);
        }
    }

    /// The line is complete.
    fn cut(&mut self) -> InputLine {
        let mut line = std::mem::take(&mut self.line);
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        if std::mem::take(&mut self.is_too_long) {
            return InputLine { text: Err(LineFault::TooLong), is_newest: false };
        }
        if is_first && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        InputLine { text: String::from_utf8(line).map_err(|_| LineFault::NotUtf8), is_newest: false }
    }

    /// The last line, which needs no line break, at the end of input.
    pub(in crate::cli) fn end(&mut self) -> Option<InputLine> {
        let is_there = !self.line.is_empty() || self.is_too_long;
        is_there.then(|| self.cut()).filter(|line| line.text.as_deref() != Ok(""))
    }

    /// The beginning of a line whose end has not been read.
    pub(in crate::cli) fn unfinished(&mut self) -> Option<InputLine> {
        let line = self.end()?;
        let text = line.text.and_then(|text| Err(LineFault::Unfinished(text)));
        Some(InputLine { text, is_newest: false })
    }
}

/// Whether an input can be read without waiting.
pub(in crate::cli) fn is_waiting(input: impl AsFd) -> bool {
    let mut input = [PollFd::new(&input, PollFlags::IN)];
    poll(&mut input, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<Result<String, LineFault>> {
        let mut splitter = Splitter::default();
        let mut lines: Vec<_> = input.chunks(7).flat_map(|chunk| splitter.feed(chunk)).collect();
        lines.extend(splitter.end());
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn every_line_is_read_or_its_fault_is_reported() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let mut input = Vec::from("one\ntwo\r\n\n\u{e6}\n".as_bytes());
        input.extend_from_slice(b"\xff\n");
        input.extend_from_slice(format!("{long}\nlast").as_bytes());
        let expected = [
            Ok("one".into()),
            Ok("two".into()),
            Ok(String::new()),
            Ok("æ".into()),
            Err(LineFault::NotUtf8),
            Err(LineFault::TooLong),
            Ok("last".into()),
        ];
        assert_eq!(lines(&input), expected);
    }

    #[test]
    fn a_byte_order_mark_and_carriage_returns_are_dropped() {
        let check = |input: &[u8], expected: &[&str]| {
            let expected: Vec<_> = expected.iter().map(|line| Ok((*line).to_owned())).collect();
            assert_eq!(lines(input), expected);
        };
        check(b"\xef\xbb\xbfone\r\ntwo\r", &["one", "two"]);
        check(b"one\n\xef\xbb\xbftwo", &["one", "\u{feff}two"]);
        check(b"\xef\xbb\xbf", &[]);
        check(b"\r", &[]);
        check(b"\r\n", &[""]);
        check(b"", &[]);
    }
}
