//! References between files, with their places: whether they lead anywhere shows only at the end.

use crate::claim::Validity;
use crate::problem::Place;

/// What a reference leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Country,
    Host,
    List,
    Model,
    Producer,
}

/// A reference.
pub(crate) struct Link {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) place: Place,
}

/// One step of a line.
pub(crate) struct Edge {
    pub(crate) child: String,
    pub(crate) base: String,
    pub(crate) place: Place,
}

/// A name on a platform.
pub(crate) struct Name {
    pub(crate) platform: String,
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) valid: Validity,
    pub(crate) place: Place,
}

/// Everything that must be checked when all files are read.
#[derive(Default)]
pub(crate) struct Links {
    pub(crate) links: Vec<Link>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) names: Vec<Name>,
}

impl Links {
    pub(crate) fn add(&mut self, kind: Kind, id: &str, place: Place) {
        self.links.push(Link {
            kind,
            id: id.to_owned(),
            place,
        });
    }
}

impl Edge {
    pub(crate) fn new(child: &str, base: &str, place: &Place) -> Self {
        Self {
            child: child.to_owned(),
            base: base.to_owned(),
            place: place.clone(),
        }
    }
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Country => "country",
            Self::Host => "host",
            Self::List => "list",
            Self::Model => "model",
            Self::Producer => "producer",
        }
    }

    pub(crate) fn remedy(self, id: &str) -> String {
        match self {
            Self::Country => "add it to jurisdictions.toml, or mend the code".to_owned(),
            Self::Host => format!("add hosts/{id}.toml, or mend the id"),
            Self::List => format!("add lists/{id}.toml, or mend the id"),
            Self::Model => format!("add models/{id}.toml, or mend the id"),
            Self::Producer => format!("add producers/{id}.toml, or mend the id"),
        }
    }
}
