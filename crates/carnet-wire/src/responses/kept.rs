//! Responses that somebody else than the service keeps: what a later request goes on from, and how they are given back.
//!
//! Shapes: openai 5.20.1 (npm package), `resources/responses/input-items.d.ts`, and
//! <https://learn.microsoft.com/en-us/azure/foundry/reference/rest/list-input-items> (25 November 2026) for the order and
//! size of a page.

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::socket::{self, Ending};
use crate::json::{self, Edit, Hit, Kind, Watch};
use crate::limits::MAX_DEPTH;

const ID: &str = "id";
const STATUS: &str = "status";
const RESPONSE: &str = "response";

static WHOLE: LazyLock<Option<Watch>> = LazyLock::new(|| Watch::new([ID, STATUS]).ok());
static EVENT: LazyLock<Option<Watch>> = LazyLock::new(|| Watch::new([RESPONSE]).ok());

/// Entries of a page unless another number is asked for.
const PAGE_USUAL: usize = 20;
/// Most entries of a page.
const PAGE_MAX: usize = 100;

/// The items of a body's input, with commas between them. `input` is where it stands.
#[must_use]
pub fn items(body: &Bytes, input: Option<&Hit>) -> Bytes {
    let Some(hit) = input else {
        return Bytes::new();
    };
    let value = body.get(hit.value.clone()).unwrap_or_default();
    match hit.kind {
        Kind::Array => {
            let inside = value.get(1..value.len().saturating_sub(1));
            body.slice_ref(inside.unwrap_or_default().trim_ascii())
        }
        Kind::String => {
            let text = String::from_utf8_lossy(value);
            format!(r#"{{"type":"message","role":"user","content":{text}}}"#).into()
        }
        _ => Bytes::new(),
    }
}

/// The edits by which a body has these items as its whole input, and goes on from no other response. `previous` and
/// `input` are where the two stand.
pub fn goes_on(
    body: &[u8],
    previous: &Hit,
    input: Option<&Hit>,
    items: &[u8],
) -> impl Iterator<Item = Edit> + use<> {
    let whole = [b"\"input\":[", items, b"]"].concat();
    [instead(body, previous, &whole)]
        .into_iter()
        .chain(input.map(Edit::remove))
}

/// Another member in the place of this one.
pub(super) fn instead(body: &[u8], hit: &Hit, member: &[u8]) -> Edit {
    let before = body.get(hit.member.start..hit.value.start);
    let quote = before.and_then(|text| text.iter().position(|byte| *byte == b'"'));
    Edit {
        range: hit.member.start + quote.unwrap_or(0)..hit.value.end,
        with: Bytes::copy_from_slice(member),
    }
}

/// The id of a response that was given, at least in part.
#[must_use]
pub fn given(response: &[u8]) -> Option<Box<str>> {
    let watch = WHOLE.as_ref()?;
    let scan = json::scan(response, watch, MAX_DEPTH).ok()?;
    let text = |path| {
        let hit = scan.first(watch.index(path)?)?;
        json::string_value(response, hit).ok()
    };
    // Some services do not say it of an answer that came as a whole.
    let status = text(STATUS);
    if !matches!(status.as_deref(), None | Some("completed" | "incomplete")) {
        return None;
    }
    text(ID).map(Into::into)
}

/// The response in the event that ends a stream, if it was given, at least in part.
#[must_use]
pub fn given_by(event: &[u8]) -> Option<&[u8]> {
    if socket::ending(event) != Some(Ending::Given) {
        return None;
    }
    let watch = EVENT.as_ref()?;
    let scan = json::scan(event, watch, MAX_DEPTH).ok()?;
    let hit = scan.first(watch.index(RESPONSE)?)?;
    event.get(hit.value.clone())
}

/// What a response said, as items of a further request with commas between them.
#[must_use]
pub fn said(response: &[u8]) -> Option<Bytes> {
    let event = socket::completed_event(response)?;
    socket::said(&event).map(|(_, items)| items)
}

/// What is told of a response that is kept no longer.
#[must_use]
pub fn deleted(id: &str) -> Bytes {
    json!({ "id": id, "object": "response", "deleted": true })
        .to_string()
        .into()
}

/// Which items are asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Page {
    /// Those behind the item with this id.
    pub after: Option<Box<str>>,
    /// Those before the item with this id.
    pub before: Option<Box<str>>,
    /// How many; 20 if that is not said.
    pub limit: Option<usize>,
    /// Whether the first one stands first; else the last one does.
    pub ascending: bool,
}

/// Why no page is given.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PageError {
    /// What is kept cannot be read.
    #[error("the items cannot be read")]
    Items,
    /// There cannot be a page of that size.
    #[error("`limit` is not a number from 1 to {PAGE_MAX}")]
    Limit,
    /// No item has the id that is named.
    #[error("`{0}` names no item of this response")]
    Unknown(&'static str),
}

