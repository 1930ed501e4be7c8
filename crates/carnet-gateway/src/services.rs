//! What the registry knows of a service's API: it fills what an upstream's entry leaves open, words what is sent there,
//! and changes what would be refused there.

use bytes::Bytes;
use carnet_provenance::{
    EditAction, ReasoningBack, Registry, Seed, Thinking, TokenLimit, ToolIds, View, WireEdit,
    WireFacts,
};
use carnet_wire::dialect::{Options, ReasoningName, Target, ThinkingForm, TokenLimitName};
use carnet_wire::form::IdRule;
use carnet_wire::json::{self, Edit, Hit, Kind};
use jiff::civil::Date;
use smallvec::SmallVec;

use crate::config::UpstreamConfig;
use crate::ingress::Prompt;
use crate::screen::{Made, note};

/// Facts about services as they hold on a day; without a registry nothing is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Services<'a> {
    /// The registry.
    pub registry: Option<&'a Registry>,
    /// The day.
    pub day: Date,
}

impl Services<'_> {
    /// What holds for a host as a whole.
    pub(crate) fn of(&self, host: &str) -> WireFacts {
        let host = self.registry.and_then(|registry| registry.host(host));
        host.map_or_else(WireFacts::default, |host| host.wire.of("", self.day))
    }
}

/// How an upstream wants to be asked for a model, by its own name: the operator's words, then the registry's.
pub(crate) fn facts(
    view: &View,
    host: Option<&str>,
    config: &UpstreamConfig,
    model: &str,
    day: Date,
) -> WireFacts {
    let known = host.map(|host| view.wire(host, model, day));
    config.wire.clone().or(known.unwrap_or_default())
}

/// How a translation for it is worded.
pub(crate) fn options(facts: &WireFacts) -> Options {
    let usual = Target::default();
    // Who refuses members that its dialect does not know refuses those that carry reasoning too.
    let back = match facts.strict {
        Some(true) => ReasoningName::Absent,
        _ => usual.reasoning,
    };
    let target = Target {
        model: None,
        max_tokens: facts.max_tokens.map_or(usual.max_tokens, u64::from),
        token_limit: match facts.token_limit {
            Some(TokenLimit::MaxCompletionTokens) => TokenLimitName::MaxCompletionTokens,
            Some(TokenLimit::MaxTokens) => TokenLimitName::MaxTokens,
            None => usual.token_limit,
        },
        seed: facts.seed.map_or(usual.seed, Seed::as_str),
        stream_usage: facts.stream_usage.unwrap_or(usual.stream_usage),
        cache_control: facts.cache_control.unwrap_or(usual.cache_control),
        tool_ids: id_rule(facts),
        reasoning: match facts.reasoning {
            Some(ReasoningBack::None) => ReasoningName::Absent,
            Some(ReasoningBack::Reasoning) => ReasoningName::Reasoning,
            Some(ReasoningBack::ReasoningContent) => ReasoningName::ReasoningContent,
            None => back,
        },
        reasoning_details: facts.reasoning_details.unwrap_or(usual.reasoning_details),
        unsigned_reasoning: facts.unsigned_reasoning.unwrap_or(usual.unsigned_reasoning),
        thinking: match facts.thinking {
            Some(Thinking::Adaptive) => ThinkingForm::Adaptive,
            Some(Thinking::Budget) => ThinkingForm::Budget,
            None => usual.thinking,
        },
        thinking_field: facts.thinking.is_some(),
        alternating_roles: facts.alternating_roles.unwrap_or(usual.alternating_roles),
        parallel_tool_calls: facts
            .parallel_tool_calls
            .unwrap_or(usual.parallel_tool_calls),
    };
    Options {
        target,
        ..Options::default()
    }
}

fn id_rule(facts: &WireFacts) -> IdRule {
    match facts.tool_ids {
        Some(ToolIds::Nine) => IdRule::Nine,
        Some(ToolIds::Plain40) => IdRule::Plain { max: 40 },
        Some(ToolIds::Plain64) => IdRule::Plain { max: 64 },
        Some(ToolIds::Any) | None => IdRule::Any,
    }
}

/// A change to requests for one model of an upstream, bound to the indices of the generation's watch.
#[derive(Debug)]
pub(crate) struct Fix {
    path: usize,
    /// The path in words.
    name: Box<str>,
    does: Does,
}

