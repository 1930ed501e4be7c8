//! Stage 2 for requests that refer to a kept response. Where an upstream keeps it they go where it was made, or nowhere;
//! what Carnet keeps itself is put in front of the request, which then is one like any other.

use std::sync::Arc;

use bytes::Bytes;
use carnet_wire::responses::kept::{PageError, deleted};

use crate::caller::Caller;
use crate::codes::Code;
use crate::conversations::Conversation;
use crate::error::Fault;
use crate::gateway::Gateway;
use crate::generation::{Generation, Reader};
use crate::ingress::{Action, Call, PREVIOUS, Prompt, Query, Stored};
use crate::resolve::{Offer, Offered, Way};

/// What a request goes on from.
pub(crate) enum Before {
    /// What Carnet keeps: these items, with commas between them.
    Here(Bytes),
    /// What an upstream keeps.
    Upstream,
    /// Nothing that is known for its workload.
    Unknown,
}

/// What is known of a response that a request goes on from.
pub(crate) async fn before(
    gateway: &Gateway,
    generation: &Generation,
    workload: &str,
    id: &str,
) -> Result<Before, Fault> {
    let made_at = gateway.state_ids().find(workload, id, gateway.now());
    if made_at.is_some() {
        return Ok(Before::Upstream);
    }
    let conversation = kept_here(gateway, generation, workload, id).await?;
    Ok(conversation.map_or(Before::Unknown, |kept| Before::Here(kept.items())))
}

/// The conversation up to an answer of this id, if Carnet keeps it.
async fn kept_here(
    gateway: &Gateway,
    generation: &Generation,
    workload: &str,
    id: &str,
) -> Result<Option<Arc<Conversation>>, Fault> {
    let Some(config) = generation.conversations() else {
        return Ok(None);
    };
    let since = config.since(gateway.now());
    gateway.conversations().find((workload, id), since).await
}

/// A request with what it goes on from in front, where Carnet keeps that.
pub(crate) async fn joined(
    gateway: &Gateway,
    generation: &Generation,
    workload: &str,
    prompt: Box<Prompt>,
    reader: &Reader,
) -> Result<Box<Prompt>, Fault> {
    let Some(id) = &prompt.previous else {
        return Ok(prompt);
    };
    // Where Carnet keeps nothing, the rules of the fields and of upstreams say what becomes of it.
    if generation.conversations().is_none() {
        return Ok(prompt);
    }
    match before(gateway, generation, workload, id).await? {
        Before::Here(items) => {
            let bytes_max = generation.server().body_bytes_max;
            let whole = prompt.going_on(&items, bytes_max, reader.watch())?;
            Ok(Box::new(whole))
        }
        Before::Upstream => Ok(prompt),
        Before::Unknown => Err(previous_not_found()),
    }
}

/// Do what is asked of a response that Carnet keeps: the answer, and the name under which its model was asked for.
/// Nothing where it keeps no such response.
pub(crate) async fn own(
    gateway: &Gateway,
    generation: &Generation,
    caller: &Caller,
    (asked, query): (&Stored, &Query),
) -> Result<Option<(Arc<str>, Result<Bytes, Fault>)>, Fault> {
    let workload = &*caller.key.workload;
    let made_at = gateway.state_ids().find(workload, &asked.id, gateway.now());
    if made_at.is_some() {
        return Ok(None);
    }
    let Some(kept) = kept_here(gateway, generation, workload, &asked.id).await? else {
        return Ok(None);
    };
    caller.may_use(&kept.requested)?;
    let refused =
        |message: &str, param: &str| Fault::new(Code::InvalidRequest, message).param(param);
    let answer = match asked.action {
        Action::Cancel => Err(refused(
            "only a response that runs in the background can be cancelled, and this one was given whole",
            "response_id",
        )),
        Action::Delete => {
            let removed = gateway.conversations().remove(workload, &asked.id).await;
            removed.map(|_| deleted(&asked.id))
        }
        Action::InputItems => query.page.of(&kept.input).map_err(|why| match why {
            PageError::Limit => refused(&why.to_string(), "limit"),
            PageError::Unknown(param) => refused(&why.to_string(), param),
            PageError::Items => Fault::new(Code::StateNotFound, why.to_string()),
        }),
        Action::Retrieve if query.stream => Err(refused(
            "a response that Carnet keeps is given whole, and only what runs in the background is streamed again; \
             take `stream` out",
            "stream",
        )),
        Action::Retrieve => Ok(kept.response.clone()),
    };
    Ok(Some((kept.requested.clone(), answer)))
}

/// The offer to which a request has to go that goes on from a kept response: the one that made it. None where it may go to
/// any.
pub(crate) fn continued(
    gateway: &Gateway,
    workload: &str,
    prompt: &Prompt,
    offers: &[Arc<Offer>],
) -> Result<Option<Arc<Offer>>, Fault> {
    let Some(id) = &prompt.previous else {
        return Ok(None);
    };
    // Where nothing is ever kept, the rules of the fields say so.
    if !offers.iter().any(|offer| offer.keeps(prompt.call)) {
        return Ok(None);
    }
    let ids = gateway.state_ids();
    let made_at = ids.find(workload, id, gateway.now());
    let made_at = made_at.ok_or_else(previous_not_found)?;
    let same = offers.iter().find(|offer| made_at.is(offer));
    same.cloned().map(Some).ok_or_else(|| {
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

/// Where the response was made that a request is about, and the name under which that was.
pub(crate) fn offer<'a>(
    gateway: &Gateway,
    generation: &'a Generation,
    workload: &str,
    asked: &Stored,
) -> Result<(&'a Arc<Offered>, &'a Arc<Offer>), Fault> {
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
    let offered = offers.ok_or_else(|| missing("its model is no longer offered"))?;
    let offer = offered.offers.iter().find(|offer| made_at.is(offer));
    let offer = offer.ok_or_else(|| missing("where it was made is no longer configured"))?;
    let call = Call::Responses;
    // What was kept can always be ended.
    let ends = matches!(asked.action, Action::Cancel | Action::Delete);
    if offer.keeps(call) || (ends && offer.way(call) == Some(Way::Direct)) {
        return Ok((offered, offer));
    }
    let message = format!(
        "the upstream `{}` may keep no responses now, so none is read there; delete it, or ask your operator whether \
         `stored_responses = true` is meant to be gone",
        offer.upstream.name()
    );
    Err(Fault::new(Code::ApiNotOffered, message))
}
