//! `carnet registry show`: one record, whatever kind it is.

use std::fmt::Write as _;

use carnet_provenance::{FlatClaim, Hosting, Party, Price, Relation, Resolution, View};
use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value;

use crate::cli::ShowArgs;
use crate::commands::registry::{difference, joined};
use crate::exit::Exit;
use crate::out::counted;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, out, world};

/// Everything of this id.
#[derive(Serialize)]
struct Answer {
    id: String,
    as_of: Date,
    found: Vec<Found>,
}

/// One record of this id.
#[derive(Serialize)]
struct Found {
    kind: &'static str,
    id: String,
    name: String,
    /// What stands in its file; null where only the operator's overlay describes it.
    record: Value,
    /// What follows on the day.
    #[serde(skip_serializing_if = "Follows::is_nothing")]
    answer: Follows,
    /// What rests on it: models made from a model or by a producer, producers on a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    beneath: Vec<Beneath>,
    /// What a host charges for its models, on all days.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prices: Vec<Price>,
    #[serde(skip)]
    claims: Vec<FlatClaim>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Follows {
    Host(Box<Hosting>),
    Model(Box<Resolution>),
    Nothing,
    Producer(Box<Party>),
}

#[derive(Serialize)]
struct Beneath {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    relation: Option<Relation>,
}

impl Follows {
    fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

pub(super) fn run(args: &ShowArgs) -> Result<Exit, Troubles> {
    let as_of = args.facts.as_of.unwrap_or_else(clock::today);
    let view = world::view_of(&args.facts, as_of)?;
    let answer = Answer {
        found: find(&view, &args.id, as_of),
        id: args.id.clone(),
        as_of,
    };
    if answer.found.is_empty() {
        return Err(vec![Trouble::new(
            format!("the registry has nothing with the id `{}`", args.id),
            "`carnet registry list models` (hosts, producers, aliases, lists, groups) lists the ids; `carnet resolve` reads any other name",
        )]);
    }
    if args.json {
        return Ok(commands::json(&answer));
    }
    out::answer(out::plain(described(&answer).trim_end()));
    Ok(Exit::Good)
}

/// Looks for one kind.
type Find = fn(&View, &str, Date) -> Option<Found>;

/// Every kind in which the id is known; `kind:ID` asks for one.
fn find(view: &View, id: &str, as_of: Date) -> Vec<Found> {
    let kinds: [(&str, Find); 6] = [
        ("model", model),
        ("producer", producer),
        ("host", host),
        ("alias", alias),
        ("list", list),
        ("group", group),
    ];
    let chosen = id.split_once(':').and_then(|(wanted, rest)| {
        let (_, find) = kinds.iter().find(|(kind, _)| *kind == wanted)?;
        find(view, rest, as_of)
    });
    if let Some(found) = chosen {
        return vec![found];
    }
    kinds
        .iter()
        .filter_map(|(_, find)| find(view, id, as_of))
        .collect()
}

fn value(record: Option<&impl Serialize>) -> Value {
    record
        .and_then(|record| serde_json::to_value(record).ok())
        .unwrap_or(Value::Null)
}

fn model(view: &View, id: &str, as_of: Date) -> Option<Found> {
    let answer = view.model_record(id, as_of)?;
    let record = view.registry().model(id);
    let made = view.descendants(id, as_of).into_iter();
    Some(Found {
        kind: "model",
        id: id.to_owned(),
        name: record.map_or(id, |model| &model.name).to_owned(),
        record: value(record),
        answer: Follows::Model(Box::new(answer)),
        beneath: made
            .map(|(id, relation)| Beneath {
                id: id.to_string(),
                relation: Some(relation),
            })
            .collect(),
        prices: Vec::new(),
        claims: record.map(|model| model.claims()).unwrap_or_default(),
    })
}

fn producer(view: &View, id: &str, as_of: Date) -> Option<Found> {
    let party = view.producer_record(id, as_of)?;
    let record = view.registry().producer(id);
    let by = |model: &&carnet_provenance::Model| {
        let mut held = model.producer.0.iter();
        held.any(|claim| claim.valid.holds_on(as_of) && claim.value.as_str() == id)
    };
    let models = view.registry().models().filter(by);
    Some(Found {
        kind: "producer",
        id: id.to_owned(),
        name: party.name.clone(),
        record: value(record),
        answer: Follows::Producer(Box::new(party)),
        beneath: models
            .map(|model| Beneath {
                id: model.id.to_string(),
                relation: None,
            })
            .collect(),
        prices: Vec::new(),
        claims: record.map(|producer| producer.claims()).unwrap_or_default(),
    })
}

fn host(view: &View, id: &str, as_of: Date) -> Option<Found> {
    view.host(id)?;
    let record = view.registry().host(id);
    let answer = view.host_record(id, as_of);
    let prices = view.registry().prices(id);
    let said = record.into_iter().flat_map(|host| host.claims());
    Some(Found {
        kind: "host",
        id: id.to_owned(),
        name: record.map_or(id, |host| &host.name).to_owned(),
        record: value(record),
        answer: answer.map_or(Follows::Nothing, |place| Follows::Host(Box::new(place))),
        beneath: Vec::new(),
        prices: prices.to_vec(),
        claims: said.chain(prices.iter().map(Price::claim)).collect(),
    })
}

fn alias(view: &View, id: &str, as_of: Date) -> Option<Found> {
    let record = view.registry().moving_aliases().find(|one| one.id == id)?;
    let answer = view.moving_record(id, as_of);
    Some(Found {
        kind: "alias",
        id: id.to_owned(),
        name: record.name.clone(),
        record: value(Some(record)),
        answer: answer.map_or(Follows::Nothing, |answer| Follows::Model(Box::new(answer))),
        beneath: Vec::new(),
        prices: Vec::new(),
        claims: record.claims(),
    })
}

fn list(view: &View, id: &str, as_of: Date) -> Option<Found> {
    let record = view.registry().lists().find(|one| one.id == id)?;
    let named = |producer: &&carnet_provenance::Producer| {
        let mut lists = producer.lists.iter();
        lists.any(|listing| listing.list == id && listing.valid.holds_on(as_of))
    };
    let producers = view.registry().producers().filter(named);
    Some(Found {
        kind: "list",
        id: id.to_owned(),
        name: record.name.clone(),
        record: value(Some(record)),
        answer: Follows::Nothing,
        beneath: producers
            .map(|producer| Beneath {
                id: producer.id.to_string(),
                relation: None,
            })
            .collect(),
        prices: Vec::new(),
        claims: record.claims(),
    })
}

fn group(view: &View, id: &str, _as_of: Date) -> Option<Found> {
    let record = view.registry().groups().find(|one| one.id == id)?;
    Some(Found {
        kind: "group",
        id: id.to_owned(),
        name: record.name.clone(),
        record: value(Some(record)),
        answer: Follows::Nothing,
        beneath: Vec::new(),
        prices: Vec::new(),
        claims: record.claims(),
    })
}

fn described(answer: &Answer) -> String {
    let mut text = String::new();
    if let [_, _, ..] = &*answer.found {
        let kinds: Vec<&str> = answer.found.iter().map(|found| found.kind).collect();
        let _ = writeln!(
            text,
            "`{}` is the id of several records: {}; `{}:{0}` shows one\n",
            answer.id,
            kinds.join(", "),
            kinds.first().unwrap_or(&"model"),
        );
    }
    for found in &answer.found {
        let _ = writeln!(text, "{} {} · {}", found.kind, found.id, found.name);
        claims(&mut text, found, answer.as_of);
        match &found.answer {
            Follows::Host(place) => place_follows(&mut text, place, answer.as_of),
            Follows::Model(resolution) => model_follows(&mut text, resolution, answer.as_of),
            Follows::Nothing => {}
            Follows::Producer(party) => {
                if let (Value::Null, Some(country)) = (&found.record, party.country) {
                    let _ = writeln!(text, "  country = {country} · {}", party.source);
                }
            }
        }
        beneath(&mut text, found);
        text.push('\n');
    }
    text
}

/// What the record claims and holds on the day.
fn claims(text: &mut String, found: &Found, as_of: Date) {
    if found.record.is_null() {
        let _ = writeln!(text, "  described by the operator's overlay alone");
    }
    let held = found.claims.iter().filter(|claim| claim.holds(as_of));
    for claim in held.filter(|claim| claim.claim != "name") {
        let _ = writeln!(text, "  {}", difference::said(claim));
    }
    let other = found
        .claims
        .iter()
        .filter(|claim| !claim.holds(as_of))
        .count();
    if other > 0 {
        let _ = writeln!(
            text,
            "  {} not in force on {as_of} (--json has them)",
            counted(other, "claim")
        );
    }
}

fn model_follows(text: &mut String, answer: &Resolution, as_of: Date) {
    let _ = writeln!(text, "what follows on {as_of}");
    let known = joined(&answer.weights_countries);
    let known = if known.is_empty() {
        "none known"
    } else {
        &known
    };
    let complete = if answer.weights_complete {
        "complete"
    } else {
        "others cannot be excluded"
    };
    let _ = writeln!(
        text,
        "  countries {known} ({complete}) · {}",
        answer.confidence
    );
    let _ = writeln!(text, "  line {}", answer.lineage_status);
    if answer.candidates.len() > 1 {
        let names = answer.candidates.iter().map(|one| &one.name);
        let _ = writeln!(text, "  means {}", joined(names));
    }
    for ancestor in &answer.lineage {
        let country = ancestor
            .country
            .map_or("unknown".to_owned(), |code| code.to_string());
        let _ = writeln!(
            text,
            "  {} {} of {} ({}; {}, {country}) · {} · {}",
            "←".repeat(usize::from(ancestor.hop).min(8)),
            ancestor.relation,
            ancestor.model,
            ancestor.component,
            ancestor.producer.as_deref().unwrap_or("unknown"),
            ancestor.confidence,
            ancestor.source
        );
    }
    for teacher in &answer.teachers {
        let _ = writeln!(
            text,
            "  ⇠ learned from {teacher} · {} · {}",
            teacher.confidence, teacher.source
        );
    }
    for dispute in &answer.disputed {
        let _ = writeln!(text, "  disputed: {dispute}");
    }
    let gaps = answer.candidates.iter().flat_map(|one| &one.facts);
    for fact in gaps.filter(|fact| fact.claim == "weights_complete") {
        if let Some(why) = fact.value.strip_prefix("false: ") {
            let _ = writeln!(text, "  not complete: {why}");
        }
    }
    operator(text, answer);
}

/// What the operator's overlay adds.
fn operator(text: &mut String, answer: &Resolution) {
    for candidate in &answer.candidates {
        for fact in &candidate.facts {
            let carnet_provenance::Origin::Operator {
                reason,
                author,
                until,
                ..
            } = &fact.origin
            else {
                continue;
            };
            let mut line = format!("  operator: {} = {}", fact.claim, fact.value);
            for (what, said) in [
                ("by", author.clone()),
                ("because", reason.clone()),
                ("until", until.map(|day| day.to_string())),
            ] {
                if let Some(said) = said {
                    let _ = write!(line, " · {what} {said}");
                }
            }
            let _ = writeln!(text, "{line}");
        }
    }
}

fn place_follows(text: &mut String, place: &Hosting, as_of: Date) {
    let _ = writeln!(text, "what follows on {as_of}");
    let known = joined(&place.jurisdictions);
    let known = if known.is_empty() {
        "none known"
    } else {
        &known
    };
    let complete = if place.complete {
        "complete"
    } else {
        "others cannot be excluded"
    };
    let _ = writeln!(text, "  law of {known} ({complete}) · {}", place.confidence);
}

fn beneath(text: &mut String, found: &Found) {
    if found.beneath.is_empty() {
        return;
    }
    let what = match found.kind {
        "list" => "named on it",
        "producer" => "made by it",
        _ => "made from it",
    };
    let _ = writeln!(text, "{what} ({})", found.beneath.len());
    for one in &found.beneath {
        match one.relation {
            Some(relation) => {
                let _ = writeln!(text, "  → {} ({relation})", one.id);
            }
            None => {
                let _ = writeln!(text, "  → {}", one.id);
            }
        }
    }
}
