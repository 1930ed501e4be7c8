//! What is served: the kinds of calls, the paths by which callers reach them, and where each names its model.

use std::borrow::Cow;

use carnet_policy::Api;
use carnet_wire::carrier::Carrier;
use carnet_wire::dialect::{self as wire, ClientDialect};
use carnet_wire::embeddings::Embedder;
use http::Method;
use percent_encoding::percent_decode_str;

use super::prompt::ModelPlace;
use super::stored::Stored;
use crate::codes::Code;
use crate::error::Fault;

/// Whose shapes a caller reads: of errors, of events that end a stream, of the list of models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `{"error":{"message","type","param","code"}}`, in a stream as `data:`.
    #[default]
    OpenAi,
    /// The same, but a stream ends with the event `response.failed`.
    Responses,
    /// `{"type":"error","error":{"type","message"}}`, in a stream as `event: error`.
    Messages,
    /// `{"error":{"code","message","status"}}`, in a stream as `data:`.
    GenerateContent,
    /// The kind in a header, `{"message"}`, in a stream as an exception.
    Converse,
}

/// A kind of request that goes to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// A conversation in the API of a platform that takes the bodies of a dialect, asked for as a whole or as a stream.
    /// Upstreams are asked so, callers do not ask so.
    Carried(Carrier, bool),
    /// A conversation in, a message out.
    Chat,
    /// A conversation in the second version of Cohere's chat. Upstreams are asked so, callers do not ask so.
    Cohere,
    /// A text to go on with.
    Completions,
    /// A conversation of [`Call::Responses`] to make shorter.
    Compact,
    /// A conversation in Bedrock's dialect.
    Converse,
    /// The same with a streamed answer.
    ConverseStream,
    /// How many tokens a conversation of [`Call::Messages`] has.
    CountTokens,
    /// Texts to turn into numbers, in the shape of a service. Upstreams are asked so, callers do not ask so.
    Embedded(Embedder),
    /// Texts to turn into numbers.
    Embeddings,
    /// A conversation in the dialect of Google's APIs.
    GenerateContent,
    /// The same with a streamed answer.
    StreamGenerateContent,
    /// A conversation in Anthropic's dialect.
    Messages,
    /// A conversation of items, with tools that the provider may run.
    Responses,
}

impl Call {
    /// All that callers reach.
    pub(crate) const ALL: [Self; 11] = [
        Self::Chat,
        Self::Completions,
        Self::Compact,
        Self::Converse,
        Self::ConverseStream,
        Self::CountTokens,
        Self::Embeddings,
        Self::GenerateContent,
        Self::StreamGenerateContent,
        Self::Messages,
        Self::Responses,
    ];

    /// All that an upstream may take.
    pub(crate) fn taken() -> impl Iterator<Item = Self> {
        let carried = Carrier::ALL.into_iter();
        let carried = carried.flat_map(|by| [false, true].map(|stream| Self::Carried(by, stream)));
        let embedded = Embedder::ALL.into_iter().map(Self::Embedded);
        let others = [Self::Cohere].into_iter().chain(carried).chain(embedded);
        Self::ALL.into_iter().chain(others)
    }

    /// What an upstream takes of which its entry says nothing.
    pub(crate) const USUAL: [Self; 5] = [
        Self::Chat,
        Self::Completions,
        Self::Compact,
        Self::Embeddings,
        Self::Responses,
    ];

