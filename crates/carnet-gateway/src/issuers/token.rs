//! One token: a JSON Web Token (RFC 7519) in its compact form, read strictly, as RFC 8725 advises.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::jwks::Algorithm;
use super::strict;
use crate::config::IssuerConfig;
use crate::limits::{SUBJECT_BYTES_MAX, TOKEN_BYTES_MAX};

/// A token whose signature is still to be checked: nothing of it is true yet.
pub(super) struct Token<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    /// What the signature is of.
    pub(super) signed: &'t [u8],
    pub(super) signature: Vec<u8>,
    pub(super) claims: Claims,
}

/// What a token says.
pub(super) struct Claims(Map<String, Value>);

/// What holds for a token that is accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) subject: String,
    /// From when it is not accepted any more.
    pub(super) until: Timestamp,
}

/// Why a token is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It was good until then.
    Expired(Timestamp),
    /// Something else is wrong with it.
    Invalid(&'static str),
}

/// Members of the header that say where the key is to be had: it is had from the configuration alone.
const FOREIGN_KEYS: [&str; 4] = ["jku", "jwk", "x5c", "x5u"];
/// What `typ` may say: tokens for other ends have words of their own.
const TYPES: [&str; 2] = ["at+jwt", "jwt"];

impl<'t> Token<'t> {
    /// Whether a text that is no key may be meant as a token.
    pub(super) fn is_meant(text: &str) -> bool {
        // `{"` in base64, with which every header begins.
        text.starts_with("eyJ") && text.contains('.')
    }

    pub(super) fn read(text: &'t str) -> Result<Self, Refused> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Refused::Invalid("it is longer than tokens that are read"));
        }
        let no_form = Refused::Invalid("it does not have the three parts of a signed token");
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(no_form);
        };
        let signed = text.get(..header.len() + 1 + claims.len());
        let signed = signed.ok_or(no_form)?.as_bytes();
        let decoded = |part: &str| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(part);
            bytes.map_err(|_| Refused::Invalid("a part of it is not base64url"))
        };
        let object = |part: &str| {
            strict::object(&decoded(part)?)
                .map_err(|_| Refused::Invalid("a part of it is not JSON, or says one thing twice"))
        };
        let header = object(header)?;
        if header.contains_key("crit") {
            return Err(Refused::Invalid("its header asks for extensions"));
        }
        if FOREIGN_KEYS.iter().any(|name| header.contains_key(*name)) {
            return Err(Refused::Invalid(
                "its header brings a key along, or says where one is",
            ));
        }
        if let Some(kind) = header.get("typ") {
            let kind = kind.as_str().map(str::to_ascii_lowercase);
            let kind = kind.unwrap_or_default();
            let kind = kind.strip_prefix("application/").unwrap_or(&kind);
            if !TYPES.contains(&kind) {
                return Err(Refused::Invalid(
                    "its `typ` is that of a token for something else",
                ));
            }
        }
        let algorithm = header.get("alg").and_then(Value::as_str);
        let algorithm = algorithm.and_then(Algorithm::named);
        let algorithm = algorithm.ok_or(Refused::Invalid(
            "it is not signed with a private key in a way that is known",
        ))?;
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(Refused::Invalid("its `kid` is not a text")),
        };
        Ok(Self {
            algorithm,
            key_id,
            signed,
            signature: decoded(signature)?,
            claims: Claims(object(claims)?),
        })
    }
}

impl Claims {
    /// Who says that it issued the token.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.0.get("iss")?.as_str()
    }

    /// Check everything but the signature. `audiences`: what it may be made for.
    pub(super) fn accept(
        &self,
        issuer: &IssuerConfig,
        audiences: &[Box<str>],
        now: Timestamp,
    ) -> Result<Accepted, Refused> {
        if self.issuer() != Some(&*issuer.issuer) {
            return Err(Refused::Invalid("it is of another issuer"));
        }
        let for_us = |name: &Value| {
            let named = |name: &str| audiences.iter().any(|ours| **ours == *name);
            name.as_str().is_some_and(named)
        };
        let audience = match self.0.get("aud") {
            Some(Value::Array(names)) => {
                names.iter().all(Value::is_string) && names.iter().any(for_us)
            }
            Some(name) => for_us(name),
            None => false,
        };
        if !audience {
            return Err(Refused::Invalid(
                "it is not for this service: its `aud` names another",
            ));
        }
        let until = self.instant("exp")?;
        let until = until.ok_or(Refused::Invalid("it has no `exp`"))?;
        let until = until.checked_add(issuer.leeway).unwrap_or(until);
        if until <= now {
            return Err(Refused::Expired(until));
        }
        for name in ["nbf", "iat"] {
            let from = self.instant(name)?;
            let from = from.map(|from| from.checked_sub(issuer.leeway).unwrap_or(from));
            if from.is_some_and(|from| from > now) {
                return Err(Refused::Invalid("it is not good yet"));
            }
        }
        let subject = self.0.get("sub").and_then(Value::as_str);
        let plain = |subject: &&str| {
            (1..=SUBJECT_BYTES_MAX).contains(&subject.len()) && !subject.contains(char::is_control)
        };
        let subject = subject.filter(plain).ok_or(Refused::Invalid(
            "its `sub` is missing, too long or not on one line",
        ))?;
        Ok(Accepted {
            subject: subject.to_owned(),
            until,
        })
    }

    /// Seconds since 1970, which may have a fraction.
    fn instant(&self, name: &str) -> Result<Option<Timestamp>, Refused> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let whole = || value.as_i64();
        // What is too large becomes the largest, which is no instant.
        let fraction = || value.as_f64().map(|seconds| seconds.floor() as i64);
        let seconds = whole().or_else(fraction);
        let instant = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let instant = instant.ok_or(Refused::Invalid(
            "one of its times is not a number of seconds",
        ))?;
        Ok(Some(instant))
    }

    /// Whether a claim has a value, or has it among others. The claim is named, or pointed to as RFC 6901 has it.
    pub(super) fn has(&self, claim: &str, wanted: &str) -> bool {
        match self.get(claim) {
            Some(Value::String(value)) => value == wanted,
            Some(Value::Array(values)) => values.iter().any(|value| value == wanted),
            _ => false,
        }
    }

    fn get(&self, claim: &str) -> Option<&Value> {
        let Some(path) = claim.strip_prefix('/') else {
            return self.0.get(claim);
        };
        let mut names = path
            .split('/')
            .map(|name| name.replace("~1", "/").replace("~0", "~"));
        let mut value = self.0.get(&names.next()?)?;
        for name in names {
            value = value.as_object()?.get(&name)?;
        }
        Some(value)
    }
}
