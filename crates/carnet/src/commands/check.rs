//! `carnet check`: would this be permitted, and why.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_gateway::facts_of;
use carnet_policy::{
    Api, Ask, CallerOwner, Decider, DeciderOptions, Effect, Finding, Percent, Policies, Situation,
    TargetSpec, Verdict, Workload,
};
use carnet_provenance::{Query, Resolution, View, suggest_overlay};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::cli::CheckArgs;
use crate::config::{self, Config};
use crate::engine::OWN_HOST;
use crate::exit::Exit;
use crate::rules::{self, Settings};
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, out, world};

/// An answer, what it was asked of, and the lines for an overlay that would tell what it lacks.
pub(crate) struct Answer {
    pub(crate) verdict: Arc<Verdict>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) workload: Workload,
    pub(crate) overlay: Option<String>,
}

pub(crate) fn run(args: &CheckArgs) -> Exit {
    answer(args, |answer| {
        let overlay = answer.overlay.as_deref();
        let overlay = overlay.filter(|_| answer.verdict.effect() == Effect::Deny);
        describe(&args.id, &answer.verdict, overlay)
    })
}

/// Decide and print: the document as JSON, or the answer as this text.
pub(crate) fn answer(args: &CheckArgs, text: impl FnOnce(&Answer) -> String) -> Exit {
    match decide(args) {
        Ok(answer) => {
            if args.json {
                out::answer(answer.verdict.json());
            } else {
                out::answer(out::plain(&text(&answer)));
            }
            if answer.verdict.effect() == Effect::Permit {
                Exit::Good
            } else {
                Exit::Bad
            }
        }
        Err(troubles) => commands::failed(&troubles),
    }
}

fn decide(args: &CheckArgs) -> Result<Answer, Troubles> {
    let config = configuration(args)?;
    let workload = workload(args, config.as_ref())?;
    let instant = instant(args)?;
    let as_of = clock::day_of(instant);
    let registry_folder = args
        .facts
        .registry
        .as_deref()
        .or_else(|| config.as_ref()?.registry.as_deref());
    let registry = world::registry_in(registry_folder, args.facts.state.as_deref())?;
    let mut overlay = config
        .as_ref()
        .map_or_else(Vec::new, |config| config.overlay.clone());
    overlay.extend(args.facts.overlay.iter().cloned());
    let view = world::view(&registry, &overlay, as_of)?;
    if let Some(host) = &args.host
        && view.host(host).is_none()
    {
        return Err(vec![Trouble::new(
            format!("there is no host `{host}`"),
            "`carnet registry list hosts` lists them; an overlay may add one",
        )]);
    }
    let policies = policies(args, config.as_ref())?;
    let decider =
        Decider::new(policies, view.clone(), DeciderOptions::default()).map_err(|problems| {
            problems
                .into_iter()
                .map(Trouble::from)
                .collect::<Troubles>()
        })?;
    let principal = decider.principal(&workload);
    let mut others: Vec<_> = config
        .iter()
        .flat_map(|config| configured(config, &view, as_of))
        .collect();
    let ask = Ask {
        api: Api::ChatCompletions,
        stream: false,
    };
    let asked = if args.host.is_none() && args.platform.is_none() {
        let members = config.as_ref().and_then(|config| members(args, config));
        match members {
            Some(members) => {
                let permits = |spec: &TargetSpec, resolution: &Resolution| {
                    let target = decider.target(spec.clone(), resolution.clone(), as_of);
                    decider.permits(&principal, &target, &ask, instant)
                };
                member(args, &members, &others, permits)
            }
            None => others.iter().position(|(name, ..)| **name == *args.id),
        }
    } else {
        None
    };
    let (spec, resolution) = match asked.map(|at| others.remove(at)) {
        Some((_, spec, resolution)) => (spec, resolution),
        None => made_up(args, &view, as_of),
    };
    // Where no host was named there is nothing yet that an overlay could describe.
    let described = match (asked, &args.host) {
        (Some(_), _) => Some(&*spec.upstream),
        (None, host) => host.as_deref(),
    };
    let suggestion = described.and_then(|upstream| suggest_overlay(&resolution, upstream));
    let target = decider.target(spec.clone(), resolution.clone(), as_of);
    let targets: Vec<_> = others
        .into_iter()
        .map(|(_, spec, resolution)| decider.target(spec, resolution, as_of))
        .collect();
    let mut verdict = decider
        .decide(&principal, &target, &ask, &targets, instant)
        .verdict()
        .clone();
    if verdict.effect() == Effect::Deny {
        let situation = Situation {
            workload: &workload,
            spec: &spec,
            resolution: &resolution,
            as_of,
            ask,
        };
        let ways = decider.what_if(&situation, &places(args, &view, as_of));
        verdict = Arc::new(verdict.with_ways_out(ways));
    }
    Ok(Answer {
        verdict,
        policies: decider.policies().clone(),
        workload,
        overlay: suggestion,
    })
}

