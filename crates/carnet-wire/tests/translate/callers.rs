//! Requests of callers that speak `generateContent` or Converse, member by member.

use carnet_wire::dialect::{ClientDialect, Dialect, ThinkingForm, TranslateError};
use carnet_wire::translate::ask;
use serde_json::{Value, json};

use super::reading::{client, options};

use Dialect::{Chat, Converse, GenerateContent, Messages};

/// The same request for another service, and what it was not told.
/// What is sent and, in order of the alphabet, what is lost: members come in whatever order the caller has them.
fn sent(from: Dialect, to: Dialect, body: &Value) -> (Value, Vec<String>) {
    let mut options = options();
    options.target.model = Some("m".to_owned());
    let asked = ask(client(from), to, body.to_string().as_bytes(), &options).unwrap();
    let body = serde_json::from_slice(&asked.body).unwrap();
    let mut losses: Vec<String> = asked.losses.iter().map(ToString::to_string).collect();
    losses.sort();
    (body, losses)
}

fn refused(from: ClientDialect, body: &Value) -> TranslateError {
    ask(from, Chat, body.to_string().as_bytes(), &options()).unwrap_err()
}

fn said(parts: Value) -> Value {
    json!([{"role": "user", "parts": parts}])
}

#[test]
fn members_of_generate_content_come_over_in_both_spellings() {
    let contents = said(json!([{"text": "q"}]));
    let question = json!({"role": "user", "content": "q"});
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let old = json!({"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}});
    let function = |parameters: &Value| json!([{"type": "function", "function": {"name": "f", "parameters": parameters}}]);
    for (more, want, lost) in [
        (
            json!({"generationConfig": {"temperature": 0.5, "topP": 1, "maxOutputTokens": 9, "seed": 3,
                "stopSequences": ["x"], "frequencyPenalty": 0.1, "presencePenalty": 0.2, "candidateCount": 1}}),
            json!({"temperature": 0.5, "top_p": 1, "max_tokens": 9, "seed": 3, "stop": ["x"], "frequency_penalty": 0.1,
                "presence_penalty": 0.2}),
            &[][..],
        ),
        (
            json!({"generation_config": {"top_p": 1, "max_output_tokens": 9, "stop_sequences": ["x"], "candidate_count": 1}}),
            json!({"top_p": 1, "max_tokens": 9, "stop": ["x"]}),
            &[],
        ),
        (
            json!({"generationConfig": {"responseMimeType": "application/json", "responseSchema": old}}),
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}}),
            &[],
        ),
        (
            json!({"generationConfig": {"responseMimeType": "application/json"}}),
            json!({"response_format": {"type": "json_object"}}),
            &[],
        ),
        (
            json!({"tools": [{"function_declarations": [{"name": "f", "parameters": old}]}],
                "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}}}),
            json!({"tools": function(&schema), "tool_choice": {"type": "function", "function": {"name": "f"}}}),
            &[],
        ),
        (
            json!({"tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": schema}, {"name": "g"}, {"name": "h"}]}],
                "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "x"]}}}),
            json!({"tools": function(&schema), "tool_choice": "required"}),
            &[],
        ),
        (
            json!({"safetySettings": [{}], "labels": {"a": "b"}, "generationConfig": {"speechConfig": {},
                "mediaResolution": "MEDIA_RESOLUTION_LOW", "responseLogprobs": true}}),
            json!({}),
            &[
                "image-detail",
                "logprobs",
                "metadata:labels",
                "unknown-member:generationConfig.speechConfig",
                "unknown-member:safetySettings",
            ],
        ),
    ] {
        let mut body = more;
        body["contents"] = contents.clone();
        let (got, losses) = sent(GenerateContent, Chat, &body);
        let mut want = want;
        want["model"] = json!("m");
        want["messages"] = json!([question]);
        assert_eq!(got, want);
        assert_eq!(losses, lost);
    }
}

