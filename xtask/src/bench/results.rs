//! What the side-by-side benchmark measured, read: medians with their spread, and ratios taken within a round.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer};

/// The client that asks the upstream directly: what others add is above it.
pub(super) const DIRECT: &str = "direct";
pub(super) const NGINX: &str = "nginx";
/// The reference proxy that only passes on.
pub(super) const PASS: &str = "limit-pass";
/// The reference proxy with naive duties.
pub(super) const WORK: &str = "limit-work";
/// The product with all duties.
pub(super) const OURS: &str = "carnet";
/// The product that keeps no decision.
pub(super) const ANEW: &str = "carnet-anew";
/// The product with as few duties as its configuration allows.
pub(super) const PLAIN: &str = "carnet-plain";
/// What is no peer: the floor, the references and the product itself.
const NO_PEERS: [&str; 7] = [DIRECT, NGINX, PASS, WORK, OURS, ANEW, PLAIN];
/// The rate at which latencies are compared, in requests a second.
pub(super) const RATE: f64 = 1_000.0;

/// One target in one round. Times in microseconds unless named otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Row {
    pub(super) round: u32,
    pub(super) target: String,
    pub(super) error: Option<String>,
    #[serde(deserialize_with = "number")]
    pub(super) other_load_pct: f64,
    pub(super) startup_ms: Option<f64>,
    #[serde(deserialize_with = "number")]
    pub(super) idle_rss_mb: f64,
    #[serde(deserialize_with = "number")]
    pub(super) rps: f64,
    pub(super) sat_failed: u64,
    #[serde(deserialize_with = "number")]
    cpu_us: f64,
    #[serde(deserialize_with = "number")]
    pub(super) load_rss_mb: f64,
    pub(super) rates: Vec<Rate>,
    #[serde(deserialize_with = "number")]
    pub(super) ttft_p50: f64,
    chunks: u64,
    pub(super) streams_failed: u64,
    #[serde(deserialize_with = "number")]
    cpu_us_per_chunk: f64,
    pub(super) soak_requests: u64,
    #[serde(deserialize_with = "number")]
    pub(super) soak_rss_mb: f64,
    crowd_ok: u64,
    crowd_failed: u64,
    #[serde(deserialize_with = "number")]
    crowd_peak_mb: f64,
    #[serde(deserialize_with = "number")]
    crowd_after_mb: f64,
    #[serde(deserialize_with = "number")]
    crowd_cpu_us: f64,
}

/// One rate of the open loop.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Rate {
    #[serde(deserialize_with = "number")]
    rate: f64,
    failed: u64,
    #[serde(deserialize_with = "number")]
    p50: f64,
    #[serde(deserialize_with = "number")]
    p99: f64,
}

/// A figure, unless there was nothing to take it from.
fn known(figure: f64, known: bool) -> f64 {
    if known { figure } else { f64::NAN }
}

/// The benchmark writes `null` for what it could not measure.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

impl Row {
    /// CPU time of a request at saturation; of a target that answered none, it is not known.
    pub(super) fn cost(&self) -> f64 {
        known(self.cpu_us, self.rps > 0.0)
    }

    /// CPU time of a chunk of a stream.
    pub(super) fn chunk_cost(&self) -> f64 {
        known(self.cpu_us_per_chunk, self.chunks > 0)
    }

    /// CPU time of one of the large requests.
    pub(super) fn large_cost(&self) -> f64 {
        known(self.crowd_cpu_us, self.crowd_ok > 0)
    }

    /// Memory at the peak of the large requests.
    pub(super) fn crowd_peak_mb(&self) -> f64 {
        known(self.crowd_peak_mb, self.had_crowd())
    }

    pub(super) fn crowd_after_mb(&self) -> f64 {
        known(self.crowd_after_mb, self.had_crowd())
    }

    /// Large requests that were not answered.
    pub(super) fn crowd_failed(&self) -> f64 {
        known(self.crowd_failed as f64, self.had_crowd())
    }

    fn had_crowd(&self) -> bool {
        self.crowd_ok + self.crowd_failed > 0
    }

    fn at_rate(&self) -> Option<&Rate> {
        self.rates.iter().find(|one| (one.rate - RATE).abs() < 0.5)
    }

    pub(super) fn p50(&self) -> f64 {
        self.at_rate().map_or(f64::NAN, |rate| rate.p50)
    }

