//! Runs the cases of packs against a registry: each pack alone, enforced whatever its mode.

use std::sync::Arc;

use carnet_provenance::{Overlay, Query, Registry, Resolution, SourceFile, View};
use jiff::civil::Date;
use serde::Serialize;

use crate::cases::{Case, Question};
use crate::decide::{Decider, DeciderOptions};
use crate::load::Policies;
use crate::mutate::Mutant;
use crate::pack::{Mode, Pack, PackSource};
use crate::parameters::PackSettings;
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
    /// The rules that counted, and those that only reported.
    pub rules: Vec<String>,
}

/// Run the cases of every pack. A case without a date of its own is asked for `today`.
#[must_use]
pub fn run_cases(policies: &Policies, registry: &Arc<Registry>, today: Date) -> Vec<CaseResult> {
    let mut results = Vec::new();
    for (pack, source) in each(policies) {
        let mut variants = Variants::new(source);
        for case in &pack.cases {
            let asked = variants
                .of(&case.question)
                .and_then(|alone| Posed::new(registry, today, &case.question)?.ask(&alone));
            results.push(result(pack.name(), case, asked));
        }
    }
    results
}

/// Packs with what they were loaded from.
pub(crate) fn each(policies: &Policies) -> impl Iterator<Item = (&Pack, &PackSource)> {
    policies.packs().iter().filter_map(|pack| {
        let source = policies
            .sources()
            .iter()
            .find(|source| source.name == pack.name())?;
        Some((pack, source))
    })
}

/// A pack alone, enforced whatever its mode, under the settings of its cases, each loaded once.
pub(crate) struct Variants<'s> {
    source: &'s PackSource,
    mutant: Option<&'s Mutant>,
    loaded: Vec<(PackSettings, Result<Arc<Policies>, String>)>,
}

impl<'s> Variants<'s> {
    pub(crate) fn new(source: &'s PackSource) -> Self {
        Self {
            source,
            mutant: None,
            loaded: Vec::new(),
        }
    }

    /// The same with something taken out.
    pub(crate) fn of_mutant(source: &'s PackSource, mutant: &'s Mutant) -> Self {
        Self {
            mutant: Some(mutant),
            ..Self::new(source)
        }
    }

    pub(crate) fn of(&mut self, question: &Question) -> Result<Arc<Policies>, String> {
        let mut settings = PackSettings {
            mode: Some(Mode::Enforce),
            ..self.source.settings.clone()
        };
        settings.parameters.extend(question.parameters.clone());
        settings.exceptions.extend(question.exceptions.clone());
        if let Some((_, loaded)) = self.loaded.iter().find(|(known, _)| *known == settings) {
            return loaded.clone();
        }
        let source = self.source.with(settings.clone());
        let loaded = Policies::load_without(&[source], self.mutant)
            .map(Arc::new)
            .map_err(lines);
        self.loaded.push((settings, loaded.clone()));
        loaded
    }
}

fn result(pack: &str, case: &Case, asked: Result<Arc<Verdict>, String>) -> CaseResult {
    let rules = asked.as_ref().map_or_else(
        |_| Vec::new(),
        |verdict| {
            let all = verdict.reasons().iter().chain(verdict.report_deny());
            all.map(|reason| reason.rule.to_string()).collect()
        },
    );
    let found = asked
        .and_then(|verdict| compare(&case.question, &verdict))
        .err();
    CaseResult {
        pack: pack.to_owned(),
        file: case.file.clone(),
        line: case.line,
        title: case.title.clone(),
        passed: found.is_none(),
        message: found.unwrap_or_default(),
        rules,
    }
}

/// A case's question with the facts about it, ready to be put to any policy.
pub(crate) struct Posed<'q> {
    question: &'q Question,
    view: Arc<View>,
    resolution: Resolution,
    as_of: Date,
}

impl<'q> Posed<'q> {
    /// Resolve what is asked about; or why that cannot be.
    pub(crate) fn new(
        registry: &Arc<Registry>,
        today: Date,
        question: &'q Question,
    ) -> Result<Self, String> {
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
        let resolution = view.resolve(&Query {
            id: &question.id,
            platform: question.platform.as_deref(),
            host: question.host.as_deref(),
            upstream: question.upstream.as_deref(),
            region: question.region.as_deref(),
            as_of,
        });
        Ok(Self {
            question,
            view,
            resolution,
            as_of,
        })
    }

