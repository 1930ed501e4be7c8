//! What keys can be made for: the words for kinds of requests that a key may be bound to.

use carnet_policy::Api;

/// All that ask a model.
const INFERENCE: &str = "inference";
/// To list models.
const MODELS: &str = "models";
/// To read, cancel and delete responses that are kept.
const STORED_RESPONSES: &str = "stored-responses";

/// The scopes of keys, sorted: the kinds of requests that policies know, and what stands beside them.
pub const KEY_SCOPES: [&str; Api::ALL.len() + 3] = [
    "chat-completions",
    "completions",
    "converse",
    "embeddings",
    "generate-content",
    INFERENCE,
    "messages",
    MODELS,
    "responses",
    STORED_RESPONSES,
];

/// What a request is, as scopes tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// It asks a model.
    Ask(Api),
    /// It lists models.
    Models,
    /// It is about a kept response.
    StoredResponses,
}

impl Use {
    /// The scopes that it is in, the narrowest first.
    pub(crate) fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Ask(Api::ChatCompletions) => &["chat-completions", INFERENCE],
            Self::Ask(Api::Completions) => &["completions", INFERENCE],
            Self::Ask(Api::Converse) => &["converse", INFERENCE],
            Self::Ask(Api::Embeddings) => &["embeddings", INFERENCE],
            Self::Ask(Api::GenerateContent) => &["generate-content", INFERENCE],
            Self::Ask(Api::Messages) => &["messages", INFERENCE],
            Self::Ask(Api::Responses) => &["responses", INFERENCE],
            Self::Models => &[MODELS],
            Self::StoredResponses => &[STORED_RESPONSES],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_request_is_in_a_scope_and_every_scope_has_requests() {
        let asks = Api::ALL.into_iter().map(|api| {
            let scopes = Use::Ask(api).scopes();
            assert_eq!(scopes, [api.as_str(), INFERENCE]);
            scopes
        });
        let others = [Use::Models.scopes(), Use::StoredResponses.scopes()];
        let all: BTreeSet<&str> = asks.chain(others).flatten().copied().collect();
        assert!(all.into_iter().eq(KEY_SCOPES));
    }
}
