//! The origin of a request.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The other end of a connection, or the client that the PROXY protocol names, in the extensions of its requests.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Marks, in a request's extensions, that it came through a trusted proxy: its `X-Forwarded-` headers count.
#[derive(Clone, Copy, Debug)]
pub struct Proxied;

/// A client's address. An HTTP proxy does not forward the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    pub ip: IpAddr,
    /// The port, if it is known.
    pub port: Option<u16>,
}

impl From<SocketAddr> for ClientAddress {
    fn from(address: SocketAddr) -> Self {
        Self { ip: address.ip(), port: Some(address.port()) }
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

/// The address that limits count for: for IPv6 the /64 network, since one host may use all of it.
pub fn limited_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// Where a request comes from, for limits and log records.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The client, if it is known; behind a proxy that is not trusted, the proxy.
    pub peer: ClientAddress,
    pub transport: Transport,
}

impl Origin {
    /// The address for which limits count.
    pub fn address(&self) -> IpAddr {
        limited_address(self.peer.ip)
    }
}

/// The protocol between a client and the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web, over HTTP/1.1 or HTTP/2.
    GrpcWeb,
    /// Plain HTTP: the page, and the operators' paths.
    Http,
}

impl Transport {
    /// The transport that a request's content type indicates.
    pub fn of(content_type: &[u8]) -> Self {
        if content_type.starts_with(b"application/grpc-web") {
            Self::GrpcWeb
        } else if content_type.starts_with(b"application/grpc") {
            Self::Grpc
        } else {
            Self::Http
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc-web",
            Self::Http => "http",
        })
    }
}
