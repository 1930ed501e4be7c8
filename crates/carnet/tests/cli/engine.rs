//! `carnet engine`, `[[engine]]` and `--model`: what is refused before anything is served.

use std::fs;
use std::path::{Path, PathBuf};

use crate::sandbox::{GOOD, Sandbox};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../carnet-engine/tests/fixtures")
        .join(name)
}

#[test]
fn every_mistake_of_an_entry_has_its_line_and_its_fix() {
    let table = [
        (
            "name = \"a b\"",
            3,
            "`a b` cannot be an engine's name",
            "use up to 32 letters",
        ),
        (
            "name = \"a\"\nfile = \"none.gguf\"\nmodel = \"m\"",
            4,
            "`none.gguf`: No such file",
            "give a GGUF file, or a folder",
        ),
        (
            "name = \"a\"\nfile = \"carnet.toml\"",
            4,
            "what this file's model is called is not said",
            "add model = \"…\"",
        ),
        (
            "name = \"a\"\nmodel = \"m\"",
            4,
            "there is no file for the model `m`",
            "add file = \"…\", or leave `model` out",
        ),
        (
            "name = \"a\"\nthreads = 0",
            4,
            "`threads` is 0",
            "choose a number from 1 to 256",
        ),
        (
            "name = \"a\"\nmemory_mb = 1",
            4,
            "`memory_mb` is 1",
            "choose a number from 64 to 1048576",
        ),
        (
            "name = \"a\"\ncontext_tokens = 1",
            4,
            "`context_tokens` is 1",
            "choose a number from 128",
        ),
        (
            "name = \"a\"\nqueue = 5000",
            4,
            "`queue` is 5000",
            "choose a number from 1 to 1024",
        ),
        (
            "name = \"a\"\nfile = \"carnet.toml\"\nmodel = \"m\"\nplatform = \"hugginface\"",
            6,
            "hugginface",
            "did you mean `huggingface`?",
        ),
        (
            "name = \"a\"\n[[engine]]\nname = \"a\"",
            5,
            "two upstreams are named `a`",
            "give each entry a name of its own",
        ),
        (
            "name = \"a\"\n[[upstream]]\nname = \"b\"\nbase_url = \"http://127.0.0.1:1/v1\"\nhost = \"carnet-engine\"\nmodels = [{ name = \"m\" }]",
            7,
            "only an `[[engine]]` is on the host `carnet-engine`",
            "describe the host of this upstream in an overlay",
        ),
    ];
    for (lines, line, message, help) in table {
        let sandbox = Sandbox::new();
        sandbox.write(
            "carnet.toml",
            format!("[[workload]]\nid = \"w\"\n[[engine]]\n{lines}\n"),
        );
        sandbox.run("config check").complains(&[
            message,
            &format!("--> carnet.toml:{}:", line + 1),
            help,
        ]);
    }
    let sandbox = Sandbox::new();
    let own = "[[upstream]]\nname = \"b\"\nbase_url = \"http://127.0.0.1:1/v1\"\nhost = \"carnet-built-in\"\nmodels = [{ name = \"m\" }]\n";
    sandbox.write("carnet.toml", own);
    sandbox
        .run("config check")
        .complains(&["only an `[[engine]]` is on the host `carnet-built-in`"]);
    sandbox.write("carnet.toml", "[[engine]]\nname = \"sums\"\n");
    sandbox
        .run("config check")
        .exits(GOOD)
        .says(&["1 upstreams with 1 models"]);
}

#[test]
fn a_model_that_is_not_run_is_told_with_code_place_and_fix() {
    let sandbox = Sandbox::new();
    let whole = fs::read(fixture("q8_0.gguf")).unwrap();
    sandbox.write("cut.gguf", &whole[..whole.len() / 2]);
    sandbox.write(
        "bomb.gguf",
        [b"GGUF\x03\0\0\0".as_slice(), &[0xff; 16]].concat(),
    );
    sandbox.write("empty/config.json", "{}");
    let table = [
        ("none.gguf", "model_file_unreadable"),
        ("cut.gguf", "model_file_truncated"),
        ("bomb.gguf", "model_file_malformed"),
        ("empty", "architecture_unsupported"),
    ];
    for (file, code) in table {
        sandbox
            .run(&format!("engine --socket s.sock --model {file}"))
            .complains(&[&format!("({code})"), "help: "]);
        assert!(!sandbox.path("s.sock").exists());
    }
    sandbox.write("taken", "a file");
    sandbox
        .run("engine --socket taken")
        .complains(&["`taken` is there already and is no socket"]);
    let long = "s".repeat(120);
    sandbox
        .run(&format!("engine --socket {long}"))
        .complains(&["cannot listen there", "107 bytes"]);
}

#[test]
fn a_start_with_a_model_that_is_refused_fails_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "bomb.gguf",
        [b"GGUF\x03\0\0\0".as_slice(), &[0xff; 16]].concat(),
    );
    let start = "serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --model";
    sandbox.run(&format!("{start} bomb.gguf")).complains(&[
        "the engine `bomb` does not run: bomb.gguf: ",
        "model_file_malformed",
        "help: copy the file anew",
    ]);
    let missing = sandbox.run(&format!("{start} none.gguf"));
    missing.complains(&["none.gguf", "No such file", "help: give a GGUF file"]);
    // It is about the command line, so no line of a file is shown.
    assert!(!missing.err.contains("-->"), "{}", missing.err);
    // Room for the socket of administration, and none for the engine's longer name.
    let deep = sandbox.path("").display().to_string();
    let deep = format!("{deep}{}", "d".repeat(94 - deep.len()));
    sandbox
        .run(&format!(
            "serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --state {deep}"
        ))
        .complains(&[
            "the engine `sums` does not run",
            "cannot listen there",
            "107 bytes",
        ]);
    // Nothing holds the state afterwards.
    sandbox.run("key list").exits(GOOD);
    let left = fs::read_dir(sandbox.state()).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().starts_with("engine-")),
        "{left:?}"
    );
}
