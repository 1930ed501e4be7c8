//! `carnet resolve PATH` on what is made to mislead, to exhaust or to lead elsewhere: stores, links,
//! and files that no loader should see.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::evidence::{answer, countries, nearest, resolve, sandbox, says};
use crate::files::gguf;
use crate::sandbox::{GOOD, Sandbox, UNKNOWN};

/// An Ollama store with one manifest.
fn store(sandbox: &Sandbox, place: &str, blob: Option<&[u8]>) -> String {
    let digest = "ab".repeat(32);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": { "mediaType": "application/vnd.docker.container.image.v1+json", "digest": format!("sha256:{}", "cd".repeat(32)) },
        "layers": [
            { "mediaType": "application/vnd.ollama.image.model", "digest": format!("sha256:{digest}"), "size": 9 },
            { "mediaType": "application/vnd.ollama.image.license", "digest": format!("sha256:{}", "ef".repeat(32)) },
        ],
    });
    let path = format!("store/manifests/{place}");
    sandbox.write(&path, manifest.to_string());
    let config = json!({ "model_family": "alder", "model_type": "8B" });
    sandbox.write(
        &format!("store/blobs/sha256-{}", "cd".repeat(32)),
        config.to_string(),
    );
    if let Some(blob) = blob {
        sandbox.write(&format!("store/blobs/sha256-{digest}"), blob);
    }
    path
}

#[test]
fn a_manifest_leads_to_its_blob() {
    let sandbox = sandbox();
    let header = gguf(&[(
        "general.base_model.0.repo_url",
        "https://huggingface.co/alder-lab/alder-base",
    )]);
    let path = store(
        &sandbox,
        "registry.ollama.ai/library/birch-chat/8b",
        Some(&header),
    );
    let told = answer(&sandbox, &path);
    assert_eq!(nearest(&told), [("alder-base", "finetune")]);
    assert_eq!(countries(&told), "QX QY", "the tag's own line counts too");
    says(&told, "8b names the model sha256:abab");
    says(
        &told,
        "the manifest's place in the store `birch-chat:8b` is the name of `birch-chat`",
    );
    says(&told, "model_family `alder` is an architecture");
    assert_eq!(
        told["lineage"][0]["source"],
        "the file's own statement: blob abababababab general.base_model"
    );
}

#[test]
fn a_manifest_without_its_blob_has_its_name() {
    let sandbox = sandbox();
    let path = store(&sandbox, "registry.ollama.ai/library/birch-chat/8b", None);
    let told = answer(&sandbox, &path);
    says(&told, "the model does not lie beside 8b");
    assert_eq!(countries(&told), "QX QY");
    let path = store(&sandbox, "hf.co/alder-lab/alder-base/Q4_K_M", None);
    assert_eq!(countries(&answer(&sandbox, &path)), "QX");
    let path = store(&sandbox, "registry.ollama.ai/somebody/unheard/latest", None);
    resolve(&sandbox, &path).exits(UNKNOWN);
}

#[test]
fn a_known_digest_tells_which_model_a_tag_was() {
    let sandbox = sandbox();
    let path = store(&sandbox, "registry.ollama.ai/library/birch-chat/8b", None);
    let digest = Sha256::digest(sandbox.read(&path));
    let file = "facts/models/alder-base.toml";
    let alias = format!("[[alias]]\nplatform = \"digest\"\nid = \"sha256:{digest:x}\"\n");
    sandbox.write(file, sandbox.read(file) + &alias);
    let told = answer(&sandbox, &path);
    says(
        &told,
        &format!("digest `sha256:{digest:x}` is that of `alder-base`"),
    );
    assert_eq!(told["confidence"], "medium");
    assert_eq!(countries(&told), "QX");
    // The store's place says `birch-chat`, which comes from it: no contradiction, but not the same.
    assert_eq!(told["disputed"], json!([]));
    // Another manifest is not known, whatever it calls its layers.
    sandbox.write(&path, sandbox.read(&path) + " ");
    assert_eq!(countries(&answer(&sandbox, &path)), "QX QY");
}

