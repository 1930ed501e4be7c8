//! JSON Web Tokens in compact form (RFC 7519, RFC 7515 section 3.1): two parts that begin as JSON objects do in base64url,
//! and a third.

use crate::detection::Confidence;
use crate::text::{Place, is_word, run};

/// How `{"` begins in base64url.
const OBJECT: &[u8] = b"eyJ";
/// Bytes of a part behind that, at the least.
const BYTES_MIN: usize = 10;

/// Asked at the `J` of the second part: the first is then read once, whatever is in it.
pub(crate) fn find(place: Place<'_>) -> Option<Confidence> {
    let claims = run(place.rest().get(1..)?.get(..BYTES_MIN)?, is_base64url);
    let before = place.before().strip_suffix(b".ey")?;
    let header = before
        .iter()
        .rev()
        .take_while(|byte| is_base64url(**byte))
        .count();
    let header = before.get(before.len() - header..)?;
    let starts = |at: usize| at == 0 || header.get(at - 1) == Some(&b'-');
    let mut objects = header
        .windows(OBJECT.len())
        .enumerate()
        .filter(|(_, part)| *part == OBJECT);
    let long = |at: usize| header.len() - at >= OBJECT.len() + BYTES_MIN;
    let begins = objects.any(|(at, _)| starts(at) && long(at));
    (begins && claims == BYTES_MIN).then_some(Confidence::High)
}

fn is_base64url(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}
