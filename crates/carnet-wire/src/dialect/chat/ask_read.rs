//! Reading a request.

use crate::dialect::Dialect;
use crate::dialect::shape::{
    Read, array, at_most, boolean, count, member, number, object, optional, shape, text,
};
use crate::dialect::turns::read_messages;
use crate::form::{
    Ask, Content, Format, Part, Role, Tool, ToolChoice, ToolKind, ToolResult, Turn, Unknown,
    unique_ids,
};
use crate::json::{Document, Value};
use crate::limits::MAX_TOOL_CALLS;

use super::parts::{read_annotations, read_content, read_reasoning, read_tool_calls, tool_use};

/// Reads a request. Members that are `null` count as absent.
pub(crate) fn read_ask<'b>(document: &'b Document<'b>) -> Read<Ask<'b>> {
    let mut ask = Ask::new(Dialect::Chat);
    let mut has_messages = false;
    for (key, value) in object(document.root(), "the body")?.members() {
        if value.is_null() {
            continue;
        }
        has_messages |= key == "messages";
        if !read_member(&mut ask, &key, value)? {
            ask.unknown.push(Unknown::new(&key, value));
        }
    }
    if !has_messages {
        return shape("messages", "an array");
    }
    unique_ids(&mut ask.turns);
    Ok(ask)
}

/// Reads one top-level member; false if the form has no place for it.
fn read_member<'b>(ask: &mut Ask<'b>, key: &str, value: Value<'b>) -> Read<bool> {
    match key {
        "model" => ask.model = Some(text(value, "model")?),
        "messages" => read_messages(ask, array(value, "messages")?, turn)?,
        "tools" => read_tools(ask, array(value, "tools")?)?,
        "tool_choice" => ask.choice = Some(tool_choice(value)?),
        "parallel_tool_calls" => ask.parallel_tools = Some(boolean(value, "parallel_tool_calls")?),
        "response_format" => return read_format(ask, value),
        "max_completion_tokens" => ask.max_tokens = Some(count(value, "max_completion_tokens")?),
        // The newer name wins, whichever comes first.
        "max_tokens" => ask.max_tokens = ask.max_tokens.or(Some(count(value, "max_tokens")?)),
        "temperature" => ask.sampling.temperature = Some(number(value, "temperature")?),
        "top_p" => ask.sampling.top_p = Some(number(value, "top_p")?),
        "top_k" => ask.sampling.top_k = Some(number(value, "top_k")?),
        "seed" => ask.sampling.seed = Some(number(value, "seed")?),
        "frequency_penalty" => {
            ask.sampling.frequency_penalty = Some(number(value, "frequency_penalty")?)
        }
        "presence_penalty" => {
            ask.sampling.presence_penalty = Some(number(value, "presence_penalty")?)
        }
        "stop" => read_stop(ask, value)?,
        "stream" => ask.stream = boolean(value, "stream")?,
        "stream_options" => return Ok(read_stream_options(ask, value)),
        "reasoning_effort" => read_effort(ask, value)?,
        "reasoning" => return read_reasoning_wish(ask, value),
        "user" => ask.user = Some(text(value, "user")?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn read_stop<'b>(ask: &mut Ask<'b>, value: Value<'b>) -> Read<()> {
    if let Some(stop) = value.text() {
        ask.stop.push(stop);
        return Ok(());
    }
    for stop in array(value, "stop")?.elements() {
        ask.stop.push(text(stop, "stop[]")?);
    }
    Ok(())
}

/// True if nothing in it but the wish for usage is set.
fn read_stream_options(ask: &mut Ask<'_>, value: Value<'_>) -> bool {
    ask.include_usage = value.get("include_usage").and_then(Value::bool) == Some(true);
    value
        .members()
        .all(|(key, _)| key == "include_usage" || key == "include_obfuscation")
}

fn read_effort<'b>(ask: &mut Ask<'b>, value: Value<'b>) -> Read<()> {
    let effort = text(value, "reasoning_effort")?;
    if effort.token() == "none" {
        ask.thinking.on = Some(false);
    } else {
        ask.thinking.effort = Some(effort);
    }
    Ok(())
}

/// Reads `reasoning: {"effort", "max_tokens", "enabled"}`; false if there is more in it.
fn read_reasoning_wish<'b>(ask: &mut Ask<'b>, value: Value<'b>) -> Read<bool> {
    let mut known = true;
    for (key, value) in object(value, "reasoning")?.members() {
        match &*key {
            _ if value.is_null() => {}
            "effort" => read_effort(ask, value)?,
            "max_tokens" => ask.thinking.budget = Some(count(value, "reasoning.max_tokens")?),
            "enabled" => ask.thinking.on = Some(boolean(value, "reasoning.enabled")?),
            _ => known = false,
        }
    }
    Ok(known)
}

