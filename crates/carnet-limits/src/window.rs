//! The spans of time over which something may be used, as numbers of seconds since 1970. Days, weeks and months are those
//! of UTC.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use thiserror::Error;

/// A span over which something is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// From midnight to midnight.
    Day,
    /// For as long as it runs: what is given back at its end.
    Lasting,
    /// From the first of a month to that of the next.
    Month,
    /// The last so many seconds, wherever one stands.
    Sliding(u32),
    /// From Monday to Monday.
    Week,
}

/// A text that is no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no window is written so")]
pub struct NoWindow;

/// `day`, `week`, `month`, `lasting` or a number of seconds such as `60s`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day => f.write_str("day"),
            Self::Lasting => f.write_str("lasting"),
            Self::Month => f.write_str("month"),
            Self::Sliding(seconds) => write!(f, "{seconds}s"),
            Self::Week => f.write_str("week"),
        }
    }
}

impl FromStr for Window {
    type Err = NoWindow;

    fn from_str(text: &str) -> Result<Self, NoWindow> {
        match text {
            "day" => Ok(Self::Day),
            "lasting" => Ok(Self::Lasting),
            "month" => Ok(Self::Month),
            "week" => Ok(Self::Week),
            _ => {
                let seconds = text.strip_suffix('s').ok_or(NoWindow)?;
                seconds.parse().map(Self::Sliding).map_err(|_| NoWindow)
            }
        }
    }
}

/// One span of a window: the one in which an instant lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// First second.
    pub(crate) start: i64,
    /// First second of the next one.
    pub(crate) end: i64,
}

impl Window {
    /// The span in which `now` lies. Those of a sliding window follow each other from 1970 on.
    pub(crate) fn span(self, now: Timestamp) -> Span {
        let seconds = now.as_second();
        let start_of = |date: Date| {
            let zoned = date.to_zoned_datetime(TimeZone::UTC);
            zoned.map_or(seconds, |zoned| zoned.timestamp().as_second())
        };
        let day = now.to_zoned_datetime(TimeZone::UTC).date();
        let (first, next) = match self {
            Self::Lasting => {
                return Span {
                    start: i64::MIN,
                    end: i64::MAX,
                };
            }
            Self::Sliding(length) => {
                let length = i64::from(length.max(1));
                let start = seconds.div_euclid(length).saturating_mul(length);
                return Span {
                    start,
                    end: start.saturating_add(length),
                };
            }
            Self::Day => (day, day.checked_add(1.day())),
            Self::Month => {
                let first = day.first_of_month();
                (first, first.checked_add(1.month()))
            }
            Self::Week => {
                let since = day.weekday().since(Weekday::Monday);
                let monday = day.checked_sub(i64::from(since).days()).unwrap_or(day);
                (monday, monday.checked_add(1.week()))
            }
        };
        Span {
            start: start_of(first),
            end: next.map_or(i64::MAX, start_of),
        }
    }

    /// Whether what was used in the span before counts in part.
    pub(crate) fn slides(self) -> bool {
        matches!(self, Self::Sliding(_))
    }
}

impl Span {
    /// The part of the span before that a sliding window still covers at `now`, in millionths.
    pub(crate) fn left_of_before(self, now: Timestamp) -> u64 {
        let length = i128::from(self.end.saturating_sub(self.start).max(1)) * 1000;
        let into = i128::from(now.as_millisecond()) - i128::from(self.start) * 1000;
        let left = (length - into).clamp(0, length);
        u64::try_from(left * 1_000_000 / length).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn span(window: Window, now: &str) -> (Timestamp, Timestamp) {
        let span = window.span(at(now));
        let instant = |seconds| Timestamp::from_second(seconds).unwrap();
        (instant(span.start), instant(span.end))
    }

    #[test]
    fn spans_are_those_of_the_calendar() {
        for (window, now, start, end) in [
            (
                Window::Day,
                "2026-02-28T23:59:59Z",
                "2026-02-28T00:00:00Z",
                "2026-03-01T00:00:00Z",
            ),
            (
                Window::Day,
                "2026-03-01T00:00:00Z",
                "2026-03-01T00:00:00Z",
                "2026-03-02T00:00:00Z",
            ),
            (
                Window::Month,
                "2028-02-29T12:00:00Z",
                "2028-02-01T00:00:00Z",
                "2028-03-01T00:00:00Z",
            ),
            (
                Window::Month,
                "2026-12-31T23:59:59Z",
                "2026-12-01T00:00:00Z",
                "2027-01-01T00:00:00Z",
            ),
            (
                Window::Week,
                "2026-11-29T23:59:59Z",
                "2026-11-23T00:00:00Z",
                "2026-11-30T00:00:00Z",
            ),
            (
                Window::Week,
                "2026-11-30T00:00:00Z",
                "2026-11-30T00:00:00Z",
                "2026-12-07T00:00:00Z",
            ),
            (
                Window::Sliding(60),
                "2026-01-01T00:01:01Z",
                "2026-01-01T00:01:00Z",
                "2026-01-01T00:02:00Z",
            ),
        ] {
            assert_eq!(
                span(window, now),
                (at(start), at(end)),
                "{window:?} at {now}"
            );
        }
    }

    #[test]
    fn of_the_span_before_less_counts_with_every_moment() {
        let span = Window::Sliding(60).span(at("2026-01-01T00:00:00Z"));
        for (now, left) in [
            ("2026-01-01T00:00:00Z", 1_000_000),
            ("2026-01-01T00:00:15Z", 750_000),
            ("2026-01-01T00:00:59.994Z", 100),
            ("2026-01-01T00:01:00Z", 0),
            // The clock was set back.
            ("2025-12-31T23:00:00Z", 1_000_000),
        ] {
            assert_eq!(span.left_of_before(at(now)), left, "{now}");
        }
    }

    #[test]
    fn windows_are_read_as_they_are_written() {
        for window in [
            Window::Day,
            Window::Lasting,
            Window::Month,
            Window::Week,
            Window::Sliding(1),
            Window::Sliding(u32::MAX),
        ] {
            assert_eq!(window.to_string().parse(), Ok(window));
        }
        for text in ["", "s", "60", "-1s", "1m", "Day", "4294967296s"] {
            assert_eq!(text.parse::<Window>(), Err(NoWindow), "{text}");
        }
    }

    #[test]
    fn the_ends_of_time_have_spans_too() {
        for window in [
            Window::Day,
            Window::Lasting,
            Window::Month,
            Window::Week,
            Window::Sliding(u32::MAX),
            Window::Sliding(0),
        ] {
            for now in [Timestamp::MIN, Timestamp::MAX] {
                let span = window.span(now);
                assert!(span.start < span.end, "{window:?} at {now}");
            }
        }
    }
}
