//! Writing a request.

use std::collections::HashMap;

use crate::dialect::media::{lose_detail, lose_name};
use crate::dialect::settings::{lose_description, unsupported, write_stop};
use crate::dialect::shape::Read;
use crate::dialect::turns::{Said, alternating, instructions};
use crate::dialect::{Dialect, Target, ThinkingForm, lose_unknown};
use crate::form::{
    Ask, Content, Format, LossCode, Losses, Media, MediaKind, MediaSource, Part, Role, ToolChoice,
    ToolKind, ToolResult,
};
use crate::json::{Array, Object, Text};

use super::ask_read::CONFIG;
use super::proofs::{Proofs, before_current_turn};

/// Writes a request for a service.
pub(crate) fn write_ask(
    ask: &Ask<'_>,
    target: &Target,
    out: &mut Vec<u8>,
    losses: &mut Losses,
) -> Read<()> {
    let mut body = Object::open(out);
    let mut writing = Writing {
        ask,
        target,
        losses,
        names: HashMap::new(),
    };
    writing.system(&mut body)?;
    writing.contents(&mut body)?;
    writing.tools(&mut body)?;
    writing.config(&mut body.object("generationConfig"));
    if ask.user.is_some() {
        losses.add_at(LossCode::Metadata, "user");
    }
    if ask.origin != Dialect::GenerateContent {
        return lose_unknown(ask, Dialect::GenerateContent, losses);
    }
    for unknown in &ask.unknown {
        // Settings stand with the others.
        if !unknown.key.token().contains('.') {
            body.raw(unknown.key.token(), unknown.json);
        }
    }
    Ok(())
}

struct Writing<'a, 'b> {
    ask: &'a Ask<'b>,
    target: &'a Target,
    losses: &'a mut Losses,
    /// The name of the tool that a call is of; results are known by it.
    names: HashMap<Text<'a>, &'a Text<'b>>,
}

impl<'a, 'b> Writing<'a, 'b> {
    fn own(&self) -> bool {
        self.ask.origin == Dialect::GenerateContent
    }

    fn system(&mut self, body: &mut Object<'_>) -> Read<()> {
        let parts = instructions(self.ask, self.losses);
        if parts.is_empty() {
            return Ok(());
        }
        let mut instruction = body.object("systemInstruction");
        let mut written = instruction.array("parts");
        for part in parts {
            self.part(part, None, &mut written)?;
        }
        Ok(())
    }

    fn contents(&mut self, body: &mut Object<'_>) -> Read<()> {
        let mut contents = body.array("contents");
        let said = self.turns();
        let proven = if self.must_prove() {
            before_current_turn(&said)
        } else {
            said.len()
        };
        for (place, (role, parts)) in said.into_iter().enumerate() {
            let mut content = contents.object();
            content.str(
                "role",
                if role == Role::Assistant {
                    "model"
                } else {
                    "user"
                },
            );
            let mut written = content.array("parts");
            let mut proofs = Proofs::of(&parts, self.own());
            if !self.own() && parts.iter().any(|part| is_signed(part)) {
                self.losses.add(LossCode::ReasoningSignature);
            }
            if place >= proven && proofs.lack() {
                proofs.excuse();
                self.losses.add(LossCode::ReasoningSignature);
            }
            for part in parts {
                let proof = proofs.of_part(part);
                self.part(part, proof.as_ref(), &mut written)?;
            }
            if proofs.are_left() {
                self.losses.add(LossCode::ReasoningSignature);
            }
        }
        Ok(())
    }

    /// Whether calls of the current turn must have their proofs. Models that are told by a level how much to reason
    /// refuse the request without, and those that are told by a budget do not; where neither is known, an excuse is what
    /// both take.
    fn must_prove(&self) -> bool {
        self.target.thinking == ThinkingForm::Adaptive || !self.target.thinking_field
    }

    /// The conversation without what says nothing; what carries nothing but a proof becomes no turn of its own.
    fn turns(&mut self) -> Vec<Said<'a, 'b>> {
        for part in self.ask.turns.iter().flat_map(|turn| &turn.parts) {
            if let Content::ToolUse(call) = &part.content {
                self.names.insert(call.id.borrowed(), &call.name);
            }
        }
        let keep = |part: &Part<'_>| !matches!(&part.content, Content::Text { text, .. } if text.is_empty());
        let mut said = alternating(self.ask, Dialect::GenerateContent, self.losses, keep);
        let before = said.len();
        said.retain(|(_, parts)| parts.iter().any(|part| is_part(part)));
        if said.len() < before {
            self.losses.add(LossCode::Reasoning);
        }
        said
    }

