//! What is read of a request that goes to a model, and what is left as it came.

use bytes::Bytes;
use carnet_wire::carrier::Carrier;
use carnet_wire::json::{self, Edit, Hit, Kind, Scan, ScanError, Watch};
use carnet_wire::responses::kept;
use carnet_wire::responses::socket::join;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::call::{Call, Dialect};
use crate::codes::Code;
use crate::error::Fault;
use crate::limits::{JSON_DEPTH_MAX, MODEL_NAME_BYTES_MAX};

/// A request body with the places that decide where it goes.
#[derive(Debug)]
pub(crate) struct Prompt {
    /// The kind of request.
    pub(crate) call: Call,
    /// The bytes as they came.
    pub(crate) body: Bytes,
    /// Everything found at a watched path.
    pub(crate) scan: Scan,
    /// The model asked for.
    pub(crate) model: Box<str>,
    /// Whether the body may go on with the name that it has.
    names_model: bool,
    /// What keeps the service from storing the exchange, where it would if it were not told.
    pub(crate) unstored: Option<Edit>,
    /// The same where the body asks for it to be stored.
    pub(crate) stores: Option<Edit>,
    /// Whether it would store the exchange without that.
    pub(crate) storable: bool,
    /// The kept response that it goes on from.
    pub(crate) previous: Option<Box<str>>,
    /// Whether what it went on from was put in front of its input.
    pub(crate) joined: bool,
    /// Whether the answer shall be streamed.
    pub(crate) stream: bool,
    /// What beside the body belongs to it.
    pub(crate) extras: Extras,
}

/// What beside the body a dialect says of a request, passed on as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extras {
    /// Version and trials of the dialect.
    pub(crate) headers: SmallVec<[(HeaderName, HeaderValue); 2]>,
    /// Whether the query says the one thing that it may.
    pub(crate) query: bool,
}

/// The version of the dialect that has been the only one since 2023; the dialect asks for one.
const VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("anthropic-version"),
    HeaderValue::from_static("2023-06-01"),
);
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

impl Extras {
    /// The trials that headers name, each value as it came.
    pub(crate) fn betas(&self) -> impl Iterator<Item = &str> {
        let named = self.headers.iter().filter(|(name, _)| *name == BETA);
        named.filter_map(|(_, value)| value.to_str().ok())
    }

    /// What of it a platform is told that carries the body: the version stands in that.
    pub(crate) fn carried(self, by: Carrier) -> Self {
        let mut headers = self.headers;
        headers.retain(|(name, _)| *name == BETA && !by.names_betas_in_body());
        Self {
            headers,
            query: false,
        }
    }

    /// Of a request's head.
    pub(crate) fn of(call: Call, headers: &HeaderMap, query: Option<&str>) -> Self {
        let said = |query: &str| query.split('&').any(|pair| call.query() == Some(pair));
        let query = query.is_some_and(said);
        if call.dialect() != Dialect::Messages {
            return Self {
                query,
                ..Self::default()
            };
        }
        let (name, default) = VERSION;
        let version = headers.get(&name).cloned().unwrap_or(default);
        let trials = headers.get_all(BETA).iter();
        Self {
            headers: [(name, version)]
                .into_iter()
                .chain(trials.map(|value| (BETA, value.clone())))
                .collect(),
            query,
        }
    }
}

/// Where a request names its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModelPlace {
    /// In the member `model`.
    Body,
    /// In the path; what the body says besides is replaced.
    Path(Box<str>),
}

/// What tells a service to store nothing.
const UNSTORED: &[u8] = b"false";

const MODEL: &str = "model";
const STREAM: &str = "stream";
pub(crate) const STORE: &str = "store";
pub(crate) const PREVIOUS: &str = "previous_response_id";
/// An item of a conversation, and what tells one that is there from one that the service is to fetch.
const INPUT: &str = "input";
const ITEM: &str = "input[]";
const ITEM_ID: &str = "input[].id";
const ITEM_TYPE: &str = "input[].type";

/// The paths that are watched for a call, before those of its upstreams.
pub(crate) fn watched(call: Call) -> impl Iterator<Item = &'static str> {
    let stores = call.stores_unless_told().then_some(STORE);
    let continues = [PREVIOUS, ITEM, ITEM_ID, ITEM_TYPE];
    let continues = continues.into_iter().filter(move |_| call.continues());
    [MODEL, STREAM]
        .into_iter()
        .chain(stores)
        .chain(continues)
        .chain(call.prompt().iter().copied())
}

