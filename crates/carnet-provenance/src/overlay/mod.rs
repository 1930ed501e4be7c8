//! The operator's own facts, laid over the registry. They win, and every answer says so.
//!
//! An entry that loosens (removes a country, completes a line, adds `egress = "none"`) must say why,
//! who wrote it and when it ends; after that day the registry's answer stands again.

mod draft;
mod loosening;
mod read;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::claim::{Confidence, Evidence, Validity};
use crate::country::Country;
use crate::ids::{HostId, ModelId, ProducerId};
use crate::problem::{Problem, SourceFile, sorted};
use crate::reader::Doc;
use crate::registry::Registry;
use crate::registry::entry::{Egress, HostKind, Relation, TaughtBy, Weights};

/// Who stated a fact: the reviewed registry or the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The registry.
    #[default]
    Registry,
    /// The operator's overlay.
    Operator {
        /// Why.
        reason: Option<String>,
        /// Who wrote it.
        author: Option<String>,
        /// The last day on which it counts.
        until: Option<Date>,
        /// Whether it makes the answer more lenient than the registry's.
        loosening: bool,
    },
}

/// Source of every claim of the overlay.
pub(crate) const OPERATOR: &str = "operator";

/// The operator's facts, checked against a registry.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    pub(crate) deployments: Vec<Patch<Deployment>>,
    pub(crate) models: BTreeMap<ModelId, Patch<ModelPatch>>,
    pub(crate) hosts: BTreeMap<HostId, Patch<HostPatch>>,
    pub(crate) producers: BTreeMap<ProducerId, Patch<ProducerPatch>>,
    /// Entries whose last day is over; they count no more.
    ended: Vec<Problem>,
    digest: Option<String>,
}

/// One entry with who wrote it and how long it counts.
#[derive(Clone, Debug)]
pub(crate) struct Patch<T> {
    pub(crate) says: T,
    pub(crate) origin: Origin,
    pub(crate) evidence: Evidence,
    pub(crate) valid: Validity,
}

/// What a deployment name stands for.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    /// The name in lower case.
    pub(crate) id: String,
    pub(crate) upstream: Option<String>,
    pub(crate) model: ModelId,
}

/// What the operator says about a model. A key that is absent changes nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelPatch {
    pub(crate) name: Option<String>,
    pub(crate) producer: Option<ProducerId>,
    pub(crate) weights: Option<Weights>,
    pub(crate) licence: Option<String>,
    pub(crate) base_models: Option<Vec<BasePatch>>,
    pub(crate) complete: Option<bool>,
    pub(crate) teachers: Option<Vec<TaughtBy>>,
    pub(crate) teachers_complete: Option<bool>,
    pub(crate) documents: Option<BTreeSet<String>>,
}

/// An ancestor that the operator names.
#[derive(Clone, Debug)]
pub(crate) struct BasePatch {
    pub(crate) model: ModelId,
    pub(crate) relation: Relation,
    pub(crate) component: String,
}

/// What the operator says about a host.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostPatch {
    pub(crate) kind: Option<HostKind>,
    pub(crate) operator: Option<String>,
    pub(crate) country: Option<Country>,
    pub(crate) parent_country: Option<Country>,
    pub(crate) platform: Option<String>,
    pub(crate) regions: Option<Vec<(String, Country)>>,
    pub(crate) complete: Option<bool>,
    pub(crate) egress: Option<Egress>,
    pub(crate) retention: Option<String>,
    pub(crate) trains_on_prompts: Option<bool>,
}

/// What the operator says about a producer.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProducerPatch {
    pub(crate) name: Option<String>,
    pub(crate) country: Option<Country>,
}

impl Overlay {
    /// Read the operator's files and check them against the registry as it is on `today`.
    ///
    /// # Errors
    /// All mistakes, each with its place; for an entry that loosens without saying why, the lines
    /// to add.
    pub fn parse(
        files: &[SourceFile],
        registry: &Registry,
        today: Date,
    ) -> Result<Self, Vec<Problem>> {
        match Self::read(files, registry, today) {
            (overlay, problems) if problems.is_empty() => Ok(overlay),
            (_, problems) => Err(problems),
        }
    }

    /// Read the files as far as they can be read. With any problem the result is fit for looking
    /// for further mistakes, and for nothing else.
    #[must_use]
    pub fn read(files: &[SourceFile], registry: &Registry, today: Date) -> (Self, Vec<Problem>) {
        let problems = RefCell::new(Vec::new());
        let mut draft = draft::Draft::default();
        for file in files {
            read::file(&mut draft, &Doc::new(file, &problems));
        }
        let mut problems = problems.into_inner();
        problems.extend(draft.check(registry));
        let mut overlay = draft.finish(registry, today, &mut problems);
        overlay.digest = digest(files);
        (overlay, sorted(problems))
    }

    /// Whether the operator says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deployments.is_empty()
            && self.models.is_empty()
            && self.hosts.is_empty()
            && self.producers.is_empty()
    }

    /// Entries that had ended on the day of reading, each with its place. They are no mistakes: an end
    /// is what the operator asked for.
    #[must_use]
    pub fn ended(&self) -> &[Problem] {
        &self.ended
    }

    /// The digest of the files, if there are any.
    pub(crate) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

fn digest(files: &[SourceFile]) -> Option<String> {
    if files.is_empty() {
        return None;
    }
    let mut hash = Sha256::new();
    for file in files {
        // The length keeps two files apart from one that holds both.
        hash.update(file.text.len().to_le_bytes());
        hash.update(file.text.as_bytes());
    }
    Some(hex::encode(hash.finalize()))
}

/// How sure the operator is of what is not his own.
pub(crate) const ABOUT_OTHERS: Confidence = Confidence::Medium;
/// How sure the operator is of his own machines and names.
pub(crate) const ABOUT_OWN: Confidence = Confidence::High;
