//! The body of an upstream's answer, read out of the content coding that it came in.
//!
//! Every upstream is asked for `identity`. One that compresses all the same is read nevertheless, because an answer
//! that cannot be read cannot be checked, translated or cut; but never beyond a budget.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{
    BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};
use async_compression::zstd::DParameter;
use bytes::{Buf, Bytes};
use carnet_wire::carrier::Unpacker;
use carnet_wire::form::FailureKind;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use super::masked::{Mask, Masked};
use super::unpacked::Unpacked;
use crate::cache::Again;
use crate::codes::Code;
use crate::config::DecodedMax;
use crate::error::Fault;
use crate::limits::{DECODED_PIECE, DECODED_UNMEASURED, ZSTD_WINDOW_LOG_MAX};

/// A way in which an answer was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Deflate,
    Gzip,
    Zstd,
}

impl Coding {
    /// The one that an answer is in; an error where it is none of these, or several on top of each other.
    fn of(headers: &HeaderMap) -> Result<Option<Self>, String> {
        let mut found = None;
        for value in headers.get_all(CONTENT_ENCODING) {
            let shown = || String::from_utf8_lossy(value.as_bytes()).into_owned();
            for name in value.to_str().map_err(|_| shown())?.split(',') {
                let name = name.trim();
                if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                    continue;
                }
                if found.is_some() {
                    return Err(shown());
                }
                found = Some(Self::named(name).ok_or_else(shown)?);
            }
        }
        Ok(found)
    }

    fn named(name: &str) -> Option<Self> {
        // RFC 9110 has `x-gzip` read as `gzip`.
        let known = [
            ("br", Self::Brotli),
            ("deflate", Self::Deflate),
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("zstd", Self::Zstd),
        ];
        let mut known = known.into_iter();
        known
            .find(|(known, _)| name.eq_ignore_ascii_case(known))
            .map(|(_, coding)| coding)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Deflate => "deflate",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Take out what describes the bytes of a body that is passed on in other bytes.
pub(crate) fn forget_bytes(headers: &mut HeaderMap) {
    for name in [CONTENT_ENCODING, CONTENT_LENGTH] {
        headers.remove(name);
    }
    for name in ["content-digest", "content-md5", "digest", "repr-digest"] {
        headers.remove(name);
    }
}

/// The body of an upstream's answer.
#[derive(Debug)]
pub(crate) struct AnswerBody(Inner);

#[derive(Debug)]
enum Inner {
    /// It was given before.
    Again(Again),
    Coded(Box<Decoded>),
    Masked(Box<Masked>),
    Plain(Incoming),
    Unpacked(Box<Unpacked>),
}

impl AnswerBody {
    /// The body behind these headers, which then tell of what is read from it; the coding, if it has one.
    pub(super) fn new(
        upstream: &str,
        headers: &mut HeaderMap,
        body: Incoming,
        max: DecodedMax,
    ) -> Result<(Self, Option<Coding>), Fault> {
        let coding = Coding::of(headers).map_err(|named| {
            let message = format!(
                "upstream `{upstream}` sent its answer with `content-encoding: {}`, though it was asked for none; \
                 what is read is one of br, deflate, gzip and zstd",
                named.escape_debug()
            );
            Fault::new(Code::UpstreamEncoding, message)
        })?;
        let Some(coding) = coding else {
            return Ok((Self(Inner::Plain(body)), None));
        };
        forget_bytes(headers);
        let decoded = Decoded::new(coding, Source::new(body), max);
        Ok((Self(Inner::Coded(Box::new(decoded))), Some(coding)))
    }

    /// One that was given before.
    pub(crate) fn again(answer: Again) -> Self {
        Self(Inner::Again(answer))
    }

    /// The same body without the framing of the platform that carries it.
    pub(crate) fn unpacked(self, unpacker: Unpacker) -> Self {
        Self(Inner::Unpacked(Box::new(Unpacked::new(self, unpacker))))
    }

    /// The same body without a key that it may repeat.
    pub(super) fn masked(self, mask: Mask) -> Self {
        Self(Inner::Masked(Box::new(Masked::new(self, mask))))
    }

    /// Whether it, or the head before it, repeated a key that was hidden.
    pub(crate) fn hid_key(&self) -> bool {
        matches!(&self.0, Inner::Masked(masked) if masked.hid())
    }

    /// The error by which what the platform carries has ended, if it has.
    pub(crate) fn failed(&self) -> Option<FailureKind> {
        match &self.0 {
            Inner::Unpacked(unpacked) => unpacked.failed(),
            Inner::Again(_) | Inner::Coded(_) | Inner::Masked(_) | Inner::Plain(_) => None,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut self.0 {
            Inner::Again(answer) => Poll::Ready(answer.piece().map(Frame::data).map(Ok)),
            Inner::Coded(decoded) => decoded
                .poll_piece(cx)
                .map(|piece| piece.map(|piece| piece.map(Frame::data))),
            Inner::Masked(masked) => masked
                .poll_piece(cx)
                .map(|piece| piece.map(|piece| piece.map(Frame::data))),
            Inner::Plain(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|_| Broken::Closed))),
            Inner::Unpacked(unpacked) => unpacked
                .poll_piece(cx)
                .map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Again(answer) => answer.is_over(),
            Inner::Coded(decoded) => decoded.ended,
            Inner::Masked(masked) => masked.has_ended(),
            Inner::Plain(body) => body.is_end_stream(),
            Inner::Unpacked(unpacked) => unpacked.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Again(answer) => answer
                .length()
                .map_or_else(SizeHint::default, SizeHint::with_exact),
            Inner::Coded(_) | Inner::Unpacked(_) => SizeHint::default(),
            Inner::Masked(masked) => masked.size_hint(),
            Inner::Plain(body) => body.size_hint(),
        }
    }
}

