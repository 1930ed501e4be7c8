//! Tokens of an issuer that signs here: which are accepted, which are not, and how its keys come and go.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::config::{ClaimRule, KeysAt};

/// A signer with its key in the set.
struct Signer {
    id: &'static str,
    key: Key,
}

enum Key {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

fn part(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    fn rsa(id: &'static str) -> Self {
        let key = Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
        Self { id, key }
    }

    fn p256(id: &'static str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let key = Key::P256(key);
        Self { id, key }
    }

    fn p384(id: &'static str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let key = Key::P384(key);
        Self { id, key }
    }

    fn ed25519(id: &'static str) -> Self {
        let key = Key::Ed25519(Ed25519KeyPair::generate().unwrap());
        Self { id, key }
    }

    fn jwk(&self) -> Value {
        let point = |curve: &str, key: &EcdsaKeyPair| {
            let point = key.public_key().as_ref();
            let (x, y) = point[1..].split_at(point.len() / 2);
            json!({ "kty": "EC", "crv": curve, "x": part(x), "y": part(y) })
        };
        let mut jwk = match &self.key {
            Key::Ed25519(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": part(key.public_key()) })
            }
            Key::P256(key) => point("P-256", key),
            Key::P384(key) => point("P-384", key),
            Key::Rsa(key) => {
                // As DER: a sequence of the two numbers, of lengths that are known for 2048 bits.
                let der = key.public_key().as_ref();
                let (n, e) = (&der[9..265], &der[267..]);
                json!({ "kty": "RSA", "n": part(n), "e": part(e) })
            }
        };
        jwk["kid"] = self.id.into();
        jwk
    }

    fn sign(&self, algorithm: &str, signed: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Ed25519(key) => key.sign(signed).as_ref().to_vec(),
            Key::P256(key) | Key::P384(key) => key.sign(&random, signed).unwrap().as_ref().to_vec(),
            Key::Rsa(key) => {
                let with: &dyn signature::RsaEncoding = match algorithm {
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(with, &random, signed, &mut signature).unwrap();
                signature
            }
        }
    }

    /// A token with this text for a header and these claims.
    fn token_with(&self, header: &str, claims: &str) -> String {
        let algorithm: Value = serde_json::from_str(header).unwrap_or_default();
        let signed = format!("{}.{}", part(header), part(claims));
        let algorithm = algorithm["alg"].as_str().unwrap_or_default();
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", part(signature))
    }

    fn token(&self, algorithm: &str, claims: &Value) -> String {
        let header = json!({ "alg": algorithm, "kid": self.id, "typ": "JWT" });
        self.token_with(&header.to_string(), &claims.to_string())
    }
}

/// 2026-05-01T12:00:00Z.
const NOW: i64 = 1_777_636_800;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example.org", "aud": "carnet", "sub": "alice", "exp": NOW + 300, "iat": NOW - 5,
        "groups": ["staff", "research"], "realm": { "roles": ["a/b"] },
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn set(signers: &[&Signer]) -> KeySet {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn config() -> IssuerConfig {
    let rule = |claim: &str, value: &str, workload: &str| ClaimRule {
        workload: workload.into(),
        wants: Some((claim.into(), value.into())),
    };
    let keys = KeysAt::Set("https://id.example.org/keys".parse().unwrap());
    IssuerConfig {
        rules: vec![
            rule("sub", "root", "nobody"),
            rule("groups", "research", "lab"),
            rule("/realm/roles", "a/b", "realm"),
        ],
        ..IssuerConfig::fixture(keys)
    }
}

fn issuers(config: IssuerConfig, keys: Option<KeySet>) -> Issuers {
    let issuers = Issuers::new(vec![(config, None)], None);
    if let Some(keys) = keys {
        issuers.0[0].fetched(Ok(keys), Instant::now());
    }
    issuers
}

/// The code with which a token is refused, and the message.
async fn refusal(issuers: &Issuers, token: &str) -> (Code, String) {
    let fault = issuers.caller(token, now()).await.unwrap_err();
    (fault.code, fault.message)
}

#[tokio::test]
async fn a_token_leads_to_the_workload_of_the_first_rule_that_fits() {
    let signer = Signer::p256("k1");
    let issuers = issuers(config(), Some(set(&[&signer])));
    let caller = async |claims: Value| {
        let token = signer.token("ES256", &claims);
        let caller = issuers.caller(&token, now()).await?;
        Ok::<_, Fault>((caller.key.workload.to_string(), caller.key.id.to_string()))
    };
    let of = |workload: &str, id: &str| (workload.to_owned(), id.to_owned());
    assert_eq!(caller(claims()).await.unwrap(), of("lab", "corp:alice"));
    let one = with("groups", json!("research"));
    assert_eq!(caller(one).await.unwrap(), of("lab", "corp:alice"));
    let role = with("groups", json!(["staff"]));
    assert_eq!(caller(role).await.unwrap(), of("realm", "corp:alice"));
    let root = with("sub", json!("root"));
    assert_eq!(caller(root).await.unwrap(), of("nobody", "corp:root"));
    let mut none = without("groups");
    none["realm"] = json!("a/b");
    let fault = caller(none).await.unwrap_err();
    assert_eq!(fault.code, Code::TokenUnmapped);
    assert!(fault.message.contains("alice"), "{}", fault.message);
}

#[tokio::test]
async fn every_algorithm_is_checked_with_a_key_of_its_kind() {
    let signers = [
        (Signer::ed25519("ed"), &["EdDSA", "Ed25519"][..]),
        (Signer::p256("p256"), &["ES256"]),
        (Signer::p384("p384"), &["ES384"]),
        (
            Signer::rsa("rsa"),
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
        ),
    ];
    let all: Vec<&Signer> = signers.iter().map(|(signer, _)| signer).collect();
    let issuers = issuers(config(), Some(set(&all)));
    for (signer, algorithms) in &signers {
        for algorithm in *algorithms {
            let token = signer.token(algorithm, &claims());
            assert!(issuers.caller(&token, now()).await.is_ok(), "{algorithm}");
            // The same signature under the name of another way to sign is none.
            for other in ["RS256", "PS256", "ES256", "ES384", "EdDSA"] {
                let other = json!({ "alg": other, "kid": signer.id });
                let (_, rest) = token.split_once('.').unwrap();
                let changed = format!("{}.{rest}", part(other.to_string()));
                let (code, _) = refusal(&issuers, &changed).await;
                assert_eq!(code, Code::TokenInvalid, "{algorithm} {other}");
            }
        }
    }
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_refused() {
    let (signer, stranger) = (Signer::rsa("k1"), Signer::rsa("k1"));
    let issuers = issuers(config(), Some(set(&[&signer])));
    let good = signer.token("RS256", &claims());
    assert!(issuers.caller(&good, now()).await.is_ok());
    let header = |more: Value| {
        let mut header = json!({ "alg": "RS256", "kid": "k1", "typ": "JWT" });
        let more = more.as_object().unwrap().clone();
        header.as_object_mut().unwrap().extend(more);
        signer.token_with(&header.to_string(), &claims().to_string())
    };
    let said = |claims: Value| signer.token("RS256", &claims);
    let unsigned = {
        let none = part(r#"{"alg":"none"}"#);
        format!("{none}.{}.", part(claims().to_string()))
    };
    let shared = {
        // The public key as the secret of an HMAC, which everybody knows.
        let signed = format!(
            "{}.{}",
            part(r#"{"alg":"HS256","kid":"k1"}"#),
            part(claims().to_string())
        );
        let Key::Rsa(key) = &signer.key else {
            unreachable!()
        };
        let secret =
            aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.public_key().as_ref());
        let tag = aws_lc_rs::hmac::sign(&secret, signed.as_bytes());
        format!("{signed}.{}", part(tag))
    };
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (head, body) = signed.split_once('.').unwrap();
    let other_body = part(with("sub", json!("root")).to_string());
    let plain = r#"{"alg":"RS256","kid":"k1"}"#;
    let text = claims().to_string();
    let twice = text.replacen('{', r#"{"sub":"root","#, 1);
    let deep = text.replacen(r#""roles""#, r#""roles":["x"],"roles""#, 1);
    for (what, token, told) in [
        ("unsigned", unsigned, "known"),
        ("HMAC with the public key", shared, "known"),
        (
            "signed by another",
            stranger.token("RS256", &claims()),
            "signature",
        ),
        (
            "other claims",
            format!("{head}.{other_body}.{signature}"),
            "signature",
        ),
        ("no signature", format!("{signed}."), "signature"),
        ("two parts", signed.to_owned(), "three parts"),
        ("four parts", format!("{good}.x"), "three parts"),
        (
            "padded",
            format!("{head}.{body}.{signature}=="),
            "base64url",
        ),
        (
            "jku",
            header(json!({"jku": "https://evil.example/keys"})),
            "key along",
        ),
        (
            "x5u",
            header(json!({"x5u": "https://evil.example/chain"})),
            "key along",
        ),
        ("jwk", header(json!({"jwk": stranger.jwk()})), "key along"),
        ("x5c", header(json!({"x5c": ["MII"]})), "key along"),
        ("crit", header(json!({"crit": ["exp"]})), "extensions"),
        (
            "a logout token",
            header(json!({"typ": "logout+jwt"})),
            "`typ`",
        ),
        ("an odd typ", header(json!({"typ": 1})), "`typ`"),
        ("an odd kid", header(json!({"kid": 1})), "`kid`"),
        (
            "an unknown algorithm",
            header(json!({"alg": "RS1"})),
            "known",
        ),
        ("a claim twice", signer.token_with(plain, &twice), "twice"),
        (
            "a claim twice, further in",
            signer.token_with(plain, &deep),
            "twice",
        ),
        (
            "a header twice",
            signer.token_with(r#"{"alg":"none","alg":"RS256","kid":"k1"}"#, &text),
            "twice",
        ),
        (
            "claims that are a list",
            signer.token_with(plain, "[]"),
            "not JSON",
        ),
        ("no issuer", said(without("iss")), "no issuer is configured"),
        (
            "another issuer",
            said(with("iss", json!("https://id.example.org/"))),
            "no issuer",
        ),
        ("no audience", said(without("aud")), "`aud`"),
        (
            "another audience",
            said(with("aud", json!("other"))),
            "`aud`",
        ),
        (
            "an odd audience",
            said(with("aud", json!(["carnet", 1]))),
            "`aud`",
        ),
        ("no end", said(without("exp")), "no `exp`"),
        (
            "an odd end",
            said(with("exp", json!("2030"))),
            "not a number of seconds",
        ),
        (
            "an end beyond time",
            said(with("exp", json!(1e300))),
            "not a number of seconds",
        ),
        (
            "not yet",
            said(with("nbf", json!(NOW + 61))),
            "not good yet",
        ),
        (
            "an odd beginning",
            said(with("nbf", json!("soon"))),
            "not a number of seconds",
        ),
        (
            "made tomorrow",
            said(with("iat", json!(NOW + 86_400))),
            "not good yet",
        ),
        ("no subject", said(without("sub")), "`sub`"),
        ("an empty subject", said(with("sub", json!(""))), "`sub`"),
        (
            "a long subject",
            said(with("sub", json!("x".repeat(256)))),
            "`sub`",
        ),
        (
            "a subject of two lines",
            said(with("sub", json!("a\nb"))),
            "`sub`",
        ),
        (
            "huge",
            said(with("pad", json!("x".repeat(TOKEN_MAX)))),
            "longer",
        ),
    ] {
        let (code, message) = refusal(&issuers, &token).await;
        assert_eq!(code, Code::TokenInvalid, "{what}: {message}");
        assert!(message.contains(told), "{what}: {message}");
    }
}

const TOKEN_MAX: usize = crate::limits::TOKEN_BYTES_MAX;

#[tokio::test]
async fn a_token_is_good_until_its_end_and_no_longer_also_when_it_is_known() {
    let signer = Signer::ed25519("k1");
    let issuers = issuers(config(), Some(set(&[&signer])));
    let token = signer.token("EdDSA", &claims());
    for (second, good) in [(0, true), (359, true), (360, false), (0, true)] {
        let at = Timestamp::from_second(NOW + second).unwrap();
        let caller = issuers.caller(&token, at).await;
        match caller {
            Ok(caller) => {
                assert!(good, "{second}");
                let end = Timestamp::from_second(NOW + 360).unwrap();
                assert_eq!(caller.key.terms.expires, Some(end));
            }
            Err(fault) => assert_eq!((good, fault.code), (false, Code::TokenExpired)),
        }
    }
    for (name, value) in [
        ("exp", json!(NOW as f64 + 0.5)),
        ("nbf", json!(NOW + 60)),
        ("aud", json!(["other", "carnet"])),
    ] {
        let token = signer.token("EdDSA", &with(name, value));
        assert!(issuers.caller(&token, now()).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn only_algorithms_of_the_configuration_are_accepted() {
    let signer = Signer::rsa("k1");
    let config = IssuerConfig {
        algorithms: vec![Algorithm::Ps256],
        ..config()
    };
    let issuers = issuers(config, Some(set(&[&signer])));
    let good = signer.token("PS256", &claims());
    assert!(issuers.caller(&good, now()).await.is_ok());
    let (code, _) = refusal(&issuers, &signer.token("RS256", &claims())).await;
    assert_eq!(code, Code::TokenInvalid);
}

#[tokio::test]
async fn incident_a_token_that_is_known_opens_for_itself_alone() {
    let signer = Signer::p256("k1");
    let issuers = issuers(config(), Some(set(&[&signer])));
    let known = signer.token("ES256", &claims());
    assert!(issuers.caller(&known, now()).await.is_ok());
    let before = issuers.0[0].known.len();
    assert_eq!(before, 1);
    // Each character turned into another one of the alphabet: however much is alike, it is another token.
    let other = |byte: u8| if byte == b'A' { b'B' } else { b'A' };
    for at in 0..known.len() {
        let mut bytes = known.clone().into_bytes();
        bytes[at] = other(bytes[at]);
        let altered = String::from_utf8(bytes).unwrap();
        if altered == known {
            continue;
        }
        assert!(issuers.caller(&altered, now()).await.is_err(), "{at}");
    }
    // So is what begins with it, and its beginning.
    for altered in [
        format!("{known}A"),
        format!("{known} "),
        known[..known.len() - 1].to_owned(),
    ] {
        assert!(issuers.caller(&altered, now()).await.is_err(), "{altered}");
    }
    assert_eq!(issuers.0[0].known.len(), before);
    assert!(issuers.caller(&known, now()).await.is_ok());
}

#[tokio::test]
async fn a_key_that_is_withdrawn_takes_its_tokens_with_it() {
    let (old, new) = (Signer::p256("old"), Signer::p256("new"));
    let issuers = issuers(config(), Some(set(&[&old, &new])));
    let token = old.token("ES256", &claims());
    assert!(issuers.caller(&token, now()).await.is_ok());
    // What comes again unchanged changes nothing.
    let number = |issuers: &Issuers| issuers.0[0].held(Instant::now()).unwrap().number;
    let before = number(&issuers);
    issuers.0[0].fetched(Ok(set(&[&old, &new])), Instant::now());
    assert_eq!(number(&issuers), before);
    issuers.0[0].fetched(Ok(set(&[&new])), Instant::now());
    issuers.0[0].state().tried = Some(Instant::now());
    let (code, message) = refusal(&issuers, &token).await;
    assert_eq!(code, Code::TokenInvalid);
    assert!(message.contains("no key of its `kid`"), "{message}");
    let token = new.token("ES256", &claims());
    assert!(issuers.caller(&token, now()).await.is_ok());
}

#[tokio::test]
async fn keys_are_used_for_some_time_when_there_are_no_newer_ones() {
    let signer = Signer::p256("k1");
    let issuers = issuers(config(), Some(set(&[&signer])));
    let issuer = &issuers.0[0];
    let begin = Instant::now();
    issuer.fetched(Err(fetch::NoKeys::Slow), begin);
    assert!(issuer.held(begin).is_some());
    assert!(
        issuer
            .held(begin + ISSUER_KEYS_TIME_MAX - Duration::from_secs(60))
            .is_some()
    );
    assert!(
        issuer
            .held(begin + ISSUER_KEYS_TIME_MAX + Duration::from_secs(60))
            .is_none()
    );
}

#[tokio::test]
async fn unknown_keys_have_them_fetched_again_but_not_often() {
    let signer = Signer::p256("k1");
    let issuers = issuers(config(), Some(set(&[&signer])));
    let issuer = &issuers.0[0];
    let begin = Instant::now();
    issuer.state().tried = Some(begin);
    assert!(!issuer.hurry(begin + Duration::from_secs(1), false));
    assert!(issuer.hurry(begin + ISSUER_HURRY_EVERY, false));
    // While that fetch runs, whoever comes waits for the same.
    assert!(issuer.hurry(begin + ISSUER_HURRY_EVERY, false));
    issuer.state().tried = Some(begin + ISSUER_HURRY_EVERY);
    issuer.fetched(Ok(set(&[&signer])), begin + ISSUER_HURRY_EVERY);
    assert!(!issuer.hurry(begin + ISSUER_HURRY_EVERY, false));
}

#[tokio::test]
async fn without_keys_a_token_can_not_be_told() {
    let signer = Signer::p256("k1");
    let issuers = issuers(config(), None);
    // A fetch has just failed: there is nothing to wait for.
    issuers.0[0].state().tried = Some(Instant::now());
    issuers.0[0].fetched(Err(fetch::NoKeys::Slow), Instant::now());
    let fault = issuers
        .caller(&signer.token("ES256", &claims()), now())
        .await
        .unwrap_err();
    assert_eq!(
        (fault.code, fault.retry_after),
        (Code::IssuerUnavailable, Some(5))
    );
}

#[tokio::test]
async fn what_is_known_of_tokens_is_bounded() {
    let known = Known::default();
    let key = Arc::new(KeyRecord {
        id: KeyId::from_text("corp:alice"),
        digest: KeyDigest::of(""),
        former: Box::default(),
        workload: "lab".into(),
        note: String::new(),
        created: now(),
        revoked: None,
        terms: KeyTerms::default(),
    });
    let until = now() + Duration::from_secs(1);
    let checked = || Checked {
        keys: 1,
        until,
        key: key.clone(),
    };
    let digests = (0..crate::limits::TOKENS_KNOWN_MAX * 2).map(|n| KeyDigest::of(&n.to_string()));
    let mut last = KeyDigest::of("");
    for digest in digests {
        known.insert(digest, checked(), now());
        last = digest;
    }
    assert!(known.len() <= crate::limits::TOKENS_KNOWN_MAX);
    assert!(known.find(&last, 1, now()).is_some());
    assert!(known.find(&last, 2, now()).is_none());
    assert!(known.find(&last, 1, until).is_none());
}

#[tokio::test]
async fn an_issuer_that_is_gone_or_changed_is_noticed() {
    let signer = Signer::p256("k1");
    let first = issuers(config(), Some(set(&[&signer])));
    let token = signer.token("ES256", &claims());
    let running = first.caller(&token, now()).await.unwrap().revoked;
    let same = Issuers::new(vec![(config(), None)], Some(&first));
    first.retire(&same);
    assert!(same.caller(&token, now()).await.is_ok(), "keys stay");
    let changed = IssuerConfig {
        audiences: vec!["other".into()],
        ..config()
    };
    let changed = Issuers::new(vec![(changed, None)], Some(&same));
    changed.0[0].fetched(Ok(set(&[&signer])), Instant::now());
    same.retire(&changed);
    assert!(!running.is_cancelled());
    assert!(changed.caller(&token, now()).await.is_err());
    changed.retire(&Issuers::default());
    assert!(running.is_cancelled());
}

#[test]
fn key_sets_are_read_as_far_as_they_are_of_use() {
    let good = Signer::p256("k1").jwk();
    let changed = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        jwk
    };
    let read = |keys: Value| KeySet::read(json!({ "keys": keys }).to_string().as_bytes());
    assert!(read(json!([good])).is_ok());
    assert!(read(json!([{"kty": "oct", "k": "c2VjcmV0"}, good, {"kty": "new"}, 1])).is_ok());
    for useless in [
        json!([]),
        json!([{"kty": "oct", "kid": "k1", "k": "c2VjcmV0", "alg": "HS256"}]),
        json!([changed("use", json!("enc"))]),
        json!([changed("key_ops", json!(["sign"]))]),
        json!([changed("alg", json!("RS256"))]),
        json!([changed("alg", json!("HS256"))]),
        json!([changed("crv", json!("P-384"))]),
        json!([changed("x", json!("AA"))]),
        json!([changed("y", json!(null))]),
    ] {
        assert!(read(useless.clone()).is_err(), "{useless}");
    }
    let many = vec![good; crate::limits::ISSUER_KEYS_MAX + 1];
    assert!(read(json!(many)).is_err());
    for text in ["", "{}", "[]", r#"{"keys": {}}"#] {
        assert!(KeySet::read(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn two_keys_of_one_name_and_kind_are_none() {
    let (one, two) = (Signer::p256("k1"), Signer::p256("k1"));
    let keys = set(&[&one, &two]);
    let signature = one.sign("ES256", b"x");
    let check = |id| keys.verify((Algorithm::Es256, id), b"x", &signature);
    assert_eq!(check(Some("k1")), Err(Unverified::NoKey));
    assert_eq!(check(None), Err(Unverified::NoKey));
    let alone = set(&[&one]);
    let without_id = alone.verify((Algorithm::Es256, None), b"x", &signature);
    assert_eq!(without_id, Ok(()));
}

#[test]
fn a_short_key_signs_nothing() {
    // 1024 bits, the modulus of an example; what matters is its length.
    let keys =
        json!({ "keys": [{ "kty": "RSA", "kid": "k1", "n": part([0xc1; 128]), "e": "AQAB" }] });
    let keys = KeySet::read(keys.to_string().as_bytes()).unwrap();
    let checked = keys.verify((Algorithm::Rs256, Some("k1")), b"x", &[1; 128]);
    assert_eq!(checked, Err(Unverified::Wrong));
}