    pub(super) fn p99(&self) -> f64 {
        self.at_rate().map_or(f64::NAN, |rate| rate.p99)
    }

    /// Requests and streams that were not answered as they should be, in any step.
    pub(super) fn failed(&self) -> u64 {
        let rates: u64 = self.rates.iter().map(|rate| rate.failed).sum();
        self.sat_failed + rates + self.streams_failed + self.crowd_failed
    }
}

/// A figure of a row.
pub(super) type Of = fn(&Row) -> f64;

/// All rows of a run.
#[derive(Debug)]
pub(super) struct Results(pub(super) Vec<Row>);

impl Results {
    /// The targets, in the order in which they were measured.
    pub(super) fn targets(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for row in &self.0 {
            if !names.contains(&row.target.as_str()) {
                names.push(&row.target);
            }
        }
        names
    }

    /// Gateways of others.
    pub(super) fn peers(&self) -> Vec<&str> {
        let mut targets = self.targets();
        targets.retain(|name| !NO_PEERS.contains(name));
        targets
    }

    pub(super) fn rounds(&self) -> u32 {
        self.0.iter().map(|row| row.round).max().unwrap_or(0)
    }

    /// Rows of a target that could be measured.
    pub(super) fn rows(&self, target: &str) -> impl Iterator<Item = &Row> {
        self.0
            .iter()
            .filter(move |row| row.target == target && row.error.is_none())
    }

    /// Targets that could not be measured in a round, and why.
    pub(super) fn errors(&self) -> impl Iterator<Item = (&Row, &str)> {
        self.0
            .iter()
            .filter_map(|row| Some((row, row.error.as_deref()?)))
    }

    /// A figure of a target, in each round.
    pub(super) fn each(&self, target: &str, of: Of) -> Vec<f64> {
        self.rows(target).map(of).collect()
    }

    /// What a target costs in multiples of another, in each round of both.
    pub(super) fn beside(&self, target: &str, floor: &str, of: Of) -> Vec<f64> {
        self.in_round(target, floor, |row, floor| of(row) / of(floor))
    }

    /// What a target adds to asking directly, in each round.
    pub(super) fn added(&self, target: &str, of: Of) -> Vec<f64> {
        self.in_round(target, DIRECT, |row, direct| of(row) - of(direct))
    }

    /// What a target adds in multiples of what another adds. Where the other adds nothing that can be measured, there is no
    /// such multiple.
    pub(super) fn added_beside(&self, target: &str, floor: &str, of: Of) -> Vec<f64> {
        let directs = self.by_round(DIRECT);
        self.in_round(target, floor, |row, floor| {
            let direct = directs.get(&row.round).map_or(f64::NAN, |row| of(row));
            let below = of(floor) - direct;
            if below > 0.0 {
                (of(row) - direct) / below
            } else {
                f64::NAN
            }
        })
    }

    fn by_round(&self, target: &str) -> BTreeMap<u32, &Row> {
        self.rows(target).map(|row| (row.round, row)).collect()
    }

    fn in_round(&self, target: &str, floor: &str, value: impl Fn(&Row, &Row) -> f64) -> Vec<f64> {
        let floors = self.by_round(floor);
        self.rows(target)
            .filter_map(|row| Some(value(row, floors.get(&row.round)?)))
            .collect()
    }

    /// The peer whose request costs least, by the median.
    pub(super) fn best_peer(&self) -> Option<&str> {
        let cost = |name: &&str| median(self.each(name, Row::cost));
        let measured = self
            .peers()
            .into_iter()
            .filter_map(|name| Some((name, cost(&name)?)));
        measured
            .min_by(|(_, one), (_, other)| one.total_cmp(other))
            .map(|(name, _)| name)
    }
}

/// The middle of the values that are numbers.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    Spread::of(values).map(|spread| spread.median)
}

/// A median with the range around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    low: f64,
    high: f64,
}

impl Spread {
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|one| one.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len().checked_sub(1)? / 2;
        Some(Self {
            median: f64::midpoint(*values.get(middle)?, *values.get(values.len() / 2)?),
            low: *values.first()?,
            high: *values.last()?,
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Figure(self.median))?;
        if self.low < self.high {
            write!(f, " ({}..{})", Figure(self.low), Figure(self.high))?;
        }
        Ok(())
    }
}

