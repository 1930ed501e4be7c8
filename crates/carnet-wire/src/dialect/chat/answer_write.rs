//! Writing a whole answer.

use crate::dialect::settings::unsupported;
use crate::dialect::shape::Read;
use crate::dialect::{Caller, Dialect};
use crate::form::{Answer, Citation, Content, Finish, LossCode, Losses, Part};
use crate::json::{Object, Text};

use super::parts_write::{
    Reader, lose_order, write_reasoning, write_refusal, write_texts, write_tool_call,
};
use super::usage::write_usage;

/// Writes an answer for a client.
pub(crate) fn write_answer(
    answer: &Answer<'_>,
    caller: &Caller,
    out: &mut Vec<u8>,
    losses: &mut Losses,
) -> Read<()> {
    let mut body = Object::open(out);
    match &answer.id {
        Some(id) => body.text("id", id),
        None => body.str("id", &caller.id),
    }
    body.str("object", "chat.completion");
    body.count("created", answer.created.unwrap_or(caller.created));
    body.text("model", &answer.model.clone().unwrap_or_default());
    let mut choices = body.array("choices");
    let mut choice = choices.object();
    choice.count("index", 0);
    write_message(answer, caller, &mut choice.object("message"), losses)?;
    choice.raw("logprobs", answer.logprobs.unwrap_or("null"));
    if answer.stop_sequence.is_some() {
        losses.add_at(LossCode::FinishReason, "stop_sequence");
    }
    choice.str("finish_reason", finish_reason(&answer.finish, losses));
    drop(choice);
    drop(choices);
    if let Some(usage) = &answer.usage {
        write_usage(usage, &mut body.object("usage"));
    }
    for unknown in &answer.unknown {
        if answer.origin == Dialect::Chat {
            body.raw(unknown.key.token(), unknown.json);
        } else {
            losses.add_at(LossCode::UnknownMember, &unknown.key.plain());
        }
    }
    Ok(())
}

fn write_message(
    answer: &Answer<'_>,
    caller: &Caller,
    message: &mut Object<'_>,
    losses: &mut Losses,
) -> Read<()> {
    message.str("role", "assistant");
    let reader = Reader {
        reasoning: caller.reasoning,
        details: true,
    };
    lose_order(&answer.parts, losses);
    write_reasoning(&answer.parts, &reader, message, losses);
    write_texts(&answer.parts, message);
    let refuses = answer
        .parts
        .iter()
        .any(|part| matches!(part.content, Content::Refusal(_)));
    if refuses {
        write_refusal(&answer.parts, message);
    } else {
        message.null("refusal");
    }
    write_annotations(&answer.parts, message, losses);
    let calls = answer.parts.iter().filter_map(|part| match &part.content {
        Content::ToolUse(call) => Some(call),
        _ => None,
    });
    if calls.clone().next().is_some() {
        let mut written = message.array("tool_calls");
        calls.for_each(|call| write_tool_call(&call.id, call, &mut written));
    }
    for part in &answer.parts {
        match &part.content {
            Content::Unknown { kind, json } if answer.origin == Dialect::Chat => {
                message.raw(kind.token(), json)
            }
            Content::Unknown { kind, .. } => losses.add_at(LossCode::UnknownPart, &kind.plain()),
            Content::Media(_) => {
                return unsupported("an image, file or sound from the model", Dialect::Chat);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes what the texts rest on. Places are counted in characters of all texts together.
fn write_annotations(parts: &[Part<'_>], message: &mut Object<'_>, losses: &mut Losses) {
    let cites = |part: &Part<'_>| matches!(&part.content, Content::Text { citations, .. } if !citations.is_empty());
    if !parts.iter().any(cites) {
        return;
    }
    let mut annotations = message.array("annotations");
    let mut start = 0;
    for part in parts {
        let Content::Text { text, citations } = &part.content else {
            continue;
        };
        let end = start + text.characters();
        for citation in citations {
            match &citation.url {
                Some(url) => {
                    write_annotation(citation, url, (start, end), &mut annotations.object())
                }
                None => losses.add(LossCode::Citations),
            }
        }
        start = end;
    }
}

/// Writes one annotation, with the place that it names or else that of the text it belongs to.
pub(super) fn write_annotation(
    citation: &Citation<'_>,
    url: &Text<'_>,
    text: (u64, u64),
    annotation: &mut Object<'_>,
) {
    let (start, end) = citation.span.unwrap_or(text);
    annotation.str("type", "url_citation");
    let mut inside = annotation.object("url_citation");
    inside.count("start_index", start);
    inside.count("end_index", end);
    inside.text("title", &citation.title.clone().unwrap_or_default());
    inside.text("url", url);
}

pub(super) fn finish_reason(finish: &Finish<'_>, losses: &mut Losses) -> &'static str {
    match finish {
        Finish::Filter | Finish::Refusal => "content_filter",
        Finish::Length => "length",
        Finish::Stop | Finish::StopSequence => "stop",
        Finish::ToolUse => "tool_calls",
        Finish::Pause => {
            losses.add_at(LossCode::FinishReason, "pause");
            "stop"
        }
        Finish::Other(reason) => {
            losses.add_at(LossCode::FinishReason, &reason.plain());
            "stop"
        }
    }
}
