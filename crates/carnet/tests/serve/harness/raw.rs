//! A caller that writes bytes as a test wants them, right or wrong.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Gateway, PATIENCE, within};

const CHAT: &str = "/v1/chat/completions";

/// See the module.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(gateway: &Gateway) -> Self {
        Self {
            stream: gateway.connect().await,
            read: Vec::new(),
        }
    }

    /// Write all of it; false when the gateway takes no more.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Read until these bytes have come, or the gateway closes.
    pub(crate) async fn read_until(&mut self, bytes: &[u8]) {
        let all = within(PATIENCE, "an answer as bytes", async {
            let come = |read: &[u8]| read.windows(bytes.len()).any(|window| window == bytes);
            while !come(&self.read) && matches!(self.stream.read_buf(&mut self.read).await, Ok(1..))
            {
            }
        });
        all.await;
    }

    /// Read until the gateway closes; everything that came.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let all = within(PATIENCE, "the end of the connection", async {
            // A reset is an end too.
            while let Ok(1..) = self.stream.read_buf(&mut self.read).await {}
            String::from_utf8_lossy(&self.read).into_owned()
        });
        all.await
    }
}

impl Gateway {
    /// The head of a chat request of the valid key, but for its last line.
    pub(crate) fn raw_head(&self, more: &str) -> String {
        self.head_of(CHAT, more)
    }

    fn head_of(&self, path: &str, more: &str) -> String {
        format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n{more}",
            self.key
        )
    }

    /// A whole chat request as bytes.
    pub(crate) fn raw_chat(&self, body: &str) -> String {
        self.raw_post(CHAT, body)
    }

    /// Any whole request as bytes.
    pub(crate) fn raw_post(&self, path: &str, body: &str) -> String {
        let length = format!("content-length: {}\r\n\r\n", body.len());
        self.head_of(path, &length) + body
    }
}

/// The value of a header in the text of an answer.
pub(crate) fn header_in<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map_or("", |(_, value)| value)
}
