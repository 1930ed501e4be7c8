//! Reading the blocks of a conversation.

use crate::dialect::proof;
use crate::dialect::shape::{Read, array, member, object, optional, shape, text};
use crate::form::{
    Arguments, Content, Media, MediaKind, MediaSource, Part, Reasoning, ToolResult, ToolUse,
};
use crate::json::{Text, Value};

/// The mark of what to cache, as the messages dialect words it, which the form has it in.
const MARK: &str = r#"{"type":"ephemeral"}"#;
const MARK_FOR_AN_HOUR: &str = r#"{"type":"ephemeral","ttl":"1h"}"#;

/// Reads a list of blocks.
pub(super) fn read_blocks<'b>(value: Value<'b>, place: &'static str) -> Read<Vec<Part<'b>>> {
    let mut parts: Vec<Part<'b>> = Vec::new();
    for block in array(value, place)?.elements() {
        let Some((key, inside)) = only_member(object(block, place)?) else {
            return shape(place, "a list of blocks with one member each");
        };
        if key == "cachePoint" {
            match parts.last_mut() {
                Some(marked) => marked.cache = Some(mark(inside)),
                None => return shape("cachePoint", "behind the block that it marks"),
            }
            continue;
        }
        parts.push(Part::new(read_block(&key, inside, block)?));
    }
    Ok(parts)
}

/// The one member of a block: what it is, and what is in it.
pub(super) fn only_member(block: Value<'_>) -> Option<(std::borrow::Cow<'_, str>, Value<'_>)> {
    let mut members = block.members().filter(|(_, value)| !value.is_null());
    members.next().filter(|_| members.next().is_none())
}

/// The mark that a block for caching sets.
pub(super) fn mark(point: Value<'_>) -> &'static str {
    match optional(point, "ttl").as_ref().map(Text::token) {
        Some("1h") => MARK_FOR_AN_HOUR,
        _ => MARK,
    }
}

fn read_block<'b>(key: &str, value: Value<'b>, block: Value<'b>) -> Read<Content<'b>> {
    Ok(match key {
        "text" => Content::Text {
            text: text(value, "content[].text")?,
            citations: Vec::new(),
        },
        "image" => media(MediaKind::Image, key, value, block)?,
        "audio" => media(MediaKind::Audio, key, value, block)?,
        "document" => media(MediaKind::File, key, value, block)?,
        "reasoningContent" => Content::Reasoning(reasoning(value)?),
        "toolUse" => Content::ToolUse(tool_use(value)?),
        "toolResult" => Content::ToolResult(tool_result(value)?),
        _ => unknown(key, block),
    })
}

fn unknown<'b>(key: &str, block: Value<'b>) -> Content<'b> {
    Content::Unknown {
        kind: Text::new(key).into_owned(),
        json: block.raw(),
    }
}

fn media<'b>(kind: MediaKind, key: &str, value: Value<'b>, block: Value<'b>) -> Read<Content<'b>> {
    let Some(source) = value.get("source") else {
        return shape("content[].source", "an object");
    };
    // What stands beside a document changes how it is read, so such a block stays whole.
    let beside = ["context", "citations"].into_iter();
    if beside
        .filter_map(|key| value.get(key))
        .any(|value| !value.is_null())
    {
        return Ok(unknown(key, block));
    }
    let bytes = optional(source, "bytes");
    let source = match (bytes, optional(source, "text")) {
        (Some(data), _) => {
            let format = member(value, "format", "content[].format")?;
            let Some(media_type) = media_type(kind, &format) else {
                return Ok(unknown(key, block));
            };
            MediaSource::Base64 { media_type, data }
        }
        (None, Some(text)) => MediaSource::Plain(text),
        (None, None) => return Ok(unknown(key, block)),
    };
    Ok(Content::Media(Media {
        kind,
        source,
        name: optional(value, "name"),
        detail: None,
    }))
}

/// The type of media that a name of the dialect stands for.
fn media_type<'b>(kind: MediaKind, format: &Text<'b>) -> Option<Text<'b>> {
    let media_type = match (kind, format.token()) {
        // The bare format, as the form has it.
        (MediaKind::Audio, _) => return Some(format.clone()),
        (MediaKind::Image, "gif") => "image/gif",
        (MediaKind::Image, "jpeg") => "image/jpeg",
        (MediaKind::Image, "png") => "image/png",
        (MediaKind::Image, "webp") => "image/webp",
        (MediaKind::File, "csv") => "text/csv",
        (MediaKind::File, "doc") => "application/msword",
        (MediaKind::File, "docx") => {
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
        }
        (MediaKind::File, "html") => "text/html",
        (MediaKind::File, "md") => "text/markdown",
        (MediaKind::File, "pdf") => "application/pdf",
        (MediaKind::File, "txt") => "text/plain",
        (MediaKind::File, "xls") => "application/vnd.ms-excel",
        (MediaKind::File, "xlsx") => {
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        }
        _ => return None,
    };
    Some(Text::new(media_type))
}

fn reasoning(value: Value<'_>) -> Read<Reasoning<'_>> {
    let shown = value.get("reasoningText").filter(|shown| !shown.is_null());
    let Some(shown) = shown else {
        let data = member(value, "redactedContent", "reasoningContent.redactedContent")?;
        return Ok(Reasoning {
            encrypted: Some(proof::unwrap(data)),
            ..Reasoning::default()
        });
    };
    Ok(Reasoning {
        text: member(shown, "text", "reasoningContent.reasoningText.text")?,
        signature: optional(shown, "signature").filter(|signature| !signature.is_empty()),
        ..Reasoning::default()
    })
}

fn tool_use(call: Value<'_>) -> Read<ToolUse<'_>> {
    let input = call.get("input").filter(|input| !input.is_null());
    Ok(ToolUse {
        id: member(call, "toolUseId", "toolUse.toolUseId")?,
        name: member(call, "name", "toolUse.name")?,
        arguments: Arguments::Json(match input {
            Some(input) => object(input, "toolUse.input")?.raw(),
            None => "{}",
        }),
    })
}

fn tool_result(result: Value<'_>) -> Read<ToolResult<'_>> {
    let mut parts = Vec::new();
    let content = result.get("content").filter(|content| !content.is_null());
    for block in content
        .map(|content| array(content, "toolResult.content"))
        .transpose()?
        .into_iter()
        .flat_map(Value::elements)
    {
        let Some((key, value)) = only_member(block) else {
            return shape(
                "toolResult.content",
                "a list of blocks with one member each",
            );
        };
        parts.push(match &*key {
            // Other dialects know no result but texts and media.
            "json" => Part::text(Text::new(value.raw()).into_owned()),
            "image" | "document" | "text" => Part::new(read_block(&key, value, block)?),
            _ => Part::new(unknown(&key, block)),
        });
    }
    let status = optional(result, "status");
    Ok(ToolResult {
        id: member(result, "toolUseId", "toolResult.toolUseId")?,
        parts,
        is_error: match status.as_ref().map(Text::token) {
            Some("error") => Some(true),
            Some("success") => Some(false),
            _ => None,
        },
    })
}
