//! Reads `models/*.toml` and `aliases/*.toml`.

use crate::ids::{ModelId, ProducerId};
use crate::reader::{Doc, Fields};
use crate::registry::entry::{
    Alias, AliasTarget, BaseModel, Dispute, LineageStatus, Model, MovingAlias, NameFamily,
    Publisher, Relation, TaughtBy, Teacher, Weights,
};
use crate::registry::links::{Edge, Kind, Links, Name};
use crate::{claim::Dated, grammar};

/// Read one model.
pub(crate) fn model<'a>(doc: &'a Doc<'a>, id: &str, links: &mut Links) -> Option<Model> {
    let mut fields = doc.fields()?;
    let name = fields.need_text("name");
    if !fields.has("weights") {
        let problem = fields.place().problem("`weights` is missing");
        fields.note(
            problem.help("add `weights = { value = \"open\" | \"closed\" | \"unknown\", … }`"),
        );
    }
    let model = Model {
        id: id.into(),
        name: name.unwrap_or_default(),
        producer: fields.claims("producer", |claim| producer(claim, links)),
        publisher: fields.claims("publisher", |claim| publisher(claim, links)),
        joint: fields.claim_list("joint", |claim| producer(claim, links)),
        weights: fields.claims("weights", |claim| claim.need_word("value", Weights::ALL)),
        licence: fields.claims("licence", |claim| claim.need_text("value")),
        family: fields
            .text("family")
            .map(|family| family.to_ascii_lowercase()),
        lineage_status: fields.claims("lineage_status", |claim| {
            claim.need_word("value", LineageStatus::ALL)
        }),
        base_models: base_models(&mut fields, id, links),
        teachers: teachers(&mut fields, links),
        teachers_complete: fields.claims("teachers_complete", |claim| claim.flag("value")),
        aliases: aliases(&mut fields, &format!("models/{id}"), links),
        names: names(&mut fields),
        disputes: disputes(&mut fields),
    };
    for message in misfits(&model) {
        let help = "name the base, or choose the status that fits (`undisclosed` when the maker names none)";
        fields.note(fields.place().problem(message).help(help));
    }
    fields.finish();
    Some(model)
}

/// Read one moving alias.
pub(crate) fn moving<'a>(doc: &'a Doc<'a>, id: &str, links: &mut Links) -> Option<MovingAlias> {
    let mut fields = doc.fields()?;
    let name = fields.text("name").unwrap_or_else(|| id.to_owned());
    let aliases = aliases(&mut fields, &format!("aliases/{id}"), links);
    let mut targets = Vec::new();
    for mut table in fields.tables("target") {
        let model = table.need_text_at("model");
        let evidence = table.evidence();
        let valid = table.validity();
        let note = table.text("note");
        table.finish();
        let (Some(model), Some(evidence)) = (model, evidence) else {
            continue;
        };
        links.add(Kind::Model, &model.value, model.place);
        targets.push(AliasTarget {
            model: model.value.as_str().into(),
            valid,
            evidence,
            note,
        });
    }
    for (list, key) in [
        (aliases.is_empty(), "alias"),
        (targets.is_empty(), "target"),
    ] {
        if list {
            fields.note(
                doc.start()
                    .problem(format!("a moving alias without any [[{key}]]")),
            );
        }
    }
    fields.finish();
    Some(MovingAlias {
        id: id.to_owned(),
        name,
        aliases,
        targets,
    })
}

fn producer(claim: &mut Fields<'_>, links: &mut Links) -> Option<ProducerId> {
    let id = claim.need_text_at("value")?;
    links.add(Kind::Producer, &id.value, id.place);
    Some(id.value.as_str().into())
}

fn publisher(claim: &mut Fields<'_>, links: &mut Links) -> Option<Publisher> {
    let name = claim.need_text("value");
    let country = claim.country_at("country");
    if let Some((country, place)) = &country {
        links.add(Kind::Country, country.as_str(), place.clone());
    }
    Some(Publisher {
        name: name?,
        country: country.map(|(country, _)| country),
    })
}

