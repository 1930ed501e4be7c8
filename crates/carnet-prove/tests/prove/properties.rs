//! Each kind of property, proved and disproved on small packs.

use carnet_prove::{Claim, Pack, Part, Proof, Property, ProveError, Prover, Why, permits};
use cedar_policy::Schema;

use crate::ask::{ask, assert_open, assert_proved, cvc5, disproof, fact, pack, property, schema};

/// Government workloads get nothing with weights from AA.
const RULES: &str = r#"
    @id("everything-else")
    permit (principal, action == Action::"use", resource);
    @id("not-for-government")
    forbid (principal, action, resource)
    when { principal.sector == "government" && resource.weights_countries.contains("AA") };
    @id("unknown-weights")
    forbid (principal, action, resource)
    unless { resource.weights_complete };
"#;

const GOVERNMENT: &str = r#"never permit when principal.sector == "government" && resource.weights_countries.contains("AA")"#;

#[test]
fn a_rule_that_does_what_it_should_is_proved() {
    assert_proved(&property(GOVERNMENT), &[pack("a", RULES)]);
}

#[test]
fn a_wrong_word_is_found_by_a_request_that_replays() {
    let packs = [pack("a", &RULES.replace("government", "gov"))];
    let found = disproof(&property(GOVERNMENT), &packs);
    assert_eq!(found.principal.kind, "Workload");
    assert_eq!(found.principal.attributes["sector"], "government");
    assert_eq!(found.action, r#"Action::"use""#);
    let countries = found.resource.attributes["weights_countries"].as_array();
    assert!(
        countries.is_some_and(|all| all.contains(&"AA".into())),
        "{found:?}"
    );
    assert!(found.context.contains_key("api"), "{found:?}");
    let [answer] = found.answers.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!((answer.pack.as_str(), answer.permits), ("a", true));
    assert_eq!(answer.rules, ["everything-else"]);
    for read in ["principal.sector", "resource.weights_countries"] {
        assert!(found.matters.contains(read), "{found:?}");
    }
    assert!(!found.matters.contains("principal.team"), "{found:?}");
}

#[test]
fn what_one_registry_knows_may_make_the_difference() {
    let rules = r#"
        permit (principal, action, resource);
        forbid (principal, action, resource) when { resource.producer.id == "acme" };
    "#;
    let packs = [pack("a", rules)];
    let property = property(r#"never permit when resource.producer.country == "AA""#);
    let found = disproof(&property, &packs);
    assert_eq!(found.resource.attributes["producer"]["country"], "AA");
    let only_acme = r#"resource.producer.country != "AA" || resource.producer.id == "acme""#;
    assert_proved(&property.assuming(fact(only_acme)), &packs);
}

#[test]
fn ancestry_is_transitive_and_told_closed() {
    let packs = [pack(
        "a",
        r#"permit (principal, action, resource);
           forbid (principal, action, resource in Model::"base");"#,
    )];
    let line = property(r#"never permit when resource in Model::"tuned""#);
    let found = disproof(&line, &packs);
    assert!(
        found.resource.ancestors.contains(r#"Model::"tuned""#),
        "{found:?}"
    );
    assert!(found.matters.contains("resource in"), "{found:?}");
    let known = fact(r#"Model::"tuned" in Model::"base""#);
    assert_proved(&line.assuming(known), &packs);
}

#[test]
fn packs_prove_together_what_neither_proves_alone() {
    let first = pack(
        "first",
        r#"permit (principal, action, resource) when { resource.identified };
           permit (principal, action, resource) when { resource.host_kind == "local" };"#,
    );
    let second = pack(
        "second",
        r#"permit (principal, action, resource);
           forbid (principal, action, resource) when { resource.router && resource.identified };
           forbid (principal, action, resource) when { resource.egress == "none" };"#,
    );
    let property = property(
        r#"never permit when resource.router && (resource.egress == "none" || resource.host_kind != "local")"#,
    );
    for alone in [&first, &second] {
        disproof(&property, std::slice::from_ref(alone));
    }
    assert_proved(&property, &[first, second]);
}

#[test]
fn always_is_broken_by_a_forbid_or_by_the_lack_of_a_permit() {
    let always = property("always permit when resource.identified && resource.weights_complete");
    let packs = |second: &str| [pack("a", RULES), pack("b", second)];
    let found = disproof(&always, &packs("permit (principal, action, resource);"));
    assert_eq!(
        found.answers.len(),
        1,
        "only the pack that denies: {found:?}"
    );
    assert_eq!(found.answers[0].rules, ["not-for-government"]);
    let others = fact(r#"principal.sector != "government""#);
    let always = always.assuming(others);
    assert_proved(
        &always,
        &packs("permit (principal, action, resource) when { resource.identified };"),
    );
    let found = disproof(
        &always,
        &packs("permit (principal, action, resource) when { context.stream };"),
    );
    assert_eq!(found.answers[0].pack, "b");
    assert!(
        !found.answers[0].permits && found.answers[0].rules.is_empty(),
        "{found:?}"
    );
    assert_eq!(found.context["stream"], false);
}

#[test]
fn a_conflict_is_found_in_either_direction() {
    let wide = pack("wide", "permit (principal, action, resource);");
    let narrow = pack(
        "narrow",
        "permit (principal, action, resource) when { resource.identified };",
    );
    for (names, packs) in [
        ("wide and narrow", [wide.clone(), narrow.clone()]),
        ("narrow and wide", [narrow.clone(), wide.clone()]),
    ] {
        let never = property(&format!("packs {names} never conflict"));
        let found = disproof(&never, &packs);
        let said: Vec<(&str, bool)> = found
            .answers
            .iter()
            .map(|answer| (answer.pack.as_str(), answer.permits))
            .collect();
        assert_eq!(said, [("wide", true), ("narrow", false)]);
        let never = property(&format!(
            "packs {names} never conflict when resource.identified"
        ));
        assert_proved(&never, &packs);
    }
}

#[test]
fn a_change_is_compared_both_ways() {
    let old = vec![pack("a", RULES)];
    let stricter = format!(
        "{RULES} @id(\"router\") forbid (principal, action, resource) when {{ resource.router }};"
    );
    let new = vec![pack("a", &stricter)];
    let implies = |old: &Vec<Pack>, new: &Vec<Pack>| {
        Property::new(Claim::Implies {
            old: old.clone(),
            new: new.clone(),
        })
    };
    assert_proved(&implies(&old, &new), &[]);
    let found = disproof(&implies(&new, &old), &[]);
    assert_eq!(found.resource.attributes["router"], true);
    let said: Vec<(bool, &str)> = found
        .answers
        .iter()
        .map(|answer| (answer.permits, answer.rules[0].as_str()))
        .collect();
    assert_eq!(said, [(true, "everything-else"), (false, "router")]);
    // The same in other words, spread over two packs.
    let spread = vec![
        pack(
            "a",
            &RULES.replace(
                "unless { resource.weights_complete }",
                "when { !resource.weights_complete }",
            ),
        ),
        pack(
            "b",
            r#"permit (principal, action, resource) unless { resource.router };"#,
        ),
    ];
    assert_proved(&implies(&new, &spread), &[]);
    assert_proved(&implies(&spread, &new), &[]);
}

#[test]
fn a_property_about_no_request_at_all_is_said_to_be_one() {
    let property = property(GOVERNMENT).assuming(fact(r#"principal.sector == "private""#));
    assert_eq!(
        ask(&property, &[pack("a", RULES)]),
        Proof::Proved { vacuous: true }
    );
}

#[test]
fn two_hundred_rules_are_quick_when_few_of_them_count() {
    let mut rules = RULES.to_owned();
    for number in 0..200 {
        let condition = match number % 4 {
            0 => format!(r#"principal.team == "t{number}" && resource.producer.country == "CC""#),
            1 => format!(r#"principal.sector == "s{number}" && resource in Producer::"p{number}""#),
            2 => format!(r#"["a{number}"].containsAny(resource.jurisdictions) && context.stream"#),
            _ => format!(r#"resource in Country::"X{number}" && resource.egress != "none""#),
        };
        rules.push_str(&format!(
            "forbid (principal, action, resource) when {{ {condition} }};\n"
        ));
    }
    assert_proved(&property(GOVERNMENT), &[pack("a", &rules)]);
    let wrong = rules.replace("government", "gov");
    disproof(&property(GOVERNMENT), &[pack("a", &wrong)]);
}

#[test]
fn every_kind_of_request_is_looked_at() {
    let (schema, _) = Schema::from_cedarschema_str(
        r#"entity User; entity Robot; entity Thing { n: Long };
           action "read" appliesTo { principal: [User, Robot], resource: [Thing] };
           action "write" appliesTo { principal: [User, Robot], resource: [Thing] };"#,
    )
    .unwrap();
    let solver = cvc5();
    let prove = |text: &str, rules: &str| {
        Prover::new(&schema, &solver)
            .prove(&property(text), &[pack("a", rules)], &permits)
            .unwrap()
    };
    let rules = r#"permit (principal is Robot, action in [Action::"write"], resource);
                   permit (principal is User, action, resource);"#;
    let never = r#"never permit when principal is Robot && action == Action::"read""#;
    assert_eq!(prove(never, rules), Proof::Proved { vacuous: false });
    match prove("never permit when principal is Robot", rules) {
        Proof::Disproved { counterexample } => {
            assert_eq!(counterexample.principal.kind, "Robot");
            assert_eq!(counterexample.action, r#"Action::"write""#);
        }
        other => panic!("{other:?}"),
    }
    let one =
        r#"permit (principal == User::"a", action == Action::"read", resource == Thing::"t");"#;
    let others = r#"never permit when !(principal == User::"a" && resource in Thing::"t")"#;
    assert_eq!(prove(others, one), Proof::Proved { vacuous: false });
    // A sum may overflow. Cedar would pass over the rule, Carnet denies.
    let rules = r#"permit (principal, action, resource);
                   @id("sum") forbid (principal, action, resource) when { resource.n + 1 == 0 };"#;
    let failing = Why::MayFail {
        pack: "a".to_owned(),
        rule: "sum".to_owned(),
    };
    assert_open(prove("always permit when resource.n > 0", rules), &failing);
    let failing_permit = rules
        .replace("forbid", "permit")
        .replace("permit (principal, action, resource);", "");
    assert_open(
        prove("never permit when resource.n > 5", &failing_permit),
        &failing,
    );
    let sum = rules.replace("resource.n + 1", "1 + 1");
    assert_eq!(
        prove("always permit when resource.n > 0", &sum),
        Proof::Proved { vacuous: false }
    );
}

#[test]
fn many_permits_of_several_packs_are_weighed_together() {
    let permits = |attribute: &str, from: usize| -> String {
        let permit = |n| {
            format!(
                "permit (principal, action, resource) when {{ principal.{attribute} == \"{n}\" }};\n"
            )
        };
        (from..from + 60).map(permit).collect()
    };
    let same = property("never permit when principal.team == principal.sector");
    let packs = |from| {
        [
            pack("a", &permits("team", 0)),
            pack("b", &permits("sector", from)),
        ]
    };
    assert_proved(&same, &packs(60));
    let found = disproof(&same, &packs(59));
    assert_eq!(found.principal.attributes["team"], "59");
    assert_proved(&same, &[pack("a", &permits("team", 0)), pack("none", "")]);
}

#[test]
fn what_cannot_be_asked_is_told_with_a_way_out() {
    let (schema, solver) = (schema(), cvc5());
    let refused = |property: &Property, packs: &[Pack]| {
        let error = Prover::new(&schema, &solver)
            .prove(property, packs, &permits)
            .unwrap_err();
        assert!(!error.help().is_empty(), "{error}");
        error
    };
    let good = [pack("a", RULES)];
    let error = refused(&property("never permit when resource.identity"), &good);
    let ProveError::Property { problems } = error else {
        panic!("{error}");
    };
    assert_eq!(
        (problems[0].part, problems[0].line, problems[0].column),
        (Part::Property, 1, 19)
    );
    let error = refused(&property("packs a and b never conflict"), &good);
    assert_eq!(error.to_string(), "there is no pack `b`");
    assert_eq!(error.help(), "there are: a");
    let never = property(GOVERNMENT);
    assert_eq!(
        refused(&never, &[]).to_string(),
        "there is no pack to ask about"
    );
    let twice = [pack("a", RULES), pack("a", RULES)];
    assert_eq!(
        refused(&never, &twice).to_string(),
        "two packs have the name `a`"
    );
    let template = Pack {
        name: "a".to_owned(),
        rules: "permit (principal == ?principal, action, resource);"
            .parse()
            .unwrap(),
    };
    assert!(
        refused(&never, &[template])
            .to_string()
            .contains("template")
    );
    let misfit = pack(
        "a",
        "permit (principal, action, resource) when { resource.colour == \"red\" };",
    );
    assert!(refused(&never, &[misfit]).to_string().contains("colour"));
}
