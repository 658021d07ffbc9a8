//! The client behind a trusted HTTP proxy, by `X-Forwarded-For`.
//!
//! `Forwarded` (RFC 7239) is not read: most proxies set one of the headers and pass the other on unchanged, so a
//! service that reads both believes the one that the client wrote.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::origin::ClientAddress;

/// Each proxy appends the address that it was called from.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How many proxies in a row are followed. Addresses beyond them are not believed.
pub const PROXY_HOPS_MAX: usize = 16;

/// Proxy addresses that are trusted to state a client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyNetwork(IpNet);

/// A text that is neither an address nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an address or a network, such as 127.0.0.1 or 10.0.0.0/8")]
pub struct ProxyNetworkFault;

impl FromStr for ProxyNetwork {
    type Err = ProxyNetworkFault;

    fn from_str(text: &str) -> Result<Self, ProxyNetworkFault> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(|network| Self(to_canonical(network))).map_err(|_| ProxyNetworkFault)
    }
}

/// Converts an IPv4 network that is written as IPv6 to IPv4, the form in which addresses are compared.
fn to_canonical(network: IpNet) -> IpNet {
    let mapped = match (network, network.addr().to_canonical()) {
        (IpNet::V6(_), IpAddr::V4(address)) => network
            .prefix_len()
            .checked_sub(Ipv6Addr::BITS as u8 - Ipv4Addr::BITS as u8)
            .and_then(|prefix_len| IpNet::new(address.into(), prefix_len).ok()),
        _ => None,
    };
    mapped.unwrap_or(network)
}

/// The proxies that are trusted. None by default.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[ProxyNetwork]>);

impl From<Vec<ProxyNetwork>> for TrustedProxies {
    fn from(networks: Vec<ProxyNetwork>) -> Self {
        Self(networks.into())
    }
}

impl TrustedProxies {
    /// Whether this is the address of a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|ProxyNetwork(network)| network.contains(&address))
    }

    /// The client of a request. From the nearest proxy outward, each trusted one states who called it; the first that
    /// is not trusted is the client. Anything that a client wrote into the header itself lies beyond that.
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> ClientAddress {
        let mut client = ClientAddress::from(peer);
        let lines = headers.get_all(X_FORWARDED_FOR).into_iter().rev();
        let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops.take(PROXY_HOPS_MAX) {
            if !self.contains(client.ip) {
                break;
            }
            // A trusted proxy that does not name its caller counts as the client.
            let Some(hop) = parse_hop(hop) else { break };
            client = hop;
        }
        client
    }
}

/// An address as proxies write it: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`. The zone of
/// a link-local address (`fe80::1%eth0`) means nothing here.
fn parse_hop(hop: &[u8]) -> Option<ClientAddress> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let (address, port) = match hop.strip_prefix('[') {
        Some(bracketed) => {
            let (address, rest) = bracketed.split_once(']')?;
            (address, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match hop.split_once(':') {
            Some((address, port)) if !port.contains(':') => (address, Some(port)),
            _ => (hop, None),
        },
    };
    let (address, _zone) = address.split_once('%').unwrap_or((address, ""));
    let port = match port {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    Some(ClientAddress { ip: address.parse::<IpAddr>().ok()?.to_canonical(), port })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn trusted() -> TrustedProxies {
        vec!["127.0.0.1".parse().unwrap(), "10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()].into()
    }

    fn client(peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        trusted().client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        for text in ["127.0.0.1", "::1", "10.0.0.0/8", "2001:db8::/32", "::ffff:127.0.0.1"] {
            assert!(text.parse::<ProxyNetwork>().is_ok(), "{text}");
        }
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0/8", "127.0.0.1:80", "*", "fe80::1%eth0"] {
            assert_eq!(text.parse::<ProxyNetwork>(), Err(ProxyNetworkFault), "{text}");
        }
        for (address, known) in
            [("10.255.0.1", true), ("::ffff:10.0.0.1", true), ("fd12::1", true), ("11.0.0.1", false)]
        {
            assert_eq!(trusted().contains(address.parse().unwrap()), known, "{address}");
        }
    }

    #[test]
    fn ipv4_written_in_ipv6_is_ipv4() {
        let network: ProxyNetwork = "::ffff:10.0.0.0/104".parse().unwrap();
        assert_eq!(Ok(network), "10.0.0.0/8".parse());
        assert_eq!("::ffff:10.0.0.1".parse::<ProxyNetwork>(), "10.0.0.1".parse());
        assert_eq!(client("127.0.0.1:4711", &["::ffff:192.0.2.1, ::ffff:10.0.0.1"]), "192.0.2.1");
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_not_a_trusted_proxy() {
        let check =
            |lines: &[&str], expected: &str| assert_eq!(client("127.0.0.1:4711", lines), expected, "{lines:?}");
        check(&[], "127.0.0.1:4711");
        check(&["192.0.2.1"], "192.0.2.1");
        check(&["192.0.2.1:80"], "192.0.2.1:80");
        check(&["2001:db8::1"], "2001:db8::1");
        check(&["[2001:db8::1]"], "2001:db8::1");
        check(&["[2001:db8::1]:80"], "[2001:db8::1]:80");
        check(&["fe80::1%eth0"], "fe80::1");
        check(&["192.0.2.1, 10.1.2.3"], "192.0.2.1");
        check(&["192.0.2.1", "fd00::1 ,10.1.2.3"], "192.0.2.1");
        check(&["10.0.0.7, 10.0.0.8"], "10.0.0.7");
    }

    #[test]
    fn addresses_that_the_client_wrote_are_not_believed() {
        let check =
            |lines: &[&str], expected: &str| assert_eq!(client("127.0.0.1:4711", lines), expected, "{lines:?}");
        check(&["203.0.113.9, 192.0.2.1"], "192.0.2.1");
        check(&["203.0.113.9", "192.0.2.1"], "192.0.2.1");
        check(&["<script>, 192.0.2.1, 10.0.0.1"], "192.0.2.1");
        assert_eq!(
            client("198.51.100.1:4711", &["203.0.113.9"]),
            "198.51.100.1:4711",
            "a peer that is not listed"
        );
    }

    #[test]
    fn a_hop_that_is_not_an_address_makes_its_proxy_the_client() {
        for hop in [
            "",
            " ",
            ",",
            "unknown",
            "_hidden",
            "192.0.2",
            "192.0.2.1:",
            "192.0.2.1:x",
            "192.0.2.1:65536",
            "[2001:db8::1",
            "[::1]x",
            "[]",
            "]",
            "%",
            "\"192.0.2.1\"",
            "æ",
            "1.2.3.4 5.6.7.8",
        ] {
            assert_eq!(client("127.0.0.1:4711", &[hop]), "127.0.0.1:4711", "{hop:?}");
            assert_eq!(client("127.0.0.1:4711", &[&format!("192.0.2.1, {hop}, 10.0.0.1")]), "10.0.0.1", "{hop:?}");
        }
        let many = vec!["10.0.0.1"; 4096].join(",");
        assert_eq!(client("127.0.0.1:4711", &[&many]), "10.0.0.1");
        assert_eq!(client("127.0.0.1:4711", &["192.0.2.1", &many]), "10.0.0.1", "too many to follow");
    }
}