#[test]
fn a_manifest_s_digest_leads_nowhere_else() {
    let sandbox = sandbox();
    sandbox.write(
        "secret.gguf",
        gguf(&[("general.base_model.0.name", "alder-base")]),
    );
    let manifest = json!({ "layers": [
        { "mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../secret.gguf" },
        { "mediaType": "application/vnd.ollama.image.model", "digest": format!("sha256:{}", "ab".repeat(32)) },
    ] });
    sandbox.write("store/manifests/r/s/n/t", manifest.to_string());
    fs::create_dir_all(sandbox.path("store/blobs")).unwrap();
    symlink(
        sandbox.path("secret.gguf"),
        sandbox.path(&format!("store/blobs/sha256-{}", "ab".repeat(32))),
    )
    .unwrap();
    let run = resolve(&sandbox, "store/manifests/r/s/n/t");
    let told = run.exits(UNKNOWN).json();
    says(&told, "by something that is no SHA-256 digest");
    says(&told, "the model is not read: it leads out of the folder");
    assert_eq!(countries(&told), "");
}

#[test]
fn links_out_of_the_folder_are_not_followed() {
    let sandbox = sandbox();
    sandbox.write(
        "elsewhere/README.md",
        "---\nbase_model: alder-lab/alder-base\n---\n",
    );
    sandbox.write("m/linked/config.json", "{}");
    symlink(
        sandbox.path("elsewhere/README.md"),
        sandbox.path("m/linked/README.md"),
    )
    .unwrap();
    symlink("round.gguf", sandbox.path("m/linked/round.gguf")).unwrap();
    symlink("/dev/zero", sandbox.path("m/linked/endless.gguf")).unwrap();
    let told = resolve(&sandbox, "m/linked").exits(UNKNOWN).json();
    says(&told, "README.md is not read: it leads out of the folder");
    says(&told, "round.gguf is not read");
    says(
        &told,
        "endless.gguf is not read: it leads out of the folder",
    );
    // The path that was typed may itself be a link.
    symlink(sandbox.path("elsewhere"), sandbox.path("m/door")).unwrap();
    assert_eq!(countries(&answer(&sandbox, "m/door")), "QX");
}

#[test]
fn a_snapshot_in_the_hub_s_cache_is_read_through_its_links() {
    let sandbox = sandbox();
    let repository = "cache/models--birch-lab--birch-base";
    sandbox.write(
        &format!("{repository}/blobs/1"),
        "---\nbase_model: alder-lab/alder-base\n---\n",
    );
    sandbox.write(&format!("{repository}/snapshots/0123/config.json"), "{}");
    let card = sandbox.path(&format!("{repository}/snapshots/0123/README.md"));
    symlink("../../blobs/1", &card).unwrap();
    for path in ["snapshots/0123", "snapshots/0123/README.md"] {
        let told = answer(&sandbox, &format!("{repository}/{path}"));
        says(
            &told,
            "the cache folder's name `birch-lab/birch-base` is the name of `birch-base`",
        );
        assert_eq!(countries(&told), "QX QY", "the name contradicts the card");
    }
}

#[test]
fn hostile_cards_are_refused_with_a_remark() {
    let sandbox = sandbox();
    let mut bomb = "---\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        bomb += &format!(
            "a{level}: &a{level} [{}]\n",
            format!("*a{}, ", level - 1).repeat(9)
        );
    }
    let deep = format!("---\nbase_model: {}\n---\n", "[".repeat(200_000));
    for (text, words) in [
        (
            format!("{bomb}base_model: alder-lab/alder-base\n---\n"),
            "[card-alias]",
        ),
        (deep, "[card-limit]"),
        (
            "---\nbase_model: [alder-lab/alder-base\n---\n".to_owned(),
            "[card-yaml]",
        ),
        ("# no front matter\n".to_owned(), "has no front matter"),
        (String::new(), "has no front matter"),
    ] {
        sandbox.write("m/bad/README.md", text);
        let told = resolve(&sandbox, "m/bad").exits(UNKNOWN).json();
        says(&told, words);
        assert_eq!(countries(&told), "");
    }
    // A hundred megabytes, none of which is written: the file is sparse.
    let large = fs::File::create(sandbox.path("m/bad/README.md")).unwrap();
    large.set_len(100 << 20).unwrap();
    let told = resolve(&sandbox, "m/bad").exits(UNKNOWN).json();
    says(&told, "README.md has 104857600 bytes");
    sandbox.write(
        "m/bad/README.md",
        format!("---\nx: {}\n", "y".repeat(2 << 20)),
    );
    says(
        &resolve(&sandbox, "m/bad").exits(UNKNOWN).json(),
        "[card-limit]",
    );
}

