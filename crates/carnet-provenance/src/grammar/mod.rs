//! How platforms write model ids: one file a platform, and one reading as the result.
//!
//! A grammar only takes an id apart. It knows no model and no maker; what a name means is said by
//! the registry. It never strips what may change the lineage.

mod azure;
mod bedrock;
mod digest;
mod file;
mod fireworks;
mod huggingface;
mod ollama;
mod openrouter;
mod plain;
mod vertex;

#[cfg(test)]
mod tests;

use crate::key::without_storage;

pub(crate) use digest::{DIGEST, is_digest, short};

/// Platforms with a grammar of their own; every other one is read as plain names.
pub(crate) const PLATFORMS: &[&str] = &[
    "azure",
    "bedrock",
    "file",
    "fireworks",
    "huggingface",
    "ollama",
    "openrouter",
    "vertex",
];

/// An id taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The platform, normalised; none when nothing says it.
    pub(crate) platform: Option<String>,
    /// Names to look up, the least stripped first.
    pub(crate) forms: Vec<String>,
    /// The organisation in front of the name.
    pub(crate) namespace: Option<String>,
    /// What stands still further in front.
    pub(crate) beyond: Vec<String>,
    /// Who chooses names there.
    pub(crate) names: Names,
    /// Whether exact names of other platforms mean the same here.
    pub(crate) shares_names: bool,
    /// A region that the id names.
    pub(crate) region: Option<String>,
    /// A cross-region profile that the id names.
    pub(crate) profile: Option<String>,
    /// The host that the id leads to, whatever was asked.
    pub(crate) host: Option<&'static str>,
    /// Why the id cannot say which model it is.
    pub(crate) opaque: Option<&'static str>,
    /// What was done, for the answer.
    pub(crate) steps: Vec<String>,
}

/// Who chooses the names of a platform, and so what a name is worth that no alias lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Names {
    /// Anybody: a name identifies nothing.
    Anybodys,
    /// The customer, over a catalogue of the service's: on the wire a name identifies nothing.
    Deployments,
    /// Organisations under their own name: only theirs identify.
    #[default]
    Namespaced,
    /// The service: a name means the model of that name.
    Services,
}

impl Reading {
    /// A name to look up.
    fn form(&mut self, form: &str) {
        if !form.is_empty() && !self.forms.iter().any(|known| known == form) {
            self.forms.push(form.to_owned());
        }
    }

    /// The last form without quantisation.
    fn without_storage(&mut self) {
        let Some(last) = self.forms.last().cloned() else {
            return;
        };
        let shorter = without_storage(&last);
        if shorter != last {
            self.step(format!(
                "quantisation `{}` says nothing about the origin",
                last.get(shorter.len()..).unwrap_or_default()
            ));
            self.form(shorter);
        }
    }

    fn step(&mut self, step: impl Into<String>) {
        self.steps.push(step.into());
    }
}

/// What the registry knows of services, as far as grammars need it.
pub(crate) trait Services {
    /// Whether a word names a platform or host.
    fn is_service(&self, word: &str) -> bool;

    /// What a platform writes in front of names, and the name behind it.
    fn without_prefix<'i>(&self, platform: &str, id: &'i str) -> Option<(&'i str, &'i str)>;
}

/// No services are known.
pub(crate) struct NoServices;

impl Services for NoServices {
    fn is_service(&self, _: &str) -> bool {
        false
    }

    fn without_prefix<'i>(&self, _: &str, _: &'i str) -> Option<(&'i str, &'i str)> {
        None
    }
}

