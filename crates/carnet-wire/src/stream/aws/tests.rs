//! Messages whose bytes another implementation wrote and read, and every way to break one.

use proptest::prelude::*;

use super::*;
use crate::limits::MAX_AWS_HEADERS;
use crate::stream::cuts::{cut, cuts, sizes};

const ALL_TYPES: &str = "0000007d00000066c0b13f7a\
    017400016601046279746502fe0573686f727403fed403696e74040000a00c046c6f6e6705ffffff0000000000\
    05627974657306000200ff0474657874070002c3a90474696d65080000018bcfe5687b\
    047575696409000102030405060708090a0b0c0d0e0f\
    7b2261223a317d0af910a0";
const EVENT: &str = "0000007e00000057d6cf4590\
    0b3a6576656e742d74797065070011636f6e74656e74426c6f636b44656c7461\
    0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e\
    0d3a6d6573736167652d747970650700056576656e74\
    7b2264656c7461223a7b2274657874223a226869227d7d89b7a24d";
const EXCEPTION: &str = "0000008300000061a9d144e5\
    0f3a657863657074696f6e2d747970650700137468726f74746c696e67457863657074696f6e\
    0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e\
    0d3a6d6573736167652d74797065070009657863657074696f6e\
    7b226d657373616765223a22736c6f77227d9350311c";
const ERROR: &str = "00000059000000495f218be7\
    0b3a6572726f722d636f646507000d496e7465726e616c4572726f72\
    0e3a6572726f722d6d65737361676507000562726f6b65\
    0d3a6d6573736167652d747970650700056572726f725c1f44a4";
const EMPTY: &str = "000000100000000005c248eb7d98c8ff";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] * 16 + pair[1])
        .collect()
}

