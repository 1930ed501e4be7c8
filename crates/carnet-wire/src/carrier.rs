//! Platforms that carry a dialect's bodies in an API of their own: what they want beside the body, and how their
//! streams hold the dialect's events.
//!
//! Bedrock's `InvokeModel` takes the body that the model's maker has defined, without model and wish for a stream, which
//! stand in the path; its streams are AWS event streams whose `chunk` holds one event each in base64:
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html>.
//! Vertex's `rawPredict` differs in the version alone:
//! <https://docs.anthropic.com/en/api/claude-on-vertex-ai>.

use std::borrow::Cow;
use std::sync::OnceLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::Value;
use smallvec::SmallVec;

use crate::dialect::{ClientDialect, Dialect, TranslateError, converse_exception, event, torn};
use crate::form::{Failure, FailureKind};
use crate::json::{self, Document, Edit, Hit, Kind, Watch};
use crate::limits::{MAX_BETAS, MAX_DEPTH};
use crate::stream::aws::{AwsDecoder, AwsError, Message};
use crate::translate;

#[cfg(test)]
mod tests;

/// A platform and the dialect of the bodies that it carries.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Carrier {
    /// Chat completions in Bedrock's `InvokeModel`.
    BedrockChat,
    /// Messages in Bedrock's `InvokeModel`.
    BedrockMessages,
    /// Messages in Vertex's `rawPredict`.
    VertexMessages,
}

/// What a body says that is not for the platform, or that the platform reads elsewhere.
const MEMBERS: [&str; 5] = [
    "messages",
    "model",
    "stream",
    "anthropic_version",
    "anthropic_beta",
];
const MESSAGES: usize = 0;
const MODEL: usize = 1;
const STREAM: usize = 2;
const VERSION: usize = 3;
const BETA: usize = 4;

/// What has to be changed in a body.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    /// The changes.
    pub edits: SmallVec<[Edit; 4]>,
    /// What they are called in a record.
    pub changes: SmallVec<[&'static str; 4]>,
}

impl Packed {
    fn remove(&mut self, hit: Option<&Hit>, change: &'static str) {
        if let Some(hit) = hit {
            self.edits.push(Edit::remove(hit));
            self.changes.push(change);
        }
    }
}

impl Carrier {
    /// Every one.
    pub const ALL: [Self; 3] = [
        Self::BedrockChat,
        Self::BedrockMessages,
        Self::VertexMessages,
    ];

