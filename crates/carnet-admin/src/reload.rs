//! The way by which the admin API asks for a reload. The binary reads and checks the files, in its
//! own time and for reasons of its own too; [`Admin::reload`](crate::Admin::reload) puts the outcome in force.

use tokio::sync::{mpsc, oneshot};

use crate::actor::Actor;
use crate::answers::ReloadAnswer;

/// Requests that may wait; they ask for the same thing.
const QUEUE: usize = 8;

/// Asks for reloads; held by the admin side.
#[derive(Clone, Debug)]
pub struct ReloadHandle(mpsc::Sender<ReloadRequest>);

/// Where requests for a reload come in; held by the binary.
#[derive(Debug)]
pub struct Reloads(mpsc::Receiver<ReloadRequest>);

/// One request for a reload.
#[derive(Debug)]
pub struct ReloadRequest {
    actor: Actor,
    answer: oneshot::Sender<ReloadAnswer>,
}

/// The two ends.
#[must_use]
pub fn reloads() -> (ReloadHandle, Reloads) {
    let (asks, asked) = mpsc::channel(QUEUE);
    (ReloadHandle(asks), Reloads(asked))
}

impl Reloads {
    /// Wait for the next request; `None` when nobody can ask any more.
    pub async fn next(&mut self) -> Option<ReloadRequest> {
        self.0.recv().await
    }
}

impl ReloadRequest {
    /// Who asks.
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.actor.clone()
    }

    /// Tell how it went.
    pub fn answer(self, answer: ReloadAnswer) {
        // Who asked may have hung up; the reload was made all the same.
        let _ = self.answer.send(answer);
    }
}

impl ReloadHandle {
    /// Ask, and wait for the outcome. `None` when nobody answers any more.
    pub(crate) async fn ask(&self, actor: Actor) -> Option<ReloadAnswer> {
        let (answer, outcome) = oneshot::channel();
        self.0.send(ReloadRequest { actor, answer }).await.ok()?;
        outcome.await.ok()
    }
}
