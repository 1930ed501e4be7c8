//! An upstream whose key is exchanged for access tokens.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Method;
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

use crate::harness::upstream::whole;
use crate::harness::{Answer, Arrival, Gateway, Setup, Upstream, entry};

const PATH: &str = "/v1beta/models/llama3.3:70b:generateContent";
const ASK: &str = r#"{"contents":[{"parts":[{"text":"Hello"}]}]}"#;
const ANSWER: &str = r#"{"candidates":[],"modelVersion":"llama3.3:70b"}"#;

async fn gateway(upstream: &Upstream, tokens: &Upstream) -> Gateway {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let account = json!({
        "type": "service_account",
        "client_email": "carnet@project.example",
        "private_key": key.serialize_pem(),
        "private_key_id": "k1",
        "token_uri": format!("http://{}/token", tokens.address),
    });
    let more = concat!(
        "apis = [\"generate-content\"]\nauth = \"google-service-account\"\n",
        "key = { file = \"account.json\" }"
    );
    let setup = Setup::with(&entry("local", &upstream.base_url(), more));
    setup.write(
        "account.json",
        &serde_json::to_string_pretty(&account).unwrap(),
    );
    setup.start().await
}

async fn ask(gateway: &Gateway) -> Answer {
    gateway.send(gateway.request(Method::POST, PATH, ASK)).await
}

fn part(text: &str) -> Value {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// What an exchange asserts.
fn asserted(arrival: &Arrival) -> (Value, Value) {
    assert_eq!(arrival.line, "POST /token HTTP/1.1");
    let form = String::from_utf8(arrival.body.clone()).unwrap();
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant%2Dtype%3Ajwt%2Dbearer&assertion=";
    let assertion = form.strip_prefix(grant).unwrap();
    let parts: Vec<&str> = assertion.split('.').collect();
    assert_eq!(parts.len(), 3, "{assertion}");
    (part(parts[0]), part(parts[1]))
}

#[tokio::test]
async fn a_key_is_exchanged_once_for_a_token_that_many_requests_use() {
    let (mut upstream, mut tokens) = (Upstream::start().await, Upstream::start().await);
    let gateway = gateway(&upstream, &tokens).await;
    let exchange = async {
        let mut arrival = tokens.next().await;
        let granted = r#"{"access_token":"ya29.token","expires_in":3599,"token_type":"Bearer"}"#;
        arrival.write(whole("", granted.as_bytes())).await;
        asserted(&arrival)
    };
    let answers = async {
        for _ in 0..3 {
            let mut arrival = upstream.next().await;
            assert_eq!(arrival.header("authorization"), ["Bearer ya29.token"]);
            arrival.write(whole("", ANSWER.as_bytes())).await;
            arrival.keep();
        }
    };
    let asks = async {
        for _ in 0..3 {
            assert_eq!(ask(&gateway).await.text().await, ANSWER);
        }
    };
    let ((header, claims), (), ()) = tokio::join!(exchange, answers, asks);
    assert_eq!(
        (&header["alg"], &header["kid"]),
        (&json!("RS256"), &json!("k1"))
    );
    assert_eq!(claims["iss"], "carnet@project.example");
    assert_eq!(
        claims["aud"],
        format!("http://{}/token", tokens.address).as_str()
    );
    assert_eq!(
        claims["scope"],
        "https://www.googleapis.com/auth/cloud-platform"
    );
    let seconds = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(seconds, 3_600);
    assert!(tokens.is_untouched());
    assert!(!gateway.stderr().contains("ya29"));
    gateway.finish().await;
}

#[tokio::test]
async fn without_a_token_nothing_of_the_prompt_is_sent() {
    let (mut upstream, mut tokens) = (Upstream::start().await, Upstream::start().await);
    let gateway = gateway(&upstream, &tokens).await;
    for answer in [
        &b"HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"[..],
        &whole("connection: close\r\n", b"{\"access_token\":7}"),
        b"",
    ] {
        let (refused, ()) = tokio::join!(ask(&gateway), async {
            let mut arrival = tokens.next().await;
            arrival.write(answer).await;
            arrival.end().await;
        });
        assert_eq!(refused.status, 502);
        let id = refused.record();
        let error = refused.json().await;
        let message = error["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("`local` cannot be told who asks: `127.0.0.1`"),
            "{message}"
        );
        let record = gateway.record(&id).await;
        assert_eq!(record["outcome"], "upstream-error");
        assert_eq!(record["attempts"][0]["error"], "upstream_unauthenticated");
    }
    assert!(upstream.is_untouched());
    gateway.finish().await;
}

#[tokio::test]
async fn a_file_that_is_no_key_of_an_account_is_told() {
    let upstream = Upstream::start().await;
    let more = "auth = \"google-service-account\"\nkey = { file = \"account.json\" }";
    let setup = Setup::with(&entry("local", &upstream.base_url(), more));
    for text in [
        "{\n}",
        "sk-something",
        r#"{"client_email":"a","private_key":"b","token_uri":"/c"}"#,
    ] {
        setup.write("account.json", text);
        setup.save();
        let config = setup.path("carnet.toml");
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_carnet"))
            .args(["config", "check"])
            .arg(config)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&run.stderr);
        assert!(
            told.contains("is not the JSON key file of a service account"),
            "{told}"
        );
    }
}
