//! Tests of the resolve.
