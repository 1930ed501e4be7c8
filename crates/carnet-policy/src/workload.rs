//! Who asks and for what: the caller's attributes and the kind of request, as policies see them.

use serde::{Deserialize, Serialize};
use toml_span::de_helpers::TableHelper;
use toml_span::value::ValueInner;
use toml_span::{DeserError, Value};

use crate::facts::UNKNOWN;
use crate::reading::hundredths;

/// Who makes a request. Every text that the operator did not give is `unknown`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Workload {
    /// Its name, unique in the configuration.
    pub id: String,
    /// The team that answers for it.
    pub team: String,
    /// Such as `government` or `health`.
    pub sector: String,
    /// Country in which it operates, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Nationality class of the people behind it, in the operator's words.
    pub nationality: String,
    /// Contracts in whose performance it runs; `None` when the operator does not say.
    pub contracts: Option<Vec<String>>,
    /// Classes of data it may hold; `None` when the operator does not say.
    pub data_classes: Option<Vec<String>>,
    /// Countries of the people whom the data is about; `None` when the operator does not say.
    pub data_subjects: Option<Vec<String>>,
    /// Classes of data that detectors found in what it sends; `None` when none has looked.
    pub found: Option<Vec<Finding>>,
    /// Class of device or network it runs on.
    pub device: String,
    /// Free labels.
    pub tags: Vec<String>,
    /// What it is for.
    pub purpose: String,
    /// Customer or part of the organisation on whose account it runs.
    pub tenant: String,
    /// Whom its application serves: `public` or `internal`.
    pub audience: String,
    /// Who owns or controls the caller's organisation; `None` when the operator does not say.
    pub owners: Option<Vec<CallerOwner>>,
}

/// A class of data that a detector found, and how sure it is. As text `class/high`, `class/medium` or
/// `class/low`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Finding {
    class: String,
    /// Its place in [`SURE`].
    sure: usize,
}

/// How sure a detector can be, the least first.
const SURE: [&str; 3] = ["low", "medium", "high"];

impl Finding {
    /// The words by which policies see it: what is surely there is there under the lower words too.
    pub(crate) fn words(&self) -> impl Iterator<Item = String> {
        let words = SURE.iter().take(self.sure.saturating_add(1));
        words.map(|word| format!("{}/{word}", self.class))
    }
}

impl TryFrom<String> for Finding {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parts = text.rsplit_once('/').filter(|(class, _)| !class.is_empty());
        parts
            .and_then(|(class, word)| {
                Some(Self {
                    class: class.to_owned(),
                    sure: SURE.iter().position(|known| *known == word)?,
                })
            })
            .ok_or("a finding is written as `class/high`, `class/medium` or `class/low`")
    }
}

impl From<Finding> for String {
    fn from(finding: Finding) -> Self {
        let word = SURE.get(finding.sure).copied().unwrap_or_default();
        format!("{}/{word}", finding.class)
    }
}

/// An owner of the caller's organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallerOwner {
    /// Its name.
    pub name: String,
    /// Country of its head office, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// What it holds, directly or indirectly.
    pub share: Option<Percent>,
    /// It controls the caller, whatever its share.
    pub control: bool,
}

/// A share in percent, exact to a hundredth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Percent(u32);

impl Percent {
    /// In hundredths of a percent.
    pub(crate) fn hundredths(self) -> u32 {
        self.0
    }
}

impl TryFrom<f64> for Percent {
    type Error = &'static str;

    fn try_from(percent: f64) -> Result<Self, Self::Error> {
        hundredths(percent)
            .map(Self)
            .ok_or("a share is a number from 0 to 100")
    }
}

impl From<Percent> for f64 {
    fn from(percent: Percent) -> Self {
        Self::from(percent.0) / 100.0
    }
}

impl Default for Workload {
    fn default() -> Self {
        let unknown = || UNKNOWN.to_owned();
        Self {
            id: unknown(),
            team: unknown(),
            sector: unknown(),
            country: None,
            nationality: unknown(),
            contracts: None,
            data_classes: None,
            data_subjects: None,
            found: None,
            device: unknown(),
            tags: Vec::new(),
            purpose: unknown(),
            tenant: unknown(),
            audience: unknown(),
            owners: None,
        }
    }
}

