//! Text from others is escaped before it reaches a terminal, and a terminal that is not being read blocks nothing.

mod stderr;

use std::borrow::Cow;
use std::env;
use std::fmt::Write as _;
use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

pub use stderr::flush;
pub(crate) use stderr::{Stderr, write as write_stderr};

/// Text that is safe to show: control characters, escapes and characters that reorder a line become visible.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(acts_on_terminal) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts_on_terminal(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// A file's name, quoted for a shell if necessary.
pub(crate) fn shell_quoted(text: &str) -> String {
    if !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_./:=@%+,-".contains(c)) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Writes a line to standard error, safe to show. Never waits for a reader; see [`flush`].
pub fn notice(text: &str) {
    stderr::write(format!("{}\n", escaped(text)).into_bytes());
}

/// Whether standard error is a terminal that understands control sequences.
pub(crate) fn is_lively() -> bool {
    is_lively_terminal(&io::stderr())
}

/// Whether standard error should have colors: a user can turn them off with `NO_COLOR` (<https://no-color.org>).
pub(crate) fn has_colors() -> bool {
    is_lively() && wants_colors()
}

/// Whether standard output should have colors.
pub(crate) fn output_has_colors() -> bool {
    is_lively_terminal(&io::stdout()) && wants_colors()
}

fn is_lively_terminal(stream: &impl io::IsTerminal) -> bool {
    stream.is_terminal() && env::var_os("TERM").is_some_and(|terminal| !terminal.is_empty() && terminal != "dumb")
}

fn wants_colors() -> bool {
    env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
}

/// A JSON object on one line, safe to show: JSON itself requires only some control characters to be escaped.
///
/// # Errors
/// If the value cannot be written as JSON.
pub fn json_line(value: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::with_capacity(256);
    value.serialize(&mut Serializer::with_formatter(&mut bytes, SafeOnTerminals))?;
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and the marks, embeddings, overrides
/// and isolates of the bidirectional algorithm (UAX 9, section 2).
pub fn acts_on_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A line of JSON, safe to show. Outside its strings JSON has only printable ASCII, so an escape can replace each such
/// character. Only a line feed at the end is not part of the JSON, and stays.
pub(crate) fn safe_json(line: &str) -> Cow<'_, str> {
    let json = line.strip_suffix('\n').unwrap_or(line);
    if !json.contains(acts_on_terminal) {
        return Cow::Borrowed(line);
    }
    let mut safe = String::with_capacity(line.len() + 16);
    for c in json.chars() {
        if acts_on_terminal(c) {
            // All of them are in the basic multilingual plane, so one escape is enough.
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe.push_str(&line[json.len()..]);
    Cow::Owned(safe)
}

struct SafeOnTerminals;

impl Formatter for SafeOnTerminals {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        writer.write_all(safe_json(fragment).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_acts_on_a_terminal_is_escaped() {
        let check = |text: &str, shown: &str| assert_eq!(escaped(text), shown);
        check("hello \\ \"", "hello \\ \"");
        check("æøå 😀 👩‍👩‍👧 שלום", "æøå 😀 👩‍👩‍👧 שלום");
        check("\u{1b}[2J", "\\u{1b}[2J");
        check("a\nb\tc\r", "a\\nb\\tc\\r");
        check("\u{7f}\u{9b}31m", "\\u{7f}\\u{9b}31m");
        check("a\u{202e}b\u{2069}c\u{2028}d", "a\\u{202e}b\\u{2069}c\\u{2028}d");
    }

    /// The page escapes its log in the same way: web/test/core/text.test.ts reads the same vectors.
    #[test]
    fn a_line_of_a_log_is_safe_to_show() {
        #[derive(serde::Deserialize)]
        struct Case {
            text: String,
            json: String,
        }
        let cases: Vec<Case> = serde_json::from_str(include_str!("../tests/vectors/safe_json.json")).unwrap();
        for Case { text, json } in cases {
            let raw = serde_json::to_string(&text).unwrap();
            assert_eq!(safe_json(&raw), json);
            assert_eq!(safe_json(&format!("{raw}\n")), format!("{json}\n"));
            assert_eq!(json_line(&text).unwrap(), json);
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    #[test]
    fn json_is_one_safe_line_that_reads_back_byte_for_byte() {
        let text = "\u{1b}[2J\n\u{202e}\u{9b}\"\\ æ 😀";
        let line = json_line(&text).unwrap();
        assert!(!line.contains(acts_on_terminal), "{line}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