    /// Its path below the version, for callers and at upstreams alike, with a place for the model where it stands
    /// in the path.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Carried(Carrier::VertexMessages, false) => "/models/{model}:rawPredict",
            Self::Carried(Carrier::VertexMessages, true) => "/models/{model}:streamRawPredict",
            Self::Carried(_, false) => "/model/{model}/invoke",
            Self::Carried(_, true) => "/model/{model}/invoke-with-response-stream",
            Self::Chat => "/chat/completions",
            Self::Cohere => "/v2/chat",
            Self::Completions => "/completions",
            Self::Compact => "/responses/compact",
            Self::Converse => "/model/{model}/converse",
            Self::ConverseStream => "/model/{model}/converse-stream",
            Self::CountTokens => "/messages/count_tokens",
            Self::Embedded(Embedder::BedrockText | Embedder::BedrockTexts) => {
                "/model/{model}/invoke"
            }
            Self::Embedded(Embedder::Cohere) => "/v2/embed",
            Self::Embedded(_) => "/models/{model}:batchEmbedContents",
            Self::Embeddings => "/embeddings",
            Self::GenerateContent => "/models/{model}:generateContent",
            Self::StreamGenerateContent => "/models/{model}:streamGenerateContent",
            Self::Messages => "/messages",
            Self::Responses => "/responses",
        }
    }

    /// The path by which callers reach it.
    pub(crate) fn served_at(self) -> String {
        let version = match self.dialect() {
            Dialect::Converse => "",
            Dialect::GenerateContent => "/v1beta",
            Dialect::Messages | Dialect::OpenAi | Dialect::Responses => "/v1",
        };
        format!("{version}{}", self.path())
    }

    /// Whether the model stands in the path and never in the body.
    pub(crate) fn names_model_in_path(self) -> bool {
        matches!(self.dialect(), Dialect::Converse | Dialect::GenerateContent)
    }

    /// The one thing that its query may say.
    pub(crate) fn query(self) -> Option<&'static str> {
        match self {
            Self::CountTokens | Self::Messages => Some("beta=true"),
            Self::StreamGenerateContent => Some("alt=sse"),
            _ => None,
        }
    }

    /// The word for it in the `apis` of an upstream.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Carried(Carrier::BedrockChat, _) => "bedrock-chat",
            Self::Carried(Carrier::BedrockMessages, _) => "bedrock-messages",
            Self::Carried(Carrier::VertexMessages, _) => "vertex-messages",
            Self::Cohere => "cohere-chat",
            Self::Embedded(Embedder::BedrockText) => "bedrock-embed-text",
            Self::Embedded(Embedder::BedrockTexts) => "bedrock-embed-texts",
            Self::Embedded(Embedder::Cohere) => "cohere-embed",
            Self::Embedded(_) => "embed-contents",
            call => call.api().as_str(),
        }
    }

    /// What policies and records call it.
    pub(crate) fn api(self) -> Api {
        match self {
            Self::Carried(by, _) => Self::carried_in(by).api(),
            Self::Chat | Self::Cohere => Api::ChatCompletions,
            Self::Completions => Api::Completions,
            Self::Converse | Self::ConverseStream => Api::Converse,
            Self::CountTokens | Self::Messages => Api::Messages,
            Self::Embedded(_) | Self::Embeddings => Api::Embeddings,
            Self::GenerateContent | Self::StreamGenerateContent => Api::GenerateContent,
            Self::Compact | Self::Responses => Api::Responses,
        }
    }

    /// Whose shapes its callers read.
    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Carried(by, _) => Self::carried_in(by).dialect(),
            Self::Chat
            | Self::Cohere
            | Self::Completions
            | Self::Embedded(_)
            | Self::Embeddings => Dialect::OpenAi,
            Self::Converse | Self::ConverseStream => Dialect::Converse,
            Self::CountTokens | Self::Messages => Dialect::Messages,
            Self::GenerateContent | Self::StreamGenerateContent => Dialect::GenerateContent,
            Self::Compact | Self::Responses => Dialect::Responses,
        }
    }

    /// The dialect in which its callers speak, where it can be translated.
    pub(crate) fn client(self) -> Option<ClientDialect> {
        match self {
            Self::Chat => Some(ClientDialect::Chat),
            Self::Converse | Self::ConverseStream => Some(ClientDialect::Converse),
            Self::GenerateContent | Self::StreamGenerateContent => {
                Some(ClientDialect::GenerateContent)
            }
            Self::Messages => Some(ClientDialect::Messages),
            Self::Responses => Some(ClientDialect::Responses),
            _ => None,
        }
    }

    /// The dialect in which its answers tell what they used, if they do.
    pub(crate) fn tells_usage_in(self) -> Option<wire::Dialect> {
        match self {
            Self::Carried(by, _) => Some(by.dialect()),
            Self::Completions | Self::Embeddings => Some(wire::Dialect::Chat),
            Self::Compact => Some(wire::Dialect::Responses),
            _ => self.client().map(wire::Dialect::from),
        }
    }

    /// The call whose bodies a platform carries.
    fn carried_in(by: Carrier) -> Self {
        match by.dialect() {
            wire::Dialect::Messages => Self::Messages,
            _ => Self::Chat,
        }
    }

    /// The platforms that carry its bodies.
    pub(crate) fn carriers(self) -> impl Iterator<Item = Carrier> {
        let all = Carrier::ALL.into_iter();
        all.filter(move |by| Self::carried_in(*by) == self)
    }

    /// The call by which a service is asked in a dialect.
    pub(crate) fn in_dialect(dialect: wire::Dialect, stream: bool) -> Option<Self> {
        Some(match dialect {
            wire::Dialect::Chat => Self::Chat,
            wire::Dialect::Cohere => Self::Cohere,
            wire::Dialect::Converse if stream => Self::ConverseStream,
            wire::Dialect::Converse => Self::Converse,
            wire::Dialect::GenerateContent if stream => Self::StreamGenerateContent,
            wire::Dialect::GenerateContent => Self::GenerateContent,
            wire::Dialect::Messages => Self::Messages,
            wire::Dialect::Responses => Self::Responses,
            _ => return None,
        })
    }

    /// The registry's list of fields in its bodies.
    pub(crate) fn fields(self) -> &'static str {
        match self {
            Self::Carried(by, _) => Self::carried_in(by).fields(),
            Self::Chat | Self::Cohere => "openai-chat",
            Self::Completions => "openai-completions",
            Self::Converse | Self::ConverseStream => "bedrock-converse",
            Self::CountTokens | Self::Messages => "anthropic-messages",
            Self::Embedded(_) | Self::Embeddings => "openai-embeddings",
            Self::GenerateContent | Self::StreamGenerateContent => "gemini-generate",
            Self::Compact | Self::Responses => "openai-responses",
        }
    }

    /// The members that hold the prompt. They are watched because two readers must not see two
    /// different prompts.
    pub(crate) fn prompt(self) -> &'static [&'static str] {
        match self {
            Self::Carried(by, _) => Self::carried_in(by).prompt(),
            Self::Chat | Self::Cohere => &["messages"],
            Self::Completions => &["prompt", "suffix"],
            Self::Converse | Self::ConverseStream | Self::CountTokens | Self::Messages => {
                &["messages", "system"]
            }
            Self::Embedded(_) | Self::Embeddings => &["input"],
            // The API takes names in both spellings.
            Self::GenerateContent | Self::StreamGenerateContent => {
                &["contents", "systemInstruction", "system_instruction"]
            }
            Self::Compact | Self::Responses => &["input", "instructions"],
        }
    }

    /// Whether its service takes an object for a list of one, as its own examples have it: `system_instruction`, `contents`
    /// and `parts` in google-gemini/cookbook, `quickstarts/rest/System_instructions_REST.ipynb`.
    pub(crate) fn takes_lone_objects(self) -> bool {
        self.dialect() == Dialect::GenerateContent
    }

    /// Whether its answer is a stream, given what `stream` says in its body.
    pub(crate) fn streams(self, asked: bool) -> bool {
        match self {
            Self::Carried(_, stream) => stream,
            Self::Chat | Self::Cohere | Self::Completions | Self::Messages | Self::Responses => {
                asked
            }
            Self::ConverseStream | Self::StreamGenerateContent => true,
            Self::Compact
            | Self::Converse
            | Self::CountTokens
            | Self::Embedded(_)
            | Self::Embeddings
            | Self::GenerateContent => false,
        }
    }

    /// Whether its bodies may go on from a response that the service keeps.
    pub(crate) fn continues(self) -> bool {
        self.dialect() == Dialect::Responses
    }

    /// Whether the service keeps the exchange unless the body says that it must not.
    pub(crate) fn stores_unless_told(self) -> bool {
        self == Self::Responses
    }

    /// Read a path that has no model in it.
    fn by_path(path: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|call| call.path() == path && !call.names_model_in_path())
    }

    /// Read a path that has the model in it.
    fn by_model_path(path: &str) -> Option<(Self, Box<str>)> {
        Self::ALL.into_iter().find_map(|call| {
            let (before, after) = call.path().split_once("{model}")?;
            let name = path.strip_prefix(before)?.strip_suffix(after)?;
            Some((call, decoded(name).filter(|_| !name.contains('/'))?))
        })
    }
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// To a model.
    Call(Call, ModelPlace),
    /// To the caller's models.
    Models,
    /// To one of them.
    Model(Box<str>),
    /// To a response that an upstream keeps.
    Stored(Stored),
}

