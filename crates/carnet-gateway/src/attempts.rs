//! Stages 3 to 5, as often as it takes: each attempt is decided on anew, screens what the caller sent for its own target,
//! takes what it needs of limits, and has its intent in the journal before anything is dialled.

mod cached;

use std::future::pending;
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use carnet_policy::{Permit, Principal};
use carnet_provenance::TokenCounts;
use carnet_wire::carrier::Carrier;
use http::StatusCode;
use tokio::time::sleep_until;

use self::cached::Looked;
use crate::admit::{self, Wanted};
use crate::cache::{CacheUse, Found, Waiting, Wish};
use crate::caller::{self, Caller};
use crate::codes::Code;
use crate::config::OnRevoke;
use crate::conversations::Asked as Remembered;
use crate::egress::{self, Answer, SendFailed, Sending};
use crate::error::{Fault, Stop};
use crate::gateway::Gateway;
use crate::generation::Generation;
use crate::ingress::{Call, Prompt, Query, Stored};
use crate::limits::UNREAD_BYTES_PER_TOKEN;
use crate::quotas::Asked as Reserving;
use crate::record::{Decided, OpenRecord};
use crate::resolve::{self, Offer, Offered};
use crate::route::{
    Asking as AskingTarget, BreakerTerms, Candidate, Candidates, Health, RoutingConfig, Standing,
    Strategy, Tries, Unwell, may_pass, order, unwell,
};
use crate::screen::{self, Cleared, Clearing};
use crate::spend::{Estimate, Metering, Spending, Tokenizer};
use crate::state_ids::StateTarget;
use crate::stored;
use crate::translate::{Translation, Vectors};

/// What goes to an upstream.
#[derive(Debug)]
pub(crate) enum Asking {
    Prompt(Box<Prompt>),
    Stored(Stored, Query),
}

impl Asking {
    fn call(&self) -> Call {
        match self {
            Self::Prompt(prompt) => prompt.call,
            Self::Stored(..) => Call::Responses,
        }
    }

    fn stream(&self) -> bool {
        match self {
            Self::Prompt(prompt) => prompt.stream,
            Self::Stored(_, query) => query.stream,
        }
    }
}

/// An upstream's answer, with what it answers.
pub(crate) struct Answering {
    pub(crate) answer: Answer,
    pub(crate) told: Told,
}

/// What has to be known of a request to pass its answer on.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) call: Call,
    pub(crate) offer: Arc<Offer>,
    /// The generation under which it was decided.
    pub(crate) generation: Arc<Generation>,
    pub(crate) translation: Option<Translation>,
    /// The platform whose API carried it.
    pub(crate) carrier: Option<Carrier>,
    /// What has to become of vectors.
    pub(crate) vectors: Option<Vectors>,
    /// Where a later request finds it, if its upstream may keep it.
    pub(crate) kept_at: Option<StateTarget>,
    /// What it is kept with, if Carnet keeps it.
    pub(crate) remembered: Option<Remembered>,
    /// Whether it is that of a model.
    pub(crate) of_model: bool,
    /// Whether it was made before, and is only given again.
    pub(crate) of_kept: bool,
    /// Whether it tells what it used to us alone.
    pub(crate) hides_usage: bool,
    /// What the cache had to do with it.
    pub(crate) cache: CacheUse,
}

impl Told {
    /// What its upstream could not be told, if it was told in other words.
    pub(crate) fn losses(&self) -> Option<&[Box<str>]> {
        if let CacheUse::Hit { losses, .. } = &self.cache {
            return Some(losses);
        }
        let translated = self.translation.as_ref().map(|one| &*one.losses);
        translated.or(self.vectors.as_ref().map(|one| &*one.losses))
    }
}

/// What has come of a request.
pub(crate) enum Came {
    Answer(Answering),
    /// Nothing yet, and its stream is to begin all the same.
    Late(Leg),
}

