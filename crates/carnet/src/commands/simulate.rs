//! `carnet policy simulate`: recorded or written requests under a candidate policy: who would be newly
//! refused or let through.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use carnet_audit::{Detection, Kind as RecordKind, Leaf, Reader, Ruling};
use carnet_gateway::facts_of;
use carnet_guard::{Class, Confidence, Kind};
use carnet_policy::{Api, Ask, Decider, DeciderOptions, Finding, TargetSpec, Verdict, Workload};
use carnet_provenance::{Query, Resolution, View};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::cli::SimulateArgs;
use crate::config::{self, Config};
use crate::exit::Exit;
use crate::rules;
use crate::state::State;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, out, world};

/// Examples that a line shows.
const EXAMPLES: usize = 3;

/// Mistakes of the input that are told at once.
const TROUBLES_MAX: usize = 20;

/// Bytes of one line of the input.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// One line of a file of requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    host: Option<String>,
    platform: Option<String>,
    region: Option<String>,
    workload: Option<Who>,
    count: Option<u64>,
    /// What was decided, if that is to be compared with.
    decision: Option<Word>,
}

/// A workload of the configuration, or one that is described.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Who {
    Named(String),
    Described(Box<Workload>),
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Permit,
    Deny,
    ReportDeny,
}

/// A request to put to both policies.
struct Asked {
    workload: Workload,
    spec: TargetSpec,
    resolution: Resolution,
    count: u64,
    /// Whether it was permitted, where that is recorded.
    permitted: Option<bool>,
}

/// Requests whose answer changed for the same reason.
#[derive(Debug, Default, Serialize)]
struct Group {
    requests: u64,
    examples: Vec<String>,
}

/// What a simulation found.
#[derive(Debug, Default, Serialize)]
struct Found {
    requests: u64,
    unchanged: u64,
    newly_refused: u64,
    newly_let_through: u64,
    /// Recorded requests that the configuration no longer names.
    not_asked: u64,
    refused: BTreeMap<String, BTreeMap<String, Group>>,
    let_through: BTreeMap<String, BTreeMap<String, Group>>,
}

pub(crate) fn run(args: &SimulateArgs) -> Result<Exit, Troubles> {
    let config = match &args.config {
        Some(file) => Some(config::load(file)?),
        None => {
            let here = Path::new("carnet.toml");
            here.exists().then(|| config::load(here)).transpose()?
        }
    };
    let day = args.facts.as_of.unwrap_or_else(clock::today);
    let view = view(args, config.as_ref(), day)?;
    let decider = |policies| {
        Decider::new(policies, view.clone(), DeciderOptions::default()).map_err(|problems| {
            let troubles: Troubles = problems.into_iter().map(Trouble::from).collect();
            troubles
        })
    };
    let new = decider(rules::described(&args.policy, &args.param)?)?;
    let old = match (&args.old, &config) {
        (Some(old), _) => Some(decider(rules::described(old, &[])?)?),
        // Recorded decisions are compared with as they were.
        (None, Some(config)) if args.input.is_some() => Some(decider(world::policies(
            &config.packs,
            &config.base,
            &config.settings,
        )?)?),
        _ => None,
    };
    let mut found = Found::default();
    let asked = match &args.input {
        Some(file) => lines(file, config.as_ref(), &view, day)?,
        None => records(args, config.as_ref(), &view, day, &mut found)?,
    };
    for asked in asked {
        judge(&asked, old.as_ref(), &new, day, &mut found)?;
    }
    let exit = if found.newly_refused + found.newly_let_through > 0 {
        Exit::Bad
    } else {
        Exit::Good
    };
    if args.json {
        return Ok(commands::json(&found).worst(exit));
    }
    out::answer(out::plain(&text(&found)));
    Ok(exit)
}

fn view(args: &SimulateArgs, config: Option<&Config>, day: Date) -> Result<Arc<View>, Troubles> {
    let folder = args.facts.registry.as_deref();
    let folder = folder.or_else(|| config?.registry.as_deref());
    let registry = world::registry_in(folder, args.facts.state.as_deref())?;
    let mut overlay = config.map_or_else(Vec::new, |config| config.overlay.clone());
    overlay.extend(args.facts.overlay.iter().cloned());
    world::view(&registry, &overlay, day)
}

