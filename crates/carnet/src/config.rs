//! `carnet.toml`: reads the file, joins the sections that each crate owns, reports all mistakes of the
//! file itself. Whether what it names is there is asked in `loaded`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use carnet_gateway::config::{
    self as gateway, ConfigProblem, RawAudit, RawCache, RawCertificate, RawConversations,
    RawIssuer, RawLimit, RawPool, RawRouting, RawServer, RawTelemetry, RawUpstream, RawWorkload,
    Services,
};
use carnet_gateway::section;
use carnet_gateway::section::{Field, Located, Read};
use carnet_provenance::Registry;
use jiff::civil::Date;
use schemars::JsonSchema;
use sha2::{Digest, Sha256};
use toml_span::{ErrorKind, Span};

use crate::engine::{self, RawEngine};
use crate::rules::{self, RawPolicy, Settings};
use crate::state::State;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, world};

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
    /// Where facts come from, beside the built-in registry.
    RawRegistry {
        required {}
        optional {
            /// Overlay files with your own facts: deployment names, private hosts and models.
            overlay: Vec<Located<String>>,
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
            /// Models that Carnet runs itself.
            engine: Vec<RawEngine>,
            /// Conversations that Carnet itself keeps.
            conversations: RawConversations,
            /// Answers that are given again to equal requests.
            cache: RawCache,
            /// Who calls.
            workload: Vec<RawWorkload>,
            /// How often a request is tried, and which of several offers of a model it goes to.
            routing: RawRouting,
            /// Names that lead to one of several models.
            pool: Vec<RawPool>,
            /// How much may be used.
            limit: Vec<RawLimit>,
            /// Whose tokens callers may show in place of a key.
            issuer: Vec<RawIssuer>,
            /// To which workload the certificate of a caller leads, in place of a key: the first that fits.
            certificate: Vec<RawCertificate>,
            /// A collector that is told of requests.
            telemetry: RawTelemetry,
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
    /// What is set for them, by the pack's name.
    pub(crate) settings: Settings,
    /// Overlay files.
    pub(crate) overlay: Vec<PathBuf>,
    /// Registry folder instead of the built-in one.
    pub(crate) registry: Option<PathBuf>,
    /// Models that Carnet runs itself.
    pub(crate) engines: Vec<engine::Settings>,
    /// Folder from which relative paths are taken.
    pub(crate) base: PathBuf,
    /// SHA-256 of the text and of what the command line adds to it.
    pub(crate) version: String,
}

/// What the command line says instead of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// Address of the data listener.
    pub(crate) listen: Option<String>,
    /// Address of the admin listener.
    pub(crate) admin_listen: Option<String>,
    /// A model to run, a file or folder.
    pub(crate) model: Option<PathBuf>,
    /// Overlay files beside those of the configuration.
    pub(crate) overlay: Vec<PathBuf>,
}

/// The file as it is written, each value with its place, and the mistakes of its form.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Folder from which relative paths are taken.
    pub(crate) base: PathBuf,
    /// The gateway's sections, with all mistakes of form.
    pub(crate) sections: gateway::RawConfig,
    /// Packs, built-in names or folders.
    pub(crate) packs: Vec<Located<String>>,
    /// What is set for them, by the pack's name.
    pub(crate) settings: Settings,
    /// Overlay files.
    pub(crate) overlay: Vec<Located<String>>,
    /// Registry folder.
    pub(crate) registry: Option<Located<String>>,
    /// Models that Carnet runs itself; each has an upstream among the sections.
    pub(crate) engines: Vec<engine::Draft>,
    /// State directory, in which an installed registry lies; none = the usual one.
    pub(crate) state: Option<PathBuf>,
    admin: SocketAddr,
    admin_names: Vec<String>,
    file: PathBuf,
    text: String,
    /// What the command line adds to the text.
    added: String,
}

impl Draft {
    /// Read a file. Only a text that is no TOML is refused at once: nothing of it could be checked.
    pub(crate) fn open(file: &Path, given: &Given) -> Result<Self, Troubles> {
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
        Self::read(file, text, base, given)
    }

