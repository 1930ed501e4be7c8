//! Runs the cases of packs against a registry: each pack alone, enforced whatever its mode.

use std::sync::Arc;

use carnet_provenance::{Overlay, Query, Registry, SourceFile, View};
use jiff::civil::Date;
use serde::Serialize;

use crate::cases::{Case, Question};
use crate::decide::{Decider, DeciderOptions};
use crate::load::Policies;
use crate::target::{TargetSpec, start_of};
use crate::verdict::Verdict;
use crate::workload::{Api, Ask};

/// What became of one case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// The pack.
    pub pack: String,
    /// The file inside the pack's folder.
    pub file: String,
    /// The line of its heading.
    pub line: usize,
    /// Its heading.
    pub title: String,
    /// Whether the answer was the expected one.
    pub passed: bool,
    /// What was wrong; empty when it passed.
    pub message: String,
}

/// Run the cases of every pack. A case without a date of its own is asked for `today`.
#[must_use]
pub fn run_cases(policies: &Policies, registry: &Arc<Registry>, today: Date) -> Vec<CaseResult> {
    let mut results = Vec::new();
    for pack in policies.packs() {
        let Some(alone) = policies.only(pack.name()).map(Arc::new) else {
            continue;
        };
        for case in &pack.cases {
            let found = ask(&alone, registry, today, &case.question)
                .and_then(|verdict| compare(&case.question, &verdict))
                .err();
            results.push(result(pack.name(), case, found));
        }
    }
    results
}

fn result(pack: &str, case: &Case, found: Option<String>) -> CaseResult {
    CaseResult {
        pack: pack.to_owned(),
        file: case.file.clone(),
        line: case.line,
        title: case.title.clone(),
        passed: found.is_none(),
        message: found.unwrap_or_default(),
    }
}

/// The answer to the case's question, or why it could not be asked.
fn ask(
    policies: &Arc<Policies>,
    registry: &Arc<Registry>,
    today: Date,
    question: &Question,
) -> Result<Arc<Verdict>, String> {
    let as_of = question.as_of.unwrap_or(today);
    let files: Vec<SourceFile> = question
        .overlay
        .iter()
        .map(|text| SourceFile {
            path: "overlay".to_owned(),
            text: text.clone(),
        })
        .collect();
    let overlay = Overlay::parse(&files, registry, as_of).map_err(lines)?;
    let view = Arc::new(View::new(registry.clone(), overlay));
    let options = DeciderOptions {
        shadow_every: 0,
        cache_max: 0,
    };
    let decider = Decider::new(policies.clone(), view.clone(), options).map_err(lines)?;
    let resolution = view.resolve(&Query {
        id: &question.id,
        platform: question.platform.as_deref(),
        host: question.host.as_deref(),
        upstream: question.upstream.as_deref(),
        region: question.region.as_deref(),
        as_of,
    });
    let upstream = question.upstream.as_deref().unwrap_or("case");
    let spec = TargetSpec {
        name: format!("{upstream}/{}", question.id).into(),
        upstream: upstream.into(),
        origin: "".into(),
        upstream_model: question.id.as_str().into(),
        host: resolution
            .hosting
            .as_ref()
            .map(|hosting| hosting.host.clone()),
    };
    let target = decider.target(spec, resolution, as_of);
    let principal = decider.principal(&question.workload);
    let request = Ask {
        api: Api::ChatCompletions,
        stream: false,
    };
    Ok(decider
        .decide(&principal, &target, &request, &[], start_of(as_of))
        .verdict()
        .clone())
}

/// Everything in which the answer is not the expected one.
fn compare(question: &Question, verdict: &Verdict) -> Result<(), String> {
    let mut wrong = Vec::new();
    if verdict.effect() != question.expect {
        wrong.push(format!(
            "expected {}, got {}",
            question.expect,
            verdict.effect()
        ));
    }
    for rule in &question.reasons {
        if !verdict
            .reasons()
            .iter()
            .any(|reason| *reason.rule == **rule)
        {
            wrong.push(format!("`{rule}` is not among the reasons"));
        }
    }
    for fact in &question.facts {
        let (claim, value) = fact.split_once('=').unwrap_or((fact, ""));
        if !verdict
            .facts()
            .iter()
            .any(|line| line.claim == claim && line.value.starts_with(value))
        {
            wrong.push(format!("`{fact}` is not among the facts"));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("{}\n{verdict}", wrong.join("\n")))
    }
}