/// A request with the targets that it may be sent to.
pub(crate) struct Attempts<'a> {
    gateway: &'a Arc<Gateway>,
    caller: &'a Caller,
    generation: Arc<Generation>,
    offered: Arc<Offered>,
    /// The one to which it has to go, where it has no choice.
    only: Option<Arc<Offer>>,
    asking: Asking,
    tries: Tries,
    /// When its stream begins whatever has come; none where it waits for the head of an answer.
    begins: Option<Instant>,
    /// After how long a second target is asked too; none once that is done.
    hedge_after: Option<Duration>,
    /// The target that is being asked while a second one is chosen.
    asked: Option<Arc<Health>>,
    /// What its caller wishes of the cache; none where it has nothing to do with that.
    wish: Option<Wish>,
    /// Whether it has waited for an equal one.
    waited: bool,
}

/// An attempt on its way.
pub(crate) struct Leg {
    sending: Sending,
    health: Arc<Health>,
    pub(crate) told: Told,
    /// When it is given up, and the time that it has by that.
    until: Instant,
    time: Duration,
    /// Whether it must not be sent a second time: its upstream keeps something of it.
    once: bool,
}

/// What an attempt has begun with.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every attempt is the large one, and there is one of them at a time"
)]
enum Begun {
    /// It is on its way.
    Asked(Leg),
    /// Nobody was asked: it was answered before.
    Given(Box<Answering>),
    /// An equal one is on its way, and may answer it.
    Waits(Waiting),
}

/// Why an attempt is not made.
enum Refused {
    /// This target cannot take the request.
    Here(Fault),
    /// No target can.
    Everywhere(Fault),
    /// It would be the second of something that must not be made twice.
    Twice,
}

/// What an attempt came to.
enum Judged {
    /// The answer for the caller.
    Answered(Answering),
    /// Another attempt may follow.
    Failed(Failed),
    /// Nothing of it was sent, and it is simply made once more.
    OnceMore,
    /// Nothing helps.
    Over(Fault),
}

/// An attempt that another one may follow.
struct Failed {
    by: By,
    health: Arc<Health>,
    /// What the record said of it.
    decided: Decided,
    /// Whether a further attempt was granted for it.
    granted: bool,
}

enum By {
    Answer(Box<Answering>),
    Fault(Fault),
}

impl Failed {
    /// Another one was made after it.
    fn lets_go(self) {
        if let By::Answer(answering) = self.by {
            answering.answer.let_go();
        }
    }

    /// Nothing follows: it is what the caller gets.
    fn given(self, record: &mut OpenRecord) -> Result<Answering, Stop> {
        record.restore(self.decided);
        match self.by {
            By::Answer(answering) => Ok(*answering),
            By::Fault(fault) => Err(fault.into()),
        }
    }
}

