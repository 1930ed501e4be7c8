//! This crate's settings: what the file says (`Raw…`) and what is true (`Config` and its parts).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carnet_policy::{CallerOwner, Percent, Workload};
use carnet_provenance::{
    Confidence, Currency, Evidence, Figures, KeyStyle, PerMillion, Price, ReasoningBack, Seed,
    Thinking, TokenLimit, ToolIds, Validity, WireFacts,
};
use http::Uri;
use http::uri::{InvalidUri, Scheme};
use toml_span::Span;

pub use self::cache::{CacheConfig, RawCache};
pub use self::certificate::{
    CertificateRule, ClientAuthorities, ListenerTls, RawCertificate, Wants,
};
pub use self::issuer::{
    AdminRule, ClaimRule, IssuerConfig, KeysAt, RawAdminRule, RawClaimRule, RawIssuer, Role,
};
pub use self::quota::{Apart, LimitConfig, OnExhausted, Only, RawLimit};
pub use self::routing::{MemberConfig, PoolConfig, RawMember, RawPool, RawRouting};
pub use self::telemetry::{AccessLogTo, RawTelemetry, RawTelemetryHeader, TelemetryConfig};
use crate::egress::Urls;
use crate::ingress::Call;
use crate::limits;
pub use crate::route::{BreakerTerms, RetryShare, RoutingConfig, Strategy};
use crate::section::{Field, Located, closest};
pub use crate::services::Services;
use crate::source::TrustedProxies;

mod cache;
mod certificate;
mod issuer;
mod proxies;
mod quota;
mod routing;
mod telemetry;

/// Who says what an operator's own price is.
const PRICED_BY_OPERATOR: &str = "the configuration";
/// What stands for the region in an address of the registry.
const REGION: &str = "{region}";

section! {
    /// The data listener.
    RawServer {
        required {}
        optional {
            /// Address and port of the data listener. Default `127.0.0.1:4390`.
            listen: String,
            /// Names under which callers reach the listener; a request for another Host is refused.
            /// Default: localhost and the loopback addresses; needed when `listen` is no loopback address.
            names: Vec<String>,
            /// TLS for the data listener. Without it the listener speaks plain HTTP.
            tls: RawTls,
            /// Largest request body, in bytes. Default 33554432.
            body_bytes_max: u64,
            /// Connections open at once. Default 16384.
            connections_max: u64,
            /// What a revoked key does to running answers: `cut` (default) or `drain`.
            on_revoke: String,
            /// What happens when an answer names another model than was decided on: `cut` (default) ends it
            /// before its first byte and takes the target out of service, `flag` only records it.
            on_mismatch: String,
            /// What happens when a request is translated for its upstream and something of it cannot be said there: `name`
            /// (default) sends the rest and names it in `carnet-losses` and the record, `refuse` sends nothing.
            on_loss: String,
            /// Which model an answer names: `reported` (default), as the upstream does, or `requested`, as the caller
            /// did. The record has both.
            answer_model: String,
            /// Whether requests are looked through for personal data and secrets, so that rules can ask for them
            /// (`principal.found`) and records count them. Default true.
            detect: bool,
            /// Decisions kept, so that alike requests are not evaluated again. Default 4096; 0 evaluates every
            /// request in full.
            decisions_max: u64,
            /// Bytes that are read of an upstream's answer which is compressed although none was asked for. Default
            /// 67108864.
            decoded_bytes_max: u64,
            /// How many times as long as its compressed form such an answer may become, once it is longer than 1 MiB.
            /// Default 100.
            decoded_ratio_max: u64,
            /// Tokens of an answer that are reserved under a limit of tokens or money before it comes, or fewer where its
            /// request allows fewer; a stream takes more as it grows. Default 4096.
            reserved_output_tokens: u64,
            /// Seconds of silence in a stream after which the caller gets a comment, so that nothing on the way takes the
            /// connection for dead. Default 15; 0 sends none.
            keep_alive_seconds: u64,
            /// Seconds that running requests get after SIGTERM. Default 30.
            drain_seconds: u64,
            /// Networks of the proxies in front of the listener, such as `["192.0.2.16/28"]`, and of nobody else: they are
            /// believed from which address a request comes. Default: none; then it comes from where its connection does.
            trusted_proxies: Vec<String>,
            /// The header in which they tell it: `x-forwarded-for` (default) or `forwarded`.
            proxy_header: String,
            /// Seconds after which a WebSocket without a request is closed. Default 900.
            websocket_idle_seconds: u64,
            /// Where the access log goes, one line of JSON for each request: `off` (default), `stderr`, or a file, which is opened
            /// again when it was moved away.
            access_log: String,
        }
    }
}

section! {
    /// A certificate chain and its key, both PEM files.
    RawTls {
        required {
            /// File with the certificate chain.
            cert: String,
            /// File with the private key.
            key: String,
        }
        optional {
            /// PEM file of the authorities whose certificates callers may show in place of a key; see `[[certificate]]`.
            client_ca_file: String,
            /// Whether a connection without such a certificate is refused. Default false.
            client_required: bool,
        }
    }
}

section! {
    /// A secret by reference: exactly one of the three.
    RawKeyRef {
        required {}
        optional {
            /// Name of an environment variable, read at the start.
            env: String,
            /// File whose first line is the secret, or which is one JSON object; read again when it changes.
            file: String,
            /// Name of a systemd credential (a file below `$CREDENTIALS_DIRECTORY`).
            credential: String,
        }
    }
}

section! {
    /// One name under which callers reach a model of an upstream.
    RawModel {
        required {
            /// The name that callers use.
            name: String,
        }
        optional {
            /// The upstream's own name for it. Default: the same.
            upstream_model: String,
            /// What it costs here. Default: what the registry knows.
            price: RawPrice,
        }
    }
}

section! {
    /// What a million tokens of a model cost, each figure as a text: `"2.50"`.
    RawPrice {
        required {
            /// Code of the currency (ISO 4217), such as `USD`.
            currency: String,
            /// Tokens of the prompt.
            input: String,
        }
        optional {
            /// Tokens of the answer. Default: as those of the prompt.
            output: String,
            /// Tokens of the prompt that a cache had. Default: as others.
            cached_input: String,
            /// Tokens of the prompt that are put into a cache. Default: as others.
            cache_write: String,
        }
    }
}

