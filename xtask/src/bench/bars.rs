//! What the figures of a run must hold to.

use std::fmt;

use super::more::{More, STREAMS};
use super::results::{ANEW, Figure, NGINX, OURS, PASS, PLAIN, Results, Row, median};
use crate::console;
use crate::totals::Totals;

/// A bar and where the product stands.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) what: String,
    max: f64,
    unit: &'static str,
    value: Option<f64>,
    /// Whether the test command holds the product to it on any machine: latencies depend on what else a machine does.
    everywhere: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Met,
    Missed,
    NotMeasured,
}

impl Bar {
    fn new(what: impl Into<String>, max: f64, unit: &'static str, value: Option<f64>) -> Self {
        Self {
            what: what.into(),
            max,
            unit,
            value,
            everywhere: true,
        }
    }

    fn on_quiet_machines(self) -> Self {
        Self {
            everywhere: false,
            ..self
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        match self.value {
            Some(value) if value <= self.max => Verdict::Met,
            Some(_) => Verdict::Missed,
            None => Verdict::NotMeasured,
        }
    }

    /// The bar itself.
    pub(super) fn bar(&self) -> String {
        format!("{}{}", Figure(self.max), self.unit)
    }

    /// Where the product stands.
    pub(super) fn value(&self) -> String {
        self.value.map_or_else(
            || "-".to_owned(),
            |value| format!("{}{}", Figure(value), self.unit),
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::NotMeasured => "not measured",
        })
    }
}

/// Every bar that this run can be held to; those beside peers only where peers are in the run.
pub(super) fn bars(results: &Results, more: &More) -> Vec<Bar> {
    let beside = |target, floor, of| median(results.beside(target, floor, of));
    let ours = |of| median(results.each(OURS, of));
    let streams = more.streams.as_ref().map_or(STREAMS, |one| one.wanted);
    let mut bars = vec![
        Bar::new(
            "CPU a request, of nginx's",
            3.0,
            "x",
            beside(OURS, NGINX, Row::cost),
        ),
        Bar::new(
            "CPU a request, of limit-pass's",
            2.5,
            "x",
            beside(OURS, PASS, Row::cost),
        ),
        Bar::new(
            "CPU a request when each is decided anew, of nginx's",
            4.5,
            "x",
            beside(ANEW, NGINX, Row::cost),
        ),
        Bar::new(
            "CPU a request with as few duties as can be, of limit-pass's",
            1.3,
            "x",
            beside(PLAIN, PASS, Row::cost),
        ),
        Bar::new(
            "CPU a request of 150 KiB, of nginx's",
            1.8,
            "x",
            beside(OURS, NGINX, Row::large_cost),
        ),
        Bar::new(
            "CPU a chunk of a stream, of limit-pass's",
            1.3,
            "x",
            beside(OURS, PASS, Row::chunk_cost),
        ),
    ];
    if let Some(best) = results.best_peer() {
        bars.push(Bar::new(
            format!("CPU a request, of the best peer's ({best})"),
            0.5,
            "x",
            beside(OURS, best, Row::cost),
        ));
    }
    for (peer, max) in [("agentgateway", 0.5), ("agentgateway-governed", 0.22)] {
        if results.peers().contains(&peer) {
            bars.push(Bar::new(
                format!("CPU a request, of {peer}'s"),
                max,
                "x",
                beside(OURS, peer, Row::cost),
            ));
        }
    }
    bars.extend([
        Bar::new(
            "added p50 at 1,000/s, of nginx's",
            1.5,
            "x",
            median(results.added_beside(OURS, NGINX, Row::p50)),
        )
        .on_quiet_machines(),
        Bar::new(
            "added p99 at 1,000/s",
            1_200.0,
            " us",
            median(results.added(OURS, Row::p99)),
        )
        .on_quiet_machines(),
        Bar::new(
            "added time to the first chunk, of nginx's",
            2.0,
            "x",
            median(results.added_beside(OURS, NGINX, |row| row.ttft_p50)),
        )
        .on_quiet_machines(),
        Bar::new(
            "start to the first answer",
            60.0,
            " ms",
            ours(|row| row.startup_ms.unwrap_or(f64::NAN)),
        ),
        Bar::new("memory at rest", 30.0, " MB", ours(|row| row.idle_rss_mb)),
        Bar::new(
            "memory at the peak of 1,500 requests of 150 KiB",
            220.0,
            " MB",
            ours(Row::crowd_peak_mb),
        ),
        Bar::new(
            "memory 2 s after them",
            60.0,
            " MB",
            ours(Row::crowd_after_mb),
        ),
        Bar::new(
            "memory at the peak when their connections open at once",
            220.0,
            " MB",
            more.at_once.as_ref().map(|one| one.peak_mb),
        ),
        Bar::new(
            "of these, not answered",
            0.0,
            "",
            more.at_once.as_ref().map(|one| one.dropped as f64),
        ),
        Bar::new(
            "memory of an open stream",
            30.0,
            " kB",
            more.streams.as_ref().map(|one| one.each_kb),
        ),
        Bar::new(
            format!("streams that were not taken, of {streams} open at a time"),
            0.0,
            "",
            more.streams
                .as_ref()
                .map(|one| (one.wanted - one.open) as f64),
        ),
        Bar::new(
            "growth to a million requests, beyond what is allowed",
            0.0,
            " MB",
            more.soak.as_ref().map(|soak| soak.beyond_mb()),
        ),
        Bar::new("requests that failed in any step", 0.0, "", failed(results)),
    ]);
    bars
}