/// A target that may be asked.
struct Picked {
    permit: Permit,
    offer: Arc<Offer>,
    /// From when on.
    when: Instant,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(
        (gateway, generation): (&'a Arc<Gateway>, &Arc<Generation>),
        caller: &'a Caller,
        (offered, only): (Arc<Offered>, Option<Arc<Offer>>),
        asking: Asking,
    ) -> Self {
        Self {
            gateway,
            caller,
            generation: generation.clone(),
            hedge_after: offered.hedge_after.filter(|_| only.is_none()),
            offered,
            only,
            asking,
            tries: Tries::new(Instant::now()),
            begins: None,
            asked: None,
            wish: None,
            waited: false,
        }
    }

    /// It may be answered as an equal one was before, if its caller wishes so.
    pub(crate) fn wishes(&mut self, wish: Option<Wish>) {
        self.wish = wish;
    }

    /// Decide, and bring the request in line with the permit, which is spent by nothing being sent.
    pub(crate) fn prepare(mut self, record: &mut OpenRecord) -> Result<(), Stop> {
        let unpriced = self.leave_out_unpriced(record);
        let picked = self.pick(record, Instant::now());
        let picked = picked.inspect_err(|stop| record.denied(stop))?;
        match (picked, unpriced) {
            (Some(Picked { permit, offer, .. }), _) => {
                record.permitted(permit.verdict(), &offer);
                self.clear(permit, &offer)?;
                Ok(())
            }
            (None, Some(fault)) => Err(fault.into()),
            (None, None) => Ok(()),
        }
    }

    /// The same for a caller whose stream may begin before the head of an answer has come.
    pub(crate) async fn run_or_begin(&mut self, record: &mut OpenRecord) -> Result<Came, Stop> {
        if let Asking::Prompt(prompt) = &self.asking
            && prompt.takes_comments()
        {
            let after = self.config().commit_after;
            self.begins = after.map(|after| self.tries.began() + after);
        }
        self.go(record).await
    }

    /// Decide, and send to what the decision permits, until one answers or nothing is left to try.
    pub(crate) async fn run(&mut self, record: &mut OpenRecord) -> Result<Answering, Stop> {
        match self.go(record).await? {
            Came::Answer(answering) => Ok(answering),
            Came::Late(mut leg) => {
                let answered = leg.head(record).await;
                let answered = answered.map_err(|failed| failed.fault)?;
                Ok(Answering {
                    answer: answered,
                    told: leg.told,
                })
            }
        }
    }

    async fn go(&mut self, record: &mut OpenRecord) -> Result<Came, Stop> {
        let mut failed: Option<Failed> = None;
        let mut refused = self.leave_out_unpriced(record);
        loop {
            if !self.tries.is_first() || self.waited {
                record.anew();
                match self.renew(record) {
                    Ok(false) => {}
                    Ok(true) => refused = refused.or(self.leave_out_unpriced(record)),
                    Err(stop) => {
                        return match failed {
                            Some(before) => before.given(record).map(Came::Answer),
                            None => Err(stop),
                        };
                    }
                }
            }
            // 3 decide: each attempt spends a permit of its own
            let now = Instant::now();
            let picked = match self.pick(record, now) {
                Ok(Some(picked)) => picked,
                other => {
                    if let Some(before) = failed {
                        return before.given(record).map(Came::Answer);
                    }
                    let stop = match (refused, other) {
                        (Some(fault), _) => return Err(fault.into()),
                        (None, Err(stop)) => stop,
                        (None, Ok(_)) => resolve::not_found(&self.offered.name).into(),
                    };
                    record.denied(&stop);
                    return Err(stop);
                }
            };
            if let Some(before) = failed.take_if(|before| !self.grants(before, picked.when, record))
            {
                return before.given(record).map(Came::Answer);
            }
            if failed.is_some() && picked.when > now {
                self.wait(picked.when, record).await?;
                continue;
            }
            let Picked { permit, offer, .. } = picked;
            let asking = offer.health.ask(now);
            record.permitted(permit.verdict(), &offer);
            let answers = matches!(&failed, Some(before) if matches!(before.by, By::Answer(_)));
            let mut leg = match self
                .begin((permit, offer.clone()), asking, record, answers)
                .await
            {
                Ok(Begun::Asked(leg)) => leg,
                Ok(Begun::Given(answering)) => {
                    if let Some(before) = failed.take() {
                        before.lets_go();
                    }
                    return Ok(Came::Answer(*answering));
                }
                // It is decided on anew when that is over.
                Ok(Begun::Waits(waiting)) => {
                    Box::pin(self.wait_for(&waiting, record)).await?;
                    continue;
                }
                Err(Refused::Everywhere(fault)) => return Err(fault.into()),
                Err(Refused::Twice) => continue,
                Err(Refused::Here(fault)) => {
                    self.tries.set_aside(&offer.health);
                    if self.targets().len() > 1 {
                        record.passed_over(offer.upstream.name(), fault.code);
                    }
                    refused.get_or_insert(fault);
                    continue;
                }
            };
            if let Some(before) = failed.take() {
                before.lets_go();
            }
            let Some(answered) = self.head(&mut leg, record).await else {
                return Ok(Came::Late(leg));
            };
            match self.judged(leg, answered, record) {
                Judged::Answered(answering) => return Ok(Came::Answer(answering)),
                Judged::Failed(next) => failed = Some(next),
                Judged::OnceMore => {}
                Judged::Over(fault) => return Err(fault.into()),
            }
        }
    }

    /// The targets to which the request may go.
    fn targets(&self) -> &[Arc<Offer>] {
        match &self.only {
            Some(only) => slice::from_ref(only),
            None => &self.offered.offers,
        }
    }

    fn config(&self) -> &RoutingConfig {
        self.generation.routing()
    }

    /// A further attempt is decided under the generation that is in force by then; whether it has other rules.
    fn renew(&mut self, record: &mut OpenRecord) -> Result<bool, Stop> {
        let generation = self.gateway.generation();
        let known = generation.has_rules_of(&self.generation);
        self.generation = generation;
        if known {
            return Ok(false);
        }
        let generation = &self.generation;
        self.offered = resolve::offers(generation, &self.offered.name)?.clone();
        let workload = &self.caller.key.workload;
        let gateway = self.gateway;
        match &mut self.asking {
            Asking::Prompt(prompt) => {
                let call = prompt.call;
                let reader = generation
                    .reader(call)
                    .ok_or_else(|| screen::no_rules(call))?;
                **prompt = prompt.again(reader.watch())?;
                self.only = stored::continued(gateway, workload, prompt, &self.offered.offers)?;
            }
            Asking::Stored(asked, _) => {
                let (_, offer) = stored::offer(gateway, generation, workload, asked)?;
                self.only = Some(offer.clone());
            }
        }
        record.under(generation);
        Ok(true)
    }

    fn principal(&self, record: &OpenRecord) -> Result<&Principal, Fault> {
        caller::principal_with(&self.generation, self.caller, record.found())
    }

    /// The target that comes next, if there is one.
    fn pick(&self, record: &OpenRecord, now: Instant) -> Result<Option<Picked>, Stop> {
        let principal = self.principal(record)?;
        let wanted = Wanted {
            call: self.asking.call(),
            model: &self.offered.name,
            stream: self.asking.stream(),
        };
        let (targets, instant) = (self.targets(), self.gateway.now());
        let may = |offer: &Offer| {
            let (generation, ask) = (&self.generation, wanted.ask());
            generation.permits(principal, &offer.target, &ask, instant)
        };
        let all = self.candidates(may, now);
        if all.is_empty() && (!self.tries.is_untouched() || self.asked.is_some()) {
            return Ok(None);
        }
        let offer = |one: &Candidate| targets.get(one.index);
        let admitted = admit::decide(
            (self.gateway.service(), &self.generation),
            principal,
            all.iter().filter_map(offer),
            targets,
            wanted,
            instant,
        )?;
        let standing = all.get(admitted.at).map(|one| one.standing);
        let health = &admitted.offer.health;
        let when = standing.and_then(|standing| self.tries.when(health, standing, now));
        Ok(Some(Picked {
            permit: admitted.permit,
            offer: admitted.offer.clone(),
            when: when.unwrap_or(now),
        }))
    }

    /// The targets that take the request, in the order in which they are asked.
    fn candidates(&self, may: impl Fn(&Offer) -> bool, now: Instant) -> Candidates {
        let (targets, call) = (self.targets(), self.asking.call());
        let strategy = self.offered.strategy;
        let asked = |offer: &Offer| {
            let asked = self.asked.as_ref();
            asked.is_some_and(|asked| Arc::ptr_eq(asked, &offer.health))
        };
        let takes = |(_, offer): &(usize, &Arc<Offer>)| offer.way(call).is_some() && !asked(offer);
        let taking = targets.iter().enumerate().filter(takes);
        let mut all: Candidates = taking
            .map(|(index, offer)| self.candidate(index, offer, now))
            .collect();
        if all.len() > 1 {
            if strategy == Strategy::LeastLoaded {
                // Of two that chance names, both must be ones that can be chosen.
                let may = |one: &Candidate| targets.get(one.index).is_some_and(|offer| may(offer));
                if all.iter().any(may) {
                    all.retain(|one| may(one));
                }
            }
            order(strategy, &mut all, self.gateway.chance());
        }
        let health = |one: &Candidate| targets.get(one.index).map(|offer| &offer.health);
        self.tries.sort(&mut all, health, now);
        all
    }

    fn candidate(&self, index: usize, offer: &Offer, now: Instant) -> Candidate {
        let of = |all: &[u64]| all.get(index).copied().unwrap_or(u64::MAX);
        Candidate {
            index,
            weight: self.offered.weights.get(index).copied().unwrap_or(1),
            load: match self.offered.strategy {
                Strategy::LeastLoaded => offer.health.load(now),
                _ => 0.0,
            },
            rank: match self.offered.strategy {
                Strategy::Cheapest => self.cost(offer).unwrap_or(u64::MAX),
                // Whatever loses nothing comes first.
                Strategy::First => u64::from(offer.translates(self.asking.call())),
                Strategy::Nearest => of(&self.offered.distances),
                Strategy::LeastLoaded | Strategy::Weighted => 0,
            },
            standing: offer.health.standing(now),
        }
    }

    /// What the request may cost at a target: as many tokens as a text of its length has, and those that are reserved for an
    /// answer.
    fn cost(&self, offer: &Offer) -> Option<u64> {
        let bytes = match &self.asking {
            Asking::Prompt(prompt) => prompt.body.len(),
            Asking::Stored(..) => 0,
        };
        let counts = TokenCounts {
            input: u64::try_from(bytes / UNREAD_BYTES_PER_TOKEN).unwrap_or(u64::MAX),
            output: self.generation.server().reserved_output_tokens,
            ..TokenCounts::default()
        };
        self.offered.cost(offer, &counts)
    }

    /// Where the strategy goes by prices, leave out the targets of which nobody says one, and say so. The first of them.
    fn leave_out_unpriced(&mut self, record: &mut OpenRecord) -> Option<Fault> {
        if self.offered.strategy != Strategy::Cheapest || self.targets().len() < 2 {
            return None;
        }
        let mut first = None;
        for offer in &self.offered.offers {
            if self.cost(offer).is_some() {
                continue;
            }
            let (model, upstream) = (offer.own_name(), offer.upstream.name());
            record.passed_over(upstream, Code::PriceUnknown);
            self.tries.set_aside(&offer.health);
            first.get_or_insert_with(|| {
                let message = format!(
                    "`{}` goes where it is cheapest, and nobody says in the currency of the others what `{model}` costs at \
                     `{upstream}`; ask your operator to add price = {{ currency = \"…\", input = \"…\", output = \"…\" }} to the \
                     model's entry of the upstream",
                    self.offered.name
                );
                Fault::new(Code::PriceUnknown, message).param("model")
            });
        }
        first
    }

    /// Whether another attempt may follow one that failed, from `when` on.
    fn grants(&self, failed: &mut Failed, when: Instant, record: &OpenRecord) -> bool {
        let config = self.config();
        // Who may finish what he began may not begin anew.
        if record.revoked().is_cancelled() || !self.tries.may_wait(when, config, self.begins) {
            return false;
        }
        if failed.granted {
            return true;
        }
        failed.granted = self.takes_retry(&failed.health);
        failed.granted
    }

    /// Wait until a target may be asked again.
    async fn wait(&self, until: Instant, record: &OpenRecord) -> Result<(), Stop> {
        tokio::select! {
            fault = interrupted(record, self.generation.server().on_revoke) => Err(fault.into()),
            () = sleep_until(until.into()) => Ok(()),
        }
    }

    /// Bring the request in line with the permit.
    fn clear(&self, permit: Permit, offer: &Offer) -> Result<Cleared, Fault> {
        let generation = &self.generation;
        match &self.asking {
            Asking::Prompt(prompt) => {
                let call = prompt.call;
                let reader = generation.reader(call);
                let fields = reader.and_then(|reader| reader.fields(offer.upstream.name()));
                let fields = fields.ok_or_else(|| screen::no_rules(call))?;
                let clearing = Clearing {
                    on_loss: generation.server().on_loss,
                    keeps: generation.conversations().is_some(),
                };
                screen::clear(permit, prompt, offer, fields, clearing)
            }
            Asking::Stored(stored, query) => Ok(screen::clear_stored(permit, stored, query)),
        }
    }

    /// Make everything ready for an attempt and begin it.
    async fn begin(
        &mut self,
        (permit, offer): (Permit, Arc<Offer>),
        asking: AskingTarget,
        record: &mut OpenRecord,
        follows_answer: bool,
    ) -> Result<Begun, Refused> {
        let generation = self.generation.clone();
        // 4 guard
        let cleared = self.clear(permit, &offer).map_err(Refused::Here)?;
        let name = &self.offered.name;
        let mut told = Told {
            call: self.asking.call(),
            translation: cleared.translation().cloned(),
            carrier: cleared.carrier(),
            vectors: cleared.vectors().cloned(),
            kept_at: cleared.keeps().then(|| StateTarget::of(name, &offer)),
            remembered: match &self.asking {
                Asking::Prompt(prompt) if cleared.keeps_here() => {
                    remembered(&generation, name, prompt)
                }
                Asking::Prompt(_) | Asking::Stored(..) => None,
            },
            of_model: match &self.asking {
                Asking::Prompt(_) => true,
                Asking::Stored(stored, _) => stored.gives_response(),
            },
            of_kept: matches!(self.asking, Asking::Stored(..)),
            hides_usage: false,
            cache: CacheUse::Off,
            generation: generation.clone(),
            offer: offer.clone(),
        };
        let once = told.of_kept || self.only.is_some() || cleared.keeps();
        if once && self.asked.is_some() {
            return Err(Refused::Twice);
        }
        if let Some(wish) = self.wish {
            match self.look_up(wish, &cleared, &offer) {
                Looked::Found(Found::Hit(hit)) => {
                    // Neither this nor the waiting takes room in the future of every request.
                    let given = self.give_again(hit, told, record, follows_answer);
                    return Ok(Begun::Given(Box::new(Box::pin(given).await?)));
                }
                Looked::Found(Found::Wait(waiting)) => return Ok(Begun::Waits(waiting)),
                Looked::Found(Found::Ask(lead)) => {
                    told.cache = CacheUse::Miss(lead.map(Box::new));
                }
                Looked::Not(part) => told.cache = part,
            }
        }
        let reserving = Reserving {
            caller: self.caller,
            model: name,
            offer: &offer,
        };
        let metering = match &self.asking {
            Asking::Prompt(_) => generation.quotas().metering(reserving),
            // What is only given again was counted when it was made.
            Asking::Stored(..) => Ok(None),
        };
        let metering = metering.inspect_err(|_| record.unpriced());
        let (mut cleared, spending) = match metering.map_err(Refused::Here)? {
            None => (cleared, None),
            // It takes no room in the future of a request that no such limit counts.
            Some(metering) => {
                let metered = Box::pin(metered(&generation, &offer, metering, cleared)).await;
                let (cleared, spending) = metered.map_err(Refused::Here)?;
                (cleared, Some(spending))
            }
        };
        told.hides_usage = cleared.hides_usage();
        record.cleared(&mut cleared);
        if follows_answer {
            record.attempt_dropped();
        }
        let reserved =
            generation
                .quotas()
                .reserve(reserving, spending.as_ref(), self.gateway.now());
        match reserved {
            Ok(held) => record.holds(held, spending),
            Err(used_up) => {
                record.limited(&used_up.limit);
                return Err(Refused::Here(used_up.fault));
            }
        }
        // 7 record: the intent lies in the journal before anything is dialled
        if let Err(fault) = record.intent().await {
            record.forgive();
            return Err(Refused::Everywhere(fault));
        }
        // 5 send
        let health = asking.health().clone();
        let now = Instant::now();
        if self.tries.is_first() {
            health.budget.asked(now);
        }
        let number = self.tries.begins();
        let deadline = self.tries.deadline(self.config());
        let time = offer.upstream.config().first_byte_timeout;
        let decoded_max = generation.server().decoded_max;
        let (sent, sending) =
            egress::send(&offer.upstream, cleared, decoded_max, self.gateway.now());
        record.attempt(number, &offer.upstream, (sent, asking));
        Ok(Begun::Asked(Leg {
            sending,
            health,
            told,
            until: deadline.min(now + time),
            time: time.min(deadline.saturating_duration_since(now)),
            once,
        }))
    }

    /// Wait for the head of an answer, of a second target too if the first takes long. `None` where the stream begins without.
    async fn head(
        &mut self,
        leg: &mut Leg,
        record: &mut OpenRecord,
    ) -> Option<Result<Answer, SendFailed>> {
        let hedges = !leg.once && self.tries.left(self.config());
        let hedge = self.hedge_after.filter(|_| hedges);
        let hedge = hedge.map(|after| Instant::now() + after);
        let Some(hedge) = hedge.filter(|at| self.begins.is_none_or(|begins| *at < begins)) else {
            return leg.head_until(self.begins, record).await;
        };
        if let Some(answered) = leg.head_until(Some(hedge), record).await {
            return Some(answered);
        }
        self.hedge_after = None;
        // Rare, and large: it takes no room in the future of every request.
        let second = Box::pin(self.second(leg.health.clone(), record)).await;
        match second {
            Some(second) => Box::pin(self.race(leg, second, record)).await,
            None => leg.head_until(self.begins, record).await,
        }
    }

    /// Begin to ask a second target beside the first, if policy permits one that is well and the budget has room.
    async fn second(&mut self, first: Arc<Health>, record: &mut OpenRecord) -> Option<Leg> {
        // Two attempts of one record are decided under the same rules.
        let same = self.gateway.generation().has_rules_of(&self.generation);
        if !same || record.revoked().is_cancelled() {
            return None;
        }
        let now = Instant::now();
        self.asked = Some(first.clone());
        let picked = self.pick(record, now).ok().flatten();
        let picked = picked.filter(|picked| {
            picked.when <= now && !matches!(picked.offer.health.standing(now), Standing::Shut(_))
        });
        let granted = picked.filter(|_| self.takes_retry(&first));
        let Some(Picked { permit, offer, .. }) = granted else {
            self.asked = None;
            return None;
        };
        let asking = offer.health.ask(now);
        record.set_aside();
        record.permitted(permit.verdict(), &offer);
        let begun = self
            .begin((permit, offer.clone()), asking, record, false)
            .await;
        self.asked = None;
        match begun {
            Ok(Begun::Asked(leg)) => {
                record.is_hedge();
                Some(leg)
            }
            why => {
                record.alone();
                if let Err(Refused::Here(fault)) = why {
                    self.tries.set_aside(&offer.health);
                    record.passed_over(offer.upstream.name(), fault.code);
                }
                None
            }
        }
    }

    /// Wait for whoever of two answers first; the other one is dropped. `leg` is the one whose answer that is.
    async fn race(
        &mut self,
        leg: &mut Leg,
        mut other: Leg,
        record: &mut OpenRecord,
    ) -> Option<Result<Answer, SendFailed>> {
        // The record tells about the second.
        let mut end = leg.until.min(other.until);
        end = self.begins.map_or(end, |begins| begins.min(end));
        let on_revoke = self.generation.server().on_revoke;
        let (of_first, answered) = tokio::select! {
            biased;
            fault = interrupted(record, on_revoke) => {
                return Some(Err(SendFailed { fault, unsent: false }));
            }
            answered = &mut leg.sending => (true, answered),
            answered = &mut other.sending => (false, answered),
            () = sleep_until(end.into()) => {
                if end == leg.until {
                    (true, Err(leg.too_late()))
                } else if end == other.until {
                    (false, Err(other.too_late()))
                } else {
                    // The stream begins, and the first stays its target.
                    record.turn();
                    record.overtakes_aside();
                    return None;
                }
            }
        };
        if of_first {
            record.turn();
        } else {
            std::mem::swap(leg, &mut other);
        }
        // Now `leg` and the record are those of whoever has come to something.
        let (instant, now) = (self.gateway.now(), Instant::now());
        let says = match &answered {
            Ok(answer) => unwell(answer.response.status(), answer.response.headers(), instant),
            Err(failed) if may_pass(failed.fault.code) => Some(Unwell::default()),
            Err(_) => None,
        };
        let Some(says) = says else {
            drop(other);
            record.overtakes_aside();
            return Some(answered);
        };
        let generation = self.generation.clone();
        let config = generation.routing();
        match answered {
            Ok(answer) => {
                let status = (answer.response.status(), answer.coding);
                record.answered(status, Some(says), &config.breaker);
                record.attempt_dropped();
                answer.let_go();
            }
            Err(SendFailed { fault, unsent }) => {
                record.attempt_failed(fault.code, unsent, &config.breaker);
            }
        }
        let chance = self.gateway.chance();
        self.tries.failed(&leg.health, says, (config, chance), now);
        record.alone();
        std::mem::swap(leg, &mut other);
        drop(other);
        leg.head_until(self.begins, record).await
    }

    /// Take one further attempt from the budget of an upstream, if there is one left.
    fn takes_retry(&self, health: &Health) -> bool {
        health.budget.take(self.config().retries, Instant::now())
    }

    /// What an attempt came to.
    fn judged(
        &mut self,
        leg: Leg,
        answered: Result<Answer, SendFailed>,
        record: &mut OpenRecord,
    ) -> Judged {
        let Leg {
            health,
            mut told,
            once,
            ..
        } = leg;
        let generation = self.generation.clone();
        let config = generation.routing();
        let (by, wait) = match answered {
            Ok(answer) => {
                let head = &answer.response;
                let says = unwell(head.status(), head.headers(), self.gateway.now());
                let status = (head.status(), answer.coding);
                record.answered(status, says, &config.breaker);
                if answer.response.status() != StatusCode::OK {
                    told.cache.lets_go();
                }
                let answering = Answering { answer, told };
                let Some(says) = says.filter(|_| !once && self.tries.left(config)) else {
                    return Judged::Answered(answering);
                };
                (By::Answer(Box::new(answering)), says)
            }
            Err(SendFailed { fault, unsent }) => {
                record.attempt_failed(fault.code, unsent, &config.breaker);
                if unsent && self.tries.was_unsent() {
                    return Judged::OnceMore;
                }
                let reached = !unsent && !fault.code.reaches_nobody();
                let ends = !may_pass(fault.code) || (once && reached) || !self.tries.left(config);
                if ends {
                    return Judged::Over(fault);
                }
                (By::Fault(fault), Unwell::default())
            }
        };
        let chance = self.gateway.chance();
        self.tries
            .failed(&health, wait, (config, chance), Instant::now());
        Judged::Failed(Failed {
            by,
            health,
            decided: record.decided_so_far(),
            granted: false,
        })
    }
}

impl Leg {
    /// Wait for the head of an answer.
    pub(crate) async fn head(&mut self, record: &OpenRecord) -> Result<Answer, SendFailed> {
        let answered = self.head_until(None, record).await;
        answered.unwrap_or_else(|| Err(self.too_late()))
    }

