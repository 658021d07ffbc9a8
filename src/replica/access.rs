//! The addresses of the servers, and how a replica authenticates to them.

mod credentials;

use std::future::ready;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{RawMessageError, RawMessageErrorKind};
use async_nats::{AuthError, ClientError, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerAddr};

use super::error::SetupFault;
use credentials::Credentials;

/// Where the log is.
#[derive(Clone)]
pub struct Settings {
    /// The servers.
    pub servers: Vec<ServerAddr>,
    /// The stream.
    pub stream: String,
    /// The file with the credentials for the servers.
    pub credentials: Option<PathBuf>,
    /// The name of this replica.
    pub name: Arc<str>,
}

/// Reads the address of a server, such as `nats://h1:4222`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_server(address: &str) -> Result<ServerAddr, String> {
    let server = ServerAddr::from_str(address).map_err(|_| "should be a URL such as nats://h1:4222".to_owned())?;
    if !matches!(server.scheme(), "nats" | "tls") {
        return Err(format!("should begin with nats:// or tls://, and not with {}://", server.scheme()));
    }
    if server.host().is_empty() {
        return Err("names no server; it should be a URL such as nats://h1:4222".into());
    }
    let after_host = server.as_url_str().split("://").nth(1).and_then(|rest| rest.split_once(['/', '?', '#']));
    if after_host.is_some_and(|(_, path)| !path.is_empty()) {
        return Err("should have nothing after the port".into());
    }
    if server.username().is_some() != server.password().is_some() {
        return Err("should have a user and a password, or neither; tokens are not supported".into());
    }
    Ok(server)
}

/// A server without the password that its address may have.
pub(super) fn shown(server: &ServerAddr) -> String {
    format!("{}://{}:{}", server.scheme(), server.host(), server.port())
}

/// Checks that no server is named twice: three names of one server are not three servers.
///
/// # Errors
/// [`SetupFault::NamedTwice`].
pub fn check_named_once(servers: &[ServerAddr]) -> Result<(), SetupFault> {
    let is_repeated = |n: usize| servers[..n].iter().any(|other| shown(other) == shown(&servers[n]));
    match (0..servers.len()).find(|n| is_repeated(*n)) {
        Some(n) => Err(SetupFault::NamedTwice { server: shown(&servers[n]) }),
        None => Ok(()),
    }
}

/// Whether the error says that the account has no JetStream.
pub(super) fn lacks_jetstream(error: &RawMessageError) -> bool {
    matches!(error.kind(), RawMessageErrorKind::JetStream(error)
        if error.error_code() == ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT)
}

/// Why there is no connection.
pub(super) fn unconnected(settings: &Settings, servers: &[ServerAddr], error: &ConnectError) -> SetupFault {
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => refused(settings, servers),
        _ => {
            let shown: Vec<_> = servers.iter().map(shown).collect();
            SetupFault::Unreachable { why: format!("{}: {error}", shown.join(", ")) }
        }
    }
}

/// The servers refuse access. They do not say why, so the likely reason is looked up here.
fn refused(settings: &Settings, servers: &[ServerAddr]) -> SetupFault {
    let has_password = settings.servers.iter().any(|server| server.password().is_some());
    let why = match &settings.credentials {
        Some(file) => {
            let expired = match Credentials::read(file) {
                Ok(credentials) => credentials.expires().filter(|expires| *expires <= SystemTime::now()),
                Err(why) => return SetupFault::Credentials { file: file.display().to_string(), why },
            };
            let file = file.display();
            match expired.map(humantime::format_rfc3339_seconds) {
                Some(expired) => format!("the credentials {file} expired at {expired}"),
                None => format!(
                    "the credentials {file} are not valid there: they may be revoked, or belong to another operator or account"
                ),
            }
        }
        None if has_password => "the user or the password in the address is wrong".into(),
        None => "they require credentials; see --replicate-credentials".into(),
    };
    let servers: Vec<_> = servers.iter().map(shown).collect();
    SetupFault::Refused { servers: servers.join(", "), why }
}

/// The options with which a client authenticates. The file is read for each connection, so renewed credentials are used
/// without a restart.
pub(super) fn options(settings: &Settings) -> Result<ConnectOptions, SetupFault> {
    let Some(file) = settings.credentials.clone() else { return Ok(ConnectOptions::new()) };
    let fault = |why| SetupFault::Credentials { file: file.display().to_string(), why };
    Credentials::read(&file).map_err(fault)?;
    Ok(ConnectOptions::with_auth_callback(move |nonce| {
        ready(Credentials::read(&file).and_then(|credentials| credentials.show(&nonce)).map_err(AuthError::new))
    }))
}

/// Reports that the servers refuse access to this replica: once, until it is connected again.
pub(super) struct Refusals {
    settings: Settings,
    is_reported: AtomicBool,
}

impl Refusals {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), is_reported: AtomicBool::new(false) }
    }

    pub(super) fn note(&self, event: &Event) {
        let kinds = [ConnectErrorKind::AuthorizationViolation, ConnectErrorKind::Authentication];
        let is_refusal = |error: &str| kinds.iter().any(|kind| kind.to_string() == error);
        match event {
            Event::ClientError(ClientError::Other(error))
                if is_refusal(error) && !self.is_reported.swap(true, Ordering::Relaxed) =>
            {
                tracing::error!("{}; trying again", refused(&self.settings, &self.settings.servers));
            }
            Event::Connected => self.is_reported.store(false, Ordering::Relaxed),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_one_server_and_nothing_else_r9() {
        for good in ["nats://h1:4222", "h1", "nats://h1", "tls://h1:4222/", "nats://user:password@[::1]:4222"] {
            parse_server(good).unwrap();
        }
        for (bad, why) in [
            ("", "names no server"),
            ("nats://", "names no server"),
            ("nats:///", "names no server"),
            ("http://h1:4222", "should be a URL such as"),
            ("ws://h1:4222", "should begin with nats:// or tls://"),
            ("nats://h1:99999", "should be a URL such as"),
            ("nats://h 1:4222", "should be a URL such as"),
            ("nats://h1:4222/chitchat", "nothing after the port"),
            ("nats://h1:4222?x", "nothing after the port"),
            ("nats://token@h1:4222", "a user and a password, or neither"),
        ] {
            let error = parse_server(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn a_server_that_is_named_twice_is_refused_r9() {
        let servers = |urls: &[&str]| urls.iter().map(|url| parse_server(url).unwrap()).collect::<Vec<_>>();
        check_named_once(&servers(&["h1", "h2", "h1:4223"])).unwrap();
        let fault = check_named_once(&servers(&["h1", "h2", "nats://u:p@h1:4222"])).unwrap_err();
        assert_eq!(fault, SetupFault::NamedTwice { server: "nats://h1:4222".into() });
    }
}
