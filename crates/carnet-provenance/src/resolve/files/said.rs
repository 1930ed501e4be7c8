//! The models that stand behind the names in files.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::claim::Horizon;
use crate::grammar::DIGEST;
use crate::ids::{ModelId, ProducerId};
use crate::key::key;
use crate::registry::entry::Relation;
use crate::resolve::{Query, identify};
use crate::statements::{BaseStated, FileStatements, OwnName, Stated};
use crate::view::View;

use super::{FILE, relation};

/// Where anybody may upload models, each under an organisation's name.
const HUB: &str = "huggingface";
/// Its sites.
const HUB_SITES: &[&str] = &["huggingface.co/", "hf.co/"];

/// All that files say, with the models that are meant.
#[derive(Debug)]
pub(super) struct Heard<'v, 's> {
    pub(super) bases: Vec<Base<'v, 's>>,
    pub(super) names: Vec<Name<'v, 's>>,
}

/// A model that files name as one that theirs comes from.
#[derive(Debug)]
pub(super) struct Base<'v, 's> {
    pub(super) stated: &'s BaseStated,
    pub(super) relation: Relation,
    /// The models that the name stands for.
    pub(super) found: Vec<&'v ModelId>,
    /// Whether it stands for them without doubt.
    pub(super) exact: bool,
    /// Models of the families whose word the name holds, when it stands for none.
    pub(super) guess: Vec<&'v ModelId>,
}

/// A name that files give the model itself.
#[derive(Debug)]
pub(super) struct Name<'v, 's> {
    pub(super) own: &'s OwnName,
    pub(super) found: Vec<&'v ModelId>,
    pub(super) guess: Vec<&'v ModelId>,
}

impl<'v, 's> Heard<'v, 's> {
    pub(super) fn of(
        view: &'v View,
        says: &'s FileStatements,
        query: &Query<'_>,
        horizon: &mut Horizon,
        steps: &mut Vec<String>,
    ) -> Self {
        let mut heard = Self {
            bases: Vec::new(),
            names: Vec::new(),
        };
        for own in &says.names {
            let (platform, id) = match own.platform {
                HUB => address(&own.value),
                other => (other, own.value.clone()),
            };
            let identity = look(view, &id, platform, query, horizon);
            let found: Vec<_> = identity.found.iter().map(|found| found.model).collect();
            let guess = identity.family;
            steps.extend(told_name(own, &found, &guess));
            heard.names.push(Name { own, found, guess });
        }
        for stated in &says.bases {
            let (platform, id) = address(&stated.value);
            let identity = look(view, &id, platform, query, horizon);
            let base = Base {
                stated,
                relation: relation::of(stated, &id, says),
                found: identity.found.iter().map(|found| found.model).collect(),
                exact: identity.identified,
                guess: identity.family,
            };
            steps.push(told_base(&base));
            heard.bases.push(base);
        }
        for maker in &says.makers {
            steps.extend(told_maker(view, maker, horizon));
        }
        heard
    }

    /// Every model that anything said may mean.
    pub(super) fn nodes(&self) -> BTreeSet<&'v ModelId> {
        let bases = self.bases.iter().map(|base| (&base.found, &base.guess));
        let names = self.names.iter().map(|name| (&name.found, &name.guess));
        bases
            .chain(names)
            .flat_map(|(found, guess)| found.iter().chain(guess).copied())
            .collect()
    }
}

fn look<'v>(
    view: &'v View,
    id: &str,
    platform: &'static str,
    query: &Query<'_>,
    horizon: &mut Horizon,
) -> identify::Identity<'v> {
    let query = Query {
        id,
        platform: Some(platform),
        host: None,
        upstream: None,
        region: None,
        as_of: query.as_of,
    };
    let reading = view.read(&query, horizon);
    identify::identify(view, &query, &reading, horizon)
}

/// The platform and id that a stated base leads to. A place on some disk is no more than its name.
fn address(value: &str) -> (&'static str, String) {
    let value = value.trim().trim_end_matches('/');
    let last = |text: &str| {
        text.rsplit(['/', '\\'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    if let Some((_, rest)) = value.split_once("://") {
        let rest = rest.strip_prefix("www.").unwrap_or(rest);
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let on_hub = HUB_SITES.iter().find_map(|site| rest.strip_prefix(site));
        let mut parts = on_hub.unwrap_or_default().split('/');
        return match (parts.next(), parts.next()) {
            (Some(organisation), Some(name)) if !organisation.is_empty() && !name.is_empty() => {
                (HUB, format!("{organisation}/{name}"))
            }
            _ => (FILE, last(rest)),
        };
    }
    let on_disk = value.starts_with(['/', '.', '~']) || value.contains('\\');
    if on_disk || value.matches('/').count() != 1 {
        (FILE, last(value))
    } else {
        (HUB, value.to_owned())
    }
}

/// The key of a stated base, to tell whether two that nobody knows are the same.
pub(super) fn key_of(value: &str) -> String {
    key(&address(value).1)
}

fn told_base(base: &Base<'_, '_>) -> String {
    let BaseStated { value, place, .. } = base.stated;
    let mut text = format!("{place} says that it comes from `{value}`");
    // Writing to a string cannot fail.
    let _ = match (&*base.found, &*base.guess) {
        ([], []) => write!(text, ", which is not known"),
        ([], guess) => write!(
            text,
            ", which is not known; its name holds the family word of {}",
            listed(guess)
        ),
        (found, _) if base.exact => write!(text, ": {}", listed(found)),
        (found, _) => write!(text, ": perhaps {}, by the name alone", listed(found)),
    };
    text
}

fn told_name(own: &OwnName, found: &[&ModelId], guess: &[&ModelId]) -> Option<String> {
    let OwnName { value, place, .. } = own;
    match (found, guess) {
        ([], []) => None,
        ([], guess) => Some(format!(
            "{place} `{value}` holds the family word of {}: a guess, which identifies nothing",
            listed(guess)
        )),
        (found, _) if own.platform == DIGEST => {
            Some(format!("{place} `{value}` is that of {}", listed(found)))
        }
        (found, _) => Some(format!(
            "{place} `{value}` is the name of {}, which anybody may give",
            listed(found)
        )),
    }
}

fn listed(ids: &[&ModelId]) -> String {
    const SHOWN: usize = 8;
    let mut names: Vec<String> = ids.iter().take(SHOWN).map(|id| format!("`{id}`")).collect();
    if ids.len() > SHOWN {
        names.push("others".to_owned());
    }
    names.join(" or ")
}

/// A maker that is named and known. It is no fact about this file.
fn told_maker(view: &View, maker: &Stated, horizon: &mut Horizon) -> Option<String> {
    let Stated { value, place } = maker;
    let known: &ProducerId = view.producers().find(|id| {
        let named = view.producer_node(id.as_str(), horizon);
        id.as_str().eq_ignore_ascii_case(value)
            || named.is_some_and(|node| node.name().eq_ignore_ascii_case(value))
            || view
                .registry()
                .index()
                .is_namespace_of(&value.to_ascii_lowercase(), id)
    })?;
    let node = view.producer_node(known.as_str(), horizon)?;
    let country = node.country(horizon);
    let country = country.map_or_else(|| "unknown".to_owned(), |said| said.value.to_string());
    Some(format!(
        "{place} names `{value}`, which is the producer {} ({country}): a claim, on which nothing rests",
        node.name()
    ))
}
