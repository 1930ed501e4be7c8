//! Names read by their parts: a stem that a model declares, then only parts that are accounted for.
//!
//! A part that nobody accounts for, such as somebody's own suffix, leaves the name unread: so a
//! word that changes the lineage can never be lost.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::ids::ModelId;
use crate::key::{key, spelled, storage_words};
use crate::registry::Entries;
use crate::registry::entry::{Model, Weights, WordKind};

/// Ways tried for one name at most: names are short, and hostile ones must not cost time.
const TRIES_MAX: u32 = 400;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Families {
    stems: HashMap<String, Vec<Family>>,
    words: Vec<(String, Left)>,
}

#[derive(Debug)]
struct Family {
    model: ModelId,
    sizes: Vec<String>,
    words: Vec<String>,
    closed: bool,
}

/// What a part left aside says of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// How it is asked to answer: only of closed models.
    Mode,
    /// How it is served.
    Served,
    /// How it is stored or tuned: the same model for sure.
    Same,
}

/// A model that a name means by its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member<'i> {
    pub(crate) model: &'i ModelId,
    /// Whether no part had to be left aside but those that the model declares.
    pub(crate) exact: bool,
}

impl Families {
    pub(crate) fn of(entries: &Entries) -> Self {
        let mut families = Self::default();
        for model in entries.models.values() {
            families.add(model);
        }
        for group in &entries.words {
            let left = match group.kind {
                WordKind::Mode => Left::Mode,
                WordKind::Served => Left::Served,
                WordKind::Tuned => Left::Same,
            };
            let words = group.words.iter().map(|word| (spelled(word), left));
            families.words.extend(words);
        }
        let stored = storage_words().map(|word| (spelled(word), Left::Same));
        families.words.extend(stored);
        families
            .words
            .sort_by(|(one, _), (two, _)| longest_first(one, two));
        families
    }

    fn add(&mut self, model: &Model) {
        let closed = model
            .weights
            .values()
            .all(|weights| *weights != Weights::Open);
        for name in &model.names {
            let parts = |texts: &[String]| {
                let mut parts: Vec<String> = texts
                    .iter()
                    .map(|text| spelled(&text.to_ascii_lowercase()))
                    .collect();
                parts.sort_by(|one, two| longest_first(one, two));
                parts
            };
            let family = Family {
                model: model.id.clone(),
                sizes: parts(&name.sizes),
                words: parts(&name.words),
                closed,
            };
            self.stems.entry(key(&name.stem)).or_default().push(family);
        }
    }

    /// The models that a key means by its parts: those with the longest stem.
    pub(crate) fn members(&self, key: &str) -> Vec<Member<'_>> {
        let mut found: Vec<Member<'_>> = Vec::new();
        let mut end = Some(key.len());
        while let Some(at) = end {
            let (stem, tail) = key.split_at(at);
            for family in self.stems.get(stem).into_iter().flatten() {
                let Some(exact) = self.fits(family, tail) else {
                    continue;
                };
                match found.iter_mut().find(|one| *one.model == family.model) {
                    Some(one) => one.exact |= exact,
                    None => found.push(Member {
                        model: &family.model,
                        exact,
                    }),
                }
            }
            if !found.is_empty() {
                break;
            }
            end = stem.rfind('-');
        }
        found
    }

    fn fits(&self, family: &Family, tail: &str) -> Option<bool> {
        Tail {
            families: self,
            family,
            tries: 0,
        }
        .rest(tail, false)
    }
}

/// The parts behind a stem being read.
struct Tail<'i> {
    families: &'i Families,
    family: &'i Family,
    tries: u32,
}

impl Tail<'_> {
    /// Whether every part is accounted for, and if so whether none had to be left aside.
    fn rest(&mut self, tail: &str, sized: bool) -> Option<bool> {
        let Some(tail) = tail.strip_prefix('-') else {
            return tail.is_empty().then_some(true);
        };
        self.tries = self.tries.saturating_add(1);
        if self.tries > TRIES_MAX {
            return None;
        }
        let (family, families) = (self.family, self.families);
        if !sized {
            for size in &family.sizes {
                if let Some(exact) = after(tail, size).and_then(|rest| self.rest(rest, true)) {
                    return Some(exact);
                }
            }
        }
        for word in &family.words {
            if let Some(exact) = after(tail, word).and_then(|rest| self.rest(rest, sized)) {
                return Some(exact);
            }
        }
        for (word, left) in &families.words {
            if *left == Left::Mode && !family.closed {
                continue;
            }
            if let Some(exact) = after(tail, word).and_then(|rest| self.rest(rest, sized)) {
                return Some(exact && *left == Left::Same);
            }
        }
        // Of open weights a length of context or a date may be weights of somebody's own, or of another
        // day: there only what the model's file lists counts.
        if !family.closed {
            return None;
        }
        if let Some(exact) = context(tail).and_then(|rest| self.rest(rest, sized)) {
            return Some(exact);
        }
        for rest in dates(tail) {
            if self.rest(rest, sized).is_some() {
                return Some(false);
            }
        }
        None
    }
}

