//! What is found in texts, against other detectors, in ordinary business, and in texts that are made to be slow.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::LazyLock;

use proptest::prelude::*;
use regex::bytes::RegexSet;

use super::*;
use crate::detection::Class;

fn found(text: &str) -> Vec<String> {
    let found = scan(text.as_bytes());
    let words = found.iter().map(|(kind, confidence, count)| {
        format!("{}/{} {count}", kind.as_str(), confidence.as_str())
    });
    words.collect()
}

#[test]
fn what_is_sure_is_found_as_sure() {
    for (text, want) in [
        ("mail jane.doe@acme.co.uk now", "email-address/medium 1"),
        ("an der Kasse: 4111 1111 1111 1111.", "payment-card/high 1"),
        ("card number 4111111111111111", "payment-card/high 1"),
        ("3782-822463-10005", "payment-card/high 1"),
        ("5555555555554444", "payment-card/medium 1"),
        ("my SSN is 219-09-9999", "us-ssn/high 1"),
        ("219-09-9999", "us-ssn/medium 1"),
        ("GB29NWBK60161331926819", "iban/high 1"),
        ("NO9386011117947,", "iban/high 1"),
        ("tel:+49 (30) 1234-5678", "phone-number/medium 1"),
        ("AKIAIOSFODNN7EXAMPLE", "aws-access-key/high 1"),
        (
            "ghp_0123456789abcdefghijABCDEFGHIJ012345",
            "github-token/high 1",
        ),
        ("key=sk-proj-abcdefgh12345678ijkl", "api-key/high 1"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
            "private-key/high 1",
        ),
        ("-----BEGIN PRIVATE KEY-----", "private-key/high 1"),
        (
            "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.c2ln",
            "json-web-token/high 1",
        ),
        ("reach 81.2.69.142 at night", "ip-address/medium 1"),
        ("xoxb-17653672481-19874698323", "slack-token/high 1"),
        ("电话+8613800138000。", "phone-number/medium 1"),
    ] {
        let found = found(text);
        assert!(found.iter().any(|word| word == want), "{text}: {found:?}");
    }
    let fine = format!("github_pat_{}_{}", "a1".repeat(11), "b".repeat(59));
    assert_eq!(found(&fine), ["github-token/high 1"]);
}

#[test]
fn what_only_has_the_shape_is_low() {
    for (text, want) in [
        ("support@acme.com", "email-address/low 1"),
        ("jane@example.org", "email-address/low 1"),
        ("4111 1111 1111 1112", "payment-card/low 1"),
        ("1234567890123452", "payment-card/low 1"),
        ("900-12-3456", "us-ssn/low 1"),
        ("part 7-219-09-9999", "us-ssn/low 1"),
        ("GB28NWBK60161331926819", "iban/low 1"),
        ("ZZ29NWBK60161331926819", "iban/low 1"),
        ("+999999", "phone-number/low 1"),
        ("sk-learn-compatible-estimators", "api-key/low 1"),
        ("version 81.2.69.142", "ip-address/low 1"),
        ("192.168.0.17:8080", "ip-address/low 1"),
        ("999.2.69.142", "ip-address/low 1"),
        ("1.2.3.4.5.6", "ip-address/low 1"),
        ("xoxb-not-a-token", "slack-token/low 1"),
    ] {
        let all = found(text);
        let sure = all.iter().find(|word| !word.contains("/low"));
        assert!(
            all.iter().any(|word| word == want) && sure.is_none(),
            "{text}: {all:?}"
        );
    }
}

#[test]
fn other_texts_have_nothing() {
    for text in [
        "",
        "J",
        "K+-_@",
        "task-management-of-the-whole-company",
        "AKIAIOSFODNN7EXAMPLES",
        "ghp_0123456789abcdefghijABCDEFGHIJ0123456",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "eyJhbGciOiJIUzI1NiJ9",
        "12345678901234567890",
        "0x219-09-9999",
        "219-09-99999",
        "a@b",
        "12:30 on 2026-03-14",
    ] {
        assert_eq!(found(text), [""; 0], "{text}");
    }
}

