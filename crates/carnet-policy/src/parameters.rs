//! Parameters of a pack: the switches that every legal reading needs, and the pack's own.
//!
//! A value is put into the rules as text before Cedar reads them, so that what is decided, shown and
//! proved is always plain static Cedar.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use toml_span::value::ValueInner;
use toml_span::{Span, Value};

use crate::codes::Code;
use crate::exception::Exception;
use crate::pack::{Mode, Trust};
use crate::problem::{Place, PolicyProblem};
use crate::reading::{Lineage, Reading, Share};

/// What an operator sets for a pack; what is not set keeps the pack's own value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PackSettings {
    /// Whether it decides or only reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Values of its parameters, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Setting>,
    /// Exceptions that were granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// Yes or no.
    Flag(bool),
    /// A whole number from 0.
    Number(u32),
    /// A text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

/// A parameter that a pack declares or that every pack has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it sets, for a person.
    pub title: String,
    /// Its value.
    pub value: Setting,
    /// The values to choose from; empty = any of its type.
    pub choices: Vec<String>,
    /// What the values name: `country`, `group`, `list`, `model`, `producer` or `host`.
    pub of: Option<String>,
    /// Whether every pack has it.
    pub standard: bool,
}

/// What becomes of the rules that are there because something is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnUnknown {
    Deny,
    Warn,
    Allow,
}

/// All parameters of a pack with their values.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    all: BTreeMap<String, Parameter>,
}

const UNKNOWN: &str = "unknown";
const TRUST: &str = "trust";
const LINEAGE: &str = "lineage";
const HOPS: &str = "hops";
const COMPONENTS: &str = "components";
const SHARE: &str = "share";
const CONFIDENCE: &str = "confidence";
const MAX_AGE: &str = "max_age_days";
const AS_OF: &str = "as_of";

/// What values of a parameter can name.
const NAMED: [&str; 6] = ["country", "group", "host", "list", "model", "producer"];

/// The parameters that every pack has: name, title, default, choices.
fn standard() -> Vec<(&'static str, &'static str, Setting, &'static [&'static str])> {
    let text = |value: &str| Setting::Text(value.to_owned());
    vec![
        (
            AS_OF,
            "the day whose lists and owners count; empty: the day of the question",
            text(""),
            &[],
        ),
        (
            COMPONENTS,
            "count only ancestors that gave these components; empty: all",
            Setting::List(Vec::new()),
            &[],
        ),
        (
            CONFIDENCE,
            "facts less sure than this count as unknown",
            text("low"),
            &["low", "medium", "high"],
        ),
        (
            HOPS,
            "count ancestors up to so many steps; 0: all",
            Setting::Number(0),
            &[],
        ),
        (
            LINEAGE,
            "which parties count as makers",
            text("weights"),
            &["producer", "weights", "weights-and-teachers"],
        ),
        (
            MAX_AGE,
            "facts older than so many days count as unknown; 0: no limit",
            Setting::Number(0),
            &[],
        ),
        (
            SHARE,
            "an owner counts from this share on, in percent: \">=20\" or \">50\"",
            text(">=50"),
            &[],
        ),
        (
            TRUST,
            "whose claims are accepted",
            text("overlay"),
            &["overlay", "registry"],
        ),
        (
            UNKNOWN,
            "what becomes of a request of which something needed is not known",
            text("deny"),
            &["deny", "warn", "allow"],
        ),
    ]
}

impl Parameter {
    /// The other values that a rule can tell from this one, as far as they can be listed.
    #[must_use]
    pub fn others(&self) -> Vec<Setting> {
        match &self.value {
            Setting::Flag(flag) => vec![Setting::Flag(!flag)],
            Setting::Text(text) => self
                .choices
                .iter()
                .filter(|choice| *choice != text)
                .map(|choice| Setting::Text(choice.clone()))
                .collect(),
            Setting::List(texts) if !self.standard && texts.is_empty() => {
                vec![Setting::List(vec!["x".to_owned()])]
            }
            Setting::List(_) if !self.standard => vec![Setting::List(Vec::new())],
            Setting::List(_) | Setting::Number(_) => Vec::new(),
        }
    }
}

