//! Bounds the shape of a rule file before Cedar sees it: its parser and ours are recursive, and a
//! stack that overflows takes the whole process with it.

use crate::limits::{NESTING_MAX, OPERATORS_MAX};

/// Where a file is too deep or a rule too long, and why.
pub(crate) fn excess(text: &str) -> Option<(usize, String)> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut operators = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let next = bytes.get(at.saturating_add(1));
        match (byte, next) {
            (b'"', _) => at = end_of_text(bytes, at),
            (b'/', Some(b'/')) => at = end_of_line(bytes, at),
            (b'(' | b'[' | b'{', _) => depth = depth.saturating_add(1),
            (b')' | b']' | b'}', _) => depth = depth.saturating_sub(1),
            (b';', _) if depth == 0 => operators = 0,
            (b'&', Some(b'&')) | (b'|', Some(b'|')) => {
                operators = operators.saturating_add(1);
                at = at.saturating_add(1);
            }
            (b'!' | b'-' | b'+' | b'*' | b'.', _) => operators = operators.saturating_add(1),
            (b'i', Some(b'f')) if is_word(bytes, at) => operators = operators.saturating_add(1),
            _ => {}
        }
        if depth > NESTING_MAX {
            return Some((
                at,
                format!("brackets are nested more than {NESTING_MAX} deep"),
            ));
        }
        if operators > OPERATORS_MAX {
            return Some((
                at,
                format!("the rule has more than {OPERATORS_MAX} operators"),
            ));
        }
        at = at.saturating_add(1);
    }
    None
}

/// The quote that ends the text which begins here.
fn end_of_text(bytes: &[u8], start: usize) -> usize {
    let mut at = start.saturating_add(1);
    loop {
        match bytes.get(at) {
            None | Some(b'"') => return at,
            Some(b'\\') => at = at.saturating_add(2),
            Some(_) => at = at.saturating_add(1),
        }
    }
}

fn end_of_line(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    start.saturating_add(
        rest.iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(rest.len()),
    )
}

/// Whether the two letters here stand alone.
fn is_word(bytes: &[u8], at: usize) -> bool {
    let letter = |index: Option<usize>| {
        let byte = index.and_then(|index| bytes.get(index));
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    !letter(at.checked_sub(1)) && !letter(at.checked_add(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(body: &str) -> String {
        format!("permit (principal, action, resource) when {{ {body} }};")
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let deep = |n: usize| rule(&format!("{}true{}", "(".repeat(n), ")".repeat(n)));
        assert_eq!(excess(&deep(NESTING_MAX - 1)), None);
        assert!(excess(&deep(NESTING_MAX)).is_some_and(|(_, why)| why.contains("nested")));
        let long = |n: usize| rule(&vec!["true"; n].join(" || "));
        assert_eq!(excess(&long(OPERATORS_MAX + 1)), None);
        assert!(excess(&long(OPERATORS_MAX + 2)).is_some_and(|(_, why)| why.contains("operators")));
        assert_eq!(
            excess(&long(OPERATORS_MAX).repeat(3)),
            None,
            "counted for each rule"
        );
        assert!(excess(&rule(&"if true then ".repeat(OPERATORS_MAX + 1))).is_some());
    }

    #[test]
    fn texts_and_comments_do_not_count() {
        let brackets = "(".repeat(NESTING_MAX * 2);
        assert_eq!(
            excess(&rule(&format!("\"{brackets}\\\"{brackets}\" == \"a\""))),
            None
        );
        assert_eq!(excess(&format!("// {brackets}\n{}", rule("true"))), None);
        for text in ["\"", "\"\\", "//", "\"é", "if", ")))"] {
            assert_eq!(excess(text), None, "{text}");
        }
    }
}
