//! Generated conversations: there and back they mean the same, or the loss has a name.

use carnet_wire::dialect::{Dialect, Options};
use carnet_wire::form::{LossCode, Losses};
use carnet_wire::stream::aws::AwsDecoder;
use carnet_wire::translate::{Stream, answer, ask};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::reading::{client, text};
use super::scenarios::DIALECTS;

use Dialect::{Chat, Converse, GenerateContent, Messages, Responses};

/// What is said, as far as both dialects can.
#[derive(Clone, Debug, PartialEq)]
enum Item {
    Call {
        id: String,
        name: String,
        arguments: Value,
    },
    Image(String),
    Result {
        id: String,
        text: String,
    },
    Text(String),
    Thought {
        text: String,
        signature: String,
    },
}

use Item::{Call, Image, Result, Text, Thought};

/// Turns in their order, with the one who speaks; instructions apart.
#[derive(Clone, Debug, Default, PartialEq)]
struct Talk {
    system: String,
    turns: Vec<(bool, Vec<Item>)>,
}

impl Talk {
    /// Puts an item behind the others, joined with the one before if nobody could tell them apart.
    fn say(&mut self, assistant: bool, item: Item) {
        if matches!(&item, Text(text) if text.is_empty()) {
            return;
        }
        if self.turns.last().is_none_or(|(who, _)| *who != assistant) {
            self.turns.push((assistant, Vec::new()));
        }
        let items = &mut self.turns.last_mut().unwrap().1;
        match (items.last_mut(), item) {
            (Some(Text(before)), Text(text)) => *before += &text,
            (
                Some(Thought {
                    text: before,
                    signature: none,
                }),
                Thought { text, signature },
            ) if none.is_empty() && signature.is_empty() => {
                *before += &text;
            }
            (_, item) => items.push(item),
        }
    }

    /// The same without some items.
    fn without(&self, gone: impl Fn(&Item) -> bool) -> Self {
        let mut talk = Self {
            system: self.system.clone(),
            turns: Vec::new(),
        };
        for (assistant, items) in &self.turns {
            let left = items.iter().filter(|item| !gone(item));
            left.for_each(|item| talk.say(*assistant, item.clone()));
        }
        talk
    }

    /// The same with the order within a turn forgotten.
    fn unordered(&self) -> Self {
        let mut talk = Self {
            system: self.system.clone(),
            turns: Vec::new(),
        };
        for (assistant, items) in &self.turns {
            let mut items = items.clone();
            items.sort_by_key(|item| match item {
                Result { .. } | Thought { .. } => 0,
                Text(_) | Image(_) => 1,
                Call { .. } => 2,
            });
            items
                .into_iter()
                .for_each(|item| talk.say(*assistant, item));
        }
        talk
    }
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zäß😀\"\\\\\n/<]{1,12}x",
        1 => Just(String::new()),
    ]
}

fn arguments() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        ("[a-z\"\\\\]{1,5}", any::<i32>())
            .prop_map(|(key, number)| json!({key: number, "n": [null, {"\n": "é"}]})),
    ]
}

/// What the model says in one turn: reasoning, texts and calls in any order; calls by name and arguments.
fn said() -> impl Strategy<Value = Vec<Item>> {
    let call = ("[a-z_]{1,8}", arguments()).prop_map(|(name, arguments)| Call {
        id: String::new(),
        name,
        arguments,
    });
    let thought =
        ("[a-z\n]{1,8}", "[a-z=]{0,4}").prop_map(|(text, signature)| Thought { text, signature });
    prop::collection::vec(
        prop_oneof![3 => words().prop_map(Text), 2 => call, 1 => thought],
        0..5,
    )
}

fn asked() -> impl Strategy<Value = Vec<Item>> {
    let image = "[a-z]{1,5}".prop_map(|name| Image(format!("https://example.org/{name}")));
    prop::collection::vec(prop_oneof![3 => words().prop_map(Text), 1 => image], 1..4)
}

