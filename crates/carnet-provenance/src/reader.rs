//! Reads TOML tables key by key. Every mistake is noted with its place and reading goes on, so that
//! all mistakes of all files come out at once.

use std::cell::RefCell;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use jiff::civil::Date;
use toml_span::value::{Table, ValueInner};
use toml_span::{ErrorKind, Span, Value};

use crate::claim::{Claim, Confidence, Contradiction, Dated, Evidence, Validity};
use crate::country::Country;
use crate::problem::{Place, Problem, SourceFile};

/// A file being read, and the mistakes found so far in all files.
pub(crate) struct Doc<'a> {
    file: Arc<str>,
    text: &'a str,
    problems: &'a RefCell<Vec<Problem>>,
}

/// A table being read.
pub(crate) struct Fields<'a> {
    doc: &'a Doc<'a>,
    table: Table<'a>,
    span: Span,
    asked: Vec<&'static str>,
}

/// A text with its place.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) place: Place,
}

impl<'a> Doc<'a> {
    pub(crate) fn new(source: &'a SourceFile, problems: &'a RefCell<Vec<Problem>>) -> Self {
        Self {
            file: source.path.as_str().into(),
            text: &source.text,
            problems,
        }
    }

    /// The file as one table.
    pub(crate) fn fields(&'a self) -> Option<Fields<'a>> {
        match toml_span::parse(self.text) {
            Ok(value) => Fields::of(self, value),
            Err(error) => {
                let problem = self.place(error.span).problem(error.to_string());
                self.note(problem.help(syntax_help(&error.kind)));
                None
            }
        }
    }

    /// The beginning of the file.
    pub(crate) fn start(&self) -> Place {
        Place {
            file: self.file.clone(),
            line: 1,
            column: 1,
        }
    }

    pub(crate) fn note(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    fn place(&self, span: Span) -> Place {
        Place::of(&self.file, self.text, span)
    }
}

impl<'a> Fields<'a> {
    fn of(doc: &'a Doc<'a>, mut value: Value<'a>) -> Option<Self> {
        match value.take() {
            ValueInner::Table(table) => Some(Self {
                doc,
                table,
                span: value.span,
                asked: Vec::new(),
            }),
            other => {
                let message = format!("expected a table, found {}", kind(&other));
                let problem = doc.place(value.span).problem(message);
                doc.note(problem.help("write { key = … } here"));
                None
            }
        }
    }

    /// Where the table begins.
    pub(crate) fn place(&self) -> Place {
        self.doc.place(self.span)
    }

    pub(crate) fn note(&self, problem: Problem) {
        self.doc.note(problem);
    }

    /// Whether the key is there; it is not consumed.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.asked.push(key);
        self.table.remove(key)
    }

    fn wrong(&self, span: Span, expected: &str, key: &str, found: &ValueInner<'_>) {
        let message = format!("`{key}` must be {expected}, not {}", kind(found));
        let problem = self.doc.place(span).problem(message);
        self.note(problem.help(format!("write {expected} here")));
    }

    fn missing(&self, key: &str) {
        let help = format!("add `{key} = …`");
        self.note(
            self.place()
                .problem(format!("`{key}` is missing"))
                .help(help),
        );
    }

    /// What could deceive the eye or command a terminal stands in no text.
    fn plain(&self, span: Span, key: &str, text: &str) {
        if !is_plain(text) {
            let problem = self.doc.place(span);
            let problem = problem.problem(format!("`{key}` has control characters"));
            self.note(problem.help("write the text without them"));
        }
    }

    /// An optional text with its place. An empty one is a mistake.
    pub(crate) fn text_at(&mut self, key: &'static str) -> Option<Text> {
        let mut value = self.take(key)?;
        let span = value.span;
        if let Some(text) = value.as_str() {
            self.plain(span, key, text);
        }
        match value.take() {
            ValueInner::String(text) if !text.trim().is_empty() => Some(Text {
                value: text.into_owned(),
                place: self.doc.place(span),
            }),
            ValueInner::String(_) => {
                let problem = self.doc.place(span).problem(format!("`{key}` is empty"));
                self.note(problem.help("write the value, or leave the key out"));
                None
            }
            other => {
                self.wrong(span, "a text", key, &other);
                None
            }
        }
    }

    /// An optional text.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<String> {
        self.text_at(key).map(|text| text.value)
    }

