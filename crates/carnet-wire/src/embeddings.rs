//! Embeddings: texts in and vectors out, asked for as OpenAI's API does it, of services that have shapes of their own.
//!
//! Shapes: <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html> (one text,
//! `inputText`), <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html> (`texts`),
//! <https://docs.cohere.com/reference/embed>, <https://ai.google.dev/api/embeddings>.
//!
//! Vectors come in the form in which they were asked for. In base64 each number is a 32-bit float, its low byte first: the
//! stock Node client asks for that unless it is told otherwise, and would make noise of a list of numbers.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::dialect::{ClientDialect, Dialect};
use crate::form::{LossCode, Losses};
use crate::json::{self, Array, Document, Kind, Object, ScanError, Text, Value, Watch};
use crate::limits::{MAX_DEPTH, MAX_TEXTS};
use crate::translate;

#[cfg(test)]
mod tests;

/// A shape in which services take texts and give vectors.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Embedder {
    /// Bedrock's `InvokeModel` with one `inputText`.
    BedrockText,
    /// Bedrock's `InvokeModel` with `texts`.
    BedrockTexts,
    /// Cohere's `embed`, version 2.
    Cohere,
    /// `batchEmbedContents`.
    EmbedContents,
}

/// Why texts cannot be asked for, or an answer has no vectors.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// The body is not JSON, or nested too deep.
    #[error("{0}")]
    Json(#[from] ScanError),
    /// A member is not of its shape.
    #[error("`{place}` must be {expected}")]
    Shape {
        /// The member.
        place: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The service takes one text.
    #[error(
        "the upstream takes one text in a request, and `input` has {0}; send a request for each"
    )]
    OneText(usize),
    /// More texts or numbers than anybody sends.
    #[error("more than {max} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// There are tokens where the service reads text.
    #[error("`input` holds tokens, which the upstream does not read; send texts")]
    Tokens,
    /// Not one vector for each text.
    #[error("there are {vectors} vectors for {texts} texts")]
    Count {
        /// How many came.
        vectors: usize,
        /// How many were asked for.
        texts: usize,
    },
}

/// A request in the shape of its service, and what its answer has to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EmbedAsk {
    /// The body for the service.
    pub body: Vec<u8>,
    /// What did not come over.
    pub losses: Losses,
    /// How many vectors are wanted.
    pub texts: usize,
    /// Whether they are wanted in base64.
    pub base64: bool,
}

/// What is read of a request.
const KNOWN: [&str; 6] = [
    "dimensions",
    "encoding_format",
    "input",
    "input_type",
    "model",
    "truncate",
];

/// The place of the count of tokens among what is watched of an answer.
const COUNTED: usize = 0;

/// What texts are for where the caller does not say it: the API has no word for it, and two of the shapes demand one.
const FOR_DOCUMENTS: &str = "search_document";

impl Embedder {
    /// Every one.
    pub const ALL: [Self; 4] = [
        Self::BedrockText,
        Self::BedrockTexts,
        Self::Cohere,
        Self::EmbedContents,
    ];

    /// The dialect in which its service words errors.
    fn errors(self) -> Dialect {
        match self {
            Self::BedrockText | Self::BedrockTexts => Dialect::Converse,
            Self::Cohere => Dialect::Cohere,
            Self::EmbedContents => Dialect::GenerateContent,
        }
    }

    /// A request of the API in this shape, for a model of the service's own naming.
    ///
    /// # Errors
    /// When the body is no request of the API, or asks for what the service cannot do.
    pub fn ask(self, body: &[u8], model: &str) -> Result<EmbedAsk, EmbedError> {
        let document = Document::read(body, MAX_DEPTH)?;
        let root = document.root();
        let texts = texts(root)?;
        if self == Self::BedrockText && texts.len() != 1 {
            return Err(EmbedError::OneText(texts.len()));
        }
        let dimensions = match member(root, "dimensions") {
            None => None,
            Some(value) => Some(value.count().ok_or(shape("dimensions", "a whole number"))?),
        };
        let mut losses = Losses::default();
        for (key, value) in root.members() {
            if !value.is_null() && !KNOWN.contains(&&*key) {
                losses.add_at(LossCode::UnknownMember, &key);
            }
        }
        let purpose = text(root, "input_type")?;
        let truncate = text(root, "truncate")?;
        let mut out = Vec::with_capacity(body.len());
        self.write(
            &mut out,
            &Wanted {
                model,
                texts: &texts,
                dimensions,
                purpose: purpose.as_ref(),
                truncate: truncate.as_ref(),
            },
            &mut losses,
        );
        Ok(EmbedAsk {
            body: out,
            losses,
            texts: texts.len(),
            base64: wants_base64(root),
        })
    }

