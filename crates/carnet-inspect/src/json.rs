//! A JSON text beside weights, such as a configuration, into a [`Tree`].

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::limits::{MAX_JSON, MAX_TREE_DEPTH, MAX_TREE_VALUES};
use crate::{Code, Finding, Tree};

/// Reads a text.
///
/// # Errors
///
/// It is no JSON, or more of it than is read.
pub fn read(text: &[u8]) -> Result<Tree, Finding> {
    if text.len() > MAX_JSON {
        let message = format!("the text has more than {MAX_JSON} bytes");
        return Err(Finding::new(Code::JsonLimit, 0, message));
    }
    let over = Cell::new(None);
    let values = Cell::new(0);
    let value = Value {
        depth: 0,
        values: &values,
        over: &over,
    };
    let mut from = serde_json::Deserializer::from_slice(text);
    let tree = value
        .deserialize(&mut from)
        .and_then(|tree| from.end().map(|()| tree));
    tree.map_err(|error| match over.get() {
        Some(limit) => Finding::new(Code::JsonLimit, 0, limit),
        None => {
            let (line, column) = (error.line(), error.column());
            let message = format!("line {line}, column {column} is not JSON");
            Finding::new(Code::JsonSyntax, 0, message)
        }
    })
}

/// The next value, at this depth.
#[derive(Clone, Copy)]
struct Value<'c> {
    depth: usize,
    values: &'c Cell<usize>,
    /// Which limit ended the reading.
    over: &'c Cell<Option<&'static str>>,
}

impl Value<'_> {
    fn count<E: serde::de::Error>(&self) -> Result<(), E> {
        let values = self.values.get().saturating_add(1);
        self.values.set(values);
        if values <= MAX_TREE_VALUES {
            return Ok(());
        }
        self.over.set(Some("there are more values than are read"));
        Err(E::custom("too many values"))
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.saturating_add(1);
        if depth <= MAX_TREE_DEPTH {
            return Ok(Self { depth, ..self });
        }
        self.over.set(Some("values are nested deeper than is read"));
        Err(E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Tree, D::Error> {
        self.count()?;
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = from.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let inner = self.deeper()?;
        let mut entries = Vec::new();
        while let Some(key) = from.next_key::<String>()? {
            inner.count::<A::Error>().map_err(A::Error::custom)?;
            entries.push((key, from.next_value_seed(inner)?));
        }
        Ok(Tree::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Code {
        read(text.as_bytes()).expect_err(text).code
    }

    #[test]
    fn values_are_texts_and_keys_stay_double() {
        let text = r#"{"a": "x", "a": ["y", 1, true, null, {"z": "no"}], "b": 1.5}"#;
        let tree = read(text.as_bytes()).unwrap();
        let texts: Vec<&str> = tree.all("a").flat_map(Tree::texts).collect();
        assert_eq!(texts, ["x", "y", "1", "true"]);
        assert_eq!(tree.all("b").next(), Some(&Tree::Text("1.5".into())));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            "{",
            "nan",
            "{} {}",
            "{\"a\": \"\\ud800\"}",
            "\u{feff}{}",
            "{'a': 1}",
        ] {
            assert_eq!(code(text), Code::JsonSyntax, "{text}");
        }
        assert_eq!(read(b"\"\xff\"").unwrap_err().code, Code::JsonSyntax);
    }

    #[test]
    fn depth_length_and_number_are_bounded() {
        assert_eq!(code(&"[".repeat(100_000)), Code::JsonLimit);
        assert_eq!(code(&"{\"a\":".repeat(100_000)), Code::JsonLimit);
        let deepest = format!(
            "{}{}",
            "[".repeat(MAX_TREE_DEPTH),
            "]".repeat(MAX_TREE_DEPTH)
        );
        assert!(read(deepest.as_bytes()).is_ok());
        assert_eq!(
            code(&format!("[{}1]", "1,".repeat(MAX_TREE_VALUES))),
            Code::JsonLimit
        );
        assert_eq!(code(&" ".repeat(MAX_JSON + 1)), Code::JsonLimit);
    }
}
