//! Two policies compared over everything that they can tell apart.
//!
//! Requests that no rule of either policy can tell apart form a class: of all callers, models and hosts
//! that the registry knows one of each class is asked in both policies. A text that no rule names is
//! the same as any other such text.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use carnet_provenance::{Query, Resolution, View};
use cedar_policy::pst::{BinaryOp, Expr, Literal, Var};
use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value as Json;

use crate::decide::Decider;
use crate::outcome::Obligation;
use crate::parameters::Setting;
use crate::proof::{is_of_host, is_of_neither};
use crate::reading::Share;
use crate::syntax::{self, ANCESTRY, path_from, resource_path};
use crate::target::{PreparedCandidate, Principal, Target, TargetSpec, start_of};
use crate::verdict::Effect;
use crate::whatif::{Asked, OTHER, SETS, TEXTS, walk};
use crate::workload::{Api, Ask, Workload};

/// Which way an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turned {
    /// Permitted before, denied now.
    NewlyDenied,
    /// Denied before, permitted now.
    NewlyPermitted,
    /// Permitted before and now, and obliging to something else.
    OtherObligations,
}

/// Requests whose answer changed for the same reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassChange {
    /// Which way.
    pub turned: Turned,
    /// The rules that decided before, as `pack/rule`.
    pub before: Vec<String>,
    /// Those that decide now.
    pub now: Vec<String>,
    /// What the rules that decide now say; of a permit those that decided before; of other obligations which.
    pub titles: Vec<String>,
    /// Kinds of callers, in words.
    pub callers: BTreeSet<String>,
    /// Models.
    pub models: BTreeSet<String>,
    /// Hosts.
    pub hosts: BTreeSet<String>,
}

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Changes, denials first.
    pub changes: Vec<ClassChange>,
    /// Kinds of callers, models and hosts that were asked.
    pub callers: usize,
    /// Classes of models, of so many models.
    pub model_classes: usize,
    /// All models of the registry and overlay.
    pub models: usize,
    /// Classes of hosts.
    pub host_classes: usize,
    /// All hosts, and the unknown one.
    pub hosts: usize,
    /// Whether every combination of the callers' attributes that rules ask for was asked.
    pub all_callers: bool,
    /// Whether the policies count owners from different shares on; callers of whom owners hold a part
    /// are not among those asked.
    pub shares_differ: bool,
}

/// Kinds of callers that are asked at most; beyond it attributes change one at a time.
const CALLERS_MAX: usize = 256;

/// Which texts rules name, and whether they only name texts.
pub(crate) struct Named {
    reads: BTreeSet<String>,
    texts: BTreeSet<String>,
    /// Some rule compares two attributes or matches a pattern, so that every text may matter.
    any: bool,
    /// Some rule asks what kind of request it is.
    context: bool,
}

