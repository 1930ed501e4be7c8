//! Writing a request.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::dialect::media::{lose_detail, lose_name};
use crate::dialect::settings::{
    NO_ARGUMENTS, lose_sampling, unsupported, write_stop, write_unknown,
};
use crate::dialect::shape::Read;
use crate::dialect::turns::{alternating, instructions, is_block};
use crate::dialect::{Dialect, Target, ThinkingForm};
use crate::form::{
    Ask, Content, Format, LossCode, Losses, Media, MediaKind, MediaSource, Part, Reasoning, Role,
    ToolChoice, ToolKind, ToolResult,
};
use crate::json::{Array, Document, Object, Text};
use crate::limits::MAX_DEPTH;

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
        documents: HashMap::new(),
    };
    writing.system(&mut body)?;
    writing.messages(&mut body)?;
    writing.tools(&mut body)?;
    writing.format(&mut body);
    writing.config(&mut body);
    writing.thinking(&mut body);
    if ask.user.is_some() {
        losses.add_at(LossCode::Metadata, "user");
    }
    write_unknown(ask, Dialect::Converse, &mut body, losses)
}

struct Writing<'a, 'b> {
    ask: &'a Ask<'b>,
    target: &'a Target,
    losses: &'a mut Losses,
    /// The names of documents so far, which must differ, with how many were to have each.
    documents: HashMap<String, usize>,
}

impl<'a, 'b> Writing<'a, 'b> {
    fn system(&mut self, body: &mut Object<'_>) -> Read<()> {
        let mut parts = instructions(self.ask, self.losses);
        parts.retain(|part| self.is_block(part));
        if parts.is_empty() {
            return Ok(());
        }
        let mut blocks = body.array("system");
        for part in parts {
            self.block(part, &mut blocks)?;
        }
        Ok(())
    }

    fn messages(&mut self, body: &mut Object<'_>) -> Read<()> {
        let mut messages = body.array("messages");
        let unsigned = self.target.unsigned_reasoning;
        let keep = |part: &Part<'_>| is_block(part, unsigned);
        for (role, parts) in alternating(self.ask, Dialect::Converse, self.losses, keep) {
            let mut message = messages.object();
            message.str(
                "role",
                if role == Role::Assistant {
                    "assistant"
                } else {
                    "user"
                },
            );
            let mut blocks = message.array("content");
            for part in parts {
                self.block(part, &mut blocks)?;
            }
        }
        Ok(())
    }

    /// Says how much to reason. The dialect leaves that to the fields of each model; those of the same dialect go back as
    /// they came, and those of messages to models of which it is known that they are told in these. Which of them are told
    /// by a budget do not reason without; that another one is not to cannot be said to all.
    fn thinking(&mut self, body: &mut Object<'_>) {
        let wish = &self.ask.thinking;
        if self.ask.origin == Dialect::Converse {
            return;
        }
        let known = self.target.thinking_field;
        if wish.on == Some(false) {
            if !known || self.target.thinking == ThinkingForm::Adaptive {
                self.losses.add_at(LossCode::ReasoningEffort, "none");
            }
            return;
        }
        if !known || self.ask.origin != Dialect::Messages || wish.on.is_none() {
            if wish.wanted() {
                self.losses.add(LossCode::ReasoningEffort);
            }
            return;
        }
        let mut fields = body.object("additionalModelRequestFields");
        let mut thinking = fields.object("thinking");
        match wish.budget {
            Some(budget) => {
                thinking.str("type", "enabled");
                thinking.count("budget_tokens", budget);
            }
            None => thinking.str("type", "adaptive"),
        }
        thinking.text_if("display", wish.display.as_ref());
        if wish.effort.is_some() {
            self.losses.add_at(LossCode::ReasoningEffort, "effort");
        }
    }

    fn is_block(&self, part: &Part<'_>) -> bool {
        is_block(part, self.target.unsigned_reasoning)
    }

    fn block(&mut self, part: &Part<'_>, blocks: &mut Array<'_>) -> Read<()> {
        if let Content::Unknown { json, .. } = &part.content
            && self.ask.origin == Dialect::Converse
        {
            blocks.raw(json);
            return Ok(());
        }
        let mut block = blocks.object();
        match &part.content {
            Content::Text { text, citations } => {
                if !citations.is_empty() {
                    self.losses.add(LossCode::Citations);
                }
                block.text("text", text);
            }
            Content::Refusal(text) => {
                self.losses.add(LossCode::RefusalMark);
                block.text("text", text);
            }
            Content::Media(media) => self.media(media, &mut block)?,
            Content::Reasoning(reasoning) => {
                write_reasoning(reasoning, &mut block.object("reasoningContent"))
            }
            Content::ToolUse(call) => {
                let mut tool = block.object("toolUse");
                tool.text("toolUseId", &self.target.tool_ids.apply_text(&call.id));
                tool.text("name", &call.name);
                if !call.arguments.write_object(tool.key("input")) {
                    self.losses.add(LossCode::InvalidArguments);
                }
            }
            Content::ToolResult(result) => {
                self.tool_result(result, &mut block.object("toolResult"))?
            }
            Content::Unknown { .. } => {
                return unsupported("a part of this kind", Dialect::Converse);
            }
        }
        drop(block);
        let mark = match &part.content {
            Content::ToolResult(result) => part.cache.or_else(|| last_mark(&result.parts)),
            _ => part.cache,
        };
        self.cache_point(mark, blocks);
        Ok(())
    }

