//! `carnet check`: the same engine, opposite rules, and what would be permitted instead.

use crate::sandbox::{BAD, ERROR, GOOD, Sandbox, keys};

/// All keys of an answer, in their order.
const KEYS: [&str; 9] = [
    "decision",
    "candidates",
    "reasons",
    "facts",
    "obligations",
    "counterfactuals",
    "policy_version",
    "registry_version",
    "as_of",
];

#[test]
fn an_answer_has_all_keys_in_their_order() {
    let sandbox = Sandbox::with_rack();
    let permit = sandbox.run("check gpt-4o --host rack --overlay rack.toml --json");
    let deny =
        sandbox.run("check nonsense --host rack --overlay rack.toml --json --as-of 2026-11-01");
    permit.exits(GOOD).quietly();
    deny.exits(BAD).quietly();
    for (run, word, effect) in [(&permit, "permit", "permit"), (&deny, "deny", "forbid")] {
        assert_eq!(keys(&run.out), KEYS);
        let answer = run.json();
        assert_eq!(answer["decision"], word);
        for version in ["policy_version", "registry_version"] {
            assert!(
                answer[version].as_str().unwrap().starts_with("sha256:"),
                "{answer}"
            );
        }
        let reasons = answer["reasons"].as_array().unwrap();
        assert!(
            !reasons.is_empty(),
            "an answer always has a reason: {answer}"
        );
        for reason in reasons {
            assert_eq!(keys(&reason.to_string()).len(), 5, "{reason}");
            assert_eq!(
                (reason["pack"].as_str(), reason["effect"].as_str()),
                (Some("default"), Some(effect)),
                "{answer}"
            );
            assert!(!reason["title"].as_str().unwrap().is_empty(), "{answer}");
        }
        for fact in answer["facts"].as_array().unwrap() {
            for key in ["claim", "value", "source", "date", "confidence"] {
                assert!(fact.get(key).is_some(), "no `{key}` in {fact}");
            }
        }
    }
    assert_eq!(deny.json()["as_of"], "2026-11-01");
    sandbox
        .run("check gpt-4o --host rack --overlay rack.toml")
        .exits(GOOD)
        .says(&[
            "PERMIT  gpt-4o\n",
            "[default/identified-and-complete]",
            "rests on  ",
        ]);
    sandbox
        .run("check nonsense --host rack --overlay rack.toml")
        .exits(BAD)
        .says(&["DENY  nonsense\n", "[default/unknown-model]"]);
    sandbox
        .run("check gpt-4o")
        .exits(BAD)
        .says(&["[default/unknown-host]"])
        .warns(&["no host was named", "--host"]);
}

#[test]
fn opposite_packs_give_their_own_answers() {
    let sandbox = Sandbox::with_rack();
    // Model, who asks, and the answers of `default`, the proposal and the Czech rule.
    let government = "--set sector=government --set country=US";
    let table = [
        ("gpt-4o", government, [GOOD, GOOD, GOOD]),
        ("deepseek-r1", government, [GOOD, BAD, BAD]),
        ("r1-1776", government, [GOOD, BAD, GOOD]),
        (
            "r1-1776",
            "--set sector=retail --set country=BR",
            [GOOD, GOOD, GOOD],
        ),
        (
            "deepseek-r1",
            "--set sector=retail --set country=BR",
            [GOOD, GOOD, BAD],
        ),
        (
            "deepseek-r1",
            "--set sector=research --set country=CZ --set purpose=security-research",
            [GOOD, GOOD, GOOD],
        ),
        ("nonsense", government, [BAD, BAD, BAD]),
    ];
    for (model, who, answers) in table {
        for (pack, answer) in ["default", "openai-2025-proposal", "czech-nukib"]
            .iter()
            .zip(answers)
        {
            sandbox
                .run(&format!(
                    "check {model} --host rack --overlay rack.toml --pack {pack} {who}"
                ))
                .exits(answer);
        }
    }
    sandbox
        .run(&format!("check r1-1776 --host rack --overlay rack.toml --pack default --pack openai-2025-proposal {government}"))
        .exits(BAD)
        .says(&["a model made from weights of the PRC, for a government or Tier 1 workload [openai-2025-proposal/prc-weights]", "OpenAI, letter to OSTP of 13 March 2025"]);
}

