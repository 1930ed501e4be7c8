//! Records as registry and overlay describe them on one day: the operator's word, or else the
//! registry's claim of that day, always with who stated it.

use std::collections::BTreeSet;

use crate::claim::{Confidence, Dated, Evidence, Horizon};
use crate::country::Country;
use crate::ids::{HostId, ModelId, ProducerId};
use crate::overlay::{BasePatch, HostPatch, ModelPatch, Origin, Patch, ProducerPatch};
use crate::registry::entry::{
    BaseModel, Egress, Host, HostKind, LineageStatus, Model, Producer, Publisher, Relation,
    Subprocessor, TaughtBy, Teacher, Weights,
};

static REGISTRY: Origin = Origin::Registry;

/// A value with who stated it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'v, T> {
    pub(crate) value: T,
    pub(crate) evidence: &'v Evidence,
    pub(crate) origin: &'v Origin,
}

/// A model as registry and overlay describe it on one day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModelNode<'v> {
    pub(crate) id: &'v ModelId,
    pub(crate) model: Option<&'v Model>,
    pub(crate) patch: Option<&'v Patch<ModelPatch>>,
}

/// A producer as registry and overlay describe it on one day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProducerNode<'v> {
    pub(crate) id: &'v ProducerId,
    pub(crate) producer: Option<&'v Producer>,
    pub(crate) patch: Option<&'v Patch<ProducerPatch>>,
}

/// A host as registry and overlay describe it on one day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostNode<'v> {
    pub(crate) id: &'v HostId,
    pub(crate) host: Option<&'v Host>,
    pub(crate) patch: Option<&'v Patch<HostPatch>>,
}

/// One step up a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base<'v> {
    pub(crate) model: &'v ModelId,
    pub(crate) relation: Relation,
    pub(crate) component: &'v str,
}

impl<'v, T> Said<'v, T> {
    pub(crate) fn registry(value: T, evidence: &'v Evidence) -> Self {
        Self {
            value,
            evidence,
            origin: &REGISTRY,
        }
    }

    fn operator<P>(value: T, patch: &'v Patch<P>) -> Self {
        Self {
            value,
            evidence: &patch.evidence,
            origin: &patch.origin,
        }
    }

    /// Whether somebody vouches for it.
    pub(crate) fn is_sure(&self) -> bool {
        self.evidence.confidence > Confidence::Unknown
    }

    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Said<'v, U> {
        Said {
            value: change(self.value),
            evidence: self.evidence,
            origin: self.origin,
        }
    }
}

/// The registry's claim of the day.
fn claimed<'v, T>(dated: Option<&'v Dated<T>>, horizon: &mut Horizon) -> Option<Said<'v, &'v T>> {
    let claim = dated?.at(horizon)?;
    Some(Said::registry(&claim.value, &claim.evidence))
}

impl<'v> ModelNode<'v> {
    fn own<T>(&self, field: impl FnOnce(&'v ModelPatch) -> Option<T>) -> Option<Said<'v, T>> {
        let patch = self.patch?;
        Some(Said::operator(field(&patch.says)?, patch))
    }

    pub(crate) fn producer(&self, horizon: &mut Horizon) -> Option<Said<'v, &'v ProducerId>> {
        let registry = claimed(self.model.map(|model| &model.producer), horizon);
        self.own(|patch| patch.producer.as_ref()).or(registry)
    }

    pub(crate) fn weights(&self, horizon: &mut Horizon) -> Option<Said<'v, Weights>> {
        let registry = claimed(self.model.map(|model| &model.weights), horizon)
            .map(|said| said.map(|value| *value));
        self.own(|patch| patch.weights).or(registry)
    }

    pub(crate) fn licence(&self, horizon: &mut Horizon) -> Option<Said<'v, &'v str>> {
        let registry = claimed(self.model.map(|model| &model.licence), horizon)
            .map(|said| said.map(String::as_str));
        self.own(|patch| patch.licence.as_deref()).or(registry)
    }

    /// What the operator says about the line being complete.
    pub(crate) fn own_complete(&self) -> Option<Said<'v, bool>> {
        self.own(|patch| patch.complete)
    }

