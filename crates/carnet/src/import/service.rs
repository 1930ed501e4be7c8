//! What the source says of a service becomes an upstream: its address, its key, and what is missing.

use http::Uri;

use super::Import;
use super::cursor::At;
use super::knowledge::Provider;
use super::report::{Place, Secret};
use super::upstream::{self, Key, Upstream};

/// A secret without a variable.
pub(super) struct Asked {
    /// What the source says, so that equal ones need one variable. It goes nowhere else.
    values: Vec<String>,
    pub(super) wish: String,
    pub(super) secret: Secret,
}

impl Import<'_> {
    /// The upstream of a provider, by what the source says of it in these places.
    pub(super) fn upstream(&mut self, provider: &Provider, contexts: &[&At<'_>]) -> Upstream {
        let mut upstream = Upstream {
            wish: provider.upstream.clone(),
            auth: provider.auth.clone(),
            apis: provider.apis.clone(),
            platform: provider.platform.clone(),
            ..Upstream::default()
        };
        if let Err(lack) = self.place_of(provider, contexts, &mut upstream) {
            upstream.lacks.push(lack);
        }
        upstream.key = self.key(provider, contexts, &upstream.wish);
        upstream
    }

    /// The first text at one of these keys, in any of these places.
    fn first<'t>(&mut self, contexts: &[&At<'t>], keys: &[String]) -> Option<(&'t str, Place)> {
        contexts
            .iter()
            .flat_map(|at| keys.iter().map(move |key| (at, key)))
            .find_map(|(at, key)| self.mistakes.text(at, key))
    }

    /// The variable that a text names instead of a value.
    fn reference<'t>(&self, text: &'t str) -> Option<&'t str> {
        let name = text.strip_prefix(self.knowledge.reference.as_deref()?)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_name = !name.is_empty() && name.chars().all(plain);
        (is_name && !name.starts_with(|c: char| c.is_ascii_digit())).then_some(name)
    }

    /// Where it answers; the error is what is missing.
    fn place_of(
        &mut self,
        provider: &Provider,
        contexts: &[&At<'_>],
        upstream: &mut Upstream,
    ) -> Result<(), String> {
        let parts = self.parts(provider, contexts)?;
        let region = parts.iter().find(|(name, _)| name == "region");
        upstream.region = region.map(|(_, value)| value.clone());
        let given = self.first(contexts, &provider.address);
        let mut text = match given {
            Some((text, place)) => {
                if let Some(variable) = self.reference(text) {
                    return Err(format!(
                        "its address is in the variable {variable}: write it out"
                    ));
                }
                let Some((uri, address)) = upstream::address(text) else {
                    // Whatever it is, it may hold a secret.
                    return Err(format!(
                        "{} is no address that can be taken: write it without query, user name and password",
                        place.path
                    ));
                };
                if let Some(name) = name_elsewhere(provider, &uri) {
                    upstream.wish = name;
                }
                let ending = provider.ending.as_deref().unwrap_or_default();
                let Some(address) = address.strip_suffix(ending).map(str::to_owned) else {
                    return Err(format!(
                        "{} does not end with `{ending}`, where the interface is that Carnet speaks",
                        place.path
                    ));
                };
                let suffix = self.suffix(provider, contexts, upstream);
                let suffix = suffix.unwrap_or_default();
                let first = suffix
                    .trim_start_matches('/')
                    .split('/')
                    .next()
                    .unwrap_or_default();
                let there = uri.path().split('/').any(|part| part == first);
                if there { address } else { address + suffix }
            }
            None => {
                let is_global = parts.iter().any(|(_, value)| value == "global");
                let url = provider.global_url.as_ref().filter(|_| is_global);
                url.or(provider.base_url.as_ref())
                    .cloned()
                    .ok_or("its address is not in the source")?
            }
        };
        for (name, value) in &parts {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        let (uri, address) = upstream::address(&text).ok_or("its address cannot be used")?;
        upstream.private_addresses = upstream::is_inside(&uri);
        upstream.base_url = Some(address);
        Ok(())
    }

    /// What is added to an address, and the version that goes with it.
    fn suffix<'p>(
        &mut self,
        provider: &'p Provider,
        contexts: &[&At<'_>],
        upstream: &mut Upstream,
    ) -> Option<&'p str> {
        if let (Some(key), Some(suffix)) = (&provider.version, &provider.versioned_suffix) {
            let version = self.first(contexts, std::slice::from_ref(key));
            // A word such as `preview` asks for the interface without dates.
            let dated = version.filter(|(text, _)| {
                text.starts_with(|c: char| c.is_ascii_digit())
                    && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            });
            if let Some((version, _)) = dated {
                upstream.api_version = Some(version.to_owned());
                upstream.apis = provider.versioned_apis.clone();
                return Some(suffix);
            }
        }
        provider.suffix.as_deref()
    }

    fn parts(
        &mut self,
        provider: &Provider,
        contexts: &[&At<'_>],
    ) -> Result<Vec<(String, String)>, String> {
        let mut parts = Vec::new();
        for (name, key) in &provider.parts {
            let Some((value, place)) = self.first(contexts, std::slice::from_ref(key)) else {
                return Err(format!("its {name} is not in the source"));
            };
            if let Some(variable) = self.reference(value) {
                return Err(format!(
                    "its {name} is in the variable {variable}: write it out"
                ));
            }
            if !value
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            {
                return Err(format!(
                    "{} is no {name} that an address can have",
                    place.path
                ));
            }
            parts.push((name.clone(), value.to_owned()));
        }
        Ok(parts)
    }

    /// Where its secret comes from: a variable that the source names alone, else one that is to be set.
    fn key(&mut self, provider: &Provider, contexts: &[&At<'_>], upstream: &str) -> Option<Key> {
        let mut values = Vec::new();
        let mut places = Vec::new();
        for key in &provider.secrets {
            if let Some((value, place)) = self.first(contexts, std::slice::from_ref(key)) {
                values.push(value);
                places.push(place);
            }
        }
        if let ([value], None) = (values.as_slice(), &provider.key_holds)
            && let Some(variable) = self.reference(value)
        {
            return Some(Key::Env(variable.to_owned()));
        }
        let holds = match (&provider.key_holds, values.is_empty()) {
            (Some(holds), _) => holds.clone(),
            (None, false) => "the key that stands in the source".to_owned(),
            (None, true) if self.knowledge.reads_environment => {
                return provider.key_env.clone().map(Key::Env);
            }
            (None, true) => {
                provider.key_env.as_ref()?;
                "a key of the service; the source has none".to_owned()
            }
        };
        if places.is_empty() {
            places.extend(contexts.first().map(|at| at.place()));
        }
        // The key of one service must not be sent to another, so the usual variable is for its own address.
        let usual = provider
            .key_env
            .clone()
            .filter(|_| upstream == provider.upstream);
        let wish = usual.unwrap_or_else(|| variable_of(upstream));
        Some(Key::Asked(self.ask(values, wish, holds, places)))
    }

    /// The number of a secret that is to be set.
    fn ask(&mut self, values: Vec<&str>, wish: String, holds: String, places: Vec<Place>) -> usize {
        let same = |asked: &Asked| asked.values == values && asked.wish == wish;
        if let Some(index) = self.asked.iter().position(same) {
            if let Some(asked) = self.asked.get_mut(index) {
                asked.secret.places.extend(places);
            }
            return index;
        }
        self.asked.push(Asked {
            values: values.into_iter().map(str::to_owned).collect(),
            wish,
            secret: Secret {
                variable: String::new(),
                holds,
                places,
            },
        });
        self.asked.len().saturating_sub(1)
    }
}

/// A name for what speaks like a public service at another host.
fn name_elsewhere(provider: &Provider, uri: &Uri) -> Option<String> {
    let (own, _) = (provider.base_url.as_ref()?, provider.key_env.as_ref()?);
    let own: Option<Uri> = own.parse().ok();
    let host = uri.host()?;
    let same = own.as_ref().and_then(Uri::host) == Some(host);
    let name = host.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    (!same).then(|| name.trim_matches('-').to_owned())
}

/// The usual name of a variable with a key.
fn variable_of(upstream: &str) -> String {
    let name: String = upstream
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        // No shell sets a variable that begins like this.
        return format!("UPSTREAM_{name}_API_KEY");
    }
    format!("{name}_API_KEY")
}
