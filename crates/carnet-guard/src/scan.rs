//! One pass over a text: bytes with which something may begin lead to its detectors.

use crate::detection::{Confidence, Detections, Kind};
use crate::detectors::{
    api_key, aws_access_key, email_address, github_token, iban, ip_address, json_web_token,
    payment_card, phone_number, private_key, slack_token, us_ssn,
};
use crate::text::{Place, run};

/// How many bytes are looked at together for one with which something may begin.
const BLOCK: usize = 32;

/// Count what is found in a text of UTF-8.
#[must_use]
pub fn scan(text: &[u8]) -> Detections {
    let mut found = Detections::default();
    let mut overlaps = Overlaps::default();
    let mut place = Place { text, at: 0 };
    while let Some(next) = next(place.rest()) {
        place.at += next;
        place.at += look(place, &mut overlaps, &mut found);
    }
    let last = |counted: Option<Counted>| counted.map(|counted| counted.confidence);
    note(&mut found, Kind::IpAddress, last(overlaps.address));
    note(&mut found, Kind::PaymentCard, last(overlaps.card));
    found
}

/// What was found last of the kinds that can overlap themselves: one number in several groups is counted once.
#[derive(Debug, Default)]
struct Overlaps {
    address: Option<Counted>,
    api_key: usize,
    card: Option<Counted>,
    slack_token: usize,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    end: usize,
    confidence: Confidence,
}

/// Ask the detectors of the byte at a place; returns how many bytes need not be looked at again.
fn look(place: Place<'_>, overlaps: &mut Overlaps, found: &mut Detections) -> usize {
    match place.rest().first() {
        Some(b'@') => note(found, Kind::EmailAddress, email_address::find(place)),
        Some(b'_') => note(found, Kind::GithubToken, github_token::find(place)),
        Some(b'-') => {
            once(
                &mut overlaps.api_key,
                found,
                Kind::ApiKey,
                place,
                api_key::find,
            );
            note(found, Kind::PrivateKey, private_key::find(place));
            once(
                &mut overlaps.slack_token,
                found,
                Kind::SlackToken,
                place,
                slack_token::find,
            );
        }
        Some(b'J') => note(found, Kind::JsonWebToken, json_web_token::find(place)),
        Some(b'K') => note(found, Kind::AwsAccessKey, aws_access_key::find(place)),
        Some(b'+') => note(found, Kind::PhoneNumber, phone_number::find(place)),
        _ => {
            if place.word_start(0).is_none() {
                note(found, Kind::Iban, iban::find(place));
            } else {
                note(found, Kind::UsSsn, us_ssn::find(place));
                let address = ip_address::find(place);
                surest(
                    &mut overlaps.address,
                    found,
                    Kind::IpAddress,
                    place,
                    address,
                );
                let card = payment_card::find(place);
                surest(&mut overlaps.card, found, Kind::PaymentCard, place, card);
            }
            return run(place.rest(), |byte| byte.is_ascii_digit()).max(1);
        }
    }
    1
}

fn note(found: &mut Detections, kind: Kind, confidence: Option<Confidence>) {
    if let Some(confidence) = confidence {
        found.add(kind, confidence);
    }
}

/// Nothing is looked for within what was found before. It would only be a part of that, and a text that is made for it
/// would be read over and over.
fn once(
    until: &mut usize,
    found: &mut Detections,
    kind: Kind,
    place: Place<'_>,
    find: impl Fn(Place<'_>) -> Option<(usize, Confidence)>,
) {
    if place.at >= *until
        && let Some((bytes, confidence)) = find(place)
    {
        *until = place.at + bytes;
        found.add(kind, confidence);
    }
}

/// Of those that overlap, the surest counts.
fn surest(
    before: &mut Option<Counted>,
    found: &mut Detections,
    kind: Kind,
    place: Place<'_>,
    new: Option<(usize, Confidence)>,
) {
    let Some((bytes, confidence)) = new else {
        return;
    };
    let end = place.at + bytes;
    match before {
        Some(counted) if place.at < counted.end => {
            counted.end = counted.end.max(end);
            counted.confidence = counted.confidence.max(confidence);
        }
        _ => {
            let last = before.replace(Counted { end, confidence });
            note(found, kind, last.map(|counted| counted.confidence));
        }
    }
}

/// The next byte with which something may begin. Whole blocks without one are passed over at once.
fn next(text: &[u8]) -> Option<usize> {
    let (blocks, _) = text.as_chunks::<BLOCK>();
    let clean = |block: &&[u8; BLOCK]| !block.iter().fold(false, |any, byte| any | begins(*byte));
    let from = blocks.iter().take_while(clean).count() * BLOCK;
    let rest = text.get(from..)?;
    let at = rest.iter().position(|byte| begins(*byte))?;
    Some(from + at)
}

/// Whether something may begin with a byte, or shortly before it. Without a branch, so that a block is done in a few
/// instructions.
fn begins(byte: u8) -> bool {
    (byte.wrapping_sub(b'0') < 10)
        | (byte == b'@')
        | (byte == b'_')
        | (byte == b'-')
        | (byte == b'+')
        | (byte == b'J')
        | (byte == b'K')
}

#[cfg(test)]
mod tests;
