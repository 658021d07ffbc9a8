//! How long names, texts and ids may be (specification, chapter 4).

/// The longest message, in characters: Unicode scalar values, so "æøå" is 3 (S3).
pub const TEXT_CHARACTERS_MAX: usize = 128;

/// The longest message id, in bytes.
pub const MESSAGE_ID_BYTES_MAX: usize = 64;

/// The longest display name, in characters (Unicode scalar values), once it has its RFC 8266 form.
pub const NAME_CHARACTERS_MAX: usize = 32;

/// The longest name as given, in characters, spaces included. Normalization composes at most four characters into one,
/// so a longer name has superfluous spaces or is invalid. It is refused before its RFC 8266 form is computed, which can
/// take milliseconds.
pub const NAME_CHARACTERS_GIVEN_MAX: usize = 4 * NAME_CHARACTERS_MAX;

/// The most combining marks in a row in a name. A taller stack would cover the lines above and below.
pub const COMBINING_MARKS_MAX: usize = 2;
