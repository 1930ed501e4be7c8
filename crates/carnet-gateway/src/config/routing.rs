//! `[routing]` and `[[pool]]`: how often a request is tried, and which of several targets it goes to.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use toml_span::Span;

use super::{Check, RawConfig, RawUpstream, UpstreamConfig};
use crate::limits;
use crate::route::{BreakerTerms, RetryShare, RoutingConfig, Strategy};
use crate::section::{Field, Located, closest};

section! {
    /// How often a request is tried, and which of several offers of a model it goes to.
    RawRouting {
        required {}
        optional {
            /// Attempts for one request, the first included. Default 3; 1 tries nothing twice.
            attempts: u64,
            /// How often the same target may be asked again for one request. Default 0: its answer goes to the caller, who asks again
            /// by himself, and sees what he would have seen without Carnet.
            repeats: u64,
            /// Seconds for all attempts up to the head of an answer. Default 600, or the longest `first_byte_seconds`.
            total_seconds: u64,
            /// Milliseconds that are waited at most before the same target is asked again; chance says how long, and each
            /// time it may be twice as long. Default 250.
            backoff_milliseconds: u64,
            /// Milliseconds up to which that grows. Default 8000.
            backoff_milliseconds_max: u64,
            /// Seconds that an upstream may ask to be left alone and is waited for. When it asks for more, its answer goes to the
            /// caller. Default 10.
            retry_after_seconds_max: u64,
            /// Further attempts that failures of an upstream may cause, in percent of the requests to it in the last 10 seconds.
            /// Default 20.
            retry_percent: u64,
            /// The same for each of these seconds, however few requests there are. Default 3.
            retries_per_second: u64,
            /// Failures in a row after which a target is asked last. Default 5; 0 never puts one last.
            breaker_failures: u64,
            /// Failures in percent of at least 20 attempts in the last half minute after which a target is asked last. Default 50.
            breaker_percent: u64,
            /// Seconds after which one request finds out whether it is well again; each time that it is not, twice as many, up to
            /// 300. Default 5.
            breaker_seconds: u64,
            /// Which of several upstreams that offer a model is asked first: `first` (default) in the order of this file,
            /// `least-loaded`, `cheapest`, `nearest` or `weighted`, which without weights is chance.
            strategy: String,
            /// For `nearest`: country codes of jurisdictions, the best first.
            nearest: Vec<String>,
            /// Seconds after which a stream begins with comments although no upstream has begun to answer; from then on no
            /// other one is asked. Default 15; 0 waits for the upstream.
            commit_after_seconds: u64,
        }
    }
}

section! {
    /// A name under which callers reach one of several models of upstreams. Rules decide on each by itself.
    RawPool {
        required {
            /// The name that callers use.
            name: String,
            /// The models that it may be.
            members: Vec<RawMember>,
        }
        optional {
            /// Which of them is asked first: `first` in the order of this file, `least-loaded`, `cheapest`, `nearest` or `weighted`. Default: as
            /// `[routing]` says.
            strategy: String,
            /// For `nearest`: country codes of jurisdictions, the best first. Default: as `[routing]` says.
            nearest: Vec<String>,
            /// Milliseconds after which a second member is asked too while the first has not begun to answer; who begins
            /// first answers. Default: none is.
            hedge_after_milliseconds: u64,
        }
    }
}

section! {
    /// A model of an upstream, as a member of a pool.
    RawMember {
        required {
            /// Name of the upstream.
            upstream: String,
            /// The name under which it offers the model.
            model: String,
        }
        optional {
            /// How often it is asked first, against the weights of the others. Default 1.
            weight: u64,
        }
    }
}

/// A name that leads to one of several models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// The name.
    pub name: Arc<str>,
    /// Which member is asked first.
    pub strategy: Strategy,
    /// The places for the strategy that goes by them, the best first.
    pub nearest: Vec<String>,
    /// After how long a second member is asked too.
    pub hedge_after: Option<Duration>,
    /// Its members.
    pub members: Vec<MemberConfig>,
}

