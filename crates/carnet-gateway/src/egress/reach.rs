//! Whether an upstream can be reached: name, connection and TLS as a request would have them, and not one byte of a request.

use std::sync::Arc;

use http::Uri;
use hyper_util::client::legacy::connect::Connection;
use tower_service::Service;

use super::connect::{ConnectionFacts, Connector};
use super::{Line, UpstreamFiles, tcp};
use crate::config::UpstreamConfig;

/// A connection that was opened, and closed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The peer's address: the upstream's, the proxy's, or `unix:` with the socket's path.
    pub address: Option<Arc<str>>,
    /// SHA-256 of the certificate, in hexadecimal digits; none without TLS.
    pub certificate_sha256: Option<Arc<str>>,
}

/// Open a connection to an upstream with the files that it needs, within its own time for that.
///
/// # Errors
/// Why there is none.
pub async fn reach(config: &UpstreamConfig, files: &UpstreamFiles) -> Result<Reached, String> {
    let mut connector = match &config.socket {
        Some(socket) => Connector::unix(socket, config.connect_timeout),
        None => tcp(config.urls.base(), &Line::of(config, files))
            .map_err(|problem| problem.to_string())?,
    };
    let base: Uri = config.urls.base().clone();
    let opened = connector.call(base).await.map_err(|error| whole(&*error))?;
    let mut extensions = http::Extensions::new();
    opened.connected().get_extras(&mut extensions);
    let facts: Option<&Arc<ConnectionFacts>> = extensions.get();
    Ok(Reached {
        address: facts.and_then(|facts| facts.address.clone()),
        certificate_sha256: facts.and_then(|facts| facts.certificate_sha256.clone()),
    })
}

/// An error with what is behind it, each said once.
fn whole(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}