fn read_format<'b>(ask: &mut Ask<'b>, value: Value<'b>) -> Read<bool> {
    let kind = member(
        object(value, "response_format")?,
        "type",
        "response_format.type",
    )?;
    ask.format = match kind.token() {
        "text" => None,
        "json_object" => Some(Format::Json),
        "json_schema" => match schema(value) {
            Some(schema) => Some(schema),
            None => return Ok(false),
        },
        _ => return Ok(false),
    };
    Ok(true)
}

/// Some services take the schema without the object around it that has its name.
fn schema(value: Value<'_>) -> Option<Format<'_>> {
    let inside = value.get("json_schema").unwrap_or(value);
    let schema = inside.get("schema").filter(|schema| !schema.is_null())?;
    Some(Format::Schema {
        name: optional(inside, "name"),
        description: optional(inside, "description"),
        schema: schema.raw().into(),
        strict: inside.get("strict").and_then(Value::bool),
    })
}

fn tool_choice(value: Value<'_>) -> Read<ToolChoice<'_>> {
    let place = "tool_choice";
    if let Some(word) = value.text() {
        return match word.token() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            // Some services say `any`.
            "required" | "any" => Ok(ToolChoice::Required),
            _ => shape(place, "`auto`, `none`, `required` or a function"),
        };
    }
    match value.get("function") {
        Some(function) => Ok(ToolChoice::One(member(
            function,
            "name",
            "tool_choice.function.name",
        )?)),
        None => shape(place, "`auto`, `none`, `required` or a function"),
    }
}

fn read_tools<'b>(ask: &mut Ask<'b>, tools: Value<'b>) -> Read<()> {
    for tool in tools.elements() {
        let function = object(tool, "tools[]")?
            .get("function")
            .filter(|function| !function.is_null());
        let kind = match function {
            Some(function) => ToolKind::Function {
                name: member(function, "name", "tools[].function.name")?,
                description: optional(function, "description"),
                parameters: function
                    .get("parameters")
                    .filter(|schema| !schema.is_null())
                    .map(|schema| schema.raw().into()),
                strict: function.get("strict").and_then(Value::bool),
            },
            None => ToolKind::Other {
                kind: member(tool, "type", "tools[].type")?,
                json: tool.raw(),
            },
        };
        let cache = tool.get("cache_control").filter(|mark| !mark.is_null());
        let cache = cache.map(Value::raw);
        ask.tools.push(Tool { kind, cache });
        at_most(ask.tools.len(), MAX_TOOL_CALLS, "tools")?;
    }
    Ok(())
}

fn turn(message: Value<'_>) -> Read<Turn<'_>> {
    let role = member(message, "role", "messages[].role")?;
    let (role, mut parts) = match role.token() {
        "system" | "developer" => (Role::System, content(message)?),
        "user" => (Role::User, content(message)?),
        "assistant" => (Role::Assistant, assistant(message)?),
        "tool" | "function" => (Role::User, vec![tool_result(message)?]),
        _ => {
            return shape(
                "messages[].role",
                "`system`, `developer`, `user`, `assistant` or `tool`",
            );
        }
    };
    // A mark on the whole message stands behind its last part.
    let mark = message.get("cache_control").filter(|mark| !mark.is_null());
    if let (Some(mark), Some(last)) = (mark, parts.last_mut()) {
        last.cache = last.cache.or(Some(mark.raw()));
    }
    Ok(Turn {
        role,
        parts,
        name: optional(message, "name"),
    })
}

fn content(message: Value<'_>) -> Read<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    if let Some(content) = message.get("content").filter(|content| !content.is_null()) {
        read_content(content, &mut parts)?;
    }
    Ok(parts)
}

fn assistant(message: Value<'_>) -> Read<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    read_reasoning(message, &mut parts);
    parts.extend(content(message)?);
    let text = parts
        .iter_mut()
        .rev()
        .find_map(|part| match &mut part.content {
            Content::Text { citations, .. } => Some(citations),
            _ => None,
        });
    if let Some(citations) = text {
        *citations = read_annotations(message);
    }
    if let Some(refusal) = optional(message, "refusal").filter(|refusal| !refusal.is_empty()) {
        parts.push(Part::new(Content::Refusal(refusal)));
    }
    let old_call = message.get("function_call").filter(|call| !call.is_null());
    match message.get("tool_calls").filter(|calls| !calls.is_null()) {
        Some(calls) => read_tool_calls(calls, &mut parts)?,
        None => {
            if let Some(call) = old_call {
                parts.push(Part::new(Content::ToolUse(tool_use(
                    Default::default(),
                    call,
                )?)));
            }
        }
    }
    if let Some(audio) = message.get("audio").filter(|audio| !audio.is_null()) {
        parts.push(Part::new(Content::Unknown {
            kind: crate::json::Text::new("audio"),
            json: audio.raw(),
        }));
    }
    Ok(parts)
}

fn tool_result(message: Value<'_>) -> Read<Part<'_>> {
    Ok(Part::new(Content::ToolResult(ToolResult {
        id: optional(message, "tool_call_id").unwrap_or_default(),
        parts: content(message)?,
        is_error: None,
    })))
}
