//! Checks of facts that came as a blob: what the reader asks of files, asked of the decoded records.
//!
//! A blob is written from checked files, so a mistake here means that whoever made it did not use
//! this program, or meant harm. It has no lines; the place is the file that the record would be in.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::Arc;

use crate::claim::{Claim, Dated, Evidence, Validity};
use crate::grammar::{DIGEST, is_digest};
use crate::ids::is_id;
use crate::problem::{Place, Problem, sorted};
use crate::reader::is_plain;
use crate::registry::entry::{Alias, FieldRule, Host, Model, MovingAlias, Producer, TaughtBy};
use crate::registry::links::{Edge, Kind, Links, Name};
use crate::registry::price::{self, Price};
use crate::registry::read_host::is_origin_pattern;
use crate::registry::read_model::{NO_DIGEST, misfits};
use crate::registry::wire::{Wire, misfit};
use crate::registry::{Entries, check};

/// All mistakes of decoded records.
pub(crate) fn problems(entries: &Entries) -> Vec<Problem> {
    let mut looker = Looker {
        place: place("registry"),
        problems: Vec::new(),
        links: Links::default(),
    };
    for (id, producer) in &entries.producers {
        looker.begin("producers", id.as_str(), producer.id.as_str());
        looker.producer(producer);
    }
    for (id, model) in &entries.models {
        looker.begin("models", id.as_str(), model.id.as_str());
        looker.model(model);
    }
    for (id, moving) in &entries.moving {
        looker.begin("aliases", id, &moving.id);
        looker.moving(moving);
    }
    for (id, host) in &entries.hosts {
        looker.begin("hosts", id.as_str(), host.id.as_str());
        looker.host(host);
    }
    for (id, prices) in &entries.prices {
        looker.begin("prices", id.as_str(), id.as_str());
        looker.link(Kind::Host, id);
        looker.prices(prices);
    }
    looker.rest(entries);
    let Looker {
        mut problems,
        links,
        ..
    } = looker;
    problems.extend(check::all(entries, &links));
    sorted(problems)
}

struct Looker {
    place: Place,
    problems: Vec<Problem>,
    links: Links,
}

fn place(file: &str) -> Place {
    Place {
        file: Arc::from(file),
        line: 1,
        column: 1,
    }
}

impl Looker {
    /// A record, which must lie under its own id.
    fn begin(&mut self, folder: &str, key: &str, id: &str) {
        self.place = place(&format!("{folder}/{key}.toml"));
        if key != id || !is_id(key) {
            self.wrong(format_args!("`{id}` cannot be the id here"));
        }
    }

    fn wrong(&mut self, message: impl Display) {
        self.problems.push(self.place.problem(message.to_string()));
    }

    fn text(&mut self, key: &str, text: &str) {
        if text.trim().is_empty() {
            self.wrong(format_args!("`{key}` is empty"));
        } else if !is_plain(text) {
            self.wrong(format_args!("`{key}` has control characters"));
        }
    }

