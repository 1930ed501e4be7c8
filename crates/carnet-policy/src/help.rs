//! How to put right what Cedar and the TOML reader report: they say what is wrong, and not always the fix.

use toml_span::{Error, ErrorKind};

/// A rule to compare with.
const FORM: &str = "`permit (principal, action, resource) when { … };`";

/// What to do about a mistake for which Cedar has no advice. `expected` is what it would have read.
pub(crate) fn cedar(message: &str, expected: Option<&str>) -> String {
    let says = |words: &str| message.contains(words);
    let word = message
        .strip_prefix("unexpected token `")
        .and_then(|rest| rest.strip_suffix('`'));
    match (word, expected) {
        (Some("and"), _) => "write `&&`".to_owned(),
        (Some("or"), _) => "write `||`".to_owned(),
        _ if says("unexpected end of input") => {
            format!("end the rule as in {FORM}; remove annotations that stand above no rule")
        }
        (_, Some(expected)) if expected.contains([',', ' ']) && expected.contains(" or ") => {
            format!("write one of these here: {expected}")
        }
        (_, Some(expected)) => format!("write {expected} here"),
        _ if says("invalid token") => {
            "remove the character: texts stand in double quotes, comments begin with `//`"
                .to_owned()
        }
        _ if says("is not a valid method") => {
            "a set has `contains`, `containsAll`, `containsAny` and `isEmpty`".to_owned()
        }
        _ if says("empty set literals") => "name at least one member: `[\"…\"]`".to_owned(),
        _ if says("is impossible") => {
            "no request can meet the rule: change its conditions or remove it".to_owned()
        }
        _ if says("applicable action") => "the only action is `Action::\"use\"`".to_owned(),
        _ => {
            "the guide \"Write and test rules\" lists what a rule may ask, and of which type it is"
                .to_owned()
        }
    }
}

/// What is wrong in a TOML text, and what to do about it.
pub(crate) fn toml(error: &Error) -> (String, String) {
    let as_told = |help: String| (error.to_string(), help);
    match &error.kind {
        ErrorKind::UnexpectedKeys { keys, expected } => {
            let names: Vec<String> = keys.iter().map(|(name, _)| format!("`{name}`")).collect();
            (
                format!("unknown key {}", names.join(", ")),
                format!("known keys: {}", expected.join(", ")),
            )
        }
        ErrorKind::MissingField(name) => (
            format!("`{name}` is missing"),
            format!("add `{name} = \"…\"`"),
        ),
        ErrorKind::UnexpectedValue { expected, value } => {
            let value = value.as_deref().unwrap_or_default();
            let message = match expected {
                [one, other] => format!("`{value}` is neither `{one}` nor `{other}`"),
                _ => format!("`{value}` is not {}", expected.join(", ")),
            };
            (message, format!("write {}", listed(expected)))
        }
        ErrorKind::Wanted { expected, .. } => as_told(form(expected)),
        ErrorKind::DuplicateKey { .. } | ErrorKind::DuplicateTable { .. } => {
            as_told("keep one of the two".to_owned())
        }
        ErrorKind::UnquotedString => (
            "this is no value".to_owned(),
            "put a text in quotes: `\"…\"`".to_owned(),
        ),
        ErrorKind::InvalidNumber => {
            as_told("write a number, or put a text or a date in quotes: `\"…\"`".to_owned())
        }
        ErrorKind::UnterminatedString | ErrorKind::InvalidCharInString(_) => as_told(
            "close the text with a quote; one of several lines stands between `\"\"\"`".to_owned(),
        ),
        ErrorKind::InvalidEscape(_)
        | ErrorKind::InvalidEscapeValue(_)
        | ErrorKind::InvalidHexEscape(_) => {
            as_told("write `\\\\` for a backslash, or put the text in single quotes".to_owned())
        }
        _ => as_told("correct the line: it is not valid TOML".to_owned()),
    }
}

/// How a value or sign of this kind is written.
fn form(expected: &str) -> String {
    match expected {
        "a string" => "write a text in quotes: `\"…\"`".to_owned(),
        "an array" => "write a list: `[\"…\"]`".to_owned(),
        "a table" => "write a table: `{ key = \"…\" }`".to_owned(),
        "an equals" => "write `=` between a key and its value".to_owned(),
        "a comma" => "write `,` between two entries".to_owned(),
        "a right brace" => "close the table with `}`".to_owned(),
        "a right bracket" => "close it with `]`".to_owned(),
        other => format!("write {other} here"),
    }
}

/// The values to choose from; one alone is a description and no word to write.
fn listed(expected: &[&str]) -> String {
    if let [one] = expected {
        return (*one).to_owned();
    }
    let quoted: Vec<String> = expected
        .iter()
        .map(|word| format!("`\"{word}\"`"))
        .collect();
    quoted.join(" or ")
}