fn all_types() -> [Header<'static>; 10] {
    [
        ("t", HeaderValue::Bool(true)),
        ("f", HeaderValue::Bool(false)),
        ("byte", HeaderValue::Byte(-2)),
        ("short", HeaderValue::Short(-300)),
        ("int", HeaderValue::Int(40_972)),
        ("long", HeaderValue::Long(-(1 << 40))),
        ("bytes", HeaderValue::Bytes(b"\x00\xFF")),
        ("text", HeaderValue::String("é")),
        ("time", HeaderValue::Timestamp(1_700_000_000_123)),
        (
            "uuid",
            HeaderValue::Uuid([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
        ),
    ]
    .map(|(name, value)| Header { name, value })
}

/// The messages, each written again, and the error if there is one.
fn read(chunks: &[&[u8]]) -> (Vec<Vec<u8>>, Result<(), AwsError>) {
    let mut decoder = AwsDecoder::new();
    let mut messages = Vec::new();
    for chunk in chunks {
        let mut rest = *chunk;
        loop {
            let error = match decoder.next(&mut rest) {
                Ok(Some(message)) => {
                    messages.push(written(&message.headers, message.payload));
                    continue;
                }
                Ok(None) => break,
                Err(error) => error,
            };
            assert_eq!(decoder.next(&mut &b"more"[..]), Err(error.clone()));
            assert_eq!(decoder.finish(), Err(error.clone()));
            return (messages, Err(error));
        }
        assert!(rest.is_empty());
    }
    (messages, decoder.finish())
}

fn written(headers: &[Header<'_>], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_message(&mut out, headers, payload).unwrap();
    out
}

/// A message with these bytes for headers, its checksums right.
fn with_headers(headers: &[u8]) -> Vec<u8> {
    with_lengths(16 + headers.len(), headers.len(), headers)
}

fn with_lengths(length: usize, headers_length: usize, behind: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for length in [length, headers_length] {
        out.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
    }
    write_checksum(&mut out, 0);
    out.extend_from_slice(behind);
    write_checksum(&mut out, 0);
    out
}

#[test]
fn messages_are_the_same_however_they_are_cut() {
    let messages = [EVENT, EMPTY, ALL_TYPES, EXCEPTION, ERROR].map(bytes);
    for chunks in cuts(&messages.concat()) {
        assert_eq!(read(&chunks), (messages.to_vec(), Ok(())), "{chunks:?}");
    }
}

#[test]
fn all_types_of_values_are_read_and_written() {
    let bytes = bytes(ALL_TYPES);
    let mut decoder = AwsDecoder::new();
    let mut rest = &bytes[..];
    let message = decoder.next(&mut rest).unwrap().unwrap();
    assert_eq!(message.headers[..], all_types());
    assert_eq!(message.payload, b"{\"a\":1}");
    assert_eq!(message.text("text"), Some("é"));
    assert_eq!(message.text("byte"), None);
    assert_eq!(written(&all_types(), b"{\"a\":1}"), bytes);
}

#[test]
fn a_whole_message_is_lent_from_its_chunk() {
    let bytes = bytes(EVENT);
    let mut decoder = AwsDecoder::new();
    let mut rest = &bytes[..];
    let message = decoder.next(&mut rest).unwrap().unwrap();
    let chunk = bytes.as_ptr_range();
    assert!(chunk.contains(&message.payload.as_ptr()));
    assert!(chunk.contains(&message.headers[0].name.as_ptr()));
}

#[test]
fn messages_tell_what_they_are() {
    for (hex, message_type, event, exception, code, content) in [
        (
            EVENT,
            Some("event"),
            Some("contentBlockDelta"),
            None,
            None,
            Some("application/json"),
        ),
        (
            EXCEPTION,
            Some("exception"),
            None,
            Some("throttlingException"),
            None,
            Some("application/json"),
        ),
        (
            ERROR,
            Some("error"),
            None,
            None,
            Some("InternalError"),
            None,
        ),
        (EMPTY, None, None, None, None, None),
    ] {
        let bytes = bytes(hex);
        let mut decoder = AwsDecoder::new();
        let mut rest = &bytes[..];
        let message = decoder.next(&mut rest).unwrap().unwrap();
        assert_eq!(message.message_type(), message_type);
        assert_eq!(message.event_type(), event);
        assert_eq!(message.exception_type(), exception);
        assert_eq!(message.error_code(), code);
        assert_eq!(message.content_type(), content);
    }
}

#[test]
fn broken_messages_are_refused_at_their_place() {
    let before = bytes(EMPTY);
    for (message, place, code, text) in [
        (
            with_lengths(15, 0, b""),
            0,
            "lengths",
            "message of 15 bytes with 0 bytes of headers at byte 16 of the stream",
        ),
        (
            with_lengths(17, 2, b"ab"),
            0,
            "lengths",
            "message of 17 bytes with 2 bytes of headers at byte 16 of the stream",
        ),
        (
            with_lengths(MAX_AWS_MESSAGE + 1, 0, b""),
            0,
            "too-long",
            "a message of more than 16777216 bytes at byte 16 of the stream",
        ),
        (
            with_lengths(MAX_AWS_MESSAGE, MAX_AWS_HEADERS_LENGTH + 1, b""),
            4,
            "too-long",
            "headers of more than 131072 bytes at byte 20 of the stream",
        ),
        (
            b"HTTP/1.1 503 Service Unavailable".to_vec(),
            8,
            "prelude-checksum",
            "prelude with the checksum 60ed7766 instead of 20353033 at byte 24 of the stream",
        ),
        (
            with_headers(b"\x01a\x0A"),
            12,
            "header-type",
            "header of the unknown type 10 at byte 28 of the stream",
        ),
        (
            with_headers(b"\x01a\x00\x01\xFF\x00"),
            15,
            "header-text",
            "header in invalid UTF-8 at byte 31 of the stream",
        ),
        (
            with_headers(b"\x01a\x07\x00\x01\xFF"),
            12,
            "header-text",
            "header in invalid UTF-8 at byte 28 of the stream",
        ),
        (
            with_headers(b"\x01a\x00\x01b\x00\x01a\x01"),
            18,
            "duplicate-header",
            "header `a` occurs twice at byte 34 of the stream",
        ),
        (
            with_headers(&b"\x00\x00".repeat(2)),
            14,
            "duplicate-header",
            "header `` occurs twice at byte 30 of the stream",
        ),
    ] {
        let stream = [&before[..], &message].concat();
        for chunks in cuts(&stream) {
            let (messages, end) = read(&chunks);
            let error = end.unwrap_err();
            assert_eq!(messages, [&before[..]]);
            assert_eq!(error.offset, before.len() + place, "{text}");
            assert_eq!(error.kind.code(), code);
            assert_eq!(error.to_string(), text);
        }
    }
}

#[test]
fn a_header_that_is_cut_is_refused() {
    let all = bytes(ALL_TYPES);
    let headers = &all[PRELUDE..all.len() - 11];
    let whole: Vec<usize> = (0..=headers.len())
        .filter(|length| {
            let message = with_headers(&headers[..*length]);
            let (_, end) = read(&[&message]);
            match end {
                Ok(()) => true,
                Err(error) => {
                    assert_eq!(error.kind, AwsErrorKind::HeaderCut);
                    false
                }
            }
        })
        .collect();
    assert_eq!(whole, [0, 3, 6, 13, 22, 31, 45, 56, 66, 80, 102]);
}

#[test]
fn one_wrong_bit_anywhere_is_refused() {
    let good = bytes(EVENT);
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            let error = read(&[&bad]).1.unwrap_err();
            let in_prelude = at < PRELUDE;
            assert_eq!(
                error.kind.code(),
                if in_prelude {
                    "prelude-checksum"
                } else {
                    "message-checksum"
                }
            );
            let place = if in_prelude { PRELUDE } else { good.len() } - CHECKSUM;
            assert_eq!(error.offset, place);
        }
    }
}

#[test]
fn a_stream_that_ends_within_a_message_is_refused() {
    let stream = [bytes(EMPTY), bytes(EVENT)].concat();
    let first = EMPTY.len() / 2;
    for length in 1..stream.len() {
        let (_, end) = read(&[&stream[..length]]);
        let want = match length {
            16 => Ok(()),
            _ => Err(AwsError {
                offset: length,
                kind: AwsErrorKind::Truncated {
                    have: length - if length < first { 0 } else { first },
                },
            }),
        };
        assert_eq!(end, want);
    }
}

#[test]
fn the_bounds_are_the_last_that_fit() {
    let payload = vec![b'x'; MAX_AWS_MESSAGE - PRELUDE - CHECKSUM];
    let longest = written(&[], &payload);
    assert_eq!(longest.len(), MAX_AWS_MESSAGE);
    let (messages, end) = read(&longest.chunks(60_000).collect::<Vec<_>>());
    assert!(end.is_ok() && messages == [longest]);

    let mut out = b"before".to_vec();
    let names: Vec<String> = (0..=MAX_AWS_HEADERS).map(|n| n.to_string()).collect();
    let headers: Vec<Header<'_>> = names
        .iter()
        .map(|name| Header {
            name,
            value: HeaderValue::Bool(true),
        })
        .collect();
    let most = &headers[..MAX_AWS_HEADERS];
    assert!(read(&[&written(most, b"")]).1.is_ok());
    assert_eq!(
        write_message(&mut out, &headers, b""),
        Err(AwsErrorKind::TooManyHeaders)
    );

    let long = "x".repeat(70_000);
    let header = |name, length| Header {
        name,
        value: HeaderValue::String(&long[..length]),
    };
    let full = [header("a", 65_535), header("b", 65_535 - 8)];
    let full = written(&full, b"");
    assert_eq!(full.len(), PRELUDE + MAX_AWS_HEADERS_LENGTH + CHECKSUM);
    assert!(read(&[&full]).1.is_ok());
    for (headers, payload, want) in [
        (
            vec![header("a", 65_535), header("b", 65_535 - 7)],
            &b""[..],
            "headers of more than 131072 bytes",
        ),
        (
            vec![header("a", 65_536)],
            b"",
            "a header value of more than 65535 bytes",
        ),
        (
            vec![header(&long[..256], 1)],
            b"",
            "a header name of more than 255 bytes",
        ),
        (
            vec![header("a", 1), header("a", 2)],
            b"",
            "header `a` occurs twice",
        ),
        (
            vec![header("a", 1)],
            &payload,
            "a message of more than 16777216 bytes",
        ),
    ] {
        let error = write_message(&mut out, &headers, payload).unwrap_err();
        assert_eq!(error.to_string(), want);
    }
    assert_eq!(out, b"before");
}

fn any_value() -> impl Strategy<Value = (u8, Vec<u8>, String)> {
    (
        0..10_u8,
        prop::collection::vec(any::<u8>(), 16..40),
        "\\PC{0,20}",
    )
}

fn value<'a>((kind, raw, text): &'a (u8, Vec<u8>, String)) -> HeaderValue<'a> {
    match kind {
        0 | 1 => HeaderValue::Bool(*kind == 0),
        2 => HeaderValue::Byte(i8::from_be_bytes(*raw.first_chunk().unwrap())),
        3 => HeaderValue::Short(i16::from_be_bytes(*raw.first_chunk().unwrap())),
        4 => HeaderValue::Int(i32::from_be_bytes(*raw.first_chunk().unwrap())),
        5 => HeaderValue::Long(i64::from_be_bytes(*raw.first_chunk().unwrap())),
        6 => HeaderValue::Bytes(raw),
        7 => HeaderValue::String(text),
        8 => HeaderValue::Timestamp(i64::from_be_bytes(*raw.first_chunk().unwrap())),
        _ => HeaderValue::Uuid(*raw.first_chunk().unwrap()),
    }
}

