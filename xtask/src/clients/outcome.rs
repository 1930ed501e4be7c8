//! What became of recorded exchanges: one outcome for each exchange, client and manner of sending.

use serde::{Deserialize, Serialize};

use crate::mock::{Exchange, Unserved};

/// How an exchange went for a client through the gateway, beside how it went without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// Not the same.
    Differs,
    /// The gateway refused a field of the request, as listed.
    Refused,
    /// The same.
    Same,
    /// The same, and the client cannot read the answer on either side.
    SameFailure,
    /// The client has no way to ask for this.
    Unasked,
}

/// One outcome.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) client: String,
    pub(crate) exchange: String,
    /// How the answer was sent: `37` for pieces of so many bytes, `pause`, `abort`.
    pub(crate) manner: String,
    pub(crate) verdict: Verdict,
    pub(crate) why: String,
}

/// All outcomes of a run, and what they were of.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) unserved: Vec<Unserved>,
    pub(crate) all: Vec<Outcome>,
}

/// The client that compares bytes: no client at all.
pub(crate) const BYTES: &str = "bytes";

impl Outcomes {
    pub(crate) fn push(
        &mut self,
        client: &str,
        exchange: &str,
        manner: &str,
        verdict: Verdict,
        why: &str,
    ) {
        self.all.push(Outcome {
            client: client.to_owned(),
            exchange: exchange.to_owned(),
            manner: manner.to_owned(),
            verdict,
            why: why.to_owned(),
        });
    }
}
