//! Where the prompt goes: the host, its regions, its operator and the companies above it.

use std::collections::BTreeSet;

use crate::claim::{Confidence, Evidence, Horizon};
use crate::country::Country;
use crate::grammar::Reading;
use crate::overlay::{OPERATOR, Origin};
use crate::registry::entry::{Egress, HostKind, Region};
use crate::resolution::{Fact, Hosting};
use crate::resolve::Query;
use crate::view::{HostNode, Said, View};

/// The host with the facts it rests on; none when it is not known.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) hosting: Option<Hosting>,
    pub(super) facts: Vec<Fact>,
}

/// The regions in which it may run.
struct Regions {
    ids: Vec<String>,
    countries: BTreeSet<Country>,
    known: bool,
}

/// Those who process prompts for the host.
struct Subprocessors {
    countries: BTreeSet<Country>,
    known: bool,
}

/// A region with who says so.
struct Site<'v> {
    id: &'v str,
    country: Country,
    evidence: Option<&'v Evidence>,
    origin: &'v Origin,
}

struct Look<'v, 'h> {
    node: HostNode<'v>,
    horizon: &'h mut Horizon,
    facts: Vec<Fact>,
    gaps: Vec<String>,
    confidence: Confidence,
}

/// Look at the host that was asked for, or that the id leads to.
pub(super) fn hosting(
    view: &View,
    query: &Query<'_>,
    reading: &Reading,
    steps: &mut Vec<String>,
    horizon: &mut Horizon,
) -> Place {
    if let (Some(host), Some(asked)) = (reading.host, query.host)
        && host != asked
    {
        steps.push(format!(
            "the id leads to the host `{host}`, not to `{asked}`"
        ));
    }
    let Some(id) = reading.host.or(query.host) else {
        return unknown(steps, "no host was named");
    };
    let Some(node) = view.host_node(id, horizon) else {
        return unknown(steps, &format!("the host `{id}` is not known"));
    };
    let mut look = Look {
        node,
        horizon,
        facts: Vec::new(),
        gaps: Vec::new(),
        confidence: Confidence::High,
    };
    let regions = look.regions(query, reading, steps);
    let hosting = look.hosting(view, regions);
    Place {
        hosting: Some(hosting),
        facts: look.facts,
    }
}

fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn unknown(steps: &mut Vec<String>, why: &str) -> Place {
    steps.push(format!("where the prompt goes is unknown: {why}"));
    let facts = [
        ("host", "unknown"),
        ("hosting_complete", "false: the host is unknown"),
        ("egress", "unknown"),
        ("retention", "unknown"),
        ("subprocessors", "unknown"),
        ("trains_on_prompts", "unknown"),
    ];
    let facts = facts.map(|(claim, value)| Fact::derived(claim, value, Confidence::Unknown));
    Place {
        hosting: None,
        facts: facts.into(),
    }
}

