//! Reading a request. The model's name and whether to stream stand in the address.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::dialect::Dialect;
use crate::dialect::shape::{Read, array, at_most, count, number, object, shape, text};
use crate::form::{Ask, Format, Part, Role, Tool, ToolChoice, ToolKind, Turn, Unknown};
use crate::json::{Document, Text, Value};
use crate::limits::{MAX_TOOL_CALLS, MAX_TURNS};

use super::parts::Parts;
use super::schema::as_json_schema;
use super::spelling::{get, get_object, get_text, is, list};

/// Reads a request. Members that are `null` count as absent.
pub(crate) fn read_ask<'b>(document: &'b Document<'b>) -> Read<Ask<'b>> {
    let root = object(document.root(), "the body")?;
    let mut ask = Ask::new(Dialect::GenerateContent);
    // A stream of this dialect always tells its usage.
    ask.include_usage = true;
    read_turns(&mut ask, root)?;
    if let Some(tools) = get(root, "tools")? {
        read_tools(&mut ask, tools)?;
    }
    if let Some(config) = get_object(root, "toolConfig")? {
        read_tool_config(&mut ask, config)?;
    }
    if let Some(config) = get_object(root, "generationConfig")? {
        for (key, value) in config.members() {
            if !value.is_null() && !read_setting(&mut ask, &key, value)? {
                ask.unknown
                    .push(Unknown::new(&format!("{CONFIG}{key}"), value));
            }
        }
        // Which of the two spellings is meant would be for each reader to guess.
        READ_OF_CONFIG
            .iter()
            .try_for_each(|name| get(config, name).map(drop))?;
    }
    for (key, value) in root.members() {
        if !value.is_null() && !READ.iter().any(|name| is(&key, name)) {
            ask.unknown.push(Unknown::new(&key, value));
        }
    }
    Ok(ask)
}

/// What the names of members of `generationConfig` begin with where they stand beside the others.
pub(super) const CONFIG: &str = "generationConfig.";

/// The top-level members that are read; others are kept as they are.
const READ: [&str; 5] = [
    "contents",
    "generationConfig",
    "systemInstruction",
    "toolConfig",
    "tools",
];

const READ_OF_CONFIG: [&str; 12] = [
    "frequencyPenalty",
    "maxOutputTokens",
    "presencePenalty",
    "responseJsonSchema",
    "responseMimeType",
    "responseSchema",
    "seed",
    "stopSequences",
    "temperature",
    "thinkingConfig",
    "topK",
    "topP",
];

fn read_turns<'b>(ask: &mut Ask<'b>, root: Value<'b>) -> Read<()> {
    let mut reader = Parts::default();
    if let Some(system) = get_object(root, "systemInstruction")? {
        let mut parts = Vec::new();
        reader.read(system, &mut parts)?;
        if !parts.is_empty() {
            ask.turns.push(turn(Role::System, parts));
        }
    }
    let Some(contents) = get(root, "contents")? else {
        return shape("contents", "an array");
    };
    for content in list(contents, "contents")? {
        read_turn(ask, &mut reader, object(content, "contents[]")?)?;
        at_most(ask.turns.len(), MAX_TURNS, "contents")?;
    }
    Ok(())
}

fn read_turn<'b>(ask: &mut Ask<'b>, reader: &mut Parts<'b>, content: Value<'b>) -> Read<()> {
    let role = match get_text(content, "role")?.as_ref().map(Text::token) {
        Some("model") => Role::Assistant,
        // Results of tools have a role of their own with some services, and a first turn may have none.
        Some("" | "function" | "tool" | "user") | None => Role::User,
        Some("system") => Role::System,
        Some(_) => return shape("contents[].role", "`user` or `model`"),
    };
    // Clients keep each piece of a stream as a turn of its own.
    let goes_on = |turn: &&mut Turn<'_>| role == Role::Assistant && turn.role == role;
    if let Some(open) = ask.turns.last_mut().filter(goes_on) {
        return reader.read(content, &mut open.parts);
    }
    let mut parts = Vec::new();
    reader.read(content, &mut parts)?;
    ask.turns.push(turn(role, parts));
    Ok(())
}

fn turn(role: Role, parts: Vec<Part<'_>>) -> Turn<'_> {
    Turn {
        role,
        parts,
        name: None,
    }
}

fn read_tools<'b>(ask: &mut Ask<'b>, tools: Value<'b>) -> Read<()> {
    for tool in list(tools, "tools")? {
        for (key, value) in object(tool, "tools[]")?.members() {
            if value.is_null() {
                continue;
            }
            if !is(&key, "functionDeclarations") {
                ask.tools.push(Tool {
                    kind: ToolKind::Other {
                        kind: Text::new(&key).into_owned(),
                        json: tool.raw(),
                    },
                    cache: None,
                });
                continue;
            }
            for function in list(value, "tools[].functionDeclarations")? {
                let kind = read_function(object(function, "tools[].functionDeclarations[]")?)?;
                ask.tools.push(Tool { kind, cache: None });
                at_most(ask.tools.len(), MAX_TOOL_CALLS, "tools")?;
            }
        }
    }
    Ok(())
}

