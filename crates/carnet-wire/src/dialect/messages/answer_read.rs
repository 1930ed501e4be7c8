//! Reading a whole answer.

use crate::dialect::Dialect;
use crate::dialect::shape::{Read, object, optional, shape};
use crate::form::{Answer, Finish, Reply, Unknown};
use crate::json::{Document, Text};

use super::blocks::read_content;
use super::failure::read_failure;
use super::usage::read_usage;

/// Reads an answer.
pub(crate) fn read_answer<'b>(document: &'b Document<'b>) -> Read<Reply<'b>> {
    let root = object(document.root(), "the answer")?;
    if optional(root, "type").is_some_and(|kind| kind.token() == "error") {
        return Ok(Reply::Failure(read_failure(200, root)));
    }
    let mut answer = Answer::new(Dialect::Messages);
    let mut has_content = false;
    for (key, value) in root.members() {
        match &*key {
            _ if value.is_null() => {}
            "id" => answer.id = value.text(),
            "model" => answer.model = value.text(),
            "content" => {
                answer.parts = read_content(value, "content")?;
                has_content = true;
            }
            "stop_reason" => answer.finish = value.text().map_or(Finish::Stop, read_finish),
            "stop_sequence" => answer.stop_sequence = value.text(),
            "usage" => answer.usage = Some(read_usage(value)).filter(|usage| !usage.is_empty()),
            "role" | "type" => {}
            _ => answer.unknown.push(Unknown::new(&key, value)),
        }
    }
    if !has_content {
        return shape("content", "an array");
    }
    answer.settle();
    Ok(Reply::Answer(Box::new(answer)))
}

pub(super) fn read_finish(reason: Text<'_>) -> Finish<'_> {
    match reason.token() {
        "end_turn" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "stop_sequence" => Finish::StopSequence,
        "tool_use" => Finish::ToolUse,
        "pause_turn" => Finish::Pause,
        "refusal" => Finish::Refusal,
        _ => Finish::Other(reason),
    }
}
