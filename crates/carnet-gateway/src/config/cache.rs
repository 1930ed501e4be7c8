//! `[cache]`: which answers are given again, for how long, and how much memory they take.

use std::time::Duration;

use super::{Check, RawConfig};
use crate::limits;
use crate::section::{Field, closest};

section! {
    /// Answers that are given again to equal requests of the same workload, from memory. Without this section none are.
    RawCache {
        required {}
        optional {
            /// Bytes of memory for all answers, those on their way among them; what was used least lately goes first. Default 67108864.
            bytes_max: u64,
            /// Bytes of one answer, at most a quarter of `bytes_max`; a longer one is not kept. Default 1048576, or that quarter.
            answer_bytes_max: u64,
            /// Seconds that an answer is kept. Default 300.
            seconds: u64,
            /// Seconds that a request waits for an equal one that is on its way, before it asks itself. Default 30; 0 waits for none.
            wait_seconds: u64,
            /// Whether answers that a model chose by chance are kept, too: those to requests that do not say `"temperature": 0`.
            /// Default false.
            sampled: bool,
            /// Only requests of these workloads. Default: of all.
            workloads: Vec<String>,
            /// Only answers of these upstreams, by their names. Default: of all.
            upstreams: Vec<String>,
        }
    }
}

/// Which answers are given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Bytes of all.
    pub bytes_max: usize,
    /// Bytes of one.
    pub answer_bytes_max: usize,
    /// For how long.
    pub keep: Duration,
    /// How long a request waits for an equal one.
    pub wait: Duration,
    /// Whether those are kept that leave something to chance.
    pub sampled: bool,
    /// Of these workloads, or of all where none is named.
    pub workloads: Vec<String>,
    /// Of these upstreams, or of all where none is named.
    pub upstreams: Vec<String>,
}

/// So many of the longest answers must fit: one grows by being copied into twice its room, and leaves some for others.
const ANSWERS_MIN: u64 = 4;

impl Check<'_> {
    pub(super) fn cache(&mut self, raw: &RawCache, all: &RawConfig) -> CacheConfig {
        let bytes_max = self.number(
            "bytes_max",
            &raw.bytes_max,
            limits::CACHE_BYTES_MIN..=limits::CACHE_BYTES_CEILING,
            limits::CACHE_BYTES_MAX,
        );
        let most = bytes_max / ANSWERS_MIN;
        let answer_bytes_max = self.number(
            "answer_bytes_max",
            &raw.answer_bytes_max,
            1..=limits::CACHE_ANSWER_BYTES_CEILING,
            limits::CACHE_ANSWER_BYTES_MAX.min(most),
        );
        if let Some(given) = raw.answer_bytes_max.given()
            && given.value > most
        {
            self.problem(
                given.span,
                format!(
                    "`answer_bytes_max` is {}, more than a quarter of `bytes_max`, which is {bytes_max}",
                    given.value
                ),
                "lower `answer_bytes_max` or raise `bytes_max`",
            );
        }
        let seconds = self.number(
            "seconds",
            &raw.seconds,
            1..=limits::CACHE_TIME_MAX.as_secs(),
            limits::CACHE_SECONDS,
        );
        let wait = self.number(
            "wait_seconds",
            &raw.wait_seconds,
            0..=limits::CACHE_WAIT_TIME_MAX.as_secs(),
            limits::CACHE_WAIT_SECONDS,
        );
        // What could not be read may be what a name means.
        let readable = self.problems.is_empty();
        let upstreams = all.upstreams.iter();
        let upstreams = upstreams.filter_map(|upstream| upstream.name.given());
        let upstreams: Vec<&str> = upstreams.map(|name| name.value.as_str()).collect();
        CacheConfig {
            bytes_max: size(bytes_max),
            answer_bytes_max: size(answer_bytes_max),
            keep: Duration::from_secs(seconds),
            wait: Duration::from_secs(wait),
            sampled: raw.sampled.given().is_some_and(|sampled| sampled.value),
            workloads: self.among(
                &raw.workloads,
                "workload has the id",
                readable.then(|| all.workload_ids()),
            ),
            upstreams: self.among(
                &raw.upstreams,
                "upstream has the name",
                readable.then_some(upstreams),
            ),
        }
    }

    /// Names, each of which must be known.
    fn among(
        &mut self,
        field: &Field<Vec<String>>,
        what: &str,
        known: Option<Vec<&str>>,
    ) -> Vec<String> {
        let Some(names) = field.given() else {
            return Vec::new();
        };
        if names.value.is_empty() {
            self.problem(
                names.span,
                "the list is empty",
                "name some, or leave the line out",
            );
        }
        let Some(known) = known else {
            return Vec::new();
        };
        let stranger = |name: &&String| !known.contains(&name.as_str());
        for name in names.value.iter().filter(stranger) {
            let help = match closest(name, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "take it out of the list, or write its entry".to_owned(),
            };
            self.problem(names.span, format!("no {what} `{name}`"), help);
        }
        names.value.clone()
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
