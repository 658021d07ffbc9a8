//! Where a request came from.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::chat::ParticipantId;
use crate::record::record;
use crate::wire::Reason;

/// The two ends of a connection, in the extensions of its requests.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Theirs.
    pub remote: SocketAddr,
    /// Ours.
    pub local: SocketAddr,
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
    /// The address for which limits count: of an IPv6 address the network, all of which one host may use.
    pub fn address(&self) -> IpAddr {
        match self.peer.ip().to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        }
    }

    /// Records that a request was refused, and why. Of a path, the last part is the method.
    pub fn record_refusal(&self, path: &str, participant: Option<ParticipantId>, reason: Reason) {
        record!(
            INFO,
            "server",
            "request_refused",
            method = path.rsplit('/').next(),
            peer = %self.peer,
            transport = %self.transport,
            participant_id = participant.map(|id| id.to_string()),
            reason = reason.as_str(),
        );
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
