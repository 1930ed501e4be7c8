//! The Chat Completions dialect: what is read of a request, and what is left as it came.

use std::ops::Range;

use bytes::Bytes;
use carnet_wire::json::{self, Kind, Scan, Watch};

use crate::codes::Code;
use crate::error::Fault;
use crate::limits::{JSON_DEPTH_MAX, MODEL_NAME_BYTES_MAX};

/// A request body with the places that decide where it goes.
#[derive(Debug)]
pub(crate) struct Chat {
    /// The bytes as they came.
    pub(crate) body: Bytes,
    /// Everything found at a watched path.
    pub(crate) scan: Scan,
    /// The model asked for.
    pub(crate) model: Box<str>,
    /// Where the model's value stands, quotes included.
    pub(crate) model_at: Range<usize>,
    /// Whether the answer shall be streamed.
    pub(crate) stream: bool,
}

const MODEL: &str = "model";
const STREAM: &str = "stream";

/// The paths that every generation watches, before those of its upstreams. The messages are among
/// them because two readers must not see two different prompts.
pub(crate) const WATCHED: [&str; 3] = [MODEL, STREAM, "messages"];

/// Read a chat request; nothing in it is trusted before the strict scan has passed.
pub(crate) fn read(body: Bytes, watch: &Watch) -> Result<Chat, Fault> {
    let scan = json::scan(&body, watch, JSON_DEPTH_MAX).map_err(|why| {
        let mut message = format!("the body is not acceptable JSON: {why}");
        if let Some(help) = why.help() {
            message.push_str("; ");
            message.push_str(help);
        }
        Fault::new(Code::InvalidJson, message)
    })?;
    let hit = |path| watch.index(path).and_then(|index| scan.first(index));
    let model_hit = hit(MODEL).ok_or_else(|| {
        Fault::new(Code::InvalidRequest, "the field `model` is missing").param(MODEL)
    })?;
    if model_hit.kind != Kind::String {
        return Err(
            Fault::new(Code::InvalidRequest, "the field `model` is not a string").param(MODEL),
        );
    }
    let model = json::string_value(&body, model_hit).map_err(|why| {
        Fault::new(Code::InvalidJson, format!("the field `model`: {why}")).param(MODEL)
    })?;
    if model.is_empty() || model.len() > MODEL_NAME_BYTES_MAX {
        return Err(Fault::new(
            Code::InvalidRequest,
            format!("the field `model` is empty or longer than {MODEL_NAME_BYTES_MAX} bytes"),
        )
        .param(MODEL));
    }
    let stream = match hit(STREAM).map(|hit| hit.kind) {
        None | Some(Kind::Null) => false,
        Some(Kind::Bool) => hit(STREAM).is_some_and(|hit| json::bool_value(&body, hit) == Ok(true)),
        Some(_) => {
            return Err(Fault::new(
                Code::InvalidRequest,
                "the field `stream` is not true or false",
            )
            .param(STREAM));
        }
    };
    let (model, model_at) = (model.into(), model_hit.value.clone());
    Ok(Chat {
        model,
        model_at,
        stream,
        scan,
        body,
    })
}