/// Read a request; nothing in it is trusted before the strict scan has passed.
pub(crate) fn read(
    call: Call,
    place: ModelPlace,
    extras: Extras,
    body: Bytes,
    watch: &Watch,
) -> Result<Prompt, Fault> {
    let scan = json::scan(&body, watch, JSON_DEPTH_MAX).map_err(|why| unacceptable(&why))?;
    let hit = |path| watch.index(path).and_then(|index| scan.first(index));
    let (model, names_model) = match place {
        ModelPlace::Path(name) => (name, false),
        ModelPlace::Body => {
            let hit = hit(MODEL).ok_or_else(|| wrong(MODEL, "is missing"))?;
            if hit.kind != Kind::String {
                return Err(wrong(MODEL, "is not a string"));
            }
            let name = json::string_value(&body, hit).map_err(|why| {
                Fault::new(Code::InvalidJson, format!("the field `model`: {why}")).param(MODEL)
            })?;
            (name.into(), true)
        }
    };
    if model.is_empty() || model.len() > MODEL_NAME_BYTES_MAX {
        let message = format!("is empty or longer than {MODEL_NAME_BYTES_MAX} bytes");
        return Err(wrong(MODEL, &message));
    }
    let stream = match hit(STREAM) {
        None => false,
        Some(hit) => match hit.kind {
            Kind::Null => false,
            Kind::Bool => json::bool_value(&body, hit) == Ok(true),
            _ => return Err(wrong(STREAM, "is not true or false")),
        },
    };
    let told = |hit| Edit::replace(hit, Bytes::from_static(UNSTORED));
    let unstored = match hit(STORE) {
        _ if !call.stores_unless_told() => None,
        None => Some(insert(&body, STORE, UNSTORED)),
        // What else it says is for the rules of its fields.
        Some(hit) => (hit.kind == Kind::Null).then(|| told(hit)),
    };
    let stores = hit(STORE).filter(|_| call.stores_unless_told());
    let stores = stores.filter(|hit| json::bool_value(&body, hit) == Ok(true));
    let stores = stores.map(told);
    let storable = call.stores_unless_told()
        && hit(STORE).is_none_or(|hit| json::bool_value(&body, hit) != Ok(false));
    let previous = match hit(PREVIOUS).filter(|hit| hit.kind != Kind::Null) {
        None => None,
        Some(hit) => {
            let id = json::string_value(&body, hit);
            Some(id.map_err(|_| wrong(PREVIOUS, "is not a text"))?.into())
        }
    };
    if call.continues() && has_bare_reference(&scan, watch) {
        let message = "an item of `input` has an `id` and no `type`, and so stands for one that the service keeps; \
            give its `type` and its content";
        return Err(Fault::new(Code::FieldRefused, message).param(ITEM_ID));
    }
    Ok(Prompt {
        call,
        model,
        names_model,
        unstored,
        stores,
        storable,
        previous,
        joined: false,
        stream: call.streams(stream),
        extras,
        scan,
        body,
    })
}

/// Why a body is not read at all.
pub(crate) fn unacceptable(why: &ScanError) -> Fault {
    let mut message = format!("the body is not acceptable JSON: {why}");
    if let Some(help) = why.help() {
        message.push_str("; ");
        message.push_str(help);
    }
    Fault::new(Code::InvalidJson, message)
}

/// Whether an item has an id and no type: the short form of a reference to one that the service keeps.
fn has_bare_reference(scan: &Scan, watch: &Watch) -> bool {
    let (item, id, kind) = (
        watch.index(ITEM),
        watch.index(ITEM_ID),
        watch.index(ITEM_TYPE),
    );
    // Of the item at hand: hits come in the order of the body, an item before what is in it.
    let (mut has_id, mut has_type) = (false, false);
    for hit in &scan.hits {
        let path = Some(hit.path);
        if path == item {
            if has_id && !has_type {
                return true;
            }
            (has_id, has_type) = (false, false);
        } else if path == id {
            has_id |= hit.kind != Kind::Null;
        } else if path == kind {
            has_type |= hit.kind != Kind::Null;
        }
    }
    has_id && !has_type
}

/// Why a request is not made that would be too large with what it goes on from.
pub(crate) fn too_large_joined(max: u64) -> Fault {
    let message = format!(
        "with the conversation that it goes on from, the body is larger than {max} bytes; begin a new conversation, or \
         ask your operator to raise `body_bytes_max`"
    );
    Fault::new(Code::BodyTooLarge, message).param(PREVIOUS)
}

fn wrong(field: &str, what: &str) -> Fault {
    Fault::new(Code::InvalidRequest, format!("the field `{field}` {what}")).param(field)
}

