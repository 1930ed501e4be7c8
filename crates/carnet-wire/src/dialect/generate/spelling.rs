//! Names of members, each of which the dialect takes in two spellings: `topP`, and `top_p` as in its protocol buffers.

use crate::dialect::shape::{Read, array, object, shape, text};
use crate::json::{Kind, Text, Value};

/// Whether a key is this name, which is given in the first spelling.
pub(super) fn is(key: &str, name: &str) -> bool {
    if key.len() == name.len() {
        return key == name;
    }
    let mut key = key.bytes();
    let same = name.bytes().all(|letter| match letter {
        b'A'..=b'Z' => key.next() == Some(b'_') && key.next() == Some(letter.to_ascii_lowercase()),
        _ => key.next() == Some(letter),
    });
    same && key.next().is_none()
}

/// The member of this name. One that is said twice is refused: other readers may take the other one.
pub(super) fn get<'b>(value: Value<'b>, name: &'static str) -> Read<Option<Value<'b>>> {
    let mut found = None;
    for (key, member) in value.members() {
        if member.is_null() || !is(&key, name) {
            continue;
        }
        if found.is_some() {
            return shape(name, "said once, in one of its two spellings");
        }
        found = Some(member);
    }
    Ok(found)
}

/// The elements of a list, which may be one object that stands for a list of it.
///
/// Source: the service's own examples, google-gemini/cookbook, `quickstarts/rest/System_instructions_REST.ipynb`.
pub(super) fn list<'b>(
    value: Value<'b>,
    place: &'static str,
) -> Read<impl Iterator<Item = Value<'b>>> {
    let (one, many) = if value.kind() == Kind::Object {
        (Some(value), None)
    } else {
        (None, Some(array(value, place)?))
    };
    Ok(one
        .into_iter()
        .chain(many.into_iter().flat_map(Value::elements)))
}

/// The object of this name.
pub(super) fn get_object<'b>(value: Value<'b>, name: &'static str) -> Read<Option<Value<'b>>> {
    get(value, name)?
        .map(|member| object(member, name))
        .transpose()
}

/// The string of this name.
pub(super) fn get_text<'b>(value: Value<'b>, name: &'static str) -> Read<Option<Text<'b>>> {
    get(value, name)?
        .map(|member| text(member, name))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Document;

    #[test]
    fn a_name_has_two_spellings_and_no_third() {
        for (key, same) in [
            ("topP", true),
            ("top_p", true),
            ("topp", false),
            ("top_P", false),
            ("top_", false),
            ("top_pp", false),
            ("", false),
        ] {
            assert_eq!(is(key, "topP"), same, "{key}");
        }
        assert!(is("text", "text") && !is("tex", "text"));
    }

    #[test]
    fn what_is_said_twice_is_refused() {
        for (json, right) in [
            (r#"{"topP":1,"top_p":null}"#, true),
            (r#"{"topP":1,"top_p":1}"#, false),
            (r#"{"topP":1,"topP":1}"#, false),
        ] {
            let document = Document::read(json.as_bytes(), 2).unwrap();
            assert_eq!(get(document.root(), "topP").is_ok(), right, "{json}");
        }
    }
}
