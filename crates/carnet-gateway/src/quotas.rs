//! What the operator's limits leave of a request: everything that it comes under is taken before it is sent, or nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use carnet_limits::{Claim, Exhausted, Ledger, Limit, Measure, Reservation};
use carnet_policy::Workload;
use jiff::Timestamp;
use smallvec::SmallVec;

use crate::caller::Caller;
use crate::codes::Code;
use crate::config::{Apart, LimitConfig};
use crate::error::Fault;
use crate::limits::CONCURRENT_RETRY_SECONDS;
use crate::resolve::Offer;

/// The limits of one generation. What has been used of them outlives it.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    ledger: Arc<Ledger>,
    limits: Vec<Quota>,
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
            limits: limits.into_iter().map(limit).collect(),
            callers: workloads.iter().map(parts).collect(),
            ledger,
        }
    }

    /// Where everything is counted.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Take what a request needs of all limits that it comes under; nothing where it comes under none.
    pub(crate) fn reserve(
        &self,
        asked: Asked<'_>,
        now: Timestamp,
    ) -> Result<Option<Reservation>, UsedUp> {
        if self.limits.is_empty() {
            return Ok(None);
        }
        let caller = self.callers.get(&asked.caller.key.workload);
        let counted: SmallVec<[(&Quota, String); 4]> = self
            .limits
            .iter()
            .filter(|quota| quota.is_for(caller, asked))
            .map(|quota| (quota, quota.who(caller, asked)))
            .collect();
        let claims: SmallVec<[Claim<'_>; 4]> = counted
            .iter()
            .map(|(quota, who)| Claim {
                limit: &quota.limit,
                who,
                amount: 1,
            })
            .collect();
        if claims.is_empty() {
            return Ok(None);
        }
        let reserved = Ledger::reserve(&claims, now);
        reserved.map(Some).map_err(|why| {
            let of = counted.iter().map(|(quota, _)| &quota.config);
            let of = of
                .filter(|config| config.name == why.limit)
                .map(|config| &*config.per);
            UsedUp {
                fault: fault(&why, of.flatten()),
                limit: why.limit,
            }
        })
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
        among(&only.hosts, host)
            && among(&only.models, asked.model)
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
                Apart::Model => asked.model,
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
fn fault<'a>(why: &Exhausted, per: impl Iterator<Item = &'a Apart>) -> Fault {
    let of: Vec<&str> = per.map(|part| part.told()).collect();
    let of = if of.is_empty() {
        "all callers".to_owned()
    } else {
        of.join(" and ")
    };
    let (limit, max) = (&why.limit, why.max);
    let (message, wait) = match (why.measure, why.wait) {
        (Measure::Streams, _) if max > 0 => (
            format!(
                "`{limit}` lets {max} requests of {of} run at the same time, and so many do; wait until one ends"
            ),
            Some(CONCURRENT_RETRY_SECONDS),
        ),
        (_, Some(wait)) => {
            let seconds = seconds(wait);
            (
                format!(
                    "`{limit}` lets {of} send {max} requests, and they are used up; ask again in {seconds} seconds"
                ),
                Some(seconds),
            )
        }
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
