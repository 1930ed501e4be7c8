//! Reading members in the shape that a dialect gives them, or saying which one has another.

use crate::json::{Kind, Text, Value};

use super::TranslateError;

pub(crate) type Read<T> = Result<T, TranslateError>;

pub(crate) fn shape<T>(place: &'static str, expected: &'static str) -> Read<T> {
    Err(TranslateError::Shape { place, expected })
}

pub(crate) fn text<'b>(value: Value<'b>, place: &'static str) -> Read<Text<'b>> {
    value.text().map_or_else(|| shape(place, "a string"), Ok)
}

pub(crate) fn number<'b>(value: Value<'b>, place: &'static str) -> Read<&'b str> {
    value.number().map_or_else(|| shape(place, "a number"), Ok)
}

pub(crate) fn count(value: Value<'_>, place: &'static str) -> Read<u64> {
    value
        .count()
        .map_or_else(|| shape(place, "a whole number"), Ok)
}

pub(crate) fn boolean(value: Value<'_>, place: &'static str) -> Read<bool> {
    value
        .bool()
        .map_or_else(|| shape(place, "true or false"), Ok)
}

pub(crate) fn array<'b>(value: Value<'b>, place: &'static str) -> Read<Value<'b>> {
    if value.kind() == Kind::Array {
        Ok(value)
    } else {
        shape(place, "an array")
    }
}

pub(crate) fn object<'b>(value: Value<'b>, place: &'static str) -> Read<Value<'b>> {
    if value.kind() == Kind::Object {
        Ok(value)
    } else {
        shape(place, "an object")
    }
}

/// A member with a string that must be there.
pub(crate) fn member<'b>(value: Value<'b>, key: &str, place: &'static str) -> Read<Text<'b>> {
    match value.get(key) {
        Some(member) => text(member, place),
        None => shape(place, "a string"),
    }
}

/// A member with a string that may be missing.
pub(crate) fn optional<'b>(value: Value<'b>, key: &str) -> Option<Text<'b>> {
    value.get(key).and_then(Value::text)
}

pub(crate) fn at_most(found: usize, max: usize, what: &'static str) -> Read<()> {
    if found > max {
        return Err(TranslateError::TooMany { what, max });
    }
    Ok(())
}
