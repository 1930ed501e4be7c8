//! One description of a configuration section gives its type, its reader and its schema.
//!
//! A reader goes on after a mistake: it reports each with its place and the fix, refuses unknown
//! keys, and keeps the place of each value for the messages of later checks. A key that could not be
//! read is told apart from one that is not there, so that no later check calls it missing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use carnet_policy::Setting;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use toml_span::value::{Table, ValueInner};
use toml_span::{Span, Value};

use crate::config::ConfigProblem;

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where in the file.
    pub span: Span,
}

/// What the file says under a key.
#[derive(Clone, Debug, Default)]
pub enum Field<T> {
    /// Nothing.
    #[default]
    Absent,
    /// A value.
    Given(Located<T>),
    /// Nothing that can be used; the mistake is reported.
    Wrong,
}

impl<T> Field<T> {
    /// The value, if there is one.
    pub fn given(&self) -> Option<&Located<T>> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }

    /// The value without its place, if there is one.
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Given(value) => Some(value.value),
            Self::Absent | Self::Wrong => None,
        }
    }
}

/// What a value of the file can be read as.
pub trait Read: Sized {
    /// What must stand there, with its article.
    const WANTED: &'static str;
    /// How to write it.
    const HELP: &'static str;

    /// Read a value; `what` names it in messages. Mistakes are reported, and what is left of the
    /// value is read all the same.
    fn read(what: &str, value: Value<'_>, found: &mut Vec<ConfigProblem>) -> Option<Self>;

    /// Report that something else stands there.
    fn refuse(
        what: &str,
        span: Span,
        inner: &ValueInner<'_>,
        found: &mut Vec<ConfigProblem>,
    ) -> Option<Self> {
        found.push(ConfigProblem {
            span,
            message: format!("{what} must be {}, not {}", Self::WANTED, kind(inner)),
            help: Some(Self::HELP.to_owned()),
        });
        None
    }
}

impl Read for String {
    const WANTED: &'static str = "a text";
    const HELP: &'static str = "put it in quotes: \"…\"";

    fn read(what: &str, mut value: Value<'_>, found: &mut Vec<ConfigProblem>) -> Option<Self> {
        match value.take() {
            ValueInner::String(text) => Some(text.into_owned()),
            other => Self::refuse(what, value.span, &other, found),
        }
    }
}

impl Read for bool {
    const WANTED: &'static str = "true or false";
    const HELP: &'static str = "write true or false, without quotes";

    fn read(what: &str, mut value: Value<'_>, found: &mut Vec<ConfigProblem>) -> Option<Self> {
        match value.take() {
            ValueInner::Boolean(flag) => Some(flag),
            other => Self::refuse(what, value.span, &other, found),
        }
    }
}

impl Read for u64 {
    const WANTED: &'static str = "a whole number from 0";
    const HELP: &'static str = "write its digits, without quotes";

    fn read(what: &str, mut value: Value<'_>, found: &mut Vec<ConfigProblem>) -> Option<Self> {
        let inner = value.take();
        match &inner {
            ValueInner::Integer(number) => Self::try_from(*number).ok(),
            _ => None,
        }
        .or_else(|| Self::refuse(what, value.span, &inner, found))
    }
}

impl Read for f64 {
    const WANTED: &'static str = "a number";
    const HELP: &'static str = "write its digits, without quotes";

    fn read(what: &str, mut value: Value<'_>, found: &mut Vec<ConfigProblem>) -> Option<Self> {
        match value.take() {
            ValueInner::Float(number) => Some(number),
            ValueInner::Integer(number) => i32::try_from(number).ok().map(Self::from),
            other => Self::refuse(what, value.span, &other, found),
        }
    }
}

/// Values by names of the writer's own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Named<T>(pub BTreeMap<String, T>);

impl<T: Read> Read for Named<T> {
    const WANTED: &'static str = "a table";
    const HELP: &'static str = "put its keys in braces: { key = … }";