#[test]
fn a_local_machine_is_permitted_on_its_operator_s_word() {
    let sandbox = Sandbox::with_rack();
    let local = sandbox
        .read("rack.toml")
        .replace("\"inference\"", "\"local\"");
    sandbox
        .write("local.toml", format!("{local}egress = \"none\"\n"))
        .write("open.toml", local);
    let ask = "check deepseek-r1 --host rack --pack czech-nukib --overlay";
    sandbox
        .run(&format!("{ask} local.toml"))
        .exits(GOOD)
        .says(&[
            "this answer rests on it [czech-nukib/open-weights-kept-local]",
            "egress = none · high · operator",
        ]);
    sandbox
        .run(&format!("{ask} open.toml"))
        .exits(BAD)
        .says(&["[czech-nukib/groups-model-with-egress]"]);
}

/// Two workloads, a model that one of them may not use, and another.
const CONFIG: &str = r#"
[policy]
packs = ["openai-2025-proposal"]

[registry]
overlay = ["rack.toml"]

[[workload]]
id = "ministry"
sector = "government"
country = "US"

[[workload]]
id = "shop"
sector = "retail"
country = "BR"

[[upstream]]
name = "rack"
base_url = "http://127.0.0.1:9/v1"
host = "rack"
models = [{ name = "reasoner", upstream_model = "deepseek-r1" }, { name = "gpt-4o" }]
"#;

#[test]
fn a_denial_names_what_is_configured_and_permitted() {
    let sandbox = Sandbox::with_rack();
    sandbox.write("carnet.toml", CONFIG);
    let run = sandbox.run("check reasoner --workload ministry --json");
    let answer = run.exits(BAD).quietly().json();
    assert_eq!(
        answer["candidates"][0]["model"], "deepseek-r1",
        "the configured name is read as the upstream's: {answer}"
    );
    assert_eq!(
        answer["counterfactuals"][0],
        serde_json::json!({ "change": "via rack/gpt-4o", "decision": "permit" })
    );
    sandbox
        .run("check reasoner --workload ministry")
        .exits(BAD)
        .quietly()
        .says(&["instead   permitted via rack/gpt-4o"]);
    sandbox.run("check reasoner --workload shop").exits(GOOD);
    sandbox
        .run("check reasoner --workload shop --pack czech-nukib")
        .exits(BAD);
    sandbox.write("other.toml", sandbox.read("carnet.toml"));
    sandbox
        .run("check reasoner --workload ministry --config other.toml")
        .exits(BAD);
}

#[test]
fn a_denial_shows_what_an_overlay_would_have_to_say() {
    let sandbox = Sandbox::with_rack();
    let heading = "to settle what is unknown, say in an overlay";
    let run = sandbox.run("check our-gpt --host azure");
    run.exits(BAD).says(&[
        heading,
        "[[deployment]]\n    id = \"our-gpt\"\n    upstream = \"azure\"",
        "[[host]]\n    id = \"azure\"",
    ]);
    // A permit needs nothing, and of a place that was not named nothing can be said.
    for question in [
        "check us.amazon.nova-pro-v1:0 --host amazon-bedrock",
        "check nonsense-9",
    ] {
        let run = sandbox.run(question);
        assert!(!run.out.contains(heading), "{}", run.out);
    }
}

