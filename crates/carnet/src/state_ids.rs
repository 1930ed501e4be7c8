//! Keeps the ids of kept responses over a restart, in the store.

use std::sync::Arc;

use carnet_admin::Store;
use carnet_gateway::Gateway;
use jiff::Timestamp;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::trouble::{Trouble, Troubles};

/// Take over what was written down before the server last ended.
pub(crate) fn take_over(gateway: &Gateway, store: &Store, now: Timestamp) -> Result<(), Troubles> {
    let ids = store
        .state_ids(now)
        .map_err(|error| vec![Trouble::new(error.to_string(), error.help())])?;
    gateway.restore_state_ids(ids);
    Ok(())
}

/// Write changes down as they come, and the last ones at the end.
pub(crate) async fn keep(gateway: Arc<Gateway>, store: Arc<Store>, ended: CancellationToken) {
    let mut over = false;
    while !over {
        tokio::select! {
            biased;
            () = gateway.state_changed() => {}
            () = ended.cancelled() => over = true,
        }
        let (changes, now) = (gateway.state_changes(), gateway.now());
        if changes.is_empty() {
            continue;
        }
        let store = store.clone();
        let written = spawn_blocking(move || store.note_state_ids(&changes, now));
        let failed = match written.await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(
            error = %failed,
            "ids of kept responses were not written down; they are unknown after a restart"
        );
    }
}
