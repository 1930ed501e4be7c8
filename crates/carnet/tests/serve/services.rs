//! Each service of which the registry says how it wants to be asked, asked through the gateway: with its key as it wants
//! it, translated in its words, and in its own dialect changed only where it would refuse.

use http::Method;
use serde_json::{Value, json};

use crate::harness::upstream::whole;
use crate::harness::{Arrival, Gateway, Setup, Upstream};

/// How ids of tool calls arrive.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ids {
    Nine,
    Plain,
    Same,
}

/// A service that takes chat completions, and what is to arrive there.
struct Chat {
    host: &'static str,
    /// The end of the model's name.
    model: &'static str,
    token_limit: &'static str,
    reasoning: Option<&'static str>,
    ids: Ids,
    usage: bool,
    cache: bool,
    /// What is changed in a request of its own dialect.
    edits: &'static [&'static str],
}

/// A service without peculiarities.
const PLAIN: Chat = Chat {
    host: "",
    model: "any",
    token_limit: "max_tokens",
    reasoning: Some("reasoning_content"),
    ids: Ids::Same,
    usage: true,
    cache: false,
    edits: &[],
};

const DEVELOPER: &[&str] = &["set messages[].role"];

fn plain(host: &'static str) -> Chat {
    Chat { host, ..PLAIN }
}

fn services() -> Vec<Chat> {
    let newest = |host| Chat {
        model: "gpt-5",
        token_limit: "max_completion_tokens",
        edits: &["rename max_tokens"],
        ..plain(host)
    };
    let without_developer = |host| Chat {
        edits: DEVELOPER,
        ..plain(host)
    };
    vec![
        without_developer("alibaba"),
        without_developer("alibaba-cn"),
        newest("azure"),
        Chat {
            token_limit: "max_completion_tokens",
            ..plain("azure")
        },
        Chat {
            token_limit: "max_completion_tokens",
            reasoning: Some("reasoning"),
            edits: &["rename messages[].reasoning_content"],
            ..plain("cerebras")
        },
        Chat {
            usage: false,
            edits: &["remove stream_options"],
            ..plain("cohere")
        },
        without_developer("deepinfra"),
        without_developer("deepseek"),
        plain("fireworks"),
        Chat {
            ids: Ids::Plain,
            edits: DEVELOPER,
            ..plain("github-copilot")
        },
        plain("github-models"),
        Chat {
            token_limit: "max_completion_tokens",
            reasoning: None,
            edits: &[
                "remove messages[].reasoning_content",
                "remove messages[].reasoning_details",
            ],
            ..plain("groq")
        },
        Chat {
            model: "gpt-oss-120b",
            token_limit: "max_completion_tokens",
            reasoning: Some("reasoning"),
            edits: &[
                "rename messages[].reasoning_content",
                "remove messages[].reasoning_details",
            ],
            ..plain("groq")
        },
        without_developer("huggingface"),
        plain("llama-server"),
        plain("minimax"),
        Chat {
            reasoning: None,
            ids: Ids::Nine,
            usage: false,
            edits: &[
                "remove messages[].reasoning_content",
                "set messages[].tool_calls[].id",
                "set messages[].tool_call_id",
                "rename max_completion_tokens",
                "rename seed",
                "remove stream_options",
            ],
            ..plain("mistral")
        },
        without_developer("moonshotai"),
        without_developer("moonshotai-cn"),
        plain("nebius"),
        plain("novita"),
        plain("nvidia"),
        plain("ollama-cloud"),
        plain("ollama-local"),
        Chat {
            ids: Ids::Plain,
            ..newest("openai")
        },
        Chat {
            token_limit: "max_completion_tokens",
            ids: Ids::Plain,
            ..plain("openai")
        },
        Chat {
            reasoning: Some("reasoning"),
            cache: true,
            ..plain("openrouter")
        },
        plain("perplexity"),
        plain("sambanova"),
        plain("sglang"),
        plain("together"),
        plain("vercel-ai-gateway"),
        Chat {
            reasoning: Some("reasoning"),
            ..plain("vllm")
        },
        Chat {
            token_limit: "max_completion_tokens",
            edits: DEVELOPER,
            ..plain("xai")
        },
        Chat {
            cache: true,
            edits: DEVELOPER,
            ..plain("z-ai")
        },
    ]
}

