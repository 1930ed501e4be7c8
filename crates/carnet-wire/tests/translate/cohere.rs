//! Cohere's chat as a service: what the scenarios let it say, and what is its own in requests, answers and streams.

use carnet_wire::dialect::{ClientDialect, Dialect, TranslateError};
use carnet_wire::form::{FailureKind, Losses};
use carnet_wire::translate::{State, Stream, answer, ask};
use serde_json::{Value, json};

use super::reading::{options, push, read_stream, read_whole, streamed};
use super::scenarios::halves;

use Dialect::{Chat, Cohere};

/// The usage of 100 tokens of the prompt, 60 of them cached, and 9 of the answer; fewer are billed.
pub(crate) fn usage() -> Value {
    json!({"billed_units": {"input_tokens": 7, "output_tokens": 3}, "cached_tokens": 60,
        "tokens": {"input_tokens": 100, "output_tokens": 9}})
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// A whole answer with these calls and their ids.
pub(crate) fn body<'c>(
    text: &str,
    reasoning: &str,
    calls: impl Iterator<Item = (String, &'c (&'c str, Value))>,
) -> Value {
    let mut content = vec![json!({"type": "text", "text": text})];
    if !reasoning.is_empty() {
        content.insert(0, json!({"type": "thinking", "thinking": reasoning}));
    }
    let calls: Vec<_> = calls
        .map(|(id, (name, arguments))| call(&id, name, &arguments.to_string()))
        .collect();
    let message = json!({"role": "assistant", "content": content, "tool_calls": calls});
    json!({"id": "i", "finish_reason": "COMPLETE", "message": message, "usage": usage()})
}

fn event(kind: &str, index: usize, message: Value) -> String {
    json!({"type": kind, "index": index, "delta": {"message": message}}).to_string()
}

fn end(delta: Value) -> String {
    json!({"type": "message-end", "delta": delta}).to_string()
}

/// A stream with its texts and arguments in two pieces, and the reasoning as the plan if there are calls.
pub(crate) fn stream(text: &str, reasoning: &str, calls: &[(&str, Value)]) -> Vec<String> {
    let start = json!({"type": "message-start", "id": "i",
        "delta": {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}});
    let mut events = vec![start.to_string()];
    let mut index = 0;
    let mut part = |kind: &str, said: &str| {
        events.push(event(
            "content-start",
            index,
            json!({"content": {"type": kind, kind: ""}}),
        ));
        for half in halves(said) {
            events.push(event(
                "content-delta",
                index,
                json!({"content": {kind: half}}),
            ));
        }
        events.push(json!({"type": "content-end", "index": index}).to_string());
        index += 1;
    };
    if !reasoning.is_empty() && calls.is_empty() {
        part("thinking", reasoning);
    }
    if !text.is_empty() || calls.is_empty() {
        part("text", text);
    }
    if !reasoning.is_empty() && !calls.is_empty() {
        for half in halves(reasoning) {
            events.push(
                json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": half}}})
                    .to_string(),
            );
        }
    }
    for (index, (name, arguments)) in calls.iter().enumerate() {
        let id = format!("c{index}");
        events.push(event(
            "tool-call-start",
            index,
            json!({"tool_calls": call(&id, name, "")}),
        ));
        for half in halves(&arguments.to_string()) {
            let piece = json!({"tool_calls": {"function": {"arguments": half}}});
            events.push(event("tool-call-delta", index, piece));
        }
        events.push(json!({"type": "tool-call-end", "index": index}).to_string());
    }
    let reason = if calls.is_empty() {
        "COMPLETE"
    } else {
        "TOOL_CALL"
    };
    events.push(end(json!({"finish_reason": reason, "usage": usage()})));
    events
}

fn names(losses: &Losses) -> Vec<String> {
    losses.iter().map(ToString::to_string).collect()
}

fn asked(from: ClientDialect, body: &Value) -> Result<(Value, Vec<String>), TranslateError> {
    let asked = ask(from, Cohere, body.to_string().as_bytes(), &options())?;
    Ok((
        serde_json::from_slice(&asked.body).unwrap(),
        names(&asked.losses),
    ))
}