#[test]
fn hostile_files_are_refused_with_a_remark() {
    let sandbox = sandbox();
    let good = gguf(&[("general.base_model.0.name", "alder-base")]);
    let mut counted = good.clone();
    counted[16..24].fill(0xff);
    for (name, bytes, words) in [
        (
            "cut.gguf",
            good[..40].to_vec(),
            "cut.gguf is not read: [gguf-",
        ),
        ("counted.gguf", counted, "[gguf-count]"),
        ("empty.gguf", Vec::new(), "[gguf-truncated]"),
        (
            "long.safetensors",
            u64::MAX.to_le_bytes().to_vec(),
            "[safetensors-header-length]",
        ),
        (
            "pointer.gguf",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n".to_vec(),
            "is a pointer to weights that were not fetched",
        ),
        (
            "config.json",
            "[".repeat(100_000).into_bytes(),
            "[json-limit]",
        ),
        ("adapter_config.json", b"{".to_vec(), "[json-syntax]"),
        (
            "model.pkl",
            b"cos\nsystem\n".to_vec(),
            "nothing is unpickled or run",
        ),
        (
            "odd.json",
            b"[1]".to_vec(),
            "is not a file that tells what it is",
        ),
    ] {
        let path = format!("m/{name}");
        sandbox.write(&path, bytes);
        let told = resolve(&sandbox, &path).exits(UNKNOWN).json();
        says(&told, words);
        assert_eq!(countries(&told), "", "{name}");
    }
    let flood: Vec<(String, String)> = (0..2_000)
        .map(|number| {
            (
                format!("general.base_model.{number}.name"),
                format!("thing-{number}"),
            )
        })
        .collect();
    let flood: Vec<(&str, &str)> = flood
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    sandbox.write("m/flood.gguf", gguf(&flood));
    says(
        &resolve(&sandbox, "m/flood.gguf").exits(UNKNOWN).json(),
        "more statements and remarks are left out",
    );
    let odd = gguf(&[
        ("general.name", "a\u{1b}[31mb"),
        ("general.base_model.0.name", &"x".repeat(5_000)),
    ]);
    sandbox.write("m/odd.gguf", odd);
    says(
        &resolve(&sandbox, "m/odd.gguf").json(),
        "2 more statements and remarks are left out",
    );
}

/// The labelled files of public scanners: every one has an answer, and none is ever complete.
#[test]
fn every_labelled_file_has_an_answer() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/scan-corpus");
    let Ok(manifest) = fs::read_to_string(corpus.join("MANIFEST.jsonl")) else {
        not_run(
            "every_labelled_file_has_an_answer",
            "the labelled files are not on this machine",
        );
        return;
    };
    let sandbox = Sandbox::new();
    let files: Vec<String> = manifest
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|entry| {
            corpus
                .join(entry["file"].as_str().unwrap())
                .display()
                .to_string()
        })
        .collect();
    let mut words = vec!["resolve", "--json"];
    words.extend(files.iter().map(String::as_str));
    let run = sandbox.args(&words);
    run.exits(GOOD).quietly();
    let answers = run.json_lines();
    assert_eq!(answers.len(), files.len());
    for answer in &answers {
        assert_eq!(answer["weights_complete"], false, "{answer}");
    }
}

/// Says that a test had nothing to judge, so that it does not count as passed.
fn not_run(test: &str, reason: &str) {
    if let Ok(folder) = std::env::var("CARNET_NOT_RUN") {
        fs::write(Path::new(&folder).join(test), reason).unwrap();
    }
    println!("not run: {reason}");
}
