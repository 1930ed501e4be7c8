//! The unit of systemd, where one is installed: whether it fits to the configuration.

use std::path::Path;
use std::time::Duration;

use super::Findings;

/// Where units lie, the operator's own first.
const FOLDERS: [&str; 3] = [
    "/etc/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Look at the unit that is installed, if one is.
pub(crate) fn check(findings: &mut Findings, drain: Duration) {
    for folder in FOLDERS {
        let file = Path::new(folder).join("carnet.service");
        if let Ok(text) = std::fs::read_to_string(&file) {
            return judge(findings, &file.display().to_string(), &text, drain);
        }
    }
}

/// Whether running requests get the time that the configuration promises them.
fn judge(findings: &mut Findings, file: &str, text: &str, drain: Duration) {
    const CHECK: &str = "unit";
    let value = |name: &str| {
        let lines = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(name));
        lines
            .filter_map(|rest| rest.trim_start().strip_prefix('='))
            .next_back()
    };
    let stop = value("TimeoutStopSec").and_then(seconds);
    match stop {
        Some(stop) if stop <= drain.as_secs() => findings.warning(
            CHECK,
            format!(
                "{file} ends the server {stop} s after it was told to stop, and requests may take {} s then (`drain_seconds`)",
                drain.as_secs()
            ),
            "make TimeoutStopSec longer than `drain_seconds`",
        ),
        _ => findings.ok(CHECK, file),
    }
    if value("Type").map(str::trim) != Some("notify") {
        findings.warning(
            CHECK,
            format!("{file} does not wait until the server is ready"),
            "write Type=notify, as packaging/systemd/carnet.service does",
        );
    }
}

/// A time as units write it, if it is in seconds or minutes.
fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "" | "s" | "sec" => Some(number),
        "min" | "m" => number.checked_mul(60),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Standing;
    use super::*;

    fn standings(text: &str, drain: u64) -> Vec<Standing> {
        let mut findings = Findings::default();
        judge(&mut findings, "a", text, Duration::from_secs(drain));
        findings.0.iter().map(|finding| finding.standing).collect()
    }

    #[test]
    fn the_unit_in_the_package_fits_to_the_defaults() {
        let unit = include_str!("../../../../packaging/systemd/carnet.service");
        assert_eq!(standings(unit, 30), [Standing::Ok]);
        assert_eq!(standings(unit, 60), [Standing::Warning]);
    }

    #[test]
    fn times_and_types_are_read() {
        assert_eq!(
            standings("Type=notify\nTimeoutStopSec = 2min\n", 90),
            [Standing::Ok]
        );
        assert_eq!(
            standings("Type=simple\nTimeoutStopSec=5s\n", 30),
            [Standing::Warning, Standing::Warning]
        );
        assert_eq!(
            standings("TimeoutStopSec=infinity\nType=notify", 30),
            [Standing::Ok]
        );
    }
}
