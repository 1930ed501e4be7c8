//! Who may call the TCP listener: a request passes here before any route is looked up.
//!
//! A request is refused unless it is addressed to one of the listener's names, comes from no other
//! origin's page, and carries a token: one of the two of the state directory, or one of an issuer that
//! gives its bearer a role. Only `/healthz` is answered without one. The Unix socket has
//! none of this: there the mode of the file is the credential.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use carnet_gateway::config::Role;
use carnet_gateway::{Administrator, NotAdmitted};
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method};

use crate::Admin;
use crate::actor::Actor;
use crate::codes::Code;
use crate::fault::Fault;
use crate::secret::{SecretError, Token, load_or_create_secret};

/// Browsers say by this where a request comes from, also where they send no Origin.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What opens the TCP listener.
#[derive(Debug)]
pub struct Access {
    admin: Token,
    metrics: Token,
    names: RwLock<Arc<[String]>>,
}

impl Access {
    /// The token for everything, the one that reads metrics, and the names of the listener.
    #[must_use]
    pub fn new(admin: Token, metrics: Token, names: Vec<String>) -> Self {
        Self {
            admin,
            metrics,
            names: RwLock::new(names.into()),
        }
    }

    /// The same with the tokens in these files, which the first start makes.
    ///
    /// # Errors
    /// When a token can neither be read nor made.
    pub fn open(admin: &Path, metrics: &Path, names: Vec<String>) -> Result<Self, SecretError> {
        Ok(Self::new(
            load_or_create_secret(admin)?,
            load_or_create_secret(metrics)?,
            names,
        ))
    }

    /// Answer to other names from now on.
    pub fn set_names(&self, names: Vec<String>) {
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = names.into();
    }

    /// Whether a request may go on to its route, or who has to vouch for it.
    fn check<'a>(&self, head: &'a Parts) -> Result<Checked<'a>, Fault> {
        let host = self.host(head)?;
        check_origin(&head.headers, host)?;
        let path = head.uri.path();
        if path == "/healthz" {
            return Ok(Checked::Open);
        }
        let token = bearer(&head.headers)?;
        if self.admin.is(token) {
            return Ok(Checked::Open);
        }
        if !self.metrics.is(token) {
            return Ok(Checked::OfIssuer(token));
        }
        if path == "/metrics" {
            return Ok(Checked::Open);
        }
        let message = format!("the metrics token does not open `{path}`");
        Err(Fault::new(
            Code::TokenReadsMetricsOnly,
            message,
            "send the admin token; the metrics token is for `/metrics` alone",
        ))
    }

    /// The Host must be one of our names: a page that rebinds its own name to our address gets nothing. So must the target, where
    /// it names somebody itself.
    fn host<'a>(&self, head: &'a Parts) -> Result<&'a str, Fault> {
        let mut hosts = head.headers.get_all(HOST).iter();
        let header = hosts.next().map(|value| value.to_str().unwrap_or_default());
        let target = head.uri.authority().map(Authority::as_str);
        let host = target.or(header).unwrap_or_default();
        let names = self
            .names
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let is_served = |name: &str| names.iter().any(|served| served.eq_ignore_ascii_case(name));
        let named = [target, header].into_iter().flatten().map(without_port);
        let name = match named.clone().find(|name| !is_served(name)) {
            None if named.count() > 0 && hosts.next().is_none() => return Ok(host),
            None => header.unwrap_or_default(),
            Some(foreign) => foreign,
        };
        let message = format!(
            "the Host `{}` is not one of this listener",
            name.escape_debug()
        );
        let help = format!(
            "call it as {}, or list the name in `admin.names` of the configuration",
            names.join(", ")
        );
        Err(Fault::new(Code::HostNotServed, message, help))
    }
}

/// What is known of a request by itself.
#[derive(Debug)]
enum Checked<'a> {
    /// It may go on.
    Open,
    /// It may if this is the token of an issuer that gives its bearer the role.
    OfIssuer(&'a str),
}

