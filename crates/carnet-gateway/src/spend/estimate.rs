//! What a request may use at most, before it is sent.

use std::sync::LazyLock;

use bytes::Bytes;
use carnet_wire::weigh::{Medium, Piece, weigh};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::tokenizer::{Tokenizer, bytes};
use crate::ingress::Call;
use crate::limits::{
    COUNTED_AT_ONCE_MAX, COUNTED_BYTES_MAX, COUNTED_INLINE_BYTES_MAX, LINKED_FILE_TOKENS,
    PICTURE_TOKENS, SEALED_CHARACTERS_PER_TOKEN, SOUND_CHARACTERS_PER_TOKEN,
};

/// Digits that no vocabulary makes more than one token of.
const DIGITS_PER_TOKEN: usize = 3;

/// Each takes a core for up to a fifth of a second.
static AT_ONCE: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(COUNTED_AT_ONCE_MAX));

/// Tokens that a request may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// Those of the prompt.
    pub(crate) prompt: u64,
    /// Those of all answers together.
    pub(crate) output: u64,
}

impl Estimate {
    /// Of a request as it is sent, for which `output` tokens of an answer are reserved, or fewer where it allows fewer.
    pub(crate) async fn of(call: Call, body: Bytes, tokenizer: Tokenizer, output: u64) -> Self {
        if call == Call::CountTokens {
            // It is counted, and nothing is made of it.
            return Self::default();
        }
        let all = if body.len() <= COUNTED_INLINE_BYTES_MAX {
            Self::of_body(&body, tokenizer, output)
        } else {
            let turn = AT_ONCE.acquire().await;
            let counted = {
                let body = body.clone();
                spawn_blocking(move || Self::of_body(&body, tokenizer, output)).await
            };
            drop(turn);
            counted.unwrap_or(Self {
                prompt: u64::try_from(body.len()).unwrap_or(u64::MAX),
                output,
            })
        };
        match call {
            Call::Embedded(_) | Call::Embeddings => Self { output: 0, ..all },
            _ => all,
        }
    }

    fn of_body(body: &[u8], tokenizer: Tokenizer, output: u64) -> Self {
        let (mut texts, mut others): (u64, u64) = (0, 0);
        let mut left = COUNTED_BYTES_MAX;
        let wanted = weigh(body, &mut |piece| {
            let tokens = match piece {
                Piece::File(Medium::Picture, _) | Piece::Link(Medium::Picture) => PICTURE_TOKENS,
                Piece::File(Medium::Sound, characters) => {
                    length(characters).div_ceil(SOUND_CHARACTERS_PER_TOKEN)
                }
                Piece::File(Medium::Other, characters) => length(characters),
                Piece::Link(_) => LINKED_FILE_TOKENS,
                Piece::Scalar(characters) => length(characters.div_ceil(DIGITS_PER_TOKEN)),
                Piece::Sealed(characters) => {
                    length(characters).div_ceil(SEALED_CHARACTERS_PER_TOKEN)
                }
                Piece::Text(text) if text.len() <= left => {
                    left -= text.len();
                    texts = texts.saturating_add(tokenizer.count(text));
                    0
                }
                Piece::Text(text) => bytes(text),
            };
            others = others.saturating_add(tokens);
        });
        match wanted {
            Ok(wanted) => Self {
                prompt: tokenizer.of_model(texts).saturating_add(others),
                output: wanted
                    .tokens
                    .map_or(output, |wanted| wanted.min(output))
                    .saturating_mul(wanted.answers),
            },
            // What is not read counts in full.
            Err(_) => Self {
                prompt: length(body.len()),
                output,
            },
        }
    }

    /// All of it.
    pub(crate) fn total(self) -> u64 {
        self.prompt.saturating_add(self.output)
    }
}

fn length(characters: usize) -> u64 {
    u64::try_from(characters).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(body: &str) -> Estimate {
        Estimate::of_body(body.as_bytes(), Tokenizer::of(["davinci"]), 100)
    }

    #[test]
    fn a_request_counts_with_what_it_may_be_answered() {
        let short = estimate(r#"{"messages":[{"role":"user","content":"Hello there"}]}"#);
        assert_eq!(short.output, 100);
        // Beside two tokens of text, the names around it count.
        let silent = estimate(r#"{"messages":[{"role":"user","content":""}]}"#);
        assert!(silent.prompt >= 4);
        assert_eq!(short.prompt, silent.prompt + 2);
        let limited = estimate(r#"{"messages":[],"max_tokens":7,"n":3}"#);
        assert_eq!(limited.output, 21);
        let generous = estimate(r#"{"messages":[],"max_tokens":7000,"n":3}"#);
        assert_eq!(generous.output, 300);
        assert_eq!(estimate("[").total(), 101);
    }

    #[test]
    fn files_count_by_what_they_are() {
        let file = |start: &str, length: usize| {
            let data = format!("{start}{}", "A".repeat(length - start.len()));
            estimate(&format!(r#"{{"data":"{data}"}}"#)).prompt - 1
        };
        assert_eq!(file("iVBORw0KGgo", 100_000), PICTURE_TOKENS);
        assert_eq!(file("SUQz", 3_200), 100);
        assert_eq!(file("JVBERi0", 3_200), 3_200);
        assert_eq!(
            estimate(r#"{"file_id":"f-1"}"#).prompt,
            LINKED_FILE_TOKENS + Tokenizer::of(["davinci"]).count("file_id")
        );
    }

    #[test]
    fn beyond_the_bound_each_byte_counts() {
        let half = "word ".repeat(COUNTED_BYTES_MAX / 10);
        let body = format!(r#"["{half}","{half}","{half}"]"#);
        let counted = estimate(&body).prompt;
        let beyond = bytes(&half);
        assert!(counted > beyond && counted < beyond * 2, "{counted}");
    }

    #[tokio::test]
    async fn what_makes_nothing_counts_for_nothing() {
        let body = Bytes::from_static(br#"{"input":"a b c","messages":[]}"#);
        let of = |call| Estimate::of(call, body.clone(), Tokenizer::of(["davinci"]), 9);
        assert_eq!(of(Call::CountTokens).await.total(), 0);
        assert_eq!(of(Call::Embeddings).await.output, 0);
        assert_eq!(of(Call::Responses).await.output, 9);
    }
}
