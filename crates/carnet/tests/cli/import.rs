//! `carnet config import`: whole files of other gateways, with what is written and told of them.

use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};

use crate::sandbox::{BAD, GOOD, Run, Sandbox};

/// A gateway, the name and text of its file, and what came of it: the configuration and the report.
const WHOLE: &[(&str, &str, &str, &str, &str)] = &[
    (
        "bifrost",
        "config.json",
        include_str!("import/bifrost.json"),
        include_str!("import/bifrost.toml"),
        include_str!("import/bifrost.txt"),
    ),
    (
        "litellm",
        "config.yaml",
        include_str!("import/litellm.yaml"),
        include_str!("import/litellm.toml"),
        include_str!("import/litellm.txt"),
    ),
    (
        "portkey",
        "pc-main.json",
        include_str!("import/portkey.json"),
        include_str!("import/portkey.toml"),
        include_str!("import/portkey.txt"),
    ),
];
/// Beginnings of all secrets in those files.
const SECRETS: &[&str] = &["sk-", "pw-"];

fn import(sandbox: &Sandbox, more: &str) -> Run {
    sandbox.run(&format!("config import {more}"))
}

#[test]
fn whole_files_become_a_configuration_and_a_report() {
    for (product, name, source, config, report) in WHOLE {
        let sandbox = Sandbox::new();
        sandbox.write(name, source);
        let run = import(&sandbox, &format!("--from {product} {name}"));
        run.exits(BAD).quietly();
        assert_eq!(sandbox.read("carnet.toml"), *config, "{product}");
        assert_eq!(run.out, *report, "{product}");
        for secret in SECRETS {
            assert!(
                source.contains(secret),
                "{product}: no {secret} to look for"
            );
            assert!(
                !config.contains(secret) && !report.contains(secret),
                "{product}: {secret}"
            );
        }
    }
}

#[test]
fn what_is_written_is_accepted_once_the_variables_are_set() {
    for (product, name, source, config, _) in WHOLE {
        let sandbox = Sandbox::new();
        sandbox.write(name, source);
        import(&sandbox, &format!("--from {product} {name}"));
        let mut command = sandbox.command();
        command.args(["config", "check"]);
        for variable in config.split("env = \"").skip(1) {
            let (variable, _) = variable.split_once('"').unwrap();
            match variable {
                "VERTEX_SERVICE_ACCOUNT" => command.env(variable, account()),
                _ => command.env(variable, "ID:KEY"),
            };
        }
        let output = command.output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), told.as_str()),
            (Some(GOOD), ""),
            "{product}"
        );
    }
}

/// The key file of a service account.
fn account() -> String {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    serde_json::json!({
        "type": "service_account",
        "client_email": "carnet@project.example",
        "private_key": key.serialize_pem(),
        "private_key_id": "k1",
        "token_uri": "https://tokens.example/token",
    })
    .to_string()
}

#[test]
fn the_report_is_one_object_too() {
    let (product, name, source, config, _) = WHOLE[1];
    let sandbox = Sandbox::new();
    sandbox.write(name, source);
    let run = import(&sandbox, &format!("--from {product} {name} --json --out -"));
    run.exits(BAD).quietly();
    let object = run.json();
    assert_eq!(object["config"], *config);
    assert_eq!(object["out"], serde_json::Value::Null);
    assert_eq!(object["upstreams"], 9);
    assert_eq!(
        object["carried"][0],
        serde_json::json!({ "path": "model_list[0].model_name", "line": 2, "what": "`gpt-4o` at the upstream `azure`" })
    );
    assert_eq!(object["secrets"][0]["variable"], "AZURE_API_KEY");
    assert_eq!(object["left"][0]["places"][0]["path"], "model_list[7]");
    assert!(!sandbox.path("carnet.toml").exists());
}

#[test]
fn a_file_that_comes_over_whole_is_good() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "config.yaml",
        "model_list:\n- {model_name: a, litellm_params: {model: openai/gpt-4o}}\n",
    );
    let run = import(&sandbox, "--from litellm config.yaml --json --out new.toml");
    run.exits(GOOD).quietly();
    assert_eq!(run.json()["left"], serde_json::json!([]));
    let printed = import(&sandbox, "--from litellm config.yaml --out -");
    printed.exits(GOOD).warns(&["carried over\n"]);
    assert_eq!(printed.out, sandbox.read("new.toml"));
}

#[test]
fn a_file_that_is_there_stays_unless_force_is_given() {
    let sandbox = Sandbox::new();
    sandbox
        .write("config.yaml", "model_list: []\n")
        .write("carnet.toml", "# mine\n");
    import(&sandbox, "--from litellm config.yaml").complains(&["carnet.toml", "or give `--force`"]);
    assert_eq!(sandbox.read("carnet.toml"), "# mine\n");
    import(&sandbox, "--from litellm config.yaml --force").exits(GOOD);
    assert!(sandbox.read("carnet.toml").starts_with("# Written by"));
}

#[test]
fn hostile_files_are_refused_at_their_place() {
    let sandbox = Sandbox::new();
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let before = format!("*a{}, ", level - 1).repeat(9);
        bomb += &format!("a{level}: &a{level} [{before}]\n");
    }
    let table: &[(&str, &str, &[&str])] = &[
        ("litellm", &bomb, &["more than 200000 values", "--> it:6:"]),
        (
            "litellm",
            &"[".repeat(100_000),
            &["nested deeper than 32", "--> it:1:"],
        ),
        (
            "bifrost",
            &"[".repeat(100_000),
            &["this is not JSON", "--> it:1:"],
        ),
        ("litellm", "a: \"open", &["this is not YAML", "--> it:1:"]),
        ("portkey", "a: 1", &["this is not JSON", "--> it:1:1"]),
        (
            "bifrost",
            "{\"a\": 1, \"a\": 2}",
            &["the key `a` stands twice", "--> it:1:"],
        ),
        ("litellm", "", &["there is nothing in it", "--> it"]),
        (
            "bifrost",
            "[]",
            &["`the file` must be a map, not a list", "--> it:1:1"],
        ),
        (
            "portkey",
            "{\n\"targets\": {}}",
            &["`targets` must be a list, not a map", "--> it:2:12"],
        ),
    ];
    for (product, text, complaints) in table {
        sandbox.write("it", text);
        import(&sandbox, &format!("--from {product} it")).complains(complaints);
    }
    let large = std::fs::File::create(sandbox.path("it")).unwrap();
    large.set_len(100 << 20).unwrap();
    import(&sandbox, "--from litellm it").complains(&["more than the 16777216 that are read"]);
    sandbox.write("it", [b'a', 0xff]);
    import(&sandbox, "--from litellm it").complains(&["is not UTF-8 text"]);
    import(&sandbox, "--from litellm nowhere").complains(&["cannot read it", "--> nowhere"]);
    import(&sandbox, "--from other it").complains(&["possible values: bifrost, litellm, portkey"]);
    assert!(!sandbox.path("carnet.toml").exists());
}

#[test]
fn what_comes_from_a_file_does_nothing_to_a_terminal() {
    let sandbox = Sandbox::new();
    let text = "model_list:\n- {model_name: \"a\\e[31m\\nb\", litellm_params: {model: gpt-4o}}\n\"x\\e[2J\": 1\n";
    sandbox.write("config.yaml", text);
    let run = import(&sandbox, "--from litellm config.yaml");
    run.exits(BAD).quietly();
    assert!(!run.out.contains('\u{1b}'), "{run:?}");
    assert!(
        sandbox
            .read("carnet.toml")
            .contains("name = \"a\\u001B[31m\\u000Ab\"")
    );
}
