//! Requests signed with the keys of an AWS account (Signature Version 4), which prove the sender and fix head and
//! body. <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SigningError, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::Secret;

/// The service's name in signatures.
const SERVICE: &str = "bedrock";

/// Keys of an account, for one region.
#[derive(Clone)]
pub(super) struct Signer {
    identity: Identity,
    region: String,
}

impl Signer {
    /// From `ACCESS_KEY_ID:SECRET_ACCESS_KEY` or, with keys that end, `…:SESSION_TOKEN`. `None` when it is neither.
    pub(super) fn new(key: &Secret, region: &str) -> Option<Self> {
        let mut parts = key.expose().splitn(3, ':');
        let (id, secret) = (parts.next()?, parts.next()?);
        if id.is_empty() || secret.is_empty() {
            return None;
        }
        let token = parts.next().map(str::to_owned);
        let credentials = Credentials::new(id, secret, token, None, "carnet");
        Some(Self {
            identity: credentials.into(),
            region: region.to_owned(),
        })
    }

    /// Sign a request with this body.
    pub(super) fn sign<B>(
        &self,
        request: &mut Request<B>,
        body: &[Bytes],
        now: Timestamp,
    ) -> Result<(), Unsigned> {
        let seconds = u64::try_from(now.as_second()).map_err(|_| Unsigned)?;
        let mut hash = Sha256::new();
        body.iter().for_each(|piece| hash.update(piece));
        let mut settings = SigningSettings::default();
        // What stands in our paths is encoded already; the service wants it encoded once more.
        settings.percent_encoding_mode = PercentEncodingMode::Double;
        let params = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name(SERVICE)
            .time(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .settings(settings)
            .build()
            .map_err(|_| Unsigned)?
            .into();
        let uri = request.uri().to_string();
        let headers = [("content-type", "application/json")];
        let signable = SignableRequest::new(
            request.method().as_str(),
            &uri,
            headers.into_iter(),
            SignableBody::Precomputed(hex::encode(hash.finalize())),
        )?;
        let (signed, _) = sign(signable, &params)?.into_parts();
        for (name, value) in signed.headers() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unsigned)?;
            let mut value = HeaderValue::from_str(value).map_err(|_| Unsigned)?;
            value.set_sensitive(true);
            request.headers_mut().insert(name, value);
        }
        Ok(())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(…)")
    }
}

/// A request could not be signed.
#[derive(Debug, Error)]
#[error("the request could not be signed with its key")]
pub(super) struct Unsigned;

impl From<SigningError> for Unsigned {
    fn from(_: SigningError) -> Self {
        // The library's text may repeat parts of the request.
        Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(key: &str) -> Request<()> {
        let uri = "https://bedrock-runtime.us-east-1.amazonaws.com/model/a.m-1%3A0/converse";
        let mut request = Request::post(uri).body(()).unwrap();
        let signer = Signer::new(&Secret::new(key.to_owned()), "us-east-1").unwrap();
        let body = [
            Bytes::from_static(b"{\"messages\""),
            Bytes::from_static(b":[]}"),
        ];
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        signer.sign(&mut request, &body, now).unwrap();
        request
    }

    #[test]
    fn a_signature_is_the_one_that_the_makers_own_client_makes() {
        let request = signed("AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let text = |name: &str| request.headers()[name].to_str().unwrap();
        assert_eq!(text("x-amz-date"), "20260102T030405Z");
        assert_eq!(text("authorization"), AUTHORIZATION);
        assert!(!request.headers().contains_key("x-amz-security-token"));
        let with_token = signed("AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY:to:ken");
        assert_eq!(with_token.headers()["x-amz-security-token"], "to:ken");
        assert!(with_token.headers()["authorization"].is_sensitive());
    }

    #[test]
    fn keys_need_both_parts_and_are_never_printed() {
        for wrong in ["AKID", "AKID:", ":secret", ""] {
            assert!(
                Signer::new(&Secret::new(wrong.to_owned()), "r").is_none(),
                "{wrong}"
            );
        }
        let signer = Signer::new(&Secret::new("AKID:very-secret".to_owned()), "r").unwrap();
        assert!(!format!("{signer:?}").contains("very"));
    }

    const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/bedrock/aws4_request, \
        SignedHeaders=content-type;host;x-amz-date, \
        Signature=bc58b4499470b1b0e054fa032cdef4266d3a8d74d87751a7cf53da5c14dfdf6a";
}
