//! The answer to "what is this model id?", and its JSON.

use std::collections::BTreeSet;
use std::fmt;

use jiff::civil::Date;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::claim::{Confidence, Evidence, Validity};
use crate::country::Country;
use crate::ids::{HostId, ModelId, ProducerId};
use crate::overlay::Origin;
use crate::registry::entry::{
    Dispute, Egress, HostKind, LineageStatus, Listing, Owner, Relation, Weights,
};

/// What is known of a model id: the union of its candidates, and the candidates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Resolution {
    /// The id as it was asked.
    pub id: String,
    /// Id of the node, or of the moving alias. A guess by the name, too, when it names one node; see
    /// [`Resolution::named`].
    pub canonical: Option<String>,
    /// The platform whose grammar read the id.
    pub platform: Option<String>,
    /// Who made it; none when unknown or when candidates differ.
    pub producer: Option<Party>,
    /// Who uploaded this copy. Its country never counts.
    pub publisher: Option<Party>,
    /// Whether the weights can be had.
    pub weights: Weights,
    /// Name of the licence.
    pub licence: Option<String>,
    /// Ancestors of the weights, nearest first.
    pub lineage: Vec<Ancestor>,
    /// What is known of the line as a whole.
    pub lineage_status: LineageStatus,
    /// The producers' and every ancestor's country.
    pub weights_countries: BTreeSet<Country>,
    /// Whether no other country can hide in the weights.
    pub weights_complete: bool,
    /// Whose outputs it learned from.
    pub teachers: Vec<TeacherFact>,
    /// Their countries.
    pub teacher_countries: BTreeSet<Country>,
    /// Whether no other teacher can hide.
    pub teachers_complete: bool,
    /// Where the prompt goes.
    pub hosting: Option<Hosting>,
    /// What may answer; never empty.
    pub candidates: Vec<Candidate>,
    /// Public disputes.
    pub disputed: Vec<Dispute>,
    /// The lowest confidence it rests on.
    pub confidence: Confidence,
    /// How the id was read, one entry a step.
    pub steps: Vec<String>,
}

/// One model that may answer, on one host, with everything policy asks about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The node; none when the id names none.
    pub model: Option<ModelId>,
    /// Canonical name, or the id as it was asked.
    pub name: String,
    /// Whether the id names this model exactly. A guess does not.
    pub identified: bool,
    /// Whether the weights can be had.
    pub weights: Weights,
    /// Name of the licence.
    pub licence: Option<String>,
    /// Who made it.
    pub producer: Option<Party>,
    /// Who uploaded this copy.
    pub publisher: Option<Party>,
    /// Ancestors of the weights, nearest first.
    pub lineage: Vec<Ancestor>,
    /// What is known of the line as a whole.
    pub lineage_status: LineageStatus,
    /// The producers' and every ancestor's country.
    pub weights_countries: BTreeSet<Country>,
    /// The producers, and every ancestor's.
    pub weights_producers: BTreeSet<ProducerId>,
    /// Whether no other country can hide in the weights.
    pub weights_complete: bool,
    /// Whose outputs it learned from.
    pub teachers: Vec<TeacherFact>,
    /// Their countries.
    pub teacher_countries: BTreeSet<Country>,
    /// Whether no other teacher can hide.
    pub teachers_complete: bool,
    /// Which documents the operator has on file for this version, such as `training-summary`; none
    /// when nobody says, or when the id does not name the version exactly.
    pub documents: Option<BTreeSet<String>>,
    /// Public disputes.
    pub disputed: Vec<Dispute>,
    /// Where the prompt goes.
    pub hosting: Option<Hosting>,
    /// The lowest confidence it rests on.
    pub confidence: Confidence,
    /// The days on which the name may mean this model.
    pub valid: Validity,
    /// A remark on the candidate.
    pub note: Option<String>,
    /// The first day on which a fact it rests on begins or ends.
    pub valid_until: Option<Date>,
    /// Every fact, with who states it.
    pub facts: Vec<Fact>,
}

/// A maker or publisher.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Party {
    /// Id of the record, if there is one.
    #[serde(skip)]
    pub id: Option<ProducerId>,
    /// Name for people.
    pub name: String,
    /// Country; none when unknown.
    pub country: Option<Country>,
    /// How sure it is.
    pub confidence: Confidence,
    /// Where it stands.
    pub source: String,
    /// Owners on the day of the question.
    #[serde(skip)]
    pub owners: Vec<Owner>,
    /// Lists that name it on the day of the question.
    #[serde(skip)]
    pub lists: Vec<Listing>,
}

/// An ancestor of the weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ancestor {
    /// Steps up the line, from 1.
    pub hop: u8,
    /// The ancestor.
    pub model: ModelId,
    /// How its child came from it.
    pub relation: Relation,
    /// Which part came from it.
    pub component: String,
    /// Its producer's name.
    pub producer: Option<String>,
    /// Its producer's country.
    pub country: Option<Country>,
    /// How sure the step is.
    pub confidence: Confidence,
    /// Where it stands.
    pub source: String,
    /// When that was said or read.
    pub as_of: Option<Date>,
    /// Id of its producer.
    #[serde(skip)]
    pub producer_id: Option<ProducerId>,
    /// The model that came from it.
    #[serde(skip)]
    pub child: ModelId,
}