/// A conversation in which every call has its result in the next turn.
fn talk() -> impl Strategy<Value = Talk> {
    let rounds = prop::collection::vec((asked(), said(), words()), 1..6);
    (words(), rounds).prop_map(|(system, rounds)| {
        let mut talk = Talk {
            system,
            turns: Vec::new(),
        };
        let mut calls = 0;
        for (asked, said, result) in rounds {
            asked.into_iter().for_each(|item| talk.say(false, item));
            let mut results = Vec::new();
            for mut item in said {
                if let Call { id, .. } = &mut item {
                    calls += 1;
                    *id = format!("call-{calls}");
                    results.push(Result {
                        id: id.clone(),
                        text: result.clone(),
                    });
                }
                talk.say(true, item);
            }
            results
                .into_iter()
                .rev()
                .for_each(|item| talk.say(false, item));
        }
        talk
    })
}

/// Settings as chat completions have them, with the loss that messages may name for each.
const SETTINGS: &[(&str, &str, Option<LossCode>)] = &[
    ("max_tokens", "77", None),
    ("temperature", "0.25", None),
    ("temperature", "1.75", Some(LossCode::Sampling)),
    ("top_p", "0.5", None),
    ("seed", "7", Some(LossCode::Sampling)),
    ("presence_penalty", "0.5", Some(LossCode::Sampling)),
    ("stop", r#"["a","\n"]"#, None),
    ("user", r#""me""#, None),
    ("stream", "true", None),
    (
        "tools",
        r#"[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}]"#,
        None,
    ),
    (
        "response_format",
        r#"{"type":"json_object"}"#,
        Some(LossCode::JsonMode),
    ),
    (
        "response_format",
        r#"{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"},"strict":true}}"#,
        None,
    ),
    ("logprobs", "true", Some(LossCode::Logprobs)),
    ("metadata", r#"{"a":"b"}"#, Some(LossCode::Metadata)),
    ("odd", "[1]", Some(LossCode::UnknownMember)),
];

fn settings() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::btree_set(0..SETTINGS.len(), 0..6).prop_map(|chosen| {
        let mut keys = Vec::new();
        let mut once = |index: &usize| {
            let key = SETTINGS[*index].0;
            let new = !keys.contains(&key);
            keys.push(key);
            new
        };
        chosen.into_iter().filter(|index| once(index)).collect()
    })
}

fn options() -> Options {
    let mut options = Options::default();
    options.target.reasoning_details = true;
    options.target.unsigned_reasoning = true;
    options
}

fn to_chat(talk: &Talk) -> Vec<Value> {
    let mut messages = Vec::new();
    if !talk.system.is_empty() {
        messages.push(json!({"role": "system", "content": talk.system}));
    }
    for (assistant, items) in &talk.turns {
        if *assistant {
            messages.push(chat_assistant(items));
            continue;
        }
        let mut content = Vec::new();
        for item in items {
            match item {
                Result { id, text } => {
                    messages.push(json!({"role": "tool", "tool_call_id": id, "content": text}))
                }
                Text(text) => content.push(json!({"type": "text", "text": text})),
                Image(url) => content.push(json!({"type": "image_url", "image_url": {"url": url}})),
                Call { .. } | Thought { .. } => unreachable!(),
            }
        }
        if !content.is_empty() {
            messages.push(json!({"role": "user", "content": content}));
        }
    }
    messages
}

/// The order within a turn is the one that the dialect has.
fn chat_assistant(items: &[Item]) -> Value {
    let (mut content, mut thoughts, mut details, mut calls) =
        (String::new(), String::new(), vec![], vec![]);
    for item in items {
        match item {
            Text(text) => content += text,
            Thought { text, signature } => {
                thoughts += text;
                details
                    .push(json!({"type": "reasoning.text", "text": text, "signature": signature}));
            }
            Call {
                id,
                name,
                arguments,
            } => {
                calls.push(json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments.to_string()}}));
            }
            Image(_) | Result { .. } => unreachable!(),
        }
    }
    let mut message = json!({"role": "assistant", "content": content});
    if !details.is_empty() {
        message["reasoning_content"] = json!(thoughts);
        message["reasoning_details"] = json!(details);
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    message
}

