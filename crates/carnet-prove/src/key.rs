//! A name for a question, under which its answer may be kept.

use sha2::{Digest, Sha256};

use crate::property::{Claim, Pack, Property};

/// Changes whenever the way in which questions are asked does.
const VERSION: &str = "carnet-prove 1, cedar-policy-symcc 0.8.1";

/// SHA-256, in hexadecimal, over everything that the answer rests on: the property, the rules, the
/// text of the schema, the version of the solver and of this library.
///
/// Keep what was proved and disproved under it; an inconclusive answer depends on the time given.
#[must_use]
pub fn cache_key(
    property: &Property,
    packs: &[Pack],
    schema: &str,
    solver_version: &str,
) -> String {
    let mut parts = Parts(Sha256::new());
    parts.add(VERSION);
    parts.add(solver_version);
    parts.add(schema);
    parts.add(&property.to_string());
    parts.add(&property.assumptions.len().to_string());
    for fact in &property.assumptions {
        parts.add(fact.text());
    }
    match &property.claim {
        Claim::Implies { old, new } => {
            parts.packs(old);
            parts.packs(new);
        }
        _ => parts.packs(packs),
    }
    hex::encode(parts.0.finalize())
}

/// Texts, each with its length, so that no two sequences of them look alike.
struct Parts(Sha256);

impl Parts {
    fn add(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text);
    }

    fn packs(&mut self, packs: &[Pack]) {
        self.add(&packs.len().to_string());
        for pack in packs {
            self.add(&pack.name);
            let mut rules: Vec<(String, String)> = pack
                .rules
                .policies()
                .map(|rule| (rule.id().to_string(), rule.to_string()))
                .collect();
            rules.sort();
            self.add(&rules.len().to_string());
            for (id, text) in rules {
                self.add(&id);
                self.add(&text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(name: &str, rules: &str) -> Pack {
        Pack {
            name: name.to_owned(),
            rules: rules.parse().unwrap(),
        }
    }

    #[test]
    fn everything_that_counts_changes_the_key_and_nothing_else() {
        let rules = "permit (principal, action, resource); forbid (principal, action, resource);";
        let property = Property::parse("never permit when context.stream").unwrap();
        let fact = || "resource.identified".parse().unwrap();
        let packs = [pack("a", rules)];
        let first = cache_key(&property, &packs, "schema", "cvc5 1");
        assert_eq!(first.len(), 64);
        assert_eq!(
            first,
            cache_key(&property.clone(), &packs.clone(), "schema", "cvc5 1")
        );
        let implies = |old: &str, new: &str| {
            Property::new(Claim::Implies {
                old: vec![pack("a", old)],
                new: vec![pack("a", new)],
            })
        };
        let others = [
            cache_key(
                &Property::parse("always permit when context.stream").unwrap(),
                &packs,
                "schema",
                "cvc5 1",
            ),
            cache_key(
                &Property::parse("never permit when !context.stream").unwrap(),
                &packs,
                "schema",
                "cvc5 1",
            ),
            cache_key(
                &property.clone().assuming(fact()),
                &packs,
                "schema",
                "cvc5 1",
            ),
            cache_key(&property, &[pack("b", rules)], "schema", "cvc5 1"),
            cache_key(
                &property,
                &[pack("a", "permit (principal, action, resource);")],
                "schema",
                "cvc5 1",
            ),
            cache_key(
                &property,
                &[pack("a", rules), pack("b", rules)],
                "schema",
                "cvc5 1",
            ),
            cache_key(&property, &packs, "schema 2", "cvc5 1"),
            cache_key(&property, &packs, "schema", "cvc5 2"),
            cache_key(&implies(rules, ""), &packs, "schema", "cvc5 1"),
            cache_key(&implies("", rules), &packs, "schema", "cvc5 1"),
        ];
        let mut all: Vec<&String> = others.iter().chain([&first]).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), others.len() + 1);
    }
}