fn lines<T: ToString>(problems: Vec<T>) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn every_shipped_case_has_its_answer() {
        let policies = Policies::load(&fixture::shipped_packs())
            .unwrap_or_else(|problems| panic!("{problems:#?}"));
        let results = run_cases(
            &policies,
            &fixture::shipped_registry(),
            "2026-11-25".parse().unwrap(),
        );
        let failed: Vec<String> = results
            .iter()
            .filter(|case| !case.passed)
            .map(|case| {
                format!(
                    "{}/{}:{} {}\n{}",
                    case.pack, case.file, case.line, case.title, case.message
                )
            })
            .collect();
        assert!(
            failed.is_empty(),
            "{} of {} failed\n\n{}",
            failed.len(),
            results.len(),
            failed.join("\n\n")
        );
    }

    #[test]
    fn every_shipped_pack_has_permits_denials_and_a_page() {
        for source in fixture::shipped_packs() {
            let policies = Policies::load(std::slice::from_ref(&source)).unwrap();
            let pack = &policies.packs()[0];
            let denied = pack
                .cases
                .iter()
                .filter(|case| case.question.expect == crate::Effect::Deny)
                .count();
            assert!(
                pack.cases.len() >= 8,
                "{} has {} cases",
                source.name,
                pack.cases.len()
            );
            assert!(denied > 0 && denied < pack.cases.len(), "{}", source.name);
            let page = source
                .files
                .iter()
                .find(|(file, _)| file == "README.md")
                .map(|(_, text)| text.as_str());
            assert!(
                page.is_some_and(|text| text.contains("ot legal advice")),
                "{}",
                source.name
            );
        }
    }

    /// Without any one rule a pack no longer loads or one of its cases fails.
    #[test]
    fn every_rule_of_a_shipped_pack_is_held_by_a_case() {
        let registry = fixture::shipped_registry();
        let today = "2026-11-25".parse().unwrap();
        let mut idle = Vec::new();
        for source in fixture::shipped_packs() {
            let (_, rules) = source
                .files
                .iter()
                .find(|(file, _)| file == "rules.cedar")
                .unwrap()
                .clone();
            let marks: Vec<usize> = rules.match_indices("@id(").map(|(at, _)| at).collect();
            for (number, start) in marks.iter().enumerate() {
                let end = marks.get(number + 1).copied().unwrap_or(rules.len());
                let without = format!("{}{}", &rules[..*start], &rules[end..]);
                let mut less = source.clone();
                less.files.retain(|(file, _)| file != "rules.cedar");
                less.files.push(("rules.cedar".to_owned(), without));
                let missed = Policies::load(&[less]).is_ok_and(|less| {
                    run_cases(&less, &registry, today)
                        .iter()
                        .all(|case| case.passed)
                });
                if missed {
                    idle.push(format!("{}: {}", source.name, &rules[*start..end]));
                }
            }
        }
        assert!(idle.is_empty(), "{}", idle.join("\n"));
    }

    #[test]
    fn a_wrong_expectation_is_told_with_the_answer() {
        let mut pack = fixture::pack(
            "p",
            "",
            "@id(\"a\") @title(\"A\") permit (principal, action, resource) when { resource.identified };",
        );
        let case = |body: &str| format!("## C\n```toml\n{body}\n```\n");
        pack.files.push((
            "cases/1.md".to_owned(),
            case("id = \"acme-1\"\nexpect = \"deny\"\nreasons = [\"b\"]\nfacts = [\"identity=x\"]"),
        ));
        pack.files.push(("cases/2.md".to_owned(), case("id = \"acme-1\"\nexpect = \"permit\"\nreasons = [\"a\"]\nfacts = [\"identity=acme-1\"]")));
        pack.files.push((
            "cases/3.md".to_owned(),
            case("id = \"acme-1\"\noverlay = \"[[host]]\"\nexpect = \"deny\""),
        ));
        let policies = Policies::load(&[pack]).unwrap();
        let results = run_cases(
            &policies,
            fixture::view().registry(),
            "2026-01-01".parse().unwrap(),
        );
        assert_eq!(
            results.iter().map(|case| case.passed).collect::<Vec<_>>(),
            [false, true, false]
        );
        for expected in [
            "expected deny, got permit",
            "`b` is not among the reasons",
            "`identity=x` is not among the facts",
            "permitted",
        ] {
            assert!(
                results[0].message.contains(expected),
                "{}",
                results[0].message
            );
        }
        assert!(
            results[2].message.contains("overlay:1:"),
            "{}",
            results[2].message
        );
    }
}
