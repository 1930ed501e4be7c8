//! Exceptions that an authority granted: who, for what, until when.
//!
//! An exception lifts the pack's forbids within its scope and dates, except those that are there because
//! something is not known, and is itself among the reasons of what it permits.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use toml_span::de_helpers::TableHelper;
use toml_span::{DeserError, Value};

use crate::pack::date;

/// One granted exception. Its scope is everything that it names; what it does not name is not narrowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exception {
    /// Its number or name, as the issuer gave it.
    pub id: String,
    /// Which of the kinds that the text knows.
    pub kind: String,
    /// Who granted it.
    pub issuer: String,
    /// Why.
    pub reason: String,
    /// The first day on which it holds.
    pub from: Option<Date>,
    /// The last day on which it holds.
    pub until: Option<Date>,
    /// Workloads by id.
    pub workloads: Vec<String>,
    /// Teams.
    pub teams: Vec<String>,
    /// Contracts, of which the workload performs one.
    pub contracts: Vec<String>,
    /// Models by registry id.
    pub models: Vec<String>,
    /// Hosts by registry id.
    pub hosts: Vec<String>,
}

impl Exception {
    /// What is missing or wrong in it by itself: the message and the fix.
    pub(crate) fn problem(&self, kinds: &[String], issuer: &str) -> Option<(String, String)> {
        let id = if self.id.is_empty() { "…" } else { &self.id };
        let called = format!("the exception `{id}`");
        if kinds.is_empty() {
            let help = "take it out, or switch the pack to another mode".to_owned();
            return Some((format!("{called} cannot be: the text knows none"), help));
        }
        for (name, value) in [
            ("id", &self.id),
            ("kind", &self.kind),
            ("issuer", &self.issuer),
            ("reason", &self.reason),
        ] {
            if value.is_empty() {
                return Some((
                    format!("{called} has no `{name}`"),
                    format!("add `{name} = \"…\"` (it is for {issuer} to grant)"),
                ));
            }
        }
        if !kinds.contains(&self.kind) {
            let message = format!(
                "{called} is of the kind `{}`, which the text does not know",
                self.kind
            );
            return Some((message, format!("the kinds are {}", kinds.join(", "))));
        }
        let Some(until) = self.until else {
            return Some((
                format!("{called} has no end"),
                "add `until = \"…\"`, its last day".to_owned(),
            ));
        };
        if self.from.is_some_and(|from| until < from) {
            return Some((
                format!("{called} ends before it begins"),
                "mend `from` or `until`".to_owned(),
            ));
        }
        if self.scope().is_none() {
            return Some((
                format!("{called} has no scope"),
                "name workloads, teams, contracts, models or hosts".to_owned(),
            ));
        }
        None
    }

    /// The first day after it.
    pub(crate) fn end(&self) -> Option<Date> {
        self.until.and_then(|until| until.tomorrow().ok())
    }

    /// Whether it holds on a day.
    pub(crate) fn holds_on(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day <= until)
    }

    /// The condition under which it applies, in Cedar; none without any scope.
    pub(crate) fn scope(&self) -> Option<String> {
        let set = |names: &[String]| crate::parameters::Setting::List(names.to_vec()).cedar();
        let one_of = |names: &[String], path: &str| {
            (!names.is_empty()).then(|| format!("{}.contains({path})", set(names)))
        };
        let some_of = |names: &[String], path: &str| {
            (!names.is_empty()).then(|| format!("{path}.containsAny({})", set(names)))
        };
        let parts: Vec<String> = [
            one_of(&self.workloads, "principal.id"),
            one_of(&self.teams, "principal.team"),
            some_of(&self.contracts, "principal.contracts"),
            one_of(&self.models, "resource.model"),
            one_of(&self.hosts, "resource.host"),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!parts.is_empty()).then(|| parts.join(" && "))
    }

    /// The rule that permits what it covers.
    pub(crate) fn rule(&self) -> Option<String> {
        let text = |value: String| crate::parameters::Setting::Text(value).cedar();
        let until = self.until.map(|day| day.to_string()).unwrap_or_default();
        let title = format!(
            "exception {} ({}), granted by {} until {until}: {}",
            self.id, self.kind, self.issuer, self.reason
        );
        Some(format!(
            "@id({}) @title({}) permit (principal, action, resource) when {{ resource.identified && {} }};",
            text(self.rule_id()),
            text(title),
            self.scope()?
        ))
    }

    /// The id of that rule.
    pub(crate) fn rule_id(&self) -> String {
        let word: String = self
            .id
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        format!("exception-{}", word.trim_matches('-'))
    }
}

impl<'de> toml_span::Deserialize<'de> for Exception {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let mut table = TableHelper::new(value)?;
        let mut text = |key| table.optional::<String>(key).unwrap_or_default();
        let (id, kind, issuer, reason) = (text("id"), text("kind"), text("issuer"), text("reason"));
        let (from, until) = (date(&mut table, "from"), date(&mut table, "until"));
        let mut list = |key| table.optional::<Vec<String>>(key).unwrap_or_default();
        let (workloads, teams, contracts) = (list("workloads"), list("teams"), list("contracts"));
        let (models, hosts) = (list("models"), list("hosts"));
        table.finalize(None)?;
        Ok(Self {
            id,
            kind,
            issuer,
            reason,
            from,
            until,
            workloads,
            teams,
            contracts,
            models,
            hosts,
        })
    }
}