#[test]
fn it_is_asked_in_its_own_way() {
    let tool =
        |name, strict| json!({"type": "function", "function": {"name": name, "strict": strict}});
    let question = json!({"model": "m", "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "seed": 7,
        "frequency_penalty": 0.1, "presence_penalty": 0.2, "stop": ["x"], "user": "u", "stream": true,
        "logprobs": true, "reasoning_effort": "low", "tools": [tool("f", true), tool("g", false)],
        "tool_choice": "required", "parallel_tool_calls": false, "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "name": "n", "content": [
            {"type": "text", "text": "q"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://x.example/i.png"}},
        ]},
        {"role": "assistant", "reasoning_content": "p", "content": "t",
            "tool_calls": [call("c1", "f", ""), call("c2", "g", "{\"a\":1}")]},
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
        {"role": "tool", "tool_call_id": "c2", "content": ""},
        {"role": "assistant", "reasoning_content": "lost", "content": ""},
        {"role": "user", "content": "next"},
    ]});
    let (got, losses) = asked(ClientDialect::Chat, &question).unwrap();
    let function = |name| {
        let parameters = json!({"type": "object", "properties": {}});
        json!({"type": "function", "function": {"name": name, "parameters": parameters}})
    };
    let want = json!({"model": "m", "stream": true, "max_tokens": 9, "temperature": 0.5, "p": 0.9, "k": 3, "seed": 7,
        "frequency_penalty": 0.1, "presence_penalty": 0.2, "stop_sequences": ["x"], "thinking": {"type": "enabled"},
        "tools": [function("f"), function("g")], "tool_choice": "REQUIRED", "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [
            {"type": "text", "text": "q"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://x.example/i.png"}},
        ]},
        {"role": "assistant", "content": [{"type": "text", "text": "t"}], "tool_plan": "p",
            "tool_calls": [call("c1", "f", "{}"), call("c2", "g", "{\"a\":1}")]},
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
        {"role": "tool", "tool_call_id": "c2", "content": ""},
        {"role": "user", "content": "next"},
    ]});
    assert_eq!(got, want);
    let want = [
        "message-name",
        "reasoning",
        "schema-strictness",
        "parallel-tools",
        "reasoning-effort",
        "metadata:user",
        "logprobs",
    ];
    assert_eq!(losses, want);
}

/// The dialect has no word for one tool, nor for strictness of one.
#[test]
fn one_tool_is_the_only_one() {
    let tool = |name| json!({"name": name, "input_schema": {"type": "object"}, "strict": true});
    let question = |choice: Value| {
        json!({"max_tokens": 9, "messages": [{"role": "user", "content": "q"}], "tools": [tool("f"), tool("g")], "tool_choice": choice,
            "thinking": {"type": "enabled", "budget_tokens": 2_000}})
    };
    let sent = |choice| asked(ClientDialect::Messages, &question(choice)).map(|(got, _)| got);
    let got = sent(json!({"type": "tool", "name": "g"})).unwrap();
    assert_eq!(got["tools"].as_array().unwrap().len(), 1);
    assert_eq!(got["tools"][0]["function"]["name"], "g");
    assert_eq!(
        (&got["tool_choice"], &got["strict_tools"]),
        (&json!("REQUIRED"), &json!(true))
    );
    assert_eq!(
        got["thinking"],
        json!({"type": "enabled", "token_budget": 2_000})
    );
    let got = sent(json!({"type": "none"})).unwrap();
    assert_eq!(got["tool_choice"], "NONE");
    assert!(
        sent(json!({"type": "auto"}))
            .unwrap()
            .get("tool_choice")
            .is_none()
    );
    let missing = sent(json!({"type": "tool", "name": "h"})).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "the choice of a tool that is not there cannot be said in the dialect `cohere chat`"
    );
}

#[test]
fn more_cached_tokens_than_tokens_are_no_more_than_all_of_them() {
    let body = json!({"id": "i", "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
        "usage": {"tokens": {"input_tokens": 5, "output_tokens": 1}, "cached_tokens": 9}});
    let answered = answer(
        Cohere,
        ClientDialect::Chat,
        body.to_string().as_bytes(),
        &options(),
    )
    .unwrap();
    let got: Value = serde_json::from_slice(&answered.body).unwrap();
    assert_eq!(got["usage"]["prompt_tokens"], 5, "{got}");
    assert_eq!(
        got["usage"]["prompt_tokens_details"]["cached_tokens"], 5,
        "{got}"
    );
}

