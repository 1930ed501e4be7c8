//! A conversation as a prompt: rendered by the model's template and turned into tokens, so that no
//! text of a message can pass for one of the tokens that separate messages.

use jiff::civil::DateTime;
use minijinja::Value;
use minijinja::value::ValueKind;

use crate::codes::Code;
use crate::limits::{MESSAGES_MAX, PROMPT_BYTES_MAX, VALUES_BYTES_MAX};
use crate::refusal::Refusal;
use crate::shield::Shield;
use crate::template::Template;
use crate::tokens::Tokens;

/// A message of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, `tool` or what else the template knows.
    pub role: String,
    /// What is said.
    pub content: String,
    /// Further fields by name, each as a JSON text, for example `tool_calls`.
    pub fields: Vec<(String, String)>,
}

/// A conversation that the model is to go on with.
#[derive(Clone, Debug, Default)]
pub struct Chat {
    /// In the order in which they were said.
    pub messages: Vec<Message>,
    /// Tools that the model may call, each as a JSON text in the form that the template wants.
    pub tools: Vec<String>,
    /// Further variables of the template by name, each as a JSON text, for example
    /// `enable_thinking`.
    pub variables: Vec<(String, String)>,
    /// The time where the caller is, which a template may write into the prompt.
    pub now: Option<DateTime>,
}

/// Variables that the engine itself sets.
const RESERVED: [&str; 5] = [
    "messages",
    "tools",
    "add_generation_prompt",
    "bos_token",
    "eos_token",
];

/// The rendered prompt for a person to read, and its tokens.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub(crate) text: String,
    pub(crate) ids: Vec<u32>,
}

/// Text of the special tokens that templates write by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    pub(crate) bos: String,
    pub(crate) eos: String,
}

impl Chat {
    /// Renders the conversation and encodes it.
    pub(crate) fn prompt(
        &self,
        template: &Template,
        named: &Named,
        tokens: &Tokens,
    ) -> Result<Prompt, Refusal> {
        self.bounded()?;
        let shield = tokens.shield();
        let text = template.render(self.context(named, shield)?, self.now)?;
        let mut ids = Vec::new();
        for part in shield.parts(&text) {
            match part {
                Part::Plain(text) => ids.extend(tokens.encode(text)?),
                // One character alone is never the text of a special token.
                Part::Quoted(text) => {
                    for c in text.chars() {
                        ids.extend(tokens.encode(c.encode_utf8(&mut [0; 4]))?);
                    }
                }
            }
        }
        Ok(Prompt { text, ids })
    }

    fn context(&self, named: &Named, shield: &Shield) -> Result<Value, Refusal> {
        let mut messages = Vec::with_capacity(self.messages.len());
        for (index, message) in self.messages.iter().enumerate() {
            let mut all = vec![
                ("role".to_owned(), shield.text(&message.role)),
                ("content".to_owned(), shield.text(&message.content)),
            ];
            for (name, json) in &message.fields {
                let place = format!("messages[{index}].{name}");
                all.push((name.clone(), shield.json(&place, json)?));
            }
            messages.push(Value::from_pairs(all));
        }
        let tools: Result<Vec<Value>, Refusal> = self
            .tools
            .iter()
            .map(|json| shield.json("tools", json))
            .collect();
        let tools = tools?;
        let mut all = vec![
            ("messages".to_owned(), Value::from(messages)),
            ("add_generation_prompt".to_owned(), Value::from(true)),
            ("bos_token".to_owned(), Value::from(named.bos.as_str())),
            ("eos_token".to_owned(), Value::from(named.eos.as_str())),
        ];
        if !tools.is_empty() {
            all.push(("tools".to_owned(), Value::from(tools)));
        }
        for (name, json) in &self.variables {
            if RESERVED.contains(&name.as_str()) {
                let reason = format!("`{name}` is set by the engine");
                let fix = "leave it out";
                return Err(Refusal::new(Code::SettingInvalid, "variables", reason, fix));
            }
            all.push((name.clone(), shield.json(name, json)?));
        }
        Ok(Value::from_pairs(all))
    }
}

enum Part<'a> {
    Plain(&'a str),
    Quoted(&'a str),
}

impl Chat {
    /// Refuses more than a conversation has.
    pub(crate) fn bounded(&self) -> Result<(), Refusal> {
        let wrong =
            |reason: String, fix: &str| Refusal::new(Code::SettingInvalid, "messages", reason, fix);
        let count = self.messages.len();
        if count == 0 || count > MESSAGES_MAX {
            let reason = format!("has {count} messages; it can have 1 to {MESSAGES_MAX}");
            return Err(wrong(reason, "send part of the conversation"));
        }
        let texts = self.messages.iter();
        let texts = texts.flat_map(|message| [&message.role, &message.content]);
        let fields = self.messages.iter().flat_map(|message| &message.fields);
        let values = fields
            .chain(&self.variables)
            .flat_map(|(name, json)| [name, json]);
        let values = bytes(values.chain(&self.tools));
        let all = bytes(texts).saturating_add(values);
        if all > PROMPT_BYTES_MAX {
            let reason = format!("has {all} bytes; it can have {PROMPT_BYTES_MAX}");
            return Err(wrong(reason, "send less text"));
        }
        if values > VALUES_BYTES_MAX {
            let reason = format!(
                "has {values} bytes of fields beside role and content; it can have {VALUES_BYTES_MAX}"
            );
            return Err(wrong(reason, "send fewer or shorter fields"));
        }
        Ok(())
    }
}

fn bytes<'a>(texts: impl Iterator<Item = &'a String>) -> usize {
    texts.fold(0, |sum, text| sum.saturating_add(text.len()))
}

/// Values for a template, and what it made of them.
impl Shield {
    fn text(&self, text: &str) -> Value {
        Value::from(self.shielded(text))
    }

    /// A JSON text, shielded in all its strings.
    fn json(&self, place: &str, json: &str) -> Result<Value, Refusal> {
        let value: Value = serde_json::from_str(json).map_err(|error| {
            let reason = format!("is not JSON: {error}");
            Refusal::new(Code::SettingInvalid, place, reason, "send JSON")
        })?;
        Ok(self.value(value))
    }

    fn value(&self, value: Value) -> Value {
        if let Some(text) = value.as_str() {
            return self.text(text);
        }
        let items = |value: &Value| value.try_iter().into_iter().flatten().collect::<Vec<_>>();
        match value.kind() {
            ValueKind::Seq => {
                let items = items(&value).into_iter().map(|item| self.value(item));
                Value::from(items.collect::<Vec<_>>())
            }
            ValueKind::Map => {
                let pair = |key: Value| {
                    let item = value.get_item(&key).unwrap_or_default();
                    (self.value(key), self.value(item))
                };
                Value::from_pairs(items(&value).into_iter().map(pair))
            }
            _ => value,
        }
    }

    /// A rendered prompt, cut where stand-ins are.
    fn parts<'t>(&'t self, text: &'t str) -> Vec<Part<'t>> {
        let mut parts = Vec::new();
        let mut from = 0;
        for (at, c) in text.char_indices() {
            let Some(special) = self.stood_for(c) else {
                continue;
            };
            parts.push(Part::Plain(text.get(from..at).unwrap_or_default()));
            parts.push(Part::Quoted(special));
            from = at + c.len_utf8();
        }
        parts.push(Part::Plain(text.get(from..).unwrap_or_default()));
        parts.retain(|part| !matches!(part, Part::Plain("")));
        parts
    }
}
