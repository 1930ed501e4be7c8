//! The trace that a request belongs to: what its caller says of it, and what its upstream is told.
//!
//! The headers are those of W3C Trace Context, level 1: <https://www.w3.org/TR/trace-context-1/>. They are made anew for the
//! upstream, with the span of the attempt; of the caller's only `tracestate` goes on as it came.

use std::fmt;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::limits::{TELEMETRY_TEXT_BYTES_MAX, TRACE_STATE_BYTES_MAX};
use crate::route::Chance;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const SAMPLED: u8 = 1;

/// Id of a trace; never all zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(pub(crate) [u8; 16]);

/// Id of a span; never all zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanId(pub(crate) [u8; 8]);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a caller says of the trace that it is in.
#[derive(Debug, PartialEq, Eq)]
struct Parent {
    trace: TraceId,
    span: SpanId,
    sampled: bool,
}

impl Parent {
    /// Read `version "-" trace-id "-" parent-id "-" trace-flags`. What a later version has behind that is left aside.
    fn read(text: &[u8]) -> Option<Self> {
        let (version, rest) = hex_byte(text)?;
        let rest = rest.strip_prefix(b"-")?;
        let (trace, rest) = hex_bytes::<16>(rest)?;
        let rest = rest.strip_prefix(b"-")?;
        let (span, rest) = hex_bytes::<8>(rest)?;
        let rest = rest.strip_prefix(b"-")?;
        let (flags, rest) = hex_byte(rest)?;
        let ends = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let named = trace != [0; 16] && span != [0; 8];
        (ends && named).then_some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
            sampled: flags & SAMPLED != 0,
        })
    }
}

/// One byte in lower-case hexadecimal digits; no others are valid.
fn hex_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let ([high, low], rest) = text.split_first_chunk::<2>()?;
    Some((digit(*high)? << 4 | digit(*low)?, rest))
}

fn hex_bytes<const N: usize>(text: &[u8]) -> Option<([u8; N], &[u8])> {
    let mut bytes = [0; N];
    let mut rest = text;
    for byte in &mut bytes {
        (*byte, rest) = hex_byte(rest)?;
    }
    Some((bytes, rest))
}

/// Makes ids that no other of this process are: a counter, mixed one to one, from a start that is drawn.
#[derive(Debug)]
pub(crate) struct Ids(Chance);

impl Ids {
    pub(crate) fn new(start: u64) -> Self {
        Self(Chance::new(start))
    }

    fn trace(&self) -> TraceId {
        let (high, low) = (self.0.next(), self.0.next());
        TraceId((u128::from(high) << 64 | u128::from(low.max(1))).to_be_bytes())
    }

    fn span(&self) -> SpanId {
        SpanId(self.0.next().max(1).to_be_bytes())
    }
}

/// Which traces that begin here are told to the collector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share(u64);

impl Share {
    /// Of 1 all, of 0 none.
    pub(crate) fn new(share: f64) -> Self {
        // 53 bits: as many as are exact.
        Self((share.clamp(0.0, 1.0) * (1_u64 << 53) as f64) as u64)
    }

    /// By the trace's id alone, so that others who go by the same share agree.
    fn takes(self, trace: TraceId) -> bool {
        let low = u128::from_be_bytes(trace.0) as u64;
        low >> 11 < self.0
    }
}

/// An attempt's part in a trace.
#[derive(Debug)]
pub(crate) struct Leg {
    /// Number of the attempt.
    pub(crate) number: u32,
    pub(crate) span: SpanId,
    /// The upstream's own name for the model.
    pub(crate) model: Arc<str>,
    /// The host behind the upstream.
    pub(crate) host: Option<Arc<str>>,
}

/// A request's part in its trace.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) id: TraceId,
    pub(crate) span: SpanId,
    /// The caller's span.
    pub(crate) parent: Option<SpanId>,
    /// Whether the collector is told of it.
    pub(crate) sampled: bool,
    /// What others than us have to say of the trace.
    pub(crate) state: Option<HeaderValue>,
    /// How the request was made.
    pub(crate) method: http::Method,
    pub(crate) path: Box<str>,
    pub(crate) legs: SmallVec<[Leg; 1]>,
    /// What was decided on last, and the span of the attempt that is about to begin.
    target: Option<(Arc<str>, Option<Arc<str>>)>,
    next: Option<SpanId>,
}

impl Trace {
    /// Go on with the caller's trace, or begin one.
    pub(crate) fn begin(
        ids: &Ids,
        share: Share,
        (method, path): (&http::Method, &str),
        headers: &HeaderMap,
    ) -> Self {
        let parent = single(headers).and_then(|value| Parent::read(value.as_bytes()));
        let span = ids.span();
        // Callers choose it; as much as a span tells.
        let path = path.get(..path.floor_char_boundary(TELEMETRY_TEXT_BYTES_MAX));
        let path = path.unwrap_or_default().into();
        let method = method.clone();
        let (id, parent, sampled, state) = match parent {
            Some(parent) => {
                let state = state(headers);
                (parent.trace, Some(parent.span), parent.sampled, state)
            }
            None => {
                let id = ids.trace();
                (id, None, share.takes(id), None)
            }
        };
        Self {
            id,
            span,
            parent,
            sampled,
            state,
            method,
            path,
            legs: SmallVec::new(),
            target: None,
            next: None,
        }
    }

