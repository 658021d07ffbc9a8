//! The access secret, without which a caller is refused.
//!
//! The right secret passes at once, however often others at the same address guess wrong: behind NAT or a proxy
//! one address has many users. So the limit on wrong secrets does not slow guessing: it only bounds the log records,
//! and tells clients with an old secret to wait. The secret's length is what protects the service: guesses cannot be
//! made fast enough to find [`SECRET_CHARACTERS_MIN`] random characters.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::server::edge::origin::Origin;
use crate::server::ops::context::ServerContext;
use crate::server::ops::limiter::{Limiter, Rate};
use crate::server::ops::refusals::answer;
use crate::wire::Rejection;

/// The shortest secret, in characters. 16 random characters of Base64 have 96 bits.
pub const SECRET_CHARACTERS_MIN: usize = 16;
/// The longest secret, in characters. A longer guess is wrong without being hashed.
pub const SECRET_CHARACTERS_MAX: usize = 1024;
/// How fast wrong secrets from one address are answered with SECRET_REQUIRED. Faster ones get RATE_LIMITED.
pub const WRONG_SECRETS: Rate = Rate { per_second: 1, burst: 5 };

/// A secret that is never shown. Only its digest is kept, and compared in constant time.
#[derive(Clone)]
pub struct Secret([u8; 32]);

/// The text cannot be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret is one line of {SECRET_CHARACTERS_MIN} to {SECRET_CHARACTERS_MAX} visible ASCII characters, without \
     spaces; `openssl rand -base64 24` makes one"
)]
pub struct SecretFault;

impl Secret {
    /// Accepts a secret that can be sent as `authorization: Bearer …`.
    pub fn parse(text: &str) -> Result<Self, SecretFault> {
        let text = text.trim_end_matches(['\r', '\n']);
        let fits = (SECRET_CHARACTERS_MIN..=SECRET_CHARACTERS_MAX).contains(&text.len());
        if !fits || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretFault);
        }
        Ok(Self(Sha256::digest(text).into()))
    }

    /// Whether a guess is right. The time that this takes depends only on the guess's length.
    pub fn is(&self, guess: &[u8]) -> bool {
        if guess.len() > SECRET_CHARACTERS_MAX {
            return false;
        }
        let guess: [u8; 32] = Sha256::digest(guess).into();
        self.0.ct_eq(&guess).into()
    }

    /// Whether a caller with this guess, or none, may pass. Without a secret everybody may.
    pub fn admits(secret: Option<&Self>, guess: Option<&[u8]>) -> bool {
        secret.is_none_or(|secret| guess.is_some_and(|guess| secret.is(guess)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Requires a secret.
pub struct SecretAuth {
    secret: Secret,
    wrong: Option<Limiter<IpAddr>>,
    context: ServerContext,
}

impl SecretAuth {
    /// Requires this secret.
    pub fn new(secret: Secret, context: ServerContext) -> Arc<Self> {
        Arc::new(Self { secret, wrong: Limiter::new(WRONG_SECRETS), context })
    }

    fn admit(&self, origin: &Origin, headers: &HeaderMap) -> Result<(), Rejection> {
        match headers.get(header::AUTHORIZATION).and_then(|value| parse_bearer(value.as_bytes())) {
            Some(guess) if self.secret.is(guess) => Ok(()),
            Some(_) => {
                self.wrong.as_ref().map_or(Ok(()), |wrong| wrong.count(&origin.address()))?;
                Err(Rejection::SecretRequired)
            }
            // A request without a secret is not a guess.
            None => Err(Rejection::SecretRequired),
        }
    }
}

/// The credentials after the scheme. Schemes are case-insensitive (RFC 9110, section 11.1).
fn parse_bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, guess) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(guess.trim_ascii_start())
}

/// Lets requests with the secret pass, and refuses all others.
pub async fn check(State(auth): State<Arc<SecretAuth>>, request: Request, next: Next) -> Response {
    let rejection = match request.extensions().get::<Origin>() {
        Some(origin) => match auth.admit(origin, request.headers()) {
            Ok(()) => return next.run(request).await,
            Err(rejection) => {
                auth.context.refusals.record(origin, request.uri().path(), None, rejection.reason());
                auth.context.metrics.refusal(rejection.reason());
                rejection
            }
        },
        None => Rejection::SecretRequired,
    };
    let code = match rejection {
        Rejection::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::UNAUTHORIZED,
    };
    answer(&request, StatusCode::OK, code, rejection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_that_fits_a_header_and_cannot_be_guessed() {
        let longest = "x".repeat(SECRET_CHARACTERS_MAX);
        for text in
            ["sixteen-letters!", "sixteen-letters!\n", "sixteen-letters!\r\n", "a-b_c.d~e+f/g=h:i", &longest]
        {
            assert!(Secret::parse(text).is_ok(), "{text:?}");
        }
        let longer = format!("{longest}x");
        for text in
            ["", "\n", "fifteen-letters", "two words of text", "two\nlines-of-text", "æøåæøåæøåæøåæøåæ", &longer]
        {
            assert_eq!(Secret::parse(text).unwrap_err(), SecretFault, "{text:?}");
        }
        let secret = Secret::parse("sixteen-letters!").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(secret.is(b"sixteen-letters!") && !secret.is(b"sixteen-letters") && !secret.is(longer.as_bytes()));
    }
}
