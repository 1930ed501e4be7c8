//! An answer on its way out of the framing of the platform that carries it.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use carnet_wire::carrier::Unpacker;
use carnet_wire::form::FailureKind;
use http_body::Body;

use super::coding::{AnswerBody, Broken};

/// The events of a dialect, out of a stream that frames them otherwise.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// Gone once it has given all.
    body: Option<AnswerBody>,
    unpacker: Unpacker,
    /// Whether what came last cannot be read, which is still to be said.
    broken: bool,
}

impl Unpacked {
    pub(super) fn new(body: AnswerBody, unpacker: Unpacker) -> Self {
        Self {
            body: Some(body),
            unpacker,
            broken: false,
        }
    }

    /// Whether nothing more comes.
    pub(super) fn has_ended(&self) -> bool {
        self.body.is_none() && !self.broken
    }

    /// The error by which the answer has ended, if it has.
    pub(super) fn failed(&self) -> Option<FailureKind> {
        self.unpacker.failed()
    }

    /// The next events, never none of them.
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Broken>>> {
        let mut out = Vec::new();
        while let Some(body) = &mut self.body {
            let read = match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => self.unpacker.push(&piece, &mut out),
                    // Trailers are of the platform's framing.
                    Err(_) => Ok(()),
                },
                Some(Err(broken)) => {
                    self.body = None;
                    return Poll::Ready(Some(Err(broken)));
                }
                None => {
                    self.body = None;
                    self.unpacker.finish(&mut out)
                }
            };
            if read.is_err() {
                (self.body, self.broken) = (None, true);
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(out.into())));
            }
        }
        let broken = mem::take(&mut self.broken);
        Poll::Ready(broken.then_some(Err(Broken::Unreadable)))
    }
}
