//! What administrators change: keys and generations. One change at a time, each to its end whatever
//! becomes of the caller, each in the log.

use std::future::Future;
use std::sync::Arc;

use carnet_audit::{Kind, Outcome, Record};
use carnet_gateway::{Gateway, Generation, Probed, Suspended};
use carnet_limits::{KeyId, KeyRecord, KeyTerms, SecretKey};
use jiff::Timestamp;
use tokio::task::{spawn, spawn_blocking};
use tokio::time::timeout;

use crate::Admin;
use crate::actor::Actor;
use crate::answers::{
    NewKey, NewProof, ProbeTarget, Problem, ProofOutcome, ReloadAnswer, RestoreTarget, RotateKey,
};
use crate::codes::Code;
use crate::fault::Fault;
use crate::limits::{NOTE_BYTES_MAX, PROPERTY_BYTES_MAX, RELOAD_TIME_MAX, WORKLOAD_BYTES_MAX};
use crate::store::{Store, StoreError};

impl Admin {
    /// Make a key and put it in force. It is handed over only when its record is in the log.
    ///
    /// # Errors
    /// When the request is not valid, or store or log cannot take the key.
    pub async fn create_key(
        self: &Arc<Self>,
        new: NewKey,
        actor: Actor,
    ) -> Result<(SecretKey, KeyRecord), Fault> {
        check_new(&new)?;
        let terms = new.terms(self.gateway.now())?;
        let admin = self.clone();
        to_the_end(async move {
            let _alone = admin.changes.lock().await;
            check_workload(&admin.gateway, &new.workload)?;
            check_models(&admin.gateway, &terms)?;
            let slot = admin
                .gateway
                .log()
                .reserve()
                .map_err(|full| log_unavailable(&full.to_string()))?;
            let now = admin.gateway.now();
            let made = admin
                .in_store(move |store| store.create(&new.workload, &new.note, terms, now))
                .await;
            let (secret, key) = match made {
                Ok(made) => made,
                Err(fault) => {
                    let detail = format!("no key created for {actor}: {}", fault.message);
                    slot.leaf(Record {
                        outcome: Outcome::Refused,
                        ..event(now, &detail)
                    });
                    return Err(fault);
                }
            };
            if let Err(failed) = slot
                .leaf_written(key_record(&key, now, &format!("key created by {actor}")))
                .await
            {
                // INVARIANT: no key works whose making is not safely in the log.
                let id = key.id.clone();
                let revoked = admin.in_store(move |store| store.revoke(&id, now)).await?;
                admin
                    .record(key_record(
                        &revoked,
                        now,
                        "key revoked before its use: its record was not safe",
                    ))
                    .await;
                return Err(log_unavailable(&failed.to_string()));
            }
            admin.put_key_in_force(&key);
            Ok((secret, key))
        })
        .await
    }

    /// Give a key a new secret and put it in force. Answers that run with a former secret which now ends are cut.
    ///
    /// # Errors
    /// When there is no such key, it has ended, or store or log cannot take the change.
    pub async fn rotate_key(
        self: &Arc<Self>,
        id: KeyId,
        rotate: &RotateKey,
        actor: Actor,
    ) -> Result<(SecretKey, KeyRecord), Fault> {
        let rotation = rotate.rotation(self.gateway.now())?;
        let admin = self.clone();
        to_the_end(async move {
            let _alone = admin.changes.lock().await;
            let now = admin.gateway.now();
            let grace = rotation.grace;
            let (secret, key) = admin
                .in_store(move |store| store.rotate(&id, &rotation, now))
                .await?;
            let slot = admin
                .gateway
                .log()
                .reserve()
                .map_err(|full| log_unavailable(&full.to_string()))?;
            let before = if grace.is_zero() {
                "no secret before it works".to_owned()
            } else {
                format!("the one before works for {grace:#}")
            };
            let detail = format!("new secret of the key by {actor}; {before}");
            // INVARIANT: no secret works whose making is not safely in the log, so that comes first.
            slot.leaf_written(key_record(&key, now, &detail))
                .await
                .map_err(|failed| log_unavailable(&failed.to_string()))?;
            let stored = key.clone();
            if let Err(fault) = admin.in_store(move |store| store.rotated(&stored)).await {
                let detail = format!("the new secret was not stored: {}", fault.message);
                let record = Record {
                    outcome: Outcome::Refused,
                    ..key_record(&key, now, &detail)
                };
                admin.record(record).await;
                return Err(fault);
            }
            admin.put_key_in_force(&key);
            Ok((secret, key))
        })
        .await
    }