    /// A target was decided on.
    pub(crate) fn to(&mut self, model: Arc<str>, host: Option<Arc<str>>) {
        self.target = Some((model, host));
    }

    /// The span of the attempt that is about to begin.
    pub(crate) fn next(&mut self, ids: &Ids) -> SpanId {
        let span = ids.span();
        self.next = Some(span);
        span
    }

    /// It begins.
    pub(crate) fn leg(&mut self, number: u32, ids: &Ids) {
        let (model, host) = self.target.clone().unwrap_or_default();
        let span = self.next.take().unwrap_or_else(|| ids.span());
        self.legs.push(Leg {
            number,
            span,
            model,
            host,
        });
    }

    /// What an upstream is told, of an attempt with this span.
    pub(crate) fn headers(&self, span: SpanId) -> SmallVec<[(HeaderName, HeaderValue); 2]> {
        let flags = if self.sampled { SAMPLED } else { 0 };
        let parent = format!("00-{}-{span}-{flags:02x}", self.id);
        let mut headers = SmallVec::new();
        // Digits and dashes.
        if let Ok(parent) = HeaderValue::try_from(parent) {
            headers.push((TRACEPARENT, parent));
            headers.extend(self.state.clone().map(|state| (TRACESTATE, state)));
        }
        headers
    }
}

/// The one `traceparent`; of two nobody knows which is meant.
fn single(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// All of `tracestate` as one header; what is longer than everybody must pass on is left out.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(TRACESTATE).iter();
    let first = values.next()?;
    let plain = |value: &HeaderValue| {
        let ascii = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
        value.as_bytes().iter().all(ascii)
    };
    let joined = values.fold(first.as_bytes().to_vec(), |mut all, value| {
        all.push(b',');
        all.extend_from_slice(value.as_bytes());
        all
    });
    let joined = HeaderValue::from_bytes(&joined).ok()?;
    let fits = !joined.is_empty() && joined.len() <= TRACE_STATE_BYTES_MAX;
    (fits && plain(&joined)).then_some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn begun(headers: &[(HeaderName, &str)], share: f64) -> Trace {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let place = (&http::Method::POST, "/v1/chat/completions");
        Trace::begin(&Ids::new(7), Share::new(share), place, &map)
    }

    #[test]
    fn only_what_the_recommendation_allows_is_a_parent() {
        let read = |text: &str| Parent::read(text.as_bytes());
        let parent = read(PARENT).unwrap();
        assert_eq!(parent.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span.to_string(), "00f067aa0ba902b7");
        assert!(parent.sampled);
        for (good, sampled) in [
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03",
                true,
            ),
            (
                "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                true,
            ),
            (
                "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                true,
            ),
        ] {
            assert_eq!(
                read(good).map(|parent| parent.sampled),
                Some(sampled),
                "{good}"
            );
        }
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_trace_goes_on_and_is_told_with_the_span_of_the_attempt() {
        let headers = [
            (TRACEPARENT, PARENT),
            (TRACESTATE, "a=1"),
            (TRACESTATE, "b=2"),
        ];
        // The caller decides whether it is told, not the share.
        let mut trace = begun(&headers, 0.0);
        assert!(trace.sampled);
        let span = trace.next(&Ids::new(1));
        let told = trace.headers(span);
        let told: Vec<_> = told
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span}-01");
        assert_eq!(told, [("traceparent", &*parent), ("tracestate", "a=1,b=2")]);
        trace.to("m".into(), None);
        trace.leg(1, &Ids::new(1));
        assert_eq!((trace.legs[0].span, &*trace.legs[0].model), (span, "m"));
    }

    #[test]
    fn what_nobody_could_go_on_with_begins_a_trace() {
        let two = [(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)];
        let broken = [(TRACEPARENT, "00-1-2-3"), (TRACESTATE, "a=1")];
        for headers in [&two[..], &broken, &[]] {
            let trace = begun(headers, 1.0);
            assert_eq!((trace.parent, &trace.state), (None, &None));
            assert!(trace.sampled);
        }
        let long = "a=".to_owned() + &"x".repeat(TRACE_STATE_BYTES_MAX);
        let headers = [(TRACEPARENT, PARENT), (TRACESTATE, &*long)];
        let trace = begun(&headers, 1.0);
        assert_eq!((trace.parent.is_some(), trace.state), (true, None));
    }

    #[test]
    fn a_share_is_taken_of_the_traces_that_begin_here() {
        let ids = Ids::new(0x1234_5678_9abc_def0);
        for (share, low, high) in [(0.0, 0, 0), (0.1, 850, 1_150), (1.0, 10_000, 10_000)] {
            let share = Share::new(share);
            let taken = (0..10_000).filter(|_| share.takes(ids.trace())).count();
            assert!((low..=high).contains(&taken), "{taken}");
        }
    }
}