/// Put one request to both policies.
fn judge(
    asked: &Asked,
    old: Option<&Decider>,
    new: &Decider,
    day: Date,
    found: &mut Found,
) -> Result<(), Troubles> {
    let instant = start(day)?;
    let before = match (old, asked.permitted) {
        (Some(old), _) => verdict(old, asked, day, instant).is_permit(),
        (None, Some(permitted)) => permitted,
        (None, None) => {
            return Err(vec![Trouble::new(
                "nothing says how these requests are answered today",
                "give --old POLICY, a carnet.toml, or a `decision` in each line",
            )]);
        }
    };
    let now = verdict(new, asked, day, instant);
    found.requests += asked.count;
    let groups = match (before, now.is_permit()) {
        (true, false) => {
            found.newly_refused += asked.count;
            &mut found.refused
        }
        (false, true) => {
            found.newly_let_through += asked.count;
            &mut found.let_through
        }
        _ => {
            found.unchanged += asked.count;
            return Ok(());
        }
    };
    let unknown = carnet_policy::UNKNOWN;
    let team = if asked.workload.team == unknown {
        format!("workload {}", asked.workload.id)
    } else {
        format!("team {}", asked.workload.team)
    };
    let why: Vec<String> = now
        .reasons()
        .iter()
        .map(|reason| format!("{} [{}/{}]", reason.title, reason.pack, reason.rule))
        .collect();
    let group = groups
        .entry(team)
        .or_default()
        .entry(why.join("; "))
        .or_default();
    group.requests += asked.count;
    let example = format!("{} to {}", asked.workload.id, asked.spec.name);
    if group.examples.len() < EXAMPLES && !group.examples.contains(&example) {
        group.examples.push(example);
    }
    Ok(())
}

fn verdict(decider: &Decider, asked: &Asked, day: Date, instant: Timestamp) -> Arc<Verdict> {
    let principal = decider.principal(&asked.workload);
    let target = decider.target(asked.spec.clone(), asked.resolution.clone(), day);
    let ask = Ask {
        api: Api::ChatCompletions,
        stream: false,
    };
    let decision = decider.decide(&principal, &target, &ask, &[], instant);
    decision.verdict().clone()
}

fn start(day: Date) -> Result<Timestamp, Troubles> {
    let zoned = day.to_zoned_datetime(jiff::tz::TimeZone::UTC);
    zoned.map(|zoned| zoned.timestamp()).map_err(|error| {
        vec![Trouble::new(
            format!("`{day}` is out of range: {error}"),
            "give a day such as 2026-01-31",
        )]
    })
}

/// Requests of a file of JSON Lines, or of standard input.
fn lines(
    file: &Path,
    config: Option<&Config>,
    view: &View,
    day: Date,
) -> Result<Vec<Asked>, Troubles> {
    let name = file.display().to_string();
    let input: Box<dyn BufRead> = if name == "-" {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        let opened = std::fs::File::open(file).map_err(|error| {
            Trouble::io(
                "read it",
                file,
                &error,
                "check the path and its permissions",
            )
        })?;
        Box::new(BufReader::new(opened))
    };
    let mut input = input;
    // Requests alike are asked once, however many lines there are.
    let mut found: BTreeMap<String, Asked> = BTreeMap::new();
    let mut troubles = Vec::new();
    for number in 1_usize.. {
        if troubles.len() >= TROUBLES_MAX {
            break;
        }
        let mut text = String::new();
        let read = input.by_ref().take(LINE_BYTES_MAX).read_line(&mut text);
        let read = read.map_err(|error| {
            vec![Trouble::new(
                format!("{name}:{number}: {error}"),
                "give UTF-8 text, one JSON object a line",
            )]
        })?;
        if read == 0 {
            break;
        }
        if text.trim().is_empty() {
            continue;
        }
        let line = serde_json::from_str::<Line>(&text).map_err(|error| error.to_string());
        let known = line.map(|mut line| {
            let count = line.count.take().unwrap_or(1);
            (format!("{line:?}"), line, count)
        });
        let kept = known.and_then(|(key, line, count)| {
            let asked = match found.entry(key) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(asked(line, config, view, day)?),
            };
            asked.count = asked.count.saturating_add(count);
            Ok::<(), String>(())
        });
        match kept {
            Ok(()) => {}
            Err(message) => troubles.push(Trouble::new(
                format!("{name}:{number}: {message}"),
                r#"write {"id": "…", "host": "…", "workload": {"sector": "…"}, "count": 1, "decision": "permit"}"#,
            )),
        }
    }
    if troubles.is_empty() {
        Ok(found.into_values().collect())
    } else {
        Err(troubles)
    }
}

fn asked(line: Line, config: Option<&Config>, view: &View, day: Date) -> Result<Asked, String> {
    let workload = match line.workload {
        None => Workload::default(),
        Some(Who::Described(workload)) => *workload,
        Some(Who::Named(name)) => named(config, &name)
            .ok_or_else(|| format!("the configuration names no workload `{name}`"))?,
    };
    let resolution = view.resolve(&Query {
        id: &line.id,
        platform: line.platform.as_deref(),
        host: line.host.as_deref(),
        upstream: None,
        region: line.region.as_deref(),
        as_of: day,
    });
    let place = line.host.as_deref().map(|host| format!("{host}/"));
    let spec = TargetSpec {
        name: format!("{}{}", place.unwrap_or_default(), line.id).into(),
        upstream: line.host.as_deref().unwrap_or("unknown").into(),
        origin: "unknown".into(),
        upstream_model: line.id.as_str().into(),
        host: None,
    };
    Ok(Asked {
        workload,
        spec,
        resolution,
        count: 0,
        permitted: line.decision.map(|word| word != Word::Deny),
    })
}

