//! `carnet audit`: show and verify the log.

use std::path::{Path, PathBuf};

use carnet_audit::{Leaf, Reader, Record, verify as verify_log};
use serde_json::json;

use crate::cli::AuditCommand;
use crate::exit::Exit;
use crate::state::State;
use crate::trouble::{Trouble, Troubles};
use crate::{commands, log_key, out};

/// Problems that are printed; the JSON answer has all that were kept.
const PROBLEMS_SHOWN: usize = 20;

pub(crate) fn run(command: &AuditCommand) -> Exit {
    let result = match command {
        AuditCommand::Show {
            record,
            state,
            limit,
            json,
        } => match record {
            Some(id) => one(id, state.as_deref(), *json),
            None => newest(state.as_deref(), *limit, *json),
        },
        AuditCommand::Verify {
            folder,
            state,
            key,
            json,
        } => verify(folder.as_deref(), state.as_deref(), key.as_deref(), *json),
    };
    result.unwrap_or_else(|troubles| commands::failed(&troubles))
}

fn reader(state: Option<&Path>) -> Result<Reader, Troubles> {
    let folder = State::find(state)?.audit();
    exists(&folder)?;
    Reader::open(&folder).map_err(read_trouble)
}

fn exists(folder: &Path) -> Result<(), Troubles> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(vec![Trouble::new(
        format!("there is no log in `{}`", folder.display()),
        "`carnet serve` makes it at its first start; --state DIR names another state directory",
    )])
}

fn read_trouble(error: carnet_audit::ReadError) -> Troubles {
    vec![Trouble::new(
        error.to_string(),
        "check the log with `carnet audit verify`",
    )]
}

fn newest(state: Option<&Path>, limit: usize, json: bool) -> Result<Exit, Troubles> {
    let mut shown = 0;
    for entry in reader(state)?.newest() {
        if shown == limit {
            break;
        }
        let entry = entry.map_err(read_trouble)?;
        let Leaf::Record(record) = entry.leaf else {
            continue;
        };
        shown += 1;
        if json {
            // The leaf's own bytes: what was hashed is what is shown.
            out::answer(String::from_utf8_lossy(&entry.bytes));
        } else {
            // Names in a record are what a caller wrote.
            out::answer(out::plain(&line(&record)));
        }
    }
    if shown == 0 && !json {
        out::note("no record yet");
    }
    Ok(Exit::Good)
}

/// A record in one line: when, who, what, how it was decided and ended.
fn line(record: &Record) -> String {
    let text = |value: &Option<std::sync::Arc<str>>| value.as_deref().unwrap_or("-").to_owned();
    let decision = record
        .decision
        .map_or_else(|| "-".to_owned(), |ruling| word(&ruling));
    let what = match &record.detail {
        Some(detail) => detail.to_string(),
        None => format!(
            "{} → {}",
            text(&record.requested_model),
            text(&record.upstream)
        ),
    };
    let status = record
        .status
        .map_or_else(|| "-".to_owned(), |status| status.to_string());
    let rules: Vec<&str> = record.rules.iter().map(|rule| &**rule).collect();
    format!(
        "{:.19}Z  {}  {:<10} {:<14} {decision:<11} {:<14} {status:<4} {what}  {}",
        record.time.to_string(),
        record.id,
        word(&record.kind),
        text(&record.workload),
        record.outcome.as_str(),
        rules.join(","),
    )
    .trim_end()
    .to_owned()
}

/// The word under which a value stands in the log.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn one(id: &str, state: Option<&Path>, json: bool) -> Result<Exit, Troubles> {
    let found = reader(state)?.find(id).map_err(read_trouble)?;
    let document: Option<serde_json::Value> = found
        .document
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    let whole = json!({ "index": found.index, "signed": found.signed, "record": found.record, "decision": document });
    let text = if json {
        serde_json::to_string(&whole)
    } else {
        serde_json::to_string_pretty(&whole)
    };
    out::answer(text.unwrap_or_default());
    Ok(Exit::Good)
}

fn verify(
    folder: Option<&Path>,
    state: Option<&Path>,
    key: Option<&Path>,
    json: bool,
) -> Result<Exit, Troubles> {
    let state = || State::find(state);
    let folder: PathBuf = match folder {
        Some(folder) => folder.to_path_buf(),
        None => state()?.audit(),
    };
    let key_file = match key {
        Some(file) => file.to_path_buf(),
        None => state()?.audit_public_key(),
    };
    exists(&folder)?;
    let key = log_key::public_in(&key_file)?;
    let report = verify_log(&folder, &key);
    let good = report.verified();
    if json {
        let problems: Vec<_> = report
            .problems
            .iter()
            .map(|problem| json!({ "file": problem.file, "message": problem.message }))
            .collect();
        out::answer(json!({
            "verified": good,
            "origin": report.origin,
            "size": report.size,
            "root": report.root,
            "records": report.records,
            "documents": report.documents,
            "pending": report.pending,
            "problems": problems,
            "further_problems": report.further_problems,
            "cannot_exclude": report.cannot_exclude,
        }));
    } else {
        let word = if good { "verified" } else { "NOT VERIFIED" };
        out::answer(format_args!(
            "{word}: {} entries ({} records, {} decisions) under the checkpoint of `{}`, {} not yet under one\n  root {}",
            report.size,
            report.records,
            report.documents,
            report.origin,
            report.pending,
            report.root
        ));
        for problem in report.problems.iter().take(PROBLEMS_SHOWN) {
            out::answer(format_args!("  problem  {problem}"));
        }
        let more =
            report.problems.len().saturating_sub(PROBLEMS_SHOWN) as u64 + report.further_problems;
        if more > 0 {
            out::answer(format_args!("  and {more} more"));
        }
        for caveat in &report.cannot_exclude {
            out::answer(format_args!("  not excluded  {caveat}"));
        }
    }
    Ok(if good { Exit::Good } else { Exit::Bad })
}