#[derive(Debug)]
enum Does {
    Remove,
    Rename {
        /// The other key with its colon.
        key: Bytes,
        /// Where the other key stands already.
        rival: usize,
        /// The object that has both, if it stands in a list.
        parent: Option<usize>,
    },
    Replace {
        from: Box<str>,
        with: Bytes,
    },
    ToolId(IdRule),
}

impl Fix {
    /// A change, with the paths that it looks at.
    pub(crate) fn new(
        edit: &WireEdit,
        facts: &WireFacts,
        mut watch: impl FnMut(&str) -> usize,
    ) -> Self {
        let to = edit.to.as_deref().unwrap_or_default();
        let does = match edit.action {
            EditAction::Remove => Does::Remove,
            EditAction::Rename => {
                let around = edit.path.rsplit_once('.').map(|(around, _)| around);
                let rival = around.map_or_else(|| to.to_owned(), |around| format!("{around}.{to}"));
                Does::Rename {
                    key: format!("{}:", quoted(to)).into(),
                    rival: watch(&rival),
                    parent: around.map(&mut watch),
                }
            }
            EditAction::Replace => Does::Replace {
                from: edit.from.as_deref().unwrap_or_default().into(),
                with: quoted(to).into(),
            },
            EditAction::ToolId => Does::ToolId(id_rule(facts)),
        };
        Self {
            path: watch(&edit.path),
            name: edit.path.as_str().into(),
            does,
        }
    }
}

/// The edits that bring a request in line with what its service takes, and what they are for its record.
pub(crate) fn fix(
    fixes: &[Fix],
    prompt: &Prompt,
    edits: &mut SmallVec<[Edit; 4]>,
    made: &mut SmallVec<[Made; 2]>,
) {
    let hits = &prompt.scan.hits;
    for (index, hit) in hits.iter().enumerate() {
        for fix in fixes.iter().filter(|fix| fix.path == hit.path) {
            let Some(edit) = fix.does.edit(&prompt.body, hits, index, hit) else {
                continue;
            };
            let verb = match &fix.does {
                _ if edit.with.is_empty() => "remove",
                Does::Rename { .. } => "rename",
                Does::Remove | Does::Replace { .. } | Does::ToolId(_) => "set",
            };
            note(made, format!("{verb} {}", fix.name));
            edits.push(edit);
        }
    }
}

impl Does {
    fn edit(&self, body: &Bytes, hits: &[Hit], index: usize, hit: &Hit) -> Option<Edit> {
        match self {
            Self::Remove => Some(Edit::remove(hit)),
            Self::Rename { rival, parent, .. } if beside(hits, index, *rival, *parent) => {
                Some(Edit::remove(hit))
            }
            Self::Rename { key, .. } => {
                let lead = body.get(hit.member.start..hit.value.start)?;
                let key_at = lead.iter().position(|byte| *byte == b'"')?;
                Some(Edit {
                    range: hit.member.start + key_at..hit.value.start,
                    with: key.clone(),
                })
            }
            Self::Replace { from, with } => {
                let same = hit.kind == Kind::String
                    && json::string_value(body, hit).is_ok_and(|text| *text == **from);
                same.then(|| Edit::replace(hit, with.clone()))
            }
            Self::ToolId(rule) => {
                let id = (hit.kind == Kind::String)
                    .then(|| json::string_value(body, hit).ok())
                    .flatten()?;
                let formed = rule.apply(&id);
                (formed != id).then(|| Edit::replace(hit, quoted(&formed).into()))
            }
        }
    }
}

/// Whether the same object has a member at another path. Containers stand before what is in them.
fn beside(hits: &[Hit], index: usize, rival: usize, parent: Option<usize>) -> bool {
    let Some(parent) = parent else {
        return hits.iter().any(|hit| hit.path == rival);
    };
    let before = hits.get(..index).unwrap_or_default();
    let Some(start) = before.iter().rposition(|hit| hit.path == parent) else {
        return false;
    };
    let inside = hits.get(start..).unwrap_or_default();
    let end = inside.first().map_or(0, |object| object.value.end);
    let mut members = inside.iter().take_while(|hit| hit.value.start < end);
    members.any(|hit| hit.path == rival)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