    fn part(
        &mut self,
        part: &Part<'_>,
        proof: Option<&Text<'_>>,
        parts: &mut Array<'_>,
    ) -> Read<()> {
        if part.cache.is_some() {
            self.losses.add(LossCode::CacheControl);
        }
        if !is_part(part) {
            return Ok(());
        }
        if let Content::Unknown { json, .. } = &part.content
            && self.own()
        {
            parts.raw(json);
            return Ok(());
        }
        let mut written = parts.object();
        match &part.content {
            Content::Text { text, citations } => {
                if !citations.is_empty() {
                    self.losses.add(LossCode::Citations);
                }
                written.text("text", text);
            }
            Content::Refusal(text) => {
                self.losses.add(LossCode::RefusalMark);
                written.text("text", text);
            }
            Content::Reasoning(reasoning) => {
                written.text("text", &reasoning.text);
                written.bool("thought", true);
            }
            Content::Media(media) => self.media(media, &mut written)?,
            Content::ToolUse(call) => {
                let mut function = written.object("functionCall");
                function.text("id", &self.target.tool_ids.apply_text(&call.id));
                function.text("name", &call.name);
                if !call.arguments.write_object(function.key("args")) {
                    self.losses.add(LossCode::InvalidArguments);
                }
            }
            Content::ToolResult(result) => self.tool_result(result, &mut written)?,
            // Those of the same dialect are written before.
            Content::Unknown { .. } => {
                return unsupported("a part of this kind", Dialect::GenerateContent);
            }
        }
        written.text_if("thoughtSignature", proof);
        drop(written);
        if let Content::ToolResult(result) = &part.content {
            self.result_media(result, parts)?;
        }
        Ok(())
    }

    fn media(&mut self, media: &Media<'_>, part: &mut Object<'_>) -> Read<()> {
        lose_detail(media, self.losses);
        match &media.source {
            MediaSource::Plain(text) => {
                self.losses.add(LossCode::DocumentMark);
                part.text("text", text);
            }
            MediaSource::Base64 { media_type, data } => {
                let mut inline = part.object("inlineData");
                if media.kind == MediaKind::Audio {
                    inline.str("mimeType", &format!("audio/{}", media_type.plain()));
                } else {
                    inline.text("mimeType", media_type);
                }
                inline.text("data", data);
                if self.own() {
                    inline.text_if("displayName", media.name.as_ref());
                } else {
                    lose_name(media, self.losses);
                }
            }
            MediaSource::Url(_) => {
                return unsupported("an image or file by its address", Dialect::GenerateContent);
            }
            MediaSource::Id(_) => return unsupported("a file by its id", Dialect::GenerateContent),
        }
        Ok(())
    }

    /// Writes a result as an object, which the dialect demands. Its text stays one, whatever JSON it may hold: the
    /// service would read references in it.
    fn tool_result(&mut self, result: &ToolResult<'_>, part: &mut Object<'_>) -> Read<()> {
        let mut response = part.object("functionResponse");
        response.text("id", &self.target.tool_ids.apply_text(&result.id));
        match self.names.get(&result.id) {
            Some(name) => response.text("name", name),
            None => {
                return unsupported(
                    "the result of a tool that was not called",
                    Dialect::GenerateContent,
                );
            }
        }
        let mut inside = response.object("response");
        let key = if result.is_error == Some(true) {
            "error"
        } else {
            "output"
        };
        let out = inside.key(key);
        out.push(b'"');
        for part in &result.parts {
            if part.cache.is_some() {
                self.losses.add(LossCode::CacheControl);
            }
            match &part.content {
                Content::Text { text, .. } | Content::Refusal(text) => {
                    out.extend_from_slice(text.token().as_bytes())
                }
                Content::Media(_) => {}
                _ => {
                    return unsupported(
                        "a part of this kind in the result of a tool",
                        Dialect::GenerateContent,
                    );
                }
            }
        }
        out.push(b'"');
        Ok(())
    }

    fn result_media(&mut self, result: &ToolResult<'_>, parts: &mut Array<'_>) -> Read<()> {
        for part in &result.parts {
            if let Content::Media(media) = &part.content {
                self.losses.add(LossCode::ToolResultMedia);
                self.media(media, &mut parts.object())?;
            }
        }
        Ok(())
    }

    fn tools(&mut self, body: &mut Object<'_>) -> Read<()> {
        if self.ask.tools.is_empty() {
            return Ok(());
        }
        let mut tools = body.array("tools");
        let mut hosted = Vec::new();
        let mut tool = tools.object();
        let mut functions = tool.array("functionDeclarations");
        for tool in &self.ask.tools {
            if tool.cache.is_some() {
                self.losses.add(LossCode::CacheControl);
            }
            if self.own()
                && let ToolKind::Other { json, .. } = &tool.kind
            {
                hosted.push(*json);
                continue;
            }
            let ToolKind::Function {
                name,
                description,
                parameters,
                strict,
            } = &tool.kind
            else {
                return unsupported("a tool that the service runs", Dialect::GenerateContent);
            };
            if *strict == Some(true) {
                self.losses.add(LossCode::SchemaStrictness);
            }
            let mut function = functions.object();
            function.text("name", name);
            function.text_if("description", description.as_ref());
            // The older `parameters` knows a part of JSON Schema only.
            function.raw_if("parametersJsonSchema", parameters.as_deref());
        }
        drop(functions);
        drop(tool);
        hosted.iter().for_each(|json| tools.raw(json));
        drop(tools);
        if self.ask.parallel_tools == Some(false) {
            self.losses.add(LossCode::ParallelTools);
        }
        let (mode, one) = match &self.ask.choice {
            None => return Ok(()),
            Some(ToolChoice::Auto) => ("AUTO", None),
            Some(ToolChoice::None) => ("NONE", None),
            Some(ToolChoice::Required) => ("ANY", None),
            Some(ToolChoice::One(name)) => ("ANY", Some(name)),
        };
        let mut config = body.object("toolConfig");
        let mut calling = config.object("functionCallingConfig");
        calling.str("mode", mode);
        if let Some(name) = one {
            calling.array("allowedFunctionNames").text(name);
        }
        Ok(())
    }

