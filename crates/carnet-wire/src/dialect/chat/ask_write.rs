//! Writing a request.

use crate::dialect::media::{lose_detail, lose_name};
use crate::dialect::settings::{effort, unsupported, user, write_model, write_stop, write_unknown};
use crate::dialect::shape::Read;
use crate::dialect::turns::taking_turns;
use crate::dialect::{Dialect, ReasoningName, Target, TokenLimitName};
use crate::form::{
    Ask, Content, Format, LossCode, Losses, MediaKind, MediaSource, Part, Role, Tool, ToolChoice,
    ToolKind, ToolResult, Turn,
};
use crate::json::{Array, Object, Text};

use super::parts_write::{
    Reader, lose_order, write_media, write_reasoning, write_refusal, write_texts, write_tool_call,
};

/// Tokens to reason with that the efforts by name stand for, up to and including.
const LOW_EFFORT_MAX: u64 = 2_048;
const MEDIUM_EFFORT_MAX: u64 = 8_192;

/// Writes a request for a service.
pub(crate) fn write_ask(
    ask: &Ask<'_>,
    target: &Target,
    out: &mut Vec<u8>,
    losses: &mut Losses,
) -> Read<()> {
    let mut body = Object::open(out);
    write_model(ask, target, &mut body);
    let mut writing = Writing {
        ask,
        target,
        losses,
    };
    writing.messages(&mut body.array("messages"))?;
    writing.tools(&mut body)?;
    writing.format(&mut body);
    if let Some(max) = ask.max_tokens {
        let key = match target.token_limit {
            TokenLimitName::MaxCompletionTokens => "max_completion_tokens",
            TokenLimitName::MaxTokens => "max_tokens",
        };
        body.count(key, max);
    }
    writing.sampling(&mut body);
    write_stop(ask, "stop", &mut body);
    writing.thinking(&mut body);
    body.text_if("user", user(ask, writing.losses));
    if ask.stream {
        body.bool("stream", true);
        // Whatever the client wants to see: who pays wants to know what a stream has used.
        if target.stream_usage {
            body.object("stream_options").bool("include_usage", true);
        }
    }
    write_unknown(ask, Dialect::Chat, &mut body, losses)
}

struct Writing<'a, 'b> {
    ask: &'a Ask<'b>,
    target: &'a Target,
    losses: &'a mut Losses,
}

impl Writing<'_, '_> {
    fn messages(&mut self, messages: &mut Array<'_>) -> Read<()> {
        if self.target.alternating_roles {
            let turns = taking_turns(self.ask, self.losses);
            return turns.iter().try_for_each(|turn| self.turn(turn, messages));
        }
        let turns = &self.ask.turns;
        turns.iter().try_for_each(|turn| self.turn(turn, messages))
    }

    fn turn(&mut self, turn: &Turn<'_>, messages: &mut Array<'_>) -> Read<()> {
        match turn.role {
            Role::System => self.said("system", turn, &mut turn.parts.iter(), messages),
            Role::Assistant => self.assistant(turn, messages),
            Role::User => self.user(turn, messages),
        }
    }

    /// Results of tools are messages of their own here, and stand behind the call before anything else is said.
    fn user(&mut self, turn: &Turn<'_>, messages: &mut Array<'_>) -> Read<()> {
        let mut media = Vec::new();
        for part in &turn.parts {
            if let Content::ToolResult(result) = &part.content {
                self.tool_result(part, result, messages)?;
                media.extend(
                    result
                        .parts
                        .iter()
                        .filter(|part| matches!(part.content, Content::Media(_))),
                );
            }
        }
        if !media.is_empty() {
            self.losses.add(LossCode::ToolResultMedia);
        }
        let beside = turn
            .parts
            .iter()
            .filter(|part| !matches!(part.content, Content::ToolResult(_)));
        let mut said = media.into_iter().chain(beside).peekable();
        let only_results = said.peek().is_none() && !turn.parts.is_empty();
        if only_results {
            return Ok(());
        }
        self.said("user", turn, &mut said, messages)
    }

