//! Answers about the registry's own records: asked by id, so that no name has to be read.

use jiff::civil::Date;

use crate::claim::{Confidence, Horizon};
use crate::grammar::Reading;
use crate::resolution::{Hosting, Party, Resolution};
use crate::resolve::identify::{Found, Identity, Search};
use crate::resolve::{Query, hosting, join};
use crate::view::View;

impl View {
    /// What is known of a model, by the id of its record.
    #[must_use]
    pub fn model_record(&self, id: &str, as_of: Date) -> Option<Resolution> {
        let mut horizon = Horizon::new(as_of);
        let node = self.model_node(id, &mut horizon)?;
        let found = Found::of(node.id, Confidence::High);
        self.record(id, vec![found], horizon, as_of)
    }

    /// What a moving alias means on a day, by the id of its record.
    #[must_use]
    pub fn moving_record(&self, id: &str, as_of: Date) -> Option<Resolution> {
        let mut horizon = Horizon::new(as_of);
        let moving = self
            .registry()
            .moving_aliases()
            .find(|moving| moving.id == id)?;
        let mut found = Vec::new();
        let reading = Reading::default();
        let mut search = Search {
            view: self,
            reading: &reading,
            horizon: &mut horizon,
            on_wire: false,
            steps: Vec::new(),
        };
        search.moving(moving, &mut found);
        self.record(id, found, horizon, as_of)
    }

    /// Who a producer is on a day.
    #[must_use]
    pub fn producer_record(&self, id: &str, as_of: Date) -> Option<Party> {
        let mut horizon = Horizon::new(as_of);
        let node = self.producer_node(id, &mut horizon)?;
        let country = node.country(&mut horizon);
        let mut owners = Vec::new();
        let mut lists = Vec::new();
        if let Some(producer) = node.producer {
            owners.extend(
                producer
                    .owners
                    .iter()
                    .filter(|one| horizon.holds(&one.valid))
                    .cloned(),
            );
            lists.extend(
                producer
                    .lists
                    .iter()
                    .filter(|one| horizon.holds(&one.valid))
                    .cloned(),
            );
        }
        Some(Party {
            id: Some(node.id.clone()),
            name: node.name().to_owned(),
            country: country.map(|said| said.value),
            confidence: country.map_or(Confidence::Unknown, |said| said.evidence.confidence),
            source: country.map_or_else(
                || "not stated".to_owned(),
                |said| said.evidence.source.to_string(),
            ),
            owners,
            lists,
        })
    }

    /// Where a host's prompts go on a day.
    #[must_use]
    pub fn host_record(&self, id: &str, as_of: Date) -> Option<Hosting> {
        let mut horizon = Horizon::new(as_of);
        let query = query(id, Some(id), as_of);
        let reading = Reading::default();
        hosting::hosting(self, &query, &reading, &mut Vec::new(), &mut horizon).hosting
    }

    fn record(
        &self,
        id: &str,
        found: Vec<Found<'_>>,
        horizon: Horizon,
        as_of: Date,
    ) -> Option<Resolution> {
        let identity = Identity {
            identified: !found.is_empty(),
            found,
            canonical: Some(id.to_owned()),
            ..Identity::default()
        };
        let query = query(id, None, as_of);
        let place = hosting::Place::default();
        let candidates = self.candidates(&query, &identity, horizon, &place);
        let steps = vec![format!("`{id}` is the id of a record")];
        Some(join::join(
            &query,
            None,
            identity.canonical,
            steps,
            candidates,
        ))
    }
}

fn query<'q>(id: &'q str, host: Option<&'q str>, as_of: Date) -> Query<'q> {
    Query {
        id,
        platform: None,
        host,
        upstream: None,
        region: None,
        as_of,
    }
}
