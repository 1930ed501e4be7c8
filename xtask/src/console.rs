//! The one place that writes to the terminal.

use std::fmt::Display;
use std::io::Write;

/// Writes a line to standard output. A closed pipe is no reason to stop a test run.
pub(crate) fn say(line: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// Writes a line to standard error.
pub(crate) fn complain(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Opens a section of the output.
pub(crate) fn head(title: &str) {
    say(format_args!("\n== {title}"));
}
