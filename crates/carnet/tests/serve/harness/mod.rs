//! What every test here needs: the running binary, callers, scripted upstreams, certificates.

pub(crate) mod caller;
pub(crate) mod certificates;
pub(crate) mod gateway;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod setup;
pub(crate) mod upstream;
pub(crate) mod websocket;

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, interval, timeout};

pub(crate) use caller::{Answer, json_body, with_key};
pub(crate) use gateway::Gateway;
pub(crate) use raw::Raw;
pub(crate) use setup::{OVERLAY, Setup, entry};
pub(crate) use upstream::{Arrival, Upstream};

/// Far longer than anything here takes on a busy machine; only a defect reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// What revoking, cancelling and hanging up may take.
pub(crate) const ONE_SECOND: Duration = Duration::from_secs(1);

/// The name that callers use and that the upstream uses too.
pub(crate) const MODEL: &str = "llama3.3:70b";
/// A name for the same model that the upstream does not know.
pub(crate) const RENAMED: &str = "house-model";
/// A name that tells nothing, so that the rules deny it.
pub(crate) const DENIED: &str = "mystery";

/// Wait for something that must come in time.
pub(crate) async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {limit:?}"),
    }
}

/// Look again and again until `look` finds what it looks for.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    let mut again = interval(Duration::from_millis(20));
    loop {
        again.tick().await;
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            Instant::now() < end,
            "{what} did not happen within {PATIENCE:?}"
        );
    }
}

/// A chat request for a model; with `stream` it asks for a stream.
pub(crate) fn chat_body(model: &str, stream: bool) -> String {
    format!(
        r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}],"stream":{stream}}}"#
    )
}
