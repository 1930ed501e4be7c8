//! SPDX 3.0.1 as JSON-LD, with models as packages of the AI profile.

use std::collections::BTreeMap;

use carnet_provenance::{Ancestor, Country};
use serde_json::{Map, Value, json};

use super::licence::{self, Licence};
use super::{Entry, Inventory, joined, timestamp, uuid};

/// The element that stands for a licence nobody has told.
const NO_ASSERTION: &str = "https://spdx.org/rdf/3.0.1/terms/ExpandedLicensing/NoAssertionLicense";
/// The one creation that all elements share.
const CREATION: &str = "_:creation";

/// The document, under a name that follows from its content.
pub(crate) fn write(inventory: &Inventory) -> String {
    let content = Graph::of(inventory, "urn:uuid:00000000-0000-0000-0000-000000000000").document();
    let space = format!("urn:uuid:{}", uuid(&content.to_string()));
    let document = Graph::of(inventory, &space).document();
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

/// Elements in the making.
struct Graph<'i> {
    space: &'i str,
    created: Value,
    /// Every element but document and bill.
    elements: Vec<Value>,
    models: Vec<String>,
    /// Ids of elements that several models share, by kind and key.
    shared: BTreeMap<(&'static str, String), String>,
    counts: BTreeMap<&'static str, usize>,
}

impl<'i> Graph<'i> {
    fn of(inventory: &'i Inventory, space: &'i str) -> Self {
        let mut graph = Self {
            space,
            created: Value::Null,
            elements: Vec::new(),
            models: Vec::new(),
            shared: BTreeMap::new(),
            counts: BTreeMap::new(),
        };
        let agent = graph.element(
            "SoftwareAgent",
            "agent",
            json!({ "name": env!("CARGO_PKG_NAME") }),
        );
        let version = env!("CARGO_PKG_VERSION");
        let tool = format!("{} {version}", env!("CARGO_PKG_NAME"));
        let tool = graph.element("Tool", "tool", json!({ "name": tool }));
        graph.created = json!({
            "type": "CreationInfo",
            "@id": CREATION,
            "created": timestamp(inventory.day),
            "createdBy": [agent],
            "createdUsing": [tool],
            "specVersion": "3.0.1",
            "comment": format!("facts of {} {}", env!("CARGO_PKG_NAME"), inventory.registry),
        });
        for entry in &inventory.entries {
            graph.model(entry);
        }
        graph
    }

    fn document(mut self) -> Value {
        let all: Vec<Value> = self
            .elements
            .iter()
            .filter_map(|element| element.get("spdxId").cloned())
            .collect();
        let models = std::mem::take(&mut self.models);
        // Not `ai`: that profile wants a release date, a version and a download location of every
        // model, and an invented one would be worse than none.
        let conforms = json!(["core", "software", "simpleLicensing"]);
        let mut bill = json!({
            "name": "models behind Carnet",
            "profileConformance": conforms,
            "software_sbomType": ["deployed"],
            "element": all,
        });
        let mut document = json!({
            "name": "models behind Carnet",
            "profileConformance": conforms,
        });
        // With no model at all there is no root either.
        if let (Value::Object(fields), false) = (&mut bill, models.is_empty()) {
            fields.insert("rootElement".to_owned(), json!(models));
        }
        let bill = self.element("software_Sbom", "bill", bill);
        if let Value::Object(fields) = &mut document {
            fields.insert("rootElement".to_owned(), json!([bill]));
            let mut all = all;
            all.push(bill.into());
            fields.insert("element".to_owned(), Value::Array(all));
        }
        self.element("SpdxDocument", "document", document);
        let mut graph = vec![self.created];
        graph.append(&mut self.elements);
        json!({
            "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
            "@graph": graph,
        })
    }

    /// Adds an element and gives its id.
    fn element(&mut self, kind: &str, word: &'static str, fields: Value) -> String {
        let count = self.counts.entry(word).or_default();
        *count = count.saturating_add(1);
        let id = format!("{}#{word}-{count}", self.space);
        let mut element = Map::new();
        element.insert("type".to_owned(), kind.into());
        element.insert("spdxId".to_owned(), id.as_str().into());
        element.insert("creationInfo".to_owned(), CREATION.into());
        if let Value::Object(fields) = fields {
            element.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
        }
        self.elements.push(Value::Object(element));
        id
    }

    /// An element that is there once for each key.
    fn once(&mut self, kind: &str, word: &'static str, key: &str, fields: Value) -> String {
        let key = (word, key.to_owned());
        if let Some(id) = self.shared.get(&key) {
            return id.clone();
        }
        let id = self.element(kind, word, fields);
        self.shared.insert(key, id.clone());
        id
    }

    fn organisation(&mut self, name: &str, country: Option<Country>) -> String {
        let country = country.map(|country| format!("country: {country}"));
        let key = format!("{name}\n{country:?}");
        let fields = json!({ "name": name, "comment": country });
        self.once("Organization", "organization", &key, fields)
    }

    fn relationship(&mut self, from: &str, kind: &str, to: Vec<String>, fields: Value) {
        let mut all = json!({ "from": from, "relationshipType": kind, "to": to });
        if let (Value::Object(all), Value::Object(fields)) = (&mut all, fields) {
            all.extend(fields);
        }
        self.element("Relationship", "relationship", all);
    }

    fn model(&mut self, entry: &Entry) {
        let known = &entry.resolution;
        let fact = entry.known();
        let maker = fact.and_then(|known| known.producer.as_ref());
        let maker = maker.map(|party| self.organisation(&party.name, party.country));
        let operator = known.hosting.as_ref().and_then(|hosting| {
            Some(self.organisation(hosting.operator.as_deref()?, hosting.country))
        });
        let digest = match entry.files.as_slice() {
            [file] if !entry.folder => Some(json!([hash(&file.sha256)])),
            _ => None,
        };
        let package = json!({
            "name": entry.title(),
            "summary": format!("asked for as {}", entry.reference),
            "software_primaryPurpose": "model",
            "originatedBy": maker.map(|maker| vec![maker]),
            "suppliedBy": operator,
            "verifiedUsing": digest,
            "ai_informationAboutTraining": training(entry),
        });
        let model = self.element("ai_AIPackage", "model", package);
        self.models.push(model.clone());
        if entry.folder && !entry.files.is_empty() {
            let files: Vec<String> = entry
                .files
                .iter()
                .map(|file| {
                    let fields = json!({
                        "name": file.name,
                        "software_primaryPurpose": "file",
                        "verifiedUsing": [hash(&file.sha256)],
                    });
                    self.element("software_File", "file", fields)
                })
                .collect();
            self.relationship(
                &model,
                "contains",
                files,
                json!({ "completeness": "complete" }),
            );
        }
        self.licences(&model, fact.and_then(|known| known.licence.as_deref()));
        self.line(&model, entry);
        self.element(
            "Annotation",
            "annotation",
            json!({
                "annotationType": "other",
                "subject": model,
                "contentType": "application/json",
                "statement": facts(entry).to_string(),
            }),
        );
    }

    /// The licence that is told, and that none was concluded.
    fn licences(&mut self, model: &str, name: Option<&str>) {
        let declared = match name.map(licence::of) {
            None => NO_ASSERTION.to_owned(),
            Some(Licence::Id(id)) => self.expression(id),
            Some(Licence::Expression(expression)) => self.expression(&expression),
            Some(Licence::Name(name)) => self.own_licence(&name),
        };
        let nothing = || json!({});
        self.relationship(model, "hasDeclaredLicense", vec![declared], nothing());
        let none = vec![NO_ASSERTION.to_owned()];
        self.relationship(model, "hasConcludedLicense", none, nothing());
    }

    fn expression(&mut self, expression: &str) -> String {
        self.once(
            "simplelicensing_LicenseExpression",
            "license",
            expression,
            json!({ "simplelicensing_licenseExpression": expression }),
        )
    }

    /// A licence that the SPDX list does not have: its name, under a reference of our own.
    fn own_licence(&mut self, name: &str) -> String {
        let text = self.once(
            "simplelicensing_SimpleLicensingText",
            "license-text",
            name,
            json!({ "name": name, "simplelicensing_licenseText": name }),
        );
        let slug: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        let reference = format!("LicenseRef-{slug}");
        let custom = json!([{ "type": "DictionaryEntry", "key": reference, "value": text }]);
        self.once(
            "simplelicensing_LicenseExpression",
            "license",
            name,
            json!({
                "simplelicensing_licenseExpression": reference,
                "simplelicensing_customIdToUri": custom,
            }),
        )
    }

    /// Each step up the line: a model, or an ancestor, with all that it comes from.
    fn line(&mut self, model: &str, entry: &Entry) {
        let mut steps: BTreeMap<(u8, Option<&str>), Vec<&Ancestor>> = BTreeMap::new();
        for one in entry.lineage() {
            self.node(one);
            let child = (one.hop > 1).then_some(one.child.as_str());
            steps.entry((one.hop, child)).or_default().push(one);
        }
        for ((_, child), parents) in steps {
            let (from, completeness) = match child {
                // The nearest come from this model, of which is known whether they are all.
                None => {
                    let whole = entry.resolution.weights_complete;
                    let completeness = match (whole, entry.resolution.candidates.len()) {
                        (true, 0 | 1) => "complete",
                        // Each of several candidates comes from some of them.
                        (true, _) => "noAssertion",
                        (false, _) => "incomplete",
                    };
                    (model.to_owned(), Some(completeness))
                }
                Some(child) => {
                    let told = ("line", child.to_owned());
                    let node = self.shared.get(&("ancestor", child.to_owned())).cloned();
                    let (Some(node), None) = (node, self.shared.insert(told, String::new())) else {
                        continue;
                    };
                    (node, None)
                }
            };
            let comments = parents.iter().map(|one| {
                let Ancestor {
                    relation,
                    model,
                    component,
                    confidence,
                    source,
                    ..
                } = one;
                format!("{relation} of {model} · {component} · {confidence} · {source}")
            });
            let comment = comments.collect::<Vec<_>>().join("\n");
            let mut to: Vec<String> = parents.iter().map(|one| self.node(one)).collect();
            to.sort();
            to.dedup();
            let mut fields = json!({ "comment": comment });
            if let (Value::Object(fields), Some(completeness)) = (&mut fields, completeness) {
                fields.insert("completeness".to_owned(), completeness.into());
            }
            self.relationship(&from, "descendantOf", to, fields);
        }
    }

    /// The element of an ancestor, one for each model of the registry.
    fn node(&mut self, one: &Ancestor) -> String {
        let maker = one.producer.as_ref();
        let maker = maker.map(|name| vec![self.organisation(name, one.country)]);
        let fields = json!({
            "name": one.model.as_str(),
            "software_primaryPurpose": "model",
            "originatedBy": maker,
        });
        self.once("ai_AIPackage", "ancestor", one.model.as_str(), fields)
    }
}

fn hash(sha256: &str) -> Value {
    json!({ "type": "Hash", "algorithm": "sha256", "hashValue": sha256 })
}

/// Who taught, as far as it is told.
fn training(entry: &Entry) -> Option<String> {
    let known = &entry.resolution;
    if known.teachers.is_empty() {
        return None;
    }
    let whole = if known.teachers_complete {
        "all of them"
    } else {
        "others cannot be excluded"
    };
    let names = joined(&known.teachers);
    let countries = joined(&known.teacher_countries);
    Some(format!(
        "learned from outputs of {names} ({countries}; {whole})"
    ))
}

/// What SPDX has no field for.
fn facts(entry: &Entry) -> Value {
    let known = &entry.resolution;
    json!({
        "carnet": {
            "asked": entry.name,
            "upstream": entry.offer.as_ref().map(|offer| &offer.upstream),
            "upstream_model": entry.offer.as_ref().map(|offer| &offer.name),
            "identified": entry.identified(),
            "producer": entry.known().and_then(|known| known.producer.as_ref()),
            "weights": known.weights,
            "weights_countries": known.weights_countries,
            "weights_complete": known.weights_complete,
            "gaps": entry.gaps(),
            "lineage_status": known.lineage_status,
            "teachers": known.teachers,
            "teacher_countries": known.teacher_countries,
            "teachers_complete": known.teachers_complete,
            "hosting": known.hosting,
            "candidates": entry.candidates(),
            "disputed": known.disputed,
            "confidence": known.confidence,
        }
    })
}
