//! `carnet registry`.

use crate::sandbox::{GOOD, Sandbox};

#[test]
fn the_built_in_registry_lists_and_shows_what_it_knows() {
    let sandbox = Sandbox::new();
    for (kind, id) in [
        ("hosts", "amazon-bedrock"),
        ("models", "r1-1776"),
        ("producers", "deepseek"),
    ] {
        let list = sandbox.run(&format!("registry list {kind}"));
        list.exits(GOOD).quietly();
        assert!(
            list.out
                .lines()
                .any(|line| line.split_whitespace().next() == Some(id)),
            "{list:?}"
        );
        let shown = sandbox.run(&format!("registry show {id} --json"));
        let shown = shown.exits(GOOD).quietly().json();
        assert_eq!(shown["id"], id);
        assert_eq!(shown["found"][0]["record"]["id"], id);
        assert!(
            shown.to_string().contains(r#""source":"#),
            "no source in {shown}"
        );
    }
    sandbox
        .run("registry validate")
        .exits(GOOD)
        .quietly()
        .says(&[
            "good: ",
            " producers, ",
            " models, ",
            " hosts, 0 overlay files, sha256:",
        ]);
}

#[test]
fn an_id_that_is_not_there_names_where_ids_are() {
    Sandbox::new().run("registry show nobody").complains(&[
        "nothing with the id `nobody`",
        "help: `carnet registry list models` (hosts, producers, aliases, lists, groups)",
    ]);
}

#[test]
fn a_folder_is_checked_whole() {
    let sandbox = Sandbox::new();
    sandbox.write("facts/producers/one.toml", "nam = \"One\"\n");
    sandbox.write("facts/models/two.toml", "name = \"Two\"\nproducer = 3\n");
    sandbox.run("registry validate facts").complains(&[
        "unknown key `nam`",
        "--> facts/producers/one.toml:1:1",
        "help: known here: name",
        "--> facts/models/two.toml:2:",
    ]);
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox.run("registry validate empty").complains(&[
        "there is no registry in `empty`",
        "help: name a folder with producers/",
    ]);
    sandbox.run("registry validate nowhere").complains(&[
        "cannot read it",
        "--> nowhere",
        "help: ",
    ]);
}

#[test]
fn an_overlay_is_checked_with_its_place_and_fix() {
    let sandbox = Sandbox::new();
    sandbox.write("own.toml", "[[hst]]\nid = \"x\"\n");
    sandbox
        .run("registry validate --overlay own.toml")
        .complains(&[
            "unknown key `hst`",
            "--> own.toml:1:3",
            "help: known here: deployment, model, host",
        ]);
    sandbox.write("own.toml", "[[model]]\nid = \"x\"\nproducer = \"nobody\"\n");
    sandbox
        .run("registry validate --overlay own.toml")
        .complains(&["there is no producer `nobody`", "--> own.toml:3:", "help: "]);
    sandbox.write("own.toml", "[[host]\n");
    sandbox
        .run("registry validate --overlay own.toml")
        .complains(&["expected a right bracket", "--> own.toml:1:"]);
    sandbox
        .run("registry validate --overlay nowhere.toml")
        .complains(&["cannot read it", "--> nowhere.toml", "help: "]);
    sandbox.write("own.toml", [0xff, 0xfe]);
    sandbox
        .run("registry validate --overlay own.toml")
        .complains(&["`own.toml` is not UTF-8", "help: save it as UTF-8"]);
}

#[test]
fn a_claim_that_loosens_says_why_by_whom_and_until_when() {
    let sandbox = Sandbox::new();
    let claim = "[[host]]\nid = \"rack\"\nkind = \"local\"\noperator = \"me\"\ncountry = \"US\"\nparent_country = \"US\"\nregions = [{ id = \"here\", country = \"US\" }]\ncomplete = true\negress = \"none\"\n";
    let signed =
        |until: &str| format!("{claim}reason = \"mine\"\nauthor = \"me\"\nuntil = \"{until}\"\n");
    sandbox.write("own.toml", claim);
    let missing = [
        "the host `rack` loosens",
        "completes where the prompt goes",
        "--> own.toml:1:1",
        "help: add to this entry:",
        "reason = \"…\"",
        "author = \"…\"",
        "until = \"20",
    ];
    sandbox
        .run("registry validate --overlay own.toml")
        .complains(&missing);
    sandbox
        .run("check gpt-4o --host rack --overlay own.toml")
        .complains(&missing);
    for line in [
        "reason = \"mine\"\n",
        "author = \"me\"\n",
        "until = \"2027-01-01\"\n",
    ] {
        sandbox.write("own.toml", signed("2027-01-01").replace(line, ""));
        let key = line.split(' ').next().unwrap();
        sandbox
            .run("registry validate --overlay own.toml")
            .complains(&["loosens", &format!("\n        {key} = ")]);
    }
    sandbox.write("own.toml", signed("2027-01-01"));
    sandbox
        .run("registry validate --overlay own.toml")
        .exits(GOOD)
        .says(&["1 overlay files"]);
}

#[test]
fn after_its_last_day_a_claim_no_longer_counts() {
    let sandbox = Sandbox::with_rack();
    let rack = sandbox.read("rack.toml");
    sandbox.write("rack.toml", rack.replace("2099-12-31", "2027-01-01"));
    let ask = "check gpt-4o --host rack --overlay rack.toml --as-of";
    sandbox
        .run(&format!("{ask} 2027-01-01"))
        .exits(0)
        .says(&["PERMIT", "hosting_complete = true · high · operator"]);
    sandbox.run(&format!("{ask} 2027-01-02")).exits(1).says(&[
        "DENY",
        "who runs this upstream is not known [default/unknown-host]",
    ]);
    sandbox.write("rack.toml", rack.replace("2099-12-31", "2026-01-01"));
    sandbox
        .run("registry validate --overlay rack.toml")
        .exits(GOOD);
    let run = sandbox.run("resolve gpt-4o --host rack --overlay rack.toml --json");
    assert_eq!(run.exits(GOOD).json()["hosting"], serde_json::Value::Null);
}
