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
/// Countries and the characters of their numbers.
const LENGTHS: &str = "\
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 \
    EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 \
    IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 \
    NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 \
    SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

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
    if length_in([a, b]).is_some_and(|length| is_valid(number, length)) {
        return Some(Confidence::High);
    }
    let compact = run(number, is_character);
    (SHAPE.contains(&(compact.saturating_sub(2))) && ends_after(number, compact))
        .then_some(Confidence::Low)
}

fn length_in(country: [u8; 2]) -> Option<usize> {
    let mut lengths = LENGTHS.split(' ');
    let length = lengths.find_map(|word| word.as_bytes().strip_prefix(&country))?;
    std::str::from_utf8(length).ok()?.parse().ok()
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
