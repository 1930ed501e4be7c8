//! The state directory: who may enter it, its version, keys, log and registry.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use carnet_admin::{Database, Store};
use carnet_audit::check_edge;
use jiff::{SignedDuration, Timestamp};

use super::Findings;
use crate::state::{State, format};
use crate::trouble::Trouble;
use crate::{clock, embedded, installed, log_key, out};

/// A key that ends so soon is worth a word.
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Facts that are older are worth a word.
const FACTS_OLD_DAYS: i64 = 180;

/// Whether the directory is there, ours alone, whole, and of a version that this program knows. False where nothing in it
/// should be looked at.
pub(crate) fn directory(findings: &mut Findings, state: &State) -> bool {
    const CHECK: &str = "state";
    let folder = state.folder();
    let shown = folder.display();
    let found = match fs::metadata(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            findings.ok(
                CHECK,
                format!("{shown} is not there yet; the first start makes it"),
            );
            return false;
        }
        Err(error) => {
            let help = "check the path and who may enter it";
            findings.problem(CHECK, format!("{shown} cannot be entered: {error}"), help);
            return false;
        }
    };
    if !found.is_dir() {
        findings.problem(
            CHECK,
            format!("{shown} is no directory"),
            "name another with --state DIR",
        );
        return false;
    }
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != own && own != 0 {
        findings.problem(
            CHECK,
            format!(
                "{shown} belongs to user {}, and this is user {own}",
                found.uid()
            ),
            "run this as the user that the server runs as",
        );
        return false;
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        findings.problem(
            CHECK,
            format!("others can enter {shown} (mode {mode:03o})"),
            format!("keys and records lie there: chmod 700 {shown}"),
        );
    }
    if state.unfinished_restore().exists() {
        findings.problem(
            CHECK,
            format!("a backup is being restored to {shown}, or was only in part"),
            "wait until that is done; if it was interrupted, remove what is in that folder and restore again",
        );
        return false;
    }
    match state.format() {
        Err(troubles) => {
            findings.troubles(CHECK, troubles);
            return false;
        }
        Ok(Some(found)) if found > format::FORMAT => {
            findings.troubles(CHECK, format::newer(&shown.to_string(), found));
            return false;
        }
        Ok(Some(found)) if found < format::FORMAT => findings.warning(
            CHECK,
            format!(
                "{shown} has version {found}; the next start brings it to {}",
                format::FORMAT
            ),
            "make a backup before: an older Carnet does not read it afterwards",
        ),
        Ok(Some(found)) if mode & 0o077 == 0 => {
            findings.ok(CHECK, format!("{shown}, version {found}"));
        }
        Ok(None) if mode & 0o077 == 0 => {
            findings.ok(CHECK, format!("{shown} is empty; the first start fills it"));
        }
        Ok(_) => {}
    }
    open_to_others(findings, state);
    true
}

/// Files that only their owner may read.
fn open_to_others(findings: &mut Findings, state: &State) {
    const CHECK: &str = "permissions";
    let files = [
        state.audit_key(),
        state.conversations_key(),
        state.admin_token(),
        state.metrics_token(),
        state.demo_key(),
        state.database(),
        state.conversations(),
    ];
    let mut good = 0;
    for file in files {
        let Ok(found) = fs::metadata(&file) else {
            continue;
        };
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 == 0 {
            good += 1;
            continue;
        }
        findings.problem(
            CHECK,
            format!(
                "others can read or write {} (mode {mode:03o})",
                file.display()
            ),
            format!(
                "chmod 600 {}; if others had access, make a new secret",
                file.display()
            ),
        );
    }
    if good > 0 {
        findings.ok(
            CHECK,
            format!("{good} files with secrets are their owner's alone"),
        );
    }
}

/// The process that serves this state, if one does.
pub(crate) fn server(findings: &mut Findings, state: &State) -> Option<i32> {
    const CHECK: &str = "server";
    let process = UnixStream::connect(state.socket()).ok().map(|socket| {
        rustix::net::sockopt::socket_peercred(socket.as_fd())
            .map_or(0, |peer| peer.pid.as_raw_nonzero().get())
    });
    match process {
        Some(process) => findings.ok(CHECK, format!("runs as process {process}")),
        None => findings.ok(CHECK, "none runs on this state"),
    }
    process
}

