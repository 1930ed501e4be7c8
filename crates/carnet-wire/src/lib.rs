//! Read, write, edit and translate provider API messages and streams, with no I/O.
//!
//! A gateway must decide on exactly the bytes that the upstream will act on. So this crate reads a request once,
//! strictly, and refuses every body that two parsers could read differently; what it does not decide on passes
//! through byte for byte. It never opens a socket, reads a clock or holds a fact about the world.
//!
//! Some platforms take a dialect's bodies in an API of their own: [`carrier`] knows what they change.
//!
//! Where a client and a service speak different dialects, [`translate`] carries requests, answers, errors and streams
//! over through one [`form`]; what does not come over is refused or has a name.
//!
//! ```
//! use bytes::Bytes;
//! use carnet_wire::json::{Edit, Watch, scan, splice, string_value};
//! use carnet_wire::limits::MAX_DEPTH;
//!
//! let watch = Watch::new(["model", "provider.order"])?;
//! let body = Bytes::from_static(br#"{"model": "a", "provider": {"order": ["x"]}, "seed": 1}"#);
//! let scan = scan(&body, &watch, MAX_DEPTH)?;
//!
//! let model = scan.first(0).ok_or("no model")?;
//! assert_eq!(string_value(&body, model)?, "a");
//!
//! let sent = splice(&body, &[Edit::replace(model, Bytes::from_static(b"\"b\""))]);
//! assert_eq!(sent.concat(), br#"{"model": "b", "provider": {"order": ["x"]}, "seed": 1}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod anthropic;
pub mod bedrock;
pub mod carrier;
pub mod dialect;
pub mod embeddings;
pub mod form;
pub mod google;
pub mod json;
pub mod limits;
pub mod openai;
pub mod responses;
pub mod sniff;
pub mod stream;
pub mod translate;
pub mod weigh;
