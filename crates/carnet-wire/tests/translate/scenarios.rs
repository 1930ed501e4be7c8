//! The same scenarios from every dialect to every other: what is said, called and used must arrive.

use std::collections::HashSet;

use carnet_wire::dialect::Dialect;
use carnet_wire::form::{Failure, FailureKind, Losses};
use carnet_wire::limits::{MAX_ANSWER_KEPT, MAX_HELD_BACK};
use carnet_wire::translate::{State, Stream, answer, ask, failure};
use serde_json::{Value, json};

use super::cohere;
use super::reading::{
    Said, client, data, options, push, read_stream, read_whole, streamed, text, translated, whole,
};

use Dialect::{Chat, Cohere, Converse, GenerateContent, Messages, Responses};

pub(crate) const DIALECTS: [Dialect; 5] = [Chat, Converse, GenerateContent, Messages, Responses];

/// Every service with every client.
fn pairs() -> impl Iterator<Item = (Dialect, Dialect)> {
    Dialect::ALL
        .into_iter()
        .flat_map(|from| DIALECTS.map(|to| (from, to)))
}

/// What every answer of these scenarios must be, and that it says this text, reasoning and these calls.
fn check(to: Dialect, said: &Said, text: &str, reasoning: &str, calls: &[(&str, Value)]) {
    assert_eq!(
        (said.text.as_str(), said.reasoning.as_str()),
        (text, reasoning)
    );
    let names: Vec<_> = said.arguments();
    let want: Vec<_> = calls
        .iter()
        .map(|(name, arguments)| ((*name).to_owned(), arguments.clone()))
        .collect();
    assert_eq!(names, want);
    let ids: HashSet<_> = said.ids().into_iter().collect();
    assert!(ids.len() == calls.len() && !ids.contains(""));
    let reason = match (to, calls.is_empty()) {
        (Chat, true) => "stop",
        (Chat, false) => "tool_calls",
        (GenerateContent, _) => "STOP",
        (Responses, true) => "completed",
        (Responses, false) => "completed with calls",
        (_, true) => "end_turn",
        (_, false) => "tool_use",
    };
    assert_eq!(said.finish, [reason]);
    assert!(said.ended && said.errors.is_empty());
}

fn used(said: &Said) -> [u64; 3] {
    [said.prompt, said.cached, said.output]
}

/// The usage of 100 tokens of the prompt, 60 of them cached, and 9 of the answer.
fn usage(dialect: Dialect) -> Value {
    match dialect {
        Chat => json!({"prompt_tokens": 100, "completion_tokens": 9, "total_tokens": 109,
            "prompt_tokens_details": {"cached_tokens": 60}}),
        Cohere => cohere::usage(),
        Converse => {
            json!({"inputTokens": 40, "cacheReadInputTokens": 60, "outputTokens": 9, "totalTokens": 109})
        }
        GenerateContent => {
            json!({"promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 4,
            "thoughtsTokenCount": 5, "totalTokenCount": 109})
        }
        Responses => json!({"input_tokens": 100, "output_tokens": 9, "total_tokens": 109,
            "input_tokens_details": {"cached_tokens": 60}}),
        _ => json!({"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 9}),
    }
}

/// A whole answer.
pub(crate) fn body(
    dialect: Dialect,
    text: &str,
    reasoning: &str,
    calls: &[(&str, Value)],
) -> Vec<u8> {
    let ids = (0..).map(|number| format!("call-{number}"));
    let calls = ids.zip(calls);
    let body = match dialect {
        Chat => {
            let calls: Vec<_> = calls
                .map(|(id, (name, arguments))| {
                    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments.to_string()}})
                })
                .collect();
            let mut message = json!({"role": "assistant", "content": text});
            if !calls.is_empty() {
                message["tool_calls"] = json!(calls);
            }
            if !reasoning.is_empty() {
                message["reasoning_content"] = json!(reasoning);
            }
            json!({"id": "i", "model": "m", "created": 1, "object": "chat.completion", "usage": usage(Chat),
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
        }
        Responses => {
            let mut output = Vec::new();
            if !reasoning.is_empty() {
                output.push(json!({"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": reasoning}], "encrypted_content": "s=="}));
            }
            output.push(json!({"type": "message", "id": "msg", "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": []}]}));
            output.extend(calls.map(|(id, (name, arguments))| {
                json!({"type": "function_call", "id": "fc", "call_id": id, "name": name, "arguments": arguments.to_string()})
            }));
            json!({"id": "i", "object": "response", "model": "m", "status": "completed", "error": null, "incomplete_details": null,
                "output": output, "usage": usage(Responses)})
        }
        Cohere => cohere::body(text, reasoning, calls),
        Converse => {
            let mut content = Vec::new();
            if !reasoning.is_empty() {
                content.push(json!({"reasoningContent": {"reasoningText": {"text": reasoning, "signature": "s=="}}}));
            }
            content.push(json!({"text": text}));
            content.extend(calls.map(|(id, (name, input))| json!({"toolUse": {"toolUseId": id, "name": name, "input": input}})));
            json!({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn", "usage": usage(Converse)})
        }
        GenerateContent => {
            let mut parts = Vec::new();
            if !reasoning.is_empty() {
                parts.push(json!({"text": reasoning, "thought": true}));
            }
            if !text.is_empty() {
                parts.push(json!({"text": text}));
            }
            parts.extend(calls.map(|(id, (name, args))| json!({"functionCall": {"id": id, "name": name, "args": args}})));
            // The proof of reasoning hangs on the part behind it.
            if !reasoning.is_empty() {
                parts[1]["thoughtSignature"] = json!("s==");
            }
            generated(&parts, true)
        }
        _ => {
            let mut content = Vec::new();
            if !reasoning.is_empty() {
                content
                    .push(json!({"type": "thinking", "thinking": reasoning, "signature": "s=="}));
            }
            content.push(json!({"type": "text", "text": text}));
            content.extend(calls.map(|(id, (name, input))| json!({"type": "tool_use", "id": id, "name": name, "input": input})));
            json!({"id": "i", "type": "message", "role": "assistant", "model": "m", "content": content,
                "stop_reason": "end_turn", "stop_sequence": null, "usage": usage(Messages)})
        }
    };
    body.to_string().into_bytes()
}