impl Page {
    /// The page of these items, which have commas between them. An item without an id gets one by its place.
    ///
    /// # Errors
    /// When there is none such.
    pub fn of(&self, items: &[u8]) -> Result<Bytes, PageError> {
        let limit = self.limit.unwrap_or(PAGE_USUAL);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(PageError::Limit);
        }
        let all = [b"[", items, b"]"].concat();
        let all: Vec<Map<String, Value>> =
            serde_json::from_slice(&all).map_err(|_| PageError::Items)?;
        let listed = all.into_iter().enumerate().map(|(at, item)| told(at, item));
        let mut listed: Vec<Map<String, Value>> = listed.collect();
        if !self.ascending {
            listed.reverse();
        }
        let place = |id: &Option<Box<str>>, name| match id {
            None => Ok(None),
            Some(id) => {
                let is = |item: &Map<String, Value>| item.get(ID).is_some_and(|own| **id == *own);
                let at = listed.iter().position(is);
                at.map(Some).ok_or(PageError::Unknown(name))
            }
        };
        let start = place(&self.after, "after")?.map_or(0, |at| at + 1);
        let end = place(&self.before, "before")?.unwrap_or(listed.len());
        // The page before an item is the one that ends there.
        let start = match (&self.after, &self.before) {
            (None, Some(_)) => end.saturating_sub(limit),
            _ => start,
        };
        let asked = listed.get(start..end).unwrap_or_default();
        let page = asked.get(..limit.min(asked.len())).unwrap_or_default();
        let more = match (&self.after, &self.before) {
            (None, Some(_)) => start > 0,
            _ => asked.len() > page.len(),
        };
        let id = |item: Option<&Map<String, Value>>| item.and_then(|item| item.get(ID)).cloned();
        let list = json!({
            "object": "list", "data": page, "first_id": id(page.first()), "last_id": id(page.last()), "has_more": more,
        });
        Ok(list.to_string().into())
    }
}

/// An item as it is told: with an id and a type, and the text of a message as a part of it.
fn told(at: usize, mut item: Map<String, Value>) -> Map<String, Value> {
    if !item.get(ID).is_some_and(Value::is_string) {
        item.insert(ID.to_owned(), format!("item_{at}").into());
    }
    let role = item.get("role").and_then(Value::as_str).map(str::to_owned);
    let Some(role) = role else { return item };
    if !item.get("type").is_some_and(Value::is_string) {
        item.insert("type".to_owned(), "message".into());
    }
    if let Some(Value::String(text)) = item.get("content") {
        let part = if role == "assistant" {
            json!({ "type": "output_text", "text": text, "annotations": [] })
        } else {
            json!({ "type": "input_text", "text": text })
        };
        item.insert("content".to_owned(), json!([part]));
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_was_given_when_it_was_completed_or_cut_short() {
        for (response, want) in [
            (r#"{"id":"r","status":"completed"}"#, Some("r")),
            (r#"{"status":"incomplete","id":"r"}"#, Some("r")),
            (r#"{"id":"r","output":[{"status":"failed"}]}"#, Some("r")),
            (r#"{"id":"r","status":"failed"}"#, None),
            (r#"{"id":"r","status":"in_progress"}"#, None),
            (r#"{"id":7}"#, None),
            (r#"{"status":"completed"}"#, None),
            ("no", None),
        ] {
            assert_eq!(given(response.as_bytes()).as_deref(), want, "{response}");
        }
        for (event, want) in [
            (
                r#"{"type":"response.completed","response":{"id":"r"}}"#,
                Some(r#"{"id":"r"}"#),
            ),
            (r#"{"type":"response.failed","response":{"id":"r"}}"#, None),
            (r#"{"type":"response.created","response":{"id":"r"}}"#, None),
        ] {
            let found = given_by(event.as_bytes());
            assert_eq!(found, want.map(str::as_bytes), "{event}");
        }
    }

    const ITEMS: &str = concat!(
        r#"{"role":"user","content":"a"},{"type":"message","id":"msg_1","role":"assistant","content":"b"},"#,
        r#"{"type":"function_call_output","call_id":"c","output":"3","id":null}"#
    );

    fn page(page: Page) -> Value {
        serde_json::from_slice(&page.of(ITEMS.as_bytes()).unwrap()).unwrap()
    }

    fn ids(list: &Value) -> Vec<&str> {
        let data = list["data"].as_array().unwrap();
        data.iter()
            .map(|item| item["id"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn items_are_listed_with_ids_types_and_parts_the_last_one_first() {
        let list = page(Page::default());
        assert_eq!(ids(&list), ["item_2", "msg_1", "item_0"]);
        assert_eq!(
            (
                &list["object"],
                &list["first_id"],
                &list["last_id"],
                &list["has_more"]
            ),
            (
                &json!("list"),
                &json!("item_2"),
                &json!("item_0"),
                &json!(false)
            )
        );
        let first = json!({
            "id": "item_0", "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "a" }],
        });
        assert_eq!(list["data"][2], first);
        assert_eq!(list["data"][1]["content"][0]["type"], "output_text");
        let none = Page::default().of(b"").unwrap();
        let none: Value = serde_json::from_slice(&none).unwrap();
        assert_eq!(
            (&none["data"], &none["first_id"]),
            (&json!([]), &Value::Null)
        );
    }

    #[test]
    fn a_page_goes_on_from_an_item() {
        let start = Page {
            limit: Some(2),
            ascending: true,
            ..Page::default()
        };
        let first = page(start.clone());
        assert_eq!(ids(&first), ["item_0", "msg_1"]);
        assert_eq!(first["has_more"], true);
        let second = page(Page {
            after: Some("msg_1".into()),
            ..start.clone()
        });
        assert_eq!(ids(&second), ["item_2"]);
        assert_eq!(second["has_more"], false);
        let back = page(Page {
            before: Some("item_2".into()),
            limit: Some(1),
            ..start.clone()
        });
        assert_eq!(ids(&back), ["msg_1"]);
        assert_eq!(back["has_more"], true);
        let unknown = Page {
            after: Some("msg_9".into()),
            ..start.clone()
        };
        assert_eq!(
            unknown.of(ITEMS.as_bytes()),
            Err(PageError::Unknown("after"))
        );
        for limit in [0, 101] {
            let page = Page {
                limit: Some(limit),
                ..Page::default()
            };
            assert_eq!(page.of(ITEMS.as_bytes()), Err(PageError::Limit));
        }
        assert_eq!(Page::default().of(b"3"), Err(PageError::Items));
    }
}
