//! What was used in the end, of one attempt or of several together.

use std::sync::Arc;

use carnet_audit::{Spend, Tokens};
use carnet_provenance::{Amount, Price};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settled {
    pub(crate) tokens: Tokens,
    pub(super) reserved: u64,
    /// In billionths of the currency's unit.
    pub(super) reserved_cost: u64,
    pub(super) cost: u64,
    pub(super) price: Option<Arc<Price>>,
    pub(super) over: bool,
}

impl Settled {
    /// What an upstream told where no limit counts it.
    pub(crate) fn told_only(tokens: Tokens) -> Self {
        Self {
            tokens,
            ..Self::default()
        }
    }

    /// The currency in which it cost something, if a price is known.
    pub(crate) fn currency(&self) -> String {
        let price = self.price.as_ref();
        price.map_or_else(String::new, |price| price.currency.to_string())
    }

    /// The same, and what an attempt before used. What that cost in another currency cannot be added: it is given back.
    pub(crate) fn with(mut self, before: &Self) -> (Self, Option<String>) {
        self.tokens = sum(self.tokens, before.tokens);
        self.reserved = self.reserved.saturating_add(before.reserved);
        self.over |= before.over;
        let Some(price) = &before.price else {
            return (self, None);
        };
        if self
            .price
            .as_ref()
            .is_some_and(|own| own.currency != price.currency)
        {
            let apart = format!("{} {}", Amount(before.cost), price.currency);
            return (self, Some(apart));
        }
        self.price.get_or_insert_with(|| price.clone());
        self.cost = self.cost.saturating_add(before.cost);
        self.reserved_cost = self.reserved_cost.saturating_add(before.reserved_cost);
        (self, None)
    }

    /// As it stands in a record.
    pub(crate) fn told(self) -> (Tokens, Spend) {
        let price = self.price.as_ref();
        let amount =
            |billionths: u64| price.map(|_| Arc::<str>::from(Amount(billionths).to_string()));
        let spend = Spend {
            reserved: self.reserved,
            reserved_cost: amount(self.reserved_cost),
            cost: amount(self.cost),
            currency: price.map(|price| price.currency.to_string().into()),
            price: price.map(|price| price.evidence.source.clone()),
            over: self.over,
        };
        (self.tokens, spend)
    }
}

fn sum(one: Tokens, other: Tokens) -> Tokens {
    Tokens {
        input: one.input.saturating_add(other.input),
        cache_read: one.cache_read.saturating_add(other.cache_read),
        cache_write: one.cache_write.saturating_add(other.cache_write),
        output: one.output.saturating_add(other.output),
        reasoning: one.reasoning.saturating_add(other.reasoning),
        estimated: one.estimated || other.estimated,
    }
}
