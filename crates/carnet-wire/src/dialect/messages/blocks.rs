//! Reading content blocks, which requests and answers have in common.

use crate::dialect::shape::{Read, array, member, object, optional, shape};
use crate::form::{
    Arguments, Citation, Content, Media, MediaKind, MediaSource, Part, Reasoning, ToolResult,
    ToolUse,
};
use crate::json::{Kind, Text, Value};

/// Reads content: a string, or a list of blocks.
pub(super) fn read_content<'b>(value: Value<'b>, place: &'static str) -> Read<Vec<Part<'b>>> {
    if let Some(text) = value.text() {
        return Ok(vec![Part::text(text)]);
    }
    array(value, place)?.elements().map(read_block).collect()
}

pub(super) fn read_block(value: Value<'_>) -> Read<Part<'_>> {
    let kind = member(object(value, "content[]")?, "type", "content[].type")?;
    let content = match kind.token() {
        "text" => Content::Text {
            text: member(value, "text", "content[].text")?,
            citations: citations(value),
        },
        "image" => media(value, kind, MediaKind::Image)?,
        "document" => media(value, kind, MediaKind::File)?,
        "tool_use" => Content::ToolUse(tool_use(value)?),
        "tool_result" => Content::ToolResult(tool_result(value)?),
        "thinking" => Content::Reasoning(Reasoning {
            text: member(value, "thinking", "content[].thinking")?,
            signature: optional(value, "signature").filter(|signature| !signature.is_empty()),
            ..Reasoning::default()
        }),
        "redacted_thinking" => Content::Reasoning(Reasoning {
            encrypted: Some(member(value, "data", "content[].data")?),
            ..Reasoning::default()
        }),
        _ => unknown(kind, value),
    };
    let cache = value.get("cache_control").filter(|mark| !mark.is_null());
    Ok(Part {
        content,
        cache: cache.map(Value::raw),
    })
}

fn unknown<'b>(kind: Text<'b>, value: Value<'b>) -> Content<'b> {
    Content::Unknown {
        kind,
        json: value.raw(),
    }
}

fn citations(block: Value<'_>) -> Vec<Citation<'_>> {
    let all = block.get("citations").into_iter().flat_map(Value::elements);
    all.map(citation).collect()
}

pub(super) fn citation(value: Value<'_>) -> Citation<'_> {
    Citation {
        url: optional(value, "url"),
        title: optional(value, "title").or_else(|| optional(value, "document_title")),
        cited: optional(value, "cited_text"),
        span: None,
        json: value.raw(),
    }
}

fn media<'b>(block: Value<'b>, kind: Text<'b>, media: MediaKind) -> Read<Content<'b>> {
    let place = "content[].source";
    let source = block
        .get("source")
        .map_or_else(|| shape(place, "an object"), |source| object(source, place))?;
    let data = || member(source, "data", "content[].source.data");
    let source = match member(source, "type", "content[].source.type")?.token() {
        "base64" => MediaSource::Base64 {
            media_type: member(source, "media_type", "content[].source.media_type")?,
            data: data()?,
        },
        "text" => MediaSource::Plain(data()?),
        "url" => MediaSource::Url(member(source, "url", "content[].source.url")?),
        "file" => MediaSource::Id(member(source, "file_id", "content[].source.file_id")?),
        _ => return Ok(unknown(kind, block)),
    };
    // What stands beside a document changes how it is read, so such a block stays whole.
    let beside = ["context", "citations"]
        .into_iter()
        .filter_map(|key| block.get(key));
    if beside.into_iter().any(|value| !value.is_null()) {
        return Ok(unknown(kind, block));
    }
    Ok(Content::Media(Media {
        kind: media,
        source,
        name: optional(block, "title"),
        detail: None,
    }))
}

fn tool_use(block: Value<'_>) -> Read<ToolUse<'_>> {
    let input = block.get("input").filter(|input| !input.is_null());
    Ok(ToolUse {
        id: optional(block, "id").unwrap_or_default(),
        name: member(block, "name", "content[].name")?,
        arguments: match input {
            Some(input) => Arguments::Json(object(input, "content[].input")?.raw()),
            None => Arguments::Json("{}"),
        },
    })
}

fn tool_result(block: Value<'_>) -> Read<ToolResult<'_>> {
    let parts = match block
        .get("content")
        .filter(|content| content.kind() != Kind::Null)
    {
        Some(content) => read_content(content, "content[].content")?,
        None => Vec::new(),
    };
    Ok(ToolResult {
        id: optional(block, "tool_use_id").unwrap_or_default(),
        parts,
        is_error: block.get("is_error").and_then(Value::bool),
    })
}
