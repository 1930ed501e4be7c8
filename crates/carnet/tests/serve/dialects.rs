//! Every kind of call: what goes up and comes down unchanged, by which headers and paths, and in whose shapes
//! refusals and broken streams come.

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::harness::upstream::{EVENTS, whole};
use crate::harness::{
    Answer, Arrival, DENIED, Gateway, MODEL, ONE_SECOND, RENAMED, Setup, Upstream, entry,
    json_body, within,
};

/// A kind of call with a small exchange of its own.
struct Case {
    /// With `{model}` where the model stands in it.
    path: &'static str,
    api: &'static str,
    /// What the body has besides its model.
    ask: &'static str,
    answer: &'static str,
}

const CASES: [Case; 11] = [
    Case {
        path: "/v1/chat/completions",
        api: "chat-completions",
        ask: r#""messages":[{"role":"user","content":"Hello"}]"#,
        answer: r#"{"id":"c1","object":"chat.completion","model":"llama3.3:70b","choices":[]}"#,
    },
    Case {
        path: "/v1/completions",
        api: "completions",
        ask: r#""prompt":["Once","upon"],"echo":true"#,
        answer: r#"{"id":"t1","object":"text_completion","model":"llama3.3:70b","choices":[{"text":" a time"}]}"#,
    },
    Case {
        path: "/v1/embeddings",
        api: "embeddings",
        ask: r#""input":"Hello","encoding_format":"base64""#,
        answer: r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPw=="}],"model":"llama3.3:70b","usage":{"prompt_tokens":1,"total_tokens":1}}"#,
    },
    Case {
        path: "/v1/responses",
        api: "responses",
        ask: r#""input":[{"role":"user","content":[{"type":"input_text","text":"Hello"}]}],"store":false"#,
        answer: r#"{"id":"r1","object":"response","status":"completed","model":"llama3.3:70b","output":[]}"#,
    },
    Case {
        path: "/v1/messages",
        api: "messages",
        ask: r#""max_tokens":16,"system":"Be brief","messages":[{"role":"user","content":"Hello"}]"#,
        answer: r#"{"id":"m1","type":"message","role":"assistant","model":"llama3.3:70b","content":[{"type":"text","text":"Hi"}]}"#,
    },
    Case {
        path: "/v1/messages/count_tokens",
        api: "messages",
        ask: r#""messages":[{"role":"user","content":"Hello"}]"#,
        answer: r#"{"input_tokens":8}"#,
    },
    Case {
        path: "/v1beta/models/{model}:generateContent",
        api: "generate-content",
        ask: r#""contents":[{"role":"user","parts":[{"text":"Hello"}]}]"#,
        answer: r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hi"}]}}],"modelVersion":"llama3.3:70b"}"#,
    },
    Case {
        path: "/v1beta/models/{model}:streamGenerateContent",
        api: "generate-content",
        ask: r#""contents":[{"parts":[{"text":"Hello"}]}],"systemInstruction":{"parts":[{"text":"Be brief"}]}"#,
        answer: r#"[{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}],"modelVersion":"llama3.3:70b"}]"#,
    },
    Case {
        path: "/model/{model}/converse",
        api: "converse",
        ask: r#""messages":[{"role":"user","content":[{"text":"Hello"}]}]"#,
        answer: r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hi"}]}},"stopReason":"end_turn"}"#,
    },
    Case {
        path: "/model/{model}/converse-stream",
        api: "converse",
        ask: r#""messages":[{"role":"user","content":[{"text":"Hello"}]}],"system":[{"text":"Be brief"}]"#,
        // Frames of that API are binary; to the gateway they are bytes.
        answer: "\u{0}\u{0}\u{0}\u{7f}\u{0}\u{0}\u{0}W;:event-type",
    },
    Case {
        path: "/v1beta/models/{model}:generateContent",
        api: "generate-content",
        ask: r#""contents":{"parts":{"text":"Hello"}},"system_instruction":{"parts":{"text":"Be brief"}}"#,
        answer: r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hi"}]}}],"modelVersion":"llama3.3:70b"}"#,
    },
];

