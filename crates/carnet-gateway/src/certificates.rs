//! Callers who show a certificate in place of a key (mutual TLS).
//!
//! Its chain was checked by the TLS handshake of the connection. What it says is read once there; to which workload that leads is asked
//! for each request, so that a changed rule counts at once.

use std::sync::{Arc, Mutex, PoisonError};

use carnet_limits::{KeyDigest, KeyEntry, KeyId, KeyRecord, KeyTerms};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::caller::Caller;
use crate::codes::Code;
use crate::config::{CertificateRule, Wants};
use crate::error::Fault;
use crate::limits::CERTIFICATE_NAMES_MAX;

/// What the ids of such callers begin with in records.
const OWN: &str = "certificate";

/// What a caller's certificate says.
#[derive(Debug)]
pub(crate) struct Shown {
    /// As they are written.
    uris: Vec<Box<str>>,
    /// In lower case.
    dns: Vec<Box<str>>,
    fingerprint: Box<str>,
    since: Timestamp,
    until: Timestamp,
    /// What it stood for the last time. Held for a look, never over I/O.
    last: Mutex<Option<KeyEntry>>,
}

impl Shown {
    /// Read a certificate (DER) whose chain has been checked; nothing where it says nothing that can be relied on.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        let validity = certificate.validity();
        let time = |time: i64| Timestamp::from_second(time).ok();
        let names = certificate.subject_alternative_name().ok()?;
        let names = names.map_or(&[][..], |names| &names.value.general_names);
        if !rest.is_empty() || names.len() > CERTIFICATE_NAMES_MAX {
            return None;
        }
        let plain =
            |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        let (mut uris, mut dns) = (Vec::new(), Vec::new());
        for name in names {
            match name {
                GeneralName::URI(uri) if plain(uri) => uris.push((*uri).into()),
                GeneralName::DNSName(name) if plain(name) => {
                    dns.push(name.to_ascii_lowercase().into());
                }
                _ => {}
            }
        }
        Some(Self {
            uris,
            dns,
            fingerprint: hex::encode(Sha256::digest(der)).into(),
            since: time(validity.not_before.timestamp())?,
            until: time(validity.not_after.timestamp())?,
            last: Mutex::default(),
        })
    }

    /// The name by which it fits, or nothing where it does not.
    fn fits(&self, wants: &Wants) -> Option<&str> {
        let named = match wants {
            Wants::Any => self
                .uris
                .first()
                .or(self.dns.first())
                .or(Some(&self.fingerprint)),
            Wants::Dns(name) => self.dns.iter().find(|other| *other == name),
            Wants::Uri(uri) => self.uris.iter().find(|other| *other == uri),
            Wants::UrisBelow(start) => self.uris.iter().find(|uri| {
                // What a reader could take for a way up would lead out of there.
                let below = uri.strip_prefix(&**start);
                below.is_some_and(|rest| {
                    !rest.is_empty() && !rest.split('/').any(|part| part == "..")
                })
            }),
        };
        named.map(|name| &**name)
    }

    /// As if it were a key of the workload.
    fn entry(&self, name: &str, workload: &Arc<str>) -> KeyEntry {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |key: &&KeyEntry| {
            let named = key.id.as_str().split_once(':').map(|(_, name)| name);
            key.workload == *workload && named == Some(name)
        };
        if let Some(key) = last.as_ref().filter(same) {
            return key.clone();
        }
        let key = Arc::new(KeyRecord {
            id: KeyId::from_text(&format!("{OWN}:{name}")),
            digest: KeyDigest::of(&self.fingerprint),
            former: Box::default(),
            workload: workload.clone(),
            note: String::new(),
            created: self.since,
            revoked: None,
            terms: KeyTerms {
                expires: Some(self.until),
                ..KeyTerms::default()
            },
        });
        last.insert(key).clone()
    }
}

/// The rules of one generation.
#[derive(Debug, Default)]
pub(crate) struct Certificates(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    config: CertificateRule,
    /// Cancelled when the configuration no longer has the rule.
    revoked: CancellationToken,
}

impl Certificates {
    /// Those of a configuration. Answers go on that run by a rule that stays.
    pub(crate) fn new(rules: Vec<CertificateRule>, previous: Option<&Self>) -> Self {
        let previous = previous.map_or(&[][..], |previous| &previous.0);
        let rule = |config: CertificateRule| {
            let same = previous.iter().find(|rule| rule.config == config);
            let revoked = same.map(|same| same.revoked.clone()).unwrap_or_default();
            Rule { config, revoked }
        };
        Self(rules.into_iter().map(rule).collect())
    }

    /// Cut what runs by rules that `next` no longer has.
    pub(crate) fn retire(&self, next: &Self) {
        for rule in &self.0 {
            if !next.0.iter().any(|other| other.config == rule.config) {
                rule.revoked.cancel();
            }
        }
    }

    /// Cut all that runs by certificates.
    pub(crate) fn cancel_all(&self) {
        for rule in &self.0 {
            rule.revoked.cancel();
        }
    }

