//! The figures of a run as Markdown, for the terminal and for the page.

use std::fmt::Write;

use super::bars::Bar;
use super::more::More;
use super::results::{DIRECT, NGINX, OURS, Of, PASS, Results, Row, Spread};

/// A column: its head, and its cell for a target.
type Column<'a> = (&'a str, &'a dyn Fn(&str) -> Option<Spread>);

/// Every table.
pub(super) fn tables(results: &Results, more: &More) -> String {
    let each = |of: Of| move |target: &str| Spread::of(results.each(target, of));
    let beside = |floor: &'static str, of: Of| {
        move |target: &str| Spread::of(results.beside(target, floor, of))
    };
    let added = |of: Of| move |target: &str| Spread::of(results.added(target, of));
    let added_beside =
        |of: Of| move |target: &str| Spread::of(results.added_beside(target, NGINX, of));
    let best = results.best_peer();
    let beside_best =
        |target: &str| best.and_then(|best| Spread::of(results.beside(target, best, Row::cost)));
    let mut text = String::new();
    table(
        &mut text,
        results,
        "CPU a request of 1 KB at saturation, gateway on one core",
        &[
            ("us", &each(Row::cost)),
            ("of nginx's", &beside(NGINX, Row::cost)),
            ("of limit-pass's", &beside(PASS, Row::cost)),
            ("of the best peer's", &beside_best),
            ("requests/s", &each(|row| row.rps)),
            ("core busy before, %", &each(|row| row.other_load_pct)),
        ],
    );
    table(
        &mut text,
        results,
        "A request of 150 KiB, 1,500 of them held open at a time",
        &[
            ("CPU us", &each(Row::large_cost)),
            ("of nginx's", &beside(NGINX, Row::large_cost)),
            ("peak MB", &each(Row::crowd_peak_mb)),
            ("2 s after, MB", &each(Row::crowd_after_mb)),
            ("not answered", &each(Row::crowd_failed)),
        ],
    );
    table(
        &mut text,
        results,
        "Added to asking directly, at 1,000/s (us)",
        &[
            ("p50", &added(Row::p50)),
            ("p50, of nginx's", &added_beside(Row::p50)),
            ("p99", &added(Row::p99)),
        ],
    );
    table(
        &mut text,
        results,
        "Streams (us)",
        &[
            ("added time to the first chunk", &added(|row| row.ttft_p50)),
            ("of nginx's", &added_beside(|row| row.ttft_p50)),
            ("CPU a chunk", &each(Row::chunk_cost)),
            ("of limit-pass's", &beside(PASS, Row::chunk_cost)),
        ],
    );
    table(
        &mut text,
        results,
        "Start and memory",
        &[
            (
                "first answer after, ms",
                &each(|row| row.startup_ms.unwrap_or(f64::NAN)),
            ),
            ("at rest, MB", &each(|row| row.idle_rss_mb)),
            ("after saturation, MB", &each(|row| row.load_rss_mb)),
            ("failed requests", &each(|row| row.failed() as f64)),
        ],
    );
    text += &besides(more);
    for (row, why) in results.errors() {
        let _ = writeln!(
            text,
            "\nNot measured: {} in round {}: {why}",
            row.target, row.round
        );
    }
    text
}

fn table(text: &mut String, results: &Results, title: &str, columns: &[Column<'_>]) {
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let _ = write!(
        text,
        "\n### {title}\n\n| target | {} |\n|---|{}\n",
        heads.join(" | "),
        "--:|".repeat(columns.len())
    );
    for target in results.targets() {
        // What is asked directly has nothing in between that could cost anything.
        if target == DIRECT {
            continue;
        }
        let cells: Vec<String> = columns
            .iter()
            .map(|(_, cell)| {
                cell(target).map_or_else(|| "-".to_owned(), |spread| spread.to_string())
            })
            .collect();
        let _ = writeln!(text, "| {target} | {} |", cells.join(" | "));
    }
}

/// What was measured of the product alone.
fn besides(more: &More) -> String {
    let mut text = String::new();
    if let Some(counts) = &more.counts {
        let _ = writeln!(text, "- Every duty, counted: {counts}.");
    }
    if let Some(one) = &more.at_once {
        let _ = writeln!(
            text,
            "- {} connections opened at once, each with a request of 150 KiB: {} not answered, {:.0} MB at the peak.",
            one.requests, one.dropped, one.peak_mb
        );
    }
    if let Some(streams) = &more.streams {
        let _ = writeln!(
            text,
            "- {} of {} streams open at a time: {:.1} kB each.",
            streams.open, streams.wanted, streams.each_kb
        );
    }
    if let Some(soak) = &more.soak {
        let _ = writeln!(
            text,
            "- Memory after {} requests {:.1} MB, after {} {:.1} MB.",
            soak.before.0, soak.before.1, soak.after.0, soak.after.1
        );
    }
    if text.is_empty() {
        return text;
    }
    format!("\n### {OURS} alone\n\n{text}")
}

/// The bars, each with where the product stands.
pub(super) fn bars(bars: &[Bar]) -> String {
    let mut text = "\n### Bars\n\n| what | bar | measured | |\n|---|--:|--:|---|\n".to_owned();
    for bar in bars {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            bar.what,
            bar.bar(),
            bar.value(),
            bar.verdict()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::more::Streams;
    use super::super::results::tests::row;
    use super::*;

    #[test]
    fn each_target_has_its_row_and_ratios() {
        let results = Results(vec![
            row(1, DIRECT, 1.0),
            row(1, NGINX, 20.0),
            row(1, OURS, 50.0),
            row(1, "peer", 200.0),
            row(2, NGINX, 20.0),
            row(2, OURS, 60.0),
        ]);
        let more = More {
            streams: Some(Streams {
                wanted: 10_000,
                open: 4_096,
                each_kb: 21.04,
            }),
            ..More::default()
        };
        let text = tables(&results, &more);
        let line = |begins: &str| text.lines().find(|line| line.starts_with(begins)).unwrap();
        assert!(
            line("| carnet |")
                .starts_with("| carnet | 55.0 (50.0..60.0) | 2.75 (2.50..3.00) | - | 0.25 |"),
            "{}",
            line("| carnet |")
        );
        assert!(!text.contains("| direct |"));
        assert_eq!(
            line("- 4096"),
            "- 4096 of 10000 streams open at a time: 21.0 kB each."
        );
    }
}