impl Prompt {
    /// The items of its whole input, with commas between them.
    pub(crate) fn items(&self, watch: &Watch) -> Bytes {
        kept::items(&self.body, self.hit(watch, INPUT))
    }

    /// The same request with these items in front of its input, in place of the response that it goes on from.
    pub(crate) fn going_on(
        self,
        before: &[u8],
        bytes_max: u64,
        watch: &Watch,
    ) -> Result<Self, Fault> {
        let Some(previous) = self.hit(watch, PREVIOUS) else {
            return Ok(self);
        };
        let items = join(before, &self.items(watch));
        let edits = kept::goes_on(&self.body, previous, self.hit(watch, INPUT), &items);
        let edits: Vec<Edit> = edits.collect();
        let body = Bytes::from(json::splice(&self.body, &edits).concat());
        if body.len() as u64 > bytes_max {
            return Err(too_large_joined(bytes_max));
        }
        let place = if self.names_model {
            ModelPlace::Body
        } else {
            ModelPlace::Path(self.model)
        };
        let mut joined = read(self.call, place, self.extras, body, watch)?;
        joined.joined = true;
        Ok(joined)
    }

    /// Whether its answer is a stream in which comments can stand.
    pub(crate) fn takes_comments(&self) -> bool {
        self.stream
            && match self.call.dialect() {
                Dialect::Converse => false,
                // It sends an array unless it is asked for events.
                Dialect::GenerateContent => self.extras.query,
                Dialect::Messages | Dialect::OpenAi | Dialect::Responses => true,
            }
    }

    /// The same request, read once more for another watch.
    pub(crate) fn again(&self, watch: &Watch) -> Result<Self, Fault> {
        let place = if self.names_model {
            ModelPlace::Body
        } else {
            ModelPlace::Path(self.model.clone())
        };
        let body = self.body.clone();
        let mut again = read(self.call, place, self.extras.clone(), body, watch)?;
        again.joined = self.joined;
        Ok(again)
    }

    fn hit(&self, watch: &Watch, path: &str) -> Option<&Hit> {
        self.scan.first(watch.index(path)?)
    }

    /// Has the body name a model: the upstream's own name, as a JSON string, where it differs from the
    /// caller's; and the caller's where the body named another one or none.
    pub(crate) fn name_model(&self, own: Option<&Bytes>) -> Option<Edit> {
        if self.call.names_model_in_path() {
            // The body has no say in it.
            return self.model_in_body().map(Edit::remove);
        }
        let with = match own {
            Some(own) => own.clone(),
            None if self.names_model => return None,
            None => Bytes::from(serde_json::Value::from(&*self.model).to_string()),
        };
        Some(match self.model_in_body() {
            Some(hit) => Edit::replace(hit, with),
            None => insert(&self.body, MODEL, &with),
        })
    }

    /// Where the body names a model.
    fn model_in_body(&self) -> Option<&Hit> {
        // INVARIANT: it is the first that is watched.
        self.scan.first(0)
    }
}

