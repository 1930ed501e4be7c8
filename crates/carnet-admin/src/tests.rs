//! The admin side as its callers meet it: over real connections, on a whole gateway.

mod fixture;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use carnet_limits::{KeyRefused, KeyRing};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::answers::{KeyAnswer, NewKey, Problem};
use crate::api::ROUTES;
use crate::limits::BODY_BYTES_MAX;
use crate::{
    Access, Actor, Admin, AdminSocket, Client, ClientError, Reloads, Store, Token, document,
    reloads,
};

const ADMIN: &str = "a-token-for-administrators-0123456789";
const METRICS: &str = "a-token-for-the-metrics-0123456789abc";

/// An admin side with a gateway, served on a free port.
struct Served {
    folder: TempDir,
    admin: Arc<Admin>,
    reloads: Reloads,
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The error's code, after a look at the shape of the error.
    fn code(&self) -> String {
        let error = &self.json()["error"];
        assert!(
            error["message"].is_string() && error["help"].is_string(),
            "{}",
            self.text
        );
        error["code"].as_str().unwrap().to_owned()
    }
}

impl Served {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&folder.path().join("carnet.db")).unwrap());
        let gateway = fixture::gateway(folder.path(), KeyRing::default());
        let (handle, reloads) = reloads();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let admin = Admin::new(
            gateway,
            store,
            handle,
            Access::new(Token::of(ADMIN), Token::of(METRICS), names),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(admin.clone().serve_tcp(listener, stop.clone()));
        Self {
            folder,
            admin,
            reloads,
            address,
            stop,
            serving,
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// Send a request exactly as given, on a connection of its own.
    async fn send(&self, request: Request<Body>) -> Answer {
        exchange(self.address, request).await
    }

    /// Call as an administrator.
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.send(request(
            method,
            path,
            ADMIN,
            body.map(|body| body.to_string()),
        ))
        .await
    }

    /// Build the next generation with the keys of the store, as the binary does.
    async fn reload(&self, actor: Actor) -> crate::answers::ReloadAnswer {
        let (gateway, store) = (self.admin.gateway.clone(), self.admin.store.clone());
        let build = move || {
            let keys = KeyRing::new(store.records().unwrap());
            Ok((fixture::generation(keys, Some(&gateway.generation())), ()))
        };
        self.admin.reload(actor, build).await.0
    }

    async fn end(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

async fn exchange(address: SocketAddr, request: Request<Body>) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let bytes = to_bytes(Body::new(body), usize::MAX).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Answer {
        status: head.status,
        headers: head.headers,
        text,
    }
}

fn request(method: &str, path: &str, token: &str, body: Option<String>) -> Request<Body> {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path)
        .header("host", "localhost:4391")
        .header("authorization", format!("Bearer {token}"));
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    request.body(Body::from(body.unwrap_or_default())).unwrap()
}

#[tokio::test]
async fn every_route_is_described_and_closed_without_a_token() {
    let served = Served::start().await;
    let answer = served.call("GET", "/api/openapi.json", None).await;
    assert_eq!(answer.json(), serde_json::to_value(document()).unwrap());
    let document = answer.json();
    let mut described = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(
                operation["summary"]
                    .as_str()
                    .is_some_and(|text| text.ends_with('.')),
                "{method} {path}"
            );
            described.insert((method.as_str(), path.as_str()));
        }
    }
    assert_eq!(described, ROUTES.iter().copied().collect());
    for (method, path) in ROUTES.iter().filter(|(_, path)| *path != "/healthz") {
        let (method, path) = (method.to_uppercase(), path.replace("{id}", "key_1"));
        for token in ["", METRICS]
            .iter()
            .filter(|token| path != "/metrics" || token.is_empty())
        {
            let answer = served.send(request(&method, &path, token, None)).await;
            let code = if token.is_empty() {
                "invalid_admin_token"
            } else {
                "token_reads_metrics_only"
            };
            assert_eq!(answer.code(), code, "{method} {path}");
        }
    }
    let unknown = served.send(request("GET", "/api/unknown", "", None)).await;
    assert_eq!(
        unknown.status,
        StatusCode::UNAUTHORIZED,
        "nobody learns without a token what is served"
    );
    assert_eq!(unknown.headers["www-authenticate"], "Bearer");
    assert_eq!(
        served.send(request("GET", "/healthz", "", None)).await.text,
        "ok"
    );
    served.end().await;
}

