//! Access tokens for Google Cloud, which a service account's key is exchanged for.
//! <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue};
use http::uri::Scheme;
use http::{Request, Uri};
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::Client;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use smallvec::smallvec;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::connect::Connector;
use super::{IDENTITY, Secret, SegmentsBody};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// The longest that an assertion may be good for.
const ASSERTION_SECONDS: i64 = 3_600;
/// A token is renewed when it ends within this time; until then it is used.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_mins(5);
/// No request is sent with a token that ends so soon.
const USELESS_BEFORE: SignedDuration = SignedDuration::from_secs(10);
/// Time for an exchange.
const EXCHANGE_TIME_MAX: Duration = Duration::from_secs(15);
/// Bytes of an answer: a token has one or two thousand.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A service account with the token that it has now.
#[derive(Clone)]
pub(super) struct ServiceAccount(Arc<Inner>);

struct Inner {
    account: Account,
    key: RsaKeyPair,
    client: Client<Connector, SegmentsBody>,
    token_uri: Uri,
    token: ArcSwapOption<Token>,
    /// Held by whoever renews; nobody waits for it while there is a token.
    renewing: Mutex<()>,
}

/// A key file as the Cloud console gives it out.
#[derive(Deserialize)]
pub(super) struct Account {
    client_email: String,
    private_key: Zeroizing<String>,
    private_key_id: Option<String>,
    token_uri: String,
}

struct Token {
    header: HeaderValue,
    until: Timestamp,
}

/// Why there is no token.
#[derive(Debug, Error)]
pub(super) enum NoToken {
    #[error("the assertion could not be signed")]
    Unsigned,
    #[error("`{0}` could not be reached")]
    Unreachable(String),
    #[error("`{0}` did not answer in time")]
    Slow(String),
    #[error("`{host}` answered with status {status}")]
    Refused { host: String, status: u16 },
    #[error("`{0}` answered with something else than a token")]
    Unreadable(String),
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
struct Granted {
    access_token: Zeroizing<String>,
    expires_in: i64,
}

impl Account {
    /// Read a key file. `None` when it is none, or would have tokens sent in the clear over a network.
    pub(super) fn read(key: &Secret) -> Option<(Self, Uri)> {
        let account: Self = serde_json::from_str(key.expose()).ok()?;
        let uri: Uri = account.token_uri.parse().ok()?;
        let here = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        let safe = uri.scheme() == Some(&Scheme::HTTPS) || here(uri.host()?);
        safe.then_some((account, uri))
    }
}

impl ServiceAccount {
    /// `None` when its key does not sign.
    pub(super) fn new(
        account: Account,
        token_uri: Uri,
        client: Client<Connector, SegmentsBody>,
    ) -> Option<Self> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(account.private_key.as_bytes()).ok()?;
        let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok()?;
        Some(Self(Arc::new(Inner {
            account,
            key,
            client,
            token_uri,
            token: ArcSwapOption::empty(),
            renewing: Mutex::new(()),
        })))
    }

    /// The header that carries a token which is good for some time yet.
    pub(super) async fn header(&self, now: Timestamp) -> Result<HeaderValue, NoToken> {
        let inner = &*self.0;
        if let Some(header) = inner.good_for(RENEW_BEFORE, now) {
            return Ok(header);
        }
        if let Some(header) = inner.good_for(USELESS_BEFORE, now) {
            if let Ok(_alone) = inner.renewing.try_lock() {
                return inner.renew(now).await.or(Ok(header));
            }
            return Ok(header);
        }
        // Whoever waits behind others that get none waits no longer than they.
        let alone = timeout(EXCHANGE_TIME_MAX, inner.renewing.lock()).await;
        let host = || inner.token_uri.host().unwrap_or_default().to_owned();
        let _alone = alone.map_err(|_| NoToken::Slow(host()))?;
        match inner.good_for(USELESS_BEFORE, now) {
            Some(header) => Ok(header),
            None => inner.renew(now).await,
        }
    }
}

impl Inner {
    fn good_for(&self, time: SignedDuration, now: Timestamp) -> Option<HeaderValue> {
        let token = self.token.load();
        let token = token.as_ref()?;
        (token.until.duration_since(now) > time).then(|| token.header.clone())
    }

