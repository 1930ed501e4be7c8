//! A question of our own to a target that is out of service, to see which model answers there. It
//! holds nothing of any caller, is decided like every request, and is never sent by itself.

use std::sync::Arc;

use bytes::Bytes;
use carnet_policy::{Api, Ask, Decision};
use carnet_wire::sniff::{Framing, Reported, ReportedModel};
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::time::timeout;

use crate::egress;
use crate::error::Fault;
use crate::gateway::Gateway;
use crate::generation::Generation;
use crate::ingress::openai;
use crate::reported::{Answering, Check};
use crate::resolve::Offer;
use crate::screen;

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
        let reported = self.ask(&generation, &name, offer, workload).await?;
        let check = Check {
            expected: offer.expected.clone(),
            generation: generation.clone(),
        };
        let clean = reported.as_deref().is_some_and(|reported| {
            let answering = check.answering(reported, workload, false, self.now());
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
        name: &str,
        offer: &Offer,
        workload: &str,
    ) -> Result<Option<String>, String> {
        let principal = generation
            .principal(workload)
            .ok_or_else(|| format!("the configuration names no workload `{workload}`"))?;
        let ask = Ask {
            api: Api::ChatCompletions,
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
        let question = json!({
            "model": name,
            "messages": [{ "role": "user", "content": "Answer with the word OK." }],
            "max_tokens": 1,
        });
        let told = |fault: Fault| fault.message;
        let chat =
            openai::read(Bytes::from(question.to_string()), generation.watch()).map_err(told)?;
        let fields = generation
            .fields(offer.upstream.name())
            .ok_or("the upstream has no field rules")?;
        let cleared = screen::clear(permit, &chat, offer, fields).map_err(told)?;
        let (_, answer) = egress::send(&offer.upstream, cleared);
        let answer = answer.await.map_err(|failed| failed.fault.message)?;
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
        let (_, offers) = generation.offers(name)?;
        let is = |offer: &&Offer| offer.upstream.name() == upstream && offer.own_name() == model;
        offers.iter().find(is).map(|offer| (name.clone(), offer))
    })
}
