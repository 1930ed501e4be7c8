//! What a translation could not carry over, each under a name that stays.

use std::fmt;

use crate::limits::{MAX_LOSS_PLACE, MAX_LOSSES};

macro_rules! loss_codes {
    ($($variant:ident $code:literal $description:literal)*) => {
        /// The stable name of a loss, for a response header and the record.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum LossCode {
            $(#[doc = $description] $variant,)*
        }

        impl LossCode {
            /// Every code, in the order of the alphabet.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in kebab case.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What is lost, in one sentence.
            pub fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)* }
            }
        }
    };
}

loss_codes! {
    CacheControl "cache-control" "A mark of what to cache, for which the target has no place."
    Choices "choices" "Answers beyond the first."
    Citations "citations" "Where a text says its statements come from."
    DocumentMark "document-mark" "That a text is a document with a name; the text stays."
    FinishReason "finish-reason" "A reason for the end of an answer that only its own service knows."
    ImageDetail "image-detail" "How closely an image is to be looked at."
    InvalidArguments "invalid-arguments" "Arguments of a tool that are no JSON object; they are sent as a text within one."
    JsonMode "json-mode" "The wish for JSON of any shape."
    Logprobs "logprobs" "Probabilities of tokens."
    MessageName "message-name" "The name of who wrote a message."
    Metadata "metadata" "Data about the request that its service would have kept."
    ParallelTools "parallel-tools" "The wish for at most one tool at a time."
    PartOrder "part-order" "Which of reasoning, texts and calls of tools came first."
    Reasoning "reasoning" "Reasoning that the target does not take back, mostly for want of its proof."
    ReasoningEffort "reasoning-effort" "How much to reason, where the target cannot be told so for this request."
    ReasoningSignature "reasoning-signature" "The proof that reasoning comes from the service that made it."
    RefusalMark "refusal-mark" "That a text is a refusal; the text stays."
    SafetyRatings "safety-ratings" "How a service rates the safety of an answer."
    Sampling "sampling" "A setting of how tokens are drawn."
    SchemaStrictness "schema-strictness" "Whether the target must keep to a schema exactly."
    SystemPosition "system-position" "Where in the conversation an instruction stood; it moves to the front."
    TokenLimit "token-limit" "A limit of tokens below the lowest that the target takes, which it gets instead."
    ToolChoice "tool-choice" "The wish that no tool is called."
    ToolError "tool-error" "That the result of a tool is an error; the text stays."
    ToolResultMedia "tool-result-media" "That an image or file is the result of a tool; it follows as the user's."
    UnknownMember "unknown-member" "A member that only its own dialect knows."
    UnknownPart "unknown-part" "A part of the conversation that only its own dialect knows."
}

impl fmt::Display for LossCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that did not come over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Loss {
    /// What it is.
    pub code: LossCode,
    /// The member or kind it was named by, if the code leaves that open.
    pub place: Option<String>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{}:{}", self.code, place.escape_debug()),
            None => write!(f, "{}", self.code),
        }
    }
}

/// The losses of one translation, each once.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Losses {
    losses: Vec<Loss>,
    more: bool,
}

impl Losses {
    /// Notes a loss.
    pub fn add(&mut self, code: LossCode) {
        self.note(code, None);
    }

    /// Notes the loss of something that has a name.
    pub fn add_at(&mut self, code: LossCode, place: &str) {
        self.note(code, Some(place));
    }

    /// Whether everything came over.
    pub fn is_empty(&self) -> bool {
        self.losses.is_empty()
    }

    /// The losses in the order in which they were met.
    pub fn iter(&self) -> impl Iterator<Item = &Loss> {
        self.losses.iter()
    }

    /// Whether there were more than [`MAX_LOSSES`], so that some are not listed.
    pub fn more(&self) -> bool {
        self.more
    }

    /// Whether something was lost under this code.
    pub fn has(&self, code: LossCode) -> bool {
        self.losses.iter().any(|loss| loss.code == code)
    }

    fn note(&mut self, code: LossCode, place: Option<&str>) {
        let place = place.map(shortened);
        let known = |loss: &Loss| loss.code == code && loss.place.as_deref() == place;
        if self.losses.iter().any(known) {
            return;
        }
        if self.losses.len() >= MAX_LOSSES {
            self.more = true;
            return;
        }
        self.losses.push(Loss {
            code,
            place: place.map(str::to_owned),
        });
    }
}

fn shortened(place: &str) -> &str {
    let end = place.floor_char_boundary(MAX_LOSS_PLACE);
    place.get(..end).unwrap_or(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_listed_once_and_the_list_ends() {
        let mut losses = Losses::default();
        for _ in 0..2 {
            losses.add(LossCode::Logprobs);
            losses.add_at(LossCode::UnknownMember, "a\n");
        }
        let shown: Vec<_> = losses.iter().map(Loss::to_string).collect();
        assert_eq!(shown, ["logprobs", "unknown-member:a\\n"]);
        for index in 0..2 * MAX_LOSSES {
            losses.add_at(
                LossCode::UnknownMember,
                &format!("{index}{}", "é".repeat(MAX_LOSS_PLACE)),
            );
        }
        assert!(losses.more() && losses.iter().count() == MAX_LOSSES);
        assert!(losses.iter().all(|loss| {
            loss.place
                .as_ref()
                .is_none_or(|place| place.len() <= MAX_LOSS_PLACE)
        }));
    }

    #[test]
    fn every_code_has_its_line_in_the_reference() {
        let page = include_str!("../../../../docs/src/reference/losses.md");
        let listed: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        let line = |code: &LossCode| format!("| `{code}` | {} |", code.description());
        assert_eq!(listed, LossCode::ALL.iter().map(line).collect::<Vec<_>>());
    }

    #[test]
    fn codes_are_unique_kebab_case_and_in_order() {
        let codes: Vec<_> = LossCode::ALL.iter().map(|code| code.as_str()).collect();
        assert!(codes.is_sorted() && codes.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(
            codes
                .iter()
                .all(|code| code.bytes().all(|b| b == b'-' || b.is_ascii_lowercase()))
        );
    }
}
