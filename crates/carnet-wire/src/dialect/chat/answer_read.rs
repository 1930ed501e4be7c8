//! Reading a whole answer.

use crate::dialect::Dialect;
use crate::dialect::shape::{Read, array, object, optional, shape};
use crate::form::{Answer, Content, Finish, LossCode, Losses, Part, Reply, Unknown};
use crate::json::{Document, Kind, Text, Value};

use super::failure::read_failure;
use super::parts::{read_annotations, read_content, read_reasoning, read_tool_calls, tool_use};
use super::usage::read_usage;

/// Members of a message that are read into parts, or say nothing.
pub(super) const MESSAGE: &[&str] = &[
    "annotations",
    "content",
    "function_call",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "refusal",
    "role",
    "tool_calls",
];

/// Reads an answer; some services send an error as if it were one.
pub(crate) fn read_answer<'b>(document: &'b Document<'b>, losses: &mut Losses) -> Read<Reply<'b>> {
    let root = object(document.root(), "the answer")?;
    if root.get("error").is_some_and(|error| !error.is_null()) {
        return Ok(Reply::Failure(read_failure(200, root)));
    }
    let mut answer = Answer::new(Dialect::Chat);
    let mut choices = None;
    for (key, value) in root.members() {
        match &*key {
            _ if value.is_null() => {}
            "id" => answer.id = value.text(),
            "model" => answer.model = value.text(),
            "created" => answer.created = value.count(),
            "choices" => choices = Some(array(value, "choices")?),
            "usage" => answer.usage = read_usage(value),
            "object" => {}
            _ => answer.unknown.push(Unknown::new(&key, value)),
        }
    }
    let Some(choices) = choices else {
        return shape("choices", "an array");
    };
    let mut choices = choices.elements();
    if let Some(choice) = choices.next() {
        // A router says so that the service behind it has failed.
        if choice.get("error").is_some_and(|error| !error.is_null()) {
            return Ok(Reply::Failure(read_failure(200, choice)));
        }
        read_choice(&mut answer, object(choice, "choices[]")?)?;
    }
    if choices.next().is_some() {
        losses.add(LossCode::Choices);
    }
    answer.settle();
    Ok(Reply::Answer(Box::new(answer)))
}

fn read_choice<'b>(answer: &mut Answer<'b>, choice: Value<'b>) -> Read<()> {
    answer.finish = read_finish(optional(choice, "finish_reason"));
    answer.logprobs = choice
        .get("logprobs")
        .filter(|logprobs| !logprobs.is_null())
        .map(Value::raw);
    // A service that has filtered the answer may leave the message out.
    match choice
        .get("message")
        .filter(|message| message.kind() == Kind::Object)
    {
        Some(message) => read_message(&mut answer.parts, message),
        None => Ok(()),
    }
}

fn read_message<'b>(parts: &mut Vec<Part<'b>>, message: Value<'b>) -> Read<()> {
    read_reasoning(message, parts);
    let before = parts.len();
    if let Some(content) = message.get("content").filter(|content| !content.is_null()) {
        read_content(content, parts)?;
    }
    // An empty text beside calls is how services say that there is none.
    let empty =
        |part: &Part<'_>| matches!(&part.content, Content::Text { text, .. } if text.is_empty());
    let mut index = 0;
    parts.retain(|part| {
        index += 1;
        index <= before || !empty(part)
    });
    let last = parts
        .iter_mut()
        .skip(before)
        .rev()
        .find_map(|part| match &mut part.content {
            Content::Text { citations, .. } => Some(citations),
            _ => None,
        });
    if let Some(citations) = last {
        *citations = read_annotations(message);
    }
    if let Some(refusal) = optional(message, "refusal").filter(|refusal| !refusal.is_empty()) {
        parts.push(Part::new(Content::Refusal(refusal)));
    }
    let before_calls = parts.len();
    if let Some(calls) = message.get("tool_calls").filter(|calls| !calls.is_null()) {
        read_tool_calls(calls, parts)?;
    }
    let old_call = message
        .get("function_call")
        .filter(|_| parts.len() == before_calls);
    if let Some(call) =
        old_call.filter(|call| optional(*call, "name").is_some_and(|name| !name.is_empty()))
    {
        parts.push(Part::new(Content::ToolUse(tool_use(
            Text::default(),
            call,
        )?)));
    }
    for (key, value) in message.members() {
        if !value.is_null() && !MESSAGE.contains(&&*key) {
            let kind = Text::new(&key).into_owned();
            parts.push(Part::new(Content::Unknown {
                kind,
                json: value.raw(),
            }));
        }
    }
    Ok(())
}

pub(super) fn read_finish(reason: Option<Text<'_>>) -> Finish<'_> {
    let Some(reason) = reason else {
        return Finish::Stop;
    };
    match &*reason.token().to_ascii_lowercase() {
        "stop" | "" | "end_turn" | "eos" => Finish::Stop,
        "length" | "max_tokens" => Finish::Length,
        "tool_calls" | "function_call" | "tool_use" => Finish::ToolUse,
        "content_filter" | "safety" => Finish::Filter,
        "stop_sequence" => Finish::StopSequence,
        _ => Finish::Other(reason),
    }
}
