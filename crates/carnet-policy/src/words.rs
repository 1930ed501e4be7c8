//! What policies see of one candidate, as plain words, and its form as a Cedar entity.
//!
//! The defaults are those of a target of which nothing is known.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{EntityUid, RestrictedExpression};

use crate::entities::{Attributes, Edges, Kind, Misfit, Node, flag, link, record, text, texts};
use crate::facts::UNKNOWN;

/// The attributes of a target in the schema, under the same names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) model: String,
    pub(crate) identified: bool,
    pub(crate) confidence: String,
    pub(crate) licence: String,
    pub(crate) weights: String,
    pub(crate) lineage_status: String,
    pub(crate) disputed: bool,
    pub(crate) overlay: bool,
    pub(crate) producer: Maker,
    pub(crate) counted: Counted,
    pub(crate) weights_countries: BTreeSet<String>,
    pub(crate) weights_producers: BTreeSet<String>,
    pub(crate) relations: BTreeSet<String>,
    pub(crate) weights_complete: bool,
    pub(crate) teacher_countries: BTreeSet<String>,
    pub(crate) teachers_complete: bool,
    /// Documents on file; none when nobody says.
    pub(crate) documents: Option<BTreeSet<String>>,
    pub(crate) host: String,
    pub(crate) host_kind: String,
    pub(crate) host_operator: String,
    pub(crate) host_lists: BTreeSet<String>,
    pub(crate) router: bool,
    pub(crate) upstream: String,
    pub(crate) hosting_countries: BTreeSet<String>,
    pub(crate) hosting_parents: BTreeSet<String>,
    pub(crate) hosting_complete: bool,
    pub(crate) subprocessor_countries: BTreeSet<String>,
    pub(crate) subprocessors_known: bool,
    pub(crate) trains_on_prompts: String,
    pub(crate) egress: String,
    pub(crate) retention: String,
    /// The hierarchy above it, apart from the attributes.
    pub(crate) ancestry: Ancestry,
}

/// `resource.producer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Maker {
    pub(crate) id: String,
    pub(crate) country: String,
    pub(crate) known: bool,
    pub(crate) owners: BTreeSet<String>,
    pub(crate) owner_countries: BTreeSet<String>,
    pub(crate) lists: BTreeSet<String>,
    pub(crate) claims: BTreeSet<String>,
}

/// `resource.counted`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) producers: BTreeSet<String>,
    pub(crate) countries: BTreeSet<String>,
    pub(crate) lists: BTreeSet<String>,
    pub(crate) group_countries: BTreeSet<String>,
    pub(crate) group_lists: BTreeSet<String>,
    pub(crate) complete: bool,
}

/// Models, producers, countries and groups above a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ancestry {
    /// The models that its weights come from, itself first.
    pub(crate) models: Vec<String>,
    /// The producers of those models with their countries, where known.
    pub(crate) producers: BTreeMap<String, BTreeSet<String>>,
    /// The groups that hold each country.
    pub(crate) groups: BTreeMap<String, Vec<String>>,
}

impl Default for Words {
    fn default() -> Self {
        let unknown = || UNKNOWN.to_owned();
        Self {
            model: unknown(),
            identified: false,
            confidence: unknown(),
            licence: unknown(),
            weights: unknown(),
            lineage_status: unknown(),
            disputed: false,
            overlay: false,
            producer: Maker::default(),
            counted: Counted::default(),
            weights_countries: BTreeSet::new(),
            weights_producers: BTreeSet::new(),
            relations: BTreeSet::new(),
            weights_complete: false,
            teacher_countries: BTreeSet::new(),
            teachers_complete: false,
            documents: None,
            host: unknown(),
            host_kind: unknown(),
            host_operator: unknown(),
            host_lists: BTreeSet::new(),
            router: false,
            upstream: unknown(),
            hosting_countries: BTreeSet::new(),
            hosting_parents: BTreeSet::new(),
            hosting_complete: false,
            subprocessor_countries: BTreeSet::new(),
            subprocessors_known: false,
            trains_on_prompts: unknown(),
            egress: unknown(),
            retention: unknown(),
            ancestry: Ancestry::default(),
        }
    }
}

impl Default for Maker {
    fn default() -> Self {
        Self {
            id: UNKNOWN.to_owned(),
            country: UNKNOWN.to_owned(),
            known: false,
            owners: BTreeSet::new(),
            owner_countries: BTreeSet::new(),
            lists: BTreeSet::new(),
            claims: BTreeSet::new(),
        }
    }
}

impl Words {
    /// The target called `name` with these attributes and the hierarchy above it.
    pub(crate) fn node(&self, name: &str) -> Result<Node, Misfit> {
        let uid = Kind::Target.uid(name)?;
        let edges = self.edges(&uid)?;
        Node::new(uid, self.attributes()?, edges)
    }

