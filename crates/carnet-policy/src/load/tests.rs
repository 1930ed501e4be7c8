//! What loads, what does not, and what the operator is told.

use super::*;

const MANIFEST_TEXT: &str = "name = \"p\"\ntitle = \"P\"\n";

/// The rest of a pack that is right, so that only the rule under test can be wrong.
const BASE: &str = r#"
@id("base") @title("B")
permit (principal, action, resource) when { resource.identified && resource.weights_complete && resource.hosting_complete && resource.producer.known };
"#;

fn pack(files: &[(&str, &str)]) -> PackSource {
    let files = files
        .iter()
        .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
        .collect();
    PackSource::new("p", files)
}

fn rules(text: &str) -> Result<Policies, Vec<PolicyProblem>> {
    Policies::load(&[pack(&[(MANIFEST, MANIFEST_TEXT), ("rules.cedar", text)])])
}

fn shown(problems: &[PolicyProblem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|p| format!("{} {p} | {}", p.code, p.help.as_deref().unwrap_or_default()))
        .collect();
    lines.join("\n")
}

#[test]
fn every_shipped_pack_loads() {
    let packs = crate::fixture::shipped_packs();
    assert!(packs.len() >= 5, "found {}", packs.len());
    match Policies::load(&packs) {
        Ok(policies) => assert!(policies.packs().iter().all(|pack| !pack.rules().is_empty())),
        Err(problems) => panic!("{}", shown(&problems)),
    }
}

#[test]
fn rules_that_load() {
    let table = [
        // A permit that asks for all, with completeness.
        r#"permit (principal, action, resource) when { ["AA"].containsAll(resource.weights_countries) && resource.weights_complete };"#,
        // Completeness in another clause, or asked for by a forbid of the same pack.
        r#"permit (principal, action, resource) when { ["AA"].containsAll(resource.jurisdictions) } unless { !resource.hosting_complete };"#,
        // A text compared with a known word cannot be met by `unknown`.
        r#"permit (principal, action, resource) when { resource.egress == "none" && resource.weights == "open" };"#,
        // The caller has one country, so `in` asks for all there.
        r#"permit (principal in Group::"block", action, resource) when { resource.identified };"#,
        // Some ancestor: that is what a forbid means. All permits ask for completeness.
        r#"forbid (principal, action, resource in Country::"AA");"#,
        // What is not the fact's own rule is decided by the rule's own words.
        r#"forbid (principal, action, resource) when { resource.egress != "none" };"#,
        r#"forbid (principal, action, resource) when { principal.sector == "x" && (resource.egress == "external" || resource.egress == "unknown") };"#,
    ];
    for text in table {
        let text = format!("{BASE} @id(\"r\") @title(\"R\") {text}");
        if let Err(problems) = rules(&text) {
            panic!("{text}\n{}", shown(&problems));
        }
    }
}

/// What Cedar refuses, and the fix that the operator is told.
const MENDED: &[(&str, &str)] = &[
    ("permit;", "write `(` here"),
    (
        "permit (principal, action, resource) when { resource.identified && };",
        "write one of these here: `!`, `(`,",
    ),
    (
        "permit (principal, action, resource) when { resource.identified }",
        "end the rule as in `permit (principal, action, resource) when { … };`",
    ),
    (
        "permit (principal, action, resource) when { resource.identified and true };",
        "write `&&`",
    ),
    (
        "permit (principal, action, resource) when { resource.identified or true };",
        "write `||`",
    ),
    (
        "# a note\npermit (principal, action, resource);",
        "comments begin with `//`",
    ),
    (
        "permit (principal, action, resource) when { \"abc };",
        "try checking that all strings are closed properly",
    ),
    (
        r#"@id("r") @title("R") permit (principal, action, resource) when { resource.relations.containsAl(["x"]) };"#,
        "a set has `contains`, `containsAll`, `containsAny` and `isEmpty`",
    ),
    (
        r#"@id("r") @title("R") permit (principal, action, resource) when { [].contains(resource.weights) };"#,
        "name at least one member",
    ),
    (
        r#"@id("r") @title("R") permit (principal, action, resource) when { "a" == "b" };"#,
        "no request can meet the rule",
    ),
    (
        r#"@id("r") @title("R") permit (principal, action == Action::"read", resource);"#,
        "the only action is `Action::\"use\"`",
    ),
    (
        r#"@id("r") @title("R") permit (principal, action, resource) when { resource.weights };"#,
        "the guide \"Write and test rules\"",
    ),
    (
        r#"@id("r") @title("R") forbid (principal, action, resource) when { resource in Land::"AA" };"#,
        "did you mean",
    ),
];

