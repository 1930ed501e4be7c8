//! Requests: what each member becomes in the other dialect, and what is lost or refused on the way.

use base64::prelude::{BASE64_STANDARD, Engine};

use super::reading::client;
use carnet_wire::dialect::{
    Dialect, Options, ReasoningName, ThinkingForm, TokenLimitName, TranslateError,
};
use carnet_wire::form::IdRule;
use carnet_wire::translate::ask;
use serde_json::{Value, json};

use Dialect::{Chat, Converse, GenerateContent, Messages, Responses};

fn options() -> Options {
    let mut options = Options::default();
    options.target.max_tokens = 100;
    options
}

/// The request in the other dialect, and the names of what was lost.
fn with(from: Dialect, body: &Value, options: &Options) -> (Value, Vec<String>) {
    let to = if from == Chat { Messages } else { Chat };
    let asked = ask(client(from), to, body.to_string().as_bytes(), options).unwrap();
    let losses = asked.losses.iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&asked.body).unwrap(), losses)
}

/// The request in a dialect of any pair, and the names of what was lost.
fn translated((from, to): (Dialect, Dialect), body: &Value) -> (Value, Vec<String>) {
    let asked = ask(client(from), to, body.to_string().as_bytes(), &options()).unwrap();
    let losses = asked.losses.iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&asked.body).unwrap(), losses)
}

/// The same without what every request has.
fn other(from: Dialect, body: &Value) -> (Value, Vec<String>) {
    let (mut body, losses) = with(from, body, &options());
    let members = body.as_object_mut().unwrap();
    if members.get("max_tokens") == Some(&json!(100)) {
        members.remove("max_tokens");
    }
    if members.get("messages") == Some(&json!([{"role": "user", "content": "q"}])) {
        members.remove("messages");
    }
    (body, losses)
}

fn merged(base: Value, more: &Value) -> Value {
    let (Value::Object(mut base), Value::Object(more)) = (base, more.clone()) else {
        unreachable!()
    };
    base.extend(more);
    Value::Object(base)
}

fn check(from: Dialect, body: Value, want: &Value, lost: &[&str]) {
    let question = json!({"messages": [{"role": "user", "content": "q"}]});
    let body = merged(question, &body);
    let (got, losses) = other(from, &body);
    assert_eq!(got, *want, "{body}");
    assert_eq!(losses, lost, "{body}");
}

#[test]
fn members_of_chat_completions_become_those_of_messages() {
    for (body, want, lost) in [
        (
            json!({"model": "m", "temperature": 0.5, "top_p": 1.0, "user": "u"}),
            json!({"model": "m", "temperature": 0.5, "top_p": 1.0, "metadata": {"user_id": "u"}}),
            &[][..],
        ),
        (
            json!({"temperature": 1.5}),
            json!({"temperature": 1}),
            &["sampling:temperature"],
        ),
        (
            json!({"seed": 1, "presence_penalty": 0.1, "frequency_penalty": 0, "logit_bias": {"1": 2}}),
            json!({}),
            &[
                "sampling:seed",
                "sampling:presence_penalty",
                "sampling:logit_bias",
            ],
        ),
        (json!({"max_tokens": 5}), json!({"max_tokens": 5}), &[]),
        (
            json!({"max_completion_tokens": 6, "max_tokens": 5}),
            json!({"max_tokens": 6}),
            &[],
        ),
        (
            json!({"max_tokens": null, "stop": null, "tools": null}),
            json!({}),
            &[],
        ),
        (json!({"stop": "x"}), json!({"stop_sequences": ["x"]}), &[]),
        (
            json!({"stop": ["x", "\n"]}),
            json!({"stop_sequences": ["x", "\n"]}),
            &[],
        ),
        (
            json!({"stream": true, "stream_options": {"include_usage": true}}),
            json!({"stream": true}),
            &[],
        ),
        (
            json!({"logprobs": true, "top_logprobs": 2, "n": 1}),
            json!({}),
            &["logprobs"],
        ),
        (
            json!({"logprobs": false, "top_logprobs": 0}),
            json!({}),
            &[],
        ),
        (
            json!({"metadata": {"a": "b"}, "whatever": [1]}),
            json!({}),
            &["metadata", "unknown-member:whatever"],
        ),
        (
            json!({"response_format": {"type": "json_object"}}),
            json!({}),
            &["json-mode"],
        ),
        (json!({"response_format": {"type": "text"}}), json!({}), &[]),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": {"type": "object"}}}}),
            json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}),
            &[],
        ),
    ] {
        check(Chat, body, &want, lost);
    }
}

#[test]
fn members_of_messages_become_those_of_chat_completions() {
    for (body, want, lost) in [
        (
            json!({"model": "m", "max_tokens": 5, "temperature": 0.5, "metadata": {"user_id": "u"}}),
            json!({"model": "m", "max_tokens": 5, "temperature": 0.5, "user": "u"}),
            &[][..],
        ),
        (json!({"top_k": 3}), json!({}), &["sampling:top_k"]),
        (
            json!({"stop_sequences": ["x"]}),
            json!({"stop": ["x"]}),
            &[],
        ),
        (
            json!({"stream": true}),
            json!({"stream": true, "stream_options": {"include_usage": true}}),
            &[],
        ),
        (
            json!({"output_format": {"type": "json_schema", "schema": {"type": "object"}}}),
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": true}}}),
            &[],
        ),
        (
            json!({"output_config": {"effort": "high"}}),
            json!({"reasoning_effort": "high"}),
            &[],
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}),
            json!({"reasoning_effort": "low"}),
            &["reasoning-effort:budget"],
        ),
        (
            json!({"thinking": {"type": "adaptive"}}),
            json!({}),
            &["reasoning-effort:adaptive"],
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 2000}, "output_config": {"effort": "high"}}),
            json!({"reasoning_effort": "high"}),
            &["reasoning-effort:budget"],
        ),
        (
            json!({"thinking": {"type": "disabled"}}),
            json!({}),
            &["reasoning-effort:none"],
        ),
        (
            json!({"context_management": {}}),
            json!({}),
            &["unknown-member:context_management"],
        ),
    ] {
        check(Messages, body, &want, lost);
    }
}