fn read_function(function: Value<'_>) -> Read<ToolKind<'_>> {
    let Some(name) = get_text(function, "name")? else {
        return shape("functionDeclarations[].name", "a string");
    };
    let schema = match get_object(function, "parametersJsonSchema")? {
        Some(schema) => Some(schema.raw().into()),
        None => get_object(function, "parameters")?.map(as_json_schema),
    };
    Ok(ToolKind::Function {
        name,
        description: get_text(function, "description")?,
        parameters: schema,
        strict: None,
    })
}

fn read_tool_config<'b>(ask: &mut Ask<'b>, config: Value<'b>) -> Read<()> {
    for (key, value) in config.members() {
        if !value.is_null() && !is(&key, "functionCallingConfig") {
            ask.unknown
                .push(Unknown::new(&format!("toolConfig.{key}"), value));
        }
    }
    let Some(calling) = get_object(config, "functionCallingConfig")? else {
        return Ok(());
    };
    let mut allowed = Vec::new();
    if let Some(names) = get(calling, "allowedFunctionNames")? {
        for name in array(names, "allowedFunctionNames")?.elements() {
            allowed.push(text(name, "allowedFunctionNames[]")?);
            at_most(allowed.len(), MAX_TOOL_CALLS, "tools")?;
        }
    }
    let mode = get_text(calling, "mode")?;
    ask.choice = match mode.as_ref().map(Text::token) {
        Some("AUTO" | "auto") => Some(ToolChoice::Auto),
        Some("NONE" | "none") => Some(ToolChoice::None),
        Some("ANY" | "any") => match <[_; 1]>::try_from(allowed) {
            Ok([name]) => Some(ToolChoice::One(name)),
            Err(several) => {
                keep_tools(ask, &several);
                Some(ToolChoice::Required)
            }
        },
        Some("VALIDATED" | "validated") => {
            keep_tools(ask, &allowed);
            ask.unknown
                .push(Unknown::new("toolConfig.functionCallingConfig", calling));
            Some(ToolChoice::Auto)
        }
        Some("MODE_UNSPECIFIED") | None => None,
        Some(_) => {
            return shape(
                "functionCallingConfig.mode",
                "`AUTO`, `ANY`, `NONE` or `VALIDATED`",
            );
        }
    };
    Ok(())
}

/// Leaves only the tools that may be called, where some are named.
fn keep_tools(ask: &mut Ask<'_>, allowed: &[Text<'_>]) {
    let allowed: HashSet<_> = allowed.iter().collect();
    if !allowed.is_empty() {
        ask.tools.retain(|tool| match &tool.kind {
            ToolKind::Function { name, .. } => allowed.contains(name),
            ToolKind::Other { .. } => true,
        });
    }
}

/// Reads a member of `generationConfig`; false if the form has no place for it.
fn read_setting<'b>(ask: &mut Ask<'b>, key: &str, value: Value<'b>) -> Read<bool> {
    let Some(name) = READ_OF_CONFIG.iter().find(|name| is(key, name)) else {
        return Ok(false);
    };
    match *name {
        "frequencyPenalty" => ask.sampling.frequency_penalty = Some(number(value, name)?),
        "maxOutputTokens" => ask.max_tokens = Some(count(value, name)?),
        "presencePenalty" => ask.sampling.presence_penalty = Some(number(value, name)?),
        "seed" => ask.sampling.seed = Some(number(value, name)?),
        "temperature" => ask.sampling.temperature = Some(number(value, name)?),
        "topK" => ask.sampling.top_k = Some(number(value, name)?),
        "topP" => ask.sampling.top_p = Some(number(value, name)?),
        "stopSequences" => {
            for stop in array(value, name)?.elements() {
                ask.stop.push(text(stop, "stopSequences[]")?);
            }
        }
        "responseMimeType" => match text(value, name)?.token() {
            "application/json" => {
                ask.format.get_or_insert(Format::Json);
            }
            "" | "text/plain" => {}
            _ => return Ok(false),
        },
        "responseJsonSchema" => {
            let schema = object(value, name)?;
            ask.format = Some(format(schema.raw().into()));
        }
        "responseSchema" => {
            let schema = as_json_schema(object(value, name)?);
            ask.format = Some(format(schema));
        }
        "thinkingConfig" => read_thinking(ask, object(value, name)?)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn format(schema: Cow<'_, str>) -> Format<'_> {
    Format::Schema {
        name: None,
        description: None,
        schema,
        strict: None,
    }
}

/// Reads how much to reason: a budget, of which 0 is none and -1 as much as the model sees fit, or a level by name.
fn read_thinking<'b>(ask: &mut Ask<'b>, config: Value<'b>) -> Read<()> {
    let budget = get(config, "thinkingBudget")?;
    match budget.map(|budget| (budget.raw(), budget.count())) {
        None => {}
        Some((_, Some(0))) => ask.thinking.on = Some(false),
        Some((_, Some(budget))) => {
            ask.thinking.on = Some(true);
            ask.thinking.budget = Some(budget);
        }
        Some(("-1", _)) => ask.thinking.on = Some(true),
        Some(_) => return shape("thinkingConfig.thinkingBudget", "a whole number or -1"),
    }
    let level = get_text(config, "thinkingLevel")?
        .filter(|level| !matches!(level.token(), "" | "THINKING_LEVEL_UNSPECIFIED"));
    if let Some(level) = level {
        let level = level.token().to_ascii_lowercase();
        ask.thinking.effort = Some(Text::new(&level).into_owned());
    }
    match get(config, "includeThoughts")?.and_then(Value::bool) {
        Some(true) if ask.thinking.on.is_none() => ask.thinking.on = Some(true),
        Some(false) if ask.thinking.wanted() => ask.thinking.display = Some(Text::new("omitted")),
        _ => {}
    }
    let known = ["includeThoughts", "thinkingBudget", "thinkingLevel"];
    for (key, value) in config.members() {
        if !value.is_null() && !known.iter().any(|name| is(&key, name)) {
            let key = format!("{CONFIG}thinkingConfig.{key}");
            ask.unknown.push(Unknown::new(&key, value));
        }
    }
    Ok(())
}
