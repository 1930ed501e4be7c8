//! Registry and overlay joined: what a question is put to. Immutable and cheap to share.

mod node;
mod organisation;

use std::sync::Arc;

use jiff::civil::Date;
use sha2::{Digest, Sha256};

use crate::claim::Horizon;
use crate::country::Country;
use crate::grammar::{self, Services};
use crate::ids::{HostId, ModelId, ProducerId};
use crate::key::key;
use crate::overlay::{Deployment, Overlay, Patch};
use crate::registry::entry::{Host, HostKind};
use crate::registry::price::Price;
use crate::registry::wire::WireFacts;
use crate::registry::{FieldRules, Registry};

pub(crate) use node::{Base, HostNode, ModelNode, ProducerNode, Said};
pub use organisation::Organisation;

/// See the module.
#[derive(Clone, Debug)]
pub struct View {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Arc<Registry>,
    overlay: Overlay,
    version: String,
}

impl View {
    /// Join them. The overlay must have been checked against this registry.
    #[must_use]
    pub fn new(registry: Arc<Registry>, overlay: Overlay) -> Self {
        let version = match overlay.digest() {
            None => registry.version().to_owned(),
            Some(digest) => {
                let both = format!("{}\n{digest}", registry.version());
                format!("sha256:{}", hex::encode(Sha256::digest(both.as_bytes())))
            }
        };
        Self {
            inner: Arc::new(Inner {
                registry,
                overlay,
                version,
            }),
        }
    }

