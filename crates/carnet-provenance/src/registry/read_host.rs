//! Reads `hosts/*.toml`.

use crate::grammar;
use crate::reader::{Doc, Fields};
use crate::registry::entry::{Egress, Host, HostKind, Operator, Profile, Region, Subprocessor};
use crate::registry::links::{Kind, Links};
use crate::registry::read_other::{country_value, field_rules};
use crate::registry::wire::Wire;

/// Read one host.
pub(crate) fn host<'a>(doc: &'a Doc<'a>, id: &str, links: &mut Links) -> Option<Host> {
    let mut fields = doc.fields()?;
    let name = fields.need_text("name");
    let kind = fields.need_word("kind", HostKind::ALL);
    let mut host = Host {
        id: id.into(),
        name: name.unwrap_or_default(),
        // A mistake in the kind is noted, so this host is never used.
        kind: kind.unwrap_or(HostKind::Router),
        operator: fields.claims("operator", |claim| operator(claim, links)),
        country: fields.claims("country", |claim| country_value(claim, links)),
        parent: fields.claims("parent", |claim| claim.need_text("value")),
        parent_country: fields.claims("parent_country", |claim| country_value(claim, links)),
        platform: fields
            .text("platform")
            .map(|platform| grammar::platform_name(&platform)),
        prefixes: fields
            .texts("prefixes")
            .into_iter()
            .map(|prefix| prefix.to_ascii_lowercase())
            .collect(),
        origins: origins(&mut fields),
        regions_known: fields.claims("regions_known", |claim| claim.flag("value")),
        regions: Vec::new(),
        profiles: Vec::new(),
        default_region: None,
        subprocessors: subprocessors(&mut fields, links),
        retention: fields.claims("retention", |claim| claim.need_text("value")),
        trains_on_prompts: fields.claims("trains_on_prompts", |claim| claim.flag("value")),
        egress: fields.claims("egress", |claim| claim.need_word("value", Egress::ALL)),
        fields: field_rules(&mut fields),
        wire: Wire::read(&mut fields),
    };
    host.regions = regions(&mut fields, links, !host.regions_known.0.is_empty());
    host.profiles = profiles(&mut fields, &host.regions);
    host.default_region = default_region(&mut fields, &host.regions);
    fields.finish();
    Some(host)
}

fn operator(claim: &mut Fields<'_>, links: &mut Links) -> Option<Operator> {
    let name = claim.need_text("value");
    let producer = claim.text_at("producer").map(|id| {
        links.add(Kind::Producer, &id.value, id.place);
        id.value.as_str().into()
    });
    Some(Operator {
        name: name?,
        producer,
    })
}

/// A pattern must be a public host name: `*` stands for a whole label, never for a part or the last
/// two. An address or a single label proves nothing about who answers there.
pub(crate) fn is_origin_pattern(pattern: &str) -> bool {
    let labels: Vec<&str> = pattern.split('.').collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    labels
        .iter()
        .all(|label| *label == "*" || (!label.is_empty() && label.chars().all(plain)))
        && labels.len() > 1
        && labels
            .iter()
            .rev()
            .take(2)
            .all(|label| !label.chars().all(|c| c == '*' || c.is_ascii_digit()))
}

fn origins(fields: &mut Fields<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for text in fields.texts_at("origins") {
        let pattern = text.value.to_ascii_lowercase();
        if is_origin_pattern(&pattern) {
            found.push(pattern);
        } else {
            let help = "write a host name such as `api.example.com`; `*` stands for one whole label before the last two";
            fields.note(
                text.place
                    .problem(format!("`{}` is not a host name", text.value))
                    .help(help),
            );
        }
    }
    found
}

/// A region is claimed by a source of its own, or by the one that lists them all.
fn regions(fields: &mut Fields<'_>, links: &mut Links, all_claimed: bool) -> Vec<Region> {
    let mut found: Vec<Region> = Vec::new();
    for mut table in fields.tables("region") {
        let id = table.need_text_at("id");
        if !table.has("country") {
            table.need_text("country");
        }
        let country = table.country_at("country");
        let evidence = table.some_evidence();
        table.finish();
        let (Some(id), Some((country, place))) = (id, country) else {
            continue;
        };
        links.add(Kind::Country, country.as_str(), place);
        if evidence.is_none() && !all_claimed {
            let message = format!("nobody says that this host has the region `{}`", id.value);
            let help = "add `source`, `date` and `confidence` to the region, or a claim `regions_known` to the host";
            fields.note(id.place.problem(message).help(help));
        }
        if found.iter().any(|region| region.id == id.value) {
            fields.note(
                id.place
                    .problem(format!("region `{}` is listed twice", id.value)),
            );
        }
        found.push(Region {
            id: id.value,
            country,
            evidence,
        });
    }
    found
}

fn subprocessors(fields: &mut Fields<'_>, links: &mut Links) -> Vec<Subprocessor> {
    let mut found = Vec::new();
    for mut table in fields.tables("subprocessor") {
        let name = table.need_text("name");
        let country = table.country_at("country");
        let purpose = table.need_text("purpose");
        let evidence = table.evidence();
        let valid = table.validity();
        table.finish();
        let (Some(name), Some(purpose), Some(evidence)) = (name, purpose, evidence) else {
            continue;
        };
        if let Some((country, place)) = &country {
            links.add(Kind::Country, country.as_str(), place.clone());
        }
        found.push(Subprocessor {
            name,
            country: country.map(|(country, _)| country),
            purpose,
            evidence,
            valid,
        });
    }
    found
}

fn profiles(fields: &mut Fields<'_>, known: &[Region]) -> Vec<Profile> {
    let mut found = Vec::new();
    for mut table in fields.tables("profile") {
        let prefix = table.need_text("prefix");
        let mut regions = Vec::new();
        for text in table.texts_at("regions") {
            if !known.iter().any(|region| region.id == text.value) {
                let problem = text
                    .place
                    .problem(format!("this host has no region `{}`", text.value));
                table.note(problem.help("add it as [[region]] with its country"));
            }
            regions.push(text.value);
        }
        if regions.is_empty() {
            table.note(table.place().problem("a profile without regions"));
        }
        let evidence = table.evidence();
        table.finish();
        let (Some(prefix), Some(evidence)) = (prefix, evidence) else {
            continue;
        };
        found.push(Profile {
            prefix: prefix.to_ascii_lowercase(),
            regions,
            evidence,
        });
    }
    found
}

fn default_region(fields: &mut Fields<'_>, known: &[Region]) -> Option<String> {
    let text = fields.text_at("default_region")?;
    if !known.iter().any(|region| region.id == text.value) {
        let problem = text
            .place
            .problem(format!("this host has no region `{}`", text.value));
        fields.note(problem.help("add it as [[region]] with its country"));
    }
    Some(text.value)
}
