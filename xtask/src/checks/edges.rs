//! Crate edges: a boundary that matters is a crate, and this table says who may use whom.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

use super::Problem;
use crate::repo::Repo;

const GATEWAY: &[&str] = &[
    "carnet-provenance",
    "carnet-guard",
    "carnet-wire",
    "carnet-limits",
    "carnet-policy",
    "carnet-audit",
];

/// Who may use whom, development dependencies included. The admin crate may use the gateway and
/// what that uses; the binary may use everything.
const TABLE: &[(&str, &[&str])] = &[
    ("carnet-provenance", &[]),
    ("carnet-guard", &[]),
    ("carnet-wire", &[]),
    ("carnet-limits", &[]),
    ("carnet-policy", &["carnet-provenance"]),
    ("carnet-prove", &["carnet-policy"]),
    ("carnet-inspect", &["carnet-provenance"]),
    ("carnet-audit", &["carnet-policy", "carnet-provenance"]),
    ("carnet-engine", &["carnet-wire", "carnet-inspect"]),
    ("carnet-gateway", GATEWAY),
    (
        "carnet-remote",
        &[
            "carnet-provenance",
            "carnet-audit",
            "carnet-inspect",
            "carnet-wire",
        ],
    ),
    ("xtask", &[]),
];

/// What must not be in a crate's tree, however far down.
const KEPT_OUT: &[(&str, &[&str])] = &[(
    "carnet-gateway",
    &[
        "axum",
        "rusqlite",
        "sqlx",
        "tokio-postgres",
        "postgres",
        "openidconnect",
        "oauth2",
        "jsonwebtoken",
    ],
)];

fn may_use(from: &str, to: &str) -> Option<bool> {
    match from {
        "carnet" => Some(to != "xtask"),
        "carnet-admin" => Some(to == "carnet-gateway" || GATEWAY.contains(&to)),
        _ => TABLE
            .iter()
            .find(|(name, _)| *name == from)
            .map(|(_, uses)| uses.contains(&to)),
    }
}

pub(super) fn check(repo: &Repo) -> Result<Vec<Problem>> {
    let metadata = MetadataCommand::new()
        .manifest_path(repo.path("Cargo.toml"))
        .other_options(["--locked".to_owned()])
        .exec()
        .context("cannot read the workspace")?;
    let members: Vec<&Package> = metadata.workspace_packages();
    let names: BTreeSet<&str> = members
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut problems = Vec::new();
    for package in members {
        let edges: Vec<&str> = package
            .dependencies
            .iter()
            .map(|d| d.name.as_str())
            .filter(|name| names.contains(name))
            .collect();
        problems.extend(judge(package.name.as_str(), &edges));
    }
    for (crate_name, unwanted) in KEPT_OUT {
        problems.extend(intruders(&metadata, crate_name, unwanted)?);
    }
    Ok(problems)
}

/// The edges of one crate against the table.
fn judge(from: &str, edges: &[&str]) -> Vec<Problem> {
    let place = format!("crates/{from}/Cargo.toml");
    if may_use(from, "").is_none() {
        let message = format!("crate `{from}` is not in the table of crates");
        return vec![Problem::new(
            place,
            message,
            "a further crate needs a decision record; then add it to xtask/src/checks/edges.rs",
        )];
    }
    edges
        .iter()
        .filter(|to| may_use(from, to) != Some(true))
        .map(|to| {
            let message = format!("`{from}` may not use `{to}`");
            Problem::new(
                &place,
                message,
                "move the shared type down, or pass the value in from above",
            )
        })
        .collect()
}

/// Packages that a crate's normal dependencies reach and must not.
fn intruders(metadata: &Metadata, crate_name: &str, unwanted: &[&str]) -> Result<Vec<Problem>> {
    let resolve = metadata
        .resolve
        .as_ref()
        .context("cargo metadata gave no resolved graph")?;
    let names: BTreeMap<&PackageId, &str> = metadata
        .packages
        .iter()
        .map(|p| (&p.id, p.name.as_str()))
        .collect();
    let nodes: BTreeMap<&PackageId, _> =
        resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut open: Vec<&PackageId> = names
        .iter()
        .filter(|(_, name)| **name == crate_name)
        .map(|(id, _)| *id)
        .collect();
    let mut seen: BTreeSet<&PackageId> = open.iter().copied().collect();
    let mut problems = Vec::new();
    while let Some(id) = open.pop() {
        let name = names.get(id).copied().unwrap_or_default();
        if unwanted.contains(&name) {
            let place = format!("crates/{crate_name}/Cargo.toml");
            let message = format!("`{name}` is in the tree of `{crate_name}`");
            problems.push(Problem::new(
                place,
                message,
                format!("`cargo tree -p {crate_name} -i {name}` shows the way in"),
            ));
        }
        for dependency in nodes
            .get(id)
            .map(|node| node.deps.as_slice())
            .unwrap_or_default()
        {
            let normal = dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind == DependencyKind::Normal);
            if normal && seen.insert(&dependency.pkg) {
                open.push(&dependency.pkg);
            }
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_in_the_table_pass() {
        for (from, to) in [
            ("carnet-policy", "carnet-provenance"),
            ("carnet-gateway", "carnet-audit"),
            ("carnet-admin", "carnet-gateway"),
            ("carnet-admin", "carnet-limits"),
            ("carnet", "carnet-admin"),
        ] {
            assert_eq!(judge(from, &[to]), [], "{from} -> {to}");
        }
    }

    #[test]
    fn other_edges_fail() {
        for (from, to) in [
            ("carnet-provenance", "carnet-policy"),
            ("carnet-policy", "carnet-wire"),
            ("carnet-gateway", "carnet-admin"),
            ("carnet-admin", "carnet"),
            ("xtask", "carnet-policy"),
            ("carnet", "xtask"),
        ] {
            assert_eq!(judge(from, &[to]).len(), 1, "{from} -> {to}");
        }
    }

    #[test]
    fn an_unknown_crate_fails() {
        assert_eq!(judge("carnet-extra", &[]).len(), 1);
    }
}
