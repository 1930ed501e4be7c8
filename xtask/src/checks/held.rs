//! The pages of what went wrong elsewhere name tests that are there, and every test that is made for such a page stands on it.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Problem;
use crate::repo::Repo;
use crate::rust_source;

/// A page with a numbered table, whose last column names tests.
struct Page {
    file: &'static str,
    /// How the tests are called that are made for it.
    prefix: &'static str,
    /// Whether the number of its row follows in the name of such a test.
    numbered: bool,
    rows: usize,
    /// So many rows may have a reason in place of a test.
    reasons_max: usize,
}

const PAGES: [Page; 2] = [
    Page {
        file: "docs/src/reference/incidents.md",
        prefix: "incident_",
        numbered: false,
        rows: 18,
        reasons_max: 0,
    },
    Page {
        file: "docs/src/reference/pitfalls.md",
        prefix: "pitfall_",
        numbered: true,
        rows: 70,
        reasons_max: 10,
    },
];

pub(super) fn check(repo: &Repo) -> Result<Vec<Problem>> {
    let mut tests = BTreeSet::new();
    for (file, text) in repo.rust_files()? {
        if file.starts_with("crates/") {
            let tokens = rust_source::tokens(&text);
            tests.extend(rust_source::test_names(&tokens).map(str::to_owned));
        }
    }
    let mut problems = Vec::new();
    for page in &PAGES {
        problems.extend(judge(page, &repo.read(page.file)?, &tests));
    }
    Ok(problems)
}

fn judge(page: &Page, text: &str, tests: &BTreeSet<String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut problem = |message: String, help: &str| {
        problems.push(Problem::new(page.file, message, help));
    };
    let (mut named, mut reasons, mut rows) = (BTreeSet::new(), 0, 0);
    for row in text.lines().filter_map(|line| line.strip_prefix("| ")) {
        let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
        let (Some(number), Some(held)) = (
            cells.first().and_then(|first| first.parse::<usize>().ok()),
            cells.last(),
        ) else {
            continue;
        };
        rows += 1;
        if number != rows {
            problem(
                format!("row {rows} says that it is row {number}"),
                "number the rows one after the other",
            );
        }
        if cells.iter().any(|cell| cell.trim().is_empty()) || !row.contains("](https://") {
            problem(
                format!("row {number} has an empty cell, or no public source"),
                "say what happened, where it can be read, and what holds against it",
            );
        }
        let by: Vec<&str> = held.split('`').skip(1).step_by(2).collect();
        reasons += usize::from(by.is_empty());
        for name in by {
            let start = format!("{}{number:02}_", page.prefix);
            if !tests.contains(name) || (page.numbered && !name.starts_with(&start)) {
                problem(
                    format!("row {number} names `{name}`, which is no test of it"),
                    "name a test as it is called",
                );
            }
            if !named.insert(name) && page.numbered {
                problem(
                    format!("`{name}` stands on it twice"),
                    "give each row a test of its own",
                );
            }
        }
    }
    if rows != page.rows {
        problem(
            format!("it has {rows} rows, and not {}", page.rows),
            "a row that is gone is to be put back; for a new one, count it in xtask/src/checks/held.rs",
        );
    }
    if reasons > page.reasons_max {
        problem(
            format!("{reasons} rows are held by no test"),
            "write the tests and name them",
        );
    }
    let own = tests.iter().filter(|name| name.starts_with(page.prefix));
    for name in own.filter(|name| !named.contains(name.as_str())) {
        problem(
            format!("the test `{name}` does not stand on it"),
            "name it in its row, or call it otherwise",
        );
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Page = Page {
        file: "page.md",
        prefix: "pitfall_",
        numbered: true,
        rows: 2,
        reasons_max: 1,
    };
    const GOOD: &str = "| # | What | Seen in | Held by |\n| --- | --- | --- | --- |\n\
        | 1 | a | [x](https://x.example) | `pitfall_01_a` |\n| 2 | b | [x](https://x.example) | it cannot be |\n";

    #[test]
    fn a_page_and_its_tests_name_each_other() {
        let tests = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let told = |text: &str, names: &[&str]| judge(&PAGE, text, &tests(names)).len();
        assert_eq!(told(GOOD, &["pitfall_01_a", "another"]), 0);
        // A test that is not there, and one that is not on the page.
        assert_eq!(told(GOOD, &[]), 1);
        assert_eq!(told(GOOD, &["pitfall_01_a", "pitfall_03_c"]), 1);
        // One of another row.
        let other = GOOD.replace("01_a", "02_a");
        assert_eq!(told(&other, &["pitfall_02_a"]), 1);
        // No source, a wrong number, a row too few, no test at all.
        assert_eq!(
            told(&GOOD.replacen("https", "ftp", 1), &["pitfall_01_a"]),
            1
        );
        assert_eq!(told(&GOOD.replace("| 2 |", "| 3 |"), &["pitfall_01_a"]), 1);
        let short: String = GOOD.split_inclusive('\n').take(3).collect();
        assert_eq!(told(&short, &["pitfall_01_a"]), 1);
        assert_eq!(told(&GOOD.replace("`pitfall_01_a`", "never"), &[]), 1);
    }
}
