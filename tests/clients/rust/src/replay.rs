//! Each recorded exchange gives a client written in Rust through the gateway what it gives without. No part of any client.
//!
//! Requests and answers are of the client's own types. Where these cannot hold what was recorded, they must fail alike
//! on both sides, and the exchange is asked once more with plain JSON, for which the client lets its callers bring types.

use std::env;
use std::error::Error;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::ReqwestService;
use async_openai::types::chat::{
    CreateChatCompletionRequest, CreateChatCompletionResponse, CreateChatCompletionStreamResponse,
};
use async_openai::types::completions::{CreateCompletionRequest, CreateCompletionResponse};
use async_openai::types::embeddings::{
    CreateBase64EmbeddingResponse, CreateEmbeddingRequest, CreateEmbeddingResponse,
};
use async_openai::types::responses::{CreateResponse, Response, ResponseStreamEvent};
use async_openai::types::stream::StreamResponse;
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::{Value, json};

const NAME: &str = "async-openai";
const APIS: [&str; 4] = ["chat.completions", "completions", "embeddings", "responses"];
/// The driver has the list of what the gateway refuses.
const REFUSED: [&str; 3] = [
    "field_refused",
    "invalid_json",
    "no response of this id is kept",
];
/// The key of what an application sees of an error; no answer has it.
const FAILED: &str = "failed with";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run())
}

async fn run() -> Outcome<()> {
    let mock = Mock {
        url: env::var("MOCK_URL")?,
        http: reqwest::Client::new(),
    };
    let direct = Side::new(&format!("{}/v1", mock.url), "direct");
    let through = Side::new(&env::var("CARNET_BASE_URL")?, &env::var("CARNET_KEY")?);
    // The driver compares bytes at every cut; here the cut that drifts across event bounds will do.
    let full = env::var("CARNET_FULL").is_ok_and(|full| full == "1");
    let cuts: &[u64] = if full { &[1, 7, 37, 0] } else { &[37] };
    let exchanges = mock.ask("exchanges", None).await?;
    let exchanges = exchanges["exchanges"].as_array().ok_or("no exchanges")?;
    for exchange in exchanges
        .iter()
        .filter(|one| APIS.iter().any(|api| one["api"] == *api))
    {
        for cut in cuts {
            let arm = json!({"id": exchange["id"], "step": cut});
            mock.ask("arm", Some(&arm)).await?;
            let (verdict, why) = compare(&direct, &through, exchange).await?;
            let line = json!({
                "client": NAME, "exchange": exchange["id"], "manner": cut.to_string(), "verdict": verdict, "why": why,
            });
            println!("{line}");
        }
    }
    mock.ask("arm", Some(&json!({}))).await?;
    let why = models(&through, exchanges).await.err();
    let why = why.map(|error| error.to_string()).unwrap_or_default();
    println!(
        "{}",
        json!({"case": "async-openai lists the models", "ok": why.is_empty(), "why": why})
    );
    Ok(())
}

/// The scripted upstream's control paths.
struct Mock {
    url: String,
    http: reqwest::Client,
}

impl Mock {
    async fn ask(&self, path: &str, body: Option<&Value>) -> Outcome<Value> {
        let url = format!("{}/__{path}", self.url);
        let request = match body {
            Some(body) => self.http.post(url).json(body),
            None => self.http.get(url),
        };
        Ok(request.send().await?.error_for_status()?.json().await?)
    }
}

/// The client at one of the two addresses.
struct Side {
    client: Client<OpenAIConfig>,
    url: String,
}

/// Whose types hold requests and answers.
#[derive(Clone, Copy, PartialEq)]
enum Types {
    Brought,
    Own,
}

/// Asks with these methods of a part of the client, and gives what the application gets.
macro_rules! ask {
    ($part:expr, $body:expr, $types:expr, $create:ident, $create_byot:ident, $request:ty, $answer:ty, $taken:ident) => {
        match ($types, serde_json::from_value::<$request>($body.clone())) {
            (Types::Brought, _) => $taken($part.$create_byot::<_, Value>($body).await).await,
            (Types::Own, Ok(request)) => $taken($part.$create(request).await).await,
            (Types::Own, Err(_)) => $taken($part.$create_byot::<_, $answer>($body).await).await,
        }
    };
}

impl Side {
    fn new(url: &str, key: &str) -> Self {
        let config = OpenAIConfig::new().with_api_base(url).with_api_key(key);
        // What the client does on its own when a request fails is to ask again.
        let once = ReqwestService::new(reqwest::Client::new());
        Self {
            client: Client::with_config(config).with_http_service(once),
            url: url.to_owned(),
        }
    }

