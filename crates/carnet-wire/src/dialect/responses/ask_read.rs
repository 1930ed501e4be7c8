//! Reading a request.

use crate::dialect::Dialect;
use crate::dialect::shape::{
    Read, array, at_most, boolean, count, member, number, object, optional, shape, text,
};
use crate::form::{
    Ask, Content, Format, Part, Role, Tool, ToolChoice, ToolKind, Turn, Unknown, unique_ids,
};
use crate::json::{Document, Kind, Text, Value};
use crate::limits::{MAX_TOOL_CALLS, MAX_TURNS};

use super::items::read_item;

/// Reads a request. Members that are `null` count as absent.
pub(crate) fn read_ask<'b>(document: &'b Document<'b>) -> Read<Ask<'b>> {
    let mut ask = Ask::new(Dialect::Responses);
    // A stream of this dialect always tells its usage.
    ask.include_usage = true;
    let mut has_input = false;
    let mut instructions = None;
    for (key, value) in object(document.root(), "the body")?.members() {
        match &*key {
            _ if value.is_null() => {}
            "instructions" => instructions = Some(text(value, "instructions")?),
            _ => {
                has_input |= key == "input";
                if !read_member(&mut ask, &key, value)? {
                    ask.unknown.push(Unknown::new(&key, value));
                }
            }
        }
    }
    if !has_input {
        return shape("input", "a string or an array");
    }
    ask.instruct(instructions.map(Part::text).into_iter().collect());
    unique_ids(&mut ask.turns);
    Ok(ask)
}

/// Reads one top-level member; false if the form has no place for it.
fn read_member<'b>(ask: &mut Ask<'b>, key: &str, value: Value<'b>) -> Read<bool> {
    match key {
        "model" => ask.model = Some(text(value, "model")?),
        "input" => read_input(ask, value)?,
        "max_output_tokens" => ask.max_tokens = Some(count(value, "max_output_tokens")?),
        "tools" => read_tools(ask, array(value, "tools")?)?,
        "tool_choice" => return read_tool_choice(ask, value),
        "parallel_tool_calls" => ask.parallel_tools = Some(boolean(value, "parallel_tool_calls")?),
        "text" => return read_text(ask, value),
        "reasoning" => return read_reasoning(ask, value),
        "temperature" => ask.sampling.temperature = Some(number(value, "temperature")?),
        "top_p" => ask.sampling.top_p = Some(number(value, "top_p")?),
        "stream" => ask.stream = boolean(value, "stream")?,
        "stream_options" => {
            return Ok(value.members().all(|(key, _)| key == "include_obfuscation"));
        }
        "user" => ask.user = Some(text(value, "user")?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn read_input<'b>(ask: &mut Ask<'b>, value: Value<'b>) -> Read<()> {
    if let Some(text) = value.text() {
        let parts = vec![Part::text(text)];
        ask.turns.push(Turn {
            role: Role::User,
            parts,
            name: None,
        });
        return Ok(());
    }
    let mut calls = 0;
    for item in array(value, "input")?.elements() {
        let (role, parts) = read_item(item)?;
        calls += parts
            .iter()
            .filter(|part| matches!(part.content, Content::ToolUse(_)))
            .count();
        at_most(calls, MAX_TOOL_CALLS, "tool calls")?;
        match ask.turns.last_mut() {
            // Items are what other dialects call parts: what one side says in a row is one turn.
            Some(last) if last.role == role && role != Role::System => last.parts.extend(parts),
            _ => ask.turns.push(Turn {
                role,
                parts,
                name: None,
            }),
        }
        at_most(ask.turns.len(), MAX_TURNS, "turns")?;
    }
    Ok(())
}

fn read_tools<'b>(ask: &mut Ask<'b>, tools: Value<'b>) -> Read<()> {
    for tool in tools.elements() {
        let kind = member(object(tool, "tools[]")?, "type", "tools[].type")?;
        let kind = if kind.token() == "function" {
            ToolKind::Function {
                name: member(tool, "name", "tools[].name")?,
                description: optional(tool, "description"),
                parameters: tool
                    .get("parameters")
                    .filter(|schema| !schema.is_null())
                    .map(|schema| schema.raw().into()),
                strict: tool.get("strict").and_then(Value::bool),
            }
        } else {
            ToolKind::Other {
                kind,
                json: tool.raw(),
            }
        };
        ask.tools.push(Tool { kind, cache: None });
        at_most(ask.tools.len(), MAX_TOOL_CALLS, "tools")?;
    }
    Ok(())
}

fn read_tool_choice<'b>(ask: &mut Ask<'b>, value: Value<'b>) -> Read<bool> {
    let word = value.text();
    ask.choice = Some(match word.as_ref().map(Text::token) {
        Some("auto") => ToolChoice::Auto,
        Some("none") => ToolChoice::None,
        Some("required") => ToolChoice::Required,
        Some(_) => return shape("tool_choice", "`auto`, `none`, `required` or a function"),
        None if optional(value, "type").is_some_and(|kind| kind.token() == "function") => {
            ToolChoice::One(member(value, "name", "tool_choice.name")?)
        }
        None => return Ok(false),
    });
    Ok(true)
}

/// Reads `text: {"format"}`; false if there is more in it.
fn read_text<'b>(ask: &mut Ask<'b>, value: Value<'b>) -> Read<bool> {
    let mut known = true;
    for (key, value) in object(value, "text")?.members() {
        match &*key {
            _ if value.is_null() => {}
            "format" => known &= read_format(ask, value)?,
            // How much to say; no answer depends on it.
            "verbosity" => ask.unknown.push(Unknown::new("verbosity", value)),
            _ => known = false,
        }
    }
    Ok(known)
}

fn read_format<'b>(ask: &mut Ask<'b>, value: Value<'b>) -> Read<bool> {
    let kind = member(object(value, "text.format")?, "type", "text.format.type")?;
    ask.format = match kind.token() {
        "text" => None,
        "json_object" => Some(Format::Json),
        "json_schema" => Some(Format::Schema {
            name: optional(value, "name"),
            description: optional(value, "description"),
            schema: match value.get("schema") {
                Some(schema) if schema.kind() == Kind::Object => schema.raw().into(),
                _ => return shape("text.format.schema", "an object"),
            },
            strict: value.get("strict").and_then(Value::bool),
        }),
        _ => return Ok(false),
    };
    Ok(true)
}

/// Reads `reasoning: {"effort", "summary"}`; false if there is more in it.
fn read_reasoning<'b>(ask: &mut Ask<'b>, value: Value<'b>) -> Read<bool> {
    let mut known = true;
    for (key, value) in object(value, "reasoning")?.members() {
        match &*key {
            _ if value.is_null() => {}
            "effort" => {
                let effort = text(value, "reasoning.effort")?;
                if effort.token() == "none" {
                    ask.thinking.on = Some(false);
                } else {
                    ask.thinking.effort = Some(effort);
                }
            }
            "summary" | "generate_summary" => ask.thinking.display = Some(Text::new("summarized")),
            _ => known = false,
        }
    }
    Ok(known)
}
