//! The line before the model: one answer is made at a time, a bounded number of requests wait. Who hangs
//! up leaves the line at once.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
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
    number: u64,
    request: Request,
    choices: u64,
    // Without a bound, since the context bounds an answer: a caller who reads slowly must not hold
    // up those who wait.
    pub(super) events: UnboundedSender<Event>,
}

#[cfg(test)]
impl Job {
    pub(super) fn seed(&self) -> u64 {
        self.request.seed
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Line>);

#[derive(Debug)]
struct Line {
    waiting: Mutex<Waiting>,
    longer: Condvar,
    waiting_max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// The number of the next one.
    next: u64,
}

/// The events of an answer as they come. Dropped, it ends the answer within one token, or takes the
/// request out of the line.
#[derive(Debug)]
pub(super) struct Coming {
    events: UnboundedReceiver<Event>,
    number: u64,
    queue: Queue,
}

impl Queue {
    pub(super) fn new(waiting_max: usize) -> Self {
        Self(Arc::new(Line {
            waiting: Mutex::default(),
            longer: Condvar::new(),
            waiting_max,
        }))
    }

    /// Starts the thread that makes answers, which ends with the process.
    pub(super) fn start(engine: Arc<Engine>, waiting_max: usize) -> std::io::Result<Self> {
        let queue = Self::new(waiting_max);
        let line = queue.clone();
        thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || {
                let _alone = AbortOnPanic;
                loop {
                    work(&engine, line.next());
                }
            })?;
        Ok(queue)
    }

    /// Lines a request up.
    pub(super) fn push(&self, ask: Ask) -> Result<Coming, Problem> {
        let (events, coming) = unbounded_channel();
        let mut waiting = self.lock();
        if waiting.jobs.len() >= self.0.waiting_max {
            return Err(Problem::busy(self.0.waiting_max));
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.jobs.push_back(Job {
            number,
            request: ask.request,
            choices: ask.choices,
            events,
        });
        drop(waiting);
        self.0.longer.notify_one();
        Ok(Coming {
            events: coming,
            number,
            queue: self.clone(),
        })
    }

    /// The first in the line, as soon as there is one.
    pub(super) fn next(&self) -> Job {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                return job;
            }
            waiting = self
                .0
                .longer
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Each change of the line is one call, so it is whole even after a panic.
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Coming {
    pub(super) async fn recv(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    pub(super) fn poll_recv(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Event>> {
        self.events.poll_recv(cx)
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.queue
            .lock()
            .jobs
            .retain(|job| job.number != self.number);
    }
}

/// A process whose thread for answers is gone would only ever fail; one that has ended is started anew.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

fn work(engine: &Engine, job: Job) {
    // A caller who has gone is told nothing.
    let _ = match answer(engine, job.request, job.choices, &job.events) {
        Ok(Some(usage)) => job.events.send(Event::Done(usage)),
        Ok(None) => Ok(()),
        Err(refusal) => job.events.send(Event::Failed(refusal)),
    };
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
