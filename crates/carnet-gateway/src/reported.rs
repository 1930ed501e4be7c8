//! Stage 6, before the first byte goes to the caller: the model that an answer names is resolved and
//! held against what was decided on.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use carnet_policy::{Ask, Target, TargetSpec};
use carnet_provenance::{HostId, ModelId, Query, Resolution, View};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::egress::Upstream;
use crate::found::Findings;
use crate::generation::Generation;
use crate::ingress::Call;
use crate::limits::{REPORTED_NAME_SHOWN, REPORTED_NAMES_MAX};

/// What an upstream may name as the model of its answers, for one offer.
#[derive(Debug)]
pub(crate) struct Expected {
    view: Arc<View>,
    spec: TargetSpec,
    upstream: Arc<Upstream>,
    /// The models that were decided on; empty when the name says none.
    models: Vec<ModelId>,
    /// Names that were reported before. An upstream reports one or two.
    known: Mutex<Known>,
}

/// What reported names mean on one day: a name may move to another model overnight.
#[derive(Debug, Default)]
struct Known {
    day: Option<Date>,
    names: Vec<(Box<str>, Meaning)>,
}

/// What a reported name means, whoever asked.
#[derive(Clone, Debug)]
enum Meaning {
    /// What was decided on, or nothing that contradicts it; the model, if the name tells it.
    Decided(Option<Arc<str>>),
    /// Something else; the model, if the name tells it.
    Other(Option<Arc<str>>),
    /// A known model, where nobody knew what would answer: the policy decides, for each caller anew.
    Undecided(Target, Option<Arc<str>>),
}

/// What an answer turned out to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answering {
    /// One of the models that were decided on; the one, if the name tells it.
    Expected(Option<Arc<str>>),
    /// Something else; what, if the name tells it.
    Other(Option<Arc<str>>),
}

/// An upstream's text, cut to what people read; the record keeps all of it.
pub(crate) fn shortened(name: &str) -> &str {
    name.char_indices()
        .nth(REPORTED_NAME_SHOWN)
        .map_or(name, |(end, _)| name.get(..end).unwrap_or_default())
}

/// What the answer of one request is held against.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) call: Call,
    pub(crate) expected: Arc<Expected>,
    pub(crate) generation: Arc<Generation>,
    /// Whether another model than was decided on takes the target out of service. One that answered long ago does not.
    pub(crate) suspends: bool,
}

impl Expected {
    pub(crate) fn new(
        view: &Arc<View>,
        spec: TargetSpec,
        upstream: &Arc<Upstream>,
        resolution: &Resolution,
    ) -> Self {
        let named = resolution.candidates.iter().filter(|one| one.identified);
        Self {
            view: view.clone(),
            spec,
            upstream: upstream.clone(),
            models: named.filter_map(|one| one.model.clone()).collect(),
            known: Mutex::default(),
        }
    }

    /// The upstream whose answers these are.
    pub(crate) fn upstream(&self) -> &Arc<str> {
        &self.spec.upstream
    }

    /// The upstream's own name for what was asked.
    pub(crate) fn asked(&self) -> &Arc<str> {
        &self.spec.upstream_model
    }

    fn known(&self, name: &str, today: Date) -> Option<Meaning> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = known.names.iter().filter(|_| known.day == Some(today));
        let (_, meaning) = names.find(|(one, _)| **one == *name)?;
        Some(meaning.clone())
    }

    fn learn(&self, name: &str, meaning: Meaning, today: Date) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.day != Some(today) {
            known.day = Some(today);
            known.names.clear();
        }
        let new = known.names.iter().all(|(one, _)| **one != *name);
        if new && known.names.len() < REPORTED_NAMES_MAX {
            known.names.push((name.into(), meaning));
        }
    }

    /// Every way in which the name may be meant: as on the wire of this upstream, as in the
    /// platform's catalogue, as a repository, as a plain name.
    fn readings(&self, name: &str, as_of: Date) -> [Resolution; 4] {
        let config = self.upstream.config();
        let plain = Query {
            id: name,
            platform: None,
            host: None,
            upstream: None,
            region: config.region.as_deref(),
            as_of,
        };
        let catalogue = Query {
            platform: config.platform.as_deref(),
            host: self.spec.host.as_ref().map(HostId::as_str),
            ..plain
        };
        let wire = Query {
            upstream: Some(&self.spec.upstream),
            ..catalogue
        };
        let repository = Query {
            platform: Some("huggingface"),
            ..plain
        };
        [wire, catalogue, repository, plain].map(|query| self.view.resolve(&query))
    }

    fn fits(&self, reading: &Resolution) -> bool {
        reading.candidates.iter().all(|one| {
            let model = one.model.as_ref();
            model.is_some_and(|model| self.models.contains(model))
        })
    }
}

impl Check {
    /// Hold a reported name against what was decided on.
    pub(crate) fn answering(
        &self,
        name: &str,
        (workload, found): (&str, Findings),
        stream: bool,
        now: Timestamp,
    ) -> Answering {
        let today = now.to_zoned_datetime(TimeZone::UTC).date();
        let meaning = self.expected.known(name, today).unwrap_or_else(|| {
            let meaning = self.meaning(name, today);
            self.expected.learn(name, meaning.clone(), today);
            meaning
        });
        match meaning {
            Meaning::Decided(model) => Answering::Expected(model),
            Meaning::Other(model) => Answering::Other(model),
            Meaning::Undecided(target, model)
                if self.permits(&target, (workload, found), stream, now) =>
            {
                Answering::Expected(model)
            }
            Meaning::Undecided(_, model) => Answering::Other(model),
        }
    }

    fn meaning(&self, name: &str, today: Date) -> Meaning {
        let expected = &*self.expected;
        let asked = name.eq_ignore_ascii_case(expected.asked());
        // Nothing was known of what was asked for, and its own name tells nothing new.
        if expected.models.is_empty() && asked {
            return Meaning::Decided(None);
        }
        let readings = expected.readings(name, today);
        // A file's name, or one that anybody may give, proves nothing; but neither does it contradict
        // when it is that of a model decided on. Nor does the name that was asked for.
        let hinted = readings.iter().any(|reading| expected.fits(reading));
        // The nearest reading that says which model it is counts; the operator's own mapping first.
        let Some(named) = readings.into_iter().find(Resolution::is_identified) else {
            return if asked || hinted || expected.models.is_empty() {
                Meaning::Decided(None)
            } else {
                Meaning::Other(None)
            };
        };
        let model = named.named().map(Arc::from);
        if expected.fits(&named) {
            Meaning::Decided(model)
        } else if asked {
            Meaning::Decided(None)
        } else if expected.models.is_empty() {
            // The policy let pass what nobody knows. What is known now, it decides on.
            let target = self.generation.target(expected.spec.clone(), named, today);
            Meaning::Undecided(target, model)
        } else {
            Meaning::Other(model)
        }
    }

    fn permits(
        &self,
        target: &Target,
        (workload, found): (&str, Findings),
        stream: bool,
        now: Timestamp,
    ) -> bool {
        let ask = Ask {
            api: self.call.api(),
            stream,
        };
        let principal = self.generation.principal(workload, found);
        principal.is_some_and(|principal| self.generation.permits(principal, target, &ask, now))
    }
}