section! {
    /// A service to which permitted requests go.
    RawUpstream {
        required {
            /// The models that callers may ask for here.
            models: Vec<RawModel>,
        }
        optional {
            /// Name of this entry, in records and in the overlay. Default: the host's id.
            name: String,
            /// Address up to and without `/chat/completions`, `/messages`, `/models/…` or `/model/…`, for example
            /// `https://api.example.com/v1`; `{model}` in it stands for the model. For a server on a Unix socket `unix:/run/model.sock`, and `unix:/run/model.sock:/v1` where its paths
            /// do not begin with `/v1`. Default: the one that the registry knows of `host`.
            base_url: String,
            /// Id of the host in the registry or the overlay. Default: found by the address.
            host: String,
            /// Grammar of the model ids. Default: the host's.
            platform: String,
            /// Region in which this upstream runs, where the host has several.
            region: String,
            /// The key that the upstream asks for; it is sent to this origin only.
            key: RawKeyRef,
            /// How the key is sent (default: as the registry says of `host`, else `bearer`): `bearer`, `api-key`, `x-api-key` or `x-goog-api-key`; with `aws-sigv4` it
            /// signs the requests and reads `ACCESS_KEY_ID:SECRET_ACCESS_KEY` or `…:SESSION_TOKEN`, and `region` must be given;
            /// with `google-service-account` it is the account's key file and is exchanged for access tokens.
            auth: String,
            /// The kinds of requests that it takes: of `bedrock-chat`, `bedrock-embed-text`,
            /// `bedrock-embed-texts`, `bedrock-messages`, `chat-completions`, `cohere-chat`, `cohere-embed`, `completions`,
            /// `converse`, `embed-contents`, `embeddings`, `generate-content`, `messages`, `responses` and
            /// `vertex-messages`. Default: those that the registry knows of
            /// `host`, else the four of OpenAI.
            apis: Vec<String>,
            /// How the service wants to be asked, where it is not as the registry says.
            wire: RawWire,
            /// What goes into the query as `api-version`, where the service asks for one.
            api_version: String,
            /// Whether the service may keep responses that callers have it store, run them in the background, and give
            /// them back to the workload that made them. Default false: it is told to store nothing. A host whose fact
            /// `retention` is `none` stays told so.
            stored_responses: bool,
            /// PEM file with the certificate authorities to trust instead of the public ones.
            ca_file: String,
            /// PEM file with a client certificate chain.
            client_cert: String,
            /// PEM file with the key of the client certificate.
            client_key: String,
            /// HTTP proxy that is asked to CONNECT, for example `http://proxy.example:3128`.
            proxy: String,
            /// Whether the name in `base_url` may resolve to a private address. Default false.
            private_addresses: bool,
            /// Seconds for a connection. Default 10.
            connect_seconds: u64,
            /// Seconds until the response head. Default 600.
            first_byte_seconds: u64,
            /// Seconds between two pieces of an answer. Default 300.
            idle_seconds: u64,
        }
    }
}

section! {
    /// How a service wants to be asked: what its dialect leaves open.
    RawWire {
        required {}
        optional {
            /// Whether user and assistant must take turns: what follows from the same one is put together.
            alternating_roles: bool,
            /// Whether marks of what to cache are taken.
            cache_control: bool,
            /// The most tokens to answer with, where the dialect demands a number and the request has none.
            max_tokens: u64,
            /// Whether `parallel_tool_calls` is taken.
            parallel_tool_calls: bool,
            /// The name under which reasoning is taken back: `reasoning_content`, `reasoning` or `none`.
            reasoning: String,
            /// Whether `reasoning_details` are taken back.
            reasoning_details: bool,
            /// The name of the number that makes drawing repeatable: `seed` or `random_seed`.
            seed: String,
            /// Whether the usage of a stream is told when it is asked for.
            stream_usage: bool,
            /// How a model is told how much to reason: `adaptive` or `budget`.
            thinking: String,
            /// The name of the most tokens to answer with: `max_tokens` or `max_completion_tokens`.
            token_limit: String,
            /// The form of ids of tool calls: `any`, `nine` (letters and digits), `plain-40` or `plain-64`.
            tool_ids: String,
            /// Whether reasoning is taken back without a proof that it is the service's own.
            unsigned_reasoning: bool,
        }
    }
}

section! {
    /// Who calls: what policy knows about the callers with a certain key.
    RawWorkload {
        required {
            /// Id of the workload; keys belong to it.
            id: String,
        }
        optional {
            /// Team that answers for it.
            team: String,
            /// Sector, for example `government`.
            sector: String,
            /// Country of operation, ISO 3166-1 alpha-2.
            country: String,
            /// Nationality class of its users.
            nationality: String,
            /// Class of the devices it runs on.
            device: String,
            /// Purpose of the processing.
            purpose: String,
            /// Customer or part of the organisation on whose account it runs.
            tenant: String,
            /// Whom its application serves: `public` or `internal`.
            audience: String,
            /// Contracts that it performs; `[]` says that there is none.
            contracts: Vec<String>,
            /// Classes of data it may send; `[]` says that there is none.
            data_classes: Vec<String>,
            /// Countries of the people whom the data is about; `[]` says that there is none.
            data_subjects: Vec<String>,
            /// Who owns or controls the caller's organisation.
            owners: Vec<RawOwner>,
            /// Free words for rules of your own.
            tags: Vec<String>,
        }
    }
}

section! {
    /// An owner of the caller's organisation.
    RawOwner {
        required {
            /// Its name.
            name: String,
        }
        optional {
            /// Country of its head office, ISO 3166-1 alpha-2.
            country: String,
            /// What it holds, directly or indirectly, in percent.
            share: f64,
            /// It controls the caller, whatever its share.
            control: bool,
        }
    }
}

section! {
    /// Conversations of the Responses API that Carnet itself keeps, for callers whose upstream keeps none. Without this
    /// section it keeps none.
    RawConversations {
        required {}
        optional {
            /// Days that a conversation is kept. Default and at most 30.
            keep_days: u64,
            /// Bytes of one conversation; a longer one is not kept. Default 8388608.
            conversation_bytes_max: u64,
            /// Bytes of all conversations of one workload; the oldest go first. Default 67108864.
            workload_bytes_max: u64,
            /// Bytes of all conversations; the oldest go first. Default 1073741824.
            bytes_max: u64,
        }
    }
}

section! {
    /// The log of records.
    RawAudit {
        required {}
        optional {
            /// `process` (default): a record survives the death of the process; `fsync`: also that of the machine.
            durability: String,
            /// Requests that may run at once, streams among them; a further one gets `log_unavailable`. The disk keeps room for the record of
            /// each, 8 KiB. Default 4096; at most 65536.
            open_max: u64,
        }
    }
}

impl RawUpstream {
    /// Without a name of its own it has that of its host.
    pub fn name_by_host(&mut self) {
        if let (Field::Absent, Field::Given(host)) = (&self.name, &self.host) {
            self.name = Field::Given(host.clone());
        }
    }
}

