//! Writing parts of messages, which requests and answers have in common.

use crate::dialect::ReasoningName;
use crate::dialect::media::{name_of_unnamed, write_data_url};
use crate::dialect::settings::unsupported;
use crate::dialect::{Dialect, shape::Read};
use crate::form::{Content, LossCode, Losses, Media, MediaKind, MediaSource, Part, Reasoning};
use crate::json::{Array, Object, Text};

/// Who reads the message, as far as that changes how it is written.
pub(super) struct Reader {
    pub(super) reasoning: ReasoningName,
    pub(super) details: bool,
}

/// The texts of an answer as one string, as clients put a stream together. Null where there are none.
pub(super) fn write_texts(parts: &[Part<'_>], message: &mut Object<'_>) {
    let mut texts = parts.iter().filter_map(|part| match &part.content {
        Content::Text { text, .. } => Some(text),
        _ => None,
    });
    match texts.next() {
        Some(first) => write_joined("content", std::iter::once(first).chain(texts), message),
        None => message.null("content"),
    }
}

fn write_joined<'t>(
    key: &str,
    texts: impl Iterator<Item = &'t Text<'t>>,
    message: &mut Object<'_>,
) {
    let out = message.key(key);
    out.push(b'"');
    for text in texts {
        out.extend_from_slice(text.token().as_bytes());
    }
    out.push(b'"');
}

/// Names the loss when parts do not stand in the one order that a message has: reasoning, texts, calls.
pub(crate) fn lose_order(parts: &[Part<'_>], losses: &mut Losses) {
    let ranks = parts.iter().filter_map(|part| match &part.content {
        Content::Reasoning(_) => Some(0),
        Content::Refusal(_) | Content::Text { .. } => Some(1),
        Content::ToolUse(_) => Some(2),
        _ => None,
    });
    if !ranks.is_sorted() {
        losses.add(LossCode::PartOrder);
    }
}

/// The refusals as one string, if there are any.
pub(super) fn write_refusal(parts: &[Part<'_>], message: &mut Object<'_>) {
    let mut refusals = parts.iter().filter_map(|part| match &part.content {
        Content::Refusal(text) => Some(text),
        _ => None,
    });
    if let Some(first) = refusals.next() {
        write_joined("refusal", std::iter::once(first).chain(refusals), message);
    }
}

/// Writes reasoning under the name that the reader knows, and its proofs where it knows them.
pub(super) fn write_reasoning(
    parts: &[Part<'_>],
    reader: &Reader,
    message: &mut Object<'_>,
    losses: &mut Losses,
) {
    let all: Vec<&Reasoning<'_>> = parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::Reasoning(reasoning) => Some(reasoning),
            _ => None,
        })
        .collect();
    let proven = all
        .iter()
        .any(|one| one.signature.is_some() || one.encrypted.is_some());
    if all.iter().any(|one| !one.text.is_empty()) {
        let key = match reader.reasoning {
            ReasoningName::Absent => None,
            ReasoningName::Reasoning => Some("reasoning"),
            ReasoningName::ReasoningContent => Some("reasoning_content"),
        };
        match key {
            Some(key) => {
                let out = message.key(key);
                out.push(b'"');
                for one in &all {
                    out.extend_from_slice(one.text.token().as_bytes());
                }
                out.push(b'"');
            }
            None if !(proven && reader.details) => losses.add(LossCode::Reasoning),
            None => {}
        }
    }
    if !proven {
        return;
    }
    if !reader.details {
        losses.add(LossCode::ReasoningSignature);
        return;
    }
    let mut details = message.array("reasoning_details");
    let mut index = 0;
    for one in all {
        write_details(one, &mut index, &mut details);
    }
}

/// Writes one reasoning as a detail for what can be read of it and another for what cannot.
pub(super) fn write_details(one: &Reasoning<'_>, index: &mut u64, details: &mut Array<'_>) {
    if !one.text.is_empty() || one.signature.is_some() {
        let mut detail = details.object();
        detail.str("type", "reasoning.text");
        detail.text("text", &one.text);
        detail.text_if("signature", one.signature.as_ref());
        finish_detail(one, index, &mut detail);
    }
    if let Some(data) = &one.encrypted {
        let mut detail = details.object();
        detail.str("type", "reasoning.encrypted");
        detail.text("data", data);
        finish_detail(one, index, &mut detail);
    }
}

fn finish_detail(one: &Reasoning<'_>, index: &mut u64, detail: &mut Object<'_>) {
    detail.text_if("id", one.id.as_ref());
    detail.text_if("format", one.format.as_ref());
    detail.count("index", *index);
    *index += 1;
}

/// Writes an image, a file or a recording as a part.
pub(super) fn write_media(media: &Media<'_>, origin: Dialect, part: &mut Object<'_>) -> Read<()> {
    match media.kind {
        MediaKind::Image => {
            part.str("type", "image_url");
            let mut image = part.object("image_url");
            match &media.source {
                MediaSource::Url(url) => image.text("url", url),
                MediaSource::Base64 { media_type, data } => {
                    write_data_url("url", media_type, data, &mut image)
                }
                MediaSource::Id(_) | MediaSource::Plain(_) => {
                    return unsupported("an image by the id of a file", Dialect::Chat);
                }
            }
            image.text_if("detail", media.detail.as_ref());
        }
        MediaKind::File => {
            part.str("type", "file");
            let mut file = part.object("file");
            match &media.source {
                MediaSource::Base64 { media_type, data } => {
                    write_data_url("file_data", media_type, data, &mut file)
                }
                MediaSource::Id(id) if origin == Dialect::Chat => file.text("file_id", id),
                MediaSource::Url(data) if origin == Dialect::Chat => file.text("file_data", data),
                MediaSource::Id(_) => return unsupported("a file by its id", Dialect::Chat),
                MediaSource::Url(_) => return unsupported("a file by its address", Dialect::Chat),
                MediaSource::Plain(_) => {
                    return unsupported("a document of plain text", Dialect::Chat);
                }
            }
            match (&media.name, &media.source) {
                (Some(name), _) => file.text("filename", name),
                (None, MediaSource::Base64 { media_type, .. }) => {
                    file.str("filename", &name_of_unnamed(media_type));
                }
                (None, _) => {}
            }
        }
        MediaKind::Audio => {
            part.str("type", "input_audio");
            let mut audio = part.object("input_audio");
            match &media.source {
                MediaSource::Base64 { media_type, data } => {
                    audio.text("format", media_type);
                    audio.text("data", data);
                }
                _ => return unsupported("sound by its address", Dialect::Chat),
            }
        }
    }
    Ok(())
}

/// Writes one call.
pub(crate) fn write_tool_call(
    id: &Text<'_>,
    call: &crate::form::ToolUse<'_>,
    calls: &mut Array<'_>,
) {
    let mut written = calls.object();
    written.text("id", id);
    written.str("type", "function");
    let mut function = written.object("function");
    function.text("name", &call.name);
    let out = function.key("arguments");
    out.push(b'"');
    call.arguments.write_quoted(out);
    out.push(b'"');
}
