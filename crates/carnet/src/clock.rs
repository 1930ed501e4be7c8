//! The process's clock: the only place that asks what time it is.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::trouble::Trouble;

/// Now.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Today, UTC.
pub(crate) fn today() -> Date {
    day_of(now())
}

/// The day of an instant, UTC.
pub(crate) fn day_of(instant: Timestamp) -> Date {
    instant.to_zoned_datetime(TimeZone::UTC).date()
}

/// A clock that cannot be right would make dated facts, records and certificates wrong.
pub(crate) fn check(now: Timestamp) -> Result<(), Trouble> {
    const EARLIEST: Date = Date::constant(1990, 1, 1);
    if day_of(now) >= EARLIEST {
        return Ok(());
    }
    Err(Trouble::new(
        format!("the clock of this machine says {now}, which cannot be"),
        "set the clock (`timedatectl set-ntp true`), then start again: facts, records and certificates depend on the date",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_1990_is_refused() {
        assert!(check("1989-12-31T23:59:59Z".parse().unwrap()).is_err());
        assert!(check("1990-01-01T00:00:00Z".parse().unwrap()).is_ok());
    }
}
