//! Where a request comes from: the peer of its connection, or whom the trusted proxies in front name.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use carnet_limits::Network;
use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

use crate::limits::PROXIES_MAX;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies that stand in front of the listener and are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Where they are.
    pub networks: Vec<Network>,
    /// Where they say from whom a request is.
    pub header: ProxyHeader,
}

/// The header in which a proxy names the address that it was asked from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `Forwarded`, as RFC 7239 has it.
    Forwarded,
    /// `X-Forwarded-For`: addresses with commas between them.
    #[default]
    XForwardedFor,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The caller's address; none when the proxies in front do not tell it.
    pub(crate) address: Option<IpAddr>,
    /// The last address on the way from there that is known.
    pub(crate) nearest: IpAddr,
}

impl TrustedProxies {
    /// Where a request comes from that reached us from `peer`.
    ///
    /// Each proxy writes behind what it got, so from the end on everything is true up to the first
    /// address that is not of a trusted proxy; what stands before that anybody may have written.
    pub(crate) fn source(&self, peer: IpAddr, headers: &HeaderMap) -> Source {
        let peer = peer.to_canonical();
        if !self.trust(peer) {
            return Source {
                address: Some(peer),
                nearest: peer,
            };
        }
        let mut source = Source {
            address: None,
            nearest: peer,
        };
        let name = match self.header {
            ProxyHeader::Forwarded => FORWARDED,
            ProxyHeader::XForwardedFor => X_FORWARDED_FOR,
        };
        let values = headers.get_all(name).iter().rev();
        // A value that is no text is one element that names nobody.
        let hops = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
        for (count, hop) in hops.enumerate() {
            source.address = self.named(hop).filter(|_| count < PROXIES_MAX);
            let Some(address) = source.address else {
                return source;
            };
            source.nearest = address;
            if !self.trust(address) {
                return source;
            }
        }
        source
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.has(address))
    }

    fn named(&self, hop: &str) -> Option<IpAddr> {
        match self.header {
            ProxyHeader::Forwarded => {
                let mut nodes = hop.split(';').filter_map(|pair| {
                    let (name, node) = pair.split_once('=')?;
                    name.trim().eq_ignore_ascii_case("for").then_some(node)
                });
                // Named twice it is named by nobody.
                let node = nodes.next().filter(|_| nodes.next().is_none())?.trim();
                let quoted = node.strip_prefix('"').map(|node| node.strip_suffix('"'));
                address(quoted.unwrap_or(Some(node))?)
            }
            ProxyHeader::XForwardedFor => address(hop.trim()),
        }
    }
}

/// An address as proxies write it: alone, with a port, or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.parse().ok();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let in_brackets = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    };
    let address: Option<IpAddr> = bare().or_else(with_port).or_else(in_brackets);
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn proxies(header: ProxyHeader) -> TrustedProxies {
        TrustedProxies {
            networks: ["10.0.0.0/8", "2001:db8::/32"]
                .map(|text| text.parse().unwrap())
                .into(),
            header,
        }
    }

    fn source(header: ProxyHeader, peer: &str, values: &[&str]) -> Source {
        let name = match header {
            ProxyHeader::Forwarded => "forwarded",
            ProxyHeader::XForwardedFor => "x-forwarded-for",
        };
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        proxies(header).source(peer.parse().unwrap(), &headers)
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        for (peer, values, address) in [
            ("192.0.2.1", &["10.0.0.1"][..], Some("192.0.2.1")),
            ("::ffff:192.0.2.1", &[], Some("192.0.2.1")),
            ("10.0.0.1", &["192.0.2.1"], Some("192.0.2.1")),
            ("::ffff:10.0.0.1", &["192.0.2.1"], Some("192.0.2.1")),
            ("10.0.0.1", &["192.0.2.66, 192.0.2.1"], Some("192.0.2.1")),
            ("10.0.0.1", &["192.0.2.66", "192.0.2.1"], Some("192.0.2.1")),
            (
                "10.0.0.1",
                &["192.0.2.1, 10.0.0.2 ,10.0.0.3"],
                Some("192.0.2.1"),
            ),
            (
                "10.0.0.1",
                &["garbage, 192.0.2.1,2001:db8::2"],
                Some("192.0.2.1"),
            ),
            ("10.0.0.1", &["192.0.2.1:4711"], Some("192.0.2.1")),
            ("10.0.0.1", &["[2001:db9::1]:80"], Some("2001:db9::1")),
            ("10.0.0.1", &["[2001:db9::1]"], Some("2001:db9::1")),
            ("10.0.0.1", &["10.0.0.7"], Some("10.0.0.7")),
            ("10.0.0.1", &[], None),
            ("10.0.0.1", &[""], None),
            ("10.0.0.1", &["192.0.2.1,"], None),
            ("10.0.0.1", &["192.0.2.1, unknown, 10.0.0.2"], None),
        ] {
            let found = source(ProxyHeader::XForwardedFor, peer, values);
            let wanted = address.map(|address| address.parse().unwrap());
            assert_eq!(found.address, wanted, "{peer} {values:?}");
        }
        let hidden = source(
            ProxyHeader::XForwardedFor,
            "10.0.0.1",
            &["unknown, 10.0.0.2"],
        );
        assert_eq!(hidden.nearest, IpAddr::from([10, 0, 0, 2]));
    }

    #[test]
    fn the_standard_header_is_read_as_it_is_written() {
        for (value, address) in [
            ("for=192.0.2.1", Some("192.0.2.1")),
            ("For=\"192.0.2.1:80\"; proto=https", Some("192.0.2.1")),
            ("proto=http;for=\"[2001:db9::1]:80\"", Some("2001:db9::1")),
            ("for=192.0.2.66, for=192.0.2.1", Some("192.0.2.1")),
            ("for=\"192.0.2.66, for=192.0.2.1", Some("192.0.2.1")),
            ("for=192.0.2.1, for=10.0.0.2;by=10.0.0.1", Some("192.0.2.1")),
            ("for=unknown", None),
            ("for=_hidden", None),
            ("for=\"192.0.2.1", None),
            ("for=192.0.2.1;for=192.0.2.2", None),
            ("by=192.0.2.1", None),
            ("192.0.2.1", None),
        ] {
            let found = source(ProxyHeader::Forwarded, "10.0.0.1", &[value]);
            let wanted = address.map(|address| address.parse().unwrap());
            assert_eq!(found.address, wanted, "{value}");
        }
    }

    #[test]
    fn a_way_through_too_many_proxies_is_not_followed() {
        let long = vec!["10.0.0.2"; PROXIES_MAX];
        let end = |hops: &[&str]| {
            let value = format!("192.0.2.1, {}", hops.join(","));
            source(ProxyHeader::XForwardedFor, "10.0.0.1", &[&value]).address
        };
        assert_eq!(end(&long), None);
        assert!(end(&long[1..]).is_some());
    }

    #[test]
    fn without_proxies_the_peer_is_the_caller() {
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.1"));
        let peer = IpAddr::from([127, 0, 0, 1]);
        let source = TrustedProxies::default().source(peer, &headers);
        assert_eq!(source.address, Some(peer));
    }
}
