//! Counts of tokens. Dialects differ in whether the prompt's tokens include those that came from a cache, so each
//! way of counting has a type of its own and one cannot be taken for the other.

/// Tokens of the prompt, those read from and written to a cache among them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PromptIncludingCached(pub u64);

/// Tokens of the prompt beside those read from and written to a cache.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PromptExcludingCached(pub u64);

impl PromptIncludingCached {
    /// The other way of counting. A service that counts more cached tokens than tokens has none besides.
    pub fn excluding(self, cache_read: u64, cache_write: u64) -> PromptExcludingCached {
        PromptExcludingCached(
            self.0
                .saturating_sub(cache_read)
                .saturating_sub(cache_write),
        )
    }
}

impl PromptExcludingCached {
    /// The other way of counting.
    pub fn including(self, cache_read: u64, cache_write: u64) -> PromptIncludingCached {
        PromptIncludingCached(
            self.0
                .saturating_add(cache_read)
                .saturating_add(cache_write),
        )
    }
}

/// What an answer has used. A stream tells it in pieces, so every count may be missing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Tokens of the prompt that no cache had a part in.
    pub prompt: Option<PromptExcludingCached>,
    /// Tokens of the prompt read from a cache.
    pub cache_read: Option<u64>,
    /// Tokens of the prompt written to a cache.
    pub cache_write: Option<u64>,
    /// Tokens of the answer, its reasoning among them.
    pub output: Option<u64>,
    /// Tokens of the answer that are reasoning.
    pub reasoning: Option<u64>,
}

impl Usage {
    /// The counts of the prompt of a service that includes cached tokens in it. Some count more cached tokens than
    /// tokens; the whole is what they bill.
    pub(crate) fn of_including(
        prompt: Option<u64>,
        cache_read: Option<u64>,
        cache_write: Option<u64>,
    ) -> Self {
        let whole = prompt.unwrap_or(u64::MAX);
        let cache_read = cache_read.map(|read| read.min(whole));
        let read = cache_read.unwrap_or_default();
        let cache_write = cache_write.map(|write| write.min(whole - read));
        let write = cache_write.unwrap_or_default();
        Self {
            prompt: prompt.map(|prompt| PromptIncludingCached(prompt).excluding(read, write)),
            cache_read,
            cache_write,
            ..Self::default()
        }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes over what a later report knows; reports are sums so far.
    pub fn update(&mut self, later: &Self) {
        self.prompt = later.prompt.or(self.prompt);
        self.cache_read = later.cache_read.or(self.cache_read);
        self.cache_write = later.cache_write.or(self.cache_write);
        self.output = later.output.or(self.output);
        self.reasoning = later.reasoning.or(self.reasoning);
    }

    /// Tokens of the prompt beside cached ones.
    pub fn prompt_excluding(&self) -> PromptExcludingCached {
        self.prompt.unwrap_or_default()
    }

    /// Tokens of the prompt with cached ones.
    pub fn prompt_including(&self) -> PromptIncludingCached {
        self.prompt_excluding().including(
            self.cache_read.unwrap_or_default(),
            self.cache_write.unwrap_or_default(),
        )
    }

    /// Tokens of the answer.
    pub fn output(&self) -> u64 {
        self.output.unwrap_or_default()
    }

    /// Everything together.
    pub fn total(&self) -> u64 {
        self.prompt_including().0.saturating_add(self.output())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_ways_of_counting_the_prompt_agree() {
        let including = PromptIncludingCached(100);
        let excluding = including.excluding(60, 10);
        assert_eq!(excluding, PromptExcludingCached(30));
        assert_eq!(excluding.including(60, 10), including);
        assert_eq!(
            PromptIncludingCached(5).excluding(9, 0),
            PromptExcludingCached(0)
        );
        assert_eq!(
            PromptExcludingCached(u64::MAX).including(1, 1),
            PromptIncludingCached(u64::MAX)
        );
    }

    #[test]
    fn later_reports_win_where_they_know_more() {
        let mut usage = Usage {
            prompt: Some(PromptExcludingCached(7)),
            output: Some(1),
            ..Usage::default()
        };
        usage.update(&Usage {
            output: Some(9),
            cache_read: Some(3),
            ..Usage::default()
        });
        assert_eq!(
            (usage.prompt_including().0, usage.output(), usage.total()),
            (10, 9, 19)
        );
    }
}
