//! The first bytes of a connection must come in time: until they tell which HTTP it is, neither
//! protocol's own limits are in force.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::limits::HEAD_TIME_MAX;

/// As many bytes as HTTP/2's preface has; after these the protocol is known.
const TELLING: usize = 24;

/// A connection that ends with an error when its first bytes do not come.
pub(crate) struct Opening<I> {
    io: I,
    read: usize,
    /// Gone once the protocol is known.
    end: Option<Pin<Box<Sleep>>>,
}

impl<I> Opening<I> {
    pub(crate) fn new(io: I) -> Self {
        Self {
            io,
            read: 0,
            end: Some(Box::pin(sleep(HEAD_TIME_MAX))),
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Opening<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        let Some(end) = &mut self.end else {
            return polled;
        };
        if polled.is_pending() {
            let late = end.as_mut().poll(cx);
            return late.map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        self.read = self.read.saturating_add(buf.filled().len() - before);
        if self.read >= TELLING {
            self.end = None;
        }
        polled
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Opening<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