fn longest_first(one: &str, two: &str) -> Ordering {
    two.len().cmp(&one.len()).then_with(|| one.cmp(two))
}

/// What follows a part, if the text begins with it as a whole.
fn after<'t>(text: &'t str, part: &str) -> Option<&'t str> {
    let rest = text.strip_prefix(part)?;
    (!part.is_empty() && (rest.is_empty() || rest.starts_with('-'))).then_some(rest)
}

/// What follows a length of context (`32-k`).
fn context(text: &str) -> Option<&str> {
    let (number, rest) = text.split_once('-')?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| after(rest, "k")).flatten()
}

/// What follows a date, whole or short, in every way that one can be read.
fn dates(text: &str) -> Vec<&str> {
    let mut parts = text.splitn(4, '-');
    let (first, second, third) = (parts.next(), parts.next(), parts.next());
    let first = first.unwrap_or_default();
    let skip = |count: usize| -> Option<&str> {
        let mut at = 0_usize;
        for (index, part) in text.split('-').take(count).enumerate() {
            at = at
                .saturating_add(part.len())
                .saturating_add(usize::from(index > 0));
        }
        text.get(at..)
    };
    let year = |text: &str| number(text, 4, 2022, 2035);
    let short_year = |text: &str| number(text, 2, 22, 35);
    let month = |text: &str| number(text, 2, 1, 12);
    let day = |text: &str| number(text, 2, 1, 31);
    let halves = |text: &str, at: usize| -> (String, String) {
        let (one, two) = text.split_at_checked(at).unwrap_or_default();
        (one.to_owned(), two.to_owned())
    };
    let mut found = Vec::new();
    if let (Some(second), Some(third)) = (second, third)
        && year(first)
        && month(second)
        && day(third)
    {
        found.extend(skip(3));
    }
    if let Some(second) = second
        && ((month(first) && year(second)) || (year(first) && month(second)))
    {
        found.extend(skip(2));
    }
    let (front, back) = halves(first, first.len().saturating_sub(4));
    let (month_part, day_part) = halves(&back, 2);
    if (year(&front) || short_year(&front)) && month(&month_part) && day(&day_part) {
        found.extend(skip(1));
    }
    if let Some(second) = second
        && month(first)
        && day(second)
    {
        found.extend(skip(2));
    }
    let (one, two) = halves(first, 2);
    let in_short = (month(&one) && day(&two)) || (short_year(&one) && month(&two));
    let in_count = first.len() == 3 && first.starts_with("00");
    if (first.len() == 4 && in_short) || (in_count && number(first, 3, 0, 9)) {
        found.extend(skip(1));
    }
    found
}

