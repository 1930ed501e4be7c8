//! Reading a request.

use crate::dialect::Dialect;
use crate::dialect::shape::{
    Read, array, at_most, boolean, count, member, number, object, optional, shape, text,
};
use crate::dialect::turns::{read_messages, read_role};
use crate::form::{Ask, Format, Thinking, Tool, ToolChoice, ToolKind, Turn, Unknown, unique_ids};
use crate::json::{Document, Value};
use crate::limits::MAX_TOOL_CALLS;

use super::blocks::read_content;

/// Reads a request. Members that are `null` count as absent.
pub(crate) fn read_ask<'b>(document: &'b Document<'b>) -> Read<Ask<'b>> {
    let mut ask = Ask::new(Dialect::Messages);
    // A stream of this dialect always tells its usage.
    ask.include_usage = true;
    let mut has_messages = false;
    let mut system = Vec::new();
    for (key, value) in object(document.root(), "the body")?.members() {
        match &*key {
            _ if value.is_null() => {}
            "system" => system = read_content(value, "system")?,
            _ => {
                has_messages |= key == "messages";
                if !read_member(&mut ask, &key, value)? {
                    ask.unknown.push(Unknown::new(&key, value));
                }
            }
        }
    }
    if !has_messages {
        return shape("messages", "an array");
    }
    ask.instruct(system);
    unique_ids(&mut ask.turns);
    Ok(ask)
}

/// Reads one top-level member; false if the form has no place for it.
fn read_member<'b>(ask: &mut Ask<'b>, key: &str, value: Value<'b>) -> Read<bool> {
    match key {
        "model" => ask.model = Some(text(value, "model")?),
        "messages" => read_messages(ask, array(value, "messages")?, turn)?,
        "max_tokens" => ask.max_tokens = Some(count(value, "max_tokens")?),
        "tools" => read_tools(ask, array(value, "tools")?)?,
        "tool_choice" => read_tool_choice(ask, value)?,
        "output_format" => return read_format(ask, value),
        "output_config" => return read_output_config(ask, value),
        "thinking" => return read_thinking(&mut ask.thinking, value),
        "temperature" => ask.sampling.temperature = Some(number(value, "temperature")?),
        "top_p" => ask.sampling.top_p = Some(number(value, "top_p")?),
        "top_k" => ask.sampling.top_k = Some(number(value, "top_k")?),
        "stop_sequences" => {
            for stop in array(value, "stop_sequences")?.elements() {
                ask.stop.push(text(stop, "stop_sequences[]")?);
            }
        }
        "stream" => ask.stream = boolean(value, "stream")?,
        "metadata" => {
            ask.user = optional(value, "user_id");
            return Ok(value.members().all(|(key, _)| key == "user_id"));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn turn(message: Value<'_>) -> Read<Turn<'_>> {
    let parts = match message.get("content") {
        Some(content) => read_content(content, "messages[].content")?,
        None => return shape("messages[].content", "a string or an array"),
    };
    Ok(Turn {
        role: read_role(message)?,
        parts,
        name: None,
    })
}

fn read_tools<'b>(ask: &mut Ask<'b>, tools: Value<'b>) -> Read<()> {
    for tool in tools.elements() {
        let kind =
            optional(object(tool, "tools[]")?, "type").filter(|kind| kind.token() != "custom");
        let kind = match kind {
            Some(kind) => ToolKind::Other {
                kind,
                json: tool.raw(),
            },
            None => ToolKind::Function {
                name: member(tool, "name", "tools[].name")?,
                description: optional(tool, "description"),
                parameters: tool
                    .get("input_schema")
                    .filter(|schema| !schema.is_null())
                    .map(|schema| schema.raw().into()),
                strict: tool.get("strict").and_then(Value::bool),
            },
        };
        let cache = tool
            .get("cache_control")
            .filter(|mark| !mark.is_null())
            .map(Value::raw);
        ask.tools.push(Tool { kind, cache });
        at_most(ask.tools.len(), MAX_TOOL_CALLS, "tools")?;
    }
    Ok(())
}

fn read_tool_choice<'b>(ask: &mut Ask<'b>, value: Value<'b>) -> Read<()> {
    let kind = member(object(value, "tool_choice")?, "type", "tool_choice.type")?;
    ask.choice = Some(match kind.token() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::One(member(value, "name", "tool_choice.name")?),
        _ => return shape("tool_choice.type", "`auto`, `any`, `none` or `tool`"),
    });
    let one_at_a_time = value.get("disable_parallel_tool_use").and_then(Value::bool);
    ask.parallel_tools = one_at_a_time.map(|one| !one);
    Ok(())
}

fn read_format<'b>(ask: &mut Ask<'b>, value: Value<'b>) -> Read<bool> {
    let kind = member(
        object(value, "output_format")?,
        "type",
        "output_format.type",
    )?;
    let schema = value.get("schema").filter(|schema| !schema.is_null());
    let (Some(schema), "json_schema") = (schema, kind.token()) else {
        return Ok(false);
    };
    ask.format = Some(Format::Schema {
        name: None,
        description: None,
        schema: schema.raw().into(),
        strict: Some(true),
    });
    Ok(true)
}

fn read_output_config<'b>(ask: &mut Ask<'b>, value: Value<'b>) -> Read<bool> {
    let mut known = true;
    for (key, value) in object(value, "output_config")?.members() {
        match &*key {
            _ if value.is_null() => {}
            "format" => known &= read_format(ask, value)?,
            "effort" => ask.thinking.effort = Some(text(value, "output_config.effort")?),
            _ => known = false,
        }
    }
    Ok(known)
}

/// Reads how much to reason; false if there is more to it than the form has a place for.
pub(crate) fn read_thinking<'b>(thinking: &mut Thinking<'b>, value: Value<'b>) -> Read<bool> {
    let kind = member(object(value, "thinking")?, "type", "thinking.type")?;
    match kind.token() {
        "enabled" => {
            thinking.on = Some(true);
            thinking.budget = value.get("budget_tokens").and_then(Value::count);
        }
        "adaptive" => thinking.on = Some(true),
        "disabled" => thinking.on = Some(false),
        _ => return Ok(false),
    }
    thinking.display = optional(value, "display");
    let mut members = value.members();
    Ok(members.all(|(key, _)| matches!(&*key, "type" | "budget_tokens" | "display")))
}