/// The members of the pool that is called so, each as upstream and model.
fn members<'a>(args: &CheckArgs, config: &'a Config) -> Option<Vec<(&'a str, &'a str)>> {
    let pools = &config.gateway.pools;
    let pool = pools.iter().find(|pool| *pool.name == *args.id)?;
    let members = pool.members.iter();
    Some(
        members
            .map(|member| (&*member.upstream, &*member.model))
            .collect(),
    )
}

/// The member of a pool that the answer is about: the first that is permitted, else the first.
fn member(
    args: &CheckArgs,
    members: &[(&str, &str)],
    all: &[(Arc<str>, TargetSpec, Resolution)],
    permits: impl Fn(&TargetSpec, &Resolution) -> bool,
) -> Option<usize> {
    let at = |(upstream, model): &(&str, &str)| {
        all.iter()
            .position(|(name, spec, _)| *spec.upstream == **upstream && **name == **model)
    };
    let mut places = members.iter().filter_map(at);
    let permitted = places.clone().filter(|at| {
        let one = all.get(*at);
        one.is_some_and(|(_, spec, resolution)| permits(spec, resolution))
    });
    let permitted: Vec<usize> = permitted.collect();
    let chosen = permitted.first().copied().or_else(|| places.next())?;
    let (_, spec, _) = all.get(chosen)?;
    out::note(format!(
        "note: `{}` is a pool of {} models, of which {} are permitted; this is about `{}`",
        args.id,
        members.len(),
        permitted.len(),
        spec.name
    ));
    Some(chosen)
}

/// A target that no configuration names: the id on the host that was given.
fn made_up(args: &CheckArgs, view: &View, as_of: Date) -> (TargetSpec, Resolution) {
    if args.host.is_none() {
        out::note(
            "note: no host was named; `--host H` says where it would run (`carnet registry list hosts`)",
        );
    }
    let resolution = view.resolve(&Query {
        id: &args.id,
        platform: args.platform.as_deref(),
        host: args.host.as_deref(),
        upstream: None,
        region: args.region.as_deref(),
        as_of,
    });
    let spec = TargetSpec {
        name: args.id.as_str().into(),
        upstream: args.host.as_deref().unwrap_or("unknown").into(),
        origin: "unknown".into(),
        upstream_model: args.id.as_str().into(),
        host: resolution
            .hosting
            .as_ref()
            .map(|hosting| hosting.host.clone()),
    };
    (spec, resolution)
}

/// The same model at the hosts that the registry knows. Which host offers which model it does not
/// know, and the text says so.
fn places(args: &CheckArgs, view: &View, as_of: Date) -> Vec<(String, Resolution)> {
    let mut found = Vec::new();
    for host in view.hosts() {
        // Its own host serves one model that no other offers.
        if args.host.as_deref() == Some(host.as_str()) || host.as_str() == OWN_HOST {
            continue;
        }
        let resolution = view.resolve(&Query {
            id: &args.id,
            platform: None,
            host: Some(host.as_str()),
            upstream: None,
            region: None,
            as_of,
        });
        found.push((format!("{host}, if it is offered there"), resolution));
    }
    found
}

