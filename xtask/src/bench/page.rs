//! The page of performance in the operators' docs: its middle is written from a run, the text around it by hand.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use super::bars::{Bar, Verdict};
use super::machine::Machine;
use super::more::More;
use super::results::Results;
use super::table;
use crate::console;
use crate::repo::Repo;

const PAGE: &str = "docs/src/reference/performance.md";
const BEGIN: &str = "<!-- From here to the end mark: written by `cargo xtask bench --page`. -->";
const END: &str = "<!-- End of what was written by `cargo xtask bench --page`. -->";

/// Writes a run into the page.
pub(super) fn write(
    repo: &Repo,
    machine: &Machine,
    results: &Results,
    more: &More,
    bars: &[Bar],
) -> Result<()> {
    let page = replaced(&repo.read(PAGE)?, &middle(machine, results, more, bars))
        .with_context(|| format!("`{PAGE}` lacks the marks `{BEGIN}` and `{END}`"))?;
    fs::write(repo.path(PAGE), page).with_context(|| format!("cannot write `{PAGE}`"))?;
    console::say(format_args!("wrote {PAGE}"));
    Ok(())
}

fn middle(machine: &Machine, results: &Results, more: &More, bars: &[Bar]) -> String {
    let count = |verdict: Verdict| bars.iter().filter(|bar| bar.verdict() == verdict).count();
    let mut text = format!(
        "Measured on {} at commit {}: {} rounds. {} of {} bars met, {} missed, {} not measured.\n\n\
         | | |\n|---|---|\n| processor | {} ({} cores) |\n| memory | {:.0} GB |\n| kernel | {} |\n| toolchain | {} |\n",
        machine.date,
        machine.commit,
        results.rounds(),
        count(Verdict::Met),
        bars.len(),
        count(Verdict::Missed),
        count(Verdict::NotMeasured),
        machine.processor,
        machine.cores,
        machine.memory_gb,
        machine.kernel,
        machine.toolchain,
    );
    let _ = writeln!(text, "| load before | {:.2} |", machine.load);
    for (name, version) in &machine.versions {
        let _ = writeln!(text, "| {name} | {version} |");
    }
    text += &table::bars(bars);
    text += &table::tables(results, more);
    text
}

/// The page with another middle; none if it has no marks, or not in their order.
fn replaced(page: &str, middle: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!(
        "{before}{BEGIN}\n\n{}\n\n{END}{after}",
        middle.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::super::bars;
    use super::super::results::tests::row;
    use super::super::results::{DIRECT, NGINX, OURS, PASS};
    use super::*;

    fn machine() -> Machine {
        Machine {
            processor: "A Model".into(),
            cores: 2,
            kernel: "6.1.0".into(),
            memory_gb: 24.2,
            date: "2026-11-01".into(),
            commit: "abcdef".into(),
            toolchain: "rustc 1.90.0".into(),
            load: 0.1,
            versions: vec![("nginx".into(), "nginx/1.22.1".into())],
        }
    }

    #[test]
    fn only_what_is_between_the_marks_is_written() {
        let page =
            format!("# Performance\n\nBy hand.\n\n{BEGIN}\n\nold\n\n{END}\n\nAlso by hand.\n");
        let new = replaced(&page, "\nnew\n").unwrap();
        assert_eq!(new, page.replace("old", "new"));
        assert_eq!(replaced(&new, "new").as_deref(), Some(new.as_str()));
        assert_eq!(replaced("no marks", "new"), None);
        assert_eq!(replaced(&format!("{END}\n{BEGIN}"), "new"), None);
    }

    #[test]
    fn the_page_that_is_there_has_its_marks() {
        let repo = Repo::locate().unwrap();
        assert!(replaced(&repo.read(PAGE).unwrap(), "").is_some());
    }

    #[test]
    fn a_run_is_written_with_all_that_it_depends_on() {
        let rows = [(DIRECT, 1.0), (NGINX, 20.0), (PASS, 25.0), (OURS, 61.0)];
        let results = Results(rows.map(|(name, cost)| row(1, name, cost)).to_vec());
        let bars = bars::bars(&results, &More::default());
        let text = middle(&machine(), &results, &More::default(), &bars);
        for part in [
            "Measured on 2026-11-01 at commit abcdef: 1 rounds.",
            "| processor | A Model (2 cores) |",
            "| memory | 24 GB |",
            "| nginx | nginx/1.22.1 |",
            "| CPU a request, of nginx's | 3.00x | 3.05x | missed |",
            "| CPU a request, of limit-pass's | 2.50x | 2.44x | met |",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
