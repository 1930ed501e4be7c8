//! `carnet backup` and `carnet restore` where no server runs, and states of other versions.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::sandbox::{BAD, GOOD, Sandbox};

/// A state with a key in it.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run("key create --workload shop").exits(GOOD);
    sandbox
}

/// All files below a folder, with their bytes.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    files
}

#[test]
fn a_state_goes_into_a_file_and_comes_back() {
    let sandbox = sandbox();
    let before = sandbox.run("key list --json").out;
    let made = sandbox.run("backup --to one.tar.zst --json");
    let made = made.exits(GOOD).quietly().json();
    assert_eq!(made["file"], "one.tar.zst");
    assert_eq!((&made["files"], &made["keys"]), (&2.into(), &true.into()));
    assert_eq!(made["log"], serde_json::Value::Null);
    let mode = fs::metadata(sandbox.path("one.tar.zst")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    assert!(!sandbox.state().join("backup.tmp").exists());

    let restored = sandbox.run("restore one.tar.zst --state other --json");
    restored
        .exits(GOOD)
        .warns(&["keys that were revoked since then work again"]);
    assert_eq!(restored.json()["files"], 2);
    assert_eq!(sandbox.run("key list --json --state other").out, before);
    for path in files(&sandbox.path("other")).keys() {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{path:?}");
    }
    assert!(!sandbox.path("other/restore.tmp").exists());
}

#[test]
fn a_backup_goes_through_pipes_and_into_folders() {
    let sandbox = sandbox();
    let output = sandbox
        .command()
        .args(["backup", "--to", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("in standard output"), "{told}");
    sandbox
        .feed("restore - --state piped", &output.stdout)
        .exits(GOOD)
        .says(&["restored 2 files to piped"]);
    sandbox
        .run("key list --state piped")
        .exits(GOOD)
        .says(&["shop"]);
    sandbox
        .run("backup --to - --json")
        .complains(&["no JSON can", "help: name a file"]);
    fs::create_dir(sandbox.path("kept")).unwrap();
    sandbox
        .run("backup --to kept")
        .exits(GOOD)
        .says(&["in kept/carnet-backup-2"]);
    sandbox
        .run("backup")
        .exits(GOOD)
        .says(&["in carnet-backup-2"]);
    assert_eq!(fs::read_dir(sandbox.path("kept")).unwrap().count(), 1);
}

#[test]
fn nothing_is_overwritten() {
    let sandbox = sandbox();
    sandbox.write("one.tar.zst", "mine");
    sandbox
        .run("backup --to one.tar.zst")
        .complains(&["help: it is there already and stays as it is"]);
    assert_eq!(sandbox.read("one.tar.zst"), "mine");
    sandbox.run("backup --to two.tar.zst").exits(GOOD);
    sandbox
        .run("backup --to nowhere/two.tar.zst")
        .complains(&["cannot write the backup", "help: check the path"]);
    let before = files(&sandbox.state());
    sandbox.run("restore two.tar.zst").complains(&[
        "is not empty: `",
        "help: name a new folder with --state DIR",
    ]);
    assert_eq!(files(&sandbox.state()), before);
    sandbox
        .run("restore two.tar.zst --state two.tar.zst")
        .complains(&["cannot make the state directory"]);
    sandbox
        .run("restore nowhere --state new")
        .complains(&["cannot read the backup", "--> nowhere"]);
    assert!(!sandbox.path("new").exists());
}

#[test]
fn a_broken_backup_leaves_an_empty_folder_and_exit_code_1() {
    let sandbox = sandbox();
    sandbox.run("backup --to one.tar.zst").exits(GOOD);
    let mut bytes = fs::read(sandbox.path("one.tar.zst")).unwrap();
    let length = bytes.len();
    sandbox.write("short.tar.zst", &bytes[..length - 9]);
    bytes[length / 2] ^= 0xff;
    sandbox.write("bent.tar.zst", &bytes);
    for name in ["short", "bent"] {
        let run = sandbox.run(&format!("restore {name}.tar.zst --state new"));
        run.exits(BAD).warns(&["help: nothing of it was restored"]);
        assert_eq!(run.out, "");
        let left: Vec<_> = files(&sandbox.path("new")).into_keys().collect();
        assert_eq!(left, [sandbox.path("new/admin.lock")]);
    }
    sandbox.write("text", "text");
    sandbox
        .run("restore text --state new")
        .complains(&["this is no backup of Carnet"]);
    // What failed is in nobody's way.
    sandbox.run("restore one.tar.zst --state new").exits(GOOD);
}

#[test]
fn a_restore_that_stopped_half_way_is_in_everybody_s_way() {
    let sandbox = sandbox();
    sandbox.run("backup --to one.tar.zst").exits(GOOD);
    fs::create_dir(sandbox.state().join("restore.tmp")).unwrap();
    for line in [
        "serve",
        "key list",
        "key create --workload shop",
        "backup",
        "restore one.tar.zst",
    ] {
        sandbox.run(line).complains(&[
            "a backup is being restored to",
            "remove what is in that folder and restore again",
        ]);
    }
}

#[test]
fn without_keys_there_are_none() {
    let sandbox = sandbox();
    for name in ["admin.token", "demo.key", "conversations.key"] {
        sandbox.write(&format!("state/carnet/{name}"), "a secret");
    }
    sandbox
        .run("backup --to all.tar.zst")
        .exits(GOOD)
        .says(&["can sign the log"]);
    sandbox
        .run("backup --to few.tar.zst --without-keys")
        .exits(GOOD)
        .says(&["left out"]);
    sandbox.run("restore all.tar.zst --state all").exits(GOOD);
    sandbox
        .run("restore few.tar.zst --state few")
        .exits(GOOD)
        .warns(&["put audit.key"]);
    assert_eq!(sandbox.read("all/demo.key"), "a secret");
    let names = |folder: &str| -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(sandbox.path(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("few"), ["admin.lock", "carnet.db", "format"]);
}

#[test]
fn strange_files_are_named_and_left_out() {
    let sandbox = sandbox();
    sandbox
        .write("state/carnet/notes.txt", "mine")
        .write("state/carnet/registry-keys/readme", "mine");
    let made = sandbox.run("backup --to one.tar.zst --json");
    made.exits(GOOD)
        .warns(&["`notes.txt`", "`registry-keys/readme`"]);
    assert_eq!(
        made.json()["left_out"],
        serde_json::json!(["notes.txt", "registry-keys/readme"])
    );
    sandbox.run("restore one.tar.zst --state new").exits(GOOD);
    assert!(!sandbox.path("new/notes.txt").exists());
}

#[test]
fn without_a_state_there_is_nothing_to_back_up() {
    let sandbox = Sandbox::new();
    sandbox
        .run("backup")
        .complains(&["there is no state directory", "carnet serve"]);
    assert!(!sandbox.state().exists());
    fs::create_dir_all(sandbox.state()).unwrap();
    fs::set_permissions(sandbox.state(), fs::Permissions::from_mode(0o700)).unwrap();
    sandbox.run("backup").complains(&["nothing lies in"]);
}

/// As the first release made it: without a version, and with keys that have no terms.
fn former_state(sandbox: &Sandbox) {
    sandbox.write("state/carnet/carnet.db", "");
    fs::set_permissions(sandbox.state(), fs::Permissions::from_mode(0o700)).unwrap();
    let path = sandbox.state().join("carnet.db");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let former = Connection::open(&path).unwrap();
    former
        .execute_batch(
            "CREATE TABLE keys (
                id TEXT NOT NULL PRIMARY KEY,
                digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
                workload TEXT NOT NULL,
                note TEXT NOT NULL,
                created TEXT NOT NULL,
                revoked TEXT
            ) STRICT;
            INSERT INTO keys VALUES ('key_00112233445566ff', zeroblob(32), 'shop', 'old', '2026-01-02T03:04:05Z', NULL);
            PRAGMA application_id = 0x6361726e;
            PRAGMA user_version = 1;",
        )
        .unwrap();
}

fn schema_version(sandbox: &Sandbox, folder: &str) -> i64 {
    let database = Connection::open(sandbox.path(folder).join("carnet.db")).unwrap();
    database
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

#[test]
fn a_state_of_the_version_before_is_brought_up() {
    let sandbox = Sandbox::new();
    former_state(&sandbox);
    // A backup changes nothing, and what was restored is brought up as well.
    let made = sandbox.run("backup --to old.tar.zst --json");
    assert_eq!(made.exits(GOOD).json()["state_format"], 1);
    assert_eq!(schema_version(&sandbox, "state/carnet"), 1);
    assert!(!sandbox.state().join("format").exists());
    sandbox
        .run("restore old.tar.zst --state restored")
        .exits(GOOD);
    assert_eq!(schema_version(&sandbox, "restored"), 1);
    for (folder, option) in [("state/carnet", ""), ("restored", " --state restored")] {
        sandbox
            .run(&format!("key list{option}"))
            .exits(GOOD)
            .says(&["key_00112233445566ff  shop", "valid", "old"]);
        assert_eq!(schema_version(&sandbox, folder), 4);
        assert_eq!(
            sandbox.read(&format!("{folder}/format")),
            "carnet-state 2\n"
        );
        sandbox
            .run(&format!("key create --workload shop{option}"))
            .exits(GOOD);
    }
}

#[test]
fn a_state_of_a_newer_carnet_is_left_alone() {
    let sandbox = sandbox();
    sandbox.run("backup --to one.tar.zst").exits(GOOD);
    sandbox.write("state/carnet/format", "carnet-state 3\n");
    let before = files(&sandbox.state());
    for line in ["serve", "key list", "key create --workload shop", "backup"] {
        sandbox.run(line).complains(&[
            "was made by a newer Carnet: its state has version 3",
            "help: run that Carnet or a later one",
        ]);
    }
    assert_eq!(files(&sandbox.state()), before);
    sandbox.write("state/carnet/format", "what?");
    sandbox
        .run("key list")
        .complains(&["the version of the state cannot be read"]);
}
