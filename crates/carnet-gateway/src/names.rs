//! Hosts, platforms and regions that upstreams and limits name: each must be one that somebody described, since
//! a name with a slip in it would be taken for one of which nothing is known.

use carnet_provenance::View;
use http::Uri;
use toml_span::Span;

use crate::config::{ConfigProblem, RawConfig, RawUpstream};
use crate::section::{Field, Located, closest};

/// How many known names a message lists.
const LISTED_MAX: usize = 8;

/// What upstreams and limits name and nobody described; all of it at once, also when the entries have other
/// mistakes.
#[must_use]
pub fn unknown_names(raw: &RawConfig, view: &View) -> Vec<ConfigProblem> {
    let mut found = Vec::new();
    for hosts in raw.limits.iter().filter_map(|limit| limit.hosts.given()) {
        let hosts_named = hosts.value.iter();
        found.extend(hosts_named.filter_map(|id| {
            let place = (hosts.span, "take it out of `hosts`");
            unknown_host(id, place, view)
        }));
    }
    for upstream in &raw.upstreams {
        if let Some(host) = upstream.host.given() {
            let place = (host.span, "take `host` out: then it is unknown");
            found.extend(unknown_host(&host.value, place, view));
        }
        if let Some(platform) = upstream.platform.given() {
            found.extend(unknown_platform(platform, view));
        }
        if let Some(region) = upstream.region.given()
            && let Some(host) = host_of(upstream, view)
        {
            found.extend(unknown_region(region, &host, view));
        }
    }
    found
}

/// The known host that an upstream means, by its name or by its address.
fn host_of(upstream: &RawUpstream, view: &View) -> Option<String> {
    match &upstream.host {
        Field::Given(host) => view.host(&host.value).map(ToString::to_string),
        Field::Absent => {
            let address: Uri = upstream.base_url.given()?.value.parse().ok()?;
            view.host_for_origin(address.host()?)
                .map(|host| host.to_string())
        }
        Field::Wrong => None,
    }
}

/// `or` is what else can be done.
fn unknown_host(id: &str, (span, or): (Span, &str), view: &View) -> Option<ConfigProblem> {
    if view.host(id).is_some() {
        return None;
    }
    let meant = meant(id, view.hosts().map(|host| host.as_str()));
    Some(ConfigProblem {
        span,
        message: format!("neither the registry nor an overlay knows the host `{id}`"),
        help: Some(format!(
            "{meant}describe it in an overlay:\n[[host]]\nid = \"{id}\"\n…\nor {or}"
        )),
    })
}

fn unknown_platform(platform: &Located<String>, view: &View) -> Option<ConfigProblem> {
    let name = &platform.value;
    if view.knows_platform(name) {
        return None;
    }
    let meant = meant(name, view.platforms());
    Some(ConfigProblem {
        span: platform.span,
        message: format!("nobody has described the ids of the platform `{name}`"),
        help: Some(format!(
            "{meant}check the spelling, or take `platform` out: then it is the host's"
        )),
    })
}

fn unknown_region(region: &Located<String>, host: &str, view: &View) -> Option<ConfigProblem> {
    let id = &region.value;
    let known = view.regions(host);
    if known.contains(&id.as_str()) {
        return None;
    }
    let meant = meant(id, known.iter().copied());
    let listed = match known.len() {
        0 => "no region of it is described".to_owned(),
        1..=LISTED_MAX => format!("it has {}", known.join(", ")),
        _ => format!("`carnet registry show {host}` lists its regions"),
    };
    Some(ConfigProblem {
        span: region.span,
        message: format!("the host `{host}` has no region `{id}`"),
        help: Some(format!(
            "{meant}{listed}\ndescribe it in an overlay, or take `region` out: then any may serve"
        )),
    })
}

/// A first line of help with the name that was probably meant.
fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    closest(name, known).map_or_else(String::new, |known| {
        format!("did you mean `{known}`? If not:\n")
    })
}
