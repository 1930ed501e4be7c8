//! A proxy that knows CONNECT and nothing else.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A listening proxy; all its tunnels lead to one place.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    /// The heads of the requests that it got.
    pub(crate) asked: UnboundedReceiver<String>,
}

impl Proxy {
    /// Open tunnels to `to`, or refuse with 407 when there is none.
    pub(crate) async fn start(to: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(tunnel(tcp, to, tell.clone()));
            }
        });
        Self { address, asked }
    }
}

async fn tunnel(mut near: TcpStream, to: Option<SocketAddr>, tell: UnboundedSender<String>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(near.read_buf(&mut head).await, Ok(1..)) {
            return;
        }
    }
    // The test may be over already.
    let _ = tell.send(String::from_utf8(head).unwrap());
    let Some(to) = to else {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
        let _ = near.write_all(refusal).await;
        return;
    };
    let mut far = TcpStream::connect(to).await.unwrap();
    near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    // Either end may break off.
    let _ = copy_bidirectional(&mut near, &mut far).await;
}