    /// A mark stands behind what it marks, as a block of its own. Five minutes are the default.
    ///
    /// Sources: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CachePointBlock.html, and
    /// API_runtime_ToolResultContentBlock.html there, which has none.
    fn cache_point(&mut self, mark: Option<&str>, blocks: &mut Array<'_>) {
        let Some(mark) = mark else { return };
        if !self.target.cache_control {
            self.losses.add(LossCode::CacheControl);
            return;
        }
        let mut block = blocks.object();
        let mut point = block.object("cachePoint");
        point.str("type", "default");
        match time_to_live(mark).as_deref() {
            None | Some("5m") => {}
            Some("1h") => point.str("ttl", "1h"),
            Some(_) => self.losses.add_at(LossCode::CacheControl, "ttl"),
        }
    }

    fn media(&mut self, media: &Media<'_>, block: &mut Object<'_>) -> Read<()> {
        lose_detail(media, self.losses);
        let format = match &media.source {
            MediaSource::Base64 { media_type, .. } => format_of(media.kind, &media_type.plain()),
            MediaSource::Plain(_) => Some("txt"),
            MediaSource::Url(_) => {
                return unsupported("an image or file by its address", Dialect::Converse);
            }
            MediaSource::Id(_) => return unsupported("a file by its id", Dialect::Converse),
        };
        let Some(format) = format else {
            return unsupported("a medium of this type", Dialect::Converse);
        };
        let image = media.kind == MediaKind::Image;
        let mut inside = block.object(if image { "image" } else { "document" });
        inside.str("format", format);
        if image {
            lose_name(media, self.losses);
        } else {
            let name = media.name.as_ref().map(Text::plain).unwrap_or_default();
            let name = self.named_apart(document_name(&name));
            inside.str("name", &name);
        }
        let mut source = inside.object("source");
        match &media.source {
            MediaSource::Base64 { data, .. } => source.text("bytes", data),
            MediaSource::Plain(text) => source.text("text", text),
            MediaSource::Id(_) | MediaSource::Url(_) => {}
        }
        Ok(())
    }

    /// The name of a document, with a number behind it if another one has it.
    fn named_apart(&mut self, name: String) -> String {
        let mut number = self.documents.get(&name).copied().unwrap_or(0);
        let own = loop {
            number += 1;
            if number == 1 {
                break name.clone();
            }
            let own = format!("{name} ({number})");
            if !self.documents.contains_key(&own) {
                break own;
            }
        };
        self.documents.insert(own.clone(), 1);
        self.documents.insert(name, number);
        own
    }

    fn tool_result(&mut self, result: &ToolResult<'_>, block: &mut Object<'_>) -> Read<()> {
        block.text("toolUseId", &self.target.tool_ids.apply_text(&result.id));
        let mut content = block.array("content");
        for part in &result.parts {
            match &part.content {
                Content::Text { .. } | Content::Refusal(_) if !self.is_block(part) => {}
                Content::Text { .. }
                | Content::Refusal(_)
                | Content::Media(_)
                | Content::Unknown { .. } => {
                    // A mark has no place in here, and stands behind the whole.
                    let unmarked = Part {
                        cache: None,
                        ..part.clone()
                    };
                    self.block(&unmarked, &mut content)?;
                }
                _ => {
                    return unsupported(
                        "a part of this kind in the result of a tool",
                        Dialect::Converse,
                    );
                }
            }
        }
        drop(content);
        if let Some(is_error) = result.is_error {
            block.str("status", if is_error { "error" } else { "success" });
        }
        Ok(())
    }

    /// The dialect has no word for not calling any tool, so tools are left out then; but it wants to know those that
    /// the conversation has called.
    fn tools(&mut self, body: &mut Object<'_>) -> Read<()> {
        let forbidden = self.ask.choice == Some(ToolChoice::None);
        let called = self.called();
        if (self.ask.tools.is_empty() || forbidden) && called.is_empty() {
            return Ok(());
        }
        if forbidden {
            self.losses.add(LossCode::ToolChoice);
        }
        if self.ask.parallel_tools == Some(false) {
            self.losses.add(LossCode::ParallelTools);
        }
        let mut config = body.object("toolConfig");
        let mut tools = config.array("tools");
        for tool in &self.ask.tools {
            if self.ask.origin == Dialect::Converse
                && let ToolKind::Other { json, .. } = &tool.kind
            {
                tools.raw(json);
                continue;
            }
            let ToolKind::Function {
                name,
                description,
                parameters,
                strict,
            } = &tool.kind
            else {
                return unsupported("a tool that the service runs", Dialect::Converse);
            };
            let description = description
                .as_ref()
                .filter(|description| !description.is_empty());
            let schema = parameters
                .as_deref()
                .filter(|schema| *schema != "{}")
                .unwrap_or(NO_ARGUMENTS);
            write_tool(
                name,
                description,
                schema,
                strict.filter(|strict| *strict),
                &mut tools,
            );
            self.cache_point(tool.cache, &mut tools);
        }
        if self.ask.tools.is_empty() {
            called
                .iter()
                .for_each(|name| write_tool(name, None, NO_ARGUMENTS, None, &mut tools));
        }
        drop(tools);
        match &self.ask.choice {
            Some(ToolChoice::Auto) => drop(config.object("toolChoice").object("auto")),
            Some(ToolChoice::Required) => drop(config.object("toolChoice").object("any")),
            Some(ToolChoice::One(name)) => config
                .object("toolChoice")
                .object("tool")
                .text("name", name),
            Some(ToolChoice::None) | None => {}
        }
        Ok(())
    }