/// The keys: whether they can be read, and whether they open anything.
pub(crate) fn keys(
    findings: &mut Findings,
    state: &State,
    workloads: Option<&[&str]>,
    now: Timestamp,
) {
    const CHECK: &str = "keys";
    let conversations = state.conversations();
    if conversations.exists()
        && let Err(error) = Database::Conversations.check(&conversations)
    {
        findings.problem("conversations", error.to_string(), error.help());
    }
    let path = state.database();
    if !path.exists() {
        return;
    }
    let version = match Database::Keys.check(&path) {
        Ok(version) => version,
        Err(error) => return findings.problem(CHECK, error.to_string(), error.help()),
    };
    if version < Database::Keys.version_known() {
        // To read it would be to change it.
        return findings.ok(
            CHECK,
            format!("readable; schema version {version}, brought up at the next start"),
        );
    }
    let records = match Store::open(&path).and_then(|store| store.records()) {
        Ok(records) => records,
        Err(error) => return findings.problem(CHECK, error.to_string(), error.help()),
    };
    let valid: Vec<_> = records
        .iter()
        .filter(|key| key.revoked.is_none() && key.terms.expires.is_none_or(|end| end > now))
        .collect();
    let soon = now.saturating_add(ENDS_SOON).unwrap_or(Timestamp::MAX);
    for key in &valid {
        if key.terms.expires.is_some_and(|end| end < soon) {
            findings.warning(
                CHECK,
                format!("{} of workload `{}` ends soon", key.id, key.workload),
                format!(
                    "`carnet key rotate {} --expires WHEN` gives it another end",
                    key.id
                ),
            );
        }
        if workloads.is_some_and(|known| !known.contains(&&*key.workload)) {
            findings.warning(
                CHECK,
                format!(
                    "{} belongs to workload `{}`, which the configuration does not name",
                    key.id, key.workload
                ),
                format!(
                    "its requests are refused: name the workload, or `carnet key revoke {}`",
                    key.id
                ),
            );
        }
    }
    findings.ok(CHECK, format!("{} valid of {}", valid.len(), records.len()));
}

/// The log's newest part, and the keys that it needs.
pub(crate) fn log(findings: &mut Findings, state: &State) {
    const CHECK: &str = "log";
    if !state.audit().join("checkpoint").exists() {
        if state.audit().join("tile").exists() {
            findings.problem(
                CHECK,
                "its checkpoint is missing, though it has entries",
                "restore a backup",
            );
        }
        return;
    }
    let key = match log_key::public(state) {
        Ok(key) => key,
        Err(troubles) => return findings.troubles(CHECK, troubles),
    };
    match own_key(state) {
        Ok(own) if own == key.to_string() => {}
        Ok(_) => findings.problem(
            CHECK,
            "the signing key is not that of audit.pub",
            "restore audit.key and audit.pub from one backup: the log goes on with its own key alone",
        ),
        Err(troubles) => findings.troubles(CHECK, troubles),
    }
    match check_edge(&state.audit(), &key) {
        Ok(size) => findings.ok(
            CHECK,
            format!(
                "{}, the newest checked; `carnet audit verify` checks all",
                out::counted(size, "entry")
            ),
        ),
        Err(error) => findings.problem(
            CHECK,
            error.to_string(),
            "`carnet audit verify` names every file that is wrong; restore a backup",
        ),
    }
}

/// The public half of the signing key.
fn own_key(state: &State) -> Result<String, Vec<Trouble>> {
    let signer = log_key::read(state)?;
    Ok(log_key::public_half(&signer)?.to_string())
}

/// The facts in force.
pub(crate) fn registry(findings: &mut Findings, state: &Path, now: Timestamp) {
    const CHECK: &str = "registry";
    let in_force = match installed::in_force(Some(state)) {
        Ok(in_force) => in_force,
        Err(troubles) => return findings.troubles(CHECK, troubles),
    };
    let date = match &in_force.from {
        installed::From::Bundle(signed) => Ok(signed.manifest.created),
        _ => embedded::date(),
    };
    let date = match date {
        Ok(date) => date,
        Err(troubles) => return findings.troubles(CHECK, troubles),
    };
    let days = i64::from(
        clock::day_of(now)
            .since(date)
            .map_or(0, |span| span.get_days()),
    );
    if days > FACTS_OLD_DAYS {
        findings.warning(
            CHECK,
            format!("{}; that is {days} days ago", in_force.from),
            "take newer facts with `carnet registry update FILE`, or a newer Carnet",
        );
    } else {
        findings.ok(CHECK, in_force.from.to_string());
    }
}
