//! An upstream's error without the key that it was asked with: some services repeat what they refuse.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::HeaderMap;
use http_body::{Body, SizeHint};
use memchr::memmem::Finder;

use super::coding::{AnswerBody, Broken};
use crate::limits::MASKED_BYTES_MIN;

/// What stands in the place of each byte of a key: the length that is announced stays right.
const MASK: u8 = b'*';

/// The body of an error, on its way past the mask.
#[derive(Debug)]
pub(super) struct Masked {
    /// Gone once it has ended.
    body: Option<AnswerBody>,
    mask: Mask,
}

/// Puts something else in the place of a text, wherever its pieces are cut.
pub(super) struct Mask {
    secret: Finder<'static>,
    /// What may be the beginning of the text.
    held: Vec<u8>,
    /// Whether it was there.
    hid: bool,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mask").finish_non_exhaustive()
    }
}

impl Mask {
    /// For this key; none where it is too short to be one: it would be found in anything.
    pub(super) fn of(secret: &[u8]) -> Option<Self> {
        (secret.len() >= MASKED_BYTES_MIN).then(|| Self {
            secret: Finder::new(secret).into_owned(),
            held: Vec::new(),
            hid: false,
        })
    }

    /// Take out the headers that repeat it.
    pub(super) fn clean(&mut self, headers: &mut HeaderMap) {
        let repeats = |value: &[u8]| self.secret.find(value).is_some();
        let mut named = Vec::new();
        for (name, value) in headers.iter() {
            if repeats(value.as_bytes()) {
                named.push(name.clone());
            }
        }
        self.hid |= !named.is_empty();
        for name in named {
            headers.remove(name);
        }
    }

    fn push(&mut self, piece: &[u8]) -> Bytes {
        self.held.extend_from_slice(piece);
        let length = self.secret.needle().len();
        let found: Vec<usize> = self.secret.find_iter(&self.held).collect();
        self.hid |= !found.is_empty();
        for at in found {
            if let Some(bytes) = self.held.get_mut(at..at.saturating_add(length)) {
                bytes.fill(MASK);
            }
        }
        let given = self.held.len().saturating_sub(length.saturating_sub(1));
        self.held.drain(..given).collect()
    }

    fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held).into()
    }
}

impl Masked {
    pub(super) fn new(body: AnswerBody, mask: Mask) -> Self {
        Self {
            body: Some(body),
            mask,
        }
    }

    /// The next piece, never an empty one.
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Broken>>> {
        while let Some(body) = &mut self.body {
            let given = match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => self.mask.push(&piece),
                    Err(_) => continue,
                },
                Some(Err(broken)) => {
                    self.body = None;
                    return Poll::Ready(Some(Err(broken)));
                }
                None => {
                    self.body = None;
                    self.mask.finish()
                }
            };
            if !given.is_empty() {
                return Poll::Ready(Some(Ok(given)));
            }
        }
        Poll::Ready(None)
    }

    /// Whether it hid a key so far.
    pub(super) fn hid(&self) -> bool {
        self.mask.hid
    }

    /// Whether nothing more comes.
    pub(super) fn has_ended(&self) -> bool {
        let body = self.body.as_ref();
        body.is_none_or(AnswerBody::is_end_stream) && self.mask.held.is_empty()
    }

    /// What is still to come.
    pub(super) fn size_hint(&self) -> SizeHint {
        let rest = self.body.as_ref().map(AnswerBody::size_hint);
        let held = self.mask.held.len() as u64;
        match rest.map_or(Some(0), |rest| rest.exact()) {
            Some(rest) => SizeHint::with_exact(rest.saturating_add(held)),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const SECRET: &[u8] = b"sk-of-the-upstream";

    #[test]
    fn a_key_is_masked_wherever_it_is_cut_and_nothing_else() {
        let text =
            b"wrong: sk-of-the-upstream, sk-of-the-sk-of-the-upstreamsk-of-the-upstream sk-of-the-";
        let hidden = "*".repeat(SECRET.len());
        let wanted = format!("wrong: {hidden}, sk-of-the-{hidden}{hidden} sk-of-the-");
        for size in 1..text.len() {
            let mut mask = Mask::of(SECRET).unwrap();
            let mut given = Vec::new();
            for piece in text.chunks(size) {
                given.extend_from_slice(&mask.push(piece));
            }
            given.extend_from_slice(&mask.finish());
            assert_eq!(String::from_utf8(given).unwrap(), wanted, "{size}");
        }
    }

    #[test]
    fn headers_that_repeat_it_go_and_what_is_too_short_is_no_key() {
        let mut mask = Mask::of(SECRET).unwrap();
        let mut headers = HeaderMap::new();
        let said = HeaderValue::from_static("Bearer sk-of-the-upstream");
        headers.append("x-said", HeaderValue::from_static("nothing"));
        headers.append("x-said", said);
        headers.append("x-other", HeaderValue::from_static("sk-of-the"));
        mask.clean(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-other"]);
        assert!(mask.hid);
        assert!(Mask::of(b"none").is_none());
        assert!(!format!("{mask:?}").contains("upstream"));
    }
}
