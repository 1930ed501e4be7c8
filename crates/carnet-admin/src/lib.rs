//! Admin API and key store; talks to the gateway through its handles.

pub mod limits;
mod secret;
mod store;

pub use secret::{SecretError, Token, load_or_create_secret};
pub use store::{Store, StoreError};
