//! Where an upstream takes which call, for which of its models.

use std::collections::HashMap;
use std::sync::Arc;

use http::Uri;
use http::uri::InvalidUri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::ingress::Call;

/// What stands for the model in a path.
pub(crate) const MODEL: &str = "{model}";
/// All but what RFC 3986 calls unreserved, as the makers' own clients do it.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The addresses of an upstream, all with the scheme, host and port of its base address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    calls: Vec<Call>,
    /// Addresses of the calls that name the model in the body.
    fixed: Vec<Entry>,
    /// Addresses of the others, by the upstream's own name for the model.
    by_model: HashMap<Arc<str>, Vec<Entry>>,
    base: Uri,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    call: Call,
    url: Uri,
    /// The same with what the call may say in its query.
    with_query: Uri,
}

impl Urls {
    /// The addresses below a base address without a slash at its end, which may have a place for the model.
    /// `version` goes into the query of each.
    ///
    /// # Errors
    /// When one of them is none.
    pub(crate) fn below<'a>(
        base: &str,
        version: Option<&str>,
        calls: &[Call],
        models: impl Iterator<Item = &'a Arc<str>>,
    ) -> Result<Self, InvalidUri> {
        let named_in_path = |call: &Call| base.contains(MODEL) || call.path().contains(MODEL);
        let (in_path, in_body): (Vec<Call>, Vec<Call>) =
            calls.iter().partition(|c| named_in_path(c));
        let entries = |calls: &[Call], model: &str| -> Result<Vec<Entry>, InvalidUri> {
            let name = utf8_percent_encode(model, RESERVED).to_string();
            let entry = |call: &Call| {
                let url = format!("{base}{}", call.path()).replace(MODEL, &name);
                let queries = |more: Option<&str>| {
                    let version = version.map(|version| format!("api-version={version}"));
                    let pairs: Vec<&str> = version.as_deref().into_iter().chain(more).collect();
                    let mark = if pairs.is_empty() { "" } else { "?" };
                    format!("{url}{mark}{}", pairs.join("&")).parse()
                };
                Ok(Entry {
                    call: *call,
                    url: queries(None)?,
                    with_query: queries(call.query())?,
                })
            };
            calls.iter().map(entry).collect()
        };
        let mut by_model = HashMap::new();
        for model in models.filter(|_| !in_path.is_empty()) {
            by_model.insert(model.clone(), entries(&in_path, model)?);
        }
        Ok(Self {
            calls: calls.to_vec(),
            fixed: entries(&in_body, "")?,
            by_model,
            base: base.replace(MODEL, "").parse()?,
        })
    }

    /// Where it takes a call for a model of its own naming, if it does.
    pub(crate) fn of(&self, call: Call, model: &str, query: bool) -> Option<&Uri> {
        let named = self.by_model.get(model).into_iter().flatten();
        let entry = self
            .fixed
            .iter()
            .chain(named)
            .find(|entry| entry.call == call)?;
        Some(if query { &entry.with_query } else { &entry.url })
    }

    /// Whether it takes a call.
    pub(crate) fn take(&self, call: Call) -> bool {
        self.calls.contains(&call)
    }

    /// The calls that it takes.
    pub(crate) fn calls(&self) -> impl Iterator<Item = Call> {
        self.calls.iter().copied()
    }

    /// The base address, with the scheme, host and port of all of them.
    pub(crate) fn base(&self) -> &Uri {
        &self.base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(base: &str, version: Option<&str>, calls: &[Call]) -> Urls {
        let models: [Arc<str>; 2] = ["one".into(), "org/two:v1".into()];
        Urls::below(base, version, calls, models.iter()).unwrap()
    }

    fn of(urls: &Urls, call: Call, model: &str, query: bool) -> Option<String> {
        urls.of(call, model, query).map(ToString::to_string)
    }

    #[test]
    fn a_model_stands_in_the_path_where_the_call_wants_it() {
        let all = urls(
            "https://x.example/v1",
            None,
            &[Call::Chat, Call::StreamGenerateContent, Call::Converse],
        );
        for (call, query, url) in [
            (Call::Chat, true, "https://x.example/v1/chat/completions"),
            (
                Call::Converse,
                false,
                "https://x.example/v1/model/org%2Ftwo%3Av1/converse",
            ),
            (
                Call::StreamGenerateContent,
                true,
                "https://x.example/v1/models/org%2Ftwo%3Av1:streamGenerateContent?alt=sse",
            ),
        ] {
            assert_eq!(of(&all, call, "org/two:v1", query).as_deref(), Some(url));
        }
        assert_eq!(of(&all, Call::Converse, "three", false), None);
        assert_eq!(of(&all, Call::Messages, "one", false), None);
        assert_eq!(all.base().host(), Some("x.example"));
    }

    #[test]
    fn a_deployment_has_its_place_and_its_version() {
        let base = "https://x.example/openai/deployments/{model}";
        let all = urls(base, Some("2024-10-21"), &[Call::Chat, Call::Messages]);
        assert_eq!(
            of(&all, Call::Chat, "one", false).as_deref(),
            Some(
                "https://x.example/openai/deployments/one/chat/completions?api-version=2024-10-21"
            )
        );
        assert_eq!(
            of(&all, Call::Messages, "one", true).as_deref(),
            Some(
                "https://x.example/openai/deployments/one/messages?api-version=2024-10-21&beta=true"
            )
        );
    }
}
