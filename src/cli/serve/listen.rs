//! The address that the service listens on, and how to reach it.

use std::fmt::{self, Display};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::network;
use crate::terminal::{notice, shell_quoted};

/// How long to wait for an address that is in use: a service that is being replaced may take five seconds to end.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long to wait between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Checks the form of an address to listen on. [`bind`] finds out whether it exists.
pub(super) fn host_and_port(address: &str) -> Result<String, String> {
    const EXAMPLE: &str = "it should look like 127.0.0.1:50051";
    if address.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("there is whitespace in it".into());
    }
    let (host, port) = address.rsplit_once(':').ok_or(EXAMPLE)?;
    if host.is_empty() || host == "*" {
        return Err(format!("it has no host name or address; 0.0.0.0:{port} listens on all addresses"));
    }
    if host.contains('/') || host.contains('@') {
        return Err(format!("it is an address, not a URL; {EXAMPLE}"));
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err("an IPv6 address needs brackets, as in [::1]:50051".into());
    }
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_err() {
        return Err(format!("{port:?} is not a port; ports are 0 to 65535"));
    }
    Ok(address.to_owned())
}

/// Listens. If the address is in use, tries again for a while: a service there may be just ending.
pub(super) async fn bind(address: &str) -> Result<TcpListener, String> {
    let deadline = Instant::now() + PATIENCE;
    let mut announced = false;
    loop {
        let error = match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => error,
        };
        let in_use = error.kind() == io::ErrorKind::AddrInUse;
        if !in_use || Instant::now() >= deadline {
            return Err(format!("--listen: cannot listen on {address}: {}", fault(&error)));
        }
        if !std::mem::replace(&mut announced, true) {
            let seconds = PATIENCE.as_secs();
            notice(&format!("chitchat: {address} is in use by another process; trying again for {seconds} s"));
        }
        sleep(PAUSE).await;
    }
}

fn fault(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process is listening there".into(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".into(),
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege that this process lacks".into(),
        _ if error.raw_os_error().is_none() => "the host name cannot be resolved".into(),
        _ => error.to_string(),
    }
}

/// This machine's address in its network. Connecting a UDP socket sends nothing; it only chooses the address that
/// packets would come from.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}

/// What people need to take part.
#[derive(Clone)]
pub(in crate::cli) struct Invitation {
    /// The address of `--listen`.
    pub(in crate::cli) listen: String,
    /// Another name by which it can be reached.
    pub(in crate::cli) name: Option<String>,
    /// The address that it listens on.
    pub(in crate::cli) bound: SocketAddr,
    pub(in crate::cli) encrypted: bool,
    /// The certificate that clients have to trust.
    pub(in crate::cli) ca: Option<PathBuf>,
    /// The service's own certificate. This process trusts it even if no known authority has signed it.
    pub(in crate::cli) certificate: Option<PathBuf>,
    pub(in crate::cli) secret_file: Option<PathBuf>,
}

impl Invitation {
    /// Where other machines can reach the service; `None` if it listens on this machine only.
    pub(in crate::cli) fn network_url(&self) -> Option<String> {
        let ip = self.bound.ip();
        if ip.is_loopback() {
            return None;
        }
        if !ip.is_unspecified() {
            return Some(self.url());
        }
        let own = Self { bound: SocketAddr::new(own_address()?, self.bound.port()), ..self.clone() };
        Some(own.url())
    }

    /// Where the service can be reached from this machine.
    pub(in crate::cli) fn url(&self) -> String {
        let scheme = if self.encrypted { "https" } else { "http" };
        let named = network::host_of(&self.listen).filter(|host| host.parse::<IpAddr>().is_err());
        let host = match (named, &self.name, self.bound.ip()) {
            (Some(host), ..) => host,
            (None, Some(name), ip) if ip.is_unspecified() || self.encrypted && self.ca.is_none() => name.clone(),
            // All addresses of this machine, of which the loopback address is one.
            (None, _, IpAddr::V4(ip)) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
            (None, _, IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
            (None, _, ip) => ip.to_string(),
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        format!("{scheme}://{host}:{}", self.bound.port())
    }

    /// The options for the files that a client needs, each after a space.
    pub(in crate::cli) fn files(&self) -> String {
        let files = [("--ca", &self.ca), ("--secret-file", &self.secret_file)];
        let named = |(option, file): (_, &Option<PathBuf>)| {
            Some(format!(" {option} {}", shell_quoted(&file.as_ref()?.display().to_string())))
        };
        files.into_iter().filter_map(named).collect()
    }
}

/// A URL to open and a command to run.
impl Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url();
        let files = self.files();
        write!(f, "Open {url} in a browser, or run: chitchat join NAME --server {url}{files}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_is_right_for_where_the_service_listens() {
        let check = |listen: &str, bound: &str, name: Option<&str>, expected: &str| {
            let (listen, name, bound) = (listen.to_owned(), name.map(str::to_owned), bound.parse().unwrap());
            let plain = Invitation {
                listen,
                name,
                bound,
                encrypted: false,
                ca: None,
                certificate: None,
                secret_file: None,
            };
            assert_eq!(plain.url(), expected);
        };
        check("127.0.0.1:0", "127.0.0.1:4711", None, "http://127.0.0.1:4711");
        check("localhost:1", "127.0.0.1:1", None, "http://localhost:1");
        check("0.0.0.0:1", "0.0.0.0:1", None, "http://127.0.0.1:1");
        check("[::]:1", "[::]:1", None, "http://[::1]:1");
        check("[::1]:1", "[::1]:1", None, "http://[::1]:1");
        check("192.0.2.1:1", "192.0.2.1:1", Some("chat.example"), "http://192.0.2.1:1");
        check("0.0.0.0:1", "0.0.0.0:1", Some("chat.example"), "http://chat.example:1");
    }

    #[test]
    fn an_invitation_names_the_files_that_a_client_needs() {
        let bound = "127.0.0.1:1".parse().unwrap();
        let (ca, secret_file) = (Some("logs/self-signed.pem".into()), Some("my secret".into()));
        let listen = "127.0.0.1:1".to_owned();
        let secret = Invitation { listen, name: None, bound, encrypted: true, ca, certificate: None, secret_file };
        let expected =
            "chitchat join NAME --server https://127.0.0.1:1 --ca logs/self-signed.pem --secret-file 'my secret'";
        assert!(secret.to_string().ends_with(expected), "{secret}");
        assert_eq!(secret.files(), " --ca logs/self-signed.pem --secret-file 'my secret'");
    }
}
