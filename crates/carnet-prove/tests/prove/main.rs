//! The library against a real cvc5, and against stand-ins that misbehave.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod ask;
mod brute;
mod distrust;
mod properties;
