//! What is known of other gateways, read from `assets/import/`: which service each of their provider names stands
//! for, and what their settings mean here. No name of a service stands in code.

use std::path::Path;

use carnet_gateway::section;
use carnet_gateway::section::{Field, Named, Read};

use super::Product;
use crate::trouble::{Trouble, Troubles};

section! {
    /// A provider as another gateway names it.
    RawProvider {
        required {
            /// The other gateway's name for it.
            name: String,
        }
        optional {
            /// Name of the upstream here. Default: the same.
            upstream: String,
            /// Where it answers; `{part}` stands for one of `parts`.
            base_url: String,
            /// Where it answers when a part is `global`.
            global_url: String,
            /// What is added to an address that the source gives.
            suffix: String,
            /// What an address that the source gives ends with, and the upstream's does not.
            ending: String,
            /// Key of the source that dates the interface, and what is added to an address then.
            version: String,
            /// See `version`.
            versioned_suffix: String,
            /// Kinds of requests with a version.
            versioned_apis: Vec<String>,
            /// Keys of the source that may give the address. Default: the product's.
            address: Vec<String>,
            /// Parts of the address by the keys of the source that give them.
            parts: Named<String>,
            /// Keys of the source that make up the secret. Default: the product's.
            secrets: Vec<String>,
            /// Variable that holds the secret when the source does not name one; without it none is needed.
            key_env: String,
            /// What the variable must hold, where that is not the key alone.
            key_holds: String,
            /// How the key is sent.
            auth: String,
            /// Kinds of requests that it takes.
            apis: Vec<String>,
            /// Grammar of the model ids.
            platform: String,
            /// Beginnings of the only models that can be carried over.
            only: Vec<String>,
            /// Beginnings of models that ask for another interface, which are not carried over.
            except: Vec<String>,
            /// What stands before a model's own id to choose this interface of the provider.
            route: String,
            /// The entry for models that this one does not take.
            otherwise: String,
            /// Beginnings of models without a provider that mean this one.
            bare: Vec<String>,
            /// Why it cannot be carried over.
            refused: String,
            /// What Carnet has instead.
            instead: String,
        }
    }
}

section! {
    /// A setting of another gateway that is not carried over.
    RawSetting {
        required {
            /// Its place: keys with dots between them, `[]` behind a list, `*` for any key.
            path: String,
            /// Why it is not carried over, or why nothing is lost.
            why: String,
        }
        optional {
            /// The only value that this is about.
            value: String,
            /// What Carnet has instead.
            instead: String,
            /// Nothing is lost.
            kept: bool,
        }
    }
}

section! {
    /// All that is known of one gateway.
    RawKnowledge {
        required {
            /// Keys that may give the address of any provider.
            address: Vec<String>,
            /// Keys that make up the secret of any provider.
            secrets: Vec<String>,
            /// Its providers.
            provider: Vec<RawProvider>,
            /// Its settings; the first that fits counts.
            setting: Vec<RawSetting>,
        }
        optional {
            /// What stands before the name of a variable; without it none can be named.
            reference: String,
            /// A list whose items have the same settings as what is around it.
            nested: String,
            /// Where the source has no secret, the provider's usual variable is read.
            reads_environment: bool,
        }
    }
}

/// See [`RawProvider`].
#[derive(Debug, Default)]
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) upstream: String,
    pub(super) base_url: Option<String>,
    pub(super) global_url: Option<String>,
    pub(super) suffix: Option<String>,
    pub(super) ending: Option<String>,
    pub(super) version: Option<String>,
    pub(super) versioned_suffix: Option<String>,
    pub(super) versioned_apis: Vec<String>,
    pub(super) address: Vec<String>,
    pub(super) parts: Vec<(String, String)>,
    pub(super) secrets: Vec<String>,
    pub(super) key_env: Option<String>,
    pub(super) key_holds: Option<String>,
    pub(super) auth: Option<String>,
    pub(super) apis: Vec<String>,
    pub(super) platform: Option<String>,
    pub(super) only: Vec<String>,
    pub(super) except: Vec<String>,
    route: Option<String>,
    otherwise: Option<String>,
    pub(super) bare: Vec<String>,
    pub(super) refused: Option<String>,
    pub(super) instead: Option<String>,
}

