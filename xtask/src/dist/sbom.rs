//! The bill of materials: CycloneDX 1.6, of what really goes into the program, with the checksums of the lock file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Release;

/// The package that is the program.
const PROGRAM: &str = "carnet";

/// The bill of the program that was built of these sources.
pub(super) fn of(sources: &Path, release: &Release, program: &[u8]) -> Result<Vec<u8>> {
    let metadata = MetadataCommand::new()
        .current_dir(sources)
        .other_options(vec![
            "--locked".to_owned(),
            format!("--filter-platform={}", release.triple),
        ])
        .exec()
        .context("cargo does not tell the dependencies")?;
    let lock = fs::read_to_string(sources.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let bill = bill(&metadata, &checksums(&lock)?, release, program)?;
    let mut text = serde_json::to_vec_pretty(&bill)?;
    text.push(b'\n');
    Ok(text)
}

/// Checksums of the lock file, by name and version.
fn checksums(lock: &str) -> Result<BTreeMap<(String, String), String>> {
    let lock: toml::Table = lock.parse()?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let text = |package: &toml::Value, key: &str| {
        package
            .get(key)
            .and_then(toml::Value::as_str)
            .map(str::to_owned)
    };
    let known = packages.into_iter().flatten().filter_map(|package| {
        let key = (text(package, "name")?, text(package, "version")?);
        Some((key, text(package, "checksum")?))
    });
    Ok(known.collect())
}

fn bill(
    metadata: &Metadata,
    checksums: &BTreeMap<(String, String), String>,
    release: &Release,
    program: &[u8],
) -> Result<Value> {
    let graph = graph(metadata)?;
    let packages: BTreeMap<&PackageId, &Package> = metadata
        .packages
        .iter()
        .map(|package| (&package.id, package))
        .collect();
    let package = |id: &PackageId| {
        packages
            .get(id)
            .copied()
            .with_context(|| format!("cargo does not tell of `{id}`"))
    };
    let mut components = BTreeMap::new();
    let mut dependencies = BTreeMap::new();
    let mut root = Value::Null;
    for (id, needs) in &graph {
        let of = package(id)?;
        let reference = purl(of);
        let mut needed = BTreeSet::new();
        for need in needs {
            needed.insert(purl(package(need)?));
        }
        dependencies.insert(reference.clone(), needed);
        if of.name.as_str() == PROGRAM {
            root = component(of, "application", Some(digest(program)));
        } else {
            let key = (of.name.to_string(), of.version.to_string());
            let checksum = checksums.get(&key).cloned();
            components.insert(reference, component(of, "library", checksum));
        }
    }
    let dependencies: Vec<Value> = dependencies
        .iter()
        .map(|(reference, needed)| json!({ "ref": reference, "dependsOn": needed }))
        .collect();
    let components: Vec<Value> = components.into_values().collect();
    let content = json!({ "root": root, "components": components, "dependencies": dependencies });
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial(&content),
        "version": 1,
        "metadata": {
            "timestamp": timestamp(release.time),
            "lifecycles": [{ "phase": "build" }],
            "component": root,
            "properties": [{ "name": "carnet:target", "value": release.triple }],
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

/// What the program is made of: each package with what it needs, but for what only tests need.
fn graph(metadata: &Metadata) -> Result<BTreeMap<&PackageId, BTreeSet<&PackageId>>> {
    let resolve = metadata
        .resolve
        .as_ref()
        .context("cargo does not tell what depends on what")?;
    let nodes: BTreeMap<&PackageId, _> =
        resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let program = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == PROGRAM)
        .context("there is no package of the program")?;
    let mut graph = BTreeMap::new();
    let mut open = vec![&program.id];
    while let Some(id) = open.pop() {
        if graph.contains_key(id) {
            continue;
        }
        let mut needs = BTreeSet::new();
        for dependency in nodes.get(id).into_iter().flat_map(|node| &node.deps) {
            let kinds = &dependency.dep_kinds;
            if kinds
                .iter()
                .any(|kind| kind.kind != DependencyKind::Development)
            {
                needs.insert(&dependency.pkg);
                open.push(&dependency.pkg);
            }
        }
        graph.insert(id, needs);
    }
    Ok(graph)
}

fn component(package: &Package, kind: &str, sha256: Option<String>) -> Value {
    let reference = purl(package);
    let mut component = Map::new();
    component.insert("type".to_owned(), json!(kind));
    component.insert("bom-ref".to_owned(), json!(reference));
    component.insert("name".to_owned(), json!(package.name.as_str()));
    component.insert("version".to_owned(), json!(package.version.to_string()));
    if let Some(text) = &package.description {
        component.insert("description".to_owned(), json!(text.trim()));
    }
    if let Some(sha256) = sha256 {
        let hashes = json!([{ "alg": "SHA-256", "content": sha256 }]);
        component.insert("hashes".to_owned(), hashes);
    }
    if let Some(licence) = &package.license {
        // Some still write it as before SPDX 2.0.
        let expression = licence.replace('/', " OR ");
        let licences =
            json!([{ "expression": expression.split_whitespace().collect::<Vec<_>>().join(" ") }]);
        component.insert("licenses".to_owned(), licences);
    }
    component.insert("purl".to_owned(), json!(reference));
    if let Some(url) = &package.repository {
        let references = json!([{ "type": "vcs", "url": url }]);
        component.insert("externalReferences".to_owned(), references);
    }
    Value::Object(component)
}

/// The package's address in the form of package-url.
fn purl(package: &Package) -> String {
    let version = package.version.to_string().replace('+', "%2B");
    format!("pkg:cargo/{}@{version}", package.name)
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number that is the same for the same content: a UUID of version 8 (RFC 9562).
fn serial(content: &Value) -> String {
    let digest = digest(content.to_string().as_bytes());
    let part = |from: usize, to: usize| digest.get(from..to).unwrap_or_default();
    format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    )
}

/// Seconds since 1970 as a time of RFC 3339.
fn timestamp(time: u64) -> String {
    let (days, rest) = (time / 86_400, time % 86_400);
    // Days to a date as in the algorithm of the civil calendar with years that begin in March.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::Repo;

    #[test]
    fn times_are_written_as_dates() {
        for (time, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(time), text);
        }
    }

    #[test]
    fn the_bill_has_what_the_format_asks_for_and_names_everything_once() {
        let repo = Repo::locate().unwrap();
        let release = Release {
            version: "0.1.0".to_owned(),
            triple: "x86_64-unknown-linux-gnu".to_owned(),
            time: 1_700_000_000,
        };
        let text = of(repo.root(), &release, b"program").unwrap();
        assert_eq!(text, of(repo.root(), &release, b"program").unwrap());
        let bill: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(bill["bomFormat"], "CycloneDX");
        assert_eq!(bill["specVersion"], "1.6");
        assert_eq!(bill["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
        let serial = bill["serialNumber"].as_str().unwrap();
        assert_eq!((serial.len(), &serial[..9]), (45, "urn:uuid:"));
        let root = &bill["metadata"]["component"];
        assert_eq!(
            (&root["type"], &root["name"]),
            (&json!("application"), &json!("carnet"))
        );
        assert_eq!(root["hashes"][0]["content"], digest(b"program"));
        let components = bill["components"].as_array().unwrap();
        let mut references = BTreeSet::from([root["bom-ref"].as_str().unwrap()]);
        for component in components {
            for key in ["type", "bom-ref", "name", "version", "purl"] {
                assert!(component[key].is_string(), "{component}");
            }
            let reference = component["bom-ref"].as_str().unwrap();
            assert!(references.insert(reference), "{reference} twice");
            let own = component["name"].as_str().unwrap().starts_with("carnet-");
            assert_eq!(component["hashes"].is_array(), !own, "{component}");
            assert!(component["licenses"].is_array(), "{component}");
        }
        let named = |name: &str| components.iter().any(|component| component["name"] == name);
        assert!(named("carnet-gateway") && named("hyper") && named("zstd-sys"));
        assert!(
            !named("trybuild") && !named("xtask"),
            "tests need it, and the program not"
        );
        let dependencies = bill["dependencies"].as_array().unwrap();
        assert_eq!(dependencies.len(), references.len());
        for dependency in dependencies {
            let needed = dependency["dependsOn"].as_array().unwrap();
            for reference in needed.iter().chain([&dependency["ref"]]) {
                assert!(references.contains(reference.as_str().unwrap()));
            }
        }
    }
}