    fn write(self, out: &mut Vec<u8>, wanted: &Wanted<'_>, losses: &mut Losses) {
        let mut body = Object::open(out);
        match self {
            Self::BedrockText => {
                lose(losses, "input_type", wanted.purpose);
                lose(losses, "truncate", wanted.truncate);
                for text in wanted.texts {
                    body.text("inputText", text);
                }
                if let Some(dimensions) = wanted.dimensions {
                    body.count("dimensions", dimensions);
                }
            }
            Self::BedrockTexts | Self::Cohere => {
                if self == Self::Cohere {
                    body.str("model", wanted.model);
                }
                let mut texts = body.array("texts");
                for text in wanted.texts {
                    texts.text(text);
                }
                drop(texts);
                match wanted.purpose {
                    Some(purpose) => body.text("input_type", purpose),
                    None => body.str("input_type", FOR_DOCUMENTS),
                }
                body.text_if("truncate", wanted.truncate);
                if let Some(dimensions) = wanted.dimensions {
                    body.count("output_dimension", dimensions);
                }
                // One of the two gives floats alone unless it is asked, and its older models know no other word.
                if self == Self::Cohere {
                    body.raw("embedding_types", r#"["float"]"#);
                }
            }
            Self::EmbedContents => {
                lose(losses, "truncate", wanted.truncate);
                let mut requests = body.array("requests");
                for text in wanted.texts {
                    write_content(&mut requests, text, wanted);
                }
            }
        }
    }

    /// An answer with a status of success as the API gives it. `tokens` is what headers say of the texts, where the
    /// body does not.
    ///
    /// # Errors
    /// When the body does not have one vector for each text.
    pub fn answer(
        self,
        body: &[u8],
        asked: Asked<'_>,
        tokens: Option<u64>,
    ) -> Result<Vec<u8>, EmbedError> {
        // Nothing is kept of a number but the place of its list.
        let watch = Watch::new(self.answered()).map_err(|_| shape("embedding", "watched"))?;
        let scan = json::scan(body, &watch, MAX_DEPTH)?;
        let lists = scan.hits.iter().filter(|hit| hit.path != COUNTED);
        let vectors: Vec<&[u8]> = lists
            .filter(|hit| hit.kind == Kind::Array)
            .filter_map(|hit| body.get(hit.value.clone()))
            .collect();
        if vectors.len() != asked.texts {
            return Err(EmbedError::Count {
                vectors: vectors.len(),
                texts: asked.texts,
            });
        }
        let counted = scan
            .first(COUNTED)
            .and_then(|hit| body.get(hit.value.clone()));
        let counted: Option<u64> =
            counted.and_then(|count| std::str::from_utf8(count).ok()?.parse().ok());
        let mut out = Vec::with_capacity(body.len());
        let mut answer = Object::open(&mut out);
        answer.str("object", "list");
        let mut data = answer.array("data");
        for (index, vector) in vectors.into_iter().enumerate() {
            let mut one = data.object();
            one.str("object", "embedding");
            one.count("index", u64::try_from(index).unwrap_or(u64::MAX));
            if asked.base64 {
                one.str("embedding", &encoded(vector)?);
            } else {
                check_numbers(vector)?;
                let list = one.key("embedding");
                list.extend_from_slice(vector);
            }
        }
        drop(data);
        answer.str("model", asked.model);
        // Nobody is told that it was nothing, where nobody has said what it was.
        if let Some(tokens) = counted.or(tokens) {
            let mut usage = answer.object("usage");
            usage.count("prompt_tokens", tokens);
            usage.count("total_tokens", tokens);
        }
        drop(answer);
        Ok(out)
    }

    /// Where answers have the count of tokens, and where their vectors.
    fn answered(self) -> &'static [&'static str] {
        match self {
            Self::BedrockText => &["inputTextTokenCount", "embedding"],
            // Where several kinds of numbers were asked for, each has its own list.
            Self::BedrockTexts | Self::Cohere => &[
                "meta.billed_units.input_tokens",
                "embeddings[]",
                "embeddings.float[]",
            ],
            Self::EmbedContents => &["usageMetadata.promptTokenCount", "embeddings[].values"],
        }
    }