#[test]
fn what_cedar_refuses_comes_with_its_fix() {
    for (text, fix) in MENDED {
        let problems = rules(&format!("{BASE}{text}")).unwrap_err();
        assert!(
            shown(&problems).contains(fix),
            "{text}\n{}",
            shown(&problems)
        );
        for problem in &problems {
            let help = problem.help.as_deref().unwrap_or_default();
            assert!(!help.is_empty(), "no help: {text}\n{problem}");
        }
    }
}

/// The help of a mistake points to the guide, so it must have every word of the schema.
#[test]
fn the_guide_lists_every_word() {
    let guide = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/src/guides/policy.md"
    );
    let guide = std::fs::read_to_string(guide).unwrap();
    let table = guide.split("## What a rule may ask").nth(1).unwrap();
    let table = table.split("## Cases").next().unwrap();
    let words: Vec<&str> = SCHEMA
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .filter(|(_, kind)| ["String,", "Bool,", "Set<String>,"].contains(kind))
        .map(|(word, _)| word)
        .collect();
    assert!(words.len() > 40, "{words:?}");
    for word in words {
        assert!(table.contains(&format!("`{word}`")), "{word}");
    }
}

#[test]
fn a_rule_without_any_name_is_told_by_its_place() {
    let text = format!("{BASE}\n  permit (principal, action, resource);");
    let problems = rules(&text).unwrap_err();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "p/rules.cedar:5:3: the rule has no `@id`",
            "p/rules.cedar:5:3: the rule has no `@title`",
        ]
    );
}

#[test]
fn rules_that_do_not_load() {
    let table = [
        (
            "permit (principal, action, resource",
            "bad-cedar p/rules.cedar:",
        ),
        (
            r#"@id("r") @title("R") permit (principal, action, resource) when { resource.origin == "AA" };"#,
            "attribute `origin`",
        ),
        (
            r#"@id("r") @title("R") permit (principal, action, resource) when { resource.identified == "yes" };"#,
            "bad-cedar",
        ),
        (
            r#"@id("r") @title("R") forbid (principal, action, resource) when { resource in Land::"AA" };"#,
            "Land",
        ),
        (
            r#"@id("r") @title("R") forbid (principal, action, resource) when { "a" == "b" };"#,
            "bad-cedar",
        ),
        (
            r#"@id("r") @title("R") permit (principal == ?principal, action, resource);"#,
            "template-refused",
        ),
        (
            r#"@title("R") permit (principal, action, resource);"#,
            "the rule has no `@id`",
        ),
        (
            r#"@id("r") permit (principal, action, resource);"#,
            "rule `r` has no `@title`",
        ),
        (
            r#"@id("R r") @title("R") permit (principal, action, resource);"#,
            "`R r` cannot be the name of a rule",
        ),
        (
            r#"@id("no-rule-permits") @title("R") permit (principal, action, resource);"#,
            "cannot be the name of a rule",
        ),
        (
            r#"@id("r") @title("R") @titel("R") permit (principal, action, resource);"#,
            "unknown annotation `@titel`",
        ),
        (
            r#"@id("r") @title("R") @obligation("no-copy") permit (principal, action, resource);"#,
            "unknown-obligation",
        ),
        (
            r#"@id("r") @title("R") @obligation("no-store") forbid (principal, action, resource);"#,
            "forbid-with-obligation",
        ),
        (
            r#"@id("base") @title("R") permit (principal, action, resource);"#,
            "already in rules.cedar:2",
        ),
    ];
    for (text, expected) in table {
        let problems = rules(&format!("{BASE}{text}")).unwrap_err();
        assert!(
            shown(&problems).contains(expected),
            "{text}\n{}",
            shown(&problems)
        );
        assert!(
            problems.iter().all(|problem| problem.help.is_some()),
            "{text}\n{}",
            shown(&problems)
        );
    }
}

