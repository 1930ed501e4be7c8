//! Callers who show a token of an issuer that the configuration trusts, in place of a key.
//!
//! What costs time is done once for each token: its signature is checked with a public key of the issuer, and then it is known by its digest.
//! Keys are fetched beside the requests. A request waits for a fetch only when its token cannot be told without it.

mod fetch;
mod jwks;
mod known;
mod strict;
#[cfg(test)]
mod tests;
mod token;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use carnet_limits::{KeyDigest, KeyEntry, KeyId, KeyRecord, KeyTerms};
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::fetch::is_here;
pub use self::jwks::Algorithm;
use self::jwks::{KeySet, Unverified};
use self::known::{Checked, Known};
use self::token::{Claims, Refused, Token};
use crate::caller::Caller;
use crate::codes::Code;
use crate::config::{IssuerConfig, Role};
use crate::error::Fault;
use crate::gateway::Gateway;
use crate::limits::{
    ISSUER_HURRY_EVERY, ISSUER_KEYS_TIME_MAX, ISSUER_REFRESH_EVERY, ISSUER_RETRY_FIRST,
    ISSUER_RETRY_MAX, ISSUER_WAIT_MAX,
};

/// Who administrates, by a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator {
    /// The issuer's name with the token's subject.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
}

/// Why a token does not let its bearer administrate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// It is none of an issuer's tokens, or not a good one; what is wrong with it.
    Invalid(String),
    /// It gives no role; whose it is.
    NoRole(String),
    /// It cannot be checked now.
    Unavailable(String),
}

impl From<Fault> for NotAdmitted {
    fn from(fault: Fault) -> Self {
        match fault.code {
            Code::IssuerUnavailable => Self::Unavailable(fault.message),
            Code::TokenUnmapped => Self::NoRole(fault.message),
            _ => Self::Invalid(fault.message),
        }
    }
}

/// The issuers of one generation.
#[derive(Debug, Default)]
pub(crate) struct Issuers(Vec<Arc<Issuer>>);

/// An issuer with the keys that it has now.
#[derive(Debug)]
pub(crate) struct Issuer {
    config: IssuerConfig,
    /// PEM of the authorities that its address is checked against.
    ca: Option<Vec<u8>>,
    state: Mutex<State>,
    known: Known,
    /// Counts the attempts to fetch keys that have ended.
    attempts: watch::Sender<u64>,
    /// Told when keys are wanted before their time.
    wanted: Notify,
    /// Cancelled when the configuration no longer has the issuer.
    revoked: CancellationToken,
}

/// What is known of an issuer's keys. Held for a look, never over I/O.
#[derive(Debug)]
struct State {
    held: Option<Held>,
    /// When keys are fetched next.
    due: Instant,
    /// When they were tried to be fetched last.
    tried: Option<Instant>,
    /// How long it takes until they are tried again after a failure.
    retry: Duration,
}

#[derive(Clone, Debug)]
struct Held {
    keys: Arc<KeySet>,
    number: u64,
    fetched: Instant,
}