#[test]
fn reasoning_is_a_part_where_the_service_takes_it_back() {
    let question = json!({"reasoning_effort": "none", "response_format": {"type": "json_object"}, "messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "reasoning_content": "p", "content": "t"},
    ]});
    let mut options = options();
    options.target.unsigned_reasoning = true;
    let asked = ask(
        ClientDialect::Chat,
        Cohere,
        question.to_string().as_bytes(),
        &options,
    )
    .unwrap();
    let got: Value = serde_json::from_slice(&asked.body).unwrap();
    let parts = json!([{"type": "thinking", "thinking": "p"}, {"type": "text", "text": "t"}]);
    assert_eq!(
        got["messages"][1],
        json!({"role": "assistant", "content": parts})
    );
    assert_eq!(got["response_format"], json!({"type": "json_object"}));
    assert_eq!(
        (&got["thinking"], asked.losses.is_empty()),
        (&json!({"type": "disabled"}), true)
    );
}

#[test]
fn what_it_cannot_say_is_refused() {
    let said = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let file = json!([{"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}}]);
    let sound = json!([{"type": "input_audio", "input_audio": {"format": "wav", "data": "aGk="}}]);
    let mut shaped = said(json!("q"));
    shaped["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    shaped["response_format"] = json!({"type": "json_object"});
    for (body, what) in [
        (said(file), "a file or sound"),
        (said(sound), "a file or sound"),
        (shaped, "a shape of the answer beside tools"),
    ] {
        let error = asked(ClientDialect::Chat, &body).unwrap_err();
        assert_eq!(
            error,
            TranslateError::Unsupported {
                what,
                target: Cohere
            }
        );
    }
}

#[test]
fn images_of_a_tool_follow_as_the_users() {
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}});
    let result = json!({"type": "tool_result", "tool_use_id": "c", "is_error": true, "content": [{"type": "text", "text": "r"}, image]});
    let question = json!({"max_tokens": 9, "messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "text", "text": "look"}, result]},
    ]});
    let (got, losses) = asked(ClientDialect::Messages, &question).unwrap();
    assert_eq!(
        got["messages"][2],
        json!({"role": "tool", "tool_call_id": "c", "content": "r"})
    );
    let said = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}, {"type": "text", "text": "look"}]);
    assert_eq!(got["messages"][3], json!({"role": "user", "content": said}));
    assert_eq!(losses, ["tool-result-media", "tool-error"]);
}

#[test]
fn an_answer_may_have_a_plan_and_say_what_it_rests_on() {
    let message = json!({"role": "assistant", "tool_plan": "p", "tool_calls": [call("c", "f", "")],
        "citations": [{"start": 0, "end": 1, "text": "a", "sources": []}]});
    let body = json!({"id": "i", "finish_reason": "TOOL_CALL", "message": message, "logprobs": [], "prompt": "x",
        "usage": {"billed_units": {"input_tokens": 7, "output_tokens": 3}}});
    let answered = answer(
        Cohere,
        ClientDialect::Chat,
        body.to_string().as_bytes(),
        &options(),
    )
    .unwrap();
    let said = read_whole(Chat, &answered.body);
    assert_eq!(
        (said.reasoning.as_str(), said.arguments()),
        ("p", vec![("f".to_owned(), json!({}))])
    );
    assert_eq!(
        (said.finish, said.prompt, said.output),
        (vec!["tool_calls".to_owned()], 7, 3)
    );
    assert_eq!(
        names(&answered.losses),
        ["citations", "logprobs", "unknown-member:prompt"]
    );
}

#[test]
fn reasons_for_the_end_of_an_answer_come_over() {
    let ended = |reason: &str| {
        let body = json!({"finish_reason": reason, "message": {"content": [{"type": "text", "text": "t"}]}});
        answer(
            Cohere,
            ClientDialect::Messages,
            body.to_string().as_bytes(),
            &options(),
        )
        .unwrap()
    };
    for (reason, want) in [
        ("COMPLETE", "end_turn"),
        ("MAX_TOKENS", "max_tokens"),
        ("STOP_SEQUENCE", "stop_sequence"),
        ("TOOL_CALL", "end_turn"),
    ] {
        assert_eq!(
            read_whole(Dialect::Messages, &ended(reason).body).finish,
            [want],
            "{reason}"
        );
    }
    for (reason, kind) in [
        ("ERROR", FailureKind::Server),
        ("TIMEOUT", FailureKind::Timeout),
    ] {
        assert_eq!(ended(reason).failed, Some(kind));
    }
}

