//! Bedrock: `profile.vendor.model-v1:0`, regions in front, ARNs.

use crate::grammar::{Names, Reading};

/// Prefixes of cross-region profiles. Which regions each may use is said by the registry.
const PROFILES: &[&str] = &[
    "af", "apac", "au", "ca", "eu", "global", "il", "in", "jp", "me", "mx", "sa", "uk", "us",
    "us-gov",
];

/// Parts of a path that choose how it is called or paid.
const ROUTES: &[&str] = &[
    "async_invoke",
    "converse",
    "converse_like",
    "invoke",
    "mantle",
];

pub(super) fn looks_like(id: &str) -> bool {
    id.starts_with("arn:aws") || version(id).is_some() || profile(id).is_some()
}

pub(super) fn read(id: &str, reading: &mut Reading) {
    reading.names = Names::Services;
    let mut name = id;
    if id.starts_with("arn:") {
        let Some(inner) = arn(id, reading) else {
            return;
        };
        name = inner;
    }
    while let Some((first, rest)) = name.split_once('/') {
        if is_region(first) {
            reading.step(format!("region `{first}` stands in the id"));
            reading.region = Some(first.to_owned());
        } else if !ROUTES.contains(&first) && !first.ends_with("-commitment") {
            break;
        }
        name = rest;
    }
    reading.form(name);
    if let Some((prefix, rest)) = profile(name) {
        reading.step(format!(
            "cross-region profile `{prefix}`: the prompt may leave the region"
        ));
        reading.profile = Some(prefix.to_owned());
        reading.form(rest);
        name = rest;
    }
    if let Some(rest) = version(name) {
        reading.step(format!(
            "`{}` is the platform's own version",
            name.get(rest.len()..).unwrap_or_default()
        ));
        reading.form(rest);
        name = rest;
    }
    if let Some((vendor, model)) = name.split_once('.') {
        reading.step(format!("`{vendor}.` names the vendor"));
        reading.form(&format!("{vendor}/{model}"));
        reading.namespace = Some(vendor.to_owned());
    }
}

/// The id inside an ARN, if it names a model of the catalogue.
fn arn<'a>(id: &'a str, reading: &mut Reading) -> Option<&'a str> {
    let mut parts = id.splitn(6, ':');
    let region = parts.nth(3).unwrap_or_default();
    let resource = parts.nth(1).unwrap_or_default();
    if is_region(region) {
        reading.step(format!("region `{region}` stands in the ARN"));
        reading.region = Some(region.to_owned());
    }
    match resource.split_once('/') {
        Some(("foundation-model" | "inference-profile", name)) => Some(name),
        _ => {
            reading.form(id);
            reading.opaque =
                Some("the ARN is a resource of the customer's own and does not name its model");
            None
        }
    }
}

fn profile(name: &str) -> Option<(&str, &str)> {
    let (prefix, rest) = name.split_once('.')?;
    (PROFILES.contains(&prefix) && rest.contains('.')).then_some((prefix, rest))
}

/// The name without `-v1:0`, `-v2:1:128k`, `:0`, `-v1`.
fn version(name: &str) -> Option<&str> {
    let (before, after) = name.split_once(':')?;
    let part = |part: &str| {
        !part.is_empty()
            && part
                .trim_end_matches('k')
                .bytes()
                .all(|byte| byte.is_ascii_digit())
    };
    if !after.split(':').all(part) {
        return None;
    }
    let tagged = before.rsplit_once("-v").filter(|(_, number)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    // A bare `:8` could be anybody's tag: without `-v1` in front the vendor's point must be there.
    tagged
        .map(|(rest, _)| rest)
        .or_else(|| before.contains('.').then_some(before))
        .filter(|rest| rest.contains('.'))
}

/// `eu-central-1`, `us-gov-west-1`.
pub(super) fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let words = parts.split_last().is_some_and(|(last, words)| {
        !last.is_empty()
            && last.bytes().all(|byte| byte.is_ascii_digit())
            && words.len() >= 2
            && words
                .iter()
                .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
    });
    words && parts.first().is_some_and(|first| first.len() <= 3)
}