    /// The names of tools that the conversation has called, each once.
    fn called(&self) -> Vec<&'a Text<'b>> {
        let parts = self.ask.turns.iter().flat_map(|turn| &turn.parts);
        let mut seen = HashSet::new();
        let names = parts.filter_map(|part| match &part.content {
            Content::ToolUse(call) => Some(&call.name),
            _ => None,
        });
        names.filter(|name| seen.insert(*name)).collect()
    }

    fn format(&mut self, body: &mut Object<'_>) {
        match &self.ask.format {
            None => {}
            Some(Format::Json) => self.losses.add(LossCode::JsonMode),
            Some(Format::Schema {
                name,
                description,
                schema,
                ..
            }) => {
                let mut config = body.object("outputConfig");
                let mut format = config.object("textFormat");
                format.str("type", "json_schema");
                let mut structure = format.object("structure");
                let mut inside = structure.object("jsonSchema");
                inside.text("name", name.as_ref().unwrap_or(&Text::new("answer")));
                inside.text_if("description", description.as_ref());
                // The schema is a text here.
                inside.str("schema", schema);
            }
        }
    }

    fn config(&mut self, body: &mut Object<'_>) {
        let sampling = &self.ask.sampling;
        let mut config = body.object("inferenceConfig");
        if let Some(max) = self.ask.max_tokens {
            config.count("maxTokens", max);
        }
        config.raw_if("temperature", sampling.temperature);
        config.raw_if("topP", sampling.top_p);
        write_stop(self.ask, "stopSequences", &mut config);
        let lacking = ["top_k", "seed", "frequency_penalty", "presence_penalty"];
        lose_sampling(self.ask, &lacking, self.losses);
    }
}

/// The last mark among parts of a result.
fn last_mark<'b>(parts: &[Part<'b>]) -> Option<&'b str> {
    parts.iter().rev().find_map(|part| part.cache)
}

/// How long a mark wants what it marks to be kept, where it says so.
fn time_to_live(mark: &str) -> Option<String> {
    let document = Document::read(mark.as_bytes(), MAX_DEPTH).ok()?;
    let told = document.root().get("ttl")?;
    told.string().map(Cow::into_owned)
}

fn write_tool(
    name: &Text<'_>,
    description: Option<&Text<'_>>,
    schema: &str,
    strict: Option<bool>,
    tools: &mut Array<'_>,
) {
    let mut tool = tools.object();
    let mut spec = tool.object("toolSpec");
    spec.text("name", name);
    spec.text_if("description", description);
    spec.object("inputSchema").raw("json", schema);
    spec.bool_if("strict", strict);
}

fn write_reasoning(reasoning: &Reasoning<'_>, content: &mut Object<'_>) {
    match &reasoning.encrypted {
        Some(data) => content.text("redactedContent", data),
        None => {
            let mut shown = content.object("reasoningText");
            shown.text("text", &reasoning.text);
            shown.text_if("signature", reasoning.signature.as_ref());
        }
    }
}

/// The dialect's name for a type of media.
fn format_of(kind: MediaKind, media_type: &str) -> Option<&'static str> {
    Some(match (kind, media_type) {
        (MediaKind::Image, "image/gif") => "gif",
        (MediaKind::Image, "image/jpeg" | "image/jpg") => "jpeg",
        (MediaKind::Image, "image/png") => "png",
        (MediaKind::Image, "image/webp") => "webp",
        (MediaKind::File, "application/pdf") => "pdf",
        (MediaKind::File, "text/csv") => "csv",
        (MediaKind::File, "text/html") => "html",
        (MediaKind::File, "text/markdown") => "md",
        (MediaKind::File, "text/plain") => "txt",
        _ => return None,
    })
}

/// Characters of a document's name, with room for a number behind them: the API takes 200
/// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html>).
const DOCUMENT_NAME_MAX: usize = 180;

/// A name of the characters that the dialect allows, in which no two spaces stand together.
fn document_name(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-()[]".contains(c);
    let words: Vec<&str> = name
        .split(|c| !allowed(c))
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        return "document".to_owned();
    }
    let mut name = words.join(" ");
    name.truncate(DOCUMENT_NAME_MAX);
    name.truncate(name.trim_end().len());
    name
}
