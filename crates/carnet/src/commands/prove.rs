//! `carnet policy prove`: a property holds for every request that could be, or here is one that breaks it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carnet_admin::Client;
use carnet_admin::answers::{NewProof, ProofOutcome};
use carnet_policy::{
    Decider, DeciderOptions, Mode, Policies, SCHEMA, Trust, always_true, known_here,
};
use carnet_prove::{
    Condition, Counterexample, Pack, Party, Proof, Property, PropertyProblem, Prover, Solver,
    cache_key, permits,
};
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::cli::{ProveArgs, World};
use crate::exit::Exit;
use crate::state::State;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, config, out, rules, world};

/// A property with where it was written.
struct Question {
    title: String,
    text: String,
    world: World,
}

/// What came of a question.
struct Answer {
    proof: Value,
    story: Vec<String>,
    exit: Exit,
    cached: bool,
}

/// The solver that was found.
struct Cvc5 {
    solver: Solver,
    version: String,
}

pub(crate) fn run(args: &ProveArgs) -> Result<Exit, Troubles> {
    let day = args.facts.as_of.unwrap_or_else(clock::today);
    let policies = policies(args)?;
    let questions = questions(args, &policies)?;
    let cvc5 = std::env::var_os("CVC5");
    let path = std::env::var_os("PATH");
    let solver = match Solver::find(cvc5.as_deref(), path.as_deref()) {
        Ok(solver) => solver,
        Err(problem) => {
            out::troubles(&[Trouble::new(problem.to_string(), problem.help())]);
            return Ok(Exit::Unknown);
        }
    };
    let version = match solver.version() {
        Ok(version) => version,
        Err(problem) => {
            out::troubles(&[Trouble::new(problem.to_string(), problem.help())]);
            return Ok(Exit::Unknown);
        }
    };
    let prover = Cvc5 { solver, version };
    let mut exit = Exit::Good;
    for question in &questions {
        let started = std::time::Instant::now();
        let answer = prove(args, question, &policies, &prover, day)?;
        exit = exit.worst(answer.exit);
        let seconds = started.elapsed().as_secs_f64();
        if args.json {
            commands::json(&json!({
                "property": question.text,
                "title": question.title,
                "registry": question.world.as_str(),
                "as_of": day,
                "policy_version": policies.version(),
                "solver": prover.version,
                "result": answer.proof,
                "cached": answer.cached,
                "seconds": seconds,
            }));
            continue;
        }
        let word = match answer.exit {
            Exit::Good => "proved",
            Exit::Bad => "DISPROVED",
            _ => "inconclusive",
        };
        let time = if answer.cached {
            "remembered".to_owned()
        } else {
            format!("{seconds:.2} s")
        };
        out::answer(format_args!("{word}  {}  ({time})", question.title));
        for line in answer.story {
            out::answer(out::plain(&format!("  {line}")));
        }
    }
    Ok(exit)
}

/// The packs that count: those given, or those of the configuration.
fn policies(args: &ProveArgs) -> Result<Arc<Policies>, Troubles> {
    let here = Path::new("carnet.toml");
    if args.pack.is_empty() && (args.config.is_some() || here.exists()) {
        let file = args.config.as_deref().unwrap_or(here);
        let config = config::load(file)?;
        let settings = rules::given(&args.param, &config.packs, &config.base, config.settings)?;
        return world::policies(&config.packs, &config.base, &settings);
    }
    let packs = if args.pack.is_empty() {
        "default".to_owned()
    } else {
        args.pack.join(",")
    };
    rules::described(&packs, &args.param)
}

/// The properties that are asked: given ones, those of a file, or those that the packs claim.
fn questions(args: &ProveArgs, policies: &Policies) -> Result<Vec<Question>, Troubles> {
    let mut found: Vec<Question> = args
        .property
        .iter()
        .map(|text| Question {
            title: text.clone(),
            text: text.clone(),
            world: args.world.unwrap_or(World::Any),
        })
        .collect();
    if let Some(file) = &args.file {
        let text = world::read_text(file)?;
        found.extend(blocks(&file.display().to_string(), &text, args.world)?);
    }
    if found.is_empty() {
        for source in policies.sources() {
            for (file, text) in &source.files {
                if file.starts_with("properties/") {
                    let name = format!("{}/{file}", source.name);
                    found.extend(blocks(&name, text, args.world)?);
                }
            }
        }
    }
    if found.is_empty() {
        return Err(vec![Trouble::new(
            "there is no property to prove",
            r#"give one, such as 'never permit when principal.sector == "government" && resource in Country::"XX"', a --file, or a pack with properties/*.md"#,
        )]);
    }
    Ok(found)
}