#[test]
fn a_number_beside_others_is_found_and_counted_once() {
    assert_eq!(found("12 4111 1111 1111 1111 12"), ["payment-card/high 1"]);
    assert_eq!(found("4111 1111 1111 1111 123"), ["payment-card/high 1"]);
    let two = "4111 1111 1111 1111, 5555 5555 5555 4444";
    assert_eq!(found(two), ["payment-card/high 2"]);
    assert_eq!(found("DE89 3704 0044 0532 0130 00 and")[0], "iban/high 1");
    assert_eq!(found("8.8.8.8 8.8.4.4"), ["ip-address/medium 2"]);
}

/// Kinds that the widespread shapes find, as a program would write them that looks for these and nothing else.
static SHAPES: LazyLock<(RegexSet, [Kind; 12])> = LazyLock::new(|| {
    let shapes = RegexSet::new([
        r"(?-u)\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,253}\.[A-Za-z]{2,24}\b",
        r"(?-u)\b(?:\d[ -]?){13,19}\b",
        r"(?-u)\b\d{3}-\d{2}-\d{4}\b",
        r"(?-u)\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b",
        r"(?-u)\+\d{1,3}[ -]?\(?\d{1,4}\)?(?:[ -]?\d{2,4}){2,4}\b",
        r"(?-u)\bAKIA[0-9A-Z]{16}\b",
        r"(?-u)\bgh[pousr]_[A-Za-z0-9]{36}\b",
        r"(?-u)\bsk-[A-Za-z0-9_-]{20,}\b",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
        r"(?-u)\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.",
        r"(?-u)\b(?:\d{1,3}\.){3}\d{1,3}\b",
        r"(?-u)\bxox[abpr]-[A-Za-z0-9-]{10,}\b",
    ]);
    let kinds = [
        Kind::EmailAddress,
        Kind::PaymentCard,
        Kind::UsSsn,
        Kind::Iban,
        Kind::PhoneNumber,
        Kind::AwsAccessKey,
        Kind::GithubToken,
        Kind::ApiKey,
        Kind::PrivateKey,
        Kind::JsonWebToken,
        Kind::IpAddress,
        Kind::SlackToken,
    ];
    (shapes.unwrap(), kinds)
});

/// Pieces of what is looked for, and of what stands between.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[0-9]{1,20}",
        2 => "([0-9]{1,4}[ -]){3,6}",
        2 => "[0-9]{3}-[0-9]{2}-[0-9]{4}",
        2 => "([0-9]{1,3}\\.){2,4}[0-9]{1,3}",
        2 => "[A-Z]{2}[0-9]{2}[A-Z0-9]{9,32}",
        2 => "\\+[0-9]{1,3}[ -]?\\(?[0-9]{1,4}\\)?([ -]?[0-9]{2,4}){1,4}",
        1 => "AKIA[0-9A-Z]{15,17}",
        1 => "gh[pousrx]_[A-Za-z0-9]{35,37}",
        1 => "sk-[A-Za-z0-9_-]{18,24}",
        1 => "xox[abprs]-[A-Za-z0-9-]{8,12}",
        1 => "-----BEGIN ([A-Z]{2,7} )?PRIVATE KEY-----",
        2 => "eyJ[A-Za-z0-9_-]{9,12}",
        2 => "[A-Za-z0-9._%+-]{1,8}@[A-Za-z0-9.-]{1,9}\\.[A-Za-z]{1,3}",
        6 => "[ .,:;@+_a-zA-Z0-9-]",
        1 => "é| 电话",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn whatever_has_a_widespread_shape_is_found(pieces in prop::collection::vec(piece(), 1..8)) {
        let text = pieces.concat();
        let (shapes, kinds) = &*SHAPES;
        let found = scan(text.as_bytes());
        let found: BTreeSet<Kind> = found.iter().map(|(kind, ..)| kind).collect();
        for shape in shapes.matches(text.as_bytes()) {
            prop_assert!(found.contains(&kinds[shape]), "{:?} in {text:?}", kinds[shape]);
        }
    }

    #[test]
    fn any_bytes_are_gone_over(text in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = scan(&text);
    }
}

