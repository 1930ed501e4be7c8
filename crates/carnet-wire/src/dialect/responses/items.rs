//! Reading items, which requests and answers have in common.

use crate::dialect::media::source_of_url;
use crate::dialect::shape::{Read, array, member, object, optional, shape};
use crate::form::{
    Arguments, Citation, Content, Media, MediaKind, MediaSource, Part, Reasoning, Role, ToolResult,
    ToolUse,
};
use crate::json::{Text, Value};

/// Reads one item: who says it, and what.
pub(super) fn read_item(item: Value<'_>) -> Read<(Role, Vec<Part<'_>>)> {
    // A message may leave out what it is.
    let kind = match item.get("type") {
        Some(_) => member(object(item, "input[]")?, "type", "input[].type")?,
        None => Text::new("message"),
    };
    let one = |content| vec![Part::new(content)];
    Ok(match kind.token() {
        "message" => {
            let role = match member(object(item, "input[]")?, "role", "input[].role")?.token() {
                "user" => Role::User,
                "assistant" => Role::Assistant,
                "system" | "developer" => Role::System,
                _ => {
                    return shape(
                        "input[].role",
                        "`user`, `assistant`, `system` or `developer`",
                    );
                }
            };
            (role, message(item)?)
        }
        "function_call" => (Role::Assistant, one(Content::ToolUse(call(item)?))),
        "function_call_output" => (Role::User, one(Content::ToolResult(output(item)?))),
        "reasoning" => (Role::Assistant, one(Content::Reasoning(reasoning(item)))),
        // What a service has done on its own is part of what the model says; the rest belongs to the caller.
        other => {
            let own = matches!(other, "mcp_approval_request" | "mcp_list_tools");
            let role = if own || other.ends_with("_call") {
                Role::Assistant
            } else {
                Role::User
            };
            let json = item.raw();
            (role, one(Content::Unknown { kind, json }))
        }
    })
}

fn message(item: Value<'_>) -> Read<Vec<Part<'_>>> {
    match item.get("content") {
        Some(content) => read_content(content, "input[].content"),
        None => shape("input[].content", "a string or an array"),
    }
}

fn read_content<'b>(content: Value<'b>, place: &'static str) -> Read<Vec<Part<'b>>> {
    if let Some(text) = content.text() {
        return Ok(vec![Part::text(text)]);
    }
    array(content, place)?.elements().map(part).collect()
}

fn part(value: Value<'_>) -> Read<Part<'_>> {
    let kind = member(
        object(value, "input[].content[]")?,
        "type",
        "input[].content[].type",
    )?;
    Ok(Part::new(match kind.token() {
        "input_text" | "output_text" | "text" => Content::Text {
            text: member(value, "text", "input[].content[].text")?,
            citations: value
                .get("annotations")
                .into_iter()
                .flat_map(Value::elements)
                .map(citation)
                .collect(),
        },
        "refusal" => Content::Refusal(member(value, "refusal", "input[].content[].refusal")?),
        "input_image" => Content::Media(image(value)?),
        "input_file" => Content::Media(file(value)?),
        _ => Content::Unknown {
            kind,
            json: value.raw(),
        },
    }))
}

fn image(value: Value<'_>) -> Read<Media<'_>> {
    let source = match optional(value, "image_url") {
        Some(url) => source_of_url(url),
        None => MediaSource::Id(member(value, "file_id", "input[].content[].image_url")?),
    };
    Ok(Media {
        kind: MediaKind::Image,
        source,
        name: None,
        detail: optional(value, "detail"),
    })
}

fn file(value: Value<'_>) -> Read<Media<'_>> {
    let source = match (optional(value, "file_data"), optional(value, "file_url")) {
        (Some(data), _) => source_of_url(data),
        (None, Some(url)) => MediaSource::Url(url),
        (None, None) => MediaSource::Id(member(value, "file_id", "input[].content[].file_id")?),
    };
    Ok(Media {
        kind: MediaKind::File,
        source,
        name: optional(value, "filename"),
        detail: optional(value, "detail"),
    })
}

pub(super) fn citation(value: Value<'_>) -> Citation<'_> {
    let at = |key| value.get(key).and_then(Value::count);
    Citation {
        url: optional(value, "url"),
        title: optional(value, "title"),
        cited: None,
        span: at("start_index").zip(at("end_index")),
        json: value.raw(),
    }
}

fn call(item: Value<'_>) -> Read<ToolUse<'_>> {
    Ok(ToolUse {
        id: optional(item, "call_id").unwrap_or_default(),
        name: member(item, "name", "input[].name")?,
        arguments: optional(item, "arguments").map_or(Arguments::Json("{}"), Arguments::Quoted),
    })
}

fn output(item: Value<'_>) -> Read<ToolResult<'_>> {
    let parts = match item.get("output") {
        Some(output) if !output.is_null() => read_content(output, "input[].output")?,
        _ => Vec::new(),
    };
    Ok(ToolResult {
        id: optional(item, "call_id").unwrap_or_default(),
        parts,
        is_error: None,
    })
}

/// Reads reasoning. What encrypted content stands for decides what it is: the proof of the text beside it, even of
/// an empty one, or all that there is.
pub(super) fn reasoning(item: Value<'_>) -> Reasoning<'_> {
    let texts = |key| {
        let parts = item.get(key).into_iter().flat_map(Value::elements);
        let texts: Vec<Text<'_>> = parts.filter_map(|part| optional(part, "text")).collect();
        texts
    };
    let mut texts = Some(texts("content"))
        .filter(|texts| !texts.is_empty())
        .unwrap_or_else(|| texts("summary"));
    let encrypted = optional(item, "encrypted_content").filter(|encrypted| !encrypted.is_empty());
    let shown = !texts.is_empty();
    let text = if texts.len() == 1 {
        texts.remove(0)
    } else {
        joined(&texts)
    };
    let (signature, encrypted) = if shown {
        (encrypted, None)
    } else {
        (None, encrypted)
    };
    Reasoning {
        text,
        signature,
        encrypted,
        id: optional(item, "id"),
        format: None,
    }
}

/// Paragraphs of a summary as one text.
fn joined<'b>(texts: &[Text<'b>]) -> Text<'b> {
    let mut whole = Text::default();
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            whole.push(&Text::new("\n\n"));
        }
        whole.push(text);
    }
    whole
}