    fn said<'p, 'q: 'p>(
        &mut self,
        role: &str,
        turn: &Turn<'_>,
        parts: &mut dyn Iterator<Item = &'p Part<'q>>,
        messages: &mut Array<'_>,
    ) -> Read<()> {
        let parts: Vec<&Part<'_>> = parts.collect();
        let mut message = messages.object();
        message.str("role", role);
        message.text_if("name", turn.name.as_ref());
        self.content(&parts, &mut message)
    }

    /// Writes a text alone as a string, which every service takes, and anything else as a list of parts.
    fn content(&mut self, parts: &[&Part<'_>], message: &mut Object<'_>) -> Read<()> {
        match parts {
            [] => message.str("content", ""),
            [
                Part {
                    content: Content::Text { text, .. },
                    cache,
                },
            ] if cache.is_none() || !self.marks() => {
                self.lose_mark(*cache);
                message.text("content", text);
            }
            parts => {
                let mut content = message.array("content");
                for part in parts {
                    self.part(part, &mut content)?;
                }
            }
        }
        Ok(())
    }

    fn part(&mut self, part: &Part<'_>, content: &mut Array<'_>) -> Read<()> {
        match &part.content {
            Content::Unknown { json, .. } if self.ask.origin == Dialect::Chat => {
                content.raw(json);
                return Ok(());
            }
            Content::Unknown { .. } => return unsupported("a part of this kind", Dialect::Chat),
            // These are no parts here; whoever calls has seen to them.
            Content::Reasoning(_) | Content::ToolResult(_) | Content::ToolUse(_) => return Ok(()),
            Content::Media(_) | Content::Refusal(_) | Content::Text { .. } => {}
        }
        let mut written = content.object();
        match &part.content {
            Content::Text { text, .. } | Content::Refusal(text) => {
                written.str("type", "text");
                written.text("text", text);
            }
            Content::Media(media) => match &media.source {
                MediaSource::Plain(text) => {
                    self.losses.add(LossCode::DocumentMark);
                    written.str("type", "text");
                    written.text("text", text);
                }
                _ => {
                    if media.kind != MediaKind::File {
                        lose_name(media, self.losses);
                    }
                    if media.kind != MediaKind::Image {
                        lose_detail(media, self.losses);
                    }
                    write_media(media, self.ask.origin, &mut written)?;
                }
            },
            _ => {}
        }
        match part.cache {
            Some(mark) if self.marks() => written.raw("cache_control", mark),
            mark => self.lose_mark(mark),
        }
        Ok(())
    }

    fn tool_result(
        &mut self,
        part: &Part<'_>,
        result: &ToolResult<'_>,
        messages: &mut Array<'_>,
    ) -> Read<()> {
        self.lose_mark(part.cache);
        if result.is_error == Some(true) {
            self.losses.add(LossCode::ToolError);
        }
        let said: Vec<&Part<'_>> = result
            .parts
            .iter()
            .filter(|part| !matches!(part.content, Content::Media(_)))
            .collect();
        let mut message = messages.object();
        message.str("role", "tool");
        message.text("tool_call_id", &self.target.tool_ids.apply_text(&result.id));
        self.content(&said, &mut message)
    }

    fn assistant(&mut self, turn: &Turn<'_>, messages: &mut Array<'_>) -> Read<()> {
        if self.says_nothing(turn) {
            return Ok(());
        }
        let mut message = messages.object();
        message.str("role", "assistant");
        message.text_if("name", turn.name.as_ref());
        let reader = Reader {
            reasoning: self.target.reasoning,
            details: self.target.reasoning_details,
        };
        lose_order(&turn.parts, self.losses);
        write_reasoning(&turn.parts, &reader, &mut message, self.losses);
        write_texts(&turn.parts, &mut message);
        write_refusal(&turn.parts, &mut message);
        self.tool_calls(&turn.parts, &mut message);
        for part in &turn.parts {
            self.lose_mark(part.cache);
            match &part.content {
                Content::Unknown { kind, json }
                    if self.ask.origin == Dialect::Chat && kind.token() == "audio" =>
                {
                    message.raw("audio", json);
                }
                Content::Unknown { kind, .. } => {
                    self.losses.add_at(LossCode::UnknownPart, &kind.plain())
                }
                Content::Media(_) => {
                    return unsupported("an image, file or sound from the model", Dialect::Chat);
                }
                Content::Text { citations, .. } if !citations.is_empty() => {
                    self.losses.add(LossCode::Citations)
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether nothing of a turn comes over, as of one that was broken off in its thoughts: a message without content is
    /// refused. What is lost is named.
    fn says_nothing(&mut self, turn: &Turn<'_>) -> bool {
        let nothing = |part: &Part<'_>| match &part.content {
            Content::Reasoning(_) => self.target.reasoning == ReasoningName::Absent,
            Content::Unknown { .. } => self.ask.origin != Dialect::Chat,
            _ => false,
        };
        if self.ask.origin == Dialect::Chat || !turn.parts.iter().all(nothing) {
            return false;
        }
        for part in &turn.parts {
            match &part.content {
                Content::Unknown { kind, .. } => {
                    self.losses.add_at(LossCode::UnknownPart, &kind.plain());
                }
                _ => self.losses.add(LossCode::Reasoning),
            }
        }
        true
    }

    fn tool_calls(&mut self, parts: &[Part<'_>], message: &mut Object<'_>) {
        let mut calls = parts
            .iter()
            .filter_map(|part| match &part.content {
                Content::ToolUse(call) => Some(call),
                _ => None,
            })
            .peekable();
        if calls.peek().is_none() {
            return;
        }
        let mut written = message.array("tool_calls");
        for call in calls {
            write_tool_call(
                &self.target.tool_ids.apply_text(&call.id),
                call,
                &mut written,
            );
        }
    }

    fn tools(&mut self, body: &mut Object<'_>) -> Read<()> {
        if self.ask.tools.is_empty() {
            return Ok(());
        }
        let mut tools = body.array("tools");
        for tool in &self.ask.tools {
            self.tool(tool, &mut tools)?;
        }
        drop(tools);
        match &self.ask.choice {
            Some(ToolChoice::Auto) => body.str("tool_choice", "auto"),
            Some(ToolChoice::None) => body.str("tool_choice", "none"),
            Some(ToolChoice::Required) => body.str("tool_choice", "required"),
            Some(ToolChoice::One(name)) => {
                let mut choice = body.object("tool_choice");
                choice.str("type", "function");
                choice.object("function").text("name", name);
            }
            None => {}
        }
        match self.ask.parallel_tools {
            Some(parallel) if self.target.parallel_tool_calls => {
                body.bool("parallel_tool_calls", parallel);
            }
            Some(false) => self.losses.add(LossCode::ParallelTools),
            Some(true) | None => {}
        }
        Ok(())
    }

    fn tool(&mut self, tool: &Tool<'_>, tools: &mut Array<'_>) -> Read<()> {
        match &tool.kind {
            ToolKind::Function {
                name,
                description,
                parameters,
                strict,
            } => {
                let mut written = tools.object();
                written.str("type", "function");
                let mut function = written.object("function");
                function.text("name", name);
                function.text_if("description", description.as_ref());
                function.raw_if("parameters", parameters.as_deref());
                function.bool_if("strict", *strict);
                drop(function);
                match tool.cache {
                    Some(mark) if self.marks() => written.raw("cache_control", mark),
                    mark => self.lose_mark(mark),
                }
            }
            ToolKind::Other { json, .. } if self.ask.origin == Dialect::Chat => tools.raw(json),
            ToolKind::Other { .. } => {
                return unsupported("a tool that the service runs", Dialect::Chat);
            }
        }
        Ok(())
    }

    fn format(&mut self, body: &mut Object<'_>) {
        let Some(format) = &self.ask.format else {
            return;
        };
        let mut written = body.object("response_format");
        match format {
            Format::Json => written.str("type", "json_object"),
            Format::Schema {
                name,
                description,
                schema,
                strict,
            } => {
                written.str("type", "json_schema");
                let mut inside = written.object("json_schema");
                // The dialect demands a name; nothing depends on it.
                inside.text("name", name.as_ref().unwrap_or(&Text::new("answer")));
                inside.text_if("description", description.as_ref());
                inside.raw("schema", schema);
                inside.bool_if("strict", *strict);
            }
        }
    }

    fn sampling(&mut self, body: &mut Object<'_>) {
        let sampling = &self.ask.sampling;
        body.raw_if("temperature", sampling.temperature);
        body.raw_if("top_p", sampling.top_p);
        body.raw_if(self.target.seed, sampling.seed);
        body.raw_if("frequency_penalty", sampling.frequency_penalty);
        body.raw_if("presence_penalty", sampling.presence_penalty);
        if self.ask.origin == Dialect::Chat {
            // Not in the dialect, but many services take it; who asked in this dialect knows.
            body.raw_if("top_k", sampling.top_k);
        } else if sampling.top_k.is_some() {
            self.losses.add_at(LossCode::Sampling, "top_k");
        }
    }

    /// Says how much to reason. That it is not to be done is left out: models that do not reason refuse any effort, and
    /// most of those that do refuse `none`. Who asked in this dialect knows the model.
    ///
    /// Sources: platform.openai.com/docs/api-reference/chat/create (`reasoning_effort`: "Not all reasoning models support
    /// every value"), github.com/openai/openai-agents-python/issues/2089 (`none` where others take `minimal`).
    fn thinking(&mut self, body: &mut Object<'_>) {
        let thinking = &self.ask.thinking;
        if thinking.on == Some(false) {
            if self.ask.origin == Dialect::Chat {
                body.str("reasoning_effort", "none");
            } else {
                self.losses.add_at(LossCode::ReasoningEffort, "none");
            }
            return;
        }
        if thinking.budget.is_some() {
            self.losses.add_at(LossCode::ReasoningEffort, "budget");
        }
        if let Some(effort) = effort(self.ask, self.losses) {
            body.text("reasoning_effort", &effort);
        } else if let Some(budget) = thinking.budget {
            let effort = match budget {
                0..=LOW_EFFORT_MAX => "low",
                _ if budget <= MEDIUM_EFFORT_MAX => "medium",
                _ => "high",
            };
            body.str("reasoning_effort", effort);
        } else if thinking.on == Some(true) {
            // As much as the model sees fit, for which there is no word.
            self.losses.add_at(LossCode::ReasoningEffort, "adaptive");
        }
        if thinking.display.is_some() {
            self.losses
                .add_at(LossCode::UnknownMember, "thinking.display");
        }
    }

    /// Whether the service takes marks of what to cache. Who asked in this dialect and marked something knows.
    fn marks(&self) -> bool {
        self.target.cache_control || self.ask.origin == Dialect::Chat
    }

    fn lose_mark(&mut self, mark: Option<&str>) {
        if mark.is_some() {
            self.losses.add(LossCode::CacheControl);
        }
    }
}
