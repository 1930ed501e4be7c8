//! Reads `producers/*.toml`, `jurisdictions.toml`, `lists/*.toml` and `fields/*.toml`.

use crate::country::Country;
use crate::reader::{Doc, Fields};
use crate::registry::entry::{
    CountryName, Dialect, FieldAction, FieldKind, FieldRule, Group, List, Listing, NameWords,
    Owner, Producer, Statement, WordKind,
};
use crate::registry::links::{Kind, Links};

/// Read one producer.
pub(crate) fn producer<'a>(doc: &'a Doc<'a>, id: &str, links: &mut Links) -> Option<Producer> {
    let mut fields = doc.fields()?;
    let name = fields.need_text("name");
    let producer = Producer {
        id: id.into(),
        name: name.unwrap_or_default(),
        namespaces: lower(fields.texts("namespaces")),
        country: fields.claims("country", |claim| country_value(claim, links)),
        owners: owners(&mut fields, links),
        lists: listings(&mut fields, links),
        statements: statements(&mut fields),
    };
    fields.finish();
    Some(producer)
}

/// Read the words that may be left aside in names.
pub(crate) fn words<'a>(doc: &'a Doc<'a>) -> Vec<NameWords> {
    let Some(mut fields) = doc.fields() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for mut table in fields.tables("word") {
        let words = lower(table.texts("words"));
        let kind = table.need_word("kind", WordKind::ALL);
        let (why, source) = (table.need_text("why"), table.need_text("source"));
        let date = table.need_date("date");
        table.finish();
        let (Some(kind), Some(why), Some(source), Some(date)) = (kind, why, source, date) else {
            continue;
        };
        found.push(NameWords {
            words,
            kind,
            why,
            source,
            date,
        });
    }
    fields.finish();
    found
}

fn lower(texts: Vec<String>) -> Vec<String> {
    texts
        .into_iter()
        .map(|text| text.to_ascii_lowercase())
        .collect()
}

/// The country in a claim's `value`; `unknown` makes no claim.
pub(crate) fn country_value(claim: &mut Fields<'_>, links: &mut Links) -> Option<Country> {
    if !claim.has("value") {
        claim.need_text("value");
        return None;
    }
    let (country, place) = claim.country_at("value")?;
    links.add(Kind::Country, country.as_str(), place);
    Some(country)
}

/// An optional country, noted as a reference.
fn country(fields: &mut Fields<'_>, links: &mut Links) -> Option<Country> {
    let (country, place) = fields.country_at("country")?;
    links.add(Kind::Country, country.as_str(), place);
    Some(country)
}

fn owners(fields: &mut Fields<'_>, links: &mut Links) -> Vec<Owner> {
    let mut found = Vec::new();
    for mut table in fields.tables("owner") {
        let name = table.need_text("name");
        let producer = table.text_at("producer").map(|id| {
            links.add(Kind::Producer, &id.value, id.place);
            id.value.as_str().into()
        });
        let country = country(&mut table, links);
        let share = table.percent("share");
        let evidence = table.evidence();
        let valid = table.validity();
        table.finish();
        if let (Some(name), Some(evidence)) = (name, evidence) {
            found.push(Owner {
                name,
                producer,
                country,
                share,
                evidence,
                valid,
            });
        }
    }
    found
}

fn listings(fields: &mut Fields<'_>, links: &mut Links) -> Vec<Listing> {
    let mut found = Vec::new();
    for mut table in fields.tables("list") {
        let list = table.need_text_at("list");
        let evidence = table.evidence();
        let valid = table.validity();
        table.finish();
        let (Some(list), Some(evidence)) = (list, evidence) else {
            continue;
        };
        links.add(Kind::List, &list.value, list.place);
        found.push(Listing {
            list: list.value,
            evidence,
            valid,
        });
    }
    found
}

