//! What is to be proved, as data and as a short text.

use std::fmt;
use std::str::FromStr;

use cedar_policy::{PolicySet, Schema};

use crate::condition::Condition;
use crate::problem::{Part, Place, PropertyProblem};

/// The forms that a property has as text.
const FORMS: &str = "a property reads `never permit when …`, `always permit when …` or \
                     `packs A and B never conflict when …`";

/// The rules of one pack. A request is permitted only if every pack permits it.
#[derive(Clone, Debug)]
pub struct Pack {
    /// How properties and counterexamples speak of it.
    pub name: String,
    /// Its static rules, each under the id that answers name.
    pub rules: PolicySet,
}

/// What is claimed of every possible request.
#[derive(Clone, Debug)]
pub enum Claim {
    /// Every request that meets the condition is permitted.
    Always {
        /// Which requests.
        condition: Condition,
    },
    /// Everything that `new` permits, `old` permitted: the change widens nothing.
    Implies {
        /// The packs before.
        old: Vec<Pack>,
        /// The packs after.
        new: Vec<Pack>,
    },
    /// No request that meets the condition is permitted.
    Never {
        /// Which requests.
        condition: Condition,
    },
    /// On no request that meets the condition does one pack permit what the other denies.
    NoConflict {
        /// Name of one pack.
        first: String,
        /// Name of the other.
        second: String,
        /// Which requests; all when there is none.
        condition: Option<Condition>,
    },
}

/// A claim and what is taken for granted.
#[derive(Clone, Debug)]
pub struct Property {
    /// What is claimed.
    pub claim: Claim,
    /// Facts that hold for every request that is considered, such as those of one registry.
    pub assumptions: Vec<Condition>,
}

impl Property {
    /// The claim with nothing taken for granted.
    #[must_use]
    pub fn new(claim: Claim) -> Self {
        Self {
            claim,
            assumptions: Vec::new(),
        }
    }

    /// The same with one more fact taken for granted.
    #[must_use]
    pub fn assuming(mut self, fact: Condition) -> Self {
        self.assumptions.push(fact);
        self
    }

    /// Read one of the short forms.
    ///
    /// # Errors
    /// When the text has none of these forms or its condition is no Cedar.
    pub fn parse(text: &str) -> Result<Self, PropertyProblem> {
        let mut words = Words { text, at: 0 };
        let claim = match words.next() {
            Some("never") => Claim::Never {
                condition: words.permit_when()?,
            },
            Some("always") => Claim::Always {
                condition: words.permit_when()?,
            },
            Some("packs") => words.conflict()?,
            Some(word) => {
                let message = format!("no property begins with `{word}`");
                return Err(words.before(word).problem(message, FORMS));
            }
            None => return Err(Place::START.problem("the property is empty", FORMS)),
        };
        Ok(Self::new(claim))
    }

    /// Hold its conditions against the schema.
    ///
    /// # Errors
    /// Every mistake in the condition and the assumptions.
    pub fn check(&self, schema: &Schema) -> Result<(), Vec<PropertyProblem>> {
        let mut problems = Vec::new();
        if let Some(condition) = self.condition() {
            problems.extend(condition.check(schema));
        }
        for (index, fact) in self.assumptions.iter().enumerate() {
            let part = Part::Assumption(index.saturating_add(1));
            let found = fact.check(schema).into_iter();
            problems.extend(found.map(|problem| PropertyProblem { part, ..problem }));
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }

    /// Which requests it speaks of, when it does not speak of all.
    #[must_use]
    pub fn condition(&self) -> Option<&Condition> {
        match &self.claim {
            Claim::Always { condition } | Claim::Never { condition } => Some(condition),
            Claim::NoConflict { condition, .. } => condition.as_ref(),
            Claim::Implies { .. } => None,
        }
    }
}

impl FromStr for Property {
    type Err = PropertyProblem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always { condition } => write!(f, "always permit when {condition}"),
            Self::Never { condition } => write!(f, "never permit when {condition}"),
            Self::NoConflict {
                first,
                second,
                condition,
            } => {
                write!(f, "packs {first} and {second} never conflict")?;
                match condition {
                    Some(condition) => write!(f, " when {condition}"),
                    None => Ok(()),
                }
            }
            Self::Implies { old, new } => {
                let names = |packs: &[Pack]| {
                    let names: Vec<&str> = packs.iter().map(|pack| pack.name.as_str()).collect();
                    names.join(", ")
                };
                write!(
                    f,
                    "the new packs ({}) permit nothing that the old ones ({}) denied",
                    names(new),
                    names(old)
                )
            }
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.claim)
    }
}