/// A stream with its texts in two pieces and arguments in three.
pub(crate) fn stream(
    dialect: Dialect,
    text: &str,
    reasoning: &str,
    calls: &[(&str, Value)],
) -> Vec<String> {
    match dialect {
        Chat => chat_stream(text, reasoning, calls),
        Cohere => cohere::stream(text, reasoning, calls),
        Converse => converse_stream(text, reasoning, calls),
        GenerateContent => generate_stream(text, reasoning, calls),
        Responses => responses_stream(text, reasoning, calls),
        _ => messages_stream(text, reasoning, calls),
    }
}

pub(crate) fn halves(text: &str) -> [&str; 2] {
    let (one, two) = text.split_at(text.floor_char_boundary(text.len() / 2));
    [one, two]
}

fn chat_stream(text: &str, reasoning: &str, calls: &[(&str, Value)]) -> Vec<String> {
    let chunk = |delta: Value, reason: Option<&str>| json!({"id": "i", "model": "m", "created": 1, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
    let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), None)];
    events.extend(halves(reasoning).map(|half| chunk(json!({"reasoning_content": half}), None)));
    events.extend(halves(text).map(|half| chunk(json!({"content": half}), None)));
    // Calls open together and grow in turns, as the numbering of the dialect allows.
    for (index, (name, _)) in calls.iter().enumerate() {
        let function = json!({"name": name, "arguments": ""});
        events.push(chunk(json!({"tool_calls": [{"index": index, "id": format!("c{index}"), "type": "function", "function": function}]}), None));
    }
    for half in 0..2 {
        for (index, (_, arguments)) in calls.iter().enumerate() {
            // Some services send nothing for a call without arguments.
            let arguments = if *arguments == json!({}) {
                String::new()
            } else {
                arguments.to_string()
            };
            let function = json!({"arguments": halves(&arguments)[half]});
            events.push(chunk(
                json!({"tool_calls": [{"index": index, "function": function}]}),
                None,
            ));
        }
    }
    events.push(chunk(json!({}), Some("stop")));
    events.push(json!({"id": "i", "model": "m", "choices": [], "usage": usage(Chat)}));
    let mut events: Vec<_> = events.iter().map(Value::to_string).collect();
    events.push("[DONE]".to_owned());
    events
}

