//! Stage 3, decide: principal and target become a permit or a denial. The decision itself is
//! `carnet_policy::decide`'s; here the first permitted target is taken.

use std::collections::BTreeSet;
use std::sync::Arc;

use carnet_policy::{Ask, Decision, Denial, Permit, Principal};
use jiff::Timestamp;

use crate::codes::Code;
use crate::error::{Denied, Fault, Stop};
use crate::generation::Generation;
use crate::ingress::Call;
use crate::resolve::Offer;
use crate::service::Service;

/// What is asked for, as far as a decision is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) call: Call,
    pub(crate) model: &'a str,
    pub(crate) stream: bool,
}

impl Wanted<'_> {
    pub(crate) fn ask(&self) -> Ask {
        Ask {
            api: self.call.api(),
            stream: self.stream,
        }
    }
}

/// A target that may be asked.
pub(crate) struct Admitted<'a> {
    pub(crate) permit: Permit,
    pub(crate) offer: &'a Arc<Offer>,
    /// Its place in the order in which they were decided on.
    pub(crate) at: usize,
}

/// Decide on targets in turn: the first that is permitted and in service, else why none is. `offers` are all that there
/// are, also those that do not take the request.
pub(crate) fn decide<'a>(
    (service, generation): (&Service, &Generation),
    principal: &Principal,
    in_turn: impl Iterator<Item = &'a Arc<Offer>>,
    offers: &'a [Arc<Offer>],
    wanted: Wanted<'_>,
    now: Timestamp,
) -> Result<Admitted<'a>, Stop> {
    if generation.is_stale(now) {
        let fault = Fault::new(
            Code::GenerationStale,
            "a fact about this model changes at this moment; ask again in a second",
        );
        return Err(fault.retry_after(1).into());
    }
    let ask = wanted.ask();
    let model = wanted.model;
    let mut suspended = false;
    let mut first: Option<(Denial, &Offer)> = None;
    for (at, offer) in in_turn.enumerate() {
        match generation.decide(principal, &offer.target, &ask, now) {
            Decision::Permit(_)
                if service.is_suspended(offer.upstream.name(), offer.own_name()) =>
            {
                suspended = true;
            }
            Decision::Permit(permit) => return Ok(Admitted { permit, offer, at }),
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
fn not_offered(offers: &[Arc<Offer>], wanted: Wanted<'_>) -> Fault {
    let calls = offers.iter().flat_map(|offer| offer.calls());
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
