//! Keys that are bound: to a time, to kinds of requests and models, to networks; and keys that get a new secret.

use http::{Method, Request};
use http_body_util::Full;
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::json;

use crate::harness::upstream::{DELTA, whole};
use crate::harness::{
    Answer, Gateway, MODEL, ONE_SECOND, RENAMED, Setup, Upstream, chat_body, json_body, until,
    with_key, within,
};

/// `GET` with this key.
async fn get(gateway: &Gateway, path: &str, key: &str) -> Answer {
    let request = gateway.request(Method::GET, path, "");
    gateway.send(with_key(request, key)).await
}

/// Ask for this until it is refused with a status; the refusal.
async fn refused_at_last(gateway: &Gateway, key: &str) -> Answer {
    until("the end of the key", async || {
        let answer = get(gateway, "/v1/models", key).await;
        (answer.status != 200).then_some(answer)
    })
    .await
}

fn from(mut request: Request<Full<bytes::Bytes>>, header: &str) -> Request<Full<bytes::Bytes>> {
    let value = header.try_into().unwrap();
    request.headers_mut().insert("x-forwarded-for", value);
    request
}

#[tokio::test]
async fn a_key_works_until_it_expires_and_again_when_it_is_renewed() {
    let upstream = Upstream::start().await;
    let mut gateway = Setup::new(&upstream.base_url()).start().await;
    let (id, key) = gateway.key_with(&["--expires", "1h"]).await;
    let (_, lasting) = gateway.key_with(&["--expires", "2099-01-01"]).await;
    for key in [&key, &lasting] {
        assert_eq!(get(&gateway, "/v1/models", key).await.status, 200);
    }
    gateway.signal(Signal::TERM);
    assert!(gateway.ended().await.success());
    let store = Connection::open(gateway.setup.path("state/carnet.db")).unwrap();
    let past = "UPDATE keys SET expires = '2020-01-01T00:00:00Z' WHERE id = ?1";
    assert_eq!(store.execute(past, [&id]).unwrap(), 1);
    drop(store);
    gateway.start_again().await;
    let refused = get(&gateway, "/v1/models", &key).await;
    assert!(refused.record().is_empty(), "nobody is known by it");
    let error = refused.error(401, "key_expired").await;
    let told = format!("the key `{id}` expired at 2020-01-01T00:00:00Z");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&told), "{message}");
    assert_eq!(get(&gateway, "/v1/models", &lasting).await.status, 200);

    let (same, renewed) = gateway.key(&["rotate", &id, "--expires", "30d"]).await;
    assert_eq!(same, id);
    for _ in 0..2 {
        assert_eq!(get(&gateway, "/v1/models", &renewed).await.status, 200);
        let old = get(&gateway, "/v1/models", &key).await;
        old.error(401, "key_expired").await;
        gateway.restart().await;
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_rotated_key_works_with_both_secrets_until_the_grace_is_over() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (id, first) = (gateway.key_id.clone(), gateway.key.clone());
    let (_, second) = gateway.key(&["rotate", &id, "--grace", "7d"]).await;
    for key in [&first, &second] {
        let answer = get(&gateway, "/v1/models", key).await;
        assert_eq!(
            gateway.record(&answer.record()).await["key_id"],
            id.as_str()
        );
    }
    let (_, third) = gateway.key(&["rotate", &id, "--grace", "1s"]).await;
    let refused = refused_at_last(&gateway, &second).await;
    let error = refused.error(401, "key_expired").await;
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("has a new secret"), "{message}");
    for key in [&first, &third] {
        assert_eq!(get(&gateway, "/v1/models", key).await.status, 200);
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_secret_that_is_ended_at_once_cuts_its_streams_and_leaves_those_of_the_new_one() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let id = gateway.key_id.clone();
    let (_, second) = gateway.key(&["rotate", &id]).await;
    let mut streams = Vec::new();
    for key in [gateway.key.clone(), second.clone()] {
        let request = with_key(gateway.chat_request(chat_body(MODEL, true)), &key);
        let (mut answer, arrival) = tokio::join!(gateway.send(request), async {
            let mut arrival = upstream.next().await;
            arrival.begin_stream().await;
            arrival
        });
        assert_eq!(answer.piece().await.unwrap(), DELTA);
        streams.push((answer, arrival));
    }
    // Another key's secret goes; this one's stay.
    let (other, _) = gateway.new_key().await;
    gateway.key(&["rotate", &other, "--now"]).await;
    let (_, third) = gateway.key(&["rotate", &id, "--now"]).await;
    for (answer, mut arrival) in streams {
        let rest = within(ONE_SECOND, "the cut", answer.text()).await;
        assert_eq!(json_body(&rest)[0]["error"]["code"], "revoked", "{rest}");
        within(ONE_SECOND, "the close at the upstream", arrival.closed()).await;
    }
    for key in [&gateway.key, &second] {
        get(&gateway, "/v1/models", key)
            .await
            .error(401, "invalid_api_key")
            .await;
    }
    assert_eq!(get(&gateway, "/v1/models", &third).await.status, 200);
    gateway.finish().await;
}