    fn read(what: &str, mut value: Value<'_>, found: &mut Vec<ConfigProblem>) -> Option<Self> {
        let entries = match value.take() {
            ValueInner::Table(entries) => entries,
            other => return Self::refuse(what, value.span, &other, found),
        };
        let mut read = BTreeMap::new();
        for (key, value) in entries {
            if let Some(value) = T::read(&format!("`{}`", key.name), value, found) {
                read.insert(key.name.into_owned(), value);
            }
        }
        Some(Self(read))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("NamedOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}

/// The value of a parameter of a policy pack.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter(pub Setting);

impl Read for Parameter {
    const WANTED: &'static str = "true, false, a whole number, a text or a list of texts";
    const HELP: &'static str = "`carnet policy show PACK` prints the parameters of a pack";

    fn read(what: &str, value: Value<'_>, found: &mut Vec<ConfigProblem>) -> Option<Self> {
        let span = value.span;
        let mut value = value;
        let inner = value.take();
        let read = match &inner {
            ValueInner::String(text) => Some(Setting::Text(text.to_string())),
            ValueInner::Boolean(flag) => Some(Setting::Flag(*flag)),
            ValueInner::Integer(number) => u32::try_from(*number).ok().map(Setting::Number),
            ValueInner::Array(items) => {
                let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
                texts.collect::<Option<Vec<String>>>().map(Setting::List)
            }
            ValueInner::Float(_) | ValueInner::Table(_) => None,
        };
        match read {
            Some(setting) => Some(Self(setting)),
            None => Self::refuse(what, span, &inner, found),
        }
    }
}

impl JsonSchema for Parameter {
    fn schema_name() -> Cow<'static, str> {
        "Parameter".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "The value of a parameter of a policy pack.",
            "anyOf": [
                { "type": "boolean" },
                { "type": "integer", "minimum": 0 },
                { "type": "string" },
                { "type": "array", "items": { "type": "string" } }
            ]
        })
    }
}

impl<T: Read> Read for Vec<T> {
    const WANTED: &'static str = "a list";
    const HELP: &'static str = "put it in brackets: […], or for a section: [[…]]";

    fn read(what: &str, mut value: Value<'_>, found: &mut Vec<ConfigProblem>) -> Option<Self> {
        let entries = match value.take() {
            ValueInner::Array(entries) => entries,
            other => return Self::refuse(what, value.span, &other, found),
        };
        let empty = entries.is_empty();
        let what = format!("an entry of {what}");
        let read: Self = entries
            .into_iter()
            .filter_map(|entry| T::read(&what, entry, found))
            .collect();
        // A list of nothing but mistakes is not the empty list.
        (empty || !read.is_empty()).then_some(read)
    }
}

impl<T: Read> Read for Located<T> {
    const WANTED: &'static str = T::WANTED;
    const HELP: &'static str = T::HELP;

