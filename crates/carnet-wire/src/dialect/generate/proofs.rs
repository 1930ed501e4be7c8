//! Which proof hangs on which part of a conversation.

use crate::dialect::turns::Said;
use crate::form::{Content, Part, Role};
use crate::json::Text;

/// Stands where a call has to have a proof and none is known: another model has made it, or its client's dialect carries
/// none.
///
/// Sources: ai.google.dev/gemini-api/docs/thought-signatures ("FAQs": this value or another one),
/// docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures ("Using REST or manual handling": this one
/// alone).
const EXCUSE: &str = "skip_thought_signature_validator";

/// What clients excuse themselves with: both values, as they stand there and as libraries write bytes.
const EXCUSES: [&str; 4] = [
    EXCUSE,
    "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=",
    "context_engineering_is_the_way_to_go",
    "Y29udGV4dF9lbmdpbmVlcmluZ19pc190aGVfd2F5X3RvX2dv",
];

/// Whether what stands in place of a proof is none.
pub(super) fn is_excuse(proof: &Text<'_>) -> bool {
    EXCUSES.contains(&proof.token())
}

/// How many contents stand before the current turn, whose calls must have proofs: those up to the last that the user has
/// said beside results of tools. One with results among it is not taken for one, lest a proof be missing.
///
/// Source: ai.google.dev/gemini-api/docs/thought-signatures ("Signatures in function calling parts").
pub(super) fn before_current_turn(said: &[Said<'_, '_>]) -> usize {
    let result = |part: &&Part<'_>| matches!(part.content, Content::ToolResult(_));
    let begins = |(role, parts): &Said<'_, '_>| *role == Role::User && !parts.iter().any(result);
    said.iter().rposition(begins).map_or(0, |place| place + 1)
}

/// The proofs of a turn, and what they belong to: its calls in their order, and else its last text.
///
/// The dialect hangs them on those parts. Other dialects carry them as reasoning beside, and not all keep the order.
pub(super) struct Proofs<'p, 'b> {
    proofs: std::vec::IntoIter<&'p Text<'b>>,
    has_calls: bool,
    texts_left: usize,
    /// Whether the first call is excused from having one.
    excused: bool,
}

impl<'p, 'b> Proofs<'p, 'b> {
    /// A proof of readable reasoning is another service's, whose models prove it so, unless the turn was read from this
    /// dialect; here it would have the request refused.
    pub(super) fn of(parts: &[&'p Part<'b>], own: bool) -> Self {
        let proof = |part: &&'p Part<'b>| match &part.content {
            Content::Reasoning(reasoning) => {
                let signature = reasoning.signature.as_ref().filter(|_| own);
                reasoning.encrypted.as_ref().or(signature)
            }
            _ => None,
        };
        let proofs: Vec<_> = parts.iter().filter_map(proof).collect();
        let is_call = |part: &&&Part<'_>| matches!(part.content, Content::ToolUse(_));
        let is_text = |part: &&&Part<'_>| matches!(part.content, Content::Text { .. });
        Self {
            proofs: proofs.into_iter(),
            has_calls: parts.iter().any(|part| is_call(&part)),
            texts_left: parts.iter().filter(is_text).count(),
            excused: false,
        }
    }

    /// Whether there are calls without any proof. The first of calls that were made at once has the one of all.
    pub(super) fn lack(&self) -> bool {
        self.has_calls && self.proofs.len() == 0
    }

    /// Whether some belong to no part.
    pub(super) fn are_left(&self) -> bool {
        self.proofs.len() > 0
    }

    /// Excuses the first call from having one.
    pub(super) fn excuse(&mut self) {
        self.excused = true;
    }

    pub(super) fn of_part(&mut self, part: &Part<'_>) -> Option<Text<'p>> {
        let proof = match &part.content {
            Content::ToolUse(_) if std::mem::take(&mut self.excused) => {
                return Some(Text::new(EXCUSE));
            }
            Content::ToolUse(_) => self.proofs.next(),
            Content::Text { .. } => {
                self.texts_left = self.texts_left.saturating_sub(1);
                let last = self.texts_left == 0 && !self.has_calls;
                last.then(|| self.proofs.next_back()).flatten()
            }
            _ => None,
        };
        proof.map(Text::borrowed)
    }
}
