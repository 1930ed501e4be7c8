//! What the registry must reach, in one place: the report shows every figure beside its target, and
//! `cargo xtask test` fails where a target that is asserted is missed.

/// A figure that must be reached.
pub(super) struct Target {
    /// What is counted or measured.
    pub(super) what: &'static str,
    /// The least that is good enough.
    pub(super) least: f64,
    /// Whether missing it fails the test command.
    pub(super) asserted: bool,
}

const fn floor(what: &'static str, least: f64) -> Target {
    Target {
        what,
        least,
        asserted: true,
    }
}

/// Records: how much the registry knows.
pub(super) const HOSTS: Target = floor("hosts", 120.0);
pub(super) const PRODUCERS: Target = floor("producers", 120.0);
pub(super) const MODELS: Target = floor("models", 450.0);
pub(super) const EDGES: Target = floor("lineage edges", 450.0);
/// Teachers, disputes, statements, owners and list entries together.
pub(super) const CLAIMS_ABOUT: Target =
    floor("claims about teachers, disputes and organisations", 150.0);

/// Against the labelled set: shares from 0 to 1.
pub(super) const EXACT_COUNTRIES: Target = floor("countries exact on decidable ids", 0.98);
pub(super) const PRODUCERS_RIGHT: Target = floor("producers right by name and country", 0.98);
pub(super) const COMPLETE: Target = floor("complete on sure decidable ids", 0.95);
pub(super) const SURE: Target = floor("confidence medium or high on sure decidable ids", 0.90);

/// Against the labelled set: what must never happen, asserted always.
pub(super) const NEVER: [&str; 3] = [
    "complete answers that lack a country of the truth",
    "answers of high confidence with a country that the truth lacks",
    "complete answers on undisclosed or undecidable ids",
];

/// Against names as they occur.
pub(super) const READ: Target = floor(
    "names read to a model, its maker and a sourced country",
    0.97,
);

/// Against the references of another catalogue.
pub(super) const AGREED: Target = floor("names that mean what models.dev says", 0.95);

/// The day on which the labelled set is asked, so that a run today and one next year agree.
pub(super) const AS_OF: &str = "2026-11-01";
/// Names that `--sample` prints.
pub(super) const SAMPLE: usize = 200;
/// Begins the choice of the sample; another one gives another sample.
pub(super) const SEED: u64 = 20_261_101;
