//! What answers and streams say, read by serde_json as a client would.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use carnet_wire::dialect::{Caller, ClientDialect, Dialect, Options};
use carnet_wire::stream::aws::AwsDecoder;
use carnet_wire::translate::{Stream, answer};
use serde_json::{Value, json};

/// What a client has in hand in the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) signatures: Vec<String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) finish: Vec<String>,
    /// Tokens of the prompt, cached ones among them.
    pub(crate) prompt: u64,
    pub(crate) cached: u64,
    pub(crate) output: u64,
    pub(crate) errors: Vec<String>,
    /// The event that ends a stream has come, and nothing after it.
    pub(crate) ended: bool,
    /// The end of a stream has said everything once more, where the dialect wants that.
    pub(crate) repeated: bool,
    plain_reasoning: bool,
    /// What the open items of a stream have grown to.
    growing: BTreeMap<u64, String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// Says that a test had nothing to judge, so that it does not count as passed.
#[expect(clippy::print_stdout, reason = "for who runs it by hand")]
pub(crate) fn not_run(test: &str, reason: &str) {
    if let Ok(folder) = std::env::var("CARNET_NOT_RUN") {
        fs::write(Path::new(&folder).join(test), reason).unwrap();
    }
    println!("not run: {reason}");
}

pub(crate) fn options() -> Options {
    let caller = Caller {
        id: "id-1".to_owned(),
        include_usage: true,
        ..Caller::default()
    };
    Options {
        caller,
        ..Options::default()
    }
}

/// A dialect as one that clients speak.
pub(crate) fn client(dialect: Dialect) -> ClientDialect {
    match dialect {
        Dialect::Chat => ClientDialect::Chat,
        Dialect::Converse => ClientDialect::Converse,
        Dialect::GenerateContent => ClientDialect::GenerateContent,
        Dialect::Messages => ClientDialect::Messages,
        Dialect::Responses => ClientDialect::Responses,
        _ => panic!("no client speaks {dialect}"),
    }
}

/// Translates a whole answer and reads it.
pub(crate) fn whole(from: Dialect, to: Dialect, body: &[u8]) -> Said {
    read_whole(
        to,
        &answer(from, client(to), body, &options()).unwrap().body,
    )
}

/// Translates a stream of events and reads it.
pub(crate) fn streamed(from: Dialect, to: Dialect, events: &[String], closed: bool) -> Said {
    read_stream(to, &translated(from, to, events, closed))
}

pub(crate) fn translated(from: Dialect, to: Dialect, events: &[String], closed: bool) -> Vec<u8> {
    let mut stream = Stream::new(from, client(to), &options());
    let mut out = Vec::new();
    for event in events {
        push(&mut stream, event, &mut out);
    }
    if closed {
        stream.finish(&mut out);
    }
    out
}

/// Pushes an event: its data, or its name and data with a tab between them.
pub(crate) fn push(stream: &mut Stream, event: &str, out: &mut Vec<u8>) {
    let (name, data) = event.split_once('\t').unwrap_or(("", event));
    stream.push(name, data.as_bytes(), out);
}

/// The data of each event, as the specification of server-sent events has it.
pub(crate) fn data(stream: &str) -> Vec<String> {
    let mut events = Vec::new();
    let mut data: Option<String> = None;
    for line in stream.replace("\r\n", "\n").replace('\r', "\n").split('\n') {
        if line.is_empty() {
            events.extend(data.take());
        } else if let Some(rest) = line.strip_prefix("data:") {
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            match &mut data {
                Some(data) => *data = format!("{data}\n{rest}"),
                None => data = Some(rest.to_owned()),
            }
        }
    }
    events
}

pub(crate) fn read_whole(dialect: Dialect, body: &[u8]) -> Said {
    let body: Value = serde_json::from_slice(body).unwrap();
    let mut said = Said {
        ended: true,
        ..Said::default()
    };
    if let Some(error) = body.get("error").filter(|error| !error.is_null()) {
        said.errors.push(text(&error["message"]));
        return said;
    }
    if dialect == Dialect::Chat {
        let message = &body["choices"][0]["message"];
        said.chat_message(message);
        said.finish.push(text(&body["choices"][0]["finish_reason"]));
        said.chat_usage(&body["usage"]);
        return said;
    }
    if dialect == Dialect::Responses {
        said.response(&body);
        return said;
    }
    if dialect == Dialect::GenerateContent {
        said.generated(&body);
        return said;
    }
    if dialect == Dialect::Converse {
        match body["message"].as_str() {
            Some(message) => said.errors.push(message.to_owned()),
            None => said.conversed(&body),
        }
        return said;
    }
    if dialect == Dialect::Cohere {
        said.cohere(&body);
        return said;
    }
    for block in body["content"].as_array().unwrap() {
        match block["type"].as_str().unwrap() {
            "text" => said.text += &text(&block["text"]),
            "thinking" => {
                said.reasoning += &text(&block["thinking"]);
                said.sign(&block["signature"]);
            }
            "redacted_thinking" => said.sign(&block["data"]),
            "tool_use" => said.calls.push(Call {
                id: text(&block["id"]),
                name: text(&block["name"]),
                arguments: block["input"].to_string(),
            }),
            _ => {}
        }
    }
    said.finish.push(text(&body["stop_reason"]));
    said.messages_usage(&body["usage"]);
    said
}

