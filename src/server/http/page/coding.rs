//! Which content coding a browser is sent: what `Accept-Encoding` asks for (RFC 9110, section 12.5.3).

use http::{HeaderMap, header};

/// A coding that the page's files exist in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Brotli,
    Gzip,
    Identity,
}

impl Coding {
    /// In ascending order of preference among equal weights.
    const ALL: [Coding; 3] = [Coding::Identity, Coding::Gzip, Coding::Brotli];

    /// Its name in `Content-Encoding`, and the other name by which a client may ask for it.
    fn names(self) -> [&'static str; 2] {
        match self {
            Coding::Brotli => ["br", "br"],
            Coding::Gzip => ["gzip", "x-gzip"],
            Coding::Identity => ["identity", "identity"],
        }
    }

    /// The value of `Content-Encoding`; `None` for the file as it is.
    pub fn header(self) -> Option<&'static str> {
        (self != Coding::Identity).then_some(self.names()[0])
    }
}

/// The coding with the greatest weight in these headers; among equals, the one with the smaller files. `None` if none is
/// acceptable: even the file as it is can be refused.
pub fn choose(headers: &HeaderMap) -> Option<Coding> {
    let values = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    let listed: Vec<(String, u16)> = values.flat_map(|value| value.split(',')).filter_map(listed).collect();
    let weight = |coding: Coding| {
        let named = listed.iter().find(|(name, _)| coding.names().contains(&name.as_str()));
        named.or_else(|| listed.iter().find(|(name, _)| name == "*")).map(|(_, weight)| *weight)
    };
    let weighted = Coding::ALL.into_iter().filter(|coding| weight(*coding) > Some(0));
    let unlisted = || weight(Coding::Identity).is_none().then_some(Coding::Identity);
    weighted.max_by_key(|coding| weight(*coding)).or_else(unlisted)
}

/// One element of the list: its name, and its weight in thousandths. `None` if it cannot be read.
fn listed(element: &str) -> Option<(String, u16)> {
    let mut parts = element.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
    let Some(parameter) = parts.next() else { return Some((name, 1000)) };
    let (key, value) = parameter.split_once('=')?;
    let weight: f32 = value.parse().ok().filter(|weight| (0.0..=1.0).contains(weight))?;
    // A tiny weight with too many digits still accepts the coding.
    key.eq_ignore_ascii_case("q").then_some((name, (weight * 1000.0).ceil() as u16))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::{Coding, choose};

    /// The coding with the greatest weight is sent, the smaller one among equals, and never a refused one.
    #[test]
    fn weights() {
        use Coding::{Brotli, Gzip, Identity};
        for (accepted, expected) in [
            ("gzip, deflate, br, zstd", Some(Brotli)),
            ("gzip, deflate", Some(Gzip)),
            ("X-GZIP", Some(Gzip)),
            ("br;q=0.5, gzip;q=0.8", Some(Gzip)),
            ("br;q=0.5,gzip;q=0.8,identity", Some(Identity)),
            ("gzip;q=0.001", Some(Gzip)),
            ("br;q=0, gzip ; Q=0.2", Some(Gzip)),
            ("*", Some(Brotli)),
            ("br;q=0, *", Some(Gzip)),
            ("*;q=0", None),
            ("*;q=0, gzip", Some(Gzip)),
            ("identity;q=0", None),
            ("identity;q=0, br", Some(Brotli)),
            ("deflate, zstd", Some(Identity)),
            ("br;q=2, gzip;q=x, br;q=NaN, gzip;w=1", Some(Identity)),
            ("", Some(Identity)),
            (",;,=", Some(Identity)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(choose(&headers), expected, "{accepted:?}");
        }
    }

    /// Without the header the file is sent as it is; several headers are one list.
    #[test]
    fn none_and_several() {
        let mut headers = HeaderMap::new();
        assert_eq!(choose(&headers), Some(Coding::Identity));
        for value in ["br;q=0.1", "gzip"] {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
        }
        assert_eq!(choose(&headers), Some(Coding::Gzip));
    }
}