/// The packs that are asked, with what is set for them: of a pack that the configuration names too,
/// what it sets.
fn policies(args: &CheckArgs, config: Option<&Config>) -> Result<Arc<Policies>, Troubles> {
    let settings = config.map_or_else(Settings::new, |config| config.settings.clone());
    let (packs, base) = match (&*args.pack, config) {
        ([], Some(config)) => (config.packs.clone(), config.base.clone()),
        ([], None) => (vec!["default".to_owned()], PathBuf::new()),
        (packs, _) => (packs.to_vec(), PathBuf::new()),
    };
    let settings = rules::given(&args.param, &packs, &base, settings)?;
    world::policies(&packs, &base, &settings)
}

/// The configuration that was named, or the one that lies here; a workload needs one.
fn configuration(args: &CheckArgs) -> Result<Option<Config>, Troubles> {
    let here = Path::new("carnet.toml");
    match &args.config {
        Some(file) => config::load(file).map(Some),
        None if here.exists() || args.workload.is_some() => config::load(here).map(Some),
        None => Ok(None),
    }
}

/// The configured models: what a counterfactual may name.
fn configured(
    config: &Config,
    view: &View,
    as_of: Date,
) -> Vec<(Arc<str>, TargetSpec, Resolution)> {
    let mut all = Vec::new();
    for upstream in &config.gateway.upstreams {
        for (name, own) in &upstream.models {
            let (spec, resolution) = facts_of(view, upstream, name, own, as_of);
            all.push((name.clone(), spec, resolution));
        }
    }
    all
}

/// The instant of the question: now, or the beginning of the day given.
fn instant(args: &CheckArgs) -> Result<Timestamp, Troubles> {
    let Some(day) = args.facts.as_of else {
        return Ok(clock::now());
    };
    day.to_zoned_datetime(TimeZone::UTC)
        .map(|zoned| zoned.timestamp())
        .map_err(|error| {
            vec![Trouble::new(
                format!("`{day}` is out of range: {error}"),
                "give a day such as 2026-01-31",
            )]
        })
}

fn workload(args: &CheckArgs, config: Option<&Config>) -> Result<Workload, Troubles> {
    if let Some(name) = &args.workload {
        let workloads = config.map_or(&[][..], |config| &config.gateway.workloads);
        return workloads
            .iter()
            .find(|workload| workload.id == *name)
            .cloned()
            .ok_or_else(|| {
                let known: Vec<&str> = workloads
                    .iter()
                    .map(|workload| workload.id.as_str())
                    .collect();
                vec![Trouble::new(
                    format!("the configuration names no workload `{name}`"),
                    format!("it names {}", known.join(", ")),
                )]
            });
    }
    let mut workload = Workload {
        id: "made-up".to_owned(),
        ..Workload::default()
    };
    let mut troubles = Vec::new();
    for pair in &args.set {
        let Some((name, value)) = pair.split_once('=') else {
            troubles.push(Trouble::new(
                format!("`{pair}` is not NAME=VALUE"),
                "for example --set sector=government",
            ));
            continue;
        };
        if let Err(trouble) = set(&mut workload, name.trim(), value.trim()) {
            troubles.push(trouble);
        }
    }
    if troubles.is_empty() {
        Ok(workload)
    } else {
        Err(troubles)
    }
}

