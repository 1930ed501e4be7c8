//! Bills of materials: what the product writes is valid by the formats' published schemas.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::gateway;
use super::script::{Script, Suite};
use crate::exec;
use crate::steps::Bench;
use crate::totals::Totals;

const FORMATS: [&str; 2] = ["cyclonedx", "spdx"];
/// Names that are in no registry, or that other formats would read as more than a name.
const ODD_NAMES: [&str; 6] = [
    "nobody's/model",
    "a\"b\\c{}<>&#%20?",
    "äöü 模型 🦙",
    "urn:cdx:1",
    " ",
    "x\ny\u{7}",
];

/// Writes a document of each kind and lets the stock libraries judge it.
pub(super) fn check(bench: &Bench<'_>, configuration: &Path, totals: &mut Totals) -> Result<()> {
    let folder = bench.repo.target().join("suites/bom");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let configuration = configuration.to_string_lossy();
    let mut odd = vec!["--model"];
    odd.extend(ODD_NAMES);
    let questions: [(&str, Vec<&str>); 4] = [
        ("demo", Vec::new()),
        ("suite", vec!["--config", &configuration]),
        ("registry", vec!["--registry-all"]),
        ("odd", odd),
    ];
    for (name, words) in &questions {
        for format in FORMATS {
            let mut command = Command::new(bench.repo.carnet());
            command
                .args(["bom", "--format", format])
                .args(words)
                .current_dir(&folder)
                .envs(gateway::environment());
            let document = exec::output(&mut command)?;
            fs::write(folder.join(format!("{name}.{format}.json")), document)?;
        }
    }
    let script = Script {
        suite: Suite::new("python", "bom"),
        mock: "",
        gateway: "",
        key: "",
    };
    script.with_file(bench, &folder, totals)?;
    Ok(())
}
