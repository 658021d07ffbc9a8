//! The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): a proxy that does no more than pass on bytes
//! begins with a header that names its client.

use std::io::{self, Cursor};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, join};
use tokio::net::TcpStream;

/// The longest header, in bytes. One that includes a client certificate has about 3 KiB.
pub const PROXY_HEADER_BYTES_MAX: usize = 4 * 1024;

/// The beginning of a header of version 1. No HTTP request line begins like this.
const BEGIN_1: &[u8] = b"PROXY ";
/// The longest header of version 1, including the end of its line.
const BYTES_1_MAX: usize = 107;
/// The beginning of a header of version 2.
const BEGIN_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The offset at which the addresses begin, after the length.
const HEAD_2: usize = 16;

/// A header that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the PROXY header is malformed")]
pub struct MalformedHeader;

/// What the first bytes of a connection turn out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    /// More bytes are needed.
    Incomplete,
    /// Not a header.
    Other,
    /// A header and its length in bytes. Not every header names the client.
    Header { bytes: usize, client: Option<SocketAddr> },
}

/// Reads the header of a connection, if it has one. Returns the client that it names and the rest of
/// the connection.
///
/// # Errors
/// The connection's errors, and [`MalformedHeader`].
pub async fn accept(
    mut stream: TcpStream,
) -> io::Result<(Option<SocketAddr>, impl AsyncRead + AsyncWrite + Unpin + Send + 'static)> {
    let mut begun = BytesMut::with_capacity(BYTES_1_MAX);
    let client = loop {
        match parse(&begun).map_err(io::Error::other)? {
            Beginning::Incomplete => {
                if stream.read_buf(&mut begun).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Beginning::Other => break None,
            Beginning::Header { bytes, client } => {
                let _ = begun.split_to(bytes);
                break client;
            }
        }
    };
    let (read, write) = stream.into_split();
    Ok((client, join(Cursor::new(begun.freeze()).chain(read), write)))
}

fn parse(begun: &[u8]) -> Result<Beginning, MalformedHeader> {
    let begins = |with: &[u8]| begun.iter().zip(with).all(|(a, b)| a == b);
    if begins(BEGIN_1) {
        if begun.len() < BEGIN_1.len() { Ok(Beginning::Incomplete) } else { parse_1(begun) }
    } else if begins(BEGIN_2) {
        if begun.len() < HEAD_2 { Ok(Beginning::Incomplete) } else { parse_2(begun) }
    } else {
        Ok(Beginning::Other)
    }
}

fn parse_1(begun: &[u8]) -> Result<Beginning, MalformedHeader> {
    let Some(end) = begun.iter().take(BYTES_1_MAX).position(|byte| *byte == b'\n') else {
        return if begun.len() < BYTES_1_MAX { Ok(Beginning::Incomplete) } else { Err(MalformedHeader) };
    };
    let line = std::str::from_utf8(&begun[BEGIN_1.len()..end]).ok().and_then(|line| line.strip_suffix('\r'));
    let words: Vec<_> = line.ok_or(MalformedHeader)?.split(' ').collect();
    let client = match words[..] {
        ["UNKNOWN", ..] => None,
        [family @ ("TCP4" | "TCP6"), source, destination, port, destination_port] => {
            let address = |text: &str| text.parse().ok().filter(|ip: &IpAddr| ip.is_ipv4() == (family == "TCP4"));
            let port_of =
                |text: &str| text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
            let (_, _): (IpAddr, u16) =
                address(destination).zip(port_of(destination_port)).ok_or(MalformedHeader)?;
            Some(address(source).zip(port_of(port)).ok_or(MalformedHeader)?.into())
        }
        _ => return Err(MalformedHeader),
    };
    Ok(Beginning::Header { bytes: end + 1, client })
}

fn parse_2(begun: &[u8]) -> Result<Beginning, MalformedHeader> {
    let (version_and_command, family) = (begun[BEGIN_2.len()], begun[BEGIN_2.len() + 1]);
    let length = usize::from(u16::from_be_bytes([begun[HEAD_2 - 2], begun[HEAD_2 - 1]]));
    if HEAD_2 + length > PROXY_HEADER_BYTES_MAX {
        return Err(MalformedHeader);
    }
    let Some(addresses) = begun.get(HEAD_2..HEAD_2 + length) else { return Ok(Beginning::Incomplete) };
    let client = match (version_and_command, family) {
        // The proxy's own connection, such as a health check.
        (0x20, _) => None,
        // Source, destination and their ports. The rest is not used.
        (0x21, 0x11) => {
            let (ip, port) = addresses.first_chunk::<4>().zip(port_2(addresses, 8)).ok_or(MalformedHeader)?;
            Some((Ipv4Addr::from(*ip), port).into())
        }
        (0x21, 0x21) => {
            let (ip, port) = addresses.first_chunk::<16>().zip(port_2(addresses, 32)).ok_or(MalformedHeader)?;
            Some((Ipv6Addr::from(*ip), port).into())
        }
        // Unspecified, and Unix sockets.
        (0x21, 0x00 | 0x31) => None,
        _ => return Err(MalformedHeader),
    };
    Ok(Beginning::Header { bytes: HEAD_2 + length, client })
}

/// The source's port. The destination's follows it.
fn port_2(addresses: &[u8], at: usize) -> Option<u16> {
    let [high, low, ..] = addresses.get(at..at + 4)? else { return None };
    Some(u16::from_be_bytes([*high, *low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(bytes: usize, client: &str) -> Result<Beginning, MalformedHeader> {
        Ok(Beginning::Header { bytes, client: Some(client.parse().unwrap()) })
    }

    fn version_2(version_and_command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = (addresses.len() as u16).to_be_bytes();
        [BEGIN_2, &[version_and_command, family], &length, addresses].concat()
    }

    #[test]
    fn a_header_of_version_1_names_the_client() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n";
        assert_eq!(parse(&[&line[..], b"GET / HTTP/1.1\r\n"].concat()), header(line.len(), "192.0.2.1:4711"));
        let line = b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n";
        assert_eq!(parse(line), header(line.len(), "[2001:db8::1]:4711"));
        for line in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"] {
            assert_eq!(parse(line), Ok(Beginning::Header { bytes: line.len(), client: None }));
        }
    }

    #[test]
    fn a_header_of_version_2_names_the_client() {
        let addresses = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 0x01, 0xbb, 0x04, 0, 1, 0];
        let whole = version_2(0x21, 0x11, &addresses);
        assert_eq!(parse(&whole), header(whole.len(), "192.0.2.1:4711"));
        let ip: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let whole = version_2(0x21, 0x21, &[&ip.octets()[..], &[0; 16], &[0x12, 0x67, 0, 0]].concat());
        assert_eq!(parse(&whole), header(whole.len(), "[2001:db8::1]:4711"));
        for whole in [
            version_2(0x20, 0, &[]),
            version_2(0x20, 0x11, &addresses),
            version_2(0x21, 0, &[]),
            version_2(0x21, 0x31, &[0; 216]),
        ] {
            assert_eq!(parse(&whole), Ok(Beginning::Header { bytes: whole.len(), client: None }));
        }
    }

    #[test]
    fn a_header_may_come_in_pieces() {
        for whole in [b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n".to_vec(), version_2(0x21, 0x11, &[7; 12])]
        {
            for end in 0..whole.len() {
                assert_eq!(parse(&whole[..end]), Ok(Beginning::Incomplete), "{end}");
            }
            assert!(matches!(parse(&whole), Ok(Beginning::Header { .. })));
        }
    }

    #[test]
    fn bytes_that_are_not_a_header_are_left_alone() {
        for begun in
            [&b"PRI * HTTP/2.0\r\n"[..], b"GET /", b"POST /", b"PUT /", b"PROPFIND /", b"\x16\x03\x01", b"\r\nGET"]
        {
            assert_eq!(parse(begun), Ok(Beginning::Other), "{begun:?}");
        }
    }

    #[test]
    fn a_malformed_header_is_refused() {
        for line in [
            &b"PROXY \r\n"[..],
            b"PROXY TCP4\r\n",
            b"PROXY TCP5 192.0.2.1 198.51.100.1 4711 443\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 4711\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443 1\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 +1 443\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
            b"PROXY TCP4 ::1 198.51.100.1 4711 443\r\n",
            b"PROXY TCP6 ::1 192.0.2.1 4711 443\r\n",
            b"PROXY TCP4 192.0.2.1  4711 443\r\n",
            b"PROXY TCP4 \xff 198.51.100.1 4711 443\r\n",
            &[b"PROXY UNKNOWN ", &[b'x'; 200][..], b"\r\n"].concat(),
            &[b"PROXY ", &[b'x'; 101][..]].concat(),
        ] {
            assert_eq!(parse(line), Err(MalformedHeader), "{:?}", String::from_utf8_lossy(line));
        }
        for whole in [
            version_2(0x11, 0x11, &[0; 12]),
            version_2(0x22, 0x11, &[0; 12]),
            version_2(0x21, 0x12, &[0; 12]),
            version_2(0x21, 0x99, &[0; 12]),
            version_2(0x21, 0x11, &[0; 11]),
            version_2(0x21, 0x21, &[0; 35]),
            version_2(0x21, 0x00, &[0; PROXY_HEADER_BYTES_MAX]),
        ] {
            assert_eq!(parse(&whole), Err(MalformedHeader), "{whole:?}");
        }
    }
}
