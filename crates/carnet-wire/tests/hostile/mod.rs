//! Hostile request bodies from a seed: each tries to show two parsers two different requests.
//!
//! Shared by the differential test and by the example that writes them for parsers in other languages.

mod draft;
mod report;
mod tricks;

pub(crate) use report::write;
#[cfg(test)]
pub(crate) use report::{Accepted, PATHS, judge, watch};
#[cfg(test)]
pub(crate) use tricks::{Expect, cases};
