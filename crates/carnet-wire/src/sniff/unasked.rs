//! Taking out of a stream of chat completions what only we asked for: the chunk that tells its usage, and the members
//! `usage` with nothing in them that come along with it.
//!
//! Asked by `stream_options.include_usage`, a service sends one more chunk before `[DONE]`, with empty `choices` and the
//! usage of the whole request, and puts `"usage": null` into all others.
//! Source: platform.openai.com/docs/api-reference/chat/create, `stream_options`.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::{memchr2, memmem};

use crate::json::{Edit, Hit, Kind, Watch, scan, splice};
use crate::limits::{MAX_DEPTH, MAX_UNASKED};

const CHOICES: usize = 0;
const USAGE: usize = 1;
/// Finds the word without which nothing is to be taken out; made once, since most events are looked through for it alone.
static FIND: LazyLock<memmem::Finder<'static>> =
    LazyLock::new(|| memmem::Finder::new(b"\"usage\""));
/// How an event ends behind which another one begins.
const ENDS: [&[u8]; 2] = [b"\n\n", b"\r\n\r\n"];

/// A push filter for a stream of chat completions that was asked to tell its usage for somebody else than its caller.
/// All else passes as it is, and cutting the stream elsewhere never changes what comes out. An event is held back until
/// its end, unless it is longer than [`MAX_UNASKED`].
///
/// ```
/// use carnet_wire::sniff::UnaskedUsage;
///
/// let mut filter = UnaskedUsage::new();
/// let mut out = Vec::new();
/// filter.push(b"data: {\"choices\":[{}],\"usage\":null}\n\ndata: {\"choices\":[],\"us", &mut out);
/// filter.push(b"age\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n", &mut out);
/// filter.finish(&mut out);
/// assert_eq!(out, b"data: {\"choices\":[{}]}\n\ndata: [DONE]\n\n");
/// ```
#[derive(Debug, Default)]
pub struct UnaskedUsage {
    watch: Option<Watch>,
    /// Of the event at hand.
    held: Vec<u8>,
    /// Whether that is too long to be held back.
    passing: bool,
    /// Whether something of a line has come.
    within: bool,
    after_cr: AfterCr,
    removed: bool,
}

/// What a carriage return has ended behind which nothing has come yet: a line feed would belong to it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum AfterCr {
    /// An event; whether its end passes.
    Event(bool),
    /// A line of an event.
    Line,
    #[default]
    Nothing,
}

