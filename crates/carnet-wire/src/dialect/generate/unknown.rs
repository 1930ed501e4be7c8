//! Members that only this dialect knows, and what it means to leave them out.

use crate::dialect::known::Known;
use crate::form::{LossCode, Losses, Unknown};

use super::ask_read::CONFIG;
use super::spelling::is;

const PARTS: &[&str] = &[
    "functionCall",
    "functionResponse",
    "function_call",
    "function_response",
    "inlineData",
    "inline_data",
    "text",
    "thought",
    "thoughtSignature",
    "thought_signature",
];

const FUNCTIONS: &[&str] = &[
    "description",
    "name",
    "parameters",
    "parametersJsonSchema",
    "parameters_json_schema",
];

const BLOB: &[&str] = &[
    "data",
    "displayName",
    "display_name",
    "mimeType",
    "mime_type",
];

/// What is read of a request below its top, in both spellings.
pub(crate) const ASKED: &[Known] = &[
    Known {
        path: &["contents", "[]"],
        members: &["parts", "role"],
    },
    Known {
        path: &["contents", "[]", "parts", "[]"],
        members: PARTS,
    },
    Known {
        path: &["contents", "[]", "parts", "[]", "functionCall"],
        members: &["args", "id", "name"],
    },
    Known {
        path: &["contents", "[]", "parts", "[]", "function_call"],
        members: &["args", "id", "name"],
    },
    Known {
        path: &["contents", "[]", "parts", "[]", "functionResponse"],
        members: &["id", "name", "parts", "response"],
    },
    Known {
        path: &["contents", "[]", "parts", "[]", "function_response"],
        members: &["id", "name", "parts", "response"],
    },
    Known {
        path: &["contents", "[]", "parts", "[]", "inlineData"],
        members: BLOB,
    },
    Known {
        path: &["contents", "[]", "parts", "[]", "inline_data"],
        members: BLOB,
    },
    Known {
        path: &["systemInstruction"],
        members: &["parts", "role"],
    },
    Known {
        path: &["system_instruction"],
        members: &["parts", "role"],
    },
    Known {
        path: &["systemInstruction", "parts", "[]"],
        members: PARTS,
    },
    Known {
        path: &["system_instruction", "parts", "[]"],
        members: PARTS,
    },
    Known {
        path: &["tools", "[]", "functionDeclarations", "[]"],
        members: FUNCTIONS,
    },
    Known {
        path: &["tools", "[]", "function_declarations", "[]"],
        members: FUNCTIONS,
    },
];

/// Names the loss of a member; or says what the answer depends on, if it cannot be left out.
pub(crate) fn lose(unknown: &Unknown<'_>, losses: &mut Losses) -> Option<&'static str> {
    let key = unknown.key.plain();
    let Some(setting) = key.strip_prefix(CONFIG) else {
        return lose_top(&key, unknown.json, losses);
    };
    let named = |name| is(setting, name);
    match unknown.json {
        "1" if named("candidateCount") => {}
        "false" if named("responseLogprobs") || named("enableEnhancedCivicAnswers") => {}
        _ if named("candidateCount") => return Some("several answers at once"),
        json if named("responseModalities") => {
            // The words of the list are all that can stand in it.
            let mut words = json.split(|c: char| !c.is_ascii_alphanumeric());
            if words.any(|word| !word.is_empty() && !word.eq_ignore_ascii_case("text")) {
                return Some("an answer that is not text");
            }
        }
        _ if named("responseMimeType") => return Some("this shape of the answer"),
        _ if named("responseLogprobs") || named("logprobs") => losses.add(LossCode::Logprobs),
        _ if named("mediaResolution") => losses.add(LossCode::ImageDetail),
        _ => losses.add_at(LossCode::UnknownMember, &key),
    }
    None
}

fn lose_top(key: &str, json: &str, losses: &mut Losses) -> Option<&'static str> {
    let named = |name| is(key, name);
    match json {
        "[]" | "{}" | "\"\"" => {}
        _ if named("cachedContent") => return Some("a conversation that the service keeps"),
        _ if named("labels") => losses.add_at(LossCode::Metadata, key),
        _ => losses.add_at(LossCode::UnknownMember, key),
    }
    None
}
