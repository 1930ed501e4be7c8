//! Run each live request through the stages, in order.
//!
//! ```text
//! caller ─▶ 1 identify ─▶ 2 resolve ─▶ 3 decide ─▶ 4 guard ─▶ intent ─▶ 5 send ─▶ 6 stream back ─▶ leaf
//!           caller.rs     resolve.rs    admit.rs    screen.rs   record.rs egress/    reported.rs      record.rs
//!                                       service.rs                                 relay.rs
//!              │              │            │            │                   │            │
//!              └──────────────┴────────────┴────────────┴───────────────────┴────────────┴─▶ error.rs
//! ```
//!
//! `pipeline.rs` names every stage top to bottom; `attempts.rs` goes through 3 to 5 once for each attempt. A [`Generation`] is
//! configuration, policy, registry, overlay and keys that were validated together: each attempt is decided under the one that is in
//! force when it begins. Where the operator has set it, `cache.rs` is asked between 4 and 5 for what an equal request was answered.
//!
//! # Invariants
//!
//! 1. **No permit, no dial.** Only `carnet_policy::Decider::decide` makes a `Permit`; only `screen`
//!    turns one into [`Cleared`]; egress takes it by value. `tests/forgery` shows that neither can be
//!    forged nor spent twice.
//! 2. **A permit names its upstream and serves one attempt.** `attempts` decides anew for each.
//! 3. **Deny when unsure.** A stale generation, a rule that fails, a log that takes no record: refused.
//! 4. **Unknown is a value.** Facts that are missing reach the rules as unknown.
//! 5. **Every request of an authenticated caller ends in one leaf.** `record::OpenRecord` writes it
//!    whatever ends the request, its own `Drop` included; an intent lies in the journal before the dial.
//! 6. **What answers is what was decided on.** `reported` resolves the model that an answer names before
//!    a byte of content goes to the caller; another one ends the answer and takes the target out of service.
//! 7. **No country, producer or model name in code.**
//! 8. **Bounded everything.** See [`limits`].

// First, because its macro is used by the modules below.
#[macro_use]
pub mod section;

mod admit;
mod attempts;
mod beside;
mod budget;
mod cache;
mod caller;
mod certificates;
pub mod codes;
pub mod config;
mod conversations;
mod egress;
mod ended;
mod error;
mod found;
mod gateway;
mod generation;
mod histogram;
mod ingress;
mod issuers;
mod late;
pub mod limits;
mod metrics;
mod models;
mod names;
mod opening;
mod permits;
mod pipeline;
mod place;
mod probe;
mod quotas;
mod recent;
mod record;
mod relay;
mod relays;
mod reported;
mod resolve;
mod route;
mod scope;
mod screen;
mod server;
mod service;
mod services;
mod socket;
mod source;
mod spend;
mod state_ids;
mod stored;
mod telemetry;
mod trace;
mod traffic;
mod translate;

pub use conversations::{
    ConversationBounds, ConversationStore, SealedConversation, StoreFailed, keep_conversations,
};
pub use egress::{Reached, Secret, UpstreamFiles, UpstreamProblem, Urls, reach};
pub use ended::{Ended, Onlooker};
pub use gateway::{Clock, Gateway, Status};
pub use generation::{BuildFailed, Generation, Parts, Versions, facts_of};
pub use ingress::Call;
pub use issuers::Algorithm;
pub use issuers::{Administrator, NotAdmitted};
pub use metrics::Metrics;
pub use names::unknown_names;
pub use probe::Probed;
pub use recent::RecentDecision;
pub use scope::KEY_SCOPES;
pub use screen::Cleared;
pub use server::{ListenFailed, Listener, ListenerPem, serve};
pub use service::Suspended;
pub use source::{ProxyHeader, TrustedProxies};
pub use state_ids::{StateChange, StateDigest, StateId, StateTarget};
pub use telemetry::{Exporter, Telemetry, TelemetryFiles};
