//! What the log says of a row, held against what callers and upstreams saw.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::Stage;
use super::caller::{Asked, View};
use super::upstream::Role;
use crate::clients::gateway::text;

/// The upstreams in their roles, as attempts name them.
const ROLES: [(Role, &str); 3] = [
    (Role::Faulty, "faulty-"),
    (Role::Forbidden, "forbidden"),
    (Role::Second, "second"),
];

/// One row in numbers.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) asked: Vec<Asked>,
    /// Outcome and status under each record's id.
    outcomes: BTreeMap<String, Vec<(String, u64)>>,
    pub(super) records: usize,
    /// Attempts of which something was sent, and requests that were read, by role.
    pub(super) sent: BTreeMap<Role, usize>,
    pub(super) seen: BTreeMap<Role, usize>,
    /// Attempts of records that policy has not permitted.
    unpermitted: usize,
    pub(super) recovered: Option<Duration>,
}

impl Counted {
    /// What the records of this model say.
    pub(super) fn of(stage: &Stage, records: &[Value], model: &str) -> Self {
        let mut counted = Self {
            asked: stage.asked.get(model).cloned().unwrap_or_default(),
            ..Self::default()
        };
        for (role, _) in ROLES {
            counted.seen.insert(role, stage.upstreams.seen(role, model));
            counted.sent.insert(role, 0);
        }
        for record in records
            .iter()
            .filter(|one| text(one, "requested_model") == model)
        {
            counted.records += 1;
            let id = text(record, "id").to_owned();
            let outcome = text(record, "outcome").to_owned();
            let status = record.get("status").and_then(Value::as_u64);
            let ended = (outcome, status.unwrap_or(0));
            counted.outcomes.entry(id).or_default().push(ended);
            let attempts = record.get("attempts").and_then(Value::as_array);
            for attempt in attempts.into_iter().flatten() {
                let upstream = text(attempt, "upstream");
                let role = ROLES.iter().find(|(_, name)| upstream.starts_with(name));
                let unsent = attempt.get("unsent").and_then(Value::as_bool) == Some(true);
                if let (Some((role, _)), false) = (role, unsent) {
                    *counted.sent.entry(*role).or_default() += 1;
                }
                counted.unpermitted += usize::from(text(record, "decision") != "permit");
            }
        }
        counted
    }

    pub(super) fn views(&self, of: impl Fn(View) -> bool) -> usize {
        self.asked.iter().filter(|asked| of(asked.view)).count()
    }
}

/// Whether everything is as it must be; `unread` where the faulty upstream reads nothing that it is sent.
pub(super) fn judge(counted: &Counted, unread: bool) -> Result<(), String> {
    let mut faults = Vec::new();
    let of = |all: &BTreeMap<Role, usize>, role| all.get(&role).copied().unwrap_or(0);
    for (role, _) in ROLES {
        let (sent, seen) = (of(&counted.sent, role), of(&counted.seen, role));
        if seen > sent || (seen < sent && !(unread && role == Role::Faulty)) {
            faults.push(format!(
                "{role:?}: {sent} attempts in the log, {seen} requests there"
            ));
        }
        if role == Role::Forbidden && sent + seen > 0 {
            faults.push("what policy forbids was asked".to_owned());
        }
    }
    if counted.unpermitted > 0 {
        faults.push(format!("{} attempts without a permit", counted.unpermitted));
    }
    for asked in &counted.asked {
        let found = asked.id.as_ref().map(|id| counted.outcomes.get(id));
        let outcomes = found.flatten().map(Vec::as_slice);
        match (asked.view, &asked.id, outcomes) {
            (View::HungUp, None, _) => {}
            (View::Good, Some(_), Some([(outcome, 200)])) if outcome == "completed" => {}
            (View::Good, id, outcome) => {
                faults.push(format!(
                    "answered whole, and in the log as {outcome:?} ({id:?})"
                ));
            }
            // An upstream's own error that has come whole is completed, under its status.
            (View::Error(told), Some(_), Some([(_, status)])) if *status == u64::from(told) => {}
            (View::AsSent, Some(_), Some([_])) => {}
            (View::Forged | View::Nothing, ..) => faults.push(format!("{asked:?}")),
            (View::Broken | View::HungUp | View::Told, Some(_), Some([(outcome, _)]))
                if outcome != "completed" => {}
            (view, id, outcome) => {
                faults.push(format!("{view:?}, and in the log as {outcome:?} ({id:?})"));
            }
        }
    }
    if counted.asked.is_empty() {
        faults.push("nothing was asked".to_owned());
    }
    faults.sort();
    faults.dedup();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::caller::Kind;
    use super::*;

    fn counted(view: View, id: Option<&str>, outcome: &str) -> Counted {
        let asked = Asked {
            kind: Kind::Chat,
            view,
            id: id.map(str::to_owned),
        };
        Counted {
            asked: vec![asked],
            outcomes: BTreeMap::from([("a".to_owned(), vec![(outcome.to_owned(), 200)])]),
            records: 1,
            sent: BTreeMap::from([(Role::Faulty, 1)]),
            seen: BTreeMap::from([(Role::Faulty, 1)]),
            ..Counted::default()
        }
    }

    #[test]
    fn what_must_not_be_is_found() {
        let good = || counted(View::Good, Some("a"), "completed");
        assert!(judge(&good(), false).is_ok());
        assert!(judge(&counted(View::Told, Some("a"), "upstream-error"), false).is_ok());
        assert!(judge(&counted(View::HungUp, None, "client-gone"), false).is_ok());
        assert!(judge(&counted(View::Error(502), Some("a"), "completed"), false).is_err());
        // A record that is lost, that stands there twice, or that says otherwise.
        assert!(judge(&counted(View::Good, Some("b"), "completed"), false).is_err());
        assert!(judge(&counted(View::Good, Some("a"), "client-gone"), false).is_err());
        assert!(judge(&counted(View::Broken, Some("a"), "completed"), false).is_err());
        assert!(judge(&counted(View::Good, None, "completed"), false).is_err());
        let mut twice = good();
        twice
            .outcomes
            .entry("a".to_owned())
            .or_default()
            .push(("completed".to_owned(), 200));
        assert!(judge(&twice, false).is_err());
        // A request that no attempt of the log accounts for, and an attempt that nobody saw.
        let mut more = good();
        more.seen.insert(Role::Faulty, 2);
        assert!(judge(&more, true).is_err());
        let mut fewer = good();
        fewer.seen.insert(Role::Faulty, 0);
        assert!(judge(&fewer, false).is_err() && judge(&fewer, true).is_ok());
        let mut forbidden = good();
        forbidden.seen.insert(Role::Forbidden, 1);
        forbidden.sent.insert(Role::Forbidden, 1);
        assert!(judge(&forbidden, false).is_err());
        let mut unpermitted = good();
        unpermitted.unpermitted = 1;
        assert!(judge(&unpermitted, false).is_err());
        assert!(judge(&counted(View::Forged, Some("a"), "completed"), false).is_err());
        assert!(judge(&Counted::default(), false).is_err());
    }
}
