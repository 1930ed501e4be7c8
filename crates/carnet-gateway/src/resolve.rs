//! Stage 2, resolve: the requested name becomes the targets that offer it, with their facts.

use std::sync::Arc;
use std::time::Duration;

use carnet_policy::Target;
use carnet_provenance::{Price, TokenCounts};
use carnet_wire::carrier::Carrier;
use carnet_wire::dialect::{ClientDialect, Dialect, Options};
use carnet_wire::embeddings::Embedder;
use http::header::{HeaderName, HeaderValue};

use crate::codes::Code;
use crate::egress::Upstream;
use crate::error::Fault;
use crate::generation::Generation;
use crate::ingress::Call;
use crate::metrics::Origin;
use crate::reported::Expected;
use crate::route::{Health, Strategy};
use crate::spend::Tokenizer;

/// What a name that callers use leads to.
#[derive(Debug)]
pub(crate) struct Offered {
    /// The name.
    pub(crate) name: Arc<str>,
    /// In the order of the configuration; never empty.
    pub(crate) offers: Vec<Arc<Offer>>,
    /// Which of them is asked first.
    pub(crate) strategy: Strategy,
    /// How often each is, against the others.
    pub(crate) weights: Vec<u32>,
    /// How far away each is, where the strategy goes by that.
    pub(crate) distances: Vec<u64>,
    /// After how long a second one is asked too.
    pub(crate) hedge_after: Option<Duration>,
}

/// The law that reaches a prompt at a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// Codes of countries.
    pub(crate) jurisdictions: Vec<String>,
    /// Whether these are all.
    pub(crate) complete: bool,
}

impl Places {
    /// How far the farthest of them is, by an order of countries: those that it does not name are farther than those that it
    /// does, and what is unknown is farther still.
    pub(crate) fn distance(&self, nearest: &[String]) -> u64 {
        let beyond = nearest.len();
        if !self.complete || self.jurisdictions.is_empty() {
            return u64::try_from(beyond + 1).unwrap_or(u64::MAX);
        }
        let place = |code: &String| nearest.iter().position(|one| one == code);
        let all = self.jurisdictions.iter();
        let farthest = all.map(|code| place(code).unwrap_or(beyond)).max();
        u64::try_from(farthest.unwrap_or(beyond)).unwrap_or(u64::MAX)
    }
}

impl Offered {
    /// What a request of so many tokens may cost at one of them, in billionths of the unit of a currency that all of them
    /// share; nothing where nobody says.
    pub(crate) fn cost(&self, offer: &Offer, counts: &TokenCounts) -> Option<u64> {
        let price = offer.price.as_ref()?;
        let mut prices = self.offers.iter().filter_map(|one| one.price.as_ref());
        let currency = &prices.next()?.currency;
        (price.currency == *currency).then(|| price.cost(counts))
    }
}

/// One offer of a model: facts for the decision, the way there, and what the caller is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// Facts, prepared for the decision.
    pub(crate) target: Target,
    /// The way there.
    pub(crate) upstream: Arc<Upstream>,
    /// The upstream's own name for the model, as a JSON string, if it differs from the caller's.
    pub(crate) rename: Option<bytes::Bytes>,
    /// Name of the model's node in the registry or overlay.
    pub(crate) model: Option<Arc<str>>,
    /// Id of the host behind the upstream.
    pub(crate) host: Option<Arc<str>>,
    /// How much is known of where it comes from.
    pub(crate) origin: Origin,
    /// Answer headers that tell the target's facts.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// What its answers may name as their model.
    pub(crate) expected: Arc<Expected>,
    /// Lines that would complete what is unknown about it.
    pub(crate) overlay: Option<String>,
    /// Whether its host may keep what is exchanged, where that has been asked for.
    pub(crate) keeping: Keeping,
    /// How a translation for it is worded.
    pub(crate) options: Options,
    /// What its tokens cost, where that is known.
    pub(crate) price: Option<Arc<Price>>,
    /// What counts its tokens, where a limit needs it.
    pub(crate) tokenizer: Option<Tokenizer>,
    /// The name under which its upstream offers it, which in a pool is not the one that is asked for.
    pub(crate) listed: Arc<str>,
    /// Where it is.
    pub(crate) places: Places,
    /// What is known of it from requests that went there.
    pub(crate) health: Arc<Health>,
}