fn set(workload: &mut Workload, name: &str, value: &str) -> Result<(), Trouble> {
    let text = value.to_owned();
    let list = || {
        value
            .split(',')
            .map(|word| word.trim().to_owned())
            .filter(|word| !word.is_empty())
            .collect()
    };
    match name {
        "id" => workload.id = text,
        "team" => workload.team = text,
        "sector" => workload.sector = text,
        // A country that is none belongs to no group, and many rules would not speak of it.
        "country" if !(value.len() == 2 && value.bytes().all(|b| b.is_ascii_uppercase())) => {
            return Err(Trouble::new(
                format!("`{value}` is not a country code"),
                "write two upper-case letters as in ISO 3166-1",
            ));
        }
        "country" => workload.country = Some(text),
        "nationality" => workload.nationality = text,
        "device" => workload.device = text,
        "purpose" => workload.purpose = text,
        "tenant" => workload.tenant = text,
        "audience" => workload.audience = text,
        "contracts" => workload.contracts = Some(list()),
        "data_classes" => workload.data_classes = Some(list()),
        "data_subjects" => workload.data_subjects = Some(list()),
        "found" => workload.found = Some(found(value)?),
        "owners" => workload.owners = Some(owners(value)?),
        "tags" => workload.tags = list(),
        _ => {
            return Err(Trouble::new(
                format!("a workload has no attribute `{name}`"),
                "it has id, sector, country, team, nationality, device, purpose, tenant, audience, contracts, data_classes, data_subjects, found, owners, tags (lists with commas)",
            ));
        }
    }
    Ok(())
}

/// What detectors found in the prompt: `personal-data/high,health/low`; empty when they found nothing.
fn found(text: &str) -> Result<Vec<Finding>, Trouble> {
    let words = text.split(',').map(str::trim);
    words
        .filter(|word| !word.is_empty())
        .map(|word| Finding::try_from(word.to_owned()))
        .collect::<Result<_, _>>()
        .map_err(|message| {
            Trouble::new(
                format!("`{text}`: {message}"),
                "separate several with commas",
            )
        })
}

/// Owners of the caller's organisation: `CN:60,US:40`, with `*` for one that controls it whatever
/// its share (`CN:*`).
fn owners(text: &str) -> Result<Vec<CallerOwner>, Trouble> {
    let words = text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    words
        .map(|word| {
            let wrong = || {
                Trouble::new(
                    format!("`{word}` is no owner"),
                    "write country and share in percent: owners=CN:60,US:40 (`CN:*` for control)",
                )
            };
            let (country, share) = word.split_once(':').ok_or_else(wrong)?;
            let control = share == "*";
            let percent = if control {
                None
            } else {
                let share: f64 = share.parse().map_err(|_| wrong())?;
                Some(Percent::try_from(share).map_err(|_| wrong())?)
            };
            Ok(CallerOwner {
                name: country.to_owned(),
                country: (country != "?").then(|| country.to_owned()),
                share: percent,
                control,
            })
        })
        .collect()
}

/// The decision for people.
fn describe(id: &str, verdict: &Verdict, overlay: Option<&str>) -> String {
    let word = if verdict.effect() == Effect::Permit {
        "PERMIT"
    } else {
        "DENY"
    };
    let mut lines = vec![format!("{word}  {id}")];
    for reason in verdict.reasons() {
        lines.push(format!(
            "  because   {} [{}/{}]",
            reason.title, reason.pack, reason.rule
        ));
        if let Some(source) = &reason.legal_source {
            lines.push(format!("            {source}"));
        }
    }
    for reason in verdict.report_deny() {
        lines.push(format!(
            "  reports   {} [{}/{}], without effect",
            reason.title, reason.pack, reason.rule
        ));
    }
    for obligation in verdict.obligations() {
        lines.push(format!("  obliges   to {}", obligation.as_str()));
    }
    for fact in verdict.facts() {
        let date = fact
            .date
            .map(|date| format!(", {date}"))
            .unwrap_or_default();
        lines.push(format!(
            "  rests on  {} = {} · {} · {}{date}",
            fact.claim, fact.value, fact.confidence, fact.source
        ));
        if let Some(attested) = &fact.attested {
            lines.push(format!("            attested by the operator: {attested}"));
        }
    }
    for other in verdict.counterfactuals() {
        lines.push(format!(
            "  instead   {} {}",
            match other.decision {
                Effect::Permit => "permitted",
                Effect::Deny => "denied",
            },
            other.change
        ));
    }
    if let Some(overlay) = overlay {
        lines.push("  to settle what is unknown, say in an overlay (fill in the dots):".to_owned());
        lines.extend(overlay.lines().map(|line| format!("    {line}")));
    }
    lines.join("\n")
}
