//! Keeps the targets that are out of service over a restart: one file in the state directory.

use std::path::PathBuf;
use std::sync::Arc;

use carnet_gateway::{Gateway, Suspended};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::trouble::{Trouble, Troubles};
use crate::world;

/// Longest list that is read: more than the gateway keeps.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Take out of service what was so when the server last ended.
pub(crate) fn take_over(gateway: &Gateway, file: &std::path::Path) -> Result<(), Troubles> {
    if !file.exists() {
        return Ok(());
    }
    let damaged = |why: String| {
        vec![Trouble::new(
            format!(
                "the list of targets out of service, `{}`, cannot be used: {why}",
                file.display()
            ),
            "`carnet audit show` tells of answers that named another model; remove the file to put all targets into service",
        )]
    };
    let size = std::fs::metadata(file)
        .map_err(|error| damaged(error.to_string()))?
        .len();
    if size > FILE_BYTES_MAX {
        return Err(damaged(format!("it has {size} bytes")));
    }
    let text = std::fs::read(file).map_err(|error| damaged(error.to_string()))?;
    let list: Vec<Suspended> =
        serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    gateway.suspend(list);
    Ok(())
}

/// Write the list whenever it changes, and a last time at the end.
pub(crate) async fn keep(gateway: Arc<Gateway>, file: PathBuf, ended: CancellationToken) {
    let mut over = false;
    while !over {
        tokio::select! {
            biased;
            () = gateway.suspended_changed() => {}
            () = ended.cancelled() => over = true,
        }
        let list = gateway.suspended();
        if list.is_empty() && !file.exists() {
            continue;
        }
        let file = file.clone();
        let written = spawn_blocking(move || {
            let text = serde_json::to_vec_pretty(&list).unwrap_or_default();
            world::write(&file, &text)
        });
        let failed = match written.await {
            Ok(Ok(())) => continue,
            Ok(Err(troubles)) => troubles
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        tracing::error!(error = %failed, "the list of targets out of service was not written");
    }
}