#[test]
fn tools_and_the_choice_among_them_come_over() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let chat_tool = json!({"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": true}});
    let messages_tool =
        json!({"name": "f", "description": "d", "input_schema": schema, "strict": true});
    let one = json!({"type": "function", "function": {"name": "f"}});
    for (chat, messages) in [
        (json!({}), json!({})),
        (
            json!({"tool_choice": "auto"}),
            json!({"tool_choice": {"type": "auto"}}),
        ),
        (
            json!({"tool_choice": "none"}),
            json!({"tool_choice": {"type": "none"}}),
        ),
        (
            json!({"tool_choice": "required"}),
            json!({"tool_choice": {"type": "any"}}),
        ),
        (
            json!({"tool_choice": one}),
            json!({"tool_choice": {"type": "tool", "name": "f"}}),
        ),
        (
            json!({"tool_choice": "auto", "parallel_tool_calls": false}),
            json!({"tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}),
        ),
        (
            json!({"tool_choice": one, "parallel_tool_calls": false}),
            json!({"tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true}}),
        ),
    ] {
        let chat = merged(json!({"tools": [chat_tool]}), &chat);
        let messages = merged(json!({"tools": [messages_tool]}), &messages);
        check(Chat, chat.clone(), &messages, &[]);
        check(Messages, messages, &chat, &[]);
    }
    let bare = json!({"tools": [{"type": "function", "function": {"name": "f"}}], "parallel_tool_calls": true});
    let want = json!({
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": false},
    });
    check(Chat, bare, &want, &[]);
}

#[test]
fn a_conversation_alternates_between_roles_and_has_no_empty_blocks() {
    let chat = json!({"messages": [
        {"role": "system", "content": "s1"},
        {"role": "developer", "content": [{"type": "text", "text": "s2"}]},
        {"role": "user", "content": "a", "name": "ann"},
        {"role": "user", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": " \n"}]},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
        ]},
        {"role": "tool", "tool_call_id": "c2", "content": "r2"},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r1"}]},
        {"role": "user", "content": "c"},
        {"role": "system", "content": "s3"},
        {"role": "assistant", "content": null, "refusal": "no"},
    ]});
    let (got, losses) = other(Chat, &chat);
    let text = |text| json!({"type": "text", "text": text});
    let want = json!({
        "system": [text("s1"), text("s2"), text("s3")],
        "messages": [
            {"role": "user", "content": [text("a"), text("b")]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "c1", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c2", "content": "r2"},
                {"type": "tool_result", "tool_use_id": "c1", "content": "r1"},
                text("c"),
            ]},
            {"role": "assistant", "content": [text("no")]},
        ],
    });
    assert_eq!(got, want);
    assert_eq!(losses, ["system-position", "message-name", "refusal-mark"]);
}

#[test]
fn results_of_tools_become_messages_of_their_own() {
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}});
    let messages = json!({"system": "s", "messages": [
        {"role": "assistant", "content": [
            {"type": "text", "text": "one "},
            {"type": "text", "text": "two"},
            {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": "\n\""}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "is_error": true, "content": [{"type": "text", "text": "r"}, image]},
            {"type": "text", "text": "next"},
        ]},
    ]});
    let (got, losses) = other(Messages, &messages);
    let want = json!({"messages": [
        {"role": "system", "content": "s"},
        {"role": "assistant", "content": "one two", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": r#"{"a":"\n\""}"#}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
        {"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
            {"type": "text", "text": "next"},
        ]},
    ]});
    assert_eq!(got, want);
    assert_eq!(losses, ["tool-error", "tool-result-media"]);
}

#[test]
fn images_and_files_come_over_as_they_are_named() {
    for (chat, messages) in [
        (
            json!({"type": "image_url", "image_url": {"url": "https://example.org/i.png"}}),
            json!({"type": "image", "source": {"type": "url", "url": "https://example.org/i.png"}}),
        ),
        (
            json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}),
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}),
        ),
        (
            json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}}),
            json!({"type": "document", "title": "a.pdf", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}}),
        ),
    ] {
        let chat = json!({"messages": [{"role": "user", "content": [chat]}]});
        let messages = json!({"messages": [{"role": "user", "content": [messages]}]});
        assert_eq!(other(Chat, &chat), (messages.clone(), vec![]));
        assert_eq!(other(Messages, &messages), (chat, vec![]));
    }
    // Some clients escape the slashes of an address.
    let body = br#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image\/png;base64,aG\/k="}}]}]}"#;
    let asked = ask(client(Chat), Messages, body, &options()).unwrap();
    let got: Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(
        got["messages"][0]["content"][0]["source"],
        json!({"type": "base64", "media_type": "image/png", "data": "aG/k="})
    );
}

#[test]
fn a_thought_that_a_client_keeps_in_pieces_goes_back_whole() {
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "q"}]},
        {"role": "model", "parts": [{"thought": true, "text": "ab"}]},
        {"role": "model", "parts": [{"thought": true, "text": "cd"}]},
        {"role": "model", "parts": [{"thought": true, "text": "", "thoughtSignature": "S"}]},
        {"role": "model", "parts": [{"functionCall": {"id": "c", "name": "f", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "c", "name": "f", "response": {"output": "r"}}}]},
    ]});
    let (got, losses) = translated((GenerateContent, Messages), &body);
    assert_eq!(
        got["messages"][1]["content"],
        json!([
            {"type": "thinking", "thinking": "abcd", "signature": "S"},
            {"type": "tool_use", "id": "c", "name": "f", "input": {}},
        ])
    );
    assert_eq!(losses, Vec::<String>::new());
}

