//! Asynchronous work behind a function that blocks: on a thread of its own, so that it may also be
//! called from within a runtime and has a stack that fits deep questions.

use std::any::Any;
use std::future::Future;
use std::io;
use std::thread::{Builder, scope};

use crate::limits::STACK_BYTES;

/// Why work did not come to its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It panicked, with these words.
    Panicked(String),
    /// It could not begin.
    System(io::Error),
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Panicked(words) => Self::other(words),
            Broken::System(error) => error,
        }
    }
}

/// Run it to its end.
pub(crate) fn block_on<W, F, T>(work: W) -> Result<T, Broken>
where
    W: FnOnce() -> F + Send,
    F: Future<Output = T>,
    T: Send,
{
    scope(|scope| {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            Ok(runtime.block_on(work()))
        };
        let thread = Builder::new()
            .name("carnet-prove".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, run)
            .map_err(Broken::System)?;
        match thread.join() {
            Ok(result) => result.map_err(Broken::System),
            Err(panic) => Err(Broken::Panicked(words(&*panic))),
        }
    })
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_also_works_inside_a_runtime_and_survives_a_panic() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let answer = runtime.block_on(async { block_on(|| async { 42 }) });
        assert_eq!(answer.unwrap(), 42);
        let broken = block_on(|| async { panic!("on purpose") });
        assert!(matches!(broken, Err(Broken::Panicked(words)) if words == "on purpose"));
    }
}
