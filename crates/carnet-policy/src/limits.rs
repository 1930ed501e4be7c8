//! Bounds of this crate, each with its reason.

/// Bytes of one file of a pack. Cedar's parser builds trees of several times that size.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Rules of one pack. Cedar evaluates every rule on every full evaluation, about 1.25 µs each.
pub const RULES_MAX: usize = 5_000;

/// Ways out that a denial names. More than a screenful helps nobody.
pub const COUNTERFACTUALS_MAX: usize = 8;

/// Targets that are tried in search of a way out, so that a denial among thousands stays cheap.
pub const COUNTERFACTUALS_TRIED_MAX: usize = 256;

/// How deep brackets may nest in a rule. Cedar's parser overflows a stack of 2 MiB at about 200.
pub const NESTING_MAX: usize = 64;

/// Operators of one rule. A chain of them is a tree just as deep; a long list belongs in a set.
pub const OPERATORS_MAX: usize = 256;
