//! Listening: connections, TLS, protocol limits, and draining on shutdown.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::crypto::CryptoProvider;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig as TlsServerConfig};
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::beside::Beside;
use crate::certificates::Shown;
use crate::egress::{UpstreamProblem, certificates, private_key};
use crate::gateway::Gateway;
use crate::issuers;
use crate::limits::{
    ACCEPT_BACKLOG, CUT_TIME_MAX, H2_ERROR_RESETS_MAX, H2_PENDING_RESETS_MAX, H2_STREAMS_MAX,
    HANDSHAKE_TIME_MAX, HEAD_BYTES_MAX, HEAD_TIME_MAX, HEADER_FIELDS_MAX, SWEEP_EVERY,
};
use crate::opening::Opening;
use crate::pipeline;

/// The cryptography of every TLS connection: one provider, post-quantum key exchange preferred.
pub(crate) fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Why a listener cannot be opened.
#[derive(Debug, Error)]
pub enum ListenFailed {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A socket that listens already cannot be used.
    #[error("cannot listen on the socket that was handed over: {0}")]
    Handed(io::Error),
    /// Certificate or key cannot be used.
    #[error("TLS: {0}")]
    Pem(#[from] UpstreamProblem),
    /// Certificate and key do not fit together.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The authorities of callers cannot be used.
    #[error("TLS: {file}: {source}")]
    Authorities {
        /// The setting that names their file.
        file: &'static str,
        /// Why.
        source: VerifierBuilderError,
    },
}

/// What a listener shows, and what it asks of callers; all PEM.
#[derive(Clone, Copy)]
pub struct ListenerPem<'a> {
    /// Its certificate chain.
    pub cert: &'a [u8],
    /// The chain's private key.
    pub key: &'a [u8],
    /// The authorities whose certificates callers may show, and whether they must.
    pub clients: Option<(&'a [u8], bool)>,
}

/// An open data listener.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Listener {
    /// Open the socket.
    ///
    /// # Errors
    /// When the address is taken or the certificate cannot be used.
    pub fn bind(address: SocketAddr, tls: Option<ListenerPem<'_>>) -> Result<Self, ListenFailed> {
        let tls = tls.map(acceptor).transpose()?;
        let tcp = bind(address).map_err(|source| ListenFailed::Bind { address, source })?;
        Ok(Self { tcp, tls })
    }

    /// Take a socket that listens already.
    ///
    /// # Errors
    /// When the certificate or the socket cannot be used.
    pub fn over(
        socket: std::net::TcpListener,
        tls: Option<ListenerPem<'_>>,
    ) -> Result<Self, ListenFailed> {
        let tls = tls.map(acceptor).transpose()?;
        let tcp = socket
            .set_nonblocking(true)
            .and_then(|()| TcpListener::from_std(socket));
        let tcp = tcp.map_err(ListenFailed::Handed)?;
        Ok(Self { tcp, tls })
    }

    /// The address it listens on, with the port that was really taken.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_BACKLOG)
}

const CLIENTS: &str = "server.tls.client_ca_file";

