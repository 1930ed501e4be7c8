//! `GET /v1/models`: the names that this caller may use; on demand the others with the reason.

use carnet_policy::{Api, Ask};
use carnet_wire::openai::{Model, model_list};

use crate::caller::{self, Caller};
use crate::error::Stop;
use crate::gateway::Gateway;
use crate::generation::Generation;
use crate::pipeline::Ready;
use crate::record::OpenRecord;

/// The list for one caller. `?include=denied` adds what is denied, with the reasons.
pub(crate) fn list<'a>(
    gateway: &Gateway,
    generation: &'a Generation,
    caller: &Caller,
    query: Option<&str>,
    record: &mut OpenRecord,
) -> Result<Ready<'a>, Stop> {
    record.listed(&gateway.words().models);
    let principal = caller::principal(generation, caller)?;
    let include_denied =
        query.is_some_and(|query| query.split('&').any(|pair| pair == "include=denied"));
    let ask = Ask {
        api: Api::ChatCompletions,
        stream: false,
    };
    let created = generation.loaded_at().as_second();
    let now = gateway.now();
    let mut list = Vec::new();
    for name in generation.names() {
        let offers = generation
            .offers(name)
            .map(|(_, offers)| offers)
            .unwrap_or_default();
        if let Some(offer) = offers
            .iter()
            .find(|offer| generation.permits(principal, &offer.target, &ask, now))
        {
            list.push(Model::new(&**name, offer.upstream.name()).created(created));
        } else if include_denied && let Some(first) = offers.first() {
            let decision = generation.decide(principal, &first.target, &ask, now);
            let reasons: Vec<&str> = decision
                .verdict()
                .reasons()
                .iter()
                .map(|reason| &*reason.title)
                .collect();
            list.push(
                Model::new(&**name, first.upstream.name())
                    .created(created)
                    .extra("denied", reasons.join("; ")),
            );
        }
    }
    Ok(Ready::Whole(model_list(&list)))
}
