//! Private keys in PEM (RFC 7468; OpenSSH and older tools put their own words before `PRIVATE KEY`).

use crate::detection::Confidence;
use crate::limits::PEM_LABEL_BYTES;
use crate::text::{Place, run};

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"PRIVATE KEY-----";

/// Asked at a `-`.
pub(crate) fn find(place: Place<'_>) -> Option<Confidence> {
    let label = place.rest().strip_prefix(BEGIN)?;
    let words = run(label.get(..label.len().min(PEM_LABEL_BYTES))?, |byte| {
        byte.is_ascii_uppercase() || byte == b' '
    });
    let to_end = label.get(..label.len().min(words + 5))?;
    to_end.ends_with(END).then_some(Confidence::High)
}