/// Calls that change something else than keys.
const OPERATION: [&str; 4] = [
    "/api/proofs",
    "/api/reload",
    "/api/targets/probe",
    "/api/targets/restore",
];

/// The role that a call needs: the highest one, where nothing else is said.
pub(crate) fn needed(method: &Method, path: &str) -> Role {
    if matches!(*method, Method::GET | Method::HEAD) {
        Role::Viewer
    } else if OPERATION.contains(&path) {
        Role::Operator
    } else {
        Role::Admin
    }
}

/// Whether the bearer of an issuer's token may make a call.
fn admitted(
    head: &Parts,
    bearer: Result<Administrator, NotAdmitted>,
) -> Result<Administrator, Fault> {
    let bearer = bearer.map_err(|why| match why {
        NotAdmitted::Invalid(message) => unauthorized(&message),
        NotAdmitted::NoRole(message) => Fault::new(
            Code::TokenUnmapped,
            message,
            "have the identity provider give the group or role that a rule of `admins` names",
        ),
        NotAdmitted::Unavailable(message) => Fault::new(
            Code::IssuerUnavailable,
            message,
            "see whether the issuer answers; the admin token works without it",
        ),
    })?;
    let needed = needed(&head.method, head.uri.path());
    if bearer.role >= needed {
        return Ok(bearer);
    }
    let message = format!(
        "`{}` is {}, and {} `{}` needs {}",
        bearer.name.escape_debug(),
        bearer.role.as_str(),
        head.method,
        head.uri.path().escape_debug(),
        needed.as_str()
    );
    let help =
        "ask somebody who has that role, or whoever gives out roles at the identity provider";
    Err(Fault::new(Code::RoleTooLow, message, help))
}

/// The guard of the TCP listener.
pub(crate) async fn guard(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut head, body) = request.into_parts();
    let bearer = match admin.access.check(&head) {
        Ok(Checked::Open) => return next.run(Request::from_parts(head, body)).await,
        Ok(Checked::OfIssuer(token)) => admin.gateway.administrator(token).await,
        Err(fault) => return fault.into_response(),
    };
    match admitted(&head, bearer) {
        Ok(bearer) => {
            if let Some(Actor::Token { source }) = head.extensions.get() {
                let (name, source) = (bearer.name, *source);
                head.extensions.insert(Actor::Person { name, source });
            }
            next.run(Request::from_parts(head, body)).await
        }
        Err(fault) => fault.into_response(),
    }
}

/// A browser says which page made it send the request; only our own may.
fn check_origin(headers: &HeaderMap, host: &str) -> Result<(), Fault> {
    const HELP: &str = "no page of another site may call the admin listener; use the command line or a page of its own";
    for origin in headers.get_all(ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        if !is_same_origin(origin, host) {
            let message = format!(
                "the Origin `{}` is not this listener",
                origin.escape_debug()
            );
            return Err(Fault::new(Code::OriginRefused, message, HELP));
        }
    }
    for site in headers.get_all(SEC_FETCH_SITE) {
        if site != "same-origin" && site != "none" {
            return Err(Fault::new(
                Code::OriginRefused,
                "a page of another site sent this request",
                HELP,
            ));
        }
    }
    Ok(())
}

/// Whether an Origin names the host and port that the request was sent to. The scheme may be
/// either: TLS can end in front of us.
fn is_same_origin(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let port = match scheme {
        "http" => "80",
        "https" => "443",
        _ => return false,
    };
    with_port(authority, port).eq_ignore_ascii_case(&with_port(host, port))
}

fn with_port(authority: &str, default: &str) -> String {
    if without_port(authority) == authority {
        format!("{authority}:{default}")
    } else {
        authority.to_owned()
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit())
                && !name.is_empty()
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Fault> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values
        .next()
        .ok_or_else(|| unauthorized("no token was sent"))?;
    if values.next().is_some() {
        return Err(unauthorized("more than one Authorization header was sent"));
    }
    match value.to_str().ok().and_then(|text| text.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(unauthorized(
            "the Authorization header is not of the form `Bearer …`",
        )),
    }
}

