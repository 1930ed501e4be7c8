//! What is known of an organisation on one day, for questions that no single model asks.

use jiff::civil::Date;

use crate::claim::{Horizon, Validity};
use crate::country::Country;
use crate::ids::ProducerId;
use crate::registry::entry::{Listing, Owner, Statement};
use crate::view::View;

/// An organisation that makes models or owns one that does, on one day.
#[derive(Clone, Debug, PartialEq)]
pub struct Organisation {
    /// Id of its record.
    pub id: ProducerId,
    /// Name for people.
    pub name: String,
    /// Country of its head office; none when unknown.
    pub country: Option<Country>,
    /// Its owners on the day.
    pub owners: Vec<Owner>,
    /// The lists that name it on the day.
    pub lists: Vec<Listing>,
    /// What was claimed about it by the day, and by whom. Never a fact.
    pub statements: Vec<Statement>,
    /// The first later day on which any of it changes.
    pub valid_until: Option<Date>,
}

impl View {
    /// What registry and overlay say of an organisation on a day.
    #[must_use]
    pub fn organisation(&self, id: &str, day: Date) -> Option<Organisation> {
        let mut horizon = Horizon::new(day);
        let node = self.producer_node(id, &mut horizon)?;
        let country = node.country(&mut horizon).map(|said| said.value);
        let producer = node.producer;
        let mut owners = Vec::new();
        for owner in producer.map_or(&[][..], |producer| &producer.owners) {
            if horizon.holds(&owner.valid) {
                owners.push(owner.clone());
            }
        }
        let mut lists = Vec::new();
        for listing in producer.map_or(&[][..], |producer| &producer.lists) {
            if horizon.holds(&listing.valid) {
                lists.push(listing.clone());
            }
        }
        let mut statements = Vec::new();
        for statement in producer.map_or(&[][..], |producer| &producer.statements) {
            let made = Validity {
                from: Some(statement.date),
                to: None,
            };
            if horizon.holds(&made) {
                statements.push(statement.clone());
            }
        }
        Some(Organisation {
            id: node.id.clone(),
            name: node.name().to_owned(),
            country,
            owners,
            lists,
            statements,
            valid_until: horizon.next(),
        })
    }
}
