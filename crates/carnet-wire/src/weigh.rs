//! What of a request a model has to read, piece by piece, and how much it is asked to write, whatever the dialect.
//!
//! It is for an estimate that must not be too small, so that it takes for text what it does not know to be something
//! else: names of members and settings among it, which stand for what services put around a conversation.

use crate::json::{Document, Kind, ScanError, Value};
use crate::limits::{MAX_DEPTH, MIN_FILE};

/// A piece of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Piece<'b> {
    /// A file of so many characters of base64.
    File(Medium, usize),
    /// The address or the id of one.
    Link(Medium),
    /// A number, `true`, `false` or `null` of so many characters.
    Scalar(usize),
    /// A seal of so many characters that the model's service made and reads back: encrypted reasoning, a signature.
    Sealed(usize),
    /// A text.
    Text(&'b str),
}

/// What a file holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Medium {
    /// Anything else.
    Other,
    /// A picture.
    Picture,
    /// A sound or a film.
    Sound,
}

/// How much is to be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// The most tokens of one answer, where the request says so.
    pub tokens: Option<u64>,
    /// How many answers.
    pub answers: u64,
}

const LIMITS: [&str; 3] = ["max_completion_tokens", "max_output_tokens", "max_tokens"];
const ANSWERS: [&str; 2] = ["best_of", "n"];
/// Objects that hold settings, with their names for both.
const SETTINGS: [(&str, &str, &str); 3] = [
    ("generationConfig", "maxOutputTokens", "candidateCount"),
    ("generation_config", "max_output_tokens", "candidate_count"),
    ("inferenceConfig", "maxTokens", ""),
];
/// Texts to go on with, each by an answer of its own.
const PROMPTS: &str = "prompt";
/// The names of pictures by their address, and of other files.
const PICTURES: [&str; 2] = ["image_url", "url"];
const FILES: [&str; 6] = [
    "fileUri", "file_id", "file_uri", "file_url", "fileId", "uri",
];
const SEALED: [&str; 4] = [
    "encrypted_content",
    "signature",
    "thoughtSignature",
    "thought_signature",
];
/// The names under which the kind of a file stands beside it.
const KINDS: [&str; 5] = ["format", "mediaType", "media_type", "mimeType", "mime_type"];

/// Gives the pieces of a request, and how much it wants.
///
/// # Errors
/// When it is not JSON, or nested too deep.
pub fn weigh(body: &[u8], each: &mut dyn FnMut(Piece<'_>)) -> Result<Wanted, ScanError> {
    let document = Document::read(body, MAX_DEPTH)?;
    let root = document.root();
    within(root, each);
    Ok(wanted(root))
}

fn wanted(root: Value<'_>) -> Wanted {
    // Of names that stand twice, and of several names for the same, the largest counts.
    let (mut tokens, mut answers, mut prompts): (Option<u64>, u64, u64) = (None, 1, 1);
    let mut limit = |value: Value<'_>| tokens = tokens.max(value.count());
    let mut many = |value: Value<'_>| answers = answers.max(value.count().unwrap_or(1));
    for (name, value) in root.members() {
        if LIMITS.contains(&&*name) {
            limit(value);
        } else if ANSWERS.contains(&&*name) {
            many(value);
        } else if name == PROMPTS {
            let several = value.elements().filter(|one| one.kind() != Kind::Number);
            prompts = u64::try_from(several.count()).unwrap_or(u64::MAX).max(1);
        }
        for (_, most, number) in SETTINGS.iter().filter(|(known, ..)| *known == name) {
            for (name, value) in value.members() {
                if name == *most {
                    limit(value);
                } else if name == *number {
                    many(value);
                }
            }
        }
    }
    Wanted {
        tokens,
        answers: answers.saturating_mul(prompts),
    }
}

// INVARIANT: a document is nested at most MAX_DEPTH deep, so that this may recurse.
fn within(value: Value<'_>, each: &mut dyn FnMut(Piece<'_>)) {
    for element in value.elements() {
        one("", None, element, each);
    }
    let mut kind = None;
    for (name, member) in value.members() {
        if KINDS.contains(&&*name) {
            kind = member.string().or(kind);
        }
    }
    for (name, member) in value.members() {
        each(Piece::Text(&name));
        one(&name, kind.as_deref(), member, each);
    }
}