impl Setting {
    /// What kind of value it is, with its article.
    fn kind(&self) -> &'static str {
        match self {
            Self::Flag(_) => "true or false",
            Self::Number(_) => "a whole number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list of texts",
        }
    }

    fn same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// The texts in it.
    pub(crate) fn texts(&self) -> &[String] {
        match self {
            Self::Text(text) => std::slice::from_ref(text),
            Self::List(texts) => texts,
            Self::Flag(_) | Self::Number(_) => &[],
        }
    }

    /// As a rule writes it. Cedar has no empty set without a type, so an empty list becomes a set with
    /// the empty text, which nothing is called.
    pub(crate) fn cedar(&self) -> String {
        match self {
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => quoted(text),
            Self::List(texts) if texts.is_empty() => "[\"\"]".to_owned(),
            Self::List(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
                format!("[{}]", texts.join(", "))
            }
        }
    }

    /// Read a value of a TOML file.
    pub(crate) fn of_toml(value: &mut Value<'_>) -> Option<Self> {
        match value.take() {
            ValueInner::Boolean(flag) => Some(Self::Flag(flag)),
            ValueInner::Integer(number) => u32::try_from(number).ok().map(Self::Number),
            ValueInner::String(text) => Some(Self::Text(text.into_owned())),
            ValueInner::Array(items) => {
                let texts = items.into_iter().map(|mut item| match item.take() {
                    ValueInner::String(text) => Some(text.into_owned()),
                    _ => None,
                });
                texts.collect::<Option<Vec<String>>>().map(Self::List)
            }
            ValueInner::Float(_) | ValueInner::Table(_) => None,
        }
    }

    /// Read a value of a command line: `true`, a number, a text, or a list with commas, as `like` is one.
    #[must_use]
    pub fn parse(text: &str, like: &Self) -> Self {
        match like {
            Self::Flag(_) if matches!(text, "true" | "on" | "yes") => Self::Flag(true),
            Self::Flag(_) if matches!(text, "false" | "off" | "no") => Self::Flag(false),
            Self::Number(_) => text
                .parse()
                .map_or_else(|_| Self::Text(text.to_owned()), Self::Number),
            Self::List(_) => Self::List(
                text.split(',')
                    .map(|word| word.trim().to_owned())
                    .filter(|word| !word.is_empty())
                    .collect(),
            ),
            Self::Flag(_) | Self::Text(_) => Self::Text(text.to_owned()),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::List(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
                write!(f, "[{}]", texts.join(", "))
            }
        }
    }
}

/// A text as Cedar writes it: only quotes, backslashes and control characters are escaped.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for c in text.chars() {
        if c.is_control() || matches!(c, '"' | '\\') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('"');
    out
}

impl Parameters {
    /// The standard ones with their defaults.
    pub(crate) fn standard() -> Self {
        let all = standard()
            .into_iter()
            .map(|(name, title, value, choices)| {
                let parameter = Parameter {
                    name: name.to_owned(),
                    title: title.to_owned(),
                    value,
                    choices: choices.iter().map(|&choice| choice.to_owned()).collect(),
                    of: None,
                    standard: true,
                };
                (name.to_owned(), parameter)
            })
            .collect();
        Self { all }
    }

    /// Read the table `parameters` of a manifest: values of standard ones, and own ones.
    pub(crate) fn declare(
        &mut self,
        place: &Place<'_>,
        mut table: Value<'_>,
        problems: &mut Vec<PolicyProblem>,
    ) {
        let span = table.span;
        let ValueInner::Table(entries) = table.take() else {
            let help = "write [parameters] and below it `name = value` or [parameters.name]";
            problems.push(bad(place, span, "`parameters` is no table").help(help));
            return;
        };
        for (key, mut value) in entries {
            let span = value.span;
            if let ValueInner::Table(_) = value.as_ref() {
                match own(place, &key.name, value) {
                    Ok(parameter) => self.add(place, span, parameter, problems),
                    Err(mut found) => problems.append(&mut found),
                }
            } else if let Some(setting) = Setting::of_toml(&mut value) {
                if let Err((message, help)) = self.set(&key.name, setting) {
                    problems.push(bad(place, span, &message).help(help));
                }
            } else {
                let help = "write true, false, a whole number from 0, a text or a list of texts";
                problems.push(
                    bad(place, span, &format!("`{}` has no usable value", key.name)).help(help),
                );
            }
        }
    }

