//! What is wrong in the text of a property, where, and how to put it right.

use std::fmt;

use miette::Diagnostic;
use serde::Serialize;

/// One mistake in a property, its condition or an assumption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PropertyProblem {
    /// Which text it is in.
    pub part: Part,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// How to put it right.
    pub help: String,
}

/// The text that a place is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// An assumption, counted from 1.
    Assumption(usize),
    /// The property itself.
    Property,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assumption(number) => write!(f, "assumption {number}"),
            Self::Property => f.write_str("property"),
        }
    }
}

impl fmt::Display for PropertyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            part,
            line,
            column,
            message,
            ..
        } = self;
        write!(f, "{part}:{line}:{column}: {message}")
    }
}

impl std::error::Error for PropertyProblem {}

/// Where a text begins in what the person wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    /// The first character of a text.
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    /// The place of this byte of a text that begins here.
    pub(crate) fn at(self, text: &str, offset: usize) -> Self {
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let before = text.get(..end).unwrap_or_default();
        let lines = before.bytes().filter(|byte| *byte == b'\n').count();
        let last = before.rsplit('\n').next().unwrap_or_default();
        let characters = last.chars().count();
        let column = if lines == 0 {
            self.column.saturating_add(characters)
        } else {
            characters.saturating_add(1)
        };
        Self {
            line: self.line.saturating_add(lines),
            column,
        }
    }

    /// A problem here.
    pub(crate) fn problem(
        self,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> PropertyProblem {
        PropertyProblem {
            part: Part::Property,
            line: self.line,
            column: self.column,
            message: message.into(),
            help: help.into(),
        }
    }
}

/// Byte, message and advice of a mistake that Cedar found.
pub(crate) fn told_by_cedar(found: &dyn Diagnostic) -> (Option<usize>, String, String) {
    let label = found.labels().and_then(|mut labels| labels.next());
    let mut message = found.to_string();
    let detail = label
        .as_ref()
        .and_then(|label| label.label())
        .filter(|text| !message.contains(text));
    let expected = detail.and_then(|text| text.strip_prefix("expected "));
    let help = match found.help() {
        Some(help) => help.to_string(),
        None => advice(&message, expected),
    };
    // What Cedar expected is the way to put it right, so it stands in the help alone.
    if let (Some(detail), None) = (detail, expected) {
        message = format!("{message}: {detail}");
    }
    (label.map(|label| label.offset()), message, help)
}

/// What to do about a mistake for which Cedar has no advice of its own.
fn advice(message: &str, expected: Option<&str>) -> String {
    let says = |words: &str| message.contains(words);
    match expected {
        _ if says("`and`") => "write `&&`".to_owned(),
        _ if says("`or`") => "write `||`".to_owned(),
        Some(expected) => format!("write here: {expected}"),
        _ if says("is impossible") => {
            "no request can meet it: compare with a value that occurs, or leave the part out"
                .to_owned()
        }
        _ if says("unexpected end of input") => {
            "complete the condition: `principal.… == \"…\" && resource.…`".to_owned()
        }
        _ => {
            "write a condition as in the `when` of a rule, such as `resource.identified`".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_on_from_where_the_text_begins() {
        let begin = Place { line: 2, column: 7 };
        let at = |offset| {
            let place = begin.at("aé\nxyz", offset);
            (place.line, place.column)
        };
        assert_eq!(at(0), (2, 7));
        assert_eq!(at(3), (2, 9));
        assert_eq!(at(4), (3, 1));
        assert_eq!(at(99), (3, 4));
    }
}
