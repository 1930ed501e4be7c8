//! Writing a whole answer.

use crate::dialect::settings::unsupported;
use crate::dialect::shape::Read;
use crate::dialect::{Caller, Dialect};
use crate::form::{Answer, Citation, Content, LossCode, Losses, Part};
use crate::json::{Array, Object, Text};

use super::resource::{Head, Status, write_reasoning, write_resource};

/// Writes an answer for a client: an item for each part.
pub(crate) fn write_answer(
    answer: &Answer<'_>,
    caller: &Caller,
    out: &mut Vec<u8>,
    losses: &mut Losses,
) -> Read<()> {
    let named = (answer.id.as_ref(), answer.model.as_ref());
    let head = Head::of(caller, named, answer.created);
    let mut items = Vec::new();
    let mut count = 0;
    for part in &answer.parts {
        let mut item = Vec::new();
        if write_part(answer, part, &item_id(&head, count), &mut item, losses)? {
            if count > 0 {
                items.push(b',');
            }
            items.extend_from_slice(&item);
            count += 1;
        }
    }
    if answer.logprobs.is_some() {
        losses.add(LossCode::Logprobs);
    }
    if answer.stop_sequence.is_some() {
        losses.add_at(LossCode::FinishReason, "stop_sequence");
    }
    let status = Status::of_finish(&answer.finish, losses);
    let mut body = Object::open(out);
    write_resource(&head, &status, &items, answer.usage.as_ref(), &mut body);
    for unknown in &answer.unknown {
        if answer.origin == Dialect::Responses {
            body.raw(unknown.key.token(), unknown.json);
        } else {
            losses.add_at(LossCode::UnknownMember, &unknown.key.plain());
        }
    }
    Ok(())
}

/// An id that no other item of the answer has.
pub(super) fn item_id(head: &Head, index: u64) -> Text<'static> {
    let mut id = Text::new(&format!("item_{index}_")).into_owned();
    id.push(&head.id);
    id
}

/// Writes the item of a part; false if it has none.
fn write_part(
    answer: &Answer<'_>,
    part: &Part<'_>,
    id: &Text<'_>,
    out: &mut Vec<u8>,
    losses: &mut Losses,
) -> Read<bool> {
    match &part.content {
        Content::Text { text, .. } if text.is_empty() => return Ok(false),
        Content::Text { text, citations } => {
            let mut annotations = Vec::new();
            write_annotations(citations, text, &mut annotations, losses);
            write_message(
                id,
                "output_text",
                text,
                &annotations,
                "completed",
                &mut Object::open(out),
            );
        }
        Content::Refusal(text) => write_message(
            id,
            "refusal",
            text,
            &[],
            "completed",
            &mut Object::open(out),
        ),
        Content::ToolUse(call) => {
            let mut arguments = Vec::new();
            call.arguments.write_quoted(&mut arguments);
            let arguments = String::from_utf8_lossy(&arguments);
            let arguments = Text::from_token(&arguments);
            write_call(
                id,
                &call.id,
                &call.name,
                &arguments,
                "completed",
                &mut Object::open(out),
            );
        }
        Content::Reasoning(reasoning) => {
            let mut item = Object::open(out);
            item.str("type", "reasoning");
            item.text("id", reasoning.id.as_ref().unwrap_or(id));
            write_reasoning(reasoning, &mut item);
        }
        Content::Unknown { json, .. } if answer.origin == Dialect::Responses => {
            out.extend_from_slice(json.as_bytes())
        }
        Content::Unknown { kind, .. } => {
            losses.add_at(LossCode::UnknownPart, &kind.plain());
            return Ok(false);
        }
        Content::Media(_) => {
            return unsupported("an image, file or sound from the model", Dialect::Responses);
        }
        Content::ToolResult(_) => return Ok(false),
    }
    Ok(true)
}

/// Writes a message with one part, or without any while it has just begun.
pub(super) fn write_message(
    id: &Text<'_>,
    kind: &str,
    text: &Text<'_>,
    annotations: &[u8],
    status: &str,
    item: &mut Object<'_>,
) {
    item.str("type", "message");
    item.text("id", id);
    item.str("status", status);
    item.str("role", "assistant");
    let mut content = item.array("content");
    if status == "completed" {
        write_content(kind, text, annotations, &mut content.object());
    }
}

/// Writes a text or a refusal as a part.
pub(super) fn write_content(
    kind: &str,
    text: &Text<'_>,
    annotations: &[u8],
    part: &mut Object<'_>,
) {
    part.str("type", kind);
    if kind == "refusal" {
        part.text("refusal", text);
        return;
    }
    part.text("text", text);
    let out = part.key("annotations");
    out.push(b'[');
    out.extend_from_slice(annotations);
    out.push(b']');
    drop(part.array("logprobs"));
}

pub(super) fn write_call(
    id: &Text<'_>,
    call_id: &Text<'_>,
    name: &Text<'_>,
    arguments: &Text<'_>,
    status: &str,
    item: &mut Object<'_>,
) {
    item.str("type", "function_call");
    item.text("id", id);
    item.text("call_id", call_id);
    item.text("name", name);
    item.text("arguments", arguments);
    item.str("status", status);
}

fn write_annotations(
    citations: &[Citation<'_>],
    text: &Text<'_>,
    out: &mut Vec<u8>,
    losses: &mut Losses,
) {
    if citations.is_empty() {
        return;
    }
    let end = text.characters();
    let mut written = Vec::new();
    let mut list = Array::open(&mut written);
    for citation in citations {
        if !write_annotation(citation, (0, end), &mut list) {
            losses.add(LossCode::Citations);
        }
    }
    drop(list);
    out.extend_from_slice(written.get(1..written.len() - 1).unwrap_or_default());
}

/// Writes an annotation; false if it has no address, which the dialect demands.
pub(super) fn write_annotation(
    citation: &Citation<'_>,
    text: (u64, u64),
    list: &mut Array<'_>,
) -> bool {
    let Some(url) = &citation.url else {
        return false;
    };
    let (start, end) = citation.span.unwrap_or(text);
    let mut annotation = list.object();
    annotation.str("type", "url_citation");
    annotation.count("start_index", start);
    annotation.count("end_index", end);
    annotation.text("title", &citation.title.clone().unwrap_or_default());
    annotation.text("url", url);
    true
}
