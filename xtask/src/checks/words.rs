//! Words check: which producers, models and countries there are is a fact, and facts live in
//! `registry/` and in policies. Code that names one has decided something nobody can review there.
//!
//! Comments and tests may name them; exceptions stand in `xtask/words.toml`, each with its reason.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Problem;
use crate::repo::Repo;
use crate::rust_source::{self, Kind, Token};

const EXCEPTIONS: &str = "xtask/words.toml";

/// What the registry names.
#[derive(Debug, Default)]
struct Names {
    /// Folded names and ids of producers, models and families, and names of countries.
    words: BTreeSet<String>,
    /// Two-letter codes of countries, upper case.
    countries: BTreeSet<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    #[serde(default)]
    allow: Vec<Exception>,
}

/// A word that may stand in code.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    word: String,
    /// Where; everywhere if there is none.
    #[serde(default)]
    paths: Vec<String>,
    reason: String,
}

pub(super) fn check(repo: &Repo) -> Result<Vec<Problem>> {
    let names = names(repo)?;
    let exceptions: Exceptions = toml::from_str(&repo.read(EXCEPTIONS)?)
        .with_context(|| format!("cannot read `{EXCEPTIONS}`"))?;
    let mut used = BTreeSet::new();
    let mut problems = Vec::new();
    let mut memo = Memo::new();
    for (file, text) in repo.rust_files()? {
        if is_test_file(&file) {
            continue;
        }
        for (line, word) in named_in(&text, &names, &mut memo) {
            match exceptions.allow.iter().position(|allowed| allowed.covers(&word, &file)) {
                Some(index) => drop(used.insert(index)),
                None => problems.push(Problem::new(
                    format!("{file}:{line}"),
                    format!("`{word}` is a name from the registry"),
                    format!("let the registry or a policy say it; if the word means something else here, add it to {EXCEPTIONS} with the reason"),
                )),
            }
        }
    }
    problems.extend(exceptions.faults(&names, &used));
    Ok(problems)
}

impl Exception {
    fn covers(&self, word: &str, file: &str) -> bool {
        folded(&self.word) == folded(word)
            && (self.paths.is_empty() || self.paths.iter().any(|p| file.starts_with(p)))
    }
}

impl Exceptions {
    /// Exceptions without a reason, or that nothing needs any more.
    fn faults(&self, names: &Names, used: &BTreeSet<usize>) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (index, exception) in self.allow.iter().enumerate() {
            let word = &exception.word;
            if exception.reason.trim().is_empty() {
                problems.push(Problem::new(
                    EXCEPTIONS,
                    format!("`{word}` has no reason"),
                    "say why the word may stand in code",
                ));
            }
            if !used.contains(&index) && !names.words.is_empty() {
                problems.push(Problem::new(
                    EXCEPTIONS,
                    format!("nothing needs the exception for `{word}`"),
                    "remove it",
                ));
            }
        }
        problems
    }
}

fn is_test_file(file: &str) -> bool {
    let in_folder = file
        .split('/')
        .any(|part| ["tests", "testdata", "benches", "fuzz"].contains(&part));
    in_folder || file.ends_with("/tests.rs") || file.ends_with("_tests.rs")
}

/// Reads the names out of the registry's files.
fn names(repo: &Repo) -> Result<Names> {
    let mut names = Names::default();
    for file in repo
        .files()?
        .iter()
        .filter(|f| f.starts_with("registry/") && f.ends_with(".toml"))
    {
        let table: toml::Table =
            toml::from_str(&repo.read(file)?).with_context(|| format!("cannot read `{file}`"))?;
        let stem = file
            .rsplit('/')
            .next()
            .and_then(|name| name.strip_suffix(".toml"))
            .unwrap_or_default();
        if file.starts_with("registry/producers/") || file.starts_with("registry/models/") {
            names.add(stem);
            for key in ["name", "family"] {
                names.add(
                    table
                        .get(key)
                        .and_then(toml::Value::as_str)
                        .unwrap_or_default(),
                );
            }
        }
        for country in table
            .get("country")
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
        {
            let of = |key| {
                country
                    .get(key)
                    .and_then(toml::Value::as_str)
                    .unwrap_or_default()
            };
            names.add(of("name"));
            if !of("code").is_empty() {
                names.countries.insert(of("code").to_owned());
            }
        }
    }
    Ok(names)
}

impl Names {
    fn add(&mut self, name: &str) {
        let name = folded(name);
        if name.chars().count() >= 2 {
            self.words.insert(name);
        }
    }
}