/// Why a body ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Broken {
    /// The connection ended.
    #[error("broke off its answer")]
    Closed,
    /// The stream that the platform frames cannot be read.
    #[error("sent a stream that cannot be read")]
    Unreadable,
    /// The bytes are not what the coding allows.
    #[error("sent an answer in `{}` that cannot be decoded", .0.as_str())]
    Corrupt(Coding),
    /// It is more than is decoded of one answer.
    #[error("sent an answer in `{}` of more than {max} bytes, which is where reading stops", .coding.as_str())]
    TooLong { coding: Coding, max: u64 },
    /// It is suspiciously much for its compressed form.
    #[error("sent an answer in `{}` that becomes more than {max} times as long, which is where reading stops", .coding.as_str())]
    TooDense { coding: Coding, max: u64 },
}

impl Broken {
    /// What the caller is told.
    pub(crate) fn fault(self, upstream: &str) -> Fault {
        let (code, help) = match self {
            Self::Closed => (Code::UpstreamClosed, ""),
            Self::Unreadable => (Code::AnswerUnreadable, ""),
            Self::Corrupt(_) => (Code::UpstreamEncoding, ""),
            Self::TooDense { .. } => (
                Code::UpstreamEncoding,
                "; the operator sets that in `server.decoded_ratio_max`",
            ),
            Self::TooLong { .. } => (
                Code::UpstreamEncoding,
                "; the operator sets that in `server.decoded_bytes_max`",
            ),
        };
        Fault::new(code, format!("upstream `{upstream}` {self}{help}"))
    }
}

/// A body on its way out of its coding.
struct Decoded {
    coding: Coding,
    /// The compressed bytes, until the first of them has come.
    unopened: Option<Source>,
    codec: Option<Codec>,
    max: DecodedMax,
    given: u64,
    ended: bool,
    room: Box<[u8]>,
}

impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoded")
            .field("coding", &self.coding)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl Decoded {
    fn new(coding: Coding, source: Source, max: DecodedMax) -> Self {
        Self {
            coding,
            unopened: Some(source),
            codec: None,
            max,
            given: 0,
            ended: false,
            room: vec![0; DECODED_PIECE].into(),
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = ready!(self.poll_read(cx));
        self.ended = !matches!(piece, Ok(Some(_)));
        Poll::Ready(piece.transpose())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        let (coding, max) = (self.coding, self.max);
        if let Some(source) = &mut self.unopened {
            let first = match ready!(Pin::new(source).poll_fill_buf(cx)) {
                Ok(bytes) => bytes.first().copied(),
                Err(_) => return Poll::Ready(Err(Broken::Closed)),
            };
            // A body without a byte is the same in every coding.
            let Some(first) = first else {
                return Poll::Ready(Ok(None));
            };
            let source = self.unopened.take();
            self.codec = source.map(|source| Codec::new(coding, first, source));
        }
        let Some(codec) = &mut self.codec else {
            return Poll::Ready(Ok(None));
        };
        let mut room = ReadBuf::new(&mut self.room);
        let read = ready!(codec.poll_read(cx, &mut room));
        let source = codec.source();
        if source.closed {
            return Poll::Ready(Err(Broken::Closed));
        }
        if read.is_err() {
            return Poll::Ready(Err(Broken::Corrupt(coding)));
        }
        let piece = room.filled();
        if piece.is_empty() {
            return match ready!(Pin::new(source).poll_fill_buf(cx)) {
                Ok([]) => Poll::Ready(Ok(None)),
                // Nothing may stand behind the end.
                Ok(_) => Poll::Ready(Err(Broken::Corrupt(coding))),
                Err(_) => Poll::Ready(Err(Broken::Closed)),
            };
        }
        self.given = self.given.saturating_add(piece.len() as u64);
        if self.given > max.bytes {
            let max = max.bytes;
            return Poll::Ready(Err(Broken::TooLong { coding, max }));
        }
        let dense = self.given > source.taken.saturating_mul(max.ratio);
        if dense && self.given > DECODED_UNMEASURED {
            let max = max.ratio;
            return Poll::Ready(Err(Broken::TooDense { coding, max }));
        }
        Poll::Ready(Ok(Some(Bytes::copy_from_slice(piece))))
    }
}

enum Codec {
    Brotli(BrotliDecoder<Source>),
    Deflate(DeflateDecoder<Source>),
    Gzip(GzipDecoder<Source>),
    Zlib(ZlibDecoder<Source>),
    Zstd(ZstdDecoder<Source>),
}

impl Codec {
    /// For a body that begins with this byte.
    fn new(coding: Coding, first: u8, source: Source) -> Self {
        match coding {
            Coding::Brotli => Self::Brotli(BrotliDecoder::new(source)),
            // What the standard calls `deflate` is zlib's form, whose first byte ends in 8. Some send it bare, and
            // then no writer sets these bits.
            Coding::Deflate if first & 0x0F == 8 => Self::Zlib(ZlibDecoder::new(source)),
            Coding::Deflate => Self::Deflate(DeflateDecoder::new(source)),
            Coding::Gzip => {
                let mut decoder = GzipDecoder::new(source);
                decoder.multiple_members(true);
                Self::Gzip(decoder)
            }
            Coding::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX);
                let mut decoder = ZstdDecoder::with_params(source, &[window]);
                decoder.multiple_members(true);
                Self::Zstd(decoder)
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Brotli(decoder) => Pin::new(decoder).poll_read(cx, room),
            Self::Deflate(decoder) => Pin::new(decoder).poll_read(cx, room),
            Self::Gzip(decoder) => Pin::new(decoder).poll_read(cx, room),
            Self::Zlib(decoder) => Pin::new(decoder).poll_read(cx, room),
            Self::Zstd(decoder) => Pin::new(decoder).poll_read(cx, room),
        }
    }

    fn source(&mut self) -> &mut Source {
        match self {
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zlib(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }
}

/// The compressed bytes, as a decoder wants to read them.
struct Source {
    body: Incoming,
    piece: Bytes,
    taken: u64,
    /// The connection ended before the body did.
    closed: bool,
}

impl Source {
    fn new(body: Incoming) -> Self {
        Self {
            body,
            piece: Bytes::new(),
            taken: 0,
            closed: false,
        }
    }
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = ready!(self.as_mut().poll_fill_buf(cx))?;
        let length = bytes.len().min(room.remaining());
        room.put_slice(bytes.get(..length).unwrap_or_default());
        self.consume(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Source {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.piece.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                // Trailers tell nothing of the bytes.
                Some(Ok(frame)) => this.piece = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    this.closed = true;
                    return Poll::Ready(Err(io::Error::other(error)));
                }
                None => break,
            }
        }
        Poll::Ready(Ok(&this.piece))
    }

    fn consume(mut self: Pin<&mut Self>, length: usize) {
        let length = length.min(self.piece.len());
        self.piece.advance(length);
        self.taken = self.taken.saturating_add(length as u64);
    }
}
