//! Find personal data and secrets in text.
//!
//! [`scan`] goes over a text once and counts what its detectors find, by kind and by how sure they are. It says
//! what something looks like, and never keeps the text: what is counted cannot be turned back into it. What may be done
//! about it is the operator's policy.
//!
//! Every detector has a shape that it finds at least with [`Confidence::Low`]. It is surer only where the text itself
//! bears it out: a check digit, a range that is really given out, a word before it. Numbers of invoices, orders, builds
//! and ports have the shapes of personal data all the time, so a shape alone is never more than low.
//!
//! ```
//! use carnet_guard::{Confidence, Kind, scan};
//!
//! let found = scan(b"Pay with card 4111 1111 1111 1111, or to DE89370400440532013000; order 1234567890123.");
//! assert_eq!(found.count(Kind::PaymentCard, Confidence::High), 1);
//! assert_eq!(found.count(Kind::PaymentCard, Confidence::Low), 1);
//! assert_eq!(found.count(Kind::Iban, Confidence::High), 1);
//! assert!(scan(b"Invoice 6000000 of 2026-03-14").is_empty());
//! ```
//!
//! The text is read as bytes of UTF-8. Bytes beyond ASCII end a word, so that numbers are found within scripts that
//! have no spaces. The time is linear in the text, with nothing allocated.

mod detection;
mod detectors;
mod limits;
mod scan;
mod text;

pub use detection::{Class, Confidence, Detections, Kind};
pub use scan::scan;
