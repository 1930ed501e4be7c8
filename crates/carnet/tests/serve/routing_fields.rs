//! Each field of which the registry says that it routes, stores or calls tools: by none of them is anything reached
//! that was not decided on.

use http::Method;
use serde_json::{Value, json};

use crate::harness::upstream::whole;
use crate::harness::{Gateway, MODEL, Setup, Upstream};

/// Where the dialects of the registry's tables are asked.
const PLACES: [(&str, &str); 7] = [
    ("anthropic-messages", "/v1/messages"),
    ("bedrock-converse", "/model/{model}/converse"),
    ("gemini-generate", "/v1beta/models/{model}:generateContent"),
    ("openai-chat", "/v1/chat/completions"),
    ("openai-completions", "/v1/completions"),
    ("openai-embeddings", "/v1/embeddings"),
    ("openai-responses", "/v1/responses"),
];

/// What no list of harmless values has.
const FOREIGN: &str = "https://elsewhere.example/7f3a";

/// A value with another one at a path such as `tools[].server_url`.
fn at(path: &str, value: Value) -> Value {
    let Some((first, rest)) = path.split_once('.') else {
        return member(path, value);
    };
    member(first, at(rest, value))
}

fn member(key: &str, value: Value) -> Value {
    match key.strip_suffix("[]") {
        Some(key) => json!({ key: [value] }),
        None => json!({ key: value }),
    }
}

/// The value at such a path.
fn found<'v>(body: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.')
        .try_fold(body, |value, key| match key.strip_suffix("[]") {
            Some(key) => value.get(key)?.get(0),
            None => value.get(key),
        })
}

/// Ask with the field set. It must be refused, or must not arrive.
async fn holds(
    gateway: &Gateway,
    upstream: &mut Upstream,
    (model, place): (&str, &str),
    rule: &Value,
) {
    let path = rule["path"].as_str().unwrap();
    holds_in(gateway, upstream, (model, place), (rule, path)).await;
    // Where an object stands for a list of it, nothing hides in it.
    if place.contains("enerateContent") && path.contains("[]") {
        let path = path.replace("[]", "");
        holds_in(gateway, upstream, (model, place), (rule, &path)).await;
    }
}

async fn holds_in(
    gateway: &Gateway,
    upstream: &mut Upstream,
    (model, place): (&str, &str),
    (rule, path): (&Value, &str),
) {
    let mut body = at(path, json!(FOREIGN));
    if !place.contains("{model}") {
        body["model"] = json!(model);
    }
    let place = place.replace("{model}", model);
    let what = format!("{place}: {body}");
    let send = gateway.send(gateway.request(Method::POST, &place, body.to_string()));
    tokio::pin!(send);
    tokio::select! {
        answer = &mut send => {
            assert_eq!(answer.status, 400, "{what}");
            let error = answer.text().await.to_ascii_lowercase();
            assert!(error.contains("\"field_refused\""), "{what}: {error}");
            assert!(upstream.is_untouched(), "{what}");
        }
        mut arrival = upstream.next() => {
            assert_eq!(rule["action"], "remove", "{what}");
            let arrived = arrival.json();
            assert_eq!(found(&arrived, path), None, "{what}: {arrived}");
            assert!(!arrived.to_string().contains(FOREIGN), "{what}: {arrived}");
            arrival.write(whole("connection: close\r\n", b"{}")).await;
            assert_eq!(send.await.status, 200, "{what}");
        }
    }
}

#[tokio::test]
async fn no_field_leads_to_what_was_not_decided_on() {
    let mut upstream = Upstream::start().await;
    let exported = Setup::new(&upstream.base_url()).start().await;
    let registry = exported.carnet(&["registry", "export"]).await;
    let registry: Value = serde_json::from_slice(&registry.stdout).unwrap();
    exported.finish().await;

    let hosts = registry["hosts"].as_array().unwrap();
    let hosts: Vec<&Value> = hosts
        .iter()
        .filter(|host| host["fields"] != json!([]))
        .collect();
    assert!(hosts.len() > 15, "{}", hosts.len());
    let entry = |host: &str, model: &str| {
        format!(
            "\n[[upstream]]\nname = \"at-{host}\"\nbase_url = \"{}\"\nhost = \"{host}\"\napis = [\"chat-completions\", \"completions\", \
             \"embeddings\", \"responses\", \"messages\", \"generate-content\", \"converse\"]\nmodels = [{{ name = \"{model}\", \
             upstream_model = \"{MODEL}\" }}]\n",
            upstream.base_url()
        )
    };
    let names = hosts.iter().map(|host| host["id"].as_str().unwrap());
    let mut entries: String = names
        .map(|host| entry(host, &format!("m-{host}")))
        .collect();
    entries.push_str(&entry("rack", MODEL));
    let gateway = Setup::with(&entries).permitting_all().start().await;

    let mut tried = 0;
    for (table, place) in PLACES {
        for rule in registry["fields"][table]["fields"].as_array().unwrap() {
            holds(&gateway, &mut upstream, (MODEL, place), rule).await;
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
    assert_eq!(registry["fields"].as_object().unwrap().len(), PLACES.len());
    // What a host says of itself holds in every dialect.
    for host in hosts {
        let model = format!("m-{}", host["id"].as_str().unwrap());
        for rule in host["fields"].as_array().unwrap() {
            for (_, place) in PLACES {
                holds(&gateway, &mut upstream, (&model, place), rule).await;
            }
        }
    }
    gateway.finish().await;
}
