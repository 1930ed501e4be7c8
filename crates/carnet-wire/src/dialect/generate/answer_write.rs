//! Writing a whole answer, and what a piece of a streamed one has in common with it.

use crate::dialect::shape::Read;
use crate::dialect::{Caller, Dialect, proof};
use crate::form::{Answer, Content, Finish, LossCode, Losses, Usage};
use crate::json::{Array, Object, Text};

/// Writes an answer for a client.
pub(crate) fn write_answer(
    answer: &Answer<'_>,
    caller: &Caller,
    out: &mut Vec<u8>,
    losses: &mut Losses,
) -> Read<()> {
    let mut body = Object::open(out);
    let mut candidates = body.array("candidates");
    let mut candidate = candidates.object();
    let mut content = candidate.object("content");
    write_parts(answer, &mut content.array("parts"), losses);
    content.str("role", "model");
    drop(content);
    if answer.stop_sequence.is_some() {
        losses.add_at(LossCode::FinishReason, "stop_sequence");
    }
    candidate.str("finishReason", finish_reason(&answer.finish, losses));
    candidate.count("index", 0);
    drop(candidate);
    drop(candidates);
    if answer.logprobs.is_some() {
        losses.add(LossCode::Logprobs);
    }
    for unknown in &answer.unknown {
        losses.add_at(LossCode::UnknownMember, &unknown.key.plain());
    }
    write_usage(&answer.usage.unwrap_or_default(), &mut body);
    write_names(answer.model.as_ref(), answer.id.as_ref(), caller, &mut body);
    Ok(())
}

/// Which model answers, and the id of the answer.
pub(super) fn write_names(
    model: Option<&Text<'_>>,
    id: Option<&Text<'_>>,
    caller: &Caller,
    body: &mut Object<'_>,
) {
    body.text_if("modelVersion", model);
    match id {
        Some(id) => body.text("responseId", id),
        None => body.str("responseId", &caller.id),
    }
}

fn write_parts(answer: &Answer<'_>, parts: &mut Array<'_>, losses: &mut Losses) {
    let own = answer.origin == Dialect::GenerateContent;
    // A proof hangs on the part behind the reasoning that it proves.
    let mut proof: Option<&Text<'_>> = None;
    for part in &answer.parts {
        match &part.content {
            Content::Text { text, .. } if text.is_empty() => continue,
            Content::Reasoning(reasoning) => {
                if !reasoning.text.is_empty() || reasoning.signature.is_some() {
                    write_thought(&reasoning.text, reasoning.signature.as_ref(), parts);
                }
                if let Some(encrypted) = &reasoning.encrypted
                    && let Some(before) = proof.replace(encrypted)
                {
                    write_alone(before, parts);
                }
                continue;
            }
            Content::Unknown { json, .. } if own => {
                // It still has its proof itself.
                proof = None;
                parts.raw(json);
                continue;
            }
            Content::Unknown { kind, .. } => {
                losses.add_at(LossCode::UnknownPart, &kind.plain());
                continue;
            }
            Content::Media(_) | Content::ToolResult(_) => {
                losses.add(LossCode::UnknownPart);
                continue;
            }
            Content::Refusal(_) | Content::Text { .. } | Content::ToolUse(_) => {}
        }
        let mut written = parts.object();
        match &part.content {
            Content::Text { text, citations } => {
                if !citations.is_empty() {
                    losses.add(LossCode::Citations);
                }
                written.text("text", text);
            }
            Content::Refusal(text) => {
                losses.add(LossCode::RefusalMark);
                written.text("text", text);
            }
            Content::ToolUse(call) => {
                let mut function = written.object("functionCall");
                function.text("id", &call.id);
                function.text("name", &call.name);
                if !call.arguments.write_object(function.key("args")) {
                    losses.add(LossCode::InvalidArguments);
                }
            }
            _ => {}
        }
        write_proof(proof.take(), &mut written);
    }
    if let Some(proof) = proof {
        write_alone(proof, parts);
    }
}

/// Writes reasoning that can be read.
pub(super) fn write_thought(text: &Text<'_>, signature: Option<&Text<'_>>, parts: &mut Array<'_>) {
    let mut written = parts.object();
    written.text("text", text);
    written.bool("thought", true);
    write_proof(signature, &mut written);
}

/// Writes a proof that no part stands behind.
pub(super) fn write_alone(proof: &Text<'_>, parts: &mut Array<'_>) {
    let mut written = parts.object();
    written.str("text", "");
    write_proof(Some(proof), &mut written);
}

pub(super) fn write_proof(proof: Option<&Text<'_>>, part: &mut Object<'_>) {
    if let Some(proof) = proof {
        part.text("thoughtSignature", &proof::wrap(proof));
    }
}

pub(super) fn finish_reason(finish: &Finish<'_>, losses: &mut Losses) -> &'static str {
    match finish {
        Finish::Filter | Finish::Refusal => "SAFETY",
        Finish::Length => "MAX_TOKENS",
        Finish::Stop | Finish::StopSequence | Finish::ToolUse => "STOP",
        Finish::Pause => {
            losses.add_at(LossCode::FinishReason, "pause");
            "OTHER"
        }
        Finish::Other(reason) => {
            losses.add_at(LossCode::FinishReason, &reason.plain());
            "OTHER"
        }
    }
}

/// Writes the usage. The prompt's tokens include cached ones; the answer's leave out those of its reasoning.
pub(super) fn write_usage(usage: &Usage, body: &mut Object<'_>) {
    let mut written = body.object("usageMetadata");
    // Some services count more reasoning than answer, of which it is a part.
    let reasoning = usage.reasoning.unwrap_or_default().min(usage.output());
    written.count("promptTokenCount", usage.prompt_including().0);
    written.count(
        "candidatesTokenCount",
        usage.output().saturating_sub(reasoning),
    );
    written.count("totalTokenCount", usage.total());
    if let Some(cached) = usage.cache_read {
        written.count("cachedContentTokenCount", cached);
    }
    if usage.reasoning.is_some() {
        written.count("thoughtsTokenCount", reasoning);
    }
}
