//! One generation: configuration, policy, registry, overlay and keys, validated together and
//! swapped at once. A request keeps the one it began with.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carnet_limits::{KeyDigest, KeyRing};
use carnet_policy::{
    Ask, CacheCounters, Decider, DeciderOptions, Decision, Policies, PolicyProblem, Principal,
    Target, TargetSpec,
};
use carnet_provenance::{HostId, Price, Query, Resolution, View};
use carnet_wire::embeddings::Embedder;
use carnet_wire::json::{Watch, WatchError};
use http::header::{HeaderName, HeaderValue};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::caller::Revocations;
use crate::certificates::Certificates;
use crate::config::{
    Config, ConversationsConfig, MemberConfig, PoolConfig, ServerConfig, UpstreamConfig,
};
use crate::egress::{self, Upstream, UpstreamFiles, UpstreamProblem};
use crate::found::{Callers, Findings};
use crate::ingress::{self, Call};
use crate::issuers::Issuers;
use crate::metrics::Origin;
use crate::permits::Permits;
use crate::quotas::Quotas;
use crate::reported::Expected;
use crate::resolve::{Keeping, Offer, Offered, Places};
use crate::route::{Health, RoutingConfig, Strategy, Targets};
use crate::screen::Fields;
use crate::services::{self, Fix};
use crate::spend::Tokenizer;
use crate::traffic::Traffic;

/// What a generation is built from; everything read and parsed, nothing in force yet.
#[derive(Debug)]
pub struct Parts {
    /// The gateway's settings.
    pub config: Config,
    /// SHA-256 of the configuration file, for the records.
    pub config_version: String,
    /// The policies.
    pub policies: Arc<Policies>,
    /// Registry and overlay.
    pub view: Arc<View>,
    /// All keys.
    pub keys: KeyRing,
    /// Files of each upstream, by its name.
    pub files: HashMap<Arc<str>, UpstreamFiles>,
    /// PEM of the authorities of each issuer that has some of its own, by its name.
    pub issuer_authorities: HashMap<Arc<str>, Vec<u8>>,
    /// The instant at which facts are looked at.
    pub now: Timestamp,
}

/// The versions that a record names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// SHA-256 of the configuration.
    pub config: Arc<str>,
    /// Version of the policies.
    pub policy: Arc<str>,
    /// Version of registry and overlay.
    pub registry: Arc<str>,
}

