//! Fetching an issuer's public keys, over the same guarded connections by which upstreams are asked.

use std::net::IpAddr;

use bytes::Bytes;
use http::uri::Scheme;
use http::{StatusCode, Uri};
use serde::Deserialize;
use thiserror::Error;
use tokio::time::timeout;

use super::jwks::KeySet;
use crate::config::{IssuerConfig, KeysAt};
use crate::egress::{self, Line};
use crate::limits::{ISSUER_ANSWER_BYTES_MAX, ISSUER_CONNECT_TIME_MAX, ISSUER_FETCH_TIME_MAX};

/// Why there are no new keys.
#[derive(Debug, Error)]
pub(super) enum NoKeys {
    #[error(
        "`{0}` is not an https address of another machine, or of this one where the issuer is on it"
    )]
    Address(Uri),
    #[error("`{uri}` could not be asked: {why}")]
    Unreachable { uri: Uri, why: String },
    #[error("`{uri}` answered with status {status}")]
    Status { uri: Uri, status: StatusCode },
    #[error("what `{uri}` answered cannot be used: {why}")]
    Unreadable { uri: Uri, why: &'static str },
    #[error("nothing was answered within {} s", ISSUER_FETCH_TIME_MAX.as_secs())]
    Slow,
}

/// What OpenID Connect Discovery 1.0 has in section 3, as far as it is needed.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// The keys that an issuer has now.
pub(super) async fn keys(config: &IssuerConfig, ca: Option<&[u8]>) -> Result<KeySet, NoKeys> {
    let fetched = timeout(ISSUER_FETCH_TIME_MAX, fetch(config, ca)).await;
    fetched.map_err(|_| NoKeys::Slow)?
}

async fn fetch(config: &IssuerConfig, ca: Option<&[u8]>) -> Result<KeySet, NoKeys> {
    let uri = match &config.keys {
        KeysAt::Set(uri) => uri.clone(),
        KeysAt::Discovery(uri) => {
            let document = get(config, uri, ca).await?;
            let unreadable = |why| NoKeys::Unreadable {
                uri: uri.clone(),
                why,
            };
            let found: Discovery = serde_json::from_slice(&document)
                .map_err(|_| unreadable("it is not a discovery document"))?;
            // Section 4.3: else one issuer could speak for another.
            if found.issuer != *config.issuer {
                return Err(unreadable("it is the document of another issuer"));
            }
            let keys = found.jwks_uri.parse::<Uri>();
            keys.map_err(|_| unreadable("its `jwks_uri` is not an address"))?
        }
    };
    let bytes = get(config, &uri, ca).await?;
    KeySet::read(&bytes).map_err(|why| NoKeys::Unreadable { uri, why })
}

async fn get(config: &IssuerConfig, uri: &Uri, ca: Option<&[u8]>) -> Result<Bytes, NoKeys> {
    if !may_be_asked(config, uri) {
        return Err(NoKeys::Address(uri.clone()));
    }
    let unreachable = |why: String| NoKeys::Unreachable {
        uri: uri.clone(),
        why,
    };
    let ca_file = config.ca_file.as_deref();
    let line = Line {
        name: &config.name,
        authorities: ca_file.zip(ca),
        client_cert: None,
        proxy: None,
        private_addresses: config.private_addresses,
        connect_timeout: ISSUER_CONNECT_TIME_MAX,
    };
    // Redirects are not followed: another address would have to be looked at like the first.
    let answer = egress::get(uri, &line, ISSUER_ANSWER_BYTES_MAX).await;
    let (status, body) = answer.map_err(unreachable)?;
    if status != StatusCode::OK {
        return Err(NoKeys::Status {
            uri: uri.clone(),
            status,
        });
    }
    Ok(body)
}

/// Whether keys may be asked for there. What the configuration names is its own affair, but what a document names is not: it leads
/// to this machine only where the issuer itself is on it, and to a private address only where that is allowed.
fn may_be_asked(config: &IssuerConfig, uri: &Uri) -> bool {
    let named = config.keys.uri();
    let (Some(host), Some(own)) = (uri.host(), named.host()) else {
        return false;
    };
    if is_here(host) {
        return is_here(own);
    }
    let bare = host.trim_matches(['[', ']']);
    let public = match bare.parse::<IpAddr>() {
        Ok(address) => config.private_addresses || uri == named || egress::is_public(address),
        // Names are looked at when they are resolved.
        Err(_) => true,
    };
    public && uri.scheme() == Some(&Scheme::HTTPS)
}

/// Whether a host is this machine by its very name.
pub(crate) fn is_here(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(named: &str, private_addresses: bool) -> IssuerConfig {
        IssuerConfig {
            private_addresses,
            ..IssuerConfig::fixture(KeysAt::Discovery(named.parse().unwrap()))
        }
    }

    #[test]
    fn a_document_leads_nowhere_that_the_configuration_does_not_allow() {
        let outside = "https://id.example.org/.well-known/openid-configuration";
        let here = "http://127.0.0.1:8080/.well-known/openid-configuration";
        for (named, private, asked, may) in [
            (outside, false, "https://keys.example.net/jwks", true),
            (outside, false, "https://192.0.2.1:8443/jwks", false),
            (outside, false, "https://1.1.1.1/jwks", true),
            (outside, false, "http://keys.example.net/jwks", false),
            (outside, false, "https://localhost/jwks", false),
            (outside, true, "http://127.0.0.1/jwks", false),
            (outside, true, "https://[::1]/jwks", false),
            (outside, false, "https://10.0.0.1/jwks", false),
            (outside, false, "https://[::ffff:10.0.0.1]/jwks", false),
            (outside, false, "https://169.254.169.254/latest", false),
            (outside, true, "https://10.0.0.1/jwks", true),
            (outside, false, "ftp://keys.example.net/jwks", false),
            (outside, false, "/jwks", false),
            (here, false, "http://127.0.0.1:8081/jwks", true),
            (here, false, "http://keys.example.net/jwks", false),
            (here, false, "https://10.0.0.1/jwks", false),
        ] {
            let config = config(named, private);
            let asked = asked.parse().unwrap();
            assert_eq!(may_be_asked(&config, &asked), may, "{named} {asked}");
        }
    }
}
