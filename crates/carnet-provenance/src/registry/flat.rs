//! Every record as a list of flat claims: what showing, counting and comparing have in common.

use std::fmt::{Display, Write as _};

use jiff::civil::Date;
use serde::Serialize;

use crate::claim::{Claim, Confidence, Contradiction, Dated, Evidence, Validity};
use crate::registry::entry::{
    Alias, FieldRule, Group, Host, List, Model, MovingAlias, NameWords, Producer, TaughtBy,
};
use crate::registry::price::Price;
use crate::registry::wire::WireEdit;

/// One claim of a record with what it says as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlatClaim {
    /// What it is about: the key in the record's file.
    pub claim: &'static str,
    /// What is said.
    pub value: String,
    /// Where it stands; none where the record it belongs to says so.
    pub source: Option<String>,
    /// When it was said or read.
    pub date: Option<Date>,
    /// How sure it is; none for what is reported and not claimed.
    pub confidence: Option<Confidence>,
    /// The first day; none = since ever.
    pub valid_from: Option<Date>,
    /// The first day on which it no longer holds; none = for ever.
    pub valid_to: Option<Date>,
    /// Who contradicts.
    pub disputed_by: Option<String>,
}

impl FlatClaim {
    fn new(claim: &'static str, value: impl Display) -> Self {
        Self {
            claim,
            value: value.to_string(),
            source: None,
            date: None,
            confidence: None,
            valid_from: None,
            valid_to: None,
            disputed_by: None,
        }
    }

    /// A name by itself.
    pub(crate) fn name(name: &str) -> Self {
        Self::new("name", name)
    }

    fn by(mut self, evidence: &Evidence) -> Self {
        self.source = Some(evidence.source.to_string());
        self.date = evidence.date;
        self.confidence = Some(evidence.confidence);
        self
    }

    fn at(mut self, source: &str, date: Option<Date>) -> Self {
        self.source = Some(source.to_owned());
        self.date = date;
        self
    }

    fn on(mut self, valid: Validity) -> Self {
        (self.valid_from, self.valid_to) = (valid.from, valid.to);
        self
    }

    fn but(mut self, disputed: Option<&Contradiction>) -> Self {
        self.disputed_by = disputed.map(|disputed| match &disputed.source {
            Some(source) => format!("{} ({source})", disputed.by),
            None => disputed.by.clone(),
        });
        self
    }

    /// Whether it holds on a day.
    #[must_use]
    pub fn holds(&self, day: Date) -> bool {
        self.valid_from.is_none_or(|from| from <= day) && self.valid_to.is_none_or(|to| day < to)
    }
}

impl FlatClaim {
    /// Claims of which several may hold at once.
    pub(crate) fn listed<T>(
        found: &mut Vec<Self>,
        claim: &'static str,
        claims: &[Claim<T>],
        text: impl Fn(&T) -> String,
    ) {
        listed(found, claim, claims, text);
    }

    /// A change to requests.
    pub(crate) fn edit(edit: &WireEdit) -> Self {
        let mut value = format!("{} of {}: {}", edit.path, edit.api, edit.action);
        for (word, text) in [("from", &edit.from), ("to", &edit.to)] {
            if let Some(text) = text {
                let _ = write!(value, " {word} {text}");
            }
        }
        if !edit.models.is_empty() {
            let _ = write!(value, " for {}", edit.models.join(", "));
        }
        let _ = write!(value, ", {}", edit.why);
        Self::new("edit", value).by(&edit.evidence)
    }
}

fn dated<T>(
    found: &mut Vec<FlatClaim>,
    claim: &'static str,
    Dated(claims): &Dated<T>,
    text: impl Fn(&T) -> String,
) {
    listed(found, claim, claims, text);
}

fn listed<T>(
    found: &mut Vec<FlatClaim>,
    claim: &'static str,
    claims: &[Claim<T>],
    text: impl Fn(&T) -> String,
) {
    for one in claims {
        found.push(
            FlatClaim::new(claim, text(&one.value))
                .by(&one.evidence)
                .on(one.valid)
                .but(one.disputed.as_ref()),
        );
    }
}

fn aliases(found: &mut Vec<FlatClaim>, aliases: &[Alias]) {
    for alias in aliases {
        let flat = FlatClaim::new("alias", format_args!("{}: {}", alias.platform, alias.id));
        let flat = match &alias.evidence {
            Some(evidence) => flat.by(evidence),
            None => flat,
        };
        found.push(flat.on(alias.valid));
    }
}

