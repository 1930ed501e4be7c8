//! A registry that is installed while the server runs is in force after its usual reload, whole or
//! not at all.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::upstream::COMPLETION;
use crate::harness::{Gateway, MODEL, Setup, Upstream, chat_body, until};
use crate::reload::{copy, generation};

fn run(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carnet"));
    let done = command
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// Bundles of the repository's registry, and of one in which the country of the model's maker is not
/// known, with the key that signed them.
struct Bundles {
    key: PathBuf,
    same: PathBuf,
    other: PathBuf,
}

fn bundles(setup: &Setup) -> Bundles {
    let folder = setup.path("review");
    let facts = folder.join("facts");
    copy(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../registry"),
        &facts,
    );
    run(&folder, &["registry", "bundle-key", "--out", "key"]);
    let bundle = |sequence: &str, file: &str| {
        let arguments = [
            "registry",
            "bundle",
            "facts",
            "--key",
            "key",
            "--sequence",
            sequence,
            "--out",
            file,
        ];
        run(&folder, &arguments);
        folder.join(file)
    };
    let same = bundle("1", "one.carnet-registry");
    forget_country(&facts);
    Bundles {
        key: folder.join("key.pub"),
        same,
        other: bundle("2", "two.carnet-registry"),
    }
}

/// Leave out in which country the maker of the tests' model sits.
fn forget_country(facts: &Path) {
    let text = |file: &Path| std::fs::read_to_string(file).unwrap();
    let models = std::fs::read_dir(facts.join("models")).unwrap();
    let model = models
        .map(|entry| text(&entry.unwrap().path()))
        .find(|text| text.contains(&format!("\"{MODEL}\"")))
        .unwrap();
    let (_, producer) = model.split_once("\nproducer = { value = \"").unwrap();
    let (producer, _) = producer.split_once('"').unwrap();
    let file = facts.join(format!("producers/{producer}.toml"));
    let kept: String = text(&file)
        .lines()
        .filter(|line| !line.starts_with("country = "))
        .flat_map(|line| [line, "\n"])
        .collect();
    std::fs::write(file, kept).unwrap();
}

async fn update(gateway: &Gateway, arguments: &[&str]) -> std::process::Output {
    let words: Vec<&str> = ["registry", "update"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    gateway.carnet(&words).await
}

/// How things stand once `wanted` is true of them. One update may be seen as several changes of files,
/// so the next reload need not be the one that is waited for.
async fn once(gateway: &Gateway, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until(what, async || {
        let now = generation(gateway).await;
        wanted(&now).then_some(now)
    })
    .await
}

fn registry_of(generation: &Value) -> &Value {
    &generation["versions"]["registry"]
}

#[tokio::test]
async fn an_update_is_in_force_after_a_reload_and_so_is_going_back() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url());
    let bundles = bundles(&setup);
    let gateway = setup.start().await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);

    let before = generation(&gateway).await;
    let (file, key) = (
        bundles.other.to_str().unwrap(),
        bundles.key.to_str().unwrap(),
    );
    let done = update(&gateway, &[file, "--trust", key, "--yes"]).await;
    assert!(done.status.success(), "{done:?}");
    once(&gateway, "the new registry", |now| {
        registry_of(now) != registry_of(&before)
    })
    .await;
    let refused = gateway.chat(chat_body(MODEL, false)).await;
    refused.error(403, "policy_denied").await;

    let done = update(&gateway, &["--rollback"]).await;
    assert!(done.status.success(), "{done:?}");
    once(&gateway, "the old registry", |now| {
        registry_of(now) == registry_of(&before)
    })
    .await;
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    gateway.finish().await;
}

#[tokio::test]
async fn a_damaged_bundle_leaves_the_old_generation_in_force_and_is_told() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream.base_url());
    let bundles = bundles(&setup);
    let gateway = setup.start().await;
    let before = generation(&gateway).await;
    let (file, key) = (
        bundles.same.to_str().unwrap(),
        bundles.key.to_str().unwrap(),
    );
    let done = update(&gateway, &[file, "--trust", key, "--yes"]).await;
    assert!(done.status.success(), "{done:?}");
    once(&gateway, "the reload", |now| {
        now["number"].as_u64() > before["number"].as_u64()
    })
    .await;
    let current = gateway.setup.path("state/registry/current.carnet-registry");
    let good = std::fs::read(&current).unwrap();
    std::fs::write(&current, &good[..good.len() - 1]).unwrap();
    gateway.signal(Signal::HUP);
    let after = once(&gateway, "the refused reload", |now| {
        now["last_reload"]["done"] == false
    })
    .await;
    let last = &after["last_reload"];
    let problem = last["problems"][0]["message"].as_str().unwrap();
    assert!(
        problem.contains("the installed registry cannot be used"),
        "{last:#}"
    );
    // The bundle has the same facts as the program, so that only the damage is seen.
    assert_eq!(registry_of(&after), registry_of(&before));
    let (answer, ()) = tokio::join!(gateway.chat(chat_body(MODEL, false)), upstream.complete());
    assert_eq!(answer.text().await, COMPLETION);
    gateway.finish().await;
}