/// A member of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberConfig {
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// The name under which it offers the model.
    pub model: Arc<str>,
    /// How often it is asked first, against the others.
    pub weight: u32,
}

/// Most of anything that is counted here.
const MANY: u64 = 1_000_000;
const DAY: u64 = 24 * 60 * 60;

impl Check<'_> {
    pub(super) fn routing(
        &mut self,
        raw: Option<&RawRouting>,
        upstreams: &[UpstreamConfig],
    ) -> RoutingConfig {
        let none = RawRouting::default();
        let raw = raw.unwrap_or(&none);
        let longest = upstreams.iter().map(|upstream| upstream.first_byte_timeout);
        let total = longest.fold(limits::ATTEMPTS_TIME_MAX, Duration::max);
        let total = self.number(
            "total_seconds",
            &raw.total_seconds,
            1..=DAY,
            total.as_secs(),
        );
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(0);
        let backoff = self.number(
            "backoff_milliseconds",
            &raw.backoff_milliseconds,
            0..=60_000,
            milliseconds(limits::BACKOFF),
        );
        let backoff_max = self.number(
            "backoff_milliseconds_max",
            &raw.backoff_milliseconds_max,
            0..=600_000,
            milliseconds(limits::BACKOFF_MAX),
        );
        let retry_after = self.number(
            "retry_after_seconds_max",
            &raw.retry_after_seconds_max,
            0..=3_600,
            limits::RETRY_AFTER_SECONDS_MAX,
        );
        let commit = self.number(
            "commit_after_seconds",
            &raw.commit_after_seconds,
            0..=3_600,
            limits::COMMIT_AFTER_SECONDS,
        );
        let attempts = self.number(
            "attempts",
            &raw.attempts,
            1..=limits::ATTEMPTS_MAX.into(),
            limits::ATTEMPTS.into(),
        );
        let repeats = self.number(
            "repeats",
            &raw.repeats,
            0..=u64::from(limits::ATTEMPTS_MAX) - 1,
            0,
        );
        let retries = RetryShare {
            percent: small(self.number(
                "retry_percent",
                &raw.retry_percent,
                0..=1_000,
                limits::RETRY_PERCENT,
            )),
            per_second: small(self.number(
                "retries_per_second",
                &raw.retries_per_second,
                0..=MANY,
                limits::RETRIES_PER_SECOND,
            )),
        };
        let failures = self.number(
            "breaker_failures",
            &raw.breaker_failures,
            0..=MANY,
            limits::BREAKER_FAILURES,
        );
        let percent = self.number(
            "breaker_percent",
            &raw.breaker_percent,
            1..=100,
            limits::BREAKER_PERCENT,
        );
        let open = self.number(
            "breaker_seconds",
            &raw.breaker_seconds,
            1..=limits::BREAKER_TIME_MAX.as_secs(),
            limits::BREAKER_SECONDS,
        );
        let strategy = self.word(&raw.strategy, "a strategy", &Strategy::ALL);
        let nearest = self.places(&raw.nearest);
        let strategy = strategy.unwrap_or_default();
        self.fits((strategy, &raw.strategy), &raw.nearest, &nearest);
        RoutingConfig {
            attempts: small(attempts),
            repeats: small(repeats),
            total: Duration::from_secs(total),
            backoff: Duration::from_millis(backoff),
            backoff_max: Duration::from_millis(backoff_max.max(backoff)),
            retry_after_max: Duration::from_secs(retry_after),
            retries,
            breaker: BreakerTerms {
                failures: small(failures),
                percent: small(percent),
                attempts_min: limits::BREAKER_ATTEMPTS_MIN,
                open: Duration::from_secs(open),
                open_max: limits::BREAKER_TIME_MAX,
            },
            strategy,
            nearest,
            commit_after: (commit > 0).then(|| Duration::from_secs(commit)),
        }
    }

    pub(super) fn number(
        &mut self,
        name: &str,
        field: &Field<u64>,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let Some(given) = field.given() else {
            return default;
        };
        if !range.contains(&given.value) {
            self.problem(
                given.span,
                format!("`{name}` is {}", given.value),
                format!("choose a number from {} to {}", range.start(), range.end()),
            );
        }
        given.value
    }

    fn places(&mut self, field: &Field<Vec<String>>) -> Vec<String> {
        let Some(places) = field.given() else {
            return Vec::new();
        };
        for code in &places.value {
            self.country_code(code, places.span);
        }
        places.value.clone()
    }

    /// A strategy that goes by places needs some, and no other does.
    fn fits(
        &mut self,
        (strategy, word): (Strategy, &Field<String>),
        given: &Field<Vec<String>>,
        nearest: &[String],
    ) {
        match (strategy, word.given(), given) {
            (Strategy::Nearest, Some(word), Field::Absent | Field::Given(_))
                if nearest.is_empty() =>
            {
                self.problem(
                    word.span,
                    "nobody says what is near",
                    "add nearest = [\"…\", \"…\"] with country codes, the best first",
                );
            }
            (Strategy::Nearest, ..) => {}
            (_, _, Field::Given(places)) => {
                self.problem(
                    places.span,
                    "only the strategy `nearest` goes by places",
                    "write strategy = \"nearest\", or take `nearest` out",
                );
            }
            _ => {}
        }
    }

    pub(super) fn pools(&mut self, raw: &RawConfig, routing: &RoutingConfig) -> Vec<PoolConfig> {
        // What could not be read may be what a pool means.
        let readable = self.problems.is_empty();
        let mut pools: Vec<PoolConfig> = Vec::with_capacity(raw.pools.len());
        for entry in &raw.pools {
            let Some(name) = entry.name.given() else {
                continue;
            };
            if name.value.is_empty() || pools.iter().any(|other| *other.name == *name.value) {
                self.problem(
                    name.span,
                    format!("`{}` is no name of its own", name.value),
                    "give each pool a name that no other has",
                );
            }
            let offers = raw.upstreams.iter().find(|one| offers(one, &name.value));
            if let Some(upstream) = offers {
                let upstream = upstream.name.given().map_or("", |name| &name.value);
                self.problem(
                    name.span,
                    format!(
                        "the pool is called `{}`, as is a model of `{upstream}`",
                        name.value
                    ),
                    "give it a name that no model has; where a model is offered by several upstreams, `[routing]` says which \
                     is asked first",
                );
            }
            let known = readable.then_some(&*raw.upstreams);
            pools.extend(self.pool(name, entry, (known, routing)));
        }
        pools
    }

    fn pool(
        &mut self,
        name: &Located<String>,
        raw: &RawPool,
        (known, routing): (Option<&[RawUpstream]>, &RoutingConfig),
    ) -> Option<PoolConfig> {
        let strategy = match raw.strategy {
            Field::Given(_) => self.word(&raw.strategy, "a strategy", &Strategy::ALL)?,
            _ => routing.strategy,
        };
        let mut nearest = self.places(&raw.nearest);
        if nearest.is_empty() && matches!(raw.nearest, Field::Absent) {
            nearest = routing.nearest.clone();
        }
        self.fits((strategy, &raw.strategy), &raw.nearest, &nearest);
        let entries = raw.members.given()?;
        let mut members: Vec<MemberConfig> = Vec::with_capacity(entries.value.len());
        for entry in &entries.value {
            let (Some(upstream), Some(model)) = (entry.upstream.given(), entry.model.given())
            else {
                continue;
            };
            if let Some(known) = known {
                self.member((upstream, model), known);
            }
            let same =
                |one: &MemberConfig| *one.upstream == *upstream.value && *one.model == *model.value;
            if members.iter().any(same) {
                self.problem(
                    model.span,
                    format!(
                        "`{}` of `{}` is listed twice here",
                        model.value, upstream.value
                    ),
                    "take one of the two out; with strategy = \"weighted\" a `weight` says how often one is asked",
                );
            }
            if let Some(weight) = entry
                .weight
                .given()
                .filter(|_| strategy != Strategy::Weighted)
            {
                self.problem(
                    weight.span,
                    "only the strategy `weighted` goes by weights",
                    "write strategy = \"weighted\", or take `weight` out",
                );
            }
            members.push(MemberConfig {
                upstream: upstream.value.as_str().into(),
                model: model.value.as_str().into(),
                weight: small(self.number("weight", &entry.weight, 0..=MANY, 1)),
            });
        }
        self.several(name.span, entries, &members);
        let hedge = raw.hedge_after_milliseconds.given().map(|after| {
            if members.len() < 2 {
                self.problem(
                    after.span,
                    "there is no second member that could be asked",
                    "add one, or take `hedge_after_milliseconds` out",
                );
            }
            let field = &raw.hedge_after_milliseconds;
            self.number("hedge_after_milliseconds", field, 1..=600_000, 0)
        });
        Some(PoolConfig {
            name: name.value.as_str().into(),
            strategy,
            nearest,
            hedge_after: hedge.map(Duration::from_millis),
            members,
        })
    }

    fn several(&mut self, span: Span, entries: &Located<Vec<RawMember>>, members: &[MemberConfig]) {
        if entries.value.is_empty() {
            self.problem(
                span,
                "a pool without members leads nowhere",
                "add members = [{ upstream = \"…\", model = \"…\" }]",
            );
        } else if members.len() > limits::POOL_MEMBERS_MAX {
            self.problem(
                span,
                format!("the pool has {} members", members.len()),
                format!("it may have {}", limits::POOL_MEMBERS_MAX),
            );
        } else if !members.is_empty() && members.iter().all(|one| one.weight == 0) {
            self.problem(
                span,
                "every weight is 0",
                "give at least one member a weight of 1 or more",
            );
        }
    }

    /// A member that nobody offers would never be asked.
    fn member(
        &mut self,
        (upstream, model): (&Located<String>, &Located<String>),
        known: &[RawUpstream],
    ) {
        let name = |one: &RawUpstream| one.name.given().map(|name| name.value.clone());
        let meant = |text: &str, known: &[String], what: &str| {
            let meant = closest(text, known.iter().map(String::as_str));
            meant.map_or_else(
                || {
                    format!(
                        "add it, or take the member out; {what} {}",
                        known.join(", ")
                    )
                },
                |meant| format!("did you mean `{meant}`?"),
            )
        };
        let mut all = known.iter();
        let Some(entry) = all.find(|one| name(one).as_ref() == Some(&upstream.value)) else {
            let names: Vec<String> = known.iter().filter_map(name).collect();
            self.problem(
                upstream.span,
                format!("no upstream is named `{}`", upstream.value),
                meant(&upstream.value, &names, "there are"),
            );
            return;
        };
        if offers(entry, &model.value) {
            return;
        }
        let models = entry.models.given().into_iter();
        let names: Vec<String> = models
            .flat_map(|models| &models.value)
            .filter_map(|model| Some(model.name.given()?.value.clone()))
            .collect();
        self.problem(
            model.span,
            format!(
                "`{}` offers no model that is called `{}`",
                upstream.value, model.value
            ),
            meant(&model.value, &names, "it offers"),
        );
    }
}

/// Whether an upstream offers a model under this name.
fn offers(upstream: &RawUpstream, model: &str) -> bool {
    let models = upstream.models.given().into_iter();
    let mut names =
        models.flat_map(|models| models.value.iter().filter_map(|one| one.name.given()));
    names.any(|name| name.value == model)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
