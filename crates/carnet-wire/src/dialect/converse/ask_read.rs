//! Reading a request. The model's name and whether to stream stand in the address.

use crate::dialect::shape::{Read, array, at_most, count, member, number, object, shape, text};
use crate::dialect::turns::{read_messages, read_role};
use crate::dialect::{Dialect, messages};
use crate::form::{
    Ask, Format, Role, Thinking, Tool, ToolChoice, ToolKind, Turn, Unknown, unique_ids,
};
use crate::json::{Document, Kind, Text, Value};
use crate::limits::{MAX_DEPTH, MAX_TOOL_CALLS};

use super::blocks::{mark, only_member, read_blocks};

/// Reads a request. Members that are `null` count as absent.
pub(crate) fn read_ask<'b>(document: &'b Document<'b>) -> Read<Ask<'b>> {
    let mut ask = Ask::new(Dialect::Converse);
    // A stream of this dialect always tells its usage.
    ask.include_usage = true;
    let root = object(document.root(), "the body")?;
    if let Some(system) = root.get("system").filter(|system| !system.is_null()) {
        let parts = read_blocks(system, "system")?;
        if !parts.is_empty() {
            ask.turns.push(turn(Role::System, parts));
        }
    }
    let messages = match root.get("messages") {
        Some(messages) => array(messages, "messages")?,
        None => return shape("messages", "an array"),
    };
    read_messages(&mut ask, messages, message)?;
    for (key, value) in root.members() {
        if !value.is_null() && !read_member(&mut ask, &key, value)? {
            ask.unknown.push(Unknown::new(&key, value));
        }
    }
    unique_ids(&mut ask.turns);
    Ok(ask)
}

/// Reads one top-level member; false if the form has no place for it.
fn read_member<'b>(ask: &mut Ask<'b>, key: &str, value: Value<'b>) -> Read<bool> {
    match key {
        "messages" | "system" => {}
        "inferenceConfig" => read_config(ask, object(value, "inferenceConfig")?)?,
        "toolConfig" => read_tools(ask, object(value, "toolConfig")?)?,
        "outputConfig" => return read_format(ask, object(value, "outputConfig")?),
        // Kept as they are too, for the same dialect.
        "additionalModelRequestFields" => {
            ask.thinking = read_thinking(value).unwrap_or_default();
            return Ok(false);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Reads how much to reason, where the fields that are meant for the model say so in the words of one dialect: they reach
/// the model as they are.
///
/// Sources: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html (`additionalModelRequestFields`),
/// docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html (`thinking`).
pub(super) fn read_thinking(fields: Value<'_>) -> Option<Thinking<'_>> {
    let mut thinking = Thinking::default();
    let read = messages::read_thinking(&mut thinking, fields.get("thinking")?);
    (read == Ok(true)).then_some(thinking)
}

fn turn(role: Role, parts: Vec<crate::form::Part<'_>>) -> Turn<'_> {
    Turn {
        role,
        parts,
        name: None,
    }
}

fn message(message: Value<'_>) -> Read<Turn<'_>> {
    let parts = match message.get("content") {
        Some(content) => read_blocks(content, "messages[].content")?,
        None => return shape("messages[].content", "an array"),
    };
    Ok(turn(read_role(message)?, parts))
}

fn read_config<'b>(ask: &mut Ask<'b>, config: Value<'b>) -> Read<()> {
    for (key, value) in config.members() {
        match &*key {
            _ if value.is_null() => {}
            "maxTokens" => ask.max_tokens = Some(count(value, "inferenceConfig.maxTokens")?),
            "temperature" => {
                ask.sampling.temperature = Some(number(value, "inferenceConfig.temperature")?);
            }
            "topP" => ask.sampling.top_p = Some(number(value, "inferenceConfig.topP")?),
            "stopSequences" => {
                for stop in array(value, "inferenceConfig.stopSequences")?.elements() {
                    ask.stop
                        .push(text(stop, "inferenceConfig.stopSequences[]")?);
                }
            }
            // What else stands there is named with the rest that is not read.
            _ => {}
        }
    }
    Ok(())
}

fn read_tools<'b>(ask: &mut Ask<'b>, config: Value<'b>) -> Read<()> {
    let tools = config.get("tools").filter(|tools| !tools.is_null());
    let tools = tools.map(|tools| array(tools, "toolConfig.tools"));
    for tool in tools.transpose()?.into_iter().flat_map(Value::elements) {
        let Some((key, value)) = only_member(tool) else {
            return shape("toolConfig.tools[]", "an object with one member");
        };
        let kind = match &*key {
            "cachePoint" => {
                match ask.tools.last_mut() {
                    Some(marked) => marked.cache = Some(mark(value)),
                    None => return shape("cachePoint", "behind the tool that it marks"),
                }
                continue;
            }
            "toolSpec" => read_tool(value)?,
            _ => ToolKind::Other {
                kind: Text::new(&key).into_owned(),
                json: tool.raw(),
            },
        };
        ask.tools.push(Tool { kind, cache: None });
        at_most(ask.tools.len(), MAX_TOOL_CALLS, "tools")?;
    }
    let choice = config.get("toolChoice").filter(|choice| !choice.is_null());
    let Some(choice) = choice else { return Ok(()) };
    let chosen = only_member(choice);
    ask.choice = Some(match chosen.as_ref().map(|(key, value)| (&**key, *value)) {
        Some(("auto", _)) => ToolChoice::Auto,
        Some(("any", _)) => ToolChoice::Required,
        Some(("tool", tool)) => ToolChoice::One(member(tool, "name", "toolChoice.tool.name")?),
        _ => return shape("toolConfig.toolChoice", "`auto`, `any` or `tool`"),
    });
    Ok(())
}

fn read_tool(tool: Value<'_>) -> Read<ToolKind<'_>> {
    let schema = tool
        .get("inputSchema")
        .and_then(|schema| schema.get("json"))
        .filter(|schema| !schema.is_null());
    Ok(ToolKind::Function {
        name: member(tool, "name", "toolSpec.name")?,
        description: tool
            .get("description")
            .filter(|description| !description.is_null())
            .map(|description| text(description, "toolSpec.description"))
            .transpose()?,
        parameters: match schema {
            Some(schema) => Some(object(schema, "toolSpec.inputSchema.json")?.raw().into()),
            None => None,
        },
        strict: tool.get("strict").and_then(Value::bool),
    })
}

/// Reads the shape of the answer, whose schema is JSON within a string here.
fn read_format<'b>(ask: &mut Ask<'b>, config: Value<'b>) -> Read<bool> {
    let Some(format) = config.get("textFormat").filter(|format| !format.is_null()) else {
        return Ok(config.members().all(|(_, value)| value.is_null()));
    };
    let inside = format
        .get("structure")
        .and_then(|structure| structure.get("jsonSchema"));
    let Some(inside) = inside else {
        return Ok(false);
    };
    let schema = inside.get("schema").and_then(Value::string);
    let schema = schema.filter(|schema| {
        let document = Document::read(schema.as_bytes(), MAX_DEPTH);
        document.is_ok_and(|document| document.root().kind() == Kind::Object)
    });
    let Some(schema) = schema else {
        return shape(
            "outputConfig.textFormat.structure.jsonSchema.schema",
            "a JSON object in a string",
        );
    };
    let said = |key| crate::dialect::shape::optional(inside, key);
    ask.format = Some(Format::Schema {
        name: said("name"),
        description: said("description"),
        schema,
        strict: None,
    });
    let mut members = config.members();
    Ok(members.all(|(key, value)| key == "textFormat" || value.is_null()))
}