#[test]
fn documents_have_names_of_their_own_and_files_have_one_where_they_must() {
    let pdf = |title: Option<&str>| {
        let mut block = json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}});
        if let Some(title) = title {
            block["title"] = title.into();
        }
        block
    };
    let long = "x".repeat(300);
    let content = json!([
        pdf(None),
        pdf(None),
        pdf(Some("a.b")),
        pdf(Some("a b")),
        pdf(Some(&long))
    ]);
    let body = json!({"messages": [{"role": "user", "content": content}]});
    let (got, _) = translated((Messages, Converse), &body);
    let blocks = got["messages"][0]["content"].as_array().unwrap();
    let names: Vec<&str> = blocks
        .iter()
        .map(|block| block["document"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names[..4], ["document", "document (2)", "a b", "a b (2)"]);
    assert!(names[4].len() < 200, "{}", names[4].len());
    // Whatever the names, no two are one.
    let taken = json!([
        pdf(Some("a (2)")),
        pdf(Some("a")),
        pdf(Some("a")),
        pdf(Some("a (2)"))
    ]);
    let asked = json!({"messages": [{"role": "user", "content": taken}]});
    let (got, _) = translated((Messages, Converse), &asked);
    let blocks = got["messages"][0]["content"].as_array().unwrap();
    let names: Vec<&str> = blocks
        .iter()
        .map(|block| block["document"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a (2)", "a", "a (3)", "a (2) (2)"]);
    let (got, _) = translated((Messages, Chat), &body);
    assert_eq!(
        got["messages"][0]["content"][0]["file"]["filename"],
        "document.pdf"
    );
    let (got, _) = translated((Messages, Responses), &body);
    assert_eq!(got["input"][0]["content"][0]["filename"], "document.pdf");
}

#[test]
fn what_stands_beside_bytes_is_written_or_named() {
    let data = "data:application/pdf;base64,aGk=";
    let file =
        json!({"type": "input_file", "file_data": data, "filename": "a.pdf", "detail": "low"});
    let file = json!({"input": [{"role": "user", "content": [file]}], "max_output_tokens": 20});
    let detail = "image-detail";
    let name = "unknown-member:filename";
    for (to, lost) in [
        (Chat, &[detail][..]),
        (Converse, &[detail]),
        (GenerateContent, &[detail, name]),
        (Messages, &[detail]),
        (Responses, &[]),
    ] {
        assert_eq!(translated((Responses, to), &file).1, lost, "{to}");
    }
    let image =
        json!({"inlineData": {"mimeType": "image/png", "data": "aGk=", "displayName": "a.png"}});
    let image = json!({"contents": [{"role": "user", "parts": [image]}]});
    for to in [Chat, Dialect::Cohere, Converse, Messages, Responses] {
        let (got, losses) = translated((GenerateContent, to), &image);
        assert_eq!(losses, [name], "{to}");
        assert!(!got.to_string().contains("a.png"), "{to}: {got}");
    }
}

#[test]
fn what_a_shape_is_for_is_written_or_named() {
    let schema = json!({"name": "n", "description": "d", "schema": {"type": "object"}});
    let body = json!({"messages": [{"role": "user", "content": "q"}], "max_tokens": 20,
        "response_format": {"type": "json_schema", "json_schema": schema}});
    for (to, lost) in [
        (Dialect::Cohere, true),
        (Converse, false),
        (GenerateContent, true),
        (Messages, true),
        (Responses, false),
    ] {
        let (got, losses) = translated((Chat, to), &body);
        let want = ["unknown-member:format.description"];
        assert_eq!(losses, want[..usize::from(lost)], "{to}: {got}");
    }
}

#[test]
fn who_instructs_is_named_where_that_is_lost() {
    let body = json!({"messages": [{"role": "system", "name": "n", "content": "s"}, {"role": "user", "content": "q"}]});
    for to in [Converse, GenerateContent, Messages] {
        assert_eq!(translated((Chat, to), &body).1, ["message-name"], "{to}");
    }
}

#[test]
fn a_turn_of_which_nothing_comes_over_is_left_out() {
    let body = json!({"messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}]},
        {"role": "user", "content": "b"},
    ]});
    let (got, losses) = translated((Messages, Chat), &body);
    let roles: Vec<&str> = got["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "user"]);
    assert_eq!(losses, ["unknown-part:server_tool_use"]);
}

#[test]
fn a_name_of_a_user_that_is_too_long_for_others_is_named() {
    for (length, want) in [(64, vec![]), (65, vec!["metadata:user".to_owned()])] {
        let body = json!({
            "metadata": {"user_id": "u".repeat(length)},
            "messages": [{"role": "user", "content": "a"}],
        });
        for to in [Chat, Responses] {
            let (got, losses) = translated((Messages, to), &body);
            assert_eq!(got.get("user").is_some(), want.is_empty());
            assert_eq!(losses, want);
        }
    }
}

#[test]
fn reasoning_goes_back_unchanged_or_is_named() {
    let thinking = json!({"type": "thinking", "thinking": "hm", "signature": "s=="});
    let redacted = json!({"type": "redacted_thinking", "data": "e=="});
    let details = json!([
        {"type": "reasoning.text", "text": "hm", "signature": "s==", "index": 0},
        {"type": "reasoning.encrypted", "data": "e==", "index": 1},
    ]);
    let chat = json!({"messages": [{"role": "assistant", "reasoning_content": "hm", "reasoning_details": details, "content": "a"}]});
    let answer = json!({"type": "text", "text": "a"});
    let messages =
        json!({"messages": [{"role": "assistant", "content": [thinking, redacted, answer]}]});
    assert_eq!(other(Chat, &chat), (messages.clone(), vec![]));
    let mut options = options();
    options.target.reasoning_details = true;
    let mut back = with(Messages, &messages, &options);
    assert_eq!(back, (chat, vec![]));
    options.target.reasoning_details = false;
    options.target.reasoning = ReasoningName::Reasoning;
    back = with(Messages, &messages, &options);
    assert_eq!(
        back.0,
        json!({"messages": [{"role": "assistant", "reasoning": "hm", "content": "a"}]})
    );
    assert_eq!(back.1, ["reasoning-signature"]);

    let unsigned =
        json!({"messages": [{"role": "assistant", "reasoning_content": "hm", "content": "a"}]});
    let (got, losses) = other(Chat, &unsigned);
    assert_eq!(
        (&got["messages"][0]["content"], losses),
        (&json!("a"), vec!["reasoning".to_owned()])
    );
    options.target.unsigned_reasoning = true;
    let (got, losses) = with(Chat, &unsigned, &options);
    assert_eq!(
        got["messages"][0]["content"][0],
        json!({"type": "thinking", "thinking": "hm", "signature": ""})
    );
    assert!(losses.is_empty());
}

#[test]
fn the_wish_to_reason_is_worded_as_the_service_takes_it() {
    let form = |form| {
        let mut options = options();
        options.target.thinking = form;
        options.target.max_tokens = 20_000;
        options
    };
    let ask = |more: Value| {
        merged(
            json!({"messages": [{"role": "user", "content": "q"}]}),
            &more,
        )
    };
    let tool = json!({"type": "function", "function": {"name": "f"}});
    for (thinking, more, want, effort, lost) in [
        (
            ThinkingForm::Budget,
            json!({"reasoning_effort": "high"}),
            json!({"type": "enabled", "budget_tokens": 16_384}),
            json!(null),
            &[][..],
        ),
        (
            ThinkingForm::Budget,
            json!({"reasoning": {"max_tokens": 3_000}}),
            json!({"type": "enabled", "budget_tokens": 3_000}),
            json!(null),
            &[],
        ),
        (
            ThinkingForm::Budget,
            json!({"reasoning_effort": "none"}),
            json!(null),
            json!(null),
            &[],
        ),
        (
            ThinkingForm::Budget,
            json!({"reasoning_effort": "low", "max_tokens": 1_024}),
            json!(null),
            json!(null),
            &["reasoning-effort"],
        ),
        (
            ThinkingForm::Budget,
            json!({"reasoning_effort": "low", "tools": [tool], "tool_choice": "required"}),
            json!(null),
            json!(null),
            &["reasoning-effort"],
        ),
        (
            ThinkingForm::Budget,
            json!({"reasoning_effort": "low", "temperature": 0.1}),
            json!({"type": "enabled", "budget_tokens": 1_024}),
            json!(null),
            &["sampling:temperature"],
        ),
        (
            ThinkingForm::Adaptive,
            json!({"reasoning_effort": "minimal"}),
            json!({"type": "adaptive"}),
            json!("low"),
            &[],
        ),
        (
            ThinkingForm::Adaptive,
            json!({"reasoning_effort": "high"}),
            json!({"type": "adaptive"}),
            json!("high"),
            &[],
        ),
        (
            ThinkingForm::Adaptive,
            json!({"reasoning": {"max_tokens": 3_000}}),
            json!({"type": "adaptive"}),
            json!(null),
            &["reasoning-effort:budget"],
        ),
    ] {
        let (got, losses) = with(Chat, &ask(more.clone()), &form(thinking));
        assert_eq!(
            (&got["thinking"], &got["output_config"]["effort"]),
            (&want, &effort),
            "{more}"
        );
        assert_eq!(losses, lost, "{more}");
    }
    // A round of calls that began without reasoning cannot go on with it.
    let (got, losses) = with(
        Chat,
        &json!({"reasoning_effort": "low", "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ]}),
        &form(ThinkingForm::Budget),
    );
    assert_eq!(
        (&got["thinking"], losses),
        (&json!(null), vec!["reasoning-effort".to_owned()])
    );
}

#[test]
fn that_a_model_is_not_to_reason_is_said_in_no_words_that_it_may_refuse() {
    let question = || json!([{"role": "user", "content": "q"}]);
    let said = json!({"type": "disabled"});
    let asked = |from| match from {
        Chat => json!({"messages": question(), "reasoning_effort": "none"}),
        Responses => json!({"input": question(), "reasoning": {"effort": "none"}}),
        Messages => json!({"messages": question(), "thinking": said}),
        GenerateContent => json!({"contents": [{"parts": [{"text": "q"}]}],
            "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}),
        _ => json!({"messages": [{"role": "user", "content": [{"text": "q"}]}],
            "additionalModelRequestFields": {"thinking": said}}),
    };
    let level = json!({"thinkingLevel": "low"});
    let absent = json!(null);
    let none = json!("none");
    for (to, place, own, budget, adaptive, silent) in [
        (Chat, "/reasoning_effort", &none, &absent, &absent, false),
        (
            Responses,
            "/reasoning/effort",
            &none,
            &absent,
            &absent,
            false,
        ),
        (Messages, "/thinking", &said, &absent, &absent, true),
        (
            GenerateContent,
            "/generationConfig/thinkingConfig",
            &json!({"thinkingBudget": 0}),
            &absent,
            &level,
            false,
        ),
        (
            Converse,
            "/additionalModelRequestFields/thinking",
            &said,
            &absent,
            &absent,
            true,
        ),
        (
            Dialect::Cohere,
            "/thinking",
            &absent,
            &absent,
            &absent,
            false,
        ),
    ] {
        for from in [Chat, Converse, GenerateContent, Messages, Responses] {
            for form in [ThinkingForm::Adaptive, ThinkingForm::Budget] {
                let mut options = options();
                options.target.thinking = form;
                options.target.thinking_field = true;
                let (got, losses) = into(from, to, &asked(from), &options);
                let (want, lost) = match form {
                    _ if from == to => (own, false),
                    ThinkingForm::Adaptive => (adaptive, true),
                    ThinkingForm::Budget => (budget, !silent),
                };
                let case = format!("{from} to {to}, {form:?}: {got}");
                assert_eq!(got.pointer(place).unwrap_or(&absent), want, "{case}");
                assert_eq!(
                    losses,
                    ["reasoning-effort:none"][..usize::from(lost)],
                    "{case}"
                );
            }
        }
    }
}

#[test]
fn reasoning_as_the_model_sees_fit_is_said_or_named() {
    let question = json!([{"role": "user", "content": "q"}]);
    let asked = json!({"messages": question, "max_tokens": 99, "thinking": {"type": "adaptive"}});
    let told = json!({"messages": question, "max_tokens": 99, "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"}});
    let shown = json!({"includeThoughts": true});
    for (to, place, want, lost) in [
        (Chat, "/reasoning_effort", None, true),
        (Responses, "/reasoning/effort", None, true),
        (
            GenerateContent,
            "/generationConfig/thinkingConfig",
            Some(&shown),
            false,
        ),
        (Messages, "/thinking", asked.get("thinking"), false),
    ] {
        let (got, losses) = into(Messages, to, &asked, &options());
        assert_eq!(got.pointer(place), want, "{to}");
        assert_eq!(
            losses,
            ["reasoning-effort:adaptive"][..usize::from(lost)],
            "{to}"
        );
        let (_, losses) = into(Messages, to, &told, &options());
        assert_eq!(losses, [""; 0], "{to}");
    }
}

#[test]
fn an_effort_is_one_that_every_model_takes_unless_its_caller_knows() {
    let question = json!([{"role": "user", "content": "q"}]);
    let asked = |from, effort: &str| match from {
        Chat => json!({"messages": question, "reasoning_effort": effort}),
        Responses => json!({"input": question, "reasoning": {"effort": effort}}),
        Messages => json!({"messages": question, "output_config": {"effort": effort}}),
        _ => {
            json!({"contents": [{"parts": [{"text": "q"}]}], "generationConfig": {"thinkingConfig": {"thinkingLevel": effort}}})
        }
    };
    let mut options = options();
    options.target.thinking = ThinkingForm::Adaptive;
    let level = "/generationConfig/thinkingConfig/thinkingLevel";
    for (from, effort, to, place, want) in [
        (Messages, "high", Chat, "/reasoning_effort", "high"),
        (Messages, "xhigh", Chat, "/reasoning_effort", "high"),
        (Messages, "max", Responses, "/reasoning/effort", "high"),
        (GenerateContent, "minimal", Chat, "/reasoning_effort", "low"),
        (
            GenerateContent,
            "medium",
            Responses,
            "/reasoning/effort",
            "medium",
        ),
        (Chat, "minimal", Responses, "/reasoning/effort", "minimal"),
        (Responses, "xhigh", Chat, "/reasoning_effort", "xhigh"),
        (Chat, "minimal", GenerateContent, level, "low"),
        (Messages, "low", GenerateContent, level, "low"),
    ] {
        let (got, losses) = into(from, to, &asked(from, effort), &options);
        assert_eq!(
            got.pointer(place),
            Some(&json!(want)),
            "{from} to {to}: {got}"
        );
        let lost = format!("reasoning-effort:{effort}");
        assert_eq!(
            losses.contains(&lost),
            effort != want,
            "{from} to {to}: {losses:?}"
        );
    }
}

#[test]
fn a_wish_beside_one_that_is_not_known_is_read() {
    for wish in [
        r#"{"exclude":true,"effort":"low"}"#,
        r#"{"effort":"low","exclude":true}"#,
    ] {
        let body = format!(r#"{{"messages":[],"max_tokens":9000,"reasoning":{wish}}}"#);
        let asked = ask(client(Chat), Messages, body.as_bytes(), &options()).unwrap();
        let got: Value = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!(got["thinking"]["budget_tokens"], 1_024, "{wish}");
        let losses: Vec<_> = asked.losses.iter().map(ToString::to_string).collect();
        assert_eq!(losses, ["unknown-member:reasoning"]);
    }
}

#[test]
fn a_limit_of_tokens_is_no_lower_than_what_is_taken() {
    let question = json!([{"role": "user", "content": "q"}]);
    let chat = |max: u64| json!({"messages": question, "max_tokens": max});
    for (from, body, to, place, want, lost) in [
        (Chat, chat(5), Responses, "max_output_tokens", 16, true),
        (Chat, chat(16), Responses, "max_output_tokens", 16, false),
        (Chat, chat(5), Messages, "max_tokens", 5, false),
        (
            Responses,
            json!({"input": "q", "max_output_tokens": 5}),
            Responses,
            "max_output_tokens",
            5,
            false,
        ),
        (
            Responses,
            json!({"input": "q", "max_output_tokens": 16}),
            Chat,
            "max_tokens",
            16,
            false,
        ),
    ] {
        let (got, losses) = into(from, to, &body, &options());
        assert_eq!(got[place], want, "{from} to {to}");
        assert_eq!(losses, ["token-limit"][..usize::from(lost)]);
    }
}

#[test]
fn services_differ_in_names_ids_and_marks() {
    let mut options = options();
    options.target.model = Some("deployed".to_owned());
    options.target.token_limit = TokenLimitName::MaxCompletionTokens;
    options.target.tool_ids = IdRule::Nine;
    let mark = json!({"type": "ephemeral"});
    let messages = json!({"model": "m", "max_tokens": 7, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "q", "cache_control": mark}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "r"}]},
    ]});
    let (got, losses) = with(Messages, &messages, &options);
    assert_eq!(
        (&got["model"], &got["max_completion_tokens"]),
        (&json!("deployed"), &json!(7))
    );
    let id = got["messages"][1]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(
        id.len() == 9 && got["messages"][2]["tool_call_id"] == id,
        "{got}"
    );
    assert_eq!(
        (&got["messages"][0]["content"], losses),
        (&json!("q"), vec!["cache-control".to_owned()])
    );

    options.target.cache_control = true;
    let (got, losses) = with(Messages, &messages, &options);
    assert_eq!(
        (&got["messages"][0]["content"][0]["cache_control"], losses),
        (&mark, vec![])
    );
}

#[test]
fn what_the_answer_depends_on_is_refused_where_it_cannot_be_said() {
    let user = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    for (from, body, want) in [
        (
            Chat,
            json!({"messages": [], "n": 2}),
            "several answers at once",
        ),
        (
            Chat,
            json!({"messages": [], "modalities": ["text", "audio"]}),
            "an answer as sound",
        ),
        (
            Chat,
            json!({"messages": [], "tools": [{"type": "web_search"}]}),
            "a tool that the service runs",
        ),
        (
            Chat,
            user(json!({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}})),
            "sound",
        ),
        (
            Chat,
            user(json!({"type": "video_url", "video_url": {"url": "u"}})),
            "a part of this kind",
        ),
        (
            Chat,
            user(json!({"type": "file", "file": {"file_id": "f"}})),
            "a file by its id",
        ),
        (
            Messages,
            json!({"messages": [], "mcp_servers": [{"url": "u"}]}),
            "tools of a remote server",
        ),
        (
            Messages,
            json!({"messages": [], "tools": [{"type": "web_search_1", "name": "w"}]}),
            "a tool that the service runs",
        ),
        (
            Messages,
            user(json!({"type": "document", "source": {"type": "url", "url": "u"}})),
            "a file by its address",
        ),
        (
            Messages,
            user(json!({"type": "search_result"})),
            "a part of this kind",
        ),
    ] {
        let to = if from == Chat { Messages } else { Chat };
        let error = ask(client(from), to, body.to_string().as_bytes(), &options()).unwrap_err();
        assert_eq!(
            error,
            TranslateError::Unsupported {
                what: want,
                target: to
            },
            "{body}"
        );
        // Their own dialect says it.
        let same = ask(client(from), from, body.to_string().as_bytes(), &options());
        assert!(same.is_ok_and(|same| same.losses.is_empty()), "{body}");
    }
}

