//! Licences as bills of materials name them: by SPDX identifier where there is one.

/// Identifiers of the SPDX list under which models are published. A name that is not among them is
/// given as it stands, which is never wrong.
const IDENTIFIERS: &[&str] = &[
    "0BSD",
    "AGPL-3.0-only",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC-BY-4.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-ND-4.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-ND-4.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "GPL-2.0-only",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "ISC",
    "LGPL-3.0-only",
    "MIT",
    "MPL-2.0",
    "ODC-By-1.0",
    "Unlicense",
];

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Licence {
    /// Several identifiers, joined.
    Expression(String),
    /// One identifier.
    Id(&'static str),
    /// A name that the list does not have.
    Name(String),
}

/// What a licence's name stands for.
pub(super) fn of(name: &str) -> Licence {
    if let Some(id) = identifier(name) {
        return Licence::Id(id);
    }
    let mut words = Vec::new();
    for (at, word) in name.split(' ').enumerate() {
        let known = if at % 2 == 0 {
            identifier(word)
        } else {
            ["AND", "OR"].into_iter().find(|known| *known == word)
        };
        match known {
            Some(word) => words.push(word),
            None => return Licence::Name(name.to_owned()),
        }
    }
    if words.len() % 2 == 1 {
        Licence::Expression(words.join(" "))
    } else {
        Licence::Name(name.to_owned())
    }
}

fn identifier(name: &str) -> Option<&'static str> {
    IDENTIFIERS
        .iter()
        .find(|id| id.eq_ignore_ascii_case(name))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_list_has_is_an_identifier() {
        assert_eq!(of("apache-2.0"), Licence::Id("Apache-2.0"));
        assert_eq!(
            of("MIT OR apache-2.0"),
            Licence::Expression("MIT OR Apache-2.0".into())
        );
        for name in [
            "Modified MIT",
            "MIT (base licence applies too)",
            "MIT OR",
            "",
            "MIT Apache-2.0",
        ] {
            assert_eq!(of(name), Licence::Name(name.into()), "{name}");
        }
    }
}
