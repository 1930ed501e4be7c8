//! Reads overlay files, entry by entry.

use std::collections::BTreeSet;

use crate::claim::Confidence;
use crate::country::Country;
use crate::grammar;
use crate::ids::{HostId, ModelId, ProducerId, is_id};
use crate::overlay::draft::{Draft, Entry, Named};
use crate::overlay::{BasePatch, Deployment, HostPatch, ModelPatch, ProducerPatch};
use crate::reader::{Doc, Fields};
use crate::registry::entry::{Egress, HostKind, Relation, TaughtBy, Weights};

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

fn country(table: &mut Fields<'_>, key: &'static str, named: &mut Vec<Named>) -> Option<Country> {
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
        documents: table.has("documents").then(|| documents(&mut table)),
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

/// Kinds of documents. They have the form of ids, so that rules and facts can list them plainly.
fn documents(table: &mut Fields<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in table.texts_at("documents") {
        if is_id(&text.value) {
            found.insert(text.value);
        } else {
            let problem = text
                .place
                .problem(format!("`{}` cannot name a kind of document", text.value));
            table.note(problem.help("use a-z, 0-9, `.`, `-` and `_`, as in `training-summary`"));
        }
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
        trains_on_prompts: table.flag("trains_on_prompts"),
    };
    close(table, id.map(|id| (id.as_str().into(), patch)))
}

fn regions(table: &mut Fields<'_>, named: &mut Vec<Named>) -> Vec<(String, Country)> {
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