/// Why no generation could be built.
#[derive(Debug, Error)]
pub enum BuildFailed {
    /// Rules that do not fit the facts.
    #[error("{} rules do not fit the facts", .0.len())]
    Policy(Vec<PolicyProblem>),
    /// An issuer that cannot be asked.
    #[error("{problem}")]
    Issuer {
        /// Its name.
        issuer: Arc<str>,
        /// Why.
        problem: UpstreamProblem,
    },
    /// An upstream that cannot be set up.
    #[error("{problem}")]
    Upstream {
        /// Its name.
        upstream: Arc<str>,
        /// Why.
        problem: UpstreamProblem,
    },
    /// A routing field of the registry that cannot be watched.
    #[error("a routing field in the registry cannot be watched: {0}")]
    Watch(#[from] WatchError),
}

/// See the module.
#[derive(Debug)]
pub struct Generation {
    number: u64,
    loaded_at: Timestamp,
    keys: KeyRing,
    revocations: Revocations,
    rules: Arc<Rules>,
}

/// The part that a change of keys leaves as it is.
#[derive(Debug)]
struct Rules {
    server: ServerConfig,
    conversations: Option<ConversationsConfig>,
    cache: Option<Arc<Cache>>,
    routing: RoutingConfig,
    /// Whether a strategy goes by prices.
    prices: bool,
    /// What is known of all targets.
    known: Targets,
    quotas: Quotas,
    issuers: Issuers,
    certificates: Certificates,
    versions: Versions,
    decider: Decider,
    permits: Arc<Permits>,
    callers: HashMap<Arc<str>, Callers>,
    offers: HashMap<Arc<str>, Arc<Offered>>,
    /// The configured names, in the order of the file.
    names: Vec<Arc<str>>,
    targets: Vec<Target>,
    upstreams: Vec<Arc<Upstream>>,
    readers: HashMap<Call, Reader>,
    valid_until: Option<Timestamp>,
}

/// How bodies of one kind of request are read, and what their fields mean to each upstream that takes it.
#[derive(Debug)]
pub(crate) struct Reader {
    watch: Watch,
    fields: HashMap<Arc<str>, Fields>,
}

impl Reader {
    /// What must be found in a body.
    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// What fields mean to an upstream.
    pub(crate) fn fields(&self, upstream: &str) -> Option<&Fields> {
        self.fields.get(upstream)
    }
}

impl Generation {
    /// Build a generation aside. Connections of upstreams that did not change are taken over from
    /// `previous`, and so are the tokens of its keys; those of keys that are gone are cancelled
    /// only when this generation is put in force.
    ///
    /// # Errors
    /// All that does not fit together.
    pub fn build(parts: Parts, previous: Option<&Generation>) -> Result<Self, Vec<BuildFailed>> {
        let revocations = revocations(&parts.keys, previous);
        let number = previous.map_or(1, |previous| previous.number.saturating_add(1));
        let mut failed = Vec::new();
        let upstreams = upstreams(&parts, previous, &mut failed);
        let issuers = issuers(&parts, previous, &mut failed);
        let before = previous.map(Generation::certificates);
        let certificates = Certificates::new(parts.config.certificates.clone(), before);
        let Parts {
            config,
            config_version,
            policies,
            view,
            keys,
            now,
            ..
        } = parts;
        let versions = Versions {
            config: config_version.into(),
            policy: policies.version().into(),
            registry: view.version().into(),
        };
        let options = DeciderOptions {
            cache_max: config.server.decisions_max,
            ..DeciderOptions::default()
        };
        let permits = previous.map(|previous| &*previous.rules.permits);
        let permits = Arc::new(Permits::new(&policies, permits));
        let decider = match Decider::new(policies, view.clone(), options) {
            Ok(decider) if failed.is_empty() => decider,
            Ok(_) => return Err(failed),
            Err(problems) => {
                failed.push(BuildFailed::Policy(problems));
                return Err(failed);
            }
        };
        let detect = config.server.detect;
        let callers = config.workloads.iter().map(|workload| {
            let callers = Callers::new(workload, detect, &decider);
            (workload.id.as_str().into(), callers)
        });
        let callers = callers.collect();
        let day = day_of(now);
        let readers = Call::ALL
            .into_iter()
            .map(|call| Ok((call, reader(call, &view, &upstreams, day)?)))
            .collect::<Result<_, _>>()
            .map_err(|error: WatchError| vec![error.into()])?;
        let ledger = previous.map(|previous| previous.rules.quotas.ledger().clone());
        let quotas = Quotas::new(ledger.unwrap_or_default(), config.limits, &config.workloads);
        let before = previous.and_then(|previous| previous.cache());
        let cache = config.cache;
        let cache = cache.and_then(|config| Cache::new(config, before.map(|cache| &**cache)));
        let mut rules = Rules {
            server: config.server,
            conversations: config.conversations,
            cache: cache.map(Arc::new),
            prices: config.routing.strategy == Strategy::Cheapest
                || config
                    .pools
                    .iter()
                    .any(|pool| pool.strategy == Strategy::Cheapest),
            routing: config.routing,
            known: Targets::default(),
            quotas,
            issuers,
            certificates,
            versions,
            decider,
            permits,
            callers,
            offers: HashMap::new(),
            names: Vec::new(),
            targets: Vec::new(),
            upstreams,
            readers,
            valid_until: None,
        };
        let before = previous.map(|previous| &previous.rules.known);
        rules.offer(&view, (before, &config.pools), now);
        Ok(Self {
            number,
            loaded_at: now,
            keys,
            revocations,
            rules: Arc::new(rules),
        })
    }