impl RawKeyRef {
    /// The one reference, if it is one; a path is taken from `base`.
    #[must_use]
    pub fn reference(&self, base: &Path) -> Option<KeyRef> {
        match (&self.env, &self.file, &self.credential) {
            (Field::Given(env), Field::Absent, Field::Absent) => {
                Some(KeyRef::Env(env.value.clone()))
            }
            (Field::Absent, Field::Given(file), Field::Absent) => {
                Some(KeyRef::File(base.join(&file.value)))
            }
            (Field::Absent, Field::Absent, Field::Given(name))
                if !name.value.contains(['/', '\\']) =>
            {
                Some(KeyRef::Credential(name.value.clone()))
            }
            _ => None,
        }
    }
}

/// The gateway's sections of the file.
#[derive(Debug, Default)]
pub struct RawConfig {
    /// `[server]`
    pub server: Option<RawServer>,
    /// `[[upstream]]`
    pub upstreams: Vec<RawUpstream>,
    /// `[[workload]]`
    pub workloads: Vec<RawWorkload>,
    /// `[audit]`
    pub audit: Option<RawAudit>,
    /// `[conversations]`
    pub conversations: Option<Located<RawConversations>>,
    /// `[cache]`
    pub cache: Option<RawCache>,
    /// `[routing]`
    pub routing: Option<RawRouting>,
    /// `[[pool]]`
    pub pools: Vec<RawPool>,
    /// `[[limit]]`
    pub limits: Vec<RawLimit>,
    /// `[[issuer]]`
    pub issuers: Vec<RawIssuer>,
    /// `[[certificate]]`
    pub certificates: Vec<RawCertificate>,
    /// `[telemetry]`
    pub telemetry: Option<RawTelemetry>,
    /// What was wrong with the file's form; while there is any, no settings come of it.
    pub problems: Vec<ConfigProblem>,
}

/// A mistake in the configuration, at its place.
#[derive(Clone, Debug)]
pub struct ConfigProblem {
    /// Where in the file.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

/// How the log of records is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// How durable a record is before its request is answered.
    pub durability: carnet_audit::Durability,
    /// Requests that may run at once.
    pub open_max: usize,
}

/// The gateway's settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data listener.
    pub server: ServerConfig,
    /// All upstreams.
    pub upstreams: Vec<UpstreamConfig>,
    /// All workloads.
    pub workloads: Vec<Workload>,
    /// How the log is kept.
    pub audit: AuditConfig,
    /// What Carnet itself keeps of conversations; nothing where this is not said.
    pub conversations: Option<ConversationsConfig>,
    /// Which answers are given again; none where this is not said.
    pub cache: Option<CacheConfig>,
    /// How often a request is tried, and where.
    pub routing: RoutingConfig,
    /// Names that lead to one of several models.
    pub pools: Vec<PoolConfig>,
    /// How much may be used.
    pub limits: Vec<LimitConfig>,
    /// Whose tokens are accepted.
    pub issuers: Vec<IssuerConfig>,
    /// To which workloads certificates lead.
    pub certificates: Vec<CertificateRule>,
    /// Which collector is told of requests, if one is.
    pub telemetry: Option<TelemetryConfig>,
}

/// What Carnet itself keeps of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConversationsConfig {
    /// For how long.
    pub keep: Duration,
    /// Bytes of one.
    pub conversation_bytes_max: usize,
    /// Bytes of those of one workload.
    pub workload_bytes_max: u64,
    /// Bytes of all.
    pub bytes_max: u64,
}

/// The data listener's settings.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Host names served, lower case, without port.
    pub names: Vec<String>,
    /// Certificate and key files.
    pub tls: Option<ListenerTls>,
    /// Largest body in bytes.
    pub body_bytes_max: u64,
    /// Connections open at once.
    pub connections_max: usize,
    /// What a revoked key does to running answers.
    pub on_revoke: OnRevoke,
    /// What happens when another model answers than was decided on.
    pub on_mismatch: OnMismatch,
    /// What happens when a translation loses something.
    pub on_loss: OnLoss,
    /// Which model an answer names.
    pub answer_model: AnswerModel,
    /// Whether requests are looked through for personal data and secrets.
    pub detect: bool,
    /// Pairs of caller and target whose decisions are kept.
    pub decisions_max: usize,
    /// How much is read of a compressed answer.
    pub decoded_max: DecodedMax,
    /// Tokens of an answer that are reserved where a request does not limit them.
    pub reserved_output_tokens: u64,
    /// Silence in a stream until the caller gets a comment; none sends none.
    pub keep_alive: Option<Duration>,
    /// Time for running requests after a signal to stop.
    pub drain: Duration,
    /// Time that a WebSocket may be open without a request.
    pub websocket_idle: Duration,
    /// Who is believed from where a request comes.
    pub proxies: TrustedProxies,
    /// Where the access log goes.
    pub access_log: AccessLogTo,
}

/// How much is read of an answer that comes compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodedMax {
    /// In bytes.
    pub bytes: u64,
    /// In lengths of its compressed form.
    pub ratio: u64,
}

/// Certificate chain and key, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// What happens when an answer names another model than was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMismatch {
    /// It ends before its first byte, and the target is out of service until it is cleared.
    Cut,
    /// It goes on; record, counter and log say so.
    Flag,
}

/// What happens when something of a request cannot be said in the dialect of its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// The rest is sent, and what is lost is named.
    Name,
    /// Nothing is sent.
    Refuse,
}

/// Which model an answer names to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerModel {
    /// The one that the upstream named.
    Reported,
    /// The one that the caller named.
    Requested,
}

/// What happens to running answers when their key is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRevoke {
    /// They end at once with an error.
    Cut,
    /// They run to their end.
    Drain,
}

/// Where a secret is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRef {
    /// A systemd credential of this name.
    Credential(String),
    /// An environment variable.
    Env(String),
    /// The first line of a file.
    File(PathBuf),
}

