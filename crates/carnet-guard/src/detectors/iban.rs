//! International bank account numbers, without spaces or in groups of four.
//!
//! Sure are those of a country's length with right check digits (ISO 13616-1, and the IBAN registry of its authority,
//! SWIFT). One random text of that shape in 97 has right check digits.

use crate::detection::Confidence;
use crate::text::{Place, ends_after, run};

/// Characters of the longest.
const LONGEST: usize = 34;
/// Characters behind country and check digits, for the shape alone.
const SHAPE: std::ops::RangeInclusive<usize> = 13..=32;
/// Characters by country.
const LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NL", 18),
    (b"NO", 15),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"SA", 24),
    (b"SC", 31),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
];

/// Asked at the first digit, which does not begin a word.
pub(crate) fn find(place: Place<'_>) -> Option<Confidence> {
    let number = place.word_start(2)?.rest();
    let &[
        a @ b'A'..=b'Z',
        b @ b'A'..=b'Z',
        b'0'..=b'9',
        b'0'..=b'9',
        ..,
    ] = number
    else {
        return None;
    };
    let country = LENGTHS.iter().find(|(code, _)| **code == [a, b]);
    if country.is_some_and(|(_, length)| is_valid(number, *length)) {
        return Some(Confidence::High);
    }
    let compact = run(number, is_character);
    (SHAPE.contains(&(compact.saturating_sub(2))) && ends_after(number, compact))
        .then_some(Confidence::Low)
}

fn is_character(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

/// Whether so many characters, a space after each four or none, are there and have right check digits.
fn is_valid(text: &[u8], length: usize) -> bool {
    let mut characters = [0; LONGEST];
    let grouped = text.get(4) == Some(&b' ');
    let mut at = 0;
    for (place, character) in characters.iter_mut().take(length).enumerate() {
        if grouped && place > 0 && place.is_multiple_of(4) {
            if text.get(at) != Some(&b' ') {
                return false;
            }
            at += 1;
        }
        match text.get(at) {
            Some(byte) if is_character(*byte) => *character = *byte,
            _ => return false,
        }
        at += 1;
    }
    let Some((head, tail)) = characters
        .get(..length)
        .and_then(|all| all.split_at_checked(4))
    else {
        return false;
    };
    ends_after(text, at) && tail.iter().chain(head).fold(0, remainder) == 1
}

/// The remainder by 97 of a number that goes on with a character, letters standing for 10 to 35 (ISO 7064).
fn remainder(before: u32, character: &u8) -> u32 {
    match character {
        b'0'..=b'9' => (before * 10 + u32::from(character - b'0')) % 97,
        _ => (before * 100 + u32::from(character - b'A') + 10) % 97,
    }
}
