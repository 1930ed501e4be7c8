//! Admin API and key store; talks to the gateway through its handles.
//!
//! An [`Admin`] answers on two listeners: on TCP, where each request must carry a token, name the
//! listener as its Host and come from no other origin; and on a Unix socket in the state directory,
//! which only its owner can open. Both serve the same routes. What is changed, keys and
//! generations, is changed one at a time, put in force through [`carnet_gateway::Gateway`] and recorded in the log.
//!
//! It never sees a prompt, a provider's key or the text of a caller's key, except the one that it
//! has just made.
//!
//! ```
//! use carnet_admin::Store;
//! use carnet_limits::KeyTerms;
//!
//! let folder = tempfile::tempdir()?;
//! let store = Store::open(&folder.path().join("carnet.db"))?;
//! let (secret, key) = store.create("payments", "first", KeyTerms::default(), jiff::Timestamp::UNIX_EPOCH)?;
//! assert!(secret.expose().starts_with("sk-carnet-"));
//! assert_eq!(store.records()?[0].id, key.id);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod actor;
pub mod answers;
mod api;
mod auth;
mod changes;
mod client;
mod codes;
mod fault;
pub mod limits;
mod reload;
mod secret;
mod serve;
mod socket;
mod store;
mod terms;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use carnet_gateway::Gateway;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

pub use actor::Actor;
use answers::ReloadAnswer;
pub use api::document;
pub use auth::Access;
pub use client::{Client, ClientError};
pub use codes::Code;
pub use fault::Fault;
pub use reload::{ReloadHandle, ReloadRequest, Reloads, reloads};
pub use secret::{SecretError, Token, load_or_create_secret};
pub use socket::{AdminSocket, SocketError, StateLock};
pub use store::{Conversations, Database, Rotation, Store, StoreError};

/// See the crate.
#[derive(Debug)]
pub struct Admin {
    gateway: Arc<Gateway>,
    store: Arc<Store>,
    reloads: ReloadHandle,
    access: Access,
    /// Held over each change from reading to being in force.
    changes: Mutex<()>,
    last_reload: watch::Sender<Option<ReloadAnswer>>,
}

impl Admin {
    /// The admin side of `gateway`, with the store that its keys came from.
    #[must_use]
    pub fn new(
        gateway: Arc<Gateway>,
        store: Arc<Store>,
        reloads: ReloadHandle,
        access: Access,
    ) -> Arc<Self> {
        let last_reload = watch::Sender::new(None);
        Arc::new(Self {
            gateway,
            store,
            reloads,
            access,
            changes: Mutex::new(()),
            last_reload,
        })
    }

    /// What opens the TCP listener.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// How the last reload went, if there was one.
    #[must_use]
    pub fn last_reload(&self) -> Option<ReloadAnswer> {
        self.last_reload.borrow().clone()
    }

    /// Follow how reloads go.
    #[must_use]
    pub fn watch_reloads(&self) -> watch::Receiver<Option<ReloadAnswer>> {
        self.last_reload.subscribe()
    }

    /// Serve the TCP listener until `stop` is cancelled.
    pub async fn serve_tcp(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let actor = |_: &TcpStream, peer: &SocketAddr| Actor::Token { source: peer.ip() };
        serve::serve(listener, api::guarded(&self), actor, stop).await;
    }

    /// Serve the socket until `stop` is cancelled; then its file is removed.
    pub async fn serve_unix(self: Arc<Self>, socket: AdminSocket, stop: CancellationToken) {
        let (listener, _place) = socket.into_parts();
        let actor = |io: &UnixStream, _: &tokio::net::unix::SocketAddr| Actor::Socket {
            // Only the system itself knows; without an answer it is the one whom the file mode lets in.
            uid: io
                .peer_cred()
                .map_or_else(|_| rustix::process::geteuid().as_raw(), |peer| peer.uid()),
        };
        serve::serve(listener, api::trusted(&self), actor, stop).await;
    }
}
