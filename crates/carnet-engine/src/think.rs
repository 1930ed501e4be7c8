//! Tells a model's reasoning from its answer: what stands between the two markers is reasoning, and
//! the markers themselves are shown to nobody.

use crate::stop::begun;

/// What opens reasoning.
pub(crate) const OPEN: &str = "<think>";
/// What closes it.
pub(crate) const CLOSE: &str = "</think>";

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text of the answer itself.
    Content(String),
    /// Text of the reasoning before it.
    Reasoning(String),
}

/// Splits an answer as it comes, one call for each token.
#[derive(Debug)]
pub(crate) struct Splitter {
    /// Whether the model reasons at all; otherwise everything is content.
    reasons: bool,
    reasoning: bool,
    /// Text that may be the beginning of a marker, and the token it began in.
    held: String,
    held_since: usize,
    /// White space that is left out unless something follows it on the same side.
    space: String,
    /// Whether nothing has been given out since the last marker.
    fresh: bool,
    tokens: usize,
    /// The token with which the reasoning that is under way began.
    opened: usize,
    /// Tokens of reasoning that is over.
    closed: usize,
}

impl Splitter {
    /// `reasoning`: whether the prompt has opened reasoning already.
    pub(crate) fn new(reasons: bool, reasoning: bool) -> Splitter {
        Splitter {
            reasons,
            reasoning: reasons && reasoning,
            held: String::new(),
            held_since: 0,
            space: String::new(),
            fresh: reasons,
            tokens: 0,
            opened: 0,
            closed: 0,
        }
    }

    /// Whether reasoning is under way.
    pub(crate) fn reasoning(&self) -> bool {
        self.reasoning
    }

    /// Tokens of reasoning so far, those of the markers included.
    pub(crate) fn reasoning_tokens(&self) -> usize {
        let open = if self.reasoning {
            self.tokens.saturating_sub(self.opened)
        } else {
            0
        };
        self.closed + open
    }

    /// Takes the text that the next token completes, empty if it completes none.
    pub(crate) fn push(&mut self, text: &str) -> Vec<Piece> {
        let token = self.tokens;
        self.tokens += 1;
        self.split(text, token)
    }

