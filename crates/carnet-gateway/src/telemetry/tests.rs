//! Requests as spans and measures, read back by the encoding alone.

use std::collections::BTreeMap;

use carnet_audit::{Attempt, Kind, Outcome, Record, Ruling, Timings, Tokens};
use http::header::HeaderValue;

use super::*;
use crate::trace::{Ids, Share};

/// A field of a message, read by the encoding alone.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Value)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let length = match tag & 7 {
            0 => {
                found.push((tag >> 3, Value::Number(varint(&mut bytes))));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (value, rest) = bytes.split_at(length);
        bytes = rest;
        let value = match tag & 7 {
            2 => Value::Bytes(value.to_vec()),
            _ => {
                let mut eight = [0; 8];
                eight[..length].copy_from_slice(value);
                Value::Number(u64::from_le_bytes(eight))
            }
        };
        found.push((tag >> 3, value));
    }
    found
}

fn all(message: &[u8], field: u64) -> Vec<Vec<u8>> {
    let of_field = |(number, value)| match value {
        Value::Bytes(bytes) if number == field => Some(bytes),
        _ => None,
    };
    fields(message).into_iter().filter_map(of_field).collect()
}

fn number(message: &[u8], field: u64) -> Option<u64> {
    let of_field = |(found, value)| match value {
        Value::Number(number) if found == field => Some(number),
        _ => None,
    };
    fields(message).into_iter().find_map(of_field)
}

/// Attributes with their values as texts.
fn attributes(message: &[u8], field: u64) -> BTreeMap<String, String> {
    let pair = |pair: Vec<u8>| {
        let key = String::from_utf8(all(&pair, 1).remove(0)).unwrap();
        let value = all(&pair, 2).remove(0);
        let text = match fields(&value).remove(0) {
            (1, Value::Bytes(text)) => String::from_utf8(text).unwrap(),
            (2, Value::Number(flag)) => (flag == 1).to_string(),
            (3, Value::Number(number)) => number.to_string(),
            (4, Value::Number(bits)) => f64::from_bits(bits).to_string(),
            (5, Value::Bytes(list)) => {
                let texts = all(&list, 1).into_iter();
                let texts = texts.map(|value| String::from_utf8(all(&value, 1).remove(0)).unwrap());
                texts.collect::<Vec<_>>().join(",")
            }
            other => panic!("{other:?}"),
        };
        (key, text)
    };
    all(message, field).into_iter().map(pair).collect()
}

fn trace(parent: &str) -> Trace {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", HeaderValue::from_str(parent).unwrap());
    headers.insert("tracestate", HeaderValue::from_static("a=1"));
    let place = (&Method::POST, "/v1/chat/completions");
    Trace::begin(&Ids::new(1), Share::new(1.0), place, &headers)
}

fn attempt(n: u32, started_us: u64) -> Attempt {
    Attempt {
        n,
        upstream: "local".into(),
        origin: "http://127.0.0.1:8080".into(),
        started_us,
        duration_us: 1_000,
        ..Attempt::default()
    }
}

/// Two attempts, of which the second was answered.
fn ended(parent: &str) -> Ended {
    let ids = Ids::new(9);
    let mut trace = trace(parent);
    trace.to("m-1".into(), Some("azure".into()));
    for number in [1, 2] {
        trace.next(&ids);
        trace.leg(number, &ids);
    }
    let time = Timestamp::from_second(1_000).unwrap();
    let record = Record {
        workload: Some("app".into()),
        api: Some("chat-completions".into()),
        stream: true,
        requested_model: Some("house".into()),
        reported_model: Some("m-1-2024".into()),
        upstream: Some("local".into()),
        decision: Some(Ruling::Permit),
        rules: vec!["one".into(), "two".into()],
        attempts: vec![
            Attempt {
                error: Some("upstream_closed".into()),
                ..attempt(1, 500)
            },
            Attempt {
                status: Some(200),
                ..attempt(2, 2_000)
            },
        ],
        tokens: Some(Tokens {
            input: 7,
            cache_read: 2,
            output: 3,
            ..Tokens::default()
        }),
        status: Some(200),
        timings: Some(Timings {
            decided_us: Some(400),
            first_byte_us: Some(3_000),
            total_us: 9_000,
        }),
        ..Record::new(Kind::Request, "rec_1".into(), time, Outcome::Completed)
    };
    Ended {
        record,
        trace: Some(Box::new(trace)),
        first_piece_us: Some(4_000),
    }
}

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

