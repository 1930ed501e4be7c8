//! `[telemetry]`: which collector is told of requests, and how; and where the access log goes.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::header::HeaderName;
use http::uri::Scheme;

use super::{Check, KeyRef, RawKeyRef, has_password};
use crate::limits::TELEMETRY_HEADERS_MAX;
use crate::section::{Field, Located};

/// Headers that are ours to set.
const OWN_HEADERS: [&str; 5] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
];

section! {
    /// A collector of OpenTelemetry that is told of requests, in OTLP over HTTP. Without this section nobody is, and trace headers
    /// of callers go nowhere.
    RawTelemetry {
        required {
            /// Address of the collector's receiver, without `/v1/traces`: `http://127.0.0.1:4318`.
            endpoint: String,
        }
        optional {
            /// Headers of each message, such as `[{ name = "authorization", value = { env = "OTLP_AUTHORIZATION" } }]`.
            headers: Vec<RawTelemetryHeader>,
            /// PEM file with the certificate authorities to trust instead of the public ones.
            ca_file: String,
            /// What the service is called there. Default `carnet`.
            service_name: String,
            /// Share of the traces that begin here which are told, from 0 to 1. Default 1. Of others the caller decides, by its
            /// header `traceparent`.
            sample: f64,
            /// Whether upstreams get `traceparent` and `tracestate`. Default true.
            propagate: bool,
            /// Seconds between two messages with measures; 0 sends none. Default 60.
            metrics_seconds: u64,
        }
    }
}

section! {
    /// A header for the collector.
    RawTelemetryHeader {
        required {
            /// Its name.
            name: String,
            /// Its value, by reference.
            value: RawKeyRef,
        }
        optional {}
    }
}

/// Settings of telemetry.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryConfig {
    /// Where traces go.
    pub traces: Uri,
    /// Where measures go.
    pub metrics: Uri,
    /// Headers, with where their values are.
    pub headers: Vec<(HeaderName, KeyRef)>,
    /// Certificate authorities instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// What the service is called.
    pub service_name: String,
    /// Share of the traces that begin here which are told.
    pub sample: f64,
    /// Whether upstreams are told the trace.
    pub propagate: bool,
    /// Time between two messages with measures, if there are any.
    pub metrics_every: Option<Duration>,
}

/// Where the access log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLogTo {
    /// Into this file.
    File(PathBuf),
    /// Nowhere.
    #[default]
    Off,
    /// To stderr.
    Stderr,
}

impl Check<'_> {
    pub(super) fn access_log(&self, said: &Field<String>) -> AccessLogTo {
        match said.given().map(|said| said.value.as_str()) {
            None | Some("off") => AccessLogTo::Off,
            Some("stderr") => AccessLogTo::Stderr,
            Some(file) => AccessLogTo::File(self.path(file)),
        }
    }

    pub(super) fn telemetry(&mut self, raw: &RawTelemetry) -> Option<TelemetryConfig> {
        let endpoint = raw
            .endpoint
            .given()
            .map(|endpoint| self.collector(endpoint));
        let headers = raw.headers.given().map(|headers| self.headers(headers));
        let mut sample = 1.0;
        if let Some(share) = raw.sample.given() {
            if !(0.0..=1.0).contains(&share.value) {
                self.problem(
                    share.span,
                    format!("`sample` is {}", share.value),
                    "choose a number from 0 to 1",
                );
            }
            sample = share.value;
        }
        let seconds = raw.metrics_seconds.given();
        if let Some(long) = seconds.filter(|seconds| seconds.value > 3_600) {
            self.problem(
                long.span,
                format!("`metrics_seconds` is {}", long.value),
                "choose a number from 1 to 3600, or 0 for none",
            );
        }
        let seconds = seconds.map_or(60, |seconds| seconds.value.min(3_600));
        let name = raw.service_name.given().map(|name| name.value.clone());
        let (traces, metrics) = endpoint??;
        Some(TelemetryConfig {
            traces,
            metrics,
            headers: headers.unwrap_or_default(),
            ca_file: raw.ca_file.given().map(|file| self.path(&file.value)),
            service_name: name.unwrap_or_else(|| "carnet".to_owned()),
            sample,
            propagate: raw.propagate.given().is_none_or(|yes| yes.value),
            metrics_every: (seconds > 0).then(|| Duration::from_secs(seconds)),
        })
    }

    /// The two addresses of a receiver: those of traces and of measures.
    fn collector(&mut self, endpoint: &Located<String>) -> Option<(Uri, Uri)> {
        let base = endpoint.value.trim_end_matches('/');
        let at = |path: &str| {
            let uri: Uri = format!("{base}{path}").parse().ok()?;
            let scheme = uri.scheme();
            let web = scheme == Some(&Scheme::HTTP) || scheme == Some(&Scheme::HTTPS);
            let plain = uri.query().is_none() && !has_password(&uri);
            (web && uri.host().is_some() && plain).then_some(uri)
        };
        let both = at("/v1/traces").zip(at("/v1/metrics"));
        if both.is_none() || base.ends_with("/v1/traces") || base.ends_with("/v1/metrics") {
            self.problem(
                endpoint.span,
                format!("`{}` is not the address of a collector", endpoint.value),
                "write it without a path of its own, as \"http://127.0.0.1:4318\"; `/v1/traces` and `/v1/metrics` are put behind it",
            );
            return None;
        }
        both
    }

    fn headers(&mut self, raw: &Located<Vec<RawTelemetryHeader>>) -> Vec<(HeaderName, KeyRef)> {
        if raw.value.len() > TELEMETRY_HEADERS_MAX {
            self.problem(
                raw.span,
                format!("there are more than {TELEMETRY_HEADERS_MAX} headers"),
                "take out those that the collector does not ask for",
            );
        }
        let mut headers: Vec<(HeaderName, KeyRef)> = Vec::new();
        for header in raw.value.iter().take(TELEMETRY_HEADERS_MAX) {
            let reference = header.value.given().and_then(|value| self.key_ref(value));
            let Some(said) = header.name.given() else {
                continue;
            };
            let name = HeaderName::try_from(said.value.as_str()).ok();
            let free = |name: &HeaderName| {
                let ours = OWN_HEADERS.contains(&name.as_str());
                !ours && headers.iter().all(|(other, _)| other != name)
            };
            match name.filter(free) {
                Some(name) => headers.extend(reference.map(|reference| (name, reference))),
                None => self.problem(
                    said.span,
                    format!("`{}` is not a header that can be set", said.value),
                    "write each name once, as the collector asks for it",
                ),
            }
        }
        headers
    }
}