#[tokio::test]
async fn a_key_works_from_its_making_to_its_end() {
    let served = Served::start().await;
    let gateway = served.admin.gateway.clone();
    let made = served
        .call(
            "POST",
            "/api/keys",
            Some(json!({"workload": "payments", "note": "first"})),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert_eq!(made.headers["cache-control"], "no-store");
    let made = made.json();
    let (id, secret) = (
        made["id"].as_str().unwrap(),
        made["secret"].as_str().unwrap(),
    );
    assert_eq!(
        &*gateway
            .generation()
            .keys()
            .find(secret)
            .unwrap()
            .key
            .workload,
        "payments"
    );
    assert_eq!(gateway.generation().number(), 2);

    let listed = served.call("GET", "/api/keys", None).await;
    assert!(!listed.text.contains(secret));
    assert_eq!(listed.json()["keys"][0]["note"], "first");
    assert_eq!(listed.json()["keys"][0]["revoked"], Value::Null);
    assert_eq!(
        served.call("GET", "/api/generation", None).await.json()["keys"],
        1
    );

    let revoked = served
        .call("DELETE", &format!("/api/keys/{id}"), None)
        .await;
    assert_eq!(revoked.json()["revoked"], "2026-05-01T12:00:00Z");
    assert_eq!(
        gateway.generation().keys().find(secret).unwrap_err(),
        KeyRefused::Revoked
    );
    assert_eq!(
        served.call("GET", "/api/generation", None).await.json()["keys"],
        0
    );
    let unknown = served.call("DELETE", "/api/keys/key_0", None).await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (StatusCode::NOT_FOUND, "key_unknown")
    );

    let records = fixture::records(served.folder.path());
    let told: Vec<_> = records
        .iter()
        .map(|record| record.detail.as_deref().unwrap())
        .collect();
    assert_eq!(
        told,
        [
            "key created by the admin token from 127.0.0.1",
            "key revoked by the admin token from 127.0.0.1"
        ]
    );
    for record in &records {
        assert_eq!(
            (record.key_id.as_deref(), record.workload.as_deref()),
            (Some(id), Some("payments"))
        );
        assert!(!serde_json::to_string(record).unwrap().contains(secret));
    }
    served.end().await;
}

#[tokio::test]
async fn a_key_gets_a_new_secret_and_the_one_before_works_for_the_grace_time() {
    let served = Served::start().await;
    let gateway = served.admin.gateway.clone();
    let until = |secret: &str| {
        let generation = gateway.generation();
        let found = generation.keys().find(secret).map(|found| found.until);
        found.map(|until| until.map(|until| until.to_string()))
    };
    let new = json!({
        "workload": "payments", "expires": "2026-06-01T00:00:00Z", "scopes": ["inference"], "networks": ["192.0.2.7"],
    });
    let made = served.call("POST", "/api/keys", Some(new)).await.json();
    assert_eq!(made["expires"], "2026-06-01T00:00:00Z");
    assert_eq!(made["networks"], json!(["192.0.2.7/32"]));
    let path = format!("/api/keys/{}/rotate", made["id"].as_str().unwrap());
    let first = made["secret"].as_str().unwrap();
    let rotated = served.call("POST", &path, Some(json!({}))).await;
    assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.text);
    let rotated = rotated.json();
    let second = rotated["secret"].as_str().unwrap();
    assert_eq!(rotated["former_until"], json!(["2026-05-02T12:00:00Z"]));
    assert_eq!(until(first).unwrap().unwrap(), "2026-05-02T12:00:00Z");
    assert_eq!(until(second).unwrap().unwrap(), "2026-06-01T00:00:00Z");
    let body = json!({"grace_seconds": 0, "expires": "2026-07-01T00:00:00Z"});
    let last = served.call("POST", &path, Some(body)).await.json();
    let last = last["secret"].as_str().unwrap();
    assert_eq!(until(last).unwrap().unwrap(), "2026-07-01T00:00:00Z");
    for secret in [first, second] {
        assert_eq!(until(secret).unwrap_err(), KeyRefused::Unknown);
    }
    let told: Vec<_> = fixture::records(served.folder.path())
        .iter()
        .filter_map(|record| record.detail.as_deref().map(str::to_owned))
        .collect();
    assert_eq!(
        told[1..],
        [
            "new secret of the key by the admin token from 127.0.0.1; the one before works for 24h",
            "new secret of the key by the admin token from 127.0.0.1; no secret before it works",
        ]
    );
    served.end().await;
}