/// The service's own examples say so: google-gemini/cookbook, `quickstarts/rest/System_instructions_REST.ipynb`.
#[test]
fn an_object_stands_for_a_list_of_it_in_generate_content() {
    let body = json!({
        "system_instruction": {"parts": {"text": "s"}},
        "contents": {"parts": {"text": "q", "videoMetadata": {"fps": 1}}},
        "tools": {"functionDeclarations": {"name": "f", "parameters": {"type": "OBJECT"}, "behavior": "BLOCKING"}},
    });
    let (got, losses) = sent(GenerateContent, Chat, &body);
    let messages = json!([{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]);
    assert_eq!(got["messages"], messages, "{got}");
    let function = json!({"name": "f", "parameters": {"type": "object"}});
    assert_eq!(
        got["tools"],
        json!([{"type": "function", "function": function}])
    );
    assert_eq!(
        losses,
        ["unknown-member:behavior", "unknown-member:videoMetadata"]
    );
    for body in [
        json!({"contents": {"parts": "q"}}),
        json!({"contents": "q"}),
        json!({"contents": [], "systemInstruction": "s"}),
        json!({"contents": said(json!([[{"text": "q"}]]))}),
    ] {
        let error = refused(ClientDialect::GenerateContent, &body).to_string();
        assert!(error.contains("must be an"), "{error} for {body}");
    }
}

#[test]
fn how_much_to_reason_comes_over() {
    for (config, want) in [
        (
            json!({"thinkingBudget": 2048}),
            json!({"type": "enabled", "budget_tokens": 2048}),
        ),
        (json!({"thinking_budget": 0}), json!(null)),
    ] {
        let body = json!({"contents": said(json!([{"text": "q"}])), "generationConfig": {"thinkingConfig": config}});
        let (got, losses) = sent(GenerateContent, Messages, &body);
        assert_eq!(got["thinking"], want, "{got}");
        assert!(losses.is_empty(), "{losses:?}");
    }
    let config = json!({"includeThoughts": true, "thinkingLevel": "LOW"});
    let body = json!({"contents": said(json!([{"text": "q"}])), "generationConfig": {"thinkingConfig": config}});
    assert_eq!(
        sent(GenerateContent, Chat, &body).0["reasoning_effort"],
        "low"
    );
}

/// Ids may be missing, and results may come in another order than their calls.
#[test]
fn results_find_their_calls_by_name() {
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "q"}]},
        {"role": "model", "parts": [
            {"functionCall": {"name": "f", "args": {"a": 1}}},
            {"function_call": {"name": "g"}},
            {"functionCall": {"name": "f", "args": {"a": 2}}},
        ]},
        {"role": "function", "parts": [
            {"functionResponse": {"name": "g", "response": {"output": "of g"}}},
            {"functionResponse": {"name": "f", "response": {"error": "of 1"}}},
            {"function_response": {"name": "f", "response": {"b": [1]}}},
        ]},
    ]});
    let (got, losses) = sent(GenerateContent, Messages, &body);
    let call = |id: &str, name: &str, input: Value| json!({"type": "tool_use", "id": id, "name": name, "input": input});
    assert_eq!(
        got["messages"][1]["content"],
        json!([
            call("call_1", "f", json!({"a": 1})),
            call("call_2", "g", json!({})),
            call("call_3", "f", json!({"a": 2})),
        ])
    );
    assert_eq!(
        got["messages"][2]["content"],
        json!([
            {"type": "tool_result", "tool_use_id": "call_2", "content": "of g"},
            {"type": "tool_result", "tool_use_id": "call_1", "content": "of 1", "is_error": true},
            {"type": "tool_result", "tool_use_id": "call_3", "content": "{\"b\":[1]}"},
        ])
    );
    assert!(losses.is_empty(), "{losses:?}");
}

#[test]
fn media_of_generate_content_come_over() {
    let parts = json!([
        {"inlineData": {"mimeType": "image/png", "data": "aQ=="}},
        {"inline_data": {"mime_type": "audio/mpeg", "data": "bQ=="}},
    ]);
    let (got, _) = sent(
        GenerateContent,
        Chat,
        &json!({"contents": said(parts.clone())}),
    );
    assert_eq!(
        got["messages"][0]["content"],
        json!([
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aQ=="}},
            {"type": "input_audio", "input_audio": {"data": "bQ==", "format": "mp3"}},
        ])
    );
}

