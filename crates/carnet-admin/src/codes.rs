//! Every code that the admin API can put into an error, with its status. Where the data listener
//! has the same error, it has the same code.

use http::StatusCode;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $status:ident;)+) => {
        /// What went wrong, in one word that programs may rely on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// All codes, in alphabetical order.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The code as it stands in the body.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code,)+ }
            }

            /// What it means, in one line.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self { $(Code::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }

            /// HTTP status.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Code::$variant => StatusCode::$status,)+ }
            }
        }
    };
}

codes! {
    /// The request body did not arrive in time.
    BodyTimeout = "body_timeout", REQUEST_TIMEOUT;
    /// The request body is larger than the limit.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE;
    /// The request has a body that is not declared as JSON.
    ContentTypeRefused = "content_type_refused", UNSUPPORTED_MEDIA_TYPE;
    /// The Host header names something that this listener does not serve.
    HostNotServed = "host_not_served", MISDIRECTED_REQUEST;
    /// The call failed within the server; its log says how.
    InternalError = "internal_error", INTERNAL_SERVER_ERROR;
    /// No admin token was sent, or a wrong one.
    InvalidAdminToken = "invalid_admin_token", UNAUTHORIZED;
    /// The body is not JSON of the form that the call wants.
    InvalidJson = "invalid_json", BAD_REQUEST;
    /// A value of the request is missing, too long or not of its kind.
    InvalidRequest = "invalid_request", BAD_REQUEST;
    /// The public keys of the token's issuer cannot be had, so that it cannot be checked.
    IssuerUnavailable = "issuer_unavailable", SERVICE_UNAVAILABLE;
    /// The key has ended, and no new end was given.
    KeyExpired = "key_expired", CONFLICT;
    /// The key was revoked, and that is for good.
    KeyRevoked = "key_revoked", CONFLICT;
    /// No key has this id.
    KeyUnknown = "key_unknown", NOT_FOUND;
    /// The log cannot take the record of this call, so the call is not made.
    LogUnavailable = "log_unavailable", SERVICE_UNAVAILABLE;
    /// The path is served, but not with this method.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED;
    /// The configuration offers no such model.
    ModelUnknown = "model_unknown", UNPROCESSABLE_ENTITY;
    /// A page of another origin made a browser send this request.
    OriginRefused = "origin_refused", FORBIDDEN;
    /// The path is not served.
    PathNotServed = "path_not_served", NOT_FOUND;
    /// The target could not be asked, or gave no answer; it stays out of service.
    ProbeFailed = "probe_failed", BAD_GATEWAY;
    /// The configuration, or a file that it names, has mistakes; the one before stays in force.
    ReloadRefused = "reload_refused", UNPROCESSABLE_ENTITY;
    /// The token's role does not allow this call.
    RoleTooLow = "role_too_low", FORBIDDEN;
    /// The key database cannot be read or written.
    StoreUnavailable = "store_unavailable", SERVICE_UNAVAILABLE;
    /// No target of this name is out of service.
    TargetInService = "target_in_service", NOT_FOUND;
    /// The token sent is the one that reads metrics, and it opens nothing else.
    TokenReadsMetricsOnly = "token_reads_metrics_only", FORBIDDEN;
    /// The token is good, but none of its claims gives a role.
    TokenUnmapped = "token_unmapped", FORBIDDEN;
    /// So many former secrets of the key still work that there is no room for another.
    TooManySecrets = "too_many_secrets", CONFLICT;
    /// The configuration names no such workload.
    WorkloadUnknown = "workload_unknown", UNPROCESSABLE_ENTITY;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_sorted_and_described() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].as_str() < pair[1].as_str(), "{pair:?}");
        }
        for code in Code::ALL {
            assert!(code.description().ends_with('.'), "{}", code.as_str());
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }
}