    /// Revoke a key; answers that run with it are cut. Done also when the log cannot take its record,
    /// because a key that must go must not wait for space on a disk.
    ///
    /// # Errors
    /// When there is no such key or the store cannot be written.
    pub async fn revoke_key(self: &Arc<Self>, id: KeyId, actor: Actor) -> Result<KeyRecord, Fault> {
        let admin = self.clone();
        to_the_end(async move {
            let _alone = admin.changes.lock().await;
            let now = admin.gateway.now();
            let key = admin.in_store(move |store| store.revoke(&id, now)).await?;
            admin.put_key_in_force(&key);
            let record = key_record(&key, now, &format!("key revoked by {actor}"));
            admin.record(record).await;
            Ok(key)
        })
        .await
    }

    /// Put a target into service again, with a record.
    ///
    /// # Errors
    /// When it is in service.
    pub async fn restore_target(
        self: &Arc<Self>,
        target: RestoreTarget,
        actor: Actor,
    ) -> Result<Suspended, Fault> {
        let admin = self.clone();
        to_the_end(async move {
            let RestoreTarget { upstream, model } = target;
            let Some(restored) = admin.gateway.restore(&upstream, &model) else {
                return Err(in_service(&upstream, &model));
            };
            let detail = format!(
                "`{}` of upstream `{}`, where `{}` had answered, put into service again by {actor}",
                restored.model,
                restored.upstream,
                restored.reported.escape_debug()
            );
            admin.record(event(admin.gateway.now(), &detail)).await;
            Ok(restored)
        })
        .await
    }

    /// Ask a target that is out of service a question, with a record before and after.
    ///
    /// # Errors
    /// When it is in service, or cannot be asked.
    pub async fn probe_target(
        self: &Arc<Self>,
        target: ProbeTarget,
        actor: Actor,
    ) -> Result<Probed, Fault> {
        let admin = self.clone();
        to_the_end(async move {
            let ProbeTarget {
                upstream,
                model,
                workload,
            } = target;
            let is = |one: &Suspended| *one.upstream == *upstream && *one.model == *model;
            if !admin.gateway.suspended().iter().any(is) {
                return Err(in_service(&upstream, &model));
            }
            let record = async |what: String| {
                let detail =
                    format!("probe of `{model}` of upstream `{upstream}` by {actor}: {what}");
                admin.record(event(admin.gateway.now(), &detail)).await;
            };
            record(format!("asked for workload `{}`", workload.escape_debug())).await;
            let probed = admin.gateway.probe(&upstream, &model, &workload).await;
            match &probed {
                Ok(Probed { reported, clean }) => {
                    let name = reported.as_deref().unwrap_or("no model").escape_debug();
                    let service = if *clean {
                        "in service again"
                    } else {
                        "stays out of service"
                    };
                    record(format!("answered as `{name}`, {service}")).await;
                }
                Err(why) => record(format!("failed, stays out of service: {why}")).await,
            }
            probed.map_err(|why| {
                let message = format!("the target could not be probed: {why}");
                Fault::new(
                    Code::ProbeFailed,
                    message,
                    "it stays out of service; see what is wrong there, or restore it",
                )
            })
        })
        .await
    }

