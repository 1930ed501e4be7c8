//! Stage 1, identify: credentials become a caller, or are counted as a stranger's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use carnet_limits::{Found, KeyDigest, KeyEntry, KeyRefused};
use carnet_policy::Principal;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};
use tokio_util::sync::CancellationToken;

use crate::certificates::Shown;
use crate::codes::Code;
use crate::error::Fault;
use crate::found::Findings;
use crate::gateway::Gateway;
use crate::generation::Generation;
use crate::limits::{STRANGER_REFUSALS_MAX, STRANGER_SOURCES_MAX, STRANGER_WINDOW};
use crate::scope::Use;
use crate::source::Source;

/// Who asks: a valid key, or what stands for one, and, if the configuration still names it, the key's workload.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The key.
    pub(crate) key: KeyEntry,
    /// Cancelled when the key is revoked, or the secret that was presented is ended.
    pub(crate) revoked: CancellationToken,
}

/// What clients send that cannot do without a key, where their certificate counts.
const IN_PLACE: &str = "certificate";

/// Find the caller of a request. `shown` is the certificate that its connection was opened with.
pub(crate) async fn identify(
    gateway: &Gateway,
    generation: &Generation,
    headers: &HeaderMap,
    shown: Option<&Shown>,
) -> Result<Caller, Fault> {
    let text = match (credential(headers)?, shown) {
        (None | Some(IN_PLACE), Some(shown)) => {
            return generation.certificates().caller(shown, gateway.now());
        }
        (Some(IN_PLACE), None) => {
            return Err(unauthorized(
                "this connection was opened without a certificate; show one of those that the listener asks for, or send a key",
            ));
        }
        (Some(text), _) => text,
        (None, None) => {
            return Err(unauthorized(
                "no key was sent; set the header `Authorization: Bearer sk-carnet-…`",
            ));
        }
    };
    let found = match generation.keys().find(text) {
        Err(KeyRefused::Malformed) if generation.issuers().may_know(text) => {
            // Apart, so that callers with keys do not carry its room along.
            return Box::pin(generation.issuers().caller(text, gateway.now())).await;
        }
        found => found.map_err(refused)?,
    };
    if let Some(until) = found.until
        && until <= gateway.now()
    {
        return Err(ended(&found));
    }
    let revoked = generation
        .revocation(found.digest)
        .ok_or_else(|| refused(KeyRefused::Revoked))?;
    let key = found.key.clone();
    Ok(Caller { key, revoked })
}

impl Caller {
    /// Whether the key works from there.
    pub(crate) fn comes_from(&self, source: Source) -> Result<(), Fault> {
        if self.key.terms.may_come_from(source.address) {
            return Ok(());
        }
        let id = &self.key.id;
        let message = match source.address {
            Some(address) => format!(
                "the key `{id}` does not work from {address}; ask your operator for one that does"
            ),
            None => format!(
                "the key `{id}` works only from certain addresses, and the proxy in front does not tell where the request comes \
                 from; ask your operator"
            ),
        };
        Err(Fault::new(Code::KeyAddress, message))
    }

    /// Whether the key is for such requests.
    pub(crate) fn may(&self, what: Use) -> Result<(), Fault> {
        let terms = &self.key.terms;
        if terms.may_ask(what.scopes()) {
            return Ok(());
        }
        let message = format!(
            "the key `{}` is not for requests of the kind `{}`, but for: {}",
            self.key.id,
            what.scopes().first().unwrap_or(&""),
            terms.scopes.join(", ")
        );
        Err(Fault::new(Code::KeyScope, message))
    }

    /// Whether the key is for a model, by the name that callers use.
    pub(crate) fn may_use(&self, model: &str) -> Result<(), Fault> {
        let terms = &self.key.terms;
        if terms.may_use(model) {
            return Ok(());
        }
        let message = format!(
            "the key `{}` is not for the model `{model}`, but for: {}",
            self.key.id,
            terms.models.join(", ")
        );
        Err(Fault::new(Code::KeyScope, message).param("model"))
    }
}

/// The principal that a caller's key speaks for, where nothing is sent in which anything could be found.
pub(crate) fn principal<'a>(
    generation: &'a Generation,
    caller: &Caller,
) -> Result<&'a Principal, Fault> {
    principal_with(generation, caller, Findings::default())
}

/// The same, if this was found in what it sends.
pub(crate) fn principal_with<'a>(
    generation: &'a Generation,
    caller: &Caller,
    found: Findings,
) -> Result<&'a Principal, Fault> {
    generation.principal(&caller.key.workload, found).ok_or_else(|| {
        Fault::new(
            Code::WorkloadUnknown,
            format!(
                "this key belongs to workload `{}`, which the configuration no longer names; ask your operator for a key of a current one",
                caller.key.workload
            ),
        )
    })
}