fn fields(found: &mut Vec<FlatClaim>, rules: &[FieldRule]) {
    for rule in rules {
        let value = format!(
            "{} ({}): {}, {}",
            rule.path, rule.kind, rule.action, rule.why
        );
        found.push(FlatClaim::new("field", value).at(&rule.source, rule.date));
    }
}

impl Producer {
    /// All that its file claims.
    #[must_use]
    pub fn claims(&self) -> Vec<FlatClaim> {
        let mut found = vec![FlatClaim::new("name", &self.name)];
        dated(&mut found, "country", &self.country, ToString::to_string);
        for namespace in &self.namespaces {
            found.push(FlatClaim::new("namespace", namespace));
        }
        for owner in &self.owners {
            let mut value = owner.name.clone();
            if let Some(producer) = &owner.producer {
                let _ = write!(value, " [{producer}]");
            }
            if let Some(country) = owner.country {
                let _ = write!(value, " ({country})");
            }
            if let Some(share) = owner.share {
                let _ = write!(value, ", {share} %");
            }
            found.push(
                FlatClaim::new("owner", value)
                    .by(&owner.evidence)
                    .on(owner.valid),
            );
        }
        for listing in &self.lists {
            let flat = FlatClaim::new("list", &listing.list);
            found.push(flat.by(&listing.evidence).on(listing.valid));
        }
        for said in &self.statements {
            let value = format!(
                "{} [{}]: {} (evidence: {})",
                said.by, said.topic, said.text, said.evidence
            );
            let flat = FlatClaim::new("statement", value).at(&said.source, Some(said.date));
            let disputed = said.disputed_by.clone().map(|by| Contradiction {
                by,
                source: said.disputed_source.clone(),
            });
            found.push(flat.but(disputed.as_ref()));
        }
        found
    }
}

impl Model {
    /// All that its file claims.
    #[must_use]
    pub fn claims(&self) -> Vec<FlatClaim> {
        let mut found = vec![FlatClaim::new("name", &self.name)];
        dated(&mut found, "producer", &self.producer, ToString::to_string);
        listed(&mut found, "joint", &self.joint, ToString::to_string);
        dated(
            &mut found,
            "publisher",
            &self.publisher,
            |publisher| match publisher.country {
                Some(country) => format!("{} ({country})", publisher.name),
                None => publisher.name.clone(),
            },
        );
        dated(&mut found, "weights", &self.weights, ToString::to_string);
        dated(&mut found, "licence", &self.licence, Clone::clone);
        if let Some(family) = &self.family {
            found.push(FlatClaim::new("family", family));
        }
        dated(
            &mut found,
            "lineage_status",
            &self.lineage_status,
            ToString::to_string,
        );
        for base in &self.base_models {
            let value = format!("{} of {} ({})", base.relation, base.model, base.component);
            let flat = FlatClaim::new("base_model", value);
            found.push(flat.by(&base.evidence).on(base.valid));
        }
        for teacher in &self.teachers {
            let value = match &teacher.taught_by {
                TaughtBy::Model(model) => format!("model {model}"),
                TaughtBy::Producer(producer) => format!("some model of {producer}"),
            };
            let flat = FlatClaim::new("teacher", value);
            found.push(flat.by(&teacher.evidence).on(teacher.valid));
        }
        dated(
            &mut found,
            "teachers_complete",
            &self.teachers_complete,
            ToString::to_string,
        );
        aliases(&mut found, &self.aliases);
        for names in &self.names {
            let mut value = names.stem.clone();
            for (what, words) in [("sizes", &names.sizes), ("words", &names.words)] {
                if !words.is_empty() {
                    let _ = write!(value, "; {what} {}", words.join(" "));
                }
            }
            found.push(FlatClaim::new("names", value));
        }
        for dispute in &self.disputes {
            let mut value = format!("{}: {}", dispute.by, dispute.text);
            if let Some(answer) = &dispute.answer {
                let _ = write!(value, "; answer: {answer}");
            }
            if let Some(source) = &dispute.answer_source {
                let _ = write!(value, " ({source})");
            }
            found.push(FlatClaim::new("dispute", value).at(&dispute.source, dispute.date));
        }
        found
    }
}

impl MovingAlias {
    /// All that its file claims.
    #[must_use]
    pub fn claims(&self) -> Vec<FlatClaim> {
        let mut found = vec![FlatClaim::new("name", &self.name)];
        aliases(&mut found, &self.aliases);
        for target in &self.targets {
            let flat = FlatClaim::new("target", &target.model);
            found.push(flat.by(&target.evidence).on(target.valid));
        }
        found
    }
}