pub(crate) fn read_stream(dialect: Dialect, stream: &[u8]) -> Said {
    let mut said = Said::default();
    if dialect == Dialect::Converse {
        said.messages(stream);
        return said;
    }
    let mut open = None;
    let mut blocks = 0;
    for event in data(std::str::from_utf8(stream).unwrap()) {
        // Some services end a stream of this dialect as one of the other.
        if matches!(dialect, Dialect::Cohere | Dialect::Responses) && event == "[DONE]" {
            continue;
        }
        assert!(
            !said.ended && said.errors.is_empty(),
            "something after the end: {event}"
        );
        if dialect == Dialect::Chat && event == "[DONE]" {
            said.ended = true;
            continue;
        }
        let event: Value = serde_json::from_str(&event).unwrap();
        if let Some(error) = event.get("error").filter(|error| !error.is_null()) {
            said.errors.push(text(&error["message"]));
        } else if dialect == Dialect::Chat {
            said.chunk(&event);
        } else if dialect == Dialect::GenerateContent {
            said.generated(&event);
            said.ended = !said.finish.is_empty();
        } else if dialect == Dialect::Cohere {
            said.cohere_event(&event);
        } else if dialect == Dialect::Responses {
            said.response_event(&event, &mut blocks);
        } else {
            said.event(&event, &mut open, &mut blocks);
        }
    }
    said
}

impl Said {
    fn sign(&mut self, signature: &Value) {
        self.signatures.extend(
            signature
                .as_str()
                .filter(|text| !text.is_empty())
                .map(unwrapped),
        );
    }