/// Ask both policies about one request of each class.
#[must_use]
pub fn compare_policies(old: &Decider, new: &Decider, day: Date) -> Comparison {
    let named = Named::of([old, new]);
    let shares = |decider: &Decider| -> HashSet<Share> {
        let readings = decider.policies().readings.iter();
        readings.map(|reading| reading.share).collect()
    };
    let shares_differ = shares(old) != shares(new);
    let (callers, all_callers) = callers([old, new], &named, old.view());
    let models = models(old, new, &named, day);
    let hosts = hosts(old, new, &named, day);
    let obliging = [old, new].iter().any(|decider| decider.policies().oblige());
    let mut found: BTreeMap<(Turned, Vec<String>, Vec<String>), ClassChange> = BTreeMap::new();
    let asks: Vec<Ask> = if named.context {
        Ask::all().collect()
    } else {
        vec![Ask {
            api: Api::ChatCompletions,
            stream: false,
        }]
    };
    let prepared: Vec<(String, [Principal; 2])> = callers
        .iter()
        .map(|(words, caller)| {
            (
                words.clone(),
                [old.principal(caller), new.principal(caller)],
            )
        })
        .collect();
    for model in models.values() {
        for host in hosts.values() {
            let resolution = at(&model.resolution, &host.resolution);
            let targets = [old, new].map(|decider| {
                decider.target(spec(&model.names, &host.names), resolution.clone(), day)
            });
            let questions = prepared
                .iter()
                .flat_map(|one| asks.iter().map(move |ask| (one, ask)));
            for ((words, principals), ask) in questions {
                let [first, second] = principals;
                let [before, now] = &targets;
                let permits = |decider: &Decider, principal, target| {
                    decider.permits(principal, target, ask, start_of(day))
                };
                let turned = match (permits(old, first, before), permits(new, second, now)) {
                    (true, false) => Turned::NewlyDenied,
                    (false, true) => Turned::NewlyPermitted,
                    (true, true) if obliging => Turned::OtherObligations,
                    _ => continue,
                };
                let verdict = |decider: &Decider, principal, target| {
                    let decision = decider.decide(principal, target, ask, &[], start_of(day));
                    decision.verdict().clone()
                };
                let verdicts = [verdict(old, first, before), verdict(new, second, now)];
                let obligations = verdicts.each_ref().map(|verdict| verdict.obligations());
                if turned == Turned::OtherObligations && obligations[0] == obligations[1] {
                    continue;
                }
                let rules = verdicts.clone().map(|verdict| {
                    let rules = verdict.reasons().iter();
                    rules
                        .map(|reason| format!("{}/{}", reason.pack, reason.rule))
                        .collect::<Vec<String>>()
                });
                let telling = verdicts
                    .iter()
                    .find(|verdict| verdict.effect() == Effect::Deny);
                let titles = telling.iter().flat_map(|verdict| verdict.reasons());
                let titles = titles.map(|reason| reason.title.to_string());
                let obliges = (turned == Turned::OtherObligations).then(|| obliges(obligations));
                let [before, now] = rules;
                let change = found
                    .entry((turned, before.clone(), now.clone()))
                    .or_insert_with(|| ClassChange {
                        turned,
                        before,
                        now,
                        titles: titles.chain(obliges).collect(),
                        callers: BTreeSet::new(),
                        models: BTreeSet::new(),
                        hosts: BTreeSet::new(),
                    });
                change.callers.insert(words.clone());
                change.models.extend(model.names.iter().cloned());
                change.hosts.extend(host.names.iter().cloned());
            }
        }
    }
    let count =
        |classes: &BTreeMap<String, Class>| classes.values().map(|one| one.names.len()).sum();
    Comparison {
        changes: found.into_values().collect(),
        callers: callers.len(),
        models: count(&models),
        hosts: count(&hosts),
        model_classes: models.len(),
        host_classes: hosts.len(),
        all_callers: all_callers && !shares_differ,
        shares_differ,
    }
}

/// What two permits oblige to, in words.
fn obliges([before, now]: [&[Obligation]; 2]) -> String {
    let words = |obligations: &[Obligation]| match obligations {
        [] => "nothing".to_owned(),
        some => {
            let words: Vec<&str> = some.iter().map(|one| one.as_str()).collect();
            words.join(", ")
        }
    };
    format!("obliged to {} before, to {} now", words(before), words(now))
}

/// Models or hosts that no rule tells apart.
struct Class {
    names: Vec<String>,
    resolution: Resolution,
}

pub(crate) fn spec(models: &[String], hosts: &[String]) -> TargetSpec {
    let first = |names: &[String]| names.first().cloned().unwrap_or_default();
    TargetSpec {
        name: format!("{} on {}", first(models), first(hosts)).into(),
        upstream: "any".into(),
        origin: "unknown".into(),
        upstream_model: first(models).into(),
        host: None,
    }
}

/// What is known of a model, at a host.
fn at(model: &Resolution, host: &Resolution) -> Resolution {
    let mut joined = model.clone();
    joined.hosting.clone_from(&host.hosting);
    let place = host.candidates.first();
    for candidate in &mut joined.candidates {
        candidate.hosting.clone_from(&host.hosting);
        candidate.facts.retain(|fact| !is_place(&fact.claim));
        let facts = place.iter().flat_map(|place| &place.facts);
        candidate
            .facts
            .extend(facts.filter(|fact| is_place(&fact.claim)).cloned());
    }
    joined
}

