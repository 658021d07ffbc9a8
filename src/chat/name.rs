//! Display names, and when two of them are the same.

use std::{fmt, sync::Arc};

use precis_profiles::Nickname;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use unicode_normalization::char::is_combining_mark;
use unicode_security::confusable_detection::skeleton;

use super::{COMBINING_MARKS_MAX, NAME_CHARACTERS_GIVEN_MAX, NAME_CHARACTERS_MAX, NameFault, Refusal};

/// Looks like a space but is classed as a symbol: braille with no dot raised.
const BRAILLE_BLANK: char = '\u{2800}';

/// What people call a participant: an RFC 8266 nickname with something visible in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DisplayName(Arc<str>);

impl DisplayName {
    /// Accepts a valid name in its RFC 8266 form: spaces trimmed and collapsed, NFKC.
    ///
    /// # Errors
    /// [`Refusal::NameInvalid`] with the fault found first.
    pub fn parse(name: &str) -> Result<Self, Refusal> {
        Self::check_length(name)?;
        let nickname = enforce(name)?;
        let characters = nickname.chars().count();
        let fault = if !nickname.chars().any(is_visible) {
            NameFault::NothingVisible
        } else if characters > NAME_CHARACTERS_MAX {
            NameFault::TooLong(characters)
        } else if longest_run(&nickname, is_combining_mark) > COMBINING_MARKS_MAX {
            NameFault::CombiningMarks
        } else {
            return Ok(Self(nickname.into()));
        };
        Err(fault.into())
    }

    /// Refuses a name that is too long as given. [`parse`](Self::parse) does that, too; call this to check before
    /// spending time on the name.
    ///
    /// # Errors
    /// [`Refusal::NameInvalid`].
    pub fn check_length(name: &str) -> Result<(), Refusal> {
        match name.chars().count() {
            characters if characters > NAME_CHARACTERS_GIVEN_MAX => Err(NameFault::TooLong(characters).into()),
            _ => Ok(()),
        }
    }

    /// The name as people see it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Equal for all names that people cannot tell from this one: the confusable skeleton (UTS 39, section 4) of its
    /// case-folded form.
    pub fn key(&self) -> NameKey {
        NameKey(skeleton(&caseless::default_case_fold_str(&self.0)).collect::<String>().into())
    }
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Equal for names that look the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameKey(Box<str>);

fn enforce(name: &str) -> Result<String, NameFault> {
    use precis_profiles::precis_core::Error;
    match Nickname::enforce(name) {
        Ok(nickname) => Ok(nickname.into_owned()),
        Err(Error::BadCodepoint(info)) => Err(NameFault::Character(info.cp)),
        Err(Error::Invalid) if name.trim().is_empty() => Err(NameFault::NothingVisible),
        Err(Error::Invalid | Error::Unexpected(_)) => Err(NameFault::Nickname),
    }
}

/// RFC 8266 has already refused control characters and everything that is ignorable by default.
fn is_visible(c: char) -> bool {
    !c.is_whitespace() && !is_combining_mark(c) && c != BRAILLE_BLANK
}

fn longest_run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.split(|c| !belongs(c)).map(|run| run.chars().count()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(name: &str) -> Option<NameFault> {
        match DisplayName::parse(name) {
            Ok(_) => None,
            Err(Refusal::NameInvalid(fault)) => Some(fault),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_of_any_script_are_accepted_in_their_rfc_8266_form() {
        let check = |given: &str, kept: &str| assert_eq!(DisplayName::parse(given).unwrap().as_str(), kept);
        check("alice", "alice");
        check("  Guybrush   Threepwood ", "Guybrush Threepwood");
        check("Åse Ødegård", "Åse Ødegård");
        check("李小龍", "李小龍");
        check("😀", "😀");
        check("ａｌｉｃｅ", "alice");
        check("e\u{301}", "é");
        check("../../etc/passwd", "../../etc/passwd");
        check(&"å".repeat(32), &"å".repeat(32));
        check(&"α\u{313}\u{300}\u{345}".repeat(32), &"\u{1f82}".repeat(32));
    }

    #[test]
    fn a_name_with_a_fault_is_refused_with_that_fault() {
        let check = |name: &str, expected| assert_eq!(fault(name), Some(expected), "{name:?}");
        check("", NameFault::NothingVisible);
        check("   ", NameFault::NothingVisible);
        check("\u{2800}", NameFault::NothingVisible);
        check("\u{301}", NameFault::NothingVisible);
        check(&"a".repeat(33), NameFault::TooLong(33));
        check(&"\u{fdfa}".repeat(1360), NameFault::TooLong(1360));
        check(&format!("a{}b", " ".repeat(NAME_CHARACTERS_GIVEN_MAX)), NameFault::TooLong(130));
        check("z\u{35c}\u{35d}\u{35e}", NameFault::CombiningMarks);
        check("a\u{7}", NameFault::Character(7));
        check("a\nb", NameFault::Character(0xA));
        check("a\u{202e}b", NameFault::Character(0x202E));
        check("a\u{200b}b", NameFault::Character(0x200B));
        check("a\u{1b}[31m", NameFault::Character(0x1B));
    }

    #[test]
    fn names_that_look_the_same_have_the_same_key() {
        let key = |name: &str| DisplayName::parse(name).unwrap().key();
        for (a, b) in
            [("alice", "ALICE"), ("alice", "аlісе"), ("scope", "ѕсоре"), ("straße", "STRASSE"), ("Ωmega", "ωmega")]
        {
            assert_eq!(key(a), key(b), "{a} and {b}");
        }
        for (a, b) in [("alice", "alicia"), ("bob", "rob"), ("åse", "ase")] {
            assert_ne!(key(a), key(b), "{a} and {b}");
        }
    }
}
