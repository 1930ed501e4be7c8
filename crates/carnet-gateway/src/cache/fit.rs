//! Which requests are answered from the cache: what their callers wish, and what their bodies say of chance.

use std::time::Duration;

use carnet_wire::json::{self, Kind, Watch};
use http::HeaderMap;
use http::header::CACHE_CONTROL;

use crate::ingress::Call;
use crate::limits::JSON_DEPTH_MAX;

/// What a caller says in `cache-control` (RFC 9111, section 5.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Seconds that an answer may be old.
    max_age: Option<u64>,
    /// Whether the answer may be kept.
    pub(crate) keeps: bool,
}

impl Wish {
    /// Of a request's head. What cannot be read is understood as the wish to have nothing kept.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut wish = Self {
            max_age: None,
            keeps: true,
        };
        for value in headers.get_all(CACHE_CONTROL) {
            let Ok(said) = value.to_str() else {
                wish.keeps = false;
                continue;
            };
            for directive in said.split(',') {
                let (name, argument) = match directive.split_once('=') {
                    Some((name, argument)) => (name, argument.trim().trim_matches('"')),
                    None => (directive, ""),
                };
                match &*name.trim().to_ascii_lowercase() {
                    "no-store" => wish.keeps = false,
                    "no-cache" => wish.max_age = Some(0),
                    "max-age" => {
                        let age = argument.parse().unwrap_or(0);
                        wish.max_age = Some(wish.max_age.map_or(age, |before| before.min(age)));
                    }
                    _ => {}
                }
            }
        }
        wish
    }

    /// Whether an answer of this age will do.
    pub(super) fn takes(self, age: Duration) -> bool {
        self.max_age
            .is_none_or(|max| max > 0 && age <= Duration::from_secs(max))
    }

    /// Whether the answer to another request that is on its way will do.
    pub(super) fn waits(self) -> bool {
        self.max_age != Some(0)
    }
}

/// Where requests say how much is left to chance.
const TEMPERATURES: [&str; 4] = [
    "generationConfig.temperature",
    "generation_config.temperature",
    "inferenceConfig.temperature",
    "temperature",
];

/// What finds that in a body.
pub(super) fn watch() -> Option<Watch> {
    Watch::new(TEMPERATURES).ok()
}

/// Whether answers of this kind can be kept. It has to be known where they end, and they must stand for themselves.
pub(super) fn may_be_kept(call: Call, query: bool) -> bool {
    match call {
        Call::Chat
        | Call::Completions
        | Call::Converse
        | Call::CountTokens
        | Call::Embeddings
        | Call::GenerateContent
        | Call::Messages
        | Call::Responses => true,
        // Unless it asks for events, it gets an array that grows.
        Call::StreamGenerateContent => query,
        // What goes on from a shortened conversation reads it as its own.
        Call::Compact
        // Its messages say nothing that could be looked at here.
        | Call::ConverseStream
        | Call::Carried(..)
        | Call::Cohere
        | Call::Embedded(_) => false,
    }
}

/// Whether a request leaves nothing to chance.
pub(super) fn is_certain(call: Call, body: &[u8], watch: Option<&Watch>) -> bool {
    if matches!(call, Call::CountTokens | Call::Embeddings) {
        return true;
    }
    // Said twice, it says nothing.
    let scan = watch.and_then(|watch| json::scan(body, watch, JSON_DEPTH_MAX).ok());
    let Some([hit]) = scan.as_ref().map(|scan| &scan.hits[..]) else {
        return false;
    };
    let number = body.get(hit.value.clone()).unwrap_or_default();
    let number = std::str::from_utf8(number).ok();
    hit.kind == Kind::Number && number.and_then(|number| number.parse().ok()) == Some(0.0)
}
