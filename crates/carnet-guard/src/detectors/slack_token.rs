//! Tokens of Slack: `xoxb-`, `xoxp-`, `xoxa-` and `xoxr-` ("Tokens", docs.slack.dev).

use crate::detection::Confidence;
use crate::text::{Place, run};

/// Bytes behind the prefix, at the least.
const BYTES_MIN: usize = 10;

/// Asked at the first `-`; returns the bytes behind it too.
pub(crate) fn find(place: Place<'_>) -> Option<(usize, Confidence)> {
    let start = place.word_start(4)?;
    let [
        b'x',
        b'o',
        b'x',
        b'a' | b'b' | b'p' | b'r',
        b'-',
        token @ ..,
    ] = start.rest()
    else {
        return None;
    };
    let bytes = run(token, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let token = token
        .get(..bytes)
        .filter(|token| token.len() >= BYTES_MIN)?;
    let confidence = if token.iter().any(u8::is_ascii_digit) {
        Confidence::High
    } else {
        Confidence::Low
    };
    Some((bytes, confidence))
}
