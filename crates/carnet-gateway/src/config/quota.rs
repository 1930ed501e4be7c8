//! `[[limit]]`: how much may be used, by whom and of what.

use std::sync::Arc;

use carnet_limits::{Measure, Window};
use carnet_provenance::{Amount, Currency};
use toml_span::Span;

use super::{Check, RawConfig, RawUpstream};
use crate::limits::LIMIT_SECONDS_MAX;
use crate::section::{Field, Located, closest};

section! {
    /// How much may be used. Each request counts for all limits that it comes under, and is sent only if there is room in
    /// all of them.
    RawLimit {
        required {
            /// Its name, which errors tell.
            name: String,
        }
        optional {
            /// Most requests that are sent in `every`.
            requests: u64,
            /// Most requests that run at the same time.
            concurrent: u64,
            /// Most tokens that are used in `every`, those of prompts and answers together.
            tokens: u64,
            /// Most money that is spent in `every`: an amount and the code of its currency, such as `100 USD`.
            money: String,
            /// What becomes of an answer that runs while `tokens` or `money` is used up by it: `finish` (default) lets it end
            /// and counts what it takes, `cut` ends it there.
            on_exhausted: String,
            /// The time for which `requests`, `tokens` or `money` counts: `day`, `week` or `month` of the calendar in UTC, or the last so many
            /// seconds, minutes or hours, wherever one stands: `30s`, `5m`, `1h`.
            every: String,
            /// What is counted apart: of `host`, `key`, `model`, `team`, `tenant`, `upstream` and `workload`. Default `[]`:
            /// all together.
            per: Vec<String>,
            /// Only requests to these hosts, by their ids. Default: to all.
            hosts: Vec<String>,
            /// Only requests for these models, by the names that callers use. Default: for all.
            models: Vec<String>,
            /// Only requests of these teams. Default: of all.
            teams: Vec<String>,
            /// Only requests of these workloads. Default: of all.
            workloads: Vec<String>,
        }
    }
}

/// How much may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitConfig {
    /// Its name.
    pub name: Arc<str>,
    /// What is counted.
    pub measure: Measure,
    /// The most: requests, tokens, or billionths of a unit of the currency.
    pub max: u64,
    /// The currency, where money is counted.
    pub currency: Option<Currency>,
    /// What becomes of an answer while which it is used up.
    pub on_exhausted: OnExhausted,
    /// Over which time.
    pub window: Window,
    /// What is counted apart.
    pub per: Vec<Apart>,
    /// Of which requests.
    pub only: Only,
}

/// What becomes of an answer that uses up a limit while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExhausted {
    /// It ends there.
    Cut,
    /// It runs to its end, and all of it is counted.
    Finish,
}

/// What is counted, and how much there may be of it.
struct Counted {
    measure: Measure,
    max: u64,
    currency: Option<Currency>,
}

/// What a limit can count apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    /// The host behind the upstream.
    Host,
    /// The caller's key.
    Key,
    /// The model, by the name under which its upstream offers it.
    Model,
    /// The team of the caller's workload.
    Team,
    /// The tenant of the caller's workload.
    Tenant,
    /// The upstream.
    Upstream,
    /// The caller's workload.
    Workload,
}

/// The requests that a limit is for: of each kind those that are named, or all where none is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Ids of hosts.
    pub hosts: Vec<String>,
    /// Names of models that callers use.
    pub models: Vec<String>,
    /// Teams.
    pub teams: Vec<String>,
    /// Ids of workloads.
    pub workloads: Vec<String>,
}

const APART: [(&str, Apart); 7] = [
    ("host", Apart::Host),
    ("key", Apart::Key),
    ("model", Apart::Model),
    ("team", Apart::Team),
    ("tenant", Apart::Tenant),
    ("upstream", Apart::Upstream),
    ("workload", Apart::Workload),
];

/// How a time is written, in seconds.
const UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