#[test]
fn a_member_of_another_shape_is_named() {
    for (from, body, want) in [
        (Chat, json!([]), "`the body` must be an object"),
        (Chat, json!({}), "`messages` must be an array"),
        (Chat, json!({"messages": {}}), "`messages` must be an array"),
        (
            Chat,
            json!({"messages": [{"content": "a"}]}),
            "`messages[].role` must be a string",
        ),
        (
            Chat,
            json!({"messages": [{"role": "user", "content": 1}]}),
            "`messages[].content` must be an array",
        ),
        (
            Chat,
            json!({"messages": [], "temperature": "1"}),
            "`temperature` must be a number",
        ),
        (
            Chat,
            json!({"messages": [], "max_tokens": 1.5}),
            "`max_tokens` must be a whole number",
        ),
        (
            Messages,
            json!({"messages": [{"role": "user"}]}),
            "`messages[].content` must be a string or an array",
        ),
        (
            Messages,
            json!({"messages": [], "stream": 1}),
            "`stream` must be true or false",
        ),
        (
            Messages,
            json!({"messages": [], "tool_choice": "auto"}),
            "`tool_choice` must be an object",
        ),
    ] {
        for to in [Chat, Messages] {
            let error = ask(client(from), to, body.to_string().as_bytes(), &options()).unwrap_err();
            assert_eq!(error.to_string(), want, "{body}");
        }
    }
    assert!(matches!(
        ask(client(Chat), Messages, b"{", &options()),
        Err(TranslateError::Json(_))
    ));
}

