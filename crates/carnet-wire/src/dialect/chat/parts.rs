//! Parts of messages, which requests and answers have in common.

use crate::dialect::media::source_of_url;
use crate::dialect::shape::{Read, array, member, object, optional, shape, text};
use crate::form::{
    Arguments, Citation, Content, Media, MediaKind, MediaSource, Part, Reasoning, ToolUse,
};
use crate::json::{Text, Value};

/// Reads content: a string, or a list of parts.
pub(super) fn read_content<'b>(value: Value<'b>, parts: &mut Vec<Part<'b>>) -> Read<()> {
    if let Some(text) = value.text() {
        parts.push(Part::text(text));
        return Ok(());
    }
    for part in array(value, "messages[].content")?.elements() {
        read_part(part, parts)?;
    }
    Ok(())
}

fn read_part<'b>(value: Value<'b>, parts: &mut Vec<Part<'b>>) -> Read<()> {
    // Some services take bare strings in the list.
    if let Some(text) = value.text() {
        parts.push(Part::text(text));
        return Ok(());
    }
    let kind = member(
        object(value, "messages[].content[]")?,
        "type",
        "messages[].content[].type",
    )?;
    let content = match kind.token() {
        "text" => Content::Text {
            text: member(value, "text", "messages[].content[].text")?,
            citations: Vec::new(),
        },
        "refusal" => Content::Refusal(member(value, "refusal", "messages[].content[].refusal")?),
        "image_url" => Content::Media(image(value)?),
        "input_audio" => Content::Media(audio(value)?),
        "file" => Content::Media(file(value)?),
        "thinking" => {
            parts.extend(thinking(value));
            return Ok(());
        }
        _ => Content::Unknown {
            kind,
            json: value.raw(),
        },
    };
    let cache = value.get("cache_control").filter(|mark| !mark.is_null());
    parts.push(Part {
        content,
        cache: cache.map(Value::raw),
    });
    Ok(())
}