    /// Read a text; `file` names it in messages.
    pub(crate) fn read(
        file: &Path,
        text: String,
        base: PathBuf,
        given: &Given,
    ) -> Result<Self, Troubles> {
        let value = toml_span::parse(&text)
            .map_err(|error| vec![Trouble::config(file, &text, syntax(&error))])?;
        let mut found = Vec::new();
        let raw = RawFile::read("the file", value, &mut found).unwrap_or_default();
        let mut server = raw.server.into_value();
        if let Some(listen) = &given.listen {
            server.get_or_insert_default().listen = said(listen);
        }
        let mut raw_admin = raw.admin.into_value().unwrap_or_default();
        if let Some(listen) = &given.admin_listen {
            raw_admin.listen = said(listen);
        }
        let (admin, admin_names) = admin(&raw_admin, &mut found);
        let (packs, settings) = rules::read(raw.policy.into_value(), &mut found);
        let registry = raw.registry.into_value().unwrap_or_default();
        let mut upstreams = raw.upstream.into_value().unwrap_or_default();
        let engines = raw.engine.into_value().unwrap_or_default();
        let (engines, mut theirs) = engine::drafts(engines, &upstreams, &base, &mut found);
        upstreams.append(&mut theirs);
        upstreams.iter_mut().for_each(RawUpstream::name_by_host);
        let mut overlay = registry.overlay.into_value().unwrap_or_default();
        let mut added = String::new();
        for file in &given.overlay {
            // Paths of the command line are not taken from the configuration's folder.
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            let value = file.display().to_string();
            added.push_str(&format!("\n--overlay {value}"));
            let span = Span::default();
            overlay.push(Located { value, span });
        }
        Ok(Self {
            base,
            engines,
            sections: gateway::RawConfig {
                server,
                upstreams,
                workloads: raw.workload.into_value().unwrap_or_default(),
                audit: raw.audit.into_value(),
                conversations: match raw.conversations {
                    Field::Given(section) => Some(section),
                    Field::Absent | Field::Wrong => None,
                },
                cache: raw.cache.into_value(),
                routing: raw.routing.into_value(),
                pools: raw.pool.into_value().unwrap_or_default(),
                limits: raw.limit.into_value().unwrap_or_default(),
                issuers: raw.issuer.into_value().unwrap_or_default(),
                certificates: raw.certificate.into_value().unwrap_or_default(),
                telemetry: raw.telemetry.into_value(),
                problems: found,
            },
            packs,
            settings,
            overlay,
            registry: registry.folder.given().cloned(),
            state: None,
            admin,
            admin_names,
            file: file.to_path_buf(),
            text,
            added,
        })
    }

    /// The registry folder that it names.
    pub(crate) fn registry_folder(&self) -> Option<PathBuf> {
        let folder = self.registry.as_ref();
        folder.map(|folder| self.base.join(&folder.value))
    }

    /// The settings with what a registry knows of its services, or all mistakes with their lines.
    pub(crate) fn checked(&self, registry: &Registry, day: Date) -> Result<Config, Troubles> {
        let services = Services {
            registry: Some(registry),
            day,
        };
        self.config(services)
            .map_err(|problems| self.troubles(problems))
    }

    /// The settings, if the file has no mistake. What it leaves open of its services is what is known of them.
    pub(crate) fn config(&self, services: Services<'_>) -> Result<Config, Vec<ConfigProblem>> {
        let gateway = gateway::validate(&self.sections, &self.base, services)?;
        let path = |name: &Located<String>| self.base.join(&name.value);
        Ok(Config {
            gateway,
            admin: self.admin,
            admin_names: self.admin_names.clone(),
            packs: self.packs.iter().map(|pack| pack.value.clone()).collect(),
            settings: self.settings.clone(),
            overlay: self.overlay.iter().map(path).collect(),
            registry: self.registry.as_ref().map(path),
            engines: self
                .engines
                .iter()
                .map(|engine| engine.settings.clone())
                .collect(),
            base: self.base.clone(),
            version: format!(
                "sha256:{}",
                hex::encode(Sha256::digest(self.text.clone() + &self.added))
            ),
        })
    }

    /// Adds the engine that `--model` asks for. In the demonstration it takes the place of the other.
    pub(crate) fn run_model(&mut self, model: &Path, demo: bool) -> Result<(), Troubles> {
        let (engine, upstream) = engine::given(model)?;
        if demo {
            let named = |entry: &gateway::RawUpstream| entry.name.given().map(|n| n.value.clone());
            let gone: Vec<_> = self.engines.drain(..).map(|e| e.settings.name).collect();
            self.sections
                .upstreams
                .retain(|entry| named(entry).is_none_or(|name| !gone.iter().any(|g| **g == *name)));
        }
        self.added
            .push_str(&format!("\n--model {}", model.display()));
        self.engines.push(engine);
        self.sections.upstreams.push(upstream);
        Ok(())
    }

