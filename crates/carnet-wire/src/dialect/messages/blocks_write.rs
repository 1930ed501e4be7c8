//! Writing content blocks, which requests and answers have in common.

use crate::dialect::Dialect;
use crate::dialect::media::{lose_detail, lose_name};
use crate::dialect::settings::unsupported;
use crate::dialect::shape::Read;
use crate::dialect::turns::is_block;
use crate::form::{
    Citation, Content, IdRule, LossCode, Losses, Media, MediaKind, MediaSource, Part, Reasoning,
    ToolResult,
};
use crate::json::{Array, Object};

/// What the writing of blocks depends on.
pub(super) struct Blocks<'a> {
    /// The dialect that the parts were read from.
    pub(super) origin: Dialect,
    pub(super) tool_ids: IdRule,
    /// Whether reasoning without a proof is taken.
    pub(super) unsigned: bool,
    pub(super) losses: &'a mut Losses,
}

impl Blocks<'_> {
    pub(super) fn write(&mut self, part: &Part<'_>, blocks: &mut Array<'_>) -> Read<()> {
        if let Content::Unknown { json, .. } = &part.content {
            if self.origin == Dialect::Messages {
                blocks.raw(json);
                return Ok(());
            }
            return unsupported("a part of this kind", Dialect::Messages);
        }
        let mut block = blocks.object();
        match &part.content {
            Content::Text { text, citations } => {
                block.str("type", "text");
                block.text("text", text);
                self.citations(citations, &mut block);
            }
            Content::Refusal(text) => {
                self.losses.add(LossCode::RefusalMark);
                block.str("type", "text");
                block.text("text", text);
            }
            Content::Media(media) => self.media(media, &mut block)?,
            Content::Reasoning(reasoning) => write_reasoning(reasoning, &mut block),
            Content::ToolUse(call) => {
                block.str("type", "tool_use");
                block.text("id", &self.tool_ids.apply_text(&call.id));
                block.text("name", &call.name);
                if !call.arguments.write_object(block.key("input")) {
                    self.losses.add(LossCode::InvalidArguments);
                }
            }
            Content::ToolResult(result) => self.tool_result(result, &mut block)?,
            Content::Unknown { .. } => {}
        }
        block.raw_if("cache_control", part.cache);
        Ok(())
    }

    fn citations(&mut self, citations: &[Citation<'_>], block: &mut Object<'_>) {
        if citations.is_empty() {
            return;
        }
        if self.origin != Dialect::Messages {
            self.losses.add(LossCode::Citations);
            return;
        }
        let mut written = block.array("citations");
        citations
            .iter()
            .for_each(|citation| written.raw(citation.json));
    }

    fn media(&mut self, media: &Media<'_>, block: &mut Object<'_>) -> Read<()> {
        let image = match media.kind {
            MediaKind::Audio => return unsupported("sound", Dialect::Messages),
            MediaKind::Image => true,
            MediaKind::File => false,
        };
        block.str("type", if image { "image" } else { "document" });
        if image {
            lose_name(media, self.losses);
        } else {
            block.text_if("title", media.name.as_ref());
        }
        lose_detail(media, self.losses);
        let mut source = block.object("source");
        match &media.source {
            MediaSource::Base64 { media_type, .. }
                if !image && media_type.token() != "application/pdf" =>
            {
                return unsupported("a file that is not a PDF", Dialect::Messages);
            }
            MediaSource::Base64 { media_type, data } => {
                source.str("type", "base64");
                source.text("media_type", media_type);
                source.text("data", data);
            }
            MediaSource::Url(url) => {
                source.str("type", "url");
                source.text("url", url);
            }
            MediaSource::Plain(text) => {
                source.str("type", "text");
                source.str("media_type", "text/plain");
                source.text("data", text);
            }
            MediaSource::Id(id) if self.origin == Dialect::Messages => {
                source.str("type", "file");
                source.text("file_id", id);
            }
            MediaSource::Id(_) => return unsupported("a file by its id", Dialect::Messages),
        }
        Ok(())
    }

    fn tool_result(&mut self, result: &ToolResult<'_>, block: &mut Object<'_>) -> Read<()> {
        block.str("type", "tool_result");
        block.text("tool_use_id", &self.tool_ids.apply_text(&result.id));
        let parts: Vec<_> = result
            .parts
            .iter()
            .filter(|part| is_block(part, self.unsigned))
            .collect();
        match parts.as_slice() {
            [] => {}
            [
                Part {
                    content: Content::Text { text, citations },
                    cache: None,
                },
            ] if citations.is_empty() => {
                block.text("content", text);
            }
            parts => {
                let mut blocks = block.array("content");
                for part in parts {
                    self.write(part, &mut blocks)?;
                }
            }
        }
        block.bool_if("is_error", result.is_error);
        Ok(())
    }
}

/// Writes reasoning as a block; what can be read of it is written only where there is no other form of it.
fn write_reasoning(reasoning: &Reasoning<'_>, block: &mut Object<'_>) {
    match &reasoning.encrypted {
        Some(data) => {
            block.str("type", "redacted_thinking");
            block.text("data", data);
        }
        None => {
            block.str("type", "thinking");
            block.text("thinking", &reasoning.text);
            block.text(
                "signature",
                &reasoning.signature.clone().unwrap_or_default(),
            );
        }
    }
}