    /// All keys as stored.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, Fault> {
        self.in_store(Store::records).await
    }

    /// Put in force what `build` makes of the files, or report everything that is wrong with them.
    /// `build` runs where it may block; what it makes beside the generation comes back on success.
    pub async fn reload<T: Send + 'static>(
        &self,
        actor: Actor,
        build: impl FnOnce() -> Result<(Generation, T), Vec<Problem>> + Send + 'static,
    ) -> (ReloadAnswer, Option<T>) {
        // INVARIANT: keys stand still from before `build` reads them until its generation is in force;
        // else a key revoked meanwhile would come back. What is built too late is never put in force.
        let _alone = self.changes.lock().await;
        let built = match timeout(RELOAD_TIME_MAX, spawn_blocking(build)).await {
            Ok(Ok(built)) => built,
            Ok(Err(error)) => Err(vec![problem(format!("the reload broke off: {error}"))]),
            Err(_) => Err(vec![problem(format!(
                "the reload took longer than {} s",
                RELOAD_TIME_MAX.as_secs()
            ))]),
        };
        let (problems, beside) = match built {
            Ok((generation, beside)) => {
                self.gateway.swap(generation);
                (Vec::new(), Some(beside))
            }
            Err(problems) => (problems, None),
        };
        let answer = ReloadAnswer {
            time: self.gateway.now(),
            by: actor.to_string(),
            done: beside.is_some(),
            generation: self.gateway.generation().number(),
            problems,
        };
        self.note_reload(&answer).await;
        (answer, beside)
    }

    async fn note_reload(&self, answer: &ReloadAnswer) {
        self.last_reload.send_replace(Some(answer.clone()));
        if answer.done {
            self.gateway
                .record_generation(&format!("caused by {}", answer.by));
        } else {
            self.gateway.metrics().reload_failed();
            self.record(refusal_record(answer)).await;
        }
    }

    /// The ring in force with this key as it now is. Built from the ring and not from the store, so
    /// that a revocation, once stored, has nothing left that can fail.
    fn put_key_in_force(&self, changed: &KeyRecord) {
        let keys = self.gateway.generation().keys().with(changed.clone());
        self.gateway.set_keys(keys);
    }

    async fn in_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Fault> {
        let store = self.store.clone();
        let done = spawn_blocking(move || work(&store))
            .await
            .map_err(|error| internal(&error.to_string()))?;
        Ok(done?)
    }

    /// Put on record what a proof about policies came to.
    ///
    /// # Errors
    /// When a text is too long or has control characters, or the log cannot take the record.
    pub async fn record_proof(&self, proof: NewProof, actor: Actor) -> Result<String, Fault> {
        let NewProof {
            property,
            outcome,
            policy_version,
            question,
            solver,
        } = proof;
        check_texts([
            ("property", &*property, PROPERTY_BYTES_MAX),
            ("policy_version", &policy_version, NOTE_BYTES_MAX),
            ("question", &question, NOTE_BYTES_MAX),
            ("solver", &solver, NOTE_BYTES_MAX),
        ])?;
        let outcome = match outcome {
            ProofOutcome::Disproved => "disproved",
            ProofOutcome::Inconclusive => "inconclusive",
            ProofOutcome::Proved => "proved",
        };
        let detail = format!(
            "policy property {outcome}, asked by {actor}: {property} (policy {policy_version}, question {question}, {solver})"
        );
        let record = event(self.gateway.now(), &detail);
        let id = record.id.to_string();
        let slot = self
            .gateway
            .log()
            .reserve()
            .map_err(|full| log_unavailable(&full.to_string()))?;
        slot.leaf_written(record)
            .await
            .map_err(|failed| log_unavailable(&failed.to_string()))?;
        Ok(id)
    }

    /// Put a record of what has already happened into the log.
    async fn record(&self, record: Record) {
        let written = match self.gateway.log().reserve() {
            Ok(slot) => slot
                .leaf_written(record)
                .await
                .map_err(|failed| failed.to_string()),
            Err(full) => Err(full.to_string()),
        };
        if let Err(error) = written {
            tracing::error!(%error, "an admin action could not be recorded");
        }
    }
}

/// Run a change in a task of its own: a caller who hangs up must not leave it half done.
async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    spawn(change)
        .await
        .map_err(|error| internal(&error.to_string()))?
}