/// The request in another dialect, and the names of what was lost.
fn into(from: Dialect, to: Dialect, body: &Value, options: &Options) -> (Value, Vec<String>) {
    let asked = ask(client(from), to, body.to_string().as_bytes(), options).unwrap();
    let losses = asked.losses.iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&asked.body).unwrap(), losses)
}

#[test]
fn items_become_turns() {
    let responses = json!({"instructions": "s", "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "q"}, {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}], "encrypted_content": "e=="},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "t", "annotations": []}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"x\":1}"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": ""},
        {"type": "function_call_output", "call_id": "c1", "output": "r1"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "r2"}]},
        {"type": "message", "role": "developer", "content": "d"},
        {"type": "message", "role": "user", "content": "next"},
    ]});
    let (chat, losses) = into(Responses, Chat, &responses, &options());
    let want = json!({"messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "q"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}}]},
        {"role": "assistant", "reasoning_content": "a\n\nb", "content": "t", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "r1"},
        {"role": "tool", "tool_call_id": "c2", "content": "r2"},
        {"role": "system", "content": "d"},
        {"role": "user", "content": "next"},
    ]});
    assert_eq!(
        (chat, losses),
        (want, vec!["reasoning-signature".to_owned()])
    );
    let (messages, losses) = into(Responses, Messages, &responses, &options());
    assert_eq!(
        messages["system"],
        json!([{"type": "text", "text": "s"}, {"type": "text", "text": "d"}])
    );
    let turns = messages["messages"].as_array().unwrap();
    assert_eq!(
        turns
            .iter()
            .map(|turn| turn["role"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["user", "assistant", "user"]
    );
    assert_eq!(
        turns[1]["content"][0],
        json!({"type": "thinking", "thinking": "a\n\nb", "signature": "e=="})
    );
    assert_eq!(losses, ["system-position", "image-detail"]);
}

#[test]
fn members_of_responses_become_those_of_the_others() {
    let tool =
        json!({"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": true});
    for (body, want, lost) in [
        (
            json!({"model": "m", "max_output_tokens": 9, "temperature": 0.5, "user": "u", "stream": true}),
            json!({"model": "m", "max_tokens": 9, "temperature": 0.5, "user": "u", "stream": true, "stream_options": {"include_usage": true}}),
            &[][..],
        ),
        (
            json!({"tools": [tool], "tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": false}),
            json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": true}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false}),
            &[],
        ),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}}}),
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": true}}}),
            &[],
        ),
        (
            json!({"text": {"verbosity": "low", "format": {"type": "text"}}}),
            json!({}),
            &["unknown-member:verbosity"],
        ),
        (
            json!({"reasoning": {"effort": "low"}}),
            json!({"reasoning_effort": "low"}),
            &[],
        ),
        (
            json!({"store": false, "include": ["reasoning.encrypted_content"], "background": false}),
            json!({}),
            &[],
        ),
        (
            json!({"prompt_cache_key": "k", "metadata": {"a": "b"}, "store": true}),
            json!({}),
            &[
                "unknown-member:prompt_cache_key",
                "metadata",
                "unknown-member:store",
            ],
        ),
    ] {
        let (mut got, losses) = into(
            Responses,
            Chat,
            &merged(json!({"input": "q"}), &body),
            &options(),
        );
        assert_eq!(
            got.as_object_mut().unwrap().remove("messages"),
            Some(json!([{"role": "user", "content": "q"}]))
        );
        assert_eq!(got, want, "{body}");
        assert_eq!(
            losses.iter().collect::<std::collections::BTreeSet<_>>(),
            lost.iter()
                .map(|code| (*code).to_owned())
                .collect::<Vec<_>>()
                .iter()
                .collect()
        );
    }
    for (more, want) in [
        (
            json!({"previous_response_id": "r"}),
            "an earlier answer that the service keeps",
        ),
        (
            json!({"conversation": "c"}),
            "an earlier answer that the service keeps",
        ),
        (json!({"background": true}), "work in the background"),
        (
            json!({"tools": [{"type": "custom", "name": "patch"}]}),
            "a tool that the service runs",
        ),
        (
            json!({"tool_choice": {"type": "allowed_tools"}}),
            "this choice among tools",
        ),
        (
            json!({"input": [{"type": "item_reference", "id": "i"}]}),
            "a part of this kind",
        ),
    ] {
        for to in [Chat, Messages] {
            let body = merged(json!({"input": "q"}), &more).to_string();
            let error = ask(client(Responses), to, body.as_bytes(), &options()).unwrap_err();
            assert_eq!(
                error,
                TranslateError::Unsupported {
                    what: want,
                    target: to
                },
                "{more}"
            );
        }
    }
}

