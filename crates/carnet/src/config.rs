//! `carnet.toml`: reads the file, joins the sections that each crate owns, reports all mistakes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use carnet_gateway::config::{
    self as gateway, ConfigProblem, RawAudit, RawServer, RawUpstream, RawWorkload,
};
use carnet_gateway::section;
use schemars::JsonSchema;
use sha2::{Digest, Sha256};
use toml_span::value::ValueInner;
use toml_span::{DeserError, ErrorKind, Span, Value};

use crate::trouble::{Trouble, Troubles};
use crate::world;

/// What `carnet config init` writes.
pub(crate) const TEMPLATE: &str = include_str!("../assets/carnet.toml");

section! {
    /// The admin listener: status, keys, metrics.
    RawAdmin {
        required {}
        optional {
            /// Address and port of the admin listener. Default `127.0.0.1:4391`.
            listen: String,
            /// Names under which it is reached. Default: localhost and the loopback addresses.
            names: Vec<String>,
        }
    }
}

section! {
    /// Which rules decide.
    RawPolicy {
        required {
            /// Packs, each a built-in name or a folder. A request needs the permission of every one.
            packs: Vec<String>,
        }
        optional {}
    }
}

section! {
    /// Where facts come from, beside the built-in registry.
    RawRegistry {
        required {}
        optional {
            /// Overlay files with your own facts: deployment names, private hosts and models.
            overlay: Vec<String>,
            /// Registry folder to use instead of the built-in one.
            folder: String,
        }
    }
}

section! {
    /// Carnet's configuration.
    RawFile {
        required {}
        optional {
            /// The data listener.
            server: RawServer,
            /// The admin listener.
            admin: RawAdmin,
            /// Which rules decide.
            policy: RawPolicy,
            /// Where facts come from.
            registry: RawRegistry,
            /// The log of records.
            audit: RawAudit,
            /// Services to which permitted requests go.
            upstream: Vec<RawUpstream>,
            /// Who calls.
            workload: Vec<RawWorkload>,
        }
    }
}

/// What is true after all checks.
#[derive(Debug)]
pub(crate) struct Config {
    /// The gateway's settings.
    pub(crate) gateway: gateway::Config,
    /// Address of the admin listener.
    pub(crate) admin: SocketAddr,
    /// Names of the admin listener.
    pub(crate) admin_names: Vec<String>,
    /// Packs, built-in names or folders (as given; folders relative to the file).
    pub(crate) packs: Vec<String>,
    /// Overlay files.
    pub(crate) overlay: Vec<PathBuf>,
    /// Registry folder instead of the built-in one.
    pub(crate) registry: Option<PathBuf>,
    /// Folder from which relative paths are taken.
    pub(crate) base: PathBuf,
    /// SHA-256 of the text.
    pub(crate) version: String,
}

/// Read and check a file.
pub(crate) fn load(file: &Path) -> Result<Config, Troubles> {
    let text = world::read_text(file).map_err(|mut troubles| {
        if !file.exists() {
            for trouble in &mut troubles {
                trouble.help = Some("`carnet config init` writes a commented one".to_owned());
            }
        }
        troubles
    })?;
    let base = file
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    parse(&text, &base).map_err(|problems| {
        problems
            .into_iter()
            .map(|problem| Trouble::config(file, &text, problem))
            .collect()
    })
}

/// Check a text; all mistakes at once.
pub(crate) fn parse(text: &str, base: &Path) -> Result<Config, Vec<ConfigProblem>> {
    let (raw, mut found) = read(text)?;
    let (admin, admin_names) = admin(raw.admin.as_ref().map(|admin| &admin.value), &mut found);
    let packs = packs(raw.policy.as_ref().map(|policy| &policy.value), &mut found);
    let sections = gateway::RawConfig {
        server: raw.server.map(|server| server.value),
        upstreams: raw
            .upstream
            .map_or_else(Vec::new, |upstreams| upstreams.value),
        workloads: raw
            .workload
            .map_or_else(Vec::new, |workloads| workloads.value),
        audit: raw.audit.map(|audit| audit.value),
    };
    let gateway = match gateway::validate(&sections, base) {
        Ok(gateway) if found.is_empty() => gateway,
        Ok(_) => return Err(in_order(found)),
        Err(mut more) => {
            found.append(&mut more);
            return Err(in_order(found));
        }
    };
    let registry = raw.registry.map(|registry| registry.value);
    Ok(Config {
        gateway,
        admin,
        admin_names,
        packs,
        overlay: registry
            .as_ref()
            .and_then(|registry| registry.overlay.as_ref())
            .map_or_else(Vec::new, |files| {
                files.value.iter().map(|file| base.join(file)).collect()
            }),
        registry: registry
            .and_then(|registry| registry.folder)
            .map(|folder| base.join(folder.value)),
        base: base.to_path_buf(),
        version: format!("sha256:{}", hex::encode(Sha256::digest(text.as_bytes()))),
    })
}

