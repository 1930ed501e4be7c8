//! The line before the model: one answer is made at a time, a bounded number wait.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::ask::Ask;
use super::error::Problem;
use crate::engine::{Engine, Request};
use crate::generation::{Finish, Usage};
use crate::refusal::Refusal;
use crate::think::Piece;

/// What happens to an answer, in order.
#[derive(Debug)]
pub(super) enum Event {
    /// A choice begins.
    Begin(u64),
    /// A choice goes on.
    Piece(u64, Piece),
    /// A choice has ended.
    End(u64, Finish),
    /// All choices have ended, with the tokens they took together.
    Done(Usage),
    /// Nothing more comes.
    Failed(Refusal),
}

/// A request that waits for its turn.
#[derive(Debug)]
pub(super) struct Job {
    request: Request,
    choices: u64,
    // Without a bound, since the context bounds an answer: a caller who reads slowly must not hold
    // up those who wait.
    pub(super) events: UnboundedSender<Event>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    jobs: SyncSender<Job>,
    waiting_max: usize,
}

impl Queue {
    /// Starts the thread that makes answers. It ends when the queue is dropped.
    pub(super) fn start(engine: Arc<Engine>, waiting_max: usize) -> std::io::Result<Self> {
        let (queue, todo) = Self::new(waiting_max);
        thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || work(&engine, &todo))?;
        Ok(queue)
    }

    /// A queue and the end at which it is worked off.
    pub(super) fn new(waiting_max: usize) -> (Self, Receiver<Job>) {
        let (jobs, todo) = sync_channel(waiting_max);
        (Self { jobs, waiting_max }, todo)
    }

    /// Lines a request up. Dropping what is returned ends its answer within one token.
    pub(super) fn push(&self, ask: Ask) -> Result<UnboundedReceiver<Event>, Problem> {
        let (events, coming) = unbounded_channel();
        let job = Job {
            request: ask.request,
            choices: ask.choices,
            events,
        };
        match self.jobs.try_send(job) {
            Ok(()) => Ok(coming),
            Err(TrySendError::Full(_)) => Err(Problem::busy(self.waiting_max)),
            Err(TrySendError::Disconnected(_)) => Err(Problem::stopped()),
        }
    }
}

fn work(engine: &Engine, todo: &Receiver<Job>) {
    while let Ok(job) = todo.recv() {
        // A caller who has gone is told nothing.
        let _ = match answer(engine, job.request, job.choices, &job.events) {
            Ok(Some(usage)) => job.events.send(Event::Done(usage)),
            Ok(None) => Ok(()),
            Err(refusal) => job.events.send(Event::Failed(refusal)),
        };
    }
}

/// All choices of one request, one after the other; none when the caller has gone.
pub(super) fn answer(
    engine: &Engine,
    mut request: Request,
    choices: u64,
    events: &UnboundedSender<Event>,
) -> Result<Option<Usage>, Refusal> {
    let mut all = Usage::default();
    let seed = request.seed;
    for index in 0..choices {
        request.seed = seed.wrapping_add(index);
        let mut begun = false;
        let mut gone = events.is_closed();
        if gone {
            return Ok(None);
        }
        let (finish, usage) = engine.generate(&request, &mut |pieces| {
            gone = events.is_closed()
                || (!begun && events.send(Event::Begin(index)).is_err())
                || pieces
                    .iter()
                    .any(|piece| events.send(Event::Piece(index, piece.clone())).is_err());
            begun = true;
            if gone {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        if gone || events.send(Event::End(index, finish)).is_err() {
            return Ok(None);
        }
        // Choices share the prompt.
        all.prompt_tokens = usage.prompt_tokens;
        all.completion_tokens += usage.completion_tokens;
        all.reasoning_tokens += usage.reasoning_tokens;
    }
    Ok(Some(all))
}
