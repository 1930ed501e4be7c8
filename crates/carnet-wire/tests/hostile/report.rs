//! What the scan makes of a body, and the file in which parsers of other languages check it.

use std::borrow::Cow;
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use carnet_wire::json::{Scan, Watch, scan, string_value};
use carnet_wire::limits::MAX_DEPTH;
use serde_json::{Map, Value, json};

use super::tricks::{Case, cases};

/// What is decided on; the first is the model.
pub(crate) const PATHS: &[&str] = &[
    "model",
    "models",
    "provider",
    "tools",
    "stream",
    "background",
    "provider.order",
    "tools[].type",
    "tools[].server_url",
];

/// An accepted body.
pub(crate) struct Accepted {
    pub(crate) scan: Scan,
    pub(crate) model: Option<String>,
}

pub(crate) fn watch() -> Watch {
    Watch::new(PATHS).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Decides as a gateway would: the body must be strict, and a model that it names must be text.
pub(crate) fn judge(body: &[u8], watch: &Watch) -> Result<Accepted, String> {
    let scan = scan(body, watch, MAX_DEPTH).map_err(|error| error.to_string())?;
    let model = scan.first(0).map(|hit| string_value(body, hit)).transpose();
    let model = model
        .map_err(|error| format!("`model` {error}"))?
        .map(Cow::into_owned);
    Ok(Accepted { scan, model })
}

/// Writes bodies and verdicts as JSON Lines. `seen` has the text of every value at each path, in base64.
pub(crate) fn write(seed: u64, count: usize, out: &mut impl Write) -> std::io::Result<()> {
    let watch = watch();
    for case in cases(seed, count) {
        writeln!(out, "{}", line(&case, &watch))?;
    }
    out.flush()
}

fn line(case: &Case, watch: &Watch) -> Value {
    let body = STANDARD.encode(&case.body);
    let expect = format!("{:?}", case.expect).to_lowercase();
    match judge(&case.body, watch) {
        Ok(Accepted { scan, model }) => {
            let seen: Map<String, Value> = PATHS
                .iter()
                .enumerate()
                .map(|(index, path)| {
                    let texts = scan
                        .all(index)
                        .map(|hit| STANDARD.encode(&case.body[hit.value.clone()]));
                    ((*path).to_owned(), texts.collect())
                })
                .collect();
            json!({"body": body, "trick": case.trick, "expect": expect, "verdict": "accept", "model": model, "seen": seen})
        }
        Err(error) => {
            json!({"body": body, "trick": case.trick, "expect": expect, "verdict": "refuse", "model": null, "error": error})
        }
    }
}
