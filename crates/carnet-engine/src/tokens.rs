//! Text to tokens and back: a `tokenizer.json`, or the vocabulary of a GGUF file.

use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{AddedToken, Tokenizer};

use crate::codes::Code;
use crate::files;
use crate::gguf::Gguf;
use crate::limits::{INCOMPLETE_TOKENS_MAX, TOKENIZER_BYTES_MAX};
use crate::refusal::{Refusal, name_of};
use crate::shield::Shield;

/// A tokenizer, and what is known of its tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    tokenizer: Tokenizer,
    /// Tokens that steer the model and are no part of any text.
    special: BTreeSet<u32>,
    /// Finds their texts in what comes from outside.
    shield: Shield,
    /// For messages.
    place: String,
}

impl Tokens {
    /// Reads a `tokenizer.json`.
    pub(crate) fn from_file(path: &Path) -> Result<Tokens, Refusal> {
        let bytes = files::read(path, TOKENIZER_BYTES_MAX)?;
        let place = name_of(path);
        let tokenizer = caught(|| Tokenizer::from_bytes(bytes).map_err(|error| error.to_string()))
            .map_err(|reason| invalid(&place, reason))?;
        Tokens::new(tokenizer, place)
    }

    /// Builds the tokenizer that a GGUF file describes.
    pub(crate) fn from_gguf(gguf: &Gguf) -> Result<Tokens, Refusal> {
        let place = gguf.file_name();
        let tokenizer = caught(|| byte_pairs(gguf)).map_err(|reason| invalid(&place, reason))?;
        Tokens::new(tokenizer, place)
    }

    fn new(mut tokenizer: Tokenizer, place: String) -> Result<Tokens, Refusal> {
        // Both are for training; here they would cut or fill prompts in silence.
        tokenizer
            .with_truncation(None)
            .map_err(|error| invalid(&place, error.to_string()))?;
        tokenizer.with_padding(None);
        let added = tokenizer.get_added_tokens_decoder();
        let special = added.iter().filter(|(_, token)| token.special);
        let special: Vec<(u32, String)> = special
            .map(|(id, token)| (*id, token.content.clone()))
            .collect();
        let texts = special.iter().map(|(_, text)| text.clone()).collect();
        let shield = Shield::new(texts).map_err(|reason| invalid(&place, reason))?;
        Ok(Tokens {
            tokenizer,
            special: special.into_iter().map(|(id, _)| id).collect(),
            shield,
            place,
        })
    }

    /// The highest id of all tokens.
    pub(crate) fn highest(&self) -> Option<u32> {
        self.tokenizer.get_vocab(true).into_values().max()
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    pub(crate) fn text_of(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }

    pub(crate) fn shield(&self) -> &Shield {
        &self.shield
    }

    /// The tokens of a text, in which the texts of special tokens become these.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, Refusal> {
        let encoded = self
            .tokenizer
            .encode_fast(text, false)
            .map_err(|error| invalid(&self.place, error.to_string()))?;
        Ok(encoded.get_ids().to_vec())
    }

    /// The text of tokens, those of special ones included.
    pub(crate) fn decode(&self, ids: &[u32]) -> Result<String, Refusal> {
        self.tokenizer
            .decode(ids, false)
            .map_err(|error| invalid(&self.place, error.to_string()))
    }
}

/// The library takes much on trust and may panic where a file breaks it; that must not end the
/// process.
fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let caught = panic::catch_unwind(AssertUnwindSafe(work));
    caught.unwrap_or_else(|_| Err("the tokenizer contradicts itself".to_owned()))
}

pub(crate) fn invalid(place: &str, reason: impl Into<String>) -> Refusal {
    Refusal::new(
        Code::TokenizerInvalid,
        place,
        reason,
        "give the tokenizer's files as the model's maker published them",
    )
}

/// Where texts are split before pairs are joined, by what `tokenizer.ggml.pre` says. The last two
/// names are of the same splits.
const SPLITS: [(&str, &str); 2] = [("qwen2", SPLIT), ("deepseek-r1-qwen", SPLIT)];
const SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What `tokenizer.ggml.token_type` says of a token that steers the model …
const CONTROL: u32 = 3;
/// … and of one that was added to the vocabulary for a text of its own.
const USER_DEFINED: u32 = 4;

