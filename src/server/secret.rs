//! The access secret: who does not know it does not get in, and cannot try fast.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::Instant;
use tonic::Status;

use super::origin::Origin;
use super::refusals::Refusals;
use crate::wire::Rejection;

/// How many wrong attempts an address may make at once.
pub const WRONG_ATTEMPTS_BURST: u32 = 5;
/// How long it then takes until it may make another.
pub const WRONG_ATTEMPT_INTERVAL: Duration = Duration::from_secs(1);
/// When so many addresses are remembered, those whose attempts are long past are forgotten.
const ADDRESSES_REMEMBERED: usize = 10_000;

/// A secret that is never shown. Only its digest is kept, so a comparison takes the same time for every
/// guess of every length.
#[derive(Clone)]
pub struct Secret([u8; 32]);

/// A secret that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret is one line of at least one visible ASCII character, without spaces")]
pub struct SecretFault;

impl Secret {
    /// Accepts a secret that can travel as `authorization: Bearer …`.
    ///
    /// # Errors
    /// [`SecretFault`].
    pub fn parse(text: &str) -> Result<Self, SecretFault> {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretFault);
        }
        Ok(Self(Sha256::digest(text).into()))
    }

    fn is(&self, guess: &[u8]) -> bool {
        let guess: [u8; 32] = Sha256::digest(guess).into();
        self.0.ct_eq(&guess).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Guards the conversation by a secret.
pub struct Gate {
    secret: Secret,
    wrong: WrongAttempts,
    refusals: Refusals,
}

impl Gate {
    /// A gate that opens to this secret.
    pub fn new(secret: Secret, refusals: Refusals) -> Arc<Self> {
        Arc::new(Self { secret, wrong: WrongAttempts::default(), refusals })
    }

    /// An address that guesses too fast is not even compared, so that guessing fast gains nothing.
    fn admit(&self, origin: &Origin, headers: &HeaderMap) -> Result<(), Rejection> {
        let (address, now) = (origin.address(), Instant::now());
        if let Some(retry_after) = self.wrong.wait(address, now) {
            return Err(Rejection::RateLimited { retry_after });
        }
        let guess = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        match guess {
            Some(guess) if self.secret.is(guess) => Ok(()),
            Some(_) => {
                self.wrong.note(address, now);
                Err(Rejection::SecretRequired)
            }
            // Whoever did not know that there is a secret has not guessed.
            None => Err(Rejection::SecretRequired),
        }
    }
}

/// Wrong attempts by address, as a leaky bucket: each fills it by an interval, and time empties it. (A rate
/// limiter from a library cannot be asked whether it would refuse without counting the question.)
#[derive(Debug, Default)]
struct WrongAttempts(Mutex<HashMap<IpAddr, Instant>>);

impl WrongAttempts {
    /// How long this address has to wait; nothing where it may try.
    fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let empty_at = *self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&address)?;
        let fill = empty_at.saturating_duration_since(now);
        fill.checked_sub((WRONG_ATTEMPTS_BURST - 1) * WRONG_ATTEMPT_INTERVAL).filter(|wait| !wait.is_zero())
    }

    fn note(&self, address: IpAddr, now: Instant) {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() >= ADDRESSES_REMEMBERED {
            attempts.retain(|_, empty_at| *empty_at > now);
        }
        let empty_at = attempts.entry(address).or_insert(now);
        *empty_at = (*empty_at).max(now) + WRONG_ATTEMPT_INTERVAL;
    }
}

/// Lets only those pass who know the secret.
pub async fn check(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let rejection = match request.extensions().get::<Origin>() {
        Some(origin) => match gate.admit(origin, request.headers()) {
            Ok(()) => return next.run(request).await,
            Err(rejection) => {
                gate.refusals.record(origin, request.uri().path(), None, rejection.reason());
                rejection
            }
        },
        None => Rejection::SecretRequired,
    };
    Status::from(rejection).into_http::<Body>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_that_fits_a_header() {
        for text in ["s3cret", "s3cret\n", "s3cret\r\n", "a-b_c.d~e+f/g="] {
            assert!(Secret::parse(text).is_ok(), "{text:?}");
        }
        for text in ["", "\n", "two words", "two\nlines", "æ", "tab\t"] {
            assert_eq!(Secret::parse(text).unwrap_err(), SecretFault, "{text:?}");
        }
        assert_eq!(format!("{:?}", Secret::parse("s3cret").unwrap()), "Secret(…)");
    }

    #[test]
    fn wrong_attempts_of_an_address_are_slowed_and_no_other_address_is() {
        let (wrong, mut now) = (WrongAttempts::default(), Instant::now());
        let [guesser, other] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse::<IpAddr>().unwrap());
        for _ in 0..WRONG_ATTEMPTS_BURST {
            assert_eq!(wrong.wait(guesser, now), None);
            wrong.note(guesser, now);
        }
        assert_eq!(wrong.wait(guesser, now), Some(WRONG_ATTEMPT_INTERVAL));
        assert_eq!(wrong.wait(other, now), None);
        now += WRONG_ATTEMPT_INTERVAL;
        assert_eq!(wrong.wait(guesser, now), None);
        wrong.note(guesser, now);
        assert_eq!(wrong.wait(guesser, now), Some(WRONG_ATTEMPT_INTERVAL));
    }
}