#[test]
fn what_generate_content_cannot_ask_of_others_is_refused() {
    let text = || json!([{"text": "q"}]);
    for (body, why) in [
        (
            json!({"contents": said(text()), "cachedContent": "c"}),
            "a conversation that the service keeps cannot",
        ),
        (
            json!({"contents": said(text()), "generationConfig": {"candidateCount": 2}}),
            "several answers at once cannot",
        ),
        (
            json!({"contents": said(text()), "generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}}),
            "an answer that is not text cannot",
        ),
        (
            json!({"contents": said(text()), "tools": [{"googleSearch": {}}]}),
            "a tool that the service runs cannot",
        ),
        (
            json!({"contents": said(json!([{"fileData": {"fileUri": "u"}}]))}),
            "a part of this kind cannot",
        ),
        (
            json!({"contents": said(json!([{"inlineData": {"mimeType": "video/mp4", "data": ""}}]))}),
            "a part of this kind cannot",
        ),
        (json!({}), "`contents` must be"),
        (
            json!({"contents": said(text()), "generationConfig": {"topP": 1, "top_p": 1}}),
            "`topP` must be said once",
        ),
        (
            json!({"contents": said(text()), "systemInstruction": {}, "system_instruction": {}}),
            "`systemInstruction` must be said once",
        ),
        (
            json!({"contents": said(json!([{"functionResponse": {"name": "f", "response": {}}}]))}),
            "`functionResponse.name` must be the name of a tool that was called",
        ),
        (
            json!({"contents": [{"role": "robot", "parts": []}]}),
            "`contents[].role` must be",
        ),
    ] {
        let error = refused(ClientDialect::GenerateContent, &body).to_string();
        assert!(error.starts_with(why), "{error} for {body}");
    }
}

fn messages(content: Value) -> Value {
    json!([{"role": "user", "content": content}])
}

#[test]
fn members_of_converse_come_over() {
    let body = json!({
        "system": [{"text": "s"}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": [
                {"text": "q"},
                {"image": {"format": "png", "source": {"bytes": "aQ=="}}},
                {"document": {"format": "pdf", "name": "d", "source": {"bytes": "cA=="}}},
                {"document": {"format": "txt", "name": "t", "source": {"text": "plain"}}},
                {"cachePoint": {"type": "default"}},
            ]},
            {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "r", "signature": "s=="}}},
                {"reasoningContent": {"redactedContent": "cmVk"}},
                {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}},
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "t1", "content": [{"json": {"b": 1}}], "status": "error"}},
            ]},
        ],
        "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 1, "stopSequences": ["x"]},
        "toolConfig": {
            "tools": [{"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object"}}}}, {"cachePoint": {"type": "default"}}],
            "toolChoice": {"tool": {"name": "f"}},
        },
        "additionalModelRequestFields": {"thinking": {"type": "enhanced"}, "top_k": 3, "other": 1},
        "requestMetadata": {"a": "b"},
        "performanceConfig": {"latency": "optimized"},
    });
    let mark = json!({"type": "ephemeral"});
    let (got, losses) = sent(Converse, Messages, &body);
    assert_eq!(
        got,
        json!({
            "model": "m", "max_tokens": 9, "temperature": 0.5, "top_p": 1, "stop_sequences": ["x"],
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "q"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aQ=="}},
                    {"type": "document", "title": "d", "source": {"type": "base64", "media_type": "application/pdf", "data": "cA=="}},
                    {"type": "document", "title": "t", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}, "cache_control": mark},
                ]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "r", "signature": "s=="},
                    {"type": "redacted_thinking", "data": "cmVk"},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": "{\"b\":1}", "is_error": true},
                ]},
            ],
            "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}, "cache_control": mark}],
            "tool_choice": {"type": "tool", "name": "f"},
        })
    );
    assert_eq!(
        losses,
        [
            "metadata:requestMetadata",
            "reasoning-effort:thinking",
            "sampling:top_k",
            "unknown-member:additionalModelRequestFields.other",
            "unknown-member:performanceConfig",
        ]
    );
    // The same dialect gets it all back.
    let mut options = options();
    options.target.cache_control = true;
    let asked = ask(
        ClientDialect::Converse,
        Converse,
        body.to_string().as_bytes(),
        &options,
    )
    .unwrap();
    let back: Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(
        back["additionalModelRequestFields"],
        body["additionalModelRequestFields"]
    );
    assert_eq!(back["toolConfig"], body["toolConfig"]);
}

