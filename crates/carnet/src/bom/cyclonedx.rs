//! CycloneDX 1.6, as an ML-BOM: one component a model, its ancestors as pedigree.

use carnet_provenance::{Ancestor, Country, Party};
use serde_json::{Map, Value, json};

use super::licence::{self, Licence};
use super::{Entry, Inventory, joined, timestamp, uuid};

/// The document, with a serial number that follows from its content.
pub(crate) fn write(inventory: &Inventory) -> String {
    let mut document = document(inventory);
    let serial = format!("urn:uuid:{}", uuid(&document.to_string()));
    if let Value::Object(fields) = &mut document {
        fields.insert("serialNumber".to_owned(), serial.into());
    }
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

fn document(inventory: &Inventory) -> Value {
    let entries = &inventory.entries;
    let complete = |whole: bool| -> Vec<&str> {
        let of = entries
            .iter()
            .filter(|entry| entry.resolution.weights_complete == whole);
        of.map(|entry| entry.reference.as_str()).collect()
    };
    let compositions: Vec<Value> = [
        ("complete", complete(true)),
        ("incomplete", complete(false)),
    ]
    .into_iter()
    .filter(|(_, references)| !references.is_empty())
    .map(|(aggregate, references)| json!({ "aggregate": aggregate, "assemblies": references }))
    .collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": timestamp(inventory.day),
            "tools": { "components": [{
                "type": "application",
                "name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
            }] },
            "component": {
                "type": "application",
                "bom-ref": "carnet:models",
                "name": "models behind Carnet",
            },
            "properties": properties(&[("registry", inventory.registry.clone())]),
        },
        "components": entries.iter().map(component).collect::<Vec<_>>(),
        "dependencies": [{
            "ref": "carnet:models",
            "dependsOn": entries.iter().map(|entry| &entry.reference).collect::<Vec<_>>(),
        }],
        "compositions": compositions,
    })
}

fn component(entry: &Entry) -> Value {
    let known = &entry.resolution;
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
    put("type", "machine-learning-model".into());
    put("bom-ref", entry.reference.as_str().into());
    put("name", entry.title().into());
    let fact = entry.known();
    if let Some(producer) = fact.and_then(|known| known.producer.as_ref()) {
        put("manufacturer", organisation(producer));
    }
    if let Some(hosting) = &known.hosting
        && let Some(operator) = &hosting.operator
    {
        put("supplier", named(operator, hosting.country));
    }
    if let Some(publisher) = fact.and_then(|known| known.publisher.as_ref()) {
        put("publisher", publisher.name.as_str().into());
    }
    if let Some(licence) = fact.and_then(|known| known.licence.as_deref()) {
        put("licenses", json!([licence_choice(licence)]));
    }
    match entry.files.as_slice() {
        [] => {}
        [file] if !entry.folder => put("hashes", hashes(&file.sha256)),
        files => {
            let files = files.iter().map(|file| {
                json!({
                    "type": "file",
                    "bom-ref": format!("{}#{}", entry.reference, file.name),
                    "name": file.name,
                    "hashes": hashes(&file.sha256),
                })
            });
            put("components", files.collect());
        }
    }
    if !entry.lineage().is_empty() {
        let ancestors: Vec<Value> = entry.lineage().iter().map(ancestor).collect();
        put("pedigree", json!({ "ancestors": ancestors }));
    }
    put("modelCard", model_card(entry));
    put("properties", own_properties(entry));
    Value::Object(out)
}

fn hashes(sha256: &str) -> Value {
    json!([{ "alg": "SHA-256", "content": sha256 }])
}

fn organisation(party: &Party) -> Value {
    named(&party.name, party.country)
}

fn named(name: &str, country: Option<Country>) -> Value {
    match country {
        Some(country) => json!({ "name": name, "address": { "country": country } }),
        None => json!({ "name": name }),
    }
}

fn licence_choice(name: &str) -> Value {
    match licence::of(name) {
        Licence::Expression(expression) => json!({ "expression": expression }),
        Licence::Id(id) => json!({ "license": { "id": id } }),
        Licence::Name(name) => json!({ "license": { "name": name } }),
    }
}

fn ancestor(one: &Ancestor) -> Value {
    let mut out = Map::new();
    out.insert("type".to_owned(), "machine-learning-model".into());
    out.insert("name".to_owned(), one.model.as_str().into());
    if let Some(producer) = &one.producer {
        out.insert("manufacturer".to_owned(), named(producer, one.country));
    }
    let told = [
        ("hop", one.hop.to_string()),
        ("child", one.child.to_string()),
        ("relation", one.relation.to_string()),
        ("component", one.component.clone()),
        ("country", or_unknown(one.country)),
        ("confidence", one.confidence.to_string()),
        ("source", one.source.clone()),
        ("as_of", or_unknown(one.as_of)),
    ];
    out.insert("properties".to_owned(), properties(&told));
    Value::Object(out)
}

/// What the fields of components have no place for, said in the card: what is not known, and who taught.
fn model_card(entry: &Entry) -> Value {
    let known = &entry.resolution;
    let limits: Vec<String> = entry
        .gaps()
        .into_iter()
        .map(|gap| format!("other origins of the weights cannot be excluded: {gap}"))
        .collect();
    let mut told = vec![("lineage_status", known.lineage_status.to_string())];
    for teacher in &known.teachers {
        let country = or_unknown(teacher.country);
        let text = format!(
            "{teacher} ({country}) · {} · {}",
            teacher.confidence, teacher.source
        );
        told.push(("teachers", text));
    }
    if !known.teacher_countries.is_empty() {
        told.push(("teacher_countries", joined(&known.teacher_countries)));
    }
    told.push(("teachers_complete", known.teachers_complete.to_string()));
    let mut card = Map::new();
    card.insert("properties".to_owned(), properties(&told));
    if !limits.is_empty() {
        card.insert(
            "considerations".to_owned(),
            json!({ "technicalLimitations": limits }),
        );
    }
    Value::Object(card)
}

fn own_properties(entry: &Entry) -> Value {
    let known = &entry.resolution;
    let producer = entry.known().and_then(|known| known.producer.as_ref());
    let mut told = vec![
        ("asked", entry.name.clone()),
        ("identified", entry.identified().to_string()),
        (
            "country",
            or_unknown(producer.and_then(|party| party.country)),
        ),
        ("source", or_unknown(producer.map(|party| &party.source))),
        ("confidence", known.confidence.to_string()),
        ("weights", known.weights.to_string()),
        ("weights_countries", joined(&known.weights_countries)),
        ("weights_complete", known.weights_complete.to_string()),
    ];
    if let Some(offer) = &entry.offer {
        told.push(("upstream", offer.upstream.clone()));
        told.push(("upstream_model", offer.name.clone()));
    }
    for candidate in entry.candidates() {
        told.push(("candidate", candidate.to_owned()));
    }
    if let Some(hosting) = &known.hosting {
        told.push(("host", hosting.host.to_string()));
        told.push(("jurisdictions", joined(&hosting.jurisdictions)));
        told.push(("hosting_complete", hosting.complete.to_string()));
    }
    for dispute in &known.disputed {
        told.push(("disputed", dispute.to_string()));
    }
    properties(&told)
}

fn properties(told: &[(&str, String)]) -> Value {
    let one = |(name, value): &(&str, String)| {
        let name = format!("{}:{name}", env!("CARGO_PKG_NAME"));
        json!({ "name": name, "value": value })
    };
    told.iter().map(one).collect()
}

fn or_unknown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| value.to_string())
}
