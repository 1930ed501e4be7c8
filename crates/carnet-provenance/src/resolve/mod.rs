//! From an id to an answer: read, identify, walk the line, look at the host, put together.

mod candidate;
mod canonical;
mod files;
mod hosting;
mod identify;
mod join;
mod line;
mod record;
mod unknown;

#[cfg(test)]
mod tests;

use jiff::civil::Date;

use crate::claim::Horizon;
use crate::grammar::{self, Reading};
use crate::limits::ID_BYTES_MAX;
use crate::resolution::{Candidate, Resolution};
use crate::resolve::identify::Identity;
use crate::view::View;

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The id, as it is sent or stored.
    pub id: &'a str,
    /// The platform whose grammar it follows.
    pub platform: Option<&'a str>,
    /// The host that serves it.
    pub host: Option<&'a str>,
    /// The operator's name for the upstream, by which the overlay maps deployments.
    pub upstream: Option<&'a str>,
    /// The region it runs in.
    pub region: Option<&'a str>,
    /// The day of the question.
    pub as_of: Date,
}

impl View {
    /// What this id is. Every question has an answer; an unknown id has one that knows nothing.
    #[must_use]
    pub fn resolve(&self, query: &Query<'_>) -> Resolution {
        let mut horizon = Horizon::new(query.as_of);
        let reading = match refusal(query.id) {
            Some(why) => Reading {
                opaque: Some(why),
                ..Reading::default()
            },
            None => self.read(query, &mut horizon),
        };
        let identity = identify::identify(self, query, &reading, &mut horizon);
        let mut steps = reading.steps.clone();
        let hosting = hosting::hosting(self, query, &reading, &mut steps, &mut horizon);
        steps.extend(identity.steps.iter().cloned());
        let candidates = self.candidates(query, &identity, horizon, &hosting);
        join::join(
            query,
            reading.platform,
            identity.canonical,
            steps,
            candidates,
        )
    }

    /// Read the id by the grammar of the platform named, else of the host's.
    fn read(&self, query: &Query<'_>, horizon: &mut Horizon) -> Reading {
        let of_host = query
            .host
            .and_then(|host| self.host_node(host, horizon))
            .and_then(|host| host.platform());
        let platform = query.platform.or(of_host);
        let mut reading = grammar::read(query.id, platform, self);
        if let Some(name) = &reading.platform {
            let how = if query.platform.is_some() {
                "asked for"
            } else if of_host.is_some() {
                "the host's"
            } else {
                "hinted at by the form of the id"
            };
            reading
                .steps
                .insert(0, format!("platform `{name}` ({how})"));
        }
        reading
    }

    fn candidates(
        &self,
        query: &Query<'_>,
        identity: &Identity<'_>,
        horizon: Horizon,
        hosting: &hosting::Place,
    ) -> Vec<Candidate> {
        let mut found = Vec::new();
        for one in &identity.found {
            found.extend(candidate::candidate(self, one, identity, horizon, hosting));
        }
        if found.is_empty() {
            found.push(unknown::candidate(self, query, identity, horizon, hosting));
        }
        found
    }
}

/// Why an id is not even read.
fn refusal(id: &str) -> Option<&'static str> {
    if id.is_empty() {
        Some("the id is empty")
    } else if id.len() > ID_BYTES_MAX {
        Some("the id is longer than any id may be")
    } else if id.chars().any(char::is_control) {
        Some("the id has control characters")
    } else {
        None
    }
}