/// Services that are asked in other dialects: host, model, where it arrives, and the header with the key.
const OTHERS: [(&str, &str, &str, &str); 4] = [
    (
        "amazon-bedrock",
        "claude-x",
        "/v1/model/amazon-bedrock-claude-x/converse",
        "authorization",
    ),
    ("anthropic", "claude-opus-4-6", "/v1/messages", "x-api-key"),
    (
        "google-ai-studio",
        "gemini-3-x",
        "/v1/models/google-ai-studio-gemini-3-x:generateContent",
        "x-goog-api-key",
    ),
    (
        "google-vertex",
        "gemini-3-x",
        "/v1/models/google-vertex-gemini-3-x:generateContent",
        "",
    ),
];

const LONG_ID: &str = "call_which.is_longer_than_any_service_would_take_it_0123456789_0123456789";

fn entry(host: &str, models: &[String], base: &str, apis: &str) -> String {
    let models: String = models
        .iter()
        .map(|model| format!("{{ name = \"{model}\" }}, "))
        .collect();
    let key = match host {
        "amazon-bedrock" => "key = { env = \"AWS_KEY\" }\nregion = \"us-east-1\"\n",
        // Its key is exchanged for tokens, which the tests of accounts do.
        "google-vertex" => "",
        _ => "key = { env = \"PLAIN_KEY\" }\n",
    };
    format!(
        "\n[[upstream]]\nhost = \"{host}\"\nbase_url = \"{base}\"\nmodels = [{models}]\n{key}{apis}"
    )
}

async fn start(upstream: &Upstream) -> Gateway {
    let mut entries = String::new();
    let services = services();
    for service in &services {
        if !entries.contains(&format!("host = \"{}\"\n", service.host)) {
            let same = services.iter().filter(|other| other.host == service.host);
            let models: Vec<String> = same.map(name).collect();
            let apis = "apis = [\"chat-completions\"]\n";
            entries += &entry(service.host, &models, &upstream.base_url(), apis);
        }
    }
    for (host, model, _, _) in OTHERS {
        entries += &entry(host, &[format!("{host}-{model}")], &upstream.base_url(), "");
    }
    let setup = Setup::with(&entries).permitting_all();
    let setup = setup.variable("PLAIN_KEY", "secret-of-the-service");
    setup
        .variable("AWS_KEY", "AKIDEXAMPLE:secret")
        .start()
        .await
}

fn name(service: &Chat) -> String {
    format!("{}-{}", service.host, service.model)
}

async fn ask(
    gateway: &Gateway,
    upstream: &mut Upstream,
    path: &str,
    body: &Value,
) -> (Arrival, Value) {
    let request = gateway.request(Method::POST, path, body.to_string());
    let (answer, arrival) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        arrival.write(whole("connection: close\r\n", b"{}")).await;
        arrival
    });
    let id = answer.record();
    let _ = answer.bytes().await;
    (arrival, gateway.record(&id).await)
}

/// A conversation in the second dialect that has everything in which services differ.
fn message(model: &str) -> Value {
    json!({
        "model": model,
        "max_tokens": 100,
        "stream": true,
        "system": "Be brief.",
        "messages": [
            { "role": "user", "content": "One." },
            { "role": "user", "content": "Two." },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk" },
                { "type": "text", "text": "Three." },
                { "type": "tool_use", "id": LONG_ID, "name": "look", "input": {} },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": LONG_ID, "content": "Four." },
                { "type": "text", "text": "Five.", "cache_control": { "type": "ephemeral" } },
            ] },
        ],
        "tools": [{ "name": "look", "input_schema": { "type": "object" } }],
    })
}

fn conversation(service: &Chat) -> Value {
    let limit = if service.model == "gpt-5" {
        "max_tokens"
    } else {
        "max_completion_tokens"
    };
    json!({
        "model": name(service),
        "messages": [
            { "role": "developer", "content": "Be brief." },
            { "role": "user", "content": "One." },
            { "role": "assistant", "content": null, "reasoning_content": "Hm.", "reasoning_details": [],
              "tool_calls": [{ "id": LONG_ID, "type": "function", "function": { "name": "look", "arguments": "{}" } }] },
            { "role": "tool", "tool_call_id": LONG_ID, "content": "Two." },
        ],
        limit: 100,
        "seed": 7,
        "stream_options": { "include_usage": true },
    })
}