/// One upstream's settings. Equal settings may share connections over a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Name of the entry.
    pub name: Arc<str>,
    /// Where it takes which calls; for at least one there is a place.
    pub urls: Urls,
    /// The Unix socket on which the server listens; then the address holds only its path.
    pub socket: Option<PathBuf>,
    /// Scheme, host and port, or the socket: all that a permit names as destination.
    pub origin: Arc<str>,
    /// Host id, when the file names one.
    pub host: Option<String>,
    /// Grammar, when the file names one.
    pub platform: Option<String>,
    /// Region, when the file names one.
    pub region: Option<String>,
    /// The key.
    pub key: Option<KeyRef>,
    /// How the key is sent.
    pub auth: KeyStyle,
    /// What the file says of how it wants to be asked.
    pub wire: WireFacts,
    /// Names offered, each with the upstream's own.
    pub models: Vec<(Arc<str>, Arc<str>)>,
    /// What the operator says that they cost, by the names offered.
    pub prices: Vec<(Arc<str>, Price)>,
    /// Whether it may keep responses.
    pub stored_responses: bool,
    /// Certificate authorities instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// Client certificate.
    pub client_cert: Option<TlsFiles>,
    /// CONNECT proxy.
    pub proxy: Option<Uri>,
    /// Whether a name may resolve to a private address.
    pub private_addresses: bool,
    /// Time for a connection.
    pub connect_timeout: Duration,
    /// Time until the response head.
    pub first_byte_timeout: Duration,
    /// Time between two pieces of an answer.
    pub idle_timeout: Duration,
}

/// Check the sections and join them. Relative paths are taken from `base`, and what entries leave open from `services`.
///
/// # Errors
/// Every mistake found, those of the file's form among them, as they follow in the file.
pub fn validate(
    raw: &RawConfig,
    base: &Path,
    services: Services<'_>,
) -> Result<Config, Vec<ConfigProblem>> {
    let mut check = Check {
        base,
        services,
        problems: raw.problems.clone(),
    };
    let server = check.server(raw.server.as_ref());
    let upstreams = check.upstreams(&raw.upstreams);
    let workloads = check.workloads(&raw.workloads);
    let audit = check.audit(raw.audit.as_ref());
    let conversations = raw.conversations.as_ref();
    let conversations = conversations.map(|raw| check.conversations(raw));
    let cache = raw.cache.as_ref();
    let cache = cache.map(|section| check.cache(section, raw));
    let routing = check.routing(raw.routing.as_ref(), &upstreams);
    let pools = check.pools(raw, &routing);
    let limits = check.quotas(raw);
    let issuers = check.issuers(raw);
    let certificates = check.certificate_rules(raw);
    let telemetry = raw.telemetry.as_ref();
    let telemetry = telemetry.and_then(|raw| check.telemetry(raw));
    if check.problems.is_empty() {
        Ok(Config {
            server,
            upstreams,
            workloads,
            audit,
            conversations,
            cache,
            routing,
            pools,
            limits,
            issuers,
            certificates,
            telemetry,
        })
    } else {
        check.problems.sort_by_key(|problem| problem.span.start);
        Err(check.problems)
    }
}

/// What a base address says.
struct Address {
    urls: Urls,
    socket: Option<PathBuf>,
    origin: Arc<str>,
}

/// What the addresses of an upstream depend on beside its base address.
struct Takes<'a> {
    calls: Vec<Call>,
    version: Option<&'a str>,
    models: &'a [(Arc<str>, Arc<str>)],
}

impl Takes<'_> {
    fn below(&self, base: &str) -> Result<Urls, InvalidUri> {
        let models = self.models.iter().map(|(_, own)| own);
        Urls::below(base, self.version, &self.calls, models)
    }
}

/// Whether an address has a name or a password in it, which belong in no file of settings.
fn has_password(uri: &Uri) -> bool {
    uri.authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
}

struct Check<'a> {
    base: &'a Path,
    services: Services<'a>,
    problems: Vec<ConfigProblem>,
}

impl RawConfig {
    /// The ids of all workloads, as far as they are written.
    fn workload_ids(&self) -> Vec<&str> {
        let ids = self.workloads.iter();
        let ids = ids.filter_map(|workload| workload.id.given());
        ids.map(|id| id.value.as_str()).collect()
    }
}

