//! What the client says of a kept connection that ends just when the next request comes, an instant
//! that no real socket can be made to meet.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::BodyExt;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Client, Error};
use smallvec::smallvec;
use tokio::task::yield_now;
use tower_service::Service;

use super::{SegmentsBody, client, unsent};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// An upstream in memory; all its connections share it.
#[derive(Clone, Default)]
struct Upstream(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    connections: usize,
    written: Vec<u8>,
    to_read: Vec<u8>,
    closed: bool,
    /// What happens as soon as the request's body was written.
    then: Then,
    reader: Option<Waker>,
}

#[derive(Clone, Copy, Default)]
enum Then {
    #[default]
    Answer,
    Close,
}

const BODY: &[u8] = b"the-prompt";

impl Upstream {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// How often the prompt has come.
    fn prompts(&self) -> usize {
        let written = &self.state().written;
        written.windows(BODY.len()).filter(|at| *at == BODY).count()
    }
}

impl Service<Uri> for Upstream {
    type Response = Upstream;
    type Error = io::Error;
    type Future = Ready<io::Result<Upstream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        self.state().connections += 1;
        ready(Ok(self.clone()))
    }
}

impl Connection for Upstream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Upstream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if state.to_read.is_empty() && !state.closed {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        buf.put_slice(&std::mem::take(&mut state.to_read));
        Poll::Ready(Ok(()))
    }
}

impl Write for Upstream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        state.written.extend_from_slice(bytes);
        if state.written.ends_with(BODY) {
            match state.then {
                Then::Answer => state.to_read.extend_from_slice(ANSWER),
                Then::Close => state.closed = true,
            }
            if let Some(reader) = state.reader.take() {
                reader.wake();
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn ask(client: &Client<Upstream, SegmentsBody>) -> Result<Bytes, Error> {
    let body = SegmentsBody::new(smallvec![Bytes::from_static(BODY)]);
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("http://upstream.example/");
    let answer = client.request(request).await?;
    Ok(answer.into_body().collect().await.unwrap().to_bytes())
}

/// A client with one kept connection.
async fn kept(upstream: &Upstream) -> Client<Upstream, SegmentsBody> {
    let client = client(upstream.clone());
    assert_eq!(ask(&client).await.unwrap(), "{}");
    // The connection goes back by a task of its own.
    for _ in 0..16 {
        yield_now().await;
    }
    client
}

#[tokio::test]
async fn a_close_that_nobody_saw_yet_leaves_the_request_unsent_and_tries_no_further() {
    let upstream = Upstream::default();
    let client = kept(&upstream).await;
    // Nobody is woken: the connection is still taken for open when the request comes.
    upstream.state().closed = true;
    let error = ask(&client).await.unwrap_err();
    assert!(unsent(&error), "{error:?}");
    assert_eq!(upstream.prompts(), 1);
    assert_eq!(upstream.state().connections, 1);
}

#[tokio::test]
async fn a_close_after_the_request_was_written_is_never_unsent() {
    let upstream = Upstream::default();
    let client = kept(&upstream).await;
    upstream.state().then = Then::Close;
    let error = ask(&client).await.unwrap_err();
    assert!(!unsent(&error), "{error:?}");
    assert_eq!(upstream.prompts(), 2);
    assert_eq!(upstream.state().connections, 1);
}

#[tokio::test]
async fn what_comes_unasked_is_no_answer_to_the_next_request() {
    let upstream = Upstream::default();
    let client = kept(&upstream).await;
    upstream.state().to_read = ANSWER.to_vec();
    let error = ask(&client).await.unwrap_err();
    assert!(unsent(&error), "{error:?}");
    assert_eq!(upstream.prompts(), 1);
}