    /// The same generation with other keys, one number further.
    #[must_use]
    pub fn with_keys(&self, keys: KeyRing, now: Timestamp) -> Self {
        Self {
            number: self.number.saturating_add(1),
            loaded_at: now,
            revocations: revocations(&keys, Some(self)),
            keys,
            rules: self.rules.clone(),
        }
    }

    /// Cancel what ran with secrets that `next` no longer knows, and give again nothing that was answered under other rules.
    pub(crate) fn retire(&self, next: &Generation) {
        if let Some(cache) = self.cache().filter(|_| !self.has_rules_of(next)) {
            cache.close();
        }
        for (digest, token) in &self.revocations {
            if !next.revocations.contains_key(digest) {
                token.cancel();
            }
        }
        self.rules.issuers.retire(&next.rules.issuers);
        self.rules.certificates.retire(&next.rules.certificates);
    }

    /// Cancel everything that runs.
    pub(crate) fn cancel_all(&self) {
        for token in self.revocations.values() {
            token.cancel();
        }
        self.rules.issuers.cancel_all();
        self.rules.certificates.cancel_all();
    }

    /// Running number, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When it was built.
    #[must_use]
    pub fn loaded_at(&self) -> Timestamp {
        self.loaded_at
    }

    /// The versions that records name.
    #[must_use]
    pub fn versions(&self) -> &Versions {
        &self.rules.versions
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// The listener's settings.
    #[must_use]
    pub fn server(&self) -> &ServerConfig {
        &self.rules.server
    }

    /// What Carnet itself keeps of conversations, if it does.
    pub(crate) fn conversations(&self) -> Option<&ConversationsConfig> {
        self.rules.conversations.as_ref()
    }

    /// The answers that are given again, if any are.
    pub(crate) fn cache(&self) -> Option<&Arc<Cache>> {
        self.rules.cache.as_ref()
    }

    /// To which workloads certificates lead.
    pub(crate) fn certificates(&self) -> &Certificates {
        &self.rules.certificates
    }

    /// Whose tokens are accepted.
    pub(crate) fn issuers(&self) -> &Issuers {
        &self.rules.issuers
    }

    /// The operator's limits.
    pub(crate) fn quotas(&self) -> &Quotas {
        &self.rules.quotas
    }

    /// Ids of all workloads.
    pub fn workloads(&self) -> impl Iterator<Item = &str> {
        self.rules.callers.keys().map(|id| &**id)
    }

    /// The names by which callers ask for models.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.rules.names.iter().map(|name| &**name)
    }

    /// The instant from which a fact would be another one, and this generation decides nothing more.
    #[must_use]
    pub fn valid_until(&self) -> Option<Timestamp> {
        self.rules.valid_until
    }

    /// What became of the attempts at each upstream.
    pub(crate) fn traffic(&self) -> Vec<Arc<Traffic>> {
        let upstreams = self.rules.upstreams.iter();
        upstreams
            .map(|upstream| upstream.traffic().clone())
            .collect()
    }

    /// How often each rule permitted.
    pub(crate) fn permit_counts(&self) -> &Arc<Permits> {
        &self.rules.permits
    }

    fn upstream(&self, name: &str) -> Option<&Arc<Upstream>> {
        let mut upstreams = self.rules.upstreams.iter();
        upstreams.find(|upstream| upstream.name() == name)
    }

    /// Counters of the decision cache.
    #[must_use]
    pub fn decision_cache(&self) -> CacheCounters {
        self.rules.decider.counters()
    }

    pub(crate) fn is_stale(&self, now: Timestamp) -> bool {
        self.rules.valid_until.is_some_and(|until| until <= now)
    }

    pub(crate) fn revocation(&self, digest: &KeyDigest) -> Option<CancellationToken> {
        self.revocations.get(digest).cloned()
    }

