//! Platforms that write a name, or an organisation and a name: most OpenAI-compatible services.

use crate::grammar::{Names, Reading, bedrock};

/// Words after a colon that choose how the model is served.
const VARIANTS: &[&str] = &[
    "beta", "exacto", "extended", "floor", "free", "high", "low", "medium", "nitro", "online",
    "thinking",
];

pub(super) fn read(id: &str, names: Names, reading: &mut Reading) {
    reading.names = names;
    reading.shares_names = true;
    if id.starts_with("ft:") {
        reading.form(id);
        reading.opaque = Some("it is a customer's own fine-tune, which only the customer can name");
        return;
    }
    let id = match id.strip_prefix("@cf/") {
        Some(rest) => {
            reading.form(id);
            reading.step("the prefix `@cf/` names the platform");
            rest
        }
        None => id,
    };
    reading.form(id);
    let id = placed(id, reading);
    let id = &listed(id, reading);
    if let Some((rest, variant)) = id.rsplit_once(':')
        && (VARIANTS.contains(&variant) || is_number(variant))
    {
        reading.step(format!("variant `:{variant}` chooses how it is served"));
        reading.form(rest);
    }
    reading.without_storage();
    namespace(reading);
}

/// `name@us-east-1`: routers let the caller choose the place so.
fn placed<'i>(id: &'i str, reading: &mut Reading) -> &'i str {
    let Some((rest, region)) = id.rsplit_once('@').filter(|(_, place)| is_place(place)) else {
        return id;
    };
    reading.step(format!("`@{region}` chooses the place"));
    reading.region = Some(region.to_owned());
    reading.form(rest);
    rest
}

/// `us-east-1`, `europe-west4`: a region of a large cloud.
fn is_place(text: &str) -> bool {
    let continent = |(area, place): (&str, &str)| {
        let name = place.trim_end_matches(|c: char| c.is_ascii_digit());
        matches!(
            area,
            "asia" | "australia" | "europe" | "me" | "northamerica" | "southamerica" | "us"
        ) && name.len() < place.len()
            && name.bytes().all(|byte| byte.is_ascii_lowercase())
    };
    bedrock::is_region(text) || text.split_once('-').is_some_and(continent)
}

/// `organisation/application/models/name`: an application's list of models.
fn listed(id: &str, reading: &mut Reading) -> String {
    let parts: Vec<&str> = id.split('/').collect();
    if let [organisation, _, "models", name] = parts.as_slice() {
        let short = format!("{organisation}/{name}");
        reading.step("the application in between says nothing about the model");
        reading.form(&short);
        return short;
    }
    id.to_owned()
}

fn is_number(text: &str) -> bool {
    text.len() > 2 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Note the organisation in front of the most stripped form.
pub(super) fn namespace(reading: &mut Reading) {
    let path = reading.forms.last().and_then(|form| form.rsplit_once('/'));
    let mut parts: Vec<String> = path
        .into_iter()
        .flat_map(|(before, _)| before.split('/'))
        .map(str::to_owned)
        .collect();
    // Price lists put the size and quality of pictures in front.
    parts.retain(|part| !is_picture(part));
    reading.namespace = parts.pop();
    reading.beyond = parts;
}

/// `1024-x-1024`, `50-steps`, `hd` …: how large and how fine a picture is.
fn is_picture(part: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let size = part
        .split_once("-x-")
        .is_some_and(|(width, height)| digits(width) && digits(height));
    size || part.strip_suffix("-steps").is_some_and(digits)
        || matches!(part, "hd" | "high" | "low" | "medium" | "standard")
}
