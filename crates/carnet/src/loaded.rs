//! A configuration with all that it names, read and checked together, so that one run tells every
//! mistake: of the file itself at its line, of rules and facts in theirs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use carnet_gateway::config::{ConfigProblem, RawUpstream, Services, UpstreamConfig};
use carnet_gateway::section::{Field, Located};
use carnet_gateway::{
    BuildFailed, Generation, Parts, TelemetryFiles, UpstreamFiles, UpstreamProblem, unknown_names,
};
use carnet_limits::KeyRing;
use carnet_policy::{Decider, DeciderOptions, Policies};
use carnet_provenance::{Overlay, Registry, SourceFile, View};
use jiff::Timestamp;
use toml_span::Span;

use crate::config::{Config, Draft};
use crate::trouble::{Trouble, Troubles, Warning};
use crate::{clock, world};

/// See the module. Nothing of it is in force yet.
pub(crate) struct Loaded {
    /// The settings.
    pub(crate) config: Config,
    /// Entries of overlays that have ended.
    pub(crate) warnings: Vec<Warning>,
    /// What telemetry needs, if there is any.
    pub(crate) telemetry: TelemetryFiles,
    draft: Draft,
    policies: Arc<Policies>,
    view: Arc<View>,
    files: HashMap<Arc<str>, UpstreamFiles>,
    issuer_authorities: HashMap<Arc<str>, Vec<u8>>,
    now: Timestamp,
}

/// Mistakes: those that have a line in the configuration, and those of other files.
#[derive(Default)]
struct Found {
    here: Vec<ConfigProblem>,
    elsewhere: Troubles,
}

/// Read everything that a running server takes over.
pub(crate) fn load(draft: Draft, now: Timestamp) -> Result<Loaded, Troubles> {
    read(draft, now, Found::default())
}

/// Read everything that a start needs.
pub(crate) fn load_to_start(draft: Draft, now: Timestamp) -> Result<Loaded, Troubles> {
    let mut found = Found::default();
    let server = draft.sections.server.as_ref();
    if let Some(tls) = server.and_then(|server| server.tls.given()) {
        for field in [&tls.value.cert, &tls.value.key, &tls.value.client_ca_file] {
            found.file(&draft.base, field);
        }
    }
    read(draft, now, found)
}

fn read(draft: Draft, now: Timestamp, mut found: Found) -> Result<Loaded, Troubles> {
    let mut facts_and_rules = Found::default();
    let policies = policies(&draft, &mut facts_and_rules);
    let mut warnings = Vec::new();
    let view = view(&draft, now, &mut facts_and_rules, &mut warnings);
    let sound = facts_and_rules.is_empty();
    found.append(facts_and_rules);
    let services = Services {
        registry: view.as_ref().map(|view| &**view.registry()),
        day: clock::day_of(now),
    };
    let config = match draft.config(services) {
        Ok(config) => Some(config),
        Err(mut problems) => {
            found.here.append(&mut problems);
            None
        }
    };
    if let Some(view) = &view {
        let unknown = unknown_names(&draft.sections, view);
        found.here.extend(unknown);
    }
    let files = files(&draft, &mut found);
    let issuer_authorities = issuer_authorities(&draft, &mut found);
    let telemetry = telemetry(&draft, &mut found);
    found
        .here
        .extend(draft.engines.iter().filter_map(|engine| engine.missing()));
    match (config, policies, view) {
        (Some(config), Some(policies), Some(view)) if found.is_empty() => Ok(Loaded {
            config,
            warnings,
            telemetry,
            draft,
            policies,
            view,
            files,
            issuer_authorities,
            now,
        }),
        (_, policies, view) => {
            // With a file missing, its facts would be missed by rules that are right.
            if let (Some(policies), Some(view), true) = (policies, view, sound)
                && let Err(problems) = Decider::new(policies, view, DeciderOptions::default())
            {
                let of_packs = world::in_packs(problems, &names(&draft), &draft.base);
                found.elsewhere.extend(of_packs);
            }
            Err(found.troubles(&draft))
        }
    }
}

