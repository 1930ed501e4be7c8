//! What the operator's limits leave of a request: everything that it comes under is taken before it is sent, or nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use carnet_limits::{Claim, Exhausted, Ledger, Limit, Measure, Reservation};
use carnet_policy::Workload;
use carnet_provenance::{Amount, Currency};
use jiff::Timestamp;
use smallvec::SmallVec;

use crate::caller::Caller;
use crate::codes::Code;
use crate::config::{Apart, LimitConfig, OnExhausted};
use crate::error::Fault;
use crate::limits::CONCURRENT_RETRY_SECONDS;
use crate::resolve::Offer;
use crate::spend::{Metering, Spending};

/// The limits of one generation. What has been used of them outlives it.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    ledger: Arc<Ledger>,
    limits: Vec<Quota>,
    /// Whether any of them counts tokens or money.
    meters: bool,
    callers: HashMap<Arc<str>, CallerParts>,
}

#[derive(Debug)]
struct Quota {
    config: LimitConfig,
    limit: Limit,
}

/// What limits know of a workload beside its id.
#[derive(Debug)]
struct CallerParts {
    team: Box<str>,
    tenant: Box<str>,
}

/// A request, as limits see it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) caller: &'a Caller,
    /// The name that was asked for.
    pub(crate) model: &'a str,
    pub(crate) offer: &'a Offer,
}

/// A limit that is used up, with what the caller is told.
pub(crate) struct UsedUp {
    pub(crate) limit: Arc<str>,
    pub(crate) fault: Fault,
}

/// Stands between the parts of who is counted; no name has it.
const BETWEEN: char = '\u{1f}';

impl Quotas {
    pub(crate) fn new(
        ledger: Arc<Ledger>,
        limits: Vec<LimitConfig>,
        workloads: &[Workload],
    ) -> Self {
        let limit = |config: LimitConfig| Quota {
            limit: ledger.limit(&config.name, config.measure, config.window, config.max),
            config,
        };
        let parts = |workload: &Workload| {
            let parts = CallerParts {
                team: workload.team.as_str().into(),
                tenant: workload.tenant.as_str().into(),
            };
            (workload.id.as_str().into(), parts)
        };
        Self {
            meters: limits.iter().any(LimitConfig::meters),
            limits: limits.into_iter().map(limit).collect(),
            callers: workloads.iter().map(parts).collect(),
            ledger,
        }
    }

    /// Where everything is counted.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Whether any limit counts tokens or money.
    pub(crate) fn meters(&self) -> bool {
        self.meters
    }

    /// What the limits of tokens and money need to know of a request that comes under one.
    pub(crate) fn metering(&self, asked: Asked<'_>) -> Result<Option<Metering>, Fault> {
        if !self.meters {
            return Ok(None);
        }
        let caller = self.callers.get(&asked.caller.key.workload);
        let mut cuts = Vec::new();
        let mut first = None;
        let metered = self.limits.iter().filter(|quota| quota.config.meters());
        for quota in metered.filter(|quota| quota.is_for(caller, asked)) {
            if let Some(currency) = &quota.config.currency {
                check_price(&quota.config.name, currency, asked)?;
            }
            if quota.config.on_exhausted == OnExhausted::Cut {
                cuts.push(quota.config.name.clone());
            }
            first.get_or_insert(&quota.config.name);
        }
        Ok(first.map(|limit| Metering {
            limit: limit.clone(),
            price: asked.offer.price.clone(),
            cuts,
        }))
    }

