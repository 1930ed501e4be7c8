//! What the leaves of the log say: records, and the decision documents that they name.
//!
//! A leaf is one line of compact JSON. It begins with its version and its kind, so that a reader of
//! any later version can tell what it has before it. Nothing of a prompt or an answer is in it.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Version of the leaf's schema.
const VERSION: u8 = 1;
/// How a leaf with a part of a decision document begins.
const DOCUMENT_START: &[u8] = br#"{"v":1,"kind":"decision","#;

/// The schema's version, as the first field of every leaf; no other version is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub struct Version;

impl From<Version> for u8 {
    fn from(_: Version) -> Self {
        VERSION
    }
}

impl TryFrom<u8> for Version {
    type Error = UnknownVersion;

    fn try_from(number: u8) -> Result<Self, UnknownVersion> {
        if number == VERSION {
            Ok(Self)
        } else {
            Err(UnknownVersion(number))
        }
    }
}

/// A leaf that a newer program wrote.
#[derive(Debug, Error)]
#[error("leaf version {0} is not known to this program")]
pub struct UnknownVersion(u8);

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Something an administrator did; `detail` says what.
    Admin,
    /// A generation of configuration, policy and registry came into force.
    Config,
    /// Part of the journal could not be read and was given up on the operator's order.
    Damage,
    /// A request of an authenticated caller.
    Request,
    /// The server started.
    Start,
    /// The server ended in good order.
    Stop,
    /// Requests without valid credentials, `count` of them, since the last such record.
    Strangers,
}

impl Kind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[
        Self::Admin,
        Self::Config,
        Self::Damage,
        Self::Request,
        Self::Start,
        Self::Stop,
        Self::Strangers,
    ];

    /// The word that stands in the record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Config => "config",
            Self::Damage => "damage",
            Self::Request => "request",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Strangers => "strangers",
        }
    }
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ruling {
    /// Refused by policy.
    Deny,
    /// Permitted.
    Permit,
    /// Permitted, though a pack in report mode would have refused.
    ReportDeny,
}

impl Ruling {
    /// All rulings.
    pub const ALL: &'static [Self] = &[Self::Deny, Self::Permit, Self::ReportDeny];

    /// The word that stands in the record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Permit => "permit",
            Self::ReportDeny => "report-deny",
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The caller hung up first.
    ClientGone,
    /// Answered whole.
    Completed,
    /// Cut off by us in mid-answer.
    Cut,
    /// Refused by policy; nothing was sent.
    Denied,
    /// The process ended before the answer did.
    Interrupted,
    /// Another model answered than was decided on.
    Mismatch,
    /// Refused for its form or for lack of room; nothing was sent.
    Refused,
    /// Its key was revoked while it ran.
    Revoked,
    /// A time limit ended it.
    Timeout,
    /// The upstream failed or could not be reached.
    UpstreamError,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: &'static [Self] = &[
        Self::ClientGone,
        Self::Completed,
        Self::Cut,
        Self::Denied,
        Self::Interrupted,
        Self::Mismatch,
        Self::Refused,
        Self::Revoked,
        Self::Timeout,
        Self::UpstreamError,
    ];

    /// The word that stands in the record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientGone => "client-gone",
            Self::Completed => "completed",
            Self::Cut => "cut",
            Self::Denied => "denied",
            Self::Interrupted => "interrupted",
            Self::Mismatch => "mismatch",
            Self::Refused => "refused",
            Self::Revoked => "revoked",
            Self::Timeout => "timeout",
            Self::UpstreamError => "upstream-error",
        }
    }
}

/// One try to send a request to an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which try, from 1.
    pub n: u32,
    /// Configured name of the upstream.
    pub upstream: Arc<str>,
    /// Scheme, name and port that the permit named.
    pub origin: Arc<str>,
    /// Address and port that was really connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Arc<str>>,
    /// Name that the certificate was checked against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<Arc<str>>,
    /// SHA-256 of the server's own certificate, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<Arc<str>>,
    /// Proxy that the connection went through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Arc<str>>,
    /// HTTP status of the upstream's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How the upstream compressed its answer, which was decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<Arc<str>>,
    /// Code of what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
    /// Whether nothing of the request reached the upstream.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unsent: bool,
    /// Whether it was made while another one still ran.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hedge: bool,
    /// The model that it went to, where it is another than the record's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Arc<str>>,
    /// Id of the document of its own decision, where it is another than the record's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_doc: Option<Arc<str>>,
    /// Tokens that limits count for it, where it was given up and its upstream may have worked on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Start, in microseconds after the request's.
    pub started_us: u64,
    /// Time until the upstream's first answer byte or failure.
    pub duration_us: u64,
}

