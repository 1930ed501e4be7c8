//! A property as goals: sets of requests, each of which must be shown to be empty.
//!
//! A goal is the set of requests that meet all of `given`, that each pack of `permitted` permits, and
//! that the pack of `denied` denies in one certain way. The property holds if every goal is empty:
//!
//! ```text
//! never permit when C      C,            permitted by all packs
//! always permit when C     C and forbid F applies                  for each forbid of each pack
//!                          C,            no permit of pack P applies   for each pack
//! A and B never conflict   as `always` for A, with permitted by B, and the other way round
//! new implies old          as `always` for the old packs, with permitted by all new ones
//! ```
//!
//! So a denial is asked about rule by rule: many small questions instead of one over everything.

use std::collections::BTreeSet;

use cedar_policy::pst::Clause;

use crate::book::Book;
use crate::condition::Condition;
use crate::error::ProveError;
use crate::problem::{Part, Place, PropertyProblem};
use crate::property::{Claim, Pack, Property};
use crate::rule::Rule;

/// The property's packs and conditions, ready to make goals of.
#[derive(Debug)]
pub(crate) struct Case<'p> {
    /// Condition and assumptions.
    pub(crate) given: Vec<Rule>,
    sides: Vec<Side<'p>>,
}

/// Packs that permit on one side, and packs that deny on the other.
#[derive(Debug)]
struct Side<'p> {
    permitted: Vec<&'p Book<'p>>,
    denied: Vec<&'p Book<'p>>,
}

/// A set of requests to be shown empty.
#[derive(Debug)]
pub(crate) struct Goal<'c, 'p> {
    /// All of these apply.
    pub(crate) given: &'c [Rule],
    /// All of these permit.
    pub(crate) permitted: &'c [&'p Book<'p>],
    /// How one denies, when one does.
    pub(crate) denied: Option<Denied<'p>>,
}

/// How a pack denies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Denied<'p> {
    /// This forbid of it applies.
    Forbid(&'p Book<'p>, &'p Rule),
    /// No permit of it applies.
    NoPermit(&'p Book<'p>),
}

/// The packs that a property speaks of.
#[derive(Debug)]
pub(crate) struct Shelf<'p> {
    current: Vec<Book<'p>>,
    old: Vec<Book<'p>>,
}

impl<'p> Shelf<'p> {
    /// `packs` are those in force; a comparison brings its own.
    pub(crate) fn of(
        property: &'p Property,
        packs: &'p [Pack],
        schema: &cedar_policy::Schema,
    ) -> Result<Self, ProveError> {
        let (current, old) = match &property.claim {
            Claim::Implies { old, new } => (Book::all(new, schema)?, Book::all(old, schema)?),
            _ => (Book::all(packs, schema)?, Vec::new()),
        };
        Ok(Self { current, old })
    }

    fn named(&'p self, name: &str) -> Result<&'p Book<'p>, ProveError> {
        let found = self.current.iter().find(|book| book.pack.name == name);
        found.ok_or_else(|| ProveError::UnknownPack {
            name: name.to_owned(),
            known: self
                .current
                .iter()
                .map(|book| book.pack.name.clone())
                .collect(),
        })
    }
}

impl<'p> Case<'p> {
    pub(crate) fn of(property: &Property, shelf: &'p Shelf<'p>) -> Result<Self, ProveError> {
        let current = || shelf.current.iter().collect::<Vec<_>>();
        let sides = match &property.claim {
            Claim::Never { .. } => vec![Side {
                permitted: current(),
                denied: Vec::new(),
            }],
            Claim::Always { .. } => vec![Side {
                permitted: Vec::new(),
                denied: current(),
            }],
            Claim::Implies { .. } => vec![Side {
                permitted: current(),
                denied: shelf.old.iter().collect(),
            }],
            Claim::NoConflict { first, second, .. } => {
                let (first, second) = (shelf.named(first)?, shelf.named(second)?);
                let side = |permits, denies| Side {
                    permitted: vec![permits],
                    denied: vec![denies],
                };
                vec![side(first, second), side(second, first)]
            }
        };
        let conditions = property
            .condition()
            .into_iter()
            .chain(&property.assumptions);
        let given: Result<Vec<Rule>, ProveError> = conditions.map(rule).collect();
        Ok(Self {
            given: given?,
            sides,
        })
    }

