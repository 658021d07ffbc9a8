//! Session tokens: made here, kept by the client alone.

use sha2::{Digest, Sha256};

use crate::chat::SessionKey;

/// A session's secret: 128 random bits in hexadecimal.
pub fn new_token(random: u128) -> String {
    format!("{random:032x}")
}

/// The digest by which the service knows a token again. It finds no token from a digest, and comparing
/// digests reveals nothing about how much of a guess was right.
pub fn key_of(token: &str) -> SessionKey {
    SessionKey(Sha256::digest(token).into())
}