impl Host {
    /// All that its file claims.
    #[must_use]
    pub fn claims(&self) -> Vec<FlatClaim> {
        let mut found = vec![
            FlatClaim::new("name", &self.name),
            FlatClaim::new("kind", self.kind),
        ];
        dated(
            &mut found,
            "operator",
            &self.operator,
            |operator| match &operator.producer {
                Some(producer) => format!("{} [{producer}]", operator.name),
                None => operator.name.clone(),
            },
        );
        dated(&mut found, "country", &self.country, ToString::to_string);
        dated(&mut found, "parent", &self.parent, Clone::clone);
        dated(
            &mut found,
            "parent_country",
            &self.parent_country,
            ToString::to_string,
        );
        dated(
            &mut found,
            "regions_known",
            &self.regions_known,
            ToString::to_string,
        );
        for region in &self.regions {
            let flat = FlatClaim::new("region", format_args!("{} ({})", region.id, region.country));
            found.push(match &region.evidence {
                Some(evidence) => flat.by(evidence),
                None => flat,
            });
        }
        for profile in &self.profiles {
            let value = format!("{}: {}", profile.prefix, profile.regions.join(" "));
            found.push(FlatClaim::new("profile", value).by(&profile.evidence));
        }
        for other in &self.subprocessors {
            let country = other.country.map(|country| format!(" ({country})"));
            let value = format!(
                "{}{}: {}",
                other.name,
                country.unwrap_or_default(),
                other.purpose
            );
            found.push(
                FlatClaim::new("subprocessor", value)
                    .by(&other.evidence)
                    .on(other.valid),
            );
        }
        dated(&mut found, "retention", &self.retention, Clone::clone);
        dated(
            &mut found,
            "trains_on_prompts",
            &self.trains_on_prompts,
            ToString::to_string,
        );
        dated(&mut found, "egress", &self.egress, ToString::to_string);
        for (claim, texts) in [("prefix", &self.prefixes), ("origin", &self.origins)] {
            found.extend(texts.iter().map(|text| FlatClaim::new(claim, text)));
        }
        for (claim, text) in [
            ("platform", &self.platform),
            ("default_region", &self.default_region),
        ] {
            found.extend(text.iter().map(|text| FlatClaim::new(claim, text)));
        }
        fields(&mut found, &self.fields);
        found.extend(self.wire.claims());
        found
    }
}

impl Price {
    /// It as one claim of its host; the figures are for a million tokens.
    #[must_use]
    pub fn claim(&self) -> FlatClaim {
        let mut value = format!("{}: {} {}", self.name, self.currency, self.figures);
        if let Some(long) = &self.long_prompts {
            let _ = write!(value, "; above {} tokens {}", long.above, long.figures);
        }
        if let Some(note) = &self.note {
            let _ = write!(value, "; {note}");
        }
        FlatClaim::new("price", value)
            .by(&self.evidence)
            .on(self.valid)
    }
}

impl List {
    /// All that its file claims.
    #[must_use]
    pub fn claims(&self) -> Vec<FlatClaim> {
        let by = |flat: FlatClaim| flat.at(&self.source, Some(self.date));
        let mut found = vec![
            by(FlatClaim::new("name", &self.name)),
            by(FlatClaim::new("issuer", &self.issuer)),
        ];
        let remark = self.remark.iter();
        found.extend(remark.map(|remark| FlatClaim::new("remark", remark)));
        found
    }
}

impl Group {
    /// All that is claimed of it.
    #[must_use]
    pub fn claims(&self) -> Vec<FlatClaim> {
        let by = |flat: FlatClaim| flat.at(&self.source, Some(self.date));
        let mut found = vec![by(FlatClaim::new("name", &self.name))];
        let members = self.members.iter();
        found.extend(members.map(|country| by(FlatClaim::new("member", country))));
        let remark = self.remark.iter();
        found.extend(remark.map(|remark| FlatClaim::new("remark", remark)));
        found
    }
}

impl NameWords {
    /// All that is claimed of them.
    pub(crate) fn claims(&self) -> Vec<FlatClaim> {
        let value = format!("{} ({}): {}", self.words.join(" "), self.kind, self.why);
        vec![FlatClaim::new("words", value).at(&self.source, Some(self.date))]
    }
}

/// The claims of routing fields of a dialect.
pub(crate) fn field_claims(rules: &[FieldRule]) -> Vec<FlatClaim> {
    let mut found = Vec::new();
    fields(&mut found, rules);
    found
}