proptest! {
    #[test]
    fn written_messages_are_read(
        headers in prop::collection::btree_map("\\PC{0,20}", any_value(), 0..8),
        payload in prop::collection::vec(any::<u8>(), 0..60),
        sizes in sizes(),
    ) {
        let headers: Vec<Header<'_>> = headers
            .iter()
            .map(|(name, drawn)| Header { name, value: value(drawn) })
            .collect();
        let stream = written(&headers, &payload);
        let mut decoder = AwsDecoder::new();
        let mut read = 0;
        for chunk in cut(&stream, &sizes) {
            let mut rest = chunk;
            while let Some(message) = decoder.next(&mut rest).unwrap() {
                prop_assert_eq!(&message.headers[..], &headers[..]);
                prop_assert_eq!(message.payload, &payload);
                read += 1;
            }
        }
        prop_assert_eq!(read, 1);
        prop_assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn any_headers_read_the_same_however_they_are_cut(
        headers in prop::collection::vec(0..12_u8, 0..60),
        behind in prop::collection::vec(any::<u8>(), 0..30),
        sizes in sizes(),
    ) {
        let mut stream = with_headers(&headers);
        stream.extend_from_slice(&behind);
        let whole = read(&[&stream]);
        prop_assert_eq!(whole, read(&cut(&stream, &sizes)));
    }
}
