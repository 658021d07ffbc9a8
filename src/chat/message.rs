//! The text of a message and the sender's own id for it.

use std::fmt;

use super::{MESSAGE_ID_BYTES_MAX, Refusal, TEXT_CHARACTERS_MAX};

/// The text of a message: 1 to [`TEXT_CHARACTERS_MAX`] characters, otherwise unrestricted (S3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageText(Box<str>);

impl MessageText {
    /// Accepts a valid text.
    ///
    /// # Errors
    /// [`Refusal::TextEmpty`], since proto3 cannot tell empty from missing, and [`Refusal::TextTooLong`].
    pub fn parse(text: impl Into<Box<str>>) -> Result<Self, Refusal> {
        let text = text.into();
        match text.chars().count() {
            0 => Err(Refusal::TextEmpty),
            characters if characters > TEXT_CHARACTERS_MAX => Err(Refusal::TextTooLong { characters }),
            _ => Ok(Self(text)),
        }
    }

    /// The text, byte for byte as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The sender's own id for one publish, at most [`MESSAGE_ID_BYTES_MAX`] bytes and not empty. It makes a
/// publish idempotent within a session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Box<str>);

impl MessageId {
    /// Accepts a valid id; the empty string means none.
    ///
    /// # Errors
    /// [`Refusal::MessageIdTooLong`].
    pub fn parse(id: impl Into<Box<str>>) -> Result<Option<Self>, Refusal> {
        let id = id.into();
        match id.len() {
            0 => Ok(None),
            bytes if bytes > MESSAGE_ID_BYTES_MAX => Err(Refusal::MessageIdTooLong { bytes }),
            _ => Ok(Some(Self(id))),
        }
    }

    /// The id as the sender wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_counted_in_unicode_scalar_values_s3() {
        let check = |unit: &str, count: usize| MessageText::parse(unit.repeat(count)).map(drop);
        for unit in ["a", "å", "漢", "😀", "\u{0}", "\u{301}", "\u{10FFFF}"] {
            assert_eq!(check(unit, 1), Ok(()), "{unit:?}");
            assert_eq!(check(unit, 128), Ok(()), "{unit:?}");
            assert_eq!(check(unit, 129), Err(Refusal::TextTooLong { characters: 129 }), "{unit:?}");
        }
        assert_eq!(check("", 1), Err(Refusal::TextEmpty));
        assert_eq!(check("👩‍👩‍👧", 25), Ok(()), "five scalar values each");
        assert_eq!(check("👩‍👩‍👧", 26), Err(Refusal::TextTooLong { characters: 130 }));
    }

    #[test]
    fn a_message_id_is_counted_in_bytes_and_empty_is_none() {
        let check = |id: &str| MessageId::parse(id).map(|id| id.is_some());
        assert_eq!(check(""), Ok(false));
        assert_eq!(check(&"x".repeat(64)), Ok(true));
        assert_eq!(check(&"å".repeat(33)), Err(Refusal::MessageIdTooLong { bytes: 66 }));
    }
}