    /// Mistakes as they follow in the file, each with its line.
    pub(crate) fn troubles(&self, mut problems: Vec<ConfigProblem>) -> Troubles {
        problems.sort_by_key(|problem| problem.span.start);
        problems
            .into_iter()
            .map(|problem| {
                // Nothing of the file has no length: it is about what the command line says.
                if problem.span == Span::default() {
                    Trouble::new(problem.message, problem.help.unwrap_or_default())
                } else {
                    Trouble::config(&self.file, &self.text, problem)
                }
            })
            .collect()
    }
}

impl Config {
    /// Say where the sockets of the engines lie.
    pub(crate) fn place_engines(&mut self, state: &State) {
        for engine in &self.engines {
            let socket = state.engine_socket(engine);
            for upstream in &mut self.gateway.upstreams {
                if upstream.name == engine.name {
                    upstream.origin = format!("unix:{}", socket.display()).into();
                    upstream.socket = Some(socket.clone());
                }
            }
        }
    }
}

/// Read and check a file alone.
pub(crate) fn load(file: &Path) -> Result<Config, Troubles> {
    let draft = Draft::open(file, &Given::default())?;
    let registry = world::registry_in(draft.registry_folder().as_deref(), None)?;
    draft.checked(&registry, clock::today())
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

/// What the command line said, at the head of the file.
fn said(value: &str) -> Field<String> {
    Field::Given(Located {
        value: value.to_owned(),
        span: Span::default(),
    })
}

fn admin(raw: &RawAdmin, found: &mut Vec<ConfigProblem>) -> (SocketAddr, Vec<String>) {
    let mut address = SocketAddr::from(([127, 0, 0, 1], 4391));
    if let Some(listen) = raw.listen.given() {
        match listen.value.parse() {
            Ok(given) => address = given,
            Err(_) => found.push(ConfigProblem {
                span: listen.span,
                message: format!("`{}` is not an address with a port", listen.value),
                help: Some("write it as \"127.0.0.1:4391\"".to_owned()),
            }),
        }
    }
    let names = match &raw.names {
        Field::Given(names) if !names.value.is_empty() => return (address, names.value.clone()),
        Field::Wrong => return (address, Vec::new()),
        Field::Given(_) | Field::Absent => ["localhost", "127.0.0.1", "[::1]"],
    };
    if !address.ip().is_loopback() {
        found.push(ConfigProblem {
            span: raw
                .listen
                .given()
                .map_or(Span::default(), |listen| listen.span),
            message: "the admin listener is reachable from outside, but no host name is given"
                .to_owned(),
            help: Some(
                "keep it on 127.0.0.1, or add names = [\"carnet-admin.example.org\"]".to_owned(),
            ),
        });
    }
    (address, names.map(String::from).to_vec())
}

/// A text that is no TOML; nothing of it can be checked.
fn syntax(error: &toml_span::Error) -> ConfigProblem {
    let (message, help) = match &error.kind {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, Troubles> {
        let draft = Draft::read(
            Path::new("carnet.toml"),
            text.to_owned(),
            PathBuf::new(),
            &Given::default(),
        )?;
        draft
            .config(Services::default())
            .map_err(|problems| draft.troubles(problems))
    }

    #[test]
    fn the_template_is_valid_as_it_is_and_with_every_line_uncommented() {
        assert!(parse(TEMPLATE).is_ok());
        let bare: String = TEMPLATE
            .lines()
            .map(|line| line.strip_prefix("#! ").unwrap_or(line))
            .fold(String::new(), |text, line| text + line + "\n");
        let config = parse(&bare)
            .map_err(|problems| format!("{problems:#?}"))
            .unwrap();
        assert_eq!(
            (config.gateway.upstreams.len(), config.engines.len()),
            (5, 1)
        );
    }

    #[test]
    fn all_mistakes_are_told_at_once_with_their_place() {
        let text = "[server]\nlisen = \"127.0.0.1:1\"\n\n[policy]\npacks = []\n\n[[upstream]]\nname = \"a\"\nbase_url = \"ftp://x\"\nmodels = []\nkey = { env = \"A\", file = \"b\" }\n";
        let mistakes = parse(text).unwrap_err();
        assert_eq!(mistakes[0].help.as_deref(), Some("did you mean `listen`?"));
        assert_eq!((mistakes[0].line, mistakes[0].column), (Some(2), Some(1)));
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

    const BASE: &str = "[policy]\npacks = [\"default\"]\n\n[[upstream]]\n";

    /// An upstream entry with the registry that is built in.
    fn upstream(lines: &str) -> Result<gateway::UpstreamConfig, Vec<(String, Option<String>)>> {
        let text = format!("{BASE}{lines}models = [{{ name = \"m\" }}]\n");
        let read = || {
            let file = Path::new("carnet.toml");
            let draft = Draft::read(file, text, PathBuf::new(), &Given::default())?;
            let registry = world::registry_in(None, Some(Path::new("/nowhere")))?;
            draft.checked(&registry, clock::today())
        };
        let mistakes = |troubles: Troubles| -> Vec<(String, Option<String>)> {
            let said = troubles.into_iter().map(|one| (one.message, one.help));
            said.collect()
        };
        let mut config = read().map_err(mistakes)?;
        Ok(config.gateway.upstreams.remove(0))
    }

    #[test]
    fn a_service_needs_only_its_name() {
        use carnet_provenance::KeyStyle;
        let key = "key = { env = \"K\" }\n";
        for (lines, name, origin, auth) in [
            (
                "host = \"openrouter\"\n",
                "openrouter",
                "https://openrouter.ai",
                KeyStyle::Bearer,
            ),
            (
                "host = \"openrouter\"\nname = \"x\"\napis = [\"embeddings\"]\nauth = \"api-key\"\nbase_url = \"http://127.0.0.1:9/v1\"\n",
                "x",
                "http://127.0.0.1:9",
                KeyStyle::ApiKey,
            ),
            (
                "host = \"amazon-bedrock\"\nregion = \"eu-central-1\"\n",
                "amazon-bedrock",
                "https://bedrock-runtime.eu-central-1.amazonaws.com",
                KeyStyle::AwsSigV4,
            ),
            (
                "host = \"azure\"\nbase_url = \"https://x.openai.azure.com/openai/v1\"\n",
                "azure",
                "https://x.openai.azure.com",
                KeyStyle::ApiKey,
            ),
        ] {
            let upstream = upstream(&format!("{lines}{key}")).unwrap();
            assert_eq!(
                (&*upstream.name, &*upstream.origin),
                (name, origin),
                "{lines}"
            );
            assert_eq!(upstream.auth, auth, "{lines}");
        }
        let local = upstream("host = \"ollama-local\"\n").unwrap();
        assert_eq!(&*local.origin, "http://127.0.0.1:11434");
    }

    #[test]
    fn what_a_service_still_needs_is_said_with_the_fix() {
        for (lines, message, fix) in [
            (
                "host = \"azure\"\n",
                "the registry knows no address of the host `azure`",
                "add base_url",
            ),
            (
                "host = \"amazon-bedrock\"\n",
                "the address of `amazon-bedrock` depends on a region",
                "add region",
            ),
            ("name = \"x\"\n", "`base_url` is missing", "add base_url"),
            (
                "base_url = \"http://127.0.0.1:9/v1\"\n",
                "an upstream has neither a name nor a host",
                "add name",
            ),
            (
                "host = \"openrouter\"\nwire = { tool_ids = \"ten\" }\n",
                "`ten` is not a value of `tool_ids`",
                "write \"any\", \"nine\", \"plain-40\" or \"plain-64\"",
            ),
            (
                "host = \"openrouter\"\nwire = { max_tokens = 0 }\n",
                "`max_tokens` is 0",
                "choose a number from 1",
            ),
        ] {
            let mistakes = upstream(lines).unwrap_err();
            let [(said, help)] = &mistakes[..] else {
                panic!("{lines}: {mistakes:?}");
            };
            assert_eq!(said, message, "{lines}");
            assert!(
                help.as_deref().is_some_and(|help| help.starts_with(fix)),
                "{help:?}"
            );
        }
    }
}
