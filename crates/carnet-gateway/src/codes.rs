//! Every code that a caller can meet in an error body, with its status, its type in the dialect and
//! whether asking again can help.

use carnet_audit::Outcome;
use http::StatusCode;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $status:ident, $kind:literal, retry: $retry:literal, outcome: $outcome:ident;)+) => {
        /// What went wrong, in one word that programs may rely on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// All codes, in the order of this file.
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

            /// The dialect's `type`.
            #[must_use]
            pub fn kind(self) -> &'static str {
                match self { $(Code::$variant => $kind,)+ }
            }

            /// Whether the same request may succeed later without a change.
            #[must_use]
            pub fn retry(self) -> bool {
                match self { $(Code::$variant => $retry,)+ }
            }

            /// The outcome that the record states.
            #[must_use]
            pub fn outcome(self) -> Outcome {
                match self { $(Code::$variant => Outcome::$outcome,)+ }
            }
        }
    };
}

codes! {
    /// The upstream's answer is not one of the dialect in which it was asked.
    AnswerUnreadable = "answer_unreadable", BAD_GATEWAY, "api_error", retry: false, outcome: UpstreamError;
    /// The model is offered, but not by this kind of request.
    ApiNotOffered = "api_not_offered", BAD_REQUEST, "invalid_request_error", retry: false, outcome: Refused;
    /// The request body did not arrive in time.
    BodyTimeout = "body_timeout", REQUEST_TIMEOUT, "invalid_request_error", retry: false, outcome: Refused;
    /// The request body is larger than the configured limit.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "invalid_request_error", retry: false, outcome: Refused;
    /// The certificate that the caller's connection was opened with has come to its end.
    CertificateExpired = "certificate_expired", UNAUTHORIZED, "authentication_error", retry: false, outcome: Refused;
    /// The caller's certificate is good, but leads to no workload.
    CertificateUnmapped = "certificate_unmapped", FORBIDDEN, "permission_error", retry: false, outcome: Refused;
    /// What Carnet keeps of conversations cannot be read or changed now.
    ConversationsUnavailable = "conversations_unavailable", SERVICE_UNAVAILABLE, "api_error", retry: true, outcome: Refused;
    /// The request asks the upstream for something that would lead the prompt past the decision.
    FieldRefused = "field_refused", BAD_REQUEST, "invalid_request_error", retry: false, outcome: Refused;
    /// A fact that the decision rests on has just changed; the new one is being loaded.
    GenerationStale = "generation_stale", SERVICE_UNAVAILABLE, "api_error", retry: true, outcome: Refused;
    /// The Host header names something that this listener does not serve.
    HostNotServed = "host_not_served", MISDIRECTED_REQUEST, "invalid_request_error", retry: false, outcome: Refused;
    /// No key, or none that works.
    InvalidApiKey = "invalid_api_key", UNAUTHORIZED, "authentication_error", retry: false, outcome: Refused;
    /// The body is not strict JSON, or says one thing twice.
    InvalidJson = "invalid_json", BAD_REQUEST, "invalid_request_error", retry: false, outcome: Refused;
    /// A field that is needed is missing or of the wrong type.
    InvalidRequest = "invalid_request", BAD_REQUEST, "invalid_request_error", retry: false, outcome: Refused;
    /// The public keys of the token's issuer cannot be had, so that it cannot be checked.
    IssuerUnavailable = "issuer_unavailable", SERVICE_UNAVAILABLE, "api_error", retry: true, outcome: Refused;
    /// The key does not work from the address that the request comes from.
    KeyAddress = "key_address", FORBIDDEN, "permission_error", retry: false, outcome: Denied;
    /// The key, or this secret of it, has come to its end.
    KeyExpired = "key_expired", UNAUTHORIZED, "authentication_error", retry: false, outcome: Refused;
    /// The key was not made for this kind of request or this model.
    KeyScope = "key_scope", FORBIDDEN, "permission_error", retry: false, outcome: Denied;
    /// A limit that the operator has set is used up; nothing was sent.
    LimitReached = "limit_reached", TOO_MANY_REQUESTS, "rate_limit_error", retry: false, outcome: Refused;
    /// The log cannot take the record of this request, so the request is not made.
    LogUnavailable = "log_unavailable", SERVICE_UNAVAILABLE, "api_error", retry: true, outcome: Refused;
    /// The path is served, but not with this method.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "invalid_request_error", retry: false, outcome: Refused;
    /// The answer names another model than the one that was decided on.
    ModelMismatch = "model_mismatch", BAD_GATEWAY, "api_error", retry: false, outcome: Mismatch;
    /// The upstream speaks another dialect, which cannot say what the request asks for.
    NotTranslatable = "not_translatable", BAD_REQUEST, "invalid_request_error", retry: false, outcome: Refused;
    /// No configured upstream offers a model of this name.
    ModelNotFound = "model_not_found", NOT_FOUND, "invalid_request_error", retry: false, outcome: Refused;
    /// The path is not served.
    PathNotServed = "path_not_served", NOT_FOUND, "invalid_request_error", retry: false, outcome: Refused;
    /// The operator's policy does not permit this model, this host or this combination for the caller.
    PolicyDenied = "policy_denied", FORBIDDEN, "permission_error", retry: false, outcome: Denied;
    /// A limit of money counts the request, and nobody says what the model costs there.
    PriceUnknown = "price_unknown", FORBIDDEN, "permission_error", retry: false, outcome: Refused;
    /// No response of this id, from which the request would go on, is kept for this workload.
    PreviousResponseNotFound = "previous_response_not_found", NOT_FOUND, "invalid_request_error", retry: false, outcome: Refused;
    /// The key was revoked while the answer was on its way.
    Revoked = "revoked", FORBIDDEN, "permission_error", retry: false, outcome: Revoked;
    /// The request carries a signature instead of a key.
    SignatureRefused = "signature_refused", FORBIDDEN, "authentication_error", retry: false, outcome: Refused;
    /// Several headers carry keys, and not the same one.
    SeveralKeys = "several_keys", BAD_REQUEST, "invalid_request_error", retry: false, outcome: Refused;
    /// The server is stopping, and the time for running requests is over.
    ServerStopping = "server_stopping", SERVICE_UNAVAILABLE, "api_error", retry: true, outcome: Cut;
    /// The request has more header fields than are read.
    TooManyHeaderFields = "too_many_header_fields", REQUEST_HEADER_FIELDS_TOO_LARGE, "invalid_request_error", retry: false, outcome: Refused;
    /// Nothing of this id is kept for this workload.
    StateNotFound = "state_not_found", NOT_FOUND, "invalid_request_error", retry: false, outcome: Refused;
    /// Another model answered there than was decided on, and no administrator has cleared it since.
    TargetSuspended = "target_suspended", SERVICE_UNAVAILABLE, "api_error", retry: false, outcome: Refused;
    /// The token has come to its end.
    TokenExpired = "token_expired", UNAUTHORIZED, "authentication_error", retry: false, outcome: Refused;
    /// The token is not one that is accepted.
    TokenInvalid = "token_invalid", UNAUTHORIZED, "authentication_error", retry: false, outcome: Refused;
    /// The token is good, but none of its claims leads to a workload.
    TokenUnmapped = "token_unmapped", FORBIDDEN, "permission_error", retry: false, outcome: Refused;
    /// Too many requests without valid credentials came from this address.
    TooManyRefusals = "too_many_refusals", TOO_MANY_REQUESTS, "rate_limit_error", retry: true, outcome: Refused;
    /// The key has as many WebSockets open as one may have.
    TooManySockets = "too_many_sockets", TOO_MANY_REQUESTS, "rate_limit_error", retry: true, outcome: Refused;
    /// The upstream's address is not one that its entry in the configuration allows.
    UpstreamAddressRefused = "upstream_address_refused", BAD_GATEWAY, "api_error", retry: false, outcome: UpstreamError;
    /// The upstream closed the connection before its answer was complete.
    UpstreamClosed = "upstream_closed", BAD_GATEWAY, "api_error", retry: true, outcome: UpstreamError;
    /// The upstream answered by an error after the caller's stream had begun.
    UpstreamFailed = "upstream_failed", BAD_GATEWAY, "api_error", retry: true, outcome: UpstreamError;
    /// The upstream's answer is compressed in a way that is not read, is damaged, or becomes too long.
    UpstreamEncoding = "upstream_encoding", BAD_GATEWAY, "api_error", retry: false, outcome: UpstreamError;
    /// The upstream answered with a redirect, which is never followed.
    UpstreamRedirect = "upstream_redirect", BAD_GATEWAY, "api_error", retry: false, outcome: UpstreamError;
    /// The upstream did not answer in time.
    UpstreamTimeout = "upstream_timeout", GATEWAY_TIMEOUT, "api_error", retry: true, outcome: Timeout;
    /// The upstream's key could not be exchanged for an access token, or did not sign.
    UpstreamUnauthenticated = "upstream_unauthenticated", BAD_GATEWAY, "api_error", retry: true, outcome: UpstreamError;
    /// No connection to the upstream could be made.
    UpstreamUnreachable = "upstream_unreachable", BAD_GATEWAY, "api_error", retry: true, outcome: UpstreamError;
    /// A WebSocket was open for as long as one may be.
    WebsocketConnectionLimitReached = "websocket_connection_limit_reached", BAD_REQUEST, "invalid_request_error", retry: true, outcome: Cut;
    /// The key belongs to a workload that the configuration no longer names.
    WorkloadUnknown = "workload_unknown", FORBIDDEN, "permission_error", retry: false, outcome: Denied;
}

impl Code {
    /// Whether it says that the request reached no upstream.
    pub(crate) fn reaches_nobody(self) -> bool {
        matches!(
            self,
            Self::UpstreamAddressRefused
                | Self::UpstreamUnauthenticated
                | Self::UpstreamUnreachable
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_described() {
        let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.description().ends_with('.'), "{}", code.as_str());
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }
}
