//! What is wrong in a policy file, where, and how to put it right.

use std::fmt;

use miette::Diagnostic;

use crate::codes::Code;
use crate::help;
use crate::pack::PackSource;

/// One mistake in a policy pack. Loading reports all of them at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyProblem {
    /// The pack; empty when the problem belongs to no pack.
    pub pack: String,
    /// The file inside the pack's folder.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What kind of mistake it is.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// How to put it right.
    pub help: Option<String>,
    /// The line, for showing; none when the problem is about no line.
    pub excerpt: Option<Box<Excerpt>>,
}

/// A line of a file with the word that a problem is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Excerpt {
    /// The line, without its end.
    pub line: String,
    /// Characters to mark, from the problem's column on.
    pub width: usize,
}

impl Excerpt {
    /// The line of this number, marked from this column on, both from 1.
    fn of(text: &str, line: usize, column: usize) -> Option<Self> {
        let line = text.lines().nth(line.checked_sub(1)?)?;
        let rest: String = line.chars().skip(column.saturating_sub(1)).collect();
        Some(Self {
            line: line.to_owned(),
            width: word(&rest).max(1),
        })
    }
}

/// How many characters the word at the start of a text has: a name, an annotation, a text in quotes
/// or a sign.
fn word(text: &str) -> usize {
    let part_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let mut rest = text.chars();
    match rest.next() {
        Some('"') => rest
            .position(|c| c == '"')
            .map_or(1, |end| end.saturating_add(2)),
        Some('@') => rest.take_while(|c| part_of_name(*c)).count() + 1,
        Some(first) if part_of_name(first) => rest.take_while(|c| part_of_name(*c)).count() + 1,
        _ => 1,
    }
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pack.is_empty() {
            write!(f, "{}/", self.pack)?;
        }
        if !self.file.is_empty() {
            write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for PolicyProblem {}

/// The file that is being read: knows how to turn a byte offset into a problem with its place.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) pack: &'a str,
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl Place<'_> {
    /// A problem at this byte of the file.
    pub(crate) fn problem(
        &self,
        offset: usize,
        code: Code,
        message: impl Into<String>,
    ) -> PolicyProblem {
        let (line, column) = position(self.text, offset);
        PolicyProblem {
            pack: self.pack.to_owned(),
            file: self.file.to_owned(),
            line,
            column,
            code,
            message: message.into(),
            help: None,
            excerpt: None,
        }
    }

    /// A problem that Cedar reports, at its own first label.
    pub(crate) fn diagnostic(&self, found: &dyn Diagnostic, fallback: usize) -> PolicyProblem {
        let label = found.labels().and_then(|mut labels| labels.next());
        let offset = label.as_ref().map_or(fallback, |label| label.offset());
        let mut message = found.to_string();
        let detail = label
            .as_ref()
            .and_then(|label| label.label())
            .filter(|text| !message.contains(text));
        let expected = detail.and_then(|text| text.strip_prefix("expected "));
        let help = match found.help() {
            Some(help) => help.to_string(),
            None => help::cedar(&message, expected),
        };
        // What Cedar expected is the way to put it right, so it stands in the help alone.
        if let (Some(detail), None) = (detail, expected) {
            message = format!("{message}: {detail}");
        }
        self.problem(offset, Code::BadCedar, message).help(help)
    }

    /// The problems that the TOML reader reports. `base` is where its text begins in the file.
    pub(crate) fn toml(
        &self,
        errors: &[toml_span::Error],
        base: usize,
        code: Code,
    ) -> Vec<PolicyProblem> {
        errors
            .iter()
            .map(|error| self.toml_error(error, base, code))
            .collect()
    }

    fn toml_error(&self, error: &toml_span::Error, base: usize, code: Code) -> PolicyProblem {
        let mut offset = error.span.start;
        if let toml_span::ErrorKind::UnexpectedKeys { keys, .. } = &error.kind
            && let Some((_, span)) = keys.first()
        {
            offset = span.start;
        }
        let (message, help) = help::toml(error);
        self.problem(base.saturating_add(offset), code, message)
            .help(help)
    }
}

impl PolicyProblem {
    /// A problem that has no place in a file.
    pub(crate) fn general(code: Code, message: impl Into<String>) -> Self {
        Place {
            pack: "",
            file: "",
            text: "",
        }
        .problem(0, code, message)
    }

    /// The same problem with its line, from the packs it was found in.
    pub(crate) fn shown_in(mut self, packs: &[PackSource]) -> Self {
        let pack = packs.iter().find(|pack| pack.name == self.pack);
        let mut files = pack.into_iter().flat_map(|pack| &pack.files);
        let text = files.find(|(file, _)| *file == self.file);
        self.excerpt = text
            .and_then(|(_, text)| Excerpt::of(text, self.line, self.column))
            .map(Box::new);
        self
    }

    /// The same problem with the way to put it right.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Line and column, both from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let before = text.get(..end).unwrap_or_default();
    let line = before
        .bytes()
        .filter(|b| *b == b'\n')
        .count()
        .saturating_add(1);
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        .saturating_add(1);
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_at_a_place_is_marked() {
        let text = "one\n@title(\"two words\") permit (x)\n";
        for (line, column, width) in [(1, 1, 3), (2, 1, 6), (2, 8, 11), (2, 21, 6), (2, 28, 1)] {
            let found = Excerpt::of(text, line, column).unwrap();
            assert_eq!(found.width, width, "{line}:{column}");
        }
        assert_eq!(Excerpt::of(text, 3, 1), None);
        assert_eq!(Excerpt::of("a\n", 0, 1), None);
        assert_eq!(Excerpt::of("a\n", 1, 9).map(|found| found.width), Some(1));
    }

    #[test]
    fn positions_count_lines_and_characters() {
        let text = "aé\nxyz";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 2), (1, 2), "inside the second character");
        assert_eq!(position(text, 4), (2, 1));
        assert_eq!(position(text, 99), (2, 4));
    }
}
