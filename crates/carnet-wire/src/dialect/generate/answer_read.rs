//! Reading a whole answer, and what a piece of a streamed one has in common with it.

use crate::dialect::Dialect;
use crate::dialect::shape::{Read, member, object, optional};
use crate::form::{
    Answer, Arguments, Content, Finish, LossCode, Losses, Part, Reasoning, Reply, ToolUse, Usage,
};
use crate::json::{Document, Kind, Text, Value};

use super::failure::read_failure;

/// Reads an answer.
pub(crate) fn read_answer<'b>(document: &'b Document<'b>, losses: &mut Losses) -> Read<Reply<'b>> {
    let root = object(document.root(), "the answer")?;
    if root.get("error").is_some_and(|error| !error.is_null()) {
        return Ok(Reply::Failure(read_failure(200, root)));
    }
    let mut answer = Answer::new(Dialect::GenerateContent);
    answer.id = optional(root, "responseId");
    answer.model = optional(root, "modelVersion");
    answer.usage = root.get("usageMetadata").and_then(read_usage);
    let mut candidates = root.get("candidates").into_iter().flat_map(Value::elements);
    match candidates.next() {
        Some(candidate) => {
            for part in parts(candidate) {
                read_part(part, &mut answer.parts)?;
            }
            answer.finish = optional(candidate, "finishReason").map_or(Finish::Stop, read_finish);
        }
        // What was asked has been filtered.
        None => answer.finish = Finish::Filter,
    }
    if candidates.next().is_some() {
        losses.add(LossCode::Choices);
    }
    lost(root, &mut |code, place| losses.add_at(code, place));
    answer.settle();
    Ok(Reply::Answer(Box::new(answer)))
}

pub(super) fn parts(candidate: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let parts = candidate
        .get("content")
        .and_then(|content| content.get("parts"));
    parts.into_iter().flat_map(Value::elements)
}

/// Names what an answer, or a piece of one, has beside its parts.
pub(super) fn lost(root: Value<'_>, lose: &mut dyn FnMut(LossCode, &str)) {
    if root.get("promptFeedback").is_some() {
        lose(LossCode::SafetyRatings, "promptFeedback");
    }
    for candidate in root.get("candidates").into_iter().flat_map(Value::elements) {
        for (key, value) in candidate.members() {
            match &*key {
                _ if value.is_null() => {}
                "content" | "finishReason" | "index" | "tokenCount" => {}
                "safetyRatings" => lose(LossCode::SafetyRatings, &key),
                "citationMetadata" | "groundingMetadata" => lose(LossCode::Citations, &key),
                "avgLogprobs" | "logprobsResult" => lose(LossCode::Logprobs, &key),
                _ => lose(LossCode::UnknownMember, &key),
            }
        }
    }
}

/// Reads a part. The proof that hangs on it becomes reasoning before it, as other dialects have it.
fn read_part<'b>(value: Value<'b>, parts: &mut Vec<Part<'b>>) -> Read<()> {
    let proof = optional(value, "thoughtSignature").filter(|proof| !proof.is_empty());
    let text = optional(value, "text");
    if value.get("thought").and_then(Value::bool) == Some(true) {
        let text = text.unwrap_or_default();
        parts.push(Part::new(Content::Reasoning(Reasoning {
            text,
            signature: proof,
            ..Reasoning::default()
        })));
        return Ok(());
    }
    if proof.is_some() {
        parts.push(Part::new(Content::Reasoning(Reasoning {
            encrypted: proof,
            ..Reasoning::default()
        })));
    }
    if let Some(call) = value.get("functionCall") {
        parts.push(Part::new(Content::ToolUse(ToolUse {
            id: optional(call, "id").unwrap_or_default(),
            name: member(call, "name", "functionCall.name")?,
            arguments: Arguments::Json(arguments(call)),
        })));
    } else if let Some(text) = text {
        if !text.is_empty() {
            parts.push(Part::text(text));
        }
    } else if let Some(kind) = unknown_kind(value) {
        parts.push(Part::new(Content::Unknown {
            kind,
            json: value.raw(),
        }));
    }
    Ok(())
}

/// What a part is that the form has no place for.
pub(super) fn unknown_kind(part: Value<'_>) -> Option<Text<'static>> {
    let (key, _) = part
        .members()
        .find(|(key, _)| !matches!(&**key, "thought" | "thoughtSignature"))?;
    Some(Text::new(&key).into_owned())
}

pub(super) fn arguments(call: Value<'_>) -> &str {
    let arguments = call
        .get("args")
        .filter(|arguments| arguments.kind() == Kind::Object);
    arguments.map_or("{}", Value::raw)
}

/// Reads why an answer ends.
///
/// Sources: googleapis.github.io/js-genai/release_docs/enums/types.FinishReason.html; `MODEL_ARMOR` in
/// pub.dev/documentation/google_cloud_aiplatform_v1beta1/latest/aiplatform/Candidate_FinishReason/modelArmor-constant.html
pub(super) fn read_finish(reason: Text<'_>) -> Finish<'_> {
    match reason.token() {
        "STOP" => Finish::Stop,
        "MAX_TOKENS" => Finish::Length,
        "BLOCKLIST"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "IMAGE_SAFETY"
        | "MODEL_ARMOR"
        | "PROHIBITED_CONTENT"
        | "RECITATION"
        | "SAFETY"
        | "SPII" => Finish::Filter,
        _ => Finish::Other(reason),
    }
}

/// Reads the usage. The prompt's tokens include cached ones; the answer's leave out those of its reasoning.
pub(crate) fn read_usage(value: Value<'_>) -> Option<Usage> {
    let count = |key| value.get(key).and_then(Value::count);
    let prompt = count("promptTokenCount");
    let beside = count("toolUsePromptTokenCount").unwrap_or_default();
    let reasoning = count("thoughtsTokenCount");
    let output = match (count("candidatesTokenCount"), reasoning) {
        (None, None) => None,
        (said, thought) => Some(
            said.unwrap_or_default()
                .saturating_add(thought.unwrap_or_default()),
        ),
    };
    let usage = Usage {
        output,
        reasoning,
        ..Usage::of_including(
            prompt.map(|prompt| prompt.saturating_add(beside)),
            count("cachedContentTokenCount"),
            None,
        )
    };
    Some(usage).filter(|usage| !usage.is_empty())
}
