//! The JSON that goes over the admin listener: each shape once, for server, client and OpenAPI.
//!
//! Shapes of the gateway's own types are written out here, field by field, so that a change there
//! does not silently change the API.

use carnet_gateway::{Probed, RecentDecision, Status, Suspended, Versions};
use carnet_limits::{KeyRecord, SecretKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::limits::GRACE_TIME_DEFAULT;

/// How things stand.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusAnswer {
    /// Version of the program.
    pub version: String,
    /// Since when it runs.
    #[schema(value_type = String, format = DateTime)]
    pub started: Timestamp,
    /// Number of the generation in force.
    pub generation: u64,
    /// Since when that generation is in force.
    #[schema(value_type = String, format = DateTime)]
    pub loaded_at: Timestamp,
    /// What it was loaded from.
    pub versions: VersionsAnswer,
    /// The instant at which a fact changes by its date, if one does.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub facts_valid_until: Option<Timestamp>,
    /// Whether requests are taken.
    pub ready: bool,
    /// Why they are not.
    pub not_ready: Option<String>,
    /// Entries in the log.
    pub log_entries: u64,
    /// Requests now running.
    pub open_requests: i64,
}

impl From<Status> for StatusAnswer {
    fn from(status: Status) -> Self {
        let Status {
            version,
            started,
            generation,
            loaded_at,
            versions,
            facts_valid_until,
            ready,
            not_ready,
            log_entries,
            open_requests,
        } = status;
        Self {
            version: version.to_owned(),
            started,
            generation,
            loaded_at,
            versions: versions.into(),
            facts_valid_until,
            ready,
            not_ready,
            log_entries,
            open_requests,
        }
    }
}

/// The versions that records name.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionsAnswer {
    /// SHA-256 of the configuration.
    pub config: String,
    /// Version of the policies.
    pub policy: String,
    /// Version of registry and overlay together.
    pub registry: String,
}

impl From<Versions> for VersionsAnswer {
    fn from(versions: Versions) -> Self {
        let Versions {
            config,
            policy,
            registry,
        } = versions;
        Self {
            config: config.to_string(),
            policy: policy.to_string(),
            registry: registry.to_string(),
        }
    }
}

/// The generation in force, and how the last attempt to replace it went.
#[derive(Debug, Serialize, ToSchema)]
pub struct GenerationAnswer {
    /// Running number, from 1 at the start of the process; a change of keys counts too.
    pub number: u64,
    /// Since when it is in force.
    #[schema(value_type = String, format = DateTime)]
    pub loaded_at: Timestamp,
    /// What it was loaded from.
    pub versions: VersionsAnswer,
    /// The instant at which a fact changes by its date, if one does.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub facts_valid_until: Option<Timestamp>,
    /// Ids of the workloads, sorted.
    pub workloads: Vec<String>,
    /// How many keys work.
    pub keys: usize,
    /// The last reload since the start, if there was one.
    pub last_reload: Option<ReloadAnswer>,
}

/// The targets that are out of service.
#[derive(Debug, Serialize, ToSchema)]
pub struct TargetsAnswer {
    /// The targets, in the order in which they went out of service.
    pub suspended: Vec<SuspendedAnswer>,
}

/// A target where another model answered than was decided on.
#[derive(Debug, Serialize, ToSchema)]
pub struct SuspendedAnswer {
    /// The upstream.
    pub upstream: String,
    /// The upstream's own name for the model that was asked for.
    pub model: String,
    /// The model that the answer named.
    pub reported: String,
    /// Since when it is out of service.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Id of the record of that answer.
    pub record: String,
}

impl From<Suspended> for SuspendedAnswer {
    fn from(suspended: Suspended) -> Self {
        Self {
            upstream: suspended.upstream.to_string(),
            model: suspended.model.to_string(),
            reported: suspended.reported.to_string(),
            since: suspended.since,
            record: suspended.record.to_string(),
        }
    }
}

/// Which target to put into service again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreTarget {
    /// The upstream, as `/api/targets` names it.
    pub upstream: String,
    /// The model, as `/api/targets` names it.
    pub model: String,
}

/// Which target to ask a question, and for whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeTarget {
    /// The upstream, as `/api/targets` names it.
    pub upstream: String,
    /// The model, as `/api/targets` names it.
    pub model: String,
    /// The workload for which policy decides on the question.
    pub workload: String,
}

/// What answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProbeAnswer {
    /// The model that the answer named.
    pub reported: Option<String>,
    /// Whether it is one that was decided on; then the target is in service again.
    pub clean: bool,
}

impl From<Probed> for ProbeAnswer {
    fn from(probed: Probed) -> Self {
        Self {
            reported: probed.reported,
            clean: probed.clean,
        }
    }
}

/// What a proof about policies came to, for the log.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProof {
    /// What was asked.
    pub property: String,
    /// What came of it.
    pub outcome: ProofOutcome,
    /// Version of the policies that were asked: `sha256:…`.
    pub policy_version: String,
    /// Digest of question, rules, schema and solver, by which the proof is kept.
    pub question: String,
    /// Name and version of the solver.
    pub solver: String,
}

/// What a proof came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProofOutcome {
    /// A request breaks it.
    Disproved,
    /// It could not be told.
    Inconclusive,
    /// It holds for every request.
    Proved,
}

