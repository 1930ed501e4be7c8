//! One rule of a pack: what it is called, what it rests on and what it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use carnet_provenance::Validity;
use cedar_policy::pst::{Effect, Template};
use cedar_policy::{Policy, PolicyId};
use jiff::civil::Date;

use crate::codes::Code;
use crate::facts;
use crate::help;
use crate::outcome::Obligation;
use crate::problem::{Place, PolicyProblem};
use crate::reading::Lineage;
use crate::syntax::{self, Condition};
use crate::target::PreparedFact;

/// The annotations that a rule may carry.
const ANNOTATIONS: [&str; 8] = [
    "id",
    "legal_source",
    "obligation",
    "only_with",
    "title",
    "unknown",
    "valid_from",
    "valid_to",
];

/// A rule that passed the checks which need no other rule.
#[derive(Debug)]
pub struct Rule {
    pub(crate) id: Arc<str>,
    pub(crate) title: Arc<str>,
    pub(crate) legal_source: Option<Arc<str>>,
    pub(crate) effect: Effect,
    /// What must be done where it permits.
    pub(crate) obligation: Option<Obligation>,
    /// It is there only because something is not known.
    pub(crate) unknown: bool,
    /// The days on which it holds.
    pub(crate) valid: Validity,
    pub(crate) conditions: Vec<Condition>,
    /// The target's attributes that it reads.
    pub(crate) reads: BTreeSet<String>,
    /// The facts behind them.
    pub(crate) asked: Asked,
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// Which of a target's facts a rule asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    claims: BTreeSet<&'static str>,
    /// The public lists that it asks for by name; empty = any.
    lists: BTreeSet<String>,
    /// It asks whether anything rests on the operator's lenient claims.
    lenient: bool,
}

/// The rules of a pack by id.
pub type Rules = BTreeMap<PolicyId, Rule>;

impl Asked {
    /// What these conditions, which read these attributes, ask for.
    fn of(conditions: &[Condition], reads: &BTreeSet<String>, lineage: Lineage) -> Self {
        let claims = reads
            .iter()
            .flat_map(|path| facts::claims_of(path, lineage))
            .collect();
        let lists = conditions
            .iter()
            .flat_map(|found| syntax::lists_asked(&found.expr))
            .collect();
        Self {
            claims,
            lists,
            lenient: reads.contains("overlay"),
        }
    }

    /// Whether this fact is among them.
    pub(crate) fn has(&self, fact: &PreparedFact) -> bool {
        let claim = fact.line.claim.as_str();
        let read = self.claims.contains(claim)
            && (self.lists.is_empty()
                || !claim.ends_with(".list")
                || self.lists.contains(fact.line.list()));
        read || (self.lenient && fact.lenient)
    }
}

impl Rule {
    /// Its name, unique in the pack.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it says, for a person.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The clause it puts into practice.
    #[must_use]
    pub fn legal_source(&self) -> Option<&str> {
        self.legal_source.as_deref()
    }

    /// Whether it is there only because something is not known.
    #[must_use]
    pub fn is_for_unknown(&self) -> bool {
        self.unknown
    }

    /// The days on which it holds.
    #[must_use]
    pub fn valid(&self) -> Validity {
        self.valid
    }

    /// Whether it permits; otherwise it forbids.
    #[must_use]
    pub fn is_permit(&self) -> bool {
        self.effect == Effect::Permit
    }

