//! Say what a model is: identity, producer, lineage, host and jurisdiction, each as a sourced claim.
//!
//! A [`Registry`] holds reviewed facts, read from TOML files or from one compact blob. The
//! operator's [`Overlay`] is laid over it; both together are a [`View`], which answers a [`Query`]
//! with a [`Resolution`]: what the id may mean, who made it, what it was made of, where the prompt
//! goes, and how sure each of these is. [`View::price`] says what a host charges for a model, and
//! [`Price::cost`] what a request costs by that.
//!
//! ```
//! use std::sync::Arc;
//! use carnet_provenance::{Overlay, Query, Registry, SourceFile, View};
//!
//! let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
//! let registry = Registry::parse(&[
//!     file("producers/acme.toml", r#"
//!         name = "Acme"
//!         country = { value = "QX", source = "https://acme.example", date = "2025-01-01", confidence = "high" }
//!     "#),
//!     file("models/acme-1.toml", r#"
//!         name = "Acme-1"
//!         producer = { value = "acme", source = "https://acme.example", date = "2025-01-01", confidence = "high" }
//!         weights = { value = "closed", source = "https://acme.example", date = "2025-01-01", confidence = "high" }
//!         lineage_status = { value = "closed-first-party", source = "https://acme.example", date = "2025-01-01", confidence = "high" }
//!     "#),
//! ]).unwrap();
//! let view = View::new(Arc::new(registry), Overlay::default());
//! let as_of = "2026-01-01".parse().unwrap();
//! let answer = view.resolve(&Query { id: "acme/Acme-1", platform: Some("acme"), host: None, upstream: None, region: None, as_of });
//! assert!(answer.weights_complete);
//! assert_eq!(answer.weights_countries.iter().map(|c| c.as_str()).collect::<Vec<_>>(), ["QX"]);
//!
//! let answer = view.resolve(&Query { id: "acme-9", platform: None, host: None, upstream: None, region: None, as_of });
//! assert!(!answer.weights_complete);
//! ```
//!
//! The laws it keeps, each held by a test:
//! - `weights_complete` is true only for a model that the id names exactly and in whose line every
//!   party's country is known. A guess is never complete.
//! - Three questions are never mixed: the host says nothing about the maker, nor the uploader about
//!   the weights.
//! - What files say of themselves is their writer's claim: [`View::resolve_files`] is never complete on it.
//! - What is not known is said, never left out.
//!
//! It reads no file, no clock and no network: texts and days are passed in. It decides nothing.
//! It names no country, maker or model; those stand in the registry.

mod bundle;
mod claim;
mod codes;
mod country;
mod currency;
mod diff;
mod export;
#[cfg(test)]
mod fixture;
mod grammar;
mod graph;
mod ids;
mod key;
mod letters;
mod limits;
mod overlay;
mod pool;
mod problem;
mod reader;
mod registry;
mod resolution;
mod resolve;
mod statements;
mod suggest;
mod view;
mod word;

pub use bundle::{
    BUNDLE_BYTES_MAX, Bundle, BundleError, BundleKey, BundleKeyError, BundleSigner, Manifest,
    NoManifest, is_bundle, verify,
};
pub use claim::{Claim, Confidence, Contradiction, Dated, Evidence, Validity};
pub use codes::Refusal;
pub use country::{Country, CountryError};
pub use currency::{Currency, CurrencyError};
pub use diff::{
    Changed, Difference, Effect, HostEffect, HostOutcome, NameEffect, Outcome, Records,
};
pub use export::Export;
pub use graph::{GRAPH_NODES_MAX, Graph, GraphEdge, GraphNode};
pub use ids::{HostId, ModelId, ProducerId};
pub use limits::ID_BYTES_MAX;
pub use overlay::{Origin, Overlay};
pub use problem::{Problem, SourceFile};
pub use registry::blob::BlobError;
pub use registry::entry::{
    Alias, AliasTarget, BaseModel, CountryName, Dispute, Egress, FieldAction, FieldKind, FieldRule,
    Group, Host, HostKind, LineageStatus, List, Listing, Model, MovingAlias, NameFamily, NameWords,
    Operator, Owner, Producer, Profile, Publisher, Region, Relation, Statement, Subprocessor,
    TaughtBy, Teacher, Weights, WordKind,
};
pub use registry::flat::FlatClaim;
pub use registry::price::{
    Amount, Figures, LongPrompts, PerMillion, PerMillionError, Price, TokenCounts,
};
pub use registry::stats::Stats;
pub use registry::wire::{
    EditAction, ForModels, KeyStyle, ReasoningBack, Seed, Thinking, TokenLimit, ToolIds, Wire,
    WireEdit, WireFacts,
};
pub use registry::{FieldRules, Registry};
pub use resolution::{Ancestor, Candidate, Fact, Hosting, Party, Resolution, TeacherFact};
pub use resolve::Query;
pub use statements::{BaseStated, FileStatements, OwnName, Stated};
pub use suggest::suggest_overlay;
pub use view::{Organisation, View};