    /// What the application gets: everything parsed, or the error with all that it carries.
    async fn outcome(&self, exchange: &Value, types: Types) -> Outcome<Vec<Value>> {
        let body: Value = serde_json::from_str(exchange["request"].as_str().unwrap_or_default())?;
        let streamed = body["stream"] == true;
        let base64 = body["encoding_format"] == "base64";
        let api = exchange["api"].as_str().unwrap_or_default();
        let got = match (api, streamed) {
            ("chat.completions", false) => {
                ask!(
                    self.client.chat(),
                    body,
                    types,
                    create,
                    create_byot,
                    CreateChatCompletionRequest,
                    CreateChatCompletionResponse,
                    whole
                )
            }
            ("chat.completions", true) => {
                ask!(
                    self.client.chat(),
                    body,
                    types,
                    create_stream,
                    create_stream_byot,
                    CreateChatCompletionRequest,
                    CreateChatCompletionStreamResponse,
                    events
                )
            }
            ("completions", false) => {
                ask!(
                    self.client.completions(),
                    body,
                    types,
                    create,
                    create_byot,
                    CreateCompletionRequest,
                    CreateCompletionResponse,
                    whole
                )
            }
            ("completions", true) => {
                ask!(
                    self.client.completions(),
                    body,
                    types,
                    create_stream,
                    create_stream_byot,
                    CreateCompletionRequest,
                    CreateCompletionResponse,
                    events
                )
            }
            ("embeddings", _) if base64 => {
                ask!(
                    self.client.embeddings(),
                    body,
                    types,
                    create_base64,
                    create_base64_byot,
                    CreateEmbeddingRequest,
                    CreateBase64EmbeddingResponse,
                    whole
                )
            }
            ("embeddings", _) => {
                ask!(
                    self.client.embeddings(),
                    body,
                    types,
                    create,
                    create_byot,
                    CreateEmbeddingRequest,
                    CreateEmbeddingResponse,
                    whole
                )
            }
            ("responses", false) => {
                ask!(
                    self.client.responses(),
                    body,
                    types,
                    create,
                    create_byot,
                    CreateResponse,
                    Response,
                    whole
                )
            }
            ("responses", true) => {
                ask!(
                    self.client.responses(),
                    body,
                    types,
                    create_stream,
                    create_stream_byot,
                    CreateResponse,
                    ResponseStreamEvent,
                    events
                )
            }
            (other, _) => return Err(format!("the client has no `{other}`").into()),
        };
        // Errors of the transport name the address, which is not the same on both sides.
        let text = serde_json::to_string(&got)?.replace(&self.url, "");
        Ok(serde_json::from_str(&text)?)
    }
}

async fn whole<T: Serialize>(answer: Result<T, OpenAIError>) -> Vec<Value> {
    vec![answer.map_or_else(failed, plain)]
}

async fn events<T: Serialize>(answer: Result<StreamResponse<T>, OpenAIError>) -> Vec<Value> {
    match answer {
        Ok(stream) => {
            stream
                .map(|event| event.map_or_else(failed, plain))
                .collect()
                .await
        }
        Err(error) => vec![failed(error)],
    }
}

fn plain<T: Serialize>(value: T) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| json!({FAILED: error.to_string()}))
}

/// What an application sees of an error.
fn failed(error: OpenAIError) -> Value {
    match error {
        OpenAIError::ApiError(error) => {
            json!({FAILED: {"status": error.status_code.as_u16(), "error": error.api_error}})
        }
        error => json!({FAILED: format!("{error:?}")}),
    }
}

fn has_failed(got: &[Value]) -> bool {
    got.iter().any(|one| one.get(FAILED).is_some())
}

/// Verdict and reason, in the driver's words.
async fn compare(
    direct: &Side,
    through: &Side,
    exchange: &Value,
) -> Outcome<(&'static str, String)> {
    for types in [Types::Own, Types::Brought] {
        let found = through.outcome(exchange, types).await?;
        let last = json!(found.last()).to_string().to_lowercase();
        if REFUSED.iter().any(|code| last.contains(code)) {
            return Ok(("refused", String::new()));
        }
        let wanted = direct.outcome(exchange, types).await?;
        if found != wanted {
            let both = format!("wanted {}\nfound  {}", json!(wanted), json!(found));
            return Ok(("differs", both.chars().take(2000).collect()));
        }
        if exchange["status"].as_u64() >= Some(400) || !has_failed(&found) {
            return Ok(("same", String::new()));
        }
        if types == Types::Brought {
            return Ok(("same-failure", last.chars().take(300).collect()));
        }
    }
    Ok(("differs", "no types were left to ask with".to_owned()))
}

/// The list has every model that the recordings ask for in these dialects, and each is there by its name.
async fn models(through: &Side, exchanges: &[Value]) -> Outcome<()> {
    let list = through.client.models().list().await?;
    for exchange in exchanges
        .iter()
        .filter(|one| APIS.iter().any(|api| one["api"] == *api))
    {
        let model = exchange["model"].as_str().unwrap_or_default();
        if !list.data.iter().any(|listed| listed.id == model) {
            return Err(format!("`{model}` is not in the list").into());
        }
    }
    let first = list.data.first().ok_or("the list is empty")?;
    let alone = through.client.models().retrieve(&first.id).await?;
    if alone != *first {
        return Err(format!("{alone:?} alone is {first:?} in the list").into());
    }
    Ok(())
}