/// Numbers of key sets, so that none is taken for another.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl Issuers {
    /// Those of a configuration. One that stays as it was keeps its keys, and one that keeps its name the answers that run.
    pub(crate) fn new(
        configs: Vec<(IssuerConfig, Option<Vec<u8>>)>,
        previous: Option<&Self>,
    ) -> Self {
        let previous = previous.map_or(&[][..], |previous| &previous.0);
        let issuer = |(config, ca): (IssuerConfig, Option<Vec<u8>>)| {
            let before = previous
                .iter()
                .find(|other| other.config.name == config.name);
            match before {
                Some(same) if same.config == config && same.ca == ca => same.clone(),
                _ => {
                    let revoked = before.map(|before| before.revoked.clone());
                    Arc::new(Issuer::new(config, ca, revoked.unwrap_or_default()))
                }
            }
        };
        Self(configs.into_iter().map(issuer).collect())
    }

    /// Cut what runs with tokens of issuers that `next` no longer has.
    pub(crate) fn retire(&self, next: &Self) {
        for issuer in &self.0 {
            let stays = |other: &Arc<Issuer>| other.config.name == issuer.config.name;
            if !next.0.iter().any(stays) {
                issuer.revoked.cancel();
            }
        }
    }

    /// Cut all that runs with tokens.
    pub(crate) fn cancel_all(&self) {
        for issuer in &self.0 {
            issuer.revoked.cancel();
        }
    }

    /// Whether a text that is no key may be a token of one of them.
    pub(crate) fn may_know(&self, text: &str) -> bool {
        !self.0.is_empty() && Token::is_meant(text)
    }

    /// Who shows a token.
    pub(crate) async fn caller(&self, text: &str, now: Timestamp) -> Result<Caller, Fault> {
        let digest = KeyDigest::of(text);
        let known = self.0.iter().find_map(|issuer| {
            let held = issuer.held(Instant::now())?;
            let key = issuer.known.find(&digest, held.number, now)?;
            Some(issuer.caller(key))
        });
        if let Some(caller) = known {
            return Ok(caller);
        }
        let (issuer, token, keys) = self.verified(text).await?;
        let key = issuer.entry(digest, &token.claims, now)?;
        let until = key.terms.expires.unwrap_or(now);
        let checked = Checked {
            keys,
            until,
            key: key.clone(),
        };
        issuer.known.insert(digest, checked, now);
        Ok(issuer.caller(key))
    }

    /// Which administrator shows a token.
    pub(crate) async fn administrator(
        &self,
        text: &str,
        now: Timestamp,
    ) -> Result<Administrator, Fault> {
        let (issuer, token, _) = self.verified(text).await?;
        let config = &issuer.config;
        let accepted = token.claims.accept(config, &config.admin_audiences, now);
        let accepted = accepted.map_err(refused)?;
        let mut rules = config.admins.iter();
        let rule = rules.find(|rule| token.claims.has(&rule.wants.0, &rule.wants.1));
        let rule = rule.ok_or_else(|| {
            let message = format!(
                "the token of `{}` is good, but none of its claims gives a role; whoever configures Carnet adds a rule to `admins` of the \
                 issuer `{}`",
                accepted.subject.escape_debug(),
                config.name
            );
            Fault::new(Code::TokenUnmapped, message)
        })?;
        Ok(Administrator {
            name: format!("{}:{}", config.name, accepted.subject).into(),
            role: rule.role,
        })
    }

    /// A token that its issuer has signed, with the number of the key set that says so.
    async fn verified<'a>(&self, text: &'a str) -> Result<(&Issuer, Token<'a>, u64), Fault> {
        let token = Token::read(text).map_err(refused)?;
        let named = token.claims.issuer();
        let mut issuers = self.0.iter();
        let issuer = issuers.find(|issuer| Some(&*issuer.config.issuer) == named);
        let issuer = issuer
            .ok_or_else(|| refused(Refused::Invalid("no issuer is configured that it names")))?;
        let keys = issuer.verified(&token).await?;
        Ok((issuer, token, keys))
    }
}

impl Issuer {
    fn new(config: IssuerConfig, ca: Option<Vec<u8>>, revoked: CancellationToken) -> Self {
        Self {
            config,
            ca,
            state: Mutex::new(State {
                held: None,
                due: Instant::now(),
                tried: None,
                retry: ISSUER_RETRY_FIRST,
            }),
            known: Known::default(),
            attempts: watch::Sender::new(0),
            wanted: Notify::new(),
            revoked,
        }
    }

    fn caller(&self, key: KeyEntry) -> Caller {
        Caller {
            key,
            revoked: self.revoked.clone(),
        }
    }

    /// The keys, while they may be used: for some time also when there are no newer ones to be had.
    fn held(&self, now: Instant) -> Option<Held> {
        let state = self.state();
        let held = state.held.as_ref()?;
        (now.duration_since(held.fetched) < ISSUER_KEYS_TIME_MAX).then(|| held.clone())
    }

    /// Check the signature of a token; the number of the key set that has its key.
    async fn verified(&self, token: &Token<'_>) -> Result<u64, Fault> {
        if !self.config.algorithms.contains(&token.algorithm) {
            return Err(refused(Refused::Invalid(
                "it is signed in a way that the configuration does not accept of its issuer",
            )));
        }
        let named = (token.algorithm, token.key_id.as_deref());
        let check = |held: &Held| held.keys.verify(named, token.signed, &token.signature);
        let mut attempts = self.attempts.subscribe();
        let mut found = self.held(Instant::now());
        let missing = match &found {
            Some(held) => check(held) == Err(Unverified::NoKey),
            None => true,
        };
        if missing && self.hurry(Instant::now(), found.is_none()) {
            // Keys may have changed; whoever else waits, waits for the same fetch.
            let _ = timeout(ISSUER_WAIT_MAX, attempts.changed()).await;
            found = self.held(Instant::now());
        }
        let held = found.ok_or_else(|| self.unavailable())?;
        match check(&held) {
            Ok(()) => Ok(held.number),
            Err(Unverified::NoKey | Unverified::OtherKind) => Err(refused(Refused::Invalid(
                "its issuer has no key of its `kid` for its `alg`",
            ))),
            Err(Unverified::Wrong) => Err(refused(Refused::Invalid(
                "its signature is not that of its issuer",
            ))),
        }
    }