#[test]
fn a_permit_may_not_ask_for_some_ancestor() {
    let table = [
        r#"permit (principal, action, resource in Country::"AA");"#,
        r#"permit (principal, action, resource is Target in Group::"block");"#,
        r#"permit (principal, action, resource) when { resource in Producer::"a" && resource.weights_complete };"#,
        r#"permit (principal, action, resource) when { context.stream || (resource.identified && resource in [Model::"m", Country::"AA"]) };"#,
        r#"permit (principal, action, resource) when { resource is Target in Country::"AA" };"#,
        r#"permit (principal, action, resource) unless { resource in Country::"AA" };"#,
        r#"permit (principal, action, resource) when { resource in (if context.stream then Country::"AA" else Country::"BB") };"#,
        r#"permit (principal, action, resource) when { (if context.stream then resource else resource) in Country::"AA" };"#,
    ];
    for text in table {
        let problems = rules(&format!("{BASE}@id(\"r\") @title(\"R\")\n{text}")).unwrap_err();
        let shown = shown(&problems);
        assert!(
            shown.starts_with("permit-by-ancestry p/rules.cedar:4:1: "),
            "{text}\n{shown}"
        );
        assert!(shown.contains("containsAll"), "{shown}");
    }
}

#[test]
fn what_can_be_unknown_needs_a_rule_for_it() {
    // Each stands beside a permit that asks for nothing.
    let table = [
        (
            r#"forbid (principal, action, resource) when { resource.weights_countries.contains("AA") };"#,
            "!resource.weights_complete",
        ),
        (
            r#"forbid (principal, action, resource in Country::"AA");"#,
            "!resource.weights_complete",
        ),
        (
            r#"forbid (principal, action, resource) when { resource.producer.country == "AA" };"#,
            "!resource.producer.known",
        ),
        (
            r#"forbid (principal, action, resource) when { resource.producer.lists.contains("l") };"#,
            "!resource.producer.known",
        ),
        (
            r#"forbid (principal, action, resource) when { resource.teacher_countries.contains("AA") };"#,
            "!resource.teachers_complete",
        ),
        (
            r#"forbid (principal, action, resource) when { resource.jurisdictions.contains("AA") };"#,
            "!resource.hosting_complete",
        ),
        (
            r#"forbid (principal, action, resource) when { resource.egress == "external" };"#,
            r#"resource.egress == "unknown""#,
        ),
        (
            r#"forbid (principal, action, resource) when { resource.model == "m" };"#,
            "!resource.identified",
        ),
        (
            r#"permit (principal, action, resource) when { resource.egress != "external" };"#,
            r#"resource.egress == "unknown""#,
        ),
        (
            r#"permit (principal, action, resource) unless { resource.hosting_countries.contains("AA") };"#,
            "!resource.hosting_complete",
        ),
        // A rule that rewards ignorance.
        (
            r#"permit (principal, action, resource) unless { resource.weights_complete };"#,
            "!resource.weights_complete",
        ),
        (
            r#"forbid (principal, action, resource) when { resource.weights_complete };"#,
            "!resource.weights_complete",
        ),
        // A guard that covers fewer callers than the rule, or that can never be met, is no guard.
        (
            r#"forbid (principal, action, resource) when { resource.egress == "external" };
            @id("g") @title("G") forbid (principal, action, resource) when { context.stream && resource.egress == "unknown" };"#,
            r#"resource.egress == "unknown""#,
        ),
        (
            r#"forbid (principal, action, resource) when { resource.egress == "external" };
            @id("g") @title("G") forbid (principal, action, resource) when { resource.egress == "unknown" && resource.egress == "none" };"#,
            r#"resource.egress == "unknown""#,
        ),
    ];
    for (text, remedy) in table {
        let base = "@id(\"all\") @title(\"A\") permit (principal, action, resource);\n@id(\"r\") @title(\"R\")\n";
        let problems = rules(&format!("{base}{text}")).unwrap_err();
        let found = problems
            .iter()
            .find(|p| p.code == Code::UnknownNotRuled && p.help.as_ref().unwrap().contains(remedy));
        assert!(found.is_some(), "{text}\n{}", shown(&problems));
    }
}

