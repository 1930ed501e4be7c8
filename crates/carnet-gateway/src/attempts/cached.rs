//! An attempt that nobody has to be asked for: decided on and screened like any other, it is answered as an equal request was.

use std::time::Instant;

use carnet_policy::Obligation;
use http::header::{AGE, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response};
use tokio::time::sleep_until;

use super::{Answering, Asking, Attempts, Refused, Told, interrupted};
use crate::cache::{self, Again, CacheUse, Found, Hit, Waiting, Wish};
use crate::egress::{Answer, AnswerBody};
use crate::error::Stop;
use crate::quotas::Asked as Reserving;
use crate::record::OpenRecord;
use crate::resolve::Offer;
use crate::screen::Cleared;

/// What became of looking for an answer that was given before.
pub(super) enum Looked {
    Found(Found),
    /// It is not looked for.
    Not(CacheUse),
}

impl Attempts<'_> {
    /// Look for an answer that was given before to an equal request.
    pub(super) fn look_up(&self, wish: Wish, cleared: &Cleared, offer: &Offer) -> Looked {
        let (Asking::Prompt(prompt), Some(cache)) = (&self.asking, self.generation.cache()) else {
            return Looked::Not(CacheUse::Off);
        };
        let workload = &*self.caller.key.workload;
        if !cache.is_for(workload, offer.upstream.name()) {
            return Looked::Not(CacheUse::Off);
        }
        // What somebody keeps is asked for by its id; what nobody may keep is not kept here either.
        let is_kept = cleared.keeps() || cleared.keeps_here() || prompt.stores.is_some();
        let goes_on = self.only.is_some() || prompt.previous.is_some() || prompt.joined;
        let obliged = cleared
            .permit()
            .obligations()
            .contains(&Obligation::NoStore);
        let bypasses = !wish.keeps || is_kept || goes_on || obliged;
        if bypasses || !cache.takes((prompt.call, prompt.extras.query), &prompt.body) {
            return Looked::Not(CacheUse::Bypass);
        }
        // While another target is asked, nothing else is waited for.
        if self.asked.is_some() {
            return Looked::Not(CacheUse::Miss(None));
        }
        let config = offer.upstream.config();
        let versions = self.generation.versions();
        let asked = cache::Asked {
            workload,
            versions: [&versions.config, &versions.policy, &versions.registry],
            path: prompt.call.path(),
            query: prompt.extras.query,
            headers: &prompt.extras.headers,
            name: &self.offered.name,
            stream: prompt.stream,
            upstream: &config.name,
            origin: &config.origin,
            own_name: offer.own_name(),
            model: offer.model.as_deref(),
            host: offer.host.as_deref(),
            jurisdictions: &offer.places.jurisdictions,
            complete: offer.places.complete,
            body: &prompt.body,
        };
        // Who waits holds up nobody who waits for him: only the first attempt does, and it leads no other.
        let may_wait = self.tries.is_first() && self.tries.is_untouched() && !self.waited;
        Looked::Found(cache.look(
            &asked,
            wish,
            may_wait && !cache.wait().is_zero(),
            Instant::now(),
        ))
    }

    /// Wait for an equal request, for as long as that is worth it.
    pub(super) async fn wait_for(
        &mut self,
        waiting: &Waiting,
        record: &OpenRecord,
    ) -> Result<(), Stop> {
        let wait = self.generation.cache().map(|cache| cache.wait());
        let now = Instant::now();
        let mut until = now + wait.unwrap_or_default();
        until = until.min(self.tries.deadline(self.config()));
        until = self.begins.map_or(until, |begins| until.min(begins));
        self.waited = true;
        tokio::select! {
            biased;
            fault = interrupted(record, self.generation.server().on_revoke) => Err(fault.into()),
            () = waiting.done() => Ok(()),
            () = sleep_until(until.into()) => Ok(()),
        }
    }

    /// Answer as an equal request was answered before. It counts as a request, and uses no tokens and no money.
    pub(super) async fn give_again(
        &self,
        hit: Hit,
        told: Told,
        record: &mut OpenRecord,
        follows_answer: bool,
    ) -> Result<Answering, Refused> {
        let reserving = Reserving {
            caller: self.caller,
            model: &self.offered.name,
            offer: &told.offer,
        };
        if follows_answer {
            record.attempt_dropped();
        }
        let quotas = self.generation.quotas();
        match quotas.reserve(reserving, None, self.gateway.now()) {
            Ok(held) => record.holds(held, None),
            Err(used_up) => {
                record.limited(&used_up.limit);
                return Err(Refused::Here(used_up.fault));
            }
        }
        record.given_again(&hit);
        // 7 record: the intent lies in the journal before anything is given
        if let Err(fault) = record.intent_to_give_again().await {
            record.forgive();
            return Err(Refused::Everywhere(fault));
        }
        let Hit { entry, age } = hit;
        let told = Told {
            translation: None,
            carrier: None,
            vectors: None,
            kept_at: None,
            remembered: None,
            of_model: false,
            of_kept: true,
            hides_usage: false,
            cache: CacheUse::Hit {
                shared: self.waited,
                losses: entry.losses(),
            },
            ..told
        };
        let kind = entry.kind().clone();
        let again = Again::new(entry);
        let length = again.length();
        let mut response = Response::new(AnswerBody::again(again));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(AGE, HeaderValue::from(age.as_secs()));
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        let coding = None;
        let answer = Answer { response, coding };
        Ok(Answering { answer, told })
    }
}