    pub(crate) fn question(&self) -> &'q Question {
        self.question
    }

    /// What a policy answers.
    pub(crate) fn ask(&self, policies: &Arc<Policies>) -> Result<Arc<Verdict>, String> {
        let options = DeciderOptions {
            shadow_every: 0,
            cache_max: 0,
            ..DeciderOptions::default()
        };
        let decider = Decider::new(policies.clone(), self.view.clone(), options).map_err(lines)?;
        let upstream = self.question.upstream.as_deref().unwrap_or("case");
        let spec = TargetSpec {
            name: format!("{upstream}/{}", self.question.id).into(),
            upstream: upstream.into(),
            origin: "".into(),
            upstream_model: self.question.id.as_str().into(),
            host: self
                .resolution
                .hosting
                .as_ref()
                .map(|hosting| hosting.host.clone()),
        };
        let target = decider.target(spec, self.resolution.clone(), self.as_of);
        let principal = decider.principal(&self.question.workload);
        let request = Ask {
            api: Api::ChatCompletions,
            stream: false,
        };
        if !self.question.silent.is_empty() {
            let applying = decider.permits_that_apply(&principal, &target, request);
            if let Some(rule) = self
                .question
                .silent
                .iter()
                .find(|rule| applying.contains(*rule))
            {
                return Err(format!("`{rule}` applies, though it should not"));
            }
        }
        Ok(decider
            .decide(&principal, &target, &request, &[], start_of(self.as_of))
            .verdict()
            .clone())
    }

    /// Everything in which an answer is not the expected one.
    pub(crate) fn compare(&self, verdict: &Verdict) -> Result<(), String> {
        compare(self.question, verdict)
    }
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
    if let Some(exactly) = &question.exactly {
        let mut expected: Vec<&str> = exactly.iter().map(String::as_str).collect();
        let mut found: Vec<&str> = verdict
            .reasons()
            .iter()
            .map(|reason| &*reason.rule)
            .collect();
        expected.sort_unstable();
        found.sort_unstable();
        if expected != found {
            wrong.push(format!(
                "expected exactly {}, got {}",
                expected.join(", "),
                found.join(", ")
            ));
        }
    }
    for rule in &question.reports {
        if !verdict
            .report_deny()
            .iter()
            .any(|reason| *reason.rule == **rule)
        {
            wrong.push(format!("`{rule}` is not among what only reports"));
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
    if let Some(expected) = &question.obligations {
        let found = verdict.obligations().iter();
        let found: Vec<&str> = found.map(|found| found.as_str()).collect();
        if *expected != found {
            wrong.push(format!(
                "expected the obligations [{}], got [{}]",
                expected.join(", "),
                found.join(", ")
            ));
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
    use crate::mutate::run_mutants;

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

    /// Without any one rule, condition or day a pack no longer loads or one of its cases fails.
    #[test]
    fn every_part_of_a_shipped_pack_is_held_by_a_case() {
        let policies = Policies::load(&fixture::shipped_packs()).unwrap();
        let today = "2026-11-25".parse().unwrap();
        let mutants = run_mutants(&policies, &fixture::shipped_registry(), today);
        let idle: Vec<String> = mutants
            .iter()
            .filter(|mutant| !mutant.noticed)
            .map(ToString::to_string)
            .collect();
        println!(
            "{} of {} parts taken out were noticed",
            mutants.len() - idle.len(),
            mutants.len()
        );
        assert!(idle.is_empty(), "{}", idle.join("\n"));
    }

    #[test]
    fn a_case_holds_what_a_permit_obliges_to() {
        let mut pack = fixture::pack(
            "p",
            "",
            "@id(\"a\") @title(\"A\") @obligation(\"no-store\") permit (principal, action, resource) when { resource.identified };",
        );
        for (number, obligations) in ["", "obligations = []", "obligations = [\"no-store\"]"]
            .into_iter()
            .enumerate()
        {
            let case = format!(
                "## C\n```toml\nid = \"acme-1\"\nexpect = \"permit\"\n{obligations}\n```\n"
            );
            pack.files.push((format!("cases/{number}.md"), case));
        }
        let policies = Policies::load(&[pack]).unwrap();
        let view = fixture::view();
        let today = "2026-01-01".parse().unwrap();
        let results = run_cases(&policies, view.registry(), today);
        let passed: Vec<bool> = results.iter().map(|case| case.passed).collect();
        assert_eq!(passed, [true, false, true]);
        let message = &results[1].message;
        let expected = "expected the obligations [], got [no-store]";
        assert!(message.contains(expected), "{message}");
        let mutants = run_mutants(&policies, view.registry(), today);
        let gone = mutants
            .iter()
            .find(|mutant| mutant.without.contains("@obligation"));
        assert!(gone.unwrap().noticed);
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
