//! `carnet policy`.

use crate::sandbox::{BAD, ERROR, GOOD, Sandbox};

/// Some of the built-in packs.
const SOME: [&str; 6] = [
    "czech-nukib",
    "default",
    "example-allow-list",
    "kansas-hb-2313",
    "openai-2025-proposal",
    "us-ndaa-1532",
];
/// A rule that loads.
const IDENTIFIED: &str = "@id(\"a\")\n@title(\"known models\")\npermit (principal, action == Action::\"use\", resource) when { resource.identified };\n";

#[test]
fn built_in_packs_are_listed_and_shown() {
    let sandbox = Sandbox::new();
    let list = sandbox.run("policy list --json");
    let list = list.exits(GOOD).quietly().json_lines();
    let names: Vec<&str> = list
        .iter()
        .map(|pack| pack["name"].as_str().unwrap())
        .collect();
    assert!(names.len() >= 15 && names.is_sorted(), "{names:?}");
    assert!(SOME.iter().all(|name| names.contains(name)), "{names:?}");
    assert!(
        list.iter()
            .all(|pack| !pack["title"].as_str().unwrap().is_empty())
    );
    sandbox.run("policy list").exits(GOOD).quietly().says(&SOME);
    for name in names {
        let rules = format!("──── {name}/rules.cedar");
        let page = format!("──── {name}/README.md");
        sandbox
            .run(&format!("policy show {name}"))
            .exits(GOOD)
            .quietly()
            .says(&[&page, &rules, "@title(", "permit (", "ot legal advice"]);
    }
    sandbox.run("policy show nowhere").complains(&[
        "there is no pack `nowhere`",
        "help: built in are australia-pspf-001-2025, czech-nukib, default",
    ]);
}

#[test]
fn built_in_packs_are_good_and_pass_their_cases() {
    let sandbox = Sandbox::new();
    let good: Vec<String> = SOME
        .iter()
        .map(|name| format!("{name}: good, sha256:"))
        .collect();
    let good: Vec<&str> = good.iter().map(String::as_str).collect();
    sandbox
        .run("policy validate")
        .exits(GOOD)
        .quietly()
        .says(&good);
    let run = sandbox.run("policy test");
    run.exits(GOOD).quietly();
    assert!(
        run.last_line().ends_with(" passed, 0 failed") && !run.last_line().starts_with("0 "),
        "{run:?}"
    );
    sandbox
        .run("policy test default --verbose")
        .exits(GOOD)
        .says(&["ok    default/cases/known.md:3 "]);
}

/// Rules that do not load: what is wrong, where, and the fix.
const REFUSED: &[(&str, &str, &[&str])] = &[
    (
        "syntax",
        "@id(\"a\")\n@title(\"b\")\npermit (principal, action, resource)\nwhen { resource.identified && };\n",
        &[
            "unexpected token `}`",
            "--> syntax/rules.cedar:4:31",
            "help: write one of these here: `!`",
        ],
    ),
    (
        "attribute",
        "@id(\"a\")\n@title(\"b\")\npermit (principal, action, resource)\nwhen { resource.identifed };\n",
        &[
            "attribute `identifed` on entity type `Target` not found",
            "--> attribute/rules.cedar:4:8",
            "help: did you mean `identified`?",
        ],
    ),
    (
        "in-scope",
        "@id(\"a\")\n@title(\"b\")\npermit (principal, action, resource in Country::\"US\");\n",
        &[
            "a permit may not rest on `resource in Country::\"US\"`",
            "--> in-scope/rules.cedar:",
            "help: ask for all: `[\"…\"].containsAll(resource.weights_countries) && resource.weights_complete`",
        ],
    ),
    (
        "in-condition",
        "@id(\"a\")\n@title(\"b\")\npermit (principal, action, resource)\nwhen { resource.identified && resource in Country::\"US\" };\n",
        &[
            "a permit may not rest on `resource in Country::\"US\"`",
            "--> in-condition/rules.cedar:",
            "help: ask for all",
        ],
    ),
    (
        "partial",
        "@id(\"a\")\n@title(\"b\")\npermit (principal, action, resource)\nwhen { [\"US\"].containsAll(resource.weights_countries) };\n",
        &[
            "rule `a` reads `weights_countries`, and no rule says what happens when the origin of the weights is unknown",
            "--> partial/rules.cedar:1:1",
            "help: add a rule such as: forbid (principal, action, resource) when { !resource.weights_complete };",
        ],
    ),
    (
        "nameless",
        "permit (principal, action, resource)\nwhen { resource.identified };\n",
        &[
            "error: the rule has no `@id`\n  --> nameless/rules.cedar:1:1\n  |\n1 | permit (principal, action, resource)\n  | ^^^^^^\n  help: add `@id(\"…\")` above it\nerror: the rule has no `@title`\n  --> nameless/rules.cedar:1:1\n  |\n1 | permit (principal, action, resource)\n  | ^^^^^^\n  help: add `@title(\"…\")`",
        ],
    ),
    (
        "no-permit",
        "@id(\"a\")\n@title(\"b\")\nforbid (principal, action, resource)\nwhen { !resource.identified };\n",
        &[
            "the pack permits nothing",
            "--> no-permit/rules.cedar:1:1",
            "help: add the rule that permits",
        ],
    ),
];