/// Whether a claim is about the host and not about the model.
fn is_place(claim: &str) -> bool {
    matches!(
        claim,
        "host"
            | "hosting_countries"
            | "hosting_parents"
            | "jurisdictions"
            | "hosting_complete"
            | "egress"
            | "retention"
            | "subprocessors"
            | "trains_on_prompts"
    )
}

fn models(old: &Decider, new: &Decider, named: &Named, day: Date) -> BTreeMap<String, Class> {
    let view = old.view();
    let mut ids: Vec<String> = view.models().map(ToString::to_string).collect();
    // What nobody knows is a class of its own.
    ids.push("a name that nobody knows".to_owned());
    classes(ids, [old, new], named, day, |id| query(view, id, None, day))
}

fn hosts(old: &Decider, new: &Decider, named: &Named, day: Date) -> BTreeMap<String, Class> {
    let view = old.view();
    let mut ids: Vec<String> = view.hosts().map(ToString::to_string).collect();
    ids.push("a host that nobody knows".to_owned());
    classes(ids, [old, new], named, day, |id| {
        query(view, "a name that nobody knows", Some(id), day)
    })
}

pub(crate) fn query(view: &View, id: &str, host: Option<&str>, day: Date) -> Resolution {
    view.resolve(&Query {
        id,
        platform: None,
        host,
        upstream: None,
        region: None,
        as_of: day,
    })
}

fn classes(
    ids: Vec<String>,
    deciders: [&Decider; 2],
    named: &Named,
    day: Date,
    resolve: impl Fn(&str) -> Resolution,
) -> BTreeMap<String, Class> {
    let mut found: BTreeMap<String, Class> = BTreeMap::new();
    for id in ids {
        let resolution = resolve(&id);
        let names = [id];
        let keys = deciders.map(|decider| {
            let target = decider.target(spec(&names, &[]), resolution.clone(), day);
            named.key(&target)
        });
        let [id] = names;
        found
            .entry(keys.concat())
            .or_insert_with(|| Class {
                names: Vec::new(),
                resolution,
            })
            .names
            .push(id);
    }
    found
}

impl Named {
    pub(crate) fn of(deciders: [&Decider; 2]) -> Self {
        let mut named = Self {
            reads: BTreeSet::new(),
            texts: BTreeSet::new(),
            any: false,
            context: false,
        };
        for decider in deciders {
            for pack in decider.policies().packs() {
                for rule in pack.rules().values() {
                    named.reads.extend(rule.reads.iter().cloned());
                    for condition in &rule.conditions {
                        walk(&condition.expr, &mut |expr| named.note(expr));
                    }
                }
            }
        }
        named.texts.insert(crate::facts::UNKNOWN.to_owned());
        named
    }

    /// Take in what a further condition names and reads.
    pub(crate) fn read(&mut self, expr: &Expr) {
        self.reads.extend(syntax::reads(expr));
        walk(expr, &mut |expr| self.note(expr));
    }