    /// Read a rule that Cedar has parsed, for a pack that counts these parties as makers.
    pub(crate) fn read(
        place: &Place<'_>,
        policy: &Policy,
        lineage: Lineage,
    ) -> Result<Self, Vec<PolicyProblem>> {
        let offset = offset_of(policy);
        let body = match policy.to_pst() {
            Ok(parsed) => parsed.body().clone(),
            Err(error) => {
                let message = error.to_string();
                let help = help::cedar(&message, None);
                let problem = place.problem(offset, Code::BadCedar, message);
                return Err(vec![problem.help(help)]);
            }
        };
        let mut problems = Vec::new();
        check_annotations(place, policy, offset, &body, &mut problems);
        check_ancestry(place, offset, &body, &mut problems);
        let valid = Validity {
            from: day(place, policy, offset, "valid_from", &mut problems),
            to: day(place, policy, offset, "valid_to", &mut problems),
        };
        if valid
            .from
            .zip(valid.to)
            .is_some_and(|(from, to)| to <= from)
        {
            let message = "the rule ends before it begins";
            let help = "`@valid_to` is the first day on which it no longer holds".to_owned();
            problems.push(
                place
                    .problem(offset, Code::BadAnnotation, message)
                    .help(help),
            );
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let conditions = syntax::conditions(&body);
        let reads: BTreeSet<String> = conditions
            .iter()
            .flat_map(|found| syntax::reads(&found.expr))
            .collect();
        let asked = Asked::of(&conditions, &reads, lineage);
        let start = place.problem(offset, Code::BadCedar, "");
        let text = |key: &str| policy.annotation(key).map(Arc::from);
        Ok(Self {
            id: text("id").unwrap_or_default(),
            title: text("title").unwrap_or_default(),
            legal_source: text("legal_source"),
            effect: body.effect,
            obligation: policy.annotation("obligation").and_then(Obligation::of),
            unknown: policy.annotation("unknown").is_some(),
            valid,
            conditions,
            reads,
            asked,
            file: place.file.to_owned(),
            line: start.line,
            column: start.column,
        })
    }
}

/// Where the rule begins in its file.
pub(crate) fn offset_of(policy: &Policy) -> usize {
    policy.as_ref().loc().map_or(0, |loc| loc.start())
}

fn check_annotations(
    place: &Place<'_>,
    policy: &Policy,
    offset: usize,
    body: &Template,
    problems: &mut Vec<PolicyProblem>,
) {
    let mut refuse = |code, message: String, help: String| {
        problems.push(place.problem(offset, code, message).help(help));
    };
    let id = policy.annotation("id").unwrap_or_default();
    // A rule without a name is called by none: its place tells which one is meant.
    let rule = if id.is_empty() {
        "the rule".to_owned()
    } else {
        format!("rule `{id}`")
    };
    if id.is_empty() {
        refuse(
            Code::RuleWithoutName,
            "the rule has no `@id`".to_owned(),
            "add `@id(\"…\")` above it".to_owned(),
        );
    } else if !is_kebab(id) || Code::ALL.iter().any(|code| code.as_str() == id) {
        let help =
            "use lower-case letters, digits and hyphens, and none of Carnet's own codes".to_owned();
        refuse(
            Code::RuleWithoutName,
            format!("`{id}` cannot be the name of a rule"),
            help,
        );
    }
    if policy.annotation("title").unwrap_or_default().is_empty() {
        let help = "add `@title(\"…\")`: what the refused or permitted caller is told".to_owned();
        refuse(
            Code::RuleWithoutName,
            format!("{rule} has no `@title`"),
            help,
        );
    }
    for (key, value) in policy.annotations() {
        if !ANNOTATIONS.contains(&key) {
            let help = format!("known annotations: @{}", ANNOTATIONS.join(", @"));
            refuse(
                Code::UnknownAnnotation,
                format!("{rule} carries the unknown annotation `@{key}`"),
                help,
            );
        } else if key == "unknown" && (body.effect == Effect::Permit || !value.is_empty()) {
            let message = format!("`@unknown` of {rule} cannot be");
            let help = "write `@unknown` without a value, and on a forbid only".to_owned();
            refuse(Code::BadAnnotation, message, help);
        } else if key == "obligation" && body.effect == Effect::Forbid {
            let message = format!("{rule} is a forbid and carries an obligation");
            refuse(
                Code::ForbidWithObligation,
                message,
                "put `@obligation` on the permit".to_owned(),
            );
        } else if key == "obligation" && Obligation::of(value).is_none() {
            let message =
                format!("{rule} carries the obligation `{value}`, which Carnet cannot meet");
            let known = Obligation::ALL.map(Obligation::as_str).join("`, `");
            refuse(
                Code::UnknownObligation,
                message,
                format!("forbid the case, or write one of those that can be met: `{known}`"),
            );
        }
    }
}

/// The day that an annotation names.
fn day(
    place: &Place<'_>,
    policy: &Policy,
    offset: usize,
    key: &str,
    problems: &mut Vec<PolicyProblem>,
) -> Option<Date> {
    let text = policy.annotation(key)?;
    let day = text.parse().ok();
    if day.is_none() {
        let message = format!("`@{key}(\"{text}\")` names no day");
        let help = format!("write a date: `@{key}(\"2026-01-31\")`");
        problems.push(
            place
                .problem(offset, Code::BadAnnotation, message)
                .help(help),
        );
    }
    day
}

/// Refuse a permit that asks for *some* ancestor where it means *all*.
fn check_ancestry(
    place: &Place<'_>,
    offset: usize,
    body: &Template,
    problems: &mut Vec<PolicyProblem>,
) {
    if body.effect == Effect::Forbid {
        return;
    }
    let conditions = syntax::conditions(body);
    let asked = conditions
        .iter()
        .flat_map(|condition| syntax::ancestry_asked(&condition.expr));
    let Some(entity) = asked
        .into_iter()
        .find(|uid| uid.ty.0.id.as_str() != "Model")
    else {
        return;
    };
    let message = format!(
        "a permit may not rest on `resource in {entity}`: it asks whether some ancestor is there"
    );
    let help = "ask for all: `[\"…\"].containsAll(resource.weights_countries) && resource.weights_complete`, \
                or turn the rule into a forbid";
    problems.push(
        place
            .problem(offset, Code::PermitByAncestry, message)
            .help(help),
    );
}

fn is_kebab(id: &str) -> bool {
    !id.starts_with('-')
        && !id.ends_with('-')
        && id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
