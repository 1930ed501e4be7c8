//! Ids of AWS access keys: `AKIA` and sixteen capitals and digits ("Understanding unique ID prefixes" of the IAM user guide).

use crate::detection::Confidence;
use crate::text::{Place, ends_after, run};

/// Bytes behind the prefix.
const BYTES: usize = 16;

/// Asked at the `K`.
pub(crate) fn find(place: Place<'_>) -> Option<Confidence> {
    let start = place.word_start(1)?;
    let id = start.rest().strip_prefix(b"AKIA")?;
    let run = run(id, |byte| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit()
    });
    (run == BYTES && ends_after(id, run)).then_some(Confidence::High)
}
