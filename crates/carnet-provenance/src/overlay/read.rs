//! Reads overlay files and checks that what they name exists.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use jiff::civil::Date;

use crate::claim::{Confidence, Evidence, Validity};
use crate::grammar;
use crate::ids::{HostId, ModelId, ProducerId, is_id};
use crate::overlay::{
    ABOUT_OTHERS, ABOUT_OWN, BasePatch, Deployment, HostPatch, ModelPatch, OPERATOR, Origin,
    Overlay, Patch, ProducerPatch, loosening,
};
use crate::problem::{Place, Problem};
use crate::reader::{Doc, Fields};
use crate::registry::entry::{Egress, HostKind, Relation, TaughtBy, Weights};
use crate::registry::{Edge, Registry, cycles};

/// How far ahead the end lies that is offered for an entry without one: a quarter of a year is a
/// usual time for looking at an exception again.
const UNTIL_OFFERED: SignedDuration = SignedDuration::from_hours(24 * 90);

/// Entries as they are written, with their places.
#[derive(Default)]
pub(super) struct Draft {
    deployments: Vec<Entry<Deployment>>,
    models: Vec<Entry<(ModelId, ModelPatch)>>,
    hosts: Vec<Entry<(HostId, HostPatch)>>,
    producers: Vec<Entry<(ProducerId, ProducerPatch)>>,
    named: Vec<Named>,
}

/// One entry.
struct Entry<T> {
    says: T,
    place: Place,
    reason: Option<String>,
    author: Option<String>,
    until: Option<Date>,
    confidence: Option<Confidence>,
}

/// Something that must exist.
enum Named {
    Country(String, Place),
    Model(String, Place),
    Producer(String, Place),
}

/// Read one file.
pub(super) fn file<'a>(draft: &mut Draft, doc: &'a Doc<'a>) {
    let Some(mut fields) = doc.fields() else {
        return;
    };
    for table in fields.tables("deployment") {
        let entry = deployment(table, &mut draft.named);
        draft.deployments.extend(entry);
    }
    for table in fields.tables("model") {
        let entry = model(table, &mut draft.named);
        draft.models.extend(entry);
    }
    for table in fields.tables("host") {
        let entry = host(table, &mut draft.named);
        draft.hosts.extend(entry);
    }
    for table in fields.tables("producer") {
        let entry = producer(table, &mut draft.named);
        draft.producers.extend(entry);
    }
    fields.finish();
}

fn close<T>(mut table: Fields<'_>, says: Option<T>) -> Option<Entry<T>> {
    let place = table.place();
    let (reason, author) = (table.text("reason"), table.text("author"));
    let until = table.date("until");
    let confidence = table.word("confidence", Confidence::ALL);
    table.finish();
    Some(Entry {
        says: says?,
        place,
        reason,
        author,
        until,
        confidence,
    })
}

fn deployment(mut table: Fields<'_>, named: &mut Vec<Named>) -> Option<Entry<Deployment>> {
    let id = table.need_text("id").map(|id| id.to_ascii_lowercase());
    let upstream = table.text("upstream");
    let model = table.need_text_at("model").map(|model| {
        named.push(Named::Model(model.value.clone(), model.place));
        ModelId::from(model.value.as_str())
    });
    let says = id.zip(model).map(|(id, model)| Deployment {
        id,
        upstream,
        model,
    });
    close(table, says)
}

fn id(table: &mut Fields<'_>) -> Option<String> {
    let id = table.need_text_at("id")?;
    if is_id(&id.value) {
        return Some(id.value);
    }
    let problem = id.place.problem(format!("`{}` cannot be an id", id.value));
    table.note(problem.help(
        "use a-z, 0-9, `.`, `-` and `_`; a name with other signs is mapped by [[deployment]]",
    ));
    None
}

fn country(
    table: &mut Fields<'_>,
    key: &'static str,
    named: &mut Vec<Named>,
) -> Option<crate::Country> {
    let (country, place) = table.country_at(key)?;
    named.push(Named::Country(country.to_string(), place));
    Some(country)
}

fn maker(table: &mut Fields<'_>, named: &mut Vec<Named>) -> Option<ProducerId> {
    let producer = table.text_at("producer")?;
    named.push(Named::Producer(producer.value.clone(), producer.place));
    Some(producer.value.as_str().into())
}

fn model(mut table: Fields<'_>, named: &mut Vec<Named>) -> Option<Entry<(ModelId, ModelPatch)>> {
    let id = id(&mut table);
    let patch = ModelPatch {
        name: table.text("name"),
        producer: maker(&mut table, named),
        weights: table.word("weights", Weights::ALL),
        licence: table.text("licence"),
        base_models: table.has("base_models").then(|| bases(&mut table, named)),
        complete: table.flag("complete"),
        teachers: table.has("teachers").then(|| teachers(&mut table, named)),
        teachers_complete: table.flag("teachers_complete"),
    };
    close(table, id.map(|id| (id.as_str().into(), patch)))
}

