//! Writing a whole answer.

use crate::dialect::shape::Read;
use crate::dialect::{Caller, Dialect};
use crate::form::{Answer, Content, Finish, IdRule, LossCode, Losses, Part, Reasoning};
use crate::json::{Object, Text};

use super::blocks_write::Blocks;
use super::usage::write_usage;

/// Writes an answer for a client.
pub(crate) fn write_answer(
    answer: &Answer<'_>,
    caller: &Caller,
    out: &mut Vec<u8>,
    losses: &mut Losses,
) -> Read<()> {
    let own = answer.origin == Dialect::Messages;
    let mut body = Object::open(out);
    match &answer.id {
        Some(id) => body.text("id", id),
        None => body.str("id", &caller.id),
    }
    body.str("type", "message");
    body.str("role", "assistant");
    body.text("model", &answer.model.clone().unwrap_or_default());
    write_parts(answer, &mut body, losses)?;
    if !own && answer.logprobs.is_some() {
        losses.add(LossCode::Logprobs);
    }
    write_stop(
        &answer.finish,
        answer.stop_sequence.as_ref(),
        &mut body,
        losses,
    );
    write_usage(&answer.usage.unwrap_or_default(), &mut body.object("usage"));
    for unknown in &answer.unknown {
        if own {
            body.raw(unknown.key.token(), unknown.json);
        } else {
            losses.add_at(LossCode::UnknownMember, &unknown.key.plain());
        }
    }
    Ok(())
}

fn write_parts(answer: &Answer<'_>, body: &mut Object<'_>, losses: &mut Losses) -> Read<()> {
    let own = answer.origin == Dialect::Messages;
    let mut content = body.array("content");
    let mut blocks = Blocks {
        origin: answer.origin,
        tool_ids: IdRule::Any,
        unsigned: true,
        losses,
    };
    for part in &answer.parts {
        match &part.content {
            Content::Unknown { kind, .. } if !own => {
                blocks.losses.add_at(LossCode::UnknownPart, &kind.plain());
            }
            Content::Text { text, .. } if text.is_empty() => {}
            // That something was thought, and nothing of it.
            Content::Reasoning(Reasoning {
                text,
                signature: None,
                encrypted: None,
                ..
            }) if text.is_empty() && !own => {}
            _ => blocks.write(
                &Part {
                    cache: None,
                    ..part.clone()
                },
                &mut content,
            )?,
        }
    }
    Ok(())
}

pub(super) fn write_stop(
    finish: &Finish<'_>,
    stop_sequence: Option<&Text<'_>>,
    object: &mut Object<'_>,
    losses: &mut Losses,
) {
    let reason = match finish {
        Finish::Filter | Finish::Refusal => "refusal",
        Finish::Length => "max_tokens",
        Finish::Pause => "pause_turn",
        Finish::Stop => "end_turn",
        Finish::StopSequence => "stop_sequence",
        Finish::ToolUse => "tool_use",
        Finish::Other(reason) => {
            losses.add_at(LossCode::FinishReason, &reason.plain());
            "end_turn"
        }
    };
    object.str("stop_reason", reason);
    match stop_sequence {
        Some(text) => object.text("stop_sequence", text),
        None => object.null("stop_sequence"),
    }
}
