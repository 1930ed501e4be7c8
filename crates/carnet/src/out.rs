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

/// A text for people, without what a terminal would obey: ids come from anywhere.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && !matches!(c, '\n' | '\t') {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// So many of something, by its name for one.
pub(crate) fn counted<N: Display + PartialEq + From<u8>>(count: N, one: &str) -> String {
    let is_one = count == N::from(1);
    match one.strip_suffix('y') {
        _ if is_one => format!("{count} {one}"),
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {one}s"),
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
    let _ = writeln!(io::stderr().lock(), "{}", plain(&text.to_string()));
}

/// Where lines go that programs read.
pub(crate) fn lines() -> impl Write {
    io::stderr()
}

/// Report everything that is wrong.
pub(crate) fn troubles(troubles: &[Trouble]) {
    for trouble in troubles {
        note(trouble);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_several_are_told_apart() {
        assert_eq!(counted(1_u64, "entry"), "1 entry");
        assert_eq!(counted(0_usize, "entry"), "0 entries");
        assert_eq!(counted(2_usize, "warning"), "2 warnings");
    }

    #[test]
    fn a_terminal_gets_nothing_that_it_would_obey() {
        assert_eq!(
            plain("a\u{1b}[31mb\r\u{9b}c\nd"),
            "a\u{fffd}[31mb\u{fffd}\u{fffd}c\nd"
        );
    }
}