fn of_chat(messages: &Value) -> Talk {
    let mut talk = Talk::default();
    for message in messages.as_array().unwrap() {
        let role = text(&message["role"]);
        let assistant = role == "assistant";
        let details = message["reasoning_details"].as_array();
        match details {
            Some(details) => details.iter().for_each(|detail| {
                talk.say(
                    true,
                    Thought {
                        text: text(&detail["text"]),
                        signature: text(&detail["signature"]),
                    },
                );
            }),
            None if message["reasoning_content"].is_string() => {
                talk.say(
                    true,
                    Thought {
                        text: text(&message["reasoning_content"]),
                        signature: String::new(),
                    },
                );
            }
            None => {}
        }
        let content = &message["content"];
        match role.as_str() {
            "system" => talk.system += &text(content),
            "tool" => talk.say(
                false,
                Result {
                    id: text(&message["tool_call_id"]),
                    text: text(content),
                },
            ),
            _ => {
                talk.say(assistant, Text(text(content)));
                for part in content.as_array().into_iter().flatten() {
                    talk.say(
                        assistant,
                        match part["image_url"]["url"].as_str() {
                            Some(url) => Image(url.to_owned()),
                            None => Text(text(&part["text"])),
                        },
                    );
                }
            }
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            let arguments = serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap();
            talk.say(
                true,
                Call {
                    id: text(&call["id"]),
                    name: text(&function["name"]),
                    arguments,
                },
            );
        }
    }
    talk
}

fn to_messages(talk: &Talk) -> Value {
    let mut body = json!({"max_tokens": 5, "messages": []});
    if !talk.system.is_empty() {
        body["system"] = json!(talk.system);
    }
    for (assistant, items) in &talk.turns {
        let blocks: Vec<_> = items.iter().map(block).collect();
        let role = if *assistant { "assistant" } else { "user" };
        body["messages"]
            .as_array_mut()
            .unwrap()
            .push(json!({"role": role, "content": blocks}));
    }
    body
}

fn block(item: &Item) -> Value {
    match item {
        Call {
            id,
            name,
            arguments,
        } => json!({"type": "tool_use", "id": id, "name": name, "input": arguments}),
        Image(url) => json!({"type": "image", "source": {"type": "url", "url": url}}),
        Result { id, text } => json!({"type": "tool_result", "tool_use_id": id, "content": text}),
        Text(text) => json!({"type": "text", "text": text}),
        Thought { text, signature } => {
            json!({"type": "thinking", "thinking": text, "signature": signature})
        }
    }
}

fn of_messages(body: &Value) -> Talk {
    let mut talk = Talk {
        system: text(&body["system"]),
        turns: Vec::new(),
    };
    let mut last = None;
    for message in body["messages"].as_array().unwrap() {
        let assistant = message["role"] == "assistant";
        assert_ne!(
            last.replace(assistant),
            Some(assistant),
            "roles must alternate"
        );
        let content = &message["content"];
        talk.say(assistant, Text(text(content)));
        for block in content.as_array().into_iter().flatten() {
            talk.say(
                assistant,
                match block["type"].as_str().unwrap() {
                    "tool_use" => Call {
                        id: text(&block["id"]),
                        name: text(&block["name"]),
                        arguments: block["input"].clone(),
                    },
                    "image" => Image(text(&block["source"]["url"])),
                    "tool_result" => Result {
                        id: text(&block["tool_use_id"]),
                        text: text(&block["content"]),
                    },
                    "thinking" => Thought {
                        text: text(&block["thinking"]),
                        signature: text(&block["signature"]),
                    },
                    kind => {
                        assert_eq!(
                            (kind, text(&block["text"]).is_empty()),
                            ("text", false),
                            "an empty block"
                        );
                        Text(text(&block["text"]))
                    }
                },
            );
        }
    }
    talk
}

