//! Schemas in the dialect's own form, a part of OpenAPI's, as JSON Schema.
//!
//! They differ in their types, which are in capitals, in how they allow `null`, in counts, which may be strings, and in
//! their spelling. What both have stays as it is. Form: <https://ai.google.dev/api/caching#Schema>.

use std::borrow::Cow;

use crate::json::{Kind, Object, Text, Value};

use super::spelling::is;

/// Members that count something.
const COUNTS: [&str; 6] = [
    "maxItems",
    "maxLength",
    "maxProperties",
    "minItems",
    "minLength",
    "minProperties",
];

/// The same schema in JSON Schema. One that is so already is not copied.
pub(super) fn as_json_schema(schema: Value<'_>) -> Cow<'_, str> {
    if !differs(schema) {
        return Cow::Borrowed(schema.raw());
    }
    let mut out = Vec::with_capacity(schema.raw().len());
    write_schema(schema, &mut out);
    // INVARIANT: all of it comes from strings.
    String::from_utf8(out).map_or(Cow::Borrowed("{}"), Cow::Owned)
}

/// Whether anything in a schema is not JSON Schema. A schema is as deep as its document at most.
fn differs(schema: Value<'_>) -> bool {
    schema.members().any(|(key, value)| match &*key {
        "type" => value
            .text()
            .is_some_and(|name| name.token().bytes().any(|b| b.is_ascii_uppercase())),
        "nullable" => true,
        "properties" => value.members().any(|(_, inside)| differs(inside)),
        "items" => differs(value),
        _ if is(&key, "anyOf") || is(&key, "prefixItems") => {
            key.contains('_') || value.elements().any(differs)
        }
        _ => COUNTS
            .iter()
            .any(|name| is(&key, name) && (key.contains('_') || value.kind() == Kind::String)),
    })
}

fn write_schema(schema: Value<'_>, out: &mut Vec<u8>) {
    if schema.kind() != Kind::Object {
        out.extend_from_slice(schema.raw().as_bytes());
        return;
    }
    let nullable = schema.get("nullable").and_then(Value::bool) == Some(true);
    let mut written = Object::open(out);
    for (key, value) in schema.members() {
        match &*key {
            "type" => write_type(value, nullable, &mut written),
            "nullable" => {}
            "properties" if value.kind() == Kind::Object => {
                let mut inside = written.object("properties");
                for (name, property) in value.members() {
                    let name = Text::new(&name);
                    write_schema(property, inside.key(name.token()));
                }
            }
            "items" => write_schema(value, written.key("items")),
            _ if is(&key, "anyOf") => write_all("anyOf", value, &mut written),
            _ if is(&key, "prefixItems") => write_all("prefixItems", value, &mut written),
            _ => write_other(&key, value, &mut written),
        }
    }
}

fn write_type(value: Value<'_>, nullable: bool, schema: &mut Object<'_>) {
    let Some(name) = value.text() else {
        schema.raw("type", value.raw());
        return;
    };
    // No type at all, as its number says it.
    if name.token() == "TYPE_UNSPECIFIED" {
        return;
    }
    let name = name.token().to_ascii_lowercase();
    if nullable && name != "null" {
        schema.raw("type", &format!("[\"{name}\",\"null\"]"));
    } else {
        schema.raw("type", &format!("\"{name}\""));
    }
}

fn write_all(key: &str, schemas: Value<'_>, schema: &mut Object<'_>) {
    let mut written = schema.array(key);
    for one in schemas.elements() {
        write_schema(one, written.element());
    }
}

fn write_other(key: &str, value: Value<'_>, schema: &mut Object<'_>) {
    let escaped = Text::new(key);
    let Some(name) = COUNTS.iter().find(|name| is(key, name)) else {
        schema.raw(escaped.token(), value.raw());
        return;
    };
    match value.text().map(|text| text.token().parse::<u64>()) {
        Some(Ok(count)) => schema.count(name, count),
        _ => schema.raw(name, value.raw()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Document;

    fn converted(json: &str) -> String {
        let document = Document::read(json.as_bytes(), 16).unwrap();
        as_json_schema(document.root()).into_owned()
    }

    #[test]
    fn types_are_in_small_letters_and_may_be_null() {
        for (schema, want) in [
            (
                r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true,"enum":["A"]}},"required":["type"]}"#,
                r#"{"type":"object","properties":{"type":{"type":["string","null"],"enum":["A"]}},"required":["type"]}"#,
            ),
            (
                r#"{"type":"ARRAY","min_items":"2","items":{"any_of":[{"type":"INTEGER","format":"int64"},{"type":"NULL"}]}}"#,
                r#"{"type":"array","minItems":2,"items":{"anyOf":[{"type":"integer","format":"int64"},{"type":"null"}]}}"#,
            ),
            (
                r#"{"type":"TYPE_UNSPECIFIED","title":"a\"b"}"#,
                r#"{"title":"a\"b"}"#,
            ),
        ] {
            assert_eq!(converted(schema), want);
        }
    }

    #[test]
    fn json_schema_stays_as_it_was_written() {
        let schema =
            r#"{ "type": ["string", "null"], "minLength": 1, "properties": {"OBJECT": true} }"#;
        assert_eq!(converted(schema), schema);
    }
}
