//! The gateway asked everything that OpenAI's own description of its API allows and much that it does not: no request
//! may break it, every error must have the dialect's shape, and answers must be as described.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use anyhow::Result;
use serde_json::Value;

use super::gateway::{Setup, model_entries};
use super::{WORKLOAD, finish};
use crate::console;
use crate::exec;
use crate::generate;
use crate::mock::Mock;
use crate::steps::Bench;
use crate::totals::Totals;

/// The description, cut to what is served.
const DESCRIPTION: &str = "specs/openai-served.json";
/// The same requests every time.
const SEED: &str = "6";
/// Seconds that the requests may take together.
const SECONDS: &str = "90";
/// The same in a full run.
const SECONDS_FULL: &str = "300";

/// The step.
pub(crate) fn described(bench: &Bench<'_>) -> Result<Totals> {
    let Some(description) = bench.repo.shared(DESCRIPTION) else {
        return Ok(Totals::not_run(format!(
            "described: the description (../shared/{DESCRIPTION}) is not there"
        )));
    };
    generate::build(bench.repo)?;
    let mock = Mock::start(0, None)?;
    let read: Value = serde_json::from_slice(&std::fs::read(&description)?)?;
    let mut models = BTreeSet::new();
    named_models(&read, &mut models);
    let setup = Setup::named(bench.repo, "open", "described")?
        .with("mock", &mock.url())
        .with("models", &model_entries(models));
    let key = setup.key(WORKLOAD)?;
    let gateway = setup.start()?;
    let mut command = Command::new(bench.tools.python.with_file_name("schemathesis"));
    command
        .arg("--no-color")
        .arg("run")
        .arg(&description)
        .args(["--url", &gateway.url()])
        .args(["--header", &format!("Authorization: Bearer {key}")])
        .args(["--seed", SEED, "--workers", "1"])
        .args([
            "--max-time",
            if bench.full { SECONDS_FULL } else { SECONDS },
        ])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args([
            "--checks",
            "not_a_server_error,answer_as_described,error_shape",
        ])
        .args([
            "--warnings",
            "off",
            "--generation-database",
            "none",
            "--continue-on-failure",
        ])
        .current_dir(bench.repo.target().join("suites/described"))
        .env("PYTHONPATH", bench.repo.path("tests/clients/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SCHEMATHESIS_HOOKS", "described")
        .stderr(Stdio::inherit());
    let mut said = String::new();
    let good = exec::lines(&mut command, |line| {
        said.push_str(line);
        said.push('\n');
    })?;
    let reached = mock.seen_count();
    console::say(format_args!("{reached} requests reached the upstream"));
    let mut totals = Totals::default();
    totals.case(
        "whatever is asked, errors have their shape and answers are as described",
        if good { Ok(()) } else { Err(said) },
    );
    totals.case(
        "some requests reach the upstream",
        if reached > 0 {
            Ok(())
        } else {
            Err("none did".to_owned())
        },
    );
    finish(gateway, &setup, &mut totals);
    Ok(totals)
}

/// The names of models that a description gives: what stands as an example or a choice of a member `model`.
fn named_models<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            if let Some(model) = members.get("model") {
                choices(model, found);
            }
            members
                .values()
                .for_each(|inner| named_models(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| named_models(inner, found)),
        _ => {}
    }
}

fn choices<'a>(schema: &'a Value, found: &mut BTreeSet<&'a str>) {
    match schema {
        Value::String(name) if !name.is_empty() && !name.contains(char::is_whitespace) => {
            found.insert(name);
        }
        Value::Object(members) => {
            for name in ["anyOf", "enum", "example", "examples", "oneOf"] {
                if let Some(inner) = members.get(name) {
                    choices(inner, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|inner| choices(inner, found)),
        _ => {}
    }
}
