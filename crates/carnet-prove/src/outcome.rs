//! What came of a question.

use std::time::Duration;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::counterexample::Counterexample;

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Proof {
    /// A request breaks the property, and the ordinary authorizer agrees.
    Disproved {
        /// The request and its facts.
        counterexample: Box<Counterexample>,
    },
    /// It could not be told.
    Inconclusive {
        /// What stood in the way.
        why: Why,
        /// How long it was tried. In JSON, seconds.
        #[serde(serialize_with = "seconds")]
        after: Duration,
    },
    /// The property holds for every possible request.
    Proved {
        /// No request at all meets the condition and the assumptions together, so that the property
        /// says nothing: one of them is probably a mistake.
        vacuous: bool,
    },
}

/// Why a question stayed open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Error)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Why {
    /// A rule that counts can fail while it is evaluated, which the solver does not weigh as we do.
    #[error("rule `{rule}` of pack `{pack}` can fail while it is evaluated, and then denies")]
    MayFail {
        /// The pack.
        pack: String,
        /// The rule.
        rule: String,
    },
    /// The solver's counterexample was none when it was replayed.
    #[error("the solver's counterexample is none for the ordinary authorizer")]
    NotReplayed,
    /// The solver or the symbolic compiler broke down.
    #[error("the solver failed: {message}")]
    SolverFailed {
        /// Its own words.
        message: String,
    },
    /// The time was up.
    #[error("no answer within {} s", limit.as_secs_f64())]
    TimeLimit {
        /// How long the question could take. In JSON, seconds.
        #[serde(serialize_with = "seconds")]
        limit: Duration,
    },
    /// The solver gave up.
    #[error("the solver could not decide it")]
    Unknown,
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_plain_json() {
        let limit = Duration::from_millis(1_500);
        let proof = Proof::Inconclusive {
            why: Why::TimeLimit { limit },
            after: limit,
        };
        assert_eq!(
            serde_json::to_string(&proof).unwrap(),
            r#"{"outcome":"inconclusive","why":{"reason":"time-limit","limit":1.5},"after":1.5}"#
        );
        assert_eq!(
            serde_json::to_string(&Proof::Proved { vacuous: false }).unwrap(),
            r#"{"outcome":"proved","vacuous":false}"#
        );
    }
}