    /// The body of an error with a status of failure, as the API has it.
    #[must_use]
    pub fn failure(self, status: u16, body: &[u8]) -> Vec<u8> {
        translate::failure(self.errors(), ClientDialect::Chat, status, body).1
    }
}

/// What was asked for, for the answer.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The model, as the answer names it.
    pub model: &'a str,
    /// How many texts.
    pub texts: usize,
    /// Whether vectors are wanted in base64.
    pub base64: bool,
}

/// What a request wants.
struct Wanted<'b> {
    model: &'b str,
    texts: &'b [Text<'b>],
    dimensions: Option<u64>,
    purpose: Option<&'b Text<'b>>,
    truncate: Option<&'b Text<'b>>,
}

fn write_content(requests: &mut Array<'_>, text: &Text<'_>, wanted: &Wanted<'_>) {
    let mut request = requests.object();
    request.str("model", &format!("models/{}", wanted.model));
    let mut content = request.object("content");
    content.array("parts").object().text("text", text);
    drop(content);
    if let Some(purpose) = wanted.purpose {
        // The same words, which are written large there.
        let task = match purpose.token() {
            "search_document" => "RETRIEVAL_DOCUMENT",
            "search_query" => "RETRIEVAL_QUERY",
            "classification" => "CLASSIFICATION",
            "clustering" => "CLUSTERING",
            other => other,
        };
        request.raw("taskType", &format!("\"{task}\""));
    }
    if let Some(dimensions) = wanted.dimensions {
        request.count("outputDimensionality", dimensions);
    }
}

fn lose(losses: &mut Losses, name: &str, value: Option<&Text<'_>>) {
    if value.is_some() {
        losses.add_at(LossCode::UnknownMember, name);
    }
}

fn shape(place: &'static str, expected: &'static str) -> EmbedError {
    EmbedError::Shape { place, expected }
}

fn member<'b>(root: Value<'b>, key: &str) -> Option<Value<'b>> {
    root.get(key).filter(|value| !value.is_null())
}

fn text<'b>(root: Value<'b>, key: &'static str) -> Result<Option<Text<'b>>, EmbedError> {
    match member(root, key) {
        None => Ok(None),
        Some(value) => value.text().map(Some).ok_or(shape(key, "a text")),
    }
}

fn texts(root: Value<'_>) -> Result<Vec<Text<'_>>, EmbedError> {
    let wrong = || shape("input", "a text or a list of texts");
    let input = root.get("input").ok_or_else(wrong)?;
    if let Some(text) = input.text() {
        return Ok(vec![text]);
    }
    let mut texts = Vec::new();
    for element in input.elements() {
        if texts.len() == MAX_TEXTS {
            return Err(EmbedError::TooMany {
                what: "texts in `input`",
                max: MAX_TEXTS,
            });
        }
        match element.kind() {
            Kind::Number | Kind::Array => return Err(EmbedError::Tokens),
            _ => texts.push(element.text().ok_or_else(wrong)?),
        }
    }
    if texts.is_empty() {
        Err(wrong())
    } else {
        Ok(texts)
    }
}

fn wants_base64(root: Value<'_>) -> bool {
    let format = root.get("encoding_format").and_then(Value::text);
    format.is_some_and(|format| format.token() == "base64")
}

/// The numbers of a list whose JSON is known to be right.
fn numbers(vector: &[u8]) -> impl Iterator<Item = Result<f32, EmbedError>> {
    let inside = vector
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"));
    let inside = inside.unwrap_or_default().trim_ascii();
    let tokens = inside
        .split(|byte| *byte == b',')
        .take(if inside.is_empty() { 0 } else { usize::MAX });
    tokens.map(|token| {
        let number = std::str::from_utf8(token.trim_ascii()).ok();
        let number = number.and_then(|number| number.parse().ok());
        number
            .filter(|number: &f32| number.is_finite())
            .ok_or(shape("embedding", "a list of numbers"))
    })
}

fn check_numbers(vector: &[u8]) -> Result<(), EmbedError> {
    numbers(vector).try_for_each(|number| number.map(drop))
}

fn encoded(vector: &[u8]) -> Result<String, EmbedError> {
    let mut bytes = Vec::with_capacity(vector.len() / 2);
    for number in numbers(vector) {
        bytes.extend_from_slice(&number?.to_le_bytes());
    }
    Ok(BASE64_STANDARD.encode(bytes))
}