    /// Wait for it, but not beyond an instant.
    async fn head_until(
        &mut self,
        end: Option<Instant>,
        record: &OpenRecord,
    ) -> Option<Result<Answer, SendFailed>> {
        let on_revoke = self.told.generation.server().on_revoke;
        let until = end.map_or(self.until, |end| end.min(self.until));
        let answered = tokio::select! {
            biased;
            // First, since a first look at the others already sends.
            fault = interrupted(record, on_revoke) => Err(SendFailed {
                fault,
                unsent: false,
            }),
            answered = &mut self.sending => answered,
            () = sleep_until(until.into()) => {
                if until < self.until {
                    return None;
                }
                Err(self.too_late())
            }
        };
        Some(answered)
    }

    fn too_late(&self) -> SendFailed {
        SendFailed {
            fault: egress::too_late(&self.told.offer.upstream, self.time),
            unsent: false,
        }
    }

    /// How its target is judged.
    pub(crate) fn breaker(&self) -> BreakerTerms {
        self.told.generation.routing().breaker
    }
}

/// Ends when the request must, before its answer has begun.
pub(crate) async fn interrupted(record: &OpenRecord, on_revoke: OnRevoke) -> Fault {
    record.revoked().cancelled().await;
    match record.interruption(on_revoke) {
        Some(fault) => fault,
        None => pending().await,
    }
}

/// What a request may use that a limit counts; its stream then tells it.
async fn metered(
    generation: &Generation,
    offer: &Offer,
    metering: Metering,
    cleared: Cleared,
) -> Result<(Cleared, Spending), Fault> {
    if cleared.runs_in_background() {
        let message = format!(
            "the field `background` is refused, because `{}` counts what a request uses, and one that runs in the \
             background does not tell it; remove it",
            metering.limit
        );
        return Err(Fault::new(Code::FieldRefused, message).param("background"));
    }
    let tokenizer = offer.tokenizer.unwrap_or_else(|| Tokenizer::of([]));
    let output = generation.server().reserved_output_tokens;
    let estimate = Estimate::of(cleared.call(), cleared.body(), tokenizer, output).await;
    let cleared = if offer.options.target.stream_usage {
        cleared.telling_usage()
    } else {
        cleared
    };
    Ok((cleared, Spending::new(metering, tokenizer, estimate)))
}

/// What the answer to a request is kept with, where Carnet keeps conversations.
fn remembered(generation: &Generation, name: &Arc<str>, prompt: &Prompt) -> Option<Remembered> {
    let config = generation.conversations()?;
    let watch = generation.reader(prompt.call)?.watch();
    Some(Remembered {
        requested: Arc::clone(name),
        input: prompt.items(watch),
        bytes_max: config.conversation_bytes_max,
    })
}
