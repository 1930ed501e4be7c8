//! The document of a decision: what `carnet check --json` prints and a record holds by its hash.

use std::fmt;
use std::sync::Arc;

use carnet_provenance::{Candidate, Confidence, Resolution};
use jiff::civil::Date;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::outcome::Obligation;

/// Why a request was permitted or denied. It is made once and shared by all requests it answers.
#[derive(Debug)]
pub struct Verdict {
    parts: Parts,
    resolution: Arc<Resolution>,
    id: Arc<str>,
    json: Arc<str>,
}

/// Everything that goes into a verdict.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) effect: Effect,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) facts: Vec<Arc<FactLine>>,
    pub(crate) obligations: Vec<Obligation>,
    pub(crate) counterfactuals: Vec<Counterfactual>,
    pub(crate) policy_version: Arc<str>,
    pub(crate) registry_version: Arc<str>,
    pub(crate) as_of: Date,
    pub(crate) report_deny: Vec<Reason>,
}

/// The two answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// The request may be sent.
    Permit,
    /// It may not.
    Deny,
}

/// A rule that counted, or the code that stood in for one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reason {
    /// The rule's id, or one of [`Code`](crate::Code)'s words.
    pub rule: Arc<str>,
    /// The pack it stands in.
    pub pack: Arc<str>,
    /// `permit` or `forbid`.
    pub effect: &'static str,
    /// What it says, for a person.
    pub title: Arc<str>,
    /// The clause it puts into practice.
    pub legal_source: Option<Arc<str>>,
}

/// A fact that a rule which counted has read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FactLine {
    /// What it is about.
    pub claim: String,
    /// What is said.
    pub value: String,
    /// Who says it.
    pub source: String,
    /// When it was said or read.
    pub date: Option<Date>,
    /// How sure it is.
    pub confidence: Confidence,
    /// Of the operator's own claim: why, by whom and until when. For people; the document names the
    /// operator as the source, and its registry version covers the text.
    #[serde(skip)]
    pub attested: Option<String>,
}

impl FactLine {
    /// The list that the fact is about, where it is about one: the value's first word.
    pub(crate) fn list(&self) -> &str {
        let list = self.value.split_once(": ");
        list.map_or(&*self.value, |(list, _)| list)
    }
}

/// A change that would turn the answer round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counterfactual {
    /// The change.
    pub change: String,
    /// The answer then.
    pub decision: Effect,
}

/// The keys and their order are a contract with everything that reads records.
#[derive(Serialize)]
struct Document<'a> {
    decision: Effect,
    candidates: &'a [Candidate],
    reasons: &'a [Reason],
    facts: &'a [Arc<FactLine>],
    obligations: &'a [Obligation],
    counterfactuals: &'a [Counterfactual],
    policy_version: &'a str,
    registry_version: &'a str,
    as_of: Date,
    /// Only there when a pack in report mode would have denied.
    #[serde(skip_serializing_if = "<[Reason]>::is_empty")]
    report_deny: &'a [Reason],
}

impl Verdict {
    pub(crate) fn new(parts: Parts, resolution: Arc<Resolution>) -> Self {
        let document = Document::of(&parts, &resolution);
        // Texts, lists and dates always serialise; were it ever otherwise, the record would show it.
        let json = serde_json::to_string(&document)
            .unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
        let id = format!("sha256:{}", hex::encode(Sha256::digest(json.as_bytes())));
        Self {
            parts,
            resolution,
            id: id.into(),
            json: json.into(),
        }
    }

    /// The same with further ways out behind those that it has.
    #[must_use]
    pub fn with_ways_out(&self, ways: Vec<Counterfactual>) -> Self {
        let mut parts = self.parts.clone();
        for way in ways {
            if !parts.counterfactuals.contains(&way) {
                parts.counterfactuals.push(way);
            }
        }
        Self::new(parts, self.resolution.clone())
    }

    /// What was decided on.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.resolution.candidates
    }

    /// `sha256:…` of [`Verdict::json`].
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The document, in one line and always in the same order.
    #[must_use]
    pub fn json(&self) -> &Arc<str> {
        &self.json
    }

    /// The answer.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.parts.effect
    }

    /// Whether the answer is a permit.
    #[must_use]
    pub fn is_permit(&self) -> bool {
        self.parts.effect == Effect::Permit
    }

    /// The rules that counted: of a permit the permits, of a denial what denied.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.parts.reasons
    }

    /// The facts that those rules read; of a permit also those that kept the forbids away. Were nothing
    /// else known of the target, the answer would be the same.
    #[must_use]
    pub fn facts(&self) -> &[Arc<FactLine>] {
        &self.parts.facts
    }

    /// What must be done before sending.
    #[must_use]
    pub fn obligations(&self) -> &[Obligation] {
        &self.parts.obligations
    }

    /// What would be permitted instead.
    #[must_use]
    pub fn counterfactuals(&self) -> &[Counterfactual] {
        &self.parts.counterfactuals
    }

    /// What packs in report mode would have denied. It did not count.
    #[must_use]
    pub fn report_deny(&self) -> &[Reason] {
        &self.parts.report_deny
    }

    /// The policy it was decided by.
    #[must_use]
    pub fn policy_version(&self) -> &str {
        &self.parts.policy_version
    }

    /// The facts it was decided on.
    #[must_use]
    pub fn registry_version(&self) -> &str {
        &self.parts.registry_version
    }

    /// The day whose facts were used.
    #[must_use]
    pub fn as_of(&self) -> Date {
        self.parts.as_of
    }
}

impl<'a> Document<'a> {
    fn of(parts: &'a Parts, resolution: &'a Resolution) -> Self {
        Self {
            decision: parts.effect,
            candidates: &resolution.candidates,
            reasons: &parts.reasons,
            facts: &parts.facts,
            obligations: &parts.obligations,
            counterfactuals: &parts.counterfactuals,
            policy_version: &parts.policy_version,
            registry_version: &parts.registry_version,
            as_of: parts.as_of,
            report_deny: &parts.report_deny,
        }
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Document::of(&self.parts, &self.resolution).serialize(serializer)
    }
}

impl Effect {
    /// `permit` or `deny`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
