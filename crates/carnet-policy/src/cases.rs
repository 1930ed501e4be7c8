//! Cases as text: a pack's Markdown files say what it must answer, and they run as tests.
//!
//! A case is a heading `## …`, prose for the reader, and one block:
//!
//! ````text
//! ```toml
//! id = "some-model"            # as a client would name it
//! platform = "…"               # optional, as are host, region, upstream and as_of
//! overlay = """…"""            # optional: what the operator says
//! workload = { sector = "…" }
//! parameters = { lineage = "…" }   # optional: what the operator sets for the pack
//! exceptions = [{ id = "…" }]      # optional: what was granted
//! expect = "deny"
//! reasons = ["rule-id"]        # each must be among the reasons
//! exactly = ["rule-id"]        # the reasons are these and no others
//! silent = ["rule-id"]         # permits that do not apply, whatever the answer rests on
//! reports = ["rule-id"]        # each must be among what only reports
//! obligations = ["no-store"]   # what the permit obliges to, and nothing else
//! facts = ["egress=none"]      # each must be among the facts relied on
//! ```
//! ````

use std::collections::BTreeMap;

use jiff::civil::Date;
use toml_span::de_helpers::TableHelper;
use toml_span::value::ValueInner;
use toml_span::{DeserError, Deserialize, ErrorKind, Value};

use crate::codes::Code;
use crate::exception::Exception;
use crate::pack::{date, word};
use crate::parameters::Setting;
use crate::problem::{Place, PolicyProblem};
use crate::verdict::Effect;
use crate::workload::Workload;

/// One case of a pack.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) title: String,
    pub(crate) question: Question,
}

/// What a case asks and expects.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) id: String,
    pub(crate) platform: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) upstream: Option<String>,
    pub(crate) as_of: Option<Date>,
    pub(crate) overlay: Option<String>,
    pub(crate) workload: Workload,
    /// What the operator sets for the pack.
    pub(crate) parameters: BTreeMap<String, Setting>,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) expect: Effect,
    pub(crate) reasons: Vec<String>,
    /// The reasons are these and no others.
    pub(crate) exactly: Option<Vec<String>>,
    /// Permits that do not apply. A forbid that denies hides whether one would have.
    pub(crate) silent: Vec<String>,
    pub(crate) reports: Vec<String>,
    pub(crate) facts: Vec<String>,
    /// What the permit obliges to, and nothing else.
    pub(crate) obligations: Option<Vec<String>>,
}

/// A fenced block in a file.
struct Block<'a> {
    /// Byte offset of the text and of the fence.
    start: usize,
    fence: usize,
    text: &'a str,
}

/// A heading with the blocks below it.
struct Section<'a> {
    offset: usize,
    title: &'a str,
    blocks: Vec<Block<'a>>,
}

/// Read the cases of one file.
pub(crate) fn parse(place: &Place<'_>) -> Result<Vec<Case>, Vec<PolicyProblem>> {
    let mut cases = Vec::new();
    let mut problems = Vec::new();
    for section in sections(place, &mut problems) {
        match section.blocks.as_slice() {
            [block] => match read_block(place, block) {
                Ok(question) => cases.push(Case {
                    file: place.file.to_owned(),
                    line: place.problem(section.offset, Code::BadCase, "").line,
                    title: section.title.to_owned(),
                    question,
                }),
                Err(found) => problems.extend(found),
            },
            blocks => {
                let message = format!(
                    "the case `{}` has {} toml blocks",
                    section.title,
                    blocks.len()
                );
                let help = "give each `## …` heading exactly one ```toml block";
                problems.push(
                    place
                        .problem(section.offset, Code::BadCase, message)
                        .help(help),
                );
            }
        }
    }
    if problems.is_empty() {
        Ok(cases)
    } else {
        Err(problems)
    }
}

