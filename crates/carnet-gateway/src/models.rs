//! `GET /v1/models`: the names that this caller may use; on demand the others with the reason.

use carnet_policy::{Api, Ask, Decision};
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
        let mut denied = None;
        let permitted = offers.iter().find(|offer| {
            match generation.decide(principal, &offer.target, &ask, now) {
                Decision::Permit(_) => true,
                Decision::Deny(denial) => {
                    denied.get_or_insert(denial);
                    false
                }
            }
        });
        match (permitted, denied) {
            (Some(offer), _) => {
                list.push(Model::new(&**name, offer.upstream.name()).created(created))
            }
            (None, Some(denial)) if include_denied => {
                let reasons: Vec<&str> = denial
                    .verdict()
                    .reasons()
                    .iter()
                    .map(|reason| &*reason.title)
                    .collect();
                let owner = offers.first().map_or("", |offer| offer.upstream.name());
                list.push(
                    Model::new(&**name, owner)
                        .created(created)
                        .extra("denied", reasons.join("; ")),
                );
            }
            _ => {}
        }
    }
    Ok(Ready::Whole(model_list(&list)))
}
