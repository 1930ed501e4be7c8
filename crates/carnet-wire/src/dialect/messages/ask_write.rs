//! Writing a request.

use crate::dialect::settings::{
    NO_ARGUMENTS, lose_description, lose_sampling, unsupported, write_model, write_stop,
    write_unknown,
};
use crate::dialect::shape::Read;
use crate::dialect::turns::{Said, alternating, instructions, is_block};
use crate::dialect::{Dialect, Target, ThinkingForm};
use crate::form::{Ask, Content, Format, LossCode, Losses, Part, Role, Tool, ToolChoice, ToolKind};
use crate::json::{Array, Object, Text};

use super::blocks_write::Blocks;

/// The least tokens to reason with that the dialect allows.
const MIN_BUDGET: u64 = 1_024;

/// Writes a request for a service.
pub(crate) fn write_ask(
    ask: &Ask<'_>,
    target: &Target,
    out: &mut Vec<u8>,
    losses: &mut Losses,
) -> Read<()> {
    let mut body = Object::open(out);
    write_model(ask, target, &mut body);
    let max_tokens = max_tokens(ask, target);
    body.count("max_tokens", max_tokens);
    let mut writing = Writing {
        ask,
        target,
        blocks: Blocks {
            origin: ask.origin,
            tool_ids: target.tool_ids,
            unsigned: target.unsigned_reasoning,
            losses,
        },
    };
    writing.system(&mut body)?;
    let keep = |part: &Part<'_>| is_block(part, target.unsigned_reasoning);
    let turns = alternating(ask, Dialect::Messages, writing.blocks.losses, keep);
    writing.messages(&turns, &mut body)?;
    writing.tools(&mut body)?;
    let thinks = writing.thinking(&turns, max_tokens, &mut body);
    writing.output_config(thinks, &mut body);
    writing.sampling(thinks, &mut body);
    write_stop(ask, "stop_sequences", &mut body);
    if let Some(user) = &ask.user {
        body.object("metadata").text("user_id", user);
    }
    if ask.stream {
        body.bool("stream", true);
    }
    write_unknown(ask, Dialect::Messages, &mut body, losses)
}

struct Writing<'a, 'b> {
    ask: &'a Ask<'b>,
    target: &'a Target,
    blocks: Blocks<'a>,
}

impl Writing<'_, '_> {
    fn system(&mut self, body: &mut Object<'_>) -> Read<()> {
        let mut parts = instructions(self.ask, self.blocks.losses);
        parts.retain(|part| is_block(part, self.blocks.unsigned));
        match parts.as_slice() {
            [] => {}
            [
                Part {
                    content: Content::Text { text, .. },
                    cache: None,
                },
            ] => body.text("system", text),
            parts => {
                let mut blocks = body.array("system");
                for part in parts {
                    self.blocks.write(part, &mut blocks)?;
                }
            }
        }
        Ok(())
    }

