//! Traces of the work that a repository must not keep: paths of one machine, and remarks to whoever
//! asked for a change instead of to whoever reads it.

use std::fs;

use anyhow::Result;

use super::Problem;
use crate::repo::Repo;

/// This file has to name what it looks for.
const THIS: &str = "xtask/src/checks/traces.rs";

/// Where machines keep their users' files.
const MACHINE_PATHS: &[&str] = &["/work/", "/root/", "/Users/", "C:\\Users\\"];

/// Remarks about the work, folded to lower case.
const REMARKS: &[&str] = &[
    "co-authored-by",
    "generated with",
    "as an ai",
    "language model, i",
    "as requested",
    "as instructed",
    "in this session",
    "this session's",
    "previous session",
    "sub-agent",
    "the user asked",
    "per the issue",
    "per the brief",
];

/// Endings of files that are text by construction; anything else is not searched.
const TEXT: &[&str] = &[
    "rs",
    "toml",
    "md",
    "py",
    "mjs",
    "js",
    "json",
    "jsonl",
    "cedar",
    "cedarschema",
    "yml",
    "yaml",
    "sh",
    "txt",
    "snap",
    "stderr",
    "run",
    "justfile",
    "conf",
    "Containerfile",
    "service",
    "socket",
    "tpl",
];

pub(super) fn check(repo: &Repo) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for file in repo.files()? {
        let ending = file.rsplit(['.', '/']).next().unwrap_or_default();
        if file == THIS || !TEXT.contains(&ending) {
            continue;
        }
        let Ok(text) = fs::read_to_string(repo.path(&file)) else {
            problems.push(Problem::new(
                file,
                "the file is not UTF-8",
                "save it as UTF-8",
            ));
            continue;
        };
        for (index, line) in text.lines().enumerate() {
            if let Some(trace) = trace(line) {
                let place = format!("{file}:{}", index + 1);
                problems.push(Problem::new(
                    place,
                    format!("`{trace}` does not belong in the repository"),
                    "say it without",
                ));
            }
        }
    }
    Ok(problems)
}

fn trace(line: &str) -> Option<&'static str> {
    let starts_a_path = |at: usize| {
        let before = line.get(..at).and_then(|s| s.chars().next_back());
        !before.is_some_and(|c| {
            c.is_alphanumeric() || matches!(c, '.' | '/' | '-' | '_' | '~' | '}' | '*')
        })
    };
    let path = MACHINE_PATHS
        .iter()
        .find(|path| line.match_indices(*path).any(|(at, _)| starts_a_path(at)));
    let lower = line.to_ascii_lowercase();
    path.or_else(|| REMARKS.iter().find(|remark| lower.contains(*remark)))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_found() {
        for line in [
            "see /work/main/x",
            "path = \"/root/.cargo\"",
            "// As requested, this does",
            "Co-Authored-By: x",
        ] {
            assert!(trace(line).is_some(), "{line}");
        }
    }

    #[test]
    fn what_looks_alike_passes() {
        for line in [
            "https://example.org/work/paper",
            "../work/x",
            "the root / of all",
            "a TLS session of the client",
            "tests/root/a",
        ] {
            assert!(trace(line).is_none(), "{line}");
        }
    }
}
