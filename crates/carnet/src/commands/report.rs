//! `carnet policy report`: what packs in report mode would have denied, by team.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use carnet_audit::{DocumentPart, Kind, Leaf, Reader, Ruling};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::cli::ReportArgs;
use crate::exit::Exit;
use crate::state::State;
use crate::trouble::{Trouble, Troubles};
use crate::{clock, commands, config, out};

/// What a decision document says was only reported.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    report_deny: Vec<Reported>,
}

#[derive(Deserialize)]
struct Reported {
    rule: String,
    pack: String,
    title: String,
}

/// One line of the report.
#[derive(Debug, Default, Serialize)]
struct Sum {
    requests: u64,
    workloads: BTreeSet<String>,
    models: BTreeSet<String>,
    title: String,
    first: Option<Date>,
    last: Option<Date>,
}

/// What was counted for one workload, model and document.
#[derive(Default)]
struct Count {
    requests: u64,
    first: Option<Date>,
    last: Option<Date>,
}

type Sums = BTreeMap<String, BTreeMap<String, Sum>>;

pub(crate) fn run(args: &ReportArgs) -> Result<Exit, Troubles> {
    let teams = teams(args.config.as_deref())?;
    let folder = State::find(args.state.as_deref())?.audit();
    let reader = Reader::open(&folder).map_err(|error| {
        let help = "`carnet serve` makes the log; --state DIR names another state directory";
        vec![Trouble::new(error.to_string(), help)]
    })?;
    let mut counts: HashMap<(Arc<str>, String, String), Count> = HashMap::new();
    let mut parts: HashMap<Arc<str>, Vec<DocumentPart>> = HashMap::new();
    let mut wanted: BTreeSet<Arc<str>> = BTreeSet::new();
    let (mut decided, mut reported) = (0_u64, 0_u64);
    for entry in reader.newest() {
        let entry = entry.map_err(|error| {
            let help = "check the log with `carnet audit verify`";
            vec![Trouble::new(error.to_string(), help)]
        })?;
        let record = match entry.leaf {
            // A document stands before the records that name it, so it comes later here.
            Leaf::Document(part) => {
                if wanted.contains(&part.id) {
                    parts.entry(part.id.clone()).or_default().push(part);
                }
                continue;
            }
            Leaf::Record(record) => record,
        };
        let (Kind::Request, Some(decision)) = (record.kind, record.decision) else {
            continue;
        };
        let day = clock::day_of(record.time);
        let within = args.since.is_none_or(|since| since <= day)
            && args.until.is_none_or(|until| day <= until);
        if !within {
            continue;
        }
        let requests = record.count.unwrap_or(1);
        decided += requests;
        let (Ruling::ReportDeny, Some(document)) = (decision, record.decision_doc) else {
            continue;
        };
        reported += requests;
        wanted.insert(document.clone());
        let text = |text: Option<Arc<str>>| text.as_deref().unwrap_or("unknown").to_owned();
        let key = (
            document,
            text(record.workload),
            text(record.requested_model),
        );
        let count = counts.entry(key).or_default();
        count.requests += requests;
        count.last = count.last.max(Some(day));
        count.first = [count.first, Some(day)].into_iter().flatten().min();
    }
    let sums = sums(counts, &parts, &teams)?;
    if args.json {
        return Ok(commands::json(&serde_json::json!({
            "decided": decided,
            "reported": reported,
            "teams": sums,
        })));
    }
    out::answer(out::plain(&text(decided, reported, &sums)));
    Ok(Exit::Good)
}

/// The team of each workload, as far as a configuration says.
fn teams(file: Option<&Path>) -> Result<HashMap<String, String>, Troubles> {
    let here = Path::new("carnet.toml");
    let Some(file) = file.or_else(|| here.exists().then_some(here)) else {
        return Ok(HashMap::new());
    };
    let config = config::load(file)?;
    let workloads = config.gateway.workloads.into_iter();
    Ok(workloads
        .filter(|one| one.team != carnet_policy::UNKNOWN)
        .map(|one| (one.id, one.team))
        .collect())
}

/// Join what was counted with what the documents say.
fn sums(
    counts: HashMap<(Arc<str>, String, String), Count>,
    parts: &HashMap<Arc<str>, Vec<DocumentPart>>,
    teams: &HashMap<String, String>,
) -> Result<Sums, Troubles> {
    let mut sums = Sums::new();
    for ((id, workload, model), count) in counts {
        let mut parts: Vec<&DocumentPart> = parts.get(&id).into_iter().flatten().collect();
        parts.sort_by_key(|part| part.part);
        let text: String = parts.iter().map(|part| part.text.as_str()).collect();
        let document: Document = serde_json::from_str(&text).map_err(|error| {
            let message = format!("the decision {id} cannot be read: {error}");
            vec![Trouble::new(
                message,
                "check the log with `carnet audit verify`",
            )]
        })?;
        let team = teams.get(&workload).map_or_else(
            || format!("workload {workload}"),
            |team| format!("team {team}"),
        );
        let rules = sums.entry(team).or_default();
        for Reported { rule, pack, title } in document.report_deny {
            let sum = rules.entry(format!("{pack}/{rule}")).or_default();
            sum.requests += count.requests;
            sum.workloads.insert(workload.clone());
            sum.models.insert(model.clone());
            sum.title = title;
            sum.last = sum.last.max(count.last);
            sum.first = [sum.first, count.first].into_iter().flatten().min();
        }
    }
    Ok(sums)
}

fn text(decided: u64, reported: u64, sums: &Sums) -> String {
    let mut lines = vec![format!(
        "{reported} of {decided} decided requests would have been denied by rules that only report"
    )];
    for (team, rules) in sums {
        lines.push(String::new());
        lines.push(team.clone());
        for (rule, sum) in rules {
            let day = |day: Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
            let list = |names: &BTreeSet<String>| {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                names.join(", ")
            };
            lines.push(format!("  {:>8}  {} [{rule}]", sum.requests, sum.title));
            lines.push(format!("            models {}", list(&sum.models)));
            lines.push(format!("            workloads {}", list(&sum.workloads)));
            lines.push(format!(
                "            {} to {}",
                day(sum.first),
                day(sum.last)
            ));
        }
    }
    lines.join("\n")
}