fn statements(fields: &mut Fields<'_>) -> Vec<Statement> {
    let mut found = Vec::new();
    for mut table in fields.tables("statement") {
        let (topic, text, by) = (
            table.need_text("topic"),
            table.need_text("text"),
            table.need_text("by"),
        );
        let date = table.need_date("date");
        let (evidence, source) = (table.need_text("evidence"), table.need_text("source"));
        let disputed_by = table.text("disputed_by");
        let disputed_source = table.text("disputed_source");
        if disputed_by.is_none() && disputed_source.is_some() {
            let problem = table
                .place()
                .problem("`disputed_source` without `disputed_by`");
            table.note(problem.help("say who disputes it"));
        }
        table.finish();
        let (Some(topic), Some(text), Some(by), Some(date)) = (topic, text, by, date) else {
            continue;
        };
        let (Some(evidence), Some(source)) = (evidence, source) else {
            continue;
        };
        found.push(Statement {
            topic,
            text,
            by,
            date,
            evidence,
            source,
            disputed_by,
            disputed_source,
        });
    }
    found
}

/// Read the countries and their groups.
pub(crate) fn jurisdictions<'a>(
    doc: &'a Doc<'a>,
    links: &mut Links,
) -> (Vec<CountryName>, Vec<Group>) {
    let Some(mut fields) = doc.fields() else {
        return Default::default();
    };
    let mut countries: Vec<CountryName> = Vec::new();
    for mut table in fields.tables("country") {
        let code = table.country_at("code");
        let name = table.need_text("name");
        let place = table.place();
        table.finish();
        let (Some((code, _)), Some(name)) = (code, name) else {
            continue;
        };
        if countries.iter().any(|known| known.code == code) {
            doc.note(place.problem(format!("country `{code}` is listed twice")));
        }
        countries.push(CountryName { code, name });
    }
    let mut groups: Vec<Group> = Vec::new();
    for table in fields.tables("group") {
        let place = table.place();
        let Some(group) = group(table, links) else {
            continue;
        };
        if groups.iter().any(|known| known.id == group.id) {
            doc.note(place.problem(format!("group `{}` is listed twice", group.id)));
        }
        groups.push(group);
    }
    fields.finish();
    (countries, groups)
}

fn group(mut table: Fields<'_>, links: &mut Links) -> Option<Group> {
    let (id, name) = (table.need_text("id"), table.need_text("name"));
    let (source, date) = (table.need_text("source"), table.need_date("date"));
    let remark = table.text("remark");
    let mut members = Vec::new();
    for text in table.texts_at("members") {
        match text.value.parse::<Country>() {
            Ok(country) => {
                links.add(Kind::Country, country.as_str(), text.place);
                members.push(country);
            }
            Err(error) => table.note(text.place.problem(error.to_string())),
        }
    }
    table.finish();
    Some(Group {
        id: id?,
        name: name?,
        members,
        source: source?,
        date: date?,
        remark,
    })
}

/// Read one list.
pub(crate) fn list<'a>(doc: &'a Doc<'a>, id: &str) -> Option<List> {
    let mut fields = doc.fields()?;
    let (name, issuer, source) = (
        fields.need_text("name"),
        fields.need_text("issuer"),
        fields.need_text("source"),
    );
    let date = fields.need_date("date");
    let remark = fields.text("remark");
    fields.finish();
    Some(List {
        id: id.to_owned(),
        name: name?,
        issuer: issuer?,
        source: source?,
        date: date?,
        remark,
    })
}

/// Read the routing fields of one dialect.
pub(crate) fn dialect<'a>(doc: &'a Doc<'a>) -> Option<Dialect> {
    let mut fields = doc.fields()?;
    let known = fields.texts("known");
    let rules = field_rules(&mut fields);
    fields.finish();
    Some(Dialect {
        fields: rules,
        known,
    })
}

/// The `[[field]]` entries of a dialect or host.
pub(crate) fn field_rules(fields: &mut Fields<'_>) -> Vec<FieldRule> {
    let mut found = Vec::new();
    for mut table in fields.tables("field") {
        let path = table.need_text("path");
        let action = table.need_word("action", FieldAction::ALL);
        let kind = table.need_word("kind", FieldKind::ALL);
        let allow = table.texts("allow");
        let (why, source) = (table.need_text("why"), table.need_text("source"));
        let date = table.need_date("date");
        table.finish();
        let (Some(path), Some(action), Some(kind)) = (path, action, kind) else {
            continue;
        };
        let (Some(why), Some(source)) = (why, source) else {
            continue;
        };
        found.push(FieldRule {
            path,
            action,
            kind,
            allow,
            why,
            source,
            date,
        });
    }
    found
}
