//! Puts the values of parameters into the text of rules, and finds places in the original again.
//!
//! `Parameter::"name"` has the form of a Cedar entity, so that editors and Cedar's own tools read a
//! rule file as it is.

use crate::parameters::Parameters;

/// How a rule names a parameter.
const MARK: &str = "Parameter::\"";

/// A text in which parameters have their values.
#[derive(Debug, Default)]
pub(crate) struct Expansion {
    pub(crate) text: String,
    /// Where each value begins and ends in the text, and what it stands for in the original.
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    start: usize,
    end: usize,
    source_start: usize,
    source_end: usize,
}

/// Put in the values; the offset and name of every parameter that does not exist.
pub(crate) fn expand(
    text: &str,
    parameters: &Parameters,
) -> Result<Expansion, Vec<(usize, String)>> {
    let mut out = Expansion::default();
    let mut unknown = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let length = skipped(rest);
        if length > 0 {
            out.text.push_str(rest.get(..length).unwrap_or(rest));
            at = at.saturating_add(length);
            continue;
        }
        let Some((name, length)) = named(rest) else {
            let char = rest.chars().next().unwrap_or_default();
            out.text.push(char);
            at = at.saturating_add(char.len_utf8());
            continue;
        };
        match parameters.get(name) {
            Some(parameter) => {
                let start = out.text.len();
                out.text.push_str(&parameter.value.cedar());
                out.pieces.push(Piece {
                    start,
                    end: out.text.len(),
                    source_start: at,
                    source_end: at.saturating_add(length),
                });
            }
            None => unknown.push((at, name.to_owned())),
        }
        at = at.saturating_add(length);
    }
    if unknown.is_empty() {
        Ok(out)
    } else {
        Err(unknown)
    }
}

/// Length of the comment or text that begins here; 0 when none does.
fn skipped(rest: &str) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if !rest.starts_with('"') {
        return 0;
    }
    let bytes = rest.as_bytes();
    let mut at = 1_usize;
    loop {
        match bytes.get(at) {
            None => return rest.len(),
            Some(b'"') => return at.saturating_add(1),
            Some(b'\\') => at = at.saturating_add(2),
            Some(_) => at = at.saturating_add(1),
        }
    }
}

/// The parameter that is named here, and the length of the whole mark.
fn named(rest: &str) -> Option<(&str, usize)> {
    let after = rest.strip_prefix(MARK)?;
    let name = after.get(..after.find('"')?)?;
    Some((
        name,
        MARK.len().saturating_add(name.len()).saturating_add(1),
    ))
}

impl Expansion {
    /// The place in the original of a byte of the text.
    pub(crate) fn source_offset(&self, offset: usize) -> usize {
        let Some(piece) = self.pieces.iter().rev().find(|piece| piece.start <= offset) else {
            return offset;
        };
        if offset < piece.end {
            piece.source_start
        } else {
            offset
                .saturating_sub(piece.end)
                .saturating_add(piece.source_end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Setting;

    #[test]
    fn values_stand_in_rules_but_not_in_texts_and_comments() {
        let mut parameters = Parameters::standard();
        parameters
            .set(
                "components",
                Setting::List(vec!["a".to_owned(), "b".to_owned()]),
            )
            .unwrap();
        let text = "// Parameter::\"hops\"\nx == Parameter::\"lineage\" && Parameter::\"components\".contains(\"Parameter::\\\"hops\\\"\") é";
        let found = expand(text, &parameters).unwrap();
        assert_eq!(
            found.text,
            "// Parameter::\"hops\"\nx == \"weights\" && [\"a\", \"b\"].contains(\"Parameter::\\\"hops\\\"\") é"
        );
        for needle in ["x ==", " && ", ".contains", "é", "// P"] {
            let offset = found.text.find(needle).unwrap();
            assert_eq!(
                found.source_offset(offset),
                text.find(needle).unwrap(),
                "{needle}"
            );
        }
        assert_eq!(
            found.source_offset(found.text.find("weights").unwrap()),
            text.find("Parameter::\"lineage\"").unwrap()
        );
    }

    #[test]
    fn unknown_parameters_are_found() {
        let found = expand("a Parameter::\"nobody\" b", &Parameters::standard()).unwrap_err();
        assert_eq!(found, [(2, "nobody".to_owned())]);
        assert_eq!(
            expand("Parameter::\"open", &Parameters::standard())
                .unwrap()
                .text,
            "Parameter::\"open"
        );
    }
}