/// All that is served, as errors tell it.
const SERVED: &str = "POST /v1/chat/completions, POST /v1/responses, \
    POST /v1/responses/compact, GET /v1/responses/{id}, DELETE /v1/responses/{id}, POST /v1/responses/{id}/cancel, \
    GET /v1/responses/{id}/input_items, POST /v1/completions, POST /v1/embeddings, \
    POST /v1/messages, POST /v1/messages/count_tokens, POST /v1beta/models/{model}:generateContent, \
    POST /v1beta/models/{model}:streamGenerateContent, POST /model/{model}/converse, \
    POST /model/{model}/converse-stream, GET /v1/models, GET /v1/models/{id}, POST /openai/deployments/{model}/…, /openai/v1/…, GET /healthz, GET /readyz";

/// Whose shapes an error on this path has, whether or not the path is served.
pub(crate) fn dialect_of(path: &str) -> Dialect {
    let rest = below_version(path).unwrap_or_default();
    if rest == "/messages" || rest.starts_with("/messages/") {
        Dialect::Messages
    } else if path.starts_with("/v1beta/") || (rest.starts_with("/models/") && rest.contains(':')) {
        Dialect::GenerateContent
    } else if path.starts_with("/model/") {
        Dialect::Converse
    } else {
        Dialect::OpenAi
    }
}