    fn chat_message(&mut self, message: &Value) {
        self.chat_content(&message["content"]);
        self.text += &text(&message["refusal"]);
        self.chat_reasoning(message);
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            self.chat_call(call);
        }
    }

    fn chat_call(&mut self, call: &Value) {
        self.calls.push(Call {
            id: text(&call["id"]),
            name: text(&call["function"]["name"]),
            arguments: text(&call["function"]["arguments"]),
        });
    }

    fn chat_content(&mut self, content: &Value) {
        self.text += &text(content);
        for part in content.as_array().into_iter().flatten() {
            self.text += &text(&part["text"]);
            for piece in part["thinking"].as_array().into_iter().flatten() {
                self.reasoning += &text(&piece["text"]);
            }
        }
    }

    fn chat_reasoning(&mut self, message: &Value) {
        let plain = ["reasoning_content", "reasoning"].map(|key| text(&message[key]));
        let details = message["reasoning_details"].as_array();
        let plain = plain.into_iter().find(|text| !text.is_empty());
        match plain {
            Some(plain) => {
                self.plain_reasoning = true;
                self.reasoning += &plain;
            }
            None if !self.plain_reasoning => {
                for detail in details.into_iter().flatten() {
                    self.reasoning += &text(&detail["text"]);
                }
            }
            None => {}
        }
        for detail in details.into_iter().flatten() {
            self.sign(&detail["signature"]);
            self.sign(&detail["data"]);
        }
    }

    fn chat_usage(&mut self, usage: &Value) {
        if usage.is_null() {
            return;
        }
        self.prompt = count(&usage["prompt_tokens"]);
        self.output = count(&usage["completion_tokens"]);
        // A total that is larger by the reasoning says that the reasoning is not in the answer's tokens.
        let reasoning = count(&usage["completion_tokens_details"]["reasoning_tokens"]);
        if count(&usage["total_tokens"]) == self.prompt + self.output + reasoning {
            self.output += reasoning;
        }
        self.cached = count(&usage["prompt_tokens_details"]["cached_tokens"]).min(self.prompt);
    }

    fn messages_usage(&mut self, usage: &Value) {
        let cached = count(&usage["cache_read_input_tokens"]);
        self.cached = cached;
        self.prompt =
            count(&usage["input_tokens"]) + cached + count(&usage["cache_creation_input_tokens"]);
        self.output = count(&usage["output_tokens"]);
    }

    fn chunk(&mut self, chunk: &Value) {
        if let Some(choice) = chunk["choices"]
            .get(0)
            .filter(|choice| choice["index"] == 0)
        {
            let delta = &choice["delta"];
            self.chat_content(&delta["content"]);
            self.text += &text(&delta["refusal"]);
            self.chat_reasoning(delta);
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                self.chunk_call(call);
            }
            self.finish.extend(
                choice["finish_reason"]
                    .as_str()
                    .filter(|reason| !reason.is_empty())
                    .map(str::to_owned),
            );
        }
        let beside = &chunk["x_groq"]["usage"];
        self.chat_usage(if beside.is_null() {
            &chunk["usage"]
        } else {
            beside
        });
    }

    fn chunk_call(&mut self, call: &Value) {
        let index = usize::try_from(count(&call["index"])).unwrap();
        let id = text(&call["id"]);
        let same = self
            .calls
            .get(index)
            .is_some_and(|known| id.is_empty() || known.id == id || known.id.is_empty());
        let at = if same { index } else { self.calls.len() };
        assert!(at <= self.calls.len(), "a gap before call {index}");
        if at == self.calls.len() {
            self.calls.push(Call {
                id,
                name: text(&call["function"]["name"]),
                arguments: String::new(),
            });
        }
        self.calls[at].arguments += &text(&call["function"]["arguments"]);
    }

    /// Reads an answer of Cohere's chat.
    fn cohere(&mut self, body: &Value) {
        let message = &body["message"];
        for part in message["content"].as_array().into_iter().flatten() {
            self.text += &text(&part["text"]);
            self.reasoning += &text(&part["thinking"]);
        }
        self.reasoning += &text(&message["tool_plan"]);
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            self.chat_call(call);
        }
        self.finish.push(text(&body["finish_reason"]));
        self.cohere_usage(&body["usage"]);
    }

    fn cohere_event(&mut self, event: &Value) {
        let (delta, message) = (&event["delta"], &event["delta"]["message"]);
        self.text += &text(&message["content"]["text"]);
        self.reasoning += &text(&message["content"]["thinking"]);
        self.reasoning += &text(&message["tool_plan"]);
        let call = &message["tool_calls"];
        match event["type"].as_str().unwrap() {
            "tool-call-start" => self.chat_call(call),
            "tool-call-delta" => {
                let last = self.calls.last_mut().unwrap();
                last.arguments += &text(&call["function"]["arguments"]);
            }
            "message-end" => {
                self.finish.push(text(&delta["finish_reason"]));
                self.cohere_usage(&delta["usage"]);
                self.ended = true;
            }
            _ => {}
        }
    }

    fn cohere_usage(&mut self, usage: &Value) {
        self.prompt = count(&usage["tokens"]["input_tokens"]);
        self.output = count(&usage["tokens"]["output_tokens"]);
        self.cached = count(&usage["cached_tokens"]);
    }

    /// Reads an answer of Converse.
    fn conversed(&mut self, body: &Value) {
        for block in body["output"]["message"]["content"].as_array().unwrap() {
            self.text += &text(&block["text"]);
            let reasoning = &block["reasoningContent"];
            self.reasoning += &text(&reasoning["reasoningText"]["text"]);
            self.sign(&reasoning["reasoningText"]["signature"]);
            self.sign(&reasoning["redactedContent"]);
            if let Some(call) = block.get("toolUse") {
                let arguments = call["input"].to_string();
                self.calls.push(Call {
                    id: text(&call["toolUseId"]),
                    name: text(&call["name"]),
                    arguments,
                });
            }
        }
        self.finish.push(text(&body["stopReason"]));
        self.converse_usage(&body["usage"]);
    }

    fn converse_usage(&mut self, usage: &Value) {
        self.cached = count(&usage["cacheReadInputTokens"]);
        self.prompt =
            count(&usage["inputTokens"]) + self.cached + count(&usage["cacheWriteInputTokens"]);
        self.output = count(&usage["outputTokens"]);
    }

    /// Reads the messages of a Converse stream.
    fn messages(&mut self, mut stream: &[u8]) {
        let mut decoder = AwsDecoder::new();
        while let Some(message) = decoder.next(&mut stream).unwrap() {
            assert!(
                !self.ended && self.errors.is_empty(),
                "something after the end"
            );
            let event: Value = serde_json::from_slice(message.payload).unwrap();
            assert_eq!(message.content_type(), Some("application/json"));
            match (message.message_type(), message.event_type()) {
                (Some("event"), Some(name)) => self.converse_event(name, &event),
                (Some("exception"), None) => {
                    assert!(message.exception_type().unwrap().ends_with("Exception"));
                    self.errors.push(text(&event["message"]));
                }
                other => panic!("{other:?}"),
            }
        }
        decoder.finish().unwrap();
    }

    /// Reads an event of a Converse stream, which its framing names.
    pub(crate) fn converse_event(&mut self, name: &str, event: &Value) {
        let delta = &event["delta"];
        match name {
            "contentBlockStart" => {
                if let Some(call) = event["start"].get("toolUse") {
                    let (id, name) = (text(&call["toolUseId"]), text(&call["name"]));
                    self.calls.push(Call {
                        id,
                        name,
                        arguments: String::new(),
                    });
                }
            }
            "contentBlockDelta" => {
                self.text += &text(&delta["text"]);
                self.reasoning += &text(&delta["reasoningContent"]["text"]);
                self.sign(&delta["reasoningContent"]["signature"]);
                self.sign(&delta["reasoningContent"]["redactedContent"]);
                if let Some(call) = self.calls.last_mut() {
                    call.arguments += &text(&delta["toolUse"]["input"]);
                }
            }
            "messageStop" => self.finish.push(text(&event["stopReason"])),
            "metadata" => {
                self.converse_usage(&event["usage"]);
                self.ended = true;
            }
            _ => {}
        }
    }

    /// Reads an answer of `generateContent`, or a piece of one.
    fn generated(&mut self, body: &Value) {
        let candidate = &body["candidates"][0];
        for part in candidate["content"]["parts"]
            .as_array()
            .into_iter()
            .flatten()
        {
            self.sign(&part["thoughtSignature"]);
            if part["thought"] == true {
                self.reasoning += &text(&part["text"]);
            } else if let Some(call) = part.get("functionCall") {
                let arguments = call.get("args").map_or("{}".to_owned(), Value::to_string);
                self.calls.push(Call {
                    id: text(&call["id"]),
                    name: text(&call["name"]),
                    arguments,
                });
            } else {
                self.text += &text(&part["text"]);
            }
        }
        self.finish
            .extend(candidate["finishReason"].as_str().map(str::to_owned));
        let usage = &body["usageMetadata"];
        let or = |key: &str, known: u64| usage[key].as_u64().unwrap_or(known);
        self.prompt = or("promptTokenCount", self.prompt) + or("toolUsePromptTokenCount", 0);
        self.cached = or("cachedContentTokenCount", self.cached);
        if usage["candidatesTokenCount"].is_u64() || usage["thoughtsTokenCount"].is_u64() {
            self.output = or("candidatesTokenCount", 0) + or("thoughtsTokenCount", 0);
        }
    }

    /// Reads the items of a whole answer, and why it ends.
    fn response(&mut self, body: &Value) {
        for item in body["output"].as_array().unwrap() {
            self.item(item);
        }
        let reason = &body["incomplete_details"]["reason"];
        let calls = if self.calls.is_empty() {
            "completed"
        } else {
            "completed with calls"
        };
        self.finish.push(if reason.is_string() {
            text(reason)
        } else {
            calls.to_owned()
        });
        let usage = &body["usage"];
        self.prompt = count(&usage["input_tokens"]);
        self.cached = count(&usage["input_tokens_details"]["cached_tokens"]);
        self.output = count(&usage["output_tokens"]);
    }

    fn item(&mut self, item: &Value) {
        match item["type"].as_str().unwrap() {
            "message" => {
                for part in item["content"].as_array().into_iter().flatten() {
                    self.text += &text(&part["text"]);
                    self.text += &text(&part["refusal"]);
                }
            }
            "reasoning" => {
                let parts = |key: &str| item[key].as_array().cloned().unwrap_or_default();
                let content = parts("content");
                let shown = if content.is_empty() {
                    parts("summary")
                } else {
                    content
                };
                let shown: Vec<_> = shown.iter().map(|part| text(&part["text"])).collect();
                self.reasoning += &shown.join("\n\n");
                self.sign(&item["encrypted_content"]);
            }
            "function_call" => {
                self.calls.push(Call {
                    id: text(&item["call_id"]),
                    name: text(&item["name"]),
                    arguments: text(&item["arguments"]),
                });
            }
            _ => {}
        }
    }

    /// Reads an event, and checks that the deltas of an item are what its end says, and the items those of the answer.
    fn response_event(&mut self, event: &Value, events: &mut u64) {
        let index = count(&event["output_index"]);
        let kind = event["type"].as_str().unwrap();
        if let Some(number) = event["sequence_number"].as_u64() {
            assert_eq!(number, *events, "{event}");
        }
        *events += 1;
        match kind {
            "response.output_item.added" => drop(self.growing.insert(index, String::new())),
            "response.output_item.done" => {
                let grown = self.growing.remove(&index).unwrap();
                let (text, calls) = (self.text.len(), self.calls.len());
                self.item(&event["item"]);
                if let Some(call) = self.calls.get(calls) {
                    assert_eq!(call.arguments, grown, "{event}");
                } else if event["item"]["type"] == "message" {
                    assert_eq!(self.text[text..], grown, "{event}");
                }
            }
            "response.completed" | "response.incomplete" => {
                let mut whole = Said::default();
                whole.response(&event["response"]);
                // One recorded service repeats nothing at the end.
                let repeated = !event["response"]["output"].as_array().unwrap().is_empty();
                let said = (&self.text, &self.reasoning, &self.calls);
                assert!(
                    !repeated || (&whole.text, &whole.reasoning, &whole.calls) == said,
                    "{event}"
                );
                whole.repeated = repeated;
                whole.text = std::mem::take(&mut self.text);
                whole.reasoning = std::mem::take(&mut self.reasoning);
                whole.signatures = std::mem::take(&mut self.signatures);
                whole.calls = std::mem::take(&mut self.calls);
                *self = Said {
                    ended: true,
                    ..whole
                };
            }
            "response.failed" => {
                self.text
                    .extend(std::mem::take(&mut self.growing).into_values());
                self.errors
                    .push(text(&event["response"]["error"]["message"]));
            }
            "error" => self.errors.push(text(&event["message"])),
            _ => {
                if let (Some(grown), Some(delta)) =
                    (self.growing.get_mut(&index), event["delta"].as_str())
                {
                    *grown += delta;
                }
            }
        }
    }

    /// Reads an event and checks that blocks come one after the other, counted from 0.
    fn event(&mut self, event: &Value, open: &mut Option<String>, blocks: &mut u64) {
        let kind = event["type"].as_str().unwrap();
        if kind.starts_with("content_block") {
            assert_eq!(count(&event["index"]), *blocks, "{event}");
            assert_eq!(open.is_none(), kind == "content_block_start", "{event}");
        }
        match kind {
            "message_start" => self.messages_usage(&event["message"]["usage"]),
            "content_block_start" => {
                let block = &event["content_block"];
                *open = Some(text(&block["type"]));
                self.text += &text(&block["text"]);
                self.sign(&block["data"]);
                if block["type"] == "tool_use" {
                    let (id, name) = (text(&block["id"]), text(&block["name"]));
                    self.calls.push(Call {
                        id,
                        name,
                        arguments: String::new(),
                    });
                }
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                self.text += &text(&delta["text"]);
                self.reasoning += &text(&delta["thinking"]);
                self.sign(&delta["signature"]);
                if let (Some(last), Some("tool_use")) = (self.calls.last_mut(), open.as_deref()) {
                    last.arguments += &text(&delta["partial_json"]);
                }
            }
            "content_block_stop" => {
                *open = None;
                *blocks += 1;
            }
            "message_delta" => {
                self.finish.push(text(&event["delta"]["stop_reason"]));
                let before = (self.prompt, self.cached);
                self.messages_usage(&event["usage"]);
                if event["usage"].get("input_tokens").is_none() {
                    (self.prompt, self.cached) = before;
                }
            }
            "message_stop" => {
                assert!(open.is_none());
                self.ended = true;
            }
            _ => {}
        }
    }

    /// The arguments as JSON; none at all are an empty object, and what is no object stands in one.
    pub(crate) fn arguments(&self) -> Vec<(String, Value)> {
        let parsed = |call: &Call| {
            let blank = call.arguments.trim().is_empty();
            let json = if blank { "{}" } else { &call.arguments };
            let parsed = serde_json::from_str(json).ok().filter(Value::is_object);
            (
                call.name.clone(),
                parsed.unwrap_or_else(|| json!({ "INVALID_JSON": json })),
            )
        };
        self.calls.iter().map(parsed).collect()
    }

    pub(crate) fn ids(&self) -> Vec<&str> {
        self.calls.iter().map(|call| call.id.as_str()).collect()
    }
}

/// A proof that is no base64 stands wrapped where clients read it as base64.
fn unwrapped(proof: &str) -> String {
    let Some(wrapped) = proof.strip_prefix("cHJvb2Zz") else {
        return proof.to_owned();
    };
    String::from_utf8(STANDARD.decode(wrapped).unwrap()).unwrap()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}
