//! The terms on which a key works: until when, for which requests and models, and from where.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use jiff::Timestamp;
use thiserror::Error;

/// See the module. A list that is empty sets no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTerms {
    /// From when it no longer works.
    pub expires: Option<Timestamp>,
    /// The kinds of requests that it is for, by the words of whoever serves them.
    pub scopes: Box<[Box<str>]>,
    /// The models that it is for, as callers name them; a `*` at the end stands for any rest.
    pub models: Box<[Box<str>]>,
    /// The networks that it works from.
    pub networks: Box<[Network]>,
}

impl KeyTerms {
    /// Whether a request is within its scopes that has any of these names.
    #[must_use]
    pub fn may_ask(&self, names: &[&str]) -> bool {
        let named = |scope: &str| names.contains(&scope);
        self.scopes.is_empty() || self.scopes.iter().any(|scope| named(scope))
    }

    /// Whether it is for this model.
    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| names(pattern, model))
    }

    /// Whether it works for a caller at this address. One that is not known is in no network.
    #[must_use]
    pub fn may_come_from(&self, address: Option<IpAddr>) -> bool {
        let within = |address| self.networks.iter().any(|network| network.has(address));
        self.networks.is_empty() || address.is_some_and(within)
    }
}

/// Whether a pattern names this model.
fn names(pattern: &str, model: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => model.starts_with(beginning),
        None => pattern == model,
    }
}

/// A range of addresses in CIDR notation (RFC 4632, RFC 4291 section 2.3), such as `192.0.2.0/24`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpNet);

/// A text that names no network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotANetwork {
    /// It is of another form.
    #[error("`{0}` is not a network such as 192.0.2.0/24 or 2001:db8::/32")]
    Form(String),
    /// Bits behind the prefix are set: the range may be another than the one that was meant.
    #[error("`{text}` names an address within the network {network}")]
    Inside {
        /// What was written.
        text: String,
        /// The network that has it.
        network: Network,
    },
}

impl Network {
    /// Whether an address is in it. An IPv4 address in the clothes of IPv6 (`::ffff:…`) is one of IPv4.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_canonical().into()));
        }
        let net: IpNet = text
            .parse()
            .map_err(|_| NotANetwork::Form(text.to_owned()))?;
        // In IPv6's clothes it would hold no address, since those are taken off.
        let mapped = matches!(net, IpNet::V6(v6) if v6.network().to_ipv4_mapped().is_some());
        if mapped {
            return Err(NotANetwork::Form(text.to_owned()));
        }
        if net != net.trunc() {
            return Err(NotANetwork::Inside {
                text: text.to_owned(),
                network: Self(net.trunc()),
            });
        }
        Ok(Self(net))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(texts: &[&str]) -> Box<[Box<str>]> {
        texts.iter().map(|text| (*text).into()).collect()
    }

    #[test]
    fn a_key_without_terms_is_for_everything_from_everywhere() {
        let terms = KeyTerms::default();
        assert!(terms.may_ask(&["chat-completions"]) && terms.may_use("any"));
        assert!(terms.may_come_from(None));
    }

    #[test]
    fn terms_bound_requests_and_models() {
        let terms = KeyTerms {
            scopes: boxed(&["models", "inference"]),
            models: boxed(&["llama3.3:70b", "gpt-*"]),
            ..KeyTerms::default()
        };
        assert!(terms.may_ask(&["embeddings", "inference"]));
        assert!(!terms.may_ask(&["stored-responses"]) && !terms.may_ask(&[]));
        for (model, may) in [
            ("llama3.3:70b", true),
            ("llama3.3:70b-fast", false),
            ("gpt-", true),
            ("gpt-x", true),
            ("gpt", false),
            ("GPT-x", false),
        ] {
            assert_eq!(terms.may_use(model), may, "{model}");
        }
    }

    #[test]
    fn an_address_is_in_a_network_or_is_refused() {
        let networks = ["192.0.2.0/24", "198.51.100.7", "2001:db8::/32"];
        let terms = KeyTerms {
            networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
            ..KeyTerms::default()
        };
        for (address, may) in [
            ("192.0.2.0", true),
            ("192.0.2.255", true),
            ("::ffff:192.0.2.9", true),
            ("192.0.3.0", false),
            ("198.51.100.7", true),
            ("198.51.100.8", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
            ("::192.0.2.9", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(terms.may_come_from(Some(address)), may, "{address}");
        }
        assert!(!terms.may_come_from(None));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "localhost",
            "192.0.2.0/33",
            "192.0.2/24",
            "::ffff:192.0.2.0/120",
            "192.0.2.0/24 ",
        ] {
            let refused = NotANetwork::Form(text.to_owned());
            assert_eq!(text.parse::<Network>(), Err(refused), "{text}");
        }
        let inside = "192.0.2.1/24".parse::<Network>().unwrap_err().to_string();
        assert_eq!(
            inside,
            "`192.0.2.1/24` names an address within the network 192.0.2.0/24"
        );
        let whole: Network = "0.0.0.0/0".parse().unwrap();
        assert_eq!(whole.to_string(), "0.0.0.0/0");
    }
}
