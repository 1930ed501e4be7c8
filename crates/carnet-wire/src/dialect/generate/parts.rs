//! Reading the parts of a conversation.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use crate::dialect::proof;
use crate::dialect::shape::{Read, array, at_most, object, shape, text};
use crate::form::{
    Arguments, Content, Media, MediaKind, MediaSource, Part, Reasoning, TakenIds, ToolResult,
    ToolUse,
};
use crate::json::{Text, Value};
use crate::limits::MAX_TOOL_CALLS;

use super::proofs::is_excuse;
use super::spelling::{get, get_object, get_text, is, list};

/// A reader of parts, which knows the calls so far: the dialect's ids may be missing, and results are known by the
/// name of their tool then.
#[derive(Default)]
pub(super) struct Parts<'b> {
    ids: TakenIds,
    calls: usize,
    results: usize,
    /// Calls by the places of their ids, until they have a result.
    open: Vec<Option<Text<'b>>>,
    /// Those places, by the ids that were given and by the names of tools.
    of_id: Places<'b>,
    of_name: Places<'b>,
}

type Places<'b> = HashMap<Text<'b>, VecDeque<usize>>;

impl<'b> Parts<'b> {
    /// Reads the parts of one turn, or of the instructions, behind those that it has.
    pub(super) fn read(&mut self, content: Value<'b>, parts: &mut Vec<Part<'b>>) -> Read<()> {
        let Some(value) = get(content, "parts")? else {
            return Ok(());
        };
        for part in list(value, "contents[].parts")? {
            self.part(object(part, "contents[].parts[]")?, parts)?;
        }
        Ok(())
    }

    /// Reads a part. The proof that hangs on it becomes reasoning before it, as other dialects have it.
    fn part(&mut self, value: Value<'b>, parts: &mut Vec<Part<'b>>) -> Read<()> {
        let said = get_text(value, "text")?;
        let signature = get_text(value, "thoughtSignature")?
            .filter(|signature| !signature.is_empty() && !is_excuse(signature))
            .map(proof::unwrap);
        if get(value, "thought")?.and_then(Value::bool) == Some(true) {
            let said = said.unwrap_or_default();
            // A stream gives a thought in pieces, and its proof last; clients keep them as they came.
            if let Some(Content::Reasoning(open)) = parts.last_mut().map(|part| &mut part.content)
                && open.signature.is_none()
                && open.encrypted.is_none()
            {
                open.text.push(&said);
                open.signature = signature;
                return Ok(());
            }
            parts.push(Part::new(Content::Reasoning(Reasoning {
                text: said,
                signature,
                ..Reasoning::default()
            })));
            return Ok(());
        }
        if signature.is_some() {
            parts.push(Part::new(Content::Reasoning(Reasoning {
                encrypted: signature,
                ..Reasoning::default()
            })));
        }
        if let Some(call) = get_object(value, "functionCall")? {
            let call = self.call(call)?;
            parts.push(Part::new(Content::ToolUse(call)));
        } else if let Some(result) = get_object(value, "functionResponse")? {
            let result = self.result(result)?;
            parts.push(Part::new(Content::ToolResult(result)));
        } else if let Some(data) = get_object(value, "inlineData")? {
            parts.push(Part::new(media(value, data)?));
        } else if let Some(text) = said {
            parts.extend((!text.is_empty()).then(|| Part::text(text)));
        } else if let Some(content) = unknown(value) {
            parts.push(Part::new(content));
        }
        Ok(())
    }

    fn call(&mut self, call: Value<'b>) -> Read<ToolUse<'b>> {
        self.calls += 1;
        at_most(self.calls, MAX_TOOL_CALLS, "tool calls")?;
        let given = get_text(call, "id")?.filter(|id| !id.is_empty());
        let Some(name) = get_text(call, "name")? else {
            return shape("functionCall.name", "a string");
        };
        let id = self.ids.unique(given.clone().unwrap_or_default());
        let place = self.open.len();
        self.open.push(Some(id.clone()));
        if let Some(given) = given {
            self.of_id.entry(given).or_default().push_back(place);
        }
        let named = self.of_name.entry(name.clone()).or_default();
        named.push_back(place);
        let arguments = get_object(call, "args")?;
        Ok(ToolUse {
            id,
            name,
            arguments: Arguments::Json(arguments.map_or("{}", Value::raw)),
        })
    }

    /// The id of the first call without a result that has this id, or else this name.
    fn first_open(
        &mut self,
        given: Option<&Text<'b>>,
        name: Option<&Text<'b>>,
    ) -> Option<Text<'b>> {
        let places = match given {
            Some(given) => self.of_id.get_mut(given),
            None => self.of_name.get_mut(name?),
        }?;
        let open = &mut self.open;
        std::iter::from_fn(|| places.pop_front()).find_map(|place| open.get_mut(place)?.take())
    }

