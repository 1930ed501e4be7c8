//! Translation between dialects, against readings that share nothing with it.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of a test fail the test"
)]

#[path = "translate/asks.rs"]
mod asks;
#[path = "translate/callers.rs"]
mod callers;
#[path = "translate/cohere.rs"]
mod cohere;
#[path = "translate/generated.rs"]
mod generated;
#[path = "translate/hostile.rs"]
mod hostile;
#[path = "translate/pitfalls.rs"]
mod pitfalls;
#[path = "translate/reading.rs"]
mod reading;
#[path = "translate/recordings.rs"]
mod recordings;
#[path = "translate/scenarios.rs"]
mod scenarios;
#[path = "translate/schema.rs"]
mod schema;
