//! `carnet registry stats`: how much the registry knows, how sure that is, how old.

use carnet_provenance::Stats;
use serde::Serialize;

use crate::cli::StatsArgs;
use crate::exit::Exit;
use crate::installed::{self, From};
use crate::trouble::Troubles;
use crate::{clock, commands, out};

#[derive(Serialize)]
struct Answer {
    from: From,
    #[serde(flatten)]
    stats: Stats,
}

pub(super) fn run(args: &StatsArgs) -> Result<Exit, Troubles> {
    let facts = &args.facts;
    let as_of = facts.as_of.unwrap_or_else(clock::today);
    let found = match &facts.registry {
        Some(path) => installed::open(path, facts.state.as_deref(), None)?,
        None => installed::in_force(facts.state.as_deref())?,
    };
    let answer = Answer {
        stats: found.registry.stats(as_of),
        from: found.from,
    };
    if args.json {
        return Ok(commands::json(&answer));
    }
    out::answer(out::plain(&described(&answer)));
    Ok(Exit::Good)
}

fn described(answer: &Answer) -> String {
    let stats = &answer.stats;
    let mut text = format!("{} ({})\n", stats.version, answer.from);
    for (what, count) in [
        ("producers", stats.producers),
        ("  with a country", stats.producers_with_country),
        ("models", stats.models),
        ("hosts", stats.hosts),
        ("prices", stats.prices),
        ("lineage edges", stats.lineage_edges),
        ("teacher claims", stats.teacher_claims),
        ("disputes", stats.disputes),
        ("statements", stats.statements),
        ("owners", stats.owners),
        ("list memberships", stats.list_memberships),
        ("aliases", stats.aliases),
        ("moving aliases", stats.moving_aliases),
        ("name families", stats.name_families),
        ("lists", stats.lists),
        ("groups", stats.groups),
        ("countries", stats.countries),
    ] {
        text.push_str(&format!("  {what:<24} {count}\n"));
    }
    let all: usize = stats.claims_by_confidence.values().sum();
    text.push_str(&format!("claims by confidence ({all})\n"));
    for word in ["high", "medium", "low", "unknown"] {
        let count = stats.claims_by_confidence.get(word).unwrap_or(&0);
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
        let share = 100.0 * *count as f64 / all.max(1) as f64;
        text.push_str(&format!("  {word:<24} {count} ({share:.1} %)\n"));
    }
    text.push_str("models by lineage status\n");
    for (word, count) in &stats.models_by_lineage_status {
        text.push_str(&format!("  {word:<24} {count}\n"));
    }
    let day = |day: Option<jiff::civil::Date>| day.map_or("none".to_owned(), |day| day.to_string());
    text.push_str(&format!(
        "claims of {} to {}; {} bytes packed",
        day(stats.oldest),
        day(stats.newest),
        stats.blob_bytes
    ));
    text
}