/// A member as the first of a body.
pub(crate) fn insert(body: &[u8], name: &str, value: &[u8]) -> Edit {
    let start = body.iter().position(|byte| *byte == b'{').unwrap_or(0) + 1;
    let rest = body.get(start..).unwrap_or_default();
    let empty = rest.trim_ascii_start().first() == Some(&b'}');
    let comma: &[u8] = if empty { b"" } else { b"," };
    let key = format!("\"{name}\":");
    Edit {
        range: start..start,
        with: [key.as_bytes(), value, comma].concat().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(place: ModelPlace, body: &'static str) -> Prompt {
        let watch = Watch::new(watched(Call::Chat)).unwrap();
        let body = Bytes::from_static(body.as_bytes());
        read(Call::Chat, place, Extras::default(), body, &watch).unwrap()
    }

    fn sent(prompt: &Prompt, own: Option<&'static str>) -> String {
        let own = own.map(|own| Bytes::from_static(own.as_bytes()));
        let edits: Vec<Edit> = prompt.name_model(own.as_ref()).into_iter().collect();
        String::from_utf8(json::splice(&prompt.body, &edits).concat()).unwrap()
    }

    #[test]
    fn a_body_that_names_its_model_changes_only_for_another_name() {
        let body = r#" {"model" : "a", "n": 1}"#;
        let prompt = prompt(ModelPlace::Body, body);
        assert_eq!(sent(&prompt, None), body);
        assert_eq!(sent(&prompt, Some("\"b\"")), r#" {"model" : "b", "n": 1}"#);
    }

    #[test]
    fn the_name_in_the_path_is_the_one_that_is_sent() {
        let path = || ModelPlace::Path("p\"q".into());
        for (body, want) in [
            ("{}", r#"{"model":"p\"q"}"#),
            (" { } ", r#" {"model":"p\"q" } "#),
            (r#"{"n": 1}"#, r#"{"model":"p\"q","n": 1}"#),
            (
                r#"{"model": "other", "n": 1}"#,
                r#"{"model": "p\"q", "n": 1}"#,
            ),
            (r#"{"model": null}"#, r#"{"model": "p\"q"}"#),
        ] {
            let prompt = prompt(path(), body);
            assert_eq!(&*prompt.model, "p\"q");
            assert_eq!(sent(&prompt, None), want);
            assert!(sent(&prompt, Some("\"own\"")).contains(r#""own""#));
        }
    }

    #[test]
    fn what_cannot_be_streamed_is_not() {
        let watch = Watch::new(watched(Call::Embeddings)).unwrap();
        let body = Bytes::from_static(br#"{"model": "a", "stream": true}"#);
        let extras = Extras::default();
        let prompt = read(Call::Embeddings, ModelPlace::Body, extras, body, &watch).unwrap();
        assert!(!prompt.stream);
    }

    #[test]
    fn only_one_dialect_says_things_beside_the_body() {
        let mut headers = HeaderMap::new();
        headers.append(BETA, HeaderValue::from_static("a-1,b-2"));
        headers.append(BETA, HeaderValue::from_static("c-3"));
        headers.insert("x-other", HeaderValue::from_static("no"));
        let query = Some("a=b&beta=true");
        assert!(Extras::of(Call::Chat, &headers, query).headers.is_empty());
        let extras = Extras::of(Call::CountTokens, &headers, query);
        let values: Vec<&str> = extras
            .headers
            .iter()
            .map(|(_, value)| value.to_str().unwrap())
            .collect();
        assert_eq!(values, ["2023-06-01", "a-1,b-2", "c-3"]);
        assert!(extras.query);
        headers.insert(VERSION.0, HeaderValue::from_static("2030-01-01"));
        let extras = Extras::of(Call::Messages, &headers, Some("beta=false"));
        assert_eq!(extras.headers[0].1, "2030-01-01");
        assert!(!extras.query);
    }

    #[test]
    fn a_response_is_not_stored_unless_the_rules_let_it_be() {
        let watch = Watch::new(watched(Call::Responses)).unwrap();
        for (body, want) in [
            (r#"{"model":"a"}"#, r#"{"store":false,"model":"a"}"#),
            (
                r#"{"model":"a","store":null}"#,
                r#"{"model":"a","store":false}"#,
            ),
            (
                r#"{"model":"a","store":false}"#,
                r#"{"model":"a","store":false}"#,
            ),
            (
                r#"{"model":"a","store":true}"#,
                r#"{"model":"a","store":true}"#,
            ),
        ] {
            let bytes = Bytes::from_static(body.as_bytes());
            let extras = Extras::default();
            let prompt = read(Call::Responses, ModelPlace::Body, extras, bytes, &watch).unwrap();
            let edits: Vec<Edit> = prompt.unstored.into_iter().collect();
            let sent = json::splice(&prompt.body, &edits).concat();
            assert_eq!(String::from_utf8(sent).unwrap(), want);
        }
        let chat = prompt(ModelPlace::Body, r#"{"model":"a"}"#);
        assert_eq!(chat.unstored, None);
    }

    #[test]
    fn an_item_that_is_only_an_id_is_refused() {
        let watch = Watch::new(watched(Call::Responses)).unwrap();
        let read = |input: &str| {
            let body = Bytes::from(format!(r#"{{"model":"a","input":{input}}}"#));
            let extras = Extras::default();
            read(Call::Responses, ModelPlace::Body, extras, body, &watch)
        };
        for input in [
            r#""hi""#,
            r#"[{"role":"user","content":"hi"}]"#,
            r#"[{"id":"msg_1","type":"message","role":"assistant","content":[]}]"#,
            r#"[{"type":"reasoning","id":"rs_1"},{"id":null,"role":"user","content":"hi"}]"#,
            r#"[]"#,
        ] {
            assert!(read(input).is_ok(), "{input}");
        }
        for input in [
            r#"[{"id":"msg_1"}]"#,
            r#"[{"id":"msg_1","type":null}]"#,
            r#"[{"id":"msg_1","type":"message"},{"id":"msg_2"}]"#,
            r#"[{"id":"msg_1"},{"type":"message"}]"#,
            r#"[{"id":"msg_1","content":[{"type":"input_text"}]}]"#,
        ] {
            assert_eq!(read(input).unwrap_err().code, Code::FieldRefused, "{input}");
        }
    }
}
