//! Writing a request.

use crate::dialect::shape::Read;
use crate::dialect::{Dialect, Target, ThinkingForm, lose_unknown};
use crate::form::{Ask, Content, Format, LossCode, Losses, Part, Role, Tool, ToolChoice, ToolKind};
use crate::json::{Array, Object, Text};

use super::blocks_write::{Blocks, unsupported};

/// The least tokens to reason with that the dialect allows.
const MIN_BUDGET: u64 = 1_024;

/// What the dialect demands of a tool without arguments.
const NO_ARGUMENTS: &str = r#"{"type":"object","properties":{}}"#;

/// Writes a request for a service.
pub(crate) fn write_ask(
    ask: &Ask<'_>,
    target: &Target,
    out: &mut Vec<u8>,
    losses: &mut Losses,
) -> Read<()> {
    let mut body = Object::open(out);
    match &target.model {
        Some(model) => body.str("model", model),
        None => body.text_if("model", ask.model.as_ref()),
    }
    let max_tokens = ask.max_tokens.unwrap_or(target.max_tokens);
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
    let turns = writing.turns();
    writing.messages(&turns, &mut body)?;
    writing.tools(&mut body)?;
    let thinks = writing.thinking(&turns, max_tokens, &mut body);
    writing.output_config(thinks, &mut body);
    writing.sampling(thinks, &mut body);
    if !ask.stop.is_empty() {
        let mut stop = body.array("stop_sequences");
        ask.stop.iter().for_each(|text| stop.text(text));
    }
    if let Some(user) = &ask.user {
        body.object("metadata").text("user_id", user);
    }
    if ask.stream {
        body.bool("stream", true);
    }
    if ask.origin != Dialect::Messages {
        return lose_unknown(ask, Dialect::Messages, losses);
    }
    for unknown in &ask.unknown {
        body.raw(unknown.key.token(), unknown.json);
    }
    Ok(())
}

/// What one side says until the other one speaks.
type Said<'p, 'b> = (Role, Vec<&'p Part<'b>>);

struct Writing<'a, 'b> {
    ask: &'a Ask<'b>,
    target: &'a Target,
    blocks: Blocks<'a>,
}

impl<'a, 'b> Writing<'a, 'b> {
    /// Instructions stand beside the conversation here, so those from its middle move to the front.
    fn system(&mut self, body: &mut Object<'_>) -> Read<()> {
        let turns = &self.ask.turns;
        let leading = turns
            .iter()
            .take_while(|turn| turn.role == Role::System)
            .count();
        let system = turns.iter().filter(|turn| turn.role == Role::System);
        if system.clone().count() > leading {
            self.blocks.losses.add(LossCode::SystemPosition);
        }
        let parts: Vec<_> = system
            .flat_map(|turn| &turn.parts)
            .filter(|part| self.blocks.is_block(part))
            .collect();
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

    /// The conversation with roles that alternate, without what would be an empty block.
    fn turns(&mut self) -> Vec<Said<'a, 'b>> {
        let mut said: Vec<Said<'a, 'b>> = Vec::new();
        for turn in self
            .ask
            .turns
            .iter()
            .filter(|turn| turn.role != Role::System)
        {
            if turn.name.is_some() {
                self.blocks.losses.add(LossCode::MessageName);
            }
            for part in &turn.parts {
                if !self.blocks.is_block(part) {
                    continue;
                }
                // What a service has done on its own while it answered; the answer stands without it.
                if let (Role::Assistant, Content::Unknown { kind, .. }) = (turn.role, &part.content)
                    && self.ask.origin != Dialect::Messages
                {
                    self.blocks
                        .losses
                        .add_at(LossCode::UnknownPart, &kind.plain());
                    continue;
                }
                match said.last_mut() {
                    Some((role, parts)) if *role == turn.role => parts.push(part),
                    _ => said.push((turn.role, vec![part])),
                }
            }
        }
        for (role, parts) in &mut said {
            if *role == Role::User {
                // The dialect wants results right behind their calls.
                parts.sort_by_key(|part| !matches!(part.content, Content::ToolResult(_)));
            }
        }
        said
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
        drop(messages);
        let all = self.ask.turns.iter().flat_map(|turn| &turn.parts);
        let lost = |part: &Part<'_>| matches!(&part.content, Content::Reasoning(reasoning) if !self.blocks.takes(reasoning));
        if all.into_iter().any(lost) {
            self.blocks.losses.add(LossCode::Reasoning);
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
                        .filter(|schema| *schema != "{}")
                        .unwrap_or(NO_ARGUMENTS),
                );
                written.bool_if("strict", *strict);
                written.raw_if("cache_control", tool.cache);
            }
            ToolKind::Other { json, .. } if self.ask.origin == Dialect::Messages => tools.raw(json),
            ToolKind::Other { .. } => return unsupported("a tool that the service runs"),
        }
        Ok(())
    }

    /// Says how much to reason, and whether the model will.
    fn thinking(&mut self, said: &[Said<'_, '_>], max_tokens: u64, body: &mut Object<'_>) -> bool {
        let wish = &self.ask.thinking;
        let own = self.ask.origin == Dialect::Messages;
        if wish.on == Some(false) {
            body.object("thinking").str("type", "disabled");
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
        let budget = self.budget().min(max_tokens.saturating_sub(1));
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

    /// The tokens to reason with that the efforts by name stand for.
    fn budget(&self) -> u64 {
        let wish = &self.ask.thinking;
        let named = match wish.effort.as_ref().map(Text::token) {
            Some("minimal" | "low") => MIN_BUDGET,
            Some("high") => 16_384,
            Some("xhigh" | "max") => 32_768,
            _ => 4_096,
        };
        wish.budget.unwrap_or(named).max(MIN_BUDGET)
    }

    fn output_config(&mut self, thinks: bool, body: &mut Object<'_>) {
        let effort = self.ask.thinking.effort.as_ref();
        // A budget says it already; beside one, or without reasoning, an effort is of this dialect only.
        let own = self.ask.origin == Dialect::Messages;
        let adaptive = self.target.thinking == ThinkingForm::Adaptive && thinks;
        let effort = effort.filter(|_| own || adaptive);
        let schema = match &self.ask.format {
            Some(Format::Schema { schema, .. }) => Some(*schema),
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
        for (key, value) in [
            ("seed", sampling.seed),
            ("frequency_penalty", sampling.frequency_penalty),
            ("presence_penalty", sampling.presence_penalty),
        ] {
            if value.is_some_and(|value| key == "seed" || value.parse::<f64>() != Ok(0.0)) {
                self.blocks.losses.add_at(LossCode::Sampling, key);
            }
        }
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