#[test]
fn streams_end_as_they_say_or_as_failures() {
    let text = event("content-delta", 0, json!({"content": {"text": "a"}}));
    let citation = event("citation-start", 0, json!({"citations": {"text": "a"}}));
    let told = |end: String| vec![text.clone(), citation.clone(), end];
    let whole = streamed(
        Cohere,
        Chat,
        &told(end(json!({"finish_reason": "MAX_TOKENS"}))),
        true,
    );
    assert_eq!(
        (whole.text.as_str(), whole.finish, whole.ended),
        ("a", vec!["length".to_owned()], true)
    );
    for (delta, kind, message) in [
        (
            json!({"finish_reason": "ERROR", "error": "broken"}),
            FailureKind::Server,
            "broken",
        ),
        (
            json!({"finish_reason": "COMPLETE", "error": "broken"}),
            FailureKind::Server,
            "broken",
        ),
        (
            json!({"finish_reason": "TIMEOUT"}),
            FailureKind::Timeout,
            "the upstream gives no reason",
        ),
        (
            json!({}),
            FailureKind::Server,
            "the upstream closed the stream before its end",
        ),
    ] {
        let mut stream = Stream::new(Cohere, ClientDialect::Chat, &options());
        let mut out = Vec::new();
        for event in told(end(delta)) {
            push(&mut stream, &event, &mut out);
        }
        stream.finish(&mut out);
        assert_eq!(stream.state(), State::Failed(kind), "{message}");
        assert_eq!(read_stream(Chat, &out).errors, [message]);
        assert_eq!(names(stream.losses()), ["citations"]);
    }
}

/// A call that gets no arguments does not hold back the one behind it, even where both have the same number.
#[test]
fn a_call_is_complete_with_its_end() {
    let mut stream = Stream::new(Cohere, ClientDialect::Messages, &options());
    let mut out = Vec::new();
    for (id, name) in [("a", "f"), ("b", "g")] {
        push(
            &mut stream,
            &event(
                "tool-call-start",
                0,
                json!({"tool_calls": call(id, name, "")}),
            ),
            &mut out,
        );
        push(
            &mut stream,
            &json!({"type": "tool-call-end", "index": 0}).to_string(),
            &mut out,
        );
    }
    let before_end = String::from_utf8(out.clone()).unwrap();
    assert!(before_end.contains(r#""id":"b""#), "{before_end}");
    push(
        &mut stream,
        &end(json!({"finish_reason": "TOOL_CALL"})),
        &mut out,
    );
    let said = read_stream(Dialect::Messages, &out);
    assert_eq!(
        said.arguments(),
        [("f".to_owned(), json!({})), ("g".to_owned(), json!({}))]
    );
}

/// Every mention of a model in what a client gets.
fn models(text: &str) -> Vec<String> {
    let mut models = Vec::new();
    for key in ["\"model\":\"", "\"modelVersion\":\""] {
        let said = text.split(key).skip(1);
        models.extend(said.map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    models
}

#[test]
fn an_answer_without_a_model_names_the_one_that_was_asked_for() {
    let mut options = options();
    options.caller.model = "c-1".to_owned();
    let whole = body("Hi", "", std::iter::empty()).to_string();
    let events = stream("Hi", "", &[]);
    // A service may also say an empty name.
    let empty = json!({"id": "i", "model": "", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "Hi"}, "delta": {"content": "Hi"}}]});
    let empty = empty.to_string();
    let named = empty.replace("\"model\":\"\"", "\"model\":\"other\"");
    for to in ClientDialect::ALL {
        for (from, whole, events, want) in [
            (Cohere, &whole, &events, "c-1"),
            (Chat, &empty, &vec![empty.clone()], "c-1"),
            (Chat, &named, &vec![named.clone()], "other"),
        ] {
            let answered = answer(from, to, whole.as_bytes(), &options).unwrap();
            let mut said = models(&String::from_utf8(answered.body).unwrap());
            let mut stream = Stream::new(from, to, &options);
            let mut out = Vec::new();
            for event in events {
                stream.push("", event.as_bytes(), &mut out);
            }
            stream.finish(&mut out);
            said.extend(models(&String::from_utf8_lossy(&out)));
            // Converse has no place for it.
            let least = if to == ClientDialect::Converse { 0 } else { 2 };
            assert!(said.len() >= least, "{from} to {to:?}: {said:?}");
            assert!(
                said.iter().all(|name| name == want),
                "{from} to {to:?}: {said:?}"
            );
        }
    }
}