    /// A workload, if this was found in what it sends.
    pub(crate) fn principal(&self, workload: &str, found: Findings) -> Option<&Principal> {
        let callers = self.rules.callers.get(workload)?;
        callers.principal(found, &self.rules.decider)
    }

    /// How requests find their targets.
    pub(crate) fn routing(&self) -> &RoutingConfig {
        &self.rules.routing
    }

    /// What is known of all targets.
    pub(crate) fn targets(&self) -> &Targets {
        &self.rules.known
    }

    /// Whether another generation differs at most in its keys.
    pub(crate) fn has_rules_of(&self, other: &Generation) -> bool {
        Arc::ptr_eq(&self.rules, &other.rules)
    }

    pub(crate) fn offers(&self, model: &str) -> Option<&Arc<Offered>> {
        self.rules.offers.get(model)
    }

    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.rules.names
    }

    pub(crate) fn reader(&self, call: Call) -> Option<&Reader> {
        self.rules.readers.get(&call)
    }

    /// A target beside those of the configuration.
    pub(crate) fn target(&self, spec: TargetSpec, facts: Resolution, as_of: Date) -> Target {
        self.rules.decider.target(spec, facts, as_of)
    }

    /// Whether it would be permitted: for lists, with no permit to spend.
    pub(crate) fn permits(
        &self,
        principal: &Principal,
        target: &Target,
        ask: &Ask,
        now: Timestamp,
    ) -> bool {
        self.rules.decider.permits(principal, target, ask, now)
    }

    pub(crate) fn decide(
        &self,
        principal: &Principal,
        target: &Target,
        ask: &Ask,
        now: Timestamp,
    ) -> Decision {
        self.rules
            .decider
            .decide(principal, target, ask, &self.rules.targets, now)
    }
}

impl Rules {
    /// Prepare every configured model: facts, decision target, headers.
    fn offer(
        &mut self,
        view: &Arc<View>,
        (before, pools): (Option<&Targets>, &[PoolConfig]),
        now: Timestamp,
    ) {
        let today = day_of(now);
        let mut all: HashMap<Arc<str>, Vec<Arc<Offer>>> = HashMap::new();
        for upstream in self.upstreams.clone() {
            for (name, own) in &upstream.config().models {
                let health = self.known.of(before, &upstream.config().name, own);
                let offer = self.one_offer(view, (&upstream, health), name, own, today);
                if !all.contains_key(name) {
                    self.names.push(name.clone());
                }
                self.targets.push(offer.target.clone());
                all.entry(name.clone()).or_default().push(Arc::new(offer));
            }
        }
        for pool in pools {
            let member = |member: &MemberConfig| {
                let mut offers = all.get(&member.model)?.iter();
                let offer = offers.find(|one| *one.upstream.name() == *member.upstream)?;
                Some((Arc::new(offer.for_name(&pool.name)), member.weight))
            };
            let (offers, weights) = pool.members.iter().filter_map(member).unzip();
            self.names.push(pool.name.clone());
            let how = (pool.strategy, &*pool.nearest, pool.hedge_after);
            self.offered(pool.name.clone(), (offers, weights), how);
        }
        let (strategy, nearest) = (self.routing.strategy, self.routing.nearest.clone());
        for (name, offers) in all {
            let weights = vec![1; offers.len()];
            self.offered(name, (offers, weights), (strategy, &nearest, None));
        }
    }

    fn offered(
        &mut self,
        name: Arc<str>,
        (offers, weights): (Vec<Arc<Offer>>, Vec<u32>),
        (strategy, nearest, hedge_after): (Strategy, &[String], Option<Duration>),
    ) {
        if offers.is_empty() {
            return;
        }
        let distances = offers.iter().map(|offer| offer.places.distance(nearest));
        let offered = Offered {
            name: name.clone(),
            distances: distances.collect(),
            offers,
            strategy,
            weights,
            hedge_after,
        };
        self.offers.insert(name, Arc::new(offered));
    }

