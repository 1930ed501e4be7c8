//! A condition on requests, in Cedar's own words: what stands in the `when` of a rule.

use std::fmt;
use std::str::FromStr;

use cedar_policy::{Expression, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};

use crate::limits::{CONDITION_BYTES_MAX, NESTING_MAX, OPERATORS_MAX};
use crate::problem::{Place, PropertyProblem, told_by_cedar};

/// Stands before a condition when Cedar reads it as a rule. The line break ends no comment of it early.
const BEFORE: &str = "permit (principal, action, resource) when {\n";
const AFTER: &str = "\n};";

/// A Cedar condition over principal, action, resource and context.
#[derive(Clone, Debug)]
pub struct Condition {
    text: String,
    place: Place,
    rule: Policy,
}

impl Condition {
    /// Read a condition. Whether it fits a schema is told by [`Property::check`](crate::Property::check).
    ///
    /// # Errors
    /// When it is no Cedar expression, or one too large to be read safely.
    pub fn parse(text: &str) -> Result<Self, PropertyProblem> {
        Self::parse_at(text, Place::START)
    }

    pub(crate) fn parse_at(text: &str, place: Place) -> Result<Self, PropertyProblem> {
        if text.len() > CONDITION_BYTES_MAX {
            let message = format!(
                "the condition has {} bytes, more than {CONDITION_BYTES_MAX}",
                text.len()
            );
            return Err(place.problem(message, "split it into several properties"));
        }
        if let Some((offset, message)) = excess(text) {
            let help =
                "ask a set: `[\"…\", \"…\"].contains(…)`, or split it at `&&` into assumptions";
            return Err(place.at(text, offset).problem(message, help));
        }
        if text.trim().is_empty() {
            let help = "write one as in the `when` of a rule, such as `resource.identified`";
            return Err(place.problem("the condition is empty", help));
        }
        // As an expression first: `true } unless { …` would pass for the inside of a rule.
        if let Err(errors) = Expression::from_str(text) {
            let (offset, message, help) = told_by_cedar(&errors);
            let place = place.at(text, offset.unwrap_or_default());
            return Err(place.problem(message, help));
        }
        let source = format!("{BEFORE}{text}{AFTER}");
        match Policy::parse(Some(PolicyId::new("condition")), source) {
            Ok(rule) => Ok(Self {
                text: text.to_owned(),
                place,
                rule,
            }),
            Err(errors) => {
                let (offset, message, help) = told_by_cedar(&errors);
                let place = place.at(text, inside(offset));
                Err(place.problem(message, help))
            }
        }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The rule that permits whatever meets it.
    pub(crate) fn rule(&self) -> &Policy {
        &self.rule
    }

    /// What the schema has against it.
    pub(crate) fn check(&self, schema: &Schema) -> Vec<PropertyProblem> {
        let Ok(set) = PolicySet::from_policies([self.rule.clone()]) else {
            return Vec::new();
        };
        let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        let errors = result.validation_errors().map(|e| told_by_cedar(e));
        // A condition that nothing can meet makes every property hold: a mistake, no matter of taste.
        let warnings = result.validation_warnings().map(|w| told_by_cedar(w));
        errors
            .chain(warnings)
            .map(|(offset, message, help)| {
                let message = message.replace("for policy `condition`, ", "");
                self.place
                    .at(&self.text, inside(offset))
                    .problem(message, help)
            })
            .collect()
    }
}

/// The byte of the condition at this byte of the rule around it.
fn inside(offset: Option<usize>) -> usize {
    offset.unwrap_or_default().saturating_sub(BEFORE.len())
}

/// Where a condition is too deep or too long for readers that are recursive: a stack that overflows
/// takes the whole process with it.
fn excess(text: &str) -> Option<(usize, String)> {
    let mut depth = 0_usize;
    let mut operators = 0_usize;
    let mut in_text = false;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => in_text = !in_text,
            b'\\' if in_text => {
                bytes.next();
            }
            _ if in_text => {}
            b'(' | b'[' | b'{' => depth = depth.saturating_add(1),
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            // Half of `&&` and `||`, and what else makes a tree deeper: `if` for one.
            b'&' | b'|' | b'!' | b'-' | b'+' | b'*' | b'.' => {
                operators = operators.saturating_add(1)
            }
            b'i' if text.get(at..).is_some_and(|rest| rest.starts_with("if ")) => {
                operators = operators.saturating_add(1);
            }
            _ => {}
        }
        if depth > NESTING_MAX {
            return Some((
                at,
                format!("brackets are nested more than {NESTING_MAX} deep"),
            ));
        }
        if operators > OPERATORS_MAX {
            return Some((
                at,
                format!("the condition has more than {OPERATORS_MAX} operators"),
            ));
        }
    }
    None
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}

impl FromStr for Condition {
    type Err = PropertyProblem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_accepted() {
        for text in [
            "true",
            r#"principal.sector == "government" // who"#,
            "resource.identified\n  && !resource.router",
            r#"resource in Country::"AA" || context.api == "(((\"{{{""#,
        ] {
            assert!(Condition::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_with_its_place_and_a_way_out() {
        let deep = format!("{}true{}", "(".repeat(65), ")".repeat(65));
        let long = ["true"; 400].join("||");
        let table = [
            ("", (1, 1), "empty"),
            ("resource.identified &&", (1, 23), "unexpected end"),
            ("resource.identified\nand resource.router", (2, 1), "`and`"),
            ("true } unless { false", (1, 6), "}"),
            (
                "true };\npermit (principal, action, resource) when { true",
                (1, 6),
                "}",
            ),
            ("principal == ?principal", (1, 14), "?principal"),
            (&deep, (1, 65), "nested"),
            (&long, (1, 1541), "operators"),
        ];
        for (text, place, says) in table {
            let problem = Condition::parse(text).unwrap_err();
            assert!(problem.message.contains(says), "{says}: {problem:?}");
            assert_eq!((problem.line, problem.column), place, "{problem:?}");
            assert!(!problem.help.is_empty(), "{text}");
        }
    }

    #[test]
    fn the_schema_has_its_say() {
        let (schema, _) = Schema::from_cedarschema_str(carnet_policy::SCHEMA).unwrap();
        let told = |text: &str| Condition::parse(text).unwrap().check(&schema);
        assert_eq!(told("resource.identified"), []);
        let problems = told("resource.identified &&\n  resource.identity == \"x\"");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!((problems[0].line, problems[0].column), (2, 3));
        assert!(problems[0].message.contains("identity"), "{problems:?}");
        let problems = told("resource.identified && false");
        assert!(problems[0].message.contains("impossible"), "{problems:?}");
        assert!(problems[0].help.contains("no request"), "{problems:?}");
    }
}