impl UnaskedUsage {
    /// Starts at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self {
            watch: Watch::new(["choices", "usage"]).ok(),
            ..Self::default()
        }
    }

    /// Whether anything was taken out.
    #[must_use]
    pub fn removed(&self) -> bool {
        self.removed
    }

    /// Whether everything that came has been passed on or taken out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Passes on what is whole with the next bytes.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let between = self.held.is_empty() && !self.passing && !self.within;
        if between
            && self.after_cr == AfterCr::Nothing
            && ENDS.iter().any(|end| chunk.ends_with(end))
            && FIND.find(chunk).is_none()
        {
            out.extend_from_slice(chunk);
            return;
        }
        let mut rest = chunk;
        if let (Some(b'\n'), AfterCr::Event(_) | AfterCr::Line) = (rest.first(), self.after_cr) {
            match self.after_cr {
                AfterCr::Line if !self.passing => self.held.push(b'\n'),
                AfterCr::Event(false) => {}
                _ => out.push(b'\n'),
            }
            rest = rest.get(1..).unwrap_or_default();
            self.after_cr = AfterCr::Nothing;
            self.bound(out);
        }
        while !rest.is_empty() {
            let end = memchr2(b'\n', b'\r', rest);
            let taken = end.map_or(rest.len(), |end| {
                let is_crlf = rest.get(end..end + 2) == Some(b"\r\n");
                end + 1 + usize::from(is_crlf)
            });
            let (line, behind) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
            rest = behind;
            self.take(line, end, out);
        }
    }

    /// The stream is over: what was held back of an event that has not ended passes.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
    }

    /// A piece of a line, with its end if `end` is where its text ends.
    fn take(&mut self, piece: &[u8], end: Option<usize>, out: &mut Vec<u8>) {
        let blank = !self.within && end == Some(0);
        self.within = end.is_none();
        if self.passing {
            out.extend_from_slice(piece);
        } else {
            self.held.extend_from_slice(piece);
        }
        let half = end.is_some() && piece.ends_with(b"\r");
        self.after_cr = match (blank, half) {
            (true, true) => AfterCr::Event(self.event(out)),
            (true, false) => {
                self.event(out);
                AfterCr::Nothing
            }
            (false, true) => AfterCr::Line,
            (false, false) => AfterCr::Nothing,
        };
        self.bound(out);
    }

    /// What is too long is held back no more.
    fn bound(&mut self, out: &mut Vec<u8>) {
        if self.held.len() > MAX_UNASKED {
            out.append(&mut self.held);
            self.passing = true;
        }
    }

    /// Passes an event on that has ended, as far as it is to; whether its end passes.
    fn event(&mut self, out: &mut Vec<u8>) -> bool {
        if std::mem::take(&mut self.passing) {
            return true;
        }
        let event = std::mem::take(&mut self.held);
        let Some((left, passes)) = self.without(&event) else {
            out.extend_from_slice(&event);
            return true;
        };
        self.removed = true;
        out.extend_from_slice(&left);
        passes
    }

    /// What is left of an event of which something goes, and whether its end is.
    fn without(&self, event: &[u8]) -> Option<(Vec<u8>, bool)> {
        FIND.find(event)?;
        let data = data(event)?;
        let text = event.get(data.clone())?;
        let found = scan(text, self.watch.as_ref()?, MAX_DEPTH).ok()?;
        let usage = found.first(USAGE)?;
        match usage.kind {
            Kind::Null => {
                let body = Bytes::copy_from_slice(text);
                let left = splice(&body, &[Edit::remove(usage)]).concat();
                let (before, after) = (event.get(..data.start)?, event.get(data.end..)?);
                Some(([before, &left, after].concat(), true))
            }
            Kind::Object if is_empty_list(text, found.first(CHOICES)?) => {
                Some((comments(event), false))
            }
            _ => None,
        }
    }
}

fn is_empty_list(text: &[u8], choices: &Hit) -> bool {
    let inside = choices.value.start + 1..choices.value.end.saturating_sub(1);
    let inside = text.get(inside).filter(|_| choices.kind == Kind::Array);
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

/// Where the data of an event stands that has one line of it.
fn data(event: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut found = None;
    let mut at = 0;
    for line in event.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
        let start = at;
        at += line.len();
        // The standard drops a byte order mark at the very start of a stream; then this is an event to leave as it is.
        let Some(value) = line.strip_prefix(b"data:") else {
            continue;
        };
        if found.is_some() {
            return None;
        }
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let end = start + line.trim_ascii_end().len();
        found = Some((start + line.len() - value.len()).min(end)..end);
    }
    found
}

