//! Every Rust file opens with `//!` and a sentence on its job.

use anyhow::Result;

use super::Problem;
use crate::repo::Repo;

pub(super) fn check(repo: &Repo) -> Result<Vec<Problem>> {
    let files = repo.rust_files()?;
    Ok(files
        .iter()
        .filter(|(_, text)| !opens_well(text))
        .map(|(file, _)| problem(file))
        .collect())
}

fn opens_well(text: &str) -> bool {
    text.strip_prefix("//!")
        .and_then(|rest| rest.lines().next())
        .is_some_and(|line| line.trim().len() >= 10)
}

fn problem(file: &str) -> Problem {
    Problem::new(
        format!("{file}:1"),
        "the file does not say what it is for",
        "begin it with `//! ` and one sentence on its job",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sentence_opens_well() {
        assert!(opens_well("//! Reads what is written.\n\nfn a() {}"));
        for text in [
            "",
            "fn a() {}",
            "// Reads what is written.",
            "//!\n//! Reads.",
            "\n//! Reads what is written.",
        ] {
            assert!(!opens_well(text), "{text:?}");
        }
    }
}