    fn one_offer(
        &mut self,
        view: &Arc<View>,
        (upstream, health): (&Arc<Upstream>, Arc<Health>),
        name: &Arc<str>,
        own: &Arc<str>,
        today: Date,
    ) -> Offer {
        let (spec, resolution) = facts_of(view, upstream.config(), name, own, today);
        let ends = resolution.valid_until().and_then(start_of);
        self.valid_until = [self.valid_until, ends].into_iter().flatten().min();
        let headers = fact_headers(&resolution);
        let origin = Origin::of(&resolution);
        let asked = services::facts(
            view,
            spec.host.as_ref().map(|host| host.as_str()),
            upstream.config(),
            own,
            today,
        );
        let changes = asked.until.and_then(start_of);
        self.valid_until = [self.valid_until, changes].into_iter().flatten().min();
        let model: Option<Arc<str>> = resolution.named().map(Into::into);
        let host = spec.host.as_ref().map(|host| host.as_str().into());
        let overlay = carnet_provenance::suggest_overlay(&resolution, &spec.upstream);
        let expected = Expected::new(view, spec.clone(), upstream, &resolution);
        let hosting = resolution.hosting.as_ref();
        let retention = hosting.and_then(|hosting| hosting.retention.as_deref());
        let keeping = Keeping::of(upstream.config().stored_responses, retention);
        let price = self.price(
            view,
            spec.host.as_ref(),
            upstream.config(),
            (name, own),
            today,
        );
        let counts = self.quotas.meters();
        let tokenizer = counts.then(|| Tokenizer::of([&**own].into_iter().chain(model.as_deref())));
        let places = hosting.map_or_else(Places::default, |hosting| Places {
            jurisdictions: hosting
                .jurisdictions
                .iter()
                .map(ToString::to_string)
                .collect(),
            complete: hosting.complete,
        });
        let target = self.decider.target(spec, resolution, today);
        Offer {
            target,
            upstream: upstream.clone(),
            rename: renamed(name, own),
            model,
            host,
            origin,
            headers,
            expected: Arc::new(expected),
            overlay,
            keeping,
            options: services::options(&asked),
            price,
            tokenizer,
            listed: name.clone(),
            places,
            health,
        }
    }

    /// What a model costs at an upstream, if a limit needs it: as its operator says, else as the registry knows.
    fn price(
        &mut self,
        view: &View,
        host: Option<&HostId>,
        upstream: &UpstreamConfig,
        (name, own): (&Arc<str>, &Arc<str>),
        today: Date,
    ) -> Option<Arc<Price>> {
        if !self.quotas.meters() && !self.prices {
            return None;
        }
        let mut stated = upstream.prices.iter();
        if let Some((_, price)) = stated.find(|(model, _)| model == name) {
            return Some(Arc::new(price.clone()));
        }
        let host = host?;
        let changes = view.price_changes(host, own, today).and_then(start_of);
        self.valid_until = [self.valid_until, changes].into_iter().flatten().min();
        view.price(host, own, today)
            .map(|price| Arc::new(price.clone()))
    }
}

/// The upstream's own name as a JSON string, where it is another than the one that is asked for.
fn renamed(name: &str, own: &str) -> Option<Bytes> {
    (name != own).then(|| Bytes::from(serde_json::Value::from(own).to_string()))
}

impl Offer {
    /// The same, for callers who ask for it by another name.
    fn for_name(&self, name: &str) -> Self {
        Self {
            rename: renamed(name, self.own_name()),
            ..self.clone()
        }
    }
}

/// What a model of an upstream is on a day: the target to decide on, and the facts about it.
#[must_use]
pub fn facts_of(
    view: &View,
    upstream: &UpstreamConfig,
    name: &str,
    upstream_model: &Arc<str>,
    as_of: Date,
) -> (TargetSpec, Resolution) {
    let host = host_of(view, upstream);
    let resolution = view.resolve(&Query {
        id: upstream_model,
        platform: upstream.platform.as_deref(),
        host: host.as_deref(),
        upstream: Some(&upstream.name),
        region: upstream.region.as_deref(),
        as_of,
    });
    let spec = TargetSpec {
        name: format!("{}/{name}", upstream.name).into(),
        upstream: upstream.name.clone(),
        origin: upstream.origin.clone(),
        upstream_model: upstream_model.clone(),
        host: resolution
            .hosting
            .as_ref()
            .map(|hosting| hosting.host.clone()),
    };
    (spec, resolution)
}