fn messages_stream(text: &str, reasoning: &str, calls: &[(&str, Value)]) -> Vec<String> {
    let mut events = vec![
        json!({"type": "message_start", "message": {"id": "i", "model": "m",
        "usage": {"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 1}}}),
        json!({"type": "ping"}),
    ];
    let mut index = 0;
    let mut block = |start: Value, deltas: Vec<Value>| {
        let mut block =
            vec![json!({"type": "content_block_start", "index": index, "content_block": start})];
        block.extend(
            deltas.into_iter().map(
                |delta| json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ),
        );
        block.push(json!({"type": "content_block_stop", "index": index}));
        index += 1;
        block
    };
    if !reasoning.is_empty() {
        let mut deltas = halves(reasoning)
            .map(|half| json!({"type": "thinking_delta", "thinking": half}))
            .to_vec();
        deltas.push(json!({"type": "signature_delta", "signature": "s=="}));
        events.extend(block(
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            deltas,
        ));
    }
    let deltas = halves(text)
        .map(|half| json!({"type": "text_delta", "text": half}))
        .to_vec();
    events.extend(block(json!({"type": "text", "text": ""}), deltas));
    for (number, (name, input)) in calls.iter().enumerate() {
        let json = if *input == json!({}) {
            String::new()
        } else {
            input.to_string()
        };
        let mut deltas = vec![json!({"type": "input_json_delta", "partial_json": ""})];
        deltas.extend(
            halves(&json).map(|half| json!({"type": "input_json_delta", "partial_json": half})),
        );
        let start =
            json!({"type": "tool_use", "id": format!("c{number}"), "name": name, "input": {}});
        events.extend(block(start, deltas));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 9}}));
    events.push(json!({"type": "message_stop"}));
    events.iter().map(Value::to_string).collect()
}

fn responses_stream(text: &str, reasoning: &str, calls: &[(&str, Value)]) -> Vec<String> {
    let body: Value = serde_json::from_slice(&body(Responses, text, reasoning, calls)).unwrap();
    let mut events = vec![
        json!({"type": "response.created", "response": {"id": "i", "model": "m", "status": "in_progress", "output": []}}),
    ];
    for (index, item) in body["output"].as_array().unwrap().iter().enumerate() {
        let id = text_of(&item["call_id"]).replace("call-", "c");
        let mut begun = item.clone();
        let (grown, kind) = match text_of(&item["type"]).as_str() {
            "message" => (
                text_of(&item["content"][0]["text"]),
                "response.output_text.delta",
            ),
            "reasoning" => (
                text_of(&item["summary"][0]["text"]),
                "response.reasoning_summary_text.delta",
            ),
            _ => (
                text_of(&item["arguments"]),
                "response.function_call_arguments.delta",
            ),
        };
        for key in ["content", "summary", "encrypted_content"] {
            begun.as_object_mut().unwrap().remove(key);
        }
        if item["type"] == "function_call" {
            begun["arguments"] = json!("");
            begun["call_id"] = json!(id);
        }
        events.push(
            json!({"type": "response.output_item.added", "output_index": index, "item": begun}),
        );
        events.extend(
            halves(&grown).map(|half| json!({"type": kind, "output_index": index, "delta": half})),
        );
        let mut done = item.clone();
        if item["type"] == "function_call" {
            done["call_id"] = json!(id);
        }
        events.push(
            json!({"type": "response.output_item.done", "output_index": index, "item": done}),
        );
    }
    events.push(json!({"type": "response.completed", "response": body}));
    events.iter().map(Value::to_string).collect()
}

/// Events with their names, which stand in the framing.
fn converse_stream(text: &str, reasoning: &str, calls: &[(&str, Value)]) -> Vec<String> {
    let event = |name: &str, data: Value| format!("{name}\t{data}");
    let delta = |index: usize, delta: Value| {
        event(
            "contentBlockDelta",
            json!({"contentBlockIndex": index, "delta": delta}),
        )
    };
    let stop = |index: usize| event("contentBlockStop", json!({"contentBlockIndex": index}));
    let mut events = vec![event("messageStart", json!({"role": "assistant"}))];
    let mut index = 0;
    if !reasoning.is_empty() {
        events.extend(
            halves(reasoning).map(|half| delta(0, json!({"reasoningContent": {"text": half}}))),
        );
        events.push(delta(0, json!({"reasoningContent": {"signature": "s=="}})));
        events.push(stop(0));
        index += 1;
    }
    events.extend(halves(text).map(|half| delta(index, json!({"text": half}))));
    events.push(stop(index));
    for (number, (name, input)) in calls.iter().enumerate() {
        index += 1;
        let start = json!({"toolUse": {"toolUseId": format!("c{number}"), "name": name}});
        events.push(event(
            "contentBlockStart",
            json!({"contentBlockIndex": index, "start": start}),
        ));
        let json = if *input == json!({}) {
            String::new()
        } else {
            input.to_string()
        };
        events.extend(halves(&json).map(|half| delta(index, json!({"toolUse": {"input": half}}))));
        events.push(stop(index));
    }
    events.push(event("messageStop", json!({"stopReason": "end_turn"})));
    events.push(event(
        "metadata",
        json!({"usage": usage(Converse), "metrics": {"latencyMs": 1}}),
    ));
    events
}

fn generated(parts: &[Value], last: bool) -> Value {
    let mut answer = json!({"responseId": "i", "modelVersion": "m", "usageMetadata": usage(GenerateContent),
        "candidates": [{"content": {"role": "model", "parts": parts}}]});
    if last {
        answer["candidates"][0]["finishReason"] = json!("STOP");
    }
    answer
}

/// Each part in an event of its own, texts in two; the end comes behind the calls.
fn generate_stream(text: &str, reasoning: &str, calls: &[(&str, Value)]) -> Vec<String> {
    let whole: Value =
        serde_json::from_slice(&body(GenerateContent, text, reasoning, calls)).unwrap();
    let mut events = Vec::new();
    for part in whole["candidates"][0]["content"]["parts"]
        .as_array()
        .unwrap()
    {
        if let Some(text) = part["text"].as_str() {
            for half in halves(text) {
                let mut piece = part.clone();
                piece["text"] = json!(half);
                events.push(generated(&[piece], false));
            }
        } else {
            let mut call = part.clone();
            call["functionCall"]["id"] =
                json!(text_of(&part["functionCall"]["id"]).replace("call-", "c"));
            events.push(generated(&[call], false));
        }
    }
    events.push(generated(&[json!({"text": ""})], true));
    events.iter().map(Value::to_string).collect()
}

fn text_of(value: &Value) -> String {
    super::reading::text(value)
}

const TEXT: &str = "Grüße, \"Welt\" \\ 😀\nzweite Zeile";
const THOUGHT: &str = "first\n\tthis";

#[test]
fn plain() {
    for (from, to) in pairs() {
        let said = whole(from, to, &body(from, TEXT, "", &[]));
        check(to, &said, TEXT, "", &[]);
        assert_eq!(used(&said), [100, 60, 9]);
    }
}

#[test]
fn a_stream_with_and_without_usage() {
    for (from, to) in pairs() {
        let events = stream(from, TEXT, "", &[]);
        // Of one dialect nothing but the close is the end.
        for closed in [from == GenerateContent, true] {
            let said = streamed(from, to, &events, closed);
            check(to, &said, TEXT, "", &[]);
            assert_eq!(used(&said), [100, 60, 9]);
        }
        let mut options = options();
        options.caller.include_usage = false;
        let mut stream = Stream::new(from, client(to), &options);
        let mut out = Vec::new();
        events
            .iter()
            .for_each(|event| push(&mut stream, event, &mut out));
        stream.finish(&mut out);
        let said = read_stream(to, &out);
        check(to, &said, TEXT, "", &[]);
        // In chat completions usage comes only if the client has asked for it, but the gateway knows it.
        assert_eq!(used(&said), if to == Chat { [0; 3] } else { [100, 60, 9] });
        assert_eq!(
            (stream.usage().total(), stream.state()),
            (109, State::Ended)
        );
    }
}

#[test]
fn one_tool_and_two_in_parallel() {
    let two = [
        ("f", json!({"city": "Zürich \"\\", "n": [1, {}]})),
        ("g", json!({})),
    ];
    for (from, to) in pairs() {
        for calls in [&two[..1], &two[1..], &two] {
            for text in ["", TEXT] {
                check(
                    to,
                    &whole(from, to, &body(from, text, "", calls)),
                    text,
                    "",
                    calls,
                );
                check(
                    to,
                    &streamed(from, to, &stream(from, text, "", calls), true),
                    text,
                    "",
                    calls,
                );
            }
        }
    }
}

#[test]
fn what_follows_a_call_without_arguments_does_not_wait_for_the_end() {
    let calls = [("f", json!({})), ("g", json!({"a": 1}))];
    for from in [Converse, GenerateContent, Messages, Responses] {
        // One dialect tells a call at once, when it is complete.
        for to in [Chat, Converse, Messages, Responses] {
            let mut reading = Stream::new(from, client(to), &options());
            let mut out = Vec::new();
            for event in stream(from, "", "", &calls) {
                push(&mut reading, &event, &mut out);
                if event.contains("\"g\"") {
                    break;
                }
            }
            let out = String::from_utf8_lossy(&out);
            assert!(out.contains("\"name\":\"g\""), "{from} to {to}: {out}");
        }
    }
}

#[test]
fn proofs_without_a_byte_are_none() {
    let parts = json!([{"text": "t", "thoughtSignature": ""}]);
    let generated = json!({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]});
    let content = json!([{"reasoningContent": {"reasoningText": {"text": "hm", "signature": ""}}}, {"text": "t"}]);
    let conversed = json!({"output": {"message": {"content": content}}, "stopReason": "end_turn"});
    for (from, answered) in [(GenerateContent, generated), (Converse, conversed)] {
        for to in [Chat, Responses] {
            let body = answered.to_string();
            let answer = answer(from, client(to), body.as_bytes(), &options()).unwrap();
            let said = String::from_utf8(answer.body).unwrap();
            assert!(
                !said.contains("encrypted") && !said.contains("reasoning_details"),
                "{said}"
            );
        }
    }
}

