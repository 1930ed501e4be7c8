//! The only place that prints: answers on stdout, diagnostics on stderr.

use std::fmt::Display;
use std::io::{self, Write};

use crate::trouble::Trouble;

/// Print an answer. A closed pipe (`| head`) ends the program quietly, as is usual.
pub(crate) fn answer(text: impl Display) {
    if writeln!(io::stdout().lock(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Print a text as it is.
pub(crate) fn raw(text: &str) {
    if io::stdout().lock().write_all(text.as_bytes()).is_err() {
        std::process::exit(0);
    }
}

/// Say something to the operator, beside the answer.
pub(crate) fn note(text: impl Display) {
    // Nobody is left to be told that stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Report everything that is wrong.
pub(crate) fn troubles(troubles: &[Trouble]) {
    for trouble in troubles {
        note(trouble);
    }
}