/// Headers in which clients send a bare key, each by its dialect.
const KEY_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// The one key of a request. Several headers may carry it; two different keys could be two callers.
fn credential(headers: &HeaderMap) -> Result<Option<&str>, Fault> {
    let mut found = bearer(headers)?;
    for name in &KEY_HEADERS {
        let Some(key) = single(headers, name)? else {
            continue;
        };
        let key = key.trim();
        match found {
            Some(other) if other != key => {
                return Err(Fault::new(
                    Code::SeveralKeys,
                    format!("`{name}` and another header carry two different keys; send one"),
                ));
            }
            _ => found = Some(key),
        }
    }
    Ok(found)
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Fault> {
    let Some(text) = single(headers, &AUTHORIZATION)? else {
        return Ok(None);
    };
    match text.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(key.trim())),
        Some((scheme, _)) if scheme.starts_with("AWS4-") => Err(Fault::new(
            Code::SignatureRefused,
            "the request is signed with an AWS key, which only AWS can check; set the Carnet key as the bearer token of the client, for example in AWS_BEARER_TOKEN_BEDROCK",
        )),
        _ => Err(unauthorized(
            "the Authorization header is not of the form `Bearer sk-carnet-…`",
        )),
    }
}

/// A header's text, when it was sent once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Fault> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        let message = format!("the header `{name}` was sent more than once; send one");
        return Err(unauthorized(&message));
    }
    let text = value.to_str();
    text.map(Some)
        .map_err(|_| unauthorized(&format!("the header `{name}` is not ASCII")))
}

/// Callers are not told whether a key was revoked or never existed; the metrics tell the operator.
fn refused(why: KeyRefused) -> Fault {
    match why {
        KeyRefused::Malformed => unauthorized(
            "this is no Carnet key: one begins with `sk-carnet-` and is copied whole; a provider's own key does not work here",
        ),
        KeyRefused::Revoked | KeyRefused::Unknown => {
            unauthorized("this key is not valid; ask your operator for one (`carnet key create`)")
        }
    }
}

/// Who has the secret may know that it is not mistyped, and what to do.
fn ended(found: &Found<'_>) -> Fault {
    let (id, until) = (&found.key.id, found.until.unwrap_or_default());
    let message = if found.key.terms.expires == Some(until) {
        format!(
            "the key `{id}` expired at {until}; ask your operator to renew it (`carnet key rotate {id} --expires …`)"
        )
    } else {
        format!(
            "the key `{id}` has a new secret, and this one worked until {until}; ask your operator for the new one"
        )
    };
    Fault::new(Code::KeyExpired, message)
}

fn unauthorized(message: &str) -> Fault {
    Fault::new(Code::InvalidApiKey, message)
}

/// Tokens by which running requests learn that their secret no longer counts, by its digest.
pub(crate) type Revocations = HashMap<KeyDigest, CancellationToken>;

/// Counts requests without valid credentials, per source and for the log's aggregate.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    // Only refused requests come here, so callers with a key never wait for this lock.
    inner: Mutex<StrangerCounts>,
}

#[derive(Debug, Default)]
struct StrangerCounts {
    windows: HashMap<IpAddr, Window>,
    overflow: Option<Window>,
    refused: u64,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    since: Instant,
    refused: u32,
}

impl Strangers {
    /// Count one refusal; false when this source has had too many.
    pub(crate) fn refuse(&self, source: IpAddr, now: Instant) -> bool {
        let mut counts = self.lock();
        counts.refused = counts.refused.saturating_add(1);
        if counts.windows.len() >= STRANGER_SOURCES_MAX && !counts.windows.contains_key(&source) {
            counts
                .windows
                .retain(|_, window| now.duration_since(window.since) < STRANGER_WINDOW);
        }
        let full = counts.windows.len() >= STRANGER_SOURCES_MAX;
        let fresh = Window {
            since: now,
            refused: 0,
        };
        let window = match counts.windows.get_mut(&source) {
            Some(_) | None if !full => counts.windows.entry(source).or_insert(fresh),
            Some(window) => window,
            None => counts.overflow.get_or_insert(fresh),
        };
        if now.duration_since(window.since) >= STRANGER_WINDOW {
            *window = fresh;
        }
        window.refused = window.refused.saturating_add(1);
        window.refused <= STRANGER_REFUSALS_MAX
    }

    /// Refusals since the last call: what the log's aggregate record states.
    pub(crate) fn take(&self) -> u64 {
        std::mem::take(&mut self.lock().refused)
    }

    fn lock(&self) -> MutexGuard<'_, StrangerCounts> {
        // Counters stay usable whatever happened to the thread that held them.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_limited_alone_and_again_free_after_the_window() {
        let strangers = Strangers::default();
        let (noisy, quiet) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let start = Instant::now();
        for _ in 0..STRANGER_REFUSALS_MAX {
            assert!(strangers.refuse(noisy, start));
        }
        assert!(!strangers.refuse(noisy, start));
        assert!(strangers.refuse(quiet, start));
        assert!(strangers.refuse(noisy, start + STRANGER_WINDOW));
        assert_eq!(strangers.take(), u64::from(STRANGER_REFUSALS_MAX) + 3);
        assert_eq!(strangers.take(), 0);
    }

    #[test]
    fn memory_for_sources_is_bounded() {
        let strangers = Strangers::default();
        let now = Instant::now();
        for n in 0..(STRANGER_SOURCES_MAX as u32 * 2) {
            strangers.refuse(IpAddr::from(n.to_be_bytes()), now);
        }
        assert!(strangers.lock().windows.len() <= STRANGER_SOURCES_MAX);
    }
}