/// Over all rounds, of the product in each of its set-ups.
fn failed(results: &Results) -> Option<f64> {
    let rows: Vec<&Row> = [OURS, ANEW, PLAIN]
        .into_iter()
        .flat_map(|name| results.rows(name))
        .collect();
    (!rows.is_empty()).then(|| rows.iter().map(|row| row.failed() as f64).sum())
}

/// Prints each bar, and counts as cases those that hold on any machine, or all of them.
pub(super) fn judge(bars: &[Bar], all: bool) -> Totals {
    let mut totals = Totals::default();
    for bar in bars {
        let verdict = bar.verdict();
        console::say(format_args!(
            "{verdict}: {}: {}, the bar is {}",
            bar.what,
            bar.value(),
            bar.bar()
        ));
        match verdict {
            Verdict::NotMeasured => totals
                .skipped
                .push(format!("bench: {}: not in this run", bar.what)),
            Verdict::Missed if bar.everywhere || all => totals.case(
                &bar.what,
                Err(format!("{}; the bar is {}", bar.value(), bar.bar())),
            ),
            Verdict::Missed => totals.skipped.push(format!(
                "bench: {}: {}, judged by `cargo xtask bench` alone",
                bar.what,
                bar.value()
            )),
            Verdict::Met => totals.case(&bar.what, Ok(())),
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::super::more::{AtOnce, Soak};
    use super::super::results::DIRECT;
    use super::super::results::tests::row;
    use super::*;

    fn bar<'b>(bars: &'b [Bar], what: &str) -> &'b Bar {
        bars.iter().find(|bar| bar.what.starts_with(what)).unwrap()
    }

    fn run(ours: f64) -> Vec<Row> {
        vec![
            row(1, DIRECT, 1.0),
            row(1, NGINX, 20.0),
            row(1, PASS, 25.0),
            row(1, OURS, ours),
            row(1, ANEW, 89.0),
            row(1, PLAIN, 33.0),
        ]
    }

    #[test]
    fn a_bar_is_met_up_to_itself() {
        let of = |ours| {
            let bars = bars(&Results(run(ours)), &More::default());
            [
                "CPU a request, of nginx's",
                "CPU a request, of limit-pass's",
            ]
            .map(|what| bar(&bars, what).verdict())
        };
        assert_eq!(of(60.0), [Verdict::Met, Verdict::Met]);
        assert_eq!(of(62.0), [Verdict::Missed, Verdict::Met]);
        assert_eq!(of(63.0), [Verdict::Missed, Verdict::Missed]);
    }

    #[test]
    fn each_set_up_has_its_own_bar() {
        let bars = bars(&Results(run(50.0)), &More::default());
        assert_eq!(bar(&bars, "CPU a request when").value(), "4.45x");
        let plain = bar(&bars, "CPU a request with as few");
        assert_eq!(
            (plain.value(), plain.verdict()),
            ("1.32x".to_owned(), Verdict::Missed)
        );
    }

    #[test]
    fn peers_are_bars_only_where_they_ran() {
        let without = bars(&Results(run(50.0)), &More::default());
        assert!(!without.iter().any(|bar| bar.what.contains("peer")));
        let mut rows = run(50.0);
        rows.push(row(1, "agentgateway", 99.0));
        rows.push(row(1, "agentgateway-governed", 250.0));
        let with = bars(&Results(rows), &More::default());
        let best = bar(&with, "CPU a request, of the best peer's (agentgateway)");
        assert_eq!(best.verdict(), Verdict::Missed);
        let governed = bar(&with, "CPU a request, of agentgateway-governed's");
        assert_eq!(governed.verdict(), Verdict::Met);
    }

    #[test]
    fn what_did_not_run_is_neither_met_nor_missed() {
        let bars = bars(&Results(Vec::new()), &More::default());
        assert!(bars.iter().all(|bar| bar.verdict() == Verdict::NotMeasured));
        let totals = judge(&bars, true);
        assert_eq!((totals.passed, totals.failed), (0, 0));
        assert_eq!(totals.skipped.len(), bars.len());
    }

    #[test]
    fn latencies_fail_only_where_the_machine_is_for_the_benchmark() {
        let mut rows = run(50.0);
        rows.push(row(1, "noise", 1.0));
        rows.iter_mut()
            .filter(|row| row.target == OURS)
            .for_each(|row| {
                *row = super::super::results::tests::row(1, OURS, 5_000.0);
            });
        let bars = bars(&Results(rows), &More::default());
        let failed = |all| judge(&bars, all).failed;
        assert_eq!(failed(true), failed(false) + 2);
    }

    #[test]
    fn one_dropped_request_or_one_megabyte_too_much_is_missed() {
        let more = |dropped, after_mb| More {
            at_once: Some(AtOnce {
                requests: 1_500,
                dropped,
                peak_mb: 200.0,
            }),
            soak: Some(Soak {
                before: (10_000, 100.0),
                after: (1_000_000, after_mb),
            }),
            ..More::default()
        };
        let verdicts = |more: &More| {
            let bars = bars(&Results(Vec::new()), more);
            ["of these, not answered", "growth"].map(|what| bar(&bars, what).verdict())
        };
        assert_eq!(verdicts(&more(0, 102.0)), [Verdict::Met, Verdict::Met]);
        assert_eq!(
            verdicts(&more(1, 102.1)),
            [Verdict::Missed, Verdict::Missed]
        );
    }
}
