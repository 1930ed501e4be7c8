//! Writing a request.

use crate::dialect::chat::{lose_order, write_tool_call};
use crate::dialect::media::{lose_name, write_data_url};
use crate::dialect::settings::{
    NO_ARGUMENTS, lose_description, unsupported, write_model, write_stop,
};
use crate::dialect::shape::Read;
use crate::dialect::{Dialect, Target, lose_unknown};
use crate::form::{
    Ask, Content, Format, LossCode, Losses, Media, MediaKind, MediaSource, Part, Reasoning, Role,
    Tool, ToolChoice, ToolKind, ToolResult, Turn,
};
use crate::json::{Array, Object, Text};

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
    writing.format(&mut body)?;
    writing.settings(&mut body);
    writing.thinking(&mut body);
    body.bool("stream", ask.stream);
    if ask.user.is_some() {
        losses.add_at(LossCode::Metadata, "user");
    }
    lose_unknown(ask, Dialect::Cohere, losses)
}

struct Writing<'a, 'b> {
    ask: &'a Ask<'b>,
    target: &'a Target,
    losses: &'a mut Losses,
}

impl<'b> Writing<'_, 'b> {
    fn messages(&mut self, messages: &mut Array<'_>) -> Read<()> {
        for turn in &self.ask.turns {
            if turn.name.is_some() {
                self.losses.add(LossCode::MessageName);
            }
            match turn.role {
                Role::System => self.said("system", turn.parts.iter().collect(), messages)?,
                Role::Assistant => self.assistant(turn, messages)?,
                Role::User => self.user(turn, messages)?,
            }
        }
        Ok(())
    }

    /// Results of tools are messages of their own, right behind the calls; their images follow as the user's.
    fn user(&mut self, turn: &Turn<'b>, messages: &mut Array<'_>) -> Read<()> {
        let mut said: Vec<&Part<'_>> = Vec::new();
        for part in &turn.parts {
            if let Content::ToolResult(result) = &part.content {
                self.lose_mark(part.cache);
                let is_media = |part: &&Part<'_>| matches!(part.content, Content::Media(_));
                let before = said.len();
                said.extend(result.parts.iter().filter(is_media));
                if said.len() > before {
                    self.losses.add(LossCode::ToolResultMedia);
                }
                self.tool_result(result, messages)?;
            }
        }
        let has_results = |part: &Part<'_>| matches!(part.content, Content::ToolResult(_));
        said.extend(turn.parts.iter().filter(|part| !has_results(part)));
        if said.is_empty() && turn.parts.iter().any(has_results) {
            return Ok(());
        }
        self.said("user", said, messages)
    }

    fn said(&mut self, role: &str, parts: Vec<&Part<'_>>, messages: &mut Array<'_>) -> Read<()> {
        let mut message = messages.object();
        message.str("role", role);
        self.content(&parts, &mut message)
    }

    /// Writes a text alone as a string, and anything else as a list of parts.
    fn content(&mut self, parts: &[&Part<'_>], message: &mut Object<'_>) -> Read<()> {
        match parts {
            [] => message.str("content", ""),
            [
                Part {
                    content: Content::Text { text, .. },
                    cache,
                },
            ] => {
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
        self.lose_mark(part.cache);
        match &part.content {
            Content::Text { text, citations } => {
                if !citations.is_empty() {
                    self.losses.add(LossCode::Citations);
                }
                write_text(text, content);
            }
            Content::Refusal(text) => {
                self.losses.add(LossCode::RefusalMark);
                write_text(text, content);
            }
            Content::Media(media) => self.media(media, content)?,
            Content::Unknown { .. } => return unsupported("a part of this kind", Dialect::Cohere),
            // These are no parts of what a user or a tool says.
            Content::Reasoning(_) | Content::ToolResult(_) | Content::ToolUse(_) => {}
        }
        Ok(())
    }

    fn media(&mut self, media: &Media<'_>, content: &mut Array<'_>) -> Read<()> {
        if let MediaSource::Plain(text) = &media.source {
            self.losses.add(LossCode::DocumentMark);
            write_text(text, content);
            return Ok(());
        }
        if media.kind != MediaKind::Image {
            return unsupported("a file or sound", Dialect::Cohere);
        }
        lose_name(media, self.losses);
        let mut part = content.object();
        part.str("type", "image_url");
        let mut image = part.object("image_url");
        match &media.source {
            MediaSource::Url(url) => image.text("url", url),
            MediaSource::Base64 { media_type, data } => {
                write_data_url("url", media_type, data, &mut image);
            }
            MediaSource::Id(_) | MediaSource::Plain(_) => {
                return unsupported("an image by the id of a file", Dialect::Cohere);
            }
        }
        image.text_if("detail", media.detail.as_ref());
        Ok(())
    }

    fn tool_result(&mut self, result: &ToolResult<'_>, messages: &mut Array<'_>) -> Read<()> {
        if result.is_error == Some(true) {
            self.losses.add(LossCode::ToolError);
        }
        let is_media = |part: &&Part<'_>| matches!(part.content, Content::Media(_));
        let said: Vec<&Part<'_>> = result.parts.iter().filter(|part| !is_media(part)).collect();
        let mut message = messages.object();
        message.str("role", "tool");
        message.text("tool_call_id", &self.target.tool_ids.apply_text(&result.id));
        self.content(&said, &mut message)
    }

    /// What the model has said: what it thought before a call as its plan, texts, and the calls. What says nothing is
    /// no message.
    fn assistant(&mut self, turn: &Turn<'_>, messages: &mut Array<'_>) -> Read<()> {
        lose_order(&turn.parts, self.losses);
        let has_calls = turn
            .parts
            .iter()
            .any(|part| matches!(part.content, Content::ToolUse(_)));
        let mut plan: Vec<&Text<'_>> = Vec::new();
        let mut shown: Vec<&Part<'_>> = Vec::new();
        for part in &turn.parts {
            match &part.content {
                Content::Reasoning(reasoning) if self.keeps(reasoning, has_calls) => {
                    if self.target.unsigned_reasoning {
                        shown.push(part);
                    } else {
                        plan.push(&reasoning.text);
                    }
                }
                Content::Reasoning(_) | Content::ToolResult(_) => {}
                Content::Refusal(text) | Content::Text { text, .. } if text.is_blank() => {}
                Content::Unknown { kind, .. } => {
                    self.losses.add_at(LossCode::UnknownPart, &kind.plain());
                }
                Content::ToolUse(_) => self.lose_mark(part.cache),
                Content::Media(_) | Content::Refusal(_) | Content::Text { .. } => shown.push(part),
            }
        }
        if shown.is_empty() && !has_calls {
            return Ok(());
        }
        let mut message = messages.object();
        message.str("role", "assistant");
        if !shown.is_empty() {
            self.shown(&shown, &mut message)?;
        }
        if !plan.is_empty() {
            let out = message.key("tool_plan");
            out.push(b'"');
            for text in plan {
                out.extend_from_slice(text.token().as_bytes());
            }
            out.push(b'"');
        }
        if has_calls {
            let mut calls = message.array("tool_calls");
            for part in &turn.parts {
                if let Content::ToolUse(call) = &part.content {
                    let id = self.target.tool_ids.apply_text(&call.id);
                    write_tool_call(&id, call, &mut calls);
                }
            }
        }
        Ok(())
    }

    /// Whether the service takes reasoning back, which it knows without a proof: as the plan of calls every model
    /// does, as a part of its own those that reason.
    fn keeps(&mut self, reasoning: &Reasoning<'_>, has_calls: bool) -> bool {
        let kept = !reasoning.text.is_empty() && (has_calls || self.target.unsigned_reasoning);
        if !kept {
            self.losses.add(LossCode::Reasoning);
        } else if reasoning.signature.is_some() || reasoning.encrypted.is_some() {
            self.losses.add(LossCode::ReasoningSignature);
        }
        kept
    }

    fn shown(&mut self, parts: &[&Part<'_>], message: &mut Object<'_>) -> Read<()> {
        let mut content = message.array("content");
        for part in parts {
            match &part.content {
                Content::Reasoning(reasoning) => {
                    let mut written = content.object();
                    written.str("type", "thinking");
                    written.text("thinking", &reasoning.text);
                }
                Content::Media(_) => {
                    return unsupported("an image, file or sound from the model", Dialect::Cohere);
                }
                _ => self.part(part, &mut content)?,
            }
        }
        Ok(())
    }

    /// The dialect cannot name the tool to call: then it is the only one to choose from.
    fn tools(&mut self, body: &mut Object<'_>) -> Read<()> {
        if self.ask.tools.is_empty() {
            return Ok(());
        }
        let one = match &self.ask.choice {
            Some(ToolChoice::One(name)) => Some(name),
            _ => None,
        };
        let mut strict = Vec::new();
        let mut tools = body.array("tools");
        for tool in &self.ask.tools {
            strict.extend(self.tool(tool, one, &mut tools)?);
        }
        drop(tools);
        if strict.is_empty() {
            return unsupported("the choice of a tool that is not there", Dialect::Cohere);
        }
        // The dialect says it of all tools or of none.
        if !strict.contains(&false) {
            body.bool("strict_tools", true);
        } else if strict.contains(&true) {
            self.losses.add(LossCode::SchemaStrictness);
        }
        if self.ask.parallel_tools == Some(false) {
            self.losses.add(LossCode::ParallelTools);
        }
        match &self.ask.choice {
            Some(ToolChoice::None) => body.str("tool_choice", "NONE"),
            Some(ToolChoice::One(_) | ToolChoice::Required) => body.str("tool_choice", "REQUIRED"),
            Some(ToolChoice::Auto) | None => {}
        }
        Ok(())
    }

    /// Writes a tool, if it is one to choose from; returns whether it is strict then.
    fn tool(
        &mut self,
        tool: &Tool<'_>,
        one: Option<&Text<'_>>,
        tools: &mut Array<'_>,
    ) -> Read<Option<bool>> {
        let ToolKind::Function {
            name,
            description,
            parameters,
            strict,
        } = &tool.kind
        else {
            return unsupported("a tool that the service runs", Dialect::Cohere);
        };
        if one.is_some_and(|one| one != name) {
            return Ok(None);
        }
        self.lose_mark(tool.cache);
        let mut written = tools.object();
        written.str("type", "function");
        let mut function = written.object("function");
        function.text("name", name);
        function.text_if("description", description.as_ref());
        function.raw("parameters", parameters.as_deref().unwrap_or(NO_ARGUMENTS));
        Ok(Some(*strict == Some(true)))
    }

    /// The service takes a shape of the answer only where there are no tools.
    fn format(&mut self, body: &mut Object<'_>) -> Read<()> {
        let Some(format) = &self.ask.format else {
            return Ok(());
        };
        if !self.ask.tools.is_empty() {
            return unsupported("a shape of the answer beside tools", Dialect::Cohere);
        }
        let mut written = body.object("response_format");
        written.str("type", "json_object");
        if let Format::Schema {
            schema,
            description,
            ..
        } = format
        {
            lose_description(description.as_ref(), self.losses);
            written.raw("json_schema", schema);
        }
        Ok(())
    }

    fn settings(&mut self, body: &mut Object<'_>) {
        let sampling = &self.ask.sampling;
        if let Some(max) = self.ask.max_tokens {
            body.count("max_tokens", max);
        }
        body.raw_if("temperature", sampling.temperature);
        body.raw_if("p", sampling.top_p);
        body.raw_if("k", sampling.top_k);
        body.raw_if("seed", sampling.seed);
        body.raw_if("frequency_penalty", sampling.frequency_penalty);
        body.raw_if("presence_penalty", sampling.presence_penalty);
        write_stop(self.ask, "stop_sequences", body);
    }

    fn thinking(&mut self, body: &mut Object<'_>) {
        let wish = &self.ask.thinking;
        if wish.on == Some(false) {
            // Of a model that is not known to reason it is not known either whether it takes that word.
            if self.target.unsigned_reasoning {
                body.object("thinking").str("type", "disabled");
            } else {
                self.losses.add_at(LossCode::ReasoningEffort, "none");
            }
            return;
        }
        if !wish.wanted() {
            return;
        }
        let mut thinking = body.object("thinking");
        thinking.str("type", "enabled");
        match wish.budget.filter(|budget| *budget > 0) {
            Some(budget) => thinking.count("token_budget", budget),
            // How many tokens an effort is depends on the model, which has its own measure without a budget.
            None if wish.effort.is_some() => self.losses.add(LossCode::ReasoningEffort),
            None => {}
        }
        if wish.display.is_some() {
            self.losses
                .add_at(LossCode::UnknownMember, "thinking.display");
        }
    }

    fn lose_mark(&mut self, mark: Option<&str>) {
        if mark.is_some() {
            self.losses.add(LossCode::CacheControl);
        }
    }
}

fn write_text(text: &Text<'_>, content: &mut Array<'_>) {
    let mut part = content.object();
    part.str("type", "text");
    part.text("text", text);
}
