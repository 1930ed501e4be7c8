//! Writing a request.

use crate::dialect::media::{lose_name, name_of_unnamed, write_data_url};
use crate::dialect::settings::{
    NO_ARGUMENTS, effort, lose_sampling, unsupported, user, write_model,
};
use crate::dialect::shape::Read;
use crate::dialect::{Dialect, Target, lose_unknown};
use crate::form::{
    Ask, Content, Format, LossCode, Losses, Media, MediaKind, MediaSource, Part, Reasoning, Role,
    ToolChoice, ToolKind, ToolResult, Turn,
};
use crate::json::{Array, Object, Text};

use super::resource::write_reasoning;

/// The fewest tokens to answer with that the dialect can be told: `max_output_tokens` has this minimum in
/// github.com/openai/openai-openapi (`openapi.json`, `CreateResponse`) and in openresponses.org's.
const MIN_OUTPUT_TOKENS: u64 = 16;

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
        has_reasoned: false,
    };
    writing.input(&mut body.array("input"))?;
    writing.tools(&mut body)?;
    writing.format(&mut body);
    writing.max_tokens(&mut body);
    writing.thinking(&mut body);
    writing.sampling(&mut body);
    body.text_if("user", user(ask, writing.losses));
    if ask.stream {
        body.bool("stream", true);
    }
    if ask.origin != Dialect::Responses {
        // Who speaks the other dialects sends the whole conversation every time.
        body.bool("store", false);
        return lose_unknown(ask, Dialect::Responses, losses);
    }
    for unknown in ask
        .unknown
        .iter()
        .filter(|unknown| unknown.key.token() != "verbosity")
    {
        body.raw(unknown.key.token(), unknown.json);
    }
    Ok(())
}

struct Writing<'a, 'b> {
    ask: &'a Ask<'b>,
    target: &'a Target,
    losses: &'a mut Losses,
    /// Whether an item of reasoning was written.
    has_reasoned: bool,
}

impl Writing<'_, '_> {
    fn input(&mut self, input: &mut Array<'_>) -> Read<()> {
        for turn in &self.ask.turns {
            if turn.name.is_some() {
                self.losses.add(LossCode::MessageName);
            }
            match turn.role {
                Role::Assistant => self.assistant(turn, input)?,
                Role::System => {
                    self.said("system", &turn.parts.iter().collect::<Vec<_>>(), input)?
                }
                Role::User => self.user(turn, input)?,
            }
        }
        Ok(())
    }

    fn user(&mut self, turn: &Turn<'_>, input: &mut Array<'_>) -> Read<()> {
        let mut said = Vec::new();
        for part in &turn.parts {
            match &part.content {
                Content::ToolResult(result) => {
                    self.lose_mark(part);
                    self.tool_result(result, input)?;
                }
                Content::Unknown { json, .. } if self.own() => input.raw(json),
                _ => said.push(part),
            }
        }
        if said.is_empty() {
            return Ok(());
        }
        self.said("user", &said, input)
    }