fn acceptor(pem: ListenerPem<'_>) -> Result<TlsAcceptor, ListenFailed> {
    let builder = TlsServerConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()?;
    let builder = match pem.clients {
        None => builder.with_no_client_auth(),
        Some((authorities, required)) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(authorities, CLIENTS)? {
                roots.add(certificate)?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto_provider());
            let verifier = if required {
                verifier
            } else {
                verifier.allow_unauthenticated()
            };
            let verifier = verifier
                .build()
                .map_err(|source| ListenFailed::Authorities {
                    file: CLIENTS,
                    source,
                })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(
        certificates(pem.cert, "server.tls.cert")?,
        private_key(pem.key, "server.tls.key")?,
    )?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serve until `stop` is cancelled, then let running requests end within the configured time.
/// Returns how many requests had to be cut.
pub async fn serve(gateway: Arc<Gateway>, listener: Listener, stop: CancellationToken) -> usize {
    let connections_max = gateway.generation().server().connections_max;
    let room = Arc::new(Semaphore::new(connections_max));
    let graceful = GracefulShutdown::new();
    let builder = Arc::new(protocols());
    let sweeping = tokio::spawn(sweep(gateway.clone()));
    let keeping = tokio::spawn(issuers::keep(gateway.clone()));
    let accept = async {
        loop {
            // With no room left, further connections wait in the kernel's queue.
            let Ok(place) = room.clone().acquire_owned().await else {
                return;
            };
            let (tcp, peer) = match listener.tcp.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // A connection that cannot be set so still works, only slower.
            let _ = tcp.set_nodelay(true);
            let connection = Connection {
                gateway: gateway.clone(),
                builder: builder.clone(),
                via: Via {
                    source: peer.ip(),
                    dropped: CancellationToken::new(),
                    certificate: None,
                    _place: Arc::new(place),
                },
                stop: stop.clone(),
                _open: graceful.watcher(),
            };
            tokio::spawn(connection.run(tcp, listener.tls.clone()));
        }
    };
    tokio::select! {
        () = accept => {}
        () = stop.cancelled() => {}
    }
    drop(listener);
    keeping.abort();
    gateway.sockets().stop();
    let drain = gateway.generation().server().drain;
    let mut ended = pin!(async {
        graceful.shutdown().await;
        gateway.sockets().all_closed().await;
    });
    if timeout(drain, &mut ended).await.is_ok() {
        sweeping.abort();
        return 0;
    }
    let open = gateway.metrics().open.get();
    gateway.cut_running();
    // Who does not even read that is left to the end of the process.
    let _ = timeout(CUT_TIME_MAX, ended).await;
    sweeping.abort();
    usize::try_from(open).unwrap_or_default()
}

/// Look after the answers whose callers do not read.
async fn sweep(gateway: Arc<Gateway>) {
    let mut every = interval(SWEEP_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let now = std::time::Instant::now();
        gateway.relays().sweep(now);
        if let Some(cache) = gateway.generation().cache() {
            cache.sweep(now);
        }
    }
}

/// After a failed accept (no descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

fn protocols() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_headers(HEADER_FIELDS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_pending_accept_reset_streams(H2_PENDING_RESETS_MAX)
        .max_local_error_reset_streams(H2_ERROR_RESETS_MAX)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// The connection by which a request came.
#[derive(Clone, Debug)]
pub(crate) struct Via {
    /// Whose it is.
    pub(crate) source: IpAddr,
    /// Cancelled by the sweep when an answer on it can be ended in no other way.
    pub(crate) dropped: CancellationToken,
    /// What the caller's certificate says, if it showed one.
    pub(crate) certificate: Option<Arc<Shown>>,
    /// Its place among those that may be open, kept for as long as anything runs on it.
    _place: Arc<OwnedSemaphorePermit>,
}

struct Connection {
    gateway: Arc<Gateway>,
    builder: Arc<auto::Builder<TokioExecutor>>,
    via: Via,
    /// Cancelled when the server stops.
    stop: CancellationToken,
    /// Held for as long as the connection is open: the server waits for all of them.
    _open: Watcher,
}

impl Connection {
    async fn run(mut self, tcp: TcpStream, tls: Option<TlsAcceptor>) {
        match tls {
            None => self.http(TokioIo::new(Opening::new(tcp))).await,
            Some(acceptor) => match timeout(HANDSHAKE_TIME_MAX, acceptor.accept(tcp)).await {
                Ok(Ok(stream)) => {
                    let chain = stream.get_ref().1.peer_certificates();
                    if let Some(own) = chain.and_then(|chain| chain.first()) {
                        let Some(shown) = Shown::read(own) else {
                            tracing::warn!(
                                "a connection was closed: its certificate cannot be read, or has more names than are read"
                            );
                            return;
                        };
                        self.via.certificate = Some(Arc::new(shown));
                    }
                    self.http(TokioIo::new(Opening::new(stream))).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => tracing::debug!("TLS handshake took too long"),
            },
        }
    }

    async fn http<I>(self, io: I)
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (gateway, via) = (self.gateway, self.via);
        let dropped = via.dropped.clone();
        let service = service_fn(move |request| {
            let (gateway, via) = (gateway.clone(), via.clone());
            async move { Ok::<_, Infallible>(pipeline::handle(gateway, request, via).await) }
        });
        let connection = self.builder.serve_connection_with_upgrades(io, service);
        let mut connection = pin!(connection.into_owned());
        let (mut stopped, mut dropped) = (pin!(self.stop.cancelled()), pin!(dropped.cancelled()));
        let (mut beside, mut stopping) = (Beside::default(), false);
        let ended = poll_fn(|cx| {
            if let Some(waker) = beside.woken(cx) {
                let beside = &mut Context::from_waker(&waker);
                if dropped.as_mut().poll(beside).is_ready() {
                    return Poll::Ready(None);
                }
                if !stopping && stopped.as_mut().poll(beside).is_ready() {
                    connection.as_mut().graceful_shutdown();
                    stopping = true;
                }
            }
            connection.as_mut().poll(cx).map(Some)
        });
        match ended.await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%error, "connection ended with an error"),
            None => tracing::debug!("connection dropped: its caller does not read"),
        }
    }
}
