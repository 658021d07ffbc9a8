//! The options of `serve` for names, secrets and certificates.

use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;

use http::uri::Authority;
use http::{HeaderValue, Uri};
use tokio::net::TcpListener;
use tokio_rustls::rustls::pki_types::pem;

use crate::server::{Config, Tls, TlsError};

/// The file in the log folder that a self-signed certificate is written to.
pub(super) const SELF_SIGNED_FILE: &str = "self-signed.pem";

/// The names in a self-signed certificate, in addition to those that the service answers to.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// An origin as browsers send it: scheme, host, and port if it is not the default.
pub(super) fn origin(text: &str) -> Result<HeaderValue, String> {
    let wrong = "should be only a scheme and a host, such as https://chat.example";
    let uri: Uri = text.parse().map_err(|_| wrong)?;
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    match (web, host) {
        (true, Some(host)) if host.port_u16().is_some_and(|port| Some(port) == usual_port(&uri)) => {
            Err("leave out the port, as browsers do if it is the default".into())
        }
        (true, Some(host)) if host.host().contains('*') => Err(NO_WILDCARDS.into()),
        (true, Some(_)) if uri.path() == "/" && !text.ends_with('/') && uri.query().is_none() => {
            HeaderValue::from_str(&text.to_ascii_lowercase()).map_err(|_| wrong.into())
        }
        _ => Err(wrong.into()),
    }
}

/// A pattern would be compared literally, and never match.
const NO_WILDCARDS: &str = "patterns are not supported: name each host, such as chat.example";

fn usual_port(uri: &Uri) -> Option<u16> {
    match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    }
}

/// How many open files a service needs in addition to its connections: journal, logs, and what the runtime uses.
const FILES_BESIDE: usize = 64;

/// Raises this process's limit on open files to what its connections need, as far as permitted. If that is not enough,
/// fewer connections are allowed, so that a file is left for the journal. Returns whether there may be more
/// participants than connections because of that.
pub(super) fn fit_open_files(config: &mut Config) -> io::Result<bool> {
    let wanted = config.connections_max.saturating_add(FILES_BESIDE);
    let (soft, _) = rlimit::Resource::NOFILE.get()?;
    let limit = if soft < wanted as u64 { rlimit::increase_nofile_limit(wanted as u64)? } else { soft };
    let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(FILES_BESIDE).max(1);
    let fewer = room < config.connections_max.min(config.participants_max);
    config.connections_max = config.connections_max.min(room);
    Ok(fewer)
}

/// A host name without a port.
pub(super) fn host(text: &str) -> Result<String, String> {
    let authority: Authority = text.parse().map_err(|_| "is not a host name")?;
    if authority.port().is_some() || authority.as_str() != authority.host() {
        return Err("should be a host name without a port".into());
    }
    if authority.host().contains('*') {
        return Err(NO_WILDCARDS.into());
    }
    Ok(bare(authority.host()))
}

/// The host of an address such as `chat.example:50051`.
pub(super) fn host_of(address: &str) -> Option<String> {
    address.parse::<Authority>().ok().map(|authority| bare(authority.host()))
}

fn bare(host: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    host.strip_suffix('.').map(str::to_owned).unwrap_or(host)
}

/// TLS from certificate files.
pub(super) fn tls_from_files(certificate: &Path, key: &Path) -> Result<Tls, String> {
    Tls::from_files(certificate, key).map_err(|error| tls_fault(&error, certificate, key))
}

/// What is wrong with a certificate or a key, and in which option.
pub(super) fn tls_fault(error: &TlsError, certificate: &Path, key: &Path) -> String {
    match error {
        TlsError::File { path, source } => {
            let (option, what) =
                if path == key { ("--tls-key", "private key") } else { ("--tls-cert", "certificate") };
            let path = path.display();
            match source {
                pem::Error::Io(error) => format!("{option}: cannot read {path}: {error}"),
                pem::Error::NoItemsFound => format!("{option}: {path} has no {what} in PEM"),
                _ => format!("{option}: {path} is not in PEM"),
            }
        }
        TlsError::NoCertificate(path) => format!("--tls-cert: {} has no certificate in PEM", path.display()),
        _ => format!(
            "--tls-cert, --tls-key: the certificate in {} cannot be used with the key in {}",
            certificate.display(),
            key.display()
        ),
    }
}

/// TLS with a self-signed certificate.
pub(super) fn tls_self_signed(hosts: &[String], folder: &Path) -> Result<Tls, Box<dyn Error>> {
    let mut names: Vec<String> = LOCAL_NAMES.map(str::to_owned).into();
    names.extend(hosts.iter().filter(|host| !LOCAL_NAMES.contains(&host.as_str())).cloned());
    let (tls, certificate) = Tls::self_signed(names)?;
    let path = folder.join(SELF_SIGNED_FILE);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, certificate))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(tls)
}

/// Warns an operator who listens on a network about what others can see, and what clients have to trust.
pub(super) fn warn_of_exposure(listener: &TcpListener, config: &Config, self_signed: Option<&Path>) {
    if let Some(folder) = self_signed {
        let path = folder.join(SELF_SIGNED_FILE);
        tracing::warn!("this certificate is self-signed: clients need --ca {}", path.display());
    }
    let beyond = listener.local_addr().is_ok_and(|address| !address.ip().to_canonical().is_loopback());
    if beyond && config.tls.is_none() {
        tracing::warn!("other machines can connect, and connections are not encrypted: see --tls-cert");
    }
    if beyond && config.secret.is_none() {
        tracing::warn!("other machines can connect, and anybody can join: see --secret-file");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_only_a_scheme_and_a_host() {
        for text in ["https://chat.example", "http://localhost:3000", "HTTPS://Chat.Example"] {
            assert!(origin(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "*",
            "null",
            "chat.example",
            "https://",
            "https://a/",
            "https://a/b",
            "https://a?b",
            "https://a:443",
            "ftp://a",
            "https://u@a",
            "https://*.example",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_is_a_name_without_a_port() {
        assert_eq!(host("Chat.Example"), Ok("chat.example".into()));
        assert_eq!(host("[::1]"), Ok("::1".into()));
        for text in ["", "a:1", "a/b", "u@a", "a b", "*", "*.example"] {
            assert!(host(text).is_err(), "{text}");
        }
        assert_eq!(host_of("chat.example:50051"), Some("chat.example".into()));
        assert_eq!(host_of("[::1]:50051"), Some("::1".into()));
    }
}