    fn texts<'t>(&mut self, key: &str, texts: impl IntoIterator<Item = &'t String>) {
        for text in texts {
            self.text(key, text);
        }
    }

    /// Texts that the reader writes in lower case.
    fn lower<'t>(&mut self, key: &str, texts: impl IntoIterator<Item = &'t String>) {
        for text in texts {
            self.text(key, text);
            if text.chars().any(|c| c.is_ascii_uppercase()) {
                self.wrong(format_args!("`{key}` is not in lower case"));
            }
        }
    }

    fn evidence(&mut self, key: &str, evidence: &Evidence) {
        self.text(&format!("{key}.source"), &evidence.source);
        if evidence.date.is_none() {
            self.wrong(format_args!("`{key}` has no date"));
        }
    }

    fn valid(&mut self, key: &str, valid: Validity) {
        if let (Some(from), Some(to)) = (valid.from, valid.to)
            && to <= from
        {
            self.wrong(format_args!("`{key}` ends before it begins"));
        }
    }

    fn claim<T>(&mut self, key: &str, claim: &Claim<T>) {
        self.evidence(key, &claim.evidence);
        self.valid(key, claim.valid);
        if let Some(disputed) = &claim.disputed {
            self.text("disputed_by", &disputed.by);
            self.texts("disputed_source", &disputed.source);
        }
    }

    fn dated<T>(&mut self, key: &str, Dated(claims): &Dated<T>) {
        for claim in claims {
            self.claim(key, claim);
        }
        // In order of time only neighbours can share a day; hostile lists must not cost more.
        let mut ordered: Vec<Validity> = claims.iter().map(|claim| claim.valid).collect();
        ordered.sort_by_key(|valid| valid.from);
        let mut pairs = ordered.iter().zip(ordered.iter().skip(1));
        if pairs.any(|(one, next)| one.overlaps(next)) {
            self.wrong(format_args!("two claims of `{key}` hold on the same days"));
        }
    }

    fn link(&mut self, kind: Kind, id: impl Display) {
        self.links.add(kind, &id.to_string(), self.place.clone());
    }

    fn links<T: Display>(&mut self, kind: Kind, ids: impl IntoIterator<Item = T>) {
        for id in ids {
            self.link(kind, id);
        }
    }

    fn producer(&mut self, producer: &Producer) {
        self.text("name", &producer.name);
        self.lower("namespaces", &producer.namespaces);
        self.dated("country", &producer.country);
        self.links(Kind::Country, producer.country.values());
        for owner in &producer.owners {
            self.text("owner.name", &owner.name);
            self.evidence("owner", &owner.evidence);
            self.valid("owner", owner.valid);
            if owner
                .share
                .is_some_and(|share| !(0.0..=100.0).contains(&share))
            {
                self.wrong("`share` is no share in percent");
            }
            self.links(Kind::Producer, &owner.producer);
            self.links(Kind::Country, owner.country);
        }
        for listing in &producer.lists {
            self.evidence("list", &listing.evidence);
            self.valid("list", listing.valid);
            self.link(Kind::List, &listing.list);
        }
        for said in &producer.statements {
            let (topic, text, by) = (&said.topic, &said.text, &said.by);
            self.texts("statement", [topic, text, by, &said.evidence, &said.source]);
            let disputed = said.disputed_by.iter().chain(&said.disputed_source);
            self.texts("statement.disputed_by", disputed);
        }
    }

    fn model(&mut self, model: &Model) {
        self.text("name", &model.name);
        self.lower("family", &model.family);
        self.dated("producer", &model.producer);
        self.dated("publisher", &model.publisher);
        self.dated("weights", &model.weights);
        self.dated("licence", &model.licence);
        self.dated("lineage_status", &model.lineage_status);
        self.dated("teachers_complete", &model.teachers_complete);
        self.texts("licence", model.licence.values());
        for claim in &model.joint {
            self.claim("joint", claim);
        }
        let joint = model.joint.iter().map(|claim| &claim.value);
        self.links(Kind::Producer, model.producer.values().chain(joint));
        for publisher in model.publisher.values() {
            self.text("publisher", &publisher.name);
            self.links(Kind::Country, publisher.country);
        }
        for base in &model.base_models {
            self.text("component", &base.component);
            self.evidence("base_model", &base.evidence);
            self.valid("base_model", base.valid);
            self.link(Kind::Model, &base.model);
            let edge = Edge::new(model.id.as_str(), base.model.as_str(), &self.place);
            self.links.edges.push(edge);
        }
        for teacher in &model.teachers {
            self.evidence("teacher", &teacher.evidence);
            self.valid("teacher", teacher.valid);
            match &teacher.taught_by {
                TaughtBy::Model(id) => self.link(Kind::Model, id),
                TaughtBy::Producer(id) => self.link(Kind::Producer, id),
            }
        }
        self.aliases(&model.aliases, &format!("models/{}", model.id));
        for names in &model.names {
            self.text("stem", &names.stem);
            self.texts("names", names.sizes.iter().chain(&names.words));
        }
        for dispute in &model.disputes {
            self.texts("dispute", [&dispute.text, &dispute.by, &dispute.source]);
            self.texts(
                "dispute",
                dispute.answer.iter().chain(&dispute.answer_source),
            );
        }
        for message in misfits(model) {
            self.wrong(message);
        }
    }

    fn aliases(&mut self, aliases: &[Alias], owner: &str) {
        for alias in aliases {
            self.texts("alias", [&alias.platform, &alias.id]);
            if alias.platform == DIGEST && !is_digest(&alias.id) {
                self.wrong(NO_DIGEST);
            }
            self.valid("alias", alias.valid);
            if let Some(evidence) = &alias.evidence {
                self.evidence("alias", evidence);
            }
            self.links.names.push(Name {
                platform: alias.platform.clone(),
                id: alias.id.to_ascii_lowercase(),
                owner: owner.to_owned(),
                valid: alias.valid,
                place: self.place.clone(),
            });
        }
    }

    fn moving(&mut self, moving: &MovingAlias) {
        self.text("name", &moving.name);
        self.aliases(&moving.aliases, &format!("aliases/{}", moving.id));
        for target in &moving.targets {
            self.evidence("target", &target.evidence);
            self.valid("target", target.valid);
            self.texts("note", &target.note);
            self.link(Kind::Model, &target.model);
        }
        if moving.aliases.is_empty() || moving.targets.is_empty() {
            self.wrong("a moving alias without a name or a target");
        }
    }

    fn host(&mut self, host: &Host) {
        self.text("name", &host.name);
        self.dated("operator", &host.operator);
        self.dated("country", &host.country);
        self.dated("parent", &host.parent);
        self.dated("parent_country", &host.parent_country);
        self.dated("regions_known", &host.regions_known);
        self.dated("retention", &host.retention);
        self.dated("trains_on_prompts", &host.trains_on_prompts);
        self.dated("egress", &host.egress);
        self.texts("parent", host.parent.values());
        self.texts("retention", host.retention.values());
        self.lower("prefixes", &host.prefixes);
        for operator in host.operator.values() {
            self.text("operator", &operator.name);
            self.links(Kind::Producer, &operator.producer);
        }
        self.links(
            Kind::Country,
            host.country.values().chain(host.parent_country.values()),
        );
        self.texts("platform", &host.platform);
        for origin in &host.origins {
            if !is_origin_pattern(origin) || origin.chars().any(|c| c.is_ascii_uppercase()) {
                self.wrong(format_args!("`{origin}` is not a host name"));
            }
        }
        for other in &host.subprocessors {
            self.texts("subprocessor", [&other.name, &other.purpose]);
            self.evidence("subprocessor", &other.evidence);
            self.valid("subprocessor", other.valid);
            self.links(Kind::Country, other.country);
        }
        self.regions(host);
        self.field_rules(&host.fields);
        self.wire(&host.wire);
    }

    fn wire(&mut self, wire: &Wire) {
        for (key, evidence) in wire.evidence() {
            self.evidence(key, evidence);
        }
        for claim in wire.claims() {
            self.text(claim.claim, &claim.value);
        }
        for edit in &wire.edits {
            if let Some(wrong) = misfit(edit.action, edit.from.as_deref(), edit.to.as_deref()) {
                self.wrong(format_args!("edit of `{}`: {wrong}", edit.path));
            }
        }
    }

    fn regions(&mut self, host: &Host) {
        let sourced = !host.regions_known.0.is_empty();
        let mut known: HashSet<&str> = HashSet::new();
        for region in &host.regions {
            self.text("region.id", &region.id);
            self.link(Kind::Country, region.country);
            match &region.evidence {
                Some(evidence) => self.evidence("region", evidence),
                None if !sourced => {
                    self.wrong(format_args!("region `{}` has no source", region.id))
                }
                None => {}
            }
            if !known.insert(&region.id) {
                self.wrong(format_args!("region `{}` is listed twice", region.id));
            }
        }
        let known = |id: &String| known.contains(id.as_str());
        for profile in &host.profiles {
            self.evidence("profile", &profile.evidence);
            self.lower("profile.prefix", [&profile.prefix]);
            if profile.regions.is_empty() || !profile.regions.iter().all(known) {
                self.wrong(format_args!(
                    "profile `{}` names no region, or one that is not there",
                    profile.prefix
                ));
            }
        }
        if let Some(region) = &host.default_region
            && !known(region)
        {
            self.wrong(format_args!("this host has no region `{region}`"));
        }
    }

    fn field_rules(&mut self, rules: &[FieldRule]) {
        for rule in rules {
            self.texts("field", [&rule.path, &rule.why, &rule.source]);
            if rule.date.is_none() {
                self.wrong(format_args!("field `{}` has no date", rule.path));
            }
        }
    }

    fn prices(&mut self, prices: &[Price]) {
        for price in prices {
            self.text("name", &price.name);
            self.texts("note", &price.note);
            self.evidence("price", &price.evidence);
            self.valid("price", price.valid);
            let Some(long) = &price.long_prompts else {
                continue;
            };
            if let Some(wrong) = price::misfit(&price.figures, &long.figures) {
                self.wrong(format_args!("price of `{}`: {wrong}", price.name));
            }
            if long.above == 0 {
                self.wrong(format_args!("price of `{}`: `above` is 0", price.name));
            }
        }
        // As with claims, only neighbours in order of time can share a day.
        let mut ordered: Vec<&Price> = prices.iter().collect();
        ordered.sort_by_key(|price| (&price.name, price.valid.from));
        for (one, next) in ordered.iter().zip(ordered.iter().skip(1)) {
            if one.name == next.name && one.valid.overlaps(&next.valid) {
                self.wrong(format_args!(
                    "`{}` has two prices on the same days",
                    one.name
                ));
            }
        }
    }

    fn rest(&mut self, entries: &Entries) {
        for (id, list) in &entries.lists {
            self.begin("lists", id, &list.id);
            self.texts("list", [&list.name, &list.issuer, &list.source]);
            self.texts("remark", &list.remark);
        }
        for (id, dialect) in &entries.dialects {
            self.begin("fields", id, id);
            self.texts("known", &dialect.known);
            self.field_rules(&dialect.fields);
        }
        self.place = place("jurisdictions.toml");
        let mut known = HashSet::new();
        for country in &entries.countries {
            self.text("name", &country.name);
            if !known.insert(country.code) {
                self.wrong(format_args!("country `{}` is listed twice", country.code));
            }
        }
        let mut known = HashSet::new();
        for group in &entries.groups {
            self.texts("group", [&group.id, &group.name, &group.source]);
            self.texts("remark", &group.remark);
            self.links(Kind::Country, &group.members);
            if !known.insert(&group.id) {
                self.wrong(format_args!("group `{}` is listed twice", group.id));
            }
        }
        self.place = place("words.toml");
        for group in &entries.words {
            self.lower("words", &group.words);
            self.texts("words", [&group.why, &group.source]);
        }
    }
}
