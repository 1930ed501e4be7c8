//! `carnet doctor` on states and machines that are broken in one way each.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::sandbox::{BAD, ERROR, GOOD, Run, Sandbox};

const CONFIG: &str = "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[[workload]]\nid = \"shop\"\n";

/// A configuration, and a state with a key.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("carnet.toml", CONFIG);
    sandbox.run("key create --workload shop").exits(GOOD);
    sandbox
}

/// What was found by a check.
fn found(run: &Run, check: &str) -> Vec<Value> {
    let all = run.json()["checks"].as_array().unwrap().clone();
    all.into_iter()
        .filter(|one| one["check"] == check)
        .collect()
}

/// A check says this, and the command ends with this code.
#[track_caller]
fn says(sandbox: &Sandbox, check: &str, standing: &str, words: &[&str]) {
    let run = sandbox.run("doctor --json");
    run.exits(if standing == "problem" { BAD } else { GOOD });
    let found = found(&run, check);
    let line = found
        .iter()
        .find(|one| {
            let text = one.to_string();
            one["standing"] == standing && words.iter().all(|word| text.contains(word))
        })
        .unwrap_or_else(|| panic!("no {standing} of {check} with {words:?}: {run:?}"));
    assert_eq!(line["help"].is_string(), standing != "ok", "{line}");
}