fn check_new(new: &NewKey) -> Result<(), Fault> {
    check_texts([
        ("workload", &*new.workload, WORKLOAD_BYTES_MAX),
        ("note", &new.note, NOTE_BYTES_MAX),
    ])
}

fn check_texts<const N: usize>(texts: [(&str, &str, usize); N]) -> Result<(), Fault> {
    for (name, text, max) in texts {
        if text.len() > max {
            let message = format!("`{name}` has {} bytes; {max} are allowed", text.len());
            return Err(Fault::new(Code::InvalidRequest, message, "shorten it"));
        }
        if text.chars().any(char::is_control) {
            let message = format!("`{name}` has control characters");
            return Err(Fault::new(
                Code::InvalidRequest,
                message,
                "write it on one line, without tabs",
            ));
        }
    }
    Ok(())
}

fn check_workload(gateway: &Gateway, workload: &str) -> Result<(), Fault> {
    let generation = gateway.generation();
    if generation.workloads().any(|known| known == workload) {
        return Ok(());
    }
    let mut known: Vec<&str> = generation.workloads().collect();
    known.sort_unstable();
    let message = format!(
        "the configuration names no workload `{}`",
        workload.escape_debug()
    );
    let help = format!(
        "known are {}; add a [[workload]] with this id for another one",
        known.join(", ")
    );
    Err(Fault::new(Code::WorkloadUnknown, message, help))
}

/// A key for models that nobody offers would be of no use, and most likely is a slip.
fn check_models(gateway: &Gateway, terms: &KeyTerms) -> Result<(), Fault> {
    let generation = gateway.generation();
    for wanted in &terms.models {
        let one = KeyTerms {
            models: Box::new([wanted.clone()]),
            ..KeyTerms::default()
        };
        if !generation.models().any(|model| one.may_use(model)) {
            let message = format!(
                "the configuration offers no model `{}`",
                wanted.escape_debug()
            );
            let help = "`GET /v1/models?include=denied` lists all names; a `*` at the end stands for any rest";
            return Err(Fault::new(Code::ModelUnknown, message, help));
        }
    }
    Ok(())
}

fn key_record(key: &KeyRecord, now: Timestamp, detail: &str) -> Record {
    Record {
        workload: Some(key.workload.clone()),
        key_id: Some(key.id.as_str().into()),
        ..event(now, detail)
    }
}

fn refusal_record(answer: &ReloadAnswer) -> Record {
    let first = answer
        .problems
        .first()
        .map_or("none told", |first| &first.message);
    let detail = format!(
        "reload refused, caused by {}: {} problems, first: {first}",
        answer.by,
        answer.problems.len()
    );
    Record {
        outcome: Outcome::Refused,
        ..event(answer.time, &detail)
    }
}

fn event(now: Timestamp, detail: &str) -> Record {
    Record::event(Kind::Admin, record_id(now), now, detail)
}

fn in_service(upstream: &str, model: &str) -> Fault {
    let message = format!(
        "`{}` of upstream `{}` is not out of service",
        model.escape_debug(),
        upstream.escape_debug()
    );
    let help = "`GET /api/targets` lists those that are";
    Fault::new(Code::TargetInService, message, help)
}

/// Ids that sort by time among those of requests.
fn record_id(now: Timestamp) -> Arc<str> {
    let mut random = [0; 8];
    // An id must only differ from others: without randomness the milliseconds must do.
    let _ = getrandom::fill(&mut random);
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    format!("rec_{millis:012x}{}", hex::encode(random)).into()
}

fn problem(message: String) -> Problem {
    let help = "`carnet config check` loads the same files and shows where it stays".to_owned();
    Problem {
        file: None,
        line: None,
        column: None,
        message,
        help: Some(help),
    }
}

fn log_unavailable(why: &str) -> Fault {
    let message = format!("the log takes no record, so no key is made: {why}");
    Fault::new(
        Code::LogUnavailable,
        message,
        "make room on the disk that holds the state directory",
    )
}

fn internal(why: &str) -> Fault {
    Fault::new(
        Code::InternalError,
        format!("the call failed: {why}"),
        "look into the server's own log",
    )
}
