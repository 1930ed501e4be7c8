//! The front matter of a model card: the YAML between two lines of `---` at the beginning of a `README.md`.
//!
//! YAML can name a part and repeat it by reference, so that a few lines stand for billions of values. References are
//! refused, and so is what is longer, deeper or has more values than any published card.

use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError};

use crate::limits::{MAX_FRONT_MATTER, MAX_TREE_DEPTH, MAX_TREE_VALUES};
use crate::{Code, Finding, Tree};

/// The line before and after it.
const FENCE: &str = "---";
/// How YAML writes that there is nothing.
const NULL: &[&str] = &["", "null", "Null", "NULL", "~"];

/// The front matter of a card that begins with `head`; none if the card has none. `whole` tells whether `head` is all
/// of the file.
///
/// # Errors
///
/// The first thing that keeps it from being read.
pub fn read(head: &str, whole: bool) -> Result<Option<Tree>, Finding> {
    let head = head.strip_prefix('\u{feff}').unwrap_or(head);
    let Some(text) = between_fences(head, whole)? else {
        return Ok(None);
    };
    let mut options = Options::default();
    options.flow_nesting_limit = MAX_TREE_DEPTH;
    options.block_nesting_limit = MAX_TREE_DEPTH;
    options.disallow_directives = true;
    let mut build = Build::default();
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| scan_failed(&error))?;
        let at = u64::try_from(span.start.index()).unwrap_or(u64::MAX);
        build.take(event, at)?;
    }
    Ok(Some(build.root.unwrap_or(Tree::Null)))
}

/// The lines between the fences.
fn between_fences(head: &str, whole: bool) -> Result<Option<&str>, Finding> {
    let Some((first, rest)) = head.split_once('\n') else {
        return Ok(None);
    };
    if first.trim_end() != FENCE {
        return Ok(None);
    }
    let mut end = 0_usize;
    for line in rest.split_inclusive('\n') {
        if end > MAX_FRONT_MATTER {
            break;
        }
        if line.trim_end() == FENCE {
            return Ok(rest.get(..end));
        }
        end = end.saturating_add(line.len());
    }
    if end <= MAX_FRONT_MATTER && whole {
        // A rule across the page, not a fence.
        return Ok(None);
    }
    let message = format!("the front matter does not end within {MAX_FRONT_MATTER} bytes");
    Err(Finding::new(Code::CardLimit, 0, message))
}

fn scan_failed(error: &ScanError) -> Finding {
    let at = u64::try_from(error.marker().index()).unwrap_or(u64::MAX);
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => too_deep(at),
        _ => {
            let line = error.marker().line();
            let message = format!("line {line} of the front matter is not YAML that can be read");
            Finding::new(Code::CardYaml, at, message)
        }
    }
}

fn too_deep(at: u64) -> Finding {
    let message = format!("values are nested deeper than {MAX_TREE_DEPTH}");
    Finding::new(Code::CardLimit, at, message)
}

/// A list or map that has not ended yet.
enum Open {
    List(Vec<Tree>),
    /// The key whose value comes next.
    Map(Vec<(String, Tree)>, Option<String>),
}

/// Puts events together, without recursion.
#[derive(Default)]
struct Build {
    open: Vec<Open>,
    root: Option<Tree>,
    values: usize,
}