/// The properties of a Markdown file: a heading, and a block ```property, or ```property this-registry.
fn blocks(file: &str, text: &str, given: Option<World>) -> Result<Vec<Question>, Troubles> {
    let mut found = Vec::new();
    let mut title = String::new();
    let mut open: Option<(World, Vec<&str>, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.trim_end()) {
            (Some((world, lines, _)), "```") => {
                found.push(Question {
                    title: title.clone(),
                    text: lines.join("\n").trim().to_owned(),
                    world: given.unwrap_or(*world),
                });
                open = None;
            }
            (Some((_, lines, _)), _) => lines.push(line),
            (None, "```property") => open = Some((World::Any, Vec::new(), number)),
            (None, "```property this-registry") => open = Some((World::This, Vec::new(), number)),
            (None, line) => {
                if let Some(heading) = line.strip_prefix("## ") {
                    heading.clone_into(&mut title);
                }
            }
        }
    }
    if let Some((_, _, number)) = open {
        return Err(vec![
            Trouble::new("the block is not closed", "end it with ```")
                .of(Path::new(file))
                .at(number.saturating_add(1), 1),
        ]);
    }
    Ok(found)
}

fn prove(
    args: &ProveArgs,
    question: &Question,
    policies: &Arc<Policies>,
    cvc5: &Cvc5,
    day: Date,
) -> Result<Answer, Troubles> {
    let property = Property::parse(&question.text).map_err(|problem| told(question, &problem))?;
    property.check(policies.schema()).map_err(|problems| {
        problems
            .iter()
            .flat_map(|one| told(question, one))
            .collect::<Troubles>()
    })?;
    let condition = property.condition().map_or_else(
        || "true".to_owned(),
        |condition| condition.text().to_owned(),
    );
    let enforced: Vec<&carnet_policy::Pack> = policies
        .packs()
        .iter()
        .filter(|pack| pack.mode() == Mode::Enforce)
        .collect();
    let numbers: BTreeSet<usize> = enforced.iter().map(|pack| pack.facts_number()).collect();
    let never = matches!(property.claim, carnet_prove::Claim::Never { .. });
    // A pack that takes the registry's word alone denies more than its rules say.
    if let Some(strict) = enforced
        .iter()
        .find(|pack| pack.trust() == Trust::Registry && !never)
    {
        let why = format!(
            "pack `{}` refuses what rests on the operator's own word, which no rule of it says",
            strict.name()
        );
        return Ok(open(&why));
    }
    if numbers.len() > 1 && !never {
        let why = "the packs read the facts differently (lineage, share, confidence …), so no one request is the same to both";
        return Ok(open(why));
    }
    let mut last = None;
    for number in numbers {
        let group: Vec<&carnet_policy::Pack> = enforced
            .iter()
            .filter(|pack| pack.facts_number() == number)
            .copied()
            .collect();
        let answer = ask(
            args, question, &property, &condition, &group, policies, cvc5, day,
        )?;
        // Of packs that read the facts alike those that never permit are enough.
        if answer.exit == Exit::Good {
            return Ok(answer);
        }
        last = match last {
            None => Some(answer),
            Some(_) => Some(open(
                "no group of packs that read the facts alike proves it alone, and all of them in one question cannot be asked",
            )),
        };
    }
    Ok(last.unwrap_or_else(|| open("no pack is enforced")))
}

