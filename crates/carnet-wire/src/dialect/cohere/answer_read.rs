//! Reading a whole answer.

use crate::dialect::Dialect;
use crate::dialect::chat::tool_use;
use crate::dialect::shape::{Read, array, object, optional, shape};
use crate::form::{Answer, Content, Finish, LossCode, Losses, Part, Reasoning, Reply, Usage};
use crate::json::{Document, Kind, Text, Value};

use super::failure::read_failed;

/// Reads an answer, which does not name the model.
pub(crate) fn read_answer<'b>(document: &'b Document<'b>, losses: &mut Losses) -> Read<Reply<'b>> {
    let root = object(document.root(), "the answer")?;
    let Some(message) = root.get("message") else {
        return shape("message", "an object");
    };
    let message = object(message, "message")?;
    let reason = optional(root, "finish_reason");
    if let Some(failure) = read_failed(reason.as_ref(), optional(root, "error")) {
        return Ok(Reply::Failure(failure));
    }
    let mut answer = Answer::new(Dialect::Cohere);
    answer.id = optional(root, "id");
    read_message(message, &mut answer.parts, losses)?;
    answer.finish = reason.map_or(Finish::Stop, read_finish);
    answer.usage = root.get("usage").and_then(read_usage);
    for (key, value) in root.members() {
        match &*key {
            _ if value.is_null() => {}
            "finish_reason" | "id" | "message" | "usage" => {}
            "logprobs" => losses.add(LossCode::Logprobs),
            _ => losses.add_at(LossCode::UnknownMember, &key),
        }
    }
    answer.settle();
    Ok(Reply::Answer(Box::new(answer)))
}

fn read_message<'b>(
    message: Value<'b>,
    parts: &mut Vec<Part<'b>>,
    losses: &mut Losses,
) -> Read<()> {
    match message.get("content").filter(|content| !content.is_null()) {
        Some(content) if content.kind() == Kind::String => {
            parts.extend(
                content
                    .text()
                    .filter(|text| !text.is_empty())
                    .map(Part::text),
            );
        }
        Some(content) => {
            for part in array(content, "message.content")?.elements() {
                parts.extend(read_part(object(part, "message.content[]")?));
            }
        }
        None => {}
    }
    // What the model thought before it called; a stream has it in this place too.
    parts.extend(optional(message, "tool_plan").and_then(thought));
    if let Some(calls) = message.get("tool_calls").filter(|calls| !calls.is_null()) {
        for call in array(calls, "message.tool_calls")?.elements() {
            let id = optional(call, "id").unwrap_or_default();
            let Some(function) = call.get("function") else {
                return shape("message.tool_calls[].function", "an object");
            };
            parts.push(Part::new(Content::ToolUse(tool_use(id, function)?)));
        }
    }
    for (key, value) in message.members() {
        match &*key {
            "content" | "role" | "tool_calls" | "tool_plan" => {}
            _ if value.is_null() => {}
            "citations" if value.elements().next().is_none() => {}
            "citations" => losses.add(LossCode::Citations),
            _ => losses.add_at(LossCode::UnknownMember, &key),
        }
    }
    Ok(())
}

/// None where it says nothing.
fn read_part(part: Value<'_>) -> Option<Part<'_>> {
    let kind = optional(part, "type").unwrap_or_default();
    match kind.token() {
        "text" => optional(part, "text")
            .filter(|text| !text.is_empty())
            .map(Part::text),
        "thinking" => optional(part, "thinking").and_then(thought),
        _ => Some(Part::new(Content::Unknown {
            kind,
            json: part.raw(),
        })),
    }
}

fn thought(text: Text<'_>) -> Option<Part<'_>> {
    (!text.is_empty()).then(|| {
        Part::new(Content::Reasoning(Reasoning {
            text,
            ..Reasoning::default()
        }))
    })
}

pub(super) fn read_finish(reason: Text<'_>) -> Finish<'_> {
    match reason.token() {
        "COMPLETE" => Finish::Stop,
        "MAX_TOKENS" => Finish::Length,
        "STOP_SEQUENCE" => Finish::StopSequence,
        "TOOL_CALL" => Finish::ToolUse,
        _ => Finish::Other(reason),
    }
}

/// Reads the usage.
///
/// The service counts twice: `tokens` are what the model has read and written, `billed_units` leave out what the
/// service has added itself. The first is what other dialects count, what limits of tokens are measured by, and what
/// `cached_tokens` are a part of; the second, of which there may be fewer than cached ones, only stands in for it.
pub(crate) fn read_usage(value: Value<'_>) -> Option<Usage> {
    let tokens = value.get("tokens").filter(|tokens| !tokens.is_null());
    let counts = tokens.or_else(|| value.get("billed_units"))?;
    let count = |key| counts.get(key).and_then(Value::count);
    let cached = tokens
        .and_then(|_| value.get("cached_tokens"))
        .and_then(Value::count);
    let usage = Usage {
        output: count("output_tokens"),
        ..Usage::of_including(count("input_tokens"), cached, None)
    };
    Some(usage).filter(|usage| !usage.is_empty())
}