#[tokio::test]
async fn a_key_that_gets_no_new_secret_stays_as_it_is() {
    let served = Served::start().await;
    let gateway = served.admin.gateway.clone();
    let new = json!({"workload": "payments"});
    let made = served.call("POST", "/api/keys", Some(new)).await.json();
    let path = format!("/api/keys/{}", made["id"].as_str().unwrap());
    let rotate = format!("{path}/rotate");
    let secret = made["secret"].as_str().unwrap();
    for (path, body, status, code) in [
        ("/api/keys/key_0/rotate", "{}", 404, "key_unknown"),
        (&rotate, r#"{"now":true}"#, 400, "invalid_json"),
        (
            &rotate,
            r#"{"grace_seconds":7776001}"#,
            400,
            "invalid_request",
        ),
        (
            &rotate,
            r#"{"expires":"2026-05-01T12:00:00Z"}"#,
            400,
            "invalid_request",
        ),
    ] {
        let refused = request("POST", path, ADMIN, Some(body.to_owned()));
        let refused = served.send(refused).await;
        assert_eq!((refused.status.as_u16(), &*refused.code()), (status, code));
    }
    let open: Vec<_> = (0..fixture::OPEN_MAX)
        .map(|_| gateway.log().reserve().unwrap())
        .collect();
    let refused = served.call("POST", &rotate, Some(json!({}))).await;
    assert_eq!(refused.code(), "log_unavailable");
    drop(open);
    let generation = gateway.generation();
    let found = generation.keys().find(secret).unwrap();
    assert!(found.until.is_none() && found.key.former.is_empty());
    assert!(served.admin.keys().await.unwrap()[0].former.is_empty());
    served.call("DELETE", &path, None).await;
    let refused = served.call("POST", &rotate, Some(json!({}))).await;
    assert_eq!(
        (refused.status, &*refused.code()),
        (StatusCode::CONFLICT, "key_revoked")
    );
    served.end().await;
}

#[tokio::test]
async fn proofs_are_put_on_record_and_wrong_ones_are_not() {
    let served = Served::start().await;
    let proof = |property: &str, outcome: &str| {
        json!({
            "property": property, "outcome": outcome, "policy_version": "sha256:1",
            "question": "2", "solver": "cvc5 1.0.3",
        })
    };
    let answer = served
        .call(
            "POST",
            "/api/proofs",
            Some(proof("always permit when true", "disproved")),
        )
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let id = answer.json()["record"].as_str().unwrap().to_owned();
    let long = "x".repeat(5_000);
    for (property, outcome, code) in [
        ("p", "perhaps", "invalid_json"),
        (long.as_str(), "proved", "invalid_request"),
        ("two\nlines", "proved", "invalid_request"),
    ] {
        let refused = served
            .call("POST", "/api/proofs", Some(proof(property, outcome)))
            .await;
        assert_eq!(refused.code(), code, "{outcome}");
    }
    let records = fixture::records(served.folder.path());
    assert_eq!(records.len(), 1);
    assert_eq!(*records[0].id, *id);
    assert_eq!(
        records[0].detail.as_deref(),
        Some(
            "policy property disproved, asked by the admin token from 127.0.0.1: always permit when true (policy sha256:1, question 2, cvc5 1.0.3)"
        )
    );
    served.end().await;
}

#[tokio::test]
async fn without_room_in_the_log_no_key_is_made_but_any_is_revoked() {
    let served = Served::start().await;
    let new = json!({"workload": "payments"});
    let made = served
        .call("POST", "/api/keys", Some(new.clone()))
        .await
        .json();
    let gateway = served.admin.gateway.clone();
    let open: Vec<_> = (0..fixture::OPEN_MAX)
        .map(|_| gateway.log().reserve().unwrap())
        .collect();
    let refused = served.call("POST", "/api/keys", Some(new)).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "log_unavailable")
    );
    assert_eq!(served.admin.keys().await.unwrap().len(), 1);
    let path = format!("/api/keys/{}", made["id"].as_str().unwrap());
    assert_eq!(
        served.call("DELETE", &path, None).await.status,
        StatusCode::OK
    );
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(
        gateway.generation().keys().find(secret).unwrap_err(),
        KeyRefused::Revoked
    );
    drop(open);
    served.end().await;
}