    fn read(what: &str, value: Value<'_>, found: &mut Vec<ConfigProblem>) -> Option<Self> {
        let span = value.span;
        T::read(what, value, found).map(|value| Self { value, span })
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A table whose keys are being read.
#[derive(Debug)]
pub struct Keys<'a, 'f> {
    table: Table<'a>,
    span: Span,
    known: Vec<&'static str>,
    found: &'f mut Vec<ConfigProblem>,
}

impl<'a, 'f> Keys<'a, 'f> {
    /// The keys of a section.
    pub fn of<T: Read>(
        what: &str,
        mut value: Value<'a>,
        found: &'f mut Vec<ConfigProblem>,
    ) -> Option<Self> {
        match value.take() {
            ValueInner::Table(table) => Some(Self {
                table,
                span: value.span,
                known: Vec::new(),
                found,
            }),
            other => {
                T::refuse(what, value.span, &other, found);
                None
            }
        }
    }

    /// A key that may be left out.
    pub fn optional<T: Read>(&mut self, key: &'static str) -> Field<T> {
        self.known.push(key);
        let Some(value) = self.table.remove(key) else {
            return Field::Absent;
        };
        match Located::read(&format!("`{key}`"), value, self.found) {
            Some(value) => Field::Given(value),
            None => Field::Wrong,
        }
    }

    /// A key that must be there.
    pub fn required<T: Read>(&mut self, key: &'static str) -> Field<T> {
        let field = self.optional(key);
        if !matches!(field, Field::Absent) {
            return field;
        }
        self.found.push(ConfigProblem {
            span: self.span,
            message: format!("`{key}` is missing"),
            help: Some(format!("add `{key} = …`")),
        });
        Field::Wrong
    }

    /// Any key that nobody asked for is a mistake.
    pub fn finish(self) {
        for key in self.table.into_keys() {
            self.found.push(ConfigProblem {
                span: key.span,
                message: format!("unknown key `{}`", key.name),
                help: Some(match closest(&key.name, self.known.iter().copied()) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("known here are {}", self.known.join(", ")),
                }),
            });
        }
    }
}

/// The known name that was probably meant: at most two edits away (of a short one fewer), or one of
/// which this is a part.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let edits_max = (name.chars().count() / 2).min(2);
    let long = name.chars().count() >= PART_MIN;
    known
        .into_iter()
        .map(|known| (distance(name, known), known))
        .filter(|(edits, known)| *edits <= edits_max || (long && known.contains(name)))
        .min()
        .map(|(_, known)| known)
}

/// Shorter texts are parts of too many names.
const PART_MIN: usize = 4;

/// How many signs must be added, taken away or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.iter().zip(row.iter().skip(1)) {
            let cost = diagonal + usize::from(from != *to);
            left = cost.min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// What a value is, with its article.
fn kind(value: &ValueInner<'_>) -> &'static str {
    match value {
        ValueInner::String(_) => "a text",
        ValueInner::Integer(number) if *number < 0 => "a negative number",
        ValueInner::Integer(_) => "a number",
        ValueInner::Float(_) => "a fraction",
        ValueInner::Boolean(_) => "true or false",
        ValueInner::Array(_) => "a list",
        ValueInner::Table(_) => "a table",
    }
}

/// Declare a section of `carnet.toml`.
///
/// Each field becomes a [`Field`]; a `required` one that is not there is a mistake. The JSON schema
/// comes from the same lines, comments included.
#[macro_export]
macro_rules! section {
    (
        $(#[$meta:meta])*
        $name:ident {
            required { $( $(#[$rdoc:meta])* $rname:ident : $rty:ty, )* }
            optional { $( $(#[$odoc:meta])* $oname:ident : $oty:ty, )* }
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub struct $name {
            $( $(#[$rdoc])* pub $rname: $crate::section::Field<$rty>, )*
            $( $(#[$odoc])* pub $oname: $crate::section::Field<$oty>, )*
        }

        impl $crate::section::Read for $name {
            const WANTED: &'static str = "a table";
            const HELP: &'static str = "put its keys in braces: { key = … }, or below its name in brackets";

            fn read(
                what: &str,
                value: ::toml_span::Value<'_>,
                found: &mut Vec<$crate::config::ConfigProblem>,
            ) -> Option<Self> {
                let mut keys = $crate::section::Keys::of::<Self>(what, value, found)?;
                let section = Self {
                    $( $rname: keys.required(stringify!($rname)), )*
                    $( $oname: keys.optional(stringify!($oname)), )*
                };
                keys.finish();
                Some(section)
            }
        }

        impl ::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).trim_start_matches("Raw").into()
            }

            fn json_schema(generator: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                $(#[$meta])*
                #[derive(::schemars::JsonSchema)]
                #[schemars(deny_unknown_fields)]
                #[allow(dead_code, reason = "only its schema is wanted")]
                struct Shape {
                    $( $(#[$rdoc])* $rname: $rty, )*
                    $( $(#[$odoc])* $oname: $oty, )*
                }
                let mut schema = Shape::json_schema(generator);
                // TOML has no null: what is optional may be absent, and has its type if it is there.
                let required: Vec<&str> = vec![$( stringify!($rname), )*];
                if required.is_empty() {
                    schema.remove("required");
                } else {
                    schema.insert("required".to_owned(), required.into());
                }
                schema
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_name_is_suggested_and_a_far_one_is_not() {
        let known = ["listen", "names", "env", "admin-listener"];
        let table = [
            ("lisen", Some("listen")),
            ("lsiten", Some("listen")),
            ("emv", Some("env")),
            ("admin", Some("admin-listener")),
            ("ame", None),
            ("workers", None),
            ("abc", None),
            ("", None),
        ];
        for (name, meant) in table {
            assert_eq!(closest(name, known), meant, "{name}");
        }
    }
}
