//! Reading a whole answer.

use crate::dialect::Dialect;
use crate::dialect::shape::{Read, array, object, optional, shape};
use crate::form::{Answer, Content, Finish, Part, Reply, Role, Unknown};
use crate::json::{Document, Text, Value};

use super::failure::{read_failure, read_inner};
use super::items::read_item;
use super::usage::read_usage;

/// Members that repeat the request, or say how far the answer is.
const ECHO: &[&str] = &[
    "background",
    "completed_at",
    "error",
    "frequency_penalty",
    "incomplete_details",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "object",
    "parallel_tool_calls",
    "presence_penalty",
    "previous_response_id",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "status",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Reads an answer.
pub(crate) fn read_answer<'b>(document: &'b Document<'b>) -> Read<Reply<'b>> {
    let root = object(document.root(), "the answer")?;
    let mut answer = Answer::new(Dialect::Responses);
    let mut output = None;
    for (key, value) in root.members() {
        match &*key {
            _ if value.is_null() => {}
            "id" => answer.id = value.text(),
            "model" => answer.model = value.text(),
            "created_at" => answer.created = value.count(),
            "output" => output = Some(array(value, "output")?),
            "usage" => answer.usage = Some(read_usage(value)).filter(|usage| !usage.is_empty()),
            key if ECHO.contains(&key) => {}
            key => answer.unknown.push(Unknown::new(key, value)),
        }
    }
    let error = root.get("error").filter(|error| !error.is_null());
    match (output, error) {
        (None, Some(_)) => return Ok(Reply::Failure(read_failure(200, root))),
        (_, Some(error)) => return Ok(Reply::Failure(read_inner(error))),
        (None, None) => return shape("output", "an array"),
        (Some(output), None) => {
            for item in output.elements() {
                match read_item(item)? {
                    (Role::Assistant, parts) => answer.parts.extend(parts),
                    // What a tool of the service has given back, or whatever else it remembers.
                    _ => answer.parts.push(Part::new(Content::Unknown {
                        kind: optional(item, "type").unwrap_or_default(),
                        json: item.raw(),
                    })),
                }
            }
        }
    }
    answer.finish = read_finish(root);
    answer.settle();
    Ok(Reply::Answer(Box::new(answer)))
}

/// Why an answer ends, by its status.
pub(super) fn read_finish(response: Value<'_>) -> Finish<'_> {
    let status = optional(response, "status").unwrap_or_default();
    let details = response.get("incomplete_details");
    let reason = details.and_then(|details| optional(details, "reason"));
    match (status.token(), reason.as_ref().map(Text::token)) {
        ("incomplete", Some("max_output_tokens")) => Finish::Length,
        ("incomplete", Some("content_filter")) => Finish::Filter,
        ("incomplete", Some(_)) => reason.map_or(Finish::Length, Finish::Other),
        ("completed" | "", _) => Finish::Stop,
        _ => Finish::Other(status),
    }
}