/// The words of a property, read from the left.
struct Words<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Words<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        let space = rest.len().saturating_sub(rest.trim_start().len());
        self.at = self.at.saturating_add(space);
    }

    fn next(&mut self) -> Option<&'t str> {
        self.skip_space();
        let word = self.rest().split_whitespace().next()?;
        self.at = self.at.saturating_add(word.len());
        Some(word)
    }

    /// Where we are.
    fn here(&self) -> Place {
        Place::START.at(self.text, self.at)
    }

    /// Where the word that was just read begins.
    fn before(&self, word: &str) -> Place {
        Place::START.at(self.text, self.at.saturating_sub(word.len()))
    }

    fn expect(&mut self, wanted: &str) -> Result<(), PropertyProblem> {
        match self.next() {
            Some(word) if word == wanted => Ok(()),
            Some(word) => {
                let message = format!("`{word}` stands where `{wanted}` belongs");
                Err(self
                    .before(word)
                    .problem(message, format!("write `{wanted}`; {FORMS}")))
            }
            None => {
                let message = format!("the property ends where `{wanted}` belongs");
                Err(self
                    .here()
                    .problem(message, format!("go on with `{wanted}`; {FORMS}")))
            }
        }
    }

    fn permit_when(&mut self) -> Result<Condition, PropertyProblem> {
        self.expect("permit")?;
        self.expect("when")?;
        self.condition()
    }

    fn condition(&mut self) -> Result<Condition, PropertyProblem> {
        self.skip_space();
        Condition::parse_at(self.rest().trim_end(), self.here())
    }

    fn pack(&mut self) -> Result<String, PropertyProblem> {
        let word = self.next().unwrap_or_default();
        let name = word.trim_matches(['`', '"', '\'']);
        if name.is_empty() {
            let help = "write the name of a pack, as in `packs a and b never conflict`";
            return Err(self
                .before(word)
                .problem("the name of a pack is missing", help));
        }
        Ok(name.to_owned())
    }

    fn conflict(&mut self) -> Result<Claim, PropertyProblem> {
        let first = self.pack()?;
        self.expect("and")?;
        let second = self.pack()?;
        if first == second {
            let message = format!("`{second}` is named twice");
            return Err(self
                .before(&second)
                .problem(message, "a pack cannot conflict with itself: name another"));
        }
        self.expect("never")?;
        self.expect("conflict")?;
        self.skip_space();
        let condition = if self.rest().is_empty() {
            None
        } else {
            self.expect("when")?;
            Some(self.condition()?)
        };
        Ok(Claim::NoConflict {
            first,
            second,
            condition,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_read_and_written_alike() {
        for text in [
            r#"never permit when principal.sector == "government""#,
            "always permit when resource.identified",
            "packs a and b-2 never conflict",
            "packs a and b never conflict when context.stream",
        ] {
            assert_eq!(Property::parse(text).unwrap().to_string(), text);
        }
        let wide = Property::parse("\n packs `a`  and \"b\"\n never conflict \n").unwrap();
        assert_eq!(wide.to_string(), "packs a and b never conflict");
    }

    #[test]
    fn a_wrong_text_is_told_with_place_and_fix() {
        let table = [
            (
                "",
                "property:1:1: the property is empty",
                "never permit when",
            ),
            (
                "nothing is permitted",
                "property:1:1: no property begins with `nothing`",
                "never permit when",
            ),
            (
                "never allow when true",
                "property:1:7: `allow` stands where `permit` belongs",
                "write `permit`",
            ),
            (
                "never permit",
                "property:1:13: the property ends where `when` belongs",
                "go on with `when`",
            ),
            (
                "never permit when",
                "property:1:18: the condition is empty",
                "resource.identified",
            ),
            (
                "packs",
                "property:1:6: the name of a pack is missing",
                "packs a and b",
            ),
            (
                "packs a, b never conflict",
                "property:1:10: `b` stands where `and` belongs",
                "write `and`",
            ),
            (
                "packs a and a never conflict",
                "property:1:13: `a` is named twice",
                "name another",
            ),
            (
                "packs a and b never conflict if true",
                "property:1:30: `if` stands where `when` belongs",
                "write `when`",
            ),
            (
                "never permit when resource.identified and true",
                "property:1:39: unexpected token `and`",
                "&&",
            ),
            (
                "never permit\nwhen\n  resource.identified ||\n    )",
                "property:4:5: unexpected token `)`",
                "",
            ),
        ];
        for (text, told, help) in table {
            let problem = Property::parse(text).unwrap_err();
            assert_eq!(problem.to_string(), told, "{text}");
            assert!(
                problem.help.contains(help) && !problem.help.is_empty(),
                "{text}: {}",
                problem.help
            );
        }
    }

    #[test]
    fn every_part_is_held_against_the_schema() {
        let (schema, _) = Schema::from_cedarschema_str(carnet_policy::SCHEMA).unwrap();
        let property = Property::parse("never permit when resource.identity")
            .unwrap()
            .assuming(Condition::parse("resource.identified").unwrap())
            .assuming(Condition::parse("context.stream == 1").unwrap());
        let problems = property.check(&schema).unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with("property:1:19: "), "{told:?}");
        assert!(told[1].starts_with("assumption 2:1:"), "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");
    }
}
