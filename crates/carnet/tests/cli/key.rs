//! `carnet key` where no server runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::sandbox::{GOOD, Sandbox};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_key_is_made_listed_and_revoked() {
    let sandbox = Sandbox::new();
    sandbox
        .run("key list")
        .exits(GOOD)
        .warns(&["no key yet", "carnet key create --workload NAME"]);
    sandbox.run("key list --json").exits(GOOD).quietly();

    let made = sandbox.run("key create --workload shop --note first");
    let secret = made.exits(GOOD).out.trim();
    assert!(
        secret.starts_with("sk-carnet-") && !secret.contains(char::is_whitespace),
        "{made:?}"
    );
    made.warns(&["key_", "for workload `shop`; the secret is shown only now"]);

    let made = sandbox.run("key create --workload shop --json");
    let made = made.exits(GOOD).quietly().json();
    assert!(
        made["secret"].as_str().unwrap().starts_with("sk-carnet-"),
        "{made}"
    );
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["workload"], "shop");

    sandbox
        .run(&format!("key revoke {id}"))
        .exits(GOOD)
        .says(&[&format!("{id} is revoked")]);
    let list = sandbox.run("key list --json");
    let list = list.exits(GOOD).json_lines();
    assert_eq!(list.len(), 2, "{list:?}");
    for key in &list {
        assert_eq!(key["revoked"].is_string(), key["id"] == id, "{key}");
        assert!(
            key.get("secret").is_none() && !key.to_string().contains("sk-carnet"),
            "{key}"
        );
    }
    let list = sandbox.run("key list");
    list.exits(GOOD)
        .says(&["shop", "valid", "first", "revoked 20"]);
    assert!(
        list.out.lines().all(|line| line == line.trim_end()),
        "{list:?}"
    );
    assert_eq!(mode(&sandbox.state()), 0o700);
    assert_eq!(mode(&sandbox.state().join("carnet.db")), 0o600);
}

#[test]
fn a_secret_goes_into_a_file_for_its_owner() {
    let sandbox = Sandbox::new();
    let made = sandbox.run("key create --workload shop --out shop.key --json");
    let made = made.exits(GOOD).quietly().json();
    assert!(
        !made.to_string().contains("sk-carnet"),
        "the secret stands in the file alone: {made}"
    );
    assert_eq!(mode(&sandbox.path("shop.key")), 0o600);
    assert!(sandbox.read("shop.key").starts_with("sk-carnet-"));

    let made = sandbox.run("key create --workload shop --out other.key");
    made.exits(GOOD)
        .quietly()
        .says(&["wrote key_", "for workload `shop` to other.key"]);
    assert!(!made.out.contains("sk-carnet"), "{made:?}");
}

#[test]
fn a_key_that_could_not_be_kept_is_not_made() {
    let sandbox = Sandbox::new();
    sandbox.write("there", "mine");
    sandbox
        .run("key create --workload shop --out there")
        .complains(&[
            "cannot write the key",
            "--> there",
            "help: it is there already and stays as it is",
        ]);
    assert_eq!(sandbox.read("there"), "mine");
    sandbox
        .run("key create --workload shop --out nowhere/key")
        .complains(&[
            "cannot write the key",
            "--> nowhere/key",
            "help: check the path",
        ]);
    assert_eq!(sandbox.run("key list --json").exits(GOOD).out, "");
}

#[test]
fn a_key_that_is_not_there_cannot_be_revoked() {
    Sandbox::new()
        .run("key revoke key_0000000000000000")
        .complains(&[
            "there is no key `key_0000000000000000`",
            "help: `carnet key list` shows",
        ]);
}

#[test]
fn a_state_directory_that_others_enter_is_refused() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.state()).unwrap();
    fs::set_permissions(sandbox.state(), fs::Permissions::from_mode(0o755)).unwrap();
    let fix = format!(
        "help: keys and records lie there: chmod 700 {}",
        sandbox.state().display()
    );
    for line in [
        "key list",
        "key revoke key_1",
        "key create --workload shop --out shop.key",
        "serve",
    ] {
        sandbox
            .run(line)
            .complains(&["others can enter the state directory", "(mode 755)", &fix]);
    }
    assert!(
        !sandbox.path("shop.key").exists(),
        "no empty file is left behind"
    );
    assert_eq!(
        fs::read_dir(sandbox.state()).unwrap().count(),
        0,
        "nothing was put there"
    );
}

#[test]
fn without_a_home_the_state_must_be_named() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command();
    command
        .env_remove("HOME")
        .env("XDG_STATE_HOME", "relative")
        .args(["key", "list"]);
    let output = command.output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(
        complaint.contains("says where the state may lie") && complaint.contains("--state DIR"),
        "{complaint}"
    );
    sandbox.write("file", "");
    sandbox.run("key list --state file").complains(&[
        "cannot make the state directory",
        "--> file",
        "help: choose another one with --state DIR",
    ]);
    sandbox.run("key list --state own").exits(GOOD);
    assert!(sandbox.path("own/carnet.db").exists());
}
