//! Stand-ins for the texts of special tokens: while a template works, one character each stands for
//! such a text wherever it came from outside, so that it can be told from the template's own.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};

use crate::think::{CLOSE, OPEN};

/// Unicode's last private plane, which nobody uses. A character of it that comes from outside all the
/// same becomes the text that it stands for, as text.
const STAND_INS: std::ops::Range<u32> = 0x10_0000..0x10_fffe;

/// The texts of a tokenizer's special tokens.
#[derive(Debug)]
pub(crate) struct Shield {
    texts: Vec<String>,
    finder: AhoCorasick,
}

impl Shield {
    /// # Errors
    ///
    /// More special tokens than there are stand-ins, or than can be looked for.
    pub(crate) fn new(mut texts: Vec<String>) -> Result<Shield, String> {
        // A token of one character could not be told from that character. Templates look for the
        // markers of reasoning in earlier answers, so these must stay what they are.
        let shielded = |text: &String| {
            text.chars().nth(1).is_some() && ![OPEN, CLOSE].contains(&text.as_str())
        };
        texts.retain(shielded);
        if texts.len() > STAND_INS.len() {
            return Err(format!("there are {} special tokens", texts.len()));
        }
        let finder = AhoCorasickBuilder::new()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&texts)
            .map_err(|error| error.to_string())?;
        Ok(Shield { texts, finder })
    }

    /// The text with a stand-in for each text of a special token.
    pub(crate) fn shielded(&self, text: &str) -> String {
        let mut made = String::with_capacity(text.len());
        self.finder
            .replace_all_with(text, &mut made, |found, _, made| {
                let stand_in = STAND_INS.start + found.pattern().as_u32();
                made.extend(char::from_u32(stand_in));
                true
            });
        made
    }

    /// What a stand-in stands for.
    pub(crate) fn stood_for(&self, c: char) -> Option<&str> {
        let index = u32::from(c).checked_sub(STAND_INS.start)?;
        self.texts.get(index as usize).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_special_tokens_are_replaced_and_others_left() {
        let texts = ["<|a|>", "<|a|>b", "x", OPEN].map(str::to_owned);
        let shield = Shield::new(texts.to_vec()).unwrap();
        let text = "x<|a|>b<|a|>\u{1f600}<think><|a";
        let shielded = shield.shielded(text);
        assert!(!shielded.contains("<|a|>") && shielded.ends_with("\u{1f600}<think><|a"));
        let back: String = shielded
            .chars()
            .map(|c| shield.stood_for(c).map_or(c.to_string(), str::to_owned))
            .collect();
        assert_eq!(back, text);
    }

    #[test]
    fn no_more_texts_than_stand_ins() {
        let many = (0..=STAND_INS.len()).map(|n| format!("<{n}>")).collect();
        assert!(Shield::new(many).is_err());
    }
}