impl Loaded {
    /// The upstreams with what they need of files.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = (&UpstreamConfig, &UpstreamFiles)> {
        let upstreams = self.config.gateway.upstreams.iter();
        upstreams.filter_map(|upstream| Some((upstream, self.files.get(&upstream.name)?)))
    }

    /// Build a generation, with every reason why not.
    pub(crate) fn build(
        self,
        keys: KeyRing,
        previous: Option<&Generation>,
    ) -> Result<(Generation, Config), Troubles> {
        let parts = Parts {
            config: self.config.gateway.clone(),
            config_version: self.config.version.clone(),
            policies: self.policies,
            view: self.view,
            keys,
            files: self.files,
            issuer_authorities: self.issuer_authorities,
            now: self.now,
        };
        match Generation::build(parts, previous) {
            Ok(generation) => Ok((generation, self.config)),
            Err(failed) => {
                let mut found = Found::default();
                for failed in failed {
                    found.failed(failed, &self.draft);
                }
                Err(found.troubles(&self.draft))
            }
        }
    }
}

impl Found {
    fn is_empty(&self) -> bool {
        self.here.is_empty() && self.elsewhere.is_empty()
    }

    fn append(&mut self, mut other: Self) {
        self.here.append(&mut other.here);
        self.elsewhere.append(&mut other.elsewhere);
    }

    /// What went wrong with something that the configuration names at this place.
    fn at<T>(&mut self, span: Span, result: Result<T, Troubles>) -> Option<T> {
        let troubles = match result {
            Ok(value) => return Some(value),
            Err(troubles) => troubles,
        };
        for trouble in troubles {
            if trouble.line.is_some() {
                self.elsewhere.push(trouble);
                continue;
            }
            let message = match trouble.file {
                Some(file) => format!("`{file}`: {}", trouble.message),
                None => trouble.message,
            };
            self.here.push(ConfigProblem {
                span,
                message,
                help: trouble.help,
            });
        }
        None
    }

    /// The bytes of a file that the configuration names.
    fn file(&mut self, base: &Path, field: &Field<String>) -> Option<Vec<u8>> {
        let name = field.given()?;
        self.at(name.span, world::read_bytes(&base.join(&name.value)))
    }

    fn failed(&mut self, failed: BuildFailed, draft: &Draft) {
        match failed {
            BuildFailed::Policy(problems) => {
                let of_packs = world::in_packs(problems, &names(draft), &draft.base);
                self.elsewhere.extend(of_packs);
            }
            BuildFailed::Upstream { upstream, problem } => {
                let named = |entry: &&RawUpstream| {
                    entry
                        .name
                        .given()
                        .is_some_and(|name| *name.value == *upstream)
                };
                let entry = draft.sections.upstreams.iter().find(named);
                self.here.push(ConfigProblem {
                    span: entry.map_or(Span::default(), |entry| blamed(entry, &problem)),
                    message: problem.to_string(),
                    help: Some("correct the entry, or the file that it names".to_owned()),
                });
            }
            BuildFailed::Issuer { issuer, problem } => {
                let mut entries = draft.sections.issuers.iter();
                let file = entries.find_map(|entry| {
                    let named = entry
                        .name
                        .given()
                        .is_some_and(|name| *name.value == *issuer);
                    entry.ca_file.given().filter(|_| named)
                });
                self.here.push(ConfigProblem {
                    span: file.map_or(Span::default(), |file| file.span),
                    message: problem.to_string(),
                    help: Some("correct the file, or name another".to_owned()),
                });
            }
            BuildFailed::Watch(error) => self.elsewhere.push(Trouble::new(
                BuildFailed::Watch(error).to_string(),
                "correct the registry, and check it with `carnet registry validate`",
            )),
        }
    }

    fn troubles(self, draft: &Draft) -> Troubles {
        let mut troubles = draft.troubles(self.here);
        troubles.extend(self.elsewhere);
        troubles
    }
}

