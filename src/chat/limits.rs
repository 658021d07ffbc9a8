//! How long names, texts and ids may be (specification, chapter 4).

/// The longest message, in characters: Unicode scalar values, so "æøå" is 3 (S3).
pub const TEXT_CHARACTERS_MAX: usize = 128;

/// The longest message id, in bytes.
pub const MESSAGE_ID_BYTES_MAX: usize = 64;

/// The longest display name, in characters (Unicode scalar values), once it has its RFC 8266 form.
pub const NAME_CHARACTERS_MAX: usize = 32;

/// The longest name as given, in characters, spaces included. No character of a valid name is composed of more than
/// four (Unicode's canonical decompositions), so a longer one has superfluous spaces or is invalid; it is refused
/// before its RFC 8266 form is made, which can take milliseconds.
pub const NAME_CHARACTERS_GIVEN_MAX: usize = 4 * NAME_CHARACTERS_MAX;

/// The most combining marks in a row in a name. A stack of more would deface other lines.
pub const COMBINING_MARKS_MAX: usize = 2;
