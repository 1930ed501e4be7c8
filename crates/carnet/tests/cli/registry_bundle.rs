//! `carnet registry bundle` and `update`: newer facts come in one signed file, or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::registry_world::{day, today};
use crate::sandbox::{BAD, ERROR, GOOD, Sandbox};

/// What lies in the state directory, with its bytes.
fn installed(sandbox: &Sandbox) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for folder in ["registry", "registry-keys"] {
        for entry in fs::read_dir(sandbox.state().join(folder))
            .into_iter()
            .flatten()
        {
            let path = entry.unwrap().path();
            let name = format!("{folder}/{}", path.file_name().unwrap().to_string_lossy());
            found.push((name, fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

fn version(sandbox: &Sandbox) -> String {
    let stats = sandbox.run("registry stats --json");
    stats.exits(GOOD).json()["version"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn current(sandbox: &Sandbox) -> std::path::PathBuf {
    sandbox.state().join("registry/current.carnet-registry")
}

#[test]
fn a_bundle_is_taken_over_and_every_command_uses_it() {
    let sandbox = Sandbox::new();
    sandbox.world("facts");
    sandbox.bundle("facts", 1, &today());
    let built_in = version(&sandbox);
    let ask = "registry update facts-1.carnet-registry";
    // The first trust is the operator's own word.
    sandbox
        .run(ask)
        .exits(BAD)
        .says(&["refused facts-1.carnet-registry: bundle-untrusted"])
        .warns(&[
            "no key is trusted yet, and none is built in",
            "`review.example`",
        ]);
    sandbox
        .run(&format!("{ask} --trust review.key.pub"))
        .exits(ERROR)
        .warns(&[
            "fingerprint sha256:",
            "nobody can be asked",
            "then add --yes",
        ]);
    assert_eq!(installed(&sandbox), []);
    sandbox
        .run(&format!("{ask} --trust review.key.pub --yes"))
        .exits(GOOD)
        .says(&[
            "from  built in, newest claim of ",
            &*format!("to    bundle 1 of {}, signed by review.example", today()),
            "0 models changed their country set",
            "installed; in force: bundle 1",
        ]);
    assert_ne!(version(&sandbox), built_in);
    sandbox
        .run("resolve birch-deep")
        .exits(GOOD)
        .says(&["The birch (DE)", "DE, US (complete)"]);
    sandbox.run("check birch-deep --set sector=any").exits(BAD);
    sandbox.run("resolve gpt-4o").exits(3);
    sandbox.run("registry validate").exits(GOOD).says(&[
        "2 producers, 3 models, 0 hosts",
        &*format!("bundle 1 of {}", today()),
    ]);
    // A folder that is named goes before it.
    sandbox
        .run("resolve birch-deep --registry facts")
        .exits(GOOD);
    // The trusted key needs no further word.
    sandbox.moved("facts").bundle("facts", 2, &today());
    sandbox
        .run("registry update facts-2.carnet-registry")
        .exits(GOOD)
        .quietly()
        .says(&[
            "3 models changed their country set",
            "birch-deep                           DE, US (complete) → DE, FR (complete)",
        ]);
    sandbox
        .run("resolve birch-deep")
        .says(&["DE, FR (complete)"]);
    // Once more changes nothing.
    let before = installed(&sandbox);
    sandbox
        .run("registry update facts-2.carnet-registry")
        .exits(GOOD)
        .says(&["it is installed already"]);
    assert_eq!(installed(&sandbox), before);
}

#[test]
fn another_state_directory_has_its_own_registry() {
    let sandbox = Sandbox::installed();
    sandbox.run("resolve birch-deep --state elsewhere").exits(3);
    sandbox.run("resolve birch-deep").exits(GOOD);
    let state = sandbox.state();
    let named = format!("resolve birch-deep --state {}", state.display());
    sandbox.run(&named).exits(GOOD);
    // A command that only looks makes no state.
    assert!(!sandbox.path("elsewhere").exists());
}

#[test]
fn without_a_home_the_built_in_registry_is_in_force() {
    let sandbox = Sandbox::new();
    for home in [None, Some("/dev/null"), Some("relative")] {
        let mut command = sandbox.command();
        command.env_remove("HOME").env_remove("XDG_STATE_HOME");
        if let Some(home) = home {
            command.env("HOME", home);
        }
        let done = command.args(["resolve", "gpt-4o"]).output().unwrap();
        assert!(
            done.status.success() && done.stderr.is_empty(),
            "{home:?} {done:?}"
        );
    }
}

#[test]
fn what_is_older_than_what_is_there_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.world("facts");
    let key = "--trust review.key.pub --yes";
    sandbox.bundle("facts", 5, "2025-06-01");
    sandbox
        .run(&format!("registry update facts-5.carnet-registry {key}"))
        .exits(BAD)
        .says(&["refused facts-5.carnet-registry: bundle-older"])
        .warns(&["of 2025-06-01, the built-in registry of 20"]);
    sandbox.bundle("facts", 6, &day(1));
    sandbox
        .run(&format!("registry update facts-6.carnet-registry {key}"))
        .exits(GOOD);
    let before = installed(&sandbox);
    sandbox.moved("facts");
    // The same number with other facts, a lower number, an earlier day.
    for (sequence, later) in [(6, 1), (4, 1), (7, 0)] {
        sandbox.bundle("facts", sequence, &day(later));
        let run = sandbox.run(&format!(
            "registry update facts-{sequence}.carnet-registry --json"
        ));
        let answer = run.exits(BAD).json();
        assert_eq!(answer["refused"]["code"], "bundle-older", "{answer}");
        assert_eq!(answer["done"], false);
        assert_eq!(installed(&sandbox), before);
    }
}

#[test]
fn what_is_of_a_day_to_come_is_refused() {
    let sandbox = Sandbox::installed();
    let before = installed(&sandbox);
    sandbox.moved("facts").bundle("facts", 2, &day(3));
    sandbox
        .run("registry update facts-2.carnet-registry")
        .exits(BAD)
        .says(&["refused facts-2.carnet-registry: bundle-not-yet"])
        .warns(&["this machine's clock says", "set the clock"]);
    assert_eq!(installed(&sandbox), before);
}

#[test]
fn a_bundle_older_than_a_newer_program_gives_way_without_being_read() {
    let sandbox = Sandbox::installed();
    // As if the program had been renewed since: an early bundle lies there, signed and whole.
    sandbox.bundle("facts", 2, "2025-06-01");
    fs::copy(sandbox.path("facts-2.carnet-registry"), current(&sandbox)).unwrap();
    sandbox.run("resolve gpt-4o").exits(GOOD);
    let stats = sandbox.run("registry stats --json");
    assert!(stats.json()["from"]["built-in"].is_object());
}

#[test]
fn only_the_trusted_key_counts() {
    let sandbox = Sandbox::installed();
    let before = installed(&sandbox);
    sandbox
        .run("registry bundle-key --out other.key --name review.example")
        .exits(GOOD);
    sandbox
        .run("registry bundle facts --key other.key --sequence 9 --out other.carnet-registry")
        .exits(GOOD);
    for ask in [
        "registry update other.carnet-registry",
        "registry update other.carnet-registry --dry-run",
    ] {
        sandbox.run(ask).exits(BAD).warns(&[
            "no key that is trusted here",
            "[bundle-untrusted]",
            "--trust FILE",
        ]);
    }
    sandbox
        .run("registry validate other.carnet-registry")
        .complains(&["[bundle-untrusted]"]);
    sandbox
        .run("registry validate other.carnet-registry --trust other.key.pub")
        .exits(GOOD);
    assert_eq!(installed(&sandbox), before);
}

#[test]
fn a_byte_that_changed_or_is_missing_refuses_the_bundle() {
    let sandbox = Sandbox::installed();
    sandbox.moved("facts");
    let file = sandbox.bundle("facts", 2, &today());
    let good = fs::read(&file).unwrap();
    let before = installed(&sandbox);
    let places = (0..good.len()).filter(|at| *at < 20 || at % 89 == 0 || at + 3 > good.len());
    for at in places {
        let mut changed = good.clone();
        changed[at] ^= 1;
        sandbox.write("changed.carnet-registry", &changed);
        sandbox.write("cut.carnet-registry", &good[..at]);
        for file in ["changed.carnet-registry", "cut.carnet-registry"] {
            let run = sandbox.run(&format!("registry update {file}"));
            run.exits(BAD)
                .says(&["nothing was changed"])
                .warns(&["[bundle-", "help: "]);
        }
        assert_eq!(installed(&sandbox), before, "byte {at}");
    }
    sandbox
        .run("registry update facts-2.carnet-registry")
        .exits(GOOD);
}

#[test]
fn a_dry_run_changes_nothing() {
    let sandbox = Sandbox::installed();
    let before = installed(&sandbox);
    sandbox.moved("facts").bundle("facts", 2, &today());
    let run = sandbox.run("registry update facts-2.carnet-registry --dry-run");
    run.exits(GOOD).says(&[
        "3 models changed their country set",
        "nothing was changed; in force: bundle 1",
    ]);
    let run = sandbox.run("registry update facts-2.carnet-registry --dry-run --json");
    let answer = run.exits(GOOD).json();
    assert_eq!(
        (&answer["done"], &answer["dry_run"]),
        (&false.into(), &true.into())
    );
    assert_eq!(answer["difference"]["effects"].as_array().unwrap().len(), 3);
    let fresh = Sandbox::new();
    fs::copy(
        sandbox.path("facts-2.carnet-registry"),
        fresh.path("b.carnet-registry"),
    )
    .unwrap();
    fs::copy(sandbox.path("review.key.pub"), fresh.path("k.pub")).unwrap();
    fresh
        .run("registry update b.carnet-registry --trust k.pub --dry-run")
        .exits(GOOD);
    assert_eq!(installed(&sandbox), before);
    assert_eq!(installed(&fresh), []);
    assert!(!fresh.state().exists());
}

#[test]
fn going_back_leads_to_the_bundle_before_and_then_to_the_built_in_one() {
    let sandbox = Sandbox::installed();
    let first = version(&sandbox);
    sandbox.moved("facts").bundle("facts", 2, &today());
    sandbox
        .run("registry update facts-2.carnet-registry")
        .exits(GOOD);
    assert_ne!(version(&sandbox), first);
    sandbox
        .run("registry update --rollback --dry-run")
        .exits(GOOD)
        .says(&["nothing was changed; in force: bundle 2"]);
    sandbox
        .run("registry update --rollback")
        .exits(GOOD)
        .says(&[
            "went back; in force: bundle 1",
            "3 models changed their country set",
        ]);
    assert_eq!(version(&sandbox), first);
    sandbox
        .run("registry update --rollback")
        .exits(GOOD)
        .says(&["went back; in force: built in"]);
    sandbox.run("resolve gpt-4o").exits(GOOD);
    sandbox
        .run("registry update --rollback")
        .complains(&["there is nothing to go back from"]);
    // Forward again is an update like any other.
    sandbox
        .run("registry update facts-2.carnet-registry")
        .exits(GOOD);
    sandbox
        .run("registry update facts-2.carnet-registry --rollback")
        .exits(ERROR);
}

#[test]
fn of_a_folder_the_newest_good_bundle_is_taken() {
    let sandbox = Sandbox::installed();
    for sequence in [2, 4, 3] {
        let file = sandbox.bundle("facts", sequence, &today());
        let inside = format!("media/{}", file.file_name().unwrap().to_string_lossy());
        sandbox.write(&inside, fs::read(&file).unwrap());
    }
    let whole = fs::read(sandbox.path("facts-4.carnet-registry")).unwrap();
    sandbox
        .write("media/facts-9.carnet-registry", &whole[..whole.len() / 2])
        .write("media/readme.txt", "not a bundle");
    sandbox
        .run("registry update media")
        .exits(GOOD)
        .says(&["in force: bundle 4"])
        .warns(&["facts-9.carnet-registry", "[bundle-damaged]"]);
    sandbox.write("bad/x.carnet-registry", "nothing");
    sandbox
        .run("registry update bad")
        .exits(BAD)
        .says(&["bundle-malformed"]);
    fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox
        .run("registry update empty")
        .complains(&["there is no bundle in `empty`"]);
    sandbox
        .run("registry update nowhere")
        .complains(&["cannot read it", "nowhere"]);
}

#[test]
fn a_damaged_installed_bundle_is_an_error_and_never_passed_over() {
    let sandbox = Sandbox::installed();
    sandbox.moved("facts").bundle("facts", 2, &today());
    sandbox
        .run("registry update facts-2.carnet-registry")
        .exits(GOOD);
    let good = fs::read(current(&sandbox)).unwrap();
    let mut bad = good.clone();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    sandbox.write(
        "carnet.toml",
        "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n",
    );
    for damage in [
        bad.as_slice(),
        &good[..good.len() / 2],
        b"",
        b"something else",
    ] {
        fs::write(current(&sandbox), damage).unwrap();
        for ask in [
            "resolve gpt-4o",
            "check gpt-4o --set sector=any",
            "registry list models",
            "registry validate",
            "policy test default",
            "config check",
            "serve",
        ] {
            sandbox.run(ask).complains(&[
                "the installed registry cannot be used",
                "[bundle-",
                "current.carnet-registry",
                "help: install it again with `carnet registry update FILE`, or go back with `carnet registry update --rollback`",
            ]);
        }
    }
    // Both ways out work.
    sandbox
        .run("registry update facts-2.carnet-registry")
        .exits(GOOD)
        .warns(&["compared with the built-in registry instead"]);
    sandbox.run("resolve birch-deep").exits(GOOD);
    fs::write(current(&sandbox), "x").unwrap();
    sandbox.run("registry update --rollback").exits(GOOD);
    // A key that is no longer trusted makes its bundle unusable, not unseen.
    sandbox
        .run("registry update facts-2.carnet-registry")
        .exits(GOOD);
    for entry in fs::read_dir(sandbox.state().join("registry-keys")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    sandbox
        .run("resolve birch-deep")
        .complains(&["[bundle-untrusted]", "--rollback"]);
}

#[test]
fn a_kill_in_the_middle_leaves_the_old_bundle_in_force() {
    let sandbox = Sandbox::installed();
    let before = version(&sandbox);
    let new = fs::read(sandbox.moved("facts").bundle("facts", 2, &today())).unwrap();
    let folder = sandbox.state().join("registry");
    // Whole or half written, but not yet renamed.
    for piece in [&new[..], &new[..new.len() / 3], &[]] {
        fs::write(folder.join("next.tmp"), piece).unwrap();
        fs::write(folder.join("previous.tmp"), piece).unwrap();
        assert_eq!(version(&sandbox), before);
    }
    // After the old one was kept as the previous, before the new one is named.
    fs::copy(current(&sandbox), folder.join("previous.carnet-registry")).unwrap();
    assert_eq!(version(&sandbox), before);
    // The next update finishes the work, whatever was left lying.
    sandbox
        .run("registry update facts-2.carnet-registry")
        .exits(GOOD);
    assert_ne!(version(&sandbox), before);
    sandbox.run("registry update --rollback").exits(GOOD);
    assert_eq!(version(&sandbox), before);
}

#[test]
fn keys_are_secret_and_are_not_replaced() {
    let sandbox = Sandbox::new();
    sandbox.bundle_key();
    let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&sandbox.path("review.key")), 0o600);
    assert!(
        sandbox
            .read("review.key")
            .starts_with("PRIVATE+KEY+review.example+")
    );
    let public = sandbox.read("review.key.pub");
    assert!(public.starts_with("review.example+"), "{public}");
    let secret = sandbox.read("review.key");
    sandbox
        .run("registry bundle-key --out review.key")
        .complains(&["write the private key", "is not replaced"]);
    assert_eq!(sandbox.read("review.key"), secret);
    sandbox
        .args(&["registry", "bundle-key", "--out", "b.key", "--name", "a b"])
        .complains(&["the name `a b`", "help: choose another --name"]);
    sandbox.world("facts");
    let make = "registry bundle facts --sequence 1 --out f.carnet-registry --key";
    sandbox
        .run(&format!("{make} review.key.pub"))
        .complains(&["not a private key", "bundle-key"]);
    sandbox
        .run(&format!("{make} review.key --created 2024-01-01"))
        .complains(&["of 2024-01-01, but a claim in it is of 2025-01-01"]);
    assert!(!sandbox.path("f.carnet-registry").exists());
    sandbox
        .run("registry update nowhere --trust review.key")
        .complains(&["not a public key", "help: "]);
}

#[test]
fn a_series_names_the_bundle_before() {
    let sandbox = Sandbox::new();
    sandbox.world("facts");
    sandbox.bundle("facts", 1, &today());
    let next = "registry bundle facts --key review.key --out next.carnet-registry --previous facts-1.carnet-registry --json --sequence";
    let made = sandbox.run(&format!("{next} 2"));
    let made = made.exits(GOOD).json();
    assert_eq!(made["previous"], made["registry"]);
    assert_eq!(
        (&made["sequence"], &made["created"]),
        (&2.into(), &today().into())
    );
    sandbox
        .run(&format!("{next} 1"))
        .complains(&["the bundle before has the number 1", "higher --sequence"]);
}
