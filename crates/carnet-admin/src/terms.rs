//! From what an operator wants of a key to the terms on which it works.

use carnet_gateway::KEY_SCOPES;
use carnet_limits::{KeyTerms, Network, NotANetwork};
use jiff::{SignedDuration, Timestamp};

use crate::answers::{NewKey, RotateKey};
use crate::codes::Code;
use crate::fault::Fault;
use crate::limits::{GRACE_TIME_MAX, TERM_BYTES_MAX, TERMS_MAX};
use crate::store::Rotation;

impl NewKey {
    /// The terms that it asks for.
    ///
    /// # Errors
    /// When one cannot be: an end in the past, a word that is no scope, a text that is no network.
    pub fn terms(&self, now: Timestamp) -> Result<KeyTerms, Fault> {
        let Self {
            expires,
            scopes,
            models,
            networks,
            ..
        } = self;
        check_end(*expires, now)?;
        for (name, texts) in [
            ("scopes", scopes),
            ("models", models),
            ("networks", networks),
        ] {
            check_count(name, texts)?;
        }
        for scope in scopes {
            if !KEY_SCOPES.contains(&scope.as_str()) {
                let message = format!("`{}` is not a scope", scope.escape_debug());
                let help = format!("scopes are {}", KEY_SCOPES.join(", "));
                return Err(Fault::new(Code::InvalidRequest, message, help));
            }
        }
        for model in models {
            let inner = model.strip_suffix('*').unwrap_or(model);
            if model.is_empty() || inner.contains('*') || inner.contains(char::is_control) {
                let message = format!("`{}` is not the name of a model", model.escape_debug());
                let help = "write it as callers do; a `*` may only stand at the end";
                return Err(Fault::new(Code::InvalidRequest, message, help));
            }
        }
        let networks = networks
            .iter()
            .map(|text| text.parse::<Network>().map_err(no_network));
        Ok(KeyTerms {
            expires: *expires,
            scopes: boxed(scopes),
            models: boxed(models),
            networks: networks.collect::<Result<_, _>>()?,
        })
    }
}

impl RotateKey {
    /// The rotation that it asks for.
    ///
    /// # Errors
    /// When the grace time is too long or the end lies in the past.
    pub fn rotation(&self, now: Timestamp) -> Result<Rotation, Fault> {
        let Self {
            grace_seconds,
            expires,
        } = self;
        check_end(*expires, now)?;
        if u64::from(*grace_seconds) > GRACE_TIME_MAX.as_secs() {
            let days = GRACE_TIME_MAX.as_secs() / (24 * 3600);
            let message = format!("a secret that is replaced works on for at most {days} days");
            let help = "choose a shorter grace time";
            return Err(Fault::new(Code::InvalidRequest, message, help));
        }
        Ok(Rotation {
            grace: SignedDuration::from_secs(i64::from(*grace_seconds)),
            expires: *expires,
        })
    }
}

fn check_end(expires: Option<Timestamp>, now: Timestamp) -> Result<(), Fault> {
    match expires {
        Some(expires) if expires <= now => {
            let message = format!("a key that expires at {expires} would never work");
            let help = "give a time in the future, or none for a key without end";
            Err(Fault::new(Code::InvalidRequest, message, help))
        }
        Some(_) | None => Ok(()),
    }
}

fn check_count(name: &str, texts: &[String]) -> Result<(), Fault> {
    if texts.len() > TERMS_MAX {
        let message = format!("{} {name} are given; {TERMS_MAX} are allowed", texts.len());
        let help = "make several keys, or take fewer that say more";
        return Err(Fault::new(Code::InvalidRequest, message, help));
    }
    if let Some(long) = texts.iter().find(|text| text.len() > TERM_BYTES_MAX) {
        let message = format!(
            "one of `{name}` has {} bytes; {TERM_BYTES_MAX} are allowed",
            long.len()
        );
        return Err(Fault::new(Code::InvalidRequest, message, "shorten it"));
    }
    Ok(())
}

fn no_network(error: NotANetwork) -> Fault {
    let help = match &error {
        NotANetwork::Form(_) => "write an address, or a range such as 192.0.2.0/24".to_owned(),
        NotANetwork::Inside { network, .. } => format!("write {network} for all of it"),
    };
    Fault::new(Code::InvalidRequest, error.to_string(), help)
}

fn boxed(texts: &[String]) -> Box<[Box<str>]> {
    texts.iter().map(|text| text.as_str().into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_is_asked_for_becomes_terms() {
        let new = NewKey {
            expires: Timestamp::from_second(1).ok(),
            scopes: texts(&["inference", "stored-responses"]),
            models: texts(&["gpt-*"]),
            networks: texts(&["192.0.2.0/24", "2001:db8::1"]),
            ..NewKey::default()
        };
        let terms = new.terms(NOW).unwrap();
        assert_eq!(terms.expires, new.expires);
        assert!(terms.may_ask(&["inference"]) && terms.may_use("gpt-x"));
        let networks: Vec<String> = terms.networks.iter().map(Network::to_string).collect();
        assert_eq!(networks, ["192.0.2.0/24", "2001:db8::1/128"]);
        assert_eq!(NewKey::default().terms(NOW).unwrap(), KeyTerms::default());
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_fix() {
        let long = "x".repeat(TERM_BYTES_MAX + 1);
        let many = vec!["x".to_owned(); TERMS_MAX + 1];
        let of_expiry = |second| NewKey {
            expires: Timestamp::from_second(second).ok(),
            ..NewKey::default()
        };
        let of_scopes = |scopes| NewKey {
            scopes,
            ..NewKey::default()
        };
        let of_models = |models| NewKey {
            models,
            ..NewKey::default()
        };
        let of_networks = |networks| NewKey {
            networks,
            ..NewKey::default()
        };
        for (new, message, help) in [
            (of_expiry(0), "would never work", "in the future"),
            (
                of_scopes(texts(&["chat"])),
                "`chat` is not a scope",
                "scopes are chat-completions",
            ),
            (
                of_models(texts(&["*-x"])),
                "`*-x` is not the name",
                "at the end",
            ),
            (
                of_models(texts(&[""])),
                "`` is not the name",
                "as callers do",
            ),
            (
                of_models(texts(&["a\n"])),
                "`a\\n` is not the name",
                "as callers do",
            ),
            (of_models(vec![long]), "has 257 bytes", "shorten it"),
            (of_models(many), "65 models are given", "several keys"),
            (
                of_networks(texts(&["home"])),
                "`home` is not a network",
                "write an address",
            ),
            (
                of_networks(texts(&["192.0.2.1/24"])),
                "within",
                "write 192.0.2.0/24",
            ),
        ] {
            let fault = new.terms(NOW).unwrap_err();
            assert!(fault.message.contains(message), "{fault:?}");
            assert!(fault.help.contains(help), "{fault:?}");
        }
        let rotate = RotateKey {
            grace_seconds: u32::MAX,
            expires: None,
        };
        assert!(rotate.rotation(NOW).is_err());
        let day = RotateKey::default().rotation(NOW).unwrap();
        assert_eq!(day.grace, SignedDuration::from_hours(24));
    }
}
