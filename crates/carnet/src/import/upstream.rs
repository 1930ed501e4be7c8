//! Upstreams and workloads on their way into a `carnet.toml`, and how they are written.

use std::fmt::Write as _;

use http::Uri;
use http::uri::Scheme;

use super::report::Place;

/// What stands before each line of an entry that lacks something, as in the file of `carnet config init`.
const OFF: &str = "#! ";

/// One `[[upstream]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Upstream {
    /// The name that it shall have if it is free.
    pub(super) wish: String,
    pub(super) base_url: Option<String>,
    pub(super) platform: Option<String>,
    pub(super) region: Option<String>,
    pub(super) key: Option<Key>,
    pub(super) auth: Option<String>,
    pub(super) apis: Vec<String>,
    pub(super) api_version: Option<String>,
    pub(super) proxy: Option<String>,
    pub(super) private_addresses: bool,
    pub(super) first_byte_seconds: Option<u64>,
    pub(super) idle_seconds: Option<u64>,
    /// What it lacks; then it is written as a comment.
    pub(super) lacks: Vec<String>,
}

/// Where the secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// An environment variable.
    Env(String),
    /// The secret of this number among those that have no variable yet.
    Asked(usize),
}

/// A model of an upstream.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) upstream_model: String,
    pub(super) place: Place,
}

/// An upstream with its name and its models.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) upstream: Upstream,
    pub(super) models: Vec<Model>,
}

/// One `[[workload]]`.
#[derive(Debug)]
pub(super) struct Workload {
    pub(super) id: String,
    pub(super) team: Option<String>,
    pub(super) tenant: Option<String>,
}

impl Entry {
    /// Whether it stands in the file as more than a comment.
    pub(super) fn is_on(&self) -> bool {
        self.upstream.lacks.is_empty() && !self.models.is_empty()
    }
}

/// The file. `variable` tells the variable that holds a secret.
pub(super) fn write(
    product: &str,
    workloads: &[Workload],
    entries: &[Entry],
    variable: impl Fn(&Key) -> String,
) -> String {
    let mut text = format!(
        "# Written by `carnet config import --from {product}`. `carnet config check` checks it with everything it names.\n\n\
         [policy]\npacks = [\"default\"]\n"
    );
    for workload in workloads {
        text.push_str("\n[[workload]]\n");
        pair(&mut text, "", "id", &quoted(&workload.id));
        if let Some(team) = &workload.team {
            pair(&mut text, "", "team", &quoted(team));
        }
        if let Some(tenant) = &workload.tenant {
            pair(&mut text, "", "tenant", &quoted(tenant));
        }
    }
    for entry in entries {
        write_entry(&mut text, entry, &variable);
    }
    text
}

fn write_entry(text: &mut String, entry: &Entry, variable: &impl Fn(&Key) -> String) {
    let upstream = &entry.upstream;
    text.push('\n');
    let before = if entry.is_on() { "" } else { OFF };
    for lack in &upstream.lacks {
        line(text, format_args!("# {lack}"));
    }
    if entry.models.is_empty() {
        text.push_str("# name its models and take the `#! ` away\n");
    }
    line(text, format_args!("{before}[[upstream]]"));
    let mut pair = |key: &str, value: String| pair(text, before, key, &value);
    pair("name", quoted(&entry.name));
    pair(
        "base_url",
        quoted(upstream.base_url.as_deref().unwrap_or("https://…")),
    );
    if !upstream.apis.is_empty() {
        let apis: Vec<String> = upstream.apis.iter().map(|api| quoted(api)).collect();
        pair("apis", format!("[{}]", apis.join(", ")));
    }
    let texts = [
        ("api_version", &upstream.api_version),
        ("platform", &upstream.platform),
        ("region", &upstream.region),
        ("auth", &upstream.auth),
        ("proxy", &upstream.proxy),
    ];
    for (key, value) in texts {
        if let Some(value) = value {
            pair(key, quoted(value));
        }
    }
    if let Some(key) = &upstream.key {
        pair("key", format!("{{ env = {} }}", quoted(&variable(key))));
    }
    if upstream.private_addresses {
        pair("private_addresses", "true".to_owned());
    }
    let seconds = [
        ("first_byte_seconds", upstream.first_byte_seconds),
        ("idle_seconds", upstream.idle_seconds),
    ];
    for (key, value) in seconds {
        if let Some(value) = value {
            pair(key, value.to_string());
        }
    }
    line(text, format_args!("{before}models = ["));
    for model in &entry.models {
        let name = quoted(&model.name);
        if model.name == model.upstream_model {
            line(text, format_args!("{before}  {{ name = {name} }},"));
        } else {
            let own = quoted(&model.upstream_model);
            line(
                text,
                format_args!("{before}  {{ name = {name}, upstream_model = {own} }},"),
            );
        }
    }
    if entry.models.is_empty() {
        line(text, format_args!("{before}  {{ name = \"…\" }},"));
    }
    line(text, format_args!("{before}]"));
}