    fn messages(&mut self, said: &[Said<'_, '_>], body: &mut Object<'_>) -> Read<()> {
        let mut messages = body.array("messages");
        for (role, parts) in said {
            let mut message = messages.object();
            message.str(
                "role",
                if *role == Role::User {
                    "user"
                } else {
                    "assistant"
                },
            );
            match parts.as_slice() {
                [
                    Part {
                        content: Content::Text { text, citations },
                        cache: None,
                    },
                ] if citations.is_empty() => {
                    message.text("content", text);
                }
                parts => {
                    let mut blocks = message.array("content");
                    for part in parts {
                        self.blocks.write(part, &mut blocks)?;
                    }
                }
            }
        }
        Ok(())
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
        let one_at_a_time = self.ask.parallel_tools.map(|parallel| !parallel);
        let (kind, name) = match &self.ask.choice {
            None if one_at_a_time.is_none() => return Ok(()),
            None | Some(ToolChoice::Auto) => ("auto", None),
            Some(ToolChoice::None) => ("none", None),
            Some(ToolChoice::Required) => ("any", None),
            Some(ToolChoice::One(name)) => ("tool", Some(name)),
        };
        let mut choice = body.object("tool_choice");
        choice.str("type", kind);
        choice.text_if("name", name);
        choice.bool_if(
            "disable_parallel_tool_use",
            one_at_a_time.filter(|_| kind != "none"),
        );
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
                written.text("name", name);
                written.text_if("description", description.as_ref());
                written.raw(
                    "input_schema",
                    parameters
                        .as_deref()
                        .filter(|schema| *schema != "{}")
                        .unwrap_or(NO_ARGUMENTS),
                );
                written.bool_if("strict", *strict);
                written.raw_if("cache_control", tool.cache);
            }
            ToolKind::Other { json, .. } if self.ask.origin == Dialect::Messages => tools.raw(json),
            ToolKind::Other { .. } => {
                return unsupported("a tool that the service runs", Dialect::Messages);
            }
        }
        Ok(())
    }

    /// Says how much to reason, and whether the model will. That it is not to is the default where a budget says how much;
    /// newer models may reason all the same, and some of them refuse to be told not to.
    ///
    /// Source: docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html (`disabled` is refused),
    /// platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting (which models reason by default).
    fn thinking(&mut self, said: &[Said<'_, '_>], max_tokens: u64, body: &mut Object<'_>) -> bool {
        let wish = &self.ask.thinking;
        let own = self.ask.origin == Dialect::Messages;
        if wish.on == Some(false) {
            if own {
                body.object("thinking").str("type", "disabled");
            } else if self.target.thinking == ThinkingForm::Adaptive {
                self.blocks.losses.add_at(LossCode::ReasoningEffort, "none");
            }
            return false;
        }
        // In this dialect an effort alone does not ask for reasoning.
        if !wish.wanted() || own && wish.on.is_none() {
            return false;
        }
        let adaptive = if own {
            wish.budget.is_none()
        } else {
            self.target.thinking == ThinkingForm::Adaptive
        };
        let forced = matches!(
            self.ask.choice,
            Some(ToolChoice::Required | ToolChoice::One(_))
        );
        let budget = budget(self.ask, max_tokens);
        // What the dialect would refuse together: to reason before a forced call, or only from the middle of a round
        // of calls on.
        let allowed = !forced && (adaptive || budget >= MIN_BUDGET && !begins_unreasoned(said));
        if !allowed {
            self.blocks.losses.add(LossCode::ReasoningEffort);
            return false;
        }
        let mut thinking = body.object("thinking");
        if adaptive {
            if wish.budget.is_some() {
                self.blocks
                    .losses
                    .add_at(LossCode::ReasoningEffort, "budget");
            }
            thinking.str("type", "adaptive");
        } else {
            if wish.budget.is_some_and(|wish| wish != budget) {
                self.blocks
                    .losses
                    .add_at(LossCode::ReasoningEffort, "budget");
            }
            thinking.str("type", "enabled");
            thinking.count("budget_tokens", budget);
        }
        thinking.text_if("display", wish.display.as_ref());
        true
    }

    fn output_config(&mut self, thinks: bool, body: &mut Object<'_>) {
        let effort = self.ask.thinking.effort.as_ref();
        // A budget says it already; beside one, or without reasoning, an effort is of this dialect only.
        let own = self.ask.origin == Dialect::Messages;
        let adaptive = self.target.thinking == ThinkingForm::Adaptive && thinks;
        let effort = effort.filter(|_| own || adaptive);
        let schema = match &self.ask.format {
            Some(Format::Schema {
                schema,
                description,
                ..
            }) => {
                lose_description(description.as_ref(), self.blocks.losses);
                Some(&**schema)
            }
            Some(Format::Json) => {
                self.blocks.losses.add(LossCode::JsonMode);
                None
            }
            None => None,
        };
        if effort.is_none() && schema.is_none() {
            return;
        }
        let mut config = body.object("output_config");
        if let Some(effort) = effort {
            let lowest = Text::new("low");
            config.text(
                "effort",
                if effort.token() == "minimal" {
                    &lowest
                } else {
                    effort
                },
            );
        }
        if let Some(schema) = schema {
            let mut format = config.object("format");
            format.str("type", "json_schema");
            format.raw("schema", schema);
        }
    }

    fn sampling(&mut self, thinks: bool, body: &mut Object<'_>) {
        let sampling = &self.ask.sampling;
        // With reasoning the dialect leaves sampling to the service.
        let own = self.ask.origin == Dialect::Messages;
        let mut settle = |key: &str, value: Option<&str>, max: f64| {
            let Some(value) = value else { return };
            if thinks && !own {
                self.blocks.losses.add_at(LossCode::Sampling, key);
            } else if value.parse::<f64>().is_ok_and(|value| value > max) {
                self.blocks.losses.add_at(LossCode::Sampling, key);
                body.raw(key, "1");
            } else {
                body.raw(key, value);
            }
        };
        settle("temperature", sampling.temperature, 1.0);
        settle("top_p", sampling.top_p, 1.0);
        settle("top_k", sampling.top_k, f64::INFINITY);
        let lacking = ["seed", "frequency_penalty", "presence_penalty"];
        lose_sampling(self.ask, &lacking, self.blocks.losses);
    }
}

/// The most tokens to answer with. They include those to reason with, which come on top where the request says
/// nothing.
fn max_tokens(ask: &Ask<'_>, target: &Target) -> u64 {
    let wish = &ask.thinking;
    let reasons =
        target.thinking == ThinkingForm::Budget && wish.on != Some(false) && wish.wanted();
    let beside = if reasons { budget(ask, u64::MAX) } else { 0 };
    ask.max_tokens
        .unwrap_or(target.max_tokens.saturating_add(beside))
}

/// The tokens to reason with: what the request says, or what its effort stands for, but then at most half of all.
fn budget(ask: &Ask<'_>, max_tokens: u64) -> u64 {
    let named = match ask.thinking.effort.as_ref().map(Text::token) {
        Some("minimal" | "low") => MIN_BUDGET,
        Some("high") => 16_384,
        Some("xhigh" | "max") => 32_768,
        _ => 4_096,
    };
    match ask.thinking.budget {
        Some(budget) => budget.max(MIN_BUDGET).min(max_tokens.saturating_sub(1)),
        None => named.min(max_tokens / 2),
    }
}

/// Whether the last thing that the model said is calls without the reasoning before them.
fn begins_unreasoned(said: &[Said<'_, '_>]) -> bool {
    let last = said.iter().rev().find(|(role, _)| *role == Role::Assistant);
    last.is_some_and(|(_, parts)| {
        let calls = parts
            .iter()
            .any(|part| matches!(part.content, Content::ToolUse(_)));
        let reasons = matches!(
            parts.first(),
            Some(Part {
                content: Content::Reasoning(_),
                ..
            })
        );
        calls && !reasons
    })
}