    fn add(
        &mut self,
        place: &Place<'_>,
        span: Span,
        parameter: Parameter,
        problems: &mut Vec<PolicyProblem>,
    ) {
        if self.all.contains_key(&parameter.name) {
            let message = format!("every pack has the parameter `{}`", parameter.name);
            problems.push(bad(place, span, &message).help("give it another name"));
        } else {
            self.all.insert(parameter.name.clone(), parameter);
        }
    }

    /// Give a parameter another value; what is wrong and the fix, if it cannot be.
    pub(crate) fn set(&mut self, name: &str, value: Setting) -> Result<(), (String, String)> {
        let names: Vec<&str> = self.all.keys().map(String::as_str).collect();
        let known = format!("it has {}", names.join(", "));
        let Some(parameter) = self.all.get_mut(name) else {
            return Err((format!("there is no parameter `{name}`"), known));
        };
        if !parameter.value.same_kind(&value) {
            let message = format!("`{name}` is {value}, not {}", parameter.value.kind());
            return Err((message, format!("for example {}", parameter.value)));
        }
        if let (Setting::Text(text), [_, ..]) = (&value, &*parameter.choices)
            && !parameter.choices.contains(text)
        {
            let message = format!("`{name}` cannot be \"{text}\"");
            return Err((message, format!("choose {}", parameter.choices.join(", "))));
        }
        let wrong = match (name, &value) {
            (SHARE, Setting::Text(text)) if parameter.standard => Share::parse(text)
                .is_none()
                .then_some("write a share in percent such as \">=20\" or \">50\""),
            (AS_OF, Setting::Text(text)) if parameter.standard && !text.is_empty() => text
                .parse::<Date>()
                .is_err()
                .then_some("write a date such as \"2026-01-31\", or nothing"),
            _ => None,
        };
        if let Some(help) = wrong {
            return Err((format!("`{name}` cannot be {value}"), help.to_owned()));
        }
        parameter.value = value;
        Ok(())
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Parameter> {
        self.all.values()
    }

    /// One of them.
    pub(crate) fn get(&self, name: &str) -> Option<&Parameter> {
        self.all.get(name)
    }

    /// Whether all parts of an `@only_with` hold: `a`, `!a`, `a=x|y`, with commas between them.
    pub(crate) fn hold(&self, condition: &str) -> Result<bool, String> {
        let mut all = true;
        for part in condition.split(',') {
            all &= self.holds(part.trim())?;
        }
        Ok(all)
    }

    fn holds(&self, part: &str) -> Result<bool, String> {
        if let Some((name, values)) = part.split_once('=') {
            let parameter = self.named(name.trim())?;
            let Setting::Text(current) = &parameter.value else {
                return Err(format!("the parameter `{}` is no text", parameter.name));
            };
            let mut found = false;
            for value in values.split('|').map(str::trim) {
                let possible = parameter.choices.is_empty()
                    || parameter.choices.iter().any(|choice| choice == value);
                if !possible {
                    return Err(format!(
                        "the parameter `{}` is never `{value}`",
                        parameter.name
                    ));
                }
                found |= current == value;
            }
            return Ok(found);
        }
        let (name, wanted) = part
            .strip_prefix('!')
            .map_or((part, true), |name| (name.trim(), false));
        let parameter = self.named(name)?;
        match &parameter.value {
            Setting::Flag(flag) => Ok(*flag == wanted),
            Setting::List(texts) => Ok(texts.is_empty() != wanted),
            _ => Err(format!(
                "the parameter `{name}` is neither true nor false: ask `{name}=…`"
            )),
        }
    }

    fn named(&self, name: &str) -> Result<&Parameter, String> {
        self.get(name)
            .ok_or_else(|| format!("there is no parameter `{name}`"))
    }

    fn text(&self, name: &str) -> &str {
        match self.get(name).map(|parameter| &parameter.value) {
            Some(Setting::Text(text)) => text,
            _ => "",
        }
    }

    fn number(&self, name: &str) -> u32 {
        match self.get(name).map(|parameter| &parameter.value) {
            Some(Setting::Number(number)) => *number,
            _ => 0,
        }
    }

    /// How the pack reads the facts.
    pub(crate) fn reading(&self) -> Reading {
        Reading {
            lineage: match self.text(LINEAGE) {
                "producer" => Lineage::Producer,
                "weights-and-teachers" => Lineage::WeightsAndTeachers,
                _ => Lineage::Weights,
            },
            hops: self.number(HOPS),
            components: match self.get(COMPONENTS).map(|parameter| &parameter.value) {
                Some(Setting::List(names)) => names.iter().cloned().collect(),
                _ => Default::default(),
            },
            share: Share::parse(self.text(SHARE)).unwrap_or_default(),
            confidence: self.text(CONFIDENCE).parse().unwrap_or_default(),
            max_age_days: self.number(MAX_AGE),
            as_of: self.text(AS_OF).parse().ok(),
            claims: false,
        }
    }

    /// What becomes of rules for the unknown.
    pub(crate) fn on_unknown(&self) -> OnUnknown {
        match self.text(UNKNOWN) {
            "warn" => OnUnknown::Warn,
            "allow" => OnUnknown::Allow,
            _ => OnUnknown::Deny,
        }
    }

    /// Whose claims are accepted.
    pub(crate) fn trust(&self) -> Trust {
        if self.text(TRUST) == "registry" {
            Trust::Registry
        } else {
            Trust::Overlay
        }
    }
}

/// Read a pack's own parameter.
fn own(
    place: &Place<'_>,
    name: &str,
    mut value: Value<'_>,
) -> Result<Parameter, Vec<PolicyProblem>> {
    let span = value.span;
    let ValueInner::Table(entries) = value.take() else {
        return Err(vec![bad(place, span, "a parameter is a table")]);
    };
    let mut parameter = Parameter {
        name: name.to_owned(),
        title: String::new(),
        value: Setting::Flag(false),
        choices: Vec::new(),
        of: None,
        standard: false,
    };
    let mut problems = Vec::new();
    let mut given = false;
    for (key, mut value) in entries {
        let span = value.span;
        let setting = Setting::of_toml(&mut value);
        match (&*key.name, setting) {
            ("title", Some(Setting::Text(text))) => parameter.title = text,
            ("default", Some(setting)) => {
                parameter.value = setting;
                given = true;
            }
            ("choices", Some(Setting::List(texts))) => parameter.choices = texts,
            ("of", Some(Setting::Text(text))) if NAMED.contains(&&*text) => {
                parameter.of = Some(text);
            }
            (other, _) => {
                let message = format!("`{other}` of the parameter `{name}` cannot be read");
                let help = format!(
                    "a parameter has `title`, `default`, `choices` (a list of texts) and `of` ({})",
                    NAMED.join(", ")
                );
                problems.push(bad(place, span, &message).help(help));
            }
        }
    }
    if parameter.title.is_empty() {
        let message = format!("the parameter `{name}` has no `title`");
        problems.push(bad(place, span, &message).help("add `title = \"…\"`"));
    }
    if !given {
        let message = format!("the parameter `{name}` has no `default`");
        problems.push(bad(place, span, &message).help("add `default = …`"));
    }
    if let (Setting::Text(text), [_, ..]) = (&parameter.value, &*parameter.choices)
        && !parameter.choices.contains(text)
    {
        let message = format!("the default of `{name}` is none of its choices");
        let help = format!("choose {}", parameter.choices.join(", "));
        problems.push(bad(place, span, &message).help(help));
    }
    if problems.is_empty() {
        Ok(parameter)
    } else {
        Err(problems)
    }
}

fn bad(place: &Place<'_>, span: Span, message: &str) -> PolicyProblem {
    place.problem(span.start, Code::BadManifest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(text: &str) -> Result<Parameters, Vec<PolicyProblem>> {
        let place = Place {
            pack: "p",
            file: "pack.toml",
            text,
        };
        let mut parameters = Parameters::standard();
        let mut problems = Vec::new();
        let value = toml_span::parse(text).unwrap();
        parameters.declare(&place, value, &mut problems);
        if problems.is_empty() {
            Ok(parameters)
        } else {
            Err(problems)
        }
    }

    #[test]
    fn conditions_ask_flags_choices_and_lists() {
        let text = "lineage = \"producer\"\n[wide]\ntitle = \"w\"\ndefault = true\n[who]\ntitle = \"x\"\ndefault = \"a\"\nchoices = [\"a\", \"b\"]\n[names]\ntitle = \"n\"\ndefault = []\n";
        let parameters = declared(text).unwrap();
        for (condition, expected) in [
            ("wide", Ok(true)),
            ("!wide", Ok(false)),
            ("who=a", Ok(true)),
            ("who=b|a", Ok(true)),
            ("who=b", Ok(false)),
            ("wide, who=b", Ok(false)),
            ("lineage=producer", Ok(true)),
            ("names", Ok(false)),
            ("!names", Ok(true)),
        ] {
            assert_eq!(parameters.hold(condition), expected, "{condition}");
        }
        for condition in ["wider", "who", "who=c", "wide=true", "wide, nobody=x"] {
            assert!(parameters.hold(condition).is_err(), "{condition}");
        }
        assert_eq!(parameters.reading().lineage, Lineage::Producer);
    }

    #[test]
    fn wrong_declarations_are_told_with_the_fix() {
        for (text, expected) in [
            ("lineage = \"all\"", "`lineage` cannot be \"all\""),
            ("linage = \"weights\"", "there is no parameter `linage`"),
            ("hops = \"two\"", "`hops` is \"two\", not a whole number"),
            ("hops = -1", "`hops` has no usable value"),
            ("share = \"a fifth\"", "`share` cannot be \"a fifth\""),
            ("as_of = \"soon\"", "`as_of` cannot be \"soon\""),
            ("[x]\ndefault = true", "the parameter `x` has no `title`"),
            ("[x]\ntitle = \"x\"", "the parameter `x` has no `default`"),
            (
                "[x]\ntitle = \"x\"\ndefault = \"c\"\nchoices = [\"a\"]",
                "the default of `x` is none of its choices",
            ),
            (
                "[x]\ntitle = \"x\"\ndefault = \"c\"\nof = \"planet\"",
                "`of` of the parameter `x` cannot be read",
            ),
            (
                "[hops]\ntitle = \"x\"\ndefault = 1",
                "every pack has the parameter `hops`",
            ),
        ] {
            let problems = declared(text).unwrap_err();
            let found = problems.iter().find(|found| found.message == expected);
            assert!(
                found.is_some_and(|found| found.help.is_some()),
                "{text}: {problems:?}"
            );
        }
    }

    #[test]
    fn values_are_written_as_cedar_writes_them() {
        let list =
            |texts: &[&str]| Setting::List(texts.iter().map(|&text| text.to_owned()).collect());
        for (setting, expected) in [
            (Setting::Flag(true), "true"),
            (Setting::Text("a \"b\"".to_owned()), "\"a \\\"b\\\"\""),
            (Setting::Text("é".to_owned()), "\"é\""),
            (list(&["A", "B"]), "[\"A\", \"B\"]"),
            (list(&[]), "[\"\"]"),
        ] {
            assert_eq!(setting.cedar(), expected);
        }
    }
}
