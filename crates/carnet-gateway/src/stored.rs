//! Stage 2 for requests that refer to a response which an upstream keeps: they go where it was made, or nowhere.

use std::slice;
use std::sync::Arc;

use crate::codes::Code;
use crate::error::Fault;
use crate::gateway::Gateway;
use crate::generation::Generation;
use crate::ingress::{Action, Call, PREVIOUS, Prompt, Stored};
use crate::resolve::{Offer, Way};

/// The offers to which a request may go that goes on from a kept response: the one that made it.
pub(crate) fn continued<'a>(
    gateway: &Gateway,
    workload: &str,
    prompt: &Prompt,
    offers: &'a [Offer],
) -> Result<&'a [Offer], Fault> {
    let Some(id) = &prompt.previous else {
        return Ok(offers);
    };
    // Where nothing is ever kept, the rules of the fields say so.
    if !offers.iter().any(|offer| offer.keeps(prompt.call)) {
        return Ok(offers);
    }
    let ids = gateway.state_ids();
    let made_at = ids.find(workload, id, gateway.now());
    let made_at = made_at.ok_or_else(previous_not_found)?;
    let same = offers.iter().find(|offer| made_at.is(offer));
    same.map(slice::from_ref).ok_or_else(|| {
        let message = format!(
            "the response was made by `{}` at `{}`, and what is kept there cannot be looked at again for `{}`; ask for that \
             model, or send the whole conversation as `input`",
            made_at.requested, made_at.upstream, prompt.model
        );
        Fault::new(Code::FieldRefused, message).param(PREVIOUS)
    })
}

pub(crate) fn previous_not_found() -> Fault {
    let message = "no response of this id is kept for this workload: it was not made here, was not stored, was \
        deleted or is too old; send the whole conversation as `input`";
    Fault::new(Code::PreviousResponseNotFound, message).param(PREVIOUS)
}

/// Where the response was made that a request is about, by the name under which that was.
pub(crate) fn offer<'a>(
    gateway: &Gateway,
    generation: &'a Generation,
    workload: &str,
    asked: &Stored,
) -> Result<(&'a Arc<str>, &'a Offer), Fault> {
    let missing = |why: &str| {
        let message = format!("no response of this id is kept for this workload: {why}");
        Fault::new(Code::StateNotFound, message).param("response_id")
    };
    let ids = gateway.state_ids();
    let made_at = ids.find(workload, &asked.id, gateway.now());
    let made_at = made_at.ok_or_else(|| {
        missing("it was not made here, was not stored, was deleted or is too old")
    })?;
    let offers = generation.offers(&made_at.requested);
    let (name, offers) = offers.ok_or_else(|| missing("its model is no longer offered"))?;
    let offer = offers.iter().find(|offer| made_at.is(offer));
    let offer = offer.ok_or_else(|| missing("where it was made is no longer configured"))?;
    let call = Call::Responses;
    // What was kept can always be ended.
    let ends = matches!(asked.action, Action::Cancel | Action::Delete);
    if offer.keeps(call) || (ends && offer.way(call) == Some(Way::Direct)) {
        return Ok((name, offer));
    }
    let message = format!(
        "the upstream `{}` may keep no responses now, so none is read there; delete it, or ask your operator whether \
         `stored_responses = true` is meant to be gone",
        offer.upstream.name()
    );
    Err(Fault::new(Code::ApiNotOffered, message))
}
