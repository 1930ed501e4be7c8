//! What `carnet key` uses: calls to a running server over its socket.

use std::io;
use std::path::{Path, PathBuf};

use axum::body::{Body, to_bytes};
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::answers::{
    ErrorAnswer, ErrorBody, KeyAnswer, KeysAnswer, NewKey, NewKeyAnswer, NewProof, RecordAnswer,
    ReloadAnswer, RotateKey,
};
use crate::limits::{ANSWER_BYTES_MAX, ANSWER_TIME_MAX};

/// A connection to a running server.
#[derive(Debug)]
pub struct Client {
    sender: SendRequest<Body>,
}

/// Why a call did not succeed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// What came back is no answer of ours.
    #[error("the server's answer cannot be read: {0}")]
    Answer(String),
    /// The socket is there, but cannot be opened.
    #[error("cannot reach the server through `{}`: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke; whether the call was carried out is not known.
    #[error("the connection to the server broke: {0}")]
    Http(#[from] hyper::Error),
    /// The server refused.
    #[error("{}", .0.message)]
    Refused(ErrorBody),
    /// The server did not answer in time; whether the call was carried out is not known.
    #[error("the server did not answer within {} s", ANSWER_TIME_MAX.as_secs())]
    Timeout,
}

impl ClientError {
    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> &str {
        match self {
            Self::Answer(_) => "use the `carnet` of the same version as the server",
            Self::Connect { .. } => "run this as the user who runs the server",
            Self::Http(_) | Self::Timeout => {
                "look with `carnet key list` whether it was done, and into the server's log"
            }
            Self::Refused(body) => &body.help,
        }
    }
}

impl Client {
    /// Connect to the server that serves this socket; `None` when no server runs. Then a command may
    /// write the store itself, once it holds the [`StateLock`](crate::StateLock).
    ///
    /// # Errors
    /// When the socket is there but cannot be opened.
    pub async fn connect(socket: &Path) -> Result<Option<Self>, ClientError> {
        let stream = match UnixStream::connect(socket).await {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(source) => {
                return Err(ClientError::Connect {
                    path: socket.to_path_buf(),
                    source,
                });
            }
        };
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends when the client is dropped; its errors come back from the calls.
        tokio::spawn(connection);
        Ok(Some(Self { sender }))
    }

    /// Make a key.
    ///
    /// # Errors
    /// When the server refuses or cannot be heard.
    pub async fn create(&mut self, new: &NewKey) -> Result<NewKeyAnswer, ClientError> {
        self.call(Method::POST, "/api/keys", Some(new)).await
    }

    /// Give a key a new secret.
    ///
    /// # Errors
    /// When the server knows no such key, refuses or cannot be heard.
    pub async fn rotate(
        &mut self,
        id: &str,
        rotate: &RotateKey,
    ) -> Result<NewKeyAnswer, ClientError> {
        let path = format!("/api/keys/{}/rotate", path_segment(id));
        self.call(Method::POST, &path, Some(rotate)).await
    }

    /// All keys.
    ///
    /// # Errors
    /// When the server refuses or cannot be heard.
    pub async fn list(&mut self) -> Result<Vec<KeyAnswer>, ClientError> {
        let answer: KeysAnswer = self.call(Method::GET, "/api/keys", NOTHING).await?;
        Ok(answer.keys)
    }

    /// Revoke a key.
    ///
    /// # Errors
    /// When the server knows no such key, refuses or cannot be heard.
    pub async fn revoke(&mut self, id: &str) -> Result<KeyAnswer, ClientError> {
        self.call(
            Method::DELETE,
            &format!("/api/keys/{}", path_segment(id)),
            NOTHING,
        )
        .await
    }

    /// Put on record what a proof about policies came to.
    ///
    /// # Errors
    /// When the server refuses or cannot be heard.
    pub async fn record_proof(&mut self, proof: &NewProof) -> Result<RecordAnswer, ClientError> {
        self.call(Method::POST, "/api/proofs", Some(proof)).await
    }

    /// Have the server read its files again.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with every problem when they have mistakes.
    pub async fn reload(&mut self) -> Result<ReloadAnswer, ClientError> {
        self.call(Method::POST, "/api/reload", NOTHING).await
    }

    async fn call<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let unreadable = |error: &dyn std::fmt::Display| ClientError::Answer(error.to_string());
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost");
        let mut bytes = Vec::new();
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json");
            bytes = serde_json::to_vec(body).map_err(|error| unreadable(&error))?;
        }
        let request = request
            .body(Body::from(bytes))
            .map_err(|error| unreadable(&error))?;
        let exchange = async {
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            let body = to_bytes(Body::new(response.into_body()), ANSWER_BYTES_MAX).await;
            Ok::<_, ClientError>((status, body.map_err(|error| unreadable(&error))?))
        };
        let (status, body) = timeout(ANSWER_TIME_MAX, exchange)
            .await
            .map_err(|_| ClientError::Timeout)??;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| unreadable(&error));
        }
        let answer: ErrorAnswer =
            serde_json::from_slice(&body).map_err(|error| unreadable(&error))?;
        Err(ClientError::Refused(answer.error))
    }
}

/// A call without body.
const NOTHING: Option<&()> = None;

/// A typed id must not become another path.
fn path_segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment() {
        for (id, segment) in [
            ("key_0a", "key_0a"),
            ("../reload", "%2E%2E%2Freload"),
            ("é?", "%C3%A9%3F"),
            ("", ""),
        ] {
            assert_eq!(path_segment(id), segment);
        }
    }
}