#[test]
fn one_model_on_one_host_may_be_an_exception_and_nothing_wider() {
    let pack = |exception: &str| {
        format!(
            r#"
@id("known") @title("K") permit (principal, action, resource) when {{ resource.identified && resource.producer.known }};
@id("named") @title("N") permit (principal, action, resource) when {{ {exception} }};
@id("model") @title("M") forbid (principal, action, resource) unless {{ resource.identified }};
@id("host") @title("H") forbid (principal, action, resource) when {{ resource.host == "unknown" }};
@id("producer") @title("P") forbid (principal, action, resource)
when {{ resource.identified }} unless {{ resource.producer.known || ({exception}) }};
@id("weights") @title("W") forbid (principal, action, resource)
when {{ resource.producer.known }} unless {{ resource.weights_complete }};
"#
        )
    };
    let narrow = [
        r#"resource.model == "m" && resource.host == "h""#,
        r#"resource.host == "h" && context.stream && "m" == resource.model"#,
    ];
    for exception in narrow {
        if let Err(problems) = rules(&pack(exception)) {
            panic!("{exception}\n{}", shown(&problems));
        }
    }
    let wide = [
        r#"resource.model == "m""#,
        r#"resource.host == "h""#,
        r#"resource.model == "m" || resource.host == "h""#,
        r#"resource.model == "m" && resource.host == "unknown""#,
        r#"resource.model == "m" && resource.host != "h""#,
    ];
    for exception in wide {
        let problems = rules(&pack(exception)).unwrap_err();
        let found = problems.iter().any(|p| p.code == Code::UnknownNotRuled);
        assert!(found, "{exception}\n{}", shown(&problems));
    }
    // A rule that names its target and reads what may be unknown of it is asked like any other.
    let careless = r#"
@id("named") @title("N") permit (principal, action, resource)
when { resource.model == "m" && resource.host == "h" } unless { resource.weights_countries.contains("AA") };
@id("model") @title("M") forbid (principal, action, resource) unless { resource.identified };
@id("host") @title("H") forbid (principal, action, resource) when { resource.host == "unknown" };
"#;
    // So is a rule beside it that judges by what may be partial, and does not speak of that target.
    let beside = r#"
@id("named") @title("N") permit (principal, action, resource)
when { resource.model == "m" && resource.host == "h" };
@id("from") @title("F") forbid (principal, action, resource) when { resource.weights_countries.contains("AA") };
@id("model") @title("M") forbid (principal, action, resource) unless { resource.identified };
@id("host") @title("H") forbid (principal, action, resource) when { resource.host == "unknown" };
"#;
    // And a permit that the exception of another rule would free.
    let freed = r#"
@id("from") @title("F") permit (principal, action, resource)
when { resource.identified && ["AA"].containsAll(resource.weights_countries) };
@id("model") @title("M") forbid (principal, action, resource) unless { resource.identified };
@id("host") @title("H") forbid (principal, action, resource) when { resource.host == "unknown" };
@id("weights") @title("W") forbid (principal, action, resource)
unless { resource.weights_complete || (resource.model == "m" && resource.host == "h") };
"#;
    for pack in [careless, beside, freed] {
        let problems = rules(pack).unwrap_err();
        let shown = shown(&problems);
        assert!(shown.contains("unknown-not-ruled"), "{pack}\n{shown}");
    }
}

#[test]
fn the_remedy_that_is_offered_is_one() {
    let text = r#"
@id("all") @title("A") permit (principal, action, resource);
@id("r") @title("R") forbid (principal in Country::"AA", action, resource) when { principal.sector == "s" && resource.weights_countries.contains("BB") } unless { context.stream };
"#;
    let problems = rules(text).unwrap_err();
    let help = problems[0].help.clone().unwrap();
    let remedy = help.strip_prefix("add a rule such as: ").unwrap();
    let mended = format!("{text}@id(\"g\") @title(\"G\") {remedy}");
    if let Err(problems) = rules(&mended) {
        panic!("{mended}\n{}", shown(&problems));
    }
}