/// Where a request leads.
pub(crate) fn route(method: &Method, path: &str) -> Result<Route, Fault> {
    let found = find(method, path).ok_or_else(|| {
        Fault::new(
            Code::PathNotServed,
            format!("`{path}` is not served; served are {SERVED}"),
        )
    })?;
    let allow = match &found {
        Route::Call(..) => "POST",
        Route::Model(_) | Route::Models => "GET",
        Route::Stored(stored) => stored.allowed(),
    };
    if allow.split(", ").any(|served| method == served) {
        return Ok(found);
    }
    Err(Fault::new(
        Code::MethodNotAllowed,
        format!("`{path}` is served with {allow} only"),
    )
    .allow(allow))
}

fn find(method: &Method, path: &str) -> Option<Route> {
    let rest = below_version(path);
    if let Some(call) = rest.and_then(Call::by_path) {
        return Some(Route::Call(call, ModelPlace::Body));
    }
    if let Some(below) = rest.and_then(|rest| rest.strip_prefix("/responses/")) {
        return Stored::find(method, below).map(Route::Stored);
    }
    // A model's name may have a colon, so that only the method tells what is asked of it.
    let of_google = path.strip_prefix("/v1beta").or_else(|| {
        let version = path.strip_prefix("/v1");
        version.filter(|rest| rest.starts_with("/models/") && method == Method::POST)
    });
    if let Some((call, model)) = Call::by_model_path(of_google.unwrap_or(path)) {
        let known = of_google.is_some() == (call.dialect() == Dialect::GenerateContent);
        return known.then_some(Route::Call(call, ModelPlace::Path(model)));
    }
    if let Some(rest) = rest {
        let name = rest.strip_prefix("/models")?;
        return match name.strip_prefix('/') {
            Some(name) => Some(Route::Model(decoded(name)?)),
            None => name.is_empty().then_some(Route::Models),
        };
    }
    // As Azure's clients ask: the deployment's name stands in the path.
    let rest = path.strip_prefix("/openai/deployments/")?;
    let (name, rest) = rest.split_at_checked(rest.find('/')?)?;
    let call = Call::by_path(rest).filter(|call| call.dialect() == Dialect::OpenAi)?;
    Some(Route::Call(call, ModelPlace::Path(decoded(name)?)))
}

fn below_version(path: &str) -> Option<&str> {
    path.strip_prefix("/v1").or_else(|| {
        let of_azure = path.strip_prefix("/openai")?;
        // Its older clients ask for responses without a version.
        let rest = of_azure.strip_prefix("/v1").unwrap_or(of_azure);
        (rest.len() < of_azure.len() || rest.starts_with("/responses")).then_some(rest)
    })
}

