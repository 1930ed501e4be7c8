//! The parts of a turn or an answer.

use crate::json::{Document, Kind, Text, Value};
use crate::limits::MAX_DEPTH;

/// One part, in the order in which it was said.
#[derive(Clone, Debug)]
pub struct Part<'b> {
    /// What it is.
    pub content: Content<'b>,
    /// The mark that what stands up to here may be cached, as JSON.
    pub cache: Option<&'b str>,
}

impl<'b> Part<'b> {
    /// A part without a mark.
    pub fn new(content: Content<'b>) -> Self {
        Self {
            content,
            cache: None,
        }
    }

    /// A text that rests on nothing.
    pub fn text(text: Text<'b>) -> Self {
        Self::new(Content::Text {
            text,
            citations: Vec::new(),
        })
    }
}

/// What a part is.
#[derive(Clone, Debug)]
pub enum Content<'b> {
    /// An image, a file or a recording.
    Media(Media<'b>),
    /// What the model thought before it answered.
    Reasoning(Reasoning<'b>),
    /// A text in which the model declines.
    Refusal(Text<'b>),
    /// A text.
    Text {
        /// The text.
        text: Text<'b>,
        /// What it rests on.
        citations: Vec<Citation<'b>>,
    },
    /// What a tool gave back.
    ToolResult(ToolResult<'b>),
    /// A call of a tool that the caller runs.
    ToolUse(ToolUse<'b>),
    /// A part that only its own dialect knows.
    Unknown {
        /// What its dialect calls it.
        kind: Text<'b>,
        /// The whole part.
        json: &'b str,
    },
}

/// An image, a file or a recording.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Media<'b> {
    /// Which of them.
    pub kind: MediaKind,
    /// Where its bytes are.
    pub source: MediaSource<'b>,
    /// Its name, if it has one.
    pub name: Option<Text<'b>>,
    /// How closely an image is to be looked at.
    pub detail: Option<Text<'b>>,
}

/// What sort of medium it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// A document, such as a PDF.
    File,
    /// A picture.
    Image,
}

/// Where the bytes of a medium are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MediaSource<'b> {
    /// In the request itself, in base64.
    Base64 {
        /// The type, such as `image/png`; for sound the bare format, such as `wav`.
        media_type: Text<'b>,
        /// The bytes.
        data: Text<'b>,
    },
    /// With the service, under an id that only it knows.
    Id(Text<'b>),
    /// Plain text that is to be read as a document.
    Plain(Text<'b>),
    /// At an address that the service fetches.
    Url(Text<'b>),
}

/// Reasoning, with all that its service needs to take it back.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reasoning<'b> {
    /// What can be read of it; empty where the service shows nothing.
    pub text: Text<'b>,
    /// The service's proof that the text is its own.
    pub signature: Option<Text<'b>>,
    /// The whole of it in a form that only the service can read.
    pub encrypted: Option<Text<'b>>,
    /// The id that the service gave it.
    pub id: Option<Text<'b>>,
    /// The name of the form that signature or encrypted text have.
    pub format: Option<Text<'b>>,
}

/// Where a text says that its statement comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Citation<'b> {
    /// The address.
    pub url: Option<Text<'b>>,
    /// The name of the page or document.
    pub title: Option<Text<'b>>,
    /// The words that are cited.
    pub cited: Option<Text<'b>>,
    /// Which characters of the text rest on it, from and to, where the dialect says so.
    pub span: Option<(u64, u64)>,
    /// The whole of it, as its dialect has it.
    pub json: &'b str,
}

/// A call of a tool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ToolUse<'b> {
    /// The id by which its result will be known; empty where the service gave none.
    pub id: Text<'b>,
    /// The tool's name.
    pub name: Text<'b>,
    /// What it is called with.
    pub arguments: Arguments<'b>,
}

/// What a tool gave back.
#[derive(Clone, Debug)]
pub struct ToolResult<'b> {
    /// The id of the call.
    pub id: Text<'b>,
    /// Texts and media.
    pub parts: Vec<Part<'b>>,
    /// Whether the tool failed, where the dialect can say so.
    pub is_error: Option<bool>,
}

/// The arguments of a call: JSON, which some dialects put into a string.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Arguments<'b> {
    /// JSON as it is.
    Json(&'b str),
    /// JSON as the inside of a string, if the model has written JSON.
    Quoted(Text<'b>),
}

impl Arguments<'_> {
    /// Writes them as the inside of a string; no arguments at all are an empty object.
    pub fn write_quoted(&self, out: &mut Vec<u8>) {
        match self {
            Self::Quoted(text) if text.is_blank() => out.extend_from_slice(b"{}"),
            Self::Quoted(text) => out.extend_from_slice(text.token().as_bytes()),
            Self::Json(json) => out.extend_from_slice(Text::new(json).token().as_bytes()),
        }
    }

    /// Writes them as a JSON object. False when the model has written none: then the text stands in an object
    /// under the name that services recommend for that case.
    pub fn write_object(&self, out: &mut Vec<u8>) -> bool {
        let text = match self {
            Self::Json(json) => {
                out.extend_from_slice(json.as_bytes());
                return true;
            }
            Self::Quoted(text) if text.is_blank() => {
                out.extend_from_slice(b"{}");
                return true;
            }
            Self::Quoted(text) => text,
        };
        let plain = text.plain();
        let is_object = Document::read(plain.as_bytes(), MAX_DEPTH)
            .is_ok_and(|document| document.root().kind() == Kind::Object);
        if is_object {
            out.extend_from_slice(plain.as_bytes());
        } else {
            crate::json::Object::open(out).text("INVALID_JSON", text);
        }
        is_object
    }
}

/// A member that the form has no place for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unknown<'b> {
    /// Its name.
    pub key: Text<'b>,
    /// Its value.
    pub json: &'b str,
}

impl<'b> Unknown<'b> {
    /// Keeps a member as it was sent.
    pub(crate) fn new(key: &str, value: Value<'b>) -> Self {
        Self {
            key: Text::new(key).into_owned(),
            json: value.raw(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_always_json_for_the_target() {
        for (token, quoted, object, valid) in [
            ("", "{}", "{}", true),
            (r"\n ", "{}", "{}", true),
            (
                r#"{\"a\":\"\\n\"}"#,
                r#"{\"a\":\"\\n\"}"#,
                r#"{"a":"\n"}"#,
                true,
            ),
            (
                r#"{\"a\""#,
                r#"{\"a\""#,
                r#"{"INVALID_JSON":"{\"a\""}"#,
                false,
            ),
            ("[]", "[]", r#"{"INVALID_JSON":"[]"}"#, false),
        ] {
            let arguments = Arguments::Quoted(Text::from_token(token));
            let (mut as_text, mut as_object) = (Vec::new(), Vec::new());
            arguments.write_quoted(&mut as_text);
            assert_eq!(arguments.write_object(&mut as_object), valid);
            assert_eq!(String::from_utf8(as_text).unwrap(), quoted);
            assert_eq!(String::from_utf8(as_object).unwrap(), object);
        }
        let mut out = Vec::new();
        Arguments::Json(r#"{"a":"\n"}"#).write_quoted(&mut out);
        assert_eq!(out, br#"{\"a\":\"\\n\"}"#);
    }
}
