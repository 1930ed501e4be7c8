//! Names that are given once each.

use std::collections::{BTreeMap, BTreeSet};

/// See the module.
pub(super) struct Names {
    separator: &'static str,
    used: BTreeSet<String>,
    /// The last number tried for a wish, so that many equal wishes cost no search each.
    last: BTreeMap<String, usize>,
}

impl Names {
    /// None is given yet; `separator` stands before the number of one that is wished for again.
    pub(super) fn numbered_with(separator: &'static str) -> Self {
        Self {
            separator,
            used: BTreeSet::new(),
            last: BTreeMap::new(),
        }
    }

    /// Somebody else has this name.
    pub(super) fn reserve(&mut self, name: &str) {
        self.used.insert(name.to_owned());
    }

    /// The name wished for, with a number if somebody has it.
    pub(super) fn unused(&mut self, wish: &str) -> String {
        let last = self.last.entry(wish.to_owned()).or_default();
        loop {
            *last = last.saturating_add(1);
            let name = match *last {
                1 => wish.to_owned(),
                number => format!("{wish}{}{number}", self.separator),
            };
            if self.used.insert(name.clone()) {
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_once() {
        let mut names = Names::numbered_with("-");
        names.reserve("b");
        let given: Vec<String> = ["a", "a-2", "a", "a", "b"]
            .iter()
            .map(|wish| names.unused(wish))
            .collect();
        assert_eq!(given, ["a", "a-2", "a-3", "a-4", "b-2"]);
    }
}