#[tokio::test]
async fn a_key_is_only_for_the_requests_in_its_scopes_in_every_dialect() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (id, listing) = gateway.key_with(&["--scope", "models"]).await;
    let (_, asking) = gateway.key_with(&["--scope", "chat-completions"]).await;
    assert_eq!(get(&gateway, "/v1/models", &listing).await.status, 200);
    get(&gateway, "/v1/models", &asking)
        .await
        .error(403, "key_scope")
        .await;
    get(&gateway, "/v1/responses/resp_1", &asking)
        .await
        .error(403, "key_scope")
        .await;

    let chat = chat_body(MODEL, false);
    let converse = r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#;
    let generate = r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}"#;
    let messages = format!(
        r#"{{"model":"{MODEL}","max_tokens":9,"messages":[{{"role":"user","content":"Hi"}}]}}"#
    );
    let responses = format!(r#"{{"model":"{MODEL}","input":"Hi"}}"#);
    let embeddings = format!(r#"{{"model":"{MODEL}","input":"Hi"}}"#);
    for (path, body, kind) in [
        ("/v1/chat/completions", &*chat, "/error/type"),
        ("/v1/embeddings", &embeddings, "/error/type"),
        ("/v1/responses", &responses, "/error/type"),
        ("/v1/messages", &messages, "/error/type"),
        ("/model/mystery/converse", converse, "/message"),
        (
            "/v1beta/models/mystery:generateContent",
            generate,
            "/error/status",
        ),
    ] {
        let request = gateway.request(Method::POST, path, body.to_owned());
        let answer = gateway.send(with_key(request, &listing)).await;
        assert_eq!(answer.status, 403, "{path}");
        let record = gateway.record(&answer.record()).await;
        assert_eq!(
            (&record["outcome"], &record["key_id"]),
            (&json!("denied"), &json!(id))
        );
        let detail = record["detail"].as_str().unwrap();
        assert!(
            detail.contains("is not for requests of the kind"),
            "{detail}"
        );
        let error = answer.json().await;
        let told = error.pointer(kind).and_then(|told| told.as_str());
        let told = told.unwrap_or_else(|| panic!("{path}: {error:#}"));
        let permission = ["permission_error", "PERMISSION_DENIED"].contains(&told);
        assert!(
            permission || told.contains("is not for"),
            "{path}: {error:#}"
        );
    }
    assert!(upstream.is_untouched());

    let request = with_key(gateway.chat_request(chat.clone()), &asking);
    let (answer, ()) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        arrival
            .write(whole(
                "connection: close\r\n",
                b"{\"model\":\"llama3.3:70b\"}",
            ))
            .await;
    });
    assert_eq!(answer.status, 200);
    gateway.finish().await;
}

#[tokio::test]
async fn a_key_of_one_scope_opens_no_socket_of_another() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (_, key) = gateway.key_with(&["--scope", "messages"]).await;
    let (head, _) = gateway
        .opening(&gateway.upgrade("/v1/responses", &key))
        .await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    gateway.finish().await;
}

#[tokio::test]
async fn a_key_is_only_for_its_models() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (_, key) = gateway.key_with(&["--model", "house-*"]).await;
    let listed = get(&gateway, "/v1/models", &key).await.json().await;
    let names = |list: &serde_json::Value| -> Vec<String> {
        let list = list["data"].as_array().unwrap().iter();
        list.map(|model| model["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&listed), [RENAMED]);
    let all = get(&gateway, "/v1/models?include=denied", &key)
        .await
        .json()
        .await;
    assert!(names(&all).contains(&MODEL.to_owned()), "{all:#}");
    let path = format!("/v1/models/{MODEL}");
    get(&gateway, &path, &key)
        .await
        .error(404, "model_not_found")
        .await;

    let request = with_key(gateway.chat_request(chat_body(MODEL, false)), &key);
    let refused = gateway.send(request).await;
    let record = gateway.record(&refused.record()).await;
    assert_eq!(record["requested_model"], MODEL);
    let error = refused.error(403, "key_scope").await;
    assert_eq!(error["param"], "model");
    assert!(upstream.is_untouched());
    let request = with_key(gateway.chat_request(chat_body(RENAMED, false)), &key);
    let (answer, ()) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        arrival
            .write(whole(
                "connection: close\r\n",
                b"{\"model\":\"llama3.3:70b\"}",
            ))
            .await;
    });
    assert_eq!(answer.status, 200);
    gateway.finish().await;
}

#[tokio::test]
async fn a_key_works_only_from_its_networks_whatever_a_caller_says() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream.base_url()).start().await;
    let (id, away) = gateway.key_with(&["--from", "192.0.2.0/24"]).await;
    let (_, here) = gateway
        .key_with(&["--from", "192.0.2.0/24,127.0.0.0/8"])
        .await;
    assert_eq!(get(&gateway, "/v1/models", &here).await.status, 200);
    let request = with_key(gateway.request(Method::GET, "/v1/models", ""), &away);
    let refused = gateway.send(from(request, "192.0.2.7")).await;
    let record = gateway.record(&refused.record()).await;
    let detail = record["detail"].as_str().unwrap();
    assert!(
        detail.starts_with(&format!("the key `{id}` does not work from 127.0.0.1")),
        "{detail}"
    );
    assert_eq!(record["outcome"], "denied");
    refused.error(403, "key_address").await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_trusted_proxy_says_where_a_request_comes_from() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url());
    let setup = setup.server(r#"trusted_proxies = ["127.0.0.1", "10.0.0.0/8"]"#);
    let gateway = setup.start().await;
    let (_, key) = gateway.key_with(&["--from", "192.0.2.0/24"]).await;
    for (header, status) in [
        (Some("192.0.2.7"), 200),
        (Some("198.51.100.1, 192.0.2.7, 10.1.1.1"), 200),
        (Some("192.0.2.7, 198.51.100.1"), 403),
        (Some("192.0.2.7, unknown"), 403),
        (None, 403),
    ] {
        let request = with_key(gateway.request(Method::GET, "/v1/models", ""), &key);
        let request = match header {
            Some(header) => from(request, header),
            None => request,
        };
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, status, "{header:?}");
        if status == 403 {
            answer.error(403, "key_address").await;
        }
    }
    // One that is bound to nothing needs no address.
    assert_eq!(gateway.get("/v1/models").await.status, 200);
    gateway.finish().await;
}
