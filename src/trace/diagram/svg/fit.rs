//! Text that fits its place in any font.
//!
//! A picture does not know in which font it will be shown, so the width of a text is not known either. Two widths are
//! estimated: how wide it is in most fonts, and how wide it can be. A text that may be wider than its place is set to
//! an exact width, so a browser squeezes or stretches its letters a little; a text that always fits is left alone.

use unicode_normalization::char::is_combining_mark;

use super::marks::xml;
use crate::terminal::escaped;

/// How a text is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Font {
    /// In pixels.
    pub(super) size: f64,
    pub(super) bold: bool,
}

impl Font {
    pub(super) const fn new(size: f64) -> Self {
        Self { size, bold: false }
    }

    pub(super) const fn bold(size: f64) -> Self {
        Self { size, bold: true }
    }

    /// Pixels for thousandths of the font's size.
    fn pixels(self, thousandths: u32) -> f64 {
        f64::from(thousandths) * self.size / 1_000.0 * if self.bold { 1.07 } else { 1.0 }
    }
}

/// How wide a text is, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Extent {
    /// In most fonts.
    pub(super) likely: f64,
    /// At most, in any font.
    pub(super) most: f64,
}

impl Extent {
    pub(super) fn of(text: &str, font: Font) -> Self {
        let mut letters = Letters::default();
        text.chars().map(|c| letters.next(c, font)).fold(Self::default(), Self::and)
    }

    /// The extent of two texts, one after the other.
    pub(super) fn and(self, other: Self) -> Self {
        Self { likely: self.likely + other.likely, most: self.most + other.most }
    }

    /// The attributes that keep a text of this extent within a width: none where it fits anyway.
    pub(super) fn within(self, room: f64) -> String {
        if self.most <= room {
            return String::new();
        }
        // A text of combining marks alone has almost no width.
        let width = self.likely.min(room).max(1.0);
        format!(r#" textLength="{width:.1}" lengthAdjust="spacingAndGlyphs""#)
    }
}

/// A text as XML, cut to what fits into a width, and how wide that is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fitted {
    pub(super) xml: String,
    pub(super) extent: Extent,
    pub(super) is_cut: bool,
}

impl Fitted {
    /// As much of a text as is likely to fit, with control characters made visible.
    pub(super) fn of(text: &str, font: Font, room: f64) -> Self {
        let text = escaped(text);
        let end = end_within(&text, font, room);
        if end == text.len() {
            return Self { xml: xml(&text), extent: Extent::of(&text, font), is_cut: false };
        }
        let end = end_within(&text, font, room - Extent::of("…", font).likely);
        let shown = format!("{}…", text[..end].trim_end());
        Self { xml: xml(&shown), extent: Extent::of(&shown, font), is_cut: true }
    }

    /// A text on up to two lines, divided between words if possible.
    pub(super) fn in_two(text: &str, font: Font, rooms: [f64; 2]) -> (Self, Option<Self>) {
        let safe = escaped(text);
        let end = end_within(&safe, font, rooms[0]);
        if end == safe.len() {
            return (Self::of(text, font, rooms[0]), None);
        }
        let space = safe[..end].rfind(' ').filter(|space| *space * 2 > end);
        let (first, second) = safe.split_at(space.unwrap_or(end));
        (Self::of(first, font, rooms[0]), Some(Self::of(second.trim_start(), font, rooms[1])))
    }
}

/// How much of a text is likely to fit into a width. A letter and its marks stay together.
fn end_within(text: &str, font: Font, room: f64) -> usize {
    let (mut letters, mut used, mut end) = (Letters::default(), 0.0, 0);
    for (at, c) in text.char_indices() {
        if letters.begins(c) {
            end = at;
        }
        used += letters.next(c, font).likely;
        if used > room {
            return end;
        }
    }
    text.len()
}

const ZERO_WIDTH_JOINER: char = '\u{200d}';
/// How many marks on one letter take no space of their own.
const MARKS_STACKED: u32 = 4;

/// A run of letters: the width of a letter depends on the one before it.
#[derive(Debug, Default)]
struct Letters {
    before: Option<char>,
    /// How many marks there were since the last letter.
    marks: u32,
}

impl Letters {
    /// Whether a letter begins here that is not drawn as part of the one before.
    fn begins(&self, c: char) -> bool {
        !is_mark(c) && !is_joiner(c) && self.before != Some(ZERO_WIDTH_JOINER)
    }

    fn next(&mut self, c: char, font: Font) -> Extent {
        let (likely, most) = widths(c);
        let is_part = !self.begins(c);
        self.marks = if is_mark(c) { self.marks + 1 } else { 0 };
        let is_stacked = is_part && self.before.is_some() && self.marks <= MARKS_STACKED;
        self.before = Some(c);
        Extent { likely: font.pixels(if is_stacked { 0 } else { likely }), most: font.pixels(most) }
    }
}