#[test]
fn a_request_is_told_as_one_span_and_each_attempt_as_another() {
    let ended = ended(SAMPLED);
    let mut message = Message::default();
    assert_eq!(spans::write(&ended, &mut message), 3);
    let spans = all(message.as_slice(), 2);
    let ids: Vec<_> = spans.iter().map(|span| all(span, 2).remove(0)).collect();
    let own = ended.trace.as_ref().unwrap();
    for (span, kind) in spans.iter().zip([2, 3, 3]) {
        let trace: Vec<String> = all(span, 1)[0].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(trace.concat(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(all(span, 3), [b"a=1"]);
        assert_eq!(number(span, 6), Some(kind));
    }
    assert_eq!(ids, [own.span.0, own.legs[0].span.0, own.legs[1].span.0]);
    let parents = spans.iter().map(|span| all(span, 4).remove(0));
    let parents: Vec<_> = parents.collect();
    assert_eq!(parents[0], [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
    assert_eq!(parents[1..], [own.span.0, own.span.0]);
    let names = spans.iter().map(|span| all(span, 5).remove(0));
    let names: Vec<_> = names.map(|name| String::from_utf8(name).unwrap()).collect();
    assert_eq!(names, ["POST /v1/chat/completions", "chat m-1", "chat m-1"]);
    let second = 1_000_000_000_000;
    let times = spans.iter().map(|span| (number(span, 7), number(span, 8)));
    let times: Vec<_> = times
        .map(|(from, to)| (from.unwrap() - second, to.unwrap() - second))
        .collect();
    assert_eq!(
        times,
        [(0, 9_000_000), (500_000, 1_500_000), (2_000_000, 9_000_000)]
    );
    let of_request = attributes(&spans[0], 9);
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/v1/chat/completions"),
        ("http.response.status_code", "200"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "azure.ai.openai"),
        ("gen_ai.request.model", "house"),
        ("gen_ai.response.model", "m-1-2024"),
        ("gen_ai.usage.input_tokens", "7"),
        ("gen_ai.usage.cache_read.input_tokens", "2"),
        ("gen_ai.usage.output_tokens", "3"),
        ("carnet.decision", "permit"),
        ("carnet.rule", "one,two"),
        ("carnet.record.id", "rec_1"),
        ("carnet.target.upstream", "local"),
    ] {
        assert_eq!(
            of_request.get(key).map(String::as_str),
            Some(value),
            "{key}"
        );
    }
    assert_eq!(of_request.get("error.type"), None);
    let failed = attributes(&spans[1], 9);
    assert_eq!(failed["error.type"], "upstream_closed");
    assert_eq!(failed.get("gen_ai.usage.input_tokens"), None);
    // The status says that it failed.
    assert_eq!(number(&all(&spans[1], 15)[0], 3), Some(2));
    let answered = attributes(&spans[2], 9);
    for (key, value) in [
        ("gen_ai.request.model", "m-1"),
        ("gen_ai.response.time_to_first_chunk", "0.002"),
        ("gen_ai.usage.output_tokens", "3"),
        ("server.address", "127.0.0.1"),
        ("server.port", "8080"),
    ] {
        assert_eq!(answered.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert_eq!(all(&spans[2], 15), Vec::<Vec<u8>>::new());
}

#[test]
fn what_is_not_sampled_is_measured_all_the_same() {
    let ended = ended(UNSAMPLED);
    let mut message = Message::default();
    assert_eq!(spans::write(&ended, &mut message), 0);
    let time = Timestamp::from_second(1_000).unwrap();
    let mut measures = Measures::new(time);
    measures.add(&ended);
    measures.add(&ended);
    let metrics = all(measures.message(time).as_slice(), 2);
    let names = metrics.iter().map(|metric| all(metric, 1).remove(0));
    let names: Vec<_> = names.map(|name| String::from_utf8(name).unwrap()).collect();
    assert_eq!(
        names,
        [
            "gen_ai.client.operation.duration",
            "gen_ai.client.operation.time_to_first_chunk",
            "gen_ai.client.token.usage"
        ]
    );
    let points = |metric: &[u8]| all(&all(metric, 9)[0], 1);
    let counts: Vec<_> = metrics
        .iter()
        .flat_map(|metric| points(metric))
        .map(|point| {
            let of = attributes(&point, 9);
            let what = of.get("error.type").or(of.get("gen_ai.token.type"));
            let sum = number(&point, 5).map(f64::from_bits).unwrap();
            (
                number(&point, 4).unwrap(),
                sum,
                what.cloned().unwrap_or_default(),
            )
        })
        .collect();
    let expected = [
        (2, 0.014, ""),
        (2, 0.002, "upstream_closed"),
        (2, 0.004, ""),
        (2, 14.0, "input"),
        (2, 6.0, "output"),
    ];
    assert_eq!(
        counts,
        expected.map(|(count, sum, what)| (count, sum, what.to_owned()))
    );
    let buckets = all(&points(&metrics[2])[0], 6).remove(0);
    assert_eq!((buckets.len(), buckets[2 * 8]), (15 * 8, 2));
}

#[test]
fn series_are_bounded() {
    let mut measures = Measures::new(Timestamp::UNIX_EPOCH);
    for index in 0..crate::limits::TELEMETRY_SERIES_MAX + 5 {
        let mut ended = ended(UNSAMPLED);
        ended.record.attempts[0].origin = format!("http://h{index}").into();
        measures.add(&ended);
    }
    let message = measures.message(Timestamp::UNIX_EPOCH);
    let metric = all(message.as_slice(), 2).remove(0);
    let points = all(&all(&metric, 9)[0], 1);
    // One more for all that there is no room for.
    assert_eq!(points.len(), crate::limits::TELEMETRY_SERIES_MAX + 1);
    let over = points
        .iter()
        .find(|point| attributes(point, 9).contains_key("otel.metric.overflow"));
    assert!(number(over.unwrap(), 4).unwrap() > 0);
}

#[test]
fn a_path_that_a_caller_made_up_names_no_span() {
    let mut ended = ended(SAMPLED);
    ended.record.api = None;
    ended.record.attempts.clear();
    let path = format!("/v1/{}", "x".repeat(5_000));
    let ids = Ids::new(1);
    let place = (&Method::POST, &*path);
    let trace = Trace::begin(&ids, Share::new(1.0), place, &HeaderMap::new());
    ended.trace = Some(Box::new(trace));
    let mut message = Message::default();
    assert_eq!(spans::write(&ended, &mut message), 1);
    let span = all(message.as_slice(), 2).remove(0);
    assert_eq!(all(&span, 5), [b"POST"]);
    let attributes = attributes(&span, 9);
    assert_eq!(attributes.get("http.route"), None);
    assert_eq!(attributes["url.path"].len(), 256);
}

#[test]
fn long_names_are_cut_and_sockets_are_addresses() {
    let mut ended = ended(SAMPLED);
    let long = "é".repeat(300);
    ended.record.requested_model = Some(long.as_str().into());
    ended.record.attempts[1].origin = "unix:/run/model.sock".into();
    let mut message = Message::default();
    spans::write(&ended, &mut message);
    let spans = all(message.as_slice(), 2);
    assert_eq!(
        attributes(&spans[0], 9)["gen_ai.request.model"],
        "é".repeat(128)
    );
    let socket = attributes(&spans[2], 9);
    assert_eq!(socket["server.address"], "/run/model.sock");
    assert_eq!(socket.get("server.port"), None);
    assert_eq!(
        spans::server("https://a.example"),
        Some(("a.example".to_owned(), Some(443)))
    );
    assert_eq!(
        spans::server("https://[::1]:8443"),
        Some(("::1".to_owned(), Some(8443)))
    );
}