fn unauthorized(message: &str) -> Fault {
    let help = "set the header `Authorization: Bearer …` with the line in the file `admin.token` of the state directory";
    Fault::new(Code::InvalidAdminToken, message, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMIN: &str = "a-token-for-administrators-0123456789";
    const METRICS: &str = "a-token-for-the-metrics-0123456789abc";

    /// The code of the refusal, or "" when the request passes.
    fn verdict(path: &str, headers: &[(&str, &str)]) -> &'static str {
        let names = vec!["localhost".to_owned(), "[::1]".to_owned()];
        let access = Access::new(Token::of(ADMIN), Token::of(METRICS), names);
        let mut request = http::Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        match access.check(&head) {
            Ok(Checked::Open) => "",
            // No issuer is configured.
            Ok(Checked::OfIssuer(_)) => Code::InvalidAdminToken.as_str(),
            Err(fault) => fault.code.as_str(),
        }
    }

    #[test]
    fn tokens_open_what_they_are_for() {
        let admin = format!("Bearer {ADMIN}");
        let metrics = format!("bearer {METRICS}");
        let almost = format!("Bearer {ADMIN}0");
        for (path, token, expected) in [
            ("/api/keys", Some(admin.as_str()), ""),
            ("/api/anything", Some(&admin), ""),
            ("/metrics", Some(&admin), ""),
            ("/metrics", Some(&metrics), ""),
            ("/healthz", None, ""),
            ("/healthz", Some(&almost), ""),
            ("/api/keys", None, "invalid_admin_token"),
            ("/api/openapi.json", None, "invalid_admin_token"),
            ("/metrics", None, "invalid_admin_token"),
            ("/metrics/", Some(&metrics), "token_reads_metrics_only"),
            ("/api/keys", Some(&metrics), "token_reads_metrics_only"),
            ("/api/anything", Some(&metrics), "token_reads_metrics_only"),
            ("/api/keys", Some(&almost), "invalid_admin_token"),
            ("/api/keys", Some(ADMIN), "invalid_admin_token"),
            ("/api/keys", Some("Bearer "), "invalid_admin_token"),
            (
                "/api/keys",
                Some(&format!("Basic {ADMIN}")),
                "invalid_admin_token",
            ),
            ("/healthz/../api/keys", None, "invalid_admin_token"),
        ] {
            let mut headers = vec![("host", "localhost:4391")];
            headers.extend(token.map(|token| ("authorization", token)));
            assert_eq!(verdict(path, &headers), expected, "{path} {token:?}");
        }
        let twice = [
            ("host", "localhost"),
            ("authorization", admin.as_str()),
            ("authorization", &almost),
        ];
        assert_eq!(verdict("/api/keys", &twice), "invalid_admin_token");
    }

    #[test]
    fn each_role_makes_its_calls_and_those_below_it() {
        let role = |method: &str, path: &str| {
            needed(
                &Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(),
                path,
            )
        };
        for (method, path) in crate::api::ROUTES {
            let expected = match *method {
                "get" => Role::Viewer,
                _ if path.starts_with("/api/keys") => Role::Admin,
                _ => Role::Operator,
            };
            assert_eq!(role(method, path), expected, "{method} {path}");
        }
        // What nobody has thought of yet.
        for (method, path) in [
            ("POST", "/api/more"),
            ("PUT", "/api/status"),
            ("POST", "/api/reload/"),
        ] {
            assert_eq!(role(method, path), Role::Admin, "{method} {path}");
        }
        let reading = |given: Result<Role, NotAdmitted>, method: Method, path: &str| {
            let request = http::Request::builder().method(method).uri(path);
            let (head, ()) = request.body(()).unwrap().into_parts();
            let bearer = given.map(|role| Administrator {
                name: "corp:alice".into(),
                role,
            });
            admitted(&head, bearer)
                .err()
                .map_or("", |fault| fault.code.as_str())
        };
        let all = [Role::Viewer, Role::Operator, Role::Admin];
        for (method, path, verdicts) in [
            (Method::GET, "/api/keys", ["", "", ""]),
            (Method::POST, "/api/reload", ["role_too_low", "", ""]),
            (
                Method::POST,
                "/api/keys",
                ["role_too_low", "role_too_low", ""],
            ),
            (
                Method::DELETE,
                "/api/keys/key_1",
                ["role_too_low", "role_too_low", ""],
            ),
        ] {
            let got = all.map(|role| reading(Ok(role), method.clone(), path));
            assert_eq!(got, verdicts, "{method} {path}");
        }
        for (why, code) in [
            (NotAdmitted::Invalid("x".into()), "invalid_admin_token"),
            (NotAdmitted::NoRole("x".into()), "token_unmapped"),
            (NotAdmitted::Unavailable("x".into()), "issuer_unavailable"),
        ] {
            assert_eq!(reading(Err(why), Method::GET, "/api/status"), code);
        }
    }

    #[test]
    fn foreign_hosts_are_misdirected_even_with_a_token() {
        let token = format!("Bearer {ADMIN}");
        for (host, expected) in [
            ("localhost", ""),
            ("LOCALHOST:1", ""),
            ("[::1]:4391", ""),
            ("evil.example", "host_not_served"),
            ("localhost.evil.example", "host_not_served"),
            ("localhost:4391@evil.example", "host_not_served"),
            ("localhost:", ""),
            ("localhost:x", "host_not_served"),
            ("", "host_not_served"),
        ] {
            assert_eq!(
                verdict("/api/status", &[("host", host), ("authorization", &token)]),
                expected,
                "{host:?}"
            );
            assert_eq!(verdict("/healthz", &[("host", host)]), expected, "{host:?}");
        }
        assert_eq!(verdict("/healthz", &[]), "host_not_served");
        assert_eq!(
            verdict("/healthz", &[("host", "localhost"), ("host", "localhost")]),
            "host_not_served"
        );
    }

    #[test]
    fn foreign_origins_are_refused_even_with_a_token() {
        let token = format!("Bearer {ADMIN}");
        for (header, value, expected) in [
            ("origin", "http://localhost:4391", ""),
            ("origin", "https://localhost:4391", ""),
            ("origin", "http://localhost:8080", "origin_refused"),
            ("origin", "http://localhost", "origin_refused"),
            ("origin", "http://[::1]:4391", "origin_refused"),
            ("origin", "https://evil.example", "origin_refused"),
            ("origin", "ftp://localhost:4391", "origin_refused"),
            ("origin", "null", "origin_refused"),
            ("origin", "", "origin_refused"),
            ("sec-fetch-site", "same-origin", ""),
            ("sec-fetch-site", "none", ""),
            ("sec-fetch-site", "same-site", "origin_refused"),
            ("sec-fetch-site", "cross-site", "origin_refused"),
        ] {
            let headers = [
                ("host", "localhost:4391"),
                ("authorization", token.as_str()),
                (header, value),
            ];
            assert_eq!(
                verdict("/api/keys", &headers),
                expected,
                "{header}: {value}"
            );
        }
        let plain = [
            ("host", "localhost"),
            ("authorization", token.as_str()),
            ("origin", "http://localhost:80"),
        ];
        assert_eq!(
            verdict("/api/keys", &plain),
            "",
            "the default port may be told or left out"
        );
        let both = [
            ("host", "localhost"),
            ("origin", "http://localhost"),
            ("origin", "http://evil.example"),
        ];
        assert_eq!(verdict("/healthz", &both), "origin_refused");
    }
}
