//! Telephone numbers in international form: `+`, a country code that is assigned, and digits with or without separators
//! (ITU-T E.123 and E.164).

use crate::detection::Confidence;
use crate::text::{Place, ends_after, is_word};

/// Digits of a number, the fewest and the most: 15 after E.164, and hardly a network has so few as 8 with its code.
const DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
/// Digits of the shape alone.
const SHAPE_DIGITS: std::ops::RangeInclusive<usize> = 6..=23;
/// Country codes of one and two digits; all others have three.
const SHORT_CODES: &[u32] = &[
    1, 7, 20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54,
    55, 56, 57, 58, 60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98,
];
/// The first two digits of country codes of three.
const LONG_CODES: &[u32] = &[
    21, 22, 23, 24, 25, 26, 29, 35, 37, 38, 42, 50, 59, 67, 68, 69, 80, 85, 87, 88, 96, 97, 99,
];

/// Asked at the `+`.
pub(crate) fn find(place: Place<'_>) -> Option<Confidence> {
    let text = place.rest().get(1..)?;
    let (mut digits, mut code, mut whole, mut separated) = (0, 0, 0, true);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' if digits < *SHAPE_DIGITS.end() => {
                if digits < 2 {
                    code = code * 10 + u32::from(byte - b'0');
                }
                digits += 1;
                separated = false;
                if ends_after(text, at + 1) {
                    whole = digits;
                }
            }
            b'(' | b')' if digits > 0 => separated = false,
            b' ' | b'-' if digits > 0 && !separated => separated = true,
            _ => break,
        }
    }
    if !SHAPE_DIGITS.contains(&whole) {
        return None;
    }
    let assigned = SHORT_CODES.contains(&(code / 10)) || SHORT_CODES.contains(&code);
    let assigned = assigned || LONG_CODES.contains(&code);
    let alone = place.before().last().is_none_or(|byte| !is_word(*byte));
    Some(
        if assigned && alone && DIGITS.contains(&whole) && whole == digits {
            Confidence::Medium
        } else {
            Confidence::Low
        },
    )
}