impl<'v> Look<'v, '_> {
    fn hosting(&mut self, view: &'v View, regions: Regions) -> Hosting {
        let node = self.node;
        let operator = node.operator(self.horizon);
        let country = node.country(self.horizon);
        let parent = node.parent_country(self.horizon);
        let retention = node.retention(self.horizon);
        let egress = node.egress(self.horizon);
        let trains = node.trains_on_prompts(self.horizon);
        self.host_fact();
        let vouched = self.vouched();
        let mut parents = BTreeSet::new();
        self.law(country, "the operator's country", &mut parents);
        // The operator's word that the place is complete says that nobody stands above him.
        if parent.is_some() || vouched.is_none() {
            self.law(parent, "the ultimate parent's country", &mut parents);
        }
        self.operator_as_producer(view, &mut parents);
        self.gaps(regions.known, vouched.is_some());
        let complete = self.gaps.is_empty();
        let jurisdictions: BTreeSet<Country> = parents.union(&regions.countries).copied().collect();
        self.rest(egress.map(|said| said.map(Egress::as_str)), "egress");
        self.rest(retention, "retention");
        let others = self.subprocessors();
        self.rest(trains.map(|said| said.map(truth)), "trains_on_prompts");
        self.computed(&jurisdictions, vouched);
        let source = country
            .or(parent)
            .map(|said| said.evidence)
            .or(operator.map(|said| said.evidence));
        Hosting {
            host: node.id.clone(),
            operator: operator.map(|said| said.value.to_owned()),
            country: country.map(|said| said.value),
            parent_country: parent.map(|said| said.value),
            regions: regions.ids,
            jurisdictions,
            complete,
            retention: retention.map(|said| said.value.to_owned()),
            confidence: if source.is_some() {
                self.confidence
            } else {
                Confidence::Unknown
            },
            source: source.map_or_else(
                || "not stated".to_owned(),
                |evidence| evidence.source.to_string(),
            ),
            hosting_countries: regions.countries,
            hosting_parents: parents,
            kind: node.kind(),
            egress: egress.map_or(Egress::Unknown, |said| said.value),
            subprocessor_countries: others.countries,
            subprocessors_known: others.known,
            trains_on_prompts: trains.map(|said| said.value),
        }
    }

    /// What keeps the place from being complete, beside an unknown country of those who run it.
    fn gaps(&mut self, regions_known: bool, vouched: bool) {
        self.gap_if(!regions_known, "the regions are not all known");
        self.gap_if(self.node.kind() == Some(HostKind::Router), "it is a router");
        self.gap_if(
            self.node
                .patch
                .is_some_and(|patch| patch.says.complete == Some(false)),
            "the operator says so",
        );
        self.gap_if(
            self.node.host.is_none() && !vouched,
            "the operator does not say that it is complete",
        );
    }

    /// The regions in which it may run: those of the profile, else the one asked for, else all. A
    /// profile goes before a region, because it may leave it.
    fn regions(
        &mut self,
        query: &Query<'_>,
        reading: &Reading,
        steps: &mut Vec<String>,
    ) -> Regions {
        let sites = self.sites();
        let asked = query.region.or(reading.region.as_deref());
        // Where a host does not keep to its regions, naming one does not bind it: a deployment made in
        // one may be served in others.
        let binding = reading.profile.is_some() || asked.is_none() || self.all_known();
        if !binding {
            steps.push("the host is not bound to the region named: others may serve".to_owned());
        }
        let wanted = match (&reading.profile, asked) {
            (Some(prefix), _) => match self.profile(prefix) {
                Some(regions) => regions,
                None => {
                    steps.push(format!(
                        "the host lists no profile `{prefix}`: any region may serve"
                    ));
                    return self.collect(&sites, false);
                }
            },
            (None, Some(region)) => vec![region],
            (None, None) => {
                let known = self.all_known();
                return self.collect(&sites, known);
            }
        };
        let unlisted = wanted
            .iter()
            .find(|id| !sites.iter().any(|site| site.id == **id));
        if let Some(id) = unlisted {
            steps.push(format!(
                "the host lists no region `{id}`: where it runs is unknown"
            ));
        }
        let known = unlisted.is_none() && binding;
        let chosen: Vec<Site<'v>> = sites
            .into_iter()
            .filter(|site| wanted.contains(&site.id))
            .collect();
        self.collect(&chosen, known)
    }

    fn profile(&mut self, prefix: &str) -> Option<Vec<&'v str>> {
        let profile = self
            .node
            .host?
            .profiles
            .iter()
            .find(|profile| profile.prefix == prefix)?;
        self.trust(profile.evidence.confidence);
        Some(profile.regions.iter().map(String::as_str).collect())
    }

    fn collect(&mut self, sites: &[Site<'v>], known: bool) -> Regions {
        let known = known && !sites.is_empty();
        let mut regions = Regions {
            ids: Vec::new(),
            countries: BTreeSet::new(),
            known,
        };
        for site in sites {
            regions.ids.push(site.id.to_owned());
            if let Some(evidence) = site.evidence {
                self.trust(evidence.confidence);
            }
            if regions.countries.insert(site.country) {
                self.facts.push(match site.evidence {
                    Some(evidence) => {
                        Fact::new("hosting_countries", site.country, evidence, site.origin)
                    }
                    None => Fact::derived("hosting_countries", site.country, Confidence::Medium),
                });
            }
        }
        regions
    }

    fn sites(&self) -> Vec<Site<'v>> {
        if let Some(patch) = self.node.patch
            && let Some(regions) = &patch.says.regions
        {
            let (evidence, origin) = (Some(&patch.evidence), &patch.origin);
            return regions
                .iter()
                .map(|(id, country)| Site {
                    id,
                    country: *country,
                    evidence,
                    origin,
                })
                .collect();
        }
        let regions = self.node.host.map_or(&[][..], |host| &host.regions);
        let site = |region: &'v Region| Site {
            id: &region.id,
            country: region.country,
            evidence: region.evidence.as_ref(),
            origin: &Origin::Registry,
        };
        regions.iter().map(site).collect()
    }

    fn all_known(&mut self) -> bool {
        let Some(said) = self.node.regions_known(self.horizon) else {
            return false;
        };
        self.trust(said.evidence.confidence);
        said.value && said.evidence.confidence > Confidence::Unknown
    }

    /// The operator's word that everything is told.
    fn vouched(&self) -> Option<&'v Origin> {
        self.node
            .patch
            .filter(|patch| patch.says.complete == Some(true))
            .map(|patch| &patch.origin)
    }

    fn law(
        &mut self,
        said: Option<Said<'v, Country>>,
        what: &str,
        parents: &mut BTreeSet<Country>,
    ) {
        let Some(said) = said else {
            self.gaps.push(format!("{what} is unknown"));
            return;
        };
        self.trust(said.evidence.confidence);
        self.gap_if(
            said.evidence.confidence == Confidence::Unknown,
            &format!("{what} is not sure"),
        );
        parents.insert(said.value);
        self.facts.push(Fact::new(
            "hosting_parents",
            said.value,
            said.evidence,
            said.origin,
        ));
    }

    /// An operator that makes models too has a country of its own in its record.
    fn operator_as_producer(&mut self, view: &'v View, parents: &mut BTreeSet<Country>) {
        let operator = self
            .node
            .host
            .and_then(|host| host.operator.at(self.horizon));
        let Some(producer) = operator.and_then(|claim| claim.value.producer.as_ref()) else {
            return;
        };
        let node = view.producer_node(producer.as_str(), self.horizon);
        let Some(country) = node.and_then(|node| node.country(self.horizon)) else {
            return;
        };
        if parents.insert(country.value) {
            self.facts.push(Fact::new(
                "hosting_parents",
                country.value,
                country.evidence,
                country.origin,
            ));
        }
    }

    fn host_fact(&mut self) {
        let fact = match self.node.patch {
            Some(patch) => Fact::new("host", self.node.id, &patch.evidence, &patch.origin),
            None => Fact::derived("host", self.node.id, Confidence::High),
        };
        self.facts.push(fact);
    }

    fn rest(&mut self, said: Option<Said<'v, &'v str>>, claim: &'static str) {
        self.facts.push(match said {
            Some(said) => Fact::new(claim, said.value, said.evidence, said.origin),
            None => Fact::derived(claim, "unknown", Confidence::Unknown),
        });
    }

    /// They are no gap of the place and lower no confidence in it: rules ask for them apart.
    fn subprocessors(&mut self) -> Subprocessors {
        let listed = self.node.subprocessors(self.horizon);
        if listed.is_empty() {
            self.rest(None, "subprocessors");
        }
        let mut found = Subprocessors {
            countries: BTreeSet::new(),
            known: !listed.is_empty(),
        };
        for said in listed {
            let country = said.value.country;
            found.known &= country.is_some() && said.is_sure();
            found.countries.extend(country);
            let country =
                country.map_or_else(|| "unknown".to_owned(), |country| country.to_string());
            let value = format!("{} ({country})", said.value.name);
            self.facts.push(Fact::new(
                "subprocessors",
                value,
                said.evidence,
                said.origin,
            ));
        }
        found
    }

    fn computed(&mut self, jurisdictions: &BTreeSet<Country>, vouched: Option<&Origin>) {
        for country in jurisdictions {
            self.facts
                .push(Fact::derived("jurisdictions", country, self.confidence));
        }
        let complete = self.gaps.is_empty();
        let value = if complete {
            "true".to_owned()
        } else {
            format!("false: {}", self.gaps.join("; "))
        };
        let mut fact = Fact::derived("hosting_complete", value, self.confidence);
        if let (true, Some(origin)) = (complete, vouched) {
            fact.origin = origin.clone();
            fact.source = OPERATOR.to_owned();
        }
        self.facts.push(fact);
    }

    fn gap_if(&mut self, gap: bool, why: &str) {
        if gap {
            self.gaps.push(why.to_owned());
        }
    }

    fn trust(&mut self, confidence: Confidence) {
        self.confidence = self.confidence.min(confidence);
    }
}