/// See [`RawSetting`].
#[derive(Debug)]
pub(super) struct Setting {
    path: Vec<String>,
    value: Option<String>,
    pub(super) why: String,
    pub(super) instead: Option<String>,
    pub(super) kept: bool,
}

/// See [`RawKnowledge`].
#[derive(Debug)]
pub(super) struct Knowledge {
    pub(super) reference: Option<String>,
    nested: Option<String>,
    pub(super) reads_environment: bool,
    providers: Vec<Provider>,
    settings: Vec<Setting>,
}

impl Knowledge {
    /// What is known of a product.
    pub(super) fn of(product: Product) -> Result<Self, Troubles> {
        let (file, text) = match product {
            Product::Bifrost => (
                "bifrost.toml",
                include_str!("../../assets/import/bifrost.toml"),
            ),
            Product::Litellm => (
                "litellm.toml",
                include_str!("../../assets/import/litellm.toml"),
            ),
            Product::Portkey => (
                "portkey.toml",
                include_str!("../../assets/import/portkey.toml"),
            ),
        };
        let value = toml_span::parse(text).map_err(|error| {
            vec![Trouble::new(error.to_string(), "this is built in").of(Path::new(file))]
        })?;
        let mut found = Vec::new();
        let raw = RawKnowledge::read("the file", value, &mut found).unwrap_or_default();
        if !found.is_empty() {
            let file = Path::new(file);
            return Err(found
                .into_iter()
                .map(|problem| Trouble::config(file, text, problem))
                .collect());
        }
        let (address, secrets) = (value_of(raw.address), value_of(raw.secrets));
        let provider = |raw| Provider::new(raw, &address, &secrets);
        Ok(Self {
            reference: raw.reference.into_value(),
            nested: raw.nested.into_value(),
            reads_environment: value_of(raw.reads_environment),
            providers: value_of(raw.provider).into_iter().map(provider).collect(),
            settings: value_of(raw.setting)
                .into_iter()
                .map(Setting::new)
                .collect(),
        })
    }

    /// The provider of this name.
    pub(super) fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// The interface of a provider that takes a model: its own one, or one for models that this does not take.
    pub(super) fn interface<'k>(&'k self, provider: &'k Provider, model: &str) -> &'k Provider {
        let mut at = provider;
        // No entry leads back to one before it, and each is asked once.
        for _ in &self.providers {
            if at.takes(model) {
                return at;
            }
            let next = at.otherwise.as_deref().and_then(|name| self.provider(name));
            let Some(next) = next else { break };
            at = next;
        }
        provider
    }

    /// The provider that a model without one means.
    pub(super) fn provider_of_bare(&self, model: &str) -> Option<&Provider> {
        self.providers
            .iter()
            .find(|provider| begins_with(model, &provider.bare))
    }

    /// What is known of the setting at this place with this value.
    pub(super) fn setting(&self, path: &[String], value: Option<&str>) -> Option<&Setting> {
        let path = self.without_nesting(path);
        self.settings.iter().find(|setting| {
            setting.path.len() == path.len()
                && setting.begins(path)
                && (setting.value.is_none() || setting.value.as_deref() == value)
        })
    }

    /// Whether something is known of what stands below this place.
    pub(super) fn knows_below(&self, path: &[String]) -> bool {
        let path = self.without_nesting(path);
        self.settings
            .iter()
            .any(|setting| setting.path.len() > path.len() && setting.begins(path))
    }

    fn without_nesting<'p>(&self, mut path: &'p [String]) -> &'p [String] {
        while let [first, rest @ ..] = path
            && Some(first) == self.nested.as_ref()
        {
            path = rest;
        }
        path
    }
}