/// Split a file at its second-level headings and find the toml blocks.
fn sections<'a>(place: &Place<'a>, problems: &mut Vec<PolicyProblem>) -> Vec<Section<'a>> {
    let mut found: Vec<Section<'a>> = Vec::new();
    let mut open: Option<(bool, usize, usize)> = None;
    let mut offset = 0_usize;
    for line in place.text.split_inclusive('\n') {
        let next = offset.saturating_add(line.len());
        match (open, line.trim_end()) {
            (Some((is_case, fence, start)), "```") => {
                let text = place.text.get(start..offset).unwrap_or_default();
                match found.last_mut() {
                    Some(section) if is_case => section.blocks.push(Block { start, fence, text }),
                    None if is_case => {
                        let help = "put `## what the case shows` above it";
                        problems.push(
                            place
                                .problem(fence, Code::BadCase, "a case without a heading")
                                .help(help),
                        );
                    }
                    _ => {}
                }
                open = None;
            }
            (Some(_), _) => {}
            (None, fence) if fence.starts_with("```") => {
                open = Some((fence == "```toml", offset, next))
            }
            (None, heading) => {
                if let Some(title) = heading.strip_prefix("## ") {
                    found.push(Section {
                        offset,
                        title,
                        blocks: Vec::new(),
                    });
                }
            }
        }
        offset = next;
    }
    if let Some((_, fence, _)) = open {
        problems.push(
            place
                .problem(fence, Code::BadCase, "the block is not closed")
                .help("end it with ```"),
        );
    }
    found
}

fn read_block(place: &Place<'_>, block: &Block<'_>) -> Result<Question, Vec<PolicyProblem>> {
    let mut value = toml_span::parse(block.text)
        .map_err(|error| place.toml(&[error], block.start, Code::BadCase))?;
    Question::deserialize(&mut value).map_err(|errors| {
        let whole = errors.errors.is_empty();
        if whole {
            let message = "the case cannot be read";
            let help = "give it an `id` and what to `expect`";
            return vec![
                place
                    .problem(block.fence, Code::BadCase, message)
                    .help(help),
            ];
        }
        place.toml(&errors.errors, block.start, Code::BadCase)
    })
}

impl<'de> Deserialize<'de> for Question {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let mut table = TableHelper::new(value)?;
        let id = table.required::<String>("id");
        let mut text = |key| table.optional::<String>(key);
        let (platform, host, region) = (text("platform"), text("host"), text("region"));
        let (upstream, overlay) = (text("upstream"), text("overlay"));
        let as_of = date(&mut table, "as_of");
        let workload = table.optional::<Workload>("workload").unwrap_or_default();
        let found = table.required_s::<String>("expect").ok();
        let expect = word(
            &mut table,
            found,
            &["permit", "deny"],
            &[Effect::Permit, Effect::Deny],
        );
        let parameters = settings(&mut table);
        let exceptions = table
            .optional::<Vec<Exception>>("exceptions")
            .unwrap_or_default();
        let reasons = table.optional::<Vec<String>>("reasons").unwrap_or_default();
        let exactly = table.optional::<Vec<String>>("exactly");
        let silent = table.optional::<Vec<String>>("silent").unwrap_or_default();
        let reports = table.optional::<Vec<String>>("reports").unwrap_or_default();
        let facts = table.optional::<Vec<String>>("facts").unwrap_or_default();
        let obligations = table.optional::<Vec<String>>("obligations");
        table.finalize(None)?;
        Ok(Self {
            id: id?,
            platform,
            host,
            region,
            upstream,
            as_of,
            overlay,
            workload,
            parameters,
            exceptions,
            expect: expect.unwrap_or(Effect::Deny),
            reasons,
            exactly,
            silent,
            reports,
            facts,
            obligations,
        })
    }
}