/// Lower case, with one sign for the three that stand between the parts of a name.
fn folded(text: &str) -> String {
    text.chars()
        .map(|c| {
            if matches!(c, '_' | ' ') {
                '-'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

/// What was found in words and in texts that were looked at: source repeats itself, and the names are many.
type Memo = HashMap<(bool, String), Vec<String>>;

/// Names in a file's code, with their lines.
fn named_in(source: &str, names: &Names, memo: &mut Memo) -> Vec<(usize, String)> {
    let tokens = rust_source::tokens(source);
    let mut found = Vec::new();
    for token in rust_source::without_tests(&tokens) {
        if token.kind != Kind::Mark {
            let known = memo
                .entry((token.kind == Kind::Text, token.text.to_owned()))
                .or_insert_with(|| named(&token, names));
            found.extend(known.iter().map(|name| (token.line, name.clone())));
        }
    }
    found
}

fn named(token: &Token<'_>, names: &Names) -> Vec<String> {
    let mut found = Vec::new();
    if token.kind == Kind::Text && names.countries.contains(token.text) {
        found.push(token.text.to_owned());
    }
    let text = folded(token.text);
    for name in &names.words {
        if text
            .match_indices(name.as_str())
            .any(|(at, _)| stands_alone(token.text, at, at + name.len()))
        {
            found.push(name.clone());
        }
    }
    // `DeepThing` inside `DeepThing R1` is one finding, the longer one.
    let longest = found.clone();
    found.retain(|name| {
        !longest
            .iter()
            .any(|other| other.len() > name.len() && other.contains(name.as_str()))
    });
    found
}

/// Whether the range is a whole word; the humps of an identifier count as words.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let chars = |range: Option<&str>, last: bool| {
        range.and_then(|s| {
            if last {
                s.chars().next_back()
            } else {
                s.chars().next()
            }
        })
    };
    let (before, first) = (
        chars(text.get(..start), true),
        chars(text.get(start..), false),
    );
    let (last, after) = (chars(text.get(..end), true), chars(text.get(end..), false));
    edge(before, first) && edge(last, after)
}

fn edge(left: Option<char>, right: Option<char>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => {
            let hump = left.is_lowercase() && right.is_uppercase();
            let digits = left.is_alphabetic() != right.is_alphabetic();
            let joined = left.is_alphanumeric() && right.is_alphanumeric();
            !joined || hump || (digits && !left.is_numeric() && right.is_numeric())
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<String> {
        let mut names = Names::default();
        for name in ["DeepThing", "deepthing-r1", "Grand Duchy", "o1"] {
            names.add(name);
        }
        names.countries.insert("XX".into());
        named_in(source, &names, &mut Memo::new())
            .into_iter()
            .map(|(_, name)| name)
            .collect()
    }

    #[test]
    fn names_are_found_wherever_code_says_them() {
        for source in [
            "let x = \"DeepThing\";",
            "fn is_deepthing() {}",
            "struct DeepThingParser;",
            "id.starts_with(\"deepthing\")",
            "matches!(id, \"org/deepthing-v3\")",
            "b\"deepthing3\"",
        ] {
            assert_eq!(found(source), ["deepthing"], "{source}");
        }
        assert_eq!(
            found("\"deepthing-r1\" \"DeepThing_R1\""),
            ["deepthing-r1", "deepthing-r1"]
        );
        assert_eq!(
            found("\"grand duchy\" grand_duchy"),
            ["grand-duchy", "grand-duchy"]
        );
        assert_eq!(found("if c == \"XX\" {}"), ["XX"]);
    }

    #[test]
    fn what_is_not_a_name_passes() {
        for source in [
            "// DeepThing is named here",
            "/// as in `deepthing-r1`",
            "#[cfg(test)] mod tests { const A: &str = \"DeepThing\"; }",
            "let deepthings = 1;",
            "let foo1 = \"xdeepthing\";",
            "let xx = XX; \"xx\" \"XXY\"",
        ] {
            assert_eq!(found(source), [""; 0], "{source}");
        }
    }

    #[test]
    fn an_exception_covers_its_paths_only() {
        let exception = Exception {
            word: "DeepThing".into(),
            paths: vec!["crates/a/".into()],
            reason: "r".into(),
        };
        assert!(exception.covers("deepthing", "crates/a/src/x.rs"));
        assert!(!exception.covers("deepthing", "crates/b/src/x.rs"));
    }
}