fn open(why: &str) -> Answer {
    Answer {
        proof: json!({ "outcome": "inconclusive", "why": { "reason": why } }),
        story: vec![why.to_owned()],
        exit: Exit::Unknown,
        cached: false,
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "one question, with all that it is put to"
)]
fn ask(
    args: &ProveArgs,
    question: &Question,
    property: &Property,
    condition: &str,
    group: &[&carnet_policy::Pack],
    policies: &Arc<Policies>,
    cvc5: &Cvc5,
    day: Date,
) -> Result<Answer, Troubles> {
    let mut property = property.clone();
    let mut assumed = always_true(group, condition);
    if question.world == World::This {
        let view = world::view_of(&args.facts, day)?;
        let decider = Decider::new(policies.clone(), view, DeciderOptions::default()).map_err(
            |problems| {
                problems
                    .into_iter()
                    .map(Trouble::from)
                    .collect::<Troubles>()
            },
        )?;
        assumed.extend(known_here(&decider, condition, day));
    }
    for text in assumed {
        match Condition::parse(&text) {
            Ok(condition) => property = property.assuming(condition),
            Err(problem) => {
                let why = format!(
                    "the facts of this registry are too many to state: {}",
                    problem.message
                );
                return Ok(open(&why));
            }
        }
    }
    let packs: Vec<Pack> = group
        .iter()
        .map(|pack| Pack {
            name: pack.name().to_owned(),
            rules: pack.rules_on(day),
        })
        .collect();
    let key = cache_key(&property, &packs, SCHEMA, &cvc5.version);
    let store = store(args);
    if let Some(proof) = store.as_deref().and_then(|folder| remembered(folder, &key)) {
        return Ok(answer(proof, true));
    }
    let limit = Duration::from_secs(args.timeout);
    let proof = Prover::new(policies.schema(), &cvc5.solver)
        .limit(limit)
        .prove(&property, &packs, &permits)
        .map_err(|error| {
            vec![Trouble::new(
                error.to_string(),
                "correct the property or the pack",
            )]
        })?;
    let story = match &proof {
        Proof::Disproved { counterexample } => {
            let told = |path: &str| {
                group
                    .iter()
                    .any(|pack| pack.reads().any(|read| read == path))
                    || condition.contains(&format!("resource.{path}"))
            };
            story(counterexample, &told)
        }
        Proof::Inconclusive { why, .. } => vec![why.to_string()],
        Proof::Proved { vacuous: true } => vec![
            "no request at all meets the condition, so this says nothing: is a word in it misspelt?"
                .to_owned(),
        ],
        Proof::Proved { .. } => Vec::new(),
    };
    let mut value = serde_json::to_value(&proof).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("story".to_owned(), json!(story));
    }
    let on_record = record(
        args,
        NewProof {
            // A record is one line.
            property: question
                .text
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
            outcome: match &proof {
                Proof::Disproved { .. } => ProofOutcome::Disproved,
                Proof::Inconclusive { .. } => ProofOutcome::Inconclusive,
                Proof::Proved { .. } => ProofOutcome::Proved,
            },
            policy_version: policies.version().to_owned(),
            question: key.clone(),
            solver: cvc5.version.clone(),
        },
    );
    if let (Some(record), Some(object)) = (on_record, value.as_object_mut()) {
        object.insert("record".to_owned(), json!(record));
    }
    // What was not decided is tried again, perhaps with more time.
    if !matches!(proof, Proof::Inconclusive { .. })
        && let Some(folder) = &store
    {
        keep(folder, &key, &value);
    }
    Ok(answer(value, false))
}

/// Put a proof into the log of the running server: the id of its record. Without a server it is only kept.
fn record(args: &ProveArgs, proof: NewProof) -> Option<String> {
    let state = State::find(args.facts.state.as_deref()).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let recorded = runtime.block_on(async {
        let Some(mut client) = Client::connect(&state.socket()).await? else {
            return Ok(None);
        };
        client.record_proof(&proof).await.map(Some)
    });
    match recorded {
        Ok(answer) => answer.map(|answer| answer.record),
        Err(error) => {
            let error: carnet_admin::ClientError = error;
            out::note(format_args!(
                "note: the proof is not in the log of the running server: {error}"
            ));
            None
        }
    }
}

/// Where proofs are kept; nowhere without a state directory that is there.
fn store(args: &ProveArgs) -> Option<PathBuf> {
    let state = State::find(args.facts.state.as_deref()).ok()?;
    let folder = state.audit().parent()?.to_path_buf();
    folder.is_dir().then(|| folder.join("proofs"))
}

fn remembered(folder: &Path, key: &str) -> Option<Value> {
    let text = world::read_text(&folder.join(format!("{key}.json"))).ok()?;
    serde_json::from_str(&text).ok()
}

/// Keep a proof. It can always be made again, so that it could not be kept is only said.
fn keep(folder: &Path, key: &str, value: &Value) {
    let made = std::fs::create_dir_all(folder);
    let file = folder.join(format!("{key}.json"));
    let text = value.to_string();
    if made.is_err() || world::write(&file, text.as_bytes()).is_err() {
        out::note(format_args!(
            "note: the proof could not be kept in `{}`",
            folder.display()
        ));
    }
}

