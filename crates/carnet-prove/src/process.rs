//! A conversation with the solver's process over its pipes.
//!
//! The process is bounded in memory and processor time, and killed through its handle: when the
//! time is up, since cvc5 may overrun its own limit, and whenever the conversation is dropped.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use cedar_policy_symcc::SmtLibScript;
use cedar_policy_symcc::solver::{Decision, DecisionWithModel, Solver, SolverError};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::limits::{ANSWER_BYTES_MAX, SOLVER_BYTES_MAX};

/// How much longer than the question the process may live if nobody is left to kill it.
const GRACE: Duration = Duration::from_secs(2);

/// A running solver.
#[derive(Debug)]
pub(crate) struct Conversation {
    child: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Conversation {
    /// Start the solver for at most so long. Must be called within a runtime.
    pub(crate) fn start(solver: &crate::Solver, limit: Duration) -> io::Result<Self> {
        let limit = limit.saturating_add(GRACE);
        let mut child = Command::new(solver.path())
            .args(["--lang", "smt", &format!("--tlimit={}", limit.as_millis())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        bound(&child, limit)?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Self {
                child,
                input: BufWriter::new(input),
                output: BufReader::new(output),
            }),
            _ => Err(io::Error::other("the solver has no pipes")),
        }
    }

    /// End the process and wait until it is gone.
    pub(crate) async fn kill(&mut self) {
        // An error says that it is gone already.
        let _ = self.child.kill().await;
    }

    /// Number of the process, while it runs.
    #[cfg(test)]
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// One line of the answer; the bytes still allowed shrink by its length.
    async fn line(&mut self, left: &mut u64) -> Result<String, SolverError> {
        let mut line = String::new();
        let read = (&mut self.output).take(*left).read_line(&mut line).await?;
        *left = left.saturating_sub(read as u64);
        if line.ends_with('\n') {
            return Ok(line);
        }
        Err(SolverError::Solver(if *left == 0 {
            format!("its answer has more than {ANSWER_BYTES_MAX} bytes")
        } else {
            "its process ended in the middle of the question".to_owned()
        }))
    }

    async fn check(&mut self) -> Result<Decision, SolverError> {
        self.input.check_sat().await?;
        self.input.flush().await?;
        let line = self.line(&mut { ANSWER_BYTES_MAX }).await?;
        match line.trim() {
            "sat" => Ok(Decision::Sat),
            "unsat" => Ok(Decision::Unsat),
            "unknown" => Ok(Decision::Unknown),
            other => Err(unexpected(other)),
        }
    }

    async fn model(&mut self) -> Result<String, SolverError> {
        self.input.get_model().await?;
        self.input.flush().await?;
        let mut left = ANSWER_BYTES_MAX;
        let mut model = self.line(&mut left).await?;
        if model.trim() != "(" {
            return Err(unexpected(model.trim()));
        }
        loop {
            let line = self.line(&mut left).await?;
            model.push_str(&line);
            if line.trim() == ")" {
                return Ok(model);
            }
        }
    }
}

/// Bound the memory and the processor time of the process.
fn bound(child: &Child, limit: Duration) -> io::Result<()> {
    let number = child.id().and_then(|id| i32::try_from(id).ok());
    let Some(pid) = number.and_then(Pid::from_raw) else {
        return Err(io::Error::other("the solver ended at once"));
    };
    let at_most = |amount| Rlimit {
        current: Some(amount),
        maximum: Some(amount),
    };
    prlimit(Some(pid), Resource::As, at_most(SOLVER_BYTES_MAX))?;
    let seconds = limit.as_secs().saturating_add(1);
    prlimit(Some(pid), Resource::Cpu, at_most(seconds))?;
    Ok(())
}

fn unexpected(line: &str) -> SolverError {
    SolverError::UnrecognizedSolverOutput(line.to_owned())
}

impl Solver for Conversation {
    fn smtlib_input(&mut self) -> &mut (dyn AsyncWrite + Unpin + Send) {
        &mut self.input
    }

    async fn enable_models(&mut self) -> Result<(), SolverError> {
        Ok(self.input.set_option("produce-models", "true").await?)
    }

    async fn check_sat(&mut self) -> Result<Decision, SolverError> {
        self.check().await
    }

    async fn check_sat_with_model(&mut self) -> Result<DecisionWithModel, SolverError> {
        Ok(match self.check().await? {
            Decision::Sat => DecisionWithModel::Sat {
                model: self.model().await?,
            },
            Decision::Unsat => DecisionWithModel::Unsat,
            Decision::Unknown => DecisionWithModel::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::time::Instant;

    use super::*;
    use crate::thread::block_on;

    fn start() -> Conversation {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/never-answers");
        let solver = crate::Solver::find(Some(OsStr::new(path)), None).unwrap();
        Conversation::start(&solver, Duration::from_secs(60)).unwrap()
    }

    /// Whether it runs: a dead process that nobody has waited for yet does not.
    fn runs(id: u32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let after = stat.rsplit(')').next().unwrap_or_default();
        !matches!(after.split_whitespace().next(), None | Some("Z" | "X"))
    }

    #[test]
    fn killed_or_dropped_it_is_gone() {
        let begun = Instant::now();
        let dropped = block_on(|| async {
            let mut killed = start();
            let id = killed.id().unwrap();
            assert!(runs(id));
            killed.kill().await;
            assert!(!runs(id), "killed, and waited for");
            let dropped = start();
            dropped.id().unwrap()
        });
        let dropped = dropped.unwrap();
        while runs(dropped) {
            assert!(begun.elapsed() < Duration::from_secs(20), "dropped");
            std::thread::yield_now();
        }
    }

    #[test]
    fn its_memory_and_processor_time_are_bounded() {
        let limits = block_on(|| async {
            let conversation = start();
            fs::read_to_string(format!("/proc/{}/limits", conversation.id().unwrap())).unwrap()
        });
        let limits = limits.unwrap();
        let soft = |name: &str| {
            let line = limits.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next().map(str::to_owned))
        };
        assert_eq!(
            soft("Max address space"),
            Some(SOLVER_BYTES_MAX.to_string())
        );
        assert_eq!(soft("Max cpu time"), Some("63".to_owned()));
    }
}
