//! Connections of both listeners: protocol limits, and draining on shutdown.

use axum::serve::Listener;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::actor::Actor;
use crate::limits::{
    CONNECTIONS_MAX, DRAIN_TIME_MAX, HEAD_BYTES_MAX, HEAD_TIME_MAX, HEADER_FIELDS_MAX,
};

/// Serve `router` on `listener` until `stop` is cancelled, then let running requests end. `actor`
/// says of each connection who is at its other end.
pub(crate) async fn serve<L: Listener>(
    mut listener: L,
    router: Router,
    actor: fn(&L::Io, &L::Addr) -> Actor,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let accept = async {
        while let Ok(place) = room.clone().acquire_owned().await {
            // A failed accept is retried, with a pause, by the listener itself.
            let (io, peer) = listener.accept().await;
            let service =
                TowerToHyperService::new(router.clone().layer(Extension(actor(&io, &peer))));
            let connection = graceful.watch(protocol().serve_connection(TokioIo::new(io), service));
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "admin connection ended with an error");
                }
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = stop.cancelled() => {}
    }
    drop(listener);
    if timeout(DRAIN_TIME_MAX, graceful.shutdown()).await.is_err() {
        tracing::debug!("admin connections were still open at the end");
    }
}

fn protocol() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_headers(HEADER_FIELDS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
}
