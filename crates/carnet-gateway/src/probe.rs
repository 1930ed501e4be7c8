//! A question of our own to a target that is out of service, to see which model answers there. It
//! holds nothing of any caller, is decided like every request, and is never sent by itself.

use std::sync::Arc;

use bytes::Bytes;
use carnet_policy::{Ask, Decision};
use carnet_wire::sniff::{Framing, Reported, ReportedModel};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::config::OnLoss;
use crate::egress;
use crate::error::Fault;
use crate::found::Findings;
use crate::gateway::Gateway;
use crate::generation::Generation;
use crate::ingress::{self, Call, Extras, ModelPlace};
use crate::reported::{Answering, Check};
use crate::resolve::Offer;
use crate::screen::{self, Clearing};

/// What a probe showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// The model that the answer named.
    pub reported: Option<String>,
    /// Whether it is one that was decided on; then the target is in service again.
    pub clean: bool,
}

impl Gateway {
    /// Ask a target one short question for a workload, and put it into service again if the right
    /// model answers.
    ///
    /// # Errors
    /// Why it could not be asked, or gave no answer.
    pub async fn probe(
        &self,
        upstream: &str,
        model: &str,
        workload: &str,
    ) -> Result<Probed, String> {
        let generation = self.generation();
        let (name, offer) = target(&generation, upstream, model)
            .ok_or("the configuration names no such target any more")?;
        let before = self.service().of(upstream, model);
        let call = offer
            .upstream
            .config()
            .urls
            .calls()
            .find(|call| question(*call, "").is_some());
        let call = call.ok_or("the target takes no request that names its model")?;
        let reported = self
            .ask(&generation, (&name, call), offer, workload)
            .await?;
        let check = Check {
            call,
            expected: offer.expected.clone(),
            generation: generation.clone(),
            suspends: true,
        };
        let clean = reported.as_deref().is_some_and(|reported| {
            let answering =
                check.answering(reported, (workload, Findings::default()), false, self.now());
            matches!(answering, Answering::Expected(_))
        });
        // What another answer showed meanwhile stands.
        let clean = clean && before == self.service().of(upstream, model);
        if clean {
            self.restore(upstream, model);
        }
        Ok(Probed { reported, clean })
    }

    async fn ask(
        &self,
        generation: &Generation,
        (name, call): (&str, Call),
        offer: &Offer,
        workload: &str,
    ) -> Result<Option<String>, String> {
        let principal = generation
            .principal(workload, Findings::default())
            .ok_or_else(|| format!("the configuration names no workload `{workload}`"))?;
        let ask = Ask {
            api: call.api(),
            stream: false,
        };
        let permit = match generation.decide(principal, &offer.target, &ask, self.now()) {
            Decision::Permit(permit) => permit,
            Decision::Deny(_) => {
                return Err(format!(
                    "policy does not permit this target to `{workload}`"
                ));
            }
        };
        let question = question(call, name).unwrap_or_default();
        let told = |fault: Fault| fault.message;
        let reader = generation.reader(call);
        let fields = reader.and_then(|reader| reader.fields(offer.upstream.name()));
        let (reader, fields) = reader
            .zip(fields)
            .ok_or("the registry says nothing of the fields of this API")?;
        let extras = Extras::of(call, &HeaderMap::new(), None);
        let place = if call.names_model_in_path() {
            ModelPlace::Path(name.into())
        } else {
            ModelPlace::Body
        };
        let body = Bytes::from(question.to_string());
        let prompt = ingress::read(call, place, extras, body, reader.watch()).map_err(told)?;
        let clearing = Clearing {
            on_loss: OnLoss::Name,
            keeps: false,
        };
        let cleared = screen::clear(permit, &prompt, offer, fields, clearing).map_err(told)?;
        let (_, answer) = egress::send(
            &offer.upstream,
            cleared,
            generation.server().decoded_max,
            self.now(),
        );
        let time = offer.upstream.config().first_byte_timeout;
        let answer = match timeout(time, answer).await {
            Ok(answer) => answer.map_err(|failed| failed.fault.message)?,
            Err(_) => return Err(egress::too_late(&offer.upstream, time).message),
        };
        let status = answer.response.status();
        if !status.is_success() {
            return Err(format!("the upstream answered with status {status}"));
        }
        let limit = offer.upstream.config().idle_timeout;
        timeout(limit, named(answer))
            .await
            .map_err(|_| "the upstream's answer did not come in time".to_owned())
    }
}

/// The shortest request whose answer names its model.
fn question(call: Call, model: &str) -> Option<Value> {
    const TEXT: &str = "Answer with the word OK.";
    let messages = || json!([{ "role": "user", "content": TEXT }]);
    Some(match call {
        Call::Chat | Call::Messages => {
            json!({ "model": model, "messages": messages(), "max_tokens": 1 })
        }
        Call::Completions => json!({ "model": model, "prompt": TEXT, "max_tokens": 1 }),
        // They name no model, or the call that is not streamed does it.
        Call::Carried(..)
        | Call::Embedded(_)
        | Call::Cohere
        | Call::Compact
        | Call::Converse
        | Call::ConverseStream
        | Call::CountTokens
        | Call::StreamGenerateContent => return None,
        Call::Embeddings => json!({ "model": model, "input": TEXT }),
        Call::GenerateContent => json!({
            "contents": [{ "role": "user", "parts": [{ "text": TEXT }] }],
            "generationConfig": { "maxOutputTokens": 1 },
        }),
        // The least that the API takes.
        Call::Responses => {
            json!({ "model": model, "input": TEXT, "max_output_tokens": 16, "store": false })
        }
    })
}

/// The model that an answer names.
async fn named(answer: egress::Answer) -> Option<String> {
    let (head, mut body) = answer.response.into_parts();
    let kind = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let mut sniff = ReportedModel::new(Framing::of_content_type(kind.unwrap_or_default()));
    while let Some(Ok(frame)) = body.frame().await {
        let Some(piece) = frame.data_ref() else {
            continue;
        };
        match sniff.push(piece) {
            Reported::Pending => {}
            Reported::Model(name) => return Some(name.clone()),
            Reported::Absent(_) => return None,
        }
    }
    None
}

/// The offer of a target, with a name by which callers ask for it.
fn target<'g>(
    generation: &'g Generation,
    upstream: &str,
    model: &str,
) -> Option<(Arc<str>, &'g Offer)> {
    generation.names().iter().find_map(|name| {
        let mut offers = generation.offers(name)?.offers.iter();
        let is =
            |offer: &&Arc<Offer>| offer.upstream.name() == upstream && offer.own_name() == model;
        offers.find(is).map(|offer| (name.clone(), &**offer))
    })
}
