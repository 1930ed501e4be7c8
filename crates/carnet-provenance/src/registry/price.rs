//! What a service charges for tokens: exact figures, and the cost of one request by them.
//!
//! Nothing is rounded before the end and nothing is a floating-point number.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::claim::{Evidence, Validity};
use crate::currency::Currency;

/// Most digits behind the point of a figure: it is held in billionths.
const PLACES: usize = 9;
/// What a whole part stays below, so that a figure in billionths fits 64 bits.
const WHOLE_MAX: u64 = 18_000_000_000;
const BILLION: u64 = 1_000_000_000;
const MILLION: u128 = 1_000_000;

/// What a million tokens cost, in billionths of the currency's unit: `2_500_000_000` is 2.50 a million.
///
/// As text it is a plain decimal number in the unit, such as `2.50` or `0.0028`: digits, and at most nine
/// of them behind a point; no sign, no exponent, no separators. It is read exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PerMillion(u64);

/// An amount of money in billionths of the currency's unit, written as [`PerMillion`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub u64);

/// A text that is no figure.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a plain decimal number below 18 billion with at most 9 digits behind the point"
)]
pub struct PerMillionError(String);

/// The figures for one length of prompts. One that is not there counts as the input's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Tokens of the prompt that no cache has to do with.
    pub input: PerMillion,
    /// Tokens of the answer; none for embeddings.
    pub output: Option<PerMillion>,
    /// Tokens of the prompt that were read from a cache.
    pub cached_input: Option<PerMillion>,
    /// Tokens of the prompt that were written to a cache.
    pub cache_write: Option<PerMillion>,
}

/// Other figures for long prompts. They hold for all tokens of such a request, not for the excess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LongPrompts {
    /// A prompt of more tokens than this is long.
    pub above: u32,
    /// What counts then.
    pub figures: Figures,
}

/// What a service charges for one of its models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// The model's name in the service's API.
    pub name: String,
    /// In which currency.
    pub currency: Currency,
    /// What counts for prompts that are not long.
    pub figures: Figures,
    /// What counts for long ones, where that differs.
    pub long_prompts: Option<LongPrompts>,
    /// A remark, such as that it is less at night.
    pub note: Option<String>,
    /// Who says so.
    pub evidence: Evidence,
    /// On which days it holds.
    pub valid: Validity,
}

/// The tokens of one request, each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Of the prompt, without those read from a cache or written to one.
    pub input: u64,
    /// Of the prompt, read from a cache.
    pub cached_input: u64,
    /// Of the prompt, written to a cache.
    pub cache_write: u64,
    /// Of the answer, with its reasoning.
    pub output: u64,
}

impl PerMillion {
    /// The figure in billionths of the currency's unit.
    #[must_use]
    pub fn billionths(self) -> u64 {
        self.0
    }
}

impl FromStr for PerMillion {
    type Err = PerMillionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        exact(text)
            .map(Self)
            .ok_or_else(|| PerMillionError(text.to_owned()))
    }
}

impl FromStr for Amount {
    type Err = PerMillionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(|PerMillion(billionths)| Self(billionths))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        PerMillion(self.0).fmt(f)
    }
}

/// A plain decimal number in billionths; none where it is something else, or too large.
fn exact(text: &str) -> Option<u64> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, behind) = text.split_once('.').unwrap_or((text, "0"));
    if !digits(whole) || !digits(behind) || behind.len() > PLACES {
        return None;
    }
    let whole: u64 = whole.parse().ok().filter(|whole| *whole < WHOLE_MAX)?;
    let behind: u64 = format!("{behind:0<PLACES$}").parse().ok()?;
    whole.checked_mul(BILLION)?.checked_add(behind)
}

impl fmt::Display for PerMillion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:0PLACES$}", self.0 / BILLION, self.0 % BILLION);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "input {}", self.input)?;
        for (what, figure) in [
            ("output", self.output),
            ("cached_input", self.cached_input),
            ("cache_write", self.cache_write),
        ] {
            if let Some(figure) = figure {
                write!(f, ", {what} {figure}")?;
            }
        }
        Ok(())
    }
}

impl TokenCounts {
    /// The length of the whole prompt, in tokens.
    #[must_use]
    pub fn prompt(&self) -> u64 {
        self.input
            .saturating_add(self.cached_input)
            .saturating_add(self.cache_write)
    }
}

impl Price {
    /// The cost of a request in billionths of the currency's unit, rounded up. What is beyond the largest
    /// number is the largest number. Where a figure is missing, the input's counts.
    #[must_use]
    pub fn cost(&self, tokens: &TokenCounts) -> u64 {
        let figures = self.figures_for(tokens.prompt());
        let parts = [
            (tokens.input, None),
            (tokens.cached_input, figures.cached_input),
            (tokens.cache_write, figures.cache_write),
            (tokens.output, figures.output),
        ];
        let mut millionfold: u128 = 0;
        for (count, figure) in parts {
            let PerMillion(figure) = figure.unwrap_or(figures.input);
            // A product of two numbers of 64 bits has 128; only the sum can be too large.
            let part = u128::from(count).saturating_mul(figure.into());
            millionfold = millionfold.saturating_add(part);
        }
        u64::try_from(millionfold.div_ceil(MILLION)).unwrap_or(u64::MAX)
    }

    /// The figures for a prompt of so many tokens.
    #[must_use]
    pub fn figures_for(&self, prompt: u64) -> &Figures {
        match &self.long_prompts {
            Some(long) if prompt > u64::from(long.above) => &long.figures,
            _ => &self.figures,
        }
    }
}

/// What the figures for long prompts lack, or have too much.
pub(crate) fn misfit(usual: &Figures, long: &Figures) -> Option<&'static str> {
    if long.output.is_some() != usual.output.is_some() {
        return Some("`output` and `output_above` need each other");
    }
    if long.cached_input.is_some() && usual.cached_input.is_none() {
        return Some("`cached_input_above` without `cached_input`");
    }
    if long.cache_write.is_some() && usual.cache_write.is_none() {
        return Some("`cache_write_above` without `cache_write`");
    }
    None
}

#[cfg(test)]
mod tests;