fn bases(table: &mut Fields<'_>, named: &mut Vec<Named>) -> Vec<BasePatch> {
    let mut found = Vec::new();
    for mut base in table.tables("base_models") {
        let model = base.need_text_at("model");
        let relation = base.need_word("relation", Relation::ALL);
        let component = base
            .text("component")
            .unwrap_or_else(|| "weights".to_owned());
        base.finish();
        let (Some(model), Some(relation)) = (model, relation) else {
            continue;
        };
        found.push(BasePatch {
            model: model.value.as_str().into(),
            relation,
            component,
        });
        named.push(Named::Model(model.value, model.place));
    }
    found
}

fn teachers(table: &mut Fields<'_>, named: &mut Vec<Named>) -> Vec<TaughtBy> {
    let mut found = Vec::new();
    for mut teacher in table.tables("teachers") {
        match (teacher.text_at("model"), teacher.text_at("producer")) {
            (Some(model), None) => {
                found.push(TaughtBy::Model(model.value.as_str().into()));
                named.push(Named::Model(model.value, model.place));
            }
            (None, Some(producer)) => {
                found.push(TaughtBy::Producer(producer.value.as_str().into()));
                named.push(Named::Producer(producer.value, producer.place));
            }
            _ => teacher.note(
                teacher
                    .place()
                    .problem("a teacher must name either a model or a producer"),
            ),
        }
        teacher.finish();
    }
    found
}

fn host(mut table: Fields<'_>, named: &mut Vec<Named>) -> Option<Entry<(HostId, HostPatch)>> {
    let id = id(&mut table);
    let patch = HostPatch {
        kind: table.word("kind", HostKind::ALL),
        operator: table.text("operator"),
        country: country(&mut table, "country", named),
        parent_country: country(&mut table, "parent_country", named),
        platform: table
            .text("platform")
            .map(|platform| grammar::platform_name(&platform)),
        regions: table.has("regions").then(|| regions(&mut table, named)),
        complete: table.flag("complete"),
        egress: table.word("egress", Egress::ALL),
        retention: table.text("retention"),
    };
    close(table, id.map(|id| (id.as_str().into(), patch)))
}

fn regions(table: &mut Fields<'_>, named: &mut Vec<Named>) -> Vec<(String, crate::Country)> {
    let mut found = Vec::new();
    for mut region in table.tables("regions") {
        let id = region.need_text("id");
        if !region.has("country") {
            region.need_text("country");
        }
        let country = country(&mut region, "country", named);
        region.finish();
        found.extend(id.zip(country));
    }
    found
}

fn producer(
    mut table: Fields<'_>,
    named: &mut Vec<Named>,
) -> Option<Entry<(ProducerId, ProducerPatch)>> {
    let id = id(&mut table);
    let patch = ProducerPatch {
        name: table.text("name"),
        country: country(&mut table, "country", named),
    };
    close(table, id.map(|id| (id.as_str().into(), patch)))
}

impl Draft {
    /// What is named but does not exist, and circles of the lineage.
    pub(super) fn check(&self, registry: &Registry) -> Vec<Problem> {
        let models: BTreeSet<&str> = self
            .models
            .iter()
            .map(|entry| entry.says.0.as_str())
            .collect();
        let producers: BTreeSet<&str> = self
            .producers
            .iter()
            .map(|entry| entry.says.0.as_str())
            .collect();
        let no_countries = registry.jurisdictions().next().is_none();
        let mut problems = Vec::new();
        for named in &self.named {
            let (exists, what, id, place) = match named {
                Named::Country(code, place) => {
                    let known = registry
                        .jurisdictions()
                        .any(|country| country.code.as_str() == code);
                    (no_countries || known, "country", code, place)
                }
                Named::Model(id, place) => (
                    registry.model(id).is_some() || models.contains(id.as_str()),
                    "model",
                    id,
                    place,
                ),
                Named::Producer(id, place) => (
                    registry.producer(id).is_some() || producers.contains(id.as_str()),
                    "producer",
                    id,
                    place,
                ),
            };
            if !exists {
                let help = format!("mend it, or describe it in the overlay as [[{what}]]");
                problems.push(
                    place
                        .problem(format!("there is no {what} `{id}`"))
                        .help(help),
                );
            }
        }
        problems.extend(cycles(&self.edges(registry)));
        problems
    }

    /// Every step of every line. The registry's steps stay beside the operator's: they stand again
    /// when an entry ends.
    fn edges(&self, registry: &Registry) -> Vec<Edge> {
        let Some(first) = self.models.first() else {
            return Vec::new();
        };
        let mut edges = Vec::new();
        for model in registry.models() {
            for base in &model.base_models {
                edges.push(Edge::new(
                    model.id.as_str(),
                    base.model.as_str(),
                    &first.place,
                ));
            }
        }
        for entry in &self.models {
            let (id, patch) = &entry.says;
            for base in patch.base_models.iter().flatten() {
                edges.push(Edge::new(id.as_str(), base.model.as_str(), &entry.place));
            }
        }
        edges
    }