/// Mistakes as they follow in the file.
fn in_order(mut found: Vec<ConfigProblem>) -> Vec<ConfigProblem> {
    found.sort_by_key(|problem| problem.span.start);
    found
}

/// The JSON schema, generated from the sections.
pub(crate) fn schema() -> String {
    let mut generator = schemars::SchemaGenerator::default();
    let mut schema = RawFile::json_schema(&mut generator);
    schema.insert(
        "$schema".to_owned(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    schema.insert("title".to_owned(), "carnet.toml".into());
    schema.insert("$defs".to_owned(), generator.definitions().clone().into());
    serde_json::to_string_pretty(&schema).unwrap_or_default()
}

fn admin(raw: Option<&RawAdmin>, found: &mut Vec<ConfigProblem>) -> (SocketAddr, Vec<String>) {
    let mut address = SocketAddr::from(([127, 0, 0, 1], 4391));
    if let Some(listen) = raw.and_then(|raw| raw.listen.as_ref()) {
        match listen.value.parse() {
            Ok(given) => address = given,
            Err(_) => found.push(ConfigProblem {
                span: listen.span,
                message: format!("`{}` is not an address with a port", listen.value),
                help: Some("write it as \"127.0.0.1:4391\"".to_owned()),
            }),
        }
    }
    let names = raw
        .and_then(|raw| raw.names.as_ref())
        .map(|names| names.value.clone())
        .unwrap_or_default();
    if names.is_empty() && !address.ip().is_loopback() {
        found.push(ConfigProblem {
            span: raw
                .and_then(|raw| raw.listen.as_ref())
                .map_or(Span::default(), |listen| listen.span),
            message: "the admin listener is reachable from outside, but no host name is given"
                .to_owned(),
            help: Some(
                "keep it on 127.0.0.1, or add names = [\"carnet-admin.example.org\"]".to_owned(),
            ),
        });
    }
    let names = if names.is_empty() {
        ["localhost", "127.0.0.1", "[::1]"]
            .map(String::from)
            .to_vec()
    } else {
        names
    };
    (address, names)
}

fn packs(raw: Option<&RawPolicy>, found: &mut Vec<ConfigProblem>) -> Vec<String> {
    match raw {
        None => vec!["default".to_owned()],
        Some(policy) if policy.packs.value.is_empty() => {
            found.push(ConfigProblem {
                span: policy.packs.span,
                message: "without a pack nothing could be permitted".to_owned(),
                help: Some("write packs = [\"default\"], or leave the section out".to_owned()),
            });
            Vec::new()
        }
        Some(policy) => policy.packs.value.clone(),
    }
}

/// Read the sections. Unknown keys are taken out and reported beside what the checks find; other
/// mistakes of form leave nothing to check.
fn read(text: &str) -> Result<(RawFile, Vec<ConfigProblem>), Vec<ConfigProblem>> {
    let deserialize = |unknown: &[Span]| {
        let mut value = toml_span::parse(text).map_err(|error| vec![problem(error)])?;
        prune(&mut value, unknown);
        <RawFile as toml_span::Deserialize>::deserialize(&mut value).map_err(problems)
    };
    let found = match deserialize(&[]) {
        Ok(raw) => return Ok((raw, Vec::new())),
        Err(found) => found,
    };
    let unknown: Vec<Span> = found.iter().map(|problem| problem.span).collect();
    match deserialize(&unknown) {
        Ok(raw) => Ok((raw, found)),
        Err(_) => Err(in_order(found)),
    }
}

/// Take out the keys that stand at these places.
fn prune(value: &mut Value<'_>, unknown: &[Span]) {
    let mut inner = value.take();
    match &mut inner {
        ValueInner::Table(table) => {
            table.retain(|key, _| !unknown.contains(&key.span));
            table.values_mut().for_each(|value| prune(value, unknown));
        }
        ValueInner::Array(array) => array.iter_mut().for_each(|value| prune(value, unknown)),
        _ => {}
    }
    value.set(inner);
}

/// What the reader reports, with the closest known key as help.
fn problems(error: DeserError) -> Vec<ConfigProblem> {
    error
        .errors
        .into_iter()
        .flat_map(|error| match error.kind {
            ErrorKind::UnexpectedKeys { keys, expected } => keys
                .into_iter()
                .map(|(key, span)| ConfigProblem {
                    span,
                    message: format!("unknown key `{key}`"),
                    help: Some(match closest(&key, &expected) {
                        Some(known) => format!("did you mean `{known}`?"),
                        None => format!("known here are {}", expected.join(", ")),
                    }),
                })
                .collect(),
            _ => vec![problem(error)],
        })
        .collect()
}

fn problem(error: toml_span::Error) -> ConfigProblem {
    let (message, help) = match &error.kind {
        ErrorKind::MissingField(name) => {
            (format!("`{name}` is missing"), format!("add `{name} = …`"))
        }
        ErrorKind::Wanted { expected, .. } => (error.to_string(), format!("write {expected} here")),
        ErrorKind::DuplicateKey { .. } | ErrorKind::DuplicateTable { .. } => {
            (error.to_string(), "keep one of the two".to_owned())
        }
        ErrorKind::UnquotedString => (
            "this is no value".to_owned(),
            "put a text in quotes: \"…\"".to_owned(),
        ),
        _ => (
            error.to_string(),
            "correct the line; it is not valid TOML".to_owned(),
        ),
    };
    ConfigProblem {
        span: error.span,
        message,
        help: Some(help),
    }
}

/// The known key that is at most two edits away.
fn closest<'a>(key: &str, known: &'a [String]) -> Option<&'a str> {
    known
        .iter()
        .map(|known| (distance(key, known), known.as_str()))
        .filter(|(d, _)| *d <= 2)
        .min()
        .map(|(_, known)| known)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.iter().zip(row.iter().skip(1)) {
            let cost = diagonal + usize::from(from != *to);
            left = cost.min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_valid_as_it_is_and_with_every_line_uncommented() {
        let base = Path::new(".");
        assert!(parse(TEMPLATE, base).is_ok());
        let bare: String = TEMPLATE
            .lines()
            .map(|line| line.strip_prefix("#! ").unwrap_or(line))
            .fold(String::new(), |text, line| text + line + "\n");
        let config = parse(&bare, base)
            .map_err(|problems| format!("{problems:#?}"))
            .unwrap();
        assert_eq!(config.gateway.upstreams.len(), 4);
    }

    #[test]
    fn all_mistakes_are_told_at_once_with_their_place() {
        let text = "[server]\nlisen = \"127.0.0.1:1\"\n\n[policy]\npacks = []\n\n[[upstream]]\nname = \"a\"\nbase_url = \"ftp://x\"\nmodels = []\nkey = { env = \"A\", file = \"b\" }\n";
        let mistakes = parse(text, Path::new(".")).unwrap_err();
        assert_eq!(mistakes[0].help.as_deref(), Some("did you mean `listen`?"));
        assert_eq!(&text[mistakes[0].span.start..mistakes[0].span.end], "lisen");
        let messages: Vec<_> = mistakes
            .iter()
            .map(|mistake| mistake.message.as_str())
            .collect();
        assert_eq!(
            messages,
            [
                "unknown key `lisen`",
                "without a pack nothing could be permitted",
                "`ftp://x` is not a plain http or https address",
                "an upstream without models can never be reached",
                "a key needs exactly one reference",
            ]
        );
    }

    #[test]
    fn a_close_key_is_suggested_and_a_far_one_is_not() {
        let known = ["listen".to_owned(), "names".to_owned()];
        assert_eq!(closest("lisen", &known), Some("listen"));
        assert_eq!(closest("workers", &known), None);
    }
}
