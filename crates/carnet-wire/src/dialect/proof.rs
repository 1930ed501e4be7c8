//! Proofs of reasoning on their way through dialects that take them for base64: their clients undo it and write it
//! anew, some in the other alphabet. A proof must come back letter for letter, so one that would not is wrapped.

use std::borrow::Cow;

use crate::json::Text;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// What a wrapped proof begins with, in base64: `proofs`, which are whole groups, so that it can be told by them.
const MARK: &str = "cHJvb2Zz";

/// A proof as base64.
pub(crate) fn wrap<'p>(proof: &'p Text<'_>) -> Text<'p> {
    if is_canonical(proof.token()) && !proof.token().starts_with(MARK) {
        return proof.borrowed();
    }
    let plain = proof.plain();
    let mut out = String::with_capacity(MARK.len() + plain.len().div_ceil(3) * 4);
    out.push_str(MARK);
    encode(plain.as_bytes(), &mut out);
    Text::new(&out).into_owned()
}

/// The proof that was wrapped, or the same one.
pub(crate) fn unwrap(given: Text<'_>) -> Text<'_> {
    let token = if given.token().contains(['-', '_']) {
        Cow::Owned(given.token().replace('-', "+").replace('_', "/"))
    } else {
        Cow::Borrowed(given.token())
    };
    let wrapped = token.strip_prefix(MARK).and_then(decode);
    match (wrapped, token) {
        (Some(plain), _) => Text::new(&plain).into_owned(),
        (None, Cow::Owned(standard)) => Text::new(&standard).into_owned(),
        (None, Cow::Borrowed(_)) => given,
    }
}

/// Whether base64 reads as the bytes that are written so again.
fn is_canonical(text: &str) -> bool {
    let letters = text.trim_end_matches('=');
    let spare = match text.len() - letters.len() {
        0 => 0,
        1 => 0b11,
        2 => 0b1111,
        _ => return false,
    };
    let last = letters.bytes().next_back().and_then(value);
    text.len().is_multiple_of(4)
        && last.is_none_or(|last| last & spare == 0)
        && letters.bytes().all(|letter| value(letter).is_some())
}

fn value(letter: u8) -> Option<u32> {
    Some(match letter {
        b'A'..=b'Z' => u32::from(letter - b'A'),
        b'a'..=b'z' => u32::from(letter - b'a') + 26,
        b'0'..=b'9' => u32::from(letter - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

fn encode(bytes: &[u8], out: &mut String) {
    for group in bytes.chunks(3) {
        let all = (0..3).fold(0, |all, at| {
            all << 8 | u32::from(group.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            let digit = usize::try_from(all >> (18 - 6 * at) & 63).unwrap_or_default();
            let letter = STANDARD.get(digit).filter(|_| at <= group.len());
            out.push(letter.map_or('=', |letter| char::from(*letter)));
        }
    }
}

fn decode(text: &str) -> Option<String> {
    let letters = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(letters.len() / 4 * 3 + 2);
    for group in letters.chunks(4) {
        let mut all = 0;
        for at in 0..4 {
            all = all << 6 | group.get(at).map_or(Some(0), |letter| value(*letter))?;
        }
        let [_, decoded @ ..] = all.to_be_bytes();
        bytes.extend_from_slice(decoded.get(..group.len().saturating_sub(1))?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use base64::prelude::*;

    use super::*;

    #[test]
    fn a_proof_comes_back_letter_for_letter_from_whoever_writes_it_anew() {
        for proof in [
            "",
            "QUJD",
            "QUI=",
            "QQ==",
            "QR==",
            "QUJ",
            "+/+/",
            "-_-_",
            "gAAA-b_c=",
            "cHJvb2Zz",
            "cHJvb2ZzQUJD",
            "no base64 at all",
            "\"é\n",
        ] {
            let text = Text::new(proof);
            let wrapped = wrap(&text);
            let bytes = BASE64_STANDARD.decode(wrapped.token()).unwrap();
            for written in [
                BASE64_STANDARD.encode(&bytes),
                BASE64_URL_SAFE.encode(&bytes),
            ] {
                assert_eq!(unwrap(Text::new(&written)), text, "{proof}");
            }
        }
        assert_eq!(BASE64_STANDARD.encode("proofs"), MARK);
        let own = Text::new("QUJD");
        assert_eq!(wrap(&own), own);
    }
}
