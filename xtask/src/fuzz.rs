//! The fuzz targets, each for a while, on the toolchain of everything else: the flags that make a
//! build report its coverage are stable, and only the sanitizers are not.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::repo::Repo;
use crate::totals::Totals;
use crate::{console, exec};

/// How a build is told to report its coverage, as cargo-fuzz does without a sanitizer.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions";
/// How long each target runs.
const SECONDS: u32 = 60;
/// More memory than any parser may take, and longer than any input may need.
const BOUNDS: [&str; 2] = ["-rss_limit_mb=2048", "-timeout=10"];
/// Longest inputs of targets that read texts.
const SHORT: [(&str, u32); 10] = [
    ("card", 4096),
    ("guard", 4096),
    ("json_scan", 4096),
    ("resolve_id", 300),
    ("sniff", 4096),
    ("stream_ndjson", 4096),
    ("stream_sse", 4096),
    ("translate_answer", 4096),
    ("translate_request", 4096),
    ("websocket_messages", 4096),
];

pub(crate) fn run(repo: &Repo) -> Result<Totals> {
    let host = host()?;
    let target = repo.target().join("fuzz");
    let build = exec::succeeds(
        exec::cargo(
            repo.root(),
            &[
                "build",
                "--quiet",
                "--release",
                "--locked",
                "--manifest-path",
                "fuzz/Cargo.toml",
                "--target",
                &host,
            ],
        )
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTFLAGS", FLAGS),
    )?;
    let mut totals = Totals::default();
    if !build {
        totals.case("fuzz targets", Err("they do not build".to_owned()));
        return Ok(totals);
    }
    for name in targets(repo)? {
        let corpus = target.join("corpus").join(&name);
        fs::create_dir_all(&corpus)?;
        let mut command = Command::new(target.join(&host).join("release").join(&name));
        command
            .arg(&corpus)
            .args(BOUNDS)
            .arg(format!("-max_total_time={SECONDS}"))
            .arg(format!("-artifact_prefix={}/", target.display()))
            .stdin(Stdio::null());
        if let Some((_, longest)) = SHORT.iter().find(|(short, _)| *short == name) {
            command.arg(format!("-max_len={longest}"));
        }
        let out = command
            .output()
            .with_context(|| format!("cannot run the fuzz target {name}"))?;
        let told = String::from_utf8_lossy(&out.stderr);
        let last: Vec<&str> = told.lines().rev().take(12).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        let ran = told
            .lines()
            .rev()
            .find(|line| line.starts_with("Done "))
            .unwrap_or_default();
        console::say(format_args!("  {name:<20} {ran}"));
        let result = if out.status.success() && !ran.is_empty() {
            Ok(())
        } else {
            Err(last.join("\n"))
        };
        totals.case(&name, result);
    }
    Ok(totals)
}

/// The targets: one file each.
fn targets(repo: &Repo) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(repo.path("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        names.extend(
            path.file_stem()
                .map(|name| name.to_string_lossy().into_owned()),
        );
    }
    names.sort();
    Ok(names)
}

/// The machine that is built for.
fn host() -> Result<String> {
    let told = exec::output(Command::new("rustc").arg("-vV"))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .context("rustc does not tell its host")
}