    /// The status of the line: the registry's, except where the operator describes it anew.
    pub(crate) fn status(&self, horizon: &mut Horizon) -> Option<Said<'v, LineageStatus>> {
        let registry = claimed(self.model.map(|model| &model.lineage_status), horizon)
            .map(|said| said.map(|value| *value));
        let own = self.own(|patch| match patch.base_models.as_deref() {
            Some([_, ..]) => Some(LineageStatus::Derived),
            _ if patch.complete == Some(true) && self.model.is_none() => {
                Some(LineageStatus::FirstPartyNoneKnown)
            }
            _ => None,
        });
        match (own, registry) {
            // Ancestors added to a line that is not told whole do not make it whole.
            (Some(own), Some(known)) if own.value == LineageStatus::Derived => Some(
                if known.value.names_whole_line()
                    || self.own_complete().is_some_and(|said| said.value)
                {
                    own
                } else {
                    known
                },
            ),
            (Some(own), None) if self.own_complete().is_none_or(|said| !said.value) => Some(Said {
                value: LineageStatus::Unknown,
                ..own
            }),
            (own, known) => own.or(known),
        }
    }

    /// The operator's word that there is no ancestor, or no teacher.
    pub(crate) fn own_none(&self) -> Vec<Said<'v, &'static str>> {
        let none = |empty: bool, claim| empty.then_some(claim);
        let bases = self.own(|patch| {
            none(
                patch.base_models.as_ref().is_some_and(Vec::is_empty),
                "lineage",
            )
        });
        let teachers = self.own(|patch| {
            none(
                patch.teachers.as_ref().is_some_and(Vec::is_empty),
                "teachers",
            )
        });
        bases.into_iter().chain(teachers).collect()
    }

    pub(crate) fn bases(&self, horizon: &mut Horizon) -> Vec<Said<'v, Base<'v>>> {
        if let Some(patch) = self.patch
            && let Some(bases) = &patch.says.base_models
        {
            let base = |base: &'v BasePatch| Base {
                model: &base.model,
                relation: base.relation,
                component: &base.component,
            };
            return bases
                .iter()
                .map(|found| Said::operator(base(found), patch))
                .collect();
        }
        let all = self.model.map_or(&[][..], |model| &model.base_models);
        let base = |base: &'v BaseModel| Base {
            model: &base.model,
            relation: base.relation,
            component: &base.component,
        };
        let mut found = Vec::new();
        for one in all {
            if horizon.holds(&one.valid) {
                found.push(Said::registry(base(one), &one.evidence));
            }
        }
        found
    }

    pub(crate) fn teachers(&self, horizon: &mut Horizon) -> Vec<Said<'v, &'v TaughtBy>> {
        if let Some(patch) = self.patch
            && let Some(teachers) = &patch.says.teachers
        {
            return teachers
                .iter()
                .map(|teacher| Said::operator(teacher, patch))
                .collect();
        }
        let all: &'v [Teacher] = self.model.map_or(&[][..], |model| &model.teachers);
        let mut found = Vec::new();
        for one in all {
            if horizon.holds(&one.valid) {
                found.push(Said::registry(&one.taught_by, &one.evidence));
            }
        }
        found
    }

    pub(crate) fn teachers_complete(&self, horizon: &mut Horizon) -> Option<Said<'v, bool>> {
        let registry = claimed(self.model.map(|model| &model.teachers_complete), horizon)
            .map(|said| said.map(|value| *value));
        self.own(|patch| patch.teachers_complete).or(registry)
    }

    /// The documents that the operator says are on file. No registry can say it for him.
    pub(crate) fn documents(&self) -> Option<Said<'v, &'v BTreeSet<String>>> {
        self.own(|patch| patch.documents.as_ref())
    }

    /// Further producers, of joint work.
    pub(crate) fn joint(&self, horizon: &mut Horizon) -> Vec<Said<'v, &'v ProducerId>> {
        let mut found = Vec::new();
        for claim in self.model.map_or(&[][..], |model| &model.joint) {
            if horizon.holds(&claim.valid) {
                found.push(Said::registry(&claim.value, &claim.evidence));
            }
        }
        found
    }

    pub(crate) fn publisher(&self, horizon: &mut Horizon) -> Option<Said<'v, &'v Publisher>> {
        claimed(self.model.map(|model| &model.publisher), horizon)
    }
}