impl Check<'_> {
    pub(super) fn quotas(&mut self, raw: &RawConfig) -> Vec<LimitConfig> {
        let mut limits: Vec<LimitConfig> = Vec::with_capacity(raw.limits.len());
        // What could not be read may be what a limit means.
        let readable = self.problems.is_empty();
        for entry in &raw.limits {
            if readable {
                self.names(entry, raw);
            }
            let Some(name) = entry.name.given() else {
                continue;
            };
            if name.value.is_empty() || limits.iter().any(|other| *other.name == *name.value) {
                self.problem(
                    name.span,
                    format!("`{}` is no name of its own", name.value),
                    "give each limit a name that no other has",
                );
            }
            limits.extend(self.quota(name, entry));
        }
        limits
    }

    fn quota(&mut self, name: &Located<String>, raw: &RawLimit) -> Option<LimitConfig> {
        let per = raw.per.given().map(|per| self.apart(per));
        let texts = |field: &Field<Vec<String>>| {
            let given = field.given();
            given.map(|texts| texts.value.clone()).unwrap_or_default()
        };
        let only = Only {
            hosts: texts(&raw.hosts),
            models: texts(&raw.models),
            teams: texts(&raw.teams),
            workloads: texts(&raw.workloads),
        };
        let Counted {
            measure,
            max,
            currency,
        } = self.counted(name.span, raw)?;
        let ways = [("cut", OnExhausted::Cut), ("finish", OnExhausted::Finish)];
        let way = self.word(&raw.on_exhausted, "a way to meet the end of a limit", &ways);
        if let (Measure::Requests | Measure::Streams, Some(given)) =
            (measure, raw.on_exhausted.given())
        {
            self.problem(
                given.span,
                "only `tokens` and `money` can be used up while an answer runs",
                "take `on_exhausted` out",
            );
        }
        let window = match (measure, &raw.every) {
            (Measure::Streams, Field::Given(every)) => {
                self.problem(
                    every.span,
                    "what runs at the same time has no `every`",
                    "take `every` out, or give `requests` in place of `concurrent`",
                );
                None
            }
            (Measure::Streams, _) => Some(Window::Lasting),
            (_, Field::Given(every)) => self.window(every),
            (_, Field::Absent) => {
                self.problem(
                    name.span,
                    "`every` is missing",
                    "add every = \"1m\", \"1h\" or \"day\"",
                );
                None
            }
            (_, Field::Wrong) => None,
        };
        Some(LimitConfig {
            name: name.value.as_str().into(),
            measure,
            max,
            currency,
            on_exhausted: way.unwrap_or(OnExhausted::Finish),
            window: window?,
            per: per.unwrap_or_default(),
            only,
        })
    }

    /// A limit for what is not there would hold nobody.
    fn names(&mut self, entry: &RawLimit, raw: &RawConfig) {
        let text = |field: &'_ Field<String>| field.given().map(|text| text.value.clone());
        let of_upstream = |upstream: &RawUpstream| match &upstream.models {
            Field::Given(models) => models
                .value
                .iter()
                .filter_map(|one| text(&one.name))
                .collect(),
            _ => Vec::new(),
        };
        let mut models: Vec<String> = raw.upstreams.iter().flat_map(of_upstream).collect();
        models.extend(raw.pools.iter().filter_map(|pool| text(&pool.name)));
        let teams: Vec<String> = raw
            .workloads
            .iter()
            .filter_map(|one| text(&one.team))
            .collect();
        let ids: Vec<String> = raw
            .workloads
            .iter()
            .filter_map(|one| text(&one.id))
            .collect();
        for (named, what, known) in [
            (
                &entry.models,
                "upstream offers a model that is called",
                models,
            ),
            (&entry.teams, "workload is of the team", teams),
            (&entry.workloads, "workload has the id", ids),
        ] {
            let Some(named) = named.given() else { continue };
            for name in named.value.iter().filter(|name| !known.contains(name)) {
                let help = match closest(name, known.iter().map(String::as_str)) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "add it, or take it out of the limit".to_owned(),
                };
                self.problem(named.span, format!("no {what} `{name}`"), help);
            }
        }
    }

    fn counted(&mut self, span: Span, raw: &RawLimit) -> Option<Counted> {
        let numbers = [
            (Measure::Requests, &raw.requests),
            (Measure::Streams, &raw.concurrent),
            (Measure::Tokens, &raw.tokens),
        ];
        let mut wrong = matches!(raw.money, Field::Wrong);
        let mut found: Vec<Counted> = Vec::new();
        for (measure, field) in numbers {
            wrong |= matches!(field, Field::Wrong);
            found.extend(field.given().map(|max| Counted {
                measure,
                max: max.value,
                currency: None,
            }));
        }
        if let Some(money) = raw.money.given() {
            let read = self.money(money);
            wrong |= read.is_none();
            found.extend(read);
        }
        let one = found.pop();
        if !found.is_empty() {
            self.problem(
                span,
                "a limit counts one thing",
                "write a [[limit]] of its own for each of `requests`, `concurrent`, `tokens` and `money`",
            );
            return None;
        }
        if one.is_none() && !wrong {
            self.problem(
                span,
                "the limit does not say of what",
                "add requests = …, tokens = … or money = \"…\" with every = \"…\", or concurrent = …",
            );
        }
        one.filter(|_| !wrong)
    }

    fn money(&mut self, money: &Located<String>) -> Option<Counted> {
        let parts = money.value.trim().split_once(' ');
        let read = parts.and_then(|(amount, currency)| {
            let amount: Amount = amount.parse().ok()?;
            Some((amount, currency.trim_start().parse::<Currency>().ok()?))
        });
        let Some((Amount(max), currency)) = read else {
            self.problem(
                money.span,
                format!("`{}` is no amount of money", money.value),
                "write a plain decimal number and the code of its currency: \"100 USD\" or \"0.50 EUR\"",
            );
            return None;
        };
        Some(Counted {
            measure: Measure::Money,
            max,
            currency: Some(currency),
        })
    }

    fn apart(&mut self, per: &Located<Vec<String>>) -> Vec<Apart> {
        let mut parts = Vec::with_capacity(per.value.len());
        for word in &per.value {
            let known = APART.iter().find(|(known, _)| known == word);
            match known {
                Some((_, part)) if !parts.contains(part) => parts.push(*part),
                Some(_) => self.problem(
                    per.span,
                    format!("`{word}` stands twice in `per`"),
                    "take one of the two out",
                ),
                None => {
                    let known: Vec<&str> = APART.iter().map(|(word, _)| *word).collect();
                    self.problem(
                        per.span,
                        format!("`{word}` is nothing that can be counted apart"),
                        format!("choose of {}", known.join(", ")),
                    );
                }
            }
        }
        parts
    }

    fn window(&mut self, every: &Located<String>) -> Option<Window> {
        let window = match every.value.as_str() {
            "day" => Some(Window::Day),
            "month" => Some(Window::Month),
            "week" => Some(Window::Week),
            text => UNITS.iter().find_map(|(unit, seconds)| {
                let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
                let all = number.checked_mul(*seconds)?;
                let all = u32::try_from(all).ok()?;
                (1..=LIMIT_SECONDS_MAX)
                    .contains(&all)
                    .then_some(Window::Sliding(all))
            }),
        };
        if window.is_none() {
            self.problem(
                every.span,
                format!("`{}` is no time for which a limit can count", every.value),
                "write \"day\", \"week\" or \"month\", or from \"1s\" to \"24h\", such as \"30s\", \"5m\" or \"1h\"",
            );
        }
        window
    }
}
