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
//! expect = "deny"
//! reasons = ["rule-id"]        # each must be among the reasons
//! facts = ["egress=none"]      # each must be among the facts relied on
//! ```
//! ````

use jiff::civil::Date;
use toml_span::de_helpers::TableHelper;
use toml_span::{DeserError, Deserialize, ErrorKind, Value};

use crate::codes::Code;
use crate::pack::date;
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
    pub(crate) expect: Effect,
    pub(crate) reasons: Vec<String>,
    pub(crate) facts: Vec<String>,
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
            return vec![place.problem(block.fence, Code::BadCase, "the case cannot be read")];
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
        let expect = table.required_s::<String>("expect");
        let expected = match &expect {
            Ok(word) if word.value == "permit" => Effect::Permit,
            Ok(word) => {
                if word.value != "deny" {
                    let message = format!("`{}` is neither `permit` nor `deny`", word.value);
                    table
                        .errors
                        .push((ErrorKind::Custom(message.into()), word.span).into());
                }
                Effect::Deny
            }
            Err(_) => Effect::Deny,
        };
        let reasons = table.optional::<Vec<String>>("reasons").unwrap_or_default();
        let facts = table.optional::<Vec<String>>("facts").unwrap_or_default();
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
            expect: expected,
            reasons,
            facts,
        })
    }
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

    #[test]
    fn broken_cases_are_told_with_their_place() {
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
            (
                "## A\n```toml\nid = 3\nexpect = \"deny\"\n```\n",
                "cases/a.md:3:6: expected a string, found integer",
            ),
            (
                "## A\n```toml\nid = \"m\"\nexpect = \"maybe\"\n```\n",
                "cases/a.md:4:11: `maybe` is neither",
            ),
            (
                "## A\n```toml\nid = \"m\"\nexpect = \"deny\"\nreason = []\n```\n",
                "cases/a.md:5:1: unknown key `reason`",
            ),
            (
                "## A\n```toml\nid = \"m\"\nexpect = \"deny\"\nas_of = \"soon\"\n```\n",
                "cases/a.md:5:10: `soon` is not a date",
            ),
        ];
        for (text, expected) in table {
            let problems = parse(&place(text)).unwrap_err();
            let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert!(
                shown.iter().any(|line| line.contains(expected)),
                "{text}\n{shown:?}"
            );
        }
    }
}
