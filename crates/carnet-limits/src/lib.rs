//! Keys as pure state: their form, their digests and the ring that finds a caller, with no I/O.
//!
//! A secret is shown once, when it is made; from then on only its SHA-256 digest exists. Random
//! bytes and the clock come from the caller, so everything here is a function of its arguments.
//!
//! ```
//! use carnet_limits::{KeyId, KeyRecord, KeyRing, SecretKey};
//!
//! let secret = SecretKey::from_random([7; 20]);
//! let record = KeyRecord {
//!     id: KeyId::from_random([1; 8]),
//!     digest: secret.digest(),
//!     workload: "payments".into(),
//!     note: String::new(),
//!     created: jiff::Timestamp::UNIX_EPOCH,
//!     revoked: None,
//! };
//! let ring = KeyRing::new(vec![record]);
//! let found = ring.find(secret.expose()).map(|key| &*key.workload);
//! assert_eq!(found, Ok("payments"));
//! ```

mod ring;
mod secret;

pub use ring::{KeyEntry, KeyRefused, KeyRing};
pub use secret::{KeyDigest, KeyId, KeyRecord, MalformedKey, PREFIX, SecretKey};