fn answer(proof: Value, cached: bool) -> Answer {
    let outcome = proof.get("outcome").and_then(Value::as_str);
    let exit = match outcome {
        Some("proved") => Exit::Good,
        Some("disproved") => Exit::Bad,
        _ => Exit::Unknown,
    };
    let lines = proof.get("story").and_then(Value::as_array);
    let story = lines.into_iter().flatten().filter_map(Value::as_str);
    Answer {
        story: story.map(str::to_owned).collect(),
        proof,
        exit,
        cached,
    }
}

fn told(question: &Question, problem: &PropertyProblem) -> Troubles {
    vec![Trouble::new(
        format!(
            "in `{}`, {}:{}: {}",
            question.title, problem.line, problem.column, problem.message
        ),
        problem.help.clone(),
    )]
}

/// A counterexample as a story. `told` says whether an attribute of the target is asked for.
pub(crate) fn story(found: &Counterexample, told: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut lines = vec!["This request breaks it, and the ordinary authorizer agrees:".to_owned()];
    lines.push("a caller with".to_owned());
    for (name, value) in &found.principal.attributes {
        let path = format!("principal.{name}");
        if found.matters.contains(name) || found.matters.contains(&path) {
            lines.push(format!("  {} {}", words(name), shown(value)));
        }
    }
    lines.extend(above(&found.principal, "stands in"));
    lines.push("asks for a model and host with".to_owned());
    for (name, value) in &found.resource.attributes {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields.iter() {
                    if told(&format!("{name}.{field}")) {
                        lines.push(format!(
                            "  {} {} {}",
                            words(name),
                            words(field),
                            shown(value)
                        ));
                    }
                }
            }
            _ if told(name) => lines.push(format!("  {} {}", words(name), shown(value))),
            _ => {}
        }
    }
    lines.extend(above(&found.resource, "comes from"));
    for answer in &found.answers {
        let word = if answer.permits { "permits" } else { "denies" };
        lines.push(format!(
            "pack {} {word} it, by {}",
            answer.pack,
            answer.rules.join(", ")
        ));
    }
    lines
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// A value; names that the solver made up mean any that no rule names.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text_shown(text),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => {
            let items: BTreeSet<String> = items.iter().map(shown).collect();
            items.into_iter().collect::<Vec<_>>().join(", ")
        }
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

/// A made-up name is the empty text or a single letter.
fn text_shown(text: &str) -> String {
    if text.chars().count() < 2 {
        "(some other)".to_owned()
    } else {
        text.to_owned()
    }
}

/// What stands above a caller or target.
fn above(party: &Party, how: &str) -> Option<String> {
    let above: Vec<&str> = party.ancestors.iter().map(String::as_str).collect();
    (!above.is_empty()).then(|| format!("  {how} {}", above.join(", ")))
}

/// Whether everything that the new packs permit the old ones permitted, for any registry; none when
/// that cannot be asked.
pub(crate) fn implies(old: &Policies, new: &Policies, day: Date, limit: Duration) -> Option<Proof> {
    let cvc5 = std::env::var_os("CVC5");
    let path = std::env::var_os("PATH");
    let solver = Solver::find(cvc5.as_deref(), path.as_deref()).ok()?;
    let enforced = |policies: &Policies| -> Vec<Pack> {
        let packs = policies.packs().iter();
        packs
            .filter(|pack| pack.mode() == Mode::Enforce)
            .map(|pack| Pack {
                name: pack.name().to_owned(),
                rules: pack.rules_on(day),
            })
            .collect()
    };
    let mut property = Property::new(carnet_prove::Claim::Implies {
        old: enforced(old),
        new: enforced(new),
    });
    let all: Vec<&carnet_policy::Pack> = old.packs().iter().chain(new.packs()).collect();
    let (first, rest) = all.split_first()?;
    // Where packs read the facts differently, no one request is the same to both.
    // And what a pack with `trust = "registry"` refuses, no rule says.
    let strict = all.iter().any(|pack| pack.trust() == Trust::Registry);
    if strict || rest.iter().any(|pack| !pack.reads_facts_as(first)) {
        return None;
    }
    for text in always_true(&all, "true") {
        property = property.assuming(Condition::parse(&text).ok()?);
    }
    let prover = Prover::new(new.schema(), &solver).limit(limit);
    prover.prove(&property, &[], &permits).ok()
}
