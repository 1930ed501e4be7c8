//! A policy pack as files, and what its `pack.toml` says.

use std::fmt;

use cedar_policy::PolicySet;
use jiff::civil::Date;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use toml_span::de_helpers::TableHelper;
use toml_span::value::ValueInner;
use toml_span::{DeserError, Deserialize, ErrorKind, Spanned, Value};

use crate::cases::Case;
use crate::codes::Code;
use crate::parameters::{PackSettings, Parameter, Parameters, Setting};
use crate::plan::Plan;
use crate::problem::{Place, PolicyProblem};
use crate::rule::Rules;

/// Name of the file that describes a pack.
pub const MANIFEST: &str = "pack.toml";

/// The files of one pack, as the caller read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackSource {
    /// The folder's name, which is the pack's name.
    pub name: String,
    /// Path inside the folder and text: `pack.toml`, `*.cedar`, `cases/*.md`, `README.md`.
    pub files: Vec<(String, String)>,
    /// What the operator sets for it.
    pub settings: PackSettings,
}

impl PackSource {
    /// A pack as it is in its folder, with nothing set.
    #[must_use]
    pub fn new(name: impl Into<String>, files: Vec<(String, String)>) -> Self {
        Self {
            name: name.into(),
            files,
            settings: PackSettings::default(),
        }
    }

    /// The same pack with other settings.
    #[must_use]
    pub fn with(&self, settings: PackSettings) -> Self {
        Self {
            settings,
            ..self.clone()
        }
    }
}

/// Whether a pack decides or only reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Its denial denies.
    Enforce,
    /// Its denial is recorded and does not count.
    Report,
}

/// Whose claims a pack accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// The registry's and the operator's.
    Overlay,
    /// The registry's only: a target that rests on a lenient claim of the operator is denied.
    Registry,
}

/// A pack that passed every check.
#[derive(Debug)]
pub struct Pack {
    pub(crate) manifest: Manifest,
    /// What the rules are from when on, in order; the first has no beginning.
    pub(crate) terms: Vec<Term>,
    pub(crate) rules: Rules,
    pub(crate) cases: Vec<Case>,
    /// Place of its reading among those of all packs.
    pub(crate) reading: usize,
}

/// The rules as they are from one day to the next change.
#[derive(Debug)]
pub(crate) struct Term {
    /// Its first day.
    pub(crate) from: Option<Date>,
    /// What decides.
    pub(crate) set: PolicySet,
    /// Forbids that only report.
    pub(crate) watched: PolicySet,
    /// The rules that decide, taken apart.
    pub(crate) plan: Plan,
}

/// What `pack.toml` says.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) mode: Mode,
    pub(crate) source: Option<String>,
    pub(crate) as_read: Option<Date>,
    pub(crate) parameters: Parameters,
    pub(crate) exceptions: Exceptions,
}

/// What a text knows of exceptions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exceptions {
    /// For what they can be granted; empty = there are none.
    pub(crate) kinds: Vec<String>,
    /// Who grants them.
    pub(crate) issuer: String,
}

impl Pack {
    /// The folder's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// What it is, for a person.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.manifest.title
    }

    /// A sentence or two on what it does.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.manifest.description
    }

    /// Whether it decides or only reports.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.manifest.mode
    }

    /// Whose claims it accepts.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.manifest.parameters.trust()
    }

    /// Its parameters with their values, by name.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.manifest.parameters.all()
    }

    /// For what exceptions can be granted, and by whom; none when the text knows no exception.
    #[must_use]
    pub fn exceptions(&self) -> Option<(&[String], &str)> {
        let Exceptions { kinds, issuer } = &self.manifest.exceptions;
        (!kinds.is_empty()).then_some((&**kinds, &**issuer))
    }

    /// The days on which its rules change.
    pub fn changes(&self) -> impl Iterator<Item = Date> {
        self.terms.iter().filter_map(|term| term.from)
    }

    /// The rules of a day, with their place among all terms.
    pub(crate) fn on(&self, day: Date) -> Option<(usize, &Term)> {
        let mut terms = self.terms.iter().enumerate().rev();
        terms.find(|(_, term)| term.from.is_none_or(|from| from <= day))
    }

    /// The first day after this one on which the rules are others.
    pub(crate) fn next_change(&self, day: Date) -> Option<Date> {
        self.changes().filter(|change| *change > day).min()
    }

    /// Where the legal text can be read.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.manifest.source.as_deref()
    }

    /// The day on which the legal text was read.
    #[must_use]
    pub fn as_read(&self) -> Option<Date> {
        self.manifest.as_read
    }

    /// Its rules, in the order of their ids.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// How many cases it brings.
    #[must_use]
    pub fn case_count(&self) -> usize {
        self.cases.len()
    }
}