fn sent(from: Dialect, to: Dialect, body: &Value) -> (Value, Losses) {
    let asked = ask(client(from), to, body.to_string().as_bytes(), &options()).unwrap();
    (serde_json::from_slice(&asked.body).unwrap(), asked.losses)
}

/// JSON that has the names of the dialects in odd places.
fn hostile() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "annotations",
        "arguments",
        "cache_control",
        "choices",
        "citations",
        "content",
        "content_block",
        "delta",
        "error",
        "finish_reason",
        "format",
        "function",
        "id",
        "image_url",
        "index",
        "input",
        "json_schema",
        "message",
        "messages",
        "model",
        "name",
        "output_config",
        "reasoning",
        "reasoning_details",
        "response_format",
        "role",
        "schema",
        "source",
        "stop",
        "system",
        "text",
        "thinking",
        "tool_calls",
        "tool_choice",
        "tools",
        "type",
        "url",
        "usage",
    ]);
    let values = prop::sample::select(vec![
        "assistant",
        "base64",
        "content_block_delta",
        "content_block_start",
        "data:a;base64,b",
        "document",
        "function",
        "image",
        "image_url",
        "input_json_delta",
        "json_schema",
        "message_delta",
        "message_start",
        "text",
        "thinking",
        "tool",
        "tool_calls",
        "tool_result",
        "tool_use",
        "user",
        "{",
    ]);
    let leaf = prop_oneof![
        4 => values.prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => Just(json!(null)),
        1 => Just(json!(true)),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn chat_completions_mean_the_same_there_and_back(talk in talk(), chosen in settings()) {
        let mut body = json!({"model": "m", "messages": to_chat(&talk)});
        for index in &chosen {
            let (key, value, _) = SETTINGS[*index];
            body[key] = serde_json::from_str(value).unwrap();
        }
        let (there, losses) = sent(Chat, Messages, &body);
        let (back, more) = sent(Messages, Chat, &there);
        prop_assert!(more.is_empty(), "{more:?}");
        // What a message cannot say about its order nobody has said.
        let want = of_chat(&body["messages"]).unordered();
        prop_assert_eq!(of_messages(&there).unordered(), want.clone());
        prop_assert_eq!(of_chat(&back["messages"]), want);
        for index in chosen {
            let (key, value, loss) = SETTINGS[index];
            let kept = back[key] == serde_json::from_str::<Value>(value).unwrap();
            prop_assert_eq!(kept, loss.is_none(), "{}: {}", key, back);
            prop_assert!(loss.is_none_or(|loss| losses.has(loss)), "{losses:?}");
        }
    }

    #[test]
    fn messages_mean_the_same_there_and_back(talk in talk()) {
        let body = to_messages(&talk);
        let (there, losses) = sent(Messages, Chat, &body);
        let (back, more) = sent(Chat, Messages, &there);
        prop_assert!(more.is_empty(), "{more:?}");
        let (want, got) = (of_messages(&body), of_messages(&back));
        prop_assert_eq!(want.unordered(), got.unordered());
        prop_assert_eq!(want == got, !losses.has(LossCode::PartOrder), "{:?}", losses);
        prop_assert_eq!(&back["max_tokens"], 5);
    }

    #[test]
    fn responses_carry_the_others_there_and_back(talk in talk()) {
        let body = json!({"messages": to_chat(&talk), "temperature": 0.5, "max_tokens": 90});
        let (there, losses) = sent(Chat, Responses, &body);
        let (back, more) = sent(Responses, Chat, &there);
        prop_assert!(losses.is_empty() && more.is_empty(), "{losses:?} {more:?}");
        prop_assert_eq!(of_chat(&back["messages"]), of_chat(&body["messages"]));
        prop_assert_eq!((&back["temperature"], &back["max_tokens"]), (&json!(0.5), &json!(90)));

        let mut body = to_messages(&talk);
        body["max_tokens"] = json!(16);
        let (there, losses) = sent(Messages, Responses, &body);
        let (back, more) = sent(Responses, Messages, &there);
        prop_assert!(losses.is_empty() && more.is_empty(), "{losses:?} {more:?}");
        // Items have an order of their own, so even that of the parts comes back.
        prop_assert_eq!(of_messages(&back), of_messages(&body));
    }

    /// Neither takes an image by its address, and one hangs proofs of reasoning on other parts.
    #[test]
    fn converse_and_generate_content_carry_messages_there_and_back(talk in talk()) {
        for (through, talk) in [
            (Converse, talk.without(|item| matches!(item, Image(_)))),
            (GenerateContent, talk.without(|item| matches!(item, Image(_) | Thought { .. }))),
        ] {
            let body = to_messages(&talk);
            let (there, losses) = sent(Messages, through, &body);
            let (back, more) = sent(through, Messages, &there);
            // Its calls are of a model that has not proven them.
            let excused = |code| through == GenerateContent && code == LossCode::ReasoningSignature;
            prop_assert!(losses.iter().all(|loss| excused(loss.code)), "{losses:?}");
            prop_assert!(more.is_empty(), "{more:?}");
            prop_assert_eq!(of_messages(&back), of_messages(&body), "{}: {}", through, there);
            prop_assert_eq!(&back["max_tokens"], 5);
        }
    }

    #[test]
    fn nothing_that_is_json_stops_a_translation_with_more_than_an_error(value in hostile(), stream in prop::collection::vec(hostile(), 0..8)) {
        let body = value.to_string();
        for (from, to) in DIALECTS.into_iter().flat_map(|from| DIALECTS.map(|to| (from, to))) {
            for body in [body.clone(), format!(r#"{{"messages":[{body}],"tools":[{body}],"input":[{body}]}}"#), format!(r#"{{"choices":[{{"message":{body}}}],"content":[{body}],"output":[{body}]}}"#), format!(r#"{{"contents":[{{"parts":[{body}]}}],"tools":[{{"functionDeclarations":[{body}]}}],"generationConfig":{body}}}"#), format!(r#"{{"messages":[{{"role":"user","content":[{body}]}}],"toolConfig":{{"tools":[{body}]}},"inferenceConfig":{body}}}"#)] {
                let outs = [
                    ask(client(from), to, body.as_bytes(), &options()).map(|asked| asked.body),
                    answer(from, client(to), body.as_bytes(), &options()).map(|answered| answered.body),
                ];
                for out in outs.into_iter().flatten() {
                    prop_assert!(serde_json::from_slice::<Value>(&out).is_ok(), "{:?}", String::from_utf8(out));
                }
            }
            let mut translated = Stream::new(from, client(to), &options());
            let mut out = Vec::new();
            for event in &stream {
                translated.push("", event.to_string().as_bytes(), &mut out);
                translated.push("", format!(r#"{{"choices":[{{"delta":{event}}}]}}"#).as_bytes(), &mut out);
            }
            translated.finish(&mut out);
            prop_assert_ne!(translated.state(), carnet_wire::translate::State::Open);
            if to == Converse {
                let mut decoder = AwsDecoder::new();
                let mut rest = &out[..];
                while let Some(message) = decoder.next(&mut rest).unwrap() {
                    prop_assert!(serde_json::from_slice::<Value>(message.payload).is_ok());
                }
                prop_assert!(decoder.finish().is_ok());
                continue;
            }
            for event in super::reading::data(std::str::from_utf8(&out).unwrap()) {
                prop_assert!(event == "[DONE]" || serde_json::from_str::<Value>(&event).is_ok(), "{event}");
            }
        }
    }
}
