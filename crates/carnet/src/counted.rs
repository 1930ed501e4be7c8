//! Keeps what has been used of limits over a restart, in the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use carnet_admin::Store;
use carnet_gateway::Gateway;
use carnet_limits::Counted;
use jiff::Timestamp;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::trouble::{Trouble, Troubles};

/// A process that dies takes no more with it than was used in this time.
const WRITTEN_EVERY: Duration = Duration::from_millis(500);
/// Every so many times, those who have used nothing for long are forgotten.
const SWEPT_EVERY: u32 = 120;

/// Take over what was written down before the server last ended.
pub(crate) fn take_over(gateway: &Gateway, store: &Store, now: Timestamp) -> Result<(), Troubles> {
    let counted = store
        .counted()
        .map_err(|error| vec![Trouble::new(error.to_string(), error.help())])?;
    gateway.ledger().restore(counted, now);
    Ok(())
}

/// Write changes down every now and then, and the last ones at the end.
pub(crate) async fn keep(gateway: Arc<Gateway>, store: Arc<Store>, ended: CancellationToken) {
    let mut every = interval(WRITTEN_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // By whom they count; what could not be written waits here for the next time.
    let mut waiting: HashMap<_, Counted> = HashMap::new();
    let (mut over, mut times) = (false, 0u32);
    while !over {
        tokio::select! {
            biased;
            _ = every.tick() => {}
            () = ended.cancelled() => over = true,
        }
        let (ledger, now) = (gateway.ledger(), gateway.now());
        for one in ledger.changes() {
            let key = (one.limit.clone(), one.measure, one.window, one.who.clone());
            waiting.insert(key, one);
        }
        times = times.wrapping_add(1);
        if times.is_multiple_of(SWEPT_EVERY) {
            ledger.sweep(now);
        }
        if waiting.is_empty() {
            continue;
        }
        let store = store.clone();
        let written = spawn_blocking(move || {
            let written = store.note_counted(waiting.values(), now);
            (waiting, written)
        });
        waiting = match written.await {
            Ok((_, Ok(()))) => HashMap::new(),
            Ok((waiting, Err(error))) => {
                tracing::error!(%error, "what is used of limits was not written down; it will be tried again");
                waiting
            }
            Err(error) => {
                tracing::error!(%error, "what is used of limits was not written down");
                HashMap::new()
            }
        };
    }
}
