//! What a request under a limit of tokens or money uses: reserved before it is sent, more of it while its answer grows, and
//! settled when it is over.
//!
//! A request that comes under no such limit has nothing of this.

mod estimate;
mod settled;
mod tokenizer;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use carnet_audit::{Outcome, Tokens};
use carnet_limits::{Exhausted, Measure, Reservation};
use carnet_provenance::{Price, TokenCounts};
use carnet_wire::dialect::Dialect;
use carnet_wire::form::Usage;
use carnet_wire::sniff::{Framing, SaidTexts};
use jiff::Timestamp;

pub(crate) use self::estimate::Estimate;
pub(crate) use self::settled::Settled;
pub(crate) use self::tokenizer::Tokenizer;
use crate::limits::{RESERVED_STEP_TOKENS, UNREAD_BYTES_PER_TOKEN};

/// What a limit needs to know of a request.
#[derive(Clone, Debug)]
pub(crate) struct Metering {
    /// Name of one of the limits.
    pub(crate) limit: Arc<str>,
    /// What its tokens cost, where that is known.
    pub(crate) price: Option<Arc<Price>>,
    /// The limits that end an answer which uses them up.
    pub(crate) cuts: Vec<Arc<str>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Spending {
    metering: Metering,
    tokenizer: Tokenizer,
    estimate: Estimate,
    /// Tokens and money that are reserved so far.
    reserved: u64,
    reserved_cost: u64,
    /// Tokens for which both are.
    covered: u64,
    /// Whether more is taken than was left, or than was reserved.
    over: bool,
    /// What the upstream has told.
    told: Usage,
    /// Tokens of the answer, as counted here by the vocabulary.
    said: u64,
    listening: Option<SaidTexts>,
    stage: Stage,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is sent, and nothing has come back.
    Sent,
    /// Its upstream has refused or failed, and charges nothing.
    Failed,
    /// An answer comes.
    Answered,
}

/// What was used in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Used {
    counts: TokenCounts,
    reasoning: u64,
    estimated: bool,
}

impl Spending {
    pub(crate) fn new(metering: Metering, tokenizer: Tokenizer, estimate: Estimate) -> Self {
        let mut spending = Self {
            metering,
            tokenizer,
            estimate,
            reserved: estimate.total(),
            reserved_cost: 0,
            covered: estimate.total(),
            over: false,
            told: Usage::default(),
            said: 0,
            listening: None,
            stage: Stage::Sent,
        };
        spending.reserved_cost = spending.most(estimate.prompt, estimate.output);
        spending
    }

    /// Tokens to reserve.
    pub(crate) fn tokens(&self) -> u64 {
        self.reserved
    }

    /// Money to reserve, in billionths of the currency's unit.
    pub(crate) fn cost(&self) -> u64 {
        self.reserved_cost
    }

    /// The most that so many tokens can cost: nobody knows yet whether the prompt goes into a cache.
    fn most(&self, prompt: u64, output: u64) -> u64 {
        let Some(price) = &self.metering.price else {
            return 0;
        };
        let cost = |input, cache_write| {
            price.cost(&TokenCounts {
                input,
                cache_write,
                output,
                ..TokenCounts::default()
            })
        };
        cost(prompt, 0).max(cost(0, prompt))
    }

    /// The head of an answer has come.
    pub(crate) fn answered(&mut self, success: bool) {
        self.stage = if success {
            Stage::Answered
        } else {
            Stage::Failed
        };
    }

    /// Listen in on the texts of the answer.
    pub(crate) fn listen(&mut self, dialect: Dialect, framing: Option<Framing>) {
        self.listening = Some(SaidTexts::new(dialect, framing));
    }

    /// The upstream has counted so much so far.
    pub(crate) fn told(&mut self, usage: &Usage) {
        self.told = *usage;
    }

    /// A piece of the answer has come: what it uses beyond what was reserved is taken from the limits. Only one that
    /// `may_end` there does.
    ///
    /// # Errors
    /// The limit that is used up and ends it.
    pub(crate) fn heard(
        &mut self,
        piece: &[u8],
        may_end: bool,
        held: Option<&mut Reservation>,
        now: impl FnOnce() -> Timestamp,
    ) -> Result<(), Exhausted> {
        let (tokenizer, said) = (self.tokenizer, &mut self.said);
        if let Some(listening) = &mut self.listening {
            let mut count = |text: &str| *said = said.saturating_add(tokenizer.count(text));
            listening.push(piece, &mut count);
        }
        let said = self.said();
        let so_far = self.estimate.prompt.saturating_add(said);
        let Some(held) = held.filter(|_| so_far > self.covered) else {
            return Ok(());
        };
        let now = now();
        let step = said.saturating_add(RESERVED_STEP_TOKENS);
        if self.take(step, held, now, |_| false).is_ok() {
            return Ok(());
        }
        // What is left of a limit can be used to its end.
        let cuts = self.metering.cuts.clone();
        let cuts = |limit: &str| may_end && cuts.iter().any(|cut| **cut == *limit);
        self.take(said, held, now, |limit| !cuts(limit))
    }

