//! Explains failures to people who know networks, but not this program's libraries.

use std::error::Error;
use std::io;
use std::iter::successors;

use tokio_rustls::rustls::{self, CertificateError};
use tonic::{Code, Status};

use super::transport::dialer::DialError;
use crate::wire::Reason;

/// What is wrong with the protocol that a peer speaks, judging by the first bytes that it sent.
pub(super) fn mismatch(encrypted: bool, first: &[u8]) -> Option<&'static str> {
    // A TLS record: its kind, and the major version.
    let tls = matches!(first, [0x14..=0x17, 3, ..]);
    // An HTTP/2 server begins with a frame of type SETTINGS or, when it is shutting down, GOAWAY.
    let http2 = matches!(first, [0, _, _, 4 | 7, ..]);
    let http1 = first.starts_with(b"HTTP/1");
    let wants_tls = http1 && [&b"HTTPS"[..], b"SSL-enabled"].iter().any(|hint| contains(first, hint));
    match (encrypted, first.is_empty()) {
        (_, true) => None,
        (true, _) if tls => None,
        (true, _) if http1 || http2 => Some("this service speaks plain HTTP: use http://"),
        (false, _) if tls || wants_tls => Some("this service speaks TLS: use https://"),
        (false, _) if http2 => None,
        (false, _) if http1 => {
            Some("this is not a Chit Chat service, or it is behind a proxy that does not speak HTTP/2")
        }
        _ => Some("this is not a Chit Chat service: it does not speak HTTP/2"),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Why a connection failed, from the chain of the error's causes.
pub(super) fn of_error(error: &(dyn Error + 'static)) -> String {
    if let Some(dial @ DialError::Name { .. }) = causes(error).find_map(|error| error.downcast_ref()) {
        return dial.to_string();
    }
    if let Some(tls) = causes(error).find_map(tls_error) {
        return of_tls(tls);
    }
    match causes(error).find_map(|error| error.downcast_ref::<io::Error>()) {
        Some(error) => of_io(error),
        None => "the connection was lost".into(),
    }
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(Some(error), |error: &&'e (dyn Error + 'static)| (*error).source())
}

/// A TLS error is wrapped in an I/O error that does not name it as its source.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.downcast_ref().or_else(|| wrapped?.downcast_ref())
}

fn of_tls(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(fault) = error else {
        return "the TLS handshake with this service failed".into();
    };
    let what = match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet: check this machine's clock"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for a different host name"
        }
        CertificateError::Revoked => "has been revoked",
        CertificateError::UnknownIssuer => {
            "is from an authority that this machine does not trust; to trust it, name its certificate with --ca"
        }
        _ => "cannot be used",
    };
    format!("its certificate {what}")
}

/// Why a connection could not be made or broke.
pub(super) fn of_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused: no service is listening there".into(),
        io::ErrorKind::TimedOut => "no answer in time".into(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            "the connection was reset".into()
        }
        io::ErrorKind::UnexpectedEof => "the connection was closed".into(),
        io::ErrorKind::HostUnreachable => "no route to that host".into(),
        io::ErrorKind::NetworkUnreachable => "the network cannot be reached".into(),
        // The operating system's errors are about the network; those of libraries are not.
        _ if error.raw_os_error().is_some() => error.to_string(),
        _ => "the connection was lost".into(),
    }
}

/// How the message of a status begins if tonic made it from an HTTP status.
const OF_HTTP: &str = "grpc-status header missing, mapped from HTTP status code ";
/// The same for an answer without a status.
const OF_NOTHING: &str = "protocol error: ";
/// The same for a frame that is too large.
const OF_SIZE: &str = "Error, decoded message length too large";
/// How many characters of a service's message are shown, so that it cannot fill the screen.
const WORDS_MAX: usize = 300;

/// A status in words: the service's message, or why there is no answer.
pub(super) fn of_status(status: &Status) -> String {
    let text = in_full(status);
    match text.char_indices().nth(WORDS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn in_full(status: &Status) -> String {
    if Reason::of(status).is_some() {
        return status.message().to_owned();
    }
    if status.source().is_some() {
        return of_error(status);
    }
    let text = status.message();
    if let Some(code) = text.strip_prefix(OF_HTTP) {
        return format!("HTTP status {code} instead of an answer");
    }
    match status.code() {
        Code::OutOfRange if text.starts_with(OF_SIZE) => {
            "the answer is larger than any that a Chit Chat service sends".into()
        }
        _ if text.starts_with(OF_NOTHING) => "the answer was cut off, perhaps by a proxy".into(),
        Code::Unavailable if text.is_empty() => "the service is unavailable".into(),
        _ if text.is_empty() => "the service gave no reason".into(),
        _ => text.to_owned(),
    }
}

/// Whether a status comes from something other than a Chit Chat service.
pub(super) fn is_of_another_service(status: &Status) -> bool {
    let reachable = [" 502", " 503", " 504"].iter().all(|gateway| !status.message().ends_with(gateway));
    let no_grpc = status.message().starts_with(OF_HTTP) && reachable;
    Reason::of(status).is_none() && (status.code() == Code::Unimplemented || no_grpc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_different_service_is_recognized_by_its_first_bytes() {
        let check = |encrypted, first: &[u8], expected: Option<&str>| {
            let found = mismatch(encrypted, first);
            assert!(found.is_some() == expected.is_some(), "{first:?}: {found:?}");
            assert!(found.unwrap_or_default().contains(expected.unwrap_or_default()), "{first:?}: {found:?}");
        };
        let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0];
        check(false, &[], None);
        check(true, &[], None);
        check(false, &settings, None);
        check(true, &[0x16, 3, 3, 0], None);
        check(true, &settings, Some("http://"));
        check(true, b"HTTP/1.1 400 Bad Request", Some("http://"));
        check(false, &[0x15, 3, 3, 0, 2, 2, 70], Some("https://"));
        check(false, b"HTTP/1.1 400 Bad Request\r\n\r\nsent to HTTPS port", Some("https://"));
        check(false, b"HTTP/1.1 400 Bad Request", Some("not a Chit Chat service"));
        check(false, b"SSH-2.0-OpenSSH", Some("not a Chit Chat service"));
        check(true, b"220 mail", Some("not a Chit Chat service"));
    }
}