    fn said(&mut self, role: &str, parts: &[&Part<'_>], input: &mut Array<'_>) -> Read<()> {
        let mut item = input.object();
        item.str("type", "message");
        item.str("role", role);
        self.content("content", parts, &mut item)
    }

    /// Writes a text alone as a string, and anything else as a list of parts.
    fn content(&mut self, key: &str, parts: &[&Part<'_>], item: &mut Object<'_>) -> Read<()> {
        match parts {
            [] => item.str(key, ""),
            [
                part @ Part {
                    content: Content::Text { text, .. },
                    ..
                },
            ] => {
                self.lose_mark(part);
                item.text(key, text);
            }
            parts => {
                let mut content = item.array(key);
                for part in parts {
                    self.part(part, &mut content)?;
                }
            }
        }
        Ok(())
    }

    fn part(&mut self, part: &Part<'_>, content: &mut Array<'_>) -> Read<()> {
        self.lose_mark(part);
        match &part.content {
            Content::Text { text, .. } | Content::Refusal(text) => write_input_text(text, content),
            Content::Media(Media {
                source: MediaSource::Plain(text),
                ..
            }) => {
                self.losses.add(LossCode::DocumentMark);
                write_input_text(text, content);
            }
            Content::Media(media) => self.media(media, &mut content.object())?,
            Content::Unknown { json, .. } if self.own() => content.raw(json),
            Content::Unknown { .. } => {
                return unsupported("a part of this kind", Dialect::Responses);
            }
            // These are items of their own.
            Content::Reasoning(_) | Content::ToolResult(_) | Content::ToolUse(_) => {}
        }
        Ok(())
    }

    fn media(&mut self, media: &Media<'_>, part: &mut Object<'_>) -> Read<()> {
        let (kind, url, data) = match media.kind {
            MediaKind::Audio => return unsupported("sound", Dialect::Responses),
            MediaKind::File => ("input_file", "file_url", "file_data"),
            MediaKind::Image => ("input_image", "image_url", "image_url"),
        };
        part.str("type", kind);
        match &media.source {
            MediaSource::Url(address) => part.text(url, address),
            MediaSource::Base64 {
                media_type,
                data: bytes,
            } => write_data_url(data, media_type, bytes, part),
            MediaSource::Id(id) if self.own() => part.text("file_id", id),
            MediaSource::Id(_) | MediaSource::Plain(_) => {
                return unsupported("a file by its id", Dialect::Responses);
            }
        }
        match (&media.name, &media.source) {
            _ if media.kind == MediaKind::Image => lose_name(media, self.losses),
            (Some(name), _) => part.text("filename", name),
            (None, MediaSource::Base64 { media_type, .. }) => {
                part.str("filename", &name_of_unnamed(media_type));
            }
            (None, _) => {}
        }
        part.text_if("detail", media.detail.as_ref());
        Ok(())
    }

    fn tool_result(&mut self, result: &ToolResult<'_>, input: &mut Array<'_>) -> Read<()> {
        if result.is_error == Some(true) {
            self.losses.add(LossCode::ToolError);
        }
        let mut item = input.object();
        item.str("type", "function_call_output");
        item.text("call_id", &self.target.tool_ids.apply_text(&result.id));
        self.content(
            "output",
            &result.parts.iter().collect::<Vec<_>>(),
            &mut item,
        )
    }

    fn assistant(&mut self, turn: &Turn<'_>, input: &mut Array<'_>) -> Read<()> {
        for part in &turn.parts {
            self.lose_mark(part);
            match &part.content {
                Content::Text { text, .. } if text.is_empty() => {}
                Content::Text { text, citations } => {
                    if !citations.is_empty() {
                        self.losses.add(LossCode::Citations);
                    }
                    write_output("output_text", "text", text, input);
                }
                Content::Refusal(text) => write_output("refusal", "refusal", text, input),
                Content::ToolUse(call) => {
                    let mut item = input.object();
                    item.str("type", "function_call");
                    item.text("call_id", &self.target.tool_ids.apply_text(&call.id));
                    item.text("name", &call.name);
                    let out = item.key("arguments");
                    out.push(b'"');
                    call.arguments.write_quoted(out);
                    out.push(b'"');
                }
                Content::Reasoning(reasoning) => self.reasoning(reasoning, input),
                Content::Unknown { json, .. } if self.own() => input.raw(json),
                Content::Unknown { kind, .. } => {
                    self.losses.add_at(LossCode::UnknownPart, &kind.plain())
                }
                Content::Media(_) => {
                    return unsupported(
                        "an image, file or sound from the model",
                        Dialect::Responses,
                    );
                }
                Content::ToolResult(_) => {}
            }
        }
        Ok(())
    }

    fn reasoning(&mut self, reasoning: &Reasoning<'_>, input: &mut Array<'_>) {
        let proven = reasoning.signature.is_some() || reasoning.encrypted.is_some();
        if !proven && !self.target.unsigned_reasoning && !self.own() {
            self.losses.add(LossCode::Reasoning);
            return;
        }
        let mut item = input.object();
        item.str("type", "reasoning");
        // One that is made up does not fit what the service has sealed.
        item.text_if("id", reasoning.id.as_ref());
        self.has_reasoned = true;
        write_reasoning(reasoning, &mut item);
    }

    fn tools(&mut self, body: &mut Object<'_>) -> Read<()> {
        if self.ask.tools.is_empty() {
            return Ok(());
        }
        let mut tools = body.array("tools");
        for tool in &self.ask.tools {
            if tool.cache.is_some() {
                self.losses.add(LossCode::CacheControl);
            }
            match &tool.kind {
                ToolKind::Function {
                    name,
                    description,
                    parameters,
                    strict,
                } => {
                    let mut written = tools.object();
                    written.str("type", "function");
                    written.text("name", name);
                    written.text_if("description", description.as_ref());
                    written.raw("parameters", parameters.as_deref().unwrap_or(NO_ARGUMENTS));
                    // Left out it means yes here and no elsewhere.
                    written.bool("strict", strict.unwrap_or(false));
                }
                ToolKind::Other { json, .. } if self.own() => tools.raw(json),
                ToolKind::Other { .. } => {
                    return unsupported("a tool that the service runs", Dialect::Responses);
                }
            }
        }
        drop(tools);
        match &self.ask.choice {
            Some(ToolChoice::Auto) => body.str("tool_choice", "auto"),
            Some(ToolChoice::None) => body.str("tool_choice", "none"),
            Some(ToolChoice::Required) => body.str("tool_choice", "required"),
            Some(ToolChoice::One(name)) => {
                let mut choice = body.object("tool_choice");
                choice.str("type", "function");
                choice.text("name", name);
            }
            None => {}
        }
        body.bool_if("parallel_tool_calls", self.ask.parallel_tools);
        Ok(())
    }

    fn format(&mut self, body: &mut Object<'_>) {
        let verbosity = self
            .ask
            .unknown
            .iter()
            .find(|unknown| self.own() && unknown.key.token() == "verbosity");
        if self.ask.format.is_none() && verbosity.is_none() {
            return;
        }
        let mut text = body.object("text");
        text.raw_if("verbosity", verbosity.map(|unknown| unknown.json));
        match &self.ask.format {
            None => {}
            Some(Format::Json) => text.object("format").str("type", "json_object"),
            Some(Format::Schema {
                name,
                description,
                schema,
                strict,
            }) => {
                let mut format = text.object("format");
                format.str("type", "json_schema");
                // The dialect demands a name; nothing depends on it.
                format.text("name", name.as_ref().unwrap_or(&Text::new("answer")));
                format.text_if("description", description.as_ref());
                format.raw("schema", schema);
                format.bool_if("strict", *strict);
            }
        }
    }

    /// Fewer tokens than the dialect takes become as many as it takes. Who asks in the same one is told so by the service.
    fn max_tokens(&mut self, body: &mut Object<'_>) {
        let Some(max) = self.ask.max_tokens else {
            return;
        };
        if max < MIN_OUTPUT_TOKENS && !self.own() {
            self.losses.add(LossCode::TokenLimit);
            body.count("max_output_tokens", MIN_OUTPUT_TOKENS);
        } else {
            body.count("max_output_tokens", max);
        }
    }

    fn thinking(&mut self, body: &mut Object<'_>) {
        let wish = &self.ask.thinking;
        if wish.on == Some(false) {
            // Models that do not reason refuse any effort, and most of those that do refuse this one.
            if self.own() {
                body.object("reasoning").str("effort", "none");
            } else {
                self.losses.add_at(LossCode::ReasoningEffort, "none");
            }
            return;
        }
        if !self.own() && (wish.wanted() || self.has_reasoned) {
            // Else the service would keep what has to come back.
            body.array("include")
                .text(&Text::new("reasoning.encrypted_content"));
        }
        if wish.budget.is_some() {
            self.losses.add_at(LossCode::ReasoningEffort, "budget");
        } else if wish.on == Some(true) && wish.effort.is_none() {
            // As much as the model sees fit, for which there is no word.
            self.losses.add_at(LossCode::ReasoningEffort, "adaptive");
        }
        if !wish.wanted() && wish.display.is_none() {
            return;
        }
        let mut reasoning = body.object("reasoning");
        reasoning.text_if("effort", effort(self.ask, self.losses).as_ref());
        let hidden = wish
            .display
            .as_ref()
            .is_some_and(|display| display.token() == "omitted");
        if !hidden && (!self.own() || wish.display.is_some()) {
            reasoning.str("summary", "auto");
        }
    }

    fn sampling(&mut self, body: &mut Object<'_>) {
        let sampling = &self.ask.sampling;
        body.raw_if("temperature", sampling.temperature);
        body.raw_if("top_p", sampling.top_p);
        let lacking = ["top_k", "seed", "frequency_penalty", "presence_penalty"];
        lose_sampling(self.ask, &lacking, self.losses);
        if !self.ask.stop.is_empty() {
            self.losses.add_at(LossCode::Sampling, "stop");
        }
    }

    fn own(&self) -> bool {
        self.ask.origin == Dialect::Responses
    }

    fn lose_mark(&mut self, part: &Part<'_>) {
        if part.cache.is_some() {
            self.losses.add(LossCode::CacheControl);
        }
    }
}

fn write_input_text(text: &Text<'_>, content: &mut Array<'_>) {
    let mut part = content.object();
    part.str("type", "input_text");
    part.text("text", text);
}

fn write_output(kind: &str, key: &str, text: &Text<'_>, input: &mut Array<'_>) {
    let mut item = input.object();
    item.str("type", "message");
    item.str("role", "assistant");
    let mut content = item.array("content");
    let mut part = content.object();
    part.str("type", kind);
    part.text(key, text);
}