fn check_ids(service: &Chat, call: &Value, result: &Value) {
    assert_eq!(call, result, "{}", service.host);
    let id = call.as_str().unwrap();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let fits = match service.ids {
        Ids::Nine => id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric()),
        Ids::Plain => id.len() <= 40 && id.chars().all(plain),
        Ids::Same => id == LONG_ID,
    };
    assert!(fits, "{}: {id}", service.host);
}

fn check_translated(service: &Chat, asked: &Value) {
    let host = service.host;
    let limits = ["max_completion_tokens", "max_tokens"];
    for limit in limits {
        let there = asked.get(limit).is_some();
        assert_eq!(there, limit == service.token_limit, "{host}: {asked}");
    }
    assert_eq!(
        asked.get("stream_options").is_some(),
        service.usage,
        "{host}: {asked}"
    );
    assert_eq!(
        asked.to_string().contains("cache_control"),
        service.cache,
        "{host}: {asked}"
    );
    let messages = asked["messages"].as_array().unwrap();
    let said = messages.iter().find(|m| m["role"] == "assistant").unwrap();
    for name in ["reasoning", "reasoning_content"] {
        let there = said.get(name).is_some();
        assert_eq!(there, service.reasoning == Some(name), "{host}: {asked}");
    }
    let details = said.get("reasoning_details").is_some();
    assert_eq!(details, host == "openrouter", "{host}: {asked}");
    let result = messages.iter().find(|m| m["role"] == "tool").unwrap();
    check_ids(
        service,
        &said["tool_calls"][0]["id"],
        &result["tool_call_id"],
    );
    let users = messages.iter().take_while(|m| m["role"] != "assistant");
    let users = users.filter(|m| m["role"] == "user").count();
    assert_eq!(
        users,
        if host == "perplexity" { 1 } else { 2 },
        "{host}: {asked}"
    );
}

fn check_direct(service: &Chat, arrived: &Value, record: &Value) {
    let host = service.host;
    let sent = conversation(service);
    let mut made: Vec<&str> = record["edits"].as_array().map_or_else(Vec::new, |edits| {
        edits.iter().filter_map(Value::as_str).collect()
    });
    let mut wanted = service.edits.to_vec();
    // A directory of things that happen anyway to calls that could be stored.
    made.retain(|edit| *edit != "set store");
    made.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(made, wanted, "{host}: {arrived}");
    let has = |edit: &str| service.edits.contains(&edit);
    let said = &arrived["messages"][2];
    assert_eq!(
        arrived["messages"][0]["role"],
        if has("set messages[].role") {
            "system"
        } else {
            "developer"
        },
        "{host}"
    );
    assert_eq!(
        said.get("reasoning").is_some(),
        has("rename messages[].reasoning_content"),
        "{host}: {arrived}"
    );
    assert_eq!(
        arrived.get("stream_options").is_some(),
        !has("remove stream_options"),
        "{host}"
    );
    assert_eq!(
        arrived.get("random_seed").is_some(),
        has("rename seed"),
        "{host}"
    );
    if has("rename max_tokens") || has("rename max_completion_tokens") {
        assert_eq!(arrived[service.token_limit], 100, "{host}: {arrived}");
    }
    if has("set messages[].tool_call_id") {
        let result = &arrived["messages"][3]["tool_call_id"];
        check_ids(service, &said["tool_calls"][0]["id"], result);
    }
    if service.edits.is_empty() {
        let mut arrived = arrived.clone();
        arrived.as_object_mut().unwrap().remove("store");
        assert_eq!(arrived, sent, "{host}");
    }
}

