//! `GET /v1/models`: the names that this caller may use; on demand the others with the reason.

use std::sync::Arc;

use bytes::Bytes;
use carnet_policy::{Api, Ask, Principal};
use carnet_wire::anthropic;
use carnet_wire::openai::{self, Model};
use jiff::Timestamp;

use crate::caller::{self, Caller};
use crate::error::Stop;
use crate::gateway::Gateway;
use crate::generation::Generation;
use crate::ingress::Dialect;
use crate::record::OpenRecord;
use crate::resolve::{self, Offer};
use crate::scope::Use;

/// The list for one caller, in the shape that it reads. `?include=denied` adds what is denied, with the reasons.
pub(crate) fn list(
    gateway: &Gateway,
    generation: &Generation,
    caller: &Caller,
    (dialect, query): (Dialect, Option<&str>),
    record: &mut OpenRecord,
) -> Result<Bytes, Stop> {
    record.listed(&gateway.words().models);
    caller.may(Use::Models)?;
    let principal = caller::principal(generation, caller)?;
    let denied = query.is_some_and(|query| query.split('&').any(|pair| pair == "include=denied"));
    let (now, loaded_at) = (gateway.now(), generation.loaded_at().as_second());
    let list: Vec<Model> = generation
        .names()
        .iter()
        .filter_map(|name| {
            let offers = &*generation.offers(name)?.offers;
            if let Err(fault) = caller.may_use(name) {
                let first = offers.first().filter(|_| denied)?;
                let model = Model::new(&**name, first.upstream.name()).created(loaded_at);
                return Some(model.extra("denied", fault.message));
            }
            permitted(generation, principal, name, offers, now).or_else(|| {
                let shown = denied.then(|| refused(generation, principal, name, offers, now));
                shown.flatten()
            })
        })
        .collect();
    Ok(match dialect {
        Dialect::Messages => anthropic::model_list(&list),
        _ => openai::model_list(&list),
    })
}

/// One name of that list. A model that the caller may not use is there for nobody who asks.
pub(crate) fn one(
    gateway: &Gateway,
    generation: &Generation,
    caller: &Caller,
    (dialect, name): (Dialect, &str),
    record: &mut OpenRecord,
) -> Result<Bytes, Stop> {
    record.listed(&gateway.words().models);
    caller.may(Use::Models)?;
    let principal = caller::principal(generation, caller)?;
    let offered = resolve::offers(generation, name)?;
    let (name, offers) = (&*offered.name, &*offered.offers);
    // As one that policy denies: it is there for nobody who may not use it.
    caller.may_use(name).map_err(|_| resolve::not_found(name))?;
    let model = permitted(generation, principal, name, offers, gateway.now())
        .ok_or_else(|| resolve::not_found(name))?;
    Ok(match dialect {
        Dialect::Messages => anthropic::model(&model),
        _ => model.to_body(),
    })
}

/// The first offer that is permitted to some kind of request that it takes.
fn permitted(
    generation: &Generation,
    principal: &Principal,
    name: &str,
    offers: &[Arc<Offer>],
    now: Timestamp,
) -> Option<Model> {
    let created = generation.loaded_at().as_second();
    let offer = offers.iter().find(|offer| {
        asks(offer).any(|ask| generation.permits(principal, &offer.target, &ask, now))
    })?;
    Some(Model::new(name, offer.upstream.name()).created(created))
}

fn refused(
    generation: &Generation,
    principal: &Principal,
    name: &str,
    offers: &[Arc<Offer>],
    now: Timestamp,
) -> Option<Model> {
    let first = offers.first()?;
    let decision = generation.decide(principal, &first.target, &asks(first).next()?, now);
    let reasons = decision.verdict().reasons().iter();
    let titles: Vec<&str> = reasons.map(|reason| &*reason.title).collect();
    let model = Model::new(name, first.upstream.name());
    Some(
        model
            .created(generation.loaded_at().as_second())
            .extra("denied", titles.join("; ")),
    )
}

/// The kinds of requests that an offer takes, as policy tells them apart.
fn asks(offer: &Offer) -> impl Iterator<Item = Ask> {
    let taken = |api: &Api| offer.calls().any(|call| call.api() == *api);
    Api::ALL
        .into_iter()
        .filter(taken)
        .map(|api| Ask { api, stream: false })
}