impl Check<'_> {
    fn problem(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(ConfigProblem {
            span,
            message: message.into(),
            help: Some(help.into()),
        });
    }

    /// A workload to which callers are led must be one of these.
    fn leads_to(&mut self, workload: &Located<String>, ids: &[&str]) {
        if ids.contains(&workload.value.as_str()) {
            return;
        }
        let help = match closest(&workload.value, ids.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "add a [[workload]] with this id".to_owned(),
        };
        let message = format!("no workload has the id `{}`", workload.value);
        self.problem(workload.span, message, help);
    }

    fn path(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }

    fn tls_files(&self, cert: &Field<String>, key: &Field<String>) -> Option<TlsFiles> {
        Some(TlsFiles {
            cert: self.path(&cert.given()?.value),
            key: self.path(&key.given()?.value),
        })
    }

    fn server(&mut self, raw: Option<&RawServer>) -> ServerConfig {
        let mut server = ServerConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 4390)),
            names: Vec::new(),
            tls: None,
            body_bytes_max: limits::BODY_BYTES_MAX,
            connections_max: limits::CONNECTIONS_MAX,
            on_revoke: OnRevoke::Cut,
            on_mismatch: OnMismatch::Cut,
            on_loss: OnLoss::Name,
            answer_model: AnswerModel::Reported,
            detect: raw
                .and_then(|raw| raw.detect.given())
                .is_none_or(|detect| detect.value),
            decisions_max: limits::DECISIONS_MAX,
            decoded_max: DecodedMax {
                bytes: limits::DECODED_BYTES_MAX,
                ratio: limits::DECODED_RATIO_MAX,
            },
            reserved_output_tokens: limits::RESERVED_OUTPUT_TOKENS,
            keep_alive: Some(Duration::from_secs(limits::KEEP_ALIVE_SECONDS)),
            drain: limits::DRAIN_TIME_MAX,
            websocket_idle: limits::SOCKET_IDLE_MAX,
            proxies: TrustedProxies::default(),
            access_log: AccessLogTo::Off,
        };
        let Some(raw) = raw else {
            server.names = loopback_names();
            return server;
        };
        if let Some(listen) = raw.listen.given() {
            match listen.value.parse() {
                Ok(address) => server.listen = address,
                Err(_) => self.problem(
                    listen.span,
                    format!("`{}` is not an address with a port", listen.value),
                    "write it as \"127.0.0.1:4390\" or \"[::1]:4390\"",
                ),
            }
        }
        match &raw.names {
            Field::Given(names) if !names.value.is_empty() => {
                server.names = names
                    .value
                    .iter()
                    .map(|name| name.to_ascii_lowercase())
                    .collect();
            }
            Field::Wrong => {}
            _ if server.listen.ip().is_loopback() => server.names = loopback_names(),
            _ => self.problem(
                raw.listen
                    .given()
                    .map_or(Span::default(), |listen| listen.span),
                "the listener is reachable from outside, but no host name is given",
                "add names = [\"carnet.example.org\"] with the names that callers use",
            ),
        }
        server.tls = raw
            .tls
            .given()
            .and_then(|tls| self.listener_tls(&tls.value));
        for (name, max, setting, range) in [
            (
                "body_bytes_max",
                &raw.body_bytes_max,
                &mut server.body_bytes_max,
                1..=limits::BODY_BYTES_CEILING,
            ),
            (
                "decoded_bytes_max",
                &raw.decoded_bytes_max,
                &mut server.decoded_max.bytes,
                1..=limits::DECODED_BYTES_CEILING,
            ),
            (
                "decoded_ratio_max",
                &raw.decoded_ratio_max,
                &mut server.decoded_max.ratio,
                1..=limits::DECODED_RATIO_CEILING,
            ),
            (
                "reserved_output_tokens",
                &raw.reserved_output_tokens,
                &mut server.reserved_output_tokens,
                1..=u64::from(u32::MAX),
            ),
        ] {
            let Some(max) = max.given() else { continue };
            if !range.contains(&max.value) {
                self.problem(
                    max.span,
                    format!("`{name}` is {}", max.value),
                    format!("choose a number from {} to {}", range.start(), range.end()),
                );
            }
            *setting = max.value;
        }
        if let Some(seconds) = raw.keep_alive_seconds.given() {
            if seconds.value > limits::KEEP_ALIVE_SECONDS_CEILING {
                self.problem(
                    seconds.span,
                    format!("`keep_alive_seconds` is {}", seconds.value),
                    format!(
                        "choose a number from 1 to {}, or 0 for none",
                        limits::KEEP_ALIVE_SECONDS_CEILING
                    ),
                );
            }
            server.keep_alive = (seconds.value > 0).then(|| Duration::from_secs(seconds.value));
        }
        if let Some(max) = raw.decisions_max.given() {
            match usize::try_from(max.value) {
                Ok(value) if value <= limits::DECISIONS_CEILING => server.decisions_max = value,
                _ => self.problem(
                    max.span,
                    format!("`decisions_max` is {}", max.value),
                    format!("choose a number from 0 to {}", limits::DECISIONS_CEILING),
                ),
            }
        }
        if let Some(max) = raw.connections_max.given() {
            match usize::try_from(max.value) {
                Ok(value) if value > 0 && value <= tokio::sync::Semaphore::MAX_PERMITS => {
                    server.connections_max = value
                }
                _ => self.problem(
                    max.span,
                    "`connections_max` is out of range",
                    "choose a number from 1 to 1000000",
                ),
            }
        }
        let ways = [("cut", OnRevoke::Cut), ("drain", OnRevoke::Drain)];
        if let Some(way) = self.word(&raw.on_revoke, "a way to revoke", &ways) {
            server.on_revoke = way;
        }
        let ways = [("cut", OnMismatch::Cut), ("flag", OnMismatch::Flag)];
        if let Some(way) = self.word(&raw.on_mismatch, "a way to meet another model", &ways) {
            server.on_mismatch = way;
        }
        let ways = [("name", OnLoss::Name), ("refuse", OnLoss::Refuse)];
        if let Some(way) = self.word(&raw.on_loss, "a way to meet a loss", &ways) {
            server.on_loss = way;
        }
        let models = [
            ("reported", AnswerModel::Reported),
            ("requested", AnswerModel::Requested),
        ];
        if let Some(model) = self.word(
            &raw.answer_model,
            "a model that an answer can name",
            &models,
        ) {
            server.answer_model = model;
        }
        if let Some(seconds) = raw.drain_seconds.given() {
            server.drain = Duration::from_secs(seconds.value.min(86_400));
        }
        if let Some(seconds) = raw.websocket_idle_seconds.given() {
            let seconds = seconds.value.clamp(1, limits::SOCKET_TIME_MAX.as_secs());
            server.websocket_idle = Duration::from_secs(seconds);
        }
        server.proxies = self.proxies(raw);
        server.access_log = self.access_log(&raw.access_log);
        server
    }

    fn upstreams(&mut self, raw: &[RawUpstream]) -> Vec<UpstreamConfig> {
        let mut names: Vec<&str> = Vec::with_capacity(raw.len());
        for name in raw.iter().filter_map(|entry| entry.name.given()) {
            if names.contains(&name.value.as_str()) {
                self.problem(
                    name.span,
                    format!("two upstreams are named `{}`", name.value),
                    "give each entry a name of its own",
                );
            }
            names.push(&name.value);
        }
        raw.iter()
            .filter_map(|entry| self.upstream(entry))
            .collect()
    }

    /// One upstream; none when something that it needs is wrong.
    fn upstream(&mut self, raw: &RawUpstream) -> Option<UpstreamConfig> {
        let name = self.upstream_name(raw);
        let host = raw.host.given();
        let known = host.map_or_else(WireFacts::default, |host| self.services.of(&host.value));
        let models = raw.models.given().map(|models| self.models(models));
        let prices = raw.models.given().map(|models| self.prices(models));
        let takes = Takes {
            calls: self.calls(&raw.apis, known.apis.as_deref()),
            version: self.api_version(&raw.api_version),
            models: models.as_deref().unwrap_or_default(),
        };
        let url = match &raw.base_url {
            Field::Given(url) => self.base_url(url, &takes),
            Field::Absent => self.known_url(raw, &known, &takes),
            Field::Wrong => None,
        };
        let key = raw.key.given().and_then(|key| self.key_ref(key));
        // Without a key there is nothing to send, however the service wants it.
        let style = known.auth.filter(|_| raw.key.given().is_some());
        let auth = match raw.auth {
            Field::Given(_) => self.word(&raw.auth, "a way to send a key", KeyStyle::ALL),
            _ => style,
        };
        let auth = auth.unwrap_or(KeyStyle::Bearer);
        // Without an address it has been said what is missing.
        let signing = raw.auth.given().or(host.filter(|_| url.is_some()));
        if let (KeyStyle::AwsSigV4, Some(word)) = (auth, signing)
            && (raw.region.given().is_none() || raw.key.given().is_none())
        {
            self.problem(
                word.span,
                "signing needs a key and a region",
                "give key = { … } with ACCESS_KEY_ID:SECRET_ACCESS_KEY, and region = \"us-east-1\"",
            );
        }
        let wire = self.wire(&raw.wire);
        let proxy = raw.proxy.given().and_then(|proxy| self.proxy(proxy));
        if let (Field::Given(one), Field::Absent) | (Field::Absent, Field::Given(one)) =
            (&raw.client_cert, &raw.client_key)
        {
            self.problem(
                one.span,
                "a client certificate needs both its chain and its key",
                "give client_cert and client_key",
            );
        }
        if let (
            Some(Address {
                socket: Some(_), ..
            }),
            Some(proxy),
        ) = (&url, raw.proxy.given())
        {
            self.problem(
                proxy.span,
                "a Unix socket is not reached through a proxy",
                "take `proxy` out",
            );
        }
        let Address {
            urls,
            socket,
            origin,
        } = url?;
        let seconds = |value: &Field<u64>, default: Duration| {
            value.given().map_or(default, |seconds| {
                Duration::from_secs(seconds.value.clamp(1, 86_400))
            })
        };
        let text = |value: &Field<String>| value.given().map(|text| text.value.clone());
        Some(UpstreamConfig {
            name: name?,
            urls,
            socket,
            origin,
            host: text(&raw.host),
            platform: text(&raw.platform),
            region: text(&raw.region),
            key,
            auth,
            wire,
            models: models?,
            prices: prices.unwrap_or_default(),
            stored_responses: raw.stored_responses.given().is_some_and(|yes| yes.value),
            ca_file: raw.ca_file.given().map(|file| self.path(&file.value)),
            client_cert: self.tls_files(&raw.client_cert, &raw.client_key),
            proxy,
            private_addresses: raw.private_addresses.given().is_some_and(|yes| yes.value),
            connect_timeout: seconds(&raw.connect_seconds, limits::CONNECT_TIME_MAX),
            first_byte_timeout: seconds(&raw.first_byte_seconds, limits::FIRST_BYTE_TIME_MAX),
            idle_timeout: seconds(&raw.idle_seconds, limits::IDLE_TIME_MAX),
        })
    }

    /// The address that the registry knows of the host that an entry names.
    fn known_url(
        &mut self,
        raw: &RawUpstream,
        known: &WireFacts,
        takes: &Takes<'_>,
    ) -> Option<Address> {
        let Some(host) = raw.host.given() else {
            if let (Field::Absent, Some(name)) = (&raw.host, raw.name.given()) {
                self.problem(
                    name.span,
                    "`base_url` is missing",
                    "add base_url = \"https://…\", or host = \"…\" with a service whose address the registry knows",
                );
            }
            return None;
        };
        // Whoever cannot read the registry says so elsewhere.
        self.services.registry?;
        let Some(url) = &known.base_url else {
            self.problem(
                host.span,
                format!("the registry knows no address of the host `{}`", host.value),
                "add base_url = \"https://…\" with the one that you were given",
            );
            return None;
        };
        let value = match raw.region.given() {
            Some(region) => url.replace(REGION, &region.value),
            None if url.contains(REGION) => {
                self.problem(
                    host.span,
                    format!("the address of `{}` depends on a region", host.value),
                    "add region = \"…\", or the whole address as base_url",
                );
                return None;
            }
            None => url.clone(),
        };
        let span = host.span;
        self.base_url(&Located { value, span }, takes)
    }

    fn wire(&mut self, raw: &Field<RawWire>) -> WireFacts {
        let Some(Located { value: raw, .. }) = raw.given() else {
            return WireFacts::default();
        };
        let flag = |field: &Field<bool>| field.given().map(|flag| flag.value);
        WireFacts {
            alternating_roles: flag(&raw.alternating_roles),
            cache_control: flag(&raw.cache_control),
            max_tokens: raw.max_tokens.given().and_then(|max| self.token_count(max)),
            parallel_tool_calls: flag(&raw.parallel_tool_calls),
            reasoning: self.word(&raw.reasoning, "a value of `reasoning`", ReasoningBack::ALL),
            reasoning_details: flag(&raw.reasoning_details),
            seed: self.word(&raw.seed, "a value of `seed`", Seed::ALL),
            stream_usage: flag(&raw.stream_usage),
            thinking: self.word(&raw.thinking, "a value of `thinking`", Thinking::ALL),
            token_limit: self.word(
                &raw.token_limit,
                "a value of `token_limit`",
                TokenLimit::ALL,
            ),
            tool_ids: self.word(&raw.tool_ids, "a value of `tool_ids`", ToolIds::ALL),
            unsigned_reasoning: flag(&raw.unsigned_reasoning),
            ..WireFacts::default()
        }
    }

    fn token_count(&mut self, max: &Located<u64>) -> Option<u32> {
        let count = u32::try_from(max.value).ok().filter(|count| *count > 0);
        if count.is_none() {
            self.problem(
                max.span,
                format!("`max_tokens` is {}", max.value),
                format!("choose a number from 1 to {}", u32::MAX),
            );
        }
        count
    }

    /// One of a closed set of words, each of which is `what`.
    fn word<T: Copy>(
        &mut self,
        field: &Field<String>,
        what: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = field.given()?;
        let found = words.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let mut known: Vec<String> = words
                .iter()
                .map(|(word, _)| format!("\"{word}\""))
                .collect();
            let last = known.pop().unwrap_or_default();
            self.problem(
                text.span,
                format!("`{}` is not {what}", text.value),
                format!("write {} or {last}", known.join(", ")),
            );
        }
        found.map(|(_, value)| *value)
    }

    fn upstream_name(&mut self, raw: &RawUpstream) -> Option<Arc<str>> {
        let Some(name) = raw.name.given() else {
            if let (Field::Absent, Some(models)) = (&raw.name, raw.models.given()) {
                self.problem(
                    models.span,
                    "an upstream has neither a name nor a host",
                    "add name = \"…\", or host = \"…\" with a service that the registry knows",
                );
            }
            return None;
        };
        let blank = |c: char| c.is_whitespace() || c.is_control();
        if name.value.is_empty() || name.value.contains(blank) {
            self.problem(
                name.span,
                "an upstream needs a name without spaces",
                "for example name = \"openai\"",
            );
        }
        Some(name.value.as_str().into())
    }

    fn models(&mut self, models: &Located<Vec<RawModel>>) -> Vec<(Arc<str>, Arc<str>)> {
        if models.value.is_empty() {
            self.problem(
                models.span,
                "an upstream without models can never be reached",
                "add models = [{ name = \"…\" }]",
            );
        }
        let mut names: Vec<&str> = Vec::with_capacity(models.value.len());
        for name in models.value.iter().filter_map(|model| model.name.given()) {
            if names.contains(&name.value.as_str()) {
                self.problem(
                    name.span,
                    format!("the model `{}` is listed twice here", name.value),
                    "take one of the two out, or give it another name and keep its `upstream_model`",
                );
            }
            names.push(&name.value);
        }
        models.value.iter().filter_map(offered).collect()
    }

    fn prices(&mut self, models: &Located<Vec<RawModel>>) -> Vec<(Arc<str>, Price)> {
        let mut prices = Vec::new();
        for model in &models.value {
            if let (Some((name, own)), Some(price)) = (offered(model), model.price.given())
                && let Some(price) = self.price(&own, &price.value)
            {
                prices.push((name, price));
            }
        }
        prices
    }

    fn price(&mut self, model: &str, raw: &RawPrice) -> Option<Price> {
        let currency = raw.currency.given().and_then(|text| {
            let currency: Result<Currency, _> = text.value.parse();
            if let Err(why) = &currency {
                self.problem(text.span, why.to_string(), "write it as \"USD\"");
            }
            currency.ok()
        });
        let mut figure = |field: &Field<String>| {
            let text = field.given()?;
            let figure: Result<PerMillion, _> = text.value.parse();
            if let Err(why) = &figure {
                let help = "write what a million tokens cost, such as \"2.50\"";
                self.problem(text.span, why.to_string(), help);
            }
            figure.ok()
        };
        let figures = Figures {
            output: figure(&raw.output),
            cached_input: figure(&raw.cached_input),
            cache_write: figure(&raw.cache_write),
            input: figure(&raw.input)?,
        };
        Some(Price {
            name: model.to_owned(),
            currency: currency?,
            figures,
            long_prompts: None,
            note: None,
            evidence: Evidence {
                source: PRICED_BY_OPERATOR.into(),
                date: None,
                confidence: Confidence::High,
            },
            valid: Validity::default(),
        })
    }

    /// The calls that an upstream takes.
    fn calls(&mut self, words: &Field<Vec<String>>, known: Option<&[String]>) -> Vec<Call> {
        let among = |words: &[String]| -> Vec<Call> {
            let taken = |call: &Call| words.iter().any(|word| word == call.word());
            Call::taken().filter(taken).collect()
        };
        let Some(words) = words.given() else {
            // A newer registry may name kinds that this program does not know.
            let known = known.map(among).filter(|calls| !calls.is_empty());
            return known.unwrap_or_else(|| Call::USUAL.to_vec());
        };
        if words.value.is_empty() {
            self.problem(
                words.span,
                "an upstream that takes no requests can never be reached",
                "name at least one of `apis`, or take it out",
            );
        }
        for word in &words.value {
            let known: BTreeSet<&str> = Call::taken().map(Call::word).collect();
            if !known.contains(word.as_str()) {
                let known: Vec<&str> = known.into_iter().collect();
                self.problem(
                    words.span,
                    format!("`{word}` is not a kind of request"),
                    format!("choose of {}", known.join(", ")),
                );
            }
        }
        among(&words.value)
    }

    fn api_version<'r>(&mut self, raw: &'r Field<String>) -> Option<&'r str> {
        let version = raw.given()?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if version.value.is_empty() || !version.value.bytes().all(plain) {
            self.problem(
                version.span,
                format!("`{}` is not a version", version.value),
                "write it as the service does, for example \"2024-10-21\"",
            );
        }
        Some(&version.value)
    }

    fn base_url(&mut self, raw: &Located<String>, takes: &Takes<'_>) -> Option<Address> {
        match raw.value.strip_prefix("unix:") {
            Some(rest) => self.socket(raw.span, rest, takes),
            None => self.web_address(raw, takes),
        }
    }

    /// `PATH` or `PATH:/path/of/the/interface`, as nginx writes it.
    fn socket(&mut self, span: Span, rest: &str, takes: &Takes<'_>) -> Option<Address> {
        let (socket, path) = match rest.split_once(":/") {
            Some((socket, path)) => (socket, path.trim_end_matches('/')),
            None => (rest, "v1"),
        };
        match takes.below(&format!("http://localhost/{path}")) {
            Ok(urls) if !socket.is_empty() && !path.contains(['?', '#']) => {
                let socket = self.path(socket);
                Some(Address {
                    origin: format!("unix:{}", socket.display()).into(),
                    urls,
                    socket: Some(socket),
                })
            }
            _ => {
                self.problem(
                    span,
                    format!("`unix:{rest}` is not the address of a Unix socket"),
                    "write it as \"unix:/run/model.sock\" or \"unix:/run/model.sock:/v1\"",
                );
                None
            }
        }
    }

    fn web_address(&mut self, raw: &Located<String>, takes: &Takes<'_>) -> Option<Address> {
        const HELP: &str =
            "write it as \"https://api.example.com/v1\", without query, user name or password";
        let uri: Uri = match raw.value.parse() {
            Ok(uri) => uri,
            Err(_) => {
                self.problem(raw.span, format!("`{}` is not an address", raw.value), HELP);
                return None;
            }
        };
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            self.problem(
                raw.span,
                format!("`{}` has no scheme or no host", raw.value),
                HELP,
            );
            return None;
        };
        let known_scheme = *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
        if !known_scheme || uri.query().is_some() || authority.as_str().contains('@') {
            self.problem(
                raw.span,
                format!("`{}` is not a plain http or https address", raw.value),
                HELP,
            );
            return None;
        }
        let origin = format!("{scheme}://{authority}").to_ascii_lowercase();
        let path = uri.path().trim_end_matches('/');
        match takes.below(&format!("{origin}{path}")) {
            Ok(urls) => Some(Address {
                urls,
                socket: None,
                origin: origin.into(),
            }),
            Err(_) => {
                self.problem(raw.span, format!("`{}` is not an address", raw.value), HELP);
                None
            }
        }
    }

    fn proxy(&mut self, raw: &Located<String>) -> Option<Uri> {
        let uri = raw
            .value
            .parse::<Uri>()
            .ok()
            .filter(|uri| uri.scheme() == Some(&Scheme::HTTP) && uri.host().is_some());
        // It would stand in records.
        if uri.as_ref().is_some_and(has_password) {
            self.problem(
                raw.span,
                "the address of a proxy has a name or a password in it, which are not used",
                "take away what stands before the `@`, and let the proxy know Carnet by its address",
            );
            return None;
        }
        if uri.is_none() {
            self.problem(
                raw.span,
                format!("`{}` is not the address of an HTTP proxy", raw.value),
                "write it as \"http://proxy.example:3128\"",
            );
        }
        uri
    }

    fn key_ref(&mut self, raw: &Located<RawKeyRef>) -> Option<KeyRef> {
        let reference = raw.value.reference(self.base);
        let RawKeyRef {
            env,
            file,
            credential,
        } = &raw.value;
        let wrong = [env, file, credential]
            .iter()
            .any(|field| matches!(field, Field::Wrong));
        if reference.is_none() && !wrong {
            self.problem(
                raw.span,
                "a key needs exactly one reference",
                "write key = { env = \"NAME\" }, { file = \"path\" } or { credential = \"name\" }; the key itself never stands in this file",
            );
        }
        reference
    }

    fn workloads(&mut self, raw: &[RawWorkload]) -> Vec<Workload> {
        let mut workloads: Vec<Workload> = Vec::with_capacity(raw.len());
        for entry in raw {
            self.country(&entry.country);
            if let Some(subjects) = entry.data_subjects.given() {
                for code in &subjects.value {
                    self.country_code(code, subjects.span);
                }
            }
            for owner in entry.owners.given().iter().flat_map(|owners| &owners.value) {
                self.country(&owner.country);
                if let Some(share) = owner.share.given()
                    && let Err(message) = Percent::try_from(share.value)
                {
                    self.problem(share.span, message.to_owned(), "write it in percent");
                }
            }
            let Some(id) = entry.id.given() else {
                continue;
            };
            if id.value.is_empty() || workloads.iter().any(|other| other.id == id.value) {
                self.problem(
                    id.span,
                    format!("`{}` is no id of its own", id.value),
                    "give each workload an id that no other has",
                );
            }
            workloads.push(workload(&id.value, entry));
        }
        workloads
    }

    fn country(&mut self, field: &Field<String>) {
        if let Some(country) = field.given() {
            self.country_code(&country.value, country.span);
        }
    }

    fn country_code(&mut self, code: &str, span: Span) {
        if code.len() != 2 || !code.bytes().all(|b| b.is_ascii_uppercase()) {
            self.problem(
                span,
                format!("`{code}` is not a country code"),
                "write two upper-case letters as in ISO 3166-1",
            );
        }
    }

    fn conversations(&mut self, raw: &Located<RawConversations>) -> ConversationsConfig {
        let (span, raw) = (raw.span, &raw.value);
        let days_max = limits::CONVERSATION_TIME_MAX.as_secs() / DAY;
        let mut days = days_max;
        let mut conversation = limits::CONVERSATION_BYTES_MAX;
        let mut workload = limits::WORKLOAD_CONVERSATIONS_BYTES_MAX;
        let mut all = limits::CONVERSATIONS_BYTES_MAX;
        let bytes = limits::CONVERSATIONS_BYTES_CEILING;
        for (name, given, setting, ceiling) in [
            ("keep_days", &raw.keep_days, &mut days, days_max),
            (
                "conversation_bytes_max",
                &raw.conversation_bytes_max,
                &mut conversation,
                limits::CONVERSATION_BYTES_CEILING,
            ),
            (
                "workload_bytes_max",
                &raw.workload_bytes_max,
                &mut workload,
                bytes,
            ),
            ("bytes_max", &raw.bytes_max, &mut all, bytes),
        ] {
            let Some(given) = given.given() else { continue };
            if !(1..=ceiling).contains(&given.value) {
                self.problem(
                    given.span,
                    format!("`{name}` is {}", given.value),
                    format!("choose a number from 1 to {ceiling}"),
                );
            }
            *setting = given.value;
        }
        // What fits alone but not with the rest would be written only to go at once.
        for (small, large, (name, within)) in [
            (
                conversation,
                workload,
                ("conversation_bytes_max", "workload_bytes_max"),
            ),
            (workload, all, ("workload_bytes_max", "bytes_max")),
        ] {
            if small > large {
                self.problem(
                    span,
                    format!("`{name}` is {small}, and `{within}` only {large}"),
                    format!("lower `{name}` or raise `{within}`"),
                );
            }
        }
        ConversationsConfig {
            keep: Duration::from_secs(days.saturating_mul(DAY)),
            conversation_bytes_max: usize::try_from(conversation).unwrap_or(usize::MAX),
            workload_bytes_max: workload,
            bytes_max: all,
        }
    }

    fn audit(&mut self, raw: Option<&RawAudit>) -> AuditConfig {
        let kinds = [
            ("process", carnet_audit::Durability::Process),
            ("fsync", carnet_audit::Durability::Fsync),
        ];
        let given = raw.and_then(|audit| self.word(&audit.durability, "a durability", &kinds));
        let open_max = raw.map_or(limits::OPEN_MAX, |audit| {
            let range = 1..=limits::OPEN_CEILING;
            self.number("open_max", &audit.open_max, range, limits::OPEN_MAX)
        });
        AuditConfig {
            durability: given.unwrap_or(carnet_audit::Durability::Process),
            open_max: usize::try_from(open_max).unwrap_or(usize::MAX),
        }
    }
}

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// The name that callers use, and the upstream's own.
fn offered(raw: &RawModel) -> Option<(Arc<str>, Arc<str>)> {
    let name: Arc<str> = raw.name.given()?.value.as_str().into();
    let upstream = raw
        .upstream_model
        .given()
        .map_or_else(|| name.clone(), |model| model.value.as_str().into());
    Some((name, upstream))
}