/// A number with three digits or so; a zero is a count.
pub(super) struct Figure(pub(super) f64);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.0.abs() {
            size if size >= 100.0 || size == 0.0 => 0,
            size if size >= 10.0 => 1,
            _ => 2,
        };
        write!(f, "{:.digits$}", self.0)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::bench) fn row(round: u32, target: &str, cpu_us: f64) -> Row {
        Row {
            round,
            target: target.into(),
            cpu_us,
            rps: 1.0,
            cpu_us_per_chunk: cpu_us / 10.0,
            chunks: 1,
            rates: vec![Rate {
                rate: RATE,
                failed: 0,
                p50: cpu_us * 2.0,
                p99: cpu_us * 4.0,
            }],
            ..Row::default()
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let results = Results(vec![
            row(1, NGINX, 10.0),
            row(1, OURS, 30.0),
            row(2, NGINX, 20.0),
            row(2, OURS, 80.0),
            // A round in which the other was not measured says nothing.
            row(3, OURS, 1_000.0),
        ]);
        assert_eq!(results.beside(OURS, NGINX, Row::cost), [3.0, 4.0]);
        assert_eq!(results.rounds(), 3);
    }

    #[test]
    fn rows_with_an_error_are_told_and_not_counted() {
        let mut broken = row(1, OURS, 30.0);
        broken.error = Some("not up".into());
        let results = Results(vec![row(1, NGINX, 10.0), broken]);
        assert!(results.beside(OURS, NGINX, Row::cost).is_empty());
        let told: Vec<_> = results
            .errors()
            .map(|(row, why)| (row.target.as_str(), why))
            .collect();
        assert_eq!(told, [(OURS, "not up")]);
    }

    #[test]
    fn what_is_added_is_above_asking_directly() {
        let rows = vec![row(1, DIRECT, 1.0), row(1, NGINX, 3.0), row(1, OURS, 4.0)];
        let results = Results(rows);
        assert_eq!(results.added(OURS, Row::p50), [6.0]);
        assert_eq!(results.added_beside(OURS, NGINX, Row::p50), [1.5]);
        // Noise below zero has no multiples.
        let upside_down = Results(vec![
            row(1, DIRECT, 5.0),
            row(1, NGINX, 3.0),
            row(1, OURS, 8.0),
        ]);
        assert_eq!(
            median(upside_down.added_beside(OURS, NGINX, Row::p50)),
            None
        );
    }

    #[test]
    fn the_best_peer_is_none_of_ours() {
        let own = [DIRECT, NGINX, PASS, WORK, OURS, ANEW, PLAIN].map(|name| row(1, name, 1.0));
        let results = Results(own.to_vec());
        assert_eq!(results.best_peer(), None);
        let with_peers = [row(1, "slow", 300.0), row(1, "quick", 100.0)];
        let results = Results(own.into_iter().chain(with_peers).collect());
        assert_eq!(results.peers(), ["slow", "quick"]);
        assert_eq!(results.best_peer(), Some("quick"));
        // One that answered nothing costs nothing, and is not the best for that.
        let mut dead = row(1, "dead", 0.0);
        dead.rps = 0.0;
        let mut rows = results.0;
        rows.push(dead);
        let results = Results(rows);
        assert_eq!(results.best_peer(), Some("quick"));
    }

    #[test]
    fn a_median_comes_with_its_range() {
        let shown = |values: &[f64]| Spread::of(values.iter().copied()).map(|one| one.to_string());
        assert_eq!(shown(&[]), None);
        assert_eq!(shown(&[f64::NAN]), None);
        assert_eq!(shown(&[3.0]).as_deref(), Some("3.00"));
        assert_eq!(
            shown(&[40.0, 1.0, 20.0, 30.0]).as_deref(),
            Some("25.0 (1.00..40.0)")
        );
        assert_eq!(
            shown(&[100.4, 300.0, 200.0]).as_deref(),
            Some("200 (100..300)")
        );
    }

    #[test]
    fn what_could_not_be_measured_is_read_as_no_number() {
        let text = r#"[{"round": 1, "target": "carnet", "ttft_p50": null, "rates": [{"rate": 1000.0, "p50": 7.5}], "new": 1}]"#;
        let rows: Vec<Row> = serde_json::from_str(text).unwrap();
        assert!(rows[0].ttft_p50.is_nan());
        assert_eq!(rows[0].p50().to_string(), "7.5");
    }
}
