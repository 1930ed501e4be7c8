//! From what a model's files say to an answer: a claim of whoever wrote them, never more.
//!
//! The lines of all models that the files name are put together, and whatever contradicts is told.
//! The weights are never complete on a file's own word: who trained it last is not known, and a file
//! can say anything. Only the operator's mapping of its name says which model it is.

mod claimed;
mod contradiction;
mod relation;
mod said;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::claim::{Confidence, Horizon};
use crate::grammar::{DIGEST, Reading};
use crate::ids::ModelId;
use crate::resolution::{Candidate, Fact, Resolution};
use crate::resolve::identify::{Found, Identity};
use crate::resolve::{Query, candidate, hosting, join};
use crate::statements::FileStatements;
use crate::view::View;

use contradiction::Contradictions;
use said::{Heard, Name};

/// The platform of files.
const FILE: &str = "file";

impl View {
    /// What the files at a path are, going by what they say. The query's id is the path as it was given.
    #[must_use]
    pub fn resolve_files(&self, says: &FileStatements, query: &Query<'_>) -> Resolution {
        let query = Query {
            platform: Some(FILE),
            ..*query
        };
        let mut horizon = Horizon::new(query.as_of);
        let mut steps = vec![format!("platform `{FILE}` (the argument is a path)")];
        steps.extend(says.steps.iter().cloned());
        let heard = Heard::of(self, says, &query, &mut horizon, &mut steps);
        if let Some(name) = self.mapped_name(says, &query, &mut horizon) {
            return self.mapped(name, &heard, &query, horizon, steps);
        }
        let reading = Reading {
            platform: Some(FILE.to_owned()),
            ..Reading::default()
        };
        let place = hosting::hosting(self, &query, &reading, &mut steps, &mut horizon);
        let found = contradiction::find(self, &heard, &mut horizon);
        steps.extend(found.steps.iter().cloned());
        let candidates = if heard.bases.is_empty() {
            self.by_name(&heard, &query, horizon, &place, &mut steps)
        } else {
            let context = claimed::Context {
                view: self,
                heard: &heard,
                query: &query,
                place: &place,
                contradicted: !found.disputes.is_empty(),
            };
            vec![context.candidate(horizon, &mut steps)]
        };
        steps.push(NOT_COMPLETE.to_owned());
        let candidates = candidates.into_iter().map(|mut one| {
            one.disputed.extend(found.disputes.iter().cloned());
            claimed::licence(&mut one, says);
            one
        });
        let candidates = candidates.collect();
        join::join(&query, Some(FILE.to_owned()), None, steps, candidates)
    }

    /// The name of the file or folder that the operator has mapped. Names within files do not count:
    /// whoever wrote the file could claim the operator's word by them.
    fn mapped_name<'q>(
        &self,
        says: &'q FileStatements,
        query: &Query<'q>,
        horizon: &mut Horizon,
    ) -> Option<&'q str> {
        let outside = says.names.iter().filter(|name| name.outside);
        let names = std::iter::once(query.id).chain(outside.map(|name| name.value.as_str()));
        let mut mapped = names.filter(|name| {
            let name = name.to_ascii_lowercase();
            self.deployment(&name, query.upstream, horizon).is_some()
        });
        mapped.next()
    }

    /// The model that the operator says it is. What the file says beside that counts all the same.
    fn mapped(
        &self,
        name: &str,
        heard: &Heard<'_, '_>,
        query: &Query<'_>,
        mut horizon: Horizon,
        mut steps: Vec<String>,
    ) -> Resolution {
        let answer = self.resolve(&Query { id: name, ..*query });
        steps.extend(answer.steps);
        let mut candidates = answer.candidates;
        for one in &mut candidates {
            let against = Contradictions::of_mapped(self, heard, one, &mut horizon);
            if against.disputes.is_empty() {
                continue;
            }
            steps.extend(against.steps);
            one.disputed.extend(against.disputes);
            for id in heard.nodes() {
                claimed::add_line(self, one, id, &mut horizon);
            }
            one.weights_complete = false;
            one.teachers_complete = false;
            one.confidence = one.confidence.min(Confidence::Low);
            one.documents = None;
            one.facts
                .retain(|fact| !matches!(fact.claim.as_str(), "weights_complete" | "documents"));
            one.facts.push(Fact::derived(
                "weights_complete",
                "false: the file says something else than the operator",
                Confidence::Unknown,
            ));
            one.facts.push(candidate::no_documents());
        }
        join::join(
            query,
            Some(FILE.to_owned()),
            answer.canonical,
            steps,
            candidates,
        )
    }

    /// With nothing but names: what they may stand for, as with the name of a file that is not there.
    fn by_name(
        &self,
        heard: &Heard<'_, '_>,
        query: &Query<'_>,
        horizon: Horizon,
        place: &hosting::Place,
        steps: &mut Vec<String>,
    ) -> Vec<Candidate> {
        let mut nodes: Vec<&ModelId> = Vec::new();
        let mut family: BTreeSet<&ModelId> = BTreeSet::new();
        // The content narrows what a name leaves open.
        let digests = |name: &&Name<'_, '_>| {
            name.own.outside && name.own.platform == DIGEST && !name.found.is_empty()
        };
        let known = heard.names.iter().any(|name| digests(&name));
        let names = heard.names.iter().filter(|name| !known || digests(name));
        for Name { found, guess, .. } in names {
            nodes.extend(
                found
                    .iter()
                    .filter(|id| !nodes.contains(id))
                    .copied()
                    .collect::<Vec<_>>(),
            );
            family.extend(guess);
        }
        steps.push("nothing here says what the model comes from".to_owned());
        let at_most = if known {
            Confidence::Medium
        } else {
            Confidence::Low
        };
        let found = |model| Found::of(model, at_most);
        let identity = Identity {
            found: nodes.into_iter().map(found).collect(),
            family: family.into_iter().collect(),
            ..Identity::default()
        };
        self.candidates(query, &identity, horizon, place)
    }
}

/// Why no answer from files is complete.
const NOT_COMPLETE: &str =
    "a file's own statements are its writer's: they never make an answer complete";
