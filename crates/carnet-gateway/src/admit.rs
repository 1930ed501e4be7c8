//! Stage 3, decide: principal and target become a permit or a denial. The decision itself is
//! `carnet_policy::decide`'s; here the first permitted offer of a name is chosen.

use std::collections::BTreeSet;

use carnet_policy::{Ask, Decision, Denial, Permit, Principal};
use jiff::Timestamp;

use crate::codes::Code;
use crate::error::{Denied, Fault, Stop};
use crate::generation::Generation;
use crate::ingress::Call;
use crate::resolve::{Offer, Way};
use crate::service::Service;

/// What is asked for, as far as a decision is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) call: Call,
    pub(crate) model: &'a str,
    pub(crate) stream: bool,
}

/// Decide on the offers in turn: the first that is permitted and in service, else why none is. Those that take the call
/// as it is come before those for which it is translated, since a translation may lose something.
pub(crate) fn decide<'a>(
    service: &Service,
    generation: &Generation,
    principal: &Principal,
    offers: &'a [Offer],
    wanted: Wanted<'_>,
    now: Timestamp,
) -> Result<(Permit, &'a Offer), Stop> {
    if generation.is_stale(now) {
        let fault = Fault::new(
            Code::GenerationStale,
            "a fact about this model changes at this moment; ask again in a second",
        );
        return Err(fault.retry_after(1).into());
    }
    let ask = Ask {
        api: wanted.call.api(),
        stream: wanted.stream,
    };
    let model = wanted.model;
    let mut suspended = false;
    let mut first: Option<(Denial, &Offer)> = None;
    let translated = |offer: &&Offer| {
        let way = offer.way(wanted.call);
        matches!(way, Some(Way::Embedded(_) | Way::Translated(..)))
    };
    // Whatever loses nothing.
    let direct = |offer: &&Offer| offer.way(wanted.call).is_some() && !translated(offer);
    let in_turn = offers.iter().filter(direct);
    let in_turn = in_turn.chain(offers.iter().filter(translated));
    for offer in in_turn {
        match generation.decide(principal, &offer.target, &ask, now) {
            Decision::Permit(_)
                if service.is_suspended(offer.upstream.name(), offer.own_name()) =>
            {
                suspended = true;
            }
            Decision::Permit(permit) => return Ok((permit, offer)),
            Decision::Deny(denial) => {
                first.get_or_insert((denial, offer));
            }
        }
    }
    if suspended {
        let message = format!(
            "another model than `{model}` answered for it, so it is out of service until an administrator restores it"
        );
        return Err(Fault::new(Code::TargetSuspended, message)
            .param("model")
            .into());
    }
    match first {
        Some((denial, offer)) => Err(Stop::Denied(Box::new(Denied {
            denial,
            requested: model.to_owned(),
            model: offer.model.clone(),
            host: offer.host.clone(),
            origin: offer.origin,
            overlay: offer.overlay.clone(),
        }))),
        None => Err(not_offered(offers, wanted).into()),
    }
}

/// The model is there, but for other kinds of requests.
fn not_offered(offers: &[Offer], wanted: Wanted<'_>) -> Fault {
    let calls = offers.iter().flat_map(Offer::calls);
    let paths: BTreeSet<String> = calls.map(Call::served_at).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let message = format!(
        "`{}` is not offered at {}; it is at {}",
        wanted.model,
        wanted.call.served_at(),
        paths.join(", ")
    );
    Fault::new(Code::ApiNotOffered, message).param("model")
}