    /// Who shows a certificate.
    pub(crate) fn caller(&self, shown: &Shown, now: Timestamp) -> Result<Caller, Fault> {
        // The handshake has seen to that; but the connection may be older than the certificate's end.
        if shown.until <= now {
            let message = format!(
                "the certificate of this connection was good until {}; connect again with a new one",
                shown.until
            );
            return Err(Fault::new(Code::CertificateExpired, message));
        }
        let mut rules = self.0.iter();
        let leads = rules.find_map(|rule| Some((rule, shown.fits(&rule.config.wants)?)));
        let Some((rule, name)) = leads else {
            let message = "the certificate of this connection leads to no workload; send a key, or ask your operator for a [[certificate]] \
                           with one of its names";
            return Err(Fault::new(Code::CertificateUnmapped, message));
        };
        Ok(Caller {
            key: shown.entry(name, &rule.config.workload),
            revoked: rule.revoked.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn shown(uris: &[&str], dns: &[&str]) -> Shown {
        let mut params =
            CertificateParams::new(dns.iter().map(ToString::to_string).collect::<Vec<_>>())
                .unwrap();
        for uri in uris {
            params
                .subject_alt_names
                .push(SanType::URI((*uri).try_into().unwrap()));
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Shown::read(certificate.der()).unwrap()
    }

    fn rules(rules: &[(Wants, &str)]) -> Vec<CertificateRule> {
        let rule = |(wants, workload): &(Wants, &str)| CertificateRule {
            wants: wants.clone(),
            workload: (*workload).into(),
        };
        rules.iter().map(rule).collect()
    }

    #[test]
    fn the_first_rule_that_fits_a_name_counts() {
        let certificates = Certificates::new(
            rules(&[
                (Wants::Uri("spiffe://example.org/billing".into()), "billing"),
                (Wants::UrisBelow("spiffe://example.org/lab/".into()), "lab"),
                (Wants::Dns("app.example.org".into()), "app"),
            ]),
            None,
        );
        for (uris, dns, found) in [
            (
                &["spiffe://example.org/billing"][..],
                &[][..],
                Some(("billing", "certificate:spiffe://example.org/billing")),
            ),
            (&["spiffe://example.org/billing/x"], &[], None),
            (&["spiffe://EXAMPLE.org/billing"], &[], None),
            (
                &["spiffe://example.org/lab/a/b"],
                &[],
                Some(("lab", "certificate:spiffe://example.org/lab/a/b")),
            ),
            (&["spiffe://example.org/lab/"], &[], None),
            (&["spiffe://example.org/lab/../billing"], &[], None),
            (&["spiffe://example.org/laboratory"], &[], None),
            (&["spiffe://example.org.evil.example/lab/a"], &[], None),
            (
                &[],
                &["APP.example.org"],
                Some(("app", "certificate:app.example.org")),
            ),
            (&[], &["a.app.example.org"], None),
            (
                &["spiffe://example.org/lab/a"],
                &["app.example.org"],
                Some(("lab", "certificate:spiffe://example.org/lab/a")),
            ),
            (&[], &[], None),
        ] {
            let shown = shown(uris, dns);
            let caller = certificates.caller(&shown, at(1_800_000_000));
            let led = caller
                .as_ref()
                .ok()
                .map(|caller| (&*caller.key.workload, caller.key.id.as_str()));
            assert_eq!(led, found, "{uris:?} {dns:?}");
            if let Err(fault) = caller {
                assert_eq!(fault.code, Code::CertificateUnmapped);
            }
        }
    }

    #[test]
    fn a_certificate_without_names_is_told_by_its_digest_and_ends() {
        let certificates = Certificates::new(rules(&[(Wants::Any, "all")]), None);
        let shown = shown(&[], &[]);
        let caller = certificates.caller(&shown, at(1_800_000_000)).unwrap();
        assert_eq!(
            caller.key.id.as_str(),
            format!("certificate:{}", shown.fingerprint)
        );
        let again = certificates.caller(&shown, at(1_800_000_001)).unwrap();
        assert!(Arc::ptr_eq(&caller.key, &again.key));
        let late = certificates.caller(&shown, shown.until).unwrap_err();
        assert_eq!(late.code, Code::CertificateExpired);
    }

    #[test]
    fn what_is_no_certificate_says_nothing() {
        let shown = shown(&["spiffe://example.org/a b\n"], &[]);
        assert!(shown.uris.is_empty());
        for wrong in [&b""[..], b"0", &[0x30; 64]] {
            assert!(Shown::read(wrong).is_none());
        }
    }

    #[test]
    fn a_rule_that_goes_ends_what_runs_by_it_and_no_other() {
        let both = rules(&[(Wants::Dns("a".into()), "x"), (Wants::Dns("b".into()), "x")]);
        let before = Certificates::new(both.clone(), None);
        let after = Certificates::new(both.into_iter().skip(1).collect(), Some(&before));
        before.retire(&after);
        let now = at(1_800_000_000);
        let of = |name: &str| before.caller(&shown(&[], &[name]), now).unwrap();
        assert!(of("a").revoked.is_cancelled());
        assert!(!of("b").revoked.is_cancelled());
        after.cancel_all();
        assert!(of("b").revoked.is_cancelled());
    }
}