/// Reasoning among the content: a text, or a list of texts.
fn thinking(value: Value<'_>) -> impl Iterator<Item = Part<'_>> {
    let inside = value.get("thinking");
    let whole = inside.and_then(Value::text);
    let listed = inside.into_iter().flat_map(Value::elements);
    let texts = whole
        .into_iter()
        .chain(listed.filter_map(|part| optional(part, "text")));
    texts.map(|text| {
        Part::new(Content::Reasoning(Reasoning {
            text,
            ..Reasoning::default()
        }))
    })
}

fn image(value: Value<'_>) -> Read<Media<'_>> {
    let place = "messages[].content[].image_url";
    let image = value
        .get("image_url")
        .map_or_else(|| shape(place, "an object"), Ok)?;
    // The bare address is an old form that many services still take.
    let url = match image.text() {
        Some(url) => url,
        None => member(
            object(image, place)?,
            "url",
            "messages[].content[].image_url.url",
        )?,
    };
    Ok(Media {
        kind: MediaKind::Image,
        source: source_of_url(url),
        name: None,
        detail: optional(image, "detail"),
    })
}

fn audio(value: Value<'_>) -> Read<Media<'_>> {
    let place = "messages[].content[].input_audio";
    let audio = value
        .get("input_audio")
        .map_or_else(|| shape(place, "an object"), |audio| object(audio, place))?;
    Ok(Media {
        kind: MediaKind::Audio,
        source: MediaSource::Base64 {
            media_type: member(audio, "format", "messages[].content[].input_audio.format")?,
            data: member(audio, "data", "messages[].content[].input_audio.data")?,
        },
        name: None,
        detail: None,
    })
}

fn file(value: Value<'_>) -> Read<Media<'_>> {
    let place = "messages[].content[].file";
    let file = value
        .get("file")
        .map_or_else(|| shape(place, "an object"), |file| object(file, place))?;
    let source = if let Some(data) = optional(file, "file_data") {
        source_of_url(data)
    } else {
        MediaSource::Id(member(
            file,
            "file_id",
            "messages[].content[].file.file_id",
        )?)
    };
    Ok(Media {
        kind: MediaKind::File,
        source,
        name: optional(file, "filename"),
        detail: None,
    })
}

/// Reads the calls of a message.
pub(super) fn read_tool_calls<'b>(value: Value<'b>, parts: &mut Vec<Part<'b>>) -> Read<()> {
    for call in array(value, "tool_calls")?.elements() {
        let id = optional(object(call, "tool_calls[]")?, "id").unwrap_or_default();
        let content = match call.get("function").filter(|function| !function.is_null()) {
            Some(function) => Content::ToolUse(tool_use(id, function)?),
            None => Content::Unknown {
                kind: optional(call, "type").unwrap_or(Text::new("tool_call")),
                json: call.raw(),
            },
        };
        let cache = call.get("cache_control").filter(|mark| !mark.is_null());
        let cache = cache.map(Value::raw);
        parts.push(Part { content, cache });
    }
    Ok(())
}

/// Reads a function's name and arguments. Services leave arguments out, or write the object itself.
pub(crate) fn tool_use<'b>(id: Text<'b>, function: Value<'b>) -> Read<ToolUse<'b>> {
    let place = "tool_calls[].function.arguments";
    let arguments = match function.get("arguments") {
        Some(value) if value.text().is_some() => Arguments::Quoted(text(value, place)?),
        Some(value) if !value.is_null() => Arguments::Json(object(value, place)?.raw()),
        _ => Arguments::Json("{}"),
    };
    Ok(ToolUse {
        id,
        name: member(function, "name", "tool_calls[].function.name")?,
        arguments,
    })
}

/// Reads the reasoning of a message, under whichever of its names. Details repeat the plain text with its proof; where
/// they hold nothing but proofs, the text belongs to the first of them.
pub(super) fn read_reasoning<'b>(message: Value<'b>, parts: &mut Vec<Part<'b>>) {
    let details = message
        .get("reasoning_details")
        .into_iter()
        .flat_map(Value::elements);
    let mut all: Vec<Reasoning<'b>> = details.filter_map(reasoning_detail).collect();
    if all.iter().all(|one| one.text.is_empty()) {
        let plain = ["reasoning_content", "reasoning"]
            .into_iter()
            .filter_map(|key| optional(message, key))
            .find(|text| !text.is_empty());
        match (plain, all.iter_mut().find(|one| one.signature.is_some())) {
            (Some(text), Some(signed)) => signed.text = text,
            (Some(text), None) => all.insert(
                0,
                Reasoning {
                    text,
                    ..Reasoning::default()
                },
            ),
            (None, _) => {}
        }
    }
    parts.extend(all.into_iter().map(Content::Reasoning).map(Part::new));
}

pub(super) fn reasoning_detail(detail: Value<'_>) -> Option<Reasoning<'_>> {
    let reasoning = Reasoning {
        text: optional(detail, "text")
            .or_else(|| optional(detail, "summary"))
            .unwrap_or_default(),
        signature: optional(detail, "signature").filter(|signature| !signature.is_empty()),
        encrypted: optional(detail, "data"),
        id: optional(detail, "id"),
        format: optional(detail, "format"),
    };
    let empty =
        reasoning.text.is_empty() && reasoning.signature.is_none() && reasoning.encrypted.is_none();
    (!empty).then_some(reasoning)
}

/// Reads what a message's text rests on.
pub(super) fn read_annotations<'b>(message: Value<'b>) -> Vec<Citation<'b>> {
    let annotations = message
        .get("annotations")
        .into_iter()
        .flat_map(Value::elements);
    annotations.map(annotation).collect()
}

pub(super) fn annotation(value: Value<'_>) -> Citation<'_> {
    let inside = value.get("url_citation").unwrap_or(value);
    let at = |key| inside.get(key).and_then(Value::count);
    Citation {
        url: optional(inside, "url"),
        title: optional(inside, "title"),
        cited: None,
        span: at("start_index").zip(at("end_index")),
        json: value.raw(),
    }
}