/// The lines of an event that belong to none: comments, by which connections are kept alive.
fn comments(event: &[u8]) -> Vec<u8> {
    let mut left = Vec::new();
    let mut rest = event;
    while !rest.is_empty() {
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let is_crlf = rest.get(end..end + 2) == Some(b"\r\n");
        let length = (end + 1 + usize::from(is_crlf)).min(rest.len());
        let (line, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        if line.starts_with(b":") {
            left.extend_from_slice(line);
        }
        rest = behind;
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passed(stream: &[u8], sizes: &[usize]) -> (Vec<u8>, bool) {
        let mut filter = UnaskedUsage::new();
        let mut out = Vec::new();
        let mut rest = stream;
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let size = sizes.next().copied().unwrap_or(rest.len());
            let (piece, behind) = rest.split_at(size.clamp(1, rest.len()));
            filter.push(piece, &mut out);
            rest = behind;
        }
        filter.finish(&mut out);
        assert!(filter.is_empty());
        (out, filter.removed())
    }

    fn check(stream: &str, want: &str) {
        for size in [1, 2, 3, 5, 7, 16, stream.len().max(1)] {
            let (out, removed) = passed(stream.as_bytes(), &[size]);
            assert_eq!(String::from_utf8(out).unwrap(), want, "by {size}");
            assert_eq!(removed, stream != want);
        }
    }

    const CHUNK: &str = r#"data: {"choices":[{"delta":{"content":"\"usage\""}}]}"#;
    const TOLD: &str =
        r#"data: {"id":"c","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
    const DONE: &str = "data: [DONE]";

    #[test]
    fn the_chunk_that_was_not_asked_for_goes_and_nothing_else() {
        for end in ["\n\n", "\r\n\r\n", "\r\r"] {
            check(
                &format!("{CHUNK}{end}{TOLD}{end}{DONE}{end}"),
                &format!("{CHUNK}{end}{DONE}{end}"),
            );
        }
        check(&format!(": on\n\n{TOLD}\n\n"), ": on\n\n");
        check(
            &format!(": on\n{TOLD}\n\n{DONE}\n\n"),
            ": on\ndata: [DONE]\n\n",
        );
        check(&format!("event: x\nid: 1\n{TOLD}\n\n"), "");
    }

    #[test]
    fn a_member_without_usage_goes_from_where_it_stands() {
        for (with, without) in [
            (r#"{"choices":[{}],"usage":null}"#, r#"{"choices":[{}]}"#),
            (r#"{"usage":null,"choices":[]}"#, r#"{"choices":[]}"#),
            (r#"{"a":1, "usage" : null , "b":2}"#, r#"{"a":1,  "b":2}"#),
        ] {
            check(
                &format!("data: {with}\n\n"),
                &format!("data: {without}\n\n"),
            );
            check(
                &format!("data:{with}\r\n\r\n"),
                &format!("data:{without}\r\n\r\n"),
            );
        }
    }

    #[test]
    fn what_a_service_tells_unasked_stays() {
        for event in [
            // Beside content.
            r#"data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":7}}"#,
            // Somewhere else.
            r#"data: {"choices":[],"x_more":{"usage":{"prompt_tokens":7}}}"#,
            r#"data: {"usage":{"prompt_tokens":7}}"#,
            r#"data: {"choices":[],"usage":7}"#,
            // No JSON, or none that all read alike.
            r#"data: {"choices":[],"usage":{}"#,
            r#"data: {"choices":[],"usage":{},"usage":null}"#,
            "data: {\"choices\":[],\ndata: \"usage\":{}}",
        ] {
            check(
                &format!("{event}\n\n{DONE}\n\n"),
                &format!("{event}\n\n{DONE}\n\n"),
            );
        }
        // Its end never came.
        check(TOLD, TOLD);
        check(&format!("{TOLD}\n"), &format!("{TOLD}\n"));
    }

    #[test]
    fn what_is_too_long_passes_and_what_follows_is_looked_at() {
        let long = format!(
            "data: {{\"choices\":[],\"usage\":{{\"a\":\"{}\"}}}}\n\n",
            "x".repeat(MAX_UNASKED)
        );
        let stream = format!("{long}{TOLD}\n\n{DONE}\n\n");
        for size in [1 << 10, stream.len()] {
            let (out, removed) = passed(stream.as_bytes(), &[size]);
            assert!(out == format!("{long}{DONE}\n\n").into_bytes() && removed);
        }
    }

    proptest! {
        #[test]
        fn cutting_elsewhere_changes_nothing(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just(CHUNK), Just(TOLD), Just(DONE), Just("\n"), Just("\r"), Just("\r\n"), Just(":"),
                    Just("data: {\"choices\":[],\"usage\":null}"), Just("data:"), Just("\u{FEFF}"), Just("\"usage\""),
                ],
                0..24,
            ),
            sizes in proptest::collection::vec(1_usize..40, 1..6),
        ) {
            let stream = parts.concat();
            let whole = passed(stream.as_bytes(), &[stream.len().max(1)]);
            prop_assert_eq!(&passed(stream.as_bytes(), &sizes), &whole);
            // Nothing comes out that did not come in, and in the same order.
            let mut left = stream.bytes();
            prop_assert!(whole.0.iter().all(|byte| left.any(|one| one == *byte)));
        }
    }
}