    fn split(&mut self, text: &str, token: usize) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if !self.reasons {
            if !text.is_empty() {
                pieces.push(Piece::Content(text.to_owned()));
            }
            return pieces;
        }
        let mut earlier = self.held.len();
        self.held.push_str(text);
        while let Some((at, opens)) = self.marker() {
            let before = self.held.get(..at).unwrap_or_default().to_owned();
            self.give(&before, &mut pieces);
            let since = if at < earlier { self.held_since } else { token };
            self.turn(opens, since);
            let end = at + if opens { OPEN.len() } else { CLOSE.len() };
            self.held.drain(..end);
            earlier = earlier.saturating_sub(end);
        }
        let doubtful = begun(&self.held, OPEN).max(begun(&self.held, CLOSE));
        let certain = self.held.len().saturating_sub(doubtful);
        if certain >= earlier {
            self.held_since = token;
        }
        let rest = self.held.split_off(certain);
        let certain = std::mem::replace(&mut self.held, rest);
        self.give(&certain, &mut pieces);
        pieces
    }

    /// The last text, which no token of its own completes, and what was held back. If the answer was
    /// `cut` by its length, the beginning of a marker is taken for one.
    pub(crate) fn rest(&mut self, text: &str, cut: bool) -> Vec<Piece> {
        let mut pieces = self.split(text, self.tokens);
        let held = std::mem::take(&mut self.held);
        if !cut || held.len() < 2 {
            self.give(&held, &mut pieces);
        }
        pieces
    }

    /// Drops what was held back, as a whole marker is about to be put in its place.
    pub(crate) fn drop_held(&mut self) {
        self.held.clear();
    }

    /// The first marker in what is held, and whether it is the one that opens.
    fn marker(&self) -> Option<(usize, bool)> {
        let open = self.held.find(OPEN).map(|at| (at, true));
        let close = self.held.find(CLOSE).map(|at| (at, false));
        open.into_iter().chain(close).min()
    }

    fn turn(&mut self, reasoning: bool, since: usize) {
        match (self.reasoning, reasoning) {
            (false, true) => self.opened = since,
            (true, false) => self.closed += self.tokens.saturating_sub(self.opened),
            // A second opening, or a close without one, changes nothing.
            _ => {}
        }
        self.reasoning = reasoning;
        self.space.clear();
        self.fresh = true;
    }

    fn give(&mut self, text: &str, pieces: &mut Vec<Piece>) {
        let text = if self.fresh { text.trim_start() } else { text };
        if text.is_empty() {
            return;
        }
        self.fresh = false;
        let whole = std::mem::take(&mut self.space) + text;
        if !self.reasoning {
            pieces.push(Piece::Content(whole));
            return;
        }
        let kept = whole.trim_end().len();
        let (text, space) = whole.split_at(kept);
        self.space = space.to_owned();
        if !text.is_empty() {
            pieces.push(Piece::Reasoning(text.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reasoning, content and tokens of reasoning.
    fn run(splitter: &mut Splitter, pieces: &[&str]) -> (String, String, usize) {
        let (mut reasoning, mut content) = (String::new(), String::new());
        let mut all: Vec<Piece> = pieces
            .iter()
            .flat_map(|piece| splitter.push(piece))
            .collect();
        all.extend(splitter.rest("", false));
        for piece in all {
            match piece {
                Piece::Content(text) => content.push_str(&text),
                Piece::Reasoning(text) => reasoning.push_str(&text),
            }
        }
        (reasoning, content, splitter.reasoning_tokens())
    }

    #[test]
    fn every_cut_gives_the_same() {
        let cases = [
            (
                false,
                "<think>\nwhy < not — über\n\n</think>\n\nSo <b>: </b> it is.\n",
                "why < not — über",
                "So <b>: </b> it is.\n",
            ),
            (
                true,
                "first </thin then\n</think>answer",
                "first </thin then",
                "answer",
            ),
            (true, "<think>again</think>\nyes", "again", "yes"),
            (false, "plain </think>text", "", "plain text"),
            (true, "never closed ", "never closed", ""),
            (false, " <think></think>\n x", "", "x"),
        ];
        for (open, text, reasoning, content) in cases {
            let cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            for a in &cuts {
                for b in cuts.iter().filter(|b| *b >= a) {
                    let pieces = [&text[..*a], &text[*a..*b], &text[*b..]];
                    let (r, c, _) = run(&mut Splitter::new(true, open), &pieces);
                    assert_eq!((r.as_str(), c.as_str()), (reasoning, content), "{pieces:?}");
                }
            }
        }
    }

    #[test]
    fn tokens_of_reasoning_are_counted_with_their_markers() {
        let split = |open, pieces: &[&str]| run(&mut Splitter::new(true, open), pieces).2;
        assert_eq!(split(false, &["<think>", "a", "b", "</think>", "c"]), 4);
        assert_eq!(
            split(false, &["<", "think", ">", "a", "</", "think", ">\n", "c"]),
            7
        );
        assert_eq!(split(false, &["x", "<", "b"]), 0);
        assert_eq!(split(true, &["a", "b", "</think>", "c", "d"]), 3);
        assert_eq!(split(true, &["a", "b"]), 2);
        assert_eq!(
            split(
                false,
                &["x <", "think>", "a", "</think>", "<think>", "</think>"]
            ),
            6
        );
    }

    #[test]
    fn a_marker_that_the_length_cut_is_not_shown() {
        for cut in 2..CLOSE.len() {
            let mut splitter = Splitter::new(true, true);
            splitter.push("why");
            assert_eq!(splitter.push(&CLOSE[..cut]), []);
            assert_eq!(splitter.rest("", true), []);
        }
    }

    #[test]
    fn a_model_that_does_not_reason_may_write_the_markers() {
        let (reasoning, content, tokens) = run(&mut Splitter::new(false, true), &["<think>", "x"]);
        assert_eq!(
            (reasoning.as_str(), content.as_str(), tokens),
            ("", "<think>x", 0)
        );
    }
}
