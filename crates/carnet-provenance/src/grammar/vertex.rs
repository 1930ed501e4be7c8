//! Vertex: `publisher/model-maas`, `model@version`, full resource names.

use crate::grammar::{Names, Reading, plain};

pub(super) fn read(id: &str, reading: &mut Reading) {
    reading.names = Names::Services;
    reading.shares_names = true;
    let mut name = id;
    if id.starts_with("projects/") || id.starts_with("locations/") || id.starts_with("endpoints/") {
        region(id, reading);
        let Some((_, published)) = id.split_once("publishers/") else {
            reading.form(id);
            reading.opaque = Some(
                "the endpoint is a resource of the customer's own and does not name its model",
            );
            return;
        };
        name = published;
    }
    let short = name.replace("/models/", "/");
    let short = short.strip_prefix("publishers/").unwrap_or(&short);
    reading.form(name);
    reading.form(short);
    let mut rest = short;
    if let Some((before, version)) = rest.split_once('@') {
        reading.step(format!("`@{version}` is the platform's version"));
        rest = before;
        reading.form(rest);
    }
    if let Some(before) = rest.strip_suffix("-maas") {
        reading.step("`-maas` says that it is served as a service");
        reading.form(before);
    }
    plain::namespace(reading);
}

fn region(id: &str, reading: &mut Reading) {
    let region = id
        .split_once("locations/")
        .and_then(|(_, rest)| rest.split('/').next());
    if let Some(region) = region.filter(|region| !region.is_empty()) {
        reading.step(format!("region `{region}` stands in the id"));
        reading.region = Some(region.to_owned());
    }
}