#[tokio::test]
async fn refusals_say_what_is_wrong_and_change_nothing() {
    let served = Served::start().await;
    let long = "x".repeat(257);
    let large = "x".repeat(BODY_BYTES_MAX + 1);
    for (method, path, body, code) in [
        ("GET", "/api/unknown", None, "path_not_served"),
        ("GET", "/api/keys/", None, "path_not_served"),
        ("PUT", "/api/keys", None, "method_not_allowed"),
        ("GET", "/api/reload", None, "method_not_allowed"),
        ("GET", "/api/decisions?max=all", None, "invalid_request"),
        ("GET", "/api/decisions?limit=1", None, "invalid_request"),
        ("POST", "/api/keys", None, "invalid_json"),
        ("POST", "/api/keys", Some("{".to_owned()), "invalid_json"),
        (
            "POST",
            "/api/keys",
            Some(r#"{"note":"a"}"#.to_owned()),
            "invalid_json",
        ),
        (
            "POST",
            "/api/keys",
            Some(r#"{"workload":"payments","admin":true}"#.to_owned()),
            "invalid_json",
        ),
        (
            "POST",
            "/api/keys",
            Some(r#"{"workload":"payments","workload":"search"}"#.to_owned()),
            "invalid_json",
        ),
        (
            "POST",
            "/api/keys",
            Some(r#"{"workload":"nobody"}"#.to_owned()),
            "workload_unknown",
        ),
        (
            "POST",
            "/api/keys",
            Some(r#"{"workload":""}"#.to_owned()),
            "workload_unknown",
        ),
        (
            "POST",
            "/api/keys",
            Some(format!(r#"{{"workload":"{long}"}}"#)),
            "invalid_request",
        ),
        (
            "POST",
            "/api/keys",
            Some(r#"{"workload":"payments","note":"two\nlines"}"#.to_owned()),
            "invalid_request",
        ),
        (
            "POST",
            "/api/keys",
            Some(r#"{"workload":"payments","scopes":["everything"]}"#.to_owned()),
            "invalid_request",
        ),
        (
            "POST",
            "/api/keys",
            Some(r#"{"workload":"payments","models":["nothing-*"]}"#.to_owned()),
            "model_unknown",
        ),
        ("POST", "/api/keys", Some(large.clone()), "body_too_large"),
        ("DELETE", "/api/keys/..%2Freload", None, "key_unknown"),
    ] {
        let answer = served
            .send(request(method, path, ADMIN, body.clone()))
            .await;
        assert_eq!(answer.code(), code, "{method} {path} {body:?}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    for (name, value, code) in [
        ("content-type", "text/plain", "content_type_refused"),
        (
            "content-type",
            "application/x-www-form-urlencoded",
            "content_type_refused",
        ),
        (
            "content-type",
            "application/json-seq",
            "content_type_refused",
        ),
        ("host", "evil.example", "host_not_served"),
        ("origin", "https://evil.example", "origin_refused"),
        ("authorization", "Bearer wrong", "invalid_admin_token"),
    ] {
        for (method, path) in [
            ("POST", "/api/keys"),
            ("POST", "/api/reload"),
            ("DELETE", "/api/keys/key_1"),
        ] {
            let mut request = request(
                method,
                path,
                ADMIN,
                Some(r#"{"workload":"payments"}"#.to_owned()),
            );
            request.headers_mut().insert(name, value.parse().unwrap());
            assert_eq!(
                served.send(request).await.code(),
                code,
                "{method} {path} with {name}: {value}"
            );
        }
    }
    assert_eq!(served.admin.keys().await.unwrap().len(), 0);
    assert_eq!(served.admin.gateway.generation().number(), 1);
    served.end().await;
}

#[tokio::test]
async fn a_body_without_length_is_bounded_too() {
    let served = Served::start().await;
    let pieces = axum::body::Bytes::from(vec![b' '; BODY_BYTES_MAX]);
    let mut request = request("POST", "/api/keys", ADMIN, Some(String::new()));
    *request.body_mut() = Body::new(Twice(2, pieces));
    assert_eq!(served.send(request).await.code(), "body_too_large");
    served.end().await;
}

/// The same piece some times over; nobody knows beforehand how often.
struct Twice(usize, axum::body::Bytes);

impl axum::body::HttpBody for Twice {
    type Data = axum::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        let Some(left) = self.0.checked_sub(1) else {
            return std::task::Poll::Ready(None);
        };
        self.0 = left;
        std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(self.1.clone()))))
    }
}

#[tokio::test]
async fn status_decisions_and_metrics_are_told() {
    let served = Served::start().await;
    let status = served.call("GET", "/api/status", None).await.json();
    assert_eq!(
        (&status["generation"], &status["ready"]),
        (&json!(1), &json!(true))
    );
    let generation = served.call("GET", "/api/generation", None).await.json();
    assert_eq!(generation["workloads"], json!(["payments", "search"]));
    assert_eq!(generation["last_reload"], Value::Null);
    assert_eq!(generation["versions"]["config"], "sha256:test");
    let decisions = served
        .call("GET", "/api/decisions?max=5", None)
        .await
        .json();
    assert_eq!(decisions, json!({"decisions": []}));
    for token in [ADMIN, METRICS] {
        let metrics = served.send(request("GET", "/metrics", token, None)).await;
        assert!(
            metrics.headers["content-type"]
                .to_str()
                .unwrap()
                .starts_with("application/openmetrics-text")
        );
        assert!(
            metrics.text.contains("carnet_generation 1\n"),
            "{}",
            metrics.text
        );
        assert!(metrics.text.ends_with("# EOF\n"));
    }
    served.end().await;
}

#[tokio::test]
async fn a_reload_is_put_in_force_or_refused_with_every_problem() {
    let mut served = Served::start().await;
    let problem = Problem {
        file: Some("carnet.toml".to_owned()),
        line: Some(3),
        column: Some(1),
        message: "unknown key `lisen`".to_owned(),
        help: Some("did you mean `listen`?".to_owned()),
    };
    let asked = tokio::spawn(exchange(
        served.address,
        request("POST", "/api/reload", ADMIN, None),
    ));
    let reload = served.reloads.next().await.unwrap();
    let mistakes = vec![problem.clone(), problem.clone()];
    let (answer, nothing) = served
        .admin
        .reload::<()>(reload.actor(), move || Err(mistakes))
        .await;
    assert!(nothing.is_none());
    reload.answer(answer);
    let refused = asked.await.unwrap();
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "reload_refused")
    );
    assert_eq!(
        refused.json()["error"]["problems"][1],
        serde_json::to_value(&problem).unwrap()
    );
    let generation = served.call("GET", "/api/generation", None).await.json();
    assert_eq!(
        (&generation["number"], &generation["last_reload"]["done"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(generation["last_reload"]["problems"][0]["line"], 3);
    assert!(
        served
            .call("GET", "/metrics", None)
            .await
            .text
            .contains("carnet_reload_failures_total 1\n")
    );

    let asked = tokio::spawn(exchange(
        served.address,
        request("POST", "/api/reload", ADMIN, None),
    ));
    let reload = served.reloads.next().await.unwrap();
    let answer = served.reload(reload.actor()).await;
    reload.answer(answer);
    let done = asked.await.unwrap().json();
    assert_eq!(
        (&done["done"], &done["generation"], &done["problems"]),
        (&json!(true), &json!(2), &json!([]))
    );
    assert_eq!(done["by"], "the admin token from 127.0.0.1");
    let generation = served.call("GET", "/api/generation", None).await.json();
    assert_eq!(
        (&generation["number"], &generation["last_reload"]),
        (&json!(2), &done)
    );
    served.end().await;
}

#[tokio::test]
async fn who_hangs_up_on_a_reload_leaves_it_whole() {
    let mut served = Served::start().await;
    let mut outcomes = served.admin.watch_reloads();
    let asked = tokio::spawn(exchange(
        served.address,
        request("POST", "/api/reload", ADMIN, None),
    ));
    let reload = served.reloads.next().await.unwrap();
    asked.abort();
    let answer = served.reload(reload.actor()).await;
    reload.answer(answer);
    outcomes.changed().await.unwrap();
    assert!(outcomes.borrow().as_ref().is_some_and(|answer| answer.done));
    drop(served.reloads);
    let late = exchange(served.address, request("POST", "/api/reload", ADMIN, None)).await;
    assert_eq!(late.code(), "internal_error");
}

#[tokio::test]
async fn a_key_revoked_during_a_reload_does_not_come_back() {
    let served = Served::start().await;
    let made = served
        .call("POST", "/api/keys", Some(json!({"workload": "search"})))
        .await
        .json();
    let (gateway, store) = (served.admin.gateway.clone(), served.admin.store.clone());
    let (reached, at_work) = tokio::sync::oneshot::channel();
    let (go_on, may_end) = std::sync::mpsc::channel();
    let reload = tokio::spawn({
        let (admin, gateway) = (served.admin.clone(), gateway.clone());
        async move {
            let build = move || {
                let keys = KeyRing::new(store.records().unwrap());
                reached.send(()).unwrap();
                may_end.recv().unwrap();
                Ok((fixture::generation(keys, Some(&gateway.generation())), ()))
            };
            admin.reload(Actor::Signal, build).await.0
        }
    });
    at_work.await.unwrap();
    assert!(served.admin.changes.try_lock().is_err(), "keys stand still");
    let path = format!("/api/keys/{}", made["id"].as_str().unwrap());
    let revoking = tokio::spawn(exchange(
        served.address,
        request("DELETE", &path, ADMIN, None),
    ));
    go_on.send(()).unwrap();
    assert!(reload.await.unwrap().done);
    assert_eq!(revoking.await.unwrap().status, StatusCode::OK);
    assert_eq!(
        gateway
            .generation()
            .keys()
            .find(made["secret"].as_str().unwrap())
            .unwrap_err(),
        KeyRefused::Revoked
    );
    assert_eq!(gateway.generation().number(), 4);
    served.end().await;
}

fn new_key(workload: &str, note: &str) -> NewKey {
    NewKey {
        workload: workload.to_owned(),
        note: note.to_owned(),
        expires: None,
        scopes: Vec::new(),
        models: Vec::new(),
        networks: Vec::new(),
    }
}

#[tokio::test]
async fn the_command_line_reaches_a_running_server_and_knows_when_there_is_none() {
    let mut served = Served::start().await;
    let path = served.socket();
    assert!(Client::connect(&path).await.unwrap().is_none());
    let socket = AdminSocket::bind(&path).unwrap();
    let serving = tokio::spawn(served.admin.clone().serve_unix(socket, served.stop.clone()));
    let mut client = Client::connect(&path).await.unwrap().unwrap();

    let made = client
        .create(&new_key("payments", "by hand"))
        .await
        .unwrap();
    assert!(
        served
            .admin
            .gateway
            .generation()
            .keys()
            .find(&made.secret)
            .is_ok()
    );
    let listed = client.list().await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&made.key));
    let revoked = client.revoke(&made.key.id).await.unwrap();
    assert_eq!(
        KeyAnswer {
            revoked: None,
            ..revoked.clone()
        },
        made.key
    );
    assert!(
        revoked.revoked.is_some()
            && served
                .admin
                .gateway
                .generation()
                .keys()
                .find(&made.secret)
                .is_err()
    );

    for (error, code) in [
        (client.revoke("../reload").await.err(), "key_unknown"),
        (
            client.create(&new_key("nobody", "")).await.err(),
            "workload_unknown",
        ),
    ] {
        let Some(ClientError::Refused(body)) = error else {
            panic!("{error:?}")
        };
        assert_eq!(body.code, code);
        assert!(!body.help.is_empty());
    }

    let reload = tokio::spawn(async move { client.reload().await });
    let request = served.reloads.next().await.unwrap();
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(request.actor(), Actor::Socket { uid });
    let answer = served.reload(request.actor()).await;
    request.answer(answer);
    assert_eq!(reload.await.unwrap().unwrap().generation, 4);

    served.stop.cancel();
    serving.await.unwrap();
    assert!(!path.exists());
    assert!(Client::connect(&path).await.unwrap().is_none());
    let told: Vec<_> = fixture::records(served.folder.path())
        .into_iter()
        .map(|record| record.detail.unwrap().to_string())
        .collect();
    assert_eq!(
        told[0],
        format!("key created by user {uid} over the socket")
    );
    served.end().await;
}