/// Something that looks like personal data or a secret, in the texts of a request. The text itself is never in a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// What it looks like.
    pub kind: Cow<'static, str>,
    /// How sure that is: `low`, `medium` or `high`.
    pub confidence: Cow<'static, str>,
    /// How often it is there.
    pub count: u32,
}

/// Tokens of a request and its answer, as the upstream counted them or as they were estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Those of the prompt, cached ones among them.
    pub input: u64,
    /// Of these, those that a cache had.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_read: u64,
    /// Of these, those that were put into a cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write: u64,
    /// Those of the answer, its reasoning among them.
    pub output: u64,
    /// Of these, those that are reasoning.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    /// Whether they were counted here, in part or all, because the upstream did not tell them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub estimated: bool,
}

/// What a request under a limit of tokens or money took of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spend {
    /// Tokens that were reserved before it was sent, and while its answer grew.
    pub reserved: u64,
    /// What they would have cost, as a plain decimal number in the currency's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_cost: Option<Arc<str>>,
    /// What the tokens cost that were used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Arc<str>>,
    /// Code of the currency (ISO 4217).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Arc<str>>,
    /// Who says what a token costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Arc<str>>,
    /// Whether more was used than what could be reserved.
    #[serde(default, skip_serializing_if = "is_false")]
    pub over: bool,
}

/// What an answer had to do with the cache of answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cached {
    /// `hit`: it was given before, and no upstream was asked. `kept`: an upstream gave it, and it may be given again.
    pub result: Cow<'static, str>,
    /// Id of the record of the request for which an upstream gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Arc<str>>,
    /// Seconds since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
}

/// When the stages were reached, in microseconds after the request's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// The decision stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_us: Option<u64>,
    /// The first byte of the answer went to the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_us: Option<u64>,
    /// The end.
    pub total_us: u64,
}

/// What is written before the dial: the record that stands if nothing else comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Schema version.
    pub v: Version,
    /// Id of the record that this becomes.
    pub id: Arc<str>,
    /// When the request arrived.
    pub time: Timestamp,
    /// Who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Arc<str>>,
    /// Public id of the key, never the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Arc<str>>,
    /// Which API was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Arc<str>>,
    /// Whether the answer is a stream.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stream: bool,
    /// Model that the caller named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_model: Option<Arc<str>>,
    /// Model that the name resolved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_model: Option<Arc<str>>,
    /// Upstream that the request is about to be sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Arc<str>>,
    /// Host that runs the model there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Arc<str>>,
    /// What was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Ruling>,
    /// Id of the decision document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_doc: Option<Arc<str>>,
    /// Rules that counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Arc<str>>,
    /// Short version of the policies in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<Arc<str>>,
    /// Short version of registry and overlay in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_version: Option<Arc<str>>,
    /// Short version of the configuration in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_version: Option<Arc<str>>,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Schema version.
    pub v: Version,
    /// What it is about.
    pub kind: Kind,
    /// Its id, as the caller was told.
    pub id: Arc<str>,
    /// When the request arrived, or the thing happened.
    pub time: Timestamp,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Arc<str>>,
    /// Public id of the key, never the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Arc<str>>,
    /// Which API was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Arc<str>>,
    /// Whether the answer was a stream.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stream: bool,
    /// Dialect into which the request was translated for its upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translated_to: Option<Arc<str>>,
    /// What did not come over in translation, of request and answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Arc<str>>,
    /// What was changed on the way: `set` or `remove` and a place of the request, or `set answer.model`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<Cow<'static, str>>,
    /// Model that the caller named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_model: Option<Arc<str>>,
    /// Model that the name resolved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_model: Option<Arc<str>>,
    /// Model that the answer named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_model: Option<Arc<str>>,
    /// Model that this name resolved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answering_model: Option<Arc<str>>,
    /// Upstream that the request was decided for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Arc<str>>,
    /// Host that runs the model there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Arc<str>>,
    /// What was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Ruling>,
    /// Id of the decision document: `sha256:` and the digest of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_doc: Option<Arc<str>>,
    /// Rules that counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Arc<str>>,
    /// Short version of the policies in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<Arc<str>>,
    /// Short version of registry and overlay in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_version: Option<Arc<str>>,
    /// Short version of the configuration in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_version: Option<Arc<str>>,
    /// Every try to send, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Bytes of the caller's body.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_in: u64,
    /// Bytes of the answer that went to the caller.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_out: u64,
    /// What detectors found in the texts of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detections: Vec<Detection>,
    /// Tokens, where the upstream told them or a limit has to count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// What it took of limits of tokens or money, where it came under one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend: Option<Box<Spend>>,
    /// What its answer had to do with the cache, where it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Box<Cached>>,
    /// How it ended.
    pub outcome: Outcome,
    /// HTTP status that the caller got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// When the stages were reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
    /// How many requests this one record stands for, where it stands for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// What happened, in words, where the fields do not say it. Never a prompt, an answer or a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Arc<str>>,
    /// Whether texts were shortened or attempts left out to keep within the bound.
    #[serde(default, skip_serializing_if = "is_false")]
    pub clipped: bool,
}