#[tokio::test]
async fn each_service_is_asked_as_it_wants() {
    let mut upstream = Upstream::start().await;
    let gateway = start(&upstream).await;
    for service in services() {
        let (arrival, record) = ask(
            &gateway,
            &mut upstream,
            "/v1/messages",
            &message(&name(&service)),
        )
        .await;
        assert_eq!(record["host"], service.host);
        assert_eq!(arrival.line, "POST /v1/chat/completions HTTP/1.1");
        let (header, value) = match service.host {
            "azure" => ("api-key", "secret-of-the-service"),
            _ => ("authorization", "Bearer secret-of-the-service"),
        };
        assert_eq!(arrival.header(header), [value], "{}", service.host);
        check_translated(&service, &arrival.json());

        let body = conversation(&service);
        let (arrival, record) = ask(&gateway, &mut upstream, "/v1/chat/completions", &body).await;
        check_direct(&service, &arrival.json(), &record);
    }
    gateway.finish().await;
}

#[tokio::test]
async fn other_dialects_have_their_addresses_keys_and_ways_to_think() {
    let mut upstream = Upstream::start().await;
    let gateway = start(&upstream).await;
    for (host, model, place, header) in OTHERS {
        let body = json!({
            "model": format!("{host}-{model}"),
            "messages": [
                { "role": "user", "content": "One." },
                { "role": "assistant", "content": null,
                  "tool_calls": [{ "id": LONG_ID, "type": "function", "function": { "name": "look", "arguments": "{}" } }] },
                { "role": "tool", "tool_call_id": LONG_ID, "content": "Two." },
            ],
            "reasoning_effort": "high",
        });
        let (arrival, _) = ask(&gateway, &mut upstream, "/v1/chat/completions", &body).await;
        assert_eq!(arrival.line, format!("POST {place} HTTP/1.1"), "{host}");
        if !header.is_empty() {
            assert_eq!(arrival.header(header).len(), 1, "{host}");
        }
        let asked = arrival.json();
        match host {
            "anthropic" => {
                assert_eq!(asked["thinking"]["type"], "adaptive", "{asked}");
                assert_eq!(asked["max_tokens"], 128_000, "{asked}");
                assert!(!asked.to_string().contains(LONG_ID), "{asked}");
            }
            "amazon-bedrock" => {
                let signed = arrival.header(header);
                assert!(signed[0].starts_with("AWS4-HMAC-SHA256"), "{signed:?}");
                assert!(!asked.to_string().contains(LONG_ID), "{asked}");
            }
            _ => {
                let thinking = &asked["generationConfig"]["thinkingConfig"];
                assert_eq!(thinking["thinkingLevel"], "high", "{asked}");
            }
        }
    }
    gateway.finish().await;
}

#[tokio::test]
async fn every_service_that_the_registry_describes_is_asked_here() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let registry = gateway.carnet(&["registry", "export"]).await;
    let registry: Value = serde_json::from_slice(&registry.stdout).unwrap();
    gateway.finish().await;
    let described = registry["hosts"].as_array().unwrap().iter();
    let described = described.filter(|host| host["wire"]["apis"] != json!([]));
    let mut described: Vec<&str> = described.filter_map(|host| host["id"].as_str()).collect();
    let mut asked: Vec<&str> = services().iter().map(|service| service.host).collect();
    asked.extend(OTHERS.map(|(host, ..)| host));
    described.sort_unstable();
    asked.sort_unstable();
    asked.dedup();
    assert!(described.len() >= 25, "{described:?}");
    assert_eq!(described, asked);
}

/// The operator's own words go before those of the registry.
#[tokio::test]
async fn an_entry_can_say_how_its_service_wants_to_be_asked() {
    let mut upstream = Upstream::start().await;
    let entries = entry(
        "mistral",
        &["own".to_owned()],
        &upstream.base_url(),
        "apis = [\"chat-completions\"]\nauth = \"x-api-key\"\n\
         wire = { tool_ids = \"any\", reasoning = \"reasoning\", token_limit = \"max_completion_tokens\", seed = \"seed\", stream_usage = true }\n",
    );
    let setup = Setup::with(&entries).permitting_all();
    let gateway = setup.variable("PLAIN_KEY", "secret").start().await;
    let (arrival, _) = ask(&gateway, &mut upstream, "/v1/messages", &message("own")).await;
    assert_eq!(arrival.header("x-api-key"), ["secret"]);
    let own = Chat {
        token_limit: "max_completion_tokens",
        reasoning: Some("reasoning"),
        ..PLAIN
    };
    check_translated(&own, &arrival.json());
    gateway.finish().await;
}