    /// Tokens of the texts of the answer.
    fn said(&self) -> u64 {
        self.tokenizer.of_model(self.said)
    }

    /// Take from the limits what is not reserved of an answer of so many tokens.
    fn take(
        &mut self,
        output: u64,
        held: &mut Reservation,
        now: Timestamp,
        may_run_over: impl Fn(&str) -> bool,
    ) -> Result<(), Exhausted> {
        let tokens = self.estimate.prompt.saturating_add(output);
        if held.limits(Measure::Tokens) {
            let more = tokens.saturating_sub(self.reserved);
            self.over |= held.extend(Measure::Tokens, more, now, &may_run_over)?;
        }
        self.reserved = self.reserved.max(tokens);
        let cost = self.most(self.estimate.prompt, output);
        if held.limits(Measure::Money) {
            let more = cost.saturating_sub(self.reserved_cost);
            self.over |= held.extend(Measure::Money, more, now, &may_run_over)?;
        }
        self.reserved_cost = self.reserved_cost.max(cost);
        self.covered = self.covered.max(tokens);
        Ok(())
    }

    /// Tokens of the prompt, as far as is known.
    fn prompt(&self) -> u64 {
        match self.told.prompt {
            Some(_) => self.told.prompt_including().0,
            None => self.estimate.prompt,
        }
    }

    /// It is over: give back what it did not use.
    pub(crate) fn settle(
        mut self,
        outcome: Outcome,
        stream: bool,
        held: Option<&mut Reservation>,
        now: Timestamp,
    ) -> Settled {
        let used = self.used(outcome, stream);
        let counts = used.counts;
        let tokens = counts.prompt().saturating_add(counts.output);
        let price = self.metering.price.as_ref();
        let cost = price.map(|price| price.cost(&counts));
        self.over |= tokens > self.reserved || cost > Some(self.reserved_cost);
        if let Some(held) = held {
            held.settle(Measure::Tokens, tokens, now);
            held.settle(Measure::Money, cost.unwrap_or_default(), now);
        }
        Settled {
            tokens: Tokens {
                input: counts.prompt(),
                cache_read: counts.cached_input,
                cache_write: counts.cache_write,
                output: counts.output,
                reasoning: used.reasoning,
                estimated: used.estimated,
            },
            reserved: self.reserved,
            reserved_cost: self.reserved_cost,
            cost: cost.unwrap_or_default(),
            price: self.metering.price,
            over: self.over,
        }
    }

    fn used(&mut self, outcome: Outcome, stream: bool) -> Used {
        if self.stage == Stage::Failed {
            return Used::default();
        }
        let completed = matches!(outcome, Outcome::Completed | Outcome::Mismatch);
        let makes_nothing = self.estimate.output == 0;
        let told = self.told.prompt.is_some() && (self.told.output.is_some() || makes_nothing);
        if told && completed {
            return self.used_as_told(self.told.output(), false);
        }
        self.count_rest();
        if told && self.said() <= self.told.output() {
            return self.used_as_told(self.told.output(), false);
        }
        let left = matches!(
            outcome,
            Outcome::ClientGone
                | Outcome::Cut
                | Outcome::Interrupted
                | Outcome::Revoked
                | Outcome::Timeout
        );
        let so_far = self.told.output().max(self.said());
        // Nobody saw how much was made of an answer that was not awaited, and its service may charge all of it.
        let output = if left && !stream {
            so_far.max(self.estimate.output)
        } else {
            so_far
        };
        self.used_as_told(output, self.estimate != Estimate::default())
    }

    /// Count what has come of an answer that is no stream.
    fn count_rest(&mut self) {
        let (tokenizer, said) = (self.tokenizer, &mut self.said);
        if let Some(listening) = &mut self.listening {
            let mut count = |text: &str| *said = said.saturating_add(tokenizer.count(text));
            let unread = listening
                .finish(&mut count)
                .div_ceil(UNREAD_BYTES_PER_TOKEN);
            *said = said.saturating_add(u64::try_from(unread).unwrap_or(u64::MAX));
        }
    }

    fn used_as_told(&self, output: u64, estimated: bool) -> Used {
        let cached = self.told.cache_read.unwrap_or_default();
        let written = self.told.cache_write.unwrap_or_default();
        Used {
            counts: TokenCounts {
                input: self.prompt().saturating_sub(cached).saturating_sub(written),
                cached_input: cached,
                cache_write: written,
                output,
            },
            reasoning: self.told.reasoning.unwrap_or_default(),
            estimated,
        }
    }
}
