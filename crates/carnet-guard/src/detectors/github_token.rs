//! Tokens of GitHub: `ghp_`, `gho_`, `ghu_`, `ghs_` and `ghr_` with 36 letters and digits, and `github_pat_` with 22 and 59
//! ("Behind GitHub's new authentication token formats", github.blog; the second form is that of fine-grained tokens).

use crate::detection::Confidence;
use crate::text::{Place, ends_after, run};

/// Bytes behind the prefix of a classic token.
const CLASSIC: usize = 36;
/// Bytes of both parts of a fine-grained one.
const FINE_GRAINED: [usize; 2] = [22, 59];

/// Asked at a `_`.
pub(crate) fn find(place: Place<'_>) -> Option<Confidence> {
    let is = is_classic(place) || is_fine_grained(place);
    is.then_some(Confidence::High)
}

fn is_classic(place: Place<'_>) -> bool {
    let Some(start) = place.word_start(3) else {
        return false;
    };
    match start.rest() {
        [
            b'g',
            b'h',
            b'o' | b'p' | b'r' | b's' | b'u',
            b'_',
            token @ ..,
        ] => is_part(token, CLASSIC),
        _ => false,
    }
}

/// At the first `_` of its prefix.
fn is_fine_grained(place: Place<'_>) -> bool {
    let token = place
        .word_start(6)
        .and_then(|start| start.rest().strip_prefix(b"github_pat_"));
    let Some(token) = token else {
        return false;
    };
    let [id, secret] = FINE_GRAINED;
    let rest = token.get(id..).and_then(|rest| rest.strip_prefix(b"_"));
    run(token, |byte| byte.is_ascii_alphanumeric()) == id
        && rest.is_some_and(|rest| is_part(rest, secret))
}

fn is_part(token: &[u8], bytes: usize) -> bool {
    run(token, |byte| byte.is_ascii_alphanumeric()) == bytes && ends_after(token, bytes)
}
