//! What can be typed after `carnet key`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key for a workload; the secret is printed once.
    Create(CreateArgs),
    /// List keys; secrets are not stored and cannot be shown.
    List {
        /// State directory. Default: $XDG_STATE_HOME/carnet.
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// JSON Lines.
        #[arg(long)]
        json: bool,
    },
    /// Give a key a new secret, printed once; the one before works on for a time.
    Rotate(RotateArgs),
    /// Revoke a key; answers that run with it are cut within a second.
    Revoke {
        /// Id of the key (`key_…`).
        id: String,
        /// State directory. Default: $XDG_STATE_HOME/carnet.
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The workload that requests with this key speak for.
    #[arg(long, value_name = "NAME")]
    pub(crate) workload: String,
    /// A remark of your own.
    #[arg(long, default_value = "")]
    pub(crate) note: String,
    /// When it stops working: after a time (`30d`, `12h`), at the start of a day in UTC (`2027-01-01`) or at an instant
    /// (`2027-01-01T08:00:00Z`). Default: never by itself.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub(crate) expires: Option<When>,
    /// The kinds of requests that it is for; may be given several times. `inference` is all that ask a model, `models` lists
    /// them, `stored-responses` reads and ends kept ones; or one kind alone, such as `embeddings`. Default: all.
    #[arg(long = "scope", value_name = "WORD", value_delimiter = ',')]
    pub(crate) scopes: Vec<String>,
    /// The models that it is for, as callers name them, a `*` at the end for any rest; may be given several times. Default: all.
    #[arg(long = "model", value_name = "NAME")]
    pub(crate) models: Vec<String>,
    /// The networks that it works from, such as 192.0.2.0/24; may be given several times. Default: all.
    #[arg(long = "from", value_name = "NETWORK", value_delimiter = ',')]
    pub(crate) networks: Vec<String>,
    #[command(flatten)]
    pub(crate) told: Told,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// Id of the key (`key_…`).
    pub(crate) id: String,
    /// For how long the secret before works on (`24h`, `7d`).
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "24h", conflicts_with = "now")]
    pub(crate) grace: SignedDuration,
    /// End every secret before at once; answers that run with one are cut within a second.
    #[arg(long)]
    pub(crate) now: bool,
    /// The key's new end, as with `create`. Default: as before.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub(crate) expires: Option<When>,
    #[command(flatten)]
    pub(crate) told: Told,
}

/// Where the key lies, and how its secret is handed over.
#[derive(Debug, Args)]
pub(crate) struct Told {
    /// State directory. Default: $XDG_STATE_HOME/carnet.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Write the secret into this new file (mode 0600) instead of printing it.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// An instant, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At(Timestamp),
    In(SignedDuration),
}

impl When {
    /// The instant that is meant now.
    pub(crate) fn instant(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(instant) => instant,
            Self::In(time) => now.checked_add(time).unwrap_or(Timestamp::MAX),
        }
    }
}

fn when(text: &str) -> Result<When, String> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(When::At(instant));
    }
    // A day alone: of an instant without its offset nobody knows when it is.
    let day = text.parse::<Date>().ok().filter(|_| text.len() == 10);
    let start = day.and_then(|day| day.to_zoned_datetime(TimeZone::UTC).ok());
    if let Some(start) = start {
        return Ok(When::At(start.timestamp()));
    }
    time(text).map(When::In).map_err(|_| {
        "write a time such as 30d or 12h, a day such as 2027-01-01, or an instant such as 2027-01-01T08:00:00Z"
            .to_owned()
    })
}

fn time(text: &str) -> Result<SignedDuration, String> {
    let span = text.parse::<Span>().ok();
    let time = span.and_then(|span| {
        let days = SpanRelativeTo::days_are_24_hours();
        span.to_duration(days).ok()
    });
    time.filter(|time| !time.is_negative())
        .ok_or_else(|| "write a time such as 24h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_typed() {
        let hours = |hours| Ok(When::In(SignedDuration::from_hours(hours)));
        let at = |text: &str| Ok(When::At(text.parse().unwrap()));
        for (text, meant) in [
            ("30d", hours(30 * 24)),
            ("2w", hours(14 * 24)),
            ("12h", hours(12)),
            ("90m", Ok(When::In(SignedDuration::from_mins(90)))),
            ("2027-01-01", at("2027-01-01T00:00:00Z")),
            ("2027-01-01T08:00:00Z", at("2027-01-01T08:00:00Z")),
            ("2027-01-01T08:00:00+02:00", at("2027-01-01T06:00:00Z")),
        ] {
            assert_eq!(when(text), meant, "{text}");
        }
        for text in [
            "",
            "30",
            "soon",
            "-1d",
            "1 month",
            "1y",
            "2027-02-30",
            "2027-01-01T08:00",
        ] {
            assert!(when(text).is_err(), "{text}");
        }
        let far = When::In(SignedDuration::MAX);
        assert_eq!(far.instant(Timestamp::UNIX_EPOCH), Timestamp::MAX);
    }
}