/// Take an id apart by the platform's grammar, or by what the id itself gives away.
pub(crate) fn read(id: &str, platform: Option<&str>, services: &dyn Services) -> Reading {
    let lower = id.to_ascii_lowercase();
    let mut reading = Reading::default();
    let platform = platform.map(platform_name);
    if digest::read(&lower, platform.as_deref(), &mut reading) {
        return reading;
    }
    let platform = platform.or_else(|| hint(&lower, services));
    let mut rest = lower.as_str();
    if let Some(name) = platform.as_deref() {
        reading.form(rest);
        if let Some(shorter) = without_prefix(rest, name) {
            reading.step(format!(
                "the prefix `{}` names the platform",
                rest.get(..rest.len().saturating_sub(shorter.len()))
                    .unwrap_or_default()
            ));
            rest = shorter;
        }
        if let Some((prefix, shorter)) = services.without_prefix(name, rest) {
            reading.form(rest);
            reading.step(format!("`{prefix}` is what the platform writes in front"));
            rest = shorter;
        }
    }
    match platform.as_deref() {
        Some("azure") => azure::read(rest, &mut reading),
        Some("bedrock") => bedrock::read(rest, &mut reading),
        Some("file") => file::read(rest, &mut reading),
        Some("fireworks") => fireworks::read(rest, &mut reading),
        Some("huggingface") => huggingface::read(rest, &mut reading),
        Some("ollama") => ollama::read(rest, &mut reading),
        Some("openrouter") => openrouter::read(rest, &mut reading),
        Some("vertex") => vertex::read(rest, &mut reading),
        Some(_) => plain::read(rest, Names::Services, &mut reading),
        None => plain::read(rest, Names::Namespaced, &mut reading),
    }
    reading.platform = platform;
    reading
}

/// A platform's name in one spelling: gateways write the same one in several ways.
pub(crate) fn platform_name(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let name = lower.strip_prefix("models.dev:").unwrap_or(&lower);
    // `_ai` is a gateway's ending; `-ai` may be part of an organisation's name.
    let name = name.strip_suffix("_ai").unwrap_or(name).replace('_', "-");
    let name = name.as_str();
    for (family, word) in [
        ("bedrock", "bedrock"),
        ("vertex-ai", "vertex"),
        ("vertex", "vertex"),
        ("ollama", "ollama"),
    ] {
        if name == family
            || name
                .strip_prefix(family)
                .is_some_and(|rest| rest.starts_with('-'))
        {
            return word.to_owned();
        }
    }
    match name {
        // Where the ending stands behind a platform with a grammar of its own it can be no other.
        _ if name
            .strip_suffix("-ai")
            .is_some_and(|base| PLATFORMS.contains(&base)) =>
        {
            name.trim_end_matches("-ai").to_owned()
        }
        // Gateways also put the cloud's name in front.
        _ if name.ends_with("-bedrock") => "bedrock".to_owned(),
        _ if name.ends_with("-vertex") => "vertex".to_owned(),
        "hf" => "huggingface".to_owned(),
        "gguf" | "safetensors" => "file".to_owned(),
        _ => name.to_owned(),
    }
}

/// What the id itself gives away about its platform. A hint, not a proof.
fn hint(id: &str, services: &dyn Services) -> Option<String> {
    let first = id.split('/').next().unwrap_or_default();
    let found = if file::looks_like(id) {
        "file".to_owned()
    } else if fireworks::looks_like(id) {
        "fireworks".to_owned()
    } else if bedrock::looks_like(id) {
        "bedrock".to_owned()
    } else if huggingface::looks_like(id) {
        "huggingface".to_owned()
    } else if id.contains('/')
        && (services.is_service(&platform_name(first))
            || PLATFORMS.contains(&platform_name(first).as_str()))
    {
        platform_name(first)
    } else if !id.contains('/') && id.contains(':') && !id.starts_with("ft:") {
        "ollama".to_owned()
    } else {
        return None;
    };
    Some(found)
}

/// The id without a first part that only repeats the platform. A name must be left.
fn without_prefix<'a>(id: &'a str, platform: &str) -> Option<&'a str> {
    let (first, rest) = id.split_once('/')?;
    (!rest.is_empty() && platform_name(first) == platform).then_some(rest)
}
