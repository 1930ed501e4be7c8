//! Which addresses a name may lead to: resolve once, check, connect to exactly what was checked.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use hyper_util::client::legacy::connect::dns::Name;
use thiserror::Error;
use tower_service::Service;

/// A name that leads to an address which its entry does not allow.
#[derive(Debug, Error)]
#[error("`{name}` resolves to the private address {address}")]
pub(crate) struct AddressRefused {
    name: String,
    address: IpAddr,
}

/// Resolves a name for one dial and refuses private addresses unless the operator allowed them.
///
/// A public name that suddenly leads into the operator's own network is how a changed DNS record
/// would turn the gateway against it.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    pub(crate) private_addresses: bool,
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let private_addresses = self.private_addresses;
        Box::pin(async move {
            let addresses: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if !private_addresses
                && let Some(private) = addresses.iter().find(|address| !is_public(address.ip()))
            {
                return Err(AddressRefused {
                    name: name.as_str().to_owned(),
                    address: private.ip(),
                }
                .into());
            }
            Ok(addresses.into_iter())
        })
    }
}

/// Whether an address is one of the public Internet, also when it is wrapped in IPv6.
///
/// Ranges by the IANA special-purpose address registries (RFC 6890 and its updates).
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol = a == 192 && b == 0 && c == 0;
    let benchmark = a == 198 && (b == 18 || b == 19);
    // The way into 6to4 (RFC 7526), which nobody runs any more.
    let relays = a == 192 && b == 88 && c == 99;
    !(a == 0
        || a >= 240
        || shared
        || protocol
        || benchmark
        || relays
        || v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation())
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    if let Some(v4) = v6.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let segments = v6.segments();
    let [first, second, third, fourth, _, _, seventh, eighth] = segments;
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (first, second) {
        // IPv4-compatible, unspecified and loopback.
        (0, 0) if third == 0 && fourth == 0 => false,
        // NAT64 (RFC 6052) and its local-use prefix (RFC 8215), 6to4 (RFC 3056).
        (0x64, 0xff9b) if third == 0 => inner(seventh, eighth),
        (0x64, 0xff9b) => false,
        (0x2002, high) => inner(high, third),
        // Teredo, and the other protocols and benchmarks of 2001::/23 (RFC 2928).
        (0x2001, second) if second < 0x200 => false,
        // Examples (RFC 3849, RFC 9637).
        (0x2001, 0xdb8) => false,
        (0x3fff, second) if second < 0x1000 => false,
        // Discarded (RFC 6666), and segments of routes (RFC 9602).
        (0x100, 0) => false,
        (0x5f00, _) => false,
        _ => {
            first & 0xfe00 != 0xfc00
                && first & 0xffc0 != 0xfe80
                && first & 0xffc0 != 0xfec0
                && first & 0xff00 != 0xff00
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_in_every_wrapping() {
        let private = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.168.1.1",
            "192.88.99.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::808:808",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001::1",
            "2001:2::1",
            "2001:20::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
            "100::1",
            "::ffff:0:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::6440:1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for text in private {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2001:200::1",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