    /// `sha256:…` of registry and overlay.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.inner.version
    }

    /// The registry beneath.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.inner.registry
    }

    /// Ids of all models, of registry and overlay.
    pub fn models(&self) -> impl Iterator<Item = &ModelId> {
        let own = self
            .inner
            .overlay
            .models
            .keys()
            .filter(|id| self.inner.registry.model(id.as_str()).is_none());
        self.inner
            .registry
            .models()
            .map(|model| &model.id)
            .chain(own)
    }

    /// Ids of all producers, of registry and overlay.
    pub fn producers(&self) -> impl Iterator<Item = &ProducerId> {
        let own = self
            .inner
            .overlay
            .producers
            .keys()
            .filter(|id| self.inner.registry.producer(id.as_str()).is_none());
        self.inner
            .registry
            .producers()
            .map(|producer| &producer.id)
            .chain(own)
    }

    /// Ids of all hosts, of registry and overlay.
    pub fn hosts(&self) -> impl Iterator<Item = &HostId> {
        let own = self
            .inner
            .overlay
            .hosts
            .keys()
            .filter(|id| self.inner.registry.host(id.as_str()).is_none());
        self.inner.registry.hosts().map(|host| &host.id).chain(own)
    }

    /// A host's id, if registry or overlay know it.
    #[must_use]
    pub fn host(&self, id: &str) -> Option<&HostId> {
        let registry = self.inner.registry.host(id).map(|host| &host.id);
        registry.or_else(|| self.inner.overlay.hosts.get_key_value(id).map(|(id, _)| id))
    }

    /// Whether a platform has a grammar here, or is one of the registry's services. Ids of another
    /// one are read as plain names, so a slip of the pen in a setting must not pass.
    #[must_use]
    pub fn knows_platform(&self, name: &str) -> bool {
        let name = grammar::platform_name(name);
        grammar::PLATFORMS.contains(&name.as_str()) || self.is_service(&name)
    }

    /// All platforms whose ids are read here by more than their plain name.
    pub fn platforms(&self) -> impl Iterator<Item = &str> {
        let registry = &self.inner.registry;
        let of_hosts = registry.hosts().filter_map(|host| host.platform.as_deref());
        grammar::PLATFORMS.iter().copied().chain(of_hosts)
    }

    /// Ids of the regions of a host that registry or overlay describe. Whether an entry has ended is
    /// not asked here.
    #[must_use]
    pub fn regions(&self, host: &str) -> Vec<&str> {
        let registry = self.inner.registry.host(host);
        let own = self.inner.overlay.hosts.get(host);
        let of_registry = registry.into_iter().flat_map(|host| &host.regions);
        let of_operator = own.into_iter().flat_map(|patch| &patch.says.regions);
        of_registry
            .map(|region| region.id.as_str())
            .chain(of_operator.flatten().map(|(id, _)| id.as_str()))
            .collect()
    }

    /// The groups a country belongs to.
    #[must_use]
    pub fn groups_of(&self, country: Country) -> Vec<&str> {
        self.inner.registry.groups_of(country)
    }

    /// The host whose address this is.
    #[must_use]
    pub fn host_for_origin(&self, hostname: &str) -> Option<HostId> {
        self.inner
            .registry
            .host_for_origin(hostname)
            .map(|host| host.id.clone())
    }

    /// The routing fields of a dialect at a host.
    #[must_use]
    pub fn fields(&self, host: Option<&str>, dialect: &str) -> FieldRules {
        let id = host.and_then(|id| self.host(id));
        let mut rules = self.inner.registry.fields(id, dialect);
        let patch = host.and_then(|id| self.inner.overlay.hosts.get(id));
        // Only ever stricter: whether an entry has ended is not asked here.
        rules.router |= patch.is_some_and(|patch| patch.says.kind == Some(HostKind::Router));
        rules
    }

    /// How a host wants to be asked for one of its models on a day; nothing for one that is not known.
    #[must_use]
    pub fn wire(&self, host: &str, model: &str, as_of: Date) -> WireFacts {
        let host = self.inner.registry.host(host);
        host.map_or_else(WireFacts::default, |host| host.wire.of(model, as_of))
    }

    /// What a host charges for one of its models on a day, by the model's exact name in the host's API;
    /// none where nobody says so.
    #[must_use]
    pub fn price(&self, host: &HostId, name: &str, as_of: Date) -> Option<&Price> {
        let prices = self.inner.registry.prices(host.as_str());
        prices
            .iter()
            .find(|price| price.name == name && price.valid.holds_on(as_of))
    }

    /// The next day on which a host's price for a model may be another one.
    #[must_use]
    pub fn price_changes(&self, host: &HostId, name: &str, as_of: Date) -> Option<Date> {
        let prices = self.inner.registry.prices(host.as_str()).iter();
        let days = prices
            .filter(|price| price.name == name)
            .flat_map(|price| [price.valid.from, price.valid.to]);
        days.flatten().filter(|day| *day > as_of).min()
    }

    pub(crate) fn model_node(&self, id: &str, horizon: &mut Horizon) -> Option<ModelNode<'_>> {
        let model = self.inner.registry.model(id);
        let entry = self
            .inner
            .overlay
            .models
            .get_key_value(id)
            .filter(|(_, patch)| horizon.holds(&patch.valid));
        let id = model.map(|model| &model.id).or(entry.map(|(id, _)| id))?;
        Some(ModelNode {
            id,
            model,
            patch: entry.map(|(_, patch)| patch),
        })
    }

    pub(crate) fn producer_node(
        &self,
        id: &str,
        horizon: &mut Horizon,
    ) -> Option<ProducerNode<'_>> {
        let producer = self.inner.registry.producer(id);
        let entry = self
            .inner
            .overlay
            .producers
            .get_key_value(id)
            .filter(|(_, patch)| horizon.holds(&patch.valid));
        let id = producer
            .map(|producer| &producer.id)
            .or(entry.map(|(id, _)| id))?;
        Some(ProducerNode {
            id,
            producer,
            patch: entry.map(|(_, patch)| patch),
        })
    }

    pub(crate) fn host_node(&self, id: &str, horizon: &mut Horizon) -> Option<HostNode<'_>> {
        let host = self.inner.registry.host(id);
        let entry = self
            .inner
            .overlay
            .hosts
            .get_key_value(id)
            .filter(|(_, patch)| horizon.holds(&patch.valid));
        let id = host.map(|host| &host.id).or(entry.map(|(id, _)| id))?;
        Some(HostNode {
            id,
            host,
            patch: entry.map(|(_, patch)| patch),
        })
    }

    /// The operator's mapping of a name; one for this upstream goes before one for all.
    pub(crate) fn deployment(
        &self,
        name: &str,
        upstream: Option<&str>,
        horizon: &mut Horizon,
    ) -> Option<&Patch<Deployment>> {
        let mut found: Option<&Patch<Deployment>> = None;
        for patch in self
            .inner
            .overlay
            .deployments
            .iter()
            .filter(|patch| patch.says.id == name)
        {
            let own = patch.says.upstream.as_deref();
            if (own.is_none() || own == upstream)
                && horizon.holds(&patch.valid)
                && (found.is_none() || own.is_some())
            {
                found = Some(patch);
            }
        }
        found
    }

    /// Models that only the operator describes and whose id or name has this key.
    pub(crate) fn own_models_with_key(&self, wanted: &str, horizon: &mut Horizon) -> Vec<&ModelId> {
        let mut found = Vec::new();
        for (id, patch) in &self.inner.overlay.models {
            let named = key(id.as_str()) == wanted
                || patch
                    .says
                    .name
                    .as_deref()
                    .is_some_and(|name| key(name) == wanted);
            if named
                && self.inner.registry.model(id.as_str()).is_none()
                && horizon.holds(&patch.valid)
            {
                found.push(id);
            }
        }
        found
    }
}

impl Services for View {
    fn is_service(&self, word: &str) -> bool {
        self.host(word).is_some()
            || self
                .inner
                .registry
                .hosts()
                .any(|host| host.platform.as_deref() == Some(word))
    }

    fn without_prefix<'i>(&self, platform: &str, id: &'i str) -> Option<(&'i str, &'i str)> {
        // Catalogues name the host where another one of the operator's shares its platform.
        let of_platform = |host: &&Host| {
            host.platform.as_deref() == Some(platform) || host.id.as_str() == platform
        };
        let hosts = self.inner.registry.hosts().filter(of_platform);
        let mut prefixes = hosts.flat_map(|host| &host.prefixes);
        let prefix = prefixes.find(|prefix| id.starts_with(prefix.as_str()))?;
        let (prefix, rest) = id.split_at_checked(prefix.len())?;
        (!rest.is_empty()).then_some((prefix, rest))
    }
}
