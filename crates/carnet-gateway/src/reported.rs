//! Stage 6, before the first byte goes to the caller: the model that an answer names is resolved and
//! held against what was decided on.

use std::sync::{Arc, Mutex, PoisonError};

use carnet_policy::{Api, Ask, TargetSpec};
use carnet_provenance::{ModelId, Query, Resolution, View};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config::UpstreamConfig;
use crate::generation::Generation;
use crate::limits::{REPORTED_NAME_SHOWN, REPORTED_NAMES_MAX};

/// What an upstream may name as the model of its answers, for one offer.
#[derive(Debug)]
pub(crate) struct Expected {
    view: Arc<View>,
    spec: TargetSpec,
    platform: Option<String>,
    host: Option<String>,
    region: Option<String>,
    /// The models that were decided on; empty when the name says none.
    models: Vec<ModelId>,
    /// Names that turned out to be among them, with what they mean. An upstream reports one or two.
    known: Mutex<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    name: Box<str>,
    model: Option<Arc<str>>,
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
    pub(crate) expected: Arc<Expected>,
    pub(crate) generation: Arc<Generation>,
}

impl Expected {
    pub(crate) fn new(
        view: &Arc<View>,
        spec: TargetSpec,
        upstream: &UpstreamConfig,
        host: Option<String>,
        resolution: &Resolution,
    ) -> Self {
        let named = resolution.candidates.iter().filter(|one| one.identified);
        Self {
            view: view.clone(),
            spec,
            platform: upstream.platform.as_deref().map(str::to_owned),
            host,
            region: upstream.region.as_deref().map(str::to_owned),
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

    /// What a name means that was reported before and was right.
    fn known(&self, name: &str) -> Option<Option<Arc<str>>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.iter().find(|one| &*one.name == name)?;
        Some(known.model.clone())
    }

    fn learn(&self, name: &str, model: Option<Arc<str>>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let new = known.iter().all(|one| &*one.name != name);
        if new && known.len() < REPORTED_NAMES_MAX {
            known.push(Known {
                name: name.into(),
                model,
            });
        }
    }

    /// Every way in which the name may be meant: as on the wire of this upstream, as in the
    /// platform's catalogue, as a repository, as a plain name.
    fn readings<'n>(&'n self, name: &'n str, as_of: Date) -> impl Iterator<Item = Resolution> + 'n {
        let plain = Query {
            id: name,
            platform: None,
            host: None,
            upstream: None,
            region: self.region.as_deref(),
            as_of,
        };
        let catalogue = Query {
            platform: self.platform.as_deref(),
            host: self.host.as_deref(),
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
        [wire, catalogue, repository, plain]
            .into_iter()
            .map(|query| self.view.resolve(&query))
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
    pub(crate) fn answering(&self, name: &str, workload: &str, now: Timestamp) -> Answering {
        let expected = &*self.expected;
        if let Some(model) = expected.known(name) {
            return Answering::Expected(model);
        }
        // Nothing was known of what was asked for, and its own name tells nothing new.
        if expected.models.is_empty() && name.eq_ignore_ascii_case(&expected.spec.upstream_model) {
            return Answering::Expected(None);
        }
        let answering = self.judge(name, workload, now);
        // What a policy said is not kept: it may say another thing of another caller.
        if let Answering::Expected(model) = &answering
            && !expected.models.is_empty()
        {
            expected.learn(name, model.clone());
        }
        answering
    }

    fn judge(&self, name: &str, workload: &str, now: Timestamp) -> Answering {
        let expected = &*self.expected;
        let today = now.to_zoned_datetime(TimeZone::UTC).date();
        let canonical = |reading: &Resolution| reading.named().map(Arc::from);
        // The nearest reading that says which model it is counts; the operator's own mapping first.
        let named = expected
            .readings(name, today)
            .find(Resolution::is_identified);
        if let Some(reading) = named.as_ref().filter(|reading| expected.fits(reading)) {
            return Answering::Expected(canonical(reading));
        }
        // A file's name, or one that anybody may give, proves nothing; but neither does it contradict
        // when it is that of a model decided on. Nor does the name that was asked for.
        let hinted = || {
            let mut readings = expected.readings(name, today);
            readings.any(|reading| expected.fits(&reading))
        };
        let asked = name.eq_ignore_ascii_case(&expected.spec.upstream_model);
        if asked || (named.is_none() && hinted()) {
            return Answering::Expected(None);
        }
        if !expected.models.is_empty() {
            return Answering::Other(named.as_ref().and_then(canonical));
        }
        // The policy let pass what nobody knows. What is known now, it decides on.
        let Some(reading) = named else {
            return Answering::Expected(None);
        };
        let model = canonical(&reading);
        if self.permitted(reading, workload, today, now) {
            Answering::Expected(model)
        } else {
            Answering::Other(model)
        }
    }

    fn permitted(&self, reading: Resolution, workload: &str, today: Date, now: Timestamp) -> bool {
        let Some(principal) = self.generation.principal(workload) else {
            return false;
        };
        let spec = self.expected.spec.clone();
        let target = self.generation.target(spec, reading, today);
        let ask = Ask {
            api: Api::ChatCompletions,
            stream: false,
        };
        self.generation.permits(principal, &target, &ask, now)
    }
}