/// Numbers that stay the same from run to run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn digits(&mut self, count: u64) -> String {
        (0..count)
            .map(|_| char::from(b'0' + self.below(10) as u8))
            .collect()
    }
}

/// A line of ordinary business, with numbers in it.
fn line(numbers: &mut Numbers, into: &mut String) {
    let (day, month) = (numbers.below(28) + 1, numbers.below(12) + 1);
    let amount = numbers.below(9_000_000);
    let long = numbers.below(8) + 5;
    let long = numbers.digits(long);
    let short = numbers.below(60_000) + 1_024;
    let _ = match numbers.below(14) {
        0 => writeln!(
            into,
            "Invoice {long} of 2026-{month:02}-{day:02} over EUR {amount}.00 is due."
        ),
        1 => writeln!(
            into,
            "Please see order no. {long}, position {}.",
            amount % 90
        ),
        2 => writeln!(
            into,
            "The service listens on port {short}, its metrics on 127.0.0.1:{}.",
            short + 1
        ),
        3 => writeln!(
            into,
            "Build 10.0.{}.{} failed after {amount} ms.",
            short % 30_000,
            amount % 4_000
        ),
        4 => writeln!(
            into,
            "Release v{}.{}.{}.{} is out.",
            day,
            month,
            amount % 40,
            short % 90
        ),
        5 => writeln!(
            into,
            "Tracking number {}, parcel {} of {month}.",
            numbers.digits(12),
            day
        ),
        6 => writeln!(
            into,
            "Customer {long} has moved {amount} units to depot {}-{}.",
            day,
            short % 1000
        ),
        7 => writeln!(
            into,
            "Meeting at {:02}:{:02} on {day}.{month}.2026, room {}.",
            day % 24,
            month,
            short % 500
        ),
        8 => writeln!(
            into,
            "Ticket ABC-{} blocks ABC-{}, commit {:07x}.",
            short, amount, amount
        ),
        9 => writeln!(
            into,
            "Part {}-{:02}-{} is out of stock.",
            numbers.digits(4),
            day,
            numbers.digits(3)
        ),
        10 => writeln!(
            into,
            "VAT DE{} and account {} were given.",
            numbers.digits(9),
            numbers.digits(10)
        ),
        11 => writeln!(
            into,
            "EAN {} costs {}.{:02}.",
            numbers.digits(13),
            amount / 100,
            amount % 100
        ),
        12 => writeln!(
            into,
            "From {} to {}: {} %, {} pieces a pallet.",
            short, amount, day, month
        ),
        _ => writeln!(
            into,
            "Batch {} at {} ran as job {}.",
            numbers.digits(8),
            1_700_000_000_000 + amount,
            long
        ),
    };
}

#[test]
fn ten_thousand_ordinary_texts_hold_nothing_that_is_sure() {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut shapes = 0_u32;
    for _ in 0..10_000 {
        let mut text = String::new();
        for _ in 0..=numbers.below(6) {
            line(&mut numbers, &mut text);
        }
        let found = scan(text.as_bytes());
        for class in Class::ALL {
            let surest = found.surest(class);
            assert!(
                surest <= Some(Confidence::Low),
                "{text}: {:?}",
                found.iter().collect::<Vec<_>>()
            );
        }
        shapes += found.iter().map(|(.., count)| count).sum::<u32>();
    }
    // They do look like it, or nothing would be shown.
    assert!(shapes > 1_000, "{shapes}");
}

#[test]
fn a_text_made_to_be_slow_is_not() {
    // Were any of these read over and over, this would take hours.
    for part in [
        "sk-",
        "xoxb-",
        "eyJ-",
        "eyJ0123456789.",
        "a@",
        "a.",
        "@a.b",
        "+1(",
        "1 ",
        "1-",
        "1.",
        "-----BEGIN ",
        "AB12",
        "gh_",
    ] {
        let _ = scan(part.repeat(200_000 / part.len()).as_bytes());
    }
}