    /// Turn entries into patches; what loosens without saying why is a mistake.
    pub(super) fn finish(
        self,
        registry: &Registry,
        today: Date,
        problems: &mut Vec<Problem>,
    ) -> Overlay {
        let mut overlay = Overlay::default();
        for entry in self.deployments {
            let says = &entry.says;
            let twice = overlay
                .deployments
                .iter()
                .any(|other| other.says.id == says.id && other.says.upstream == says.upstream);
            if twice {
                problems.push(
                    entry
                        .place
                        .problem(format!("the deployment `{}` is given twice", says.id)),
                );
            }
            let why = loosening::deployment(says, registry);
            let what = format!("the deployment `{}`", says.id);
            overlay
                .deployments
                .push(entry.patch(&what, why, ABOUT_OWN, today, problems));
        }
        for entry in self.producers {
            let (id, patch) = &entry.says;
            let why = loosening::producer(patch, registry.producer(id.as_str()), today);
            keep(
                &mut overlay.producers,
                entry,
                "producer",
                why,
                ABOUT_OTHERS,
                today,
                problems,
            );
        }
        for entry in self.models {
            let (id, patch) = &entry.says;
            problems.extend(
                loosening::taken(id, registry)
                    .map(|problem| entry.place.problem(problem.0).help(problem.1)),
            );
            let why = loosening::model(patch, registry.model(id.as_str()), today);
            keep(
                &mut overlay.models,
                entry,
                "model",
                why,
                ABOUT_OTHERS,
                today,
                problems,
            );
        }
        for entry in self.hosts {
            let (id, patch) = &entry.says;
            let known = registry.host(id.as_str());
            problems.extend(
                loosening::unfounded(patch, known)
                    .map(|problem| entry.place.problem(problem.0).help(problem.1)),
            );
            let why = loosening::host(patch, known, today);
            keep(
                &mut overlay.hosts,
                entry,
                "host",
                why,
                ABOUT_OWN,
                today,
                problems,
            );
        }
        overlay
    }
}

fn keep<K: Ord + std::fmt::Display, T>(
    map: &mut BTreeMap<K, Patch<T>>,
    entry: Entry<(K, T)>,
    what: &str,
    why: Vec<&'static str>,
    confidence: Confidence,
    today: Date,
    problems: &mut Vec<Problem>,
) {
    let Entry {
        says: (id, says),
        place,
        reason,
        author,
        until,
        confidence: own,
    } = entry;
    let name = format!("the {what} `{id}`");
    let entry = Entry {
        says,
        place: place.clone(),
        reason,
        author,
        until,
        confidence: own,
    };
    let patch = entry.patch(&name, why, confidence, today, problems);
    if map.insert(id, patch).is_some() {
        problems.push(
            place
                .problem(format!("{name} is given twice"))
                .help("put all of it into one entry"),
        );
    }
}

impl<T> Entry<T> {
    fn patch(
        self,
        what: &str,
        why: Vec<&'static str>,
        confidence: Confidence,
        today: Date,
        problems: &mut Vec<Problem>,
    ) -> Patch<T> {
        let loosening = !why.is_empty();
        if loosening && (self.reason.is_none() || self.author.is_none() || self.until.is_none()) {
            problems.push(self.unexplained(what, &why, today));
        }
        let evidence = Evidence {
            source: OPERATOR.to_owned(),
            date: None,
            confidence: self.confidence.unwrap_or(confidence),
        };
        // `until` is the last day; a validity ends on the first day after it.
        let to = self.until.map(|until| until.tomorrow().unwrap_or(until));
        let origin = Origin::Operator {
            reason: self.reason,
            author: self.author,
            until: self.until,
            loosening,
        };
        Patch {
            says: self.says,
            origin,
            evidence,
            valid: Validity { from: None, to },
        }
    }

    fn unexplained(&self, what: &str, why: &[&'static str], today: Date) -> Problem {
        let message = format!(
            "{what} loosens: it {}; it must say why, who wrote it and when it ends",
            why.join(", ")
        );
        let until = today.checked_add(UNTIL_OFFERED).unwrap_or(today);
        let lines = [
            (self.reason.is_none(), "reason = \"…\"".to_owned()),
            (self.author.is_none(), "author = \"…\"".to_owned()),
            (self.until.is_none(), format!("until = \"{until}\"")),
        ];
        let lines: Vec<String> = lines
            .into_iter()
            .filter(|(missing, _)| *missing)
            .map(|(_, line)| line)
            .collect();
        self.place
            .problem(message)
            .help(format!("add to this entry:\n{}", lines.join("\n")))
    }
}
