//! Whether an answer has come to its proper end, as its dialect says it, and tells of no error on its way.

use std::borrow::Cow;
use std::sync::LazyLock;

use carnet_wire::json::{self, Kind, Watch};
use carnet_wire::stream::sse::{Block, SseParser};

use crate::ingress::{Call, Dialect};
use crate::limits::JSON_DEPTH_MAX;

const CHOICE_ENDS: &str = "choices[].finish_reason";
const CANDIDATE_ENDS: &str = "candidates[].finishReason";
const ERROR: &str = "error";
const STATUS: &str = "status";
const TYPE: &str = "type";

static WATCH: LazyLock<Option<Watch>> =
    LazyLock::new(|| Watch::new([CHOICE_ENDS, CANDIDATE_ENDS, ERROR, STATUS, TYPE]).ok());

/// Behind this, a stream of chunks has nothing more.
const DONE: &[u8] = b"[DONE]";
/// What stands for the reason of an end that was an error.
const FAILED: [&str; 2] = ["abort", "error"];

/// What a part of an answer says of its end.
struct Said<'b> {
    kind: Option<Cow<'b, str>>,
    status: Option<Cow<'b, str>>,
    finished: bool,
}

impl<'b> Said<'b> {
    /// Of a JSON object; nothing where it tells of an error.
    fn of(part: &'b [u8]) -> Option<Self> {
        let watch = WATCH.as_ref()?;
        let scan = json::scan(part, watch, JSON_DEPTH_MAX).ok()?;
        let hits = |path| scan.all(watch.index(path).unwrap_or(usize::MAX));
        let text = |hit| json::string_value(part, hit).ok();
        if hits(ERROR).any(|hit| hit.kind != Kind::Null) {
            return None;
        }
        let mut ends = hits(CHOICE_ENDS).filter_map(text);
        if ends.any(|why| FAILED.contains(&&*why)) {
            return None;
        }
        Some(Self {
            kind: hits(TYPE).find_map(text),
            status: hits(STATUS).find_map(text),
            finished: hits(CANDIDATE_ENDS).any(|hit| hit.kind == Kind::String),
        })
    }

    /// Whether it is the last event of a stream.
    fn ends(&self, dialect: Dialect) -> bool {
        let kind = self.kind.as_deref();
        match dialect {
            Dialect::Converse | Dialect::OpenAi => false,
            Dialect::GenerateContent => self.finished,
            Dialect::Messages => kind == Some("message_stop"),
            Dialect::Responses => {
                matches!(kind, Some("response.completed" | "response.incomplete"))
            }
        }
    }
}

/// See the module.
pub(super) fn is_whole(call: Call, events: bool, answer: &[u8]) -> bool {
    if events {
        return ends_with_its_last(call.dialect(), answer);
    }
    let Some(said) = Said::of(answer) else {
        return false;
    };
    match call.dialect() {
        Dialect::GenerateContent => said.finished,
        // Some services do not say it of an answer that came as a whole.
        Dialect::Responses => {
            matches!(
                said.status.as_deref(),
                None | Some("completed" | "incomplete")
            )
        }
        Dialect::Converse | Dialect::Messages | Dialect::OpenAi => true,
    }
}

fn ends_with_its_last(dialect: Dialect, mut events: &[u8]) -> bool {
    let mut parser = SseParser::with_limit(events.len());
    let mut ended = false;
    loop {
        match parser.next(&mut events) {
            Ok(Some(Block::Event(event))) if event.data == DONE => {
                ended = dialect == Dialect::OpenAi;
            }
            Ok(Some(Block::Event(event))) => match Said::of(event.data) {
                Some(said) => ended = said.ends(dialect),
                None => return false,
            },
            Ok(Some(Block::Comment(_))) => {}
            Ok(None) => return ended && parser.at_boundary(),
            Err(_) => return false,
        }
    }
}