impl Case {
    /// The path by which callers ask for a model.
    fn path(&self, model: &str) -> String {
        self.path.replace("{model}", model)
    }

    /// The body by which they do.
    fn body(&self, model: &str) -> String {
        if self.path.contains("{model}") {
            format!("{{ {}}}", self.ask)
        } else {
            format!(r#"{{ "model" : "{model}", {}}}"#, self.ask)
        }
    }
}

const ALL: &str = r#"apis = ["chat-completions", "completions", "converse", "embeddings", "generate-content", "messages", "responses"]"#;

async fn everything(upstream: &Upstream) -> Gateway {
    let entry = entry("local", &upstream.base_url(), ALL);
    Setup::with(&entry).start().await
}

async fn exchange(
    gateway: &Gateway,
    upstream: &mut Upstream,
    request: Request<Full<bytes::Bytes>>,
    answer: &str,
) -> (Answer, Arrival) {
    tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        // Else the next request could meet this connection just when it ends.
        let answer = whole("connection: close\r\n", answer.as_bytes());
        arrival.write(answer).await;
        arrival
    })
}

#[tokio::test]
async fn every_call_passes_unchanged_but_for_the_models_name() {
    let mut upstream = Upstream::start().await;
    let gateway = everything(&upstream).await;
    for case in &CASES {
        for model in [MODEL, RENAMED] {
            let path = case.path(model);
            let sent = case.body(model);
            let request = gateway.request(Method::POST, &path, sent.clone());
            let (answer, arrival) = exchange(&gateway, &mut upstream, request, case.answer).await;
            let below = case
                .path
                .trim_start_matches("/v1beta")
                .trim_start_matches("/v1");
            let up = below.replace("{model}", "llama3.3%3A70b");
            assert_eq!(arrival.line, format!("POST /v1{up} HTTP/1.1"), "{path}");
            let wanted = sent.replace(RENAMED, MODEL);
            assert_eq!(String::from_utf8_lossy(&arrival.body), wanted, "{path}");
            let id = answer.record();
            assert_eq!(answer.text().await, case.answer, "{path}");
            let record = gateway.record(&id).await;
            for (field, value) in [
                ("api", case.api),
                ("requested_model", model),
                ("outcome", "completed"),
            ] {
                assert_eq!(record[field], value, "{record:#}");
            }
        }
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_deployment_in_the_path_is_the_model() {
    let mut upstream = Upstream::start().await;
    let gateway = everything(&upstream).await;
    let ask = r#"{"messages":[],"n":1}"#;
    for (deployment, sent, wanted) in [
        (
            RENAMED,
            ask,
            r#"{"model":"llama3.3:70b","messages":[],"n":1}"#,
        ),
        (
            "llama3.3%3A70b",
            ask,
            r#"{"model":"llama3.3:70b","messages":[],"n":1}"#,
        ),
        (
            RENAMED,
            r#"{"messages":[],"model":"mystery"}"#,
            r#"{"messages":[],"model":"llama3.3:70b"}"#,
        ),
    ] {
        let path =
            format!("/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21");
        let mut request = gateway.request(Method::POST, &path, sent);
        request.headers_mut().remove(AUTHORIZATION);
        let key = HeaderValue::from_str(&gateway.key).unwrap();
        request.headers_mut().insert("api-key", key);
        let (answer, arrival) = exchange(&gateway, &mut upstream, request, CASES[0].answer).await;
        assert_eq!(arrival.line, "POST /v1/chat/completions HTTP/1.1");
        assert_eq!(String::from_utf8_lossy(&arrival.body), wanted);
        assert!(arrival.header("api-key").is_empty());
        assert_eq!(answer.status, 200);
    }
    let path = format!("/openai/deployments/{DENIED}/chat/completions");
    let denied = gateway.request(
        Method::POST,
        &path,
        r#"{"model":"llama3.3:70b","messages":[]}"#,
    );
    gateway.send(denied).await.error(403, "policy_denied").await;
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn version_and_trials_of_the_dialect_go_along_and_nothing_else() {
    let mut upstream = Upstream::start().await;
    let gateway = everything(&upstream).await;
    let case = &CASES[4];
    let beta = HeaderName::from_static("anthropic-beta");
    let version = HeaderName::from_static("anthropic-version");
    let mut request = gateway.request(Method::POST, "/v1/messages?beta=true&x=y", case.body(MODEL));
    let headers = request.headers_mut();
    headers.append(&beta, HeaderValue::from_static("one-1,two-2"));
    headers.append(&beta, HeaderValue::from_static("three-3"));
    headers.insert("anthropic-dangerous", HeaderValue::from_static("yes"));
    let (_, arrival) = exchange(&gateway, &mut upstream, request, case.answer).await;
    assert_eq!(arrival.line, "POST /v1/messages?beta=true HTTP/1.1");
    assert_eq!(arrival.header(beta.as_str()), ["one-1,two-2", "three-3"]);
    assert_eq!(arrival.header(version.as_str()), ["2023-06-01"]);
    assert!(arrival.header("anthropic-dangerous").is_empty());
    assert!(arrival.header("authorization").is_empty());
    drop(arrival);

    let mut request = gateway.request(Method::POST, "/v1/messages", case.body(MODEL));
    let headers = request.headers_mut();
    headers.insert(&version, HeaderValue::from_static("2030-01-01"));
    let (_, arrival) = exchange(&gateway, &mut upstream, request, case.answer).await;
    assert_eq!(arrival.header(version.as_str()), ["2030-01-01"]);
    drop(arrival);

    let request = gateway.request(Method::POST, "/v1/chat/completions", CASES[0].body(MODEL));
    let (_, arrival) = exchange(&gateway, &mut upstream, request, CASES[0].answer).await;
    assert!(arrival.header(version.as_str()).is_empty());
    gateway.finish().await;
}

#[tokio::test]
async fn a_key_may_come_in_each_dialects_header_and_two_different_ones_may_not() {
    let mut upstream = Upstream::start().await;
    let gateway = everything(&upstream).await;
    let key = HeaderValue::from_str(&gateway.key).unwrap();
    for header in ["x-api-key", "api-key", "x-goog-api-key"] {
        let mut request = gateway.request(Method::POST, "/v1/messages", CASES[4].body(MODEL));
        request.headers_mut().insert(header, key.clone());
        let mut alone = request.clone();
        alone.headers_mut().remove(AUTHORIZATION);
        let mut second = request.clone();
        let other = HeaderValue::from_static("sk-carnet-another");
        second.headers_mut().insert(header, other);
        for request in [request, alone] {
            let (answer, arrival) =
                exchange(&gateway, &mut upstream, request, CASES[4].answer).await;
            assert_eq!(answer.status, 200, "{header}");
            assert!(arrival.header(header).is_empty(), "{header}");
        }
        let refused = gateway.send(second).await;
        assert_eq!(refused.status, 400);
        assert_eq!(refused.json().await["error"]["code"], "several_keys");
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn refusals_have_the_callers_own_shape() {
    let mut upstream = Upstream::start().await;
    let gateway = everything(&upstream).await;
    for case in &CASES {
        let path = case.path;
        let post =
            |model: &str, text: String| gateway.request(Method::POST, &case.path(model), text);
        let mut stranger = post(MODEL, case.body(MODEL));
        stranger.headers_mut().remove(AUTHORIZATION);
        for (request, status, code, kind) in [
            (
                post(DENIED, case.body(DENIED)),
                403,
                "policy_denied",
                "permission_error",
            ),
            (
                post("nobody", case.body("nobody")),
                404,
                "model_not_found",
                "not_found_error",
            ),
            (
                post(MODEL, "{]".to_owned()),
                400,
                "invalid_json",
                "invalid_request_error",
            ),
            (stranger, 401, "invalid_api_key", "authentication_error"),
        ] {
            let answer = gateway.send(request).await;
            let id = answer.record();
            assert_eq!(answer.status, status, "{path}");
            let of_bedrock = answer.header("x-amzn-errortype").to_owned();
            let body = answer.json().await;
            let error = &body["error"];
            match case.api {
                "converse" => {
                    assert_eq!(body["code"], code, "{body:#}");
                    assert!(body["message"].is_string(), "{body:#}");
                    assert!(of_bedrock.ends_with("Exception"), "{of_bedrock}");
                    continue;
                }
                "generate-content" => {
                    assert_eq!(error["code"], status, "{body:#}");
                    let reason = error["details"][0]["reason"].as_str().unwrap();
                    assert_eq!(reason.to_ascii_lowercase(), code, "{body:#}");
                    assert!(error["status"].is_string(), "{body:#}");
                }
                "messages" => {
                    assert_eq!(body["type"], "error", "{body:#}");
                    assert_eq!(error["type"], kind, "{body:#}");
                    assert_eq!(error["code"], code, "{body:#}");
                    let request = (!id.is_empty()).then(|| Value::from(id));
                    assert_eq!(body.get("request_id"), request.as_ref(), "{body:#}");
                }
                _ => {
                    assert_eq!(error["code"], code, "{path}: {body:#}");
                    assert_eq!(body.as_object().unwrap().len(), 1, "{body:#}");
                    assert!(error.get("param").is_some(), "{body:#}");
                }
            }
            assert!(error["message"].is_string(), "{body:#}");
        }
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_call_that_no_upstream_takes_says_where_the_model_is() {
    let mut upstream = Upstream::start().await;
    let entry = entry("local", &upstream.base_url(), r#"apis = ["embeddings"]"#);
    let gateway = Setup::with(&entry).start().await;
    for case in &CASES {
        let request = gateway.request(Method::POST, &case.path(MODEL), case.body(MODEL));
        if case.api == "embeddings" {
            let (answer, _) = exchange(&gateway, &mut upstream, request, case.answer).await;
            assert_eq!(answer.status, 200);
            continue;
        }
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, 400, "{}", case.path);
        let body = answer.text().await;
        assert!(body.contains(" at /v1/embeddings"), "{body}");
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn fields_that_lead_elsewhere_are_refused_in_every_call() {
    let mut upstream = Upstream::start().await;
    let gateway = everything(&upstream).await;
    for (path, field) in [
        (
            "/models/llama3.3:70b:generateContent",
            r#""cachedContent":"cachedContents/1""#,
        ),
        (
            "/models/llama3.3:70b:generateContent",
            r#""cached_content":"cachedContents/1""#,
        ),
        (
            "/models/llama3.3:70b:generateContent",
            r#""tools":[{"googleSearch":{}}]"#,
        ),
        (
            "/models/llama3.3:70b:streamGenerateContent",
            r#""tools":[{"google_search":{}}]"#,
        ),
        (
            "/../model/llama3.3:70b/converse",
            r#""promptVariables":{"a":{"text":"b"}}"#,
        ),
        ("/chat/completions", r#""models":["other"]"#),
        (
            "/chat/completions",
            r#""tools":[{"type":"mcp","server_url":"https://x.example"}]"#,
        ),
        ("/completions", r#""models":["other"]"#),
        ("/embeddings", r#""models":["other"]"#),
        ("/responses", r#""conversation":"conv_1""#),
        ("/responses", r#""previous_response_id":"resp_1""#),
        ("/responses", r#""prompt":{"id":"pmpt_1"}"#),
        ("/responses", r#""background":true"#),
        ("/responses", r#""tools":[{"type":"web_search"}]"#),
        (
            "/responses",
            r#""tools":[{"type":"mcp","server_url":"https://x.example"}]"#,
        ),
        (
            "/messages",
            r#""mcp_servers":[{"type":"url","url":"https://x.example"}]"#,
        ),
        ("/messages", r#""container":"cont_1""#),
        (
            "/messages",
            r#""tools":[{"type":"web_search_20250305","name":"web_search"}]"#,
        ),
        (
            "/messages/count_tokens",
            r#""mcp_servers":[{"type":"url","url":"https://x.example"}]"#,
        ),
    ] {
        let text = format!(r#"{{"model":"{MODEL}",{field}}}"#);
        let full = path
            .strip_prefix("/..")
            .map_or_else(|| format!("/v1{path}"), str::to_owned);
        let answer = gateway
            .send(gateway.request(Method::POST, &full, text))
            .await;
        assert_eq!(answer.status, 400, "{path} {field}");
        let error = answer.text().await.to_ascii_lowercase();
        assert!(
            error.contains(r#""field_refused""#),
            "{path} {field}: {error}"
        );
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

/// Agents bring such tools without being asked to: the error says which one, and that it is a setting there.
#[tokio::test]
async fn a_tool_that_the_service_runs_is_refused_by_its_name() {
    let mut upstream = Upstream::start().await;
    let gateway = everything(&upstream).await;
    for (tool, said) in [
        (
            json!({ "type": "web_search" }),
            ", which says `web_search`,",
        ),
        (json!({ "type": "a\u{1b}b" }), ", which says `a\\u{1b}b`,"),
        (json!({ "type": 1 }), "`tools[].type` is refused"),
    ] {
        let body = json!({ "model": MODEL, "input": "Hello", "tools": [{ "type": "function", "name": "f" }, tool] });
        let request = gateway.request(Method::POST, "/v1/responses", body.to_string());
        let error = gateway
            .send(request)
            .await
            .error(400, "field_refused")
            .await;
        let message = error["message"].as_str().unwrap();
        assert_eq!(error["param"], "tools[].type");
        assert!(
            message.contains(said) && message.contains("in an agent may be a setting"),
            "{message}"
        );
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

/// Begins a stream, revokes the key, and gives what came after the beginning.
async fn cut(path: &str, case: &Case, beginning: &str) -> (String, String) {
    let mut upstream = Upstream::start().await;
    let gateway = everything(&upstream).await;
    let text = format!(r#"{{"model":"{MODEL}",{},"stream":true}}"#, case.ask);
    let request = gateway.request(Method::POST, path, text);
    let (mut answer, _arrival) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        assert_eq!(arrival.header("accept"), ["text/event-stream"]);
        arrival.write(EVENTS).await;
        arrival.chunk(beginning).await;
        arrival
    });
    let id = answer.record();
    assert_eq!(answer.piece().await.unwrap(), beginning);
    gateway.revoke(&gateway.key_id).await;
    let rest = within(ONE_SECOND, "the cut", answer.text()).await;
    assert_eq!(gateway.record(&id).await["outcome"], "revoked");
    gateway.finish().await;
    (id, rest)
}

#[tokio::test]
async fn a_cut_stream_of_responses_ends_with_the_response_failed() {
    let beginning = concat!(
        "event: response.created\n",
        "data: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":",
        "{\"id\":\"resp_7\",\"object\":\"response\",\"status\":\"in_progress\",\"model\":\"llama3.3:70b\",\"output\":[]}}\n\n",
        "event: response.in_progress\n",
        "data: {\"type\":\"response.in_progress\",\"sequence_number\":1,\"response\":{}}\n\n",
    );
    let (_, rest) = cut("/v1/responses", &CASES[3], beginning).await;
    assert!(rest.starts_with("event: response.failed\n"), "{rest}");
    let data = rest.split_once("data: ").unwrap().1;
    let event: Value = serde_json::from_str(data).unwrap();
    assert_eq!(event["type"], "response.failed");
    assert_eq!(event["sequence_number"], 2);
    let response = &event["response"];
    assert_eq!(
        (&response["id"], &response["status"]),
        (&json!("resp_7"), &json!("failed"))
    );
    assert_eq!(response["error"]["code"], "revoked");
}

#[tokio::test]
async fn a_cut_stream_of_messages_ends_with_an_error_event() {
    let beginning = concat!(
        "event: message_start\n",
        "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m1\",\"model\":\"llama3.3:70b\",\"content\":[]}}\n\n",
    );
    let (id, rest) = cut("/v1/messages", &CASES[4], beginning).await;
    let data = rest.strip_prefix("event: error\ndata: ").unwrap();
    let event: Value = serde_json::from_str(data).unwrap();
    assert_eq!(event["type"], "error");
    assert_eq!(event["error"]["type"], "permission_error");
    assert_eq!(event["error"]["code"], "revoked");
    assert_eq!(event["request_id"], id.as_str());
}

#[tokio::test]
async fn a_cut_stream_of_completions_ends_with_an_error_as_data() {
    let beginning =
        "data: {\"id\":\"t1\",\"model\":\"llama3.3:70b\",\"choices\":[{\"text\":\"a\"}]}\n\n";
    let (_, rest) = cut("/v1/completions", &CASES[1], beginning).await;
    assert_eq!(json_body(&rest)[0]["error"]["code"], "revoked");
}

#[tokio::test]
async fn another_model_in_a_stream_of_each_dialect_is_cut_before_its_first_event() {
    for (path, case, event) in [
        (
            "/v1/responses",
            &CASES[3],
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"model\":\"qwen3:8b\"}}\n\n",
        ),
        (
            "/v1/messages",
            &CASES[4],
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"qwen3:8b\"}}\n\n",
        ),
        (
            "/v1/completions",
            &CASES[1],
            "data: {\"model\":\"qwen3:8b\"}\n\n",
        ),
    ] {
        let mut upstream = Upstream::start().await;
        let gateway = everything(&upstream).await;
        let text = format!(r#"{{"model":"{MODEL}",{},"stream":true}}"#, case.ask);
        let request = gateway.request(Method::POST, path, text);
        let (answer, _arrival) = tokio::join!(gateway.send(request), async {
            let mut arrival = upstream.next().await;
            arrival.write(EVENTS).await;
            arrival.chunk(event).await;
            arrival
        });
        let id = answer.record();
        let rest = answer.text().await;
        assert!(rest.contains("model_mismatch"), "{path}: {rest}");
        assert!(
            !rest.contains("response.created") && !rest.contains("message_start"),
            "{rest}"
        );
        assert_eq!(gateway.record(&id).await["outcome"], "mismatch");
        gateway.finish().await;
    }
}

#[tokio::test]
async fn the_list_of_models_has_the_shape_of_the_client_that_asks() {
    let upstream = Upstream::start().await;
    let gateway = everything(&upstream).await;
    let list = |path: &str| {
        let mut request = gateway.request(Method::GET, path, "");
        let version = HeaderValue::from_static("2023-06-01");
        request.headers_mut().insert("anthropic-version", version);
        request
    };
    let body = gateway.send(list("/v1/models")).await.json().await;
    assert_eq!(body["has_more"], false);
    let names: Vec<&str> = body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(names, [MODEL, RENAMED]);
    assert_eq!(body["data"][0]["type"], "model");
    let one = gateway
        .send(list("/v1/models/house-model"))
        .await
        .json()
        .await;
    assert_eq!(one, body["data"][1]);

    let one = gateway.get("/v1/models/llama3.3%3A70b").await.json().await;
    assert_eq!(
        (&one["id"], &one["object"]),
        (&json!(MODEL), &json!("model"))
    );
    // What is denied and what is not there look the same.
    for name in [DENIED, "nobody"] {
        let answer = gateway.get(&format!("/v1/models/{name}")).await;
        answer.error(404, "model_not_found").await;
        let body = gateway
            .send(list(&format!("/v1/models/{name}")))
            .await
            .json()
            .await;
        assert_eq!(body["error"]["type"], "not_found_error");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_body_has_no_say_where_the_path_names_the_model() {
    let mut upstream = Upstream::start().await;
    let gateway = everything(&upstream).await;
    for case in &CASES[6..] {
        let text = format!(r#"{{"model":"mystery",{}}}"#, case.ask);
        let path = format!("{}?alt=sse&key=x", case.path(MODEL));
        let request = gateway.request(Method::POST, &path, text);
        let (answer, arrival) = exchange(&gateway, &mut upstream, request, case.answer).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            String::from_utf8_lossy(&arrival.body),
            format!("{{{}}}", case.ask)
        );
        let query = if case.path.contains("stream") && case.api == "generate-content" {
            "?alt=sse "
        } else {
            " "
        };
        let start = arrival.line.split_once("70b").unwrap().1;
        let end = start.trim_start_matches(|c: char| c != '?' && c != ' ');
        assert!(end.starts_with(query), "{}", arrival.line);
        let denied = gateway.request(Method::POST, &case.path(DENIED), case.body(MODEL));
        assert_eq!(gateway.send(denied).await.status, 403);
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_signature_is_answered_with_a_hint() {
    let upstream = Upstream::start().await;
    let gateway = everything(&upstream).await;
    let case = &CASES[8];
    let mut request = gateway.request(Method::POST, &case.path(MODEL), case.body(MODEL));
    let signature = "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=00";
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, HeaderValue::from_static(signature));
    let answer = gateway.send(request).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("x-amzn-errortype"), "AccessDeniedException");
    let body = answer.json().await;
    assert_eq!(body["code"], "signature_refused");
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("AWS_BEARER_TOKEN_BEDROCK")
    );
    gateway.finish().await;
}

#[tokio::test]
async fn a_cut_stream_of_contents_ends_with_an_error_as_data() {
    let case = &CASES[7];
    let beginning = "data: {\"candidates\":[],\"modelVersion\":\"llama3.3:70b\"}\r\n\r\n";
    let path = format!("{}?alt=sse", case.path(MODEL));
    let (_, rest) = cut(&path, case, beginning).await;
    let event = &json_body(&rest)[0];
    assert_eq!(event["error"]["status"], "PERMISSION_DENIED");
    assert_eq!(event["error"]["details"][0]["reason"], "REVOKED");
}

#[tokio::test]
async fn an_upstream_may_ask_for_signed_requests() {
    let mut upstream = Upstream::start().await;
    let more = "apis = [\"converse\"]\nauth = \"aws-sigv4\"\nregion = \"here\"\nkey = { env = \"AWS_KEYS\" }";
    let setup = Setup::with(&entry("local", &upstream.base_url(), more));
    let gateway = setup
        .variable("AWS_KEYS", "AKIDEXAMPLE:secret/part:to:ken")
        .start()
        .await;
    let case = &CASES[9];
    let request = gateway.request(Method::POST, &case.path(RENAMED), case.body(RENAMED));
    let (answer, arrival) = exchange(&gateway, &mut upstream, request, case.answer).await;
    assert_eq!(answer.text().await, case.answer);
    assert_eq!(
        arrival.header("accept"),
        ["application/vnd.amazon.eventstream"]
    );
    assert_eq!(arrival.header("x-amz-security-token"), ["to:ken"]);
    let authorization = arrival.header("authorization");
    let day = &arrival.header("x-amz-date")[0][..8];
    let start = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{day}/here/bedrock/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature="
    );
    assert!(authorization[0].starts_with(&start), "{authorization:?}");
    gateway.finish().await;
}

#[tokio::test]
async fn a_stream_of_frames_passes_as_it_comes_and_breaks_off_when_cut() {
    let mut upstream = Upstream::start().await;
    let gateway = everything(&upstream).await;
    let case = &CASES[9];
    let request = gateway.request(Method::POST, &case.path(MODEL), case.body(MODEL));
    let (mut answer, mut arrival) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        let kind = "content-type: application/vnd.amazon.eventstream";
        let head = format!("HTTP/1.1 200 OK\r\n{kind}\r\ntransfer-encoding: chunked\r\n\r\n");
        arrival.write(head).await;
        arrival
    });
    // Frames name no model, so nothing is waited for.
    for frame in ["first frame", "second frame"] {
        arrival.chunk(frame).await;
        assert_eq!(answer.piece().await.unwrap(), frame);
    }
    let id = answer.record();
    gateway.revoke(&gateway.key_id).await;
    let cut = within(ONE_SECOND, "the cut", answer.try_bytes()).await;
    let (rest, _) = cut.unwrap_err();
    assert!(rest.is_empty(), "{rest:?}");
    assert_eq!(gateway.record(&id).await["outcome"], "revoked");
    gateway.finish().await;
}
