//! Requests that have ended, told to those who look on: the access log, and telemetry. The log of records is the proof; what is
//! told here is for convenience, and is lost rather than waited for.

use std::fmt;
use std::sync::Arc;

use carnet_audit::{Record, Ruling};
use jiff::Timestamp;
use serde::Serialize;

use crate::trace::Trace;

/// A request that has ended.
#[derive(Debug)]
pub struct Ended {
    pub(crate) record: Record,
    pub(crate) trace: Option<Box<Trace>>,
    /// When the first piece of the answer went to the caller, in microseconds after the request's start.
    pub(crate) first_piece_us: Option<u64>,
}

/// Somebody who is told of each request that has ended. What it does with it, it does elsewhere: the request's thread tells it.
pub trait Onlooker: fmt::Debug + Send + Sync {
    /// A request has ended. False when there is no room for it.
    fn ended(&self, ended: &Arc<Ended>) -> bool;
}

/// A line of the access log.
#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    workload: Option<&'a str>,
    key_id: Option<&'a str>,
    api: Option<&'a str>,
    stream: bool,
    requested_model: Option<&'a str>,
    resolved_model: Option<&'a str>,
    reported_model: Option<&'a str>,
    upstream: Option<&'a str>,
    host: Option<&'a str>,
    decision: Option<&'static str>,
    rules: &'a [Arc<str>],
    outcome: &'static str,
    status: Option<u16>,
    attempts: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    bytes_in: u64,
    bytes_out: u64,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    first_byte_ms: Option<f64>,
    duration_ms: f64,
}

impl Ended {
    /// The request as a line of JSON without its line break. Nothing of a prompt or an answer, no key and no header is in it.
    #[must_use]
    pub fn line(&self) -> String {
        let record = &self.record;
        let timings = record.timings.unwrap_or_default();
        let tokens = record.tokens.as_ref();
        let last = record.attempts.last();
        let line = Line {
            time: record.time,
            id: &record.id,
            trace_id: self.trace.as_ref().map(|trace| trace.id.to_string()),
            workload: record.workload.as_deref(),
            key_id: record.key_id.as_deref(),
            api: record.api.as_deref(),
            stream: record.stream,
            requested_model: record.requested_model.as_deref(),
            resolved_model: record.resolved_model.as_deref(),
            reported_model: record.reported_model.as_deref(),
            upstream: record.upstream.as_deref(),
            host: record.host.as_deref(),
            decision: record.decision.map(Ruling::as_str),
            rules: &record.rules,
            outcome: record.outcome.as_str(),
            status: record.status,
            attempts: record.attempts.len(),
            cache: record.cache.as_ref().map(|cache| &*cache.result),
            error: last.and_then(|attempt| attempt.error.as_deref()),
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            input_tokens: tokens.map(|tokens| tokens.input),
            output_tokens: tokens.map(|tokens| tokens.output),
            first_byte_ms: timings.first_byte_us.map(millis),
            duration_ms: millis(timings.total_us),
        };
        // Texts, numbers and lists of texts can always be written.
        serde_json::to_string(&line).unwrap_or_default()
    }
}

fn millis(us: u64) -> f64 {
    us as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use carnet_audit::{Attempt, Cached, Kind, Outcome, Timings, Tokens};

    use super::*;

    #[test]
    fn a_line_is_one_line_and_says_what_its_record_says() {
        let time = Timestamp::from_second(1_700_000_000).unwrap();
        let record = Record {
            workload: Some("app".into()),
            requested_model: Some("a\nb\"c".into()),
            decision: Some(Ruling::Permit),
            rules: vec!["one".into()],
            attempts: vec![Attempt {
                n: 1,
                error: Some("upstream_timeout".into()),
                ..Attempt::default()
            }],
            status: Some(504),
            cache: Some(Box::new(Cached {
                result: "kept".into(),
                record: None,
                age_seconds: None,
            })),
            tokens: Some(Tokens {
                input: 3,
                ..Tokens::default()
            }),
            timings: Some(Timings {
                decided_us: None,
                first_byte_us: None,
                total_us: 1_500,
            }),
            detail: Some("not for this log".into()),
            ..Record::new(Kind::Request, "rec_1".into(), time, Outcome::Timeout)
        };
        let ended = Ended {
            record,
            trace: None,
            first_piece_us: None,
        };
        let line = ended.line();
        assert!(
            !line.contains('\n') && !line.contains("not for this log"),
            "{line}"
        );
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        for (name, value) in [
            ("time", "\"2023-11-14T22:13:20Z\""),
            ("requested_model", "\"a\\nb\\\"c\""),
            ("outcome", "\"timeout\""),
            ("decision", "\"permit\""),
            ("rules", "[\"one\"]"),
            ("error", "\"upstream_timeout\""),
            ("status", "504"),
            ("attempts", "1"),
            ("cache", "\"kept\""),
            ("input_tokens", "3"),
            ("first_byte_ms", "null"),
            ("duration_ms", "1.5"),
        ] {
            assert_eq!(read[name].to_string(), value, "{name}: {line}");
        }
    }
}