#[test]
fn turns_become_items() {
    let chat = json!({"model": "m", "stop": "x", "seed": 1, "reasoning_effort": "low", "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}}]},
        {"role": "assistant", "reasoning_content": "hm", "content": "t", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "c", "content": ""},
    ], "tools": [{"type": "function", "function": {"name": "f"}}]});
    let (got, losses) = into(Chat, Responses, &chat, &options());
    let want = json!({"model": "m", "input": [
        {"type": "message", "role": "system", "content": "s"},
        {"type": "message", "role": "user", "content": [{"type": "input_file", "file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "t"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": ""},
    ], "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": false}],
    "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low", "summary": "auto"}, "store": false});
    assert_eq!(
        (got, losses),
        (
            want,
            vec![
                "reasoning".to_owned(),
                "sampling:seed".to_owned(),
                "sampling:stop".to_owned()
            ]
        )
    );
}

/// A conversation with all that services speak of in their own ways.
fn conversation() -> Value {
    json!({"model": "m", "max_tokens": 9, "temperature": 0.5, "top_k": 3, "stop": ["x"], "user": "u", "stream": true,
    "reasoning_effort": "low",
    "tools": [{"type": "function", "function": {"name": "f", "description": "", "parameters": {"$ref": "#/$defs/a"}, "strict": true}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false,
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [
            {"type": "text", "text": "q"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a_b.pdf"}},
        ]},
        {"role": "assistant", "content": "t", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}},
            {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "{\"$ref\":\"x\"}"},
        {"role": "tool", "tool_call_id": "c2", "content": ""},
        {"role": "user", "content": " \n"},
        {"role": "user", "content": "next"},
    ]})
}

#[test]
fn generate_content_is_asked_in_its_own_way() {
    let mut options = options();
    options.target.thinking = ThinkingForm::Adaptive;
    let (got, losses) = into(Chat, Dialect::GenerateContent, &conversation(), &options);
    let call = |id, args: Value| json!({"functionCall": {"id": id, "name": "f", "args": args}});
    let excused = merged(
        call("c1", json!({})),
        &json!({"thoughtSignature": "skip_thought_signature_validator"}),
    );
    let result = |id, text| json!({"functionResponse": {"id": id, "name": "f", "response": {"output": text}}});
    let want = json!({
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "q"},
                {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}},
            ]},
            {"role": "model", "parts": [{"text": "t"}, excused, call("c2", json!({"a": 1}))]},
            {"role": "user", "parts": [result("c1", r#"{"$ref":"x"}"#), result("c2", ""), {"text": " \n"}, {"text": "next"}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "description": "", "parametersJsonSchema": {"$ref": "#/$defs/a"}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {"maxOutputTokens": 9, "temperature": 0.5, "topK": 3, "stopSequences": ["x"],
            "thinkingConfig": {"includeThoughts": true, "thinkingLevel": "low"}},
    });
    assert_eq!(got, want);
    assert_eq!(
        losses,
        [
            "unknown-member:filename",
            "reasoning-signature",
            "schema-strictness",
            "parallel-tools",
            "metadata:user"
        ]
    );
    let shaped = json!({"messages": [], "response_format": {"type": "json_object"}, "reasoning_effort": "none"});
    let (got, _) = into(Chat, Dialect::GenerateContent, &shaped, &options);
    assert_eq!(
        got["generationConfig"],
        json!({"responseMimeType": "application/json", "thinkingConfig": {"thinkingLevel": "low"}})
    );
}

/// The proofs of the calls that a service of `generateContent` is told of, and whether one was lost.
fn proofs(from: Dialect, body: &Value, form: Option<ThinkingForm>) -> (Vec<Value>, bool) {
    let mut options = options();
    options.target.thinking_field = form.is_some();
    options.target.thinking = form.unwrap_or_default();
    let (got, losses) = into(from, Dialect::GenerateContent, body, &options);
    let contents = got["contents"].as_array().unwrap().iter();
    let parts = contents.flat_map(|content| content["parts"].as_array().unwrap());
    let calls = parts.filter(|part| part.get("functionCall").is_some());
    let proofs = calls.map(|call| call["thoughtSignature"].clone()).collect();
    (
        proofs,
        losses.iter().any(|loss| loss == "reasoning-signature"),
    )
}

