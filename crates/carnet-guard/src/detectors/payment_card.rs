//! Numbers of payment cards (ISO/IEC 7812-1): a range that a scheme gives out, its length, and a check digit.
//!
//! One number in ten has a right check digit by chance, and order numbers are as long, so a card is sure only where it
//! is also grouped as cards are printed, or called one.

use crate::detection::Confidence;
use crate::limits::CARD_DIGITS;
use crate::text::{Place, ends_after};

/// Words that are found before the number of a card.
const CALLED: &[&str] = &[
    "amex",
    "card",
    "carta",
    "carte",
    "credit",
    "debit",
    "karte",
    "mastercard",
    "tarjeta",
    "visa",
];

/// Asked at the first digit of a word; returns its length too.
pub(crate) fn find(place: Place<'_>) -> Option<(usize, Confidence)> {
    let text = place.rest();
    let mut number = Number::default();
    let mut best: Option<(usize, Confidence)> = None;
    let mut at = 0;
    loop {
        let digit = text.get(at).filter(|byte| byte.is_ascii_digit())?;
        number.push(digit - b'0');
        at += 1;
        let ends = ends_after(text, at);
        if ends && number.digits >= CARD_DIGITS.0 {
            let confidence = number.judge(place);
            best = Some(match best {
                Some((end, known)) if known > confidence => (end, known),
                _ => (at, confidence),
            });
        }
        if number.digits == CARD_DIGITS.1 {
            return best;
        }
        let separator = text.get(at).copied().unwrap_or_default();
        if matches!(separator, b' ' | b'-') {
            number.group(separator);
            at += 1;
        }
        if !text.get(at).is_some_and(u8::is_ascii_digit) {
            return best;
        }
    }
}

/// The digits up to a place.
#[derive(Debug, Default)]
struct Number {
    digits: usize,
    /// The first six.
    start: u32,
    /// The sums of Luhn's algorithm, if this digit is the last, and if it is not.
    sums: [u32; 2],
    /// Digits of each group but the last, as the digits of a number.
    groups: u32,
    /// Digits up to the last separator.
    grouped: usize,
    separator: u8,
    mixed: bool,
}

impl Number {
    fn push(&mut self, digit: u8) {
        let digit = u32::from(digit);
        if self.digits < 6 {
            self.start = self.start * 10 + digit;
        }
        let doubled = digit * 2 / 10 + digit * 2 % 10;
        let [last, inner] = self.sums;
        self.sums = [inner + digit, last + doubled];
        self.digits += 1;
    }

    fn group(&mut self, separator: u8) {
        let digits = u32::try_from(self.digits - self.grouped).unwrap_or(u32::MAX);
        self.groups = self.groups.saturating_mul(100).saturating_add(digits);
        self.grouped = self.digits;
        self.mixed |= self.separator != 0 && self.separator != separator;
        self.separator = separator;
    }

    fn judge(&self, place: Place<'_>) -> Confidence {
        let [checked, _] = self.sums;
        if !checked.is_multiple_of(10) || !self.is_given_out() {
            Confidence::Low
        } else if self.is_printed() || place.is_called(CALLED) {
            Confidence::High
        } else if self.grouped == 0 {
            Confidence::Medium
        } else {
            Confidence::Low
        }
    }

    /// Whether a scheme gives out numbers that begin so, in this length.
    fn is_given_out(&self) -> bool {
        let lengths = match (self.start / 100_000, self.start / 10_000, self.start / 100) {
            (4, ..) => return matches!(self.digits, 16 | 19),
            (_, 34 | 37, _) => 15..=15,
            (_, 51..=55, _) | (_, _, 2221..=2720) => 16..=16,
            (_, 36 | 38 | 39, _) | (_, _, 3000..=3059 | 3095) => 14..=19,
            (_, 62 | 65, _) | (_, _, 3528..=3589 | 6011 | 6440..=6499) => 16..=19,
            _ => return false,
        };
        lengths.contains(&self.digits)
    }

    /// Whether it is in the groups that are printed on cards.
    fn is_printed(&self) -> bool {
        let last = self.digits - self.grouped;
        let groups = (self.groups, last);
        !self.mixed && matches!(groups, (40_404, 4) | (406, 4 | 5) | (4_040_404, 3))
    }
}