fn chmod(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn all_is_well_before_the_first_start_and_after_it() {
    let sandbox = Sandbox::new();
    let run = sandbox.run("doctor");
    run.exits(GOOD).says(&[
        "is not there yet",
        "none; the demonstration",
        ", 0 problems",
    ]);
    assert!(!sandbox.state().exists(), "looking makes nothing");
    let sandbox = self::sandbox();
    let run = sandbox.run("doctor --json");
    let checks = run.exits(GOOD).json();
    assert_eq!(checks["problems"], 0, "{run:?}");
    says(&sandbox, "state", "ok", &["version 2"]);
    says(&sandbox, "permissions", "ok", &["1 files"]);
    says(&sandbox, "keys", "ok", &["1 valid of 1"]);
    says(&sandbox, "configuration", "ok", &["1 workloads"]);
    says(&sandbox, "server", "ok", &["none runs"]);
    says(&sandbox, "port", "ok", &["is free"]);
    let run = sandbox.run("doctor");
    assert!(run.last_line().ends_with(" 0 problems"), "{run:?}");
}

#[test]
fn a_directory_that_others_enter_or_that_is_half_restored_is_a_problem() {
    let sandbox = sandbox();
    chmod(&sandbox.state(), 0o750);
    says(&sandbox, "state", "problem", &["mode 750", "chmod 700"]);
    chmod(&sandbox.state(), 0o700);
    fs::create_dir(sandbox.state().join("restore.tmp")).unwrap();
    says(&sandbox, "state", "problem", &["restored", "restore again"]);
    fs::remove_dir(sandbox.state().join("restore.tmp")).unwrap();
    sandbox.write("state/carnet/format", "carnet-state 9");
    says(&sandbox, "state", "problem", &["newer Carnet"]);
    fs::remove_file(sandbox.state().join("format")).unwrap();
    says(&sandbox, "state", "warning", &["version 1", "backup"]);
    sandbox
        .run("doctor --state carnet.toml")
        .exits(BAD)
        .says(&["is no directory"]);
}

#[test]
fn files_that_others_read_are_problems() {
    let sandbox = sandbox();
    sandbox.write("state/carnet/admin.token", "not-to-be-shown-at-all-xyzzy");
    chmod(&sandbox.state().join("admin.token"), 0o644);
    says(
        &sandbox,
        "permissions",
        "problem",
        &["admin.token", "mode 644"],
    );
    chmod(&sandbox.state().join("carnet.db"), 0o660);
    says(
        &sandbox,
        "permissions",
        "problem",
        &["carnet.db", "chmod 600"],
    );
    let run = sandbox.run("doctor");
    assert!(!run.out.contains("xyzzy") && !run.err.contains("xyzzy"));
}

#[test]
fn a_broken_key_store_is_a_problem_and_a_key_for_nothing_a_warning() {
    let sandbox = sandbox();
    sandbox
        .run("key create --workload gone --expires 5d")
        .exits(GOOD);
    says(&sandbox, "keys", "warning", &["`gone`", "ends soon"]);
    let run = sandbox.run("doctor --json");
    let lines = found(&run, "keys");
    assert!(
        lines
            .iter()
            .any(|line| line.to_string().contains("does not name")),
        "{lines:?}"
    );
    sandbox.write("state/carnet/carnet.db", "no database".repeat(50));
    says(&sandbox, "keys", "problem", &["help", "carnet.db"]);
    sandbox.write("state/carnet/conversations.db", "no database".repeat(50));
    says(&sandbox, "conversations", "problem", &["help"]);
}

#[test]
fn mistakes_in_the_configuration_are_problems_with_their_lines() {
    let sandbox = sandbox();
    sandbox.write("carnet.toml", "[server]\nlisen = \"127.0.0.1:0\"\n");
    says(
        &sandbox,
        "configuration",
        "problem",
        &[
            "carnet.toml:2: unknown key `lisen`",
            "did you mean `listen`?",
        ],
    );
    sandbox.write("carnet.toml", "[policy]\npacks = [\"nowhere\"]\n");
    says(
        &sandbox,
        "configuration",
        "problem",
        &["there is no pack `nowhere`"],
    );
    sandbox
        .run("doctor --config nowhere.toml")
        .exits(BAD)
        .says(&["nowhere.toml", "carnet config init"]);
}

#[test]
fn a_broken_registry_is_a_problem() {
    let sandbox = sandbox();
    sandbox.write("state/carnet/registry/current.carnet-registry", "no bundle");
    says(
        &sandbox,
        "registry",
        "problem",
        &["the installed registry cannot be used"],
    );
}

#[test]
fn a_log_without_checkpoint_or_keys_is_a_problem() {
    let sandbox = sandbox();
    sandbox.write("state/carnet/audit/tile/entries/000", "");
    says(&sandbox, "log", "problem", &["checkpoint is missing"]);
    sandbox.write("state/carnet/audit/checkpoint", "no checkpoint");
    says(&sandbox, "log", "problem", &["audit.pub"]);
}

#[test]
fn a_port_that_somebody_else_has_is_a_warning() {
    let sandbox = sandbox();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    sandbox.write("carnet.toml", CONFIG.replacen("127.0.0.1:0", &address, 1));
    says(&sandbox, "port", "warning", &[&address, "carnet.socket"]);
    sandbox.write(
        "carnet.toml",
        CONFIG
            .replacen("127.0.0.1:0", "192.0.2.1:4390", 1)
            .replacen("\n", "\nnames = [\"a\"]\n", 1),
    );
    says(&sandbox, "port", "problem", &["192.0.2.1:4390"]);
}

#[test]
fn too_few_open_files_are_a_warning() {
    let sandbox = sandbox();
    let mut command = std::process::Command::new("sh");
    let output = command
        .args(["-c", "ulimit -n 300; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_carnet"))
        .args(["doctor", "--config", "carnet.toml"])
        .arg("--state")
        .arg(sandbox.state())
        .current_dir(sandbox.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("this process may have 300 open"), "{said}");
    assert!(said.contains("LimitNOFILE=33024"), "{said}");
}

#[test]
fn an_upstream_is_asked_only_when_that_is_wanted() {
    let sandbox = sandbox();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let upstream = |url: &str| {
        format!(
            "{CONFIG}[[upstream]]\nname = \"up\"\nbase_url = \"{url}\"\nprivate_addresses = true\nmodels = [{{ name = \"m\" }}]\n"
        )
    };
    sandbox.write("carnet.toml", upstream(&format!("http://{address}/v1")));
    sandbox.run("doctor").exits(GOOD);
    sandbox.run("doctor --connect").exits(BAD).says(&[
        "`up` at http://127.0.0.1",
        "cannot be reached",
        "help: check the address",
    ]);
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = open.local_addr().unwrap();
    sandbox.write("carnet.toml", upstream(&format!("http://{address}/v1")));
    sandbox
        .run("doctor --connect")
        .exits(GOOD)
        .says(&["`up` is reached at 127.0.0.1"]);
    let (mut io, _) = open.accept().unwrap();
    let mut sent = Vec::new();
    std::io::Read::read_to_end(&mut io, &mut sent).unwrap();
    assert_eq!(sent, b"", "not one byte of a request");
}

#[test]
fn live_asks_the_listener_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("carnet.toml", CONFIG);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let run = sandbox.run(&format!("doctor --live --address {address} --json"));
    assert_eq!(run.exits(BAD).json()["problems"], 1);
    sandbox.write("carnet.toml", "[server\n");
    sandbox.run("doctor --live").exits(ERROR);
    sandbox.run("doctor --live --connect").exits(ERROR);
}
