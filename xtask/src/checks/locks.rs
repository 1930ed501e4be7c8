//! Lock files pin versions. Where a package is fetched from is the machine's setting, so no lock
//! file may name a place: it would break behind a mirror and tell about the machine that wrote it.

use anyhow::Result;

use super::Problem;
use crate::repo::Repo;

/// The source that Cargo itself writes for its default registry.
const CARGO_DEFAULT: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

pub(super) fn check(repo: &Repo) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for file in repo.files()? {
        let name = file.rsplit('/').next().unwrap_or_default();
        if ![
            "Cargo.lock",
            "package-lock.json",
            "package.json",
            "requirements.txt",
            ".npmrc",
            "pip.conf",
        ]
        .contains(&name)
        {
            continue;
        }
        for (index, line) in repo.read(&file)?.lines().enumerate() {
            if names_a_place(name, line) {
                problems.push(Problem::new(
                    format!("{file}:{}", index + 1),
                    format!("`{}` names where a package is fetched from", line.trim()),
                    "write it again with `npm install --omit-lockfile-registry-resolved`, or keep the bare version",
                ));
            }
        }
        problems.extend(
            loose(name, &repo.read(&file)?)
                .into_iter()
                .map(|(line, requirement)| {
                    Problem::new(
                        format!("{file}:{line}"),
                        format!("`{requirement}` is not one version"),
                        "pin it with `==`",
                    )
                }),
        );
    }
    Ok(problems)
}

fn names_a_place(file: &str, line: &str) -> bool {
    match file {
        "Cargo.lock" => line.starts_with("source = ") && line != CARGO_DEFAULT,
        // A package's own funding address says nothing about where it was fetched from.
        "package-lock.json" => line.contains("\"resolved\""),
        _ => line.contains("://") || line.trim_start().starts_with("registry"),
    }
}

/// Lines of a Python requirements file that leave the version open.
fn loose<'a>(file: &str, text: &'a str) -> Vec<(usize, &'a str)> {
    if file != "requirements.txt" {
        return Vec::new();
    }
    let numbered = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()));
    numbered
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#') && !line.contains("=="))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_refused() {
        assert!(names_a_place(
            "package-lock.json",
            "      \"resolved\": \"x\","
        ));
        assert!(names_a_place(
            "Cargo.lock",
            "source = \"git+https://example.org/x\""
        ));
        assert!(names_a_place(
            "requirements.txt",
            "--index-url https://example.org"
        ));
        assert!(names_a_place(".npmrc", "registry=x"));
    }

    #[test]
    fn versions_pass() {
        assert!(!names_a_place("Cargo.lock", CARGO_DEFAULT));
        assert!(!names_a_place(
            "package-lock.json",
            "      \"version\": \"7.57.0\","
        ));
        assert_eq!(
            loose("requirements.txt", "# why\na==1\n\nb>=2\n"),
            [(4, "b>=2")]
        );
    }
}