impl<'v> ProducerNode<'v> {
    pub(crate) fn name(&self) -> &'v str {
        let own = self.patch.and_then(|patch| patch.says.name.as_deref());
        own.or(self.producer.map(|producer| producer.name.as_str()))
            .unwrap_or(self.id.as_str())
    }

    pub(crate) fn country(&self, horizon: &mut Horizon) -> Option<Said<'v, Country>> {
        let registry = claimed(self.producer.map(|producer| &producer.country), horizon)
            .map(|said| said.map(|value| *value));
        let own = self
            .patch
            .and_then(|patch| Some(Said::operator(patch.says.country?, patch)));
        own.or(registry)
    }
}

impl<'v> HostNode<'v> {
    pub(crate) fn operator(&self, horizon: &mut Horizon) -> Option<Said<'v, &'v str>> {
        let own = |own: &'v HostPatch| own.operator.as_deref();
        self.field(
            horizon,
            own,
            |host| &host.operator,
            |value| value.name.as_str(),
        )
    }

    pub(crate) fn country(&self, horizon: &mut Horizon) -> Option<Said<'v, Country>> {
        self.field(
            horizon,
            |own| own.country,
            |host| &host.country,
            |value| *value,
        )
    }

    pub(crate) fn parent_country(&self, horizon: &mut Horizon) -> Option<Said<'v, Country>> {
        self.field(
            horizon,
            |own| own.parent_country,
            |host| &host.parent_country,
            |value| *value,
        )
    }

    pub(crate) fn retention(&self, horizon: &mut Horizon) -> Option<Said<'v, &'v str>> {
        self.field(
            horizon,
            |own| own.retention.as_deref(),
            |host| &host.retention,
            String::as_str,
        )
    }

    pub(crate) fn egress(&self, horizon: &mut Horizon) -> Option<Said<'v, Egress>> {
        self.field(
            horizon,
            |own| own.egress,
            |host| &host.egress,
            |value| *value,
        )
    }

    /// Whether it trains on prompts, where somebody is sure. An operator who is not sure takes no
    /// `true` of the registry away: that would loosen without saying so.
    pub(crate) fn trains_on_prompts(&self, horizon: &mut Horizon) -> Option<Said<'v, bool>> {
        let registry = claimed(self.host.map(|host| &host.trains_on_prompts), horizon)
            .map(|said| said.map(|value| *value))
            .filter(Said::is_sure);
        let own = self
            .patch
            .and_then(|patch| Some(Said::operator(patch.says.trains_on_prompts?, patch)));
        let said = match (own, registry) {
            (Some(own), Some(known)) if known.value && !own.is_sure() => known,
            (own, known) => own.or(known)?,
        };
        said.is_sure().then_some(said)
    }

    /// Who else processes prompts for it.
    pub(crate) fn subprocessors(&self, horizon: &mut Horizon) -> Vec<Said<'v, &'v Subprocessor>> {
        let mut found = Vec::new();
        for one in self.host.map_or(&[][..], |host| &host.subprocessors) {
            if horizon.holds(&one.valid) {
                found.push(Said::registry(one, &one.evidence));
            }
        }
        found
    }

    /// Whether the regions listed are all; the operator's word that the place is complete says so.
    pub(crate) fn regions_known(&self, horizon: &mut Horizon) -> Option<Said<'v, bool>> {
        let own = |own: &'v HostPatch| own.complete.filter(|complete| *complete);
        self.field(horizon, own, |host| &host.regions_known, |value| *value)
    }

    /// One field: the operator's word, or else the registry's claim of the day.
    fn field<T: 'v, U>(
        &self,
        horizon: &mut Horizon,
        own: impl FnOnce(&'v HostPatch) -> Option<U>,
        registry: impl FnOnce(&'v Host) -> &'v Dated<T>,
        value: impl FnOnce(&'v T) -> U,
    ) -> Option<Said<'v, U>> {
        let claim = claimed(self.host.map(registry), horizon).map(|said| said.map(value));
        let own = self
            .patch
            .and_then(|patch| Some(Said::operator(own(&patch.says)?, patch)));
        own.or(claim)
    }

    pub(crate) fn platform(&self) -> Option<&'v str> {
        let own = self.patch.and_then(|patch| patch.says.platform.as_deref());
        own.or(self.host.and_then(|host| host.platform.as_deref()))
    }

    pub(crate) fn kind(&self) -> Option<HostKind> {
        self.patch
            .and_then(|patch| patch.says.kind)
            .or(self.host.map(|host| host.kind))
    }
}
