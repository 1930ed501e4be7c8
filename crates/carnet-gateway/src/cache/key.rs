//! What makes two requests equal.

use std::fmt;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::SystemRandom;
use http::{HeaderName, HeaderValue};

/// Digest of everything that an answer depends on, under a key that the process makes for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; KEY_BYTES]);

const KEY_BYTES: usize = 32;

/// See [`Key`].
pub(super) struct Secret(hmac::Key);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A request that was decided on and screened, as far as its answer depends on it.
///
/// What was changed in the body for its target follows from the body as it came, the target and the rules in force, so the body
/// as it came tells more requests apart than what is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    /// Who asks. Nothing is shared between two.
    pub(crate) workload: &'a str,
    /// Versions of configuration, policies and registry.
    pub(crate) versions: [&'a str; 3],
    /// Where it was asked for.
    pub(crate) path: &'a str,
    /// The one thing that its query may say.
    pub(crate) query: bool,
    /// What beside the body belongs to it.
    pub(crate) headers: &'a [(HeaderName, HeaderValue)],
    /// The name that was asked for.
    pub(crate) name: &'a str,
    /// Whether the answer is a stream.
    pub(crate) stream: bool,
    /// Name of the upstream that the permit names.
    pub(crate) upstream: &'a str,
    /// Its origin.
    pub(crate) origin: &'a str,
    /// Its own name for the model.
    pub(crate) own_name: &'a str,
    /// The model, as far as it is known.
    pub(crate) model: Option<&'a str>,
    /// The host, as far as it is known.
    pub(crate) host: Option<&'a str>,
    /// Countries whose law reaches it there.
    pub(crate) jurisdictions: &'a [String],
    /// Whether these are all.
    pub(crate) complete: bool,
    /// As it came, or with the conversation that it goes on from.
    pub(crate) body: &'a [u8],
}

/// Writes parts so that no two rows of them read the same.
struct Writer(hmac::Context);

impl Writer {
    fn number(&mut self, number: usize) {
        self.0.update(&(number as u64).to_le_bytes());
    }

    fn part(&mut self, part: &[u8]) {
        self.number(part.len());
        self.0.update(part);
    }

    fn maybe(&mut self, part: Option<&str>) {
        self.number(part.is_some().into());
        self.part(part.unwrap_or_default().as_bytes());
    }
}

impl Secret {
    /// A new one; nothing where the system gives no random bytes.
    pub(super) fn new() -> Option<Self> {
        hmac::Key::generate(HMAC_SHA256, &SystemRandom::new())
            .ok()
            .map(Self)
    }

    pub(super) fn key(&self, asked: &Asked<'_>) -> Key {
        // INVARIANT: every member is named, so that a new one cannot be forgotten.
        let Asked {
            workload,
            versions,
            path,
            query,
            headers,
            name,
            stream,
            upstream,
            origin,
            own_name,
            model,
            host,
            jurisdictions,
            complete,
            body,
        } = asked;
        let mut writer = Writer(hmac::Context::with_key(&self.0));
        let texts = [workload, path, name, upstream, origin, own_name];
        for text in texts.into_iter().chain(versions) {
            writer.part(text.as_bytes());
        }
        for flag in [query, stream, complete] {
            writer.number(usize::from(*flag));
        }
        writer.maybe(*model);
        writer.maybe(*host);
        writer.number(headers.len());
        for (name, value) in *headers {
            writer.part(name.as_str().as_bytes());
            writer.part(value.as_bytes());
        }
        writer.number(jurisdictions.len());
        for code in *jurisdictions {
            writer.part(code.as_bytes());
        }
        writer.part(body);
        let tag = writer.0.sign();
        let mut key = [0; KEY_BYTES];
        for (to, from) in key.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        Key(key)
    }
}