    /// Everything to be shown empty.
    pub(crate) fn goals(&self) -> Vec<Goal<'_, 'p>> {
        let mut goals = Vec::new();
        for side in &self.sides {
            let mut goal = |denied| {
                goals.push(Goal {
                    given: &self.given,
                    permitted: &side.permitted,
                    denied,
                });
            };
            if side.denied.is_empty() {
                goal(None);
            }
            for book in &side.denied {
                for forbid in &book.forbids {
                    // A pack that permits has the same forbid: nothing can be permitted there.
                    if !side.forbids(forbid) {
                        goal(Some(Denied::Forbid(book, forbid)));
                    }
                }
                if !side.has_permits_within(book) {
                    goal(Some(Denied::NoPermit(book)));
                }
            }
        }
        goals
    }

    /// Rules that may fail where the question takes for granted that they cannot: those of a pack that
    /// denies, where a failure would deny too, and permits, which are asked about all together.
    pub(crate) fn fragile(&self) -> Vec<(&'p Book<'p>, &'p Rule)> {
        let mut found = Vec::new();
        for side in &self.sides {
            for book in &side.denied {
                found.extend(book.rules().map(|rule| (*book, rule)));
            }
            for book in &side.permitted {
                found.extend(book.permits.iter().map(|rule| (*book, rule)));
            }
        }
        found.retain(|(_, rule)| rule.may_fail());
        found
    }
}

impl Side<'_> {
    fn forbids(&self, rule: &Rule) -> bool {
        self.permitted
            .iter()
            .flat_map(|book| &book.forbids)
            .any(|own| own.covers(rule))
    }

    /// Whether some pack that permits does so only where a permit of this book applies too.
    fn has_permits_within(&self, book: &Book<'_>) -> bool {
        self.permitted.iter().any(|own| {
            own.permits
                .iter()
                .all(|narrow| book.permits.iter().any(|wide| wide.covers(narrow)))
        })
    }
}

impl<'c, 'p> Goal<'c, 'p> {
    /// The rules that apply to every request in it.
    fn applying(&self) -> impl Iterator<Item = &'c Rule>
    where
        'p: 'c,
    {
        let forbid = match self.denied {
            Some(Denied::Forbid(_, rule)) => Some(rule),
            _ => None,
        };
        self.given.iter().chain(forbid)
    }

    /// The permits of which none applies, when the goal is about that.
    pub(crate) fn unpermitted(&self) -> Option<&'p [Rule]> {
        match self.denied {
            Some(Denied::NoPermit(book)) => Some(&book.permits),
            _ => None,
        }
    }

    /// The pack that denies.
    pub(crate) fn denier(&self) -> Option<&'p Book<'p>> {
        self.denied.map(|denied| match denied {
            Denied::Forbid(book, _) | Denied::NoPermit(book) => book,
        })
    }

    /// The clauses that hold for every request in it.
    pub(crate) fn clauses(&self) -> impl Iterator<Item = &'c Clause>
    where
        'p: 'c,
    {
        self.applying().flat_map(|rule| &rule.clauses)
    }

    /// What it speaks of.
    pub(crate) fn reads(&self) -> BTreeSet<&'c str>
    where
        'p: 'c,
    {
        self.applying()
            .chain(self.unpermitted().into_iter().flatten())
            .flat_map(|rule| &rule.reads)
            .map(String::as_str)
            .collect()
    }
}

fn rule(condition: &Condition) -> Result<Rule, ProveError> {
    Rule::of(condition.rule()).map_err(|error| {
        let help = "write it with what the guide lists";
        let problem = Place::START.problem(error.to_string(), help);
        ProveError::Property {
            problems: vec![PropertyProblem {
                part: Part::Property,
                ..problem
            }],
        }
    })
}
