//! Session tokens: made here, kept only by the client.

use sha2::{Digest, Sha256};

use crate::chat::SessionKey;

/// A session's secret: 128 random bits in hexadecimal.
pub fn new_token(random: u128) -> String {
    format!("{random:032x}")
}

/// The digest by which the service recognizes a token. A token cannot be derived from it, and comparing digests does
/// not reveal how much of a guess was right.
pub fn key_of(token: &str) -> SessionKey {
    SessionKey(Sha256::digest(token).into())
}
