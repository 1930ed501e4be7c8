//! Admin API and key store; talks to the gateway through its handles.

pub mod limits;
mod store;

pub use store::{Store, StoreError};
