//! What an upstream's answer or silence says of the upstream: whether another attempt may help, and when.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::codes::Code;
use crate::error::X_SHOULD_RETRY;

/// The same in milliseconds, as several services send it and clients read it.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// The kind of an error of AWS, which is said so with whatever status.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// Those that say that the service is busy or ill.
const OVERLOADED: [&str; 6] = [
    "InternalServerException",
    "ModelNotReadyException",
    "ModelTimeoutException",
    "ServiceQuotaExceededException",
    "ServiceUnavailableException",
    "ThrottlingException",
];

/// An upstream that answered, but not the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unwell {
    /// Whether it is only asked too much.
    pub(crate) busy: bool,
    /// How long it wants to be left alone.
    pub(crate) wait: Option<Duration>,
    /// Whether it wants the request never again.
    pub(crate) never: bool,
}

/// What the head of an answer says of its upstream; nothing where it is about the request.
pub(crate) fn unwell(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<Unwell> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let of_status = matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504 | 529);
    let is_error = status.is_client_error() || status.is_server_error();
    let of_kind = || {
        // What stands behind a colon is an address.
        let kind = text(&ERROR_TYPE).and_then(|kind| kind.split(':').next());
        kind.filter(|kind| is_error && OVERLOADED.contains(&kind.trim()))
    };
    let should = text(&X_SHOULD_RETRY).filter(|_| is_error);
    let kind = of_kind();
    if !of_status && kind.is_none() && should != Some("true") {
        return None;
    }
    Some(Unwell {
        busy: status == StatusCode::TOO_MANY_REQUESTS || kind == Some("ThrottlingException"),
        wait: wait(headers, now),
        never: should == Some("false"),
    })
}

/// How long an upstream wants to be left alone: in milliseconds, in seconds, or until an instant.
fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &HeaderName| Some(headers.get(name)?.to_str().ok()?.trim());
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| *number >= 0.0);
    let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
    if let Some(millis) = text(&RETRY_AFTER_MS).and_then(number) {
        return duration(millis / 1_000.0).or(Some(Duration::MAX));
    }
    let text = text(&RETRY_AFTER)?;
    if let Some(seconds) = number(text) {
        return duration(seconds).or(Some(Duration::MAX));
    }
    let until = rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

/// Whether a failure says that the upstream is unwell, and not that something is wrong with how it is asked.
pub(crate) fn may_pass(code: Code) -> bool {
    matches!(
        code,
        Code::UpstreamClosed
            | Code::UpstreamTimeout
            | Code::UpstreamUnauthenticated
            | Code::UpstreamUnreachable
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let one = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )
        };
        all.iter().map(one).collect()
    }

    fn of(status: u16, all: &[(&'static str, &'static str)]) -> Option<Unwell> {
        let now = "2026-11-27T12:00:00Z".parse().unwrap();
        unwell(StatusCode::from_u16(status).unwrap(), &headers(all), now)
    }

    #[test]
    fn what_says_that_a_service_is_ill_is_told_from_what_is_about_the_request() {
        for status in [408, 429, 500, 502, 503, 504, 529] {
            assert!(of(status, &[]).is_some(), "{status}");
        }
        for status in [200, 400, 401, 403, 404, 409, 413, 422, 501, 505] {
            assert_eq!(of(status, &[]), None, "{status}");
        }
        assert!(of(429, &[]).unwrap().busy && !of(503, &[]).unwrap().busy);
        let throttled = [("x-amzn-errortype", "ThrottlingException:http://a.example/")];
        assert!(of(400, &throttled).unwrap().busy);
        assert_eq!(of(200, &throttled), None);
        let invalid = [("x-amzn-errortype", "ValidationException")];
        assert_eq!(of(400, &invalid), None);
        assert!(of(409, &[("x-should-retry", "true")]).is_some());
        assert!(of(503, &[("x-should-retry", "false")]).unwrap().never);
        assert_eq!(of(400, &[("x-should-retry", "false")]), None);
    }

    #[test]
    fn how_long_to_wait_is_said_in_three_ways() {
        let table = [
            (&[("retry-after", "2")][..], Some(2_000)),
            (&[("retry-after", " 1.5 ")], Some(1_500)),
            (&[("retry-after", "0")], Some(0)),
            (
                &[("retry-after-ms", "350"), ("retry-after", "9")],
                Some(350),
            ),
            (
                &[("retry-after", "Fri, 27 Nov 2026 12:00:07 GMT")],
                Some(7_000),
            ),
            (&[("retry-after", "Fri, 27 Nov 2026 11:00:00 GMT")], Some(0)),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "soon")], None),
            (&[], None),
        ];
        for (all, wanted) in table {
            let wait = of(503, all).unwrap().wait;
            assert_eq!(wait.map(|wait| wait.as_millis()), wanted, "{all:?}");
        }
        let endless = of(503, &[("retry-after", "1e300")]).unwrap().wait;
        assert_eq!(endless, Some(Duration::MAX));
    }
}