/// The record that an admin action has in the log.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordAnswer {
    /// Id of the record.
    pub record: String,
}

/// How a reload went.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReloadAnswer {
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// What caused it.
    pub by: String,
    /// Whether the new generation came into force.
    pub done: bool,
    /// Number of the generation in force after it.
    pub generation: u64,
    /// Every mistake that was found; empty when `done`.
    pub problems: Vec<Problem>,
}

/// One mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The file concerned, if one is.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<usize>,
    /// Column, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

/// Decisions of the last hour.
#[derive(Debug, Serialize, ToSchema)]
pub struct DecisionsAnswer {
    /// Newest first.
    pub decisions: Vec<DecisionAnswer>,
}

/// One decision.
#[derive(Debug, Serialize, ToSchema)]
pub struct DecisionAnswer {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Id of the record.
    pub record: String,
    /// The caller's workload.
    pub workload: String,
    /// The name asked for.
    pub requested: String,
    /// `permit` or `deny`.
    pub decision: String,
    /// Ids of the rules that counted.
    pub rules: Vec<String>,
    /// Id of the decision document in the log.
    pub document: String,
}

impl From<RecentDecision> for DecisionAnswer {
    fn from(decision: RecentDecision) -> Self {
        let RecentDecision {
            time,
            record,
            workload,
            requested,
            decision,
            rules,
            document,
        } = decision;
        Self {
            time,
            record: record.to_string(),
            workload: workload.to_string(),
            requested: requested.to_string(),
            decision: decision.to_owned(),
            rules: rules.iter().map(ToString::to_string).collect(),
            document: document.to_string(),
        }
    }
}

/// All keys.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct KeysAnswer {
    /// In the order in which they were made, revoked ones included.
    pub keys: Vec<KeyAnswer>,
}

/// What is known of a key. Its secret is not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyAnswer {
    /// Public name, as in records.
    pub id: String,
    /// The workload that requests with this key speak for.
    pub workload: String,
    /// The operator's own remark.
    pub note: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// Since when it no longer works.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked: Option<Timestamp>,
    /// From when it no longer works by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Timestamp>,
    /// The kinds of requests that it is for; with none, all.
    pub scopes: Vec<String>,
    /// The models that it is for; with none, all.
    pub models: Vec<String>,
    /// The networks that it works from; with none, all.
    pub networks: Vec<String>,
    /// Until when each secret works, or worked, that it had before; oldest first.
    #[schema(value_type = Vec<String>)]
    pub former_until: Vec<Timestamp>,
}

impl From<&KeyRecord> for KeyAnswer {
    fn from(record: &KeyRecord) -> Self {
        Self {
            id: record.id.to_string(),
            workload: record.workload.to_string(),
            note: record.note.clone(),
            created: record.created,
            revoked: record.revoked,
            expires: record.terms.expires,
            scopes: texts(&record.terms.scopes),
            models: texts(&record.terms.models),
            networks: texts(&record.terms.networks),
            former_until: record.former.iter().map(|former| former.until).collect(),
        }
    }
}

fn texts(all: &[impl ToString]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

/// What a new key is to be.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// The workload that requests with this key speak for; the configuration must name it.
    #[schema(max_length = 256)]
    pub workload: String,
    /// A remark of your own.
    #[serde(default)]
    #[schema(max_length = 1024)]
    pub note: String,
    /// From when it is to work no longer. Default: it works until it is revoked.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Timestamp>,
    /// The kinds of requests that it is for: `inference` (all that ask a model), one of the kinds that policies know, such as
    /// `chat-completions`, `models` (to list them) and `stored-responses` (to read and end those that are kept). Default: all.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The models that it is for, by the names that callers use; a `*` at the end stands for any rest. Default: all.
    #[serde(default)]
    pub models: Vec<String>,
    /// The networks that it works from, such as `192.0.2.0/24`. Default: all.
    #[serde(default)]
    pub networks: Vec<String>,
}

/// How a key is to get a new secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// For how long the secret before works on. Default a day, at most 90 days; 0 ends it and all before it at once.
    #[serde(default = "grace_seconds")]
    pub grace_seconds: u32,
    /// The key's new end. Default: as before.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Timestamp>,
}

fn grace_seconds() -> u32 {
    u32::try_from(GRACE_TIME_DEFAULT.as_secs()).unwrap_or(u32::MAX)
}

impl Default for RotateKey {
    fn default() -> Self {
        Self {
            grace_seconds: grace_seconds(),
            expires: None,
        }
    }
}

/// A key just made. Not `Debug`, because of the secret.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct NewKeyAnswer {
    /// The secret. It is told here and never again.
    pub secret: String,
    /// What is known of it.
    #[serde(flatten)]
    pub key: KeyAnswer,
}

impl NewKeyAnswer {
    /// The key as it is told once.
    #[must_use]
    pub fn new(secret: &SecretKey, record: &KeyRecord) -> Self {
        Self {
            secret: secret.expose().to_owned(),
            key: record.into(),
        }
    }
}

/// Why a call was refused.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorAnswer {
    /// The reason.
    pub error: ErrorBody,
}

/// The reason, for programs and for people.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// Stable code.
    pub code: String,
    /// What happened.
    pub message: String,
    /// How to mend it.
    pub help: String,
    /// Every single mistake, where there can be several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}