impl<'de> toml_span::Deserialize<'de> for Workload {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let mut table = TableHelper::new(value)?;
        let mut text = |key| {
            table
                .optional::<String>(key)
                .unwrap_or_else(|| UNKNOWN.to_owned())
        };
        let (id, team, sector) = (text("id"), text("team"), text("sector"));
        let (nationality, device, purpose) = (text("nationality"), text("device"), text("purpose"));
        let (tenant, audience) = (text("tenant"), text("audience"));
        let country = table.optional::<String>("country");
        let mut list = |key| table.optional::<Vec<String>>(key);
        let (contracts, data_classes) = (list("contracts"), list("data_classes"));
        let (data_subjects, tags) = (list("data_subjects"), list("tags").unwrap_or_default());
        let owners = table.optional::<Vec<CallerOwner>>("owners");
        let found = table.optional::<Vec<String>>("found");
        table.finalize(None)?;
        let found = found.map(|found| found.into_iter().map(Finding::try_from).collect());
        let found = match found.transpose() {
            Ok(found) => found,
            Err(message) => return Err(custom(message, value.span)),
        };
        Ok(Self {
            id,
            team,
            sector,
            country,
            nationality,
            contracts,
            data_classes,
            data_subjects,
            found,
            device,
            tags,
            purpose,
            tenant,
            audience,
            owners,
        })
    }
}

impl<'de> toml_span::Deserialize<'de> for CallerOwner {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let mut table = TableHelper::new(value)?;
        let name = table.optional::<String>("name").unwrap_or_default();
        let country = table.optional::<String>("country");
        let share = table
            .take("share")
            .map(|(_, mut value)| match value.take() {
                ValueInner::Float(share) => Percent::try_from(share),
                ValueInner::Integer(share) => i32::try_from(share)
                    .map_err(|_| "a share is a number from 0 to 100")
                    .and_then(|share| Percent::try_from(f64::from(share))),
                _ => Err("a share is a number from 0 to 100"),
            });
        let control = table.optional::<bool>("control").unwrap_or_default();
        table.finalize(None)?;
        let share = match share.transpose() {
            Ok(share) => share,
            Err(message) => return Err(custom(message, value.span)),
        };
        Ok(Self {
            name,
            country,
            share,
            control,
        })
    }
}

fn custom(message: &'static str, span: toml_span::Span) -> DeserError {
    toml_span::Error::from((toml_span::ErrorKind::Custom(message.into()), span)).into()
}

/// The kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// A conversation in, a message out.
    ChatCompletions,
    /// A text to go on with.
    Completions,
    /// A conversation in Bedrock's dialect.
    Converse,
    /// A text to turn into numbers.
    Embeddings,
    /// A conversation in the dialect of Google's APIs.
    GenerateContent,
    /// A conversation in the second dialect.
    Messages,
    /// A conversation with state and tools.
    Responses,
}

impl Api {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Converse,
        Self::Embeddings,
        Self::GenerateContent,
        Self::Messages,
        Self::Responses,
    ];

    /// The word that policies see as `context.api`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat-completions",
            Self::Completions => "completions",
            Self::Converse => "converse",
            Self::Embeddings => "embeddings",
            Self::GenerateContent => "generate-content",
            Self::Messages => "messages",
            Self::Responses => "responses",
        }
    }
}

/// What of the request itself a decision may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ask {
    /// The kind of request.
    pub api: Api,
    /// Whether the answer is streamed.
    pub stream: bool,
}

impl Ask {
    /// How many different asks there are.
    pub(crate) const COUNT: usize = Api::ALL.len() * 2;

    /// All of them, in the order of their indices.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Api::ALL
            .into_iter()
            .flat_map(|api| [false, true].map(|stream| Self { api, stream }))
    }

    /// Its place in [`Ask::all`].
    pub(crate) fn index(self) -> usize {
        (self.api as usize) * 2 + usize::from(self.stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ask_has_its_index() {
        let all: Vec<Ask> = Ask::all().collect();
        assert_eq!(all.len(), Ask::COUNT);
        for (index, ask) in all.iter().enumerate() {
            assert_eq!(ask.index(), index);
        }
    }

    #[test]
    fn words_are_the_same_for_policies_and_in_text() {
        for api in Api::ALL {
            assert_eq!(
                serde_json::to_string(&api).unwrap(),
                format!("\"{}\"", api.as_str())
            );
        }
    }

    #[test]
    fn what_is_surely_found_is_there_under_the_lower_words_too() {
        let workload: Workload =
            serde_json::from_str(r#"{"found": ["personal-data/high", "a/b/low"]}"#).unwrap();
        let found = workload.found.as_deref().unwrap();
        let words: Vec<String> = found.iter().flat_map(Finding::words).collect();
        assert_eq!(
            words,
            [
                "personal-data/low",
                "personal-data/medium",
                "personal-data/high",
                "a/b/low"
            ]
        );
        assert_eq!(
            serde_json::to_value(found).unwrap(),
            serde_json::json!(["personal-data/high", "a/b/low"])
        );
        for wrong in ["personal-data", "/high", "x/sure"] {
            assert!(Finding::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_said_is_unknown() {
        let workload: Workload = serde_json::from_str(r#"{"id": "desk", "tags": ["a"]}"#).unwrap();
        assert_eq!(workload.sector, "unknown");
        assert_eq!(workload.country, None);
        assert!(serde_json::from_str::<Workload>(r#"{"secktor": "x"}"#).is_err());
    }
}