    /// Take what a request needs of all limits that it comes under; nothing where it comes under none. One that nothing
    /// is made for takes no tokens and no money.
    pub(crate) fn reserve(
        &self,
        asked: Asked<'_>,
        spending: Option<&Spending>,
        now: Timestamp,
    ) -> Result<Option<Reservation>, UsedUp> {
        if self.limits.is_empty() {
            return Ok(None);
        }
        let caller = self.callers.get(&asked.caller.key.workload);
        let counted: SmallVec<[(&Quota, String); 4]> = self
            .limits
            .iter()
            .filter(|quota| spending.is_some() || !quota.config.meters())
            .filter(|quota| quota.is_for(caller, asked))
            .map(|quota| (quota, quota.who(caller, asked)))
            .collect();
        let claims: SmallVec<[Claim<'_>; 4]> = counted
            .iter()
            .map(|(quota, who)| Claim {
                limit: &quota.limit,
                who,
                amount: match (quota.config.measure, spending) {
                    (Measure::Money, Some(spending)) => spending.cost(),
                    (Measure::Tokens, Some(spending)) => spending.tokens(),
                    _ => 1,
                },
            })
            .collect();
        if claims.is_empty() {
            return Ok(None);
        }
        let reserved = Ledger::reserve(&claims, now);
        reserved.map(Some).map_err(|why| UsedUp {
            fault: self.fault(&why),
            limit: why.limit,
        })
    }

    /// What the caller is told of a limit that is used up.
    fn fault(&self, why: &Exhausted) -> Fault {
        let mut configs = self.limits.iter().map(|quota| &quota.config);
        let config = configs.find(|config| config.name == why.limit);
        let per = config.map(|config| &*config.per).unwrap_or_default();
        fault(why, per, config.and_then(|config| config.currency.as_ref()))
    }
}

/// A limit of money holds only what has a price in its currency.
fn check_price(limit: &str, currency: &Currency, asked: Asked<'_>) -> Result<(), Fault> {
    let (model, upstream) = (asked.offer.own_name(), asked.offer.upstream.name());
    let help = format!(
        "ask your operator to add price = {{ currency = \"{currency}\", input = \"…\", output = \"…\" }}, of a million \
         tokens, to the model's entry of the upstream"
    );
    let message = match &asked.offer.price {
        Some(price) if price.currency == *currency => return Ok(()),
        Some(price) => format!(
            "`{limit}` counts {currency}, and what `{model}` costs at `{upstream}` is known in {} only; {help}",
            price.currency
        ),
        None => format!(
            "`{limit}` counts {currency}, and nobody says what `{model}` costs at `{upstream}`; {help}"
        ),
    };
    Err(Fault::new(Code::PriceUnknown, message).param("model"))
}

impl LimitConfig {
    /// Whether it counts what is known only when an answer is over.
    fn meters(&self) -> bool {
        matches!(self.measure, Measure::Money | Measure::Tokens)
    }
}

impl Quota {
    fn is_for(&self, caller: Option<&CallerParts>, asked: Asked<'_>) -> bool {
        let only = &self.config.only;
        let host = asked.offer.host.as_deref().unwrap_or_default();
        let team = caller.map_or("", |caller| &caller.team);
        let among = |names: &[String], name: &str| {
            names.is_empty() || names.iter().any(|known| known == name)
        };
        // A pool is no way around a limit of one of its members.
        let model = |name: &str| among(&only.models, name);
        among(&only.hosts, host)
            && (model(asked.model) || model(&asked.offer.listed))
            && among(&only.teams, team)
            && among(&only.workloads, &asked.caller.key.workload)
    }

    /// Who is counted, of all that the limit counts apart.
    fn who(&self, caller: Option<&CallerParts>, asked: Asked<'_>) -> String {
        let mut who = String::new();
        for (at, part) in self.config.per.iter().enumerate() {
            if at > 0 {
                who.push(BETWEEN);
            }
            who.push_str(match part {
                Apart::Host => asked.offer.host.as_deref().unwrap_or_default(),
                Apart::Key => asked.caller.key.id.as_str(),
                Apart::Model => &asked.offer.listed,
                Apart::Team => caller.map_or("", |caller| &caller.team),
                Apart::Tenant => caller.map_or("", |caller| &caller.tenant),
                Apart::Upstream => asked.offer.upstream.name(),
                Apart::Workload => &asked.caller.key.workload,
            });
        }
        who
    }
}

/// What the caller is told.
fn fault(why: &Exhausted, per: &[Apart], currency: Option<&Currency>) -> Fault {
    let of: Vec<&str> = per.iter().map(|part| part.told()).collect();
    let of = if of.is_empty() {
        "all callers".to_owned()
    } else {
        of.join(" and ")
    };
    let (limit, max) = (&why.limit, why.max);
    let amount = |amount: u64| match (why.measure, currency) {
        (Measure::Money, Some(currency)) => format!("{} {currency}", Amount(amount)),
        (measure, _) => format!("{amount} {measure}", measure = measure.as_str()),
    };
    let metered = matches!(why.measure, Measure::Money | Measure::Tokens);
    let (message, wait) = match (why.measure, why.wait.map(seconds)) {
        (Measure::Streams, _) if max > 0 => (
            format!(
                "`{limit}` lets {max} requests of {of} run at the same time, and so many do; wait until one ends"
            ),
            Some(CONCURRENT_RETRY_SECONDS),
        ),
        (_, Some(wait)) if metered => (
            format!(
                "`{limit}` lets {of} use {}, of which {} are left, and this request may take {}; ask again in {wait} \
                 seconds, or for a shorter answer",
                amount(max),
                amount(why.left),
                amount(why.wanted)
            ),
            Some(wait),
        ),
        (_, Some(wait)) => (
            format!(
                "`{limit}` lets {of} send {max} requests, and they are used up; ask again in {wait} seconds"
            ),
            Some(wait),
        ),
        (_, None) if metered && max > 0 && why.wanted > max => (
            format!(
                "`{limit}` lets {of} use {}, and this request alone may take {}; shorten it, or ask for a shorter answer",
                amount(max),
                amount(why.wanted)
            ),
            None,
        ),
        (_, None) if max > 0 => (
            format!(
                "`{limit}` counts too many apart to count {of} too; ask your operator to count fewer by its `per`"
            ),
            None,
        ),
        (_, None) => (
            format!("`{limit}` lets {of} send no request; ask your operator to raise it"),
            None,
        ),
    };
    let fault = Fault::new(Code::LimitReached, message);
    match wait {
        Some(seconds) => fault.retry_after(seconds),
        None => fault,
    }
}

impl Apart {
    fn told(self) -> &'static str {
        match self {
            Self::Host => "this host",
            Self::Key => "this key",
            Self::Model => "this model",
            Self::Team => "this team",
            Self::Tenant => "this tenant",
            Self::Upstream => "this upstream",
            Self::Workload => "this workload",
        }
    }
}

fn seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1)
}
