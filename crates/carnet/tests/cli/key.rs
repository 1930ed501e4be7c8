//! `carnet key` where no server runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::sandbox::{ERROR, GOOD, Sandbox};

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
fn a_key_is_bounded_and_gets_a_new_secret() {
    let sandbox = Sandbox::new();
    let made = sandbox.run(
        "key create --workload shop --expires 2099-01-01 --scope inference,models --model llama* --from 192.0.2.0/24 --json",
    );
    let made = made.exits(GOOD).quietly().json();
    assert_eq!(made["expires"], "2099-01-01T00:00:00Z");
    assert_eq!(made["scopes"], serde_json::json!(["inference", "models"]));
    assert_eq!(made["models"], serde_json::json!(["llama*"]));
    assert_eq!(made["networks"], serde_json::json!(["192.0.2.0/24"]));
    let id = made["id"].as_str().unwrap();
    let rotated = sandbox.run(&format!("key rotate {id} --grace 7d --json"));
    let rotated = rotated.exits(GOOD).quietly().json();
    assert_eq!(
        (&rotated["id"], &rotated["workload"]),
        (&made["id"], &made["workload"])
    );
    assert_ne!(rotated["secret"], made["secret"]);
    assert_eq!(rotated["former_until"].as_array().unwrap().len(), 1);
    sandbox
        .run("key list")
        .exits(GOOD)
        .says(&["valid until 2099-01-01T00:00:00Z, bounded, rotated"]);
    let last = sandbox.run(&format!(
        "key rotate {id} --now --expires 30d --out new.key --json"
    ));
    let last = last.exits(GOOD).quietly().json();
    assert_eq!(last["former_until"], serde_json::json!([]));
    assert_ne!(last["expires"], made["expires"]);
    let secret = sandbox.read("new.key");
    assert!(secret.starts_with("sk-carnet-") && secret.trim() != rotated["secret"]);
    sandbox.run(&format!("key revoke {id}")).exits(GOOD);
    sandbox.run(&format!("key rotate {id}")).complains(&[
        &format!("the key `{id}` is revoked"),
        "help: make a new key",
    ]);
}

#[test]
fn terms_that_cannot_be_are_refused_and_no_key_is_made() {
    let sandbox = Sandbox::new();
    for (terms, complaint) in [
        (
            "--expires 2020-01-01",
            "a key that expires at 2020-01-01T00:00:00Z would never work",
        ),
        ("--scope everything", "`everything` is not a scope"),
        ("--model a*b", "`a*b` is not the name of a model"),
        (
            "--from 192.0.2.1/24",
            "help: write 192.0.2.0/24 for all of it",
        ),
    ] {
        sandbox
            .run(&format!(
                "key create --workload shop {terms} --out shop.key"
            ))
            .complains(&[complaint]);
    }
    sandbox
        .run("key create --workload shop --expires soon")
        .exits(ERROR);
    sandbox
        .run("key rotate key_0 --grace 100d")
        .complains(&["at most 90 days"]);
    sandbox
        .run("key rotate key_0 --grace 1h --now")
        .exits(ERROR);
    sandbox
        .run("key rotate key_0")
        .complains(&["there is no key `key_0`"]);
    assert_eq!(sandbox.run("key list --json").exits(GOOD).out, "");
    assert!(!sandbox.path("shop.key").exists());
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
