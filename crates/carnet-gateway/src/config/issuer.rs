//! `[[issuer]]`: whose tokens callers may show in place of a key, and to which workload each leads.

use std::path::PathBuf;
use std::sync::Arc;

use http::Uri;
use http::uri::Scheme;
use jiff::SignedDuration;
use toml_span::Span;

use super::{Check, RawConfig};
use crate::issuers::{Algorithm, is_here};
use crate::limits::{
    ISSUER_LEEWAY_SECONDS, ISSUER_LEEWAY_SECONDS_MAX, ISSUER_RULES_MAX, ISSUERS_MAX,
};
use crate::section::{Field, Located};

/// Where OpenID Connect Discovery 1.0 has the document of an issuer, in section 4.
const DISCOVERY: &str = "/.well-known/openid-configuration";

section! {
    /// An issuer of tokens (JSON Web Tokens) that callers may show in place of a key, and administrators in place of the admin token.
    RawIssuer {
        required {
            /// Its name: records have it before the subject of a token.
            name: String,
            /// What its tokens name as `iss`, to the letter. Without `jwks` it is the https address of an OpenID provider.
            issuer: String,
        }
        optional {
            /// What tokens of callers must name as `aud`: one of these at least.
            audiences: Vec<String>,
            /// To which workload a caller's token leads: the first rule that fits.
            workloads: Vec<RawClaimRule>,
            /// What tokens of administrators must name as `aud`: one of these at least, none of which is in `audiences`.
            admin_audiences: Vec<String>,
            /// What an administrator's token allows: the first rule that fits.
            admins: Vec<RawAdminRule>,
            /// Address of its public keys (a JSON Web Key Set). Default: the one that its discovery document names.
            jwks: String,
            /// How its tokens may be signed: of `EdDSA`, `ES256`, `ES384`, `PS256`, `PS384`, `PS512`, `RS256`, `RS384` and
            /// `RS512`. Default: `["ES256", "RS256"]`.
            algorithms: Vec<String>,
            /// Seconds by which its clock may differ from ours. Default 60, at most 300.
            leeway_seconds: u64,
            /// PEM file with the certificate authorities to trust instead of the public ones.
            ca_file: String,
            /// Whether its addresses may be private. Default false.
            private_addresses: bool,
        }
    }
}

section! {
    /// A rule by which a token leads to a workload.
    RawClaimRule {
        required {
            /// Id of the workload.
            workload: String,
        }
        optional {
            /// A claim: its name, or its path with slashes, such as `/realm_access/roles`. Default: the rule fits every token.
            claim: String,
            /// What the claim must be, or have in its list.
            value: String,
        }
    }
}

section! {
    /// A rule by which a token allows to administrate.
    RawAdminRule {
        required {
            /// `viewer` (reads everything), `operator` (also reloads, and puts targets into service) or `admin` (also manages keys).
            role: String,
            /// A claim: its name, or its path with slashes.
            claim: String,
            /// What the claim must be, or have in its list.
            value: String,
        }
        optional {}
    }
}

/// What an administrator may do; each role also what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read everything.
    Viewer,
    /// Reload, put targets into service, put proofs on record.
    Operator,
    /// Manage keys.
    Admin,
}

impl Role {
    /// All roles, with their names.
    pub const ALL: [(&'static str, Self); 3] = [
        ("viewer", Self::Viewer),
        ("operator", Self::Operator),
        ("admin", Self::Admin),
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// An issuer's settings. Equal settings share keys over a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerConfig {
    /// Its name.
    pub name: Arc<str>,
    /// What tokens name as `iss`.
    pub issuer: Box<str>,
    /// What tokens of callers may name as `aud`.
    pub audiences: Vec<Box<str>>,
    /// What tokens of administrators may name as `aud`; none of `audiences`.
    pub admin_audiences: Vec<Box<str>>,
    /// What an administrator's token allows.
    pub admins: Vec<AdminRule>,
    /// Where its public keys are.
    pub keys: KeysAt,
    /// How tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// By how much its clock may differ.
    pub leeway: SignedDuration,
    /// To which workload a token leads.
    pub rules: Vec<ClaimRule>,
    /// Certificate authorities instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// Whether its addresses may be private.
    pub private_addresses: bool,
}

/// Where the public keys of an issuer are to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysAt {
    /// Where the document at this address says.
    Discovery(Uri),
    /// At this address.
    Set(Uri),
}

impl KeysAt {
    /// The address that the configuration names.
    pub(crate) fn uri(&self) -> &Uri {
        match self {
            Self::Discovery(uri) | Self::Set(uri) => uri,
        }
    }
}

/// A rule by which a token allows to administrate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminRule {
    /// What it allows.
    pub role: Role,
    /// The claim and its value.
    pub wants: (Box<str>, Box<str>),
}

/// A rule by which a token leads to a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRule {
    /// The workload.
    pub workload: Arc<str>,
    /// The claim and its value; none fits every token.
    pub wants: Option<(Box<str>, Box<str>)>,
}

