//! Answers of upstreams that mean ill or say nothing: what they cost, and that nothing is made of it.

use super::reading::{client, options, text};
use carnet_wire::dialect::Dialect;
use carnet_wire::form::FailureKind;
use carnet_wire::limits::{MAX_ID, MAX_TOOL_CALLS};
use carnet_wire::translate::{State, Stream, answer, ask};
use serde_json::{Value, json};

use Dialect::{Chat, Converse, GenerateContent, Messages, Responses};

/// What comes of these events, and how far the stream is then.
fn streamed((from, to): (Dialect, Dialect), events: &[Value]) -> (String, State) {
    let mut stream = Stream::new(from, client(to), &options());
    let mut out = Vec::new();
    for event in events {
        let name = event["type"].as_str().unwrap_or_default();
        stream.push(name, event.to_string().as_bytes(), &mut out);
    }
    (String::from_utf8(out).unwrap(), stream.state())
}

fn whole((from, to): (Dialect, Dialect), body: &Value) -> (Value, Option<FailureKind>) {
    let body = body.to_string();
    let answer = answer(from, client(to), body.as_bytes(), &options()).unwrap();
    (serde_json::from_slice(&answer.body).unwrap(), answer.failed)
}

#[test]
fn a_long_id_is_not_repeated_in_every_event() {
    let long = "x".repeat(MAX_ID + 1);
    let start =
        json!({"type": "message_start", "message": {"id": long, "model": "m", "usage": {}}});
    let block = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    let delta = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}});
    for to in [Chat, Responses] {
        let (out, state) = streamed(
            (Messages, to),
            &[start.clone(), block.clone(), delta.clone()],
        );
        assert_eq!(state, State::Open);
        assert!(!out.contains(&long) && out.contains("id-1"), "{out}");
    }
    let call = |id: &str| json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": id, "name": "f", "input": {}}});
    let fair = "x".repeat(MAX_ID);
    let (_, state) = streamed((Messages, Chat), &[start.clone(), call(&fair)]);
    assert_eq!(state, State::Open);
    let (out, state) = streamed((Messages, Chat), &[start, call(&long)]);
    assert_eq!(state, State::Failed(FailureKind::Server));
    assert!(out.contains("more than can be repeated"), "{out}");
}

#[test]
fn an_error_within_a_choice_is_no_answer() {
    let body = json!({"id": "c", "model": "m", "choices": [{
        "index": 0, "finish_reason": "error", "message": {"role": "assistant", "content": ""},
        "error": {"code": 502, "message": "the provider is gone"},
    }]});
    let (got, failed) = whole((Chat, Messages), &body);
    assert_eq!(failed, Some(FailureKind::Server));
    assert_eq!(got["error"]["message"], "the provider is gone", "{got}");
}

#[test]
fn reasoning_of_which_nothing_is_told_becomes_no_block() {
    let body = json!({"id": "r", "model": "m", "status": "completed", "output": [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "id": "m_1", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
    ]});
    let (got, _) = whole((Responses, Messages), &body);
    assert_eq!(got["content"], json!([{"type": "text", "text": "a"}]));
}

#[test]
fn usage_that_nobody_told_is_not_made_up() {
    let chunk = |usage: Value| json!({"type": "message_start", "message": {"id": "i", "model": "m", "usage": usage}});
    let end = json!({"type": "message_stop"});
    let (out, state) = streamed((Messages, Chat), &[chunk(Value::Null), end.clone()]);
    assert_eq!(state, State::Ended);
    assert!(!out.contains("usage"), "{out}");
    let told = chunk(json!({"input_tokens": 7, "output_tokens": 1}));
    let (out, _) = streamed((Messages, Chat), &[told, end]);
    assert!(out.contains("\"prompt_tokens\":7"), "{out}");
}

/// Each of them is looked up once, not in a list of all.
#[test]
fn as_many_calls_as_there_may_be_find_their_results_and_tools() {
    let name = |index: usize| format!("f{index}");
    let all = || 0..MAX_TOOL_CALLS;
    let calls = all().map(|index| json!({"functionCall": {"name": name(index)}}));
    let results = all().rev().map(|index| json!({"functionResponse": {"name": name(index), "response": {"output": name(index)}}}));
    let tools = all().map(|index| json!({"name": name(index)}));
    let allowed: Vec<_> = all().skip(1).map(name).collect();
    let body = json!({
        "contents": [{"role": "user", "parts": [{"text": "q"}]},
            {"role": "model", "parts": calls.collect::<Vec<_>>()},
            {"role": "user", "parts": results.collect::<Vec<_>>()}],
        "tools": [{"functionDeclarations": tools.collect::<Vec<_>>()}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": allowed}},
    });
    let asked = |body: &Value| {
        let body = body.to_string();
        let asked = ask(
            client(GenerateContent),
            Converse,
            body.as_bytes(),
            &options(),
        )
        .unwrap();
        serde_json::from_slice::<Value>(&asked.body).unwrap()
    };
    let names = |got: &Value| -> Vec<String> {
        let tools = got["toolConfig"]["tools"].as_array().unwrap().iter();
        tools.map(|tool| text(&tool["toolSpec"]["name"])).collect()
    };
    let got = asked(&body);
    assert_eq!(names(&got), allowed);
    let results = got["messages"][2]["content"].as_array().unwrap();
    for (result, index) in results.iter().zip(all().rev()) {
        let result = &result["toolResult"];
        assert_eq!(result["toolUseId"], format!("call_{}", index + 1));
        assert_eq!(result["content"][0]["text"], name(index));
    }
    // Without tools those that were called stand for them, each once.
    let mut bare = body;
    bare["tools"] = json!([]);
    bare["toolConfig"] = json!({});
    let twice = bare["contents"][1].clone();
    bare["contents"][1]["parts"] = json!(twice["parts"].as_array().unwrap()[..MAX_TOOL_CALLS - 1]);
    let contents = bare["contents"].as_array_mut().unwrap();
    contents.truncate(2);
    contents.push(json!({"role": "user", "parts": [{"text": "q"}]}));
    contents.push(json!({"role": "model", "parts": [twice["parts"][0]]}));
    let want: Vec<_> = all().take(MAX_TOOL_CALLS - 1).map(name).collect();
    assert_eq!(names(&asked(&bare)), want);
}
