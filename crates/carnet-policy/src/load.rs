//! Packs become a policy in one step: everything is checked, all mistakes are told, or nothing changes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use cedar_policy::pst::{self, Clause, Effect};
use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use jiff::civil::Date;
use sha2::{Digest, Sha256};

use crate::cases;
use crate::codes::Code;
use crate::exception::Exception;
use crate::expand::{self, Expansion};
use crate::limits::{FILE_BYTES_MAX, RULES_MAX};
use crate::mutate::{self, Cut, Mutant};
use crate::pack::{Exceptions, MANIFEST, Manifest, Pack, PackSource, Term};
use crate::parameters::{OnUnknown, PackSettings, Parameters};
use crate::plan::Plan;
use crate::problem::{Place, PolicyProblem};
use crate::reading::{Lineage, Reading};
use crate::rule::{Rule, Rules, offset_of};
use crate::shape;
use crate::unknown;

/// Text of the Cedar schema, for editors and for the solver.
pub const SCHEMA: &str = include_str!("carnet.cedarschema");

/// All packs in force. They are checked as a whole and never change.
#[derive(Debug)]
pub struct Policies {
    pub(crate) packs: Vec<Pack>,
    /// The ways in which the packs read the facts, each once.
    pub(crate) readings: Vec<Reading>,
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
        Self::load_without(packs, None)
    }

    /// Whether any permit obliges to anything.
    pub(crate) fn oblige(&self) -> bool {
        let mut rules = self.packs.iter().flat_map(|pack| pack.rules.values());
        rules.any(|rule| rule.obligation.is_some())
    }

    /// The same with something taken out of the rules, to see who notices.
    pub(crate) fn load_without(
        packs: &[PackSource],
        mutant: Option<&Mutant>,
    ) -> Result<Self, Vec<PolicyProblem>> {
        let schema = schema()?;
        let mut problems = Vec::new();
        let mut loaded = Vec::new();
        check_names(packs, &mut problems);
        for source in packs {
            match load_pack(source, &schema, mutant) {
                Ok(pack) => loaded.push(pack),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() {
            loaded.sort_by(|a, b| a.name().cmp(b.name()));
            return Ok(Self {
                readings: readings(&mut loaded),
                packs: loaded,
                schema,
                version: version(packs),
                sources: packs.to_vec(),
            });
        }
        problems.sort();
        Err(shown(problems, packs))
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

    /// What they were loaded from.
    #[must_use]
    pub fn sources(&self) -> &[PackSource] {
        &self.sources
    }

    /// The first day after this one on which the rules of some pack are others.
    pub(crate) fn next_change(&self, day: Date) -> Option<Date> {
        self.packs
            .iter()
            .filter_map(|pack| pack.next_change(day))
            .min()
    }
}

/// Tell each pack which of the readings is its own.
fn readings(packs: &mut [Pack]) -> Vec<Reading> {
    let mut readings: Vec<Reading> = Vec::new();
    for pack in packs {
        let mut reading = pack.manifest.parameters.reading();
        let reads = |path: &str| pack.rules.values().any(|rule| rule.reads.contains(path));
        reading.claims = reads("producer.claims") || reads("producer");
        pack.reading = match readings.iter().position(|known| *known == reading) {
            Some(known) => known,
            None => {
                readings.push(reading);
                readings.len().saturating_sub(1)
            }
        };
    }
    readings
}

/// The schema as Cedar reads it, read once.
fn schema() -> Result<Schema, Vec<PolicyProblem>> {
    static READ: OnceLock<Result<Schema, Vec<PolicyProblem>>> = OnceLock::new();
    READ.get_or_init(read_schema).clone()
}

fn read_schema() -> Result<Schema, Vec<PolicyProblem>> {
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

fn load_pack(
    source: &PackSource,
    schema: &Schema,
    mutant: Option<&Mutant>,
) -> Result<Pack, Vec<PolicyProblem>> {
    let mut problems = Vec::new();
    let manifest = manifest(source, &mut problems);
    let mut draft = Draft::new(manifest.as_ref(), mutant);
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
        } else if file.ends_with(".cedar") {
            draft.read(&place, manifest.is_some(), &mut problems);
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
    draft.validate(source, schema, &mut problems);
    let terms = draft.terms(source, &mut problems);
    match (manifest, problems.is_empty()) {
        (Some(manifest), true) => Ok(Pack {
            manifest,
            terms,
            rules: draft.all(),
            cases: read_cases,
            reading: 0,
        }),
        _ => Err(problems),
    }
}

/// What `pack.toml` says, with what the operator sets.
fn manifest(source: &PackSource, problems: &mut Vec<PolicyProblem>) -> Option<Manifest> {
    let text = source.files.iter().find(|(file, _)| file == MANIFEST);
    let place = Place {
        pack: &source.name,
        file: MANIFEST,
        text: text.map_or("", |(_, text)| text),
    };
    if text.is_none() {
        let help = "add it with `name` and `title`";
        let message = "the file is missing";
        problems.push(place.problem(0, Code::BadManifest, message).help(help));
        return None;
    }
    if place.text.len() > FILE_BYTES_MAX {
        return None;
    }
    let mut manifest = match Manifest::parse(&place) {
        Ok(manifest) => manifest,
        Err(mut found) => {
            problems.append(&mut found);
            return None;
        }
    };
    let PackSettings {
        mode,
        parameters,
        exceptions,
    } = &source.settings;
    if let Some(mode) = mode {
        manifest.mode = *mode;
    }
    let mut refuse = |code, (message, help): (String, String)| {
        let message = format!("pack `{}`: {message}", source.name);
        problems.push(PolicyProblem {
            pack: source.name.clone(),
            ..PolicyProblem::general(code, message).help(help)
        });
    };
    for (name, value) in parameters {
        if let Err(wrong) = manifest.parameters.set(name, value.clone()) {
            refuse(Code::BadParameter, wrong);
        }
    }
    let Exceptions { kinds, issuer } = &manifest.exceptions;
    let mut ids = BTreeSet::new();
    for exception in exceptions {
        if let Some(wrong) = exception.problem(kinds, issuer) {
            refuse(Code::BadException, wrong);
        } else if !ids.insert(exception.rule_id()) {
            let message = format!("the exception `{}` is given twice", exception.id);
            refuse(
                Code::BadException,
                (message, "give each its own id".to_owned()),
            );
        }
    }
    Some(manifest)
}

/// The rules of a pack while it is read.
struct Draft<'m> {
    parameters: Parameters,
    exceptions: Vec<Exception>,
    /// Files with the values of parameters in them.
    expanded: BTreeMap<String, Expansion>,
    policies: BTreeMap<PolicyId, Policy>,
    rules: Rules,
    /// The permits of exceptions.
    granted: Vec<(Exception, Rule, Policy)>,
    mutant: Option<&'m Mutant>,
}

impl<'m> Draft<'m> {
    fn new(manifest: Option<&Manifest>, mutant: Option<&'m Mutant>) -> Self {
        Self {
            parameters: manifest
                .map_or_else(Parameters::standard, |manifest| manifest.parameters.clone()),
            exceptions: Vec::new(),
            expanded: BTreeMap::new(),
            policies: BTreeMap::new(),
            rules: Rules::new(),
            granted: Vec::new(),
            mutant,
        }
    }

    /// Read the rules of one file, each under its own name.
    fn read(&mut self, place: &Place<'_>, has_manifest: bool, problems: &mut Vec<PolicyProblem>) {
        let expansion = match expand::expand(place.text, &self.parameters) {
            Ok(expansion) => expansion,
            Err(_) if !has_manifest => return,
            Err(unknown) => {
                let names: Vec<&str> = self.parameters.all().map(|one| one.name.as_str()).collect();
                let help = format!(
                    "declare it in {MANIFEST}; the pack has {}",
                    names.join(", ")
                );
                problems.extend(unknown.into_iter().map(|(offset, name)| {
                    let message = format!("there is no parameter `{name}`");
                    place
                        .problem(offset, Code::BadParameter, message)
                        .help(&*help)
                }));
                return;
            }
        };
        let mut found = Vec::new();
        let expanded = Place {
            text: &expansion.text,
            ..*place
        };
        self.read_expanded(&expanded, &mut found);
        problems.extend(
            found
                .into_iter()
                .map(|problem| relocated(problem, &expansion, place.text)),
        );
        for rule in self
            .rules
            .values_mut()
            .filter(|rule| rule.file == place.file)
        {
            let offset = line_start(&expansion.text, rule.line);
            rule.column = column_in_source(&expansion, place.text, offset, rule.column);
        }
        self.expanded.insert(place.file.to_owned(), expansion);
    }

    fn read_expanded(&mut self, place: &Place<'_>, problems: &mut Vec<PolicyProblem>) {
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
            let id = policy.annotation("id").unwrap_or_default();
            let cut = self.mutant.filter(|mutant| mutant.rule == id);
            let cut = cut.map(|mutant| mutant.cut);
            if cut == Some(Cut::Rule) {
                continue;
            }
            let wanted = policy
                .annotation("only_with")
                .filter(|_| cut != Some(Cut::OnlyWith));
            match wanted.map_or(Ok(true), |wanted| self.parameters.hold(wanted)) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(message) => {
                    let help = "write `@only_with(\"name\")`, `!name` or `name=value|value`, with commas between them";
                    let offset = offset_of(policy);
                    problems.push(
                        place
                            .problem(offset, Code::BadAnnotation, message)
                            .help(help),
                    );
                    continue;
                }
            }
            let less = match cut {
                Some(Cut::Condition(number)) => mutate::without(policy, number),
                _ => None,
            };
            let policy = less.as_ref().unwrap_or(policy);
            match Rule::read(place, policy, self.parameters.reading().lineage) {
                Ok(mut rule) => {
                    match cut {
                        Some(Cut::From) => rule.valid.from = None,
                        Some(Cut::To) => rule.valid.to = None,
                        Some(Cut::Obligation) => rule.obligation = None,
                        _ => {}
                    }
                    self.keep(place, policy, rule, problems);
                }
                Err(found) => problems.extend(found),
            }
        }
    }

    fn keep(
        &mut self,
        place: &Place<'_>,
        policy: &Policy,
        rule: Rule,
        problems: &mut Vec<PolicyProblem>,
    ) {
        let offset = offset_of(policy);
        let id = PolicyId::new(&*rule.id);
        if let Some(first) = self.rules.get(&id) {
            let message = format!(
                "the rule `{}` is already in {}:{}",
                rule.id, first.file, first.line
            );
            problems.push(
                place
                    .problem(offset, Code::DuplicateRule, message)
                    .help("give it another `@id`"),
            );
        } else if self.rules.len() >= RULES_MAX {
            let message = format!("the pack has more than {RULES_MAX} rules");
            problems.push(
                place
                    .problem(offset, Code::BadCedar, message)
                    .help("split it into packs"),
            );
        } else {
            self.policies.insert(id.clone(), policy.new_id(id.clone()));
            self.rules.insert(id, rule);
        }
    }

    /// The checks of types that need the schema. Skipped rules have been told already.
    fn validate(
        &mut self,
        source: &PackSource,
        schema: &Schema,
        problems: &mut Vec<PolicyProblem>,
    ) {
        let mut set = PolicySet::new();
        for policy in self.policies.values() {
            // The ids are the keys of a map, so none is there twice.
            let _ = set.add(policy.clone());
        }
        let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        for error in result.validation_errors() {
            problems.push(self.at_rule(source, error.policy_id(), error));
        }
        // A rule that can never apply or hides characters is a mistake, not a matter of taste.
        for warning in result.validation_warnings() {
            problems.push(self.at_rule(source, warning.policy_id(), warning));
        }
        if !problems.is_empty() {
            return;
        }
        self.exceptions.clone_from(&source.settings.exceptions);
        for exception in &self.exceptions {
            match granted(exception, self.parameters.reading().lineage) {
                Some((rule, policy)) => self.granted.push((exception.clone(), rule, policy)),
                None => {
                    let message = format!(
                        "pack `{}`: the exception `{}` cannot be written as a rule",
                        source.name, exception.id
                    );
                    let help = "give it an id with letters or digits, at most one sign between two of them";
                    problems.push(PolicyProblem {
                        pack: source.name.clone(),
                        ..PolicyProblem::general(Code::BadException, message).help(help)
                    });
                }
            }
        }
    }

    /// A problem that Cedar found, in the file that holds the rule.
    fn at_rule(
        &self,
        source: &PackSource,
        id: &PolicyId,
        found: &dyn miette::Diagnostic,
    ) -> PolicyProblem {
        let rule = self.rules.get(id);
        let file = rule.map_or("", |rule| rule.file.as_str());
        let nothing = Expansion::default();
        let expansion = self.expanded.get(file).unwrap_or(&nothing);
        let place = Place {
            pack: &source.name,
            file,
            text: &expansion.text,
        };
        let fallback = rule.map_or(0, |rule| line_start(&expansion.text, rule.line));
        let text = source.files.iter().find(|(name, _)| name == file);
        let problem = place.diagnostic(found, fallback);
        relocated(problem, expansion, text.map_or("", |(_, text)| text))
    }

    /// The rules from one change to the next, each checked as a whole.
    fn terms(&self, source: &PackSource, problems: &mut Vec<PolicyProblem>) -> Vec<Term> {
        if !problems.is_empty() {
            return Vec::new();
        }
        let mut days: BTreeSet<Date> = BTreeSet::new();
        for rule in self.rules.values() {
            days.extend(rule.valid.from.into_iter().chain(rule.valid.to));
        }
        for exception in &self.exceptions {
            days.extend(exception.from.into_iter().chain(exception.end()));
        }
        let before = days.first().and_then(|day| day.yesterday().ok());
        let first = (None, before.unwrap_or(Date::MIN));
        let starts = days.into_iter().map(|day| (Some(day), day));
        let mut terms = Vec::new();
        for (from, day) in std::iter::once(first).chain(starts) {
            let holds = |rule: &&Rule| rule.valid.holds_on(day);
            let rules: Vec<&Rule> = self.rules.values().filter(holds).collect();
            self.check(source, from, &rules, problems);
            match self.term(from, day, &rules) {
                Ok(term) => terms.push(term),
                Err(message) => problems.push(PolicyProblem {
                    pack: source.name.clone(),
                    ..PolicyProblem::general(Code::BadCedar, message)
                        .help("no rule of the pack may be called as an exception is: `exception-…`")
                }),
            }
        }
        problems.dedup();
        terms
    }

    /// The checks that need all rules of a day.
    fn check(
        &self,
        source: &PackSource,
        from: Option<Date>,
        rules: &[&Rule],
        problems: &mut Vec<PolicyProblem>,
    ) {
        if !rules.iter().any(|rule| rule.effect == Effect::Permit) {
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
            let since = from
                .map(|day| format!(" from {day} on"))
                .unwrap_or_default();
            problems.push(
                place
                    .problem(
                        0,
                        Code::NoPermit,
                        format!("the pack permits nothing{since}"),
                    )
                    .help(help),
            );
        }
        for gap in unknown::gaps(rules) {
            let read: Vec<String> = gap.read.iter().map(|path| format!("`{path}`")).collect();
            let message = format!(
                "rule `{}` reads {}, and no rule says what happens when {} is unknown",
                gap.rule.id,
                read.join(", "),
                gap.family.name
            );
            let problem = PolicyProblem {
                pack: source.name.clone(),
                file: gap.rule.file.clone(),
                line: gap.rule.line,
                column: gap.rule.column,
                code: Code::UnknownNotRuled,
                message,
                help: Some(format!("add a rule such as: {}", gap.remedy)),
                excerpt: None,
            };
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }

    fn term(&self, from: Option<Date>, day: Date, rules: &[&Rule]) -> Result<Term, String> {
        let mut set = PolicySet::new();
        let mut watched = PolicySet::new();
        let add = |set: &mut PolicySet, policy: Policy| {
            set.add(policy).map_err(|error| error.to_string())
        };
        let granted: Vec<&(Exception, Rule, Policy)> = self
            .granted
            .iter()
            .filter(|(exception, ..)| exception.holds_on(day))
            .collect();
        for rule in rules {
            let id = PolicyId::new(&*rule.id);
            let Some(policy) = self.policies.get(&id) else {
                continue;
            };
            match (rule.effect, rule.unknown, self.parameters.on_unknown()) {
                (Effect::Forbid, true, OnUnknown::Allow) => {}
                (Effect::Forbid, true, OnUnknown::Warn) => add(&mut watched, policy.clone())?,
                (Effect::Forbid, false, _) => add(&mut set, lifted(policy, &granted)?)?,
                _ => add(&mut set, policy.clone())?,
            }
        }
        for (.., policy) in granted {
            add(&mut set, policy.clone())?;
        }
        Ok(Term {
            from,
            plan: Plan::new(&set, rules),
            set,
            watched,
        })
    }

    /// Every rule that can count, those of exceptions among them.
    fn all(self) -> Rules {
        let mut rules = self.rules;
        for (_, rule, _) in self.granted {
            rules.insert(PolicyId::new(&*rule.id), rule);
        }
        rules
    }
}

/// The rule by which an exception permits.
fn granted(exception: &Exception, lineage: Lineage) -> Option<(Rule, Policy)> {
    let text = exception.rule()?;
    let policy = Policy::parse(None, &text).ok()?;
    let place = Place {
        pack: "",
        file: "exceptions",
        text: &text,
    };
    let rule = Rule::read(&place, &policy, lineage).ok()?;
    let policy = policy.new_id(PolicyId::new(&*rule.id));
    Some((rule, policy))
}

/// A forbid that does not apply within the scope of these exceptions.
fn lifted(policy: &Policy, granted: &[&(Exception, Rule, Policy)]) -> Result<Policy, String> {
    if granted.is_empty() {
        return Ok(policy.clone());
    }
    let pst::Policy::Static(body) = policy.to_pst().map_err(|error| error.to_string())? else {
        return Err("a template cannot be lifted".to_owned());
    };
    let mut body = body.body().clone();
    for (.., granted) in granted {
        let scope = granted.to_pst().map_err(|error| error.to_string())?;
        for clause in scope.body().clauses() {
            let (Clause::When(scope) | Clause::Unless(scope)) = clause;
            body.try_add_clause(Clause::Unless(scope.clone()))
                .map_err(|error| error.to_string())?;
        }
    }
    let body = pst::StaticPolicy::try_from(body).map_err(|error| error.to_string())?;
    Policy::from_pst(pst::Policy::Static(body)).map_err(|error| error.to_string())
}

/// Problems with the lines they stand in.
fn shown(problems: Vec<PolicyProblem>, packs: &[PackSource]) -> Vec<PolicyProblem> {
    let shown = problems.into_iter();
    shown.map(|problem| problem.shown_in(packs)).collect()
}

/// A problem of an expanded file, at its place in the file as it was written.
fn relocated(problem: PolicyProblem, expansion: &Expansion, source: &str) -> PolicyProblem {
    let offset = line_start(&expansion.text, problem.line);
    PolicyProblem {
        column: column_in_source(expansion, source, offset, problem.column),
        ..problem
    }
}

/// The column in the original of a column of the expanded text, in the line that begins at `start`.
fn column_in_source(expansion: &Expansion, source: &str, start: usize, column: usize) -> usize {
    let line = expansion.text.get(start..).unwrap_or_default();
    let skip = column.saturating_sub(1);
    let length: usize = line.chars().take(skip).map(char::len_utf8).sum();
    let offset = expansion.source_offset(start.saturating_add(length));
    let place = Place {
        pack: "",
        file: "",
        text: source,
    };
    place.problem(offset, Code::BadCedar, "").column
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

fn line_start(text: &str, line: usize) -> usize {
    text.split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum()
}

/// A digest of everything that can change a decision.
fn version(packs: &[PackSource]) -> String {
    let mut parts: Vec<(&str, &str, Cow<'_, str>)> = Vec::new();
    for pack in packs {
        for (file, text) in &pack.files {
            if file == MANIFEST || file.ends_with(".cedar") {
                parts.push((&pack.name, file, text.into()));
            }
        }
        if pack.settings != PackSettings::default() {
            // Texts, numbers and dates always serialise.
            let settings = serde_json::to_string(&pack.settings).unwrap_or_default();
            parts.push((&pack.name, "settings", settings.into()));
        }
    }
    parts.sort_unstable();
    let mut digest = Sha256::new();
    digest.update(SCHEMA.as_bytes());
    for (pack, file, text) in parts {
        for part in [pack, file, &text] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
    }
    format!("sha256:{}", hex::encode(digest.finalize()))
}

#[cfg(test)]
mod setting_tests;
#[cfg(test)]
mod tests;