#[test]
fn packs_that_do_not_load() {
    let good = ("rules.cedar", BASE);
    let table: [(&[(&str, &str)], &str); 11] = [
        (&[good], "bad-manifest p/pack.toml:1:1: the file is missing"),
        (
            &[(MANIFEST, "name = \"p\"\n"), good],
            "p/pack.toml:1:1: `title` is missing",
        ),
        (
            &[(MANIFEST, "name = \"q\"\ntitle = \"Q\"\n"), good],
            "p/pack.toml:1:9: the pack calls itself `q`",
        ),
        (
            &[
                (MANIFEST, "name = \"p\"\ntitle = \"P\"\nmod = \"x\"\n"),
                good,
            ],
            "p/pack.toml:3:1: unknown key `mod`",
        ),
        (
            &[
                (MANIFEST, "name = \"p\"\ntitle = \"P\"\nmode = \"x\"\n"),
                good,
            ],
            "p/pack.toml:3:9: `x` is neither `enforce` nor `report`",
        ),
        (
            &[
                (MANIFEST, "name = \"p\"\ntitle = \"P\"\nas_read = \"x\"\n"),
                good,
            ],
            "p/pack.toml:3:12: `x` is not a date",
        ),
        (&[(MANIFEST, "name = \n"), good], "p/pack.toml:1:8:"),
        (
            &[(MANIFEST, MANIFEST_TEXT)],
            "no-permit p/rules.cedar:1:1: the pack permits nothing",
        ),
        (
            &[(MANIFEST, MANIFEST_TEXT), good, ("more.ceder", "")],
            "unknown-file p/more.ceder:1:1: a pack has no such file",
        ),
        (
            &[(MANIFEST, MANIFEST_TEXT), good, ("sub/pack.toml", "")],
            "unknown-file p/sub/pack.toml:1:1",
        ),
        (
            &[(MANIFEST, MANIFEST_TEXT), good, ("cases/a.md", "## A\n")],
            "bad-case p/cases/a.md:1:1",
        ),
    ];
    for (files, expected) in table {
        let problems = Policies::load(&[pack(files)]).unwrap_err();
        assert!(
            shown(&problems).contains(expected),
            "{files:?}\n{}",
            shown(&problems)
        );
    }
    assert!(
        shown(&Policies::load(&[]).unwrap_err()).starts_with("no-pack there is no policy pack")
    );
    let twice = [
        pack(&[(MANIFEST, MANIFEST_TEXT), good]),
        pack(&[(MANIFEST, MANIFEST_TEXT), good]),
    ];
    assert!(shown(&Policies::load(&twice).unwrap_err()).contains("given twice"));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let broken = vec![(MANIFEST.to_owned(), "nome = \"a\"".to_owned())];
    let first = PackSource::new("a", broken);
    let second = pack(&[
        (MANIFEST, MANIFEST_TEXT),
        ("rules.cedar", "permit (principal, action, resource);"),
    ]);
    let problems = Policies::load(&[second, first]).unwrap_err();
    let packs: Vec<&str> = problems.iter().map(|p| p.pack.as_str()).collect();
    assert!(
        packs.contains(&"a") && packs.contains(&"p") && packs.is_sorted(),
        "{}",
        shown(&problems)
    );
    assert!(problems.len() >= 4, "{}", shown(&problems));
}

#[test]
fn the_version_covers_rules_and_manifest_only() {
    let version =
        |files: &[(&str, &str)]| Policies::load(&[pack(files)]).unwrap().version().to_owned();
    let plain = version(&[(MANIFEST, MANIFEST_TEXT), ("rules.cedar", BASE)]);
    assert!(plain.starts_with("sha256:") && plain.len() == 71);
    assert_eq!(
        plain,
        version(&[
            ("rules.cedar", BASE),
            (MANIFEST, MANIFEST_TEXT),
            ("README.md", "x")
        ])
    );
    assert_ne!(
        plain,
        version(&[
            (MANIFEST, MANIFEST_TEXT),
            ("rules.cedar", &format!("{BASE} "))
        ])
    );
    assert_ne!(
        plain,
        version(&[
            (MANIFEST, "name = \"p\"\ntitle = \"Q\"\n"),
            ("rules.cedar", BASE)
        ])
    );
}

#[test]
fn no_text_of_a_rule_makes_the_loader_fall() {
    for text in [
        "",
        "\0",
        "@",
        "permit",
        "@id(\"\u{202e}\")",
        "permit(principal,action,resource)when{1+",
        "é;",
    ] {
        let _ = rules(text);
        let _ = Policies::load(&[pack(&[(MANIFEST, text), ("cases/a.md", text)])]);
    }
}
#[test]
fn a_rule_that_is_too_deep_is_refused_before_it_is_parsed() {
    let deep = |n: usize| format!("{}true{}", "(".repeat(n), ")".repeat(n));
    let chain = |n: usize, with: &str| vec!["context.stream"; n].join(with);
    let table = [
        (deep(60), true),
        (deep(5_000), false),
        (chain(120, " && "), true),
        (chain(120, " || "), true),
        (chain(5_000, " || "), false),
        (
            format!(
                "{}true{}",
                "if context.stream then ".repeat(100),
                " else false".repeat(100)
            ),
            true,
        ),
        (
            format!(
                "{}true{}",
                "if context.stream then ".repeat(5_000),
                " else false".repeat(5_000)
            ),
            false,
        ),
        (
            format!("{}{}{}", "[".repeat(5_000), "1", "]".repeat(5_000)),
            false,
        ),
    ];
    for (body, loads) in table {
        let text = format!(
            "{BASE}@id(\"r\") @title(\"R\") permit (principal, action, resource) when {{ resource.identified && ({body}) }};"
        );
        let result = rules(&text);
        assert_eq!(result.is_ok(), loads, "{:.80}\n{:?}", body, result.err());
    }
}
