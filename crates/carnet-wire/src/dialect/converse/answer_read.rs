//! Reading a whole answer.

use crate::dialect::Dialect;
use crate::dialect::shape::{Read, array, member, object, optional, shape};
use crate::form::{
    Answer, Arguments, Content, Finish, LossCode, Losses, Part, PromptExcludingCached, Reasoning,
    Reply, ToolUse, Usage,
};
use crate::json::{Document, Kind, Text, Value};

/// Reads an answer, which has neither an id nor the model's name.
pub(crate) fn read_answer<'b>(document: &'b Document<'b>, losses: &mut Losses) -> Read<Reply<'b>> {
    let root = object(document.root(), "the answer")?;
    let content = root
        .get("output")
        .and_then(|output| output.get("message"))
        .and_then(|message| message.get("content"));
    let Some(content) = content else {
        return shape("output.message.content", "an array");
    };
    let mut answer = Answer::new(Dialect::Converse);
    for block in array(content, "output.message.content")?.elements() {
        read_block(
            object(block, "output.message.content[]")?,
            &mut answer.parts,
            losses,
        )?;
    }
    answer.finish = optional(root, "stopReason").map_or(Finish::Stop, read_finish);
    answer.usage = root
        .get("usage")
        .map(read_usage)
        .filter(|usage| !usage.is_empty());
    for (key, value) in root.members() {
        if !value.is_null() && !matches!(&*key, "metrics" | "output" | "stopReason" | "usage") {
            losses.add_at(lost(&key), &key);
        }
    }
    answer.settle();
    Ok(Reply::Answer(Box::new(answer)))
}

/// What it means to leave out a member.
pub(super) fn lost(key: &str) -> LossCode {
    match key {
        // What the guardrails of the service have found.
        "trace" => LossCode::SafetyRatings,
        _ => LossCode::UnknownMember,
    }
}

fn read_block<'b>(block: Value<'b>, parts: &mut Vec<Part<'b>>, losses: &mut Losses) -> Read<()> {
    let Some((key, value)) = block.members().next() else {
        return Ok(());
    };
    match &*key {
        "text" => parts.extend(value.text().filter(|text| !text.is_empty()).map(Part::text)),
        "toolUse" => parts.push(Part::new(Content::ToolUse(ToolUse {
            id: optional(value, "toolUseId").unwrap_or_default(),
            name: member(value, "name", "toolUse.name")?,
            arguments: Arguments::Json(
                value
                    .get("input")
                    .filter(|input| input.kind() == Kind::Object)
                    .map_or("{}", Value::raw),
            ),
        }))),
        "reasoningContent" => parts.push(Part::new(Content::Reasoning(reasoning(value)))),
        "citationsContent" => {
            losses.add(LossCode::Citations);
            let texts = value.get("content").into_iter().flat_map(Value::elements);
            parts.extend(
                texts
                    .filter_map(|text| optional(text, "text"))
                    .map(Part::text),
            );
        }
        other => {
            let kind = Text::new(other).into_owned();
            parts.push(Part::new(Content::Unknown {
                kind,
                json: block.raw(),
            }));
        }
    }
    Ok(())
}

fn reasoning(value: Value<'_>) -> Reasoning<'_> {
    let shown = value.get("reasoningText");
    Reasoning {
        text: shown
            .and_then(|shown| optional(shown, "text"))
            .unwrap_or_default(),
        signature: shown
            .and_then(|shown| optional(shown, "signature"))
            .filter(|signature| !signature.is_empty()),
        encrypted: optional(value, "redactedContent").filter(|data| !data.is_empty()),
        ..Reasoning::default()
    }
}

pub(super) fn read_finish(reason: Text<'_>) -> Finish<'_> {
    match reason.token() {
        "end_turn" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "stop_sequence" => Finish::StopSequence,
        "tool_use" => Finish::ToolUse,
        "content_filtered" | "guardrail_intervened" => Finish::Filter,
        _ => Finish::Other(reason),
    }
}

/// Reads the usage; the prompt's tokens stand beside those of a cache.
pub(crate) fn read_usage(value: Value<'_>) -> Usage {
    let count = |key| value.get(key).and_then(Value::count);
    Usage {
        prompt: count("inputTokens").map(PromptExcludingCached),
        cache_read: count("cacheReadInputTokens"),
        cache_write: count("cacheWriteInputTokens"),
        output: count("outputTokens"),
        reasoning: None,
    }
}