fn pair(text: &mut String, before: &str, key: &str, value: &str) {
    line(text, format_args!("{before}{key} = {value}"));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // A text takes whatever is written to it.
    let _ = writeln!(text, "{line}");
}

/// A text in TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The address, if an upstream can have it: with scheme and host, without query, user name or password.
pub(super) fn address(text: &str) -> Option<(Uri, String)> {
    let bare = text.trim_end_matches('/');
    let uri: Uri = bare.replace("{model}", "model").parse().ok()?;
    let plain =
        matches!(uri.scheme(), Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let authority = uri.authority()?;
    let fits =
        plain && uri.query().is_none() && !authority.as_str().contains('@') && !bare.contains('#');
    fits.then(|| (uri, bare.to_owned()))
}

/// Whether a name in plain HTTP is spoken to, which nobody does over the internet.
pub(super) fn is_inside(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let is_address = host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
    uri.scheme() == Some(&Scheme::HTTP) && !is_address && host != "localhost"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_from_toml_as_it_was() {
        for text in [
            "plain",
            "\"\\\n\r\t\u{7f}\u{0}",
            "é 😀 # ' = ]",
            "\\u0041",
            "#! x",
        ] {
            let file = format!("a = {}", quoted(text));
            let mut read = toml_span::parse(&file).unwrap();
            let table = read.as_table().unwrap();
            assert_eq!(
                table.get("a").and_then(|value| value.as_str()),
                Some(text),
                "{file}"
            );
            assert!(!file.contains('\n'), "{file}");
            read.take();
        }
    }

    #[test]
    fn only_plain_addresses_are_taken() {
        for (given, taken) in [
            (
                "https://api.example.com/v1/",
                Some("https://api.example.com/v1"),
            ),
            ("http://10.0.0.1:8000", Some("http://10.0.0.1:8000")),
            (
                "https://x.example/d/{model}",
                Some("https://x.example/d/{model}"),
            ),
            ("https://user:secret@x.example", None),
            ("https://x.example/v1?key=secret", None),
            ("https://x.example/v1#secret", None),
            ("ftp://x.example", None),
            ("x.example/v1", None),
            ("https://", None),
            ("", None),
        ] {
            assert_eq!(
                address(given).map(|(_, bare)| bare).as_deref(),
                taken,
                "{given}"
            );
        }
    }

    #[test]
    fn plain_names_are_inside_and_addresses_say_so_themselves() {
        for (given, inside) in [
            ("http://vllm:8000", true),
            ("http://localhost:8000", false),
            ("http://127.0.0.1:8000", false),
            ("http://[::1]:8000", false),
            ("https://vllm:8000", false),
        ] {
            assert_eq!(is_inside(&given.parse().unwrap()), inside, "{given}");
        }
    }
}
