//! Generated pages are what the product says today.

use std::fs;

use anyhow::Result;

use super::Problem;
use crate::generate;
use crate::repo::Repo;

pub(super) fn check(repo: &Repo) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for page in generate::pages(repo)? {
        let message = match fs::read_to_string(repo.path(page.path)) {
            Ok(text) if text == page.text => continue,
            Ok(text) => format!(
                "the page is stale from line {} on",
                first_difference(&text, &page.text)
            ),
            Err(_) => "the page is missing".to_owned(),
        };
        problems.push(Problem::new(
            page.path,
            message,
            "run `cargo xtask generate` and commit what it writes",
        ));
    }
    Ok(problems)
}

fn first_difference(old: &str, new: &str) -> usize {
    old.lines()
        .zip(new.lines())
        .take_while(|(old, new)| old == new)
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_differing_line_is_told() {
        assert_eq!(first_difference("a\nb\nc", "a\nx\nc"), 2);
        assert_eq!(first_difference("a\n", "a\nb\n"), 2);
    }
}