    fn attributes(&self) -> Result<Attributes, Misfit> {
        let jurisdictions: BTreeSet<&String> = self
            .hosting_countries
            .union(&self.hosting_parents)
            .collect();
        let pairs = [
            ("model", text(&self.model)),
            ("identified", flag(self.identified)),
            ("confidence", text(&self.confidence)),
            ("licence", text(&self.licence)),
            ("weights", text(&self.weights)),
            ("lineage_status", text(&self.lineage_status)),
            ("disputed", flag(self.disputed)),
            ("overlay", flag(self.overlay)),
            ("producer", self.producer.record()?),
            ("counted", self.counted.record()?),
            ("weights_countries", texts(&self.weights_countries)),
            ("weights_producers", texts(&self.weights_producers)),
            ("relations", texts(&self.relations)),
            ("weights_complete", flag(self.weights_complete)),
            ("teacher_countries", texts(&self.teacher_countries)),
            ("teachers_complete", flag(self.teachers_complete)),
            ("documents", texts(self.documents.iter().flatten())),
            ("documents_known", flag(self.documents.is_some())),
            ("host", text(&self.host)),
            ("host_kind", text(&self.host_kind)),
            ("host_operator", text(&self.host_operator)),
            ("host_lists", texts(&self.host_lists)),
            ("router", flag(self.router)),
            ("upstream", text(&self.upstream)),
            ("hosting_countries", texts(&self.hosting_countries)),
            ("hosting_parents", texts(&self.hosting_parents)),
            ("jurisdictions", texts(jurisdictions)),
            ("hosting_complete", flag(self.hosting_complete)),
            (
                "subprocessor_countries",
                texts(&self.subprocessor_countries),
            ),
            ("subprocessors_known", flag(self.subprocessors_known)),
            ("trains_on_prompts", text(&self.trains_on_prompts)),
            ("egress", text(&self.egress)),
            ("retention", text(&self.retention)),
        ];
        Ok(pairs.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// The hierarchy. `resource in Country::"X"` holds exactly when `weights_countries` has `X`:
    /// a country that no known producer accounts for hangs under a producer without a name.
    fn edges(&self, target: &EntityUid) -> Result<Edges, Misfit> {
        let mut edges = Edges::new();
        let models = if self.ancestry.models.is_empty() {
            std::slice::from_ref(&self.model)
        } else {
            self.ancestry.models.as_slice()
        };
        let Some((own, ancestors)) = models.split_first() else {
            return Ok(edges);
        };
        let own = Kind::Model.uid(own)?;
        link(&mut edges, target, &own);
        for ancestor in ancestors {
            let ancestor = Kind::Model.uid(ancestor)?;
            if ancestor != own {
                link(&mut edges, &own, &ancestor);
            }
        }
        let mut reached = BTreeSet::new();
        for producer in &self.weights_producers {
            let uid = Kind::Producer.uid(producer)?;
            link(&mut edges, &own, &uid);
            for country in self.ancestry.producers.get(producer).into_iter().flatten() {
                if self.weights_countries.contains(country) {
                    link(&mut edges, &uid, &Kind::Country.uid(country)?);
                    reached.insert(country);
                }
            }
        }
        for country in self
            .weights_countries
            .iter()
            .filter(|country| !reached.contains(country))
        {
            let nameless = Kind::Producer.uid(&format!("?{country}"))?;
            link(&mut edges, &own, &nameless);
            link(&mut edges, &nameless, &Kind::Country.uid(country)?);
        }
        for country in &self.weights_countries {
            for group in self.ancestry.groups.get(country).into_iter().flatten() {
                link(
                    &mut edges,
                    &Kind::Country.uid(country)?,
                    &Kind::Group.uid(group)?,
                );
            }
        }
        Ok(edges)
    }
}

impl Maker {
    fn record(&self) -> Result<RestrictedExpression, Misfit> {
        record([
            ("id", text(&self.id)),
            ("country", text(&self.country)),
            ("known", flag(self.known)),
            ("owners", texts(&self.owners)),
            ("owner_countries", texts(&self.owner_countries)),
            ("lists", texts(&self.lists)),
            ("claims", texts(&self.claims)),
        ])
    }
}

impl Counted {
    fn record(&self) -> Result<RestrictedExpression, Misfit> {
        record([
            ("producers", texts(&self.producers)),
            ("countries", texts(&self.countries)),
            ("lists", texts(&self.lists)),
            ("group_countries", texts(&self.group_countries)),
            ("group_lists", texts(&self.group_lists)),
            ("complete", flag(self.complete)),
        ])
    }
}