/// What is told of a pack in lists: what its manifest says, and how much it holds.
impl Serialize for Pack {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("Pack", 9)?;
        map.serialize_field("name", self.name())?;
        map.serialize_field("title", self.title())?;
        map.serialize_field("description", self.description())?;
        map.serialize_field("mode", &self.mode())?;
        map.serialize_field("trust", &self.trust())?;
        map.serialize_field("source", &self.source())?;
        map.serialize_field("as_read", &self.as_read())?;
        map.serialize_field("rules", &self.rules.len())?;
        map.serialize_field("cases", &self.case_count())?;
        map.end()
    }
}

impl Manifest {
    /// Read `pack.toml` of the pack in this folder.
    pub(crate) fn parse(place: &Place<'_>) -> Result<Self, Vec<PolicyProblem>> {
        let mut value = toml_span::parse(place.text)
            .map_err(|error| place.toml(&[error], 0, Code::BadManifest))?;
        let mut inner = value.take();
        let parameters = match &mut inner {
            ValueInner::Table(table) => table.remove("parameters"),
            _ => None,
        };
        value.set(inner);
        let mut manifest = Self::deserialize(&mut value)
            .map_err(|errors| place.toml(&errors.errors, 0, Code::BadManifest))?;
        if let Some(parameters) = parameters {
            let mut problems = Vec::new();
            manifest
                .parameters
                .declare(place, parameters, &mut problems);
            if !problems.is_empty() {
                return Err(problems);
            }
        }
        if manifest.name == place.pack {
            return Ok(manifest);
        }
        let offset = place.text.find(&manifest.name).unwrap_or_default();
        let message = format!(
            "the pack calls itself `{}` but its folder is `{}`",
            manifest.name, place.pack
        );
        Err(vec![
            place
                .problem(offset, Code::BadManifest, message)
                .help("give the folder and `name` the same name"),
        ])
    }
}

impl<'de> Deserialize<'de> for Manifest {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let mut table = TableHelper::new(value)?;
        let name = table.required::<String>("name");
        let title = table.required::<String>("title");
        let description = table.optional::<String>("description").unwrap_or_default();
        let found = table.optional_s::<String>("mode");
        let mode = word(
            &mut table,
            found,
            &["enforce", "report"],
            &[Mode::Enforce, Mode::Report],
        );
        let found = table.optional_s::<String>("trust");
        let trust = word(
            &mut table,
            found,
            &["overlay", "registry"],
            &["overlay", "registry"],
        );
        let exceptions = table.optional::<Exceptions>("exceptions");
        // Known, though it is read apart from the rest.
        let _ = table.take("parameters");
        let source = table.optional::<String>("source");
        let as_read = date(&mut table, "as_read");
        table.finalize(None)?;
        let mut parameters = Parameters::standard();
        if let Some(trust) = trust {
            let set = parameters.set("trust", Setting::Text(trust.to_owned()));
            debug_assert!(set.is_ok(), "every pack has this parameter");
        }
        Ok(Self {
            name: name?,
            title: title?,
            description,
            mode: mode.unwrap_or(Mode::Enforce),
            source,
            as_read,
            parameters,
            exceptions: exceptions.unwrap_or_default(),
        })
    }
}

impl<'de> Deserialize<'de> for Exceptions {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let mut table = TableHelper::new(value)?;
        let kinds = table.required::<Vec<String>>("kinds");
        let issuer = table.required::<String>("issuer");
        table.finalize(None)?;
        Ok(Self {
            kinds: kinds?,
            issuer: issuer?,
        })
    }
}

/// One of a few words, or a problem in the table's list.
pub(crate) fn word<T: Copy>(
    table: &mut TableHelper<'_>,
    found: Option<Spanned<String>>,
    known: &'static [&'static str],
    values: &[T],
) -> Option<T> {
    let found = found?;
    let mut pairs = known.iter().zip(values);
    let value = pairs.find(|(word, _)| **word == found.value);
    if value.is_none() {
        refuse(table, known, found);
    }
    value.map(|(_, value)| *value)
}

/// A date, or a problem in the table's list.
pub(crate) fn date(table: &mut TableHelper<'_>, key: &'static str) -> Option<Date> {
    let found = table.optional_s::<String>(key)?;
    let date = found.value.parse().ok();
    if date.is_none() {
        refuse(table, &["a date such as \"2026-01-31\""], found);
    }
    date
}

fn refuse(table: &mut TableHelper<'_>, expected: &'static [&'static str], found: Spanned<String>) {
    let value = Some(found.value);
    let kind = ErrorKind::UnexpectedValue { expected, value };
    table.errors.push((kind, found.span).into());
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enforce => "enforce",
            Self::Report => "report",
        })
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overlay => "overlay",
            Self::Registry => "registry",
        })
    }
}
