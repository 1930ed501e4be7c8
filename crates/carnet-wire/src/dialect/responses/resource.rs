//! The answer as an object, which a stream repeats at its beginning and end, and the items in it.

use crate::dialect::Caller;
use crate::form::{Failure, Finish, LossCode, Losses, Reasoning, Usage};
use crate::json::{Object, Text};

use super::failure::write_inner;
use super::usage::write_usage;

/// What an answer repeats of its request. Whoever translates an answer has not seen that; these are the defaults.
const ECHO: &[(&str, &str)] = &[
    ("background", "false"),
    ("completed_at", "null"),
    ("frequency_penalty", "0"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("presence_penalty", "0"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", r#""default""#),
    ("store", "false"),
    ("temperature", "1"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1"),
    ("truncation", r#""disabled""#),
];

/// What an answer is known by.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) id: Text<'static>,
    pub(super) model: Text<'static>,
    pub(super) created: u64,
    /// Whether it is kept for the client.
    pub(super) kept: bool,
}

impl Head {
    /// Of an answer that tells this of itself.
    pub(super) fn of(
        caller: &Caller,
        (id, model): (Option<&Text<'_>>, Option<&Text<'_>>),
        created: Option<u64>,
    ) -> Self {
        let id = id.filter(|_| !caller.kept).cloned();
        Self {
            id: id.unwrap_or(Text::new(&caller.id)).into_owned(),
            model: model.cloned().unwrap_or_default().into_owned(),
            created: created.unwrap_or(caller.created),
            kept: caller.kept,
        }
    }
}

/// How far an answer is.
pub(super) enum Status<'a> {
    Completed,
    Failed(&'a Failure<'a>),
    InProgress,
    /// Cut off, for this reason.
    Incomplete(&'static str),
}

impl Status<'_> {
    pub(super) fn of_finish(finish: &Finish<'_>, losses: &mut Losses) -> Self {
        match finish {
            Finish::Filter | Finish::Refusal => Self::Incomplete("content_filter"),
            Finish::Length => Self::Incomplete("max_output_tokens"),
            Finish::Stop | Finish::StopSequence | Finish::ToolUse => Self::Completed,
            Finish::Pause => {
                losses.add_at(LossCode::FinishReason, "pause");
                Self::Completed
            }
            Finish::Other(reason) => {
                losses.add_at(LossCode::FinishReason, &reason.plain());
                Self::Completed
            }
        }
    }

    /// Its name, which is also that of the event that ends a stream with it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed(_) => "failed",
            Self::InProgress => "in_progress",
            Self::Incomplete(_) => "incomplete",
        }
    }
}

/// Writes the members of an answer; `items` are the elements of its output, with commas between them.
pub(super) fn write_resource(
    head: &Head,
    status: &Status<'_>,
    items: &[u8],
    usage: Option<&Usage>,
    object: &mut Object<'_>,
) {
    object.text("id", &head.id);
    object.str("object", "response");
    object.count("created_at", head.created);
    object.str("status", status.name());
    match status {
        Status::Failed(failure) => write_inner(failure, &mut object.object("error")),
        _ => object.null("error"),
    }
    match status {
        Status::Incomplete(reason) => object.object("incomplete_details").str("reason", reason),
        _ => object.null("incomplete_details"),
    }
    object.text("model", &head.model);
    let output = object.key("output");
    output.push(b'[');
    output.extend_from_slice(items);
    output.push(b']');
    match usage {
        Some(usage) => write_usage(usage, &mut object.object("usage")),
        None => object.null("usage"),
    }
    for (key, value) in ECHO {
        let kept = head.kept && *key == "store";
        object.raw(key, if kept { "true" } else { value });
    }
}

/// Writes what an item of reasoning has beside its id. A proof makes a place for its text, even for an empty one,
/// by which it is known when it comes back.
pub(super) fn write_reasoning(reasoning: &Reasoning<'_>, item: &mut Object<'_>) {
    let mut summary = item.array("summary");
    if !reasoning.text.is_empty() || reasoning.signature.is_some() {
        write_summary(&reasoning.text, &mut summary.object());
    }
    drop(summary);
    item.text_if(
        "encrypted_content",
        reasoning
            .signature
            .as_ref()
            .or(reasoning.encrypted.as_ref()),
    );
}

pub(super) fn write_summary(text: &Text<'_>, part: &mut Object<'_>) {
    part.str("type", "summary_text");
    part.text("text", text);
}