    async fn renew(&self, now: Timestamp) -> Result<HeaderValue, NoToken> {
        let host = || self.token_uri.host().unwrap_or_default().to_owned();
        let granted = timeout(EXCHANGE_TIME_MAX, self.exchange(now)).await;
        let granted = granted.map_err(|_| NoToken::Slow(host()))??;
        let text = Zeroizing::new(format!("Bearer {}", *granted.access_token));
        let mut header = HeaderValue::from_str(&text).map_err(|_| NoToken::Unreadable(host()))?;
        header.set_sensitive(true);
        let seconds = SignedDuration::from_secs(granted.expires_in.clamp(0, ASSERTION_SECONDS));
        self.token.store(Some(Arc::new(Token {
            header: header.clone(),
            until: now.checked_add(seconds).unwrap_or(now),
        })));
        Ok(header)
    }

    async fn exchange(&self, now: Timestamp) -> Result<Granted, NoToken> {
        let host = || self.token_uri.host().unwrap_or_default().to_owned();
        let assertion = assertion(&self.account, &self.key, now).ok_or(NoToken::Unsigned)?;
        let grant = utf8_percent_encode(GRANT, NON_ALPHANUMERIC);
        let form = Bytes::from(format!("grant_type={grant}&assertion={assertion}"));
        let mut request = Request::post(self.token_uri.clone())
            .body(SegmentsBody::new(smallvec![form]))
            .map_err(|_| NoToken::Unreachable(host()))?;
        request.headers_mut().insert(CONTENT_TYPE, FORM);
        request.headers_mut().insert(ACCEPT_ENCODING, IDENTITY);
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|_| NoToken::Unreachable(host()))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(NoToken::Refused {
                host: host(),
                status: status.as_u16(),
            });
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await;
        let body = body.map_err(|_| NoToken::Unreadable(host()))?.to_bytes();
        serde_json::from_slice(&body).map_err(|_| NoToken::Unreadable(host()))
    }
}

/// A JSON Web Token (RFC 7519) in its compact form, signed with RS256.
fn assertion(account: &Account, key: &RsaKeyPair, now: Timestamp) -> Option<String> {
    let issued = now.as_second();
    let header = Header {
        alg: "RS256",
        typ: "JWT",
        kid: account.private_key_id.as_deref(),
    };
    let claims = Claims {
        iss: &account.client_email,
        scope: SCOPE,
        aud: &account.token_uri,
        iat: issued,
        exp: issued.saturating_add(ASSERTION_SECONDS),
    };
    let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let header = part(&serde_json::to_vec(&header).ok()?);
    let claims = part(&serde_json::to_vec(&claims).ok()?);
    let signed = format!("{header}.{claims}");
    let mut signature = vec![0; key.public_modulus_len()];
    let random = SystemRandom::new();
    key.sign(
        &RSA_PKCS1_SHA256,
        &random,
        signed.as_bytes(),
        &mut signature,
    )
    .ok()?;
    Some(format!("{signed}.{}", part(&signature)))
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceAccount(…)")
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    #[test]
    fn an_assertion_is_signed_by_the_key_of_the_account() {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let account =
            r#"{"client_email":"a@b","private_key":"","token_uri":"https://t.example/token"}"#;
        let (account, _) = Account::read(&Secret::new(account.to_owned())).unwrap();
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let assertion = assertion(&account, &key, now).unwrap();
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key());
        public.verify(signed.as_bytes(), &signature).unwrap();
        let claims = BASE64_URL_SAFE_NO_PAD
            .decode(signed.split_once('.').unwrap().1)
            .unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["iat"], 1_767_323_045);
        assert_eq!(claims["exp"], 1_767_326_645);
    }

    #[test]
    fn what_is_no_key_file_is_none() {
        for text in [
            "",
            "{}",
            r#"{"client_email":"a","private_key":"b","token_uri":"http://t.example/token"}"#,
            r#"{"client_email":"a","private_key":"b","token_uri":"/c"}"#,
        ] {
            assert!(
                Account::read(&Secret::new(text.to_owned())).is_none(),
                "{text}"
            );
        }
    }
}