#[test]
fn a_pack_that_could_mislead_does_not_load() {
    let sandbox = Sandbox::new();
    for (name, rules, texts) in REFUSED {
        sandbox.pack(name, rules);
        sandbox
            .run(&format!("policy validate {name}"))
            .complains(texts);
        sandbox
            .run(&format!("check gpt-4o --pack {name}"))
            .complains(texts);
    }
}

#[test]
fn good_packs_are_named_beside_bad_ones() {
    let sandbox = Sandbox::new();
    sandbox
        .pack("rules/good", IDENTIFIED)
        .pack("rules/bad", "permit;\n");
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox
        .run("policy validate rules/bad rules/good empty nowhere")
        .exits(ERROR)
        .says(&["rules/good: good, sha256:"])
        .warns(&[
            "--> rules/bad/rules.cedar:1:",
            "the file is missing",
            "--> empty/pack.toml:1:1",
            "there is no pack `nowhere`",
        ]);
    sandbox
        .run("policy show empty")
        .complains(&["the pack `empty` has no files"]);
}

#[test]
fn settings_and_cases_of_a_folder_are_checked() {
    let sandbox = Sandbox::new();
    sandbox.pack("own", IDENTIFIED);
    sandbox.write(
        "own/pack.toml",
        "name = \"own\"\ntitle = \"t\"\ntrst = \"overlay\"\n",
    );
    sandbox.write(
        "own/cases/one.md",
        "# Cases\n\n## One\n\n```toml\nid = \"gpt-4o\"\nexpct = \"permit\"\n```\n",
    );
    sandbox.run("policy validate own").complains(&[
        "unknown key `trst`",
        "--> own/pack.toml:3:1",
        "help: known keys: name",
        "unknown key `expct`",
        "--> own/cases/one.md:7:1",
    ]);
    sandbox.pack("own", IDENTIFIED);
    sandbox.write(
        "own/cases/one.md",
        "# Cases\n\n## One\n\n```toml\nid = 3\nexpect = \"maybe\"\nreasons = \"a\"\n```\n",
    );
    for command in ["validate", "test"] {
        let run = sandbox.run(&format!("policy {command} own"));
        run.exits(ERROR).warns(&[
            "error: expected a string, found integer\n  --> own/cases/one.md:6:6\n  |\n6 | id = 3\n  |      ^\n  help: write a text in quotes: `\"…\"`\n",
            "error: `maybe` is neither `permit` nor `deny`\n  --> own/cases/one.md:7:11\n  |\n7 | expect = \"maybe\"\n  |           ^^^^^\n  help: write `\"permit\"` or `\"deny\"`\n",
            "error: expected an array, found string\n  --> own/cases/one.md:8:12\n  |\n8 | reasons = \"a\"\n  |            ^\n  help: write a list: `[\"…\"]`\n",
        ]);
    }
}

#[test]
fn a_failing_case_is_told_and_counted() {
    let sandbox = Sandbox::new();
    sandbox.pack("own", IDENTIFIED);
    sandbox.write(
        "own/cases/one.md",
        "# Cases\n\n## A known model\n\n```toml\nid = \"gpt-4o\"\nexpect = \"permit\"\nreasons = [\"a\"]\n```\n\n## The contrary\n\n```toml\nid = \"gpt-4o\"\nexpect = \"deny\"\n```\n",
    );
    let run = sandbox.run("policy test own");
    run.exits(BAD).quietly().says(&[
        "FAIL  own/cases/one.md:11 The contrary\n",
        "expected deny, got permit",
    ]);
    assert_eq!(run.last_line(), "1 passed, 1 failed");
    assert!(
        !run.out.contains("A known model"),
        "only failures without --verbose: {run:?}"
    );

    // A pack that does not load spoils neither the others nor the last line.
    sandbox.pack("broken", "permit;\n");
    let run = sandbox.run("policy test broken own --verbose");
    run.exits(ERROR)
        .says(&["ok    own/cases/one.md:3 A known model"])
        .warns(&["--> broken/rules.cedar:1:"]);
    assert_eq!(run.last_line(), "1 passed, 1 failed");
}

#[test]
fn a_pack_without_cases_says_so() {
    let sandbox = Sandbox::new();
    sandbox.pack("own", IDENTIFIED);
    let run = sandbox.run("policy test own");
    run.exits(GOOD)
        .warns(&["pack `own` has no cases; add cases/*.md"]);
    assert_eq!(run.last_line(), "0 passed, 0 failed");
}
