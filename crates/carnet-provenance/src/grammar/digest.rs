//! Digests: `sha256:…` of weights or of a store's manifest, alone or behind a name and `@`.

use crate::grammar::Reading;

/// The platform of digests: they mean the same wherever they stand.
pub(crate) const DIGEST: &str = "digest";

const ALGORITHM: &str = "sha256";
/// Digits of a whole digest.
const WHOLE: usize = 64;
/// Digits that Ollama shows of one.
const SHORT: usize = 12;

/// A digest as the registry writes it: `sha256:` and 64 small digits.
pub(crate) fn is_digest(text: &str) -> bool {
    let digits = text
        .strip_prefix(ALGORITHM)
        .and_then(|rest| rest.strip_prefix(':'));
    digits.is_some_and(|digits| is_hex(digits, WHOLE) && *digits == digits.to_ascii_lowercase())
}

/// The part of a digest that Ollama shows.
pub(crate) fn short(digest: &str) -> Option<&str> {
    digest.get(..ALGORITHM.len().saturating_add(1).saturating_add(SHORT))
}

/// Read an id as a digest, if it is one. A short one is read only where such stand.
pub(super) fn read(id: &str, platform: Option<&str>, reading: &mut Reading) -> bool {
    let (name, digest) = id.rsplit_once('@').unwrap_or(("", id));
    let marked = digest
        .strip_prefix(ALGORITHM)
        .and_then(|rest| rest.strip_prefix([':', '-']));
    let digits = marked.unwrap_or(digest);
    let shown = is_hex(digits, SHORT) && matches!(platform, Some(DIGEST | "ollama"));
    if !is_hex(digits, WHOLE) && !shown {
        return false;
    }
    if !name.is_empty() {
        reading.step(format!(
            "`{name}` in front of the digest says nothing that the digest does not"
        ));
    }
    reading.form(&format!("{ALGORITHM}:{digits}"));
    reading.platform = Some(DIGEST.to_owned());
    reading.opaque = Some("no source says which model has this digest");
    true
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