impl Provider {
    fn new(raw: RawProvider, address: &[String], secrets: &[String]) -> Self {
        let name = value_of(raw.name);
        let list = |own: Field<Vec<String>>, usual: &[String]| {
            own.into_value().unwrap_or_else(|| usual.to_vec())
        };
        Self {
            upstream: raw
                .upstream
                .into_value()
                .unwrap_or_else(|| name.replace('_', "-")),
            name,
            base_url: raw.base_url.into_value(),
            global_url: raw.global_url.into_value(),
            suffix: raw.suffix.into_value(),
            ending: raw.ending.into_value(),
            version: raw.version.into_value(),
            versioned_suffix: raw.versioned_suffix.into_value(),
            versioned_apis: value_of(raw.versioned_apis),
            address: list(raw.address, address),
            parts: value_of(raw.parts).0.into_iter().collect(),
            secrets: list(raw.secrets, secrets),
            key_env: raw.key_env.into_value(),
            key_holds: raw.key_holds.into_value(),
            auth: raw.auth.into_value(),
            apis: value_of(raw.apis),
            platform: raw.platform.into_value(),
            only: value_of(raw.only),
            except: value_of(raw.except),
            route: raw.route.into_value(),
            otherwise: raw.otherwise.into_value(),
            bare: value_of(raw.bare),
            refused: raw.refused.into_value(),
            instead: raw.instead.into_value(),
        }
    }

    /// The id by which its service knows a model.
    pub(super) fn own_id<'m>(&self, model: &'m str) -> &'m str {
        let route = self.route.as_deref().unwrap_or_default();
        model.strip_prefix(route).unwrap_or(model)
    }

    /// Whether this model of it can be carried over.
    pub(super) fn takes(&self, model: &str) -> bool {
        (self.only.is_empty() || begins_with(model, &self.only))
            && !begins_with(model, &self.except)
    }
}

impl Setting {
    fn new(raw: RawSetting) -> Self {
        Self {
            path: value_of(raw.path).split('.').map(str::to_owned).collect(),
            value: raw.value.into_value(),
            why: value_of(raw.why),
            instead: raw.instead.into_value(),
            kept: value_of(raw.kept),
        }
    }

    /// Whether a place is this one or on the way to it.
    fn begins(&self, path: &[String]) -> bool {
        path.len() <= self.path.len()
            && self.path.iter().zip(path).all(|(known, part)| {
                known == part || known == "*" || (known == "*[]" && part.ends_with("[]"))
            })
    }
}

fn begins_with(model: &str, beginnings: &[String]) -> bool {
    beginnings
        .iter()
        .any(|beginning| model.starts_with(beginning.as_str()))
}

fn value_of<T: Default>(field: Field<T>) -> T {
    field.into_value().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_can_be_read_and_names_each_provider_once() {
        for product in [Product::Bifrost, Product::Litellm, Product::Portkey] {
            let knowledge = Knowledge::of(product)
                .map_err(|troubles| troubles.iter().map(ToString::to_string).collect::<String>())
                .unwrap();
            for (index, provider) in knowledge.providers.iter().enumerate() {
                let first = knowledge
                    .providers
                    .iter()
                    .position(|p| p.name == provider.name);
                assert_eq!(first, Some(index), "{} stands twice", provider.name);
                let reachable = provider.base_url.is_some() || !provider.address.is_empty();
                assert!(reachable || provider.refused.is_some(), "{}", provider.name);
            }
        }
    }

    #[test]
    fn no_setting_stands_in_the_shadow_of_another() {
        for product in [Product::Bifrost, Product::Litellm, Product::Portkey] {
            let knowledge = Knowledge::of(product).unwrap();
            for setting in &knowledge.settings {
                let path: Vec<String> = setting
                    .path
                    .iter()
                    .map(|part| part.replace('*', "x"))
                    .collect();
                let found = knowledge.setting(&path, setting.value.as_deref());
                let itself = found.is_some_and(|found| std::ptr::eq(found, setting));
                assert!(itself, "{product:?}: {path:?}");
            }
        }
    }
}