    fn note(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(Literal::String(text)) => drop(self.texts.insert(text.to_string())),
            Expr::Literal(Literal::EntityUID(uid)) => {
                self.texts.insert(uid.eid.as_str().to_owned());
            }
            Expr::Var(Var::Context) => self.context = true,
            Expr::Like { .. } => self.any = true,
            Expr::BinaryOp { op, left, right } if !matches!(op, BinaryOp::And | BinaryOp::Or) => {
                let attribute = |side: &Expr| {
                    resource_path(side).is_some() || path_from(side, &Var::Principal).is_some()
                };
                self.any |= attribute(left) && attribute(right);
            }
            _ => {}
        }
    }

    /// What rules can see of a target, with every text that none of them names as one.
    fn key(&self, target: &Target) -> String {
        let mut key = String::new();
        for candidates in &target.0.candidates {
            let Some(candidates) = candidates else {
                key.push_str("does not fit;");
                continue;
            };
            let mut all = BTreeSet::new();
            for candidate in candidates {
                all.insert(self.key_of(candidate));
            }
            key.push_str(&all.into_iter().collect::<Vec<_>>().join("|"));
            key.push(';');
        }
        key
    }

    fn key_of(&self, candidate: &PreparedCandidate) -> String {
        let entity = candidate.store.get(&candidate.uid);
        let json = entity.and_then(|entity| entity.to_json_value().ok());
        let attributes = json.as_ref().and_then(|json| json.get("attrs"));
        let mut parts = Vec::new();
        for path in self.reads.iter().filter(|path| *path != ANCESTRY) {
            let value = path
                .split('.')
                .try_fold(attributes, |value, part| Some(value?.get(part)))
                .flatten();
            parts.push(format!("{path}={}", self.blurred(value)));
        }
        if self.reads.contains(ANCESTRY) {
            let above = candidate.store.ancestors(&candidate.uid);
            let ids: BTreeSet<String> = above
                .into_iter()
                .flatten()
                .map(|uid| uid.id().unescaped().to_owned())
                .filter(|id| self.texts.contains(id))
                .collect();
            parts.push(ids.into_iter().collect::<Vec<_>>().join("+"));
        }
        parts.join(",")
    }

    /// What rules can see of each candidate, as Cedar conditions: of the host or of the model.
    pub(crate) fn conditions(&self, target: &Target, of_host: bool) -> Vec<String> {
        let all = target.0.candidates.iter().flatten().flatten();
        all.map(|candidate| {
            let entity = candidate.store.get(&candidate.uid);
            let json = entity.and_then(|entity| entity.to_json_value().ok());
            let attributes = json.as_ref().and_then(|json| json.get("attrs"));
            let mut parts = Vec::new();
            for path in &self.reads {
                if is_of_neither(path) || is_of_host(path) != of_host {
                    continue;
                }
                let value = path
                    .split('.')
                    .try_fold(attributes, |value, part| Some(value?.get(part)))
                    .flatten();
                parts.extend(value.map(|value| self.condition(path, value)));
            }
            parts.join(" && ")
        })
        .collect()
    }

    /// That an attribute has this value, as far as the texts that rules name can tell.
    fn condition(&self, path: &str, value: &Json) -> String {
        let quoted = |text: &str| Setting::Text(text.to_owned()).cedar();
        let named = Setting::List(self.texts.iter().cloned().collect()).cedar();
        match value {
            Json::Bool(true) => format!("resource.{path}"),
            Json::Bool(false) => format!("!resource.{path}"),
            Json::String(text) if self.texts.contains(text) => {
                format!("resource.{path} == {}", quoted(text))
            }
            Json::String(_) => format!("!{named}.contains(resource.{path})"),
            Json::Array(items) => {
                let items: BTreeSet<&str> = items.iter().filter_map(Json::as_str).collect();
                let (known, other): (BTreeSet<&str>, BTreeSet<&str>) = items
                    .into_iter()
                    .partition(|item| self.texts.contains(*item));
                let members = Setting::List(known.iter().map(|&item| item.to_owned()).collect());
                let mut parts = Vec::new();
                if !known.is_empty() {
                    parts.push(format!("resource.{path}.containsAll({})", members.cedar()));
                }
                let absent: Vec<String> = self
                    .texts
                    .iter()
                    .filter(|text| !known.contains(text.as_str()))
                    .cloned()
                    .collect();
                let absent = Setting::List(absent).cedar();
                parts.push(format!("!resource.{path}.containsAny({absent})"));
                parts.push(if known.is_empty() && other.is_empty() {
                    format!("resource.{path}.isEmpty()")
                } else if other.is_empty() {
                    format!("{}.containsAll(resource.{path})", members.cedar())
                } else {
                    format!("!{named}.containsAll(resource.{path})")
                });
                format!("({})", parts.join(" && "))
            }
            _ => "true".to_owned(),
        }
    }

    /// A value with every text that no rule names written the same.
    fn blurred(&self, value: Option<&Json>) -> String {
        match value {
            Some(Json::String(text)) if self.any || self.texts.contains(text) => text.clone(),
            Some(Json::String(_)) => "*".to_owned(),
            Some(Json::Array(items)) => {
                let items: BTreeSet<String> =
                    items.iter().map(|item| self.blurred(Some(item))).collect();
                format!("[{}]", items.into_iter().collect::<Vec<_>>().join(" "))
            }
            Some(Json::Object(fields)) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("{name}:{}", self.blurred(Some(value))))
                    .collect();
                format!("{{{}}}", fields.join(" "))
            }
            Some(other) => other.to_string(),
            None => "-".to_owned(),
        }
    }
}