fn one(name: &str, kind: Option<&str>, value: Value<'_>, each: &mut dyn FnMut(Piece<'_>)) {
    match value.kind() {
        Kind::Array | Kind::Object => within(value, each),
        Kind::Bool | Kind::Null | Kind::Number => each(Piece::Scalar(value.raw().len())),
        Kind::String => match value.string() {
            Some(text) => each(of_text(name, kind, &text)),
            // Half of a surrogate pair: as long as it stands there.
            None => each(Piece::File(Medium::Other, value.raw().len())),
        },
    }
}

fn of_text<'b>(name: &str, kind: Option<&str>, text: &'b str) -> Piece<'b> {
    if SEALED.contains(&name) {
        return Piece::Sealed(text.len());
    }
    let (said, data) = match text
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"))
    {
        Some((kind, data)) => (Some(kind), data),
        None => (kind, text),
    };
    if data.len() >= MIN_FILE && data.bytes().all(is_base64) {
        return Piece::File(medium(said, data), data.len());
    }
    if PICTURES.contains(&name) {
        Piece::Link(Medium::Picture)
    } else if FILES.contains(&name) {
        Piece::Link(Medium::Other)
    } else {
        Piece::Text(text)
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')
}

/// What a file holds, as somebody says of it or else as it begins.
fn medium(said: Option<&str>, data: &str) -> Medium {
    let (kind, form) = match said.and_then(|said| said.split_once('/')) {
        Some((kind, _)) => (kind, ""),
        None => ("", said.unwrap_or_default()),
    };
    let begins = |starts: &[&str]| starts.iter().any(|start| data.starts_with(start));
    // The same container for both: a kind stands behind its length.
    let riff = data.starts_with("UklG").then(|| data.get(12..16)).flatten();
    let film = data.get(5..10) == Some("GZ0eX");
    if matches!(kind, "audio" | "video")
        || matches!(
            form,
            "aac" | "flac" | "mov" | "mp3" | "mp4" | "opus" | "pcm16" | "wav" | "webm"
        )
        || riff == Some("QVZF")
        || film
        || begins(&["SUQz", "T2dnUw", "ZkxhQ", "GkXf"])
    {
        Medium::Sound
    } else if kind == "image" || riff == Some("RUJQ") || begins(&["iVBORw0KGgo", "/9j/", "R0lGOD"])
    {
        Medium::Picture
    } else {
        Medium::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> (Option<u64>, u64) {
        let wanted = weigh(body.as_bytes(), &mut |_| {}).unwrap();
        (wanted.tokens, wanted.answers)
    }

    #[test]
    fn what_is_wanted_is_found_by_the_name_of_each_dialect() {
        for (body, want) in [
            ("{}", (None, 1)),
            (r#"{"max_tokens":7}"#, (Some(7), 1)),
            (
                r#"{"max_tokens":7,"max_completion_tokens":9,"n":3}"#,
                (Some(9), 3),
            ),
            (r#"{"max_tokens":7,"max_tokens":1}"#, (Some(7), 1)),
            (r#"{"max_output_tokens":7}"#, (Some(7), 1)),
            (
                r#"{"generationConfig":{"maxOutputTokens":7,"candidateCount":2}}"#,
                (Some(7), 2),
            ),
            (
                r#"{"generation_config":{"max_output_tokens":7}}"#,
                (Some(7), 1),
            ),
            (r#"{"inferenceConfig":{"maxTokens":7}}"#, (Some(7), 1)),
            (r#"{"max_tokens":null,"n":null}"#, (None, 1)),
            (r#"{"max_tokens":-1,"n":0}"#, (None, 1)),
            (
                r#"{"prompt":["a","b"],"n":2,"best_of":4,"max_tokens":7}"#,
                (Some(7), 8),
            ),
            (r#"{"prompt":[1,2,3],"max_tokens":7}"#, (Some(7), 1)),
            (r#"{"prompt":[[1,2],[3]],"max_tokens":7}"#, (Some(7), 2)),
            // Not where they mean nothing.
            (
                r#"{"messages":[{"max_tokens":7,"n":2}],"tools":{"n":4}}"#,
                (None, 1),
            ),
            (
                r#"{"n":18446744073709551615,"prompt":["a","b"]}"#,
                (None, u64::MAX),
            ),
        ] {
            assert_eq!(asked(body), want, "{body}");
        }
    }

    fn pieces(body: &str) -> Vec<String> {
        let mut found = Vec::new();
        weigh(body.as_bytes(), &mut |piece| {
            found.push(format!("{piece:?}"))
        })
        .unwrap();
        found
    }

    #[test]
    fn texts_are_what_is_nothing_else() {
        let body = r#"{"messages":[{"content":"a\nb"}],"k":[1.25,null],"signature":"abc"}"#;
        let want = [
            r#"Text("messages")"#,
            r#"Text("content")"#,
            r#"Text("a\nb")"#,
            r#"Text("k")"#,
            "Scalar(4)",
            "Scalar(4)",
            r#"Text("signature")"#,
            "Sealed(3)",
        ];
        assert_eq!(pieces(body), want);
    }

    #[test]
    fn files_are_known_by_what_is_said_of_them_or_by_how_they_begin() {
        let long = "A".repeat(MIN_FILE);
        let data = |start: &str| format!("{start}{long}");
        for (object, want) in [
            (
                format!(r#"{{"url":"data:image/tiff;base64,{long}"}}"#),
                Medium::Picture,
            ),
            (
                format!(r#"{{"mime_type":"audio/x","data":"{long}"}}"#),
                Medium::Sound,
            ),
            (
                format!(r#"{{"data":"{long}","format":"pcm16"}}"#),
                Medium::Sound,
            ),
            (
                format!(r#"{{"data":"{}"}}"#, data("iVBORw0KGgo")),
                Medium::Picture,
            ),
            (
                format!(r#"{{"data":"{}"}}"#, data("UklGRgAAAFdFRUJQ")),
                Medium::Picture,
            ),
            (
                format!(r#"{{"data":"{}"}}"#, data("UklGRgAAAFdBQVZF")),
                Medium::Sound,
            ),
            (
                format!(r#"{{"data":"{}"}}"#, data("AAAAGGZ0eX")),
                Medium::Sound,
            ),
            (
                format!(r#"{{"data":"{}"}}"#, data("JVBERi0")),
                Medium::Other,
            ),
            (
                format!(r#"{{"media_type":"application/pdf","data":"{long}"}}"#),
                Medium::Other,
            ),
        ] {
            let found = pieces(&object);
            let file = format!("File({want:?}, ");
            assert!(
                found.iter().any(|piece| piece.starts_with(&file)),
                "{found:?}"
            );
        }
        assert!(
            pieces(r#"{"image_url":"https://a.example/b"}"#).contains(&"Link(Picture)".to_owned())
        );
        assert!(pieces(r#"{"file_id":"f-1"}"#).contains(&"Link(Other)".to_owned()));
        // Short, or with a space in it: a text.
        assert!(pieces(r#"{"data":"iVBORw0KGgo"}"#).contains(&r#"Text("iVBORw0KGgo")"#.to_owned()));
        let text = format!("a {long}");
        assert!(pieces(&format!(r#"{{"data":"{text}"}}"#)).contains(&format!("Text({text:?})")));
    }
}