fn base_models(fields: &mut Fields<'_>, id: &str, links: &mut Links) -> Vec<BaseModel> {
    let mut found = Vec::new();
    for mut table in fields.tables("base_model") {
        let model = table.need_text_at("model");
        let relation = table.need_word("relation", Relation::ALL);
        let component = table
            .text("component")
            .unwrap_or_else(|| "weights".to_owned());
        let evidence = table.evidence();
        let valid = table.validity();
        table.finish();
        let (Some(model), Some(relation), Some(evidence)) = (model, relation, evidence) else {
            continue;
        };
        links.add(Kind::Model, &model.value, model.place.clone());
        links.edges.push(Edge {
            child: id.to_owned(),
            base: model.value.clone(),
            place: model.place,
        });
        found.push(BaseModel {
            model: model.value.as_str().into(),
            relation,
            component,
            evidence,
            valid,
        });
    }
    found
}

fn teachers(fields: &mut Fields<'_>, links: &mut Links) -> Vec<Teacher> {
    let mut found = Vec::new();
    for mut table in fields.tables("teacher") {
        let place = table.place();
        let model = table.text_at("model");
        let producer = table.text_at("producer");
        let evidence = table.evidence();
        let valid = table.validity();
        let taught_by = match (model, producer) {
            (Some(model), None) => {
                links.add(Kind::Model, &model.value, model.place);
                Some(TaughtBy::Model(ModelId::from(model.value.as_str())))
            }
            (None, Some(producer)) => {
                links.add(Kind::Producer, &producer.value, producer.place);
                Some(TaughtBy::Producer(ProducerId::from(
                    producer.value.as_str(),
                )))
            }
            _ => {
                let problem = place.problem("a teacher must name either a model or a producer");
                table.note(problem.help("keep one of `model` and `producer`"));
                None
            }
        };
        table.finish();
        let (Some(taught_by), Some(evidence)) = (taught_by, evidence) else {
            continue;
        };
        found.push(Teacher {
            taught_by,
            evidence,
            valid,
        });
    }
    found
}

fn aliases(fields: &mut Fields<'_>, owner: &str, links: &mut Links) -> Vec<Alias> {
    let mut found = Vec::new();
    for mut table in fields.tables("alias") {
        let platform = table.need_text("platform");
        let id = table.need_text_at("id");
        let valid = table.validity();
        let evidence = table.some_evidence();
        table.finish();
        let (Some(platform), Some(id)) = (platform, id) else {
            continue;
        };
        let platform = grammar::platform_name(&platform);
        if platform == grammar::DIGEST && !grammar::is_digest(&id.value) {
            fields.note(id.place.problem(NO_DIGEST));
        }
        links.names.push(Name {
            platform: platform.clone(),
            id: id.value.to_ascii_lowercase(),
            owner: owner.to_owned(),
            valid,
            place: id.place,
        });
        found.push(Alias {
            platform,
            id: id.value,
            valid,
            evidence,
        });
    }
    found
}

fn names(fields: &mut Fields<'_>) -> Vec<NameFamily> {
    let mut found = Vec::new();
    for mut table in fields.tables("names") {
        let stem = table.need_text("stem");
        let (sizes, words) = (table.texts("sizes"), table.texts("words"));
        table.finish();
        if let Some(stem) = stem {
            found.push(NameFamily { stem, sizes, words });
        }
    }
    found
}

fn disputes(fields: &mut Fields<'_>) -> Vec<Dispute> {
    let mut found = Vec::new();
    for mut table in fields.tables("dispute") {
        let (text, by, source) = (
            table.need_text("text"),
            table.need_text("by"),
            table.need_text("source"),
        );
        let date = table.need_date("date");
        let (answer, answer_source) = (table.text("answer"), table.text("answer_source"));
        table.finish();
        if let (Some(text), Some(by), Some(source)) = (text, by, source) {
            found.push(Dispute {
                text,
                by,
                source,
                date,
                answer,
                answer_source,
            });
        }
    }
    found
}

/// What a name on the platform of digests must be.
pub(crate) const NO_DIGEST: &str = "a digest is `sha256:` and 64 digits of 0-9 and a-f";

/// A status and the ancestors listed must not contradict each other.
pub(crate) fn misfits(model: &Model) -> Vec<String> {
    let Dated(statuses) = &model.lineage_status;
    let mut found = Vec::new();
    for status in statuses.iter().map(|claim| claim.value) {
        if status == LineageStatus::Derived && model.base_models.is_empty() {
            found.push("the lineage is `derived` but no [[base_model]] is named".to_owned());
        } else if status != LineageStatus::Derived
            && statuses.len() == 1
            && model
                .base_models
                .iter()
                .any(|base| base.relation != Relation::Component)
        {
            found.push(format!(
                "the lineage is `{status}` but a [[base_model]] is named"
            ));
        }
    }
    found
}