    /// A text that must be there, with its place.
    pub(crate) fn need_text_at(&mut self, key: &'static str) -> Option<Text> {
        if !self.has(key) {
            self.asked.push(key);
            self.missing(key);
            return None;
        }
        self.text_at(key)
    }

    /// A text that must be there.
    pub(crate) fn need_text(&mut self, key: &'static str) -> Option<String> {
        self.need_text_at(key).map(|text| text.value)
    }

    /// A list of texts; empty when it is absent.
    pub(crate) fn texts_at(&mut self, key: &'static str) -> Vec<Text> {
        let mut found = Vec::new();
        for mut value in self.array(key) {
            let span = value.span;
            match value.take() {
                ValueInner::String(text) if !text.trim().is_empty() => {
                    self.plain(span, key, &text);
                    found.push(Text {
                        value: text.into_owned(),
                        place: self.doc.place(span),
                    });
                }
                ValueInner::String(_) => {
                    let problem = self
                        .doc
                        .place(span)
                        .problem(format!("`{key}` has an empty text"));
                    self.note(problem.help("write the value, or leave it out"));
                }
                other => self.wrong(span, "a list of texts", key, &other),
            }
        }
        found
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<String> {
        self.texts_at(key)
            .into_iter()
            .map(|text| text.value)
            .collect()
    }

    /// A list of tables, written as `[[key]]` or inline.
    pub(crate) fn tables(&mut self, key: &'static str) -> Vec<Fields<'a>> {
        self.array(key)
            .into_iter()
            .filter_map(|value| Self::of(self.doc, value))
            .collect()
    }

    fn array(&mut self, key: &'static str) -> Vec<Value<'a>> {
        let Some(mut value) = self.take(key) else {
            return Vec::new();
        };
        let span = value.span;
        match value.take() {
            ValueInner::Array(values) => values,
            other => {
                self.wrong(span, "a list", key, &other);
                Vec::new()
            }
        }
    }

    /// An optional yes or no.
    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let mut value = self.take(key)?;
        let span = value.span;
        match value.take() {
            ValueInner::Boolean(flag) => Some(flag),
            other => {
                self.wrong(span, "true or false", key, &other);
                None
            }
        }
    }

    /// An optional table.
    pub(crate) fn table(&mut self, key: &'static str) -> Option<Fields<'a>> {
        let value = self.take(key)?;
        Self::of(self.doc, value)
    }

    /// An optional number from 1.
    pub(crate) fn count(&mut self, key: &'static str) -> Option<u32> {
        let mut value = self.take(key)?;
        let span = value.span;
        let found = value.take();
        let number = match &found {
            ValueInner::Integer(number) => u32::try_from(*number).ok().filter(|n| *n > 0),
            _ => None,
        };
        if number.is_none() {
            self.wrong(span, "a whole number from 1", key, &found);
        }
        number
    }

    /// An optional share in percent.
    pub(crate) fn percent(&mut self, key: &'static str) -> Option<f32> {
        let mut value = self.take(key)?;
        let span = value.span;
        let found = value.take();
        let number = match &found {
            #[expect(clippy::cast_precision_loss, reason = "a percentage is at most 100")]
            ValueInner::Integer(number) => Some(*number as f32),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a share needs no more digits"
            )]
            ValueInner::Float(number) => Some(*number as f32),
            _ => None,
        };
        let number = number.filter(|number| (0.0..=100.0).contains(number));
        if number.is_none() {
            self.wrong(span, "a number from 0 to 100", key, &found);
        }
        number
    }

    /// An optional day, written `"YYYY-MM-DD"`.
    pub(crate) fn date(&mut self, key: &'static str) -> Option<Date> {
        let text = self.text_at(key)?;
        // Jiff would also take a date with a time: only the plain form is a day here.
        let day = text
            .value
            .parse::<Date>()
            .ok()
            .filter(|_| text.value.len() == "YYYY-MM-DD".len());
        if day.is_none() {
            let message = format!("`{}` is not a date", text.value);
            self.note(
                text.place
                    .problem(message)
                    .help("write it as \"YYYY-MM-DD\", such as \"2025-01-31\""),
            );
        }
        day
    }

    /// A day that must be there.
    pub(crate) fn need_date(&mut self, key: &'static str) -> Option<Date> {
        if !self.has(key) {
            self.asked.push(key);
            self.missing(key);
            return None;
        }
        self.date(key)
    }

    /// The value that a text stands for; a text that stands for none is a mistake.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&self, text: &Text, help: &str) -> Option<T> {
        match text.value.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.note(text.place.problem(error.to_string()).help(help));
                None
            }
        }
    }

    /// An optional country; `"unknown"` is none.
    pub(crate) fn country_at(&mut self, key: &'static str) -> Option<(Country, Place)> {
        let text = self.text_at(key).filter(|text| text.value != "unknown")?;
        match text.value.parse() {
            Ok(country) => Some((country, text.place)),
            Err(error) => {
                self.note(text.place.problem(error.to_string()));
                None
            }
        }
    }

    /// An optional word of a closed set.
    pub(crate) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text_at(key)?;
        let found = words.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("`{key}` cannot be `{}`", text.value);
            self.note(
                text.place
                    .problem(message)
                    .help(format!("use one of {}", known.join(", "))),
            );
        }
        found.map(|(_, value)| *value)
    }

    /// A word that must be there.
    pub(crate) fn need_word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Option<T> {
        if !self.has(key) {
            self.asked.push(key);
            self.missing(key);
            return None;
        }
        self.word(key, words)
    }

    /// Source, date and confidence, all of which must be there.
    pub(crate) fn evidence(&mut self) -> Option<Evidence> {
        let source = self.need_text("source");
        let date = self.need_date("date");
        let confidence = self.need_word("confidence", Confidence::ALL);
        Some(Evidence {
            source: source?.into(),
            date: Some(date?),
            confidence: confidence?,
        })
    }

    /// Source, date and confidence, all of them or none.
    pub(crate) fn some_evidence(&mut self) -> Option<Evidence> {
        const KEYS: [&str; 3] = ["source", "date", "confidence"];
        if KEYS.iter().any(|key| self.has(key)) {
            return self.evidence();
        }
        self.asked.extend(KEYS);
        None
    }

    /// `valid_from` and `valid_to`.
    pub(crate) fn validity(&mut self) -> Validity {
        let valid = Validity {
            from: self.date("valid_from"),
            to: self.date("valid_to"),
        };
        if let Validity {
            from: Some(from),
            to: Some(to),
        } = valid
            && to <= from
        {
            let message = format!("`valid_to` {to} is not after `valid_from` {from}");
            self.note(
                self.place()
                    .problem(message)
                    .help("valid_to is the first day on which it no longer holds"),
            );
        }
        valid
    }

    /// What is said under a key: one claim, or several with validities that do not overlap.
    pub(crate) fn claims<T>(
        &mut self,
        key: &'static str,
        read: impl FnMut(&mut Fields<'a>) -> Option<T>,
    ) -> Dated<T> {
        Dated(self.claims_where(key, read, |_, _| true))
    }

    /// The same, where validities may overlap unless two claims are about the same.
    pub(crate) fn claims_where<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Fields<'a>) -> Option<T>,
        same: impl Fn(&T, &T) -> bool,
    ) -> Vec<Claim<T>> {
        let Some(mut value) = self.take(key) else {
            return Vec::new();
        };
        let span = value.span;
        let tables = match value.take() {
            ValueInner::Array(values) => values,
            table @ ValueInner::Table(_) => vec![Value::with_span(table, span)],
            other => {
                self.wrong(
                    span,
                    "a claim { value, source, date, confidence }",
                    key,
                    &other,
                );
                return Vec::new();
            }
        };
        let mut found: Vec<Claim<T>> = Vec::new();
        for mut fields in tables
            .into_iter()
            .filter_map(|value| Fields::of(self.doc, value))
        {
            let place = fields.place();
            let Some(claim) = fields.claim(&mut read) else {
                continue;
            };
            let rival = |other: &Claim<T>| {
                same(&other.value, &claim.value) && other.valid.overlaps(&claim.valid)
            };
            if found.iter().any(rival) {
                let message = format!("two claims of `{key}` hold on the same days");
                self.note(
                    place
                        .problem(message)
                        .help("give them valid_from and valid_to that do not overlap"),
                );
            }
            found.push(claim);
        }
        found
    }

    /// Claims of which several may hold at once.
    pub(crate) fn claim_list<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Fields<'a>) -> Option<T>,
    ) -> Vec<Claim<T>> {
        self.tables(key)
            .into_iter()
            .filter_map(|mut fields| fields.claim(&mut read))
            .collect()
    }

    fn claim<T>(
        &mut self,
        read: &mut impl FnMut(&mut Fields<'a>) -> Option<T>,
    ) -> Option<Claim<T>> {
        let value = read(self);
        let evidence = self.evidence();
        let valid = self.validity();
        let by = self.text("disputed_by");
        let source = self.text("disputed_source");
        if by.is_none() && source.is_some() {
            let problem = self
                .place()
                .problem("`disputed_source` without `disputed_by`");
            self.note(problem.help("say who disputes it"));
        }
        let disputed = by.map(|by| Contradiction { by, source });
        self.finish_ref();
        Some(Claim {
            value: value?,
            evidence: evidence?,
            valid,
            disputed,
        })
    }

    /// Any key that nobody asked for is a mistake.
    pub(crate) fn finish(mut self) {
        self.finish_ref();
    }

    fn finish_ref(&mut self) {
        // A remark for the reader of the file is welcome everywhere.
        self.take("note");
        for key in std::mem::take(&mut self.table).into_keys() {
            let problem = self
                .doc
                .place(key.span)
                .problem(format!("unknown key `{}`", key.name));
            self.note(problem.help(format!("known here: {}", self.asked.join(", "))));
        }
    }
}

/// Whether a text has no character that a terminal obeys or that turns the direction of reading.
pub(crate) fn is_plain(text: &str) -> bool {
    let hidden = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    !text.chars().any(hidden)
}

/// How to mend a text that is no TOML.
fn syntax_help(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::Wanted { expected, .. } => format!("write {expected} here"),
        ErrorKind::DuplicateKey { .. } | ErrorKind::DuplicateTable { .. } => {
            "keep one of the two; further entries of a kind begin with [[…]]".to_owned()
        }
        ErrorKind::UnquotedString => "put a text in quotes: \"…\"".to_owned(),
        ErrorKind::UnterminatedString => "close the text with a quote".to_owned(),
        _ => "correct the line; it is not valid TOML".to_owned(),
    }
}

/// What a value is, with its article.
fn kind(value: &ValueInner<'_>) -> &'static str {
    match value {
        ValueInner::String(_) => "a text",
        ValueInner::Integer(_) | ValueInner::Float(_) => "a number",
        ValueInner::Boolean(_) => "true or false",
        ValueInner::Array(_) => "a list",
        ValueInner::Table(_) => "a table",
    }
}
