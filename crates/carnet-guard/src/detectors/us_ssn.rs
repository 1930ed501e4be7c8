//! Social security numbers of the United States, with hyphens. Areas 000, 666 and 900 to 999, group 00 and serial 0000 are
//! not given out ("Social Security Number Randomization", ssa.gov).

use crate::detection::Confidence;
use crate::text::{Place, ends_after, run};

/// Words before a number that is one.
const CALLED: &[&str] = &[
    "ssn",
    "social security",
    "social-security",
    "socialsecurity",
];

/// Asked at the first digit of a word.
pub(crate) fn find(place: Place<'_>) -> Option<Confidence> {
    let text = place.rest();
    let (area, rest) = part(text, 3)?;
    let (group, rest) = part(rest.strip_prefix(b"-")?, 2)?;
    let (serial, rest) = part(rest.strip_prefix(b"-")?, 4)?;
    if !ends_after(rest, 0) {
        return None;
    }
    let given_out =
        !matches!(area, b"000" | b"666" | [b'9', ..]) && group != b"00" && serial != b"0000";
    let part_of_more = place.before().ends_with(b"-") || rest.starts_with(b"-");
    Some(if !given_out || part_of_more {
        Confidence::Low
    } else if place.is_called(CALLED) {
        Confidence::High
    } else {
        Confidence::Medium
    })
}

/// So many digits and no more, and what follows.
fn part(text: &[u8], digits: usize) -> Option<(&[u8], &[u8])> {
    (run(text, |byte| byte.is_ascii_digit()) == digits).then_some(())?;
    text.split_at_checked(digits)
}
