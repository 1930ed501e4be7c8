//! The proxies in front of the listener that are believed.

use carnet_limits::{Network, NotANetwork};

use super::{Check, RawServer};
use crate::section::Located;
use crate::source::{ProxyHeader, TrustedProxies};

impl Check<'_> {
    pub(super) fn proxies(&mut self, raw: &RawServer) -> TrustedProxies {
        let networks = raw.trusted_proxies.given();
        let header = self.word(
            &raw.proxy_header,
            "a header in which proxies tell addresses",
            &[
                ("x-forwarded-for", ProxyHeader::XForwardedFor),
                ("forwarded", ProxyHeader::Forwarded),
            ],
        );
        if let (Some(header), None) = (raw.proxy_header.given(), networks) {
            self.problem(
                header.span,
                "a header of proxies is named, but no proxy is trusted",
                "add trusted_proxies = [\"192.0.2.16/28\"] with the networks of yours, or take `proxy_header` out",
            );
        }
        TrustedProxies {
            networks: networks.map_or_else(Vec::new, |networks| self.networks(networks)),
            header: header.unwrap_or_default(),
        }
    }

    fn networks(&mut self, raw: &Located<Vec<String>>) -> Vec<Network> {
        let mut networks = Vec::with_capacity(raw.value.len());
        for text in &raw.value {
            match text.parse() {
                Ok(network) => networks.push(network),
                Err(error) => {
                    let help = match &error {
                        NotANetwork::Form(_) => {
                            "write an address, or a range such as \"192.0.2.16/28\"".to_owned()
                        }
                        NotANetwork::Inside { network, .. } => {
                            format!("write \"{network}\" for all of it")
                        }
                    };
                    self.problem(raw.span, error.to_string(), help);
                }
            }
        }
        networks
    }
}
