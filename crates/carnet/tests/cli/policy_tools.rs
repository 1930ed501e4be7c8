//! What one can ask of rules beside a decision: why, what a change does, and whether something holds for all.

use serde_json::Value;

use crate::sandbox::{BAD, ERROR, GOOD, Sandbox, UNKNOWN};

/// A rule on origin, with its cases.
const RULES: &str = r#"@id("rest") @title("this rule does not speak against it")
permit (principal, action, resource);

@id("listed") @title("made in a listed country, for the government")
forbid (principal, action, resource)
when { principal.sector == "government" && Parameter::"countries".containsAny(resource.counted.countries) };

@id("unsure") @title("who made it is not known") @unknown
forbid (principal, action, resource)
when { principal.sector == "government" }
unless { resource.counted.complete };
"#;

const MANIFEST: &str = r#"name = "own"
title = "Own rule"
[parameters.countries]
title = "countries whose makers count"
default = ["CN"]
of = "country"
"#;

const PROPERTY: &str = r#"never permit when principal.sector == "government" && resource.weights_countries.contains("CN")"#;

fn own(sandbox: &Sandbox) {
    sandbox.pack("own", RULES);
    sandbox.write("own/pack.toml", MANIFEST);
}

/// A line of arguments with the solver of these tests in the environment.
fn with_solver(sandbox: &Sandbox, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = sandbox.command();
    for name in ["CVC5", "PATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let done = command.args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code(), text(done.stdout), text(done.stderr))
}

#[test]
fn an_explanation_names_rule_source_facts_and_ways_out() {
    let sandbox = Sandbox::new();
    sandbox
        .run("policy explain deepseek-r1 --host amazon-bedrock --pack kansas-hb-2313 --set sector=state-agency --set device=state-device --as-of 2026-11-01")
        .exits(BAD)
        .says(&[
            "Denied: deepseek-r1 on amazon-bedrock, for a workload with sector state-agency.",
            "Why\n  1. ",
            "     Source: ",
            "     Rule `",
            "What this rests on",
            "; confidence ",
            "It would be permitted",
            "Decided as of 2026-11-01, by policy sha256:",
        ]);
    sandbox
        .run("policy explain gpt-4o --host openai-us --as-of 2026-11-01")
        .exits(GOOD)
        .says(&["Permitted: gpt-4o on openai-us"]);
}

#[test]
fn ways_out_are_told_and_true() {
    let sandbox = Sandbox::new();
    own(&sandbox);
    let run = sandbox
        .run("check deepseek-r1 --host amazon-bedrock --pack ./own --set sector=government --json");
    let found = run.exits(BAD).json();
    let ways: Vec<&str> = found["counterfactuals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|way| way["change"].as_str().unwrap())
        .collect();
    assert_eq!(ways, ["if the workload's sector were another"]);
    sandbox
        .run("check deepseek-r1 --host amazon-bedrock --pack ./own --set sector=another")
        .exits(GOOD);
}

#[test]
fn parameters_of_the_command_line_are_put_in() {
    let sandbox = Sandbox::new();
    own(&sandbox);
    let ask = "check deepseek-r1 --host amazon-bedrock --pack ./own --set sector=government";
    sandbox.run(ask).exits(BAD);
    sandbox
        .run(&format!("{ask} --param countries=US"))
        .exits(GOOD);
    sandbox
        .run(&format!("{ask} --param own.countries=US,FR"))
        .exits(GOOD);
    for (param, texts) in [
        (
            "nothing=x",
            [
                "no pack that is asked has the parameter `nothing`",
                "policy show PACK",
            ],
        ),
        (
            "countries",
            ["`countries` is not [PACK.]NAME=VALUE", "for example"],
        ),
        ("countries=XX1", ["names the country `XX1`", "ISO 3166-1"]),
        (
            "lineage=all",
            ["`lineage` cannot be \"all\"", "choose producer"],
        ),
    ] {
        sandbox
            .run(&format!("{ask} --param {param}"))
            .complains(&texts);
    }
}

#[test]
fn owners_and_stated_lists_of_the_caller_can_be_set() {
    let sandbox = Sandbox::new();
    let ask = "check claude-sonnet-4 --host anthropic --pack provider-ownership --set country=SG --as-of 2026-11-01 --set";
    sandbox.run(&format!("{ask} owners=CN:60,SG:40")).exits(BAD);
    sandbox
        .run(&format!("{ask} owners=CN:40,SG:60"))
        .exits(GOOD);
    sandbox.run(&format!("{ask} owners=CN:*,SG:60")).exits(BAD);
    sandbox
        .run(&format!("{ask} owners=CN"))
        .complains(&["`CN` is no owner", "owners=CN:60,US:40"]);
    sandbox
        .run(&format!("{ask} owners=CN:160"))
        .complains(&["`CN:160` is no owner"]);
}

#[test]
fn two_policies_are_compared_by_classes() {
    let sandbox = Sandbox::new();
    own(&sandbox);
    let same = sandbox.run("policy diff ./own ./own --json");
    let found = same.exits(GOOD).json();
    assert_eq!(found["changes"], Value::Array(Vec::new()));
    let run = sandbox.run("policy diff ./own ./own --new-param countries=US --json");
    let found = run.exits(BAD).json();
    let turned: Vec<&str> = found["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["turned"].as_str().unwrap())
        .collect();
    assert!(turned.contains(&"newly-denied") && turned.contains(&"newly-permitted"));
    let permitted = found["changes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|change| change["turned"] == "newly-permitted")
        .unwrap();
    assert!(
        permitted["models"]
            .as_array()
            .unwrap()
            .contains(&"deepseek-r1".into())
    );
    let (code, out, _) = with_solver(
        &sandbox,
        &[
            "policy",
            "diff",
            "./own",
            "./own",
            "--new-param",
            "unknown=allow",
        ],
    );
    assert_eq!(code, Some(BAD));
    assert!(
        out.contains("for some registry: something that was denied is permitted now")
            && out.contains("proved for any registry: nothing that was permitted is denied now"),
        "{out}"
    );
    sandbox
        .run("policy diff provider-ownership provider-ownership --new-param share=>=20")
        .exits(UNKNOWN)
        .says(&[
            "no difference found",
            "not asked: callers of whom owners hold a part",
        ]);
    sandbox
        .run("policy diff ./own nowhere")
        .complains(&["there is no pack `nowhere`"]);
}

#[test]
fn what_a_permit_obliges_to_is_told_and_compared() {
    let sandbox = Sandbox::new();
    let pack = |name: &str, more: &str| {
        sandbox.write(
            &format!("{name}/pack.toml"),
            "name = \"kept\"\ntitle = \"Kept\"\ndescription = \"D.\"\nmode = \"enforce\"\ntrust = \"overlay\"\n",
        );
        let rule = "permit (principal, action, resource) when { resource.identified };";
        sandbox.write(
            &format!("{name}/rules.cedar"),
            format!("@id(\"known\") @title(\"a known model\") {more} {rule}"),
        );
    };
    pack("before/kept", "");
    pack("after/kept", "@obligation(\"no-store\")");
    let run = sandbox.run("check gpt-4o --pack ./after/kept");
    run.exits(GOOD).says(&["obliges   to no-store"]);
    let run = sandbox.run("check gpt-4o --pack ./after/kept --json");
    let found = run.exits(GOOD).json();
    assert_eq!(found["obligations"], serde_json::json!(["no-store"]));
    let run = sandbox.run("check gpt-4o --pack ./before/kept --json");
    let found = run.exits(GOOD).json();
    assert_eq!(found["obligations"], serde_json::json!([]));
    let run = sandbox.run("policy diff ./before/kept ./after/kept");
    run.exits(BAD).says(&[
        "Other obligations",
        "obliged to nothing before, to no-store now",
    ]);
    let run = sandbox.run("policy diff ./after/kept ./after/kept");
    run.exits(GOOD).says(&["no difference found"]);
}

#[test]
fn requests_of_a_file_are_simulated() {
    let sandbox = Sandbox::new();
    own(&sandbox);
    sandbox.write(
        "asked.jsonl",
        concat!(
            r#"{"id":"deepseek-r1","host":"amazon-bedrock","workload":{"team":"tax","sector":"government"},"count":12}"#,
            "\n",
            r#"{"id":"gpt-4o","host":"openai-us","workload":{"sector":"government"}}"#,
            "\n",
        ),
    );
    let run = sandbox.run("policy simulate ./own --old default --input asked.jsonl --json");
    let found = run.exits(BAD).json();
    assert_eq!(
        (
            &found["requests"],
            &found["newly_refused"],
            &found["newly_let_through"]
        ),
        (&13.into(), &12.into(), &0.into())
    );
    let reasons = found["refused"]["team tax"].as_object().unwrap();
    assert!(reasons.keys().next().unwrap().ends_with("[own/listed]"));
    let run = sandbox.run("policy simulate ./own --old example-deny-list --param countries=US --input asked.jsonl --json");
    let found = run.exits(BAD).json();
    assert_eq!(found["newly_refused"], 1, "{found:#}");
    assert_eq!(found["newly_let_through"], 12, "{found:#}");
    sandbox
        .feed(
            "policy simulate ./own --old default --input -",
            "{\"id\": 3}\n",
        )
        .complains(&["-:1: invalid type", "help: write {\"id\""]);
    sandbox
        .feed("policy simulate ./own --input -", "{\"id\": \"x\"}\n")
        .complains(&["nothing says how these requests are answered today"]);
    sandbox
        .run("policy simulate ./own")
        .complains(&["recorded requests need the configuration"]);
}

#[test]
fn a_property_is_proved_or_broken_by_a_request() {
    let sandbox = Sandbox::new();
    own(&sandbox);
    std::fs::create_dir_all(sandbox.state()).unwrap();
    let prove = |more: &[&str]| {
        let mut args = vec!["policy", "prove", "--pack", "./own", PROPERTY];
        args.extend(more);
        with_solver(&sandbox, &args)
    };
    let (code, out, err) = prove(&[]);
    assert_eq!(code, Some(GOOD), "{out}{err}");
    assert!(out.starts_with("proved  never permit when"), "{out}");
    let (_, again, _) = prove(&[]);
    assert!(again.contains("(remembered)"), "{again}");
    let (code, out, _) = prove(&["--param", "lineage=producer"]);
    assert_eq!(code, Some(BAD), "{out}");
    for text in [
        "DISPROVED",
        "the ordinary authorizer agrees",
        "sector government",
        "weights countries",
        "pack own permits it, by rest",
    ] {
        assert!(out.contains(text), "{text}: {out}");
    }
    let (code, out, _) = prove(&["--param", "countries=US", "--json"]);
    assert_eq!(code, Some(BAD));
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["result"]["outcome"], "disproved");
}

#[test]
fn a_rule_on_one_maker_is_one_on_its_country_in_this_registry_only_as_far_as_it_is() {
    let sandbox = Sandbox::new();
    let rules = r#"@id("rest") @title("r") permit (principal, action, resource);
@id("one") @title("o") forbid (principal, action, resource) when { resource.producer.id == "carnet" };
@id("unsure") @title("u") @unknown forbid (principal, action, resource) unless { resource.producer.known };
"#;
    sandbox.pack("one", rules);
    let property =
        r#"never permit when resource.producer.id == "carnet" && resource.model == "carnet-sums""#;
    let ask = |world: &str| {
        let args = [
            "policy", "prove", "--pack", "./one", property, "--for", world,
        ];
        with_solver(&sandbox, &args)
    };
    for world in ["any", "this"] {
        let (code, out, err) = ask(world);
        assert_eq!(code, Some(GOOD), "{out}{err}");
    }
    // Here the one model is by one maker; whatever a registry says, it may be by another.
    let property = r#"never permit when resource.model == "deepseek-r1" && resource.producer.id != "deepseek""#;
    let ask = |world: &str| {
        let args = [
            "policy", "prove", "--pack", "./one", property, "--for", world,
        ];
        with_solver(&sandbox, &args)
    };
    assert_eq!(ask("any").0, Some(BAD));
    let (code, out, _) = ask("this");
    assert_eq!(code, Some(GOOD), "{out}");
    assert!(
        out.contains("no request at all meets the condition"),
        "{out}"
    );
}

#[test]
fn without_a_solver_or_a_property_the_answer_says_what_to_do() {
    let sandbox = Sandbox::new();
    own(&sandbox);
    let run = sandbox.args(&["policy", "prove", "--pack", "./own", PROPERTY]);
    run.exits(UNKNOWN).warns(&["apt-get install cvc5"]);
    let run = sandbox.args(&["policy", "prove", "--pack", "./own"]);
    run.complains(&["there is no property to prove", "never permit when"]);
    let (code, _, err) = with_solver(&sandbox, &["policy", "prove", "never permit whn x"]);
    assert_eq!(code, Some(ERROR));
    assert!(
        err.contains("1:14: `whn` stands where `when` belongs"),
        "{err}"
    );
    let (code, _, err) = with_solver(
        &sandbox,
        &["policy", "prove", "never permit when resource.nothing"],
    );
    assert_eq!(code, Some(ERROR), "{err}");
}

#[test]
fn properties_of_a_pack_are_proved_when_none_is_given() {
    let sandbox = Sandbox::new();
    own(&sandbox);
    let page = format!(
        "# Properties\n\n## No model of the country for the government\n\n```property\n{PROPERTY}\n```\n"
    );
    sandbox.write("own/properties/one.md", page);
    let (code, out, err) = with_solver(&sandbox, &["policy", "prove", "--pack", "./own"]);
    assert_eq!(code, Some(GOOD), "{out}{err}");
    assert!(
        out.starts_with("proved  No model of the country for the government"),
        "{out}"
    );
}

#[test]
fn what_built_in_packs_claim_for_all_requests_is_proved() {
    let sandbox = Sandbox::new();
    let list = sandbox.run("policy list --json").exits(GOOD).json_lines();
    let (mut packs, mut claims) = (0, 0);
    for pack in list {
        let name = pack["name"].as_str().unwrap();
        let args = [
            "policy",
            "prove",
            "--pack",
            name,
            "--as-of",
            "2026-11-01",
            "--json",
        ];
        let (code, out, err) = with_solver(&sandbox, &args);
        if err.contains("there is no property to prove") {
            continue;
        }
        assert_eq!(code, Some(GOOD), "{name}: {out}{err}");
        packs += 1;
        for line in out.lines() {
            let found: Value = serde_json::from_str(line).unwrap();
            assert_eq!(found["result"]["vacuous"], false, "{name}: {line}");
            claims += 1;
        }
    }
    assert!(
        packs >= 14 && claims >= 20,
        "{packs} packs, {claims} claims"
    );
}

#[test]
fn a_pack_is_begun_from_another_and_parts_that_no_case_needs_are_named() {
    let sandbox = Sandbox::new();
    sandbox
        .run("policy new mine --from czech-nukib")
        .exits(GOOD)
        .says(&[
            "mine/ holds a copy of czech-nukib",
            "carnet policy test mine",
        ]);
    sandbox
        .run("policy validate mine")
        .exits(GOOD)
        .says(&["mine: good"]);
    sandbox.run("policy test mine").exits(GOOD);
    sandbox
        .run("policy new mine")
        .complains(&["`mine` is there already"]);
    sandbox
        .run("policy new Mine")
        .complains(&["`Mine` cannot be the name of a pack"]);
    own(&sandbox);
    sandbox.write(
        "own/cases/one.md",
        "## One\n```toml\nid = \"deepseek-r1\"\nas_of = \"2026-11-01\"\nworkload = { sector = \"government\" }\nexpect = \"deny\"\nreasons = [\"listed\"]\n```\n",
    );
    let run = sandbox.run("policy test own --mutants");
    run.exits(BAD).says(&[
        "IDLE  own/unsure without unless { resource.counted.complete }: no case notices",
        "own: 4 of 8 parts taken out were noticed",
        "own: 1 cases meet 1 of 3 rules; not rest, unsure",
        "1 passed, 0 failed",
    ]);
    let run = sandbox.run("policy schema");
    run.exits(GOOD).says(&["entity Workload", "action \"use\""]);
}

#[test]
fn rules_are_laid_out_and_names_completed() {
    let sandbox = Sandbox::new();
    sandbox.pack(
        "own",
        "@id(\"a\") @title(\"A\") permit(principal,action,resource)when{resource.identified};",
    );
    sandbox
        .run("policy fmt own --check")
        .exits(BAD)
        .says(&["own/rules.cedar would change"]);
    sandbox
        .run("policy fmt own")
        .exits(GOOD)
        .says(&["own/rules.cedar laid out"]);
    sandbox.run("policy fmt own --check").exits(GOOD);
    assert!(
        sandbox
            .read("own/rules.cedar")
            .contains("permit (principal, action, resource)\nwhen { resource.identified };")
    );
    sandbox
        .run("policy fmt nowhere")
        .complains(&["there is no folder `nowhere`"]);
    let run = sandbox.args(&["policy", "complete", "Producer::\"deepse"]);
    run.exits(GOOD).says(&["Producer::\"deepseek\""]);
    let run = sandbox.run("policy complete list us-ndaa");
    run.exits(GOOD).says(&["us-ndaa-fy2026-s1532"]);
    sandbox
        .run("policy complete Planet::")
        .complains(&["`Planet` is no kind of name"]);
}

#[test]
fn a_gap_behind_another_value_of_a_parameter_is_found() {
    let sandbox = Sandbox::new();
    sandbox.pack("gap", "@id(\"rest\") @title(\"r\") permit (principal, action, resource);\n@id(\"host\") @title(\"h\") @only_with(\"hosts\") forbid (principal, action, resource) when { resource.host == \"x\" };\n");
    sandbox.write(
        "gap/pack.toml",
        "name = \"gap\"\ntitle = \"Gap\"\n[parameters.hosts]\ntitle = \"hosts too\"\ndefault = false\n",
    );
    sandbox.run("policy validate gap").complains(&[
        "with hosts = true: rule `host` reads `host`",
        "help: add a rule such as",
    ]);
}
