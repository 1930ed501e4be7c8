//! Writing a whole answer. The dialect has no place for an id, nor for the model's name.

use crate::dialect::shape::Read;
use crate::dialect::{Dialect, proof};
use crate::form::{Answer, Content, Finish, LossCode, Losses, Part, Usage};
use crate::json::{Array, Object};

/// Writes an answer for a client.
pub(crate) fn write_answer(
    answer: &Answer<'_>,
    out: &mut Vec<u8>,
    losses: &mut Losses,
) -> Read<()> {
    let mut body = Object::open(out);
    let mut output = body.object("output");
    let mut message = output.object("message");
    message.str("role", "assistant");
    let mut content = message.array("content");
    for part in &answer.parts {
        write_block(answer.origin, part, &mut content, losses);
    }
    drop(content);
    drop(message);
    drop(output);
    if answer.stop_sequence.is_some() {
        losses.add_at(LossCode::FinishReason, "stop_sequence");
    }
    body.str("stopReason", stop_reason(&answer.finish, losses));
    write_usage(&answer.usage.unwrap_or_default(), &mut body);
    if answer.logprobs.is_some() {
        losses.add(LossCode::Logprobs);
    }
    for unknown in &answer.unknown {
        losses.add_at(LossCode::UnknownMember, &unknown.key.plain());
    }
    Ok(())
}

fn write_block(origin: Dialect, part: &Part<'_>, content: &mut Array<'_>, losses: &mut Losses) {
    match &part.content {
        Content::Text { text, .. } if text.is_empty() => {}
        Content::Text { text, citations } => {
            if !citations.is_empty() {
                losses.add(LossCode::Citations);
            }
            content.object().text("text", text);
        }
        Content::Refusal(text) => {
            losses.add(LossCode::RefusalMark);
            content.object().text("text", text);
        }
        Content::Reasoning(reasoning) => {
            if !reasoning.text.is_empty() || reasoning.signature.is_some() {
                let mut block = content.object();
                let mut inside = block.object("reasoningContent");
                let mut shown = inside.object("reasoningText");
                shown.text("text", &reasoning.text);
                shown.text_if("signature", reasoning.signature.as_ref());
            }
            if let Some(encrypted) = &reasoning.encrypted {
                let mut block = content.object();
                let mut inside = block.object("reasoningContent");
                inside.text("redactedContent", &proof::wrap(encrypted));
            }
        }
        Content::ToolUse(call) => {
            let mut block = content.object();
            let mut tool = block.object("toolUse");
            tool.text("toolUseId", &call.id);
            tool.text("name", &call.name);
            if !call.arguments.write_object(tool.key("input")) {
                losses.add(LossCode::InvalidArguments);
            }
        }
        Content::Unknown { json, .. } if origin == Dialect::Converse => content.raw(json),
        Content::Unknown { kind, .. } => losses.add_at(LossCode::UnknownPart, &kind.plain()),
        Content::Media(_) | Content::ToolResult(_) => losses.add(LossCode::UnknownPart),
    }
}

pub(super) fn stop_reason(finish: &Finish<'_>, losses: &mut Losses) -> &'static str {
    match finish {
        Finish::Filter | Finish::Refusal => "content_filtered",
        Finish::Length => "max_tokens",
        Finish::Stop => "end_turn",
        Finish::StopSequence => "stop_sequence",
        Finish::ToolUse => "tool_use",
        Finish::Pause => {
            losses.add_at(LossCode::FinishReason, "pause");
            "end_turn"
        }
        Finish::Other(reason) => {
            losses.add_at(LossCode::FinishReason, &reason.plain());
            "end_turn"
        }
    }
}

/// Writes the usage; the prompt's tokens stand beside those of a cache.
pub(super) fn write_usage(usage: &Usage, body: &mut Object<'_>) {
    let mut written = body.object("usage");
    written.count("inputTokens", usage.prompt_excluding().0);
    written.count("outputTokens", usage.output());
    written.count("totalTokens", usage.total());
    let cached = [
        ("cacheReadInputTokens", usage.cache_read),
        ("cacheWriteInputTokens", usage.cache_write),
    ];
    for (key, tokens) in cached {
        if let Some(tokens) = tokens {
            written.count(key, tokens);
        }
    }
}
