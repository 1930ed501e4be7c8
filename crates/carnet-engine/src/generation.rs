//! One answer in the making: each step computes part of the prompt or one token, so that a caller
//! can end it between any two.

use std::collections::VecDeque;

use crate::codes::Code;
use crate::engine::{Engine, Request};
use crate::limits::PROMPT_STEP;
use crate::model::{Cache, Wanted};
use crate::refusal::Refusal;
use crate::sample::Sampler;
use crate::stop::Stops;
use crate::think::{CLOSE, OPEN, Piece, Splitter};
use crate::tokens::Detokeniser;

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The caller wanted no more.
    Cancelled,
    /// It reached `max_tokens` or the end of the context.
    Length,
    /// The model ended it, or a stop string came.
    Stop,
}

/// Tokens that an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens made, reasoning and the token that ends the answer included.
    pub completion_tokens: usize,
    /// Tokens of reasoning among these, markers included.
    pub reasoning_tokens: usize,
}

/// An answer that is being made.
#[derive(Debug)]
pub struct Generation<'e> {
    engine: &'e Engine,
    cache: Cache,
    prompt: Vec<u32>,
    /// The token made last, whose turn through the model is still to come.
    last: Option<u32>,
    made: usize,
    made_max: usize,
    sampler: Sampler,
    /// Tokens that come next whatever the model says.
    forced: VecDeque<u32>,
    reasoning_max: usize,
    /// The marker that opens reasoning, where it is one token and reasoning is used up.
    banned: Option<u32>,
    detokeniser: Detokeniser,
    splitter: Splitter,
    stops: Stops,
    finish: Option<Finish>,
}

impl<'e> Generation<'e> {
    pub(crate) fn new(
        engine: &'e Engine,
        request: &Request,
        prompt: Vec<u32>,
        reasoning: bool,
    ) -> Result<Generation<'e>, Refusal> {
        let sampling = match request.sampling {
            Some(sampling) => sampling.checked()?,
            None => engine.sampling,
        };
        if request.max_tokens == Some(0) || prompt.is_empty() {
            let (place, reason) = match request.max_tokens {
                Some(0) => ("max_tokens", "is 0"),
                _ => ("prompt", "is empty"),
            };
            let fix = "ask for at least one token after at least one";
            return Err(Refusal::new(Code::SettingInvalid, place, reason, fix));
        }
        let room = engine.context.saturating_sub(prompt.len());
        if room == 0 {
            return Err(Refusal::new(
                Code::PromptTooLong,
                "prompt",
                format!(
                    "has {} tokens; the context has {}",
                    prompt.len(),
                    engine.context
                ),
                "send less text, or allow a longer context if the model was made for one",
            ));
        }
        Ok(Generation {
            engine,
            cache: Cache::default(),
            last: None,
            made: 0,
            made_max: request.max_tokens.map_or(room, |max| max.min(room)),
            sampler: Sampler::new(sampling, request.seed),
            forced: VecDeque::new(),
            reasoning_max: request.reasoning_tokens_max.unwrap_or(usize::MAX),
            banned: None,
            detokeniser: Detokeniser::default(),
            splitter: Splitter::new(engine.reasons, reasoning),
            stops: Stops::new(&request.stop)?,
            finish: None,
            prompt,
        })
    }

    /// Why it ended, if it has.
    #[must_use]
    pub fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// Tokens so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: self.prompt.len(),
            completion_tokens: self.made,
            reasoning_tokens: self.splitter.reasoning_tokens().min(self.made),
        }
    }

    /// Computes up to 128 tokens of the prompt, or makes one token. Gives the text that became
    /// certain, which can be none; after the end it does nothing.
    ///
    /// # Errors
    ///
    /// A computation that fails.
    pub fn step(&mut self) -> Result<Vec<Piece>, Refusal> {
        if self.finish.is_some() {
            return Ok(Vec::new());
        }
        let Some(numbers) = self.numbers()? else {
            return Ok(Vec::new());
        };
        self.close_if_used_up()?;
        let id = match self.forced.pop_front() {
            Some(id) => id,
            None => self.sampler.pick(&numbers, self.banned)?,
        };
        self.made += 1;
        if self.engine.ends.contains(&id) {
            return self.end(Finish::Stop);
        }
        self.last = Some(id);
        let mut pieces = self.text(id)?;
        if self.finish.is_none() && self.made >= self.made_max {
            pieces.extend(self.end(Finish::Length)?);
        }
        Ok(pieces)
    }

    /// What the model says of the next token, once the whole prompt has been through it.
    fn numbers(&mut self) -> Result<Option<Vec<f32>>, Refusal> {
        let model = &self.engine.model;
        let done = self.cache.len();
        let ahead = self.prompt.get(done..).unwrap_or_default();
        let next = match self.last {
            Some(id) => vec![id],
            None => ahead.iter().take(PROMPT_STEP).copied().collect(),
        };
        let numbers = model.forward(&next, &mut self.cache, Wanted::Last)?;
        if self.cache.len() < self.prompt.len() {
            return Ok(None);
        }
        Ok(Some(numbers.flatten_all()?.to_vec1()?))
    }

    /// Puts the closing marker next when the tokens for reasoning are used up.
    fn close_if_used_up(&mut self) -> Result<(), Refusal> {
        let used_up = self.splitter.reasoning_tokens() >= self.reasoning_max;
        if !used_up || !self.splitter.reasoning() || !self.forced.is_empty() {
            return Ok(());
        }
        self.detokeniser.reset();
        self.splitter.drop_held();
        let tokens = &self.engine.tokens;
        self.forced
            .extend(tokens.encode(&format!("\n{CLOSE}\n\n"))?);
        self.banned = tokens.id(OPEN);
        Ok(())
    }

    /// The pieces that a token completes.
    pub(crate) fn text(&mut self, id: u32) -> Result<Vec<Piece>, Refusal> {
        let tokens = &self.engine.tokens;
        let marker = || {
            let text = tokens.text_of(id);
            text.is_some_and(|text| [OPEN, CLOSE].contains(&text.as_str()))
        };
        let text = if tokens.is_special(id) && !(self.engine.reasons && marker()) {
            String::new()
        } else {
            self.detokeniser.push(id, tokens)?
        };
        let pieces = self.splitter.push(&text);
        self.until_stop(pieces)
    }

    /// Passes reasoning on, and content as far as no stop string is in it.
    fn until_stop(&mut self, pieces: Vec<Piece>) -> Result<Vec<Piece>, Refusal> {
        let mut passed = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let Piece::Content(text) = piece else {
                passed.push(piece);
                continue;
            };
            let (text, stopped) = self.stops.push(&text);
            if !text.is_empty() {
                passed.push(Piece::Content(text));
            }
            if stopped {
                self.finish = Some(Finish::Stop);
                break;
            }
        }
        Ok(passed)
    }

    /// Ends the answer and gives what was held back.
    fn end(&mut self, finish: Finish) -> Result<Vec<Piece>, Refusal> {
        let rest = self.detokeniser.finish(&self.engine.tokens)?;
        let mut pieces = self.splitter.rest(&rest, finish == Finish::Length);
        pieces = self.until_stop(pieces)?;
        if self.finish.is_none() {
            let held = self.stops.finish();
            if !held.is_empty() {
                pieces.push(Piece::Content(held));
            }
            self.finish = Some(finish);
        }
        Ok(pieces)
    }
}