#[test]
fn a_wrong_question_is_an_error() {
    let sandbox = Sandbox::with_rack();
    let no_file = [
        "--> carnet.toml",
        "help: `carnet config init` writes a commented one",
    ];
    sandbox
        .run("check gpt-4o --workload ministry")
        .complains(&no_file);
    sandbox.write("carnet.toml", CONFIG);
    sandbox.run("check gpt-4o --workload nobody").complains(&[
        "the configuration names no workload `nobody`",
        "help: it names ministry, shop",
    ]);
    sandbox
        .run("check gpt-4o --set colour=red --set sector")
        .complains(&[
            "a workload has no attribute `colour`",
            "help: it has id, sector, country,",
            "`sector` is not NAME=VALUE",
            "help: for example --set sector=government",
        ]);
    sandbox
        .run("check gpt-4o --workload shop --set sector=retail")
        .exits(ERROR)
        .warns(&["cannot be used with"]);
    sandbox
        .run("check gpt-4o --pack nowhere")
        .complains(&["there is no pack `nowhere`", "help: built in are"]);
    sandbox.run("check gpt-4o --host nowhere").complains(&[
        "there is no host `nowhere`",
        "help: `carnet registry list hosts`",
    ]);
    sandbox
        .run("check gpt-4o --overlay nowhere.toml")
        .complains(&["--> nowhere.toml", "help: "]);
    sandbox
        .run("check gpt-4o --registry nowhere")
        .complains(&["--> nowhere", "help: "]);
    sandbox
        .run("check gpt-4o --config nowhere.toml")
        .complains(&["--> nowhere.toml", "help: `carnet config init`"]);
    sandbox.write("carnet.toml", "[policy]\npack = []\n");
    sandbox.run("check gpt-4o").complains(&[
        "unknown key `pack`",
        "--> carnet.toml:2:1",
        "help: did you mean `packs`?",
    ]);
}

#[test]
fn a_country_that_is_no_code_is_refused() {
    Sandbox::new()
        .run("check gpt-4o --set country=germany")
        .complains(&[
            "`germany` is not a country code",
            "help: write two upper-case letters",
        ]);
}

#[test]
fn an_id_that_is_none_is_denied() {
    let sandbox = Sandbox::with_rack();
    let long = "x".repeat(10 * 1024);
    for id in ["", " ", "\u{1b}", "gpt-4o\n", &long] {
        for pack in [
            "default",
            "czech-nukib",
            "example-allow-list",
            "example-deny-list",
        ] {
            let run = sandbox.args(&[
                "check",
                id,
                "--host",
                "rack",
                "--overlay",
                "rack.toml",
                "--pack",
                pack,
                "--json",
            ]);
            run.exits(BAD).quietly();
            assert_eq!(keys(&run.out), KEYS);
            assert_eq!(run.json()["decision"], "deny", "{run:?}");
        }
    }
}

#[test]
fn a_pool_is_answered_by_the_first_member_that_is_permitted() {
    let sandbox = Sandbox::with_rack();
    let entry = |models: &str| {
        format!(
            "[registry]\noverlay = [\"rack.toml\"]\n[[workload]]\nid = \"app\"\n[[upstream]]\nname = \"u\"\nbase_url = \"http://127.0.0.1:9/v1\"\nhost = \"rack\"\nmodels = [{{ name = \"unknown\", upstream_model = \"nonsense\" }}, {{ name = \"known\", upstream_model = \"gpt-4o\" }}]\n[[pool]]\nname = \"p\"\nmembers = [{models}]\n"
        )
    };
    let unknown = "{ upstream = \"u\", model = \"unknown\" }";
    let both = format!("{unknown}, {{ upstream = \"u\", model = \"known\" }}");
    sandbox.write("carnet.toml", entry(&both));
    let run = sandbox.run("check p --workload app");
    run.exits(GOOD).says(&["PERMIT  p"]);
    assert!(
        run.err.contains(
            "`p` is a pool of 2 models, of which 1 are permitted; this is about `u/known`"
        ),
        "{}",
        run.err
    );
    sandbox.run("policy explain p --workload app").exits(GOOD);
    sandbox.write("carnet.toml", entry(unknown));
    let run = sandbox.run("check p --workload app");
    run.exits(BAD).says(&["DENY  p"]);
    assert!(run.err.contains("of which 0 are permitted"), "{}", run.err);
}