#[test]
fn how_much_to_reason_comes_over_from_the_fields_of_converse_and_into_them() {
    let said = |thinking: &Value| {
        json!({
            "messages": messages(json!([{"text": "q"}])),
            "inferenceConfig": {"maxTokens": 9000},
            "additionalModelRequestFields": {"thinking": thinking},
        })
    };
    for thinking in [
        json!({"type": "enabled", "budget_tokens": 2048}),
        json!({"type": "adaptive", "display": "omitted"}),
    ] {
        let mut options = options();
        let adaptive = thinking["type"] == "adaptive";
        options.target.thinking = if adaptive {
            ThinkingForm::Adaptive
        } else {
            ThinkingForm::Budget
        };
        options.target.thinking_field = true;
        let body = said(&thinking).to_string();
        let there = ask(ClientDialect::Converse, Messages, body.as_bytes(), &options).unwrap();
        let asked: Value = serde_json::from_slice(&there.body).unwrap();
        assert_eq!(asked["thinking"], thinking, "{asked}");
        assert!(there.losses.iter().next().is_none(), "{:?}", there.losses);
        let back = ask(ClientDialect::Messages, Converse, &there.body, &options).unwrap();
        let asked: Value = serde_json::from_slice(&back.body).unwrap();
        assert_eq!(
            asked["additionalModelRequestFields"],
            json!({"thinking": thinking}),
            "{asked}"
        );
        // Which model it is for is not known without the service's word.
        options.target.thinking_field = false;
        let back = ask(ClientDialect::Messages, Converse, &there.body, &options).unwrap();
        let asked: Value = serde_json::from_slice(&back.body).unwrap();
        assert!(asked.get("additionalModelRequestFields").is_none());
        let losses: Vec<_> = back.losses.iter().map(ToString::to_string).collect();
        assert_eq!(losses, ["reasoning-effort"]);
    }
    let body = said(&json!({"type": "enabled", "budget_tokens": 2048}));
    let (got, losses) = sent(Converse, Chat, &body);
    assert_eq!(got["reasoning_effort"], "low", "{got}");
    assert_eq!(losses, ["reasoning-effort:budget"]);
    // Of another model's words nothing is guessed.
    for thinking in [
        json!(true),
        json!({"budget": 1}),
        json!({"type": "enabled", "more": 1}),
    ] {
        let (got, losses) = sent(Converse, Messages, &said(&thinking));
        assert!(got.get("thinking").is_none(), "{got}");
        assert_eq!(losses, ["reasoning-effort:thinking"]);
    }
}

#[test]
fn what_converse_cannot_ask_of_others_is_refused() {
    let text = || messages(json!([{"text": "q"}]));
    for (body, why) in [
        (
            json!({"messages": text(), "additionalModelRequestFields": {"tools": [1]}}),
            "tools in a model's own dialect cannot",
        ),
        (
            json!({"messages": text(), "toolConfig": {"tools": [{"systemTool": {"name": "s"}}]}}),
            "a tool that the service runs cannot",
        ),
        (
            json!({"messages": messages(json!([{"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b"}}}}]))}),
            "a part of this kind cannot",
        ),
        (
            json!({"messages": messages(json!([{"guardContent": {"text": {"text": "a"}}}]))}),
            "a part of this kind cannot",
        ),
        (
            json!({"messages": messages(json!([{"text": "a", "image": {}}]))}),
            "`messages[].content` must be a list of blocks with one member each",
        ),
        (
            json!({"messages": messages(json!([{"cachePoint": {"type": "default"}}]))}),
            "`cachePoint` must be behind",
        ),
        (json!({}), "`messages` must be an array"),
        (
            json!({"messages": text(), "outputConfig": {"textFormat": {"structure": {"jsonSchema": {"schema": "{"}}}}}),
            "`outputConfig.textFormat.structure.jsonSchema.schema` must be",
        ),
    ] {
        let error = refused(ClientDialect::Converse, &body).to_string();
        assert!(error.starts_with(why), "{error} for {body}");
    }
}
