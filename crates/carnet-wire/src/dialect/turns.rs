//! The turns of a conversation: as they are read, and as dialects want them whose roles alternate and whose instructions
//! stand beside them.

use crate::form::{Ask, Content, LossCode, Losses, Part, Role, Turn};
use crate::json::Value;
use crate::limits::{MAX_TOOL_CALLS, MAX_TURNS};

use super::Dialect;
use super::shape::{Read, at_most, member, object, shape};

/// Reads the messages of a request, each as one turn.
pub(crate) fn read_messages<'b>(
    ask: &mut Ask<'b>,
    messages: Value<'b>,
    turn: impl Fn(Value<'b>) -> Read<Turn<'b>>,
) -> Read<()> {
    let mut calls = 0;
    for message in messages.elements() {
        let turn = turn(object(message, "messages[]")?)?;
        let own = |part: &&Part<'_>| matches!(part.content, Content::ToolUse(_));
        calls += turn.parts.iter().filter(own).count();
        ask.turns.push(turn);
        at_most(ask.turns.len(), MAX_TURNS, "messages")?;
        at_most(calls, MAX_TOOL_CALLS, "tool calls")?;
    }
    Ok(())
}

/// Reads the role of a message where results of tools are said by the user.
pub(crate) fn read_role(message: Value<'_>) -> Read<Role> {
    match member(message, "role", "messages[].role")?.token() {
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "system" => Ok(Role::System),
        _ => shape("messages[].role", "`user` or `assistant`"),
    }
}

/// What one side says until the other one speaks.
pub(crate) type Said<'p, 'b> = (Role, Vec<&'p Part<'b>>);

/// The instructions of a conversation. Those from its middle move to the front.
pub(crate) fn instructions<'p, 'b>(ask: &'p Ask<'b>, losses: &mut Losses) -> Vec<&'p Part<'b>> {
    let is_system = |role| role == Role::System;
    let behind = ask.turns.iter().skip_while(|turn| is_system(turn.role));
    if behind.into_iter().any(|turn| is_system(turn.role)) {
        losses.add(LossCode::SystemPosition);
    }
    let system = ask.turns.iter().filter(|turn| is_system(turn.role));
    if system.clone().any(|turn| turn.name.is_some()) {
        losses.add(LossCode::MessageName);
    }
    system.flat_map(|turn| &turn.parts).collect()
}

/// The rest of it with roles that alternate. Results of tools come first, right behind their calls; all those of a
/// round are one turn.
pub(crate) fn alternating<'p, 'b>(
    ask: &'p Ask<'b>,
    target: Dialect,
    losses: &mut Losses,
    keep: impl Fn(&Part<'_>) -> bool,
) -> Vec<Said<'p, 'b>> {
    let mut said: Vec<Said<'p, 'b>> = Vec::new();
    for turn in ask.turns.iter().filter(|turn| turn.role != Role::System) {
        if turn.name.is_some() {
            losses.add(LossCode::MessageName);
        }
        for part in &turn.parts {
            match &part.content {
                // What a service has done on its own while it answered; the answer stands without it.
                Content::Unknown { kind, .. }
                    if turn.role == Role::Assistant && ask.origin != target =>
                {
                    losses.add_at(LossCode::UnknownPart, &kind.plain());
                    continue;
                }
                _ if keep(part) => {}
                Content::Reasoning(_) => {
                    losses.add(LossCode::Reasoning);
                    continue;
                }
                _ => continue,
            }
            match said.last_mut() {
                Some((role, parts)) if *role == turn.role => parts.push(part),
                _ => said.push((turn.role, vec![part])),
            }
        }
    }
    for (_, parts) in said.iter_mut().filter(|(role, _)| *role == Role::User) {
        parts.sort_by_key(|part| !matches!(part.content, Content::ToolResult(_)));
    }
    said
}

/// The conversation for a service that wants its instructions in front and turns that alternate, in a dialect that
/// demands neither.
pub(crate) fn taking_turns<'b>(ask: &Ask<'b>, losses: &mut Losses) -> Vec<Turn<'b>> {
    let system: Vec<Part<'b>> = instructions(ask, losses).into_iter().cloned().collect();
    let mut turns: Vec<Turn<'b>> = Vec::new();
    if !system.is_empty() {
        turns.push(Turn {
            role: Role::System,
            parts: system,
            name: None,
        });
    }
    for turn in ask.turns.iter().filter(|turn| turn.role != Role::System) {
        match turns.last_mut() {
            Some(last) if last.role == turn.role => {
                if last.name != turn.name {
                    losses.add(LossCode::MessageName);
                    last.name = None;
                }
                last.parts.extend(turn.parts.iter().cloned());
            }
            _ => turns.push(turn.clone()),
        }
    }
    turns
}

/// Whether a part becomes a block where empty texts are refused, and reasoning without a proof unless the service
/// takes it.
pub(crate) fn is_block(part: &Part<'_>, unsigned: bool) -> bool {
    match &part.content {
        Content::Text { text, .. } | Content::Refusal(text) => !text.is_blank(),
        Content::Reasoning(reasoning) => {
            unsigned || reasoning.signature.is_some() || reasoning.encrypted.is_some()
        }
        _ => true,
    }
}
