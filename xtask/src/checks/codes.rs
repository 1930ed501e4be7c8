//! Every code that a caller or an operator can meet has its section in the reference, and every
//! section there has its code.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::Problem;
use crate::repo::Repo;
use crate::rust_source::{self, Kind, Token};

/// One page with a section a code …
const PAGE: &str = "docs/src/reference/codes.md";
/// … or a page a code.
const FOLDER: &str = "docs/src/reference/codes/";

pub(super) fn check(repo: &Repo) -> Result<Vec<Problem>> {
    let mut codes: BTreeMap<String, String> = BTreeMap::new();
    for (file, text) in repo.rust_files()? {
        if file.starts_with("crates/") && file.ends_with("/src/codes.rs") {
            for (line, code) in codes_in(&text) {
                codes
                    .entry(code)
                    .or_insert_with(|| format!("{file}:{line}"));
            }
        }
    }
    let mut documented = BTreeSet::new();
    for file in repo.files()? {
        if file == PAGE {
            documented.extend(sections(&repo.read(PAGE)?));
        } else if let Some(name) = file
            .strip_prefix(FOLDER)
            .and_then(|name| name.strip_suffix(".md"))
        {
            documented.insert(name.to_owned());
        }
    }
    Ok(judge(&codes, &documented))
}

fn judge(codes: &BTreeMap<String, String>, documented: &BTreeSet<String>) -> Vec<Problem> {
    let missing = codes.iter().filter(|(code, _)| !documented.contains(*code)).map(|(code, place)| {
        let help = format!("add a section ``## `{code}` `` to {PAGE}: what it means, why it happens, what to do");
        Problem::new(place, format!("code `{code}` has no page"), help)
    });
    let stale = documented
        .iter()
        .filter(|code| !codes.contains_key(*code))
        .map(|code| {
            Problem::new(
                PAGE,
                format!("there is no code `{code}`"),
                "remove its section",
            )
        });
    missing.chain(stale).collect()
}

/// The codes of a `codes.rs`: wherever a variant stands before a literal, as in
/// `PolicyDenied = "policy_denied"` or `Self::PolicyDenied => "policy-denied"`.
fn codes_in(source: &str) -> Vec<(usize, String)> {
    let tokens = rust_source::tokens(source);
    let code = rust_source::without_tests(&tokens);
    let mut found: Vec<(usize, String)> = Vec::new();
    for (at, token) in code.iter().enumerate() {
        let before = |back: usize| at.checked_sub(back).and_then(|at| code.get(at));
        let arrow = before(1).is_some_and(|mark| mark.is(">"))
            && before(2).is_some_and(|mark| mark.is("="));
        let variant = if arrow {
            before(3)
        } else {
            before(1)
                .filter(|mark| mark.is("="))
                .and_then(|_| before(2))
        };
        if variant.is_some_and(is_variant)
            && is_code(token)
            && !found.iter().any(|(_, code)| code == token.text)
        {
            found.push((token.line, token.text.to_owned()));
        }
    }
    found
}

fn is_variant(token: &Token<'_>) -> bool {
    let upper = token.text.starts_with(|c: char| c.is_ascii_uppercase());
    token.kind == Kind::Word && upper && token.text.contains(|c: char| c.is_ascii_lowercase())
}

fn is_code(token: &Token<'_>) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    token.kind == Kind::Text
        && token.text.starts_with(|c: char| c.is_ascii_lowercase())
        && token.text.chars().all(plain)
}

/// The codes that have a section: headings whose text is one code in backticks.
fn sections(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with("##"));
    let code = |line: &str| {
        Some(
            line.trim_start_matches('#')
                .trim()
                .strip_prefix('`')?
                .strip_suffix('`')?
                .to_owned(),
        )
    };
    headings.filter_map(code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_from_both_kinds_of_table() {
        let source = r#"
            codes! { /// Why.
                PolicyDenied = "policy_denied", FORBIDDEN, "permission_error", retry: false; }
            match self { Self::ShadowMismatch => "shadow-mismatch", Code::Unknown => "unknown", _ => "A sentence." }
            const LIMIT: &str = "not-a-code";
            #[cfg(test)] mod tests { const X: C = C::Y => "test-only"; }
        "#;
        let codes: Vec<_> = codes_in(source).into_iter().map(|(_, code)| code).collect();
        assert_eq!(codes, ["policy_denied", "shadow-mismatch", "unknown"]);
    }

    #[test]
    fn both_directions_are_checked() {
        let codes = BTreeMap::from([
            ("a-b".to_owned(), "x.rs:1".to_owned()),
            ("c".to_owned(), "x.rs:2".to_owned()),
        ]);
        let page = "# Codes\n## Refusals\n### `a-b`\ntext\n## `gone`\n";
        let documented = sections(page).into_iter().collect();
        let problems = judge(&codes, &documented);
        let said: Vec<_> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(said, ["code `c` has no page", "there is no code `gone`"]);
    }
}
