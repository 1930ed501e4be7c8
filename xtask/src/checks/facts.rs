//! Facts check: what the registry's reader cannot see in one file. The reader sees to it that every
//! claim has a source, a date and a confidence; here it is asked whether they can be true.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::Problem;
use crate::repo::Repo;

/// The shortest source that can lead anybody anywhere, in characters.
const SOURCE_CHARS_MIN: usize = 8;
/// Sources that are a reminder and no source.
const NO_SOURCE: &[&str] = &[
    "common knowledge",
    "fixme",
    "guess",
    "tbd",
    "todo",
    "unknown",
];
const SECONDS_OF_DAY: u64 = 86_400;

pub(super) fn check(repo: &Repo) -> Result<Vec<Problem>> {
    let mut files = Vec::new();
    for file in repo.files()? {
        if file.starts_with("registry/") && file.ends_with(".toml") {
            let table: Table = toml::from_str(&repo.read(&file)?)
                .with_context(|| format!("cannot read `{file}`"))?;
            files.push((file, table));
        }
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // A day more: the world is not in one zone.
    let latest = day(now.as_secs() / SECONDS_OF_DAY + 1);
    Ok(judge(&files, &latest))
}

fn judge(files: &[(String, Table)], latest: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut named: BTreeSet<&str> = BTreeSet::new();
    let mut before: BTreeSet<String> = BTreeSet::new();
    for (file, table) in files {
        walk(table, &mut |key, text| match key {
            "date" if text > latest => problems.push(Problem::new(
                file,
                format!("a claim is of {text}, which is still to come"),
                "write the day on which the source was read",
            )),
            "source" | "answer_source" | "disputed_source" if !leads_anywhere(text) => {
                problems.push(Problem::new(
                    file,
                    format!("`{text}` leads nobody anywhere"),
                    "name the text that was read so that others find it, or leave the claim out",
                ));
            }
            _ => {}
        });
        walk_named(table, &mut named);
        walk(table, &mut |key, text| {
            if let ("id", Some((namespace, _))) = (key, text.split_once('/')) {
                before.insert(namespace.to_lowercase());
            }
        });
    }
    for (file, table) in files {
        let Some(id) = file
            .strip_prefix("registry/producers/")
            .and_then(|name| name.strip_suffix(".toml"))
        else {
            continue;
        };
        let mut sources = 0_usize;
        walk(table, &mut |key, _| sources += usize::from(key == "source"));
        // Somebody who publishes copies stands in front of names of models.
        let in_front = std::iter::once(id).chain(texts(table, "namespaces"));
        let mut in_front = in_front.map(str::to_lowercase);
        if sources == 0 && !named.contains(id) && !in_front.any(|name| before.contains(&name)) {
            problems.push(Problem::new(
                file,
                "nothing is claimed here, and neither a sourced claim nor a model's name leads here",
                "claim something with its source, or remove the file",
            ));
        }
    }
    problems
}

fn leads_anywhere(source: &str) -> bool {
    let folded = source.trim().to_lowercase();
    folded.chars().count() >= SOURCE_CHARS_MIN && !NO_SOURCE.iter().any(|word| folded == *word)
}

/// The texts of a list.
fn texts<'t>(table: &'t Table, key: &str) -> impl Iterator<Item = &'t str> {
    let list = table.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

/// Every text with its key.
fn walk<'t>(table: &'t Table, visit: &mut impl FnMut(&'t str, &'t str)) {
    for (key, value) in table {
        match value {
            Value::String(text) => visit(key, text),
            Value::Table(table) => walk(table, visit),
            Value::Array(values) => {
                for table in values.iter().filter_map(Value::as_table) {
                    walk(table, visit);
                }
            }
            _ => {}
        }
    }
}

/// Producers that a claim with a source names: as maker, teacher, owner or operator.
fn walk_named<'t>(table: &'t Table, named: &mut BTreeSet<&'t str>) {
    let text = |table: &'t Table, key: &str| table.get(key).and_then(Value::as_str);
    for (key, value) in table {
        let tables: Vec<&Table> = match value {
            Value::Table(table) => vec![table],
            Value::Array(values) => values.iter().filter_map(Value::as_table).collect(),
            _ => continue,
        };
        for table in tables {
            if table.contains_key("source") {
                named.extend(text(table, "producer"));
                if matches!(key.as_str(), "producer" | "joint") {
                    named.extend(text(table, "value"));
                }
            }
            walk_named(table, named);
        }
    }
}

/// The date of a day since 1970-01-01, after Howard Hinnant's `civil_from_days`.
fn day(days: u64) -> String {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let read = |(file, text): &(&str, &str)| {
            (format!("registry/{file}"), toml::from_str(text).unwrap())
        };
        let files: Vec<(String, Table)> = files.iter().map(read).collect();
        let problems = judge(&files, "2026-01-02");
        problems.into_iter().map(|one| one.message).collect()
    }

    #[test]
    fn days_are_counted_right() {
        for (days, date) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (20_454, "2026-01-01"),
        ] {
            assert_eq!(day(days), date);
        }
    }

    #[test]
    fn a_claim_cannot_be_of_tomorrow_nor_stand_nowhere() {
        let claim = |source: &str, date: &str| {
            format!("country = {{ value = \"QX\", source = \"{source}\", date = \"{date}\" }}")
        };
        let good = claim("https://x.example", "2026-01-02");
        assert_eq!(found(&[("producers/a.toml", &good)]), [""; 0]);
        let late = claim("https://x.example", "2026-01-03");
        assert_eq!(
            found(&[("producers/a.toml", &late)]),
            ["a claim is of 2026-01-03, which is still to come"]
        );
        for source in ["x", "TODO", "common knowledge"] {
            let bad = claim(source, "2026-01-01");
            assert_eq!(
                found(&[("producers/a.toml", &bad)]),
                [format!("`{source}` leads nobody anywhere")]
            );
        }
        // What begins later was announced; that is no mistake.
        let later = "[[list]]\nlist = \"l\"\nvalid_from = \"2027-01-01\"\nsource = \"https://x.example\"\ndate = \"2026-01-01\"";
        assert_eq!(found(&[("producers/a.toml", later)]), [""; 0]);
    }

    #[test]
    fn a_producer_that_rests_on_nothing_is_found() {
        let bare = ("producers/a.toml", "name = \"A\"");
        assert_eq!(found(&[bare]).len(), 1);
        let model =
            "producer = { value = \"a\", source = \"https://x.example\", date = \"2026-01-01\" }";
        assert_eq!(found(&[bare, ("models/m.toml", model)]), [""; 0]);
        let teacher =
            "[[teacher]]\nproducer = \"a\"\nsource = \"https://x.example\"\ndate = \"2026-01-01\"";
        assert_eq!(found(&[bare, ("models/m.toml", teacher)]), [""; 0]);
        let copy = "[[alias]]\nplatform = \"x\"\nid = \"A/some-copy\"";
        assert_eq!(found(&[bare, ("models/m.toml", copy)]), [""; 0]);
    }
}
