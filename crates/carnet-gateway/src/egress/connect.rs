//! Opening a connection to an upstream, and keeping what is known of it: address and certificate.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::{InvalidUri, Scheme};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::address::Resolver;

/// What is known of a connection: the evidence of where a prompt went.
#[derive(Debug)]
pub(crate) struct ConnectionFacts {
    /// The peer's address: the upstream's, the proxy's, or `unix:` with the socket's path.
    pub(crate) address: Option<Arc<str>>,
    /// The name that the certificate was checked against.
    pub(crate) server_name: Option<Arc<str>>,
    /// SHA-256 of the upstream's certificate (DER), in hexadecimal digits.
    pub(crate) certificate_sha256: Option<Arc<str>>,
    /// The proxy that was asked to connect.
    pub(crate) proxy: Option<Arc<str>>,
}

/// The TLS handshake failed.
#[derive(Debug, Error)]
#[error("TLS with `{server_name}` failed: {source}")]
pub(crate) struct HandshakeFailed {
    server_name: String,
    source: io::Error,
}

/// Name, TCP, proxy and TLS together took too long.
#[derive(Debug, Error)]
#[error("no connection within {} seconds", .0.as_secs())]
pub(crate) struct ConnectTooSlow(Duration);

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Opens connections to one origin, whatever address it is asked for.
#[derive(Clone)]
pub(crate) struct Connector {
    way: Way,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    proxy: Option<Arc<str>>,
    limit: Duration,
}

#[derive(Clone)]
enum Way {
    Direct(HttpConnector<Resolver>),
    Proxied(Tunnel<HttpConnector<Resolver>>),
    Socket(Arc<Path>),
}

impl Connector {
    pub(crate) fn new(
        tcp: HttpConnector<Resolver>,
        proxy: Option<&Uri>,
        tls: Option<(TlsConnector, ServerName<'static>)>,
        limit: Duration,
    ) -> Self {
        let name = proxy
            .and_then(|uri| uri.authority())
            .map(|authority| authority.as_str().into());
        let way = match proxy {
            Some(uri) => Way::Proxied(Tunnel::new(uri.clone(), tcp)),
            None => Way::Direct(tcp),
        };
        Self {
            way,
            tls,
            proxy: name,
            limit,
        }
    }

    /// To a server on this machine that listens on a Unix socket.
    pub(crate) fn unix(socket: &Path, limit: Duration) -> Self {
        Self {
            way: Way::Socket(socket.into()),
            tls: None,
            proxy: None,
            limit,
        }
    }
}

impl Service<Uri> for Connector {
    type Response = UpstreamConnection;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<UpstreamConnection, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match &mut self.way {
            Way::Direct(tcp) => tcp.poll_ready(cx).map_err(Into::into),
            Way::Proxied(tunnel) => tunnel.poll_ready(cx).map_err(Into::into),
            Way::Socket(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (this, limit) = (self.clone(), self.limit);
        Box::pin(async move {
            match timeout(limit, this.connect(uri)).await {
                Ok(connection) => connection,
                Err(_) => Err(ConnectTooSlow(limit).into()),
            }
        })
    }
}

/// The same address with its port written out: a tunnel would take the port of https for any other.
fn with_port(uri: Uri) -> Result<Uri, InvalidUri> {
    match (uri.scheme(), uri.authority()) {
        (Some(scheme), Some(authority)) if *scheme == Scheme::HTTP && uri.port().is_none() => {
            format!("http://{authority}:80/").parse()
        }
        _ => Ok(uri),
    }
}

impl Connector {
    async fn connect(mut self, uri: Uri) -> Result<UpstreamConnection, Error> {
        let tcp = match &mut self.way {
            Way::Direct(tcp) => tcp.call(uri).await?,
            Way::Proxied(tunnel) => tunnel.call(with_port(uri)?).await?,
            Way::Socket(path) => {
                let address = format!("unix:{}", path.display()).into();
                return Ok(UpstreamConnection {
                    io: Io::Unix(TokioIo::new(UnixStream::connect(path).await?)),
                    facts: Arc::new(ConnectionFacts {
                        address: Some(address),
                        server_name: None,
                        certificate_sha256: None,
                        proxy: None,
                    }),
                });
            }
        };
        self.finish(tcp.into_inner()).await
    }

    async fn finish(self, tcp: TcpStream) -> Result<UpstreamConnection, Error> {
        let mut facts = ConnectionFacts {
            address: tcp
                .peer_addr()
                .ok()
                .map(|address| address.to_string().into()),
            server_name: None,
            certificate_sha256: None,
            proxy: self.proxy.clone(),
        };
        let Some((connector, name)) = self.tls else {
            return Ok(UpstreamConnection {
                io: Io::Plain(TokioIo::new(tcp)),
                facts: Arc::new(facts),
            });
        };
        let server_name = name.to_str().into_owned();
        let stream = match connector.connect(name, tcp).await {
            Ok(stream) => stream,
            Err(source) => {
                return Err(HandshakeFailed {
                    server_name,
                    source,
                }
                .into());
            }
        };
        let certificate = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(<[_]>::first);
        facts.certificate_sha256 = certificate.map(|der| hex::encode(Sha256::digest(der)).into());
        facts.server_name = Some(server_name.into());
        Ok(UpstreamConnection {
            io: Io::Tls(Box::new(TokioIo::new(stream))),
            facts: Arc::new(facts),
        })
    }
}

/// An open connection with its facts.
pub(crate) struct UpstreamConnection {
    io: Io,
    facts: Arc<ConnectionFacts>,
}

enum Io {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
    Unix(TokioIo<UnixStream>),
}

impl Connection for UpstreamConnection {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.facts.clone())
    }
}

impl Read for UpstreamConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_read(cx, buf),
            Io::Unix(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl Write for UpstreamConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_write(cx, buf),
            Io::Unix(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_flush(cx),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_flush(cx),
            Io::Unix(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_shutdown(cx),
            Io::Unix(io) => Pin::new(io).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
            Io::Unix(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_write_vectored(cx, bufs),
            Io::Unix(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }
}