/// A model or maker whose outputs were learned from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TeacherFact {
    /// The model, if it is told.
    pub model: Option<ModelId>,
    /// Its producer's name.
    pub producer: Option<String>,
    /// Its producer's country.
    pub country: Option<Country>,
    /// How sure it is.
    pub confidence: Confidence,
    /// Where it stands.
    pub source: String,
    /// When that was said or read.
    pub as_of: Option<Date>,
    /// Id of its producer.
    #[serde(skip)]
    pub producer_id: Option<ProducerId>,
}

/// Where the prompt goes and whose law reaches it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hosting {
    /// The host.
    pub host: HostId,
    /// Who runs it.
    pub operator: Option<String>,
    /// Country of the contracting entity.
    pub country: Option<Country>,
    /// Country of the ultimate parent.
    pub parent_country: Option<Country>,
    /// The regions in which it may run.
    pub regions: Vec<String>,
    /// Countries of the regions and of the operator and its parents.
    pub jurisdictions: BTreeSet<Country>,
    /// Whether no other country can reach the prompt.
    pub complete: bool,
    /// What is kept.
    pub retention: Option<String>,
    /// The lowest confidence it rests on.
    pub confidence: Confidence,
    /// Where it stands.
    pub source: String,
    /// Countries of the regions.
    #[serde(skip)]
    pub hosting_countries: BTreeSet<Country>,
    /// Countries of the operator and its parents.
    #[serde(skip)]
    pub hosting_parents: BTreeSet<Country>,
    /// What kind of place it is; none when unknown.
    #[serde(skip)]
    pub kind: Option<HostKind>,
    /// Whether the prompt leaves the operator's machines.
    #[serde(skip)]
    pub egress: Egress,
    /// Countries of those who process prompts for the host, as far as they are told.
    #[serde(skip)]
    pub subprocessor_countries: BTreeSet<Country>,
    /// Whether some are listed and the country of each is known.
    #[serde(skip)]
    pub subprocessors_known: bool,
    /// Whether the host trains on prompts; none when nobody is sure.
    #[serde(skip)]
    pub trains_on_prompts: Option<bool>,
}

/// One fact with who states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it is about, such as `producer.country`.
    pub claim: String,
    /// What is said.
    pub value: String,
    /// Where it stands.
    pub source: String,
    /// When it was said or read.
    pub date: Option<Date>,
    /// How sure it is.
    pub confidence: Confidence,
    /// Who states it.
    pub origin: Origin,
}

impl Resolution {
    /// The first day on which a fact it rests on begins or ends.
    #[must_use]
    pub fn valid_until(&self) -> Option<Date> {
        self.candidates
            .iter()
            .filter_map(|candidate| candidate.valid_until)
            .min()
    }

    /// Whether every candidate is identified.
    #[must_use]
    pub fn is_identified(&self) -> bool {
        self.candidates.iter().all(|candidate| candidate.identified)
    }

    /// Id of the node or moving alias that the id names; none when that is only a guess.
    #[must_use]
    pub fn named(&self) -> Option<&str> {
        self.canonical.as_deref().filter(|_| self.is_identified())
    }
}

impl Hosting {
    /// Whether it passes prompts on to others.
    #[must_use]
    pub fn is_router(&self) -> bool {
        self.kind == Some(HostKind::Router)
    }
}

impl Fact {
    pub(crate) fn new(
        claim: &str,
        value: impl fmt::Display,
        evidence: &Evidence,
        origin: &Origin,
    ) -> Self {
        Self {
            claim: claim.to_owned(),
            value: value.to_string(),
            source: evidence.source.to_string(),
            date: evidence.date,
            confidence: evidence.confidence,
            origin: origin.clone(),
        }
    }

    /// A fact that follows from others, or the absence of one.
    pub(crate) fn derived(claim: &str, value: impl fmt::Display, confidence: Confidence) -> Self {
        let source = DERIVED.to_owned();
        Self {
            claim: claim.to_owned(),
            value: value.to_string(),
            source,
            date: None,
            confidence,
            origin: Origin::Registry,
        }
    }
}

/// Source of what follows from other facts or from none being there.
const DERIVED: &str = "follows from the facts beside it";

impl Serialize for Candidate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let none = BTreeSet::new();
        let hosting = self.hosting.as_ref();
        let mut out = serializer.serialize_struct("Candidate", 9)?;
        out.serialize_field("model", &self.model)?;
        out.serialize_field("producer", &self.producer)?;
        out.serialize_field("weights_countries", &self.weights_countries)?;
        out.serialize_field("weights_complete", &self.weights_complete)?;
        out.serialize_field(
            "hosting_countries",
            hosting.map_or(&none, |hosting| &hosting.hosting_countries),
        )?;
        out.serialize_field(
            "hosting_complete",
            &hosting.is_some_and(|hosting| hosting.complete),
        )?;
        out.serialize_field("valid_from", &self.valid.from)?;
        out.serialize_field("valid_to", &self.valid.to)?;
        out.serialize_field("note", &self.note)?;
        out.end()
    }
}

impl fmt::Display for TeacherFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.model, &self.producer) {
            (Some(model), _) => write!(f, "{model}"),
            (None, Some(producer)) => f.write_str(producer),
            (None, None) => f.write_str("unknown"),
        }
    }
}

impl fmt::Display for Dispute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.text, self.by, self.source)?;
        if let Some(answer) = &self.answer {
            write!(f, "; answer: {answer}")?;
        }
        Ok(())
    }
}
