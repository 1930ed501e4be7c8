//! Licences and duplicate versions against `deny.toml`, read from `cargo tree`, so that they hold on
//! a machine without cargo-deny too. Where cargo-deny is installed, it has the last word.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Problem;
use crate::exec;
use crate::repo::Repo;

const FILE: &str = "deny.toml";

#[derive(Debug, Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    skip: Vec<Skip>,
}

/// A version that may stand beside another of the same package.
#[derive(Debug, Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    package: String,
    reason: String,
}

/// A package that is really compiled: name, version, licence expression.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Dependency {
    name: String,
    version: String,
    licence: String,
}

pub(super) fn check(repo: &Repo) -> Result<Vec<Problem>> {
    let rules: Rules =
        toml::from_str(&repo.read(FILE)?).with_context(|| format!("cannot read `{FILE}`"))?;
    let dependencies = tree(repo, "Cargo.toml")?;
    let mut problems = licences(&dependencies, &rules.licenses.allow);
    let of_clients = tree(repo, "tests/clients/rust/Cargo.toml")?;
    problems.extend(licences(&of_clients, &rules.licenses.allow));
    problems.extend(duplicates(&dependencies, &rules.bans.skip));
    if let Some(false) = cargo_deny(repo) {
        problems.push(Problem::new(
            FILE,
            "cargo-deny is not content",
            "its own words stand above",
        ));
    }
    Ok(problems)
}

/// What cargo-deny says, where it is installed. Advisories need the network and are left out.
fn cargo_deny(repo: &Repo) -> Option<bool> {
    Command::new("cargo-deny")
        .arg("--version")
        .output()
        .ok()
        .filter(|out| out.status.success())?;
    let words = [
        "--offline",
        "--all-features",
        "check",
        "licenses",
        "bans",
        "sources",
    ];
    exec::succeeds(
        Command::new("cargo-deny")
            .args(words)
            .current_dir(repo.root())
            .stdin(Stdio::null()),
    )
    .ok()
}

fn tree(repo: &Repo, manifest: &str) -> Result<BTreeSet<Dependency>> {
    let words = [
        "tree",
        "--manifest-path",
        manifest,
        "--workspace",
        "--locked",
        "-e",
        "normal,build,dev",
        "--prefix",
        "none",
        "--format",
        "{p}|{l}",
    ];
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let listed = exec::output(cargo.args(words).current_dir(repo.root()))?;
    Ok(listed.lines().filter_map(dependency).collect())
}

/// A line such as `syn v2.0.1 (proc-macro)|MIT OR Apache-2.0 (*)`.
fn dependency(line: &str) -> Option<Dependency> {
    let (package, licence) = line.split_once('|')?;
    let mut words = package.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    let licence = licence.trim_end_matches("(*)").trim();
    Some(Dependency {
        name: name.into(),
        version: version.into(),
        licence: licence.into(),
    })
}

fn licences(dependencies: &BTreeSet<Dependency>, allow: &[String]) -> Vec<Problem> {
    let refused = dependencies.iter().filter(|d| !allowed(&d.licence, allow));
    refused
        .map(|d| {
            let message = format!("`{} {}` is under `{}`", d.name, d.version, d.licence);
            Problem::new(
                FILE,
                message,
                "do without it, or allow the licence with the reason",
            )
        })
        .collect()
}

/// Whether a licence expression can be met with these licences alone.
fn allowed(expression: &str, allow: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest, allow) && rest.is_empty()
}

fn any_of(words: &mut &[&str], allow: &[String]) -> bool {
    let mut met = all_of(words, allow);
    while let ["OR", after @ ..] = *words {
        *words = after;
        met |= all_of(words, allow);
    }
    met
}

fn all_of(words: &mut &[&str], allow: &[String]) -> bool {
    let mut met = single(words, allow);
    while let ["AND", after @ ..] = *words {
        *words = after;
        met &= single(words, allow);
    }
    met
}

fn single(words: &mut &[&str], allow: &[String]) -> bool {
    match *words {
        ["(", after @ ..] => {
            *words = after;
            let met = any_of(words, allow);
            let closed = words.split_first().is_some_and(|(word, _)| *word == ")");
            *words = words.get(1..).unwrap_or_default();
            met && closed
        }
        [licence, "WITH", exception, after @ ..] => {
            *words = after;
            allow.contains(&format!("{licence} WITH {exception}"))
        }
        [licence, after @ ..] => {
            *words = after;
            allow.iter().any(|allowed| allowed == licence)
        }
        [] => false,
    }
}

fn duplicates(dependencies: &BTreeSet<Dependency>, skip: &[Skip]) -> Vec<Problem> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for dependency in dependencies {
        versions
            .entry(&dependency.name)
            .or_default()
            .insert(&dependency.version);
    }
    let skips = |name: &str, version: &str| {
        skip.iter()
            .any(|s| s.package == format!("{name}@{version}"))
    };
    let mut problems = Vec::new();
    for (name, versions) in &versions {
        let left: Vec<_> = versions
            .iter()
            .copied()
            .filter(|version| !skips(name, version))
            .collect();
        if left.len() > 1 {
            let message = format!("`{name}` is built in the versions {}", left.join(", "));
            problems.push(Problem::new(
                FILE,
                message,
                "`cargo tree -d` shows who wants which; agree on one, or skip one with the reason",
            ));
        }
    }
    for entry in skip {
        let needed = entry
            .package
            .split_once('@')
            .is_some_and(|(name, version)| {
                versions
                    .get(name)
                    .is_some_and(|all| all.len() > 1 && all.contains(version))
            });
        if !needed {
            problems.push(Problem::new(
                FILE,
                format!("nothing needs the exception for `{}`", entry.package),
                "remove it",
            ));
        }
        if entry.reason.trim().is_empty() {
            problems.push(Problem::new(
                FILE,
                format!("`{}` has no reason", entry.package),
                "say why both versions are there",
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow() -> Vec<String> {
        ["MIT", "Apache-2.0", "ISC", "Apache-2.0 WITH LLVM-exception"]
            .map(String::from)
            .to_vec()
    }

    #[test]
    fn expressions_that_can_be_met() {
        for expression in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0/MIT",
            "MIT AND (Apache-2.0 OR BSL-1.0)",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
            "GPL-3.0 OR MIT AND ISC",
        ] {
            assert!(allowed(expression, &allow()), "{expression}");
        }
    }

    #[test]
    fn expressions_that_cannot() {
        for expression in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT",
            "MIT GPL-3.0",
            "Apache-2.0 WITH other",
            "MIT AND (GPL-3.0 OR BSL-1.0)",
        ] {
            assert!(!allowed(expression, &allow()), "{expression}");
        }
    }

    #[test]
    fn a_duplicate_needs_its_exception_and_an_exception_its_duplicate() {
        let tree = "a v1.0.0|MIT\na v2.0.0|MIT (*)\nb v1.0.0 (proc-macro)|MIT";
        let dependencies: BTreeSet<_> = tree.lines().filter_map(dependency).collect();
        assert_eq!(dependencies.len(), 3);
        let skip = |package: &str| Skip {
            package: package.into(),
            reason: "r".into(),
        };
        assert_eq!(duplicates(&dependencies, &[]).len(), 1);
        assert_eq!(duplicates(&dependencies, &[skip("a@1.0.0")]), []);
        assert_eq!(
            duplicates(&dependencies, &[skip("a@1.0.0"), skip("b@1.0.0")]).len(),
            1
        );
    }
}