/// The values of parameters; one that cannot be read becomes a problem in the table's list.
fn settings(table: &mut TableHelper<'_>) -> BTreeMap<String, Setting> {
    let mut found = BTreeMap::new();
    let Some((_, mut value)) = table.take("parameters") else {
        return found;
    };
    let span = value.span;
    let ValueInner::Table(entries) = value.take() else {
        let kind = ErrorKind::Wanted {
            expected: "a table",
            found: "another value",
        };
        table.errors.push((kind, span).into());
        return found;
    };
    for (key, mut value) in entries {
        let span = value.span;
        match Setting::of_toml(&mut value) {
            Some(setting) => {
                found.insert(key.name.into_owned(), setting);
            }
            None => {
                let expected = "true, false, a whole number, a text or a list of texts";
                let kind = ErrorKind::Wanted {
                    expected,
                    found: "another value",
                };
                table.errors.push((kind, span).into());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place<'_> {
        Place {
            pack: "p",
            file: "cases/a.md",
            text,
        }
    }

    #[test]
    fn a_case_is_a_heading_and_a_block() {
        let text = "# Page\n\n## First\nprose\n```text\nnot a case\n```\n```toml\nid = \"m\"\nworkload = { sector = \"s\", tags = [\"t\"] }\nexpect = \"deny\"\nreasons = [\"r\"]\n```\n";
        let cases = parse(&place(text)).unwrap();
        assert_eq!(cases.len(), 1);
        assert_eq!((cases[0].title.as_str(), cases[0].line), ("First", 3));
        assert_eq!(cases[0].question.workload.sector, "s");
        assert_eq!(cases[0].question.expect, Effect::Deny);
    }

    /// What stands in the block, the problem and the fix.
    const BROKEN: &[(&str, &str, &str)] = &[
        (
            "id = 3\nexpect = \"deny\"",
            "3:6: expected a string, found integer",
            "write a text in quotes: `\"…\"`",
        ),
        (
            "id = \"m\"\nexpect = true",
            "4:10: expected a string, found boolean",
            "write a text in quotes: `\"…\"`",
        ),
        (
            "id = \"m\"\nexpect = \"deny\"\nreasons = \"r\"",
            "5:12: expected an array, found string",
            "write a list: `[\"…\"]`",
        ),
        (
            "id = \"m\"\nexpect = \"deny\"\nfacts = [3]",
            "5:10: expected a string, found integer",
            "write a text in quotes: `\"…\"`",
        ),
        (
            "id = \"m\"\nexpect = \"deny\"\nworkload = \"desk\"",
            "5:13: expected a table, found string",
            "write a table: `{ key = \"…\" }`",
        ),
        (
            "id = \"m\"\nexpect = \"deny\"\nworkload = { tags = \"x\" }",
            "5:22: expected an array, found string",
            "write a list: `[\"…\"]`",
        ),
        (
            "id = \"m\"\nexpect = \"maybe\"",
            "4:11: `maybe` is neither `permit` nor `deny`",
            "write `\"permit\"` or `\"deny\"`",
        ),
        (
            "id = \"m\"",
            "3:1: `expect` is missing",
            "add `expect = \"…\"`",
        ),
        (
            "id = \"m\"\nexpect = \"deny\"\nreason = []",
            "5:1: unknown key `reason`",
            "known keys: id, ",
        ),
        (
            "id = \"m\"\nexpect = \"deny\"\nas_of = \"soon\"",
            "5:10: `soon` is not a date",
            "write a date such as \"2026-01-31\"",
        ),
        (
            "id = \"m\"\nexpect = \"deny\"\nas_of = 2026-01-31",
            "5:9: invalid number",
            "put a text or a date in quotes",
        ),
        (
            "id = m\nexpect = \"deny\"",
            "3:6: this is no value",
            "put a text in quotes",
        ),
        (
            "id = \"m\nexpect = \"deny\"",
            "3:8: invalid character in string",
            "close the text with a quote",
        ),
        (
            "id = \"\\q\"\nexpect = \"deny\"",
            "3:8: invalid escape character",
            "write `\\\\` for a backslash",
        ),
        (
            "id = \"m\"\nid = \"n\"",
            "4:1: duplicate key: `id`",
            "keep one of the two",
        ),
        (
            "id \"m\"",
            "3:4: expected an equals",
            "write `=` between a key and its value",
        ),
        (
            "id = \"m\"\nexpect = \"deny\"\n[workload",
            "5:10: expected a right bracket",
            "close it with `]`",
        ),
        ("= 3", "3:1: expected a table key", "write a table key here"),
        ("id = \"m\"\n[a]\n[a]", "5:", "keep one of the two"),
    ];

    #[test]
    fn broken_blocks_are_told_with_place_and_fix() {
        for (block, expected, fix) in BROKEN {
            let text = format!("## A\n```toml\n{block}\n```\n");
            let problems = parse(&place(&text)).unwrap_err();
            let problem = problems.iter().find(|problem| {
                problem
                    .to_string()
                    .starts_with(&format!("p/cases/a.md:{expected}"))
            });
            let help = problem.and_then(|problem| problem.help.as_deref());
            assert!(
                help.is_some_and(|help| help.contains(fix)),
                "{text}\n{problems:#?}"
            );
        }
    }

    #[test]
    fn broken_cases_are_told_with_place_and_fix() {
        let table = [
            ("## A\n", "cases/a.md:1:1: the case `A` has 0 toml blocks"),
            (
                "```toml\nid = \"m\"\n```\n",
                "cases/a.md:1:1: a case without a heading",
            ),
            (
                "## A\n```toml\nid = \"m\"\n",
                "cases/a.md:2:1: the block is not closed",
            ),
        ];
        for (text, expected) in table {
            let problems = parse(&place(text)).unwrap_err();
            let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert!(
                shown.iter().any(|line| line.contains(expected)),
                "{text}\n{shown:?}"
            );
            assert!(problems.iter().all(|problem| problem.help.is_some()));
        }
    }
}
