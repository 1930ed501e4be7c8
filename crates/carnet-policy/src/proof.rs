//! What a solver may take for granted about the facts: of any registry, or of one.
//!
//! A solver weighs every combination of attributes, also those that [`facts`](crate::facts) never makes.
//! The conditions here say which it does make, in Cedar, so that a proof is about requests that can be.

use std::collections::BTreeSet;

use cedar_policy::pst::{Expr, Literal};
use cedar_policy::{Policy, PolicySet, Schema};
use jiff::civil::Date;

use crate::compare::{Named, query, spec};
use crate::decide::Decider;
use crate::load::Policies;
use crate::pack::Pack;
use crate::reading::Lineage;
use crate::syntax::{ANCESTRY, conditions};
use crate::whatif::walk;

impl Policies {
    /// The schema that rules are checked against.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
}

impl Pack {
    /// The rules that decide on a day.
    #[must_use]
    pub fn rules_on(&self, day: Date) -> PolicySet {
        self.on(day)
            .map(|(_, term)| term.set.clone())
            .unwrap_or_default()
    }

    /// The target's attributes that its rules read, such as `producer.country`.
    pub fn reads(&self) -> impl Iterator<Item = &str> {
        let all = self.rules.values().flat_map(|rule| &rule.reads);
        all.map(String::as_str)
    }

    /// Whether it sees the same facts as another pack, also one of another policy.
    #[must_use]
    pub fn reads_facts_as(&self, other: &Self) -> bool {
        self.manifest.parameters.reading() == other.manifest.parameters.reading()
    }

    /// Packs with the same number see the same facts; others may count different parties as makers.
    #[must_use]
    pub fn facts_number(&self) -> usize {
        self.reading
    }
}

/// What holds of every request, whatever a registry says.
const ALWAYS: &[&str] = &[
    "!resource.producer.known || resource.identified",
    "!resource.weights_complete || resource.producer.known",
    "!resource.counted.complete || resource.producer.known",
    r#"resource.identified || resource.model == "unknown""#,
    r#"resource.producer.country != "unknown" || !resource.producer.known"#,
    r#"resource.producer.country == "unknown" || resource.weights_countries.contains(resource.producer.country)"#,
    "resource.jurisdictions.containsAll(resource.hosting_countries)",
    "resource.jurisdictions.containsAll(resource.hosting_parents)",
    "!resource.router || !resource.hosting_complete",
    r#"resource.router == (resource.host_kind == "router")"#,
    r#"resource.host != "unknown" || (resource.host_kind == "unknown" && resource.host_operator == "unknown" && resource.egress == "unknown" && !resource.hosting_complete)"#,
    r#"["open", "closed", "unknown"].contains(resource.weights)"#,
    r#"["none", "external", "unknown"].contains(resource.egress)"#,
    r#"["yes", "no", "unknown"].contains(resource.trains_on_prompts)"#,
    r#"["high", "medium", "low", "unknown"].contains(resource.confidence)"#,
    r#"["application", "inference", "local", "router", "unknown"].contains(resource.host_kind)"#,
    "resource.counted.group_countries.containsAll(resource.counted.countries)",
    "resource.counted.group_lists.containsAll(resource.counted.lists)",
];

/// Attributes that are texts, and never the empty one.
const TEXTS: &[&str] = &[
    "principal.audience",
    "principal.country",
    "principal.device",
    "principal.id",
    "principal.nationality",
    "principal.purpose",
    "principal.sector",
    "principal.team",
    "principal.tenant",
    "resource.host",
    "resource.host_operator",
    "resource.licence",
    "resource.model",
    "resource.producer.country",
    "resource.producer.id",
    "resource.upstream",
];

/// Attributes that are sets, and never have the empty text.
const SETS: &[&str] = &[
    "principal.contracts",
    "principal.data_classes",
    "principal.data_subjects",
    "principal.found",
    "principal.groups",
    "principal.owner_countries",
    "principal.tags",
    "resource.counted.countries",
    "resource.counted.group_countries",
    "resource.counted.group_lists",
    "resource.counted.lists",
    "resource.counted.producers",
    "resource.documents",
    "resource.host_lists",
    "resource.hosting_countries",
    "resource.hosting_parents",
    "resource.jurisdictions",
    "resource.producer.claims",
    "resource.producer.lists",
    "resource.producer.owner_countries",
    "resource.producer.owners",
    "resource.subprocessor_countries",
    "resource.teacher_countries",
    "resource.weights_countries",
    "resource.weights_producers",
];