fn is_mark(c: char) -> bool {
    is_combining_mark(c) || matches!(c, '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}')
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200b}'..=ZERO_WIDTH_JOINER | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// The widths of ASCII letters in Helvetica and fonts with the same metrics, from the space on, in thousandths of the
/// font's size.
const ASCII: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, // space to /
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, // 0 to ?
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, // @ to O
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, // P to _
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, // ` to o
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584, // p to ~
];
/// The width of an ASCII letter in a monospaced or wide font.
const MONOSPACED: u32 = 640;

/// How wide a letter is in most fonts, and how wide at most, in thousandths of the font's size.
fn widths(c: char) -> (u32, u32) {
    match c {
        c if is_joiner(c) => (0, 0),
        c if is_mark(c) => (300, 700),
        ' '..='~' => {
            let width = u32::from(ASCII[c as usize - 32]);
            (width, (width * 13 / 10).max(MONOSPACED))
        }
        // Latin, Greek, Cyrillic, Armenian.
        '\u{a0}'..='\u{58f}' | '\u{1e00}'..='\u{1fff}' => (610, 1_300),
        // Hebrew, Arabic.
        '\u{590}'..='\u{8ff}' => (560, 1_400),
        // Scripts of India and South East Asia.
        '\u{900}'..='\u{10ff}' | '\u{1780}'..='\u{1cff}' | '\u{a800}'..='\u{abff}' => (800, 2_500),
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' => {
            (1_000, 1_250)
        }
        '\u{fe30}'..='\u{fe4f}' | '\u{ff01}'..='\u{ff60}' | '\u{20000}'..='\u{3ffff}' => (1_000, 1_250),
        // Whole phrases in one character.
        '\u{fdfa}'..='\u{fdfd}' => (6_000, 14_000),
        '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}' => (800, 3_000),
        '\u{2000}'..='\u{2bff}' => (800, 2_500),
        '\u{2e3a}'..='\u{2e3b}' => (2_500, 3_500),
        // Cuneiform and hieroglyphs.
        '\u{12000}'..='\u{1467f}' => (1_600, 14_000),
        // Two of these make a flag.
        '\u{1f1e6}'..='\u{1f1ff}' => (650, 1_300),
        '\u{1f000}'..='\u{1faff}' => (1_250, 1_600),
        _ => (800, 2_500),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FONT: Font = Font::new(10.0);

    #[test]
    fn only_a_text_that_may_be_too_wide_gets_a_fixed_width() {
        let within = |text: &str, room| Extent::of(text, FONT).within(room);
        assert_eq!(within("alice", 100.0), "");
        assert_eq!(within("alice", 25.0), r#" textLength="20.6" lengthAdjust="spacingAndGlyphs""#);
        assert_eq!(within("alice", 12.0), r#" textLength="12.0" lengthAdjust="spacingAndGlyphs""#);
        assert_eq!(within("\u{fdfd}", 100.0), r#" textLength="60.0" lengthAdjust="spacingAndGlyphs""#);
    }

    #[test]
    fn a_text_is_cut_where_it_is_likely_to_be_too_wide() {
        let of = |text: &str, room| Fitted::of(text, FONT, room).xml;
        assert_eq!(of("a < b", 100.0), "a &lt; b");
        assert_eq!(of(&"W".repeat(128), 100.0), "WWWWWWWWW…");
        assert_eq!(of("日本語テスト", 45.0), "日本語…");
        assert_eq!(of("a\u{202e}b", 100.0), "a\\u{202e}b");
        let (fitted, many) = (Fitted::of("", FONT, 10.0), "\u{301}".repeat(128));
        assert_eq!((fitted.xml.as_str(), fitted.extent), ("", Extent::default()));
        assert!(of(&many, 100.0).chars().count() < 40, "marks without a letter are seen");
    }

    #[test]
    fn a_letter_and_its_marks_stay_together() {
        let family = "👩\u{200d}👩\u{200d}👧";
        let of = |text: &str, room| Fitted::of(text, FONT, room).xml;
        assert_eq!(of(family, 13.0), family);
        assert_eq!(of(&family.repeat(3), 25.0), format!("{family}…"));
        assert_eq!(of("e\u{301}e\u{301}e\u{301}e\u{301}", 20.0), "e\u{301}e\u{301}…");
    }

    #[test]
    fn a_long_text_has_two_lines() {
        let (first, second) = Fitted::in_two("the quick brown fox jumps over the lazy dog", FONT, [110.0, 60.0]);
        assert_eq!((&*first.xml, &*second.unwrap().xml), ("the quick brown fox", "jumps over…"));
        let (first, second) = Fitted::in_two("short", FONT, [110.0, 60.0]);
        assert_eq!((&*first.xml, second), ("short", None));
        let (first, second) = Fitted::in_two(&"W".repeat(12), FONT, [60.0, 60.0]);
        assert_eq!((&*first.xml, &*second.unwrap().xml), ("WWWWWW", "WWWWWW"));
    }
}