    /// Have keys fetched now, unless that was done just before; whether there is something to wait for.
    fn hurry(&self, now: Instant, has_none: bool) -> bool {
        let mut state = self.state();
        // While there are no keys at all, the retries come by themselves and soon.
        let often = if has_none {
            ISSUER_RETRY_FIRST
        } else {
            ISSUER_HURRY_EVERY
        };
        if state.due > now {
            let just = state
                .tried
                .is_some_and(|tried| now.duration_since(tried) < often);
            if just {
                return false;
            }
            state.due = now;
        }
        drop(state);
        self.wanted.notify_one();
        true
    }

    /// What an accepted token stands for: as if it were a key of the workload that its claims lead to.
    fn entry(&self, digest: KeyDigest, claims: &Claims, now: Timestamp) -> Result<KeyEntry, Fault> {
        let accepted = claims.accept(&self.config, &self.config.audiences, now);
        let accepted = accepted.map_err(refused)?;
        let leads = self.config.rules.iter().find(|rule| {
            let wants = rule.wants.as_ref();
            wants.is_none_or(|(claim, value)| claims.has(claim, value))
        });
        let rule = leads.ok_or_else(|| {
            let message = format!(
                "the token of `{}` is good, but none of its claims leads to a workload; ask your operator to add a rule to the issuer `{}`",
                accepted.subject.escape_debug(),
                self.config.name
            );
            Fault::new(Code::TokenUnmapped, message)
        })?;
        Ok(Arc::new(KeyRecord {
            id: KeyId::from_text(&format!("{}:{}", self.config.name, accepted.subject)),
            digest,
            former: Box::default(),
            workload: rule.workload.clone(),
            note: String::new(),
            created: now,
            revoked: None,
            terms: KeyTerms {
                expires: Some(accepted.until),
                ..KeyTerms::default()
            },
        }))
    }

    fn unavailable(&self) -> Fault {
        let message = format!(
            "the keys of the issuer `{}` cannot be had now, so no token of it can be checked; ask again later",
            self.config.name
        );
        Fault::new(Code::IssuerUnavailable, message).retry_after(5)
    }

    /// Take over what a fetch came to.
    fn fetched(&self, keys: Result<KeySet, fetch::NoKeys>, now: Instant) {
        let mut state = self.state();
        match keys {
            Ok(keys) => {
                let same = state.held.as_ref().filter(|held| *held.keys == keys);
                let (keys, number) = match same {
                    // Tokens that were checked with the same keys need not be again.
                    Some(same) => (same.keys.clone(), same.number),
                    None => (Arc::new(keys), NEXT.fetch_add(1, Ordering::Relaxed)),
                };
                state.held = Some(Held {
                    keys,
                    number,
                    fetched: now,
                });
                state.retry = ISSUER_RETRY_FIRST;
                state.due = now + ISSUER_REFRESH_EVERY;
            }
            Err(why) => {
                tracing::warn!(issuer = &*self.config.name, %why, "the keys of an issuer could not be fetched");
                state.due = now + state.retry;
                state.retry = (state.retry * 2).min(ISSUER_RETRY_MAX);
            }
        }
        drop(state);
        self.attempts
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Fetch keys again and again, as they fall due.
    async fn keep(self: Arc<Self>) {
        loop {
            let now = Instant::now();
            let due = {
                let mut state = self.state();
                if state.due <= now {
                    state.tried = Some(now);
                    None
                } else {
                    Some(state.due.duration_since(now))
                }
            };
            match due {
                None => {
                    let keys = fetch::keys(&self.config, self.ca.as_deref()).await;
                    self.fetched(keys, Instant::now());
                }
                Some(time) => tokio::select! {
                    () = sleep(time) => {}
                    () = self.wanted.notified() => {}
                },
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keep the keys of all issuers fresh, also of those that a later generation has.
pub(crate) async fn keep(gateway: Arc<Gateway>) {
    // With this task end those that it began.
    let mut running = JoinSet::new();
    let mut kept: Vec<(Arc<Issuer>, AbortHandle)> = Vec::new();
    loop {
        let swapped = gateway.swapped();
        {
            let generation = gateway.generation();
            let current = &generation.issuers().0;
            kept.retain(|(issuer, task)| {
                let stays = current.iter().any(|other| Arc::ptr_eq(other, issuer));
                if !stays {
                    task.abort();
                }
                stays
            });
            for issuer in current {
                if !kept.iter().any(|(other, _)| Arc::ptr_eq(other, issuer)) {
                    let task = running.spawn(issuer.clone().keep());
                    kept.push((issuer.clone(), task));
                }
            }
        }
        while running.try_join_next().is_some() {}
        swapped.await;
    }
}

fn refused(why: Refused) -> Fault {
    match why {
        Refused::Expired(until) => {
            let message = format!("this token was good until {until}; get a new one");
            Fault::new(Code::TokenExpired, message)
        }
        Refused::Invalid(what) => {
            let message = format!("this token is not accepted: {what}");
            Fault::new(Code::TokenInvalid, message)
        }
    }
}