/// Whether a service may keep exchanges so that later requests can refer to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// The operator allows it.
    Allowed,
    /// The decision rests on the fact that the host keeps nothing.
    AgainstFact,
    /// The operator does not say so.
    NotAllowed,
}

/// What the fact `retention` says of a host that keeps nothing.
const KEEPS_NOTHING: &str = "none";

impl Keeping {
    pub(crate) fn of(stored_responses: bool, retention: Option<&str>) -> Self {
        match (stored_responses, retention) {
            (false, _) => Self::NotAllowed,
            (true, Some(KEEPS_NOTHING)) => Self::AgainstFact,
            (true, _) => Self::Allowed,
        }
    }
}

/// How a request reaches an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As it came.
    Direct,
    /// As it came, in the API of a platform.
    Carried(Carrier),
    /// Texts in the shape of a service that gives vectors.
    Embedded(Embedder),
    /// In another dialect, in the API of a platform if need be.
    Translated(ClientDialect, Dialect, Option<Carrier>),
}

/// The dialects into which requests are translated, those first that lose the least.
const TARGETS: [Dialect; 6] = [
    Dialect::Chat,
    Dialect::Messages,
    Dialect::Responses,
    Dialect::GenerateContent,
    Dialect::Converse,
    Dialect::Cohere,
];

impl Offer {
    /// How its upstream can be asked, if it can.
    pub(crate) fn way(&self, call: Call) -> Option<Way> {
        let urls = &self.upstream.config().urls;
        if urls.take(call) {
            return Some(Way::Direct);
        }
        let embedder = |by: &Embedder| urls.take(Call::Embedded(*by));
        if call == Call::Embeddings {
            return Embedder::ALL.into_iter().find(embedder).map(Way::Embedded);
        }
        let carrier = |call: Call| {
            call.carriers()
                .find(|by| urls.take(Call::Carried(*by, false)))
        };
        if let Some(by) = carrier(call) {
            return Some(Way::Carried(by));
        }
        let from = call.client()?;
        let translated = |to: Dialect| {
            let call = Call::in_dialect(to, call.streams(false))?;
            if urls.take(call) {
                return Some(Way::Translated(from, to, None));
            }
            let by = carrier(call)?;
            Some(Way::Translated(from, to, Some(by)))
        };
        // What an upstream does not take in its own dialect, a translation into that cannot change.
        let mut others = TARGETS.into_iter().filter(|to| *to != from.into());
        others.find_map(translated)
    }

    /// Whether a call has to be put into other words for it, by which something may be lost.
    pub(crate) fn translates(&self, call: Call) -> bool {
        matches!(self.way(call), Some(Way::Embedded(_) | Way::Translated(..)))
    }

    /// What callers can ask of it, be it in translation.
    pub(crate) fn calls(&self) -> impl Iterator<Item = Call> {
        let all = Call::ALL.into_iter();
        all.filter(|call| self.way(*call).is_some())
    }

    /// Whether its upstream may keep what is exchanged by a call.
    pub(crate) fn keeps(&self, call: Call) -> bool {
        self.keeping == Keeping::Allowed && call.continues() && self.way(call) == Some(Way::Direct)
    }

    /// The upstream's own name for the model.
    pub(crate) fn own_name(&self) -> &str {
        self.expected.asked()
    }
}

/// What a name leads to.
pub(crate) fn offers<'a>(
    generation: &'a Generation,
    model: &str,
) -> Result<&'a Arc<Offered>, Fault> {
    generation.offers(model).ok_or_else(|| not_found(model))
}

pub(crate) fn not_found(model: &str) -> Fault {
    let message = format!(
        "no configured upstream offers a model named `{model}`; `GET /v1/models` lists the names that you may use"
    );
    Fault::new(Code::ModelNotFound, message).param("model")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_as_far_as_the_farthest_law_that_reaches_it() {
        let code = |code: &str| code.to_owned();
        let nearest = ["AA", "BB"].map(code);
        let places = |all: &[&str], complete| Places {
            jurisdictions: all.iter().map(|one| code(one)).collect(),
            complete,
        };
        for (all, complete, wanted) in [
            (&["AA"][..], true, 0),
            (&["BB"], true, 1),
            (&["AA", "BB"], true, 1),
            (&["AA", "ZZ"], true, 2),
            (&["AA"], false, 3),
            (&[], true, 3),
        ] {
            let distance = places(all, complete).distance(&nearest);
            assert_eq!(distance, wanted, "{all:?}");
        }
    }
}
