//! Keys, budgets and rates as pure state, with no I/O: the form and the digests of keys, the ring that finds a caller, and
//! the ledger of what has been used of each limit.
//!
//! A secret is shown once, when it is made; from then on only its SHA-256 digest exists. Random
//! bytes and the clock come from the caller, so everything here is a function of its arguments.
//!
//! ```
//! use carnet_limits::{KeyId, KeyRecord, KeyRing, KeyTerms, SecretKey};
//!
//! let secret = SecretKey::from_random([7; 20]);
//! let record = KeyRecord {
//!     id: KeyId::from_random([1; 8]),
//!     digest: secret.digest(),
//!     former: Box::default(),
//!     workload: "payments".into(),
//!     note: String::new(),
//!     created: jiff::Timestamp::UNIX_EPOCH,
//!     revoked: None,
//!     terms: KeyTerms::default(),
//! };
//! let ring = KeyRing::new(vec![record]);
//! let found = ring.find(secret.expose()).map(|found| &*found.key.workload);
//! assert_eq!(found, Ok("payments"));
//! ```

mod ledger;
mod ring;
mod secret;
mod terms;
mod window;

pub use ledger::{Claim, Counted, Exhausted, Ledger, Limit, Measure, Reservation};
pub use ring::{Found, KeyEntry, KeyRefused, KeyRing};
pub use secret::{FormerSecret, KeyDigest, KeyId, KeyRecord, MalformedKey, PREFIX, SecretKey};
pub use terms::{KeyTerms, Network, NotANetwork};
pub use window::{NoWindow, Window};
