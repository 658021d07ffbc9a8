//! The URL of a service.

use http::Uri;
use http::uri::Authority;

use crate::client::error::JoinError;

/// What an address should look like.
const EXAMPLE: &str = "it should look like http://127.0.0.1:50051";

/// Reads the URL of a service: scheme, host and port, and nothing else.
pub(crate) fn parse_address(address: &str) -> Result<Uri, JoinError> {
    parse(address).map_err(|why| JoinError::Address { address: address.to_owned(), why })
}

fn parse(address: &str) -> Result<Uri, String> {
    if address.is_empty() {
        return Err(format!("it is empty; {EXAMPLE}"));
    }
    if address.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("it contains whitespace".into());
    }
    let (scheme, rest) = address.split_once("://").ok_or_else(|| format!("it has no scheme; {EXAMPLE}"))?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(format!("its scheme is {scheme}, but only http and https are supported"));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    match behind.chars().next() {
        Some('?') => return Err(format!("a service has no query: leave out {behind}")),
        Some('#') => return Err(format!("a service has no fragment: leave out {behind}")),
        Some(_) if behind != "/" => return Err(format!("a service has no path: leave out {behind}")),
        _ => {}
    }
    if authority.contains('@') {
        return Err("it must not contain a user name; to give a secret, use --secret-file".into());
    }
    let port = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
    let (host, port) = port.map_or((authority, None), |(host, port)| (host, Some(port)));
    if host.is_empty() {
        return Err("it has no host".into());
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err("an IPv6 address needs brackets, as in http://[::1]:50051".into());
    }
    let is_port = |port: &str| !port.starts_with('+') && matches!(port.parse::<u16>(), Ok(1..));
    if let Some(port) = port.filter(|port| !is_port(port)) {
        return Err(format!("{port:?} is not a port; ports are 1 to 65535"));
    }
    let wrong = |_| format!("{host} is not a host name");
    let authority: Authority = authority.parse().map_err(wrong)?;
    if authority.host().is_empty() {
        return Err("it has no host".into());
    }
    let uri = Uri::builder().scheme(scheme.to_ascii_lowercase().as_str()).authority(authority).path_and_query("/");
    uri.build().map_err(|_| EXAMPLE.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_scheme_host_and_port() {
        for address in [
            "http://127.0.0.1:50051",
            "http://127.0.0.1:50051/",
            "https://chat.example",
            "HTTPS://Chat.Example:1",
            "http://[::1]:65535",
            "http://[::1]",
        ] {
            assert!(parse(address).is_ok(), "{address}: {:?}", parse(address));
        }
    }

    #[test]
    fn an_invalid_address_is_explained() {
        for (address, named) in [
            ("", "empty"),
            ("nonsense", "scheme"),
            ("127.0.0.1:50051", "scheme"),
            ("ftp://a", "ftp"),
            ("http://", "host"),
            ("http://:50051", "host"),
            ("http:///", "host"),
            ("http://a:99999", "99999"),
            ("http://a:0", "port"),
            ("http://a:", "port"),
            ("http://a:b", "port"),
            ("http://a:-1", "port"),
            ("http://a:+1", "port"),
            ("http://a:1/chat", "/chat"),
            ("http://a:1?x=1", "?x=1"),
            ("http://a:1/?x", "/?x"),
            ("http://a:1#top", "#top"),
            ("http://me@a:1", "user"),
            ("http://me:secret@a:1", "user"),
            ("http://a b", "whitespace"),
            (" http://a", "whitespace"),
            ("http://a\n", "whitespace"),
            ("http://::1:50051", "brackets"),
            ("http://a^b", "host name"),
        ] {
            let why = parse(address).unwrap_err();
            assert!(why.contains(named), "{address}: {why}");
        }
    }
}