/// Kinds of callers that the rules of these policies tell apart, each with what it is in words; and
/// whether those are all.
fn callers(deciders: [&Decider; 2], named: &Named, view: &View) -> (Vec<(String, Workload)>, bool) {
    let mut asked = Asked::default();
    for decider in deciders {
        asked.read_all(decider.policies());
    }
    let mut choices: BTreeMap<&'static str, Vec<Option<String>>> = BTreeMap::new();
    for (attribute, text) in &asked.compared {
        choices
            .entry(attribute)
            .or_insert_with(|| vec![None])
            .push(Some(text.clone()));
    }
    // A value that no rule names is another one than none at all.
    for (attribute, values) in &mut choices {
        if TEXTS.contains(attribute) && *attribute != "country" {
            values.push(Some(OTHER.to_owned()));
        }
    }
    // Of a set only single members are tried.
    let single = choices
        .iter()
        .all(|(attribute, values)| !SETS.contains(attribute) || values.len() <= 2);
    if asked.place {
        let mut seen = BTreeSet::new();
        let countries = choices.entry("country").or_insert_with(|| vec![None]);
        for country in view.registry().jurisdictions() {
            let mut groups = view.groups_of(country.code);
            groups.retain(|group| named.texts.contains(*group));
            let code = country.code.as_str();
            let own = named.texts.contains(code).then_some(code);
            if seen.insert((groups, own)) {
                countries.push(Some(country.code.to_string()));
            }
        }
        countries.sort();
        countries.dedup();
    }
    for set in &asked.stated {
        // Stated, and nothing that a rule names.
        choices
            .entry(set)
            .or_insert_with(|| vec![None])
            .push(Some(String::new()));
    }
    let all = choices
        .values()
        .try_fold(1_usize, |product, values| product.checked_mul(values.len()))
        .is_some_and(|product| product <= CALLERS_MAX);
    let mut found = vec![(Vec::new(), Workload::default())];
    if all {
        for (attribute, values) in &choices {
            found = found
                .iter()
                .flat_map(|(words, caller)| {
                    values
                        .iter()
                        .map(|value| with(words, caller, attribute, value))
                })
                .collect();
        }
    } else {
        let base = (Vec::new(), Workload::default());
        for (attribute, values) in &choices {
            let given = values.iter().filter(|value| value.is_some());
            found.extend(given.map(|value| with(&base.0, &base.1, attribute, value)));
        }
        found.truncate(CALLERS_MAX);
    }
    let told = found.into_iter().map(|(words, caller)| {
        let words: Vec<String> = words;
        let text = if words.is_empty() {
            "callers of whom nothing is stated".to_owned()
        } else {
            words.join(", ")
        };
        (text, caller)
    });
    (told.collect(), all && single)
}

fn with(
    words: &[String],
    caller: &Workload,
    attribute: &'static str,
    value: &Option<String>,
) -> (Vec<String>, Workload) {
    let (mut words, mut caller) = (words.to_vec(), caller.clone());
    if let Some(value) = value {
        caller.give(attribute, value);
        let value = if value.is_empty() { "none" } else { value };
        words.push(format!("{attribute}={value}"));
    }
    (words, caller)
}
