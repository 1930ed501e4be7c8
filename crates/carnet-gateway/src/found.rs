//! What detectors find in a request, as policies see it.

use std::sync::OnceLock;

use carnet_guard::{Class, Confidence, Detections, scan};
use carnet_policy::{Decider, Finding, Principal, Workload};
use carnet_wire::json;

/// What can be found of one class: nothing, or something, by how sure that is.
const STEPS: usize = 1 + Confidence::ALL.len();
/// What can be found of all.
const COMBINATIONS: usize = STEPS.pow(Class::ALL.len() as u32);

/// Look through all texts of a request.
pub(crate) fn look(body: &[u8]) -> Detections {
    scan(&json::plain_bytes(body))
}

/// What was found, as far as rules can ask for it: each class by how sure that is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Findings([u8; Class::ALL.len()]);

impl From<&Detections> for Findings {
    fn from(detections: &Detections) -> Self {
        let step = |class| {
            detections
                .surest(class)
                .map_or(0, |surest| 1 + surest as u8)
        };
        Self(Class::ALL.map(step))
    }
}

impl Findings {
    /// Its number among all combinations.
    fn place(self) -> usize {
        let steps = self.0.iter();
        steps.fold(0, |place, step| place * STEPS + usize::from(*step))
    }

    fn findings(self) -> impl Iterator<Item = Finding> {
        Class::ALL
            .into_iter()
            .zip(self.0)
            .filter_map(|(class, step)| {
                let surest = Confidence::ALL.get(usize::from(step.checked_sub(1)?))?;
                Finding::try_from(format!("{}/{}", class.as_str(), surest.as_str())).ok()
            })
    }
}

/// A workload as the policy sees it, by what was found in what it sends. Few combinations ever occur; each is prepared when
/// it does, so that decisions on it are remembered as those on any caller are.
#[derive(Debug)]
pub(crate) struct Callers {
    workload: Workload,
    by_found: [OnceLock<Principal>; COMBINATIONS],
}

impl Callers {
    /// Of a workload whose requests are looked through, or not.
    pub(crate) fn new(workload: &Workload, detect: bool, decider: &Decider) -> Self {
        let callers = Self {
            workload: Workload {
                found: detect.then(Vec::new),
                ..workload.clone()
            },
            by_found: [const { OnceLock::new() }; COMBINATIONS],
        };
        callers.principal(Findings::default(), decider);
        callers
    }

    /// Who asks, if this was found.
    pub(crate) fn principal(&self, found: Findings, decider: &Decider) -> Option<&Principal> {
        let principal = self.by_found.get(found.place())?;
        Some(principal.get_or_init(|| {
            let mut workload = self.workload.clone();
            workload.found = workload.found.map(|_| found.findings().collect());
            decider.principal(&workload)
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use carnet_guard::Kind;

    use super::*;

    #[test]
    fn each_combination_has_its_place_and_its_findings() {
        let mut places = BTreeSet::new();
        for first in 0..STEPS as u8 {
            for second in 0..STEPS as u8 {
                let found = Findings([first, second]);
                assert!(found.place() < COMBINATIONS && places.insert(found.place()));
                let wanted = [first, second].iter().filter(|step| **step > 0).count();
                assert_eq!(found.findings().count(), wanted);
            }
        }
        let found = look(br#"["card 4111111111111111"]"#);
        let findings: Vec<String> = Findings::from(&found)
            .findings()
            .map(String::from)
            .collect();
        assert_eq!(findings, ["personal-data/high"]);
    }

    #[test]
    fn texts_are_looked_through_as_they_read() {
        let body =
            br#"{"messages": [{"content": "call:\n\u002b49 30 1234567"}, {"content": "x"}]}"#;
        let found: Vec<_> = look(body).iter().collect();
        assert_eq!(found, [(Kind::PhoneNumber, Confidence::Medium, 1)]);
    }
}
