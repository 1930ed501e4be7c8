//! Upstreams: name, connection and TLS, without one byte of a request.

use std::sync::Arc;

use carnet_gateway::reach;

use super::Findings;
use crate::loaded::Loaded;

/// Ask for a connection to each upstream of the configuration.
pub(crate) async fn upstreams(findings: &mut Findings, loaded: &Loaded) {
    const CHECK: &str = "upstream";
    let engines: Vec<&Arc<str>> = loaded
        .config
        .engines
        .iter()
        .map(|engine| &engine.name)
        .collect();
    for (upstream, files) in loaded.upstreams() {
        let name = &upstream.name;
        if engines.contains(&name) {
            // The server starts it, and tells how it goes.
            continue;
        }
        match reach(upstream, files).await {
            Ok(reached) => {
                let address = reached
                    .address
                    .as_deref()
                    .unwrap_or("an address that is not told");
                let how = if reached.certificate_sha256.is_some() {
                    " over TLS, with a certificate that is trusted"
                } else {
                    ""
                };
                findings.ok(CHECK, format!("`{name}` is reached at {address}{how}"));
            }
            Err(error) => findings.problem(
                CHECK,
                format!("`{name}` at {} cannot be reached: {error}", upstream.origin),
                "check the address, name resolution, firewalls and, for TLS, `ca_file`",
            ),
        }
    }
}