pub(super) fn decoded(name: &str) -> Option<Box<str>> {
    let name = percent_decode_str(name).decode_utf8().ok()?;
    (!name.is_empty()).then(|| Cow::into_owned(name).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_its_paths() {
        let in_body = |call: &Call| !call.names_model_in_path();
        for call in Call::ALL.into_iter().filter(in_body) {
            for prefix in ["/v1", "/openai/v1"] {
                let route = route(&Method::POST, &format!("{prefix}{}", call.path())).unwrap();
                assert_eq!(route, Route::Call(call, ModelPlace::Body));
            }
        }
    }

    #[test]
    fn a_model_may_stand_in_the_path() {
        let call = |call, model: &str| Some(Route::Call(call, ModelPlace::Path(model.into())));
        for (path, found) in [
            (
                "/v1beta/models/m-1:generateContent",
                call(Call::GenerateContent, "m-1"),
            ),
            (
                "/v1/models/m-1:streamGenerateContent",
                call(Call::StreamGenerateContent, "m-1"),
            ),
            (
                "/v1beta/models/a%2Fb:generateContent",
                call(Call::GenerateContent, "a/b"),
            ),
            ("/model/a.m-1%3A0/converse", call(Call::Converse, "a.m-1:0")),
            (
                "/model/a.m-1:0/converse-stream",
                call(Call::ConverseStream, "a.m-1:0"),
            ),
            ("/v1beta/models/a/b:generateContent", None),
            ("/v1beta/models/m-1:countTokens", None),
            ("/v1beta/model/m-1/converse", None),
            ("/models/m-1:generateContent", None),
            ("/model//converse", None),
            ("/v1/model/{model}/converse", None),
            ("/v1/modelsx", None),
            ("/model/m/invoke", None),
            ("/model/m/invoke-with-response-stream", None),
            ("/v1beta/models/m:rawPredict", None),
            ("/v2/chat", None),
            ("/v1/v2/chat", None),
        ] {
            assert_eq!(find(&Method::POST, path), found, "{path}");
        }
        assert_eq!(
            find(&Method::GET, "/v1/models/m-1:generateContent"),
            Some(Route::Model("m-1:generateContent".into()))
        );
    }

    #[test]
    fn a_deployment_is_a_model() {
        let find = |path| find(&Method::GET, path);
        let model = |name: &str| ModelPlace::Path(name.into());
        assert_eq!(
            find("/openai/deployments/my%20gpt/chat/completions"),
            Some(Route::Call(Call::Chat, model("my gpt")))
        );
        assert_eq!(
            find("/openai/deployments/emb/embeddings"),
            Some(Route::Call(Call::Embeddings, model("emb")))
        );
        for path in [
            "/openai/deployments/",
            "/openai/deployments//chat/completions",
            "/openai/deployments/a",
            "/openai/deployments/a/messages",
            "/openai/deployments/a/responses",
            "/openai/deployments/%ff/chat/completions",
            "/v1/models/",
            "/v2/models",
        ] {
            assert_eq!(find(path), None, "{path}");
        }
        assert_eq!(
            find("/v1/models/org/name%3Afree"),
            Some(Route::Model("org/name:free".into()))
        );
    }

    #[test]
    fn errors_have_the_shape_of_the_path() {
        for (path, dialect) in [
            ("/v1/messages", Dialect::Messages),
            ("/v1/messages/batches", Dialect::Messages),
            ("/v1/messagesx", Dialect::OpenAi),
            ("/v1/responses", Dialect::OpenAi),
            ("/v1beta/models", Dialect::GenerateContent),
            ("/v1/models/a:countTokens", Dialect::GenerateContent),
            ("/v1/models/a", Dialect::OpenAi),
            ("/model/a/invoke", Dialect::Converse),
            ("/", Dialect::OpenAi),
        ] {
            assert_eq!(dialect_of(path), dialect, "{path}");
        }
    }

    #[test]
    fn the_list_of_paths_has_every_call() {
        for call in Call::ALL {
            assert!(
                SERVED.contains(&format!("POST {}", call.served_at())),
                "{call:?}"
            );
        }
    }
}