#[test]
fn calls_without_ids_of_their_own_get_some() {
    for (from, to) in pairs() {
        let calls = [("f", json!({"a": 1})), ("f", json!({"a": 2}))];
        for id in ["", "same"] {
            let told = |text: String| text.replace("call-0", id).replace("call-1", id);
            let whole_body = told(String::from_utf8(body(from, "", "", &calls)).unwrap());
            check(to, &whole(from, to, whole_body.as_bytes()), "", "", &calls);
            let told = |text: &String| {
                text.replace("\"c0\"", &format!("\"{id}\""))
                    .replace("\"c1\"", &format!("\"{id}\""))
            };
            let events: Vec<_> = stream(from, "", "", &calls).iter().map(told).collect();
            check(to, &streamed(from, to, &events, true), "", "", &calls);
        }
    }
}

#[test]
pub(crate) fn a_schema() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false});
    let question = json!([{"role": "user", "content": "q"}]);
    let asked = |dialect| match dialect {
        Chat => json!({"messages": question, "response_format": {"type": "json_schema",
            "json_schema": {"name": "n", "schema": schema, "strict": true}}}),
        Responses => {
            json!({"input": question, "text": {"format": {"type": "json_schema", "name": "n", "schema": schema}}})
        }
        Converse => {
            let inside = json!({"name": "n", "schema": schema.to_string()});
            let format = json!({"type": "json_schema", "structure": {"jsonSchema": inside}});
            json!({"messages": [{"role": "user", "content": [{"text": "q"}]}], "outputConfig": {"textFormat": format}})
        }
        GenerateContent => {
            json!({"contents": [{"role": "user", "parts": [{"text": "q"}]}],
                "generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": schema}})
        }
        _ => {
            json!({"messages": question, "output_config": {"format": {"type": "json_schema", "schema": schema}}})
        }
    };
    for (from, to) in pairs() {
        let sent = ask(
            client(to),
            from,
            asked(to).to_string().as_bytes(),
            &options(),
        )
        .unwrap();
        let sent: Value = serde_json::from_slice(&sent.body).unwrap();
        let there = match from {
            Converse => {
                let text = sent["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]
                    .as_str()
                    .unwrap();
                &serde_json::from_str(text).unwrap()
            }
            Cohere => &sent["response_format"]["json_schema"],
            GenerateContent => &sent["generationConfig"]["responseJsonSchema"],
            Chat => &sent["response_format"]["json_schema"]["schema"],
            Responses => &sent["text"]["format"]["schema"],
            _ => &sent["output_config"]["format"]["schema"],
        };
        assert_eq!(*there, schema);
        let said = whole(from, to, &body(from, r#"{"a":1}"#, "", &[]));
        check(to, &said, r#"{"a":1}"#, "", &[]);
    }
}

/// What the model reasons comes to the client, and goes back with the result of the tool.
#[test]
fn reasoning_with_a_round_of_tools() {
    let calls = [("f", json!({"a": 1}))];
    for (from, to) in pairs() {
        let answered = answer(
            from,
            client(to),
            &body(from, "", THOUGHT, &calls),
            &options(),
        )
        .unwrap();
        check(to, &read_whole(to, &answered.body), "", THOUGHT, &calls);
        let streamed = streamed(from, to, &stream(from, "", THOUGHT, &calls), true);
        check(to, &streamed, "", THOUGHT, &calls);
        // Two of the dialects have no proofs.
        let signatures: &[&str] = match from {
            Chat | Cohere => &[],
            _ => &["s=="],
        };
        assert_eq!(streamed.signatures, signatures, "{from} to {to}");

        let mut options = options();
        options.target.unsigned_reasoning = from == Chat;
        let back = round(to, &serde_json::from_slice(&answered.body).unwrap());
        let sent = ask(client(to), from, back.to_string().as_bytes(), &options).unwrap();
        let sent: Value = serde_json::from_slice(&sent.body).unwrap();
        match from {
            Chat => {
                assert_eq!(sent["messages"][1]["reasoning_content"], THOUGHT);
                assert_eq!(sent["messages"][1]["tool_calls"][0]["id"], "call-0");
                assert_eq!(sent["messages"][2]["tool_call_id"], "call-0");
            }
            Cohere => {
                let said = &sent["messages"][1];
                assert_eq!(
                    (&said["tool_plan"], &said["tool_calls"][0]["id"]),
                    (&json!(THOUGHT), &json!("call-0"))
                );
                assert_eq!(
                    sent["messages"][2],
                    json!({"role": "tool", "tool_call_id": "call-0", "content": "r"})
                );
            }
            Converse => {
                let shown = json!({"reasoningText": {"text": THOUGHT, "signature": "s=="}});
                let call =
                    json!({"toolUse": {"toolUseId": "call-0", "name": "f", "input": {"a": 1}}});
                assert_eq!(
                    sent["messages"][1]["content"],
                    json!([{"reasoningContent": shown}, call])
                );
                let result =
                    json!({"toolResult": {"toolUseId": "call-0", "content": [{"text": "r"}]}});
                assert_eq!(sent["messages"][2]["content"], json!([result]));
                assert_eq!(sent["toolConfig"]["tools"][0]["toolSpec"]["name"], "f");
            }
            GenerateContent => {
                let call = json!({"functionCall": {"id": "call-0", "name": "f", "args": {"a": 1}}, "thoughtSignature": "s=="});
                assert_eq!(
                    sent["contents"][1]["parts"],
                    json!([{"text": THOUGHT, "thought": true}, call])
                );
                let result = json!({"functionResponse": {"id": "call-0", "name": "f", "response": {"output": "r"}}});
                assert_eq!(sent["contents"][2]["parts"], json!([result]));
            }
            Responses => {
                let summary = json!([{"type": "summary_text", "text": THOUGHT}]);
                assert_eq!(
                    (
                        &sent["input"][1]["summary"],
                        &sent["input"][1]["encrypted_content"]
                    ),
                    (&summary, &json!("s=="))
                );
                assert_eq!(
                    (&sent["input"][2]["call_id"], &sent["input"][3]["call_id"]),
                    (&json!("call-0"), &json!("call-0"))
                );
            }
            _ => {
                let said = &sent["messages"][1]["content"];
                assert_eq!(
                    said[0],
                    json!({"type": "thinking", "thinking": THOUGHT, "signature": "s=="})
                );
                assert_eq!(
                    (
                        &said[1]["id"],
                        &sent["messages"][2]["content"][0]["tool_use_id"]
                    ),
                    (&json!("call-0"), &json!("call-0"))
                );
            }
        }
    }
}

/// The request that follows an answer with one call.
fn round(dialect: Dialect, answer: &Value) -> Value {
    let question = json!({"role": "user", "content": "q"});
    match dialect {
        Chat => json!({"messages": [question, answer["choices"][0]["message"],
            {"role": "tool", "tool_call_id": "call-0", "content": "r"}]}),
        Responses => {
            let mut input = vec![question];
            input.extend(answer["output"].as_array().unwrap().iter().cloned());
            input.push(json!({"type": "function_call_output", "call_id": "call-0", "output": "r"}));
            json!({"input": input})
        }
        Converse => {
            json!({"messages": [{"role": "user", "content": [{"text": "q"}]}, answer["output"]["message"],
            {"role": "user", "content": [{"toolResult": {"toolUseId": "call-0", "content": [{"text": "r"}]}}]}]})
        }
        GenerateContent => {
            let result = json!({"functionResponse": {"id": "call-0", "name": "f", "response": {"output": "r"}}});
            json!({"contents": [{"role": "user", "parts": [{"text": "q"}]}, answer["candidates"][0]["content"],
                {"role": "user", "parts": [result]}]})
        }
        _ => json!({"messages": [question, {"role": "assistant", "content": answer["content"]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call-0", "content": "r"}]}]}),
    }
}

fn error(dialect: Dialect, class: &str) -> String {
    match dialect {
        Cohere | Converse => json!({"message": "too \"much\""}).to_string(),
        GenerateContent => json!({"error": {"message": "too \"much\"", "status": "RESOURCE_EXHAUSTED", "code": 429}}).to_string(),
        Chat => {
            json!({"error": {"message": "too \"much\"", "type": class, "code": 429}}).to_string()
        }
        _ => json!({"type": "error", "error": {"type": class, "message": "too \"much\""}})
            .to_string(),
    }
}

#[test]
fn too_many_requests() {
    for (from, to) in pairs() {
        let (kind, body) = failure(
            from,
            client(to),
            429,
            error(from, "rate_limit_error").as_bytes(),
        );
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((kind, kind.status()), (FailureKind::RateLimit, 429));
        match to {
            Converse => assert_eq!(body, json!({"message": "too \"much\""})),
            GenerateContent => {
                let error =
                    json!({"code": 429, "message": "too \"much\"", "status": "RESOURCE_EXHAUSTED"});
                assert_eq!(body, json!({"error": error}));
            }
            _ => {
                assert_eq!(body["error"]["message"], "too \"much\"");
                assert_eq!(body["error"]["type"], "rate_limit_error");
            }
        }
        // A page for people in its place.
        let (kind, body) = failure(from, client(to), 503, b"<html>");
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(kind, FailureKind::Overloaded);
        assert!(body["error"]["message"].is_string() || body["message"].is_string());
    }
}

#[test]
fn an_error_within_a_stream() {
    for (from, to) in pairs() {
        let mut events = stream(from, TEXT, "", &[]);
        let at = events
            .iter()
            .position(|event| event.contains("Welt"))
            .unwrap();
        events.truncate(at + 1);
        events.push(match from {
            Responses => {
                json!({"type": "error", "code": "server_error", "message": "too \"much\""})
                    .to_string()
            }
            Converse => format!("throttlingException\t{}", error(from, "")),
            _ => error(from, "overloaded_error"),
        });
        events.push(stream(from, "never", "", &[]).concat());
        let mut stream = Stream::new(from, client(to), &options());
        let mut out = Vec::new();
        events
            .iter()
            .for_each(|event| push(&mut stream, event, &mut out));
        stream.finish(&mut out);
        let said = read_stream(to, &out);
        assert_eq!(
            (said.text.as_str(), said.errors),
            (halves(TEXT)[0], vec!["too \"much\"".to_owned()])
        );
        assert!(
            matches!(stream.state(), State::Failed(_)) && !said.ended && said.finish.is_empty()
        );
    }
}

#[test]
fn a_stream_that_breaks_off_or_makes_no_sense_ends_in_an_error() {
    for (from, to) in pairs() {
        let events = stream(from, TEXT, "", &[]);
        for cut in 0..3 {
            let said = streamed(from, to, &events[..cut], true);
            assert!(
                said.errors.len() == 1 && said.finish.is_empty() && !said.ended,
                "{from} to {to} at {cut}"
            );
        }
        for nonsense in ["{", "[]", "\"a\"", "{\"type\":1}", "{\"choices\":1}"] {
            let said = streamed(from, to, &[events[0].clone(), nonsense.to_owned()], true);
            assert!(
                said.errors.len() == 1 && !said.ended,
                "{from} to {to}: {nonsense}"
            );
        }
    }
}

/// The client goes away, or the gateway ends the stream: nothing follows the gateway's own error.
#[test]
fn an_abort_by_the_gateway() {
    for (from, to) in pairs() {
        let events = stream(from, TEXT, "", &[]);
        let mut stream = Stream::new(from, client(to), &options());
        let mut out = Vec::new();
        push(&mut stream, &events[0], &mut out);
        stream.fail(&Failure::new(FailureKind::Permission, "cut"), &mut out);
        events[1..]
            .iter()
            .for_each(|event| push(&mut stream, event, &mut out));
        stream.finish(&mut out);
        stream.fail(&Failure::new(FailureKind::Server, "again"), &mut out);
        assert_eq!(read_stream(to, &out).errors, ["cut"]);
        assert_eq!(stream.state(), State::Failed(FailureKind::Permission));
    }
}

#[test]
fn streams_of_chat_completions_have_their_ways() {
    let chunk = |choice: &str| format!(r#"{{"id":"i","model":"m","choices":[{choice}]}}"#);
    let text = |text: &str| {
        chunk(&format!(
            r#"{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}"#
        ))
    };
    let filter = r#"{"id":"","model":"","choices":[],"prompt_filter_results":[]}"#.to_owned();
    let done = || "[DONE]".to_owned();
    let end = || chunk(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#);
    for (name, events, want) in [
        (
            "a first chunk without choices",
            vec![filter, text("a"), end(), done()],
            "a",
        ),
        (
            "a chunk without choices at all",
            vec![text("a"), r#"{"usage":null}"#.to_owned(), end(), done()],
            "a",
        ),
        (
            "a choice without a delta",
            vec![
                text("a"),
                chunk(r#"{"index":0,"content_filter_results":{}}"#),
                end(),
                done(),
            ],
            "a",
        ),
        ("no end but the reason", vec![text("a"), end()], "a"),
        ("no reason but the end", vec![text("a"), done()], "a"),
        (
            "a reason with every chunk",
            vec![
                chunk(r#"{"delta":{"content":"a"},"finish_reason":"stop"}"#),
                chunk(r#"{"delta":{"content":"b"},"finish_reason":"stop"}"#),
                done(),
            ],
            "ab",
        ),
        (
            "a second answer",
            vec![
                text("a"),
                chunk(r#"{"index":1,"delta":{"content":"z"}}"#),
                end(),
                done(),
            ],
            "a",
        ),
    ] {
        for to in DIALECTS {
            let said = streamed(Chat, to, &events, true);
            assert_eq!(said.text, want, "{name}");
            check(to, &said, want, "", &[]);
        }
    }
    let out = translated(Chat, Messages, &[text("a"), text("b"), end(), done()], true);
    let out = String::from_utf8(out).unwrap();
    assert!(
        out.starts_with("event: message_start\ndata: {\"type\":\"message_start\""),
        "{out}"
    );
    assert!(
        out.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
        "{out}"
    );
}

#[test]
fn an_error_that_comes_as_a_success_stays_one() {
    let body = br#"{"error":{"code":"content_filter","message":"filtered","status":400}}"#;
    for to in DIALECTS {
        let answered = answer(Chat, client(to), body, &options()).unwrap();
        assert_eq!(answered.failed, Some(FailureKind::InvalidRequest));
        assert_eq!(read_whole(to, &answered.body).errors, ["filtered"]);
    }
}

#[test]
fn addresses_that_a_text_rests_on_come_over() {
    let content = json!([
        {"type": "text", "text": "Ab: "},
        {"type": "text", "text": "é is so", "citations": [{"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": "c"}]},
        {"type": "text", "text": ".", "citations": [{"type": "char_location", "document_index": 0}]},
    ]);
    let body =
        json!({"type": "message", "content": content, "stop_reason": "end_turn"}).to_string();
    let answered = answer(Messages, client(Chat), body.as_bytes(), &options()).unwrap();
    let message: Value = serde_json::from_slice(&answered.body).unwrap();
    let want = json!([{"type": "url_citation", "url_citation": {"start_index": 4, "end_index": 11, "title": "t", "url": "u"}}]);
    assert_eq!(message["choices"][0]["message"]["annotations"], want);
    assert_eq!(names(&answered.losses), ["citations"]);
}

/// What a client of chat completions gets of a stream, and what it does not.
fn told(from: Dialect, events: &[Value]) -> (Vec<Value>, Vec<String>) {
    let mut stream = Stream::new(from, client(Chat), &options());
    let mut out = Vec::new();
    for event in events {
        push(&mut stream, &event.to_string(), &mut out);
    }
    stream.finish(&mut out);
    let chunks = data(std::str::from_utf8(&out).unwrap()).into_iter();
    let chunks = chunks.filter_map(|chunk| serde_json::from_str(&chunk).ok());
    (chunks.collect(), names(stream.losses()))
}

#[test]
fn annotations_of_a_stream_come_over_or_are_named_whenever_they_come() {
    let note =
        json!({"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1});
    let item = |index, annotations: Value| {
        let content = json!([{"type": "output_text", "text": "a", "annotations": annotations}]);
        json!({"type": "response.output_item.done", "output_index": index,
            "item": {"type": "message", "role": "assistant", "content": content}})
    };
    let text =
        |index| json!({"type": "response.output_text.delta", "output_index": index, "delta": "a"});
    let added = |index| json!({"type": "response.output_text.annotation.added", "output_index": index, "annotation": note});
    let end = json!({"type": "response.completed", "response": {"status": "completed"}});
    for (name, events, cited, lost) in [
        (
            "in time",
            vec![text(0), added(0), item(0, json!([note]))],
            1,
            false,
        ),
        (
            "with the end of the item",
            vec![text(0), item(0, json!([note]))],
            1,
            false,
        ),
        (
            "with an item that comes whole",
            vec![item(0, json!([note]))],
            1,
            false,
        ),
        (
            "behind the item",
            vec![text(0), item(0, json!([])), added(0)],
            0,
            true,
        ),
        (
            "in another item",
            vec![text(0), item(0, json!([])), text(1), added(0)],
            0,
            true,
        ),
    ] {
        let (chunks, losses) = told(Responses, &[events, vec![end.clone()]].concat());
        let notes = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"].get("annotations"));
        assert_eq!(notes.count(), cited, "{name}");
        assert_eq!(losses, ["citations"][..usize::from(lost)], "{name}");
    }
}

#[test]
fn what_a_service_does_with_remote_tools_is_named_or_refused() {
    let listed = json!({"type": "mcp_list_tools", "id": "a", "server_label": "s", "tools": []});
    let called = json!({"type": "mcp_call", "id": "b", "server_label": "s", "name": "f", "arguments": "{}", "output": "r"});
    let asked = json!({"type": "mcp_approval_request", "id": "c", "server_label": "s", "name": "f", "arguments": "{}"});
    let gave = json!({"type": "tool_search_output", "call_id": "d", "tools": []});
    let said = json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]});
    let all = [&listed, &called, &asked, &gave]
        .map(|item| format!("unknown-part:{}", text(&item["type"])));

    // Of an answer, whole or streamed.
    let body = json!({"id": "r", "model": "m", "status": "completed", "output": [listed, called, asked, gave, said]});
    let item = |kind: &str, (index, item): (usize, &Value)| json!({"type": kind, "output_index": index, "item": item});
    let items = body["output"].as_array().unwrap().iter().enumerate();
    let mut events: Vec<_> = items
        .flat_map(|one| {
            ["response.output_item.added", "response.output_item.done"].map(|kind| item(kind, one))
        })
        .collect();
    events.push(json!({"type": "response.completed", "response": body}));
    for to in [Chat, Converse, GenerateContent, Messages] {
        let answered = answer(
            Responses,
            client(to),
            body.to_string().as_bytes(),
            &options(),
        )
        .unwrap();
        assert_eq!(read_whole(to, &answered.body).text, "a", "{to}");
        let unknown = names(&answered.losses);
        let unknown = unknown
            .iter()
            .filter(|name| name.starts_with("unknown-part"));
        assert!(unknown.eq(&all), "{to}: {:?}", answered.losses);
    }
    assert_eq!(told(Responses, &events).1, all);

    // Of a conversation: what the service did stays out of it, and what answers that cannot.
    let talk = |item: &Value| json!({"model": "m", "input": [{"role": "user", "content": "q"}, listed, called, item, said]});
    for to in [Chat, Cohere, Converse, GenerateContent, Messages] {
        let asked = ask(
            client(Responses),
            to,
            talk(&asked).to_string().as_bytes(),
            &options(),
        )
        .unwrap();
        let losses = names(&asked.losses);
        assert!(
            all[..3].iter().all(|name| losses.contains(name)),
            "{to}: {losses:?}"
        );
        let approved =
            json!({"type": "mcp_approval_response", "approval_request_id": "c", "approve": true});
        let refused = ask(
            client(Responses),
            to,
            talk(&approved).to_string().as_bytes(),
            &options(),
        )
        .unwrap_err();
        assert!(
            refused.to_string().starts_with("a part of this kind"),
            "{to}: {refused}"
        );
    }
}

#[test]
fn pieces_of_a_stream_are_read_as_the_whole_is() {
    let chunk =
        |delta: Value| json!({"id": "i", "model": "m", "choices": [{"index": 0, "delta": delta}]});
    let end = json!({"id": "i", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let thought = json!({"content": [{"type": "thinking", "thinking": "hm"}]});
    let call = json!({"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let mut proven = call.clone();
    proven["extra_content"] = json!({"google": {"thought_signature": "s"}});
    let custom =
        json!({"index": 1, "id": "d", "type": "custom", "custom": {"name": "g", "input": "x"}});
    for (delta, reasoning, calls, lost) in [
        (thought, "hm", 0, &[][..]),
        (json!({"tool_calls": [call]}), "", 1, &[]),
        (
            json!({"tool_calls": [proven]}),
            "",
            1,
            &["unknown-member:extra_content"],
        ),
        (
            json!({"tool_calls": [call, custom]}),
            "",
            1,
            &["unknown-part:custom"],
        ),
    ] {
        let events = [chunk(delta.clone()), end.clone()];
        assert_eq!(told(Chat, &events).1, lost, "{delta}");
        let events = events.map(|event| event.to_string());
        let said = streamed(Chat, Messages, &events, true);
        assert_eq!(
            (&*said.reasoning, said.calls.len()),
            (reasoning, calls),
            "{delta}"
        );
    }
}

#[test]
fn what_a_filter_cuts_off_is_no_ordinary_end() {
    for reason in [
        "SAFETY",
        "MODEL_ARMOR",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
    ] {
        let body = json!({"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": reason}]});
        let said = whole(GenerateContent, Chat, body.to_string().as_bytes());
        assert_eq!(said.finish, ["content_filter"], "{reason}");
        let said = streamed(GenerateContent, Messages, &[body.to_string()], true);
        assert_eq!(said.finish, ["refusal"], "{reason}");
    }
}

#[test]
fn every_refusal_of_an_answer_comes_over() {
    let content =
        json!([{"type": "refusal", "refusal": "No"}, {"type": "refusal", "refusal": ", never."}]);
    let body = json!({"id": "r", "model": "m", "status": "completed", "output": [
        {"type": "message", "role": "assistant", "content": content}]});
    let answered = answer(
        Responses,
        client(Chat),
        body.to_string().as_bytes(),
        &options(),
    )
    .unwrap();
    let got: Value = serde_json::from_slice(&answered.body).unwrap();
    assert_eq!(got["choices"][0]["message"]["refusal"], "No, never.");
    assert!(answered.losses.is_empty(), "{:?}", answered.losses);
}

#[test]
fn an_item_that_only_ends_has_begun() {
    let call =
        json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{\"a\":1}"});
    let events = [
        json!({"type": "response.created", "response": {"id": "r", "model": "m"}}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": call}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": {"type": "web_search_call"}}),
        json!({"type": "response.completed", "response": {"status": "completed"}}),
    ];
    assert_eq!(told(Responses, &events).1, ["unknown-part:web_search_call"]);
    let events = events.map(|event| event.to_string());
    for to in DIALECTS {
        let said = streamed(Responses, to, &events, true);
        assert_eq!((said.calls.len(), &*said.calls[0].name), (1, "f"), "{to}");
        assert_eq!(said.calls[0].arguments, r#"{"a":1}"#, "{to}");
    }
}

#[test]
fn probabilities_are_named_where_there_are_any() {
    for (logprobs, lost) in [(json!([]), false), (json!([{"token": "a"}]), true)] {
        let content =
            json!([{"type": "output_text", "text": "a", "annotations": [], "logprobs": logprobs}]);
        let item = json!({"type": "message", "role": "assistant", "content": content});
        let body = json!({"id": "r", "model": "m", "status": "completed", "output": [item]});
        let answered = answer(
            Responses,
            client(Chat),
            body.to_string().as_bytes(),
            &options(),
        )
        .unwrap();
        let events = [
            json!({"type": "response.output_text.delta", "output_index": 0, "delta": "a", "logprobs": logprobs}),
            json!({"type": "response.completed", "response": body}),
        ];
        for losses in [names(&answered.losses), told(Responses, &events).1] {
            assert_eq!(losses, ["logprobs"][..usize::from(lost)], "{logprobs}");
        }
    }
}

#[test]
fn what_stands_beside_a_message_is_named_streamed_or_not() {
    let beside = json!({"applied_edits": []});
    let body = json!({"type": "message", "id": "i", "model": "m", "content": [{"type": "text", "text": "a"}],
        "stop_reason": "end_turn", "container": {"id": "c"}, "context_management": beside});
    let answered = answer(
        Messages,
        client(Chat),
        body.to_string().as_bytes(),
        &options(),
    )
    .unwrap();
    let events = [
        json!({"type": "message_start", "message": {"id": "i", "type": "message", "role": "assistant", "model": "m",
            "content": [], "stop_reason": null, "stop_sequence": null, "container": null, "usage": {"input_tokens": 1}}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "container": {"id": "c"}},
            "context_management": beside, "usage": {"output_tokens": 1}}),
        json!({"type": "message_stop"}),
    ];
    for losses in [names(&answered.losses), told(Messages, &events).1] {
        let losses: HashSet<_> = losses.iter().map(String::as_str).collect();
        let want = [
            "unknown-member:container",
            "unknown-member:context_management",
        ];
        assert_eq!(losses, HashSet::from(want));
    }
}

#[test]
fn what_only_the_service_knows_is_named() {
    let body = json!({"id": "i", "model": "m", "system_fingerprint": "x", "choices": [
        {"index": 0, "message": {"content": "a", "audio": {"id": "x"}}, "logprobs": {"content": []}, "finish_reason": "odd"},
        {"index": 1, "message": {"content": "b"}, "finish_reason": "stop"},
    ]});
    let answered = answer(
        Chat,
        client(Messages),
        body.to_string().as_bytes(),
        &options(),
    )
    .unwrap();
    assert_eq!(
        names(&answered.losses),
        [
            "choices",
            "unknown-part:audio",
            "logprobs",
            "finish-reason:odd",
            "unknown-member:system_fingerprint"
        ]
    );
    let body = json!({"type": "message", "content": [{"type": "server_tool_use", "id": "s"}], "stop_reason": "pause_turn", "container": {}});
    let answered = answer(
        Messages,
        client(Chat),
        body.to_string().as_bytes(),
        &options(),
    )
    .unwrap();
    assert_eq!(
        names(&answered.losses),
        [
            "unknown-part:server_tool_use",
            "finish-reason:pause",
            "unknown-member:container"
        ]
    );
}

fn names(losses: &Losses) -> Vec<String> {
    losses.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_kept_of_a_stream_has_its_bounds() {
    let chunk =
        |delta: Value| json!({"id": "i", "choices": [{"index": 0, "delta": delta}]}).to_string();
    let call = |index: u64, id: &str, arguments: &str| {
        let function = json!({"name": "f", "arguments": arguments});
        chunk(json!({"tool_calls": [{"index": index, "id": id, "function": function}]}))
    };
    let half = "[".repeat(MAX_HELD_BACK / 2);
    let mut stream = Stream::new(Chat, client(Messages), &options());
    let mut out = Vec::new();
    push(&mut stream, &call(0, "a", "{"), &mut out);
    push(&mut stream, &call(1, "b", &half), &mut out);
    assert!(
        out.len() < half.len(),
        "the second call waits for the first one"
    );
    push(&mut stream, &call(1, "", &half), &mut out);
    assert!(out.len() > MAX_HELD_BACK, "but not for ever");
    push(&mut stream, &call(0, "", "}"), &mut out);
    assert_eq!(names(stream.losses()), ["invalid-arguments"]);

    // A proof that does not end is kept no longer than a text.
    let block = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}});
    let proof = json!({"type": "signature_delta", "signature": "x".repeat(1024 * 1024)});
    let piece = json!({"type": "content_block_delta", "index": 0, "delta": proof}).to_string();
    for to in [Chat, Responses] {
        let mut stream = Stream::new(Messages, client(to), &options());
        push(&mut stream, &block.to_string(), &mut out);
        for _ in 0..=MAX_ANSWER_KEPT / (1024 * 1024) {
            push(&mut stream, &piece, &mut out);
        }
        out.clear();
        push(
            &mut stream,
            r#"{"type":"content_block_stop","index":0}"#,
            &mut out,
        );
        if to == Chat {
            assert!(out.is_empty(), "{} bytes", out.len());
            assert_eq!(names(stream.losses()), ["reasoning-signature"]);
        } else {
            assert!(matches!(stream.state(), State::Failed(_)));
        }
    }

    let long = chunk(json!({"content": "x".repeat(1024 * 1024)}));
    for to in DIALECTS {
        let mut stream = Stream::new(Chat, client(to), &options());
        for _ in 0..=MAX_ANSWER_KEPT / (1024 * 1024) {
            out.clear();
            push(&mut stream, &long, &mut out);
        }
        let failed = matches!(stream.state(), State::Failed(_));
        assert_eq!(
            failed,
            to == Responses,
            "only one dialect repeats an answer at its end"
        );
    }
}
