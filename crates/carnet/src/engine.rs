//! Models that Carnet runs itself: each in a child process, which to the gateway is an upstream on a
//! Unix socket like any other.

mod section;
mod supervisor;

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub(crate) use self::section::{Draft, RawEngine, drafts, given};
pub(crate) use self::supervisor::Engines;

/// The host of an engine that runs a file, in the registry.
pub(crate) const HOST: &str = "carnet-engine";
/// The host of an engine that runs the model of this program's own bytes. Rules may trust that model
/// there, so the host is never a matter of what somebody calls a file.
pub(crate) const OWN_HOST: &str = "carnet-built-in";
/// Megabytes for the weights and one answer, unless said otherwise.
pub(crate) const MEMORY_MB: u64 = 4_096;
/// Tokens of prompt and answer together, unless said otherwise.
pub(crate) const CONTEXT_TOKENS: u64 = 8_192;
/// Requests that may wait, unless said otherwise.
pub(crate) const QUEUE: u64 = 16;
/// Threads that compute, at most.
pub(crate) const THREADS_MAX: u64 = 256;

/// One engine's settings. A running engine goes on over a reload if they stay the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Name of the entry, in messages and records.
    pub(crate) name: Arc<str>,
    /// File or folder of the model; none for the one that comes with Carnet.
    pub(crate) file: Option<PathBuf>,
    /// The name that callers use.
    pub(crate) model: Arc<str>,
    /// Threads that compute.
    pub(crate) threads: u64,
    /// Megabytes for the weights and one answer.
    pub(crate) memory_mb: u64,
    /// Tokens of prompt and answer together.
    pub(crate) context_tokens: u64,
    /// Requests that may wait.
    pub(crate) queue: u64,
}

impl Settings {
    /// Tells two engines of one name apart. It is part of the socket's path and so of the address that a
    /// permit names: no prompt that was permitted for one model reaches the process of another.
    pub(crate) fn digest(&self) -> String {
        let all = Sha256::digest(format!("{self:?}"));
        all.iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// What an engine's process tells the one that started it, a JSON line each.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Said {
    /// Requests are answered.
    Ready(Ready),
    /// They never will be.
    Refused(Refused),
}

/// What a loaded model is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Ready {
    /// Tokens of prompt and answer together.
    pub(crate) context_tokens: u64,
    /// Megabytes that the weights take in memory, rounded up.
    pub(crate) weights_mb: u64,
    /// Whether it reasons before it answers.
    pub(crate) reasons: bool,
    /// Milliseconds from the start of the process.
    pub(crate) load_ms: u64,
}

/// Why a model does not run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Refused {
    /// What is wrong, with its place and its code.
    pub(crate) reason: String,
    /// What to do about it.
    pub(crate) fix: String,
}

/// All cores but one, which is left to the gateway.
pub(crate) fn usual_threads() -> u64 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    cores.saturating_sub(1).clamp(1, THREADS_MAX)
}