    fn config(&mut self, config: &mut Object<'_>) {
        let sampling = &self.ask.sampling;
        if let Some(max) = self.ask.max_tokens {
            config.count("maxOutputTokens", max);
        }
        config.raw_if("temperature", sampling.temperature);
        config.raw_if("topP", sampling.top_p);
        config.raw_if("topK", sampling.top_k);
        config.raw_if("seed", sampling.seed);
        config.raw_if("frequencyPenalty", sampling.frequency_penalty);
        config.raw_if("presencePenalty", sampling.presence_penalty);
        write_stop(self.ask, "stopSequences", config);
        if let Some(format) = &self.ask.format {
            config.str("responseMimeType", "application/json");
            if let Format::Schema {
                schema,
                description,
                ..
            } = format
            {
                lose_description(description.as_ref(), self.losses);
                config.raw("responseJsonSchema", schema);
            }
        }
        self.thinking(config);
        if self.own() {
            for unknown in &self.ask.unknown {
                let setting = unknown.key.token().strip_prefix(CONFIG);
                if let Some(key) = setting.filter(|key| !key.contains('.')) {
                    config.raw(key, unknown.json);
                }
            }
        }
    }

    /// Says how much to reason. Of models that are told so by a level none can do without; the lowest that all of them
    /// take is the nearest. Of the others some refuse a budget of 0 and some any word of it, so that nothing is said.
    ///
    /// Sources: ai.google.dev/gemini-api/docs/thinking ("You cannot disable thinking"),
    /// docs.cloud.google.com/vertex-ai/generative-ai/docs/thinking (which model takes which level),
    /// github.com/immersive-translate/immersive-translate/issues/2976 ("thinking_config is not supported").
    fn thinking(&mut self, config: &mut Object<'_>) {
        let wish = &self.ask.thinking;
        if wish.on == Some(false) && self.own() {
            config.object("thinkingConfig").count("thinkingBudget", 0);
            return;
        }
        if wish.on == Some(false) {
            self.losses.add_at(LossCode::ReasoningEffort, "none");
            if self.target.thinking == ThinkingForm::Adaptive {
                config.object("thinkingConfig").str("thinkingLevel", "low");
            }
            return;
        }
        if !wish.wanted() {
            return;
        }
        let mut thinking = config.object("thinkingConfig");
        thinking.bool(
            "includeThoughts",
            wish.display
                .as_ref()
                .is_none_or(|display| display.token() != "omitted"),
        );
        let effort = wish.effort.as_ref().map(Text::token);
        match (self.target.thinking, wish.budget) {
            (ThinkingForm::Budget, Some(budget)) => thinking.count("thinkingBudget", budget),
            (ThinkingForm::Budget, None) => {
                if let Some(budget) = effort.map(budget_of) {
                    thinking.count("thinkingBudget", budget);
                }
            }
            (ThinkingForm::Adaptive, budget) => {
                if budget.is_some() {
                    self.losses.add_at(LossCode::ReasoningEffort, "budget");
                }
                if let Some(effort) = effort {
                    let level = level_of(effort, self.own());
                    if level == "low" && effort == "minimal" {
                        self.losses.add_at(LossCode::ReasoningEffort, effort);
                    }
                    thinking.str("thinkingLevel", level);
                }
            }
        }
    }
}

/// The tokens to reason with that an effort by name stands for.
fn budget_of(effort: &str) -> u64 {
    match effort {
        "minimal" | "low" => 1_024,
        "medium" => 8_192,
        _ => 24_576,
    }
}

/// The dialect has no level above `high`. Only who asks in it knows whether the model takes its lowest.
///
/// Source: docs.cloud.google.com/vertex-ai/generative-ai/docs/thinking (which model takes which level).
fn level_of(effort: &str, own: bool) -> &'static str {
    match effort {
        "minimal" if own => "minimal",
        "minimal" | "low" => "low",
        "medium" => "medium",
        _ => "high",
    }
}

fn is_signed(part: &Part<'_>) -> bool {
    matches!(&part.content, Content::Reasoning(reasoning) if reasoning.signature.is_some())
}

/// Whether it is written as a part; reasoning that nobody can read is the proof of another part.
fn is_part(part: &Part<'_>) -> bool {
    !matches!(&part.content, Content::Reasoning(reasoning) if reasoning.text.is_empty())
}
