//! Callers who show tokens: an issuer that the test runs, with real signatures.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Method;
use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::upstream::{DELTA, whole};
use crate::harness::{
    Answer, Gateway, MODEL, ONE_SECOND, Setup, Upstream, chat_body, entry, json_body, until,
    with_key, within,
};

/// Keys of an issuer, one of each kind.
struct Keys {
    ed25519: Ed25519KeyPair,
    p256: EcdsaKeyPair,
    rsa: RsaKeyPair,
}

fn part(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Keys {
    fn new() -> Self {
        Self {
            ed25519: Ed25519KeyPair::generate().unwrap(),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    /// The set of public keys, as the issuer publishes it.
    fn set(&self) -> String {
        let (x, y) = self.p256.public_key().as_ref()[1..].split_at(32);
        // As DER: a sequence of the two numbers, of lengths that are known for 2048 bits.
        let rsa = self.rsa.public_key().as_ref();
        let (n, e) = (&rsa[9..265], &rsa[267..]);
        let keys = json!([
            { "kid": "EdDSA", "kty": "OKP", "crv": "Ed25519", "use": "sig", "x": part(self.ed25519.public_key()) },
            { "kid": "ES256", "kty": "EC", "crv": "P-256", "alg": "ES256", "x": part(x), "y": part(y) },
            { "kid": "RS256", "kty": "RSA", "n": part(n), "e": part(e) },
        ]);
        json!({ "keys": keys }).to_string()
    }

    fn token(&self, algorithm: &str, claims: &Value) -> String {
        let header = json!({ "alg": algorithm, "kid": algorithm, "typ": "JWT" });
        let signed = format!("{}.{}", part(header.to_string()), part(claims.to_string()));
        let random = SystemRandom::new();
        let signature = match algorithm {
            "EdDSA" => self.ed25519.sign(signed.as_bytes()).as_ref().to_vec(),
            "ES256" => {
                let signature = self.p256.sign(&random, signed.as_bytes());
                signature.unwrap().as_ref().to_vec()
            }
            _ => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                let signed = signed.as_bytes();
                let key = &self.rsa;
                key.sign(&RSA_PKCS1_SHA256, &random, signed, &mut signature)
                    .unwrap();
                signature
            }
        };
        format!("{signed}.{}", part(signature))
    }
}

/// The issuer's name, which is its address.
fn name(issuer: &Upstream) -> String {
    format!("http://{}", issuer.address)
}

fn claims(issuer: &Upstream) -> Value {
    let now = Timestamp::now().as_second();
    json!({ "iss": name(issuer), "aud": ["carnet"], "sub": "alice", "exp": now + 600, "iat": now, "groups": ["lab"] })
}

/// An upstream, and an issuer whose tokens with the group `lab` lead to the workload `app`.
fn setup(upstream: &Upstream, issuer: &Upstream) -> Setup {
    let section = format!(
        r#"
[[issuer]]
name = "corp"
issuer = "{}"
audiences = ["carnet"]
algorithms = ["EdDSA", "ES256", "RS256"]
workloads = [{{ claim = "groups", value = "lab", workload = "app" }}]
admin_audiences = ["carnet-admin"]
admins = [
  {{ claim = "groups", value = "owners", role = "admin" }},
  {{ claim = "groups", value = "lab", role = "viewer" }},
]
"#,
        name(issuer)
    );
    Setup::with(&(entry("local", &upstream.base_url(), "") + &section))
}

/// Answer as an issuer does that is asked for its document and then for its keys.
async fn publish(issuer: &mut Upstream, keys: &Keys) {
    let mut arrival = issuer.next().await;
    assert_eq!(
        arrival.line,
        "GET /.well-known/openid-configuration HTTP/1.1"
    );
    let document = json!({ "issuer": name(issuer), "jwks_uri": format!("{}/keys", name(issuer)) });
    let close = "connection: close\r\n";
    arrival
        .write(whole(close, document.to_string().as_bytes()))
        .await;
    drop(arrival);
    let mut arrival = issuer.next().await;
    assert_eq!(arrival.line, "GET /keys HTTP/1.1");
    arrival.write(whole(close, keys.set().as_bytes())).await;
}

async fn models(gateway: &Gateway, token: &str) -> Answer {
    let request = gateway.request(Method::GET, "/v1/models", "");
    gateway.send(with_key(request, token)).await
}

#[tokio::test]
async fn tokens_of_every_kind_speak_for_the_workload_of_their_claims() {
    let (upstream, mut issuer) = (Upstream::start().await, Upstream::start().await);
    let keys = Keys::new();
    let (gateway, ()) = tokio::join!(
        setup(&upstream, &issuer).start(),
        publish(&mut issuer, &keys)
    );
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let token = keys.token(algorithm, &claims(&issuer));
        for _ in 0..2 {
            let answer = models(&gateway, &token).await;
            assert_eq!(answer.status, 200, "{algorithm}");
            let record = gateway.record(&answer.record()).await;
            let who = (&record["workload"], &record["key_id"]);
            assert_eq!(who, (&json!("app"), &json!("corp:alice")));
        }
    }
    let mut none = claims(&issuer);
    none["groups"] = json!(["other"]);
    let token = keys.token("RS256", &none);
    models(&gateway, &token)
        .await
        .error(403, "token_unmapped")
        .await;
    let mut ended = claims(&issuer);
    ended["exp"] = json!(Timestamp::now().as_second() - 61);
    let token = keys.token("ES256", &ended);
    models(&gateway, &token)
        .await
        .error(401, "token_expired")
        .await;
    let forged = Keys::new().token("EdDSA", &claims(&issuer));
    models(&gateway, &forged)
        .await
        .error(401, "token_invalid")
        .await;
    assert_eq!(
        gateway.get("/v1/models").await.status,
        200,
        "keys work beside"
    );
    assert!(issuer.is_untouched(), "its keys are known");
    gateway.finish().await;
}

#[tokio::test]
async fn a_token_waits_for_the_keys_and_without_them_is_not_told() {
    let (upstream, mut issuer) = (Upstream::start().await, Upstream::start().await);
    let keys = Keys::new();
    let gateway = setup(&upstream, &issuer).start().await;
    let token = keys.token("ES256", &claims(&issuer));
    let (answer, ()) = tokio::join!(models(&gateway, &token), async {
        let mut arrival = issuer.next().await;
        arrival
            .write("HTTP/1.1 503 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .await;
    });
    assert_eq!(answer.header("retry-after"), "5");
    answer.error(503, "issuer_unavailable").await;
    assert_eq!(
        gateway.get("/v1/models").await.status,
        200,
        "keys work beside"
    );
    publish(&mut issuer, &keys).await;
    until("the keys", async || {
        let answer = models(&gateway, &token).await;
        (answer.status == 200).then_some(())
    })
    .await;
    gateway.finish().await;
}

#[tokio::test]
async fn answers_of_an_issuer_that_is_taken_out_are_cut() {
    let (mut upstream, mut issuer) = (Upstream::start().await, Upstream::start().await);
    let keys = Keys::new();
    let (gateway, ()) = tokio::join!(
        setup(&upstream, &issuer).start(),
        publish(&mut issuer, &keys)
    );
    let token = keys.token("RS256", &claims(&issuer));
    let request = with_key(gateway.chat_request(chat_body(MODEL, true)), &token);
    let (mut answer, mut arrival) = tokio::join!(gateway.send(request), async {
        let mut arrival = upstream.next().await;
        arrival.begin_stream().await;
        arrival
    });
    assert_eq!(answer.piece().await.unwrap(), DELTA);
    let without = gateway
        .setup
        .config()
        .split("[[issuer]]")
        .next()
        .unwrap()
        .to_owned();
    gateway.setup.write("carnet.toml", &without);
    gateway.signal(Signal::HUP);
    let rest = answer.text().await;
    assert_eq!(json_body(&rest)[0]["error"]["code"], "revoked", "{rest}");
    within(ONE_SECOND, "the close at the upstream", arrival.closed()).await;
    models(&gateway, &token)
        .await
        .error(401, "invalid_api_key")
        .await;
    gateway.finish().await;
}

#[tokio::test]
async fn tokens_let_administrators_do_what_their_role_allows() {
    let (upstream, mut issuer) = (Upstream::start().await, Upstream::start().await);
    let keys = Keys::new();
    let (gateway, ()) = tokio::join!(
        setup(&upstream, &issuer).start(),
        publish(&mut issuer, &keys)
    );
    let token = |audience: &str, group: &str| {
        let mut claims = claims(&issuer);
        claims["aud"] = json!([audience]);
        claims["groups"] = json!([group]);
        keys.token("RS256", &claims)
    };
    let (owner, viewer) = (
        token("carnet-admin", "owners"),
        token("carnet-admin", "lab"),
    );
    let new = r#"{"workload":"app"}"#;
    let keys_of = async |token: &str, method: Method, body: &str| {
        let (status, answer) = gateway.admin_as(token, method, "/api/keys", body).await;
        (
            status,
            answer["error"]["code"].as_str().unwrap_or("").to_owned(),
        )
    };
    let passes = |status: u16| (status, String::new());
    let fails = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(keys_of(&viewer, Method::GET, "").await, passes(200));
    assert_eq!(
        keys_of(&viewer, Method::POST, new).await,
        fails(403, "role_too_low")
    );
    assert_eq!(keys_of(&owner, Method::POST, new).await, passes(201));
    let none = token("carnet-admin", "guests");
    assert_eq!(
        keys_of(&none, Method::GET, "").await,
        fails(403, "token_unmapped")
    );
    // What was made for one listener opens nothing at the other.
    let caller = token("carnet", "owners");
    assert_eq!(
        keys_of(&caller, Method::GET, "").await,
        fails(401, "invalid_admin_token")
    );
    models(&gateway, &owner)
        .await
        .error(401, "token_invalid")
        .await;
    let made = gateway
        .record_where("the new key", |record| {
            record["detail"] == "key created by `corp:alice` from 127.0.0.1"
        })
        .await;
    assert_eq!(made["kind"], "admin");
    gateway.finish().await;
}
