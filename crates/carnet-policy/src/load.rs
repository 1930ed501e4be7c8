//! Packs become a policy in one step: everything is checked, all mistakes are told, or nothing changes.

use std::collections::BTreeSet;

use cedar_policy::pst::Effect;
use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use sha2::{Digest, Sha256};

use crate::cases;
use crate::codes::Code;
use crate::limits::{FILE_BYTES_MAX, RULES_MAX};
use crate::pack::{MANIFEST, Manifest, Mode, Pack, PackSource};
use crate::problem::{Place, PolicyProblem};
use crate::rule::{Rule, Rules, offset_of};
use crate::shape;
use crate::unknown;

/// Text of the Cedar schema, for editors and for the solver.
pub const SCHEMA: &str = include_str!("carnet.cedarschema");

/// All packs in force. They are checked as a whole and never change.
#[derive(Debug)]
pub struct Policies {
    pub(crate) packs: Vec<Pack>,
    pub(crate) schema: Schema,
    version: String,
    sources: Vec<PackSource>,
}

impl Policies {
    /// Check the packs and put them together.
    ///
    /// # Errors
    /// Every mistake in every file, in the order of packs, files and lines.
    pub fn load(packs: &[PackSource]) -> Result<Self, Vec<PolicyProblem>> {
        let schema = schema()?;
        let mut problems = Vec::new();
        let mut loaded = Vec::new();
        check_names(packs, &mut problems);
        for source in packs {
            match load_pack(source, &schema) {
                Ok(pack) => loaded.push(pack),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() {
            loaded.sort_by(|a, b| a.name().cmp(b.name()));
            return Ok(Self {
                packs: loaded,
                schema,
                version: version(packs),
                sources: packs.to_vec(),
            });
        }
        problems.sort();
        Err(problems)
    }

    /// `sha256:…` over every manifest and rule.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The packs, by name.
    #[must_use]
    pub fn packs(&self) -> &[Pack] {
        &self.packs
    }

    /// This pack alone, enforced whatever its mode, as its cases are run.
    #[must_use]
    pub fn only(&self, name: &str) -> Option<Self> {
        let source = self.sources.iter().find(|source| source.name == name)?;
        let mut alone = Self::load(std::slice::from_ref(source)).ok()?;
        for pack in &mut alone.packs {
            pack.manifest.mode = Mode::Enforce;
        }
        Some(alone)
    }
}

/// The schema as Cedar reads it.
fn schema() -> Result<Schema, Vec<PolicyProblem>> {
    let place = Place {
        pack: "",
        file: "carnet.cedarschema",
        text: SCHEMA,
    };
    match Schema::from_cedarschema_str(SCHEMA) {
        Ok((schema, _)) => Ok(schema),
        Err(error) => Err(vec![place.diagnostic(&error, 0)]),
    }
}

fn check_names(packs: &[PackSource], problems: &mut Vec<PolicyProblem>) {
    if packs.is_empty() {
        let help = "name at least one folder with a pack, such as `default`";
        problems.push(PolicyProblem::general(Code::NoPack, "there is no policy pack").help(help));
    }
    let mut names = BTreeSet::new();
    for pack in packs {
        if !names.insert(&pack.name) {
            let message = format!("the pack `{}` is given twice", pack.name);
            problems.push(
                PolicyProblem::general(Code::DuplicateRule, message).help("name each pack once"),
            );
        }
    }
}

fn load_pack(source: &PackSource, schema: &Schema) -> Result<Pack, Vec<PolicyProblem>> {
    let mut problems = Vec::new();
    let mut manifest = None;
    let mut set = PolicySet::new();
    let mut rules = Rules::new();
    let mut read_cases = Vec::new();
    for (file, text) in &source.files {
        let place = Place {
            pack: &source.name,
            file,
            text,
        };
        if text.len() > FILE_BYTES_MAX {
            let message = format!(
                "the file has {} bytes, more than {FILE_BYTES_MAX}",
                text.len()
            );
            problems.push(place.problem(0, Code::BadCedar, message).help("split it"));
        } else if file == MANIFEST {
            collect(Manifest::parse(&place), &mut problems, |read| {
                manifest = Some(read)
            });
        } else if file.ends_with(".cedar") {
            read_rules(&place, &mut set, &mut rules, &mut problems);
        } else if file.starts_with("cases/") && file.ends_with(".md") {
            collect(cases::parse(&place), &mut problems, |read| {
                read_cases.extend(read)
            });
        } else if !file.ends_with(".md") {
            // A rule in a file that nobody reads would be missed without a word.
            let help = "a pack holds pack.toml, *.cedar, *.md and cases/*.md";
            let message = "a pack has no such file";
            problems.push(place.problem(0, Code::UnknownFile, message).help(help));
        }
    }
    if !source.files.iter().any(|(file, _)| file == MANIFEST) {
        let place = Place {
            pack: &source.name,
            file: MANIFEST,
            text: "",
        };
        let help = "add it with `name` and `title`";
        problems.push(
            place
                .problem(0, Code::BadManifest, "the file is missing")
                .help(help),
        );
    }
    validate(source, schema, &set, &rules, &mut problems);
    match (manifest, problems.is_empty()) {
        (Some(manifest), true) => Ok(Pack {
            manifest,
            set,
            rules,
            cases: read_cases,
        }),
        _ => Err(problems),
    }
}

fn collect<T>(
    read: Result<T, Vec<PolicyProblem>>,
    problems: &mut Vec<PolicyProblem>,
    keep: impl FnOnce(T),
) {
    match read {
        Ok(value) => keep(value),
        Err(found) => problems.extend(found),
    }
}

/// Read the rules of one file into the pack's set, each under its own name.
fn read_rules(
    place: &Place<'_>,
    set: &mut PolicySet,
    rules: &mut Rules,
    problems: &mut Vec<PolicyProblem>,
) {
    if let Some((offset, message)) = shape::excess(place.text) {
        let help = "split the rule, or ask a set: `[\"…\", \"…\"].contains(…)`";
        problems.push(place.problem(offset, Code::BadCedar, message).help(help));
        return;
    }
    let parsed = match place.text.parse::<PolicySet>() {
        Ok(parsed) => parsed,
        Err(errors) => {
            problems.extend(errors.iter().map(|error| place.diagnostic(error, 0)));
            return;
        }
    };
    for template in parsed.templates() {
        let offset = template.as_ref().loc().map_or(0, |loc| loc.start());
        let message = "a template cannot be proved or explained";
        problems.push(
            place
                .problem(offset, Code::TemplateRefused, message)
                .help("write the value instead of `?…`"),
        );
    }
    let mut found: Vec<&Policy> = parsed.policies().collect();
    found.sort_by_key(|policy| offset_of(policy));
    for policy in found {
        match Rule::read(place, policy) {
            Ok(rule) => keep_rule(place, policy, rule, set, rules, problems),
            Err(found) => problems.extend(found),
        }
    }
}

fn keep_rule(
    place: &Place<'_>,
    policy: &Policy,
    rule: Rule,
    set: &mut PolicySet,
    rules: &mut Rules,
    problems: &mut Vec<PolicyProblem>,
) {
    let offset = offset_of(policy);
    let id = PolicyId::new(&*rule.id);
    if let Some(first) = rules.get(&id) {
        let message = format!(
            "the rule `{}` is already in {}:{}",
            rule.id, first.file, first.line
        );
        problems.push(
            place
                .problem(offset, Code::DuplicateRule, message)
                .help("give it another `@id`"),
        );
    } else if rules.len() >= RULES_MAX {
        let message = format!("the pack has more than {RULES_MAX} rules");
        problems.push(
            place
                .problem(offset, Code::BadCedar, message)
                .help("split it into packs"),
        );
    } else if let Err(error) = set.add(policy.new_id(id.clone())) {
        problems.push(place.diagnostic(&error, offset));
    } else {
        rules.insert(id, rule);
    }
}

/// The checks that need the whole pack. Skipped rules have been told already.
fn validate(
    source: &PackSource,
    schema: &Schema,
    set: &PolicySet,
    rules: &Rules,
    problems: &mut Vec<PolicyProblem>,
) {
    let result = Validator::new(schema.clone()).validate(set, ValidationMode::Strict);
    for error in result.validation_errors() {
        problems.push(at_rule(
            source,
            rules,
            error.policy_id(),
            |place, offset| place.diagnostic(error, offset),
        ));
    }
    // A rule that can never apply or hides characters is a mistake, not a matter of taste.
    for warning in result.validation_warnings() {
        problems.push(at_rule(
            source,
            rules,
            warning.policy_id(),
            |place, offset| place.diagnostic(warning, offset),
        ));
    }
    if !problems.is_empty() {
        return;
    }
    if !rules.values().any(|rule| rule.effect == Effect::Permit) {
        let file = source
            .files
            .iter()
            .map(|(file, _)| file.as_str())
            .find(|file| file.ends_with(".cedar"));
        let place = Place {
            pack: &source.name,
            file: file.unwrap_or("rules.cedar"),
            text: "",
        };
        let help = "add the rule that permits what no forbid refuses";
        problems.push(
            place
                .problem(0, Code::NoPermit, "the pack permits nothing")
                .help(help),
        );
    }
    let all: Vec<&Rule> = rules.values().collect();
    for gap in unknown::gaps(&all) {
        let read: Vec<String> = gap.read.iter().map(|path| format!("`{path}`")).collect();
        let message = format!(
            "rule `{}` reads {}, and no rule says what happens when {} is unknown",
            gap.rule.id,
            read.join(", "),
            gap.family.name
        );
        problems.push(PolicyProblem {
            pack: source.name.clone(),
            file: gap.rule.file.clone(),
            line: gap.rule.line,
            column: gap.rule.column,
            code: Code::UnknownNotRuled,
            message,
            help: Some(format!("add a rule such as: {}", gap.remedy)),
        });
    }
}

/// Make a problem in the file that holds this rule.
fn at_rule(
    source: &PackSource,
    rules: &Rules,
    id: &PolicyId,
    make: impl FnOnce(&Place<'_>, usize) -> PolicyProblem,
) -> PolicyProblem {
    let rule = rules.get(id);
    let file = rule.map_or("", |rule| rule.file.as_str());
    let text = source
        .files
        .iter()
        .find(|(name, _)| name == file)
        .map_or("", |(_, text)| text.as_str());
    let place = Place {
        pack: &source.name,
        file,
        text,
    };
    let fallback = rule.map_or(0, |rule| line_start(text, rule.line));
    make(&place, fallback)
}

fn line_start(text: &str, line: usize) -> usize {
    text.split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum()
}

/// A digest of everything that can change a decision.
fn version(packs: &[PackSource]) -> String {
    let mut files: Vec<(&str, &str, &str)> = Vec::new();
    for pack in packs {
        for (file, text) in &pack.files {
            if file == MANIFEST || file.ends_with(".cedar") {
                files.push((&pack.name, file, text));
            }
        }
    }
    files.sort_unstable();
    let mut digest = Sha256::new();
    digest.update(SCHEMA.as_bytes());
    for (pack, file, text) in files {
        for part in [pack, file, text] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
    }
    format!("sha256:{}", hex::encode(digest.finalize()))
}

#[cfg(test)]
mod tests;