fn number(text: &str, digits: usize, least: u32, most: u32) -> bool {
    text.len() == digits
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text
            .parse()
            .is_ok_and(|number: u32| (least..=most).contains(&number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::file;
    use crate::registry::Registry;

    /// An open family with two sizes, a closed one, and a longer stem that is another model.
    fn registry() -> Registry {
        let model = |id: &str, weights: &str, names: &str| {
            file(
                &format!("models/{id}.toml"),
                &format!("name = \"{id}\"\nweights = {{ value = \"{weights}\", SAID }}\n{names}"),
            )
        };
        Registry::parse(&[
            model(
                "oak-2",
                "open",
                "[[names]]\nstem = \"oak2\"\nsizes = [\"8b\", \"30b-a3b\"]\nwords = [\"0905\"]",
            ),
            model("oak-2-vl", "open", "[[names]]\nstem = \"oak-2-vl\"\nsizes = [\"8B\"]"),
            model("elm-4", "closed", "[[names]]\nstem = \"elm-4\"\nwords = [\"mini\"]"),
            file(
                "words.toml",
                "[[word]]\nwords = [\"instruct\"]\nkind = \"tuned\"\nwhy = \"w\"\nsource = \"s\"\ndate = \"2025-01-01\"\n\
                 [[word]]\nwords = [\"fast\"]\nkind = \"served\"\nwhy = \"w\"\nsource = \"s\"\ndate = \"2025-01-01\"\n\
                 [[word]]\nwords = [\"thinking\"]\nkind = \"mode\"\nwhy = \"w\"\nsource = \"s\"\ndate = \"2025-01-01\"\n",
            ),
        ])
        .unwrap()
    }

    fn read(registry: &Registry, name: &str) -> Vec<(String, bool)> {
        let members = registry.index().members(&key(name));
        let pair = |one: &Member<'_>| (one.model.to_string(), one.exact);
        members.iter().map(pair).collect()
    }

    #[test]
    fn a_name_is_read_when_every_part_is_accounted_for() {
        let registry = registry();
        for (name, expected) in [
            ("Oak2-8B-Instruct", Some(("oak-2", true))),
            ("oak-2-30b-a3b-instruct-fp8", Some(("oak-2", true))),
            ("oak-2-8b-0905-awq-fast", Some(("oak-2", false))),
            ("oak-2-instruct-8b-128k", None),
            ("oak-2-vl-8b", Some(("oak-2-vl", true))),
            ("oak-2-8b-20250131", None),
            ("elm-4-128k", Some(("elm-4", true))),
            ("elm-4-mini-thinking-2025-01-31", Some(("elm-4", false))),
            ("elm-4-0613", Some(("elm-4", false))),
            ("elm-4-preview-01-25", None),
            // A size that the maker never published, two sizes, a mode of open weights, a version
            // of open weights that nobody lists, and somebody's own words.
            ("oak-2-9b", None),
            ("oak-2-8b-30b-a3b", None),
            ("oak-2-8b-thinking", None),
            ("oak-2-8b-0528", None),
            ("oak-2-8b-abliterated", None),
            ("my-oak-2-8b", None),
            ("oak-2-8b-elm-4", None),
        ] {
            let found = read(&registry, name);
            let wanted: Vec<(String, bool)> = expected
                .into_iter()
                .map(|(model, exact)| (model.to_owned(), exact))
                .collect();
            assert_eq!(found, wanted, "{name}");
        }
    }

    #[test]
    fn dates_are_read_whole() {
        for (text, rests) in [
            ("2025-01-31-x", vec!["-x", "-31-x"]),
            ("20250131", vec![""]),
            ("251104", vec![""]),
            ("05-2026", vec![""]),
            ("0613", vec![""]),
            ("2407", vec![""]),
            ("04-17-x", vec!["-x"]),
            ("002", vec![""]),
            ("1776", vec![]),
            ("70", vec![]),
            ("2024-13-40", vec![]),
        ] {
            assert_eq!(dates(text), rests, "{text}");
        }
    }

    #[test]
    fn a_hostile_name_costs_no_time() {
        let registry = registry();
        let name = format!("oak-2{}", "-instruct".repeat(50)) + "-x";
        assert!(read(&registry, &name).is_empty());
    }

    proptest! {
        #[test]
        fn a_word_that_nobody_lists_is_never_lost(
            word in "[a-z]{3,9}",
            before in proptest::bool::ANY,
        ) {
            let registry = registry();
            let listed = ["instruct", "fast", "mini", "quantized", "ggml", "gguf", "awq", "bnb", "mlx", "gptq", "imatrix"];
            prop_assume!(!listed.contains(&word.as_str()));
            let name = if before { format!("oak2-{word}-8b") } else { format!("oak2-8b-{word}") };
            prop_assert!(read(&registry, &name).is_empty(), "{}", name);
        }

        #[test]
        fn storage_and_letter_case_change_nothing(
            stored in proptest::sample::select(vec!["", "-fp8", "-AWQ", "-Q4_K_M", ":q8_0", "-gguf", "-nvfp4"]),
            size in proptest::sample::select(vec!["8b", "30B-A3B"]),
        ) {
            let registry = registry();
            let name = format!("OAK2-{size}{stored}");
            prop_assert_eq!(read(&registry, &name), vec![("oak-2".to_owned(), true)]);
        }
    }
}