/// The place in an upstream's entry that a problem is about.
fn blamed(entry: &RawUpstream, problem: &UpstreamProblem) -> Span {
    let key = || entry.key.given().map(|key| key.span);
    let text = |field: &Field<String>| field.given().map(|text| text.span);
    let about = match problem {
        UpstreamProblem::AccountKey(_)
        | UpstreamProblem::Key(_)
        | UpstreamProblem::SigningKey(_) => key(),
        UpstreamProblem::Pem { file, .. } => {
            [&entry.ca_file, &entry.client_cert, &entry.client_key]
                .into_iter()
                .filter_map(Field::given)
                .find(|text| Path::new(file).ends_with(&text.value))
                .map(|text| text.span)
        }
        UpstreamProblem::ServerName(_) => text(&entry.base_url),
        UpstreamProblem::Tls { .. } => text(&entry.client_cert).or_else(|| text(&entry.ca_file)),
    };
    about.or_else(|| text(&entry.name)).unwrap_or_default()
}

/// The packs that are there, checked; none when none is.
fn policies(draft: &Draft, found: &mut Found) -> Option<Arc<Policies>> {
    let mut sources = Vec::new();
    for pack in &draft.packs {
        let source = found.at(pack.span, world::pack(&pack.value, &draft.base));
        sources.extend(source.map(|source| world::set(source, &draft.settings)));
    }
    if sources.is_empty() {
        return None;
    }
    match world::compile(&sources, &names(draft), &draft.base) {
        Ok(policies) => Some(policies),
        Err(mut troubles) => {
            found.elsewhere.append(&mut troubles);
            None
        }
    }
}

fn names(draft: &Draft) -> Vec<String> {
    draft.packs.iter().map(|pack| pack.value.clone()).collect()
}

/// Registry and overlay, as far as they can be read.
fn view(
    draft: &Draft,
    now: Timestamp,
    found: &mut Found,
    warnings: &mut Vec<Warning>,
) -> Option<Arc<View>> {
    let registry = registry(draft, found)?;
    let mut files = Vec::new();
    for name in &draft.overlay {
        let file = draft.base.join(&name.value);
        files.extend(
            found
                .at(name.span, world::read_text(&file))
                .map(|text| SourceFile {
                    path: file.display().to_string(),
                    text,
                }),
        );
    }
    let (overlay, problems) = Overlay::read(&files, &registry, clock::day_of(now));
    found
        .elsewhere
        .extend(problems.into_iter().map(Trouble::from));
    let ended = overlay.ended().iter().cloned();
    warnings.extend(ended.map(|problem| Warning(problem.into())));
    Some(Arc::new(View::new(registry, overlay)))
}

fn registry(draft: &Draft, found: &mut Found) -> Option<Arc<Registry>> {
    let folder = draft.registry_folder();
    let span = draft
        .registry
        .as_ref()
        .map_or(Span::default(), |folder| folder.span);
    found.at(
        span,
        world::registry_in(folder.as_deref(), draft.state.as_deref()),
    )
}

/// Certificate authorities of the issuers that have some of their own.
fn issuer_authorities(draft: &Draft, found: &mut Found) -> HashMap<Arc<str>, Vec<u8>> {
    let mut all = HashMap::new();
    for issuer in &draft.sections.issuers {
        let pem = found.file(&draft.base, &issuer.ca_file);
        if let (Some(name), Some(pem)) = (issuer.name.given(), pem) {
            all.insert(name.value.as_str().into(), pem);
        }
    }
    all
}

/// Headers and certificate authorities for the collector of telemetry.
fn telemetry(draft: &Draft, found: &mut Found) -> TelemetryFiles {
    let Some(raw) = &draft.sections.telemetry else {
        return TelemetryFiles::default();
    };
    let headers = raw.headers.given().map(|headers| &headers.value[..]);
    let values = headers.unwrap_or_default().iter();
    let values = values.filter_map(|header| {
        let value = header.value.given()?;
        let reference = value.value.reference(&draft.base)?;
        found.at(value.span, world::secret(&reference))
    });
    let headers = values.collect();
    TelemetryFiles {
        headers,
        ca: found.file(&draft.base, &raw.ca_file),
    }
}

