//! The shortest changes that would turn a denial into a permit.
//!
//! Nothing is guessed: each change is put to the same rules and facts, and only those that really
//! turn the answer are told. What is tried comes from the rules: values that they compare the
//! caller's attributes with, evidence that they ask for, other places, and exceptions that the text knows.

use std::collections::BTreeSet;
use std::sync::Arc;

use carnet_provenance::Resolution;
use cedar_policy::pst::{BinaryOp, Expr, Literal, Var};
use jiff::civil::Date;

use crate::decide::{Decider, DeciderOptions};
use crate::exception::Exception;
use crate::limits::COUNTERFACTUALS_MAX;
use crate::load::Policies;
use crate::pack::Mode;
use crate::syntax::{children, path_from};
use crate::target::{TargetSpec, start_of};
use crate::verdict::{Counterfactual, Effect};
use crate::words::Words;
use crate::workload::{Ask, CallerOwner, Workload};

/// A question that was denied.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Who asks.
    pub workload: &'a Workload,
    /// For which target.
    pub spec: &'a TargetSpec,
    /// What is known of it.
    pub resolution: &'a Resolution,
    /// On which day.
    pub as_of: Date,
    /// In which way.
    pub ask: Ask,
}

/// Something that could be otherwise.
#[derive(Clone, Debug)]
enum Change {
    /// A value of an attribute of the caller.
    Text(&'static str, String),
    /// A member of a set of the caller, there or not.
    Member(&'static str, String, bool),
    /// A set of the caller that is stated.
    Stated(&'static str),
    /// Evidence about the target.
    Evidence(&'static Evidence),
}

/// Something that may be missing about a target.
#[derive(Debug)]
struct Evidence {
    text: &'static str,
    missing: fn(&Words) -> bool,
    supply: fn(&mut Words),
}

const EVIDENCE: &[Evidence] = &[
    Evidence {
        text: "if it were known that nothing else is in the weights",
        missing: |words| words.producer.known && !words.weights_complete,
        supply: |words| words.weights_complete = true,
    },
    Evidence {
        text: "if its maker, the maker's country and everything in the weights were known",
        missing: |words| words.identified && !words.producer.known,
        supply: |words| {
            words.producer.known = true;
            words.weights_complete = true;
        },
    },
    Evidence {
        text: "if every place were known that the prompt can reach",
        missing: |words| !words.hosting_complete,
        supply: |words| words.hosting_complete = true,
    },
    Evidence {
        text: "if it were known that there are no other teachers",
        missing: |words| !words.teachers_complete,
        supply: |words| words.teachers_complete = true,
    },
    Evidence {
        text: "if everybody were known whom the host lets process prompts",
        missing: |words| !words.subprocessors_known,
        supply: |words| words.subprocessors_known = true,
    },
    Evidence {
        text: "if it were attested that nothing leaves the machine (egress = none)",
        missing: |words| words.host_kind == "local" && words.egress != "none",
        supply: |words| "none".clone_into(&mut words.egress),
    },
    Evidence {
        text: "if the host were known not to train on prompts",
        missing: |words| words.trains_on_prompts == "unknown",
        supply: |words| "no".clone_into(&mut words.trains_on_prompts),
    },
];

/// Pairs of changes that are tried: enough for all pairs of about sixty changes.
const PAIRS_TRIED_MAX: usize = 2_000;

/// The value of an attribute that no rule names.
pub(crate) const OTHER: &str = "another";

/// What rules ask of the caller.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Attributes and the texts that they are compared with.
    pub(crate) compared: BTreeSet<(&'static str, String)>,
    /// Sets that must be stated.
    pub(crate) stated: BTreeSet<&'static str>,
    /// Whether the country or a group that holds it matters.
    pub(crate) place: bool,
}

impl Decider {
    /// The shortest changes after which a denied request would be permitted: first single ones, else
    /// pairs. `places` are other places for the same model, with what is known of them.
    #[must_use]
    pub fn what_if(
        &self,
        situation: &Situation<'_>,
        places: &[(String, Resolution)],
    ) -> Vec<Counterfactual> {
        let mut found = Vec::new();
        let changes = self.changes(situation);
        let mut elsewhere = false;
        for change in &changes {
            // One country stands for all that turn the answer.
            if !(elsewhere && change.is_place()) && self.turns(situation, &[change]) {
                elsewhere |= change.is_place();
                found.push(told(&change.text()));
            }
        }
        for (name, resolution) in places {
            if found.len() >= COUNTERFACTUALS_MAX {
                break;
            }
            let there = Situation {
                resolution,
                ..*situation
            };
            if self.turns(&there, &[]) {
                found.push(told(&format!("via {name}")));
            }
        }
        found.extend(self.exceptions(situation));
        if found.is_empty() {
            let pairs = changes.iter().enumerate().flat_map(|(at, first)| {
                changes
                    .iter()
                    .skip(at + 1)
                    .map(move |second| (first, second))
            });
            let mut elsewhere = BTreeSet::new();
            for (first, second) in pairs.take(PAIRS_TRIED_MAX) {
                let place = match (first.is_place(), second.is_place()) {
                    (false, false) => None,
                    (true, _) => Some(second.text()),
                    (false, true) => Some(first.text()),
                };
                if place
                    .as_ref()
                    .is_some_and(|other| elsewhere.contains(other))
                {
                    continue;
                }
                if self.turns(situation, &[first, second]) {
                    elsewhere.extend(place);
                    found.push(told(&format!("{} and {}", first.text(), second.text())));
                }
                if found.len() >= COUNTERFACTUALS_MAX {
                    break;
                }
            }
        }
        found.truncate(COUNTERFACTUALS_MAX);
        found
    }

    /// Whether the request is permitted after these changes.
    fn turns(&self, situation: &Situation<'_>, changes: &[&Change]) -> bool {
        let mut workload = situation.workload.clone();
        for change in changes {
            change.of_caller(&mut workload);
        }
        let supply = |words: &mut Words| {
            for change in changes {
                if let Change::Evidence(evidence) = change {
                    (evidence.supply)(words);
                }
            }
        };
        let target = self.target_with(
            situation.spec.clone(),
            situation.resolution.clone(),
            situation.as_of,
            &supply,
        );
        let principal = self.principal(&workload);
        self.permits(
            &principal,
            &target,
            &situation.ask,
            start_of(situation.as_of),
        )
    }

    /// What the rules give reason to try.
    fn changes(&self, situation: &Situation<'_>) -> Vec<Change> {
        let mut asked = Asked::default();
        asked.read_all(self.policies());
        let mut changes: Vec<Change> = Vec::new();
        for (attribute, text) in asked.compared {
            if SETS.contains(&attribute) {
                let there = situation.workload.has(attribute, &text);
                changes.push(Change::Member(attribute, text, !there));
            } else if let Some(current) = situation.workload.text(attribute) {
                if *current != text && text != crate::facts::UNKNOWN {
                    changes.push(Change::Text(attribute, text));
                } else if *current == text {
                    changes.push(Change::Text(attribute, OTHER.to_owned()));
                }
            }
        }
        changes.extend(
            asked
                .stated
                .into_iter()
                .filter(|set| !situation.workload.states(set))
                .map(Change::Stated),
        );
        if asked.place {
            // One country for each combination of groups stands for all of them.
            let mut seen = BTreeSet::new();
            for country in self.view().registry().jurisdictions() {
                let groups = self.view().groups_of(country.code);
                if seen.insert(groups) {
                    changes.push(Change::Text("country", country.code.to_string()));
                }
            }
        }
        let missing = |evidence: &&Evidence| {
            situation.resolution.candidates.iter().any(|candidate| {
                let words = crate::facts::words(situation.spec, candidate, self.view());
                (evidence.missing)(&words)
            })
        };
        changes.extend(EVIDENCE.iter().filter(missing).map(Change::Evidence));
        changes
    }

    /// Exceptions that would lift the denial, where the text knows any.
    fn exceptions(&self, situation: &Situation<'_>) -> Option<Counterfactual> {
        let mut sources = self.policies().sources().to_vec();
        let mut granters = Vec::new();
        for pack in self.policies().packs() {
            let Some((kinds, issuer)) = pack.exceptions() else {
                continue;
            };
            if pack.mode() == Mode::Report {
                continue;
            }
            granters.push(format!("{issuer} ({})", kinds.join(", ")));
            let source = sources
                .iter_mut()
                .find(|source| source.name == pack.name())?;
            source.settings.exceptions.push(Exception {
                id: "what-if".to_owned(),
                kind: kinds.first()?.clone(),
                issuer: issuer.to_owned(),
                reason: "what if".to_owned(),
                until: Some(situation.as_of),
                workloads: vec![situation.workload.id.clone()],
                ..Exception::default()
            });
        }
        if granters.is_empty() {
            return None;
        }
        let policies = Arc::new(Policies::load(&sources).ok()?);
        let options = DeciderOptions {
            shadow_every: 0,
            cache_max: 0,
            ..DeciderOptions::default()
        };
        let decider = Decider::new(policies, self.view().clone(), options).ok()?;
        decider.turns(situation, &[]).then(|| {
            told(&format!(
                "with an exception granted by {}",
                granters.join(" and ")
            ))
        })
    }
}

fn told(change: &str) -> Counterfactual {
    Counterfactual {
        change: change.to_owned(),
        decision: Effect::Permit,
    }
}

/// Attributes of the caller that are sets, each stated or not. Owners are asked for by their countries.
pub(crate) const SETS: [&str; 6] = [
    "contracts",
    "data_classes",
    "data_subjects",
    "owner_countries",
    "owners",
    "tags",
];

/// Attributes of the caller that are texts.
pub(crate) const TEXTS: [&str; 9] = [
    "audience",
    "country",
    "device",
    "id",
    "nationality",
    "purpose",
    "sector",
    "team",
    "tenant",
];

impl Asked {
    /// Take in what all rules of a policy ask.
    pub(crate) fn read_all(&mut self, policies: &Policies) {
        for pack in policies.packs() {
            for rule in pack.rules().values() {
                for condition in &rule.conditions {
                    self.read(&condition.expr);
                }
            }
        }
    }

    fn read(&mut self, expr: &Expr) {
        walk(expr, &mut |expr| {
            if let Some(path) = path_from(expr, &Var::Principal) {
                let known = |set: &&&str| path.strip_suffix("_known") == Some(set);
                self.stated.extend(SETS.iter().find(known));
                self.place |= matches!(&*path, "groups" | "country");
            }
            let Expr::BinaryOp { op, left, right } = expr else {
                return;
            };
            self.place |= *op == BinaryOp::In && matches!(left.as_ref(), Expr::Var(Var::Principal));
            for (side, other) in [(left, right), (right, left)] {
                let Some(path) = path_from(side, &Var::Principal) else {
                    continue;
                };
                let all = TEXTS.iter().chain(&SETS);
                let Some(attribute) = all.copied().find(|attribute| *attribute == path) else {
                    continue;
                };
                walk(other, &mut |expr| {
                    if let Expr::Literal(Literal::String(text)) = expr
                        && !text.is_empty()
                    {
                        self.compared.insert((attribute, text.to_string()));
                    }
                });
            }
        });
    }
}

/// See an expression and all its parts.
pub(crate) fn walk(expr: &Expr, see: &mut dyn FnMut(&Expr)) {
    see(expr);
    for part in children(expr) {
        walk(part, see);
    }
}

impl Change {
    fn of_caller(&self, workload: &mut Workload) {
        match self {
            Self::Text(attribute, text) => workload.give(attribute, text),
            Self::Member(attribute, text, there) => workload.turn(attribute, text, *there),
            Self::Stated(attribute) => workload.state(attribute),
            Self::Evidence(_) => {}
        }
    }

    /// Whether it moves the caller to another country.
    fn is_place(&self) -> bool {
        matches!(self, Self::Text("country", _))
    }

    fn text(&self) -> String {
        let words = |attribute: &str| attribute.replace('_', " ");
        match self {
            Self::Text("country", code) => {
                format!("if the workload's country were, for example, {code}")
            }
            Self::Text(attribute, text) if text == OTHER => {
                format!("if the workload's {} were another", words(attribute))
            }
            Self::Text(attribute, text) => {
                format!("if the workload's {} were `{text}`", words(attribute))
            }
            Self::Member("owner_countries", text, there) => format!(
                "if the caller were {}owned from {text}",
                if *there { "" } else { "not " }
            ),
            Self::Stated("owners") => {
                "if the caller's owners were stated, and all were of its own country".to_owned()
            }
            Self::Member(attribute, text, true) => {
                format!("if `{text}` were among the workload's {}", words(attribute))
            }
            Self::Member(attribute, text, false) => {
                format!(
                    "if `{text}` were not among the workload's {}",
                    words(attribute)
                )
            }
            Self::Stated(attribute) => {
                format!(
                    "if the workload's {} were stated, and there were none",
                    words(attribute)
                )
            }
            Self::Evidence(evidence) => evidence.text.to_owned(),
        }
    }
}

impl Workload {
    /// Give an attribute this value; a set this one member, or none for the empty text.
    pub(crate) fn give(&mut self, attribute: &str, value: &str) {
        if attribute == "country" {
            self.country = Some(value.to_owned());
        } else if let Some(text) = self.text_mut(attribute) {
            value.clone_into(text);
        } else {
            self.state(attribute);
            if !value.is_empty() {
                self.turn(attribute, value, true);
            }
        }
    }

    fn text(&self, attribute: &str) -> Option<&String> {
        Some(match attribute {
            "audience" => &self.audience,
            "device" => &self.device,
            "id" => &self.id,
            "nationality" => &self.nationality,
            "purpose" => &self.purpose,
            "sector" => &self.sector,
            "team" => &self.team,
            "tenant" => &self.tenant,
            _ => return None,
        })
    }

    fn text_mut(&mut self, attribute: &str) -> Option<&mut String> {
        Some(match attribute {
            "audience" => &mut self.audience,
            "device" => &mut self.device,
            "id" => &mut self.id,
            "nationality" => &mut self.nationality,
            "purpose" => &mut self.purpose,
            "sector" => &mut self.sector,
            "team" => &mut self.team,
            "tenant" => &mut self.tenant,
            _ => return None,
        })
    }

    /// Whether a text is in a set. An owner of any share puts its country there.
    fn has(&self, attribute: &str, text: &str) -> bool {
        let set = match attribute {
            "contracts" => self.contracts.as_ref(),
            "data_classes" => self.data_classes.as_ref(),
            "data_subjects" => self.data_subjects.as_ref(),
            "tags" => Some(&self.tags),
            "owner_countries" => {
                let mut owners = self.owners.iter().flatten();
                return owners.any(|owner| owner.country.as_deref() == Some(text));
            }
            _ => None,
        };
        set.is_some_and(|set| set.iter().any(|member| member == text))
    }

    /// Owned whole from one country.
    fn owned_from(&mut self, country: Option<String>) {
        self.owners = Some(vec![CallerOwner {
            name: OTHER.to_owned(),
            country,
            share: 100.0.try_into().ok(),
            control: false,
        }]);
    }

    fn states(&self, attribute: &str) -> bool {
        match attribute {
            "contracts" => self.contracts.is_some(),
            "data_classes" => self.data_classes.is_some(),
            "data_subjects" => self.data_subjects.is_some(),
            "owners" => self.owners.is_some(),
            _ => true,
        }
    }

    /// State a set that was not: there is none.
    fn state(&mut self, attribute: &str) {
        match attribute {
            "contracts" => drop(self.contracts.get_or_insert_default()),
            "data_classes" => drop(self.data_classes.get_or_insert_default()),
            "data_subjects" => drop(self.data_subjects.get_or_insert_default()),
            // All of it, in hands that no rule speaks of.
            "owners" => self.owned_from(self.country.clone()),
            _ => {}
        }
    }

    /// Put a member into a set or take it out.
    fn turn(&mut self, attribute: &str, text: &str, there: bool) {
        let set = match attribute {
            "contracts" => self.contracts.get_or_insert_default(),
            "data_classes" => self.data_classes.get_or_insert_default(),
            "data_subjects" => self.data_subjects.get_or_insert_default(),
            "tags" => &mut self.tags,
            "owner_countries" => {
                let country = if there {
                    Some(text.to_owned())
                } else {
                    self.country.clone().filter(|own| own != text)
                };
                return self.owned_from(country);
            }
            _ => return,
        };
        set.retain(|member| member != text);
        if there {
            set.push(text.to_owned());
        }
    }
}