fn named(config: Option<&Config>, name: &str) -> Option<Workload> {
    let workloads = &config?.gateway.workloads;
    workloads.iter().find(|one| one.id == name).cloned()
}

/// What recorded requests have in common that are decided on alike.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Alike {
    workload: String,
    upstream: String,
    model: String,
    found: Vec<Finding>,
    permitted: bool,
}

/// What was found in a request, as rules ask for it: of each class the surest.
fn findings(detections: &[Detection]) -> Vec<Finding> {
    let of = |class: Class| {
        let kinds = Kind::ALL
            .into_iter()
            .filter(move |kind| kind.class() == class);
        let kinds: Vec<&str> = kinds.map(Kind::as_str).collect();
        let found = detections.iter().filter(|one| kinds.contains(&&*one.kind));
        let sure = |one: &Detection| {
            let mut all = Confidence::ALL.into_iter();
            all.find(|confidence| confidence.as_str() == one.confidence)
        };
        let surest = found.filter_map(sure).max()?;
        Finding::try_from(format!("{}/{}", class.as_str(), surest.as_str())).ok()
    };
    Class::ALL.into_iter().filter_map(of).collect()
}

/// The decided requests of the log, those alike counted together.
fn records(
    args: &SimulateArgs,
    config: Option<&Config>,
    view: &View,
    day: Date,
    found: &mut Found,
) -> Result<Vec<Asked>, Troubles> {
    let Some(config) = config else {
        return Err(vec![Trouble::new(
            "recorded requests need the configuration that names their workloads and upstreams",
            "give --config FILE, or --input FILE with requests of your own",
        )]);
    };
    let folder = State::find(args.facts.state.as_deref())?.audit();
    let reader = Reader::open(&folder).map_err(|error| {
        vec![Trouble::new(
            error.to_string(),
            "--state DIR names the state directory of the server; --input FILE reads requests of your own",
        )]
    })?;
    let mut counts: BTreeMap<Alike, u64> = BTreeMap::new();
    for entry in reader.newest() {
        let entry = entry.map_err(|error| {
            vec![Trouble::new(
                error.to_string(),
                "check the log with `carnet audit verify`",
            )]
        })?;
        let Leaf::Record(record) = entry.leaf else {
            continue;
        };
        // Records stand in the order in which requests ended, not in which they came.
        if args
            .since
            .is_some_and(|since| clock::day_of(record.time) < since)
        {
            continue;
        }
        let (RecordKind::Request, Some(decision)) = (record.kind, record.decision) else {
            continue;
        };
        let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
        let alike = Alike {
            workload: text(&record.workload),
            upstream: text(&record.upstream),
            model: text(&record.requested_model),
            found: findings(&record.detections),
            permitted: decision != Ruling::Deny,
        };
        *counts.entry(alike).or_default() += record.count.unwrap_or(1);
    }
    let mut all = Vec::new();
    let mut missing = BTreeSet::new();
    for (alike, count) in counts {
        let (workload, upstream, model) = (alike.workload, alike.upstream, alike.model);
        let target = config
            .gateway
            .upstreams
            .iter()
            .filter(|one| upstream.is_empty() || *one.name == *upstream)
            .find_map(|one| {
                let (name, own) = one.models.iter().find(|(name, _)| **name == *model)?;
                Some(facts_of(view, one, name, own, day))
            });
        match (named(Some(config), &workload), target) {
            (Some(mut workload), Some((spec, resolution))) => {
                // As the server would see it that has this configuration.
                workload.found = config.gateway.server.detect.then_some(alike.found);
                all.push(Asked {
                    workload,
                    spec,
                    resolution,
                    count,
                    permitted: Some(alike.permitted),
                });
            }
            _ => {
                found.not_asked += count;
                missing.insert(format!("{workload} to {model}"));
            }
        }
    }
    for name in missing.iter().take(EXAMPLES) {
        out::note(format_args!(
            "note: not asked, since the configuration no longer names it: {name}"
        ));
    }
    Ok(all)
}

fn text(found: &Found) -> String {
    let mut lines = vec![format!(
        "{} requests: {} newly refused, {} newly let through, {} as before{}",
        found.requests,
        found.newly_refused,
        found.newly_let_through,
        found.unchanged,
        if found.not_asked > 0 {
            format!("; {} not asked", found.not_asked)
        } else {
            String::new()
        }
    )];
    for (title, groups) in [
        ("Newly refused", &found.refused),
        ("Newly let through", &found.let_through),
    ] {
        if groups.is_empty() {
            continue;
        }
        lines.push(String::new());
        lines.push(title.to_owned());
        for (team, reasons) in groups {
            let sum: u64 = reasons.values().map(|group| group.requests).sum();
            lines.push(format!("  {team}: {sum}"));
            for (why, group) in reasons {
                lines.push(format!("    {:>6}  {why}", group.requests));
                lines.push(format!(
                    "            for example {}",
                    group.examples.join(", ")
                ));
            }
        }
    }
    lines.join("\n")
}