/// Keys and certificates of all upstreams.
fn files(draft: &Draft, found: &mut Found) -> HashMap<Arc<str>, UpstreamFiles> {
    let mut all = HashMap::new();
    for upstream in &draft.sections.upstreams {
        let key = upstream
            .key
            .given()
            .and_then(|key| Some((key.span, key.value.reference(&draft.base)?)));
        let files = UpstreamFiles {
            key: key.and_then(|(span, reference)| found.at(span, world::secret(&reference))),
            ca: found.file(&draft.base, &upstream.ca_file),
            client_cert: {
                let chain = found.file(&draft.base, &upstream.client_cert);
                let key = found.file(&draft.base, &upstream.client_key);
                chain.zip(key)
            },
        };
        if let Some(Located { value, .. }) = upstream.name.given() {
            all.insert(value.as_str().into(), files);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::fs;

    use carnet_limits::{KeyId, KeyRecord, KeyTerms, SecretKey};
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::config::Given;

    const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"

[[workload]]
id = "app"

[[upstream]]
name = "plain"
base_url = "https://plain.example/v1"
key = { file = "plain.key" }
client_cert = "client.pem"
client_key = "client.key"
models = [{ name = "a" }]

[[upstream]]
name = "signed"
base_url = "https://signed.example"
auth = "aws-sigv4"
region = "us-east-1"
apis = ["converse"]
key = { file = "signed.key" }
models = [{ name = "b" }]

[telemetry]
endpoint = "https://collector.example"
headers = [{ name = "authorization", value = { file = "collector.key" } }]
"#;

    #[test]
    fn nothing_that_is_loaded_prints_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["client.example".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&pair).unwrap().pem();
        let private = pair.serialize_pem();
        for (name, text) in [
            ("plain.key", "sk-planted-plain"),
            ("signed.key", "AKIAPLANTED:planted-signed:planted-session"),
            ("collector.key", "Basic planted-collector"),
            ("client.pem", &certificate),
            ("client.key", &private),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let base = folder.path().to_path_buf();
        let given = Given::default();
        let draft = Draft::read(
            &base.join("carnet.toml"),
            CONFIG.to_owned(),
            base.clone(),
            &given,
        );
        let mut draft = draft.unwrap();
        draft.state = Some(base);
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let loaded = match load(draft, now) {
            Ok(loaded) => loaded,
            Err(troubles) => panic!("{troubles:?}"),
        };
        let secret = SecretKey::from_random([7; 20]);
        let key = KeyRecord {
            id: KeyId::from_random([1; 8]),
            digest: secret.digest(),
            former: Box::default(),
            workload: "app".into(),
            note: String::new(),
            created: now,
            revoked: None,
            terms: KeyTerms::default(),
        };
        let mut told = format!(
            "{:?}{:?}{:?}",
            loaded.config, loaded.files, loaded.telemetry
        );
        let (generation, config) = match loaded.build(KeyRing::new(vec![key]), None) {
            Ok(built) => built,
            Err(troubles) => panic!("{troubles:?}"),
        };
        told += &format!("{generation:?}{config:?}{secret:?}");
        // Bytes are told as numbers: those in the middle of the key stand nowhere else.
        let bytes = private.as_bytes();
        let middle = format!("{:?}", &bytes[bytes.len() / 2..bytes.len() / 2 + 24]);
        let middle = middle.trim_matches(['[', ']']);
        let line = private.lines().nth(1).unwrap();
        for planted in ["planted", "PLANTED", middle, line, secret.expose()] {
            assert!(!told.contains(planted), "`{planted}` is told");
        }
        assert!(told.contains("plain.example"));
    }
}
