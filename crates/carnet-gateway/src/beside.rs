//! Futures that wait beside another in one task, and are polled only when it is their turn.
//!
//! A task is polled whenever anything of it is woken. Beside a busy stream wait a key's revocation, a timer and the
//! server's stop, which nearly never have anything to say; polling each of them for every piece costs more than the piece.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

/// Tells when futures beside another are to be polled: at first, and when one of them was woken.
#[derive(Debug, Default)]
pub(crate) struct Beside(Option<Arc<Bell>>);

#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl Beside {
    /// What the futures are to be polled with, if they are to be. Each of them must be, until it is pending.
    pub(crate) fn woken(&mut self, cx: &Context<'_>) -> Option<Waker> {
        if let Some(bell) = &self.0
            && bell.task.will_wake(cx.waker())
        {
            if !bell.rung.load(Ordering::Relaxed) {
                return None;
            }
            // Taken back before they are polled: one that is woken meanwhile is polled again.
            bell.rung.swap(false, Ordering::Acquire);
            return Some(bell.clone().into());
        }
        let bell = Arc::new(Bell {
            rung: AtomicBool::new(false),
            task: cx.waker().clone(),
        });
        self.0 = Some(bell.clone());
        Some(bell.into())
    }

    /// One of them is not pending any more, or waits for something else: all are to be polled at the next turn.
    pub(crate) fn again(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;

    use tokio_util::sync::CancellationToken;

    use super::*;

    #[test]
    fn they_are_polled_at_first_when_woken_and_by_another_task() {
        let (one, other) = (CancellationToken::new(), CancellationToken::new());
        let (mut one_told, mut other_told) = (pin!(one.cancelled()), pin!(other.cancelled()));
        let mut beside = Beside::default();
        let count = Arc::new(Bell {
            rung: AtomicBool::new(false),
            task: Waker::noop().clone(),
        });
        let task = Waker::from(count.clone());
        let mut cx = Context::from_waker(&task);
        let mut poll = |beside: &mut Beside, cx: &mut Context<'_>| {
            let waker = beside.woken(cx)?;
            let cx = &mut Context::from_waker(&waker);
            let one = one_told.as_mut().poll(cx).is_ready();
            Some((one, other_told.as_mut().poll(cx).is_ready()))
        };
        assert_eq!(poll(&mut beside, &mut cx), Some((false, false)));
        assert_eq!(poll(&mut beside, &mut cx), None);
        assert!(!count.rung.load(Ordering::Relaxed));
        other.cancel();
        assert!(count.rung.load(Ordering::Relaxed));
        assert_eq!(poll(&mut beside, &mut cx), Some((false, true)));
        assert_eq!(poll(&mut beside, &mut cx), None);
        // Whoever polls the task from then on is to be woken.
        let mut moved = Context::from_waker(Waker::noop());
        assert_eq!(poll(&mut beside, &mut moved), Some((false, true)));
        beside.again();
        assert!(poll(&mut beside, &mut moved).is_some());
    }
}