fn day_of(now: Timestamp) -> Date {
    now.to_zoned_datetime(TimeZone::UTC).date()
}

fn start_of(date: Date) -> Option<Timestamp> {
    date.to_zoned_datetime(TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

/// The host of an upstream: the one the operator named, else the one whose address it is. A socket's
/// address names nobody.
fn host_of(view: &View, config: &UpstreamConfig) -> Option<String> {
    config.host.clone().or_else(|| {
        if config.socket.is_some() {
            return None;
        }
        let name = config.urls.base().host()?;
        view.host_for_origin(name).map(|host| host.to_string())
    })
}

fn fact_headers(resolution: &Resolution) -> Vec<(HeaderName, HeaderValue)> {
    let candidates: BTreeSet<&str> = resolution
        .candidates
        .iter()
        .map(|candidate| candidate.name.as_str())
        .collect();
    let hosting = resolution.hosting.as_ref();
    let jurisdictions: Vec<String> = hosting.map_or_else(Vec::new, |hosting| {
        hosting
            .jurisdictions
            .iter()
            .map(ToString::to_string)
            .collect()
    });
    let or_unknown = |text: String| {
        if text.is_empty() {
            "unknown".to_owned()
        } else {
            text
        }
    };
    [
        (
            "carnet-model",
            or_unknown(resolution.named().unwrap_or_default().to_owned()),
        ),
        (
            "carnet-candidates",
            candidates.into_iter().collect::<Vec<_>>().join(", "),
        ),
        (
            "carnet-host",
            or_unknown(
                hosting
                    .map(|hosting| hosting.host.to_string())
                    .unwrap_or_default(),
            ),
        ),
        ("carnet-jurisdictions", or_unknown(jurisdictions.join(", "))),
        ("carnet-confidence", resolution.confidence.to_string()),
    ]
    .into_iter()
    .filter_map(|(name, value)| {
        Some((
            HeaderName::from_static(name),
            HeaderValue::from_str(&value).ok()?,
        ))
    })
    .collect()
}

fn revocations(keys: &KeyRing, previous: Option<&Generation>) -> Revocations {
    keys.iter()
        .filter(|key| key.revoked.is_none())
        // A secret whose time is over stays among them: what began with it in time runs on.
        .flat_map(|key| {
            let former = key.former.iter().map(|former| former.digest);
            former.chain([key.digest])
        })
        .map(|digest| {
            let kept = previous.and_then(|previous| previous.revocations.get(&digest));
            (digest, kept.cloned().unwrap_or_default())
        })
        .collect()
}

fn issuers(parts: &Parts, previous: Option<&Generation>, failed: &mut Vec<BuildFailed>) -> Issuers {
    let mut issuers = Vec::with_capacity(parts.config.issuers.len());
    for config in &parts.config.issuers {
        let authorities = parts.issuer_authorities.get(&config.name);
        if let (Some(file), Some(pem)) = (&config.ca_file, authorities)
            && let Err(problem) = egress::certificates(pem, &file.display().to_string())
        {
            let issuer = config.name.clone();
            failed.push(BuildFailed::Issuer { issuer, problem });
        }
        issuers.push((config.clone(), authorities.cloned()));
    }
    Issuers::new(issuers, previous.map(Generation::issuers))
}

fn upstreams(
    parts: &Parts,
    previous: Option<&Generation>,
    failed: &mut Vec<BuildFailed>,
) -> Vec<Arc<Upstream>> {
    let none = UpstreamFiles::default();
    let kept = |config: &UpstreamConfig| {
        let previous = previous?;
        // Certificates may have changed under the same path: only plain settings are taken over.
        let plain = config.ca_file.is_none() && config.client_cert.is_none();
        previous
            .rules
            .upstreams
            .iter()
            .find(|upstream| plain && upstream.config() == config)
    };
    parts
        .config
        .upstreams
        .iter()
        .filter_map(|config| {
            let files = parts.files.get(&config.name).unwrap_or(&none);
            let upstream = match kept(config) {
                Some(upstream) => upstream.with_key(files),
                None => Upstream::new(config.clone(), files),
            };
            // Whatever else has changed of it: who has its name is counted on.
            let before = previous.and_then(|previous| previous.upstream(&config.name));
            let upstream = match before {
                Some(before) => {
                    upstream.map(|upstream| upstream.counted_on(before.traffic().clone()))
                }
                None => upstream,
            };
            match upstream {
                Ok(upstream) => Some(Arc::new(upstream)),
                Err(problem) => {
                    let upstream = config.name.clone();
                    failed.push(BuildFailed::Upstream { upstream, problem });
                    None
                }
            }
        })
        .collect()
}

/// One watch for all upstreams that take a call, and for each the rules bound to its indices.
fn reader(
    call: Call,
    view: &View,
    upstreams: &[Arc<Upstream>],
    day: Date,
) -> Result<Reader, WatchError> {
    let mut paths: Vec<String> = ingress::watched(call).map(str::to_owned).collect();
    let mut fields = HashMap::new();
    let mut known_anywhere: Vec<String> = Vec::new();
    for upstream in upstreams {
        // Those too that are asked in another dialect: it is the caller's body that is looked at.
        let urls = &upstream.config().urls;
        let embeds = |by| call == Call::Embeddings && urls.take(Call::Embedded(by));
        let asked = call.client().is_some() || Embedder::ALL.into_iter().any(embeds);
        if !urls.take(call) && !asked {
            continue;
        }
        let host = host_of(view, upstream.config());
        let rules = view.fields(host.as_deref(), call.fields());
        // Without a word on the fields of this dialect, none of them can be trusted.
        if rules.known.is_empty() {
            continue;
        }
        let known = rules.router.then(|| rules.known.clone());
        known_anywhere.extend(rules.known);
        let rules = rules
            .fields
            .into_iter()
            .map(|rule| (watched(&mut paths, &rule.path), rule))
            .collect();
        let fixes = fixes(call, view, host.as_deref(), upstream, day, &mut paths);
        let name = upstream.config().name.clone();
        fields.insert(name, Fields::new(rules, known, fixes));
    }
    let watch = Watch::new(&paths)?.with_known(&known_anywhere);
    Ok(Reader {
        watch: if call.takes_lone_objects() {
            watch.with_lone_objects()
        } else {
            watch
        },
        fields,
    })
}

/// The index under which a path is watched.
fn watched(paths: &mut Vec<String>, path: &str) -> usize {
    let known = paths.iter().position(|known| known == path);
    known.unwrap_or_else(|| {
        paths.push(path.to_owned());
        paths.len() - 1
    })
}

/// What is changed in requests that an upstream takes as they come, by its own names for the models.
fn fixes(
    call: Call,
    view: &View,
    host: Option<&str>,
    upstream: &Upstream,
    day: Date,
    paths: &mut Vec<String>,
) -> HashMap<Arc<str>, Vec<Fix>> {
    let mut all = HashMap::new();
    let config = upstream.config();
    let carried = |by| config.urls.take(Call::Carried(by, false));
    if !config.urls.take(call) && !call.carriers().any(carried) {
        return all;
    }
    for (_, own) in &config.models {
        let facts = services::facts(view, host, config, own, day);
        let mine = facts
            .edits
            .iter()
            .filter(|edit| edit.api == call.api().as_str());
        let fixes: Vec<Fix> = mine
            .map(|edit| Fix::new(edit, &facts, |path| watched(paths, path)))
            .collect();
        if !fixes.is_empty() {
            all.insert(own.clone(), fixes);
        }
    }
    all
}