    fn result(&mut self, result: Value<'b>) -> Read<ToolResult<'b>> {
        self.results += 1;
        at_most(self.results, MAX_TOOL_CALLS, "results of tools")?;
        let given = get_text(result, "id")?.filter(|id| !id.is_empty());
        let name = get_text(result, "name")?;
        let id = match (self.first_open(given.as_ref(), name.as_ref()), given) {
            (Some(id), _) => id,
            (None, Some(id)) => id,
            (None, None) => {
                return shape(
                    "functionResponse.name",
                    "the name of a tool that was called",
                );
            }
        };
        let mut parts = Vec::new();
        let is_error = match get_object(result, "response")? {
            Some(response) => read_response(response, &mut parts),
            None => None,
        };
        if let Some(more) = get(result, "parts")? {
            for part in array(more, "functionResponse.parts")?.elements() {
                match get_object(part, "inlineData")? {
                    Some(data) => parts.push(Part::new(media(part, data)?)),
                    None => parts.extend(unknown(part).map(Part::new)),
                }
            }
        }
        Ok(ToolResult {
            id,
            parts,
            is_error,
        })
    }
}

/// Reads what a tool gave back: what stands under `output` or `error`, else the object itself. Whether it failed.
fn read_response<'b>(response: Value<'b>, parts: &mut Vec<Part<'b>>) -> Option<bool> {
    let mut members = response.members();
    let (key, inside) = match (members.next(), members.next()) {
        (Some((key, inside)), None) if matches!(&*key, "error" | "output") => (key, inside),
        _ => (Cow::Borrowed("output"), response),
    };
    let said = inside
        .text()
        .unwrap_or_else(|| Text::new(inside.raw()).into_owned());
    parts.extend((!said.is_empty()).then(|| Part::text(said)));
    (key == "error").then_some(true)
}

fn media<'b>(part: Value<'b>, data: Value<'b>) -> Read<Content<'b>> {
    let Some(media_type) = get(data, "mimeType")? else {
        return shape("inlineData.mimeType", "a string");
    };
    let media_type = text(media_type, "inlineData.mimeType")?;
    let Some(bytes) = get_text(data, "data")? else {
        return shape("inlineData.data", "a string");
    };
    let plain = media_type.plain();
    let (kind, media_type) = match plain.split_once('/') {
        Some(("image", _)) => (MediaKind::Image, media_type.clone()),
        Some(("audio", format)) => (MediaKind::Audio, Text::new(sound(format)).into_owned()),
        Some(("application" | "text", _)) => (MediaKind::File, media_type.clone()),
        _ => {
            return Ok(Content::Unknown {
                kind: media_type,
                json: part.raw(),
            });
        }
    };
    Ok(Content::Media(Media {
        kind,
        source: MediaSource::Base64 {
            media_type,
            data: bytes,
        },
        name: get_text(data, "displayName")?,
        detail: None,
    }))
}

/// The bare format of a type of sound.
fn sound(format: &str) -> &str {
    match format {
        "mpeg" => "mp3",
        "wave" | "x-wav" => "wav",
        _ => format,
    }
}

/// What a part is that the form has no place for.
fn unknown(part: Value<'_>) -> Option<Content<'_>> {
    let beside = |key: &str| {
        [
            "partMetadata",
            "thought",
            "thoughtSignature",
            "videoMetadata",
        ]
        .iter()
        .any(|name| is(key, name))
    };
    let (key, _) = part
        .members()
        .find(|(key, value)| !value.is_null() && !beside(key))?;
    Some(Content::Unknown {
        kind: Text::new(&key).into_owned(),
        json: part.raw(),
    })
}
