//! The mock's control paths, for drivers in another process: `/__seen?from=N`, `/__exchanges`, `/__arm`
//! and `/__answer`. They are not in the ledger.

use serde_json::{Value, json};

use super::Shared;
use super::http::{Conversation, Request};
use super::replay::Manner;

/// Answers a control request; false when the connection is finished with.
pub(super) fn answer(
    shared: &Shared,
    talk: &mut Conversation,
    request: &Request,
    rest: &str,
) -> bool {
    let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (status, body) = match name {
        "seen" => {
            let from = query
                .strip_prefix("from=")
                .and_then(|n| n.parse().ok())
                .unwrap_or(0);
            (200, json!({"seen": shared.ledger.from(from)}))
        }
        "exchanges" => (200, json!({"exchanges": shared.cassettes.all()})),
        "arm" => arm(shared, &request.body),
        "answer" => match serde_json::from_slice(&request.body) {
            Ok(answers) => {
                shared.told.replace(answers);
                (200, json!({"ok": true}))
            }
            Err(error) => (400, json!({"error": error.to_string()})),
        },
        other => (404, json!({"error": format!("no control path `{other}`")})),
    };
    talk.json(status, &[], &body).is_ok()
}

/// `{"id": …, "step": …}` answers from that exchange; `{}` goes back to the script.
fn arm(shared: &Shared, body: &[u8]) -> (u16, Value) {
    let wish: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let step = wish
        .get("step")
        .and_then(Value::as_u64)
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(0);
    let result = match wish.get("id").and_then(Value::as_str) {
        Some(id) => shared.cassettes.arm(id, Manner { step, pause: None }),
        None => {
            shared.cassettes.disarm();
            Ok(())
        }
    };
    match result {
        Ok(()) => (200, json!({"ok": true})),
        Err(error) => (404, json!({"error": error})),
    }
}
