//! An upstream whose every answer a test writes byte by byte.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use super::{PATIENCE, within};

/// Any byte stream.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Head of an answer in pieces of unknown number.
pub(crate) const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
/// A whole answer to a chat request.
pub(crate) const COMPLETION: &str = r#"{"id":"c1","object":"chat.completion","model":"llama3.3:70b","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
/// One event of a streamed answer.
pub(crate) const DELTA: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"llama3.3:70b\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";
/// Its last event.
pub(crate) const DONE: &str = "data: [DONE]\n\n";
/// The end of a body in pieces.
pub(crate) const LAST_CHUNK: &str = "0\r\n\r\n";

/// A listening upstream. It ends when dropped.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    arrivals: UnboundedReceiver<Arrival>,
    connections: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

/// A request that has come, with the connection for the answer.
pub(crate) struct Arrival {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// What the TLS handshake agreed on.
    pub(crate) tls: Tls,
    io: Box<dyn Io>,
    back: UnboundedSender<Arrival>,
}

/// What a TLS handshake agreed on; nothing without TLS.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    /// Whether the gateway showed a client certificate.
    pub(crate) certified: bool,
    /// The protocol chosen by ALPN.
    pub(crate) protocol: Option<Vec<u8>>,
}

impl Upstream {
    /// Plain HTTP.
    pub(crate) async fn start() -> Self {
        Self::listen(None).await
    }

    /// HTTP over TLS.
    pub(crate) async fn tls(config: rustls::ServerConfig) -> Self {
        Self::listen(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (back, arrivals) = unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (tls, back) = (tls.clone(), back.clone());
                tokio::spawn(async move {
                    let Some(tls) = tls else {
                        return read_request(Box::new(tcp), Tls::default(), back).await;
                    };
                    if let Ok(stream) = tls.accept(tcp).await {
                        let session = stream.get_ref().1;
                        let tls = Tls {
                            certified: session.peer_certificates().is_some(),
                            protocol: session.alpn_protocol().map(<[u8]>::to_vec),
                        };
                        read_request(Box::new(stream), tls, back).await;
                    }
                });
            }
        })
        .abort_handle();
        Self {
            address,
            arrivals,
            connections,
            accepting,
        }
    }

    /// The base address for the configuration.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Arrival {
        within(PATIENCE, "a request at the upstream", self.arrivals.recv())
            .await
            .unwrap()
    }

    /// Answer the next request with the standard completion and keep the connection.
    pub(crate) async fn complete(&mut self) {
        self.next().await.complete().await;
    }

    /// Whether nothing has come that was not taken by `next`.
    pub(crate) fn is_untouched(&mut self) -> bool {
        self.arrivals.try_recv().is_err()
    }

    /// Connections made so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A server on a Unix socket. It ends when dropped.
pub(crate) struct SocketUpstream {
    pub(crate) arrivals: UnboundedReceiver<Arrival>,
    accepting: AbortHandle,
}

impl SocketUpstream {
    pub(crate) fn start(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let (back, arrivals) = unbounded_channel();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(read_request(Box::new(stream), Tls::default(), back.clone()));
            }
        })
        .abort_handle();
        Self {
            arrivals,
            accepting,
        }
    }
}

impl Drop for SocketUpstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Arrival {
    /// The values of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Write a part of the answer.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.io.write_all(bytes.as_ref()).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// Write until the connection takes no more; how much was taken is of no interest.
    pub(crate) async fn write_on(&mut self, bytes: &[u8]) {
        while self.io.write_all(bytes).await.is_ok() {}
    }

    /// Begin a streamed answer with one event.
    pub(crate) async fn begin_stream(&mut self) {
        self.write(EVENTS).await;
        self.chunk(DELTA).await;
    }

    /// Write one chunk.
    pub(crate) async fn chunk(&mut self, text: &str) {
        self.write(format!("{:x}\r\n{text}\r\n", text.len())).await;
    }

    /// Answer with the standard completion and keep the connection.
    pub(crate) async fn complete(mut self) {
        self.write(whole("", COMPLETION.as_bytes())).await;
        self.keep();
    }

    /// Take further requests from this connection.
    pub(crate) fn keep(self) {
        tokio::spawn(read_request(self.io, self.tls, self.back));
    }

    /// Read so many bytes of a further request, and nothing of it after them.
    pub(crate) async fn read(&mut self, bytes: usize) {
        let mut read = vec![0; bytes];
        let read = self.io.read_exact(&mut read);
        within(PATIENCE, "a further request", read).await.unwrap();
    }

    /// Say that nothing more will come.
    pub(crate) async fn end(&mut self) {
        self.io.shutdown().await.unwrap();
    }

    /// Wait until the gateway has closed the connection.
    pub(crate) async fn closed(&mut self) {
        let mut rest = [0; 1024];
        while let Ok(1..) = self.io.read(&mut rest).await {}
    }
}

/// A whole answer with these further header lines, each with its line end.
pub(crate) fn whole(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Read one request and hand it over; a connection that ends before is let go.
async fn read_request(mut io: Box<dyn Io>, tls: Tls, back: UnboundedSender<Arrival>) {
    let mut read = Vec::new();
    let head_end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if !matches!(io.read_buf(&mut read).await, Ok(1..)) {
            return;
        }
    };
    let mut body = read.split_off(head_end + 4);
    let head = String::from_utf8(read).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // The gateway always knows the length of what it sends.
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse().unwrap());
    while body.len() < length {
        if !matches!(io.read_buf(&mut body).await, Ok(1..)) {
            return;
        }
    }
    // Nobody may be left to take it when the test is over.
    let _ = back.clone().send(Arrival {
        line,
        headers,
        body,
        tls,
        io,
        back,
    });
}