/// The conditions that hold of every request that these packs see, as far as they and a property's
/// condition can tell. The packs read the facts alike.
#[must_use]
pub fn always_true(packs: &[&Pack], condition: &str) -> Vec<String> {
    let mut all: Vec<String> = ALWAYS.iter().map(|&text| text.to_owned()).collect();
    all.extend(TEXTS.iter().map(|text| format!("{text} != \"\"")));
    all.extend(SETS.iter().map(|set| format!("!{set}.contains(\"\")")));
    if let Some(pack) = packs.first() {
        let reading = pack.manifest.parameters.reading();
        let whole = reading.hops == 0 && reading.components.is_empty();
        let own = r#"resource.producer.country == "unknown" || resource.counted.countries.contains(resource.producer.country)"#;
        all.push(own.to_owned());
        if reading.lineage != Lineage::Producer && whole {
            all.push(
                "resource.counted.countries.containsAll(resource.weights_countries)".to_owned(),
            );
            all.push(
                "resource.counted.producers.containsAll(resource.weights_producers)".to_owned(),
            );
        }
        if reading.lineage != Lineage::Producer {
            all.push("!resource.counted.complete || resource.weights_complete".to_owned());
        }
        if reading.lineage == Lineage::WeightsAndTeachers {
            all.push(
                "resource.counted.countries.containsAll(resource.teacher_countries)".to_owned(),
            );
        }
    }
    let mut named = BTreeSet::new();
    let mut note = |expr: &Expr| {
        if let Expr::Literal(Literal::EntityUID(uid)) = expr {
            named.insert((uid.ty.0.id.as_str().to_owned(), uid.eid.as_str().to_owned()));
        }
    };
    for pack in packs {
        for rule in pack.rules.values() {
            for condition in &rule.conditions {
                walk(&condition.expr, &mut note);
            }
        }
    }
    let asked = parsed(condition);
    for expr in &asked {
        walk(expr, &mut note);
    }
    // Nobody's law reaches the prompt but that of a place or of whoever stands behind the host; said for
    // each text of the question, since Cedar has no union.
    let mut texts = BTreeSet::new();
    for expr in &asked {
        walk(expr, &mut |expr| {
            if let Expr::Literal(Literal::String(text)) = expr {
                texts.insert(text.to_string());
            }
        });
    }
    for text in texts {
        let text = crate::parameters::Setting::Text(text).cedar();
        all.push(format!(
            "!resource.jurisdictions.contains({text}) || resource.hosting_countries.contains({text}) || resource.hosting_parents.contains({text})"
        ));
    }
    for (kind, id) in named {
        // The hierarchy and the sets say the same.
        let set = match kind.as_str() {
            "Country" => "weights_countries",
            "Producer" => "weights_producers",
            _ => continue,
        };
        let id = crate::parameters::Setting::Text(id).cedar();
        all.push(format!(
            "(resource in {kind}::{id}) == resource.{set}.contains({id})"
        ));
        if kind == "Country" {
            all.push(format!(
                "(principal in {kind}::{id}) == (principal.country == {id})"
            ));
        }
    }
    all
}

/// What this registry knows of models and of hosts, as far as these rules and a property's condition
/// can tell them apart: for each of the two one condition, that a request is about one of them.
#[must_use]
pub fn known_here(decider: &Decider, condition: &str, day: Date) -> Vec<String> {
    let mut named = Named::of([decider, decider]);
    for expr in parsed(condition) {
        named.read(&expr);
    }
    let view = decider.view();
    let mut models = BTreeSet::new();
    let mut hosts = BTreeSet::new();
    let nobody = "a name that nobody knows";
    let ids: Vec<String> = view.models().map(ToString::to_string).collect();
    for id in ids.iter().map(String::as_str).chain([nobody]) {
        let resolution = query(view, id, None, day);
        let target = decider.target(spec(&[id.to_owned()], &[]), resolution, day);
        models.extend(named.conditions(&target, false));
    }
    let ids: Vec<String> = view.hosts().map(ToString::to_string).collect();
    for id in ids.iter().map(String::as_str).chain([nobody]) {
        let resolution = query(view, nobody, Some(id), day);
        let target = decider.target(
            spec(&[nobody.to_owned()], &[id.to_owned()]),
            resolution,
            day,
        );
        hosts.extend(named.conditions(&target, true));
    }
    [models, hosts]
        .into_iter()
        .filter(|classes| !classes.contains(""))
        .map(|classes| {
            let classes: Vec<String> = classes.iter().map(|class| format!("({class})")).collect();
            classes.join(" || ")
        })
        .filter(|text| !text.is_empty())
        .collect()
}

/// The parts of a condition; none when it cannot be read, which whoever asks has been told.
fn parsed(condition: &str) -> Vec<std::sync::Arc<Expr>> {
    let text = format!("permit (principal, action, resource) when {{ {condition} }};");
    let policy = Policy::parse(None, text).ok();
    let body = policy.and_then(|policy| policy.to_pst().ok());
    body.map_or_else(Vec::new, |body| {
        conditions(body.body())
            .into_iter()
            .map(|condition| condition.expr)
            .collect()
    })
}

/// Attributes that the host gives a target, and not the model.
pub(crate) fn is_of_host(path: &str) -> bool {
    matches!(
        path,
        "host"
            | "host_kind"
            | "host_operator"
            | "host_lists"
            | "router"
            | "hosting_countries"
            | "hosting_parents"
            | "jurisdictions"
            | "hosting_complete"
            | "subprocessor_countries"
            | "subprocessors_known"
            | "trains_on_prompts"
            | "egress"
            | "retention"
    )
}

/// Whether a read attribute says something that no registry knows.
pub(crate) fn is_of_neither(path: &str) -> bool {
    matches!(path, "upstream" | "overlay" | ANCESTRY)
}
