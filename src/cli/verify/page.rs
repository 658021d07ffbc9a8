//! Text for a terminal of some width, or for a pipe.

use std::io::{self, IsTerminal};

use rustix::termios::tcgetwinsize;

use crate::terminal::output_has_colors;

/// In fewer columns, words do not fit beside their indents.
const COLUMNS_MIN: usize = 40;

/// How text is laid out.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Page {
    /// The terminal's width. A pipe has none, so its lines are not wrapped.
    pub(in crate::cli) columns: Option<usize>,
    /// How many lines it shows.
    rows: Option<usize>,
    has_colors: bool,
}

/// What a word is marked as.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum Mark {
    Good,
    Bad,
    Unsure,
    Heading,
}

impl Page {
    /// For standard output.
    pub(in crate::cli) fn of_output() -> Self {
        let out = io::stdout();
        let size = if out.is_terminal() { tcgetwinsize(&out).ok() } else { None };
        let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
        Self {
            columns: size.map(|size| usize::from(size.ws_col).max(COLUMNS_MIN)),
            rows: size.map(|size| usize::from(size.ws_row)),
            has_colors: output_has_colors(),
        }
    }

    /// Highlights a text, if there are colors.
    pub(in crate::cli) fn marked(&self, text: &str, mark: Mark) -> String {
        let code = match mark {
            Mark::Good => "1;32",
            Mark::Bad => "1;31",
            Mark::Unsure => "1;33",
            Mark::Heading => "1",
        };
        if self.has_colors { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Wraps a text: the first line follows `first`, and the others are indented to match.
    pub(in crate::cli) fn wrapped(&self, first: &str, text: &str) -> Vec<String> {
        let indent = first.chars().count();
        let Some(room) = self.columns.map(|columns| columns.saturating_sub(indent).max(COLUMNS_MIN / 2)) else {
            return vec![format!("{first}{text}")];
        };
        let mut lines = Vec::new();
        let mut line = String::new();
        for word in text.split(' ') {
            let mut word = word;
            let fits = |line: &str, word: &str| line.chars().count() + 1 + word.chars().count() <= room;
            if !line.is_empty() && !fits(&line, word) {
                lines.push(std::mem::take(&mut line));
            }
            // A word that is longer than a line is split.
            while let Some((end, _)) = word.char_indices().nth(room).filter(|_| line.is_empty()) {
                lines.push(word[..end].to_owned());
                word = &word[end..];
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
        let begin = |index: usize| if index == 0 { first.to_owned() } else { " ".repeat(indent) };
        lines.iter().enumerate().map(|(index, line)| format!("{}{line}", begin(index))).collect()
    }

    /// Whether this number of lines fits on the screen, with one left for the prompt.
    pub(in crate::cli) fn shows(&self, lines: usize) -> bool {
        self.rows.is_none_or(|rows| lines < rows)
    }

    /// Whether this number of characters fits on a line.
    pub(in crate::cli) fn has_room(&self, characters: usize) -> bool {
        self.columns.is_none_or(|columns| characters <= columns)
    }
}

#[cfg(test)]
impl Page {
    pub(in crate::cli) fn wide(columns: usize) -> Self {
        Self { columns: Some(columns), rows: Some(24), has_colors: false }
    }

    pub(in crate::cli) fn pipe() -> Self {
        Self { columns: None, rows: None, has_colors: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_whole_if_they_fit() {
        let page = Page::wide(40);
        assert_eq!(page.wrapped("* ", "short"), ["* short"]);
        let text = "the quick brown fox jumps over the lazy dog";
        assert_eq!(page.wrapped("* ", text), ["* the quick brown fox jumps over the", "  lazy dog"]);
        let long = "x".repeat(100);
        let lines = page.wrapped("* ", &format!("a {long} b"));
        assert_eq!(lines.iter().map(|line| line.chars().count()).collect::<Vec<_>>(), [3, 40, 40, 28]);
        assert_eq!(Page::pipe().wrapped("* ", text), [format!("* {text}")]);
    }
}