fn byte_pairs(gguf: &Gguf) -> Result<Tokenizer, String> {
    let kind = gguf.text("tokenizer.ggml.model").unwrap_or("none");
    if kind != "gpt2" {
        return Err(format!(
            "the tokenizer is of the kind `{kind}`; only `gpt2` is read from GGUF"
        ));
    }
    let pre = gguf.text("tokenizer.ggml.pre").unwrap_or("none");
    let split = SPLITS.iter().find(|(name, _)| *name == pre);
    let (_, split) =
        split.ok_or_else(|| format!("texts are split as `{pre}`, which is not known"))?;
    let texts = gguf
        .texts("tokenizer.ggml.tokens")
        .ok_or("there are no tokens")?;
    let merges = gguf
        .texts("tokenizer.ggml.merges")
        .ok_or("there are no merges")?;
    let kinds = gguf
        .kinds("tokenizer.ggml.token_type")
        .ok_or("there are no kinds of tokens")?;
    if kinds.len() != texts.len() {
        return Err(format!("{} tokens have {} kinds", texts.len(), kinds.len()));
    }
    let mut vocabulary = Vocab::default();
    for (id, text) in (0u32..).zip(texts) {
        if vocabulary.insert(text.clone(), id).is_some() {
            return Err(format!(
                "the token `{}` is there twice",
                text.escape_debug()
            ));
        }
    }
    let pair = |merge: &String| {
        // The first character may itself be a space that stands for one.
        let (left, right) = merge.split_once(' ')?;
        Some((left.to_owned(), right.to_owned()))
    };
    let merges: Option<Vec<_>> = merges.iter().map(pair).collect();
    let merges = merges.ok_or("a merge is not two tokens")?;
    let said = |error: tokenizers::Error| error.to_string();
    let model = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .build()
        .map_err(said)?;
    let mut tokenizer = Tokenizer::new(model);
    let pattern = SplitPattern::Regex((*split).to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(said)?;
    let bytes = ByteLevel::new(false, false, false);
    let steps: Vec<PreTokenizerWrapper> = vec![split.into(), bytes.into()];
    tokenizer.with_normalizer(Some(NFC)).map_err(said)?;
    tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    let added = texts
        .iter()
        .zip(&kinds)
        .filter(|(_, kind)| [CONTROL, USER_DEFINED].contains(kind));
    let added: Vec<AddedToken> = added
        .map(|(text, kind)| AddedToken::from(text.clone(), *kind == CONTROL).normalized(false))
        .collect();
    tokenizer.add_tokens(added).map_err(said)?;
    Ok(tokenizer)
}

/// Tokens to text as they come, holding back characters that are not complete.
#[derive(Debug, Default)]
pub(crate) struct Detokeniser {
    ids: Vec<u32>,
    /// Of `ids`, how many have been given out. They stay, as a decoder may look back at them.
    given: usize,
}

impl Detokeniser {
    /// The text that this token completes; empty while a character is incomplete.
    pub(crate) fn push(&mut self, id: u32, tokens: &Tokens) -> Result<String, Refusal> {
        self.ids.push(id);
        let waiting = self.ids.len().saturating_sub(self.given);
        self.take(tokens, waiting > INCOMPLETE_TOKENS_MAX)
    }

    /// What is left, with marks for characters that never became complete.
    pub(crate) fn finish(&mut self, tokens: &Tokens) -> Result<String, Refusal> {
        self.take(tokens, true)
    }

    /// Drops what is incomplete.
    pub(crate) fn reset(&mut self) {
        *self = Detokeniser::default();
    }

    fn take(&mut self, tokens: &Tokens, whole: bool) -> Result<String, Refusal> {
        let before = tokens.decode(self.ids.get(..self.given).unwrap_or_default())?;
        let now = tokens.decode(&self.ids)?;
        if !whole && now.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        let fresh = match now.strip_prefix(before.as_str()) {
            Some(fresh) => fresh.to_owned(),
            // Bytes given out as broken have become part of a character; it cannot be taken back.
            None => now.chars().skip(before.chars().count()).collect(),
        };
        self.ids.drain(..self.given);
        self.given = self.ids.len();
        Ok(fresh)
    }
}