    /// What the bodies are.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::BedrockChat => Dialect::Chat,
            Self::BedrockMessages | Self::VertexMessages => Dialect::Messages,
        }
    }

    /// The dialect in which the platform words errors of its own.
    fn errors(self) -> Dialect {
        match self {
            Self::BedrockChat | Self::BedrockMessages => Dialect::Converse,
            Self::VertexMessages => Dialect::GenerateContent,
        }
    }

    /// Whether trials of the dialect are named in the body, and not in a header as the dialect has it.
    #[must_use]
    pub fn names_betas_in_body(self) -> bool {
        self == Self::BedrockMessages
    }

    /// What the member `anthropic_version` has to say.
    fn version(self) -> Option<&'static [u8]> {
        match self {
            Self::BedrockChat => None,
            Self::BedrockMessages => Some(br#""bedrock-2023-05-31""#),
            Self::VertexMessages => Some(br#""vertex-2023-10-16""#),
        }
    }

    /// The changes to a body of the dialect that the platform wants, with the trials that the caller names in headers.
    ///
    /// # Errors
    /// When the body is none of the dialect.
    pub fn pack<'b>(
        self,
        body: &Bytes,
        betas: impl Iterator<Item = &'b str>,
    ) -> Result<Packed, TranslateError> {
        static WATCH: OnceLock<Option<Watch>> = OnceLock::new();
        // INVARIANT: the paths are ours, and can be watched.
        let watch = WATCH.get_or_init(|| Watch::new(MEMBERS).ok());
        let watch = watch.as_ref().ok_or(no_messages())?;
        let scan = json::scan(body, watch, MAX_DEPTH)?;
        // What is put in front of the others brings a comma along, so that there must be others.
        let messages = scan.first(MESSAGES);
        messages
            .filter(|hit| hit.kind == Kind::Array)
            .ok_or(no_messages())?;
        let mut packed = Packed::default();
        packed.remove(scan.first(MODEL), "remove model");
        if self != Self::VertexMessages {
            packed.remove(scan.first(STREAM), "remove stream");
        }
        let Some(version) = self.version() else {
            return Ok(packed);
        };
        let mut ahead = Vec::new();
        let mut set = |name: &str, change, hit: Option<&Hit>, value: Bytes| {
            packed.changes.push(change);
            if let Some(hit) = hit {
                packed.edits.push(Edit::replace(hit, value));
                return;
            }
            ahead.extend_from_slice(format!("\"{name}\":").as_bytes());
            ahead.extend_from_slice(&value);
            ahead.push(b',');
        };
        let stands = scan.first(VERSION);
        let version = Bytes::from_static(version);
        set(
            "anthropic_version",
            "set anthropic_version",
            stands,
            version,
        );
        if self.names_betas_in_body() {
            let stands = scan.first(BETA);
            if let Some(named) = all_betas(body, stands, betas)? {
                set("anthropic_beta", "set anthropic_beta", stands, named);
            }
        }
        if !ahead.is_empty() {
            let start = body.iter().position(|byte| *byte == b'{').unwrap_or(0) + 1;
            packed.edits.push(Edit {
                range: start..start,
                with: ahead.into(),
            });
        }
        Ok(packed)
    }

    /// The body of an error with a status of failure, for a client. It is the platform's or, where the platform only
    /// passes it on, one of the dialect.
    pub fn failure(self, to: ClientDialect, status: u16, body: &[u8]) -> (FailureKind, Vec<u8>) {
        let passed_on = Document::read(body, MAX_DEPTH).is_ok_and(|document| {
            let root = document.root();
            let error = root.get("error");
            let class = error.and_then(|error| error.get("type"));
            class.is_some_and(|class| class.kind() == Kind::String)
        });
        let from = if passed_on {
            self.dialect()
        } else {
            self.errors()
        };
        translate::failure(from, to, status, body)
    }
}

fn no_messages() -> TranslateError {
    TranslateError::Shape {
        place: "messages",
        expected: "a list",
    }
}

/// The trials of a body and those of headers, each once; none if headers name no further ones.
fn all_betas<'b>(
    body: &Bytes,
    stands: Option<&Hit>,
    named: impl Iterator<Item = &'b str>,
) -> Result<Option<Bytes>, TranslateError> {
    let in_body = stands.and_then(|hit| body.get(hit.value.clone()));
    let in_body: Option<Option<Vec<String>>> = in_body
        .map(|value| {
            serde_json::from_slice(value).map_err(|_| TranslateError::Shape {
                place: "anthropic_beta",
                expected: "a list of texts",
            })
        })
        .transpose()?;
    let mut all: Vec<Cow<'_, str>> = in_body
        .flatten()
        .unwrap_or_default()
        .into_iter()
        .map(Cow::Owned)
        .collect();
    let before = all.len();
    for name in named.flat_map(|list| list.split(',')).map(str::trim) {
        if !name.is_empty() && !all.iter().any(|known| known == name) {
            all.push(Cow::Borrowed(name));
        }
        if all.len() > MAX_BETAS {
            return Err(TranslateError::TooMany {
                what: "trials in `anthropic-beta`",
                max: MAX_BETAS,
            });
        }
    }
    let more = all.len() > before;
    Ok(more.then(|| Bytes::from(Value::from_iter(all).to_string())))
}

/// Why a stream cannot be unpacked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnpackError {
    /// It is no AWS event stream.
    #[error("{0}")]
    Framing(#[from] AwsError),
    /// A chunk holds no event.
    #[error("a chunk holds no event of the dialect")]
    Chunk,
}

/// The member that Bedrock puts into the last event.
const METRICS: &str = "amazon-bedrock-invocationMetrics";

/// Makes of an AWS event stream that carries a dialect's events the stream that the dialect itself has.
#[derive(Debug)]
pub struct Unpacker {
    dialect: ClientDialect,
    decoder: AwsDecoder,
    watch: Watch,
    /// Whether the event has come that ends an answer.
    ended: bool,
    failed: Option<FailureKind>,
}

