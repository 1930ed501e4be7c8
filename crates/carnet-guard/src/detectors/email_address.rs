//! E-mail addresses: a local part without quotes, and a domain with a dot (RFC 5321, 4.1.2).
//!
//! That it is an address is nearly sure; whether it is that of a person is not, so no address is more than medium.

use crate::detection::Confidence;
use crate::limits::{EMAIL_BYTES, TOP_LEVEL_LETTERS};
use crate::text::{Place, ends_after, run};

/// Whose address is that of a function (most after RFC 2142) or of a tool.
const FUNCTIONS: &[&str] = &[
    "abuse",
    "accounts",
    "admin",
    "billing",
    "careers",
    "contact",
    "enquiries",
    "git",
    "hello",
    "help",
    "helpdesk",
    "hr",
    "info",
    "invoices",
    "jobs",
    "mail",
    "marketing",
    "news",
    "newsletter",
    "no-reply",
    "noreply",
    "office",
    "orders",
    "postmaster",
    "press",
    "privacy",
    "root",
    "sales",
    "security",
    "service",
    "support",
    "team",
    "webmaster",
];
/// Domains that belong to nobody (RFC 2606).
const EXAMPLES: &[&str] = &["example.com", "example.net", "example.org"];

/// Asked at the `@`.
pub(crate) fn find(place: Place<'_>) -> Option<Confidence> {
    let before = place.before();
    let in_local = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-')
    };
    let local = before.iter().rev().take_while(|byte| in_local(byte));
    let local = local.take(EMAIL_BYTES.0).count();
    let local = before
        .get(before.len() - local..)
        .filter(|local| !local.is_empty())?;
    let domain = place.rest().get(1..)?;
    let domain = domain.get(..domain_bytes(domain)?)?;
    let is_one_of = |words: &[&str], part: &[u8]| {
        let mut words = words.iter();
        words.any(|word| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    let doubtful = is_one_of(FUNCTIONS, local)
        || is_one_of(EXAMPLES, domain)
        || domain.windows(2).any(|pair| pair == b"..")
        || !domain.first().is_some_and(u8::is_ascii_alphanumeric)
        || !local.iter().any(u8::is_ascii_alphanumeric);
    Some(if doubtful {
        Confidence::Low
    } else {
        Confidence::Medium
    })
}

/// The bytes of the longest domain at the start of a text.
fn domain_bytes(text: &[u8]) -> Option<usize> {
    let in_domain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let (_, bytes_max) = EMAIL_BYTES;
    let near = text.get(..text.len().min(bytes_max + 1 + TOP_LEVEL_LETTERS.1));
    let reach = run(near.unwrap_or_default(), in_domain);
    let dots = (1..reach).rev().filter(|at| text.get(*at) == Some(&b'.'));
    let mut ends = dots.filter_map(|dot| {
        let top = text.get(dot + 1..)?;
        let letters = run(top.get(..top.len().min(TOP_LEVEL_LETTERS.1 + 1))?, |byte| {
            byte.is_ascii_alphabetic()
        });
        let fits = (TOP_LEVEL_LETTERS.0..=TOP_LEVEL_LETTERS.1).contains(&letters);
        (fits && ends_after(top, letters)).then_some(dot + 1 + letters)
    });
    ends.next()
}
