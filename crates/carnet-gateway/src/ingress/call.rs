//! What is served: the kinds of calls, the paths by which callers reach them, and where each names its model.

use std::borrow::Cow;

use carnet_policy::Api;
use http::Method;
use percent_encoding::percent_decode_str;

use super::prompt::ModelPlace;
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
}

/// A kind of request that goes to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// A conversation in, a message out.
    Chat,
    /// A text to go on with.
    Completions,
    /// How many tokens a conversation of [`Call::Messages`] has.
    CountTokens,
    /// Texts to turn into numbers.
    Embeddings,
    /// A conversation in Anthropic's dialect.
    Messages,
    /// A conversation of items, with tools that the provider may run.
    Responses,
}

impl Call {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::Chat,
        Self::Completions,
        Self::CountTokens,
        Self::Embeddings,
        Self::Messages,
        Self::Responses,
    ];

    /// Its path below the version, for callers and at upstreams alike.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Completions => "/completions",
            Self::CountTokens => "/messages/count_tokens",
            Self::Embeddings => "/embeddings",
            Self::Messages => "/messages",
            Self::Responses => "/responses",
        }
    }

    /// What policies and records call it.
    pub(crate) fn api(self) -> Api {
        match self {
            Self::Chat => Api::ChatCompletions,
            Self::Completions => Api::Completions,
            Self::CountTokens | Self::Messages => Api::Messages,
            Self::Embeddings => Api::Embeddings,
            Self::Responses => Api::Responses,
        }
    }

    /// Whose shapes its callers read.
    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Chat | Self::Completions | Self::Embeddings => Dialect::OpenAi,
            Self::CountTokens | Self::Messages => Dialect::Messages,
            Self::Responses => Dialect::Responses,
        }
    }

    /// The registry's list of fields in its bodies.
    pub(crate) fn fields(self) -> &'static str {
        match self {
            Self::Chat => "openai-chat",
            Self::Completions => "openai-completions",
            Self::CountTokens | Self::Messages => "anthropic-messages",
            Self::Embeddings => "openai-embeddings",
            Self::Responses => "openai-responses",
        }
    }

    /// The members that hold the prompt. They are watched because two readers must not see two
    /// different prompts.
    pub(crate) fn prompt(self) -> &'static [&'static str] {
        match self {
            Self::Chat => &["messages"],
            Self::Completions => &["prompt", "suffix"],
            Self::CountTokens | Self::Messages => &["messages", "system"],
            Self::Embeddings => &["input"],
            Self::Responses => &["input", "instructions"],
        }
    }

    /// Whether its answer can be a stream.
    pub(crate) fn streams(self) -> bool {
        !matches!(self, Self::CountTokens | Self::Embeddings)
    }

    fn by_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|call| call.path() == path)
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
}

/// All that is served, as errors tell it.
const SERVED: &str = "POST /v1/chat/completions, POST /v1/responses, POST /v1/completions, POST /v1/embeddings, \
    POST /v1/messages, POST /v1/messages/count_tokens, GET /v1/models, GET /v1/models/{id}, \
    POST /openai/deployments/{model}/…, /openai/v1/…, GET /healthz, GET /readyz";

/// Whose shapes an error on this path has, whether or not the path is served.
pub(crate) fn dialect_of(path: &str) -> Dialect {
    let rest = below_version(path).unwrap_or_default();
    if rest == "/messages" || rest.starts_with("/messages/") {
        Dialect::Messages
    } else {
        Dialect::OpenAi
    }
}

/// Where a request leads.
pub(crate) fn route(method: &Method, path: &str) -> Result<Route, Fault> {
    let found = find(path).ok_or_else(|| {
        Fault::new(
            Code::PathNotServed,
            format!("`{path}` is not served; served are {SERVED}"),
        )
    })?;
    let served = match found {
        Route::Call(..) => Method::POST,
        Route::Model(_) | Route::Models => Method::GET,
    };
    if *method == served {
        return Ok(found);
    }
    let allow = if served == Method::POST {
        "POST"
    } else {
        "GET"
    };
    Err(Fault::new(
        Code::MethodNotAllowed,
        format!("`{path}` is served with {allow} only"),
    )
    .allow(allow))
}

fn find(path: &str) -> Option<Route> {
    if let Some(rest) = below_version(path) {
        if rest == "/models" {
            return Some(Route::Models);
        }
        if let Some(name) = rest.strip_prefix("/models/") {
            return Some(Route::Model(decoded(name)?));
        }
        return Some(Route::Call(Call::by_path(rest)?, ModelPlace::Body));
    }
    // As Azure's clients ask: the deployment's name stands in the path.
    let rest = path.strip_prefix("/openai/deployments/")?;
    let (name, rest) = rest.split_at_checked(rest.find('/')?)?;
    let call = Call::by_path(rest).filter(|call| call.dialect() == Dialect::OpenAi)?;
    Some(Route::Call(call, ModelPlace::Path(decoded(name)?)))
}

fn below_version(path: &str) -> Option<&str> {
    path.strip_prefix("/v1")
        .or_else(|| path.strip_prefix("/openai/v1"))
}

fn decoded(name: &str) -> Option<Box<str>> {
    let name = percent_decode_str(name).decode_utf8().ok()?;
    (!name.is_empty()).then(|| Cow::into_owned(name).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_its_paths() {
        for call in Call::ALL {
            for prefix in ["/v1", "/openai/v1"] {
                let route = route(&Method::POST, &format!("{prefix}{}", call.path())).unwrap();
                assert_eq!(route, Route::Call(call, ModelPlace::Body));
            }
        }
    }

    #[test]
    fn a_deployment_is_a_model() {
        let find = |path| find(path);
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
            ("/", Dialect::OpenAi),
        ] {
            assert_eq!(dialect_of(path), dialect, "{path}");
        }
    }

    #[test]
    fn the_list_of_paths_has_every_call() {
        for call in Call::ALL {
            assert!(
                SERVED.contains(&format!("POST /v1{}", call.path())),
                "{call:?}"
            );
        }
    }
}