#[test]
fn calls_of_the_current_turn_are_excused_from_proofs_that_are_not_known() {
    let excuse = || json!("skip_thought_signature_validator");
    let calls = |ids: &[&str]| {
        let one = |id: &&str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        json!({"role": "assistant", "tool_calls": ids.iter().map(one).collect::<Vec<_>>()})
    };
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "r"});
    let user = json!({"role": "user", "content": "q"});
    let answer = json!({"role": "assistant", "content": "a"});
    // A turn that is over; then two steps, the first of two calls at once.
    let talk = json!({"messages": [user, calls(&["a"]), result("a"), answer,
        user, calls(&["b", "c"]), result("b"), result("c"), calls(&["d"]), result("d")]});
    let want = vec![json!(null), excuse(), json!(null), excuse()];
    for form in [None, Some(ThinkingForm::Adaptive)] {
        assert_eq!(proofs(Chat, &talk, form), (want.clone(), true), "{form:?}");
    }
    let unproven = (vec![json!(null); 4], false);
    assert_eq!(proofs(Chat, &talk, Some(ThinkingForm::Budget)), unproven);

    // One that is known is not replaced, and a turn that is over needs none.
    let proven = merged(
        calls(&["a", "b"]),
        &json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "s=="}]}),
    );
    let talk = json!({"messages": [user, proven, result("a"), result("b")]});
    let want = (vec![json!("s=="), json!(null)], false);
    assert_eq!(proofs(Chat, &talk, Some(ThinkingForm::Adaptive)), want);
    let over = json!({"messages": [user, calls(&["a"]), result("a"), answer, user]});
    let want = (vec![json!(null)], false);
    assert_eq!(proofs(Chat, &over, Some(ThinkingForm::Adaptive)), want);
    // What is said behind a result may not be taken for the beginning of a turn.
    let beside = json!({"messages": [user, calls(&["a"]), result("a"), user]});
    let want = (vec![excuse()], true);
    assert_eq!(proofs(Chat, &beside, Some(ThinkingForm::Adaptive)), want);
}

#[test]
fn what_proves_another_models_thoughts_proves_no_call() {
    let user = json!({"role": "user", "content": "q"});
    let thought = json!({"type": "thinking", "thinking": "hm", "signature": "s=="});
    let call = json!({"type": "tool_use", "id": "c", "name": "f", "input": {}});
    let result = json!({"type": "tool_result", "tool_use_id": "c", "content": "r"});
    let talk = |proof: &Value| {
        json!({"max_tokens": 9, "messages": [user, {"role": "assistant", "content": [thought, proof, call]},
            {"role": "user", "content": [result]}]})
    };
    let excused = vec![json!("skip_thought_signature_validator")];
    let text = json!({"type": "text", "text": "t"});
    let got = proofs(Messages, &talk(&text), Some(ThinkingForm::Adaptive));
    assert_eq!(got, (excused, true));
    let (got, _) = into(Messages, GenerateContent, &talk(&text), &options());
    assert_eq!(
        got["contents"][1]["parts"][0],
        json!({"text": "hm", "thought": true})
    );
    // Its own comes back as what nobody can read.
    let own = json!({"type": "redacted_thinking", "data": "own="});
    let got = proofs(Messages, &talk(&own), Some(ThinkingForm::Adaptive));
    assert_eq!(got, (vec![json!("own=")], true));
}