impl Build {
    fn take(&mut self, event: Event<'_>, at: u64) -> Result<(), Finding> {
        match event {
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                let message = "the front matter repeats a part by reference, which is not followed";
                Err(Finding::new(Code::CardAlias, at, message))
            }
            Event::Scalar(text, style, ..) => {
                let none = style == ScalarStyle::Plain && NULL.contains(&text.as_ref());
                let value = if none {
                    Tree::Null
                } else {
                    Tree::Text(text.into_owned())
                };
                self.add(value, at)
            }
            Event::SequenceStart(..) => self.begin(Open::List(Vec::new()), at),
            Event::MappingStart(..) => self.begin(Open::Map(Vec::new(), None), at),
            Event::SequenceEnd | Event::MappingEnd => {
                let ended = match self.open.pop() {
                    Some(Open::List(items)) => Tree::List(items),
                    Some(Open::Map(entries, _)) => Tree::Map(entries),
                    None => Tree::Null,
                };
                self.place(ended);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, open: Open, at: u64) -> Result<(), Finding> {
        self.count(at)?;
        if self.open.len() >= MAX_TREE_DEPTH {
            return Err(too_deep(at));
        }
        self.open.push(open);
        Ok(())
    }

    fn add(&mut self, value: Tree, at: u64) -> Result<(), Finding> {
        self.count(at)?;
        self.place(value);
        Ok(())
    }

    fn count(&mut self, at: u64) -> Result<(), Finding> {
        self.values = self.values.saturating_add(1);
        if self.values <= MAX_TREE_VALUES {
            return Ok(());
        }
        let message = format!("there are more than {MAX_TREE_VALUES} values");
        Err(Finding::new(Code::CardLimit, at, message))
    }

    fn place(&mut self, value: Tree) {
        match self.open.last_mut() {
            // A second document in the same front matter is nobody's.
            None => drop(self.root.get_or_insert(value)),
            Some(Open::List(items)) => items.push(value),
            Some(Open::Map(entries, key)) => match key.take() {
                Some(key) => entries.push((key, value)),
                // A list or map as a key names nothing that is asked for here.
                None => *key = Some(value.text().unwrap_or_default().to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<'t>(tree: &'t Tree, key: &str) -> Vec<&'t str> {
        tree.all(key).flat_map(Tree::texts).collect()
    }

    fn code(text: &str) -> Code {
        read(text, true).expect_err(text).code
    }

    #[test]
    fn one_or_many_values_are_texts() {
        let card = "---\nbase_model:\n- a/b\n- c/d\nlicense: mit # as is\nn: 3\ntags: [x, y]\n---\n# Title\n";
        let tree = read(card, true).unwrap().unwrap();
        assert_eq!(all(&tree, "base_model"), ["a/b", "c/d"]);
        assert_eq!(all(&tree, "license"), ["mit"]);
        assert_eq!(all(&tree, "n"), ["3"]);
        assert_eq!(all(&tree, "tags"), ["x", "y"]);
        let windows = read("\u{feff}---\r\nbase_model: a/b\r\n---\r\n", true).unwrap();
        assert_eq!(all(&windows.unwrap(), "base_model"), ["a/b"]);
    }

    #[test]
    fn a_key_that_stands_twice_has_both_values() {
        let tree = read("---\nbase_model: a/b\nbase_model: c/d\n---\n", true).unwrap();
        assert_eq!(all(&tree.unwrap(), "base_model"), ["a/b", "c/d"]);
    }

    #[test]
    fn a_card_without_front_matter_has_none() {
        for text in [
            "",
            "# Title\n",
            "---\nno end\n",
            "----\na: b\n---\n",
            " ---\na: b\n---\n",
        ] {
            assert_eq!(read(text, true), Ok(None), "{text:?}");
        }
        assert_eq!(read("---\n---\n", true), Ok(Some(Tree::Null)));
    }

    #[test]
    fn references_are_refused_however_few() {
        assert_eq!(code("---\na: &x [1, 2]\nb: *x\n---\n"), Code::CardAlias);
        let mut bomb = "---\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let before = format!("*a{}, ", level - 1).repeat(9);
            bomb += &format!("a{level}: &a{level} [{before}]\n");
        }
        assert_eq!(code(&format!("{bomb}---\n")), Code::CardAlias);
        // Naming a part without repeating it does no harm.
        assert!(read("---\na: &x b\n---\n", true).is_ok());
    }

    #[test]
    fn depth_length_and_number_are_bounded() {
        let within = |inner: &str| format!("---\na: {inner}\n---\n");
        assert_eq!(code(&within(&"[".repeat(100_000))), Code::CardLimit);
        assert_eq!(code(&within(&"{a: ".repeat(100_000))), Code::CardLimit);
        let blocks: String = (0..1000)
            .map(|level| format!("{}a:\n", " ".repeat(level)))
            .collect();
        assert_eq!(code(&format!("---\n{blocks}---\n")), Code::CardLimit);
        let dashes = format!("---\n{}x\n---\n", "- ".repeat(10_000));
        assert_eq!(code(&dashes), Code::CardLimit);
        let many = "- x\n".repeat(MAX_TREE_VALUES + 1);
        assert_eq!(code(&format!("---\n{many}---\n")), Code::CardLimit);
        let long = format!("---\na: {}\n---\n", "x".repeat(MAX_FRONT_MATTER + 1));
        assert_eq!(code(&long), Code::CardLimit);
        let cut = read("---\na: b\n", false).expect_err("no end in sight");
        assert_eq!(cut.code, Code::CardLimit);
    }

    #[test]
    fn what_is_not_yaml_is_refused_with_its_line() {
        for text in [
            "---\na: [1, 2\nb: 3\n---\n",
            "---\na: \"open\n---\n",
            "---\n%TAG ! tag:x,2000:\n---\n",
            "---\na: b: c: d\n---\n",
        ] {
            assert_eq!(code(text), Code::CardYaml, "{text:?}");
        }
        let finding = read("---\nok: yes\na: \"open\n---\n", true).unwrap_err();
        assert!(finding.message.contains("line"), "{finding}");
    }

    #[test]
    fn no_text_makes_it_panic() {
        let parts = [
            "---\n", "a: ", "- ", "[", "]", "{", "}", "&x ", "*x", "!t ", "|\n", ">\n", "'", "\"",
            "\n", " ", "\u{0}", "\u{feff}", "? ", ": ", "%", "#", "é",
        ];
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            let mut text = "---\n".to_owned();
            for _ in 0..12 {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                text += parts[usize::try_from(seed >> 33).unwrap() % parts.len()];
            }
            let _ = read(&format!("{text}\n---\n"), true);
        }
    }
}