impl Unpacker {
    /// For the streams of a platform; none for one whose streams are those of the dialect.
    #[must_use]
    pub fn of(carrier: Carrier) -> Option<Self> {
        let (dialect, paths) = match carrier {
            Carrier::BedrockChat => (ClientDialect::Chat, [METRICS, "choices[].finish_reason"]),
            Carrier::BedrockMessages => (ClientDialect::Messages, [METRICS, "type"]),
            Carrier::VertexMessages => return None,
        };
        Some(Self {
            dialect,
            decoder: AwsDecoder::new(),
            watch: Watch::new(paths).ok()?,
            ended: false,
            failed: None,
        })
    }

    /// Takes a piece of the stream, cut anywhere, and puts behind `out` what is complete by it.
    ///
    /// # Errors
    /// When the bytes are not an event stream, a checksum is wrong or a chunk holds no event.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), UnpackError> {
        let mut rest = piece;
        while let Some(message) = self.decoder.next(&mut rest)? {
            if self.failed.is_some() {
                continue;
            }
            if let Some(exception) = message.exception_type().or_else(|| message.error_code()) {
                self.failed = Some(write_exception(self.dialect, exception, &message, out));
            } else if message.event_type() == Some("chunk") {
                self.ended |= write_chunk(self.dialect, &self.watch, message.payload, out)?;
            }
        }
        Ok(())
    }

    /// The upstream has sent everything: an answer without its end ends with an error.
    ///
    /// # Errors
    /// When the stream ends within a message.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), UnpackError> {
        self.decoder.finish()?;
        if self.failed.is_some() {
            return Ok(());
        }
        if !self.ended {
            let failure = torn();
            self.failed = Some(failure.kind);
            write_failure(self.dialect, &failure, out);
        } else if self.dialect == ClientDialect::Chat {
            out.extend_from_slice(b"data: [DONE]\n\n");
        }
        Ok(())
    }

    /// The error by which the answer has ended, if it has.
    #[must_use]
    pub fn failed(&self) -> Option<FailureKind> {
        self.failed
    }
}

fn write_failure(dialect: ClientDialect, failure: &Failure<'_>, out: &mut Vec<u8>) {
    let name = (dialect == ClientDialect::Messages).then_some("error");
    event(out, name, |out| dialect.write_failure(failure, out));
}

fn write_exception(
    dialect: ClientDialect,
    name: &str,
    message: &Message<'_>,
    out: &mut Vec<u8>,
) -> FailureKind {
    let document = Document::read(message.payload, MAX_DEPTH);
    let told = document
        .as_ref()
        .ok()
        .and_then(|document| converse_exception(name, document.root()));
    let unnamed = || Failure::told(FailureKind::Server, None, None);
    let failure = told.unwrap_or_else(unnamed);
    write_failure(dialect, &failure, out);
    failure.kind
}

/// Writes the event of one chunk, and tells whether it ends the answer.
fn write_chunk(
    dialect: ClientDialect,
    watch: &Watch,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<bool, UnpackError> {
    let unreadable = |_| UnpackError::Chunk;
    let document = Document::read(payload, MAX_DEPTH).map_err(unreadable)?;
    let bytes = document
        .root()
        .get("bytes")
        .and_then(|bytes| bytes.string());
    let bytes = bytes.ok_or(UnpackError::Chunk)?;
    let chunk = BASE64_STANDARD.decode(bytes.as_bytes());
    let chunk = Bytes::from(chunk.map_err(|_| UnpackError::Chunk)?);
    let scan = json::scan(&chunk, watch, MAX_DEPTH).map_err(unreadable)?;
    let metrics = scan.first(0).map(Edit::remove);
    let segments = json::splice(&chunk, metrics.as_slice());
    let kind = scan.first(1).filter(|hit| hit.kind == Kind::String);
    let kind = kind.and_then(|hit| json::string_value(&chunk, hit).ok());
    let write = |out: &mut Vec<u8>| {
        for segment in &segments {
            out.extend_from_slice(segment);
        }
    };
    if dialect == ClientDialect::Chat {
        event(out, None, write);
        return Ok(scan.all(1).any(|hit| hit.kind != Kind::Null));
    }
    // A name with anything else in it would be no name, or two lines.
    let plain = |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let name = kind.as_deref().filter(plain).ok_or(UnpackError::Chunk)?;
    event(out, Some(name), write);
    Ok(matches!(name, "message_stop" | "error"))
}
