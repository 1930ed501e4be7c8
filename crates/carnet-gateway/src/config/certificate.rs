//! `[[certificate]]`: which certificates callers may show in place of a key, and to which workload each leads.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Check, RawConfig, RawTls, TlsFiles};
use crate::limits::CERTIFICATE_RULES_MAX;
use crate::section::{Field, Located};

section! {
    /// A rule by which a caller's certificate leads to a workload: the first that fits.
    RawCertificate {
        required {
            /// Id of the workload.
            workload: String,
        }
        optional {
            /// A URI that the certificate has among its names, such as a SPIFFE ID. With `/*` at its end: any below it.
            uri: String,
            /// A DNS name that the certificate has.
            dns: String,
        }
    }
}

/// What the data listener shows, and asks of callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// Its own certificate chain and key.
    pub files: TlsFiles,
    /// Whose certificates callers may show; without it none is asked for.
    pub clients: Option<ClientAuthorities>,
}

/// Whose certificates callers may show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuthorities {
    /// PEM file of the authorities.
    pub file: PathBuf,
    /// Whether a connection without a certificate is refused.
    pub required: bool,
}

/// A rule by which a certificate leads to a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRule {
    /// The name that the certificate must have.
    pub wants: Wants,
    /// The workload.
    pub workload: Arc<str>,
}

/// What a rule asks of a certificate's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Nothing.
    Any,
    /// This DNS name, in lower case.
    Dns(Box<str>),
    /// This URI, to the letter.
    Uri(Box<str>),
    /// A URI that begins so, with a slash at its end.
    UrisBelow(Box<str>),
}

impl Check<'_> {
    pub(super) fn listener_tls(&mut self, raw: &RawTls) -> Option<ListenerTls> {
        let file = raw.client_ca_file.given().map(|file| &file.value);
        let clients = file.map(|file| ClientAuthorities {
            file: self.path(file),
            required: raw
                .client_required
                .given()
                .is_some_and(|required| required.value),
        });
        if let (None, Some(required)) = (&clients, raw.client_required.given()) {
            self.problem(
                required.span,
                "certificates are spoken of, but nothing says by which authorities they are checked",
                "add client_ca_file = \"clients.pem\" with the PEM of those authorities, or take `client_required` out",
            );
        }
        Some(ListenerTls {
            files: self.tls_files(&raw.cert, &raw.key)?,
            clients,
        })
    }

    pub(super) fn certificate_rules(&mut self, raw: &RawConfig) -> Vec<CertificateRule> {
        let server = raw.server.as_ref();
        let tls = server.and_then(|server| server.tls.given());
        let asked_for = tls.and_then(|tls| tls.value.client_ca_file.given());
        let first = raw.certificates.first();
        let first = first.and_then(|rule| rule.workload.given());
        match (asked_for, first) {
            (None, Some(rule)) => self.problem(
                rule.span,
                "no caller is asked for a certificate",
                "add client_ca_file = \"clients.pem\" to `tls` in [server], with the PEM of the authorities that issue them",
            ),
            (Some(file), None) if tls.is_some_and(|tls| !wanted(&tls.value)) => self.problem(
                file.span,
                "callers are asked for certificates, but no rule heeds them",
                "add a [[certificate]] with the workload to which they lead, or client_required = true",
            ),
            _ => {}
        }
        if let Some(many) = raw.certificates.get(CERTIFICATE_RULES_MAX) {
            self.problem(
                many.workload.given().map(|id| id.span).unwrap_or_default(),
                format!("there are more than {CERTIFICATE_RULES_MAX} rules for certificates"),
                "lead whole families of names with one rule: uri = \"spiffe://example.org/team/*\"",
            );
        }
        let ids = raw.workload_ids();
        let rule = |rule: &RawCertificate| {
            let workload = rule.workload.given()?;
            self.leads_to(workload, &ids);
            let wants = match (&rule.uri, &rule.dns) {
                (Field::Given(uri), Field::Absent) => self.wanted_uri(uri),
                (Field::Absent, Field::Given(dns)) => self.wanted_dns(dns),
                (Field::Given(uri), Field::Given(_)) => {
                    self.problem(
                        uri.span,
                        "a rule asks for one name",
                        "write one rule for `uri` and another for `dns`; the first that fits counts",
                    );
                    None
                }
                (Field::Absent, Field::Absent) => Some(Wants::Any),
                _ => None,
            };
            Some(CertificateRule {
                wants: wants?,
                workload: workload.value.as_str().into(),
            })
        };
        raw.certificates.iter().filter_map(rule).collect()
    }

    fn wanted_uri(&mut self, uri: &Located<String>) -> Option<Wants> {
        let (exact, below) = match uri.value.strip_suffix('*') {
            Some(start) => (start, true),
            None => (uri.value.as_str(), false),
        };
        let (scheme, rest) = exact.split_once("://").unwrap_or_default();
        // Whoever may name its own workloads below a trust domain must not choose the domain.
        let has_domain = !below || (exact.ends_with('/') && rest.split_once('/').is_some());
        let named = !scheme.is_empty() && !rest.is_empty() && !rest.starts_with('/');
        if !named || !has_domain || exact.contains('*') {
            self.problem(
                uri.span,
                format!("`{}` is not a URI to look for in a certificate", uri.value),
                "write it whole, as uri = \"spiffe://example.org/team/app\", or with `/*` at its end for all below",
            );
            return None;
        }
        Some(if below {
            Wants::UrisBelow(exact.into())
        } else {
            Wants::Uri(exact.into())
        })
    }

    fn wanted_dns(&mut self, dns: &Located<String>) -> Option<Wants> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if dns.value.is_empty() || !dns.value.chars().all(plain) {
            self.problem(
                dns.span,
                format!("`{}` is not a name to look for in a certificate", dns.value),
                "write one whole DNS name, as dns = \"app.example.org\"",
            );
            return None;
        }
        Some(Wants::Dns(dns.value.to_ascii_lowercase().into()))
    }
}

fn wanted(tls: &RawTls) -> bool {
    let required = tls.client_required.given();
    required.is_some_and(|required| required.value)
}
