//! Bounds on what is read, each with its reason.

/// Longest model id that is read, in bytes. The longest real one seen has under 200; an id is a key
/// of tables and stands in every record, so it must not grow without end.
pub const ID_BYTES_MAX: usize = 512;

/// Furthest ancestor that is followed. Real lines have under ten steps; the bound only stops a
/// graph that a mistake has made endless.
pub(crate) const HOPS_MAX: u8 = 64;
