//! What a decision is: a permit for one attempt, or a denial, both with the verdict behind them.

use std::sync::Arc;

use serde::Serialize;

use crate::target::Target;
use crate::verdict::Verdict;

/// The answer to one request for one target.
#[derive(Debug)]
#[must_use]
pub enum Decision {
    /// Some enforced pack denies some candidate.
    Deny(Denial),
    /// Every enforced pack permits every candidate.
    Permit(Permit),
}

/// Leave to send one request once to the one upstream that it names.
///
/// INVARIANT: only [`Decider::decide`](crate::Decider::decide) makes one. Its fields are private, and
/// it can be neither copied nor read from data, so a second attempt needs a second decision.
///
/// ```compile_fail,E0451
/// # fn forge(target: carnet_policy::Target, verdict: std::sync::Arc<carnet_policy::Verdict>) {
/// let permit = carnet_policy::Permit { target, verdict };
/// # }
/// ```
///
/// ```compile_fail,E0599
/// # fn copy(permit: &carnet_policy::Permit) {
/// let second: carnet_policy::Permit = carnet_policy::Permit::clone(permit);
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Permit {
    target: Target,
    verdict: Arc<Verdict>,
}

/// A refusal. It is an answer like the other one, not an error.
#[derive(Debug)]
#[must_use]
pub struct Denial {
    verdict: Arc<Verdict>,
}

/// Something that must be done to a request before it may be sent. A rule that asks for another does not load: what
/// cannot be met would be an empty promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Obligation {
    /// The upstream is told to store nothing of what is exchanged, and what cannot be done without is refused.
    NoStore,
}

impl Obligation {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::NoStore];

    /// The word for it in a rule.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoStore => "no-store",
        }
    }

    /// The one that this word stands for.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }
}

impl Permit {
    pub(crate) fn new(target: Target, verdict: Arc<Verdict>) -> Self {
        Self { target, verdict }
    }

    /// Name of the upstream it may go to.
    #[must_use]
    pub fn upstream(&self) -> &Arc<str> {
        &self.target.spec().upstream
    }

    /// The origin, scheme and host, that it may go to and no other.
    #[must_use]
    pub fn origin(&self) -> &Arc<str> {
        &self.target.spec().origin
    }

    /// The model's name as the upstream knows it.
    #[must_use]
    pub fn upstream_model(&self) -> &Arc<str> {
        &self.target.spec().upstream_model
    }

    /// The target that was decided on.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Why.
    #[must_use]
    pub fn verdict(&self) -> &Arc<Verdict> {
        &self.verdict
    }

    /// What must be done to the request first.
    #[must_use]
    pub fn obligations(&self) -> &[Obligation] {
        self.verdict.obligations()
    }
}

impl Denial {
    pub(crate) fn new(verdict: Arc<Verdict>) -> Self {
        Self { verdict }
    }

    /// Why.
    #[must_use]
    pub fn verdict(&self) -> &Arc<Verdict> {
        &self.verdict
    }
}

impl Decision {
    /// The verdict behind either answer.
    #[must_use]
    pub fn verdict(&self) -> &Arc<Verdict> {
        match self {
            Self::Deny(denial) => denial.verdict(),
            Self::Permit(permit) => permit.verdict(),
        }
    }

    /// Whether it is a permit.
    #[must_use]
    pub fn is_permit(&self) -> bool {
        matches!(self, Self::Permit(_))
    }
}
