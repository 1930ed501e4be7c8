//! Callers and targets, prepared once for a generation so that a request only names them.

use std::sync::{Arc, OnceLock};

use carnet_provenance::{HostId, Resolution};
use cedar_policy::{Entities, EntityUid};
use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::entities::{Misfit, Node};
use crate::load::Policies;
use crate::plan::Truth;
use crate::verdict::FactLine;
use crate::words::Words;

/// Where a request may go: what the gateway needs to send it and what people call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSpec {
    /// `upstream/model`, shown to people.
    pub name: Arc<str>,
    /// Name of the configured upstream.
    pub upstream: Arc<str>,
    /// Its origin: scheme, host and port.
    pub origin: Arc<str>,
    /// The model's name there.
    pub upstream_model: Arc<str>,
    /// The registry's or overlay's host behind it, when it is known.
    pub host: Option<HostId>,
}

/// A caller of this generation. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Principal(pub(crate) Arc<PreparedPrincipal>);

/// A target of this generation. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Target(pub(crate) Arc<PreparedTarget>);

#[derive(Debug)]
pub(crate) struct PreparedPrincipal {
    /// Which decider made it, and its number there.
    pub(crate) decider: u64,
    pub(crate) number: u64,
    pub(crate) id: Arc<str>,
    /// One for each reading of the facts; `None` when its attributes do not fit the schema.
    pub(crate) nodes: Vec<Option<PreparedCaller>>,
    /// For each pack and each of its terms the truth of what is about the caller, once it was asked.
    pub(crate) truth: Vec<Vec<OnceLock<Truth>>>,
}

#[derive(Debug)]
pub(crate) struct PreparedCaller {
    pub(crate) node: Node,
    /// The caller and everything above it.
    pub(crate) store: Entities,
}

#[derive(Debug)]
pub(crate) struct PreparedTarget {
    pub(crate) decider: u64,
    pub(crate) number: u64,
    pub(crate) spec: TargetSpec,
    pub(crate) resolution: Arc<Resolution>,
    /// For each reading of the facts one for each candidate; `None` when they do not fit the schema.
    pub(crate) candidates: Vec<Option<Vec<PreparedCandidate>>>,
    pub(crate) as_of: Date,
    pub(crate) valid_until: Option<Timestamp>,
}

#[derive(Debug)]
pub(crate) struct PreparedCandidate {
    pub(crate) uid: EntityUid,
    /// The target and everything above it.
    pub(crate) store: Entities,
    pub(crate) facts: Vec<PreparedFact>,
    /// For each pack the truth of what is about the target, once it was asked.
    pub(crate) truth: Vec<OnceLock<Truth>>,
}

/// A fact with the words under which rules can read it.
#[derive(Debug)]
pub(crate) struct PreparedFact {
    pub(crate) line: Arc<FactLine>,
    /// It is the operator's and makes the answer more lenient.
    pub(crate) lenient: bool,
}

impl PreparedCandidate {
    /// Make the entity and check it against the schema once, so that no request needs to.
    pub(crate) fn new(
        name: &str,
        words: &Words,
        facts: Vec<PreparedFact>,
        policies: &Policies,
    ) -> Result<Self, Misfit> {
        let node = words.node(name)?;
        Ok(Self {
            store: node.store(&policies.schema)?,
            uid: node.uid,
            facts,
            truth: policies.packs.iter().map(|_| OnceLock::new()).collect(),
        })
    }
}

impl Principal {
    /// The workload's id.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.0.id
    }
}

impl Target {
    /// What it was prepared from.
    #[must_use]
    pub fn spec(&self) -> &TargetSpec {
        &self.0.spec
    }

    /// What the facts say about it.
    #[must_use]
    pub fn resolution(&self) -> &Arc<Resolution> {
        &self.0.resolution
    }

    /// The instant from which it must be prepared anew, because a fact about it begins or ends.
    /// From then on every decision about it is a denial with the code `facts-expired`.
    #[must_use]
    pub fn valid_until(&self) -> Option<Timestamp> {
        self.0.valid_until
    }

    /// Whether its facts still hold.
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.0.valid_until.is_none_or(|end| now < end)
    }
}

/// The first instant of a day. A date beyond the calendar's end counts as already past.
pub(crate) fn start_of(date: Date) -> Timestamp {
    TimeZone::UTC
        .to_timestamp(date.to_datetime(Time::midnight()))
        .unwrap_or(Timestamp::MIN)
}