/// A part of a decision document; most documents have one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentPart {
    /// Schema version.
    pub v: Version,
    /// Always `decision`.
    pub kind: DocumentKind,
    /// `sha256:` and the digest of the whole text.
    pub id: Arc<str>,
    /// Which part, from 1.
    pub part: u32,
    /// How many there are.
    pub parts: u32,
    /// This part of the text, unchanged.
    pub text: String,
}

/// The kind of a document part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentKind {
    /// What was decided, from which facts and by which rules.
    Decision,
}

/// One entry of the log, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// A part of a decision document.
    Document(DocumentPart),
    /// A record.
    Record(Box<Record>),
}

impl Leaf {
    /// Read an entry.
    ///
    /// # Errors
    ///
    /// When it is not a leaf that this version knows.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        if bytes.starts_with(DOCUMENT_START) {
            serde_json::from_slice(bytes).map(Self::Document)
        } else {
            serde_json::from_slice(bytes).map(|record| Self::Record(Box::new(record)))
        }
    }
}

impl Intent {
    /// An intent that says only which request it is for and when that arrived.
    #[must_use]
    pub fn new(id: Arc<str>, time: Timestamp) -> Self {
        Self {
            v: Version,
            id,
            time,
            workload: None,
            key_id: None,
            api: None,
            stream: false,
            requested_model: None,
            resolved_model: None,
            upstream: None,
            host: None,
            decision: None,
            decision_doc: None,
            rules: Vec::new(),
            policy_version: None,
            registry_version: None,
            config_version: None,
        }
    }

    /// The record that stands for a request whose end nobody saw.
    #[must_use]
    pub fn interrupted(self, detail: &str) -> Record {
        Record {
            workload: self.workload,
            key_id: self.key_id,
            api: self.api,
            stream: self.stream,
            requested_model: self.requested_model,
            resolved_model: self.resolved_model,
            upstream: self.upstream,
            host: self.host,
            decision: self.decision,
            decision_doc: self.decision_doc,
            rules: self.rules,
            policy_version: self.policy_version,
            registry_version: self.registry_version,
            config_version: self.config_version,
            detail: Some(detail.into()),
            ..Record::new(Kind::Request, self.id, self.time, Outcome::Interrupted)
        }
    }
}

impl Record {
    /// A record that says only what must be said.
    #[must_use]
    pub fn new(kind: Kind, id: Arc<str>, time: Timestamp, outcome: Outcome) -> Self {
        Self {
            v: Version,
            kind,
            id,
            time,
            workload: None,
            key_id: None,
            api: None,
            stream: false,
            requested_model: None,
            resolved_model: None,
            reported_model: None,
            translated_to: None,
            losses: Vec::new(),
            edits: Vec::new(),
            answering_model: None,
            upstream: None,
            host: None,
            decision: None,
            decision_doc: None,
            rules: Vec::new(),
            policy_version: None,
            registry_version: None,
            config_version: None,
            attempts: Vec::new(),
            bytes_in: 0,
            bytes_out: 0,
            detections: Vec::new(),
            tokens: None,
            spend: None,
            cache: None,
            outcome,
            status: None,
            timings: None,
            count: None,
            detail: None,
            clipped: false,
        }
    }

    /// A record of something that happened to the server itself.
    #[must_use]
    pub fn event(kind: Kind, id: Arc<str>, time: Timestamp, detail: &str) -> Self {
        Self {
            detail: Some(detail.into()),
            ..Self::new(kind, id, time, Outcome::Completed)
        }
    }

    /// The record that stands for `count` requests without valid credentials.
    #[must_use]
    pub fn strangers(id: Arc<str>, time: Timestamp, count: u64) -> Self {
        Self {
            count: Some(count),
            ..Self::new(Kind::Strangers, id, time, Outcome::Refused)
        }
    }

    /// What can be known before the dial.
    #[must_use]
    pub fn intent(&self) -> Intent {
        Intent {
            v: Version,
            id: self.id.clone(),
            time: self.time,
            workload: self.workload.clone(),
            key_id: self.key_id.clone(),
            api: self.api.clone(),
            stream: self.stream,
            requested_model: self.requested_model.clone(),
            resolved_model: self.resolved_model.clone(),
            upstream: self.upstream.clone(),
            host: self.host.clone(),
            decision: self.decision,
            decision_doc: self.decision_doc.clone(),
            rules: self.rules.clone(),
            policy_version: self.policy_version.clone(),
            registry_version: self.registry_version.clone(),
            config_version: self.config_version.clone(),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde calls"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde calls"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