fn workload(id: &str, raw: &RawWorkload) -> Workload {
    // What the file does not say keeps the word for unknown.
    let unsaid = Workload::default();
    let list = |value: &Field<Vec<String>>| value.given().map(|list| list.value.clone());
    let text = |value: &Field<String>| {
        value
            .given()
            .map_or_else(|| unsaid.team.clone(), |text| text.value.clone())
    };
    Workload {
        id: id.to_owned(),
        team: text(&raw.team),
        sector: text(&raw.sector),
        country: raw.country.given().map(|country| country.value.clone()),
        nationality: text(&raw.nationality),
        device: text(&raw.device),
        purpose: text(&raw.purpose),
        tenant: text(&raw.tenant),
        audience: text(&raw.audience),
        contracts: list(&raw.contracts),
        data_classes: list(&raw.data_classes),
        data_subjects: list(&raw.data_subjects),
        // No operator can say what a prompt will hold.
        found: None,
        owners: raw
            .owners
            .given()
            .map(|owners| owners.value.iter().map(owner).collect()),
        tags: list(&raw.tags).unwrap_or_default(),
    }
}

fn owner(raw: &RawOwner) -> CallerOwner {
    CallerOwner {
        name: raw
            .name
            .given()
            .map(|name| name.value.clone())
            .unwrap_or_default(),
        country: raw.country.given().map(|country| country.value.clone()),
        share: raw
            .share
            .given()
            .and_then(|share| Percent::try_from(share.value).ok()),
        control: raw.control.given().is_some_and(|control| control.value),
    }
}

fn loopback_names() -> Vec<String> {
    ["localhost", "127.0.0.1", "[::1]"]
        .map(String::from)
        .to_vec()
}