impl Check<'_> {
    pub(super) fn issuers(&mut self, raw: &RawConfig) -> Vec<IssuerConfig> {
        let ids = raw.workload_ids();
        let mut issuers: Vec<IssuerConfig> = Vec::with_capacity(raw.issuers.len());
        for entry in &raw.issuers {
            let (Some(name), Some(issuer)) = (entry.name.given(), entry.issuer.given()) else {
                continue;
            };
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if name.value.is_empty() || !name.value.chars().all(plain) {
                self.problem(
                    name.span,
                    format!("`{}` is not a name for an issuer", name.value),
                    "write letters, digits, `-`, `_` and `.`",
                );
            }
            if issuers.len() == ISSUERS_MAX {
                self.problem(
                    name.span,
                    format!("there are more than {ISSUERS_MAX} issuers"),
                    "take out those that nobody uses",
                );
                break;
            }
            for other in &issuers {
                if *other.name == *name.value || *other.issuer == *issuer.value {
                    self.problem(
                        name.span,
                        format!(
                            "`{}` has the name or the `issuer` of another entry",
                            name.value
                        ),
                        "give each issuer one entry; it may have several audiences and rules",
                    );
                }
            }
            issuers.extend(self.issuer((name, issuer), entry, &ids));
        }
        issuers
    }

    fn issuer(
        &mut self,
        (name, issuer): (&Located<String>, &Located<String>),
        raw: &RawIssuer,
        ids: &[&str],
    ) -> Option<IssuerConfig> {
        let keys = match &raw.jwks {
            Field::Given(jwks) => self.keys_address(jwks, &jwks.value).map(KeysAt::Set),
            Field::Absent => {
                let document = format!("{}{DISCOVERY}", issuer.value.trim_end_matches('/'));
                self.keys_address(issuer, &document).map(KeysAt::Discovery)
            }
            Field::Wrong => None,
        };
        let audiences = self.audiences(
            (
                &raw.audiences,
                raw.workloads.given().map(|rules| rules.span),
            ),
            ("audiences", "workloads"),
        );
        let admin_audiences = self.audiences(
            (
                &raw.admin_audiences,
                raw.admins.given().map(|rules| rules.span),
            ),
            ("admin_audiences", "admins"),
        );
        if let Some(both) = raw.admin_audiences.given()
            && admin_audiences.iter().any(|name| audiences.contains(name))
        {
            self.problem(
                both.span,
                "`admin_audiences` and `audiences` have a name in common, so that a caller's token could administrate",
                "have the issuer give administrators tokens with an audience of their own",
            );
        }
        if raw.workloads.given().is_none() && raw.admins.given().is_none() {
            self.problem(
                name.span,
                "the issuer's tokens lead nowhere",
                "add workloads = [{ workload = \"…\" }] with `audiences`, or `admins` with `admin_audiences`",
            );
        }
        let algorithms = match raw.algorithms.given() {
            Some(words) => self.algorithms(words),
            None => vec![Algorithm::Es256, Algorithm::Rs256],
        };
        let leeway = raw.leeway_seconds.given();
        if let Some(long) = leeway.filter(|leeway| leeway.value > ISSUER_LEEWAY_SECONDS_MAX) {
            self.problem(
                long.span,
                format!("`leeway_seconds` is {}", long.value),
                format!(
                    "choose a number from 0 to {ISSUER_LEEWAY_SECONDS_MAX}, and set the clocks"
                ),
            );
        }
        let leeway = leeway.map_or(ISSUER_LEEWAY_SECONDS, |leeway| leeway.value);
        let leeway = leeway.min(ISSUER_LEEWAY_SECONDS_MAX);
        let rules = raw.workloads.given();
        let rules = rules.map(|rules| self.claim_rules(rules, ids));
        let admins = raw.admins.given();
        let admins = admins.map(|rules| self.admin_rules(rules));
        Some(IssuerConfig {
            name: name.value.as_str().into(),
            issuer: issuer.value.as_str().into(),
            audiences,
            admin_audiences,
            admins: admins.unwrap_or_default(),
            keys: keys?,
            algorithms,
            leeway: SignedDuration::from_secs(i64::try_from(leeway).unwrap_or(0)),
            rules: rules.unwrap_or_default(),
            ca_file: raw.ca_file.given().map(|file| self.path(&file.value)),
            private_addresses: raw.private_addresses.given().is_some_and(|yes| yes.value),
        })
    }

    /// The audiences that go with rules of their own.
    fn audiences(
        &mut self,
        (given, rules): (&Field<Vec<String>>, Option<Span>),
        (name, of_rules): (&str, &str),
    ) -> Vec<Box<str>> {
        let names = given.given();
        match (names, rules) {
            (Some(names), _)
                if names.value.is_empty() || names.value.iter().any(String::is_empty) =>
            {
                self.problem(
                    names.span,
                    "an issuer without audiences would let in tokens that were made for others",
                    "name what its tokens for Carnet have as `aud`",
                );
            }
            (Some(names), None) => self.problem(
                names.span,
                format!("`{name}` stands without `{of_rules}`"),
                format!("add `{of_rules}` with the rules for such tokens, or take `{name}` out"),
            ),
            (None, Some(rules)) => self.problem(
                rules,
                format!("`{of_rules}` stands without `{name}`"),
                format!("add `{name}`: what such tokens for Carnet have as `aud`"),
            ),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let names = names.map_or(&[][..], |names| &names.value);
        names.iter().map(|name| name.as_str().into()).collect()
    }

    fn admin_rules(&mut self, rules: &Located<Vec<RawAdminRule>>) -> Vec<AdminRule> {
        if rules.value.is_empty() || rules.value.len() > ISSUER_RULES_MAX {
            self.problem(
                rules.span,
                format!("`admins` needs 1 to {ISSUER_RULES_MAX} rules"),
                "add admins = [{ claim = \"groups\", value = \"…\", role = \"viewer\" }]",
            );
        }
        let rule = |rule: &RawAdminRule| {
            let word = rule.role.given()?;
            let role = Role::ALL.iter().find(|(name, _)| *name == word.value);
            if role.is_none() {
                self.problem(
                    word.span,
                    format!("`{}` is no role of administrators", word.value),
                    "choose of viewer, operator, admin",
                );
            }
            let (claim, value) = (rule.claim.given()?, rule.value.given()?);
            Some(AdminRule {
                role: role?.1,
                wants: (claim.value.as_str().into(), value.value.as_str().into()),
            })
        };
        rules.value.iter().filter_map(rule).collect()
    }

    /// An address from which public keys may come: else whoever is on the way could put in their own.
    fn keys_address(&mut self, said: &Located<String>, address: &str) -> Option<Uri> {
        let safe = |uri: &Uri| {
            let here = uri.host().is_some_and(is_here);
            let https = uri.scheme() == Some(&Scheme::HTTPS) && uri.host().is_some();
            https || (here && uri.scheme() == Some(&Scheme::HTTP))
        };
        let uri = address.parse::<Uri>().ok().filter(safe);
        if uri.is_none() {
            self.problem(
                said.span,
                format!("`{}` is not an https address", said.value),
                "write the https address that the issuer gives, or add jwks = \"https://…\" with that of its public keys",
            );
        }
        uri
    }

    fn algorithms(&mut self, words: &Located<Vec<String>>) -> Vec<Algorithm> {
        let mut algorithms = Vec::with_capacity(words.value.len());
        for word in &words.value {
            let known = Algorithm::ALL.iter().find(|(known, _)| known == word);
            match known {
                Some((_, algorithm)) => algorithms.push(*algorithm),
                None => {
                    let known: Vec<&str> = Algorithm::ALL.iter().map(|(word, _)| *word).collect();
                    self.problem(
                        words.span,
                        format!("`{word}` is not a way to sign tokens that is accepted"),
                        format!(
                            "choose of {}; what needs a shared secret is not accepted",
                            known.join(", ")
                        ),
                    );
                }
            }
        }
        if words.value.is_empty() {
            self.problem(
                words.span,
                "without algorithms no token can be accepted",
                "name those that the issuer signs with, or take `algorithms` out",
            );
        }
        algorithms
    }

    fn claim_rules(&mut self, rules: &Located<Vec<RawClaimRule>>, ids: &[&str]) -> Vec<ClaimRule> {
        if rules.value.is_empty() || rules.value.len() > ISSUER_RULES_MAX {
            self.problem(
                rules.span,
                format!("an issuer needs 1 to {ISSUER_RULES_MAX} rules"),
                "add workloads = [{ claim = \"groups\", value = \"…\", workload = \"…\" }]",
            );
        }
        let rule = |rule: &RawClaimRule| {
            let workload = rule.workload.given()?;
            self.leads_to(workload, ids);
            let wants = match (&rule.claim, &rule.value) {
                (Field::Given(claim), Field::Given(value)) => {
                    Some((claim.value.as_str().into(), value.value.as_str().into()))
                }
                (Field::Given(one), Field::Absent) | (Field::Absent, Field::Given(one)) => {
                    self.problem(
                        one.span,
                        "a rule has a claim and its value, or neither",
                        "give both `claim` and `value`, or neither for all other tokens",
                    );
                    None
                }
                _ => None,
            };
            Some(ClaimRule {
                workload: workload.value.as_str().into(),
                wants,
            })
        };
        rules.value.iter().filter_map(rule).collect()
    }
}

#[cfg(test)]
impl IssuerConfig {
    /// An issuer for tests.
    pub(crate) fn fixture(keys: KeysAt) -> Self {
        Self {
            name: "corp".into(),
            issuer: "https://id.example.org".into(),
            audiences: vec!["carnet".into()],
            admin_audiences: Vec::new(),
            admins: Vec::new(),
            keys,
            algorithms: Algorithm::ALL.map(|(_, algorithm)| algorithm).into(),
            leeway: SignedDuration::from_secs(60),
            rules: Vec::new(),
            ca_file: None,
            private_addresses: false,
        }
    }
}
