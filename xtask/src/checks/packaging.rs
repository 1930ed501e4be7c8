//! What is packaged fits to the program: versions, ports and places are those of the sources.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Problem;
use crate::repo::Repo;

const CHART: &str = "packaging/helm/carnet/Chart.yaml";
const VALUES: &str = "packaging/helm/carnet/values.yaml";
const SCHEMA: &str = "packaging/helm/carnet/values.schema.json";
const STATEFUL: &str = "packaging/helm/carnet/templates/statefulset.yaml";
const CONTAINER: &str = "packaging/container/Containerfile";
const CONTAINER_CONFIG: &str = "packaging/container/carnet.toml";
const UNIT: &str = "packaging/systemd/carnet.service";
const SOCKET: &str = "packaging/systemd/carnet.socket";
const TEMPLATE: &str = "crates/carnet/assets/carnet.toml";
const HELP: &str = "have the two say the same";

pub(super) fn check(repo: &Repo) -> Result<Vec<Problem>> {
    let read = |file| repo.read(file);
    let manifest: toml::Table = read("Cargo.toml")?.parse()?;
    let version = manifest
        .get("workspace")
        .and_then(|table| table.get("package")?.get("version")?.as_str())
        .context("the workspace has no version")?
        .to_owned();
    let [data, admin] = ports(&read(TEMPLATE)?)?;
    // Each file has each of these lines, but for spaces before it.
    let lines = [
        (CHART, format!("version: {version}")),
        (CHART, format!("appVersion: \"{version}\"")),
        (CONTAINER, format!("org.opencontainers.image.version=\"{version}\" \\")),
        (CONTAINER, format!("EXPOSE {data}")),
        (CONTAINER, "USER 65532:65532".to_owned()),
        (CONTAINER, "FROM gcr.io/distroless/cc-debian12:nonroot".to_owned()),
        (
            CONTAINER,
            "CMD [\"serve\", \"--config\", \"/etc/carnet/carnet.toml\", \"--state\", \"/var/lib/carnet\"]".to_owned(),
        ),
        (CONTAINER_CONFIG, format!("listen = \"0.0.0.0:{data}\"")),
        (VALUES, format!("listen = \"0.0.0.0:{data}\"")),
        (VALUES, format!("port: {data}")),
        (STATEFUL, format!("containerPort: {data}")),
        (STATEFUL, format!("containerPort: {admin}")),
        (STATEFUL, "readOnlyRootFilesystem: true".to_owned()),
        (STATEFUL, "runAsNonRoot: true".to_owned()),
        (STATEFUL, "replicas: 1".to_owned()),
        (SOCKET, format!("ListenStream=127.0.0.1:{data}")),
        (
            UNIT,
            "ExecStart=/usr/bin/carnet serve --config /etc/carnet/carnet.toml --state /var/lib/carnet".to_owned(),
        ),
    ];
    let mut problems = Vec::new();
    for (file, line) in lines {
        if !read(file)?.lines().any(|found| found.trim() == line) {
            problems.push(Problem::new(file, format!("no line `{line}`"), HELP));
        }
    }
    for file in repo.files()? {
        let yaml = file.ends_with(".yaml") || file.ends_with(".tpl");
        if yaml && file.starts_with("packaging/") && repo.read(&file)?.contains('\t') {
            problems.push(Problem::new(
                file,
                "a tab, which YAML has no place for",
                "use spaces",
            ));
        }
    }
    let schema: Value = serde_json::from_str(&read(SCHEMA)?).context("the schema is no JSON")?;
    problems.extend(unlike(&schema, &read(VALUES)?));
    Ok(problems)
}

/// The ports of the two listeners, as the configuration to begin with has them.
fn ports(template: &str) -> Result<[u16; 2]> {
    let mut ports = template.lines().filter_map(|line| {
        let rest = line.strip_prefix("listen = \"127.0.0.1:")?;
        rest.split('"').next()?.parse().ok()
    });
    let mut next = || ports.next().context("the configuration names no ports");
    Ok([next()?, next()?])
}

/// Values without a line in the schema, and lines of the schema without a value.
fn unlike(schema: &Value, values: &str) -> Vec<Problem> {
    let described: BTreeSet<&str> = schema["properties"]
        .as_object()
        .into_iter()
        .flat_map(|properties| properties.keys())
        .map(String::as_str)
        // Helm's own, which every chart is handed.
        .filter(|name| *name != "global")
        .collect();
    let given: BTreeSet<&str> = values
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_alphabetic()))
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    let problem = |name: &&str| {
        let message = format!("`{name}` is in one of values and schema only");
        Problem::new(VALUES, message, HELP)
    };
    described
        .symmetric_difference(&given)
        .map(problem)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_come_from_the_configuration() {
        let text = "[server]\nlisten = \"127.0.0.1:1\"   # a\n[admin]\nlisten = \"127.0.0.1:2\"\n";
        assert_eq!(ports(text).unwrap(), [1, 2]);
        assert!(ports("").is_err());
    }

    #[test]
    fn values_and_schema_have_the_same_names() {
        let schema = json!({ "properties": { "a": {}, "b": {}, "global": {} } });
        assert!(unlike(&schema, "# c: 1\na: 1\nb:\n  d: 2\n").is_empty());
        let problems = unlike(&schema, "a: 1\nc: 2\n");
        assert_eq!(problems.len(), 2);
    }
}
