//! Settings of a request that several dialects word alike, or none of them has.

use crate::form::{Ask, LossCode, Losses};
use crate::json::{Object, Text};
use crate::limits::MAX_USER;

use super::shape::Read;
use super::{Dialect, Target, TranslateError, lose_unknown};

/// The schema of a tool without arguments, where the dialect demands one.
pub(crate) const NO_ARGUMENTS: &str = r#"{"type":"object","properties":{}}"#;

/// Writes the model's name there.
pub(crate) fn write_model(ask: &Ask<'_>, target: &Target, body: &mut Object<'_>) {
    match &target.model {
        Some(model) => body.str("model", model),
        None => body.text_if("model", ask.model.as_ref()),
    }
}

/// Gives the same dialect back what only it knows, and names or refuses it for another one.
pub(crate) fn write_unknown(
    ask: &Ask<'_>,
    target: Dialect,
    body: &mut Object<'_>,
    losses: &mut Losses,
) -> Read<()> {
    if ask.origin != target {
        return lose_unknown(ask, target, losses);
    }
    for unknown in &ask.unknown {
        body.raw(unknown.key.token(), unknown.json);
    }
    Ok(())
}

/// Writes the texts that end an answer.
pub(crate) fn write_stop(ask: &Ask<'_>, key: &str, body: &mut Object<'_>) {
    if !ask.stop.is_empty() {
        let mut stop = body.array(key);
        ask.stop.iter().for_each(|text| stop.text(text));
    }
}

/// Who uses the caller's application. Its name can be longer in the dialect of Messages than in others.
pub(crate) fn user<'a, 'b>(ask: &'a Ask<'b>, losses: &mut Losses) -> Option<&'a Text<'b>> {
    let user = ask.user.as_ref()?;
    if ask.origin == Dialect::Messages && user.plain().len() > MAX_USER {
        losses.add_at(LossCode::Metadata, "user");
        return None;
    }
    Some(user)
}

/// The effort by a name that OpenAI's reasoning models take, all of which know these three. Who asks in one of its dialects
/// knows which others the model takes.
///
/// Sources: platform.openai.com/docs/guides/reasoning, github.com/openai/openai-agents-python/issues/2089 ("'minimal' is
/// not supported with the 'gpt-5.1' model").
pub(crate) fn effort<'e>(ask: &'e Ask<'_>, losses: &mut Losses) -> Option<Text<'e>> {
    let effort = ask.thinking.effort.as_ref()?.token();
    let nearest = match effort {
        _ if matches!(ask.origin, Dialect::Chat | Dialect::Responses) => effort,
        "minimal" => "low",
        "max" | "xhigh" => "high",
        _ => effort,
    };
    if nearest != effort {
        losses.add_at(LossCode::ReasoningEffort, effort);
    }
    Some(Text::from_token(nearest))
}

/// Names the settings of sampling that a dialect lacks, unless they change nothing.
pub(crate) fn lose_sampling(ask: &Ask<'_>, lacking: &[&str], losses: &mut Losses) {
    for (name, value) in ask.sampling.set() {
        let changes = !name.ends_with("penalty") || value.parse() != Ok(0.0);
        if changes && lacking.contains(&name) {
            losses.add_at(LossCode::Sampling, name);
        }
    }
}

/// Names the loss of what a shape of the answer is said to be for. Nothing depends on its name.
pub(crate) fn lose_description(description: Option<&Text<'_>>, losses: &mut Losses) {
    if description.is_some_and(|description| !description.is_empty()) {
        losses.add_at(LossCode::UnknownMember, "format.description");
    }
}

/// The error that a dialect has no words for something that the answer depends on.
pub(crate) fn unsupported<T>(what: &'static str, target: Dialect) -> Read<T> {
    Err(TranslateError::Unsupported { what, target })
}
