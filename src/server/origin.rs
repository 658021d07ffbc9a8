//! Where a request came from.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The two ends of a connection, in the extensions of its requests.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Theirs.
    pub remote: SocketAddr,
    /// Ours.
    pub local: SocketAddr,
}

/// The address for which limits count: of an IPv6 address the network, all of which one host may use.
pub fn limited_address(peer: SocketAddr) -> IpAddr {
    match peer.ip().to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// Where a request came from, for the log records.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// How it speaks.
    pub transport: Transport,
}

impl Origin {
    /// The address for which limits count.
    pub fn address(&self) -> IpAddr {
        limited_address(self.peer)
    }
}

/// How a client speaks to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web, over HTTP/1.1 or HTTP/2.
    GrpcWeb,
}

impl Transport {
    /// By a request's content type.
    pub fn of(content_type: &[u8]) -> Self {
        if content_type.starts_with(b"application/grpc-web") { Self::GrpcWeb } else { Self::Grpc }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc-web",
        })
    }
}