#[test]
fn an_excuse_for_a_proof_is_no_proof_elsewhere() {
    for excuse in [
        "skip_thought_signature_validator",
        "context_engineering_is_the_way_to_go",
    ] {
        for written in [excuse.to_owned(), BASE64_STANDARD.encode(excuse)] {
            let talk = json!({"contents": [{"role": "user", "parts": [{"text": "q"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": written}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "r"}}}]}]});
            let (got, losses) = into(GenerateContent, Messages, &talk, &options());
            let call = json!([{"type": "tool_use", "id": "call_1", "name": "f", "input": {}}]);
            assert_eq!(got["messages"][1]["content"], call);
            assert_eq!(losses, [""; 0]);
        }
    }
}

#[test]
fn converse_is_asked_in_its_own_way() {
    let (got, losses) = into(Chat, Dialect::Converse, &conversation(), &options());
    let call =
        |id, input: Value| json!({"toolUse": {"toolUseId": id, "name": "f", "input": input}});
    let want = json!({
        "system": [{"text": "s"}],
        "messages": [
            {"role": "user", "content": [
                {"text": "q"},
                {"image": {"format": "png", "source": {"bytes": "aGk="}}},
                {"document": {"format": "pdf", "name": "a b pdf", "source": {"bytes": "aGk="}}},
            ]},
            {"role": "assistant", "content": [{"text": "t"}, call("c1", json!({})), call("c2", json!({"a": 1}))]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "c1", "content": [{"text": r#"{"$ref":"x"}"#}]}},
                {"toolResult": {"toolUseId": "c2", "content": []}},
                {"text": "next"},
            ]},
        ],
        "toolConfig": {
            "tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"$ref": "#/$defs/a"}}, "strict": true}}],
            "toolChoice": {"tool": {"name": "f"}},
        },
        "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "stopSequences": ["x"]},
    });
    assert_eq!(got, want);
    assert_eq!(
        losses,
        [
            "parallel-tools",
            "sampling:top_k",
            "reasoning-effort",
            "metadata:user"
        ]
    );

    let tool = json!({"type": "function", "function": {"name": "f"}});
    let none = json!({"messages": [{"role": "user", "content": "q"}], "tools": [tool], "tool_choice": "none"});
    let (got, losses) = into(Chat, Dialect::Converse, &none, &options());
    assert!(
        got.get("toolConfig").is_none() && losses.is_empty(),
        "{got}"
    );
}

#[test]
fn marks_of_what_to_cache_are_blocks_in_converse() {
    let mark = json!({"type": "ephemeral"});
    let messages = json!({
        "system": [{"type": "text", "text": "s", "cache_control": mark}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": mark}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "q", "cache_control": mark}]}],
    });
    let mut options = options();
    let (_, losses) = into(Messages, Dialect::Converse, &messages, &options);
    assert_eq!(losses, ["cache-control"]);
    options.target.cache_control = true;
    let (got, losses) = into(Messages, Dialect::Converse, &messages, &options);
    let point = json!({"cachePoint": {"type": "default"}});
    assert_eq!(got["system"], json!([{"text": "s"}, point]));
    assert_eq!(got["messages"][0]["content"], json!([{"text": "q"}, point]));
    assert_eq!((&got["toolConfig"]["tools"][1], losses), (&point, vec![]));
}

#[test]
fn a_mark_of_what_to_cache_keeps_its_time_or_names_it() {
    let marked = |mark: &Value| {
        json!({"max_tokens": 9, "messages": [
            {"role": "user", "content": [{"type": "text", "text": "q", "cache_control": mark}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [
                {"type": "text", "text": "r", "cache_control": mark}, {"type": "text", "text": "s"}]}]},
        ]})
    };
    let mut options = options();
    options.target.cache_control = true;
    let plain = json!({"type": "default"});
    for (ttl, point, lost) in [
        (json!(null), &plain, false),
        (json!("5m"), &plain, false),
        (json!("1h"), &json!({"type": "default", "ttl": "1h"}), false),
        (json!("9d"), &plain, true),
    ] {
        let body = marked(&json!({"type": "ephemeral", "ttl": ttl}));
        let (got, losses) = into(Messages, Converse, &body, &options);
        let point = json!({"cachePoint": point});
        assert_eq!(got["messages"][0]["content"], json!([{"text": "q"}, point]));
        // It has no place within a result.
        let result = json!({"toolUseId": "c", "content": [{"text": "r"}, {"text": "s"}]});
        assert_eq!(
            got["messages"][2]["content"],
            json!([{"toolResult": result}, point])
        );
        assert_eq!(losses, ["cache-control:ttl"][..usize::from(lost)], "{ttl}");
    }
    let mut within = marked(&json!({"type": "ephemeral"}));
    let text = within.pointer_mut("/messages/0/content/0").unwrap();
    text.as_object_mut().unwrap().remove("cache_control");
    let (_, losses) = into(Messages, GenerateContent, &within, &options);
    assert!(losses.contains(&"cache-control".to_owned()), "{losses:?}");
}

#[test]
fn no_mark_of_what_to_cache_is_none() {
    let body = json!({"messages": [{"role": "user", "content": "q"}],
        "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": null}]});
    let mut options = options();
    options.target.cache_control = true;
    let (got, losses) = into(Chat, Converse, &body, &options);
    assert_eq!(got["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    assert_eq!(losses, [""; 0]);
}

#[test]
fn members_below_the_top_are_lost_by_name_too() {
    let chat = json!({"messages": [{"role": "assistant", "content": [{"type": "text", "text": "a", "odd_part": 1}], "prefix": true}],
        "tools": [{"type": "function", "odd_tool": 1, "function": {"name": "f", "odd_function": {}}}]});
    let messages = json!({"messages": [{"role": "user", "odd_turn": 1, "content": [
        {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "r", "odd_inside": 1}], "odd_block": 1}]}],
        "tools": [{"name": "f", "input_schema": {}, "defer_loading": true}]});
    let responses = json!({"input": [{"type": "message", "role": "user", "odd_item": 1, "content": [{"type": "input_text", "text": "a", "odd_part": 1}]}]});
    for (from, to, body, want) in [
        (
            Chat,
            Messages,
            chat,
            &["prefix", "odd_part", "odd_tool", "odd_function"][..],
        ),
        (
            Messages,
            Chat,
            messages,
            &["odd_turn", "odd_block", "odd_inside", "defer_loading"],
        ),
        (Responses, Chat, responses, &["odd_item", "odd_part"]),
    ] {
        let want: Vec<_> = want
            .iter()
            .map(|name| format!("unknown-member:{name}"))
            .collect();
        assert_eq!(into(from, to, &body, &options()).1, want, "{body}");
    }
}

#[test]
fn reasoning_leaves_room_for_the_answer() {
    let asked = |more: Value| {
        let body = merged(
            json!({"messages": [{"role": "user", "content": "q"}]}),
            &more,
        );
        let (got, losses) = into(Chat, Messages, &body, &options());
        assert!(losses.is_empty(), "{losses:?}");
        [
            got["max_tokens"].as_u64().unwrap(),
            got["thinking"]["budget_tokens"].as_u64().unwrap_or(0),
        ]
    };
    assert_eq!(asked(json!({})), [100, 0]);
    assert_eq!(asked(json!({"reasoning_effort": "medium"})), [4_196, 2_098]);
    assert_eq!(
        asked(json!({"reasoning_effort": "high", "max_tokens": 8_000})),
        [8_000, 4_000]
    );
    assert_eq!(
        asked(json!({"reasoning_effort": "low", "max_tokens": 8_000})),
        [8_000, 1_024]
    );
    assert_eq!(
        asked(json!({"reasoning": {"max_tokens": 7_000}, "max_tokens": 8_000})),
        [8_000, 7_000]
    );
}

/// Some services want the instructions in front, and each side to speak once at a time.
#[test]
fn pitfall_61_who_speaks_twice_speaks_once_where_turns_are_demanded() {
    let said = |role: &str, text: &str| json!({ "role": role, "content": text });
    let body = json!({ "max_tokens": 1, "system": "0", "messages": [
        said("user", "1"), said("user", "2"), said("assistant", "3"), said("assistant", "4"), said("user", "5"),
    ] });
    let mut options = options();
    let roles = |options: &Options| {
        let (asked, losses) = with(Messages, &body, options);
        let turns = asked["messages"].as_array().unwrap().clone();
        let roles: Vec<String> = turns
            .iter()
            .map(|turn| turn["role"].as_str().unwrap().to_owned())
            .collect();
        (roles, turns, losses)
    };
    let (as_they_came, _, losses) = roles(&options);
    assert_eq!(as_they_came.len(), 6);
    assert_eq!(losses, [""; 0]);
    options.target.alternating_roles = true;
    let (alternating, turns, losses) = roles(&options);
    assert_eq!(alternating, ["system", "user", "assistant", "user"]);
    let texts = json!([{ "type": "text", "text": "1" }, { "type": "text", "text": "2" }]);
    assert_eq!(turns[1]["content"], texts);
    assert_eq!(losses, [""; 0]);
}

#[test]
fn the_wish_for_one_tool_at_a_time_is_named_where_it_cannot_be_told() {
    let mut body = json!({
        "max_tokens": 1,
        "messages": [{ "role": "user", "content": "q" }],
        "tools": [{ "name": "t", "input_schema": {} }],
        "tool_choice": { "type": "auto", "disable_parallel_tool_use": true },
    });
    let mut options = options();
    let (asked, losses) = with(Messages, &body, &options);
    assert_eq!(
        (&asked["parallel_tool_calls"], losses.len()),
        (&json!(false), 0)
    );
    options.target.parallel_tool_calls = false;
    let (asked, losses) = with(Messages, &body, &options);
    assert_eq!(asked.get("parallel_tool_calls"), None);
    assert_eq!(losses, ["parallel-tools"]);
    body["tool_choice"]["disable_parallel_tool_use"] = json!(false);
    let (asked, losses) = with(Messages, &body, &options);
    assert_eq!((asked.get("parallel_tool_calls"), losses.len()), (None, 0));
}
