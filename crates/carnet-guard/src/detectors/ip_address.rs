//! Addresses of IP version 4. Numbers of versions have the same shape.

use std::net::Ipv4Addr;

use crate::detection::Confidence;
use crate::text::{Place, ends_after, run};

/// Words before a number that is none.
const VERSIONS: &[&str] = &["build", "release", "version"];

/// Asked at the first digit of a word; returns its length too.
pub(crate) fn find(place: Place<'_>) -> Option<(usize, Confidence)> {
    let text = place.rest();
    let mut octets = [Some(0_u8); 4];
    let mut at = 0;
    for (number, octet) in octets.iter_mut().enumerate() {
        if number > 0 {
            if text.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
        let rest = text.get(at..)?;
        let digits = run(rest.get(..rest.len().min(4))?, |byte| byte.is_ascii_digit());
        if !(1..=3).contains(&digits) {
            return None;
        }
        let told = std::str::from_utf8(rest.get(..digits)?).ok()?;
        *octet = told.parse().ok();
        at += digits;
    }
    if !ends_after(text, at) {
        return None;
    }
    let part_of_more =
        place.before().ends_with(b".") || matches!(text.get(at..), Some([b'.', b'0'..=b'9', ..]));
    let address = match octets {
        [Some(a), Some(b), Some(c), Some(d)] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    };
    let public = address.is_some_and(is_public);
    let sure = public && !part_of_more && !place.is_called(VERSIONS);
    let confidence = if sure {
        Confidence::Medium
    } else {
        Confidence::Low
    };
    Some((at, confidence))
}

/// Whether an address can be that of somebody's line (the registry of special-purpose addresses, RFC 6890).
fn is_public(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let benchmark = a == 198 && (b == 18 || b == 19);
    !(a == 0
        || a >= 240
        || shared
        || benchmark
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}
